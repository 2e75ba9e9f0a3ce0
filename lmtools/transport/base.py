"""What a transport takes, what it gives, and what lets its waits serve someone else too.

A transport sends one request and returns one answer; it knows bytes and headers, nothing of any
dialect. ``HttpTransport`` does it over sockets, ``MockTransport`` over a function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..closing import Closing
from ..errors import ProtocolError
from ..http1 import Headers, find
from .address import shown_url

__all__ = [
    "MAX_BODY",
    "BodySource",
    "HttpRequest",
    "HttpResponse",
    "Timeouts",
    "Transport",
    "Watch",
]

#: Bytes of an answer, after inflating. Images come inline, so it is far above any text.
MAX_BODY = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds; None is no deadline. There is no deadline on a whole answer: a stream may be long.

    ``connect`` covers the queue, the name, the connection, a proxy's tunnel and TLS; ``first_byte``
    sending the request and the whole head of the answer; ``idle`` the silence inside the body.
    """

    connect: float | None = 10.0
    first_byte: float | None = 600.0
    idle: float | None = 300.0


@dataclass(frozen=True, slots=True, repr=False)
class HttpRequest:
    """One request. ``url`` is http or https without credentials; headers go out as they are.

    Added when absent: Host, User-Agent, Accept, Accept-Encoding (identity), Content-Length.
    ``max_body`` bounds the answer's body in bytes, inflated.
    """

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""
    timeouts: Timeouts = Timeouts()
    max_body: int = MAX_BODY

    def header(self, name: str) -> str | None:
        """Return the first header of this name, in whatever case."""
        return find(self.headers, name)

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return (
            f"<HttpRequest {self.method} {shown_url(self.url)}"
            f" headers: {names or 'none'}; body: {len(self.body)} bytes>"
        )


class BodySource(Protocol):
    """Where the bytes of an answer's body come from; its own framing is already taken off."""

    def read_some(self) -> bytes: ...
    def finish(self, seconds: float, /) -> None: ...
    def close(self) -> None: ...

    @property
    def buffered(self) -> bool: ...


class HttpResponse(Closing):
    """An answer whose head has come. Its body is read once, by one thread at a time.

    ``headers`` are as on the wire: Content-Encoding and Content-Length speak of the bytes before
    inflating. ``close`` may be called from any thread: a waiting read raises CancelledError.
    """

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: BodySource,
        *,
        reason: str = "",
        request_url: str = "",
        max_body: int = MAX_BODY,
    ) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.request_url = request_url
        self._body = body
        self._max_body = max_body
        self._ahead = b""

    def header(self, name: str) -> str | None:
        """Return the first header of this name, in whatever case."""
        return find(self.headers, name)

    def read(self, limit: int | None = None) -> bytes:
        """Return what is left of the body; ProtocolError when it is longer than ``limit`` bytes."""
        bound = self._max_body if limit is None else limit
        parts: list[bytes] = []
        size = 0
        while part := self.read_some():
            size += len(part)
            if size > bound:
                self.close()
                raise ProtocolError(f"{shown_url(self.request_url)}: body over {bound} bytes")
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read_some(self) -> bytes:
        """Return what one wait and read brought, b"" at the end of the body.

        TruncatedError when the body was cut, DeadlineError after ``idle`` seconds of silence,
        CancelledError when it was closed.
        """
        ahead, self._ahead = self._ahead, b""
        return ahead or self._body.read_some()

    def peek(self) -> bytes:
        """Return what the next ``read_some`` will return; it waits and raises like that."""
        self._ahead = self._ahead or self._body.read_some()
        return self._ahead

    @property
    def buffered(self) -> bool:
        """True when the next ``read_some`` returns without waiting."""
        return bool(self._ahead) or self._body.buffered

    def finish(self, seconds: float) -> None:
        """Take the end of a body whose content is known to be complete, then close.

        A stream's end marker may come before the end of its framing. A connection whose body
        ends within ``seconds`` can carry another exchange; any other is given up.
        """
        self._body.finish(seconds)

    def close(self) -> None:
        """Give the connection up. A body that was read to its end has done so already."""
        self._body.close()

    def __repr__(self) -> str:
        return f"<HttpResponse {self.status} {shown_url(self.request_url)}>"


class Watch(Protocol):
    """Lets one wait serve two: a proxy's handler waits for the provider and for its own client."""

    def fileno(self) -> int:
        """Return the descriptor to watch for reading, or -1 for none. Asked before each wait."""

    def readable(self) -> None:
        """``fileno()`` became readable. Raises CancelledError when the client has left.

        It has to take the input away or to give -1 from then on, or the wait will not rest.
        """

    def tick(self, now: float) -> float | None:
        """Called before each wait; returns in how many seconds to be called again, None for never.

        ``now`` is monotonic. May do work (send a ping) and may raise CancelledError.
        """


class Transport(Protocol):
    """The seam between the library and the network."""

    def send(self, request: HttpRequest, watch: Watch | None = None) -> HttpResponse:
        """Return the answer when its head has come, whatever its status; redirects are answers.

        Raises TransportError and its kinds, RequestError for a request that cannot be sent.
        """

    def close(self) -> None:
        """Close idle connections and cancel the exchanges under way."""


#: Monotonic seconds.
Clock = Callable[[], float]
