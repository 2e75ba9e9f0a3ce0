"""An HTTP/1.1 server on sockets: it accepts, bounds and drains, and knows no dialect.

A thread per connection (``connection``), a bounded number of them. Connections that wait for a
request may be closed at any time, and are, the longest-waiting first, when the bound is reached:
neither idle clients nor those that send their head byte by byte keep anybody out. Beyond the bound
a few more threads answer 503; beyond those the connection is closed.

Why no ``http.server`` or ``socketserver`` below (docs/adr): the first costs 14 ms and 8 MB at start
for code of which none runs here; the second polls twice a second, takes as long to close, accepts
one connection per poll, and turns in a busy loop when descriptors run out.
"""

from __future__ import annotations

import errno
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable

from ..errors import ConfigError
from .client_socket import ClientSocket
from .connection import Connection, Handler, RenderFailure, Site
from .inbound import Exchange, InboundRequest, Life
from .limits import Limits
from .log import Log

__all__ = ["Exchange", "HttpServer", "InboundRequest", "Limits", "listen"]

#: Connections that the kernel completes while all threads are busy.
ACCEPT_QUEUE = 1024
#: Threads that tell clients beyond the bound to come back.
_REFUSALS = 64
#: Seconds to let a closing client's thread write its last words.
_LAST_WORDS_S = 1.0
_EXHAUSTED_PAUSE_S = 0.05
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_REFUSAL_LIMITS = Limits(head_s=2.0, idle_s=2.0, linger_s=1.0)
_LOOPBACK = re.compile(r"127(\.[0-9]{1,3}){3}|\[::1\]|\[::ffff:127(\.[0-9]{1,3}){3}\]|localhost")


class Admission:
    """Who is connected: counts, the order of waiting, and the end of all."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._members: set[Connection] = set()
        self._ending = False
        self._changed = threading.Condition()

    def admit(self, connection: Connection, bound: int | None = None) -> bool:
        """Count a connection in, for the longest-waiting one if full; False when all are busy."""
        with self._changed:
            full = len(self._members) >= (bound or self._bound)
            if full and bound is None:
                full = not self._evict()
            if not full:
                self._members.add(connection)
            return not full

    def make_room(self) -> bool:
        """Close the longest-waiting connection; False when none waits."""
        with self._changed:
            return self._evict()

    def waiting(self, connection: Connection) -> bool:
        """The connection waits for a request. False when there shall be no more."""
        with self._changed:
            connection.waiting_since = time.monotonic()
            return not self._ending

    def running(self, connection: Connection) -> bool:
        """The connection has a request. False when it was closed while it waited for one."""
        with self._changed:
            connection.waiting_since = None
            return connection in self._members

    def leave(self, connection: Connection) -> None:
        with self._changed:
            self._members.discard(connection)
            self._changed.notify_all()

    def end_waiting(self) -> None:
        """Close every connection without a request, now and from now on."""
        with self._changed:
            self._ending = True
            while self._evict():
                continue

    def each(self, act: Callable[[Connection], None]) -> None:
        with self._changed:
            members = list(self._members)
        for connection in members:
            act(connection)

    def wait_empty(self, seconds: float) -> None:
        """Wait until all have left or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._members, seconds)

    def _evict(self) -> bool:
        waiting = [c for c in self._members if c.waiting_since is not None]
        if not waiting:
            return False
        oldest = min(waiting, key=lambda c: c.waiting_since or 0.0)
        self._members.discard(oldest)
        oldest.client.stop()
        return True


class HttpServer:
    """``handler`` serves each exchange in its connection's thread.

    ``render_failure`` (path or None, status, message) gives headers and body of what the server
    itself has to answer. Bound to a loopback address, it answers only to Host headers that mean
    this machine or stand in ``allowed_hosts``; bound elsewhere, to any unless there are some.
    """

    def __init__(
        self,
        address: tuple[str, int],
        handler: Handler,
        limits: Limits | None = None,
        *,
        render_failure: RenderFailure,
        log: Log | None = None,
        port_fallback: bool = False,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self._limits = limits or Limits()
        self._log = log or Log("error")
        self._address = address
        self._port_fallback = port_fallback
        self._allowed = frozenset(_host_name(host) for host in allowed_hosts)
        self._life = Life()
        self._handler = handler
        self._render_failure = render_failure
        self._admission = Admission(self._limits.max_connections)
        self._refused = Admission(_REFUSALS)
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.host = address[0]
        self.port = address[1]

    def start(self) -> int:
        """Listen and serve in threads of its own; return the port. Raises ConfigError.

        Once only, and not after ``close``: RuntimeError.
        """
        if self._listener is not None or self._life.draining:
            raise RuntimeError("a server starts once; make another one")
        listener = listen(self._address, self._port_fallback)
        self._listener = listener
        self._wake, self._woken = socket.socketpair()
        self.host, self.port = listener.getsockname()[:2]
        self._site = self._make_site(self._limits)
        self._refusing_site = self._make_site(_REFUSAL_LIMITS)
        self._thread = threading.Thread(target=self._accept_all, name="accept", daemon=True)
        self._thread.start()
        return self.port

    def close(self, drain_s: float = 30.0) -> None:
        """Stop accepting, let running exchanges end for ``drain_s``, then end them.

        Exchanges still running get their client's leaving simulated, and a second for their last
        words. A second call, from another thread, with a shorter time shortens the first.
        """
        self._life.draining = True
        self._stop_accepting()
        self._admission.end_waiting()
        self._admission.wait_empty(drain_s)
        self._life.aborting = True
        self._admission.each(lambda connection: connection.client.stop_reading())
        self._admission.wait_empty(_LAST_WORDS_S)
        for members in (self._admission, self._refused):
            members.each(lambda connection: connection.client.stop())
            members.wait_empty(_LAST_WORDS_S)

    def _make_site(self, limits: Limits) -> Site:
        return Site(
            self._handler, self._render_failure, limits, self._log, self._life, self._allows_host
        )

    def _allows_host(self, authority: str | None) -> bool:
        if authority is None:
            return True
        name = _host_name(authority)
        if name in self._allowed:
            return True
        if not is_loopback(self.host):
            return not self._allowed
        own = _host_name(self._address[0])
        return is_loopback(name) or name.endswith(".localhost") or name == own

    # Accepting

    def _stop_accepting(self) -> None:
        if self._listener is None or self._thread is None:
            return
        self._wake.close()
        self._thread.join()
        self._listener.close()

    def _accept_all(self) -> None:
        listener = self._listener
        assert listener is not None
        ready = select.poll()
        ready.register(listener, select.POLLIN)
        ready.register(self._woken, select.POLLIN)
        while not self._life.draining:
            ready.poll()
            self._accept_waiting(listener)
        self._woken.close()

    def _accept_waiting(self, listener: socket.socket) -> None:
        while not self._life.draining:
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._recover(error)
                return
            self._welcome(accepted, str(address[0]))

    def _recover(self, error: OSError) -> None:
        """Out of descriptors or memory: close somebody who waits, and do not spin."""
        made_room = self._admission.make_room()
        word = errno.errorcode.get(error.errno or 0)
        self._log.warning("cannot accept", error=word, made_room=made_room)
        pause = select.poll()
        pause.register(self._woken, select.POLLIN)
        pause.poll(_EXHAUSTED_PAUSE_S * 1000)

    def _welcome(self, accepted: socket.socket, address: str) -> None:
        try:
            client = ClientSocket(accepted, address)
        except OSError:
            accepted.close()  # Reset before it was served.
            return
        connection, admission = Connection(client, self._site), self._admission
        if not admission.admit(connection):
            connection, admission = Connection(client, self._refusing_site, True), self._refused
            self._log.warning("too many connections", client=address)
            if not admission.admit(connection, _REFUSALS):
                client.close()
                return
        self._run(connection, admission)

    def _run(self, connection: Connection, admission: Admission) -> None:
        arguments = (admission.waiting, admission.running, admission.leave)
        thread = threading.Thread(target=connection.run, args=arguments, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._log.warning("cannot start a thread", client=connection.client.address)
            connection.client.close()
            admission.leave(connection)


def is_loopback(host: str) -> bool:
    """Tell whether a host, as an address or in a Host header without its port, is this machine."""
    return _LOOPBACK.fullmatch(f"[{host}]" if ":" in host and host[0] != "[" else host) is not None


def _host_name(authority: str) -> str:
    """Return the host of ``host:port`` in one spelling; IPv6 keeps its brackets."""
    authority = authority.lower()
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    if authority.count(":") > 1:
        return f"[{authority}]"
    return authority.partition(":")[0].rstrip(".")


# Listening


def listen(address: tuple[str, int], port_fallback: bool = False) -> socket.socket:
    """Return a listening socket; ConfigError names the address and what to do.

    ``port_fallback`` takes any free port when the wanted one is in use.
    """
    host, port = address
    if not 0 <= port < 65536:
        raise ConfigError(f"cannot listen on {_shown(host, port)}: -port: 0 to 65535")
    family, resolved = _resolve(host, port)
    try:
        return _bind(family, resolved)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and port_fallback:
            return listen((host, 0))
        raise ConfigError(f"cannot listen on {_shown(host, port)}: {_advice(error)}") from error


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or "it is no host name"
        raise ConfigError(f"cannot listen on {_shown(host, port)}: -host: {reason}") from error
    # "localhost" is both addresses; clients that know only one know the older.
    found.sort(key=lambda row: row[0] != socket.AF_INET)
    family, _, _, _, resolved = found[0]
    return family, resolved


def _bind(family: socket.AddressFamily, resolved: tuple[object, ...]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" means every address, those of IPv4 too, whatever the system's default is.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(resolved)
        listener.listen(ACCEPT_QUEUE)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _advice(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "the port is in use; give another -port, or -port-fallback for any free one"
        case errno.EACCES:
            return "not permitted; give a -port above 1023"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; check -host"
        case _:
            return error.strerror or type(error).__name__


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
