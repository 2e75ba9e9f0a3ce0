"""Frames of a stream that say the same but for one text, read without parsing their JSON again.

Nearly every frame of a stream is the JSON of the frame before with another fragment of text in it.
``learn`` finds where that text stands; while frames go on like that, what stands there is taken out
of them. A frame that differs in anything else is not read here, and has to be parsed.

It is exact, not a guess: a string of JSON is one token, so two texts that are equal outside one
string have the same value outside it. ``learn`` makes sure that the place is a whole string, and
the one that is meant, by parsing the frame with a mark in that place. ``Repeats`` keeps what was
learned for the decoder of one stream.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..errors import ProtocolError
from ..sse import SSEEvent
from ..types import Event, Json, Opaque
from ..types.json import scan_string
from .text import loads

__all__ = ["Learned", "Place", "Repeats", "learn"]

#: Takes the text out of a parsed frame; raises whatever says that there is none.
Place = Callable[[Json], Json]

#: Longer frames are not learned: what costs time in them is not what is the same in all.
MAX_LENGTH = 4096
#: Lessons without use, one after the other, after which a stream is parsed frame by frame.
MAX_LESSONS = 4

_MARK, _PAD_MARK = "lmtools marks the text", "lmtools marks the padding"


class Learned(NamedTuple):
    """What stands around the text: ``head``, text, ``tail``.

    With padding (a further string that is different in each frame and says nothing) it is ``head``,
    text, ``middle``, padding, ``tail``.
    """

    head: str
    middle: str
    tail: str

    def read(self, data: str) -> tuple[str, str] | None:
        """Return the text and the padding of a frame, None unless it is such a frame."""
        head, middle, tail = self
        if not data.startswith(head):
            return None
        if not data.endswith(tail):
            data = _unpadded(data)
            if not data.endswith(tail):
                return None
        text, padding = data[len(head) : -len(tail)], ""
        if middle:
            text, found, padding = text.partition(middle)
            if not found or '"' in padding or "\\" in padding:
                return None
        if "\\" in text or '"' in text:
            unescaped = _unescaped(text)
            return None if unescaped is None else (unescaped, padding)
        return text, padding


class Repeats:
    """Frames of one stream that go on like the frame before.

    ``places`` names, for each class of event, the keys under which its text may stand. An event is
    learned that has a part, a text, what its frame holds beside, and no more, when the event before
    it was of the same part. Such a frame must leave its decoder as it found it, whatever the text:
    then what one of them said, the next one says too.
    """

    __slots__ = (
        "_is_used",
        "_last",
        "_learned",
        "_lessons",
        "_like",
        "_named",
        "_padding",
        "_places",
    )

    def __init__(
        self, places: Mapping[type, tuple[tuple[str, Place], ...]], padding: str = ""
    ) -> None:
        self._places = places
        self._padding = padding
        self._learned: Learned | None = None
        self._like: Any = None
        self._named: str | None = None
        self._last: tuple[type, int] | None = None
        self._lessons = MAX_LESSONS
        self._is_used = False

    def event(self, frame: SSEEvent) -> Event | None:
        """Return the event of a frame like the last one; None for any other, which ends the run."""
        learned = self._learned
        if learned is None:
            return None
        found = learned.read(frame.data) if frame.event == self._named else None
        if found is None or not found[0]:
            self._learned = None
            return None
        self._is_used = True
        like, wire = self._like, self._like.wire
        if learned.middle:
            wire = _with_padding(wire, self._padding, found[1])
        return like.__class__(like.part_index, found[0], wire=wire)  # type: ignore[no-any-return]

    def learn(self, frame: SSEEvent, events: list[Event]) -> None:
        """Take note of a frame that was parsed, and of the events that it gave."""
        event: Any = events[0] if len(events) == 1 else None
        places = self._places.get(event.__class__)
        if places is None:
            self._last = None
            return
        last, self._last = self._last, (event.__class__, event.part_index)
        if last != self._last or not _is_plain(event):
            return
        if self._is_used:
            self._lessons, self._is_used = MAX_LESSONS, False
        if not self._lessons:
            return
        self._lessons -= 1
        self._like, self._named = event, frame.event
        shapes = (learn(frame.data, key, event.text, at, self._padding) for key, at in places)
        self._learned = next((shape for shape in shapes if shape is not None), None)


def _is_plain(event: Any) -> bool:
    """Tell whether an event has a part, a text, what its frame holds beside, and nothing else."""
    plain = event.__class__(event.part_index, event.text, wire=event.wire)
    return bool(event.text) and event == plain


def _with_padding(wire: tuple[Opaque, ...], key: str, padding: str) -> tuple[Opaque, ...]:
    first, *others = wire
    rest = {**first.data["rest"], key: padding}
    return (Opaque(first.dialect, first.kind, {**first.data, "rest": rest}), *others)


def learn(data: str, key: str, text: str, place: Place, padding: str = "") -> Learned | None:
    """Return the shape of a frame that says ``text`` under ``key``, None where it cannot be told.

    ``place`` takes the text out of the parsed frame. ``padding`` is the key, at the top of the
    frame, of a string that differs in each.
    """
    data = _unpadded(data)
    found = _string(data, key) if len(data) <= MAX_LENGTH else None
    if found is None or found[2] != text:
        return None
    head, tail, middle = data[: found[0]], data[found[1] :], ""
    pad = _string(tail, padding) if padding else None
    if pad is not None:
        middle, tail = tail[: pad[0]], tail[pad[1] :]
    try:
        marked = loads(f"{head}{_MARK}{middle}{_PAD_MARK if middle else ''}{tail}")
        if place(marked) != _MARK or (middle and marked.get(padding) != _PAD_MARK):
            return None
    except (ProtocolError, LookupError, TypeError, ValueError, AttributeError):
        return None
    return Learned(head, middle, tail)


def _string(data: str, key: str) -> tuple[int, int, str] | None:
    """Return where the first string under ``key`` begins and ends, without quotes, and its text."""
    opening = re.search(f'"{key}"\\s*:\\s*"', data)
    if opening is None:
        return None
    try:
        text, end = scan_string(data, opening.end(), False)
    except ValueError:
        return None
    return opening.end(), end - 1, text


def _unescaped(text: str) -> str | None:
    """Return what a string says that has escapes; None when it ends before, or is no string."""
    try:
        said, end = scan_string(f'{text}"', 0, False)
    except ValueError:
        return None
    return said if end == len(text) + 1 else None


def _unpadded(data: str) -> str:
    """Return a frame without spaces before its last brace: Anthropic hides its length by them."""
    return f"{data[:-1].rstrip(' ')}}}" if data.endswith(" }") else data
