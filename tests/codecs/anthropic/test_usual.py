"""Blocks of a usual form are parsed by one look, to the parts that the whole parser gives."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.codecs import anthropic
from lmtools.codecs.anthropic import requests, usual
from lmtools.codecs.anthropic.content import parse_blocks
from lmtools.codecs.anthropic.spelling import REQUEST, Reading
from lmtools.codecs.base import Incoming
from lmtools.codecs.names import WireNames
from lmtools.errors import RequestError
from lmtools.types import ToolCallPart

TEXT = {"type": "text", "text": "Hi"}
CALL = {"type": "tool_use", "id": "t1", "name": "ls", "input": {"path": "."}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "a b"}
CODE_RESULT = {"tool_use_id": "t1", "type": "tool_result", "content": "a b", "is_error": False}

USUAL = [
    TEXT,
    {**TEXT, "text": ""},
    CALL,
    {**CALL, "input": {}},
    RESULT,
    {**RESULT, "is_error": True},
    CODE_RESULT,
    {key: CODE_RESULT[key] for key in ("tool_use_id", "type", "content")},
]
OTHERS = [
    {**TEXT, "text": None},
    {**TEXT, "text": 1},
    {**TEXT, "type": "tool_use"},
    {**TEXT, "type": "words"},
    {**TEXT, "type": None},
    {"text": "Hi", "type": "text"},
    {**TEXT, "cache_control": {"type": "ephemeral"}},
    {**TEXT, "more": 1},
    {**CALL, "id": None},
    {**CALL, "id": 1},
    {**CALL, "name": ["ls"]},
    {**CALL, "input": None},
    {**CALL, "input": "text"},
    {**CALL, "type": "server_tool_use"},
    {**RESULT, "tool_use_id": 1},
    {**RESULT, "content": None},
    {**RESULT, "content": [TEXT]},
    {**RESULT, "content": []},
    {**RESULT, "content": 1},
    {**RESULT, "type": "web_search_tool_result"},
    {**RESULT, "is_error": None},
    {**RESULT, "is_error": 1},
    "text",
    None,
]
CUSTOM = Reading(custom=frozenset({(None, "ls")}))
RENAMED = Reading(names=WireNames({("files", "list"): "ls"}, {"ls": ("files", "list")}))


def outcome(block: Any, reading: Reading) -> Any:
    try:
        return parse_blocks([block], "content", reading)
    except RequestError as error:
        return str(error)


@pytest.mark.parametrize("reading", [REQUEST, CUSTOM, RENAMED, Reading(answer=True)])
@pytest.mark.parametrize("block", [*USUAL, *OTHERS], ids=repr)
def test_a_block_gives_the_same_with_and_without_the_usual_forms(
    block: Any, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = outcome(block, reading)
    monkeypatch.setattr(usual, "_FORMS", {})
    assert quick == outcome(block, reading)


@pytest.mark.parametrize("block", USUAL, ids=repr)
def test_usual_forms_are_what_they_are_for(block: Any) -> None:
    assert usual.parse_usual(block, REQUEST) is not None


def test_a_call_of_a_renamed_or_custom_tool_is_not_of_a_usual_form() -> None:
    assert usual.parse_usual(CALL, RENAMED) is None
    assert usual.parse_usual(CALL, CUSTOM) is None
    (part,) = parse_blocks([CALL], "content", RENAMED)
    assert isinstance(part, ToolCallPart)
    assert (part.namespace, part.name) == ("files", "list")


@pytest.mark.parametrize("role", ["user", "assistant", "system", "tool", None, 1, ["user"]])
@pytest.mark.parametrize("content", ["Hi", [TEXT], [TEXT, CALL], [], None, 1])
@pytest.mark.parametrize("beside", [{}, {"name": "x"}, {"role": "user"}])
def test_a_message_gives_the_same_with_and_without_the_usual_form(
    role: Any, content: Any, beside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"model": "m", "messages": [{"role": role, "content": content} | beside]}

    def parsed() -> Any:
        try:
            return anthropic.parse_request(Incoming(body))
        except RequestError as error:
            return str(error)

    quick = parsed()
    monkeypatch.setattr(requests, "_USUAL_KEYS", ())
    assert quick == parsed()
