"""Content blocks in the few forms that most of a long conversation has, parsed by one look.

A block whose keys are exactly those of a usual form, in one of its orders, needs none of the care
of ``content``: nothing is left over, nothing is marked, and what is kept of its order is the same
for all of them. Such a block takes a fifth of the time. Any other form, and any value of a wrong
kind, is left to ``content``, which gives the same part for these or says what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable

from ...types import JsonObject, Opaque, Part, TextPart, ToolCallPart, ToolResultPart
from .spelling import NAME, Reading

Kept = tuple[Opaque, ...]


def parse_usual(block: JsonObject, reading: Reading) -> Part | None:
    """Return the part of a block of a usual form; None for every other."""
    found = _FORMS.get(tuple(block))
    if found is None:
        return None
    parse, kept = found
    return parse(block, reading, kept)


def _text(block: JsonObject, reading: Reading, kept: Kept) -> Part | None:
    text = block["text"]
    usual = block["type"] == "text" and text.__class__ is str
    return TextPart(text, None, kept) if usual else None


def _call(block: JsonObject, reading: Reading, kept: Kept) -> Part | None:
    id, name, input = block["id"], block["name"], block["input"]
    if not (block["type"] == "tool_use" and id.__class__ is name.__class__ is str):
        return None
    if input.__class__ is not dict or reading.custom or reading.names.from_wire:
        return None
    return ToolCallPart(id, name, input, None, "function", None, None, kept)


def _result(block: JsonObject, reading: Reading, kept: Kept) -> Part | None:
    id, content, is_error = block["tool_use_id"], block["content"], block.get("is_error", False)
    if not (block["type"] == "tool_result" and id.__class__ is content.__class__ is str):
        return None
    if is_error.__class__ is not bool:
        return None
    said = is_error if "is_error" in block else None
    return ToolResultPart(id, (TextPart(content),), said, opaque=kept)


def _order(*keys: str) -> Kept:
    """Return what ``Fields.kept`` keeps of an order that is not the codec's own."""
    return (Opaque(NAME, "block", {"keys": list(keys)}),)


Parser = Callable[[JsonObject, Reading, Kept], Part | None]

#: Keys in their order -> the parser, and what is kept. Claude Code's results begin with the id.
_FORMS: dict[tuple[str, ...], tuple[Parser, Kept]] = {
    ("type", "text"): (_text, ()),
    ("type", "id", "name", "input"): (_call, ()),
    ("type", "tool_use_id", "content"): (_result, ()),
    ("type", "tool_use_id", "content", "is_error"): (_result, ()),
    ("tool_use_id", "type", "content"): (_result, _order("tool_use_id", "type", "content")),
    ("tool_use_id", "type", "content", "is_error"): (
        _result,
        _order("tool_use_id", "type", "content", "is_error"),
    ),
}
