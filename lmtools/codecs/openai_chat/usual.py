"""Messages in the few forms that most of a long conversation has, parsed by one look.

A message whose keys are exactly those of a usual form, in one of its orders, needs none of the care
of ``messages``: nothing is left over, and what is kept of its order is the same for all of them.
Such a message takes a quarter of the time. Any other form, and any value of a wrong kind, is left
to ``messages``, which gives the same for these or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

from ...types import Json, JsonObject, Message, Opaque, Part, TextPart, ToolCallPart, ToolResultPart
from ..arguments import parse_arguments
from .wire import NAME

_CALL = ("id", "type", "function")
_CALLED = ("name", "arguments")
_ROLES = ("user", "assistant", "system", "developer")
#: What is kept of results as nearly all clients write them, their id before their content.
_ID_FIRST = (Opaque(NAME, "message", {"keys": ["role", "tool_call_id", "content"]}),)


def parse_usual(wire: JsonObject) -> Message | None:
    """Return the message of a usual form; None for every other."""
    parse = _FORMS.get(tuple(wire))
    return None if parse is None else parse(wire)


def _plain(wire: JsonObject) -> Message | None:
    role, text = wire["role"], wire["content"]
    usual = role in _ROLES and text.__class__ is str and text
    return Message(role, (TextPart(text),)) if usual else None


def _calling(wire: JsonObject) -> Message | None:
    text, listed = wire["content"], wire["tool_calls"]
    if wire["role"] != "assistant" or listed.__class__ is not list or not listed:
        return None
    parts: list[Part] = []
    if text.__class__ is str and text:
        parts.append(TextPart(text))
    elif text is not None:
        return None
    for item in listed:
        call = _call(item)
        if call is None:
            return None
        parts.append(call)
    return Message("assistant", tuple(parts))


def _call(wire: Json) -> ToolCallPart | None:
    if wire.__class__ is not dict or tuple(wire) != _CALL or wire["type"] != "function":
        return None
    id, called = wire["id"], wire["function"]
    if called.__class__ is not dict or tuple(called) != _CALLED:
        return None
    name, text = called["name"], called["arguments"]
    if not (id and id.__class__ is name.__class__ is text.__class__ is str):
        return None
    return ToolCallPart(id, name, parse_arguments(text)[0], text)


def _result(wire: JsonObject) -> Message | None:
    return _answer(wire, ())


def _result_by_id(wire: JsonObject) -> Message | None:
    return _answer(wire, _ID_FIRST)


def _answer(wire: JsonObject, kept: tuple[Opaque, ...]) -> Message | None:
    id, text = wire["tool_call_id"], wire["content"]
    if wire["role"] != "tool" or not (text and id.__class__ is text.__class__ is str):
        return None
    return Message("tool", (ToolResultPart(id, (TextPart(text),)),), None, kept)


#: Keys in their order -> the parser.
_FORMS: dict[tuple[str, ...], Callable[[JsonObject], Message | None]] = {
    ("role", "content"): _plain,
    ("role", "content", "tool_calls"): _calling,
    ("role", "content", "tool_call_id"): _result,
    ("role", "tool_call_id", "content"): _result_by_id,
}
