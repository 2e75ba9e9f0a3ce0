"""The shapes of Chat's objects: what is always said, in which order, and what stands beside it.

A ``Shape`` is one kind of wire object. ``keys`` is the order that this codec writes; ``always`` are
keys that OpenAI writes though they say nothing (constants, nulls, empty lists), so a wire object
that has them leaves no trace, and one that lacks them is remembered as lacking them (``absent``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ...types import Json, JsonObject, Opaque, find_opaque
from ..fields import Fields

NAME: Final = "openai_chat"

#: Where servers put the state of their reasoning, and the kind of that state.
DETAILS: Final = "reasoning_details"


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of wire object, read with ``keep`` and written with ``fill``."""

    kind: str
    keys: tuple[str, ...]
    always: Mapping[str, Json] = field(default_factory=dict)

    def keep(
        self, fields: Fields, wire: JsonObject, notes: JsonObject | None = None
    ) -> tuple[Opaque, ...]:
        """Return what is left of ``wire`` after the parser took its keys from ``fields``."""
        absent, rest = [], fields.rest
        for key, value in self.always.items():
            if key not in wire:
                absent.append(key)
            elif key in rest and rest[key] == value:
                del rest[key]
        if absent:
            notes = {**(notes or {}), "absent": absent}
        return fields.kept(NAME, self.kind, self.keys, notes)

    def fill(self, out: JsonObject, opaque: tuple[Opaque, ...]) -> JsonObject:
        """Return ``out`` with what is always said and what was kept, in the order of the wire."""
        data = find_opaque(opaque, NAME, self.kind)
        if data is None:
            return _ordered(self.keys, {**self.always, **out})
        values = {**self.always, **data.get("rest", {}), **out}
        for key in data.get("absent", ()):
            if key not in out:
                values.pop(key, None)
        return _ordered(data.get("keys", self.keys), values)

    def note(self, opaque: tuple[Opaque, ...], name: str) -> Json:
        """Return a spelling note, or None."""
        data = find_opaque(opaque, NAME, self.kind)
        return None if data is None else data.get(name)

    def rest(self, opaque: tuple[Opaque, ...]) -> JsonObject:
        """Return the keys that no canonical field says."""
        data = find_opaque(opaque, NAME, self.kind)
        found: JsonObject = data.get("rest", {}) if data else {}
        return found


def as_chunk_choice(choice: JsonObject, at: int) -> JsonObject:
    """Return a choice of a whole answer as a stream's: all of its message in one delta."""
    message = choice.get("message")
    delta: JsonObject = dict(message) if isinstance(message, dict) else {}
    calls = delta.get("tool_calls")
    if isinstance(calls, list):
        # Only the calls of a stream say which one they are.
        delta["tool_calls"] = [
            {"index": i, **c} for i, c in enumerate(calls) if isinstance(c, dict)
        ]
    rest = {key: value for key, value in choice.items() if key not in ("index", "message")}
    index = choice.get("index")
    at = index if index.__class__ is int else at
    return {"index": at, **rest, "delta": delta, "finish_reason": rest.get("finish_reason")}


def _ordered(keys: tuple[str, ...] | list[str], values: JsonObject) -> JsonObject:
    out = {key: values[key] for key in keys if key in values}
    if len(out) < len(values):
        out.update((key, value) for key, value in values.items() if key not in out)
    return out


_WORD_OF_FINISH = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context_length": "length",
    "tool_call": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "error": "length",
}
#: The words of servers that speak Chat; those below the first five are not OpenAI's own.
_FINISH_OF_WORD = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "content_filter": "content_filter",
    "function_call": "tool_call",
    "end_turn": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_length": "context_length",
    "tool_use": "tool_call",
    "refusal": "refusal",
    "safety": "content_filter",
    "error": "error",
    "insufficient_system_resource": "error",
}


def finish_of(word: Json) -> str | None:
    """Return the canonical reason of a ``finish_reason``; None for null and unknown words."""
    return _FINISH_OF_WORD.get(word) if isinstance(word, str) else None


def finish_word(finish: str | None, *, called: bool, legacy: bool = False) -> str:
    """Return Chat's word for why an answer ended; SDKs accept these five and no null.

    ``called``: the answer holds a call. Some servers say stop even then, and clients that go by the
    word alone would never run the call. ``legacy``: the client knows functions, not tools.
    """
    word = _WORD_OF_FINISH.get(finish or "stop", "stop")
    if called and word == "stop":
        word = "tool_calls"
    return "function_call" if legacy and word == "tool_calls" else word


def said_beside(wire: tuple[Opaque, ...]) -> JsonObject:
    """Return what a frame of this dialect said beside its event, reasoning state included."""
    held = find_opaque(wire, NAME, "chunk") or {}
    state = find_opaque(wire, NAME, DETAILS)
    return held if state is None else {**held, "delta": {**held.get("delta", {}), **state["delta"]}}


def said_finish(note: JsonObject | None, finish: str | None) -> tuple[str | None] | None:
    """Return the upstream's own word, which may be null, in a tuple, while it fits ``finish``."""
    if note is None or "finish" not in note:
        return None
    word = note["finish"]
    fits = finish_of(word) == finish or (finish == "stop_sequence" and word == "stop")
    return (word,) if fits else None


#: Reasons that another dialect tells apart and Chat does not, with what the client loses.
FINISH_LOSSES = {
    "stop_sequence": "Chat says stop, and not which stop sequence came",
    "context_length": "Chat has one word for both limits",
    "refusal": "Chat says content_filter",
    "pause": "Chat has no word for a paused turn",
    "error": "Chat has no word for a failed answer",
}
