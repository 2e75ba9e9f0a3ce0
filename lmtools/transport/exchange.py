"""One request and its answer on one connection: writing, the head, and the body as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from ..errors import CancelledError, ProtocolError, TransportError, TruncatedError
from ..http1 import MAX_HEAD, BodyReader, ResponseHead, head_end, parse_response_head
from .connection import Connection, NoAnswerError, receive
from .waits import READ, Waiter

__all__ = ["Release", "Segments", "SocketBody", "UnreadableBody", "read_head", "write_all"]

#: A request's bytes in pieces.
Segments = Sequence[bytes | memoryview]

#: Called once with the connection and whether it may carry another exchange.
Release = Callable[[Connection, bool], None]

# One call encrypts or copies at most this much, so that a cancel is seen in between.
_SEND_SIZE = 256 * 1024

# Reads behind an end marker; a peer that goes on after them is left.
_LAST_READS = 4

#: Answers before the answer (100 Continue, 103 Early Hints). More are a peer that never ends.
_MAX_INTERIM = 32


def write_all(
    connection: Connection, segments: Segments, waiter: Waiter, deadline: float | None
) -> tuple[bool, bytes]:
    """Send the segments; returns whether all went out and what the peer said meanwhile.

    A peer that answers or closes before it has read everything (413, 401) is not sent the rest:
    its answer is what counts, and the connection carries no other exchange.
    """
    early = b""
    for segment in segments:
        view = memoryview(segment)
        while view:
            try:
                sent = connection.send(view[:_SEND_SIZE])
            except OSError:
                return False, early
            view = view[sent:]
            if sent:
                continue
            events = waiter.wait(connection.fd, connection.write_events | READ, deadline, "sending")
            if events & ~connection.write_events:
                said = _listen(connection)
                early += said or b""
                if said == b"" or not _is_interim(early):
                    return False, early
    return True, early


def _is_interim(early: bytes) -> bool:
    """Tell whether this may be the start of 100 Continue or 103, which do not end the request."""
    return early.startswith(b"HTTP/1.1 1"[: len(early)])


def _listen(connection: Connection) -> bytes | None:
    """Return what came while sending: TLS may have had news of its own (None), not an answer."""
    try:
        return connection.receive()
    except OSError:
        return b""


def read_head(
    connection: Connection, waiter: Waiter, deadline: float | None, early: bytes = b""
) -> tuple[ResponseHead, bytes]:
    """Return the final answer's head and the bytes after it; interim answers are passed over.

    NoAnswerError when the connection ended before a byte, TruncatedError inside the head,
    ProtocolError for what is not HTTP/1 or has no end.
    """
    buffer = bytearray(early)
    searched = interim = 0
    while True:
        end = head_end(buffer, searched)
        if end < 0:
            _check_start(buffer, waiter.peer)
            searched = len(buffer)
            buffer += _receive_head(connection, waiter, deadline, started=bool(buffer or interim))
            continue
        head = _parse_head(buffer[:end], waiter.peer)
        if head.status >= 200:
            return head, bytes(buffer[end:])
        interim += 1
        if head.status == 101 or interim > _MAX_INTERIM:
            raise ProtocolError(f"{waiter.peer}: {interim} interim answers, the last {head.status}")
        del buffer[:end]
        searched = 0


def _receive_head(
    connection: Connection, waiter: Waiter, deadline: float | None, *, started: bool
) -> bytes:
    try:
        data = receive(connection, waiter, deadline, "waiting for the answer")
    except TransportError:
        raise
    except OSError as error:
        data = b""
        reason = error.strerror or str(error)
    else:
        reason = "closed"
    if data:
        return data
    if started:
        raise TruncatedError(f"{waiter.peer}: the connection ended inside the head ({reason})")
    raise NoAnswerError(f"{waiter.peer}: the connection ended without an answer ({reason})")


def _parse_head(block: bytearray, peer: str) -> ResponseHead:
    try:
        return parse_response_head(block)
    except ProtocolError as error:
        raise ProtocolError(f"{peer}: {error.message}") from error


def _check_start(buffer: bytearray, peer: str) -> None:
    """Refuse at once what can never become a head, instead of at the deadline."""
    if len(buffer) > MAX_HEAD:
        raise ProtocolError(f"{peer}: response head: longer than {MAX_HEAD} bytes")
    if buffer[:2] == b"\x15\x03":
        raise ProtocolError(f"{peer}: the port speaks TLS. Is the address https:// instead?")
    if not buffer.startswith(b"HTTP/"[: len(buffer)]):
        raise ProtocolError(f"{peer}: the answer is not HTTP/1")


class SocketBody:
    """The body of an answer as it comes from a connection. ``ready`` came with the head.

    The connection is released exactly once: as soon as the last byte has come (whether or not it
    has been asked for), or when reading fails, or at ``close``.
    """

    def __init__(
        self,
        connection: Connection,
        reader: BodyReader,
        waiter: Waiter,
        idle: float | None,
        release: Release,
        *,
        reusable: bool,
        ready: bytes,
    ) -> None:
        self._connection: Connection | None = connection
        self._reader = reader
        self._waiter = waiter
        self._idle = idle
        self._release = release
        self._reusable = reusable
        self._lock = threading.Lock()
        self._busy = False
        self._closed = False
        self._ready = ready
        if reader.done:
            self._let_go()

    @property
    def buffered(self) -> bool:
        connection = self._connection
        return bool(self._ready) or connection is None or connection.pending

    def read_some(self) -> bytes:
        ready, self._ready = self._ready, b""
        while not ready and not self._reader.done:
            ready = self._read()
        return ready

    def finish(self, seconds: float) -> None:
        """See ``HttpResponse.finish``."""
        self._idle = seconds
        with suppress(TransportError):
            for _ in range(_LAST_READS):
                if not self.read_some():
                    break
        self.close()

    def close(self) -> None:
        """Give the connection up; a read that waits in another thread raises CancelledError."""
        with self._lock:
            self._closed = True
            connection = self._connection
            if connection is None:
                return
            if self._busy:
                connection.abort()
                return
            self._connection = None
        self._release(connection, False)

    def __del__(self) -> None:
        self.close()

    def _read(self) -> bytes:
        connection = self._begin()
        try:
            deadline = self._waiter.deadline(self._idle)
            data = receive(connection, self._waiter, deadline, "waiting for more of the answer")
            out = self._decode(data)
            self._pause()
        except BaseException as error:
            clearer = self._fail(error)
            if clearer is None:
                raise
            try:
                raise clearer from error
            finally:
                del clearer  # Its traceback holds this frame.
        if self._reader.done:
            self._let_go()
        return out

    def _pause(self) -> None:
        with self._lock:
            if self._closed:
                # What looked like the end of input may be the abort of whoever closed.
                raise CancelledError("the answer was closed")
            self._busy = False

    def _begin(self) -> Connection:
        with self._lock:
            if self._connection is None:
                raise CancelledError(f"{self._waiter.peer}: the answer was closed")
            self._busy = True
            return self._connection

    def _decode(self, data: bytes) -> bytes:
        if data:
            return self._reader.feed(data)
        self._reader.eof()
        return b""

    def _fail(self, error: BaseException) -> TransportError | None:
        """Release the connection; return what says more to the caller than ``error``, if any."""
        with self._lock:
            closed = self._closed
        self._reusable = False
        self._let_go()
        peer = self._waiter.peer
        if closed:
            return CancelledError(f"{peer}: the answer was closed")
        match error:
            case TruncatedError():
                return TruncatedError(f"{peer}: {error.message}")
            case ProtocolError():
                # Without its status, which is for the server's role.
                return ProtocolError(f"{peer}: {error.message}")
            case OSError() if not isinstance(error, TransportError):
                size, reason = self._reader.received, error.strerror or str(error)
                return TruncatedError(
                    f"{peer}: the connection broke after {size} bytes of the answer ({reason})"
                )
        return None

    def _let_go(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            whole = self._reader.done and not self._reader.rest
            by_itself = self._reader.framing.kind != "eof"
            self._release(connection, self._reusable and whole and by_itself)


class UnreadableBody:
    """The body of an answer whose head says that it cannot be read: every read raises."""

    buffered = True

    def __init__(self, error: ProtocolError) -> None:
        self._error = error

    def read_some(self) -> bytes:
        raise self._error

    def finish(self, _seconds: float) -> None:
        self.close()

    def close(self) -> None:
        """There is nothing to give up: the connection was closed with the head."""
