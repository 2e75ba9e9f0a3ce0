"""The calls of a Chat stream, put together from whatever a server sends of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ...errors import ProtocolError
from ...types import Event, Json, JsonObject, Opaque, ToolCallDelta
from ..blocks import Balance
from ..custom_tools import InputReader
from ..names import ToolKey, WireNames
from ..text import dumps
from .assistant import call_stem
from .tools import take_state
from .wire import NAME


@dataclass(slots=True)
class _Call:
    """One call. Until ``open`` its fragments wait for the id and the name."""

    part: int
    number: int
    kind: str = "function"
    id: str | None = None
    name: str | None = None
    open: bool = False
    reader: InputReader | None = None
    whole: bool = False
    balance: Balance = field(default_factory=Balance)
    said: bool = False
    held: list[tuple[str, tuple[Opaque, ...]]] = field(default_factory=list)


class PartNumbers:
    """Numbers the parts of one answer, for the decoder and its calls: neither holds the other."""

    def __init__(self) -> None:
        self.given = 0

    def new(self) -> int:
        self.given += 1
        return self.given - 1


class Calls:
    """Calls by index and by id, in order of first appearance."""

    def __init__(
        self,
        names: WireNames,
        custom: frozenset[ToolKey],
        new_part: Callable[[], int],
        origin: str | None = None,
    ) -> None:
        self._names = names
        self._custom = custom
        self._new_part = new_part
        #: Whose the state of these calls is.
        self._origin = origin
        self._stem = call_stem(None)
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._function: _Call | None = None

    @property
    def any(self) -> bool:
        return bool(self._calls)

    @property
    def legacy(self) -> bool:
        return self._function is not None

    def name_after(self, response_id: str | None) -> None:
        """Set what minted ids are made of."""
        self._stem = call_stem(response_id)

    def feed(self, wire: Json, position: int) -> list[Event]:
        """Take one element of ``tool_calls``; ``position`` is its place in that list."""
        if wire.__class__ is not dict:
            raise ProtocolError("a tool call is no object")
        index, id = wire.pop("index", None), wire.pop("id", None)
        kind = wire.pop("type", None)
        if kind not in ("function", "custom"):
            kind = "custom" if "custom" in wire else "function"
        inner = wire.pop(kind, None)
        inner = inner if inner.__class__ is dict else {}
        name = inner.pop("name", None)
        text = inner.pop("input" if kind == "custom" else "arguments", None)
        name = name if name.__class__ is str and name else None
        id = id if id.__class__ is str and id else None
        call = self._find(index, id, name, position)
        call.kind = kind
        state = take_state(wire, self._origin)
        return self._say(call, id, name, text, (*_opaque(wire, inner), *state))

    def feed_legacy(self, wire: JsonObject) -> list[Event]:
        """Take a ``function_call``: the one call of an answer, without id."""
        call = self._function
        name, text = wire.pop("name", None), wire.pop("arguments", None)
        name = name if name.__class__ is str and name else None
        opaque = _opaque({}, wire)
        if call is None:
            call = self._function = self._add()
            call.id = f"{self._stem}{call.number}"
            rest = opaque[0].data if opaque else {}
            opaque = (Opaque(NAME, "called", {"legacy": call.id, **rest}),)
        return self._say(call, None, name, text, opaque)

    def flush(self) -> list[Event]:
        """Return the calls that still wait: an id is minted, a call without a name is a breach."""
        events: list[Event] = []
        for call in self._calls:
            if not call.open:
                if call.name is None:
                    raise ProtocolError(f"tool call {call.number} has no name")
                call.id = call.id or f"{self._stem}{call.number}"
                events += self._opened(call)
            if call.reader is not None:
                events.append(ToolCallDelta(call.part, call.reader.close(), kind="custom"))
            elif not call.said and call.kind == "function":
                # No fragment at all: the empty object, as OpenAI words a call without arguments.
                events.append(ToolCallDelta(call.part, "{}"))
        return events

    def _add(self) -> _Call:
        call = _Call(self._new_part(), len(self._calls))
        self._calls.append(call)
        return call

    def _find(self, index: Json, id: str | None, name: str | None, position: int) -> _Call:
        """Return the call that a fragment belongs to, a new one where it starts one."""
        if index.__class__ is int:
            call = self._by_index.get(index)
            if call is None or (id and call.id and id != call.id and name):
                # Some servers give every parallel call the index 0; another id is another call.
                call = self._by_id.get(id or "") or self._add()
            self._by_index[index] = call
        elif id is not None:
            call = self._by_id.get(id) or self._nameless(position, name) or self._add()
        else:
            call = self._nameless(position, name) or self._add()
        if id is not None:
            self._by_id[id] = call
        return call

    def _nameless(self, position: int, name: str | None) -> _Call | None:
        """Return the call that a fragment without index goes on with, if it does.

        Without a name it belongs to the last call, or to the one at its place in the list. With a
        name it starts a call, unless the same name is only repeated: then the call before it is
        still short of its whole arguments.
        """
        if not self._calls:
            return None
        call = self._calls[position] if 0 < position < len(self._calls) else self._calls[-1]
        if name is None or call.name is None:
            return call
        return call if name == call.name and not call.whole else None

    def _say(
        self,
        call: _Call,
        id: str | None,
        name: str | None,
        text: Json,
        opaque: tuple[Opaque, ...],
    ) -> list[Event]:
        fragment = text if text.__class__ is str else "" if text is None else dumps(text)
        call.id, call.name = call.id or id, call.name or name
        call.said = call.said or bool(fragment)
        if fragment and not self._by_index:
            # Needed only where no index tells the fragments of calls apart.
            call.whole = call.balance.feed(fragment)
        if call.open:
            if not fragment and not opaque:
                return []
            return [_delta(call, fragment, opaque)]
        call.held.append((fragment, opaque))
        return [] if call.id is None or call.name is None else self._opened(call)

    def _opened(self, call: _Call) -> list[Event]:
        """Return what waited, fragment by fragment, so that each keeps its own keys."""
        call.open = True
        namespace, name = self._names.canonical(call.name or "")
        if call.kind == "function" and (namespace, name) in self._custom:
            # The tool was offered as custom: its calls are free text, however the server calls it.
            call.reader = InputReader()
        (text, opaque), *later = call.held
        call.held = []
        first = _delta(call, text, opaque)
        opening = replace(first, id=call.id, name=name, namespace=namespace)
        return [opening, *(_delta(call, text, opaque) for text, opaque in later)]


def _delta(call: _Call, text: str, opaque: tuple[Opaque, ...]) -> ToolCallDelta:
    if call.reader is not None:
        return ToolCallDelta(call.part, call.reader.feed(text), kind="custom", opaque=opaque)
    return ToolCallDelta(call.part, text, kind=call.kind, opaque=opaque)


def _opaque(wire: JsonObject, inner: JsonObject) -> tuple[Opaque, ...]:
    """Return what is left of a call's objects, nulls aside: they say that nothing changed."""
    kept: list[Opaque] = []
    for kind, held in (("tool_call", wire), ("called", inner)):
        rest = {key: value for key, value in held.items() if value is not None}
        if rest:
            kept.append(Opaque(NAME, kind, {"rest": rest}))
    return tuple(kept)
