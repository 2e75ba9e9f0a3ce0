"""What is heard of a whole answer is what its codec would say, or nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lmtools.codecs import codec_named
from lmtools.codecs.base import Target
from lmtools.codecs.hearing import Heard
from lmtools.codecs.passage import passage_named
from lmtools.types import Request
from tests.corpus import capture_files

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "stop_details": None,
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 100,
        "output_tokens": 7,
        "service_tier": "standard",
    },
}
COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hi", "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 113, "completion_tokens": 7, "total_tokens": 120},
    "service_tier": "default",
}
USUAL = [("anthropic", MESSAGE, "msg_1"), ("openai_chat", COMPLETION, "chatcmpl-1")]
ODD = (None, True, -1, 1, 1.0, 1.5, "", "x", "error", [], ["x"], {}, {"type": "x"})
ERROR = {"type": "overloaded_error", "message": "busy"}
NEW_KEYS = ("error", "message", "type", "citations", "tool_calls", "reasoning_content", "audio")


def said(dialect: str, body: Any) -> tuple[str | None, int | None, int | None]:
    """Return what the codec says; it raises for what is no answer."""
    response = codec_named(dialect).parse_response(body, Request("m", ()), Target(dialect))
    return response.id, response.usage.input_tokens, response.usage.output_tokens


def heard(dialect: str, body: Any) -> Heard | None:
    return passage_named(dialect).hear(body)


def changed(body: Any) -> Iterator[Any]:
    """Yield the body with each of its values, at every depth, replaced, left out or added to."""
    for path in paths(body):
        for value in (*ODD, ERROR):
            other = copy.deepcopy(body)
            at(other, path[:-1])[path[-1]] = value
            yield other
        other = copy.deepcopy(body)
        del at(other, path[:-1])[path[-1]]
        yield other
    for path in ((), *paths(body)):
        if isinstance(at(body, path), dict):
            for key in NEW_KEYS:
                for value in (*ODD, ERROR):
                    other = copy.deepcopy(body)
                    at(other, path).setdefault(key, value)
                    yield other


def paths(value: Any) -> Iterator[tuple[Any, ...]]:
    pairs: Any = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in pairs:
        yield (key,)
        yield from ((key, *rest) for rest in paths(inner))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


@pytest.mark.parametrize(("dialect", "body", "id"), USUAL)
def test_of_a_usual_answer_id_and_counts_are_heard(
    dialect: str, body: dict[str, Any], id: str
) -> None:
    assert heard(dialect, body) == (id, 113, 7) == said(dialect, body)


@pytest.mark.parametrize(("dialect", "body", "_"), USUAL)
def test_whatever_is_changed_the_codec_says_the_same_or_judges_alone(
    dialect: str, body: dict[str, Any], _: str
) -> None:
    """An error behind a 200, and what is no answer at all, is never taken for an answer."""
    count = 0
    for other in (*changed(body), *ODD, ERROR, {"error": ERROR}):
        found = heard(dialect, other)
        if found is not None:
            count += 1
            assert found == said(dialect, other), other
    assert count > 50


@pytest.mark.parametrize("dialect", ["anthropic", "openai_chat"])
def test_recorded_answers_are_heard_as_the_codec_reads_them(dialect: str) -> None:
    stem = "anthropic" if dialect == "anthropic" else "openai"
    files = capture_files(f"*/captures/*{stem}*.response.json")
    bodies = [json.loads(f.read_bytes()) for f in files]
    if not bodies:
        pytest.skip("no captures here")
    found = [(heard(dialect, body), body) for body in bodies]

    assert any(one is not None for one, _ in found)
    assert all(one == said(dialect, body) for one, body in found if one is not None)
