"""How a body ends, and its bytes without their framing, for both roles."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..errors import ProtocolError, TruncatedError
from .heads import FIELD, RequestHead, RequestHeadError, ResponseHead, find, find_all, words

__all__ = [
    "LAST_CHUNK", "MAX_CHUNK_LINE", "MAX_TRAILERS", "BodyReader", "BodyTooLargeError", "Framing",
    "encode_chunk", "keep_alive", "request_framing", "response_framing",
]  # fmt: skip

#: Bytes of a chunk's size line and its extensions, and of all trailers together.
MAX_CHUNK_LINE = 1024
MAX_TRAILERS = 8 * 1024

_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")
# What nearly all chunks begin with; everything else about a chunk is the careful steps' matter.
_PLAIN_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
_TRAILER = re.compile(FIELD.pattern.encode("latin-1"))

LAST_CHUNK = b"0\r\n\r\n"

# A step of reading a chunked body: (reader, data, position, output) -> where the next step starts,
# or -1 for "more". A function, not a bound method: a reader that held one of its own would be a
# cycle, which only the garbage collector ends.
_Step = Callable[["BodyReader", bytes, int, list[bytes]], int]


class BodyTooLargeError(ProtocolError):
    """The body is, or says it will be, longer than the reader allows (a server answers 413)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"body: longer than {limit} bytes", status=413)


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body ends: there is none, after ``length`` bytes, by chunks, or with the connection."""

    kind: Literal["none", "length", "chunked", "eof"]
    length: int = 0


_NO_BODY = Framing("none")
_CHUNKED = Framing("chunked")
_UNTIL_EOF = Framing("eof")


def request_framing(head: RequestHead) -> Framing:
    """Return how the body ends; RequestHeadError (400, 501) when readers could disagree."""
    codings = words(head.headers, "transfer-encoding")
    lengths = find_all(head.headers, "content-length")
    if not codings and find(head.headers, "transfer-encoding") is None:
        return _length_framing(lengths) if lengths else _NO_BODY
    if lengths:
        raise RequestHeadError(400, "request head: both Content-Length and Transfer-Encoding")
    if head.version == "1.0":
        raise RequestHeadError(400, "request head: HTTP/1.0 has no Transfer-Encoding")
    if codings == ["chunked"]:
        return _CHUNKED
    if not codings or codings[-1] != "chunked" or codings.count("chunked") > 1:
        raise RequestHeadError(400, "request head: Transfer-Encoding does not end with one chunked")
    raise RequestHeadError(501, "request head: only chunked is known as Transfer-Encoding")


def _length_framing(lengths: list[str]) -> Framing:
    if len(set(lengths)) > 1:
        raise RequestHeadError(400, "request head: Content-Length headers that differ")
    if _LENGTH.fullmatch(lengths[0]) is None:
        raise RequestHeadError(400, "request head: Content-Length is not a number")
    return Framing("length", int(lengths[0]))


def response_framing(head: ResponseHead, method: str) -> Framing:
    """Return how the body of an answer to ``method`` ends; ProtocolError when that is unclear."""
    tunnel = method == "CONNECT" and head.status < 300
    if head.status < 200 or head.status in {204, 304} or method == "HEAD" or tunnel:
        return _NO_BODY
    codings = words(head.headers, "transfer-encoding")
    if codings:
        return _coded_framing(codings)
    lengths = set(words(head.headers, "content-length"))
    if not lengths:
        return _UNTIL_EOF
    length = lengths.pop()
    if lengths or _LENGTH.fullmatch(length) is None:
        raise ProtocolError("response head: Content-Length is not one number")
    return Framing("length", int(length))


def _coded_framing(codings: list[str]) -> Framing:
    if codings == ["chunked"]:
        return _CHUNKED
    if codings == ["identity"]:
        return _UNTIL_EOF
    raise ProtocolError(f"response head: Transfer-Encoding {', '.join(codings)[:80]!r} is unknown")


def keep_alive(head: RequestHead | ResponseHead) -> bool:
    """Tell whether the connection may carry another exchange once this body has ended.

    A body that ends with the connection (``Framing.kind`` "eof") ends it whatever this says.
    """
    options = words(head.headers, "connection")
    if "close" in options:
        return False
    chunked = find(head.headers, "transfer-encoding") is not None
    if head.version == "1.0":
        return "keep-alive" in options and not chunked
    # Both framings at once: the chunks count, what follows is not trusted (RFC 9112 6.3).
    return not (chunked and find(head.headers, "content-length") is not None)


def encode_chunk(data: bytes) -> bytes:
    """Return one chunk. Empty data gives no bytes: an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class BodyReader:
    """The bytes of a body as they arrive, without their framing.

    ``done`` says that the body is whole, ``rest`` holds the bytes that came after it. ``limit``
    bounds the decoded bytes: BodyTooLargeError, from a declared length even before its bytes.
    Other breaches of the framing are ProtocolError with status 400, which a client ignores.
    """

    def __init__(self, framing: Framing, limit: int | None = None) -> None:
        self.framing = framing
        self.done = framing.kind == "none" or (framing.kind == "length" and framing.length == 0)
        self.rest = b""
        self.received = 0
        self._limit = limit
        self._left = 0
        self._tail = b""
        self._trailers_left = MAX_TRAILERS
        self._step: _Step = BodyReader._read_size
        if framing.kind == "length":
            self._admit(framing.length)
            self._left = framing.length

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes in ``data``; none when it holds only framing."""
        if self.done:
            self.rest += data
            return b""
        match self.framing.kind:
            case "length":
                return self._feed_length(data)
            case "chunked":
                return self._feed_chunked(data)
            case _:
                return self._feed_all(data)

    def eof(self) -> None:
        """The connection has ended: the body is whole, or TruncatedError."""
        if self.framing.kind == "eof":
            self.done = True
        if self.done:
            return
        of_length = f" of {self.framing.length}" if self.framing.kind == "length" else ""
        raise TruncatedError(f"body: the connection ended after {self.received}{of_length} bytes")

    def _admit(self, size: int) -> None:
        if self._limit is not None and self.received + size > self._limit:
            raise BodyTooLargeError(self._limit)

    def _feed_all(self, data: bytes) -> bytes:
        self._admit(len(data))
        self.received += len(data)
        return data

    def _feed_length(self, data: bytes) -> bytes:
        if len(data) >= self._left:
            self.done = True
            data, self.rest = data[: self._left], data[self._left :]
        self._left -= len(data)
        self.received += len(data)
        return data

    def _feed_chunked(self, data: bytes) -> bytes:
        if self._tail:
            data = self._tail + data
        out: list[bytes] = []
        pos = 0
        while not self.done and pos < len(data):
            if self._step is BodyReader._read_size:
                pos = self._read_whole_chunks(data, pos, out)
            after = self._step(self, data, pos, out)
            if after < 0:
                break
            pos = after
        # A tail is part of one line, which is bounded, so that joining it stays linear.
        self._tail = b"" if self.done else data[pos:]
        if self.done:
            self.rest = data[pos:]
        return b"".join(out)

    def _read_whole_chunks(self, data: bytes, pos: int, out: list[bytes]) -> int:
        """Take the chunks that are plain and whole; return where the first other thing starts.

        A stream is little else, a chunk for each event; a step for each took twice the time.
        """
        while (match := _PLAIN_CHUNK.match(data, pos)) is not None:
            size = int(match[1], 16)
            start = match.end()
            stop = start + size
            if size == 0 or not data.startswith(b"\r\n", stop):
                break
            self._admit(size)
            self.received += size
            out.append(data[start:stop])
            pos = stop + 2
        return pos

    def _read_size(self, data: bytes, pos: int, _out: list[bytes]) -> int:
        end = self._line_end(data, pos, MAX_CHUNK_LINE)
        if end < 0:
            return -1
        match = _CHUNK_LINE.fullmatch(data, pos, end)
        if match is None:
            raise _bad_body("a chunk size that is not 1 to 16 hexadecimal digits")
        size = int(match[1], 16)
        if size == 0:
            self._step = BodyReader._read_trailer
            return end + 2
        self._admit(size)
        self._left = size
        self._step = BodyReader._read_data
        return end + 2

    def _read_data(self, data: bytes, pos: int, out: list[bytes]) -> int:
        part = data[pos : pos + self._left]
        self._left -= len(part)
        self.received += len(part)
        out.append(part)
        if not self._left:
            self._step = BodyReader._read_data_end
        return pos + len(part)

    def _read_data_end(self, data: bytes, pos: int, _out: list[bytes]) -> int:
        end = data[pos : pos + 2]
        if end == b"\r\n":
            self._step = BodyReader._read_size
            return pos + 2
        if end == b"\r":
            return -1
        raise _bad_body("a chunk that is not followed by CRLF")

    def _read_trailer(self, data: bytes, pos: int, _out: list[bytes]) -> int:
        end = self._line_end(data, pos, self._trailers_left)
        if end < 0:
            return -1
        if end == pos:
            self.done = True
        elif _TRAILER.fullmatch(data, pos, end) is None:
            raise _bad_body("a trailer that is not a header line")
        self._trailers_left -= end + 2 - pos
        return end + 2

    def _line_end(self, data: bytes, pos: int, limit: int) -> int:
        end = data.find(b"\r\n", pos, pos + limit + 2)
        if end < 0 and len(data) - pos > limit:
            raise _bad_body(f"a chunk line or trailers longer than {limit} bytes")
        if end < 0 and data.find(b"\n", pos) >= 0:
            raise _bad_body("a line that ends with a bare LF")
        return end


def _bad_body(problem: str) -> ProtocolError:
    return ProtocolError(f"chunked body: {problem}", status=400)
