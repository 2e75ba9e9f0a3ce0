"""The messages of a request: one wire message is one canonical message, in the same order."""

from __future__ import annotations

from ...types import Json, JsonObject, Message, Opaque, Part, TextPart, ToolCallPart, ToolResultPart
from ..fields import Fields
from ..names import WireNames
from .assistant import Minting, take_assistant
from .parts import natural_spelling, take_content
from .tools import says_legacy
from .usual import parse_usual
from .wire import Shape

MESSAGE = Shape(
    "message",
    (
        "role",
        "content",
        "name",
        "reasoning_content",
        "reasoning",
        "refusal",
        "annotations",
        "audio",
        "tool_calls",
        "function_call",
        "tool_call_id",
    ),
)
_PLAIN_ROLES = frozenset({"system", "developer", "user"})
_NAMES = WireNames()


class _LegacyCalls:
    """Ids for calls of before tools, which know only names: first asked, first answered."""

    def __init__(self) -> None:
        self._made = 0
        self._open: dict[str, list[str]] = {}

    def next_id(self) -> str:
        return f"call_legacy_{self._made}"

    def called(self, parts: list[Part]) -> None:
        for part in parts:
            if isinstance(part, ToolCallPart) and says_legacy(part):
                self._open.setdefault(part.name, []).append(part.id)
                self._made += 1

    def answered(self, name: str) -> str:
        waiting = self._open.get(name)
        if waiting:
            return waiting.pop(0)
        self._made += 1
        return f"call_legacy_{self._made - 1}"


def parse_messages(values: list[Json], path: str) -> tuple[Message, ...]:
    legacy = _LegacyCalls()
    messages = []
    for i, value in enumerate(values):
        usual = parse_usual(value) if value.__class__ is dict else None
        messages.append(_parse(value, f"{path}[{i}]", legacy) if usual is None else usual)
    return tuple(messages)


def _parse(value: Json, path: str, legacy: _LegacyCalls) -> Message:
    fields = Fields(value, path)
    role = fields.required_text("role")
    if role == "assistant":
        return _parse_assistant(fields, value, legacy)
    if role == "tool":
        return _parse_result(fields, value, fields.required_text("tool_call_id"), {})
    if role == "function":
        name = fields.rest.get("name")
        id = legacy.answered(name) if isinstance(name, str) else legacy.next_id()
        return _parse_result(fields, value, id, {"function": id})
    return _parse_plain(fields, value, role)


def _parse_plain(fields: Fields, wire: JsonObject, role: str) -> Message:
    parts, spelling = take_content(fields)
    notes: JsonObject = {}
    if spelling != natural_spelling(parts):
        notes["content"] = spelling
    if role not in _PLAIN_ROLES:
        # A role that nobody else knows speaks to the model: the nearest is the user's.
        fields.rest["role"], role = role, "user"
    name = fields.text("name")
    return Message(role, parts, name, MESSAGE.keep(fields, wire, notes))


def _parse_assistant(fields: Fields, wire: JsonObject, legacy: _LegacyCalls) -> Message:
    taken = take_assistant(fields, _NAMES, Minting(legacy=legacy.next_id()), answer=False)
    legacy.called(taken.parts)
    name = fields.text("name")
    opaque: tuple[Opaque, ...] = MESSAGE.keep(fields, wire, taken.notes)
    return Message("assistant", tuple(taken.parts), name, opaque)


def _parse_result(fields: Fields, wire: JsonObject, id: str, notes: JsonObject) -> Message:
    """A ``tool`` message: everything it says beside its result is kept on the message."""
    content, spelling = take_content(fields)
    # Servers that take media in a result get them back there; OpenAI's own take text only.
    media = any(not isinstance(part, TextPart) for part in content)
    if media or spelling != natural_spelling(content):
        notes["content"] = spelling
    result = ToolResultPart(id, content, name=fields.text("name"))
    return Message("tool", (result,), opaque=MESSAGE.keep(fields, wire, notes))
