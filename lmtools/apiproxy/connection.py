"""One client's connection: head, exchange, next head, until somebody ends it.

What a client can do wrong before its request is known is answered here, through the application's
own form of an error, and closes the connection: after a bad head nobody knows where the next one
starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from .. import http1
from ..errors import ApiError, CancelledError, DeadlineError
from ..http1 import Headers
from .client_socket import ClientSocket
from .inbound import Exchange, InboundRequest, Life, parse_inbound, render_head
from .limits import Limits
from .log import Log

__all__ = ["Connection", "Handler", "RenderFailure", "Site"]

#: Serves one exchange: it answers with ``respond``, or ``begin``, ``write`` and ``end``.
Handler = Callable[[Exchange], None]
#: (path or None, status, message) to the headers and body of an answer that says so.
RenderFailure = Callable[[str | None, int, str], tuple[Headers, bytes]]


@dataclass(frozen=True)
class Site:
    """What all connections of a server share."""

    handler: Handler
    render_failure: RenderFailure
    limits: Limits
    log: Log
    life: Life
    allows_host: Callable[[str | None], bool]


class Connection:
    """Runs in its own thread. ``refusing`` answers the first request 503, whatever it is.

    ``waiting`` and ``running`` tell the server that the connection is between requests and may be
    closed, or is not; they return False when it is to be closed.
    """

    def __init__(self, client: ClientSocket, site: Site, refusing: bool = False) -> None:
        self.client = client
        self.waiting_since: float | None = None
        self._site = site
        self._refusing = refusing
        self._buffer = b""
        self._fresh = True

    def run(
        self,
        waiting: Callable[[Connection], bool],
        running: Callable[[Connection], bool],
        left: Callable[[Connection], None],
    ) -> None:
        """Serve until the connection ends; ``left`` is called when its socket is closed."""
        try:
            while waiting(self) and self._serve_next(running):
                continue
        except CancelledError:
            self._site.log.debug("client left", client=self.client.address)
        except Exception as error:  # noqa: BLE001 - the top of a thread
            self._report("connection failed", error)
        finally:
            self.client.close()
            left(self)

    def _serve_next(self, running: Callable[[Connection], bool]) -> bool:
        """Serve one request; tell whether another may follow."""
        target: str | None = None
        try:
            block = self._read_head()
            if block is None or not running(self):
                return False
            head = http1.parse_request_head(block)
            target = head.target
            exchange = self._open_exchange(head)
        except http1.RequestHeadError as error:
            running(self)
            self._refuse_head(target, error.status or 400, error.message)
            return False
        self._fresh = False
        self._serve(exchange)
        self._buffer = exchange.rest
        if not exchange.keep and not exchange.client_left and not exchange.life.aborting:
            self._part(exchange)
        return exchange.keep

    def _part(self, exchange: Exchange) -> None:
        if not exchange.whole:
            self.client.linger(self._site.limits.linger_s)

    # Heads

    def _read_head(self) -> bytes | None:
        """Return the bytes of the next head; None when the client asks nothing more."""
        limits = self._site.limits
        buffer, searched = bytearray(self._buffer), 0
        patience = limits.head_s if self._fresh or buffer else limits.idle_s
        deadline = time.monotonic() + patience
        end = http1.head_end(buffer) if buffer else -1
        while end < 0:
            http1.check_partial_request(buffer)
            searched = len(buffer)
            try:
                data = self.client.receive(deadline)
            except DeadlineError:
                if not buffer:
                    return None
                message = f"request head: not whole within {limits.head_s:g} s"
                raise http1.RequestHeadError(408, message) from None
            if not data:
                return None
            if not buffer:
                deadline = time.monotonic() + limits.head_s
            buffer += data
            end = http1.head_end(buffer, searched)
        self._buffer = bytes(buffer[end:])
        return bytes(buffer[:end])

    def _open_exchange(self, head: http1.RequestHead) -> Exchange:
        site = self._site
        request = parse_inbound(head, self.client.address)
        self._check(request)
        return Exchange(request, head, self.client, self._buffer, site.limits, site.life)

    def _check(self, request: InboundRequest) -> None:
        if not self._site.allows_host(request.authority):
            # A name that an attacker's DNS points at this machine (DNS rebinding) brings its own
            # Host, and with it the reader's browser.
            message = "Host: this server answers to its own address and localhost only"
            raise http1.RequestHeadError(403, message)
        expected = http1.words(request.headers, "expect")
        if expected and expected != ["100-continue"]:
            raise http1.RequestHeadError(417, "Expect: only 100-continue is known")

    def _refuse_head(self, target: str | None, status: int, message: str) -> None:
        """Answer a request that is not served, and close. ``target`` is None if none is known."""
        client = self.client.address
        self._site.log.info("request refused", client=client, status=status, reason=message)
        headers, body = self._site.render_failure(target, status, message)
        framed = (*headers, ("Content-Length", str(len(body))))
        answer = render_head(status, framed, "1.1", keep=False) + body
        self.client.send(answer, self._site.limits.linger_s)
        self.client.linger(self._site.limits.linger_s)

    # Exchanges

    def _serve(self, exchange: Exchange) -> None:
        try:
            if self._refusing:
                self._fail(exchange, 503, "too many connections; try again")
            else:
                self._site.handler(exchange)
        except CancelledError:
            self._fail_if_closing(exchange)
        except ApiError as error:
            self._fail(exchange, error.status or 500, error.message)
        except Exception as error:  # noqa: BLE001 - whatever a handler does, the client gets an answer
            self._report("handler failed", error)
        if exchange.status is None and not exchange.client_left:
            self._fail(exchange, 500, "the server failed; its log says where")
        if not exchange.ended and not exchange.client_left:
            self._site.log.warning("answer cut", path=exchange.request.path)

    def _fail_if_closing(self, exchange: Exchange) -> None:
        """A cancelled handler owes nothing: its client left. Unless it is the server that ends."""
        if exchange.life.aborting and exchange.status is None and not exchange.client_left:
            self._fail(exchange, 503, "the server is closing")
        else:
            exchange.client_left = True

    def _fail(self, exchange: Exchange, status: int, message: str) -> None:
        if exchange.status is not None:
            return
        headers, body = self._site.render_failure(exchange.request.path, status, message)
        if status == 503 and http1.find(headers, "retry-after") is None:
            headers = (*headers, ("Retry-After", "1"))
        exchange.close_after()
        exchange.respond(status, headers, body)

    def _report(self, message: str, error: Exception) -> None:
        """Log the kind of an error and where it came from; its text could hold content."""
        where = _where(error.__traceback__)
        self._site.log.error(message, error=type(error).__name__, where=where)


def _where(trace: TracebackType | None) -> str:
    """Return ``file:line`` of the frame that raised."""
    if trace is None:
        return "unknown"
    while trace.tb_next is not None:
        trace = trace.tb_next
    path = trace.tb_frame.f_code.co_filename
    return f"{path.rpartition('/')[2]}:{trace.tb_lineno}"
