"""HTTP/1.1 over sockets: pooled connections, deadlines, TLS, proxies.

::

    send ── take a slot ── pooled connection ──┬── write, read the head ── HttpResponse
                       └── look up, connect, ──┘        │
                           tunnel, TLS                  └─ body read to its end: back to the pool
                                                           anything else: closed

A request is sent a second time in one case only: on a connection that had lain idle in the pool
and ended before any byte of the answer came, as it does when the server closed it meanwhile.
Redirects are not followed, and credentials go to the URL's own origin alone.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from ..closing import Closing
from ..errors import CancelledError, ProtocolError, RequestError
from ..http1 import (
    BodyReader,
    Headers,
    ResponseHead,
    find_all,
    keep_alive,
    render_request_head,
    response_framing,
    words,
)
from .address import Origin, split_url
from .base import BodySource, Clock, HttpRequest, HttpResponse, Watch
from .connection import Connection, NoAnswerError
from .dial import Lookup, open_socket, open_tunnel
from .exchange import Release, Segments, SocketBody, UnreadableBody, read_head, write_all
from .inflate import InflatedBody, content_coding
from .pool import Pool, Route, Slots
from .proxies import Proxies, from_environment
from .waits import Waiter, Wake

if TYPE_CHECKING:
    import ssl

__all__ = ["USER_AGENT", "HttpTransport"]

USER_AGENT = "lmtools"

_DEFAULTED = frozenset(("host", "user-agent", "accept", "accept-encoding", "content-length"))

# Origins remembered. Programs use a few; this bounds the one that makes URLs up.
_MAX_ROUTES = 1024

# Sent with the head in one segment; the rest of a long body follows without being copied.
_FIRST_BODY_BYTES = 64 * 1024


class HttpTransport(Closing):
    """A ``Transport`` over sockets. Safe to share between threads.

    ``ca_file`` adds a PEM file to the trusted authorities (SSL_CERT_FILE replaces them);
    ``ssl_context`` replaces TLS settings altogether. ``proxies`` defaults to the environment's, as
    it is now; ``lookup`` stands in for ``socket.getaddrinfo``. ``max_connections`` bounds the
    exchanges under way, ``max_idle`` the pool, and ``idle_expiry`` the seconds a connection may lie
    in it.
    """

    def __init__(
        self,
        *,
        ca_file: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        proxies: Proxies | None = None,
        max_connections: int = 1024,
        max_idle: int = 256,
        idle_expiry: float = 60.0,
        user_agent: str = USER_AGENT,
        clock: Clock = time.monotonic,
        lookup: Lookup | None = None,
    ) -> None:
        self._ca_file = ca_file
        self._context = ssl_context
        self._context_lock = threading.Lock()
        self._proxies = from_environment(os.environ) if proxies is None else proxies
        self._routes: dict[Origin, Route] = {}
        self._slots = Slots(max_connections)
        self._pool = Pool(max_idle, idle_expiry, clock)
        self._user_agent = user_agent
        self._clock = clock
        self._lookup = lookup or socket.getaddrinfo
        self._wake = Wake()
        self._closed = False

    @property
    def active(self) -> int:
        """How many exchanges are under way: answers neither read to their end nor closed."""
        return len(self._slots)

    @property
    def idle(self) -> int:
        """How many connections wait in the pool."""
        return len(self._pool)

    def send(self, request: HttpRequest, watch: Watch | None = None) -> HttpResponse:
        """See ``Transport.send``."""
        route, target = self._route(request.url)
        if self._closed:
            raise CancelledError(f"{route.name}: the transport is closed")
        segments = self._render(request, route, target)
        waiter = Waiter(self._wake, watch, route.name, self._clock)
        connect_by = waiter.deadline(request.timeouts.connect)
        self._slots.enter(waiter, connect_by)
        try:
            return self._send(request, route, segments, waiter, connect_by)
        except BaseException:
            self._slots.leave()
            raise

    def close(self) -> None:
        """Close idle connections; every wait under way raises CancelledError."""
        self._closed = True
        self._wake.set()
        self._pool.close()

    def _route(self, url: str) -> tuple[Route, str]:
        origin, target = split_url(url)
        route = self._routes.get(origin)
        if route is None:
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            route = Route(origin, self._proxies.find(origin), str(origin), origin.authority)
            # Two threads may both come here first: the route that stands is the one to use.
            route = self._routes.setdefault(origin, route)
        return route, target

    def _send(
        self,
        request: HttpRequest,
        route: Route,
        segments: Segments,
        waiter: Waiter,
        connect_by: float | None,
    ) -> HttpResponse:
        pooled = self._pool.take(route)
        if pooled is None:
            fresh = self._connect(route, waiter, connect_by)
            answer_by = waiter.deadline(request.timeouts.first_byte)
            return self._exchange(fresh, request, route, segments, waiter, answer_by)
        answer_by = waiter.deadline(request.timeouts.first_byte)
        with suppress(NoAnswerError):
            return self._exchange(pooled, request, route, segments, waiter, answer_by)
        fresh = self._connect(route, waiter, waiter.deadline(request.timeouts.connect))
        return self._exchange(fresh, request, route, segments, waiter, answer_by)

    def _connect(self, route: Route, waiter: Waiter, deadline: float | None) -> Connection:
        origin, proxy = route.origin, route.proxy
        host, port = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        connected = open_socket(host, port, self._lookup, waiter, deadline)
        connection = Connection(connected)
        if origin.scheme == "http":
            return connection
        try:
            if proxy:
                open_tunnel(connection, proxy, origin, self._user_agent, waiter, deadline)
            return self._start_tls(connected, origin.host, waiter, deadline)
        except BaseException:
            connection.close()
            raise

    def _start_tls(
        self, connected: socket.socket, host: str, waiter: Waiter, deadline: float | None
    ) -> Connection:
        # Imported here: ssl costs 10 ms and 3 MB that a plain local server never needs.
        from . import tls

        with self._context_lock:
            if self._context is None:
                self._context = tls.make_context(self._ca_file)
        return tls.start_tls(connected, host, self._context, waiter, deadline)

    def _exchange(
        self,
        connection: Connection,
        request: HttpRequest,
        route: Route,
        segments: Segments,
        waiter: Waiter,
        deadline: float | None,
    ) -> HttpResponse:
        try:
            sent, early = write_all(connection, segments, waiter, deadline)
            head, rest = read_head(connection, waiter, deadline, early)
            reusable = sent and keep_alive(head) and _keeps_alive(request.headers)
            source = self._body(connection, head, rest, request, route, waiter, reusable)
        except BaseException:
            connection.close()
            raise
        return HttpResponse(
            head.status,
            head.headers,
            source,
            reason=head.reason,
            request_url=request.url,
            max_body=request.max_body,
        )

    def _body(
        self,
        connection: Connection,
        head: ResponseHead,
        rest: bytes,
        request: HttpRequest,
        route: Route,
        waiter: Waiter,
        is_reusable: bool,
    ) -> BodySource:
        """Return the body, which owns the connection and the slot from now on.

        A refusal counts even where its body cannot be read: its status and headers say enough.
        """
        release = self._release_for(route)
        try:
            reader, ready, coding = _start_body(head, rest, request, waiter.peer)
        except ProtocolError as error:
            if head.status < 400:
                raise
            release(connection, False)
            return UnreadableBody(error)
        idle = request.timeouts.idle
        source = SocketBody(
            connection, reader, waiter, idle, release, reusable=is_reusable, ready=ready
        )
        return InflatedBody(source, coding, request.max_body, waiter.peer) if coding else source

    def _release_for(self, route: Route) -> Release:
        def release(connection: Connection, reusable: bool) -> None:
            if reusable:
                self._pool.give(route, connection)
            else:
                connection.close()
            self._slots.leave()

        return release

    def _render(self, request: HttpRequest, route: Route, target: str) -> Segments:
        """Return the request's bytes, the head and the first of the body in one piece."""
        headers = _complete_headers(request, route.host, self._user_agent)
        if route.proxy and route.origin.scheme == "http":
            target = f"{route.name}{target}"
            if route.proxy.authorization:
                headers += (("Proxy-Authorization", route.proxy.authorization),)
        head = render_request_head(request.method, target, headers)
        body = request.body
        if len(body) <= _FIRST_BODY_BYTES:
            return [head + body]
        return [head + body[:_FIRST_BODY_BYTES], memoryview(body)[_FIRST_BODY_BYTES:]]


def _start_body(
    head: ResponseHead, rest: bytes, request: HttpRequest, peer: str
) -> tuple[BodyReader, bytes, str | None]:
    """Return the reader, what it makes of the bytes behind the head, and the content coding."""
    try:
        framing = response_framing(head, request.method)
        reader = BodyReader(framing, request.max_body)
        ready = reader.feed(rest) if rest else b""
    except ProtocolError as error:
        raise ProtocolError(f"{peer}: {error.message}") from error
    coding = None if framing.kind == "none" else content_coding(head.headers, peer)
    return reader, ready, coding


def _complete_headers(request: HttpRequest, host: str, user_agent: str) -> Headers:
    """Return the caller's headers and those it left out; RequestError for a wrong length."""
    given = {name.lower() for name, _ in request.headers}
    if "transfer-encoding" in given:
        raise RequestError("bodies are sent whole", path="headers.transfer-encoding")
    length = str(len(request.body))
    if "content-length" in given and set(find_all(request.headers, "content-length")) != {length}:
        raise RequestError(f"the body has {length} bytes", path="headers.content-length")
    added: Headers = (
        ("Host", host),
        ("User-Agent", user_agent),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
    )
    if request.body or request.method in {"POST", "PUT", "PATCH"}:
        added += (("Content-Length", length),)
    if not given.isdisjoint(_DEFAULTED):
        added = tuple(pair for pair in added if pair[0].lower() not in given)
    return added + request.headers


def _keeps_alive(headers: Headers) -> bool:
    return "close" not in words(headers, "connection")
