"""Heads: bytes to values and back, for both roles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ..errors import ProtocolError, RequestError

__all__ = [
    "FIELD", "MAX_HEAD", "MAX_HEADERS", "MAX_REQUEST_LINE", "MAX_RESPONSE_HEADERS", "REASONS",
    "Headers", "RequestHead", "RequestHeadError", "ResponseHead", "check_partial_request", "find",
    "find_all", "head_end", "merge", "parse_request_head", "parse_response_head",
    "render_request_head", "render_response_head", "words",
]  # fmt: skip

#: Names and values in wire order and in wire case.
Headers = tuple[tuple[str, str], ...]

MAX_HEAD = 64 * 1024
MAX_REQUEST_LINE = 8 * 1024
MAX_HEADERS = 100
#: Answers carry more: rate limits, cookies and a CDN's own.
MAX_RESPONSE_HEADERS = 256

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
#: One header or trailer line without its line end. Shared with the trailers of a chunked body.
FIELD = re.compile(rf"[{_TOKEN_CHARS}]++:[{_VALUE_CHARS}]*+")

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


class _ParsedHeaders(tuple[tuple[str, str], ...]):  # noqa: SLOT001 - a tuple takes no slots
    """Headers of a parsed head, and the first value of each name, in lower case, at hand.

    An exchange asks more than a dozen questions of them, each a walk over all without this.
    """

    first: dict[str, str]

    def __new__(cls, pairs: list[tuple[str, str]]) -> Self:
        self = super().__new__(cls, pairs)
        self.first = {name.lower(): value for name, value in reversed(pairs)}
        return self


def find(headers: Headers, name: str) -> str | None:
    """Return the value of the first header of this name, in whatever case; None when absent."""
    if headers.__class__ is _ParsedHeaders:
        return headers.first.get(name.lower())
    name, size = name.lower(), len(name)
    for key, value in headers:
        if len(key) == size and key.lower() == name:
            return value
    return None


def find_all(headers: Headers, name: str) -> list[str]:
    """Return the values of all headers of this name, in wire order."""
    name, size = name.lower(), len(name)
    if headers.__class__ is _ParsedHeaders:
        if name not in headers.first:
            return []
        if len(headers.first) == len(headers):
            return [headers.first[name]]
    return [value for key, value in headers if len(key) == size and key.lower() == name]


def merge(*groups: Headers) -> Headers:
    """Return all headers, a later one replacing an earlier one of the same name."""
    found: dict[str, tuple[str, str]] = {}
    for group in groups:
        for name, value in group:
            found[name.lower()] = (name, value)
    return tuple(found.values())


def words(headers: Headers, name: str) -> list[str]:
    """Return the comma-separated words of all headers of this name, in lower case."""
    found = find_all(headers, name)
    if not found:
        return found
    return [word for part in ",".join(found).lower().split(",") if (word := part.strip(" \t"))]


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
    """Raise RequestHeadError (400, 414 or 431) when a head that is not whole can become none."""
    if buffer[:1] == b"\x16":
        # A handshake has no line end to wait for, and its client waits for us.
        raise RequestHeadError(400, "request line: TLS; this port speaks http://, not https://")
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
    headers = _split_fields(fields, "\r\n")
    if len(headers) > MAX_HEADERS:
        raise RequestHeadError(431, f"request head: more than {MAX_HEADERS} headers")
    _check_host(headers, minor)
    return RequestHead(method, target, f"1.{minor}", headers)


def _split_fields(fields: str, line_end: str) -> Headers:
    """Return the headers of a block that was checked, up to and with its blank line."""
    lines = fields.split(line_end)[:-2]
    parts = [line.partition(":") for line in lines]
    return _ParsedHeaders([(name, value.strip(" \t")) for name, _, value in parts])


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
        return _split_fields(fields, "\r\n")
    fields = _FOLD.sub(" ", fields.replace("\r\n", "\n"))
    if _LENIENT_FIELDS.fullmatch(fields) is None:
        wrong = _what_is_wrong(fields.replace("\n", "\r\n"))
        raise ProtocolError(f"response head: {wrong}")
    pairs = _split_fields(fields, "\n")
    return _ParsedHeaders([(name.rstrip(" \t"), value) for name, value in pairs])


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
    fields = "".join([f"{name}: {value}\r\n" for name, value in headers]) + "\r\n"
    # The whole block is checked at once. Two headers out of one, by a line end in a value or a
    # colon in a name, would pass for two: hence the count and the names.
    is_sound = _FIELDS.fullmatch(fields) and fields.count("\n") == len(headers) + 1
    if not is_sound or any(":" in name for name, _ in headers):
        raise _bad_field(next(name for name, value in headers if not _is_field(name, value)))
    return f"{first_line}\r\n{fields}".encode("latin-1")


def _is_field(name: str, value: str) -> bool:
    return _TOKEN.fullmatch(name) is not None and _VALUE.fullmatch(value) is not None


def _bad_field(name: str) -> RequestError:
    """Say what is wrong without the value: a key read with its line end is the usual cause."""
    if _TOKEN.fullmatch(name) is None:
        return RequestError("not a header name", path=f"headers[{name!r}]")
    problem = "the value holds a line end, a control or a non-latin-1 character"
    return RequestError(problem, path=f"headers.{name}")
