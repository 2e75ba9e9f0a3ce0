"""The calls of a stream on their way to a Chat client: each in order, whole in what identifies it.

A client needs the id and the name in a call's first fragment, and indexes from 0 without a gap; so
a call waits until both are known, and gets its index then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...types import JsonObject, ToolCallDelta
from ..base import Loss, Losses
from .tools import CALL, CALLED, EXTRA, extra_state

#: A delta to send, and the event that it says.
Sent = tuple[JsonObject, ToolCallDelta]


@dataclass(slots=True)
class SentCall:
    """A call on its way out. ``index`` is its place in ``tool_calls``, None while it waits."""

    path: str
    kind: str
    index: int | None = None
    id: str | None = None
    name: str | None = None
    legacy: bool = False
    said: bool = False
    held: list[ToolCallDelta] = field(default_factory=list)


class SentCalls:
    """``legacy``: the client knows one ``function_call``. ``stem`` begins minted ids.

    ``losses`` is the encoder's list: one of its methods would hold the encoder, and that this.
    """

    def __init__(self, stem: str, losses: Losses, *, legacy: bool) -> None:
        self._stem = stem
        self._losses = losses
        self._wants_legacy = legacy
        self._calls: dict[int, SentCall] = {}
        self._opened = 0
        self.legacy = False

    @property
    def any(self) -> bool:
        return self._opened > 0 or self.legacy

    @property
    def count(self) -> int:
        """How many calls have begun."""
        return len(self._calls)

    def get(self, part: int) -> SentCall | None:
        return self._calls.get(part)

    def feed(self, event: ToolCallDelta, path: str) -> list[Sent]:
        """Return what can be sent now."""
        call = self._calls.get(event.part_index)
        if call is None:
            kind = "custom" if event.kind == "custom" else "function"
            call = self._calls[event.part_index] = SentCall(path, kind)
            if event.kind not in ("custom", "function"):
                self._lose(f"{path}.kind", "substituted", "Chat calls are of functions or custom")
            if event.namespace is not None:
                self._lose(f"{path}.namespace", "dropped", "Chat has no namespaces")
        call.id, call.name = call.id or event.id, call.name or event.name
        if call.index is not None or call.legacy:
            return self._fragment(call, event)
        call.held.append(event)
        return self._open(call) if call.id and call.name else []

    def flush(self) -> list[Sent]:
        """Return the calls that still wait, and the empty object for those without arguments.

        Clients parse the arguments, and the empty text is no JSON.
        """
        found: list[Sent] = []
        for part, call in self._calls.items():
            if call.held and not call.name:
                self._lose(call.path, "dropped", "a call without a name cannot be run")
                continue
            if call.held:
                call.id = call.id or f"{self._stem}{self._opened}"
                found += self._open(call)
            if not call.said and call.kind == "function":
                found += self._fragment(call, ToolCallDelta(part, "{}"))
        return found

    def _lose(self, path: str, action: str, reason: str) -> None:
        self._losses.append(Loss(path, action, reason))

    def _open(self, call: SentCall) -> list[Sent]:
        first, *later = call.held
        call.held = []
        noted = any(CALLED.note(event.opaque, "legacy") for event in (first, *later))
        if noted or (self._wants_legacy and not self.legacy):
            call.legacy = self.legacy = True
        else:
            call.index = self._opened
            self._opened += 1
        found = self._fragment(call, first, opening=True)
        for event in later:
            found += self._fragment(call, event)
        return found

    def _fragment(
        self, call: SentCall, event: ToolCallDelta, *, opening: bool = False
    ) -> list[Sent]:
        if not (opening or event.text or event.opaque or event.wire):
            return []
        call.said = call.said or bool(event.text)
        key = "input" if call.kind == "custom" else "arguments"
        inner: JsonObject = {"name": call.name} if opening else {}
        if event.text or opening:
            inner[key] = event.text
        inner.update((k, v) for k, v in CALLED.rest(event.opaque).items() if k not in inner)
        if call.legacy:
            return [({"function_call": inner}, event)]
        out: JsonObject = {"index": call.index}
        if opening:
            out.update({"id": call.id, "type": call.kind})
        if inner:
            out[call.kind] = inner
        out.update((k, v) for k, v in CALL.rest(event.opaque).items() if k not in out)
        state = extra_state(event.opaque)
        if state is not None:
            out[EXTRA] = state.data[EXTRA]
        return [({"tool_calls": [out]}, event)]
