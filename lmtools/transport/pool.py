"""Idle connections kept for the next request, and the bound on exchanges under way."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass

from .address import Origin
from .base import Clock
from .connection import Connection
from .proxies import Proxy
from .waits import READ, Waiter

__all__ = ["Pool", "Route", "Slots"]


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Whom to speak to and through whom: a connection is reused for the same route only.

    Compared by identity; the transport makes one for each origin. ``name`` and ``host`` (the Host
    header) are kept, since every request needs them.
    """

    origin: Origin
    proxy: Proxy | None
    name: str
    host: str


class Pool:
    """Idle connections per route, the last one used first: the rest may expire.

    Expiry needs no thread: a take looks at its own route, and a give at all of them now and then.
    """

    def __init__(self, max_idle: int, expiry: float, clock: Clock) -> None:
        self._max_idle = max_idle
        self._expiry = expiry
        self._clock = clock
        self._idle: dict[Route, list[Connection]] = {}
        self._count = 0
        self._next_sweep = clock() + expiry
        self._lock = threading.Lock()
        self._closed = False

    def take(self, route: Route) -> Connection | None:
        """Return a connection that was alive a moment ago, or None."""
        while (connection := self._pop(route)) is not None:
            fresh = self._clock() - connection.idle_since < self._expiry
            if fresh and not connection.is_stale():
                return connection
            connection.close()
        return None

    def give(self, route: Route, connection: Connection) -> None:
        """Keep the connection, or close it when the pool is full or closed."""
        now = connection.idle_since = self._clock()
        with self._lock:
            expired = self._sweep(now) if now >= self._next_sweep else []
            keep = not self._closed and self._count < self._max_idle
            if keep:
                self._idle.setdefault(route, []).append(connection)
                self._count += 1
            else:
                expired.append(connection)
        for old in expired:
            old.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle = [connection for stack in self._idle.values() for connection in stack]
            self._idle.clear()
            self._count = 0
        for connection in idle:
            connection.close()

    def __len__(self) -> int:
        return self._count

    def _pop(self, route: Route) -> Connection | None:
        with self._lock:
            stack = self._idle.get(route)
            if not stack:
                return None
            self._count -= 1
            return stack.pop()

    def _sweep(self, now: float) -> list[Connection]:
        """Take out what has expired on every route. The lock is held."""
        self._next_sweep = now + self._expiry
        expired: list[Connection] = []
        for route, stack in list(self._idle.items()):
            young = [one for one in stack if now - one.idle_since < self._expiry]
            expired += [one for one in stack if now - one.idle_since >= self._expiry]
            if young:
                self._idle[route] = young
            else:
                del self._idle[route]
        self._count -= len(expired)
        return expired


class Slots:
    """How many exchanges may be under way at once; those beyond it wait in line.

    The lock is reentrant, since a forgotten answer leaves from its finaliser, at any instruction.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[_Place] = deque()
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return self._taken

    def enter(self, waiter: Waiter, deadline: float | None) -> None:
        """Take a slot, in the order of asking; DeadlineError when none came free in time."""
        with self._lock:
            if self._taken < self._limit:
                self._taken += 1
                return
            place = _Place()
            self._waiting.append(place)
        try:
            phase = f"all {self._limit} connections are busy"
            waiter.wait(place.fd, READ, deadline, phase)
        except BaseException:
            self._give_up(place)
            raise
        finally:
            place.close()

    def leave(self) -> None:
        """Give the slot back: the first in line gets it."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().call()
            else:
                self._taken -= 1

    def _give_up(self, place: _Place) -> None:
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
                return
        # The slot had just been handed over.
        self.leave()


class _Place:
    """A place in the line; ``call`` makes its ``fd`` readable."""

    def __init__(self) -> None:
        self.fd, self._write_end = os.pipe()

    def call(self) -> None:
        # Forgotten first: whoever waits may wake and close this place before os.close returns.
        write_end, self._write_end = self._write_end, -1
        if write_end >= 0:
            os.close(write_end)

    def close(self) -> None:
        self.call()
        os.close(self.fd)
