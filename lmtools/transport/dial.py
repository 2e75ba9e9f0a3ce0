"""From a name to a connected socket: look up, connect, ask a proxy for a tunnel. All within one
deadline, and every wait can be cancelled.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ConnectError, DeadlineError, ProtocolError, TransportError
from ..http1 import Headers, render_request_head
from .address import Origin, is_address
from .connection import Connection
from .exchange import read_head, write_all
from .proxies import Proxy
from .waits import READ, WRITE, Waiter

__all__ = ["Lookup", "open_socket", "open_tunnel"]

#: ``socket.getaddrinfo`` or a function of its shape: (host, port, family, type) -> address infos.
Lookup = Callable[..., Sequence[tuple[Any, ...]]]

# A name may have any number of addresses; the deadline is divided among those that are tried.
_MAX_ADDRESSES = 8


def open_socket(
    host: str, port: int, lookup: Lookup, waiter: Waiter, deadline: float | None
) -> socket.socket:
    """Return a connected socket that does not block, from the first address that answers.

    ConnectError names the host and why each address failed; DeadlineError when the last one stayed
    silent.
    """
    addresses = _resolve(host, port, lookup, waiter, deadline)[:_MAX_ADDRESSES]
    failures: list[str] = []
    for number, address in enumerate(addresses):
        is_last = number == len(addresses) - 1
        share = _share(waiter, deadline, len(addresses) - number)
        try:
            return _connect(address, waiter, share)
        except DeadlineError:
            if is_last:
                raise
            failures.append(f"{address[4][0]}: no answer")
        except OSError as error:
            failures.append(f"{address[4][0]}: {_strerror(error)}")
    problem = "; ".join(dict.fromkeys(failures)) or "the name has no address"
    raise ConnectError(f"{waiter.peer}: cannot connect to port {port} of {host} ({problem})")


def _share(waiter: Waiter, deadline: float | None, attempts: int) -> float | None:
    """Return the deadline of one attempt, so that one dead address leaves time for the others."""
    if deadline is None or attempts == 1:
        return deadline
    now = waiter.clock()
    return now + max(0.0, deadline - now) / attempts


def _connect(address: tuple[Any, ...], waiter: Waiter, deadline: float | None) -> socket.socket:
    family, kind, protocol, _, target = address
    connecting = socket.socket(family, kind, protocol)
    try:
        connecting.setblocking(False)
        connecting.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A host that vanished while an answer is awaited for minutes is noticed by the kernel.
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        code = connecting.connect_ex(target)
        if code in {errno.EINPROGRESS, errno.EWOULDBLOCK}:
            waiter.wait(connecting.fileno(), WRITE, deadline, "connect")
            code = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        connecting.close()
        raise
    return connecting


def _resolve(
    host: str, port: int, lookup: Lookup, waiter: Waiter, deadline: float | None
) -> Sequence[tuple[Any, ...]]:
    if is_address(host):
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    return _Resolution(host, port, lookup).result(waiter, deadline)


class _Resolution:
    """One look-up in a thread of its own: the system's resolver blocks and cannot be cancelled.

    A look-up that nobody waits for any more ends by itself; its thread is a daemon.
    """

    def __init__(self, host: str, port: int, lookup: Lookup) -> None:
        self._host = host
        self._port = port
        self._lookup = lookup
        self._addresses: Sequence[tuple[Any, ...]] = ()
        self._error: Exception | None = None
        self._done, self._signal = socket.socketpair()

    def result(self, waiter: Waiter, deadline: float | None) -> Sequence[tuple[Any, ...]]:
        with self._done:
            try:
                threading.Thread(target=self._run, name="lmtools-dns", daemon=True).start()
            except RuntimeError as error:
                self._signal.close()
                raise ConnectError(f"{waiter.peer}: no thread to look the name up") from error
            waiter.wait(self._done.fileno(), READ, deadline, f"looking up {self._host}")
        if self._error is not None:
            # Made elsewhere: a name for it here would tie error, frame and waiter into a cycle.
            raise self._failure(waiter.peer, self._error) from self._error
        return self._addresses

    def _failure(self, peer: str, cause: Exception) -> ConnectError:
        error = ConnectError(
            f"{peer}: the name {self._host} was not found ({_strerror(cause)}). "
            "Check the spelling, the network and the proxy settings"
        )
        # A name that does not exist will not exist in a second either.
        error.retryable = getattr(cause, "errno", None) == socket.EAI_AGAIN
        return error

    def _run(self) -> None:
        try:
            self._addresses = self._lookup(self._host, self._port, 0, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._error = error
        finally:
            # The other end sees the end of input.
            self._signal.close()


def _strerror(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def open_tunnel(
    connection: Connection,
    proxy: Proxy,
    origin: Origin,
    user_agent: str,
    waiter: Waiter,
    deadline: float | None,
) -> None:
    """Ask ``proxy`` to connect us to ``origin``; afterwards the connection is the origin's."""
    headers: Headers = (("Host", origin.address), ("User-Agent", user_agent))
    if proxy.authorization:
        headers += (("Proxy-Authorization", proxy.authorization),)
    request = render_request_head("CONNECT", origin.address, headers)
    where = f"{waiter.peer}: proxy {proxy.host}:{proxy.port}"
    try:
        _, early = write_all(connection, [request], waiter, deadline)
        head, rest = read_head(connection, waiter, deadline, early)
    except (DeadlineError, ProtocolError):
        raise
    except TransportError as error:
        raise ConnectError(f"{where}: {error.message}") from error
    if head.status == 407:
        raise ConnectError(f"{where}: wants other credentials (407); set user:password@ in its URL")
    if not 200 <= head.status < 300:
        raise ConnectError(f"{where}: refused the tunnel ({head.status} {head.reason})")
    if rest:
        raise ProtocolError(f"{where}: sent bytes before we spoke to the server")
