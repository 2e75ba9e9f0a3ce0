"""Canonical JSON: the omission rule, what is refused, and that errors name the path only."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from lmtools import serde
from lmtools.errors import ProtocolError, RequestError
from lmtools.serde import (
    event_from_json,
    from_bytes,
    from_json,
    message_from_json,
    part_from_json,
    request_from_json,
    response_from_json,
    to_bytes,
    to_json,
    tool_from_json,
)
from lmtools.types import (
    EVENT_CLASSES,
    PART_CLASSES,
    TOOL_CLASSES,
    BuiltinTool,
    CacheMark,
    CitationPart,
    FunctionTool,
    ImagePart,
    Message,
    Opaque,
    OutputFormat,
    Request,
    Response,
    StreamError,
    TextDelta,
    TextPart,
    TokenLogprob,
    ToolCallDelta,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolResultPart,
    Usage,
)

CASES: list[tuple[Any, dict[str, Any]]] = [
    (TextPart(""), {"type": "text", "text": ""}),
    (TextPart("a", CacheMark()), {"type": "text", "text": "a", "cache": {}}),
    (CitationPart(), {"type": "citation"}),
    (CitationPart(start=0), {"type": "citation", "start": 0}),
    (
        ImagePart("image/png", url="https://h/a.png", detail="low"),
        {"type": "image", "media_type": "image/png", "url": "https://h/a.png", "detail": "low"},
    ),
    (ToolCallPart("c1", "f", {}), {"type": "tool_call", "id": "c1", "name": "f", "input": {}}),
    (
        ToolCallPart("c1", "f", "words", "words", "custom"),
        {
            "type": "tool_call",
            "id": "c1",
            "name": "f",
            "input": "words",
            "text": "words",
            "kind": "custom",
        },
    ),
    (
        ToolResultPart("c1", (), is_error=False),
        {"type": "tool_result", "id": "c1", "content": [], "is_error": False},
    ),
    (BuiltinTool("web_search"), {"type": "builtin", "name": "web_search"}),
    (
        FunctionTool("f"),
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}},
    ),
    (FunctionTool("f", parameters={}), {"type": "function", "name": "f", "parameters": {}}),
    (FunctionTool("f", parameters=None), {"type": "function", "name": "f", "parameters": None}),
    (ToolChoice("required", (ToolRef("f"),)), {"mode": "required", "allowed": [{"name": "f"}]}),
    (OutputFormat(), {}),
    (OutputFormat("json_object"), {"type": "json_object"}),
    (Usage(input_tokens=0), {"input_tokens": 0}),
    (
        TokenLogprob("a", -1, (97,), (TokenLogprob("b", -2),)),
        {"token": "a", "logprob": -1, "bytes": [97], "top": [{"token": "b", "logprob": -2}]},
    ),
    (TokenLogprob("", 0, ()), {"token": "", "logprob": 0, "bytes": []}),
    (Opaque("gemini", "part", {}), {"dialect": "gemini", "kind": "part", "data": {}}),
    (
        Request("m", (), seed=0, temperature=0, store=False, stream=False, stop=("a",)),
        {
            "model": "m",
            "messages": [],
            "stream": False,
            "temperature": 0,
            "seed": 0,
            "stop": ["a"],
            "store": False,
        },
    ),
    (
        Response(None, "m", Message("assistant", ()), logprobs=()),
        {"id": None, "model": "m", "message": {"role": "assistant", "parts": []}, "logprobs": []},
    ),
    (TextDelta(0, ""), {"type": "text", "part_index": 0, "text": ""}),
    (ToolCallDelta(1), {"type": "tool_call", "part_index": 1}),
    (
        StreamError("rate_limit", "m", retry_after=0),
        {"type": "error", "code": "rate_limit", "message": "m", "retry_after": 0},
    ),
]


def read(value: Any, data: Any) -> Any:
    """Read with the function that a user would take."""
    unions = (
        (PART_CLASSES, part_from_json),
        (TOOL_CLASSES, tool_from_json),
        (EVENT_CLASSES, event_from_json),
    )
    for classes, from_union in unions:
        if isinstance(value, classes):
            return from_union(data)
    return from_json(type(value), data)


@pytest.mark.parametrize(("value", "data"), CASES, ids=lambda x: type(x).__name__)
def test_value_and_json_are_the_same_thing(value: Any, data: dict[str, Any]) -> None:
    """Fields without a default always stand; a default does not; False and 0 do."""
    assert to_json(value) == data
    assert json.dumps(to_json(value)) == json.dumps(data), "in the order of the fields"
    assert read(value, data) == value


def test_json_of_others_is_embedded_as_it_stands_and_never_copied() -> None:
    """Key order is meaning to a prompt cache, and index-like names keep their places."""
    given = {"b": {"2024": 1, "10": None}, "a": []}
    call = ToolCallPart("c", "f", given)

    assert to_json(call)["input"] is given
    assert from_json(ToolCallPart, to_json(call)).input is given
    assert (
        to_bytes(Opaque("d", "k", given))
        == b'{"dialect":"d","kind":"k","data":{"b":{"2024":1,"10":null},"a":[]}}'
    )


def test_a_lone_surrogate_survives_in_the_bytes() -> None:
    """JSON can say one as an escape; UTF-8 cannot carry one."""
    part = TextPart("\ud800")

    assert to_bytes(part) == b'{"type":"text","text":"\\ud800"}'
    assert from_bytes(TextPart, to_bytes(part)) == part


def test_null_is_read_as_none_where_none_is_legal() -> None:
    assert from_json(CitationPart, {"type": "citation", "url": None}) == CitationPart()


MESSAGE = {"role": "user", "parts": [{"type": "text", "text": "hi"}]}
REQUEST = {"model": "m", "messages": [MESSAGE]}
SECRET = "SECRET"


def with_part(part: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "parts": [part]}]}


REFUSED: list[tuple[Any, str]] = [
    (SECRET, "expected an object, got a string"),
    (None, "expected an object, got null"),
    ([], "expected an object, got a list"),
    ({"messages": []}, "expected Request.model, got nothing"),
    (REQUEST | {"model": None}, "model: expected a string, got null"),
    (REQUEST | {"model": 7}, "model: expected a string, got a number"),
    (REQUEST | {"stream": 1}, "stream: expected a boolean, got a number"),
    (REQUEST | {"max_tokens": True}, "max_tokens: expected an integer, got a boolean"),
    (REQUEST | {"max_tokens": 1.5}, "max_tokens: expected an integer, got a number"),
    (REQUEST | {"temperature": SECRET}, "temperature: expected a number, got a string"),
    (REQUEST | {"stop": SECRET}, "stop: expected a list, got a string"),
    (REQUEST | {"stop": ["a", {}]}, "stop[1]: expected a string, got an object"),
    (REQUEST | {"metadata": [SECRET]}, "metadata: expected an object, got a list"),
    (
        REQUEST | {"new_field": SECRET},
        "new_field: Request has no such field; written by a newer version?",
    ),
    (REQUEST | {"reasoning": {"effort": "huge"}}, "reasoning: Reasoning.effort: 'huge' is none of"),
    (
        REQUEST | {"messages": [{"role": "king", "parts": []}]},
        "messages[0]: Message.role: 'king' is none of",
    ),
    (REQUEST | {"messages": [MESSAGE, SECRET]}, "messages[1]: expected an object, got a string"),
    (
        REQUEST | {"messages": [MESSAGE | {"extra": 1}]},
        "messages[0].extra: Message has no such field",
    ),
    (with_part(SECRET), "messages[0].parts[0]: expected an object, got a string"),
    (with_part({"text": SECRET}), "messages[0].parts[0].type: expected a string, got null"),
    (with_part({"type": ["text"]}), "messages[0].parts[0].type: expected a string, got a list"),
    (with_part({"type": SECRET}), "messages[0].parts[0].type: expected one of text, thinking,"),
    (with_part({"type": "text"}), "messages[0].parts[0]: expected TextPart.text, got nothing"),
    (
        with_part({"type": "image"}),
        "messages[0].parts[0]: ImagePart: exactly one of data, url, file_id",
    ),
    (
        with_part({"type": "text", "text": "", "cache": {"ttl": 5}}),
        "messages[0].parts[0].cache.ttl: expected a string",
    ),
    (
        REQUEST | {"tools": [{"type": "drill", "name": "x"}]},
        "tools[0].type: expected one of function, custom, builtin",
    ),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_what_is_wrong_is_refused_by_path_and_without_content(data: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        request_from_json(data)

    assert str(refused.value).startswith(message)
    assert SECRET not in str(refused.value)


def test_the_path_can_begin_where_the_caller_stands() -> None:
    with pytest.raises(RequestError, match=r"^nodes\[3\]\.role: expected a string, got a number"):
        message_from_json(MESSAGE | {"role": 1}, "nodes[3]")


def test_a_class_refuses_the_tag_of_another() -> None:
    with pytest.raises(RequestError, match=r"^type: expected the type 'text'"):
        from_json(TextPart, {"type": "thinking", "text": ""})


def test_a_long_unknown_key_is_not_repeated_at_length() -> None:
    with pytest.raises(RequestError) as refused:
        response_from_json({"id": None, "model": "", "message": MESSAGE, "x" * 5000: 1})

    assert len(str(refused.value)) < 200


def test_nesting_that_would_exhaust_the_stack_is_refused() -> None:
    data: dict[str, Any] = {"type": "text", "text": ""}
    for _ in range(2000):
        data = {"type": "tool_result", "id": "a", "content": [data]}

    with pytest.raises(RequestError, match="nested too deeply"):
        part_from_json(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff\xfe", b'{"token":"a","logprob":NaN}', b'{"token":"\xff","logprob":0}'],
)
def test_bytes_that_are_no_json_are_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        from_bytes(TokenLogprob, data)


def test_only_canonical_values_are_written() -> None:
    with pytest.raises(TypeError, match="dict is not a canonical type"):
        to_json({})


def test_every_field_of_every_canonical_class_has_a_shape() -> None:
    """An annotation that serde does not know fails here, and not at a user's first save."""
    for cls in serde._WHOLE:
        rows = serde._rows(cls)
        names = [field.name for field in fields(cls)]
        assert [row.name for row in rows][-len(names) :] == names
