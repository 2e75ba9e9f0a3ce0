"""Constructors check types, name class and field, and coerce what has one reading."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from lmtools import types
from lmtools.types import (
    EVENT_CLASSES,
    PART_CLASSES,
    TOOL_CLASSES,
    AudioPart,
    BuiltinCallPart,
    BuiltinResultPart,
    BuiltinTool,
    CacheMark,
    CitationPart,
    CustomTool,
    DocumentPart,
    End,
    FunctionTool,
    ImagePart,
    Message,
    ModelInfo,
    Opaque,
    OpaqueDelta,
    OpaquePart,
    OutputFormat,
    PartDelta,
    Reasoning,
    RefusalPart,
    Request,
    Response,
    Start,
    StreamError,
    TextPart,
    ThinkingPart,
    TokenLogprob,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolResultPart,
    ToolsPart,
    Usage,
)

OPAQUE = Opaque("d", "k", {})
ANSWER = Message("assistant", ())
BAD: Any = object()

WRONG: list[tuple[type, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (Opaque, (1, "k", {}), {}, TypeError, "Opaque.dialect: expected a string, got int"),
    (Opaque, ("d", None, {}), {}, TypeError, "Opaque.kind: expected a string, got None"),
    (Opaque, ("d", "k", []), {}, TypeError, "Opaque.data: expected a JSON object (dict), got list"),
    (Opaque, ("d", "k", {}, 1), {}, TypeError, "Opaque.origin: expected a string or None, got int"),
    (CacheMark, (5,), {}, TypeError, "CacheMark.ttl: expected a string or None, got int"),
    (TextPart, (b"a",), {}, TypeError, "TextPart.text: expected a string, got bytes"),
    (TextPart, ("a", "1h"), {}, TypeError, "TextPart.cache: expected CacheMark, got str"),
    (TextPart, ("a",), {"opaque": [1]}, TypeError, "TextPart.opaque: expected Opaque values, got int"),
    (ThinkingPart, (None,), {}, TypeError, "ThinkingPart.text: expected a string, got None"),
    (RefusalPart, (None,), {}, TypeError, "RefusalPart.text: expected a string, got None"),
    (CitationPart, (1,), {}, TypeError, "CitationPart.url: expected a string or None, got int"),
    (CitationPart, (), {"start": -1}, ValueError, "CitationPart.start: -1 is below 0"),
    (CitationPart, (), {"end": 1.5}, TypeError, "CitationPart.end: expected an integer or None, got float"),
    (CitationPart, (), {"end": True}, TypeError, "CitationPart.end: expected an integer or None, got bool"),
    (ImagePart, (), {}, ValueError, "ImagePart: exactly one of data, url, file_id is needed, got none"),
    (ImagePart, (), {"data": "", "url": ""}, ValueError, "ImagePart: exactly one of data, url, file_id is needed, got data and url"),
    (ImagePart, (), {"data": b"raw"}, TypeError, "ImagePart.data: expected a string or None, got bytes"),
    (ImagePart, (), {"url": "u", "detail": 1}, TypeError, "ImagePart.detail: expected a string or None, got int"),
    (AudioPart, (), {"url": "u", "transcript": 1}, TypeError, "AudioPart.transcript: expected a string or None, got int"),
    (DocumentPart, (), {"url": "u", "context": 1}, TypeError, "DocumentPart.context: expected a string or None, got int"),
    (ToolCallPart, (None, "n", {}), {}, TypeError, "ToolCallPart.id: expected a string, got None"),
    (ToolCallPart, ("i", "n", {}), {"kind": "magic"}, ValueError, "ToolCallPart.kind: 'magic' is none of builtin, custom, function"),
    (ToolCallPart, ("i", "n", {}), {"kind": None}, TypeError, "ToolCallPart.kind: expected a string, got None"),
    (ToolResultPart, ("i", "text"), {}, TypeError, "ToolResultPart.content: expected a sequence of TextPart or"),
    (ToolResultPart, ("i", ["text"]), {}, TypeError, "ToolResultPart.content[0]: expected TextPart or"),
    (ToolResultPart, ("i", ()), {"is_error": 1}, TypeError, "ToolResultPart.is_error: expected a bool or None, got int"),
    (ToolsPart, ([{}],), {}, TypeError, "ToolsPart.tools[0]: expected FunctionTool or CustomTool or BuiltinTool, got dict"),
    (BuiltinCallPart, ("i", 1), {}, TypeError, "BuiltinCallPart.name: expected a string, got int"),
    (BuiltinResultPart, ("i", "n", [1]), {}, TypeError, "BuiltinResultPart.sources[0]: expected CitationPart, got int"),
    (OpaquePart, ({},), {}, TypeError, "OpaquePart.content: expected Opaque, got dict"),
    (FunctionTool, (1,), {}, TypeError, "FunctionTool.name: expected a string, got int"),
    (FunctionTool, ("f",), {"parameters": []}, TypeError, "FunctionTool.parameters: expected a JSON object (dict), got list"),
    (CustomTool, ("f",), {"format": "lark"}, TypeError, "CustomTool.format: expected a JSON object (dict), got str"),
    (BuiltinTool, (None,), {}, TypeError, "BuiltinTool.name: expected a string, got None"),
    (ToolRef, ("f", "x"), {}, ValueError, "ToolRef.kind: 'x' is none of"),
    (ToolChoice, ("any",), {}, ValueError, "ToolChoice.mode: 'any' is none of auto, none, required"),
    (ToolChoice, (), {"allowed": "f"}, TypeError, "ToolChoice.allowed: expected a sequence of ToolRef, got str"),
    (Message, ("king", ()), {}, ValueError, "Message.role: 'king' is none of assistant, developer, system, tool, user"),
    (Message, (["user"], ()), {}, TypeError, "Message.role: expected a string, got list"),
    (Message, ("user", "hi"), {}, TypeError, "Message.parts: expected parts, got a string; use Message.user(text)"),
    (Message, ("user", {"type": "text"}), {}, TypeError, "Message.parts: expected a sequence of TextPart or"),
    (Reasoning, ("on",), {}, ValueError, "Reasoning.mode: 'on' is none of adaptive, disabled, enabled"),
    (Reasoning, (), {"effort": "huge"}, ValueError, "Reasoning.effort: 'huge' is none of"),
    (OutputFormat, ("xml",), {}, ValueError, "OutputFormat.type: 'xml' is none of json_object, json_schema, text"),
    (OutputFormat, (None,), {}, TypeError, "OutputFormat.type: expected a string, got None"),
    (Request, (None, ()), {}, TypeError, "Request.model: expected a string, got None"),
    (Request, ("m", ["hi"]), {}, TypeError, "Request.messages[0]: expected Message, got str"),
    (Request, ("m", ()), {"stream": 1}, TypeError, "Request.stream: expected a bool or None, got int"),
    (Request, ("m", ()), {"max_tokens": "9"}, TypeError, "Request.max_tokens: expected an integer or None, got str"),
    (Request, ("m", ()), {"temperature": True}, TypeError, "Request.temperature: expected a number, got bool"),
    (Request, ("m", ()), {"top_p": float("nan")}, ValueError, "Request.top_p: nan is not finite"),
    (Request, ("m", ()), {"output": {}}, TypeError, "Request.output: expected OutputFormat, got dict"),
    (Request, ("m", ()), {"extensions": None}, TypeError, "Request.extensions: expected a JSON object (dict), got None"),
    (Request, ("m", ()), {"stop": [1]}, TypeError, "Request.stop[0]: expected str, got int"),
    (Usage, (-1,), {}, ValueError, "Usage.input_tokens: -1 is below 0"),
    (TokenLogprob, ("a", None), {}, TypeError, "TokenLogprob.logprob: expected a number, got None"),
    (TokenLogprob, ("a", float("-inf")), {}, ValueError, "TokenLogprob.logprob: -inf is not finite"),
    (TokenLogprob, ("a", 0), {"bytes": "a"}, TypeError, "TokenLogprob.bytes: expected a sequence of int, got str"),
    (Response, ("i", "m", None), {}, TypeError, "Response.message: expected Message, got None"),
    (Response, ("i", "m", ANSWER), {"finish": "end_turn"}, ValueError, "Response.finish: 'end_turn' is none of"),
    (Response, ("i", "m", ANSWER), {"usage": None}, TypeError, "Response.usage: expected Usage, got None"),
    (Response, ("i", "m", ANSWER), {"logprobs": [1]}, TypeError, "Response.logprobs[0]: expected TokenLogprob, got int"),
    (ModelInfo, (1,), {}, TypeError, "ModelInfo.id: expected a string, got int"),
    (Start, (), {"usage": {}}, TypeError, "Start.usage: expected Usage, got dict"),
    (Start, (), {"wire": [1]}, TypeError, "Start.wire: expected Opaque values, got int"),
    (End, ("end_turn",), {}, ValueError, "End.finish: 'end_turn' is none of"),
    (StreamError, ("server", None), {}, TypeError, "StreamError.message: expected a string, got None"),
    (PartDelta, (0, "text"), {}, TypeError, "PartDelta.part: expected TextPart or"),
    (OpaqueDelta, ({},), {}, TypeError, "OpaqueDelta.content: expected Opaque, got dict"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "args", "named", "error", "message"), WRONG, ids=[w[4][:40] for w in WRONG]
)
def test_a_wrong_value_is_named_by_class_and_field(
    cls: type, args: tuple[Any, ...], named: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        cls(*args, **named)

    assert str(refused.value).startswith(message)


def test_a_wrong_word_is_not_repeated_at_length() -> None:
    with pytest.raises(ValueError) as refused:
        Message("x" * 10_000, ())

    assert len(str(refused.value)) < 200


COERCED: list[tuple[Any, str, Any]] = [
    (Message("user", TextPart("a")), "parts", (TextPart("a"),)),
    (Message("user", [TextPart("a")]), "parts", (TextPart("a"),)),
    (Request("m", Message.user("a")), "messages", (Message.user("a"),)),
    (Request("m", [], stop="END"), "stop", ("END",)),
    (Request("m", [], max_tokens=16.0), "max_tokens", 16),
    (Request("m", [], tools=BuiltinTool("web_search")), "tools", (BuiltinTool("web_search"),)),
    (ToolChoice("auto", ToolRef("f")), "allowed", (ToolRef("f"),)),
    (ToolResultPart("c", TextPart("a")), "content", (TextPart("a"),)),
    (TokenLogprob("a", 0, [97]), "bytes", (97,)),
    (TextPart("a", opaque=OPAQUE), "opaque", (OPAQUE,)),
    (TextPart("a", opaque=[OPAQUE]), "opaque", (OPAQUE,)),
    (Start(wire=OPAQUE), "wire", (OPAQUE,)),
    (Start(message_opaque=[OPAQUE]), "message_opaque", (OPAQUE,)),
]  # fmt: skip


@pytest.mark.parametrize(("value", "name", "held"), COERCED)
def test_lists_and_single_values_become_tuples_and_integral_floats_integers(
    value: Any, name: str, held: Any
) -> None:
    assert getattr(value, name) == held
    assert type(getattr(value, name)) is type(held)


CANONICAL = [
    *(*PART_CLASSES, *TOOL_CLASSES, *EVENT_CLASSES, CacheMark, Opaque, ToolRef, ToolChoice),
    *(Message, Reasoning, OutputFormat, Request, Usage, TokenLogprob, Response, ModelInfo),
]


@pytest.mark.parametrize("cls", CANONICAL)
def test_canonical_values_are_frozen_and_closed(cls: type) -> None:
    """A value is shared by everybody who got it, so nobody may change it or hang things on it."""
    value = object.__new__(cls)

    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(cls)[0].name, "other")
    assert not hasattr(value, "__dict__")


def test_a_union_has_one_class_for_each_type_tag() -> None:
    for classes in (PART_CLASSES, TOOL_CLASSES, EVENT_CLASSES):
        tags = [cls.type for cls in classes]
        assert len(tags) == len(set(tags))


def test_the_list_of_classes_of_a_union_is_the_union() -> None:
    """A part that is in one and not in the other would be legal and unreadable."""
    for name, classes in (("Part", PART_CLASSES), ("Tool", TOOL_CLASSES), ("Event", EVENT_CLASSES)):
        assert set(getattr(types, name).__args__) == set(classes)
    assert set(types.MediaPart.__args__) == set(types.MEDIA_CLASSES)


@pytest.mark.parametrize("cls", PART_CLASSES)
def test_every_part_can_carry_a_cache_mark_and_opaque_data(cls: type) -> None:
    names = [field.name for field in fields(cls)]

    assert names[-2:] == ["cache", "opaque"]


def test_the_public_names_are_what_can_be_imported() -> None:
    assert all(hasattr(types, name) for name in types.__all__)
    assert len(types.__all__) == len(set(types.__all__))


def test_no_two_function_tools_share_a_schema() -> None:
    assert FunctionTool("a").parameters == {"type": "object", "properties": {}}
    assert FunctionTool("a").parameters is not FunctionTool("b").parameters


def test_a_forced_tool_is_required_and_alone() -> None:
    a, b = ToolRef("a"), ToolRef("b", "custom")

    assert ToolChoice("required", (a,)).forced == a
    assert ToolChoice("required", (a, b)).forced is None
    assert ToolChoice("auto", (a,)).forced is None
    assert ToolChoice().forced is None


def test_a_changed_copy_is_checked_again() -> None:
    with pytest.raises(TypeError, match=r"TextPart\.text"):
        replace(TextPart("a"), text=1)  # type: ignore[arg-type]
