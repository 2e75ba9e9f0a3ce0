"""Framing of parts as blocks: one open at a time, numbered without gaps, for any deltas.

Anthropic and Responses streams frame each part by a start and a stop; the events of other dialects
do not, and parts of parallel tool calls come interleaved. ``Framing`` turns any sequence of deltas
into actions in an order that a block-framed stream allows::

    (OPEN, index, event)    the block begins; ``event`` is its first delta, content included
    (DELTA, index, event)   one more delta of the open block
    (CLOSE, index, event)   the block ends; ``event`` is the PartEnd that said so, or None

What may wait, and for how long:

* Text-like parts (text, thinking, refusal, audio) end when a delta of another part comes, and begin
  again as a further block if they go on: text is never held back by text.
* A call is not cut in two. Deltas of other parts wait until it is complete: its PartEnd came, the
  stream ended, or the brackets of its arguments are balanced (looked at only when another part
  asks, and never in the free text of a custom call). After that, a later fragment of it can only be
  blank; anything else is counted in ``lost``.
* A whole part (PartDelta) ends when anything else comes.

Everything is linear: a waiting delta is stored once, and argument text is scanned once.
"""

from __future__ import annotations

import re
from typing import Any

from ..types import (
    AudioDelta,
    BuiltinCallDelta,
    CitationDelta,
    Delta,
    OpaqueDelta,
    PartDelta,
    PartEnd,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)

OPEN, DELTA, CLOSE = "open", "delta", "close"

#: (verb, block index, event): a Delta; with CLOSE a PartEnd or None.
Action = tuple[str, int, Any]

_KIND: dict[type, str] = {
    TextDelta: "text",
    CitationDelta: "text",
    ThinkingDelta: "thinking",
    RefusalDelta: "refusal",
    AudioDelta: "audio",
    ToolCallDelta: "tool_call",
    BuiltinCallDelta: "builtin_call",
    PartDelta: "part",
}
_CALLS = ("tool_call", "builtin_call")
_MARKS = re.compile(r'[{}\[\]"\\]')

#: A part is its index and its kind: events may give one index to two kinds.
Key = tuple[int, str]


class Balance:
    """Whether the brackets of a JSON text are balanced. Scans each character once."""

    __slots__ = ("_depth", "_in_string", "_is_escaped", "_seen")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._is_escaped = False
        self._seen = False

    def feed(self, text: str) -> bool:
        """Return whether everything so far is one balanced value in brackets."""
        start = 0
        if self._is_escaped and text:
            self._is_escaped, start = False, 1
        while (found := _MARKS.search(text, start)) is not None:
            start = found.end()
            mark = found.group()
            if mark == '"':
                self._in_string = not self._in_string
            elif mark == "\\":
                if self._in_string:
                    self._is_escaped = start == len(text)
                    start += 1
            elif not self._in_string:
                self._seen = True
                self._depth += 1 if mark in "{[" else -1
        return self._seen and self._depth == 0 and not self._in_string


class _Waiting:
    """A part whose block is not open yet."""

    __slots__ = ("end", "events")

    def __init__(self) -> None:
        self.events: list[Delta] = []
        self.end: PartEnd | None = None


class Framing:
    """Deltas in, actions out; see the module's docstring for the order."""

    def __init__(self) -> None:
        #: The part whose block is open.
        self.open: Key | None = None
        #: The index of the block that is open, or was last.
        self.index = -1
        #: Deltas that came for a call whose block is closed.
        self.lost = 0
        self._waiting: dict[Key, _Waiting] = {}
        self._closed_calls: set[Key] = set()
        self._is_free_text = False
        self._unscanned: list[str] = []
        self._balance = Balance()

    def feed(self, event: Delta) -> list[Action]:
        """Return what to do for one delta, in order."""
        if isinstance(event, OpaqueDelta):
            return self._opaque(event)
        if isinstance(event, PartEnd):
            return self._end(event)
        kind = _KIND[event.__class__]
        key = (event.part_index, kind)
        if key == self.open:
            if kind in _CALLS:
                self._unscanned.append(event.text)  # type: ignore[union-attr]
            elif kind == "part":
                return [*self._close(None), *self._begin(key, event)]
            return [(DELTA, self.index, event)]
        if kind in _CALLS and key in self._closed_calls:
            self.lost += 1 if event.text.strip() else 0  # type: ignore[union-attr]
            return []
        return self._switch(key, event)

    def note(self, text: str) -> None:
        """Take one more fragment of the open call, for which there is nothing else to do."""
        self._unscanned.append(text)

    def _switch(self, key: Key, event: Delta) -> list[Action]:
        """Go on to another part, if the open one can be closed."""
        if self.open is None:
            return self._begin(key, event)
        if self._must_wait():
            self._waiting.setdefault(key, _Waiting()).events.append(event)
            return []
        actions = self._close(None)
        if self._waiting:
            self._waiting.setdefault(key, _Waiting()).events.append(event)
            return [*actions, *self._advance()]
        return [*actions, *self._begin(key, event)]

    def _must_wait(self) -> bool:
        if self.open is None or self.open[1] not in _CALLS:
            return False
        if self._is_free_text:
            return True
        fresh = "".join(self._unscanned)
        self._unscanned.clear()
        return not self._balance.feed(fresh)

    def _begin(self, key: Key, event: Delta) -> list[Action]:
        self.open = key
        self.index += 1
        if key[1] in _CALLS:
            self._is_free_text = isinstance(event, ToolCallDelta) and event.kind == "custom"
            self._balance = Balance()
            self._unscanned = [event.text]  # type: ignore[union-attr]
        return [(OPEN, self.index, event)]

    def _close(self, event: PartEnd | None) -> list[Action]:
        if self.open is None:
            return []
        if self.open[1] in _CALLS:
            self._closed_calls.add(self.open)
        self.open = None
        return [(CLOSE, self.index, event)]

    def _end(self, event: PartEnd) -> list[Action]:
        if self.open is not None and self.open[0] == event.part_index:
            return [*self._close(event), *self._advance()]
        for key, waiting in self._waiting.items():
            if key[0] == event.part_index:
                waiting.end = event
        return []

    def _opaque(self, event: OpaqueDelta) -> list[Action]:
        """Place an event that only its dialect knows; it opens no block."""
        if self.open is not None and self.open[0] == event.part_index:
            return [(DELTA, self.index, event)]
        for key, waiting in self._waiting.items():
            if key[0] == event.part_index:
                waiting.events.append(event)
                return []
        self.lost += 1
        return []

    def _advance(self, is_last: bool = False) -> list[Action]:
        """Open the parts that waited, in order of appearance, until one is not complete."""
        actions: list[Action] = []
        while self._waiting and self.open is None:
            key = next(iter(self._waiting))
            waiting = self._waiting.pop(key)
            actions += self._begin(key, waiting.events[0])
            for event in waiting.events[1:]:
                actions += self.feed(event) if key[1] == "part" else self._more(key, event)
            is_over = is_last or waiting.end is not None
            if is_over or (self._waiting and not self._must_wait()):
                actions += self._close(waiting.end)
        return actions

    def _more(self, key: Key, event: Delta) -> list[Action]:
        if key[1] in _CALLS and not isinstance(event, OpaqueDelta):
            self._unscanned.append(event.text)  # type: ignore[union-attr]
        return [(DELTA, self.index, event)]

    def finish(self) -> list[Action]:
        """Close what is open, and open and close all that waited."""
        return [*self._close(None), *self._advance(is_last=True)]
