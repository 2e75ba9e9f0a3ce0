"""Server-sent events: bytes to events and back.

The rules are those of the WHATWG event stream: UTF-8 with one optional byte order mark at the very
start; lines end with LF, CR or CRLF; a blank line ends an event; one space after a field's colon is
not part of the value; several ``data`` lines are joined with LF; a line that starts with a colon is
a comment; unknown fields are ignored. Invalid UTF-8 becomes U+FFFD.

One departure: servers of language models forget the last blank line, so ``SSEDecoder.close``
delivers an unfinished last event instead of dropping it.

How the decoder stays linear: line ends are made LF as the bytes arrive, so an event is whatever
stands before ``\\n\\n``. Each byte is searched for that pair once, moved at most twice, and decoded
once. No line is too long: one event of 30 MB (an image) is legal. ``max_bytes`` bounds the stream.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import ProtocolError

__all__ = ["SSEDecoder", "SSEEvent", "encode_comment", "encode_event"]

# str.splitlines would also split on U+2028, U+0085 and others, which are data here.
_LINE_END = re.compile(r"\r\n|\r|\n")

# int() of a longer text is slow or refused (sys.set_int_max_str_digits); no pause is 10**18 ms.
_MAX_RETRY_DIGITS = 18


class SSEEvent(NamedTuple):
    """One event. ``event`` is None when the stream gave no type (the standard's "message").

    ``id`` and ``retry`` (milliseconds) are those of this event alone; the decoder keeps the last
    ones of the stream.
    """

    event: str | None
    data: str
    id: str | None = None
    retry: int | None = None


class SSEDecoder:
    """Bytes in, events out; however the bytes are split, the events are the same.

    ``last_id`` and ``retry`` are the stream's last values, also from events without data.
    ``max_bytes`` bounds the bytes of the whole stream; more raise ProtocolError.
    """

    def __init__(self, max_bytes: int | None = None) -> None:
        self.last_id = ""
        self.retry: int | None = None
        self._max_bytes = max_bytes
        self._fed = 0
        self._buffer = bytearray()
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        """Return the events that ``chunk`` completes."""
        self._count(chunk)
        if self._after_cr or b"\r" in chunk:
            chunk = self._unify_line_ends(chunk)
        buffer = self._buffer
        if not buffer:
            end = chunk.rfind(b"\n\n")
            buffer += chunk[end + 2 :] if end >= 0 else chunk
            return self._parse(chunk[:end]) if end >= 0 else []
        searched = len(buffer)
        buffer += chunk
        end = buffer.rfind(b"\n\n", searched - 1)
        if end < 0:
            return []
        block = bytes(buffer[:end])
        del buffer[: end + 2]
        return self._parse(block)

    def close(self) -> list[SSEEvent]:
        """Return the last event if it has data and lacks only its blank line.

        The data may be cut in the middle when the connection was; its reader has to judge that.
        """
        block = bytes(self._buffer)
        self._buffer.clear()
        return self._parse(block)

    def _count(self, chunk: bytes) -> None:
        self._fed += len(chunk)
        if self._max_bytes is not None and self._fed > self._max_bytes:
            raise ProtocolError(f"event stream: more than {self._max_bytes} bytes")

    def _unify_line_ends(self, chunk: bytes) -> bytes:
        if not chunk:
            return chunk
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
            return self._unify_line_ends(chunk) if b"\r" in chunk else chunk
        # A CR at the end is a whole line end already: the event is not held back for a possible LF.
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _parse(self, block: bytes) -> list[SSEEvent]:
        text = block.decode("utf-8", "replace")
        if self._at_start:
            self._at_start = False
            text = text.removeprefix("\ufeff")
        events = []
        for frame in text.split("\n\n"):
            # Nearly every frame is one line of data, or has its name in a line before it.
            if frame.startswith("data: ") and "\n" not in frame:
                events.append(SSEEvent(None, frame[6:]))
                continue
            event = _parse_named_frame(frame) or self._parse_frame(frame)
            if event is not None:
                events.append(event)
        return events

    def _parse_frame(self, frame: str) -> SSEEvent | None:
        event: str | None = None
        data: list[str] = []
        own_id: str | None = None
        retry: int | None = None
        for line in frame.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            match field:
                case "data":
                    data.append(value)
                case "event":
                    event = value or None
                case "id" if "\0" not in value:
                    own_id = self.last_id = value
                case "retry" if _is_retry(value):
                    retry = self.retry = int(value)
        return SSEEvent(event, "\n".join(data), own_id, retry) if data else None


def _parse_named_frame(frame: str) -> SSEEvent | None:
    """Return the event of ``event: y`` and ``data: x``, a line each; None for any other frame."""
    end = frame.find("\n")
    if not frame.startswith("event: ") or not frame.startswith("data: ", end + 1):
        return None
    return None if "\n" in frame[end + 1 :] else SSEEvent(frame[7:end] or None, frame[end + 7 :])


def _is_retry(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS


def encode_event(data: str, event: str | None = None) -> bytes:
    """Return one event's bytes, its blank line included.

    Line ends inside ``data`` (LF, CR, CRLF) start a new data line, so the reader gets LF for each.
    ``event`` must not hold a line end: ValueError.
    """
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(_LINE_END.split(data))
    if event is None:
        return _encode_text(f"data: {data}\n\n")
    if "\n" in event or "\r" in event:
        raise ValueError(f"event name {event!r}: must not hold a line end")
    return _encode_text(f"event: {event}\ndata: {data}\n\n")


def encode_comment(text: str = "") -> bytes:
    """Return a comment, which readers ignore: it keeps an idle connection alive."""
    lines = "\n".join(f": {line}" if line else ":" for line in _LINE_END.split(text))
    return _encode_text(f"{lines}\n\n")


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # JSON may spell half a surrogate pair (\ud83d). Alone it has no UTF-8 form: U+FFFD; a pair
        # of two halves becomes its character.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
