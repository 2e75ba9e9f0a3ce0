"""HTTP/1.1 heads, framing and bodies as values, for both roles (RFC 9112).

A server parses request heads and renders response heads; a client does the reverse. Both read
bodies through ``BodyReader``. Nothing here waits or knows a socket: bytes go in, values come out,
and "more is needed" is a value (``head_end`` gives -1, ``BodyReader.done`` stays False).

Requests are parsed strictly, since two readers who disagree on where a request ends let one client
speak in another's name (request smuggling): lines end with CRLF and nothing else, names are tokens
right before their colon, no folded lines, no control characters, one Host, a length or ``chunked``
but never both. Answers may end lines with LF, fold them and put blanks before the colon; they stay
bounded. Chunked bodies are strict both ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .errors import ProtocolError, RequestError, TruncatedError

__all__ = [
    "LAST_CHUNK", "MAX_CHUNK_LINE", "MAX_HEAD", "MAX_HEADERS", "MAX_REQUEST_LINE",
    "MAX_RESPONSE_HEADERS", "MAX_TRAILERS", "REASONS", "BodyReader", "BodyTooLargeError",
    "Framing", "Headers", "RequestHead", "RequestHeadError", "ResponseHead",
    "check_partial_request", "encode_chunk", "find", "find_all", "head_end", "keep_alive",
    "parse_request_head", "parse_response_head", "render_request_head", "render_response_head",
    "request_framing", "response_framing", "words",
]  # fmt: skip

#: Names and values in wire order and in wire case.
Headers = tuple[tuple[str, str], ...]

MAX_HEAD = 64 * 1024
MAX_REQUEST_LINE = 8 * 1024
MAX_HEADERS = 100
#: Answers carry more: rate limits, cookies and a CDN's own.
MAX_RESPONSE_HEADERS = 256
MAX_CHUNK_LINE = 1024
MAX_TRAILERS = 8 * 1024

LAST_CHUNK = b"0\r\n\r\n"

# A step of reading a chunked body: (data, position, output) -> where the next step starts, or -1
# for "more".
_Step = Callable[[bytes, int, list[bytes]], int]

_TOKEN_CHARS = r"!#$%&'*+\-.^_`|~0-9A-Za-z"
_VALUE_CHARS = r"\t\x20-\x7e\x80-\xff"
_TOKEN = re.compile(rf"[{_TOKEN_CHARS}]++")
_VALUE = re.compile(rf"[{_VALUE_CHARS}]*+")
_TARGET = re.compile(r"[\x21-\x7e]++")
_REQUEST_LINE = re.compile(rf"([{_TOKEN_CHARS}]{{1,32}}) ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])")
_STATUS_LINE = re.compile(rf"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: ([{_VALUE_CHARS}]*))?")
_FIELDS = re.compile(rf"(?:[{_TOKEN_CHARS}]++:[{_VALUE_CHARS}]*+\r\n)*+\r\n")
_LENIENT_FIELDS = re.compile(rf"(?:[{_TOKEN_CHARS}]++[\t ]*+:[{_VALUE_CHARS}]*+\n)*+\n")
_FOLD = re.compile(r"\n[\t ]+")
_HOST = re.compile(r"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]*")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rf"[{_TOKEN_CHARS}]++:[{_VALUE_CHARS}]*+".encode("latin-1"))

#: Reason phrases of the statuses that an LLM API or this package answers with.
REASONS = {
    100: "Continue", 101: "Switching Protocols", 103: "Early Hints", 200: "OK", 201: "Created",
    202: "Accepted", 204: "No Content", 301: "Moved Permanently", 302: "Found", 303: "See Other",
    304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
    401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 408: "Request Timeout", 409: "Conflict",
    410: "Gone", 411: "Length Required", 413: "Content Too Large", 414: "URI Too Long",
    415: "Unsupported Media Type", 417: "Expectation Failed", 421: "Misdirected Request",
    422: "Unprocessable Content", 424: "Failed Dependency", 426: "Upgrade Required",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 499: "Client Closed Request",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    529: "Overloaded",
}  # fmt: skip


class RequestHeadError(ProtocolError):
    """A request head that a server refuses; ``status`` is 400, 414, 431, 501 or 505.

    The connection must be closed after the answer: where the next request starts is unknown.
    """

    status: int

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, status=status)


class BodyTooLargeError(ProtocolError):
    """The body is, or says it will be, longer than the reader allows (a server answers 413)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"body: longer than {limit} bytes", status=413)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """``version`` is "1.0" or "1.1"; ``target`` is as sent, in any form of RFC 9112 3.2."""

    method: str
    target: str
    version: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class ResponseHead:
    status: int
    reason: str
    version: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Framing:
    """How a body ends: there is none, after ``length`` bytes, by chunks, or with the connection."""

    kind: Literal["none", "length", "chunked", "eof"]
    length: int = 0


_NO_BODY = Framing("none")
_CHUNKED = Framing("chunked")
_UNTIL_EOF = Framing("eof")


def find(headers: Headers, name: str) -> str | None:
    """Return the value of the first header of this name, in whatever case; None when absent."""
    name = name.lower()
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def find_all(headers: Headers, name: str) -> list[str]:
    """Return the values of all headers of this name, in wire order."""
    name = name.lower()
    return [value for key, value in headers if key.lower() == name]


def words(headers: Headers, name: str) -> list[str]:
    """Return the comma-separated words of all headers of this name, in lower case."""
    values = ",".join(find_all(headers, name)).lower()
    return [word for part in values.split(",") if (word := part.strip(" \t"))]


def head_end(buffer: bytes | bytearray, start: int = 0) -> int:
    """Return how many bytes the head at the start of ``buffer`` takes, or -1 when it is not whole.

    ``start`` is how many bytes an earlier call has searched. A head that ends with bare LFs is also
    found, so that its parser can refuse it at once instead of a deadline later.
    """
    start = max(0, start - 3)
    crlf = buffer.find(b"\n\r\n", start)
    lf = buffer.find(b"\n\n", start, crlf if crlf >= 0 else len(buffer))
    if lf >= 0:
        return lf + 2
    return crlf + 3 if crlf >= 0 else -1


def check_partial_request(buffer: bytes | bytearray) -> None:
    """Raise RequestHeadError (414 or 431) when a head that is not whole is already too long."""
    if len(buffer) > MAX_REQUEST_LINE and buffer.find(b"\n", 0, MAX_REQUEST_LINE + 2) < 0:
        raise RequestHeadError(414, f"request line: longer than {MAX_REQUEST_LINE} bytes")
    if len(buffer) > MAX_HEAD:
        raise RequestHeadError(431, f"request head: longer than {MAX_HEAD} bytes")


def parse_request_head(block: bytes | bytearray) -> RequestHead:
    """Parse a head up to and with its blank line; RequestHeadError says what to answer."""
    check_partial_request(block)
    # One empty line before a request is left over from old clients' bodies (RFC 9112 2.2).
    line, _, fields = block.decode("latin-1").removeprefix("\r\n").partition("\r\n")
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise RequestHeadError(400, "request line: expected METHOD, target and HTTP/1.1")
    method, target, major, minor = match.groups()
    if major != "1" or minor not in "01":
        raise RequestHeadError(505, f"HTTP/{major}.{minor}: only 1.0 and 1.1 are spoken here")
    if _FIELDS.fullmatch(fields) is None:
        raise RequestHeadError(400, f"request head: {_what_is_wrong(fields)}")
    headers = _split_fields(fields[:-4], "\r\n")
    if len(headers) > MAX_HEADERS:
        raise RequestHeadError(431, f"request head: more than {MAX_HEADERS} headers")
    _check_host(headers, minor)
    return RequestHead(method, target, f"1.{minor}", headers)


def _split_fields(fields: str, line_end: str) -> Headers:
    if not fields:
        return ()
    parts = [line.partition(":") for line in fields.split(line_end)]
    return tuple([(name, value.strip(" \t")) for name, _, value in parts])


def _what_is_wrong(fields: str) -> str:
    """Name the rule that the fields break. The values are not repeated: they may be keys."""
    for number, line in enumerate(fields.split("\r\n"), 1):
        name, colon, value = line.partition(":")
        where = f"header line {number}"
        if "\n" in line or "\r" in line:
            return f"{where}: a bare CR or LF"
        if line.startswith((" ", "\t")):
            return f"{where}: folded lines are not allowed"
        if line and not colon:
            return f"{where}: no colon"
        if name.endswith((" ", "\t")):
            return f"{where}: a blank before the colon"
        if line and _TOKEN.fullmatch(name) is None:
            return f"{where}: the name is not a token"
        if _VALUE.fullmatch(value) is None:
            return f"{where}: a control character in the value"
    return "no blank line at its end"


def _check_host(headers: Headers, minor: str) -> None:
    hosts = find_all(headers, "host")
    if len(hosts) > 1 or (minor == "1" and not hosts):
        raise RequestHeadError(400, f"request head: {len(hosts)} Host headers, expected one")
    if hosts and _HOST.fullmatch(hosts[0]) is None:
        raise RequestHeadError(400, "request head: Host is not a host name and port")


def parse_response_head(block: bytes | bytearray) -> ResponseHead:
    """Parse the head of an answer up to and with its blank line; ProtocolError when it is none."""
    if len(block) > MAX_HEAD:
        raise ProtocolError(f"response head: longer than {MAX_HEAD} bytes")
    line, _, fields = block.decode("latin-1").partition("\n")
    match = _STATUS_LINE.fullmatch(line.removesuffix("\r"))
    if match is None:
        raise ProtocolError("response head: does not start with an HTTP/1 status line")
    minor, status, reason = match.groups()
    headers = _parse_response_fields(fields)
    if len(headers) > MAX_RESPONSE_HEADERS:
        raise ProtocolError(f"response head: more than {MAX_RESPONSE_HEADERS} headers")
    version = "1.0" if minor == "0" else "1.1"
    return ResponseHead(int(status), reason or "", version, headers)


def _parse_response_fields(fields: str) -> Headers:
    if _FIELDS.fullmatch(fields):
        return _split_fields(fields[:-4], "\r\n")
    fields = _FOLD.sub(" ", fields.replace("\r\n", "\n"))
    if _LENIENT_FIELDS.fullmatch(fields) is None:
        wrong = _what_is_wrong(fields.replace("\n", "\r\n"))
        raise ProtocolError(f"response head: {wrong}")
    return tuple((name.rstrip(" \t"), value) for name, value in _split_fields(fields[:-2], "\n"))


def render_request_head(method: str, target: str, headers: Headers) -> bytes:
    """Return the head with its blank line. RequestError for what would change its meaning."""
    if _TOKEN.fullmatch(method) is None:
        raise RequestError("not an HTTP method", path="method")
    if _TARGET.fullmatch(target) is None:
        raise RequestError("holds a blank, a control or a non-ASCII character", path="target")
    return _render(f"{method} {target} HTTP/1.1", headers)


def render_response_head(status: int, headers: Headers, reason: str | None = None) -> bytes:
    """Return the head with its blank line; ``reason`` defaults to the status's usual phrase."""
    if not 100 <= status <= 999:
        raise RequestError("not a three-digit HTTP status", path="status")
    if reason is None:
        reason = REASONS.get(status, "")
    elif _VALUE.fullmatch(reason) is None:
        raise RequestError("holds a control character", path="reason")
    return _render(f"HTTP/1.1 {status} {reason}", headers)


def _render(first_line: str, headers: Headers) -> bytes:
    lines = [first_line]
    for name, value in headers:
        if _TOKEN.fullmatch(name) is None:
            raise RequestError("not a header name", path=f"headers[{name!r}]")
        if _VALUE.fullmatch(value) is None:
            # The value is not shown: a key read with its line end is the usual cause.
            problem = "the value holds a line end, a control or a non-latin-1 character"
            raise RequestError(problem, path=f"headers.{name}")
        lines.append(f"{name}: {value}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


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
        self._step: _Step = self._read_size
        self._decode: Callable[[bytes], bytes] = {
            "none": self._feed_rest,
            "length": self._feed_length,
            "chunked": self._feed_chunked,
            "eof": self._feed_all,
        }[framing.kind]
        if framing.kind == "length":
            self._admit(framing.length)
            self._left = framing.length

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes in ``data``; none when it holds only framing."""
        return self._feed_rest(data) if self.done else self._decode(data)

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

    def _feed_rest(self, data: bytes) -> bytes:
        self.rest += data
        return b""

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
            after = self._step(data, pos, out)
            if after < 0:
                break
            pos = after
        # A tail is part of one line, which is bounded, so that joining it stays linear.
        self._tail = b"" if self.done else data[pos:]
        if self.done:
            self.rest = data[pos:]
        return b"".join(out)

    def _read_size(self, data: bytes, pos: int, out: list[bytes]) -> int:
        end = self._line_end(data, pos, MAX_CHUNK_LINE)
        if end < 0:
            return -1
        match = _CHUNK_LINE.fullmatch(data, pos, end)
        if match is None:
            raise _bad_body("a chunk size that is not 1 to 16 hexadecimal digits")
        size = int(match[1], 16)
        if size == 0:
            self._step = self._read_trailer
            return end + 2
        self._admit(size)
        start = end + 2
        stop = start + size
        if data[stop : stop + 2] == b"\r\n":
            self.received += size
            out.append(data[start:stop])
            return stop + 2
        self._left = size
        self._step = self._read_data
        return start

    def _read_data(self, data: bytes, pos: int, out: list[bytes]) -> int:
        part = data[pos : pos + self._left]
        self._left -= len(part)
        self.received += len(part)
        out.append(part)
        if not self._left:
            self._step = self._read_data_end
        return pos + len(part)

    def _read_data_end(self, data: bytes, pos: int, _out: list[bytes]) -> int:
        end = data[pos : pos + 2]
        if end == b"\r\n":
            self._step = self._read_size
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
