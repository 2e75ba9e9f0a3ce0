"""Waiting for a socket, with everything that may end the wait: a deadline, a watch, a cancel.

All sockets here do not block; the only place that blocks is ``Waiter.wait``, which polls the
socket, the transport's wake and the caller's watch together.
"""

from __future__ import annotations

import os
import select

from ..errors import CancelledError, DeadlineError
from .base import Clock, Watch

__all__ = ["READ", "WRITE", "Waiter", "Wake"]

READ = select.POLLIN
WRITE = select.POLLOUT


class Wake:
    """Once ``set``, ``fd`` stays readable: every wait that polls it ends, now and later."""

    def __init__(self) -> None:
        self.fd, self._write_end = os.pipe()

    def set(self) -> None:
        """End all waits. The reading end stays open, since others may be polling it."""
        write_end, self._write_end = self._write_end, -1
        if write_end >= 0:
            os.close(write_end)

    def __del__(self) -> None:
        self.set()
        os.close(self.fd)


class Waiter:
    """The waits of one exchange. Used by one thread at a time.

    ``peer`` names the other side in errors.
    """

    __slots__ = ("_fd", "_poll", "_wake", "_watch", "_watch_fd", "clock", "peer")

    def __init__(self, wake: Wake, watch: Watch | None, peer: str, clock: Clock) -> None:
        self.peer = peer
        self.clock = clock
        self._wake = wake
        self._watch = watch
        self._poll = select.poll()
        self._poll.register(wake.fd, READ)
        self._fd = -1
        self._watch_fd = -1

    def deadline(self, seconds: float | None) -> float | None:
        return None if seconds is None else self.clock() + seconds

    def wait(self, fd: int, events: int, deadline: float | None, phase: str) -> int:
        """Return the poll events of ``fd`` once there are some; errors and hang-ups are events too.

        DeadlineError when ``deadline`` (monotonic) passes first, CancelledError when the transport
        is closed or the watch says that the client left.
        """
        if fd != self._fd:
            self._change(self._fd, fd)
            self._fd = fd
        self._poll.register(fd, events)
        while True:
            ready = self._poll.poll(self._pause(deadline))
            found = 0
            for ready_fd, revents in ready:
                if ready_fd == fd:
                    found = revents
                elif ready_fd == self._watch_fd and self._watch is not None:
                    self._watch.readable()
                else:
                    raise CancelledError(f"{self.peer}: the transport was closed")
            if found:
                return found
            if deadline is not None and self.clock() >= deadline:
                raise DeadlineError(f"{self.peer}: {phase}: the deadline passed")

    def _pause(self, deadline: float | None) -> int | None:
        """Return the milliseconds until someone wants to be called, rounded up; None for never."""
        if self._watch is None and deadline is None:
            return None
        now = self.clock()
        pause = None if deadline is None else deadline - now
        if self._watch is not None:
            tick = self._watch.tick(now)
            if tick is not None and (pause is None or tick < pause):
                pause = tick
            watch_fd = self._watch.fileno()
            if watch_fd != self._watch_fd:
                self._change(self._watch_fd, watch_fd)
                self._watch_fd = watch_fd
        return None if pause is None else max(0, int(pause * 1000) + 1)

    def _change(self, old: int, new: int) -> None:
        if old >= 0:
            self._poll.unregister(old)
        if new >= 0:
            self._poll.register(new, READ)
