"""One request being served: its head as values, its body on demand, its answer whole or in pieces.

Nothing here knows a dialect. The body is read when it is asked for, so that a request refused by
its head (unknown path, wrong key) costs no upload, and ``Expect: 100-continue`` means something.

An answer of known size is one send. One of unknown size is chunked for HTTP/1.1 and ends with the
connection for HTTP/1.0; each ``write`` is one send, the first together with the head.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from .. import http1
from ..errors import (
    ApiError,
    ApiTimeoutError,
    CancelledError,
    DeadlineError,
    InvalidRequestError,
    ProtocolError,
    TooLargeError,
)
from ..http1 import Headers
from .client_socket import ClientSocket
from .limits import Limits

__all__ = ["EVENT_STREAM", "ClientWatch", "Exchange", "InboundRequest", "Life", "parse_inbound"]

#: Headers of an event stream. ``X-Accel-Buffering`` keeps nginx from collecting it.
EVENT_STREAM: Headers = (
    ("Content-Type", "text/event-stream"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
)

_FRAMING_NAMES = frozenset({"content-length", "transfer-encoding", "connection", "date"})
_NO_BODY_STATUSES = frozenset({204, 304})
_MAX_QUERY_FIELDS = 100
# Joining head and body saves a system call and a segment; copying megabytes for that does not pay.
_ONE_SEND = 256 * 1024
# Each member of a gzip body costs a copy of what follows it.
_MAX_GZIP_MEMBERS = 16
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A request's head. ``path`` is decoded; of a repeated query field the last one counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers = field(repr=False)
    version: str = "1.1"
    client: str = ""
    authority: str | None = None

    def header(self, name: str) -> str | None:
        return http1.find(self.headers, name)


@dataclass(slots=True)
class Life:
    """What all connections must know of their server: it takes no more, it ends what runs."""

    draining: bool = False
    aborting: bool = False


def parse_inbound(head: http1.RequestHead, client: str = "") -> InboundRequest:
    """Return the request of a head. Raises RequestHeadError for a target that names no path."""
    target, authority = head.target, http1.find(head.headers, "host")
    if not target.startswith("/"):
        target, authority = _split_absolute(head)
    path, _, query = target.partition("?")
    if "%" in path:
        path = unquote(path)
    fields = _parse_query(query) if query else {}
    return InboundRequest(head.method, path, fields, head.headers, head.version, client, authority)


def _split_absolute(head: http1.RequestHead) -> tuple[str, str | None]:
    """Return path and authority of ``http://host/path``, which overrules Host (RFC 9112 3.2.2)."""
    if head.target == "*" and head.method == "OPTIONS":
        return "*", http1.find(head.headers, "host")
    scheme, _, rest = head.target.partition("://")
    if scheme.lower() not in ("http", "https") or not rest:
        raise http1.RequestHeadError(400, "request line: the target is neither a path nor a URL")
    authority, slash, path = rest.partition("/")
    return slash + path or "/", authority


def _parse_query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:
        raise http1.RequestHeadError(
            400, f"request line: more than {_MAX_QUERY_FIELDS} query fields"
        ) from None
    return dict(pairs)


class Exchange:
    """A request and the answer to it. Used by one thread.

    ``status`` is None until an answer was begun; ``bytes_in`` and ``bytes_out`` count the body as
    it was sent and the answer with its head. ``client_left`` and ``life.aborting`` say why an
    exchange ended early.
    """

    def __init__(
        self,
        request: InboundRequest,
        head: http1.RequestHead,
        client: ClientSocket,
        buffered: bytes,
        limits: Limits,
        life: Life,
    ) -> None:
        self.request = request
        self.life = life
        self.status: int | None = None
        self.client_left = False
        self.bytes_out = 0
        self.last_write = 0.0
        self.started = time.monotonic()
        self._client = client
        self._limits = limits
        self._keep = http1.keep_alive(head)
        self._buffered = buffered
        self._framing = http1.request_framing(head)
        self._reader: http1.BodyReader | None = None
        self._body: bytes | None = None
        self._head = b""
        self._chunked = False
        self._silent = False  # the answer may have no body: HEAD, 204, 304
        self._ended = False

    @property
    def bytes_in(self) -> int:
        return self._reader.received if self._reader else 0

    @property
    def rest(self) -> bytes:
        """What came after the body: the beginning of the next request."""
        return self._reader.rest if self._reader else self._buffered

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def whole(self) -> bool:
        """The request was read to its end and answered to its end."""
        return self._ended and self._reader is not None and self._reader.done

    @property
    def keep(self) -> bool:
        """The connection may carry another request."""
        return self._keep and self.whole and not self.client_left

    # The body

    def read_body(self) -> bytes:
        """Return the whole body, inflated; the same bytes at each call.

        Raises an ApiError with the status to answer: 413 too large, 415 a coding other than gzip or
        deflate, 408 too slow, 400 broken. CancelledError when the client left. ValueError once an
        answer was begun without it.
        """
        if self._body is None and self.status is not None:
            raise ValueError("read_body: the exchange is answered; its body was thrown away")
        if self._body is None:
            try:
                coding = self._coding()
                data = b"".join(self._receive_body())
                self._body = self._inflate(data, coding) if coding else data
            except (ApiError, CancelledError):
                self._keep = False
                raise
        return self._body

    def _receive_body(self) -> list[bytes]:
        try:
            reader = self._open_reader()
            parts = [reader.feed(self._take_buffered())]
            if not reader.done:
                self._invite(reader)
                self._receive_rest(reader, parts)
        except http1.BodyTooLargeError as error:
            raise self._too_large() from error
        except ProtocolError as error:
            raise InvalidRequestError(f"request {error}", status=400) from error
        return parts

    def _open_reader(self) -> http1.BodyReader:
        if self._reader is None:
            self._reader = http1.BodyReader(self._framing, self._limits.max_body)
        return self._reader

    def _take_buffered(self) -> bytes:
        buffered, self._buffered = self._buffered, b""
        return buffered

    def _invite(self, reader: http1.BodyReader) -> None:
        """Answer ``Expect: 100-continue``, unless the body is on its way already."""
        expected = self.request.version == "1.1" and self.request.header("expect") is not None
        if expected and not reader.received:
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _receive_rest(self, reader: http1.BodyReader, parts: list[bytes]) -> None:
        limits, started = self._limits, time.monotonic()
        while not reader.done:
            patience = started + limits.body_s + reader.received / limits.body_min_rate
            deadline = min(patience, time.monotonic() + limits.body_s)
            try:
                data = self._client.receive(deadline)
            except DeadlineError as error:
                raise ApiTimeoutError("request body: it comes too slowly", status=408) from error
            except CancelledError:
                self.client_left = True
                raise
            if not data:
                # A server that ends what runs wakes its readers the same way.
                self.client_left = not self.life.aborting
                raise CancelledError("the client left in the middle of its body")
            parts.append(reader.feed(data))

    def _coding(self) -> str:
        """Return the body's content coding, empty for none. Raises 415."""
        codings = http1.words(self.request.headers, "content-encoding")
        codings = [coding for coding in codings if coding != "identity"]
        if not codings:
            return ""
        if len(codings) == 1 and codings[0] in ("gzip", "x-gzip", "deflate"):
            return codings[0]
        message = "Content-Encoding: send the body as it is, or gzip or deflate it once"
        raise InvalidRequestError(message, status=415)

    def _inflate(self, data: bytes, coding: str) -> bytes:
        try:
            return _inflate(data, 31 if "gzip" in coding else 15, self._limits.max_body)
        except OverflowError:
            raise self._too_large() from None
        except zlib.error:
            message = f"request body: it is not {coding} data to its end"
            raise InvalidRequestError(message, status=400) from None

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"request body: larger than {self._limits.max_body} bytes", status=413)

    # The answer

    def respond(self, status: int, headers: Headers, body: bytes = b"") -> None:
        """Send a whole answer. ValueError when one was begun already, or for a framing header."""
        self._open(status)
        length: Headers = (("Content-Length", str(len(body))),)
        head = self._render_head(status, headers, () if status in _NO_BODY_STATUSES else length)
        self._ended = True
        if self._silent:
            self._send(head)
        elif len(body) > _ONE_SEND:
            self._send(head)
            self._send(body)
        else:
            self._send(head + body)

    def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer of unknown size; its head goes out with the first piece."""
        self._open(status)
        self._chunked = self.request.version == "1.1"
        if self._silent:
            framing: Headers = ()
        elif self._chunked:
            framing = (("Transfer-Encoding", "chunked"),)
        else:
            framing, self._keep = (), False
        self._head = self._render_head(status, headers, framing)

    def begin_events(self, headers: Headers = ()) -> None:
        """Begin an event stream."""
        self.begin(200, EVENT_STREAM + headers)

    def write(self, data: bytes) -> None:
        """Send one piece of a begun answer; b"" sends the head if that has not gone out yet."""
        if self.status is None or self._ended:
            raise ValueError("write: no answer is open; call begin first")
        self._send(self._frame(data))

    def end(self, data: bytes = b"") -> None:
        """End a begun answer, with a last piece in the same send."""
        if self.status is None or self._ended:
            raise ValueError("end: no answer is open; call begin first")
        last = http1.LAST_CHUNK if self._chunked and not self._silent else b""
        self._send(self._frame(data) + last)
        self._ended = True

    def close_after(self) -> None:
        """Make this the connection's last exchange. Call it before the answer begins."""
        self._keep = False

    def watch(
        self, on_silence: Callable[[], None] | None = None, interval: float = 15.0
    ) -> ClientWatch:
        """Return what a wait elsewhere needs to notice that this client left, or to ping it."""
        return ClientWatch(self, self._client, on_silence, interval)

    def _open(self, status: int) -> None:
        if self.status is not None:
            raise ValueError(f"the exchange is answered already, with status {self.status}")
        self._settle_body()
        if self.life.draining:
            self._keep = False
        self._silent = self.request.method == "HEAD" or status in _NO_BODY_STATUSES

    def _settle_body(self) -> None:
        """Take an unread body that has come whole already; any other closes the connection."""
        if self._reader is None or not self._reader.done:
            try:
                self._open_reader().feed(self._take_buffered())
            except ProtocolError:
                self._keep = False
            self._keep = self._keep and self._reader is not None and self._reader.done

    def _render_head(self, status: int, headers: Headers, framing: Headers) -> bytes:
        for name, _ in headers:
            if name.lower() in _FRAMING_NAMES:
                raise ValueError(f"header {name}: it is the server's to send")
        head = render_head(status, headers + framing, self.request.version, self._keep)
        # Only now: headers that cannot be sent leave the exchange unanswered, and free for a 500.
        self.status = status
        return head

    def _frame(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        if self._silent:
            return head
        return head + (http1.encode_chunk(data) if self._chunked else data)

    def _send(self, data: bytes) -> None:
        if self.client_left:
            raise CancelledError("the client has left")
        if not data:
            return
        try:
            self._client.send(data, self._limits.write_s)
        except CancelledError:
            self.client_left = True
            raise
        self.bytes_out += len(data)
        self.last_write = time.monotonic()


class ClientWatch:
    """Lets a wait for somebody else notice this client (``transport.Watch``).

    It speaks as long as the client is silent: a client that sends more while it waits (pipelining)
    cannot be watched any further without reading it.
    """

    def __init__(
        self,
        exchange: Exchange,
        client: ClientSocket,
        on_silence: Callable[[], None] | None,
        interval: float,
    ) -> None:
        self._exchange = exchange
        self._client = client
        self._on_silence = on_silence
        self._interval = interval
        self._since = time.monotonic()
        self._watching = True

    def fileno(self) -> int:
        return self._client.fileno() if self._watching else -1

    def readable(self) -> None:
        """Raise CancelledError if the client left or the server ends what runs."""
        self._check_life()
        waiting = self._client.peek()
        if waiting:
            self._watching = False
        elif waiting is not None:
            self._exchange.client_left = True
            raise CancelledError("the client has left")

    def tick(self, now: float) -> float | None:
        """Ping if a ping is due; return the seconds until the next one, None for never."""
        self._check_life()
        if self._on_silence is None:
            return None
        due = max(self._since, self._exchange.last_write) + self._interval
        if now < due:
            return due - now
        self._since = now
        self._on_silence()
        return self._interval

    def _check_life(self) -> None:
        if self._exchange.life.aborting:
            raise CancelledError("the server is closing")


def render_head(status: int, headers: Headers, version: str, keep: bool) -> bytes:
    """Return an answer's head, with its date and what becomes of the connection."""
    dated = (*headers, ("Date", _http_date(int(time.time()))))
    if not keep:
        dated += (("Connection", "close"),)
    elif version == "1.0":
        dated += (("Connection", "keep-alive"),)
    return http1.render_response_head(status, dated)


_last_date = (0, "")


def _http_date(now: int) -> str:
    """Return the time in the form of RFC 9110 5.6.7, made once a second."""
    global _last_date  # noqa: PLW0603 - a pair that is replaced whole needs no lock
    second, text = _last_date
    if second != now:
        year, month, day, hour, minute, seconds, weekday, *_ = time.gmtime(now)
        clock = f"{hour:02}:{minute:02}:{seconds:02}"
        text = f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year} {clock} GMT"
        _last_date = (now, text)
    return text


def _inflate(data: bytes, window: int, limit: int) -> bytes:
    """Return data inflated; OverflowError beyond ``limit``, zlib.error when it is broken.

    gzip may be several members in a row (RFC 1952 2.2).
    """
    parts: list[bytes] = []
    left = limit
    while data or not parts:
        inflater = zlib.decompressobj(window)
        part = inflater.decompress(data, left + 1)
        if len(part) > left:
            raise OverflowError
        if not inflater.eof or len(parts) == _MAX_GZIP_MEMBERS:
            raise zlib.error("incomplete, or too many members")
        left -= len(part)
        parts.append(part)
        data = inflater.unused_data
    return b"".join(parts)
