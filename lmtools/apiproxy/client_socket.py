"""A client's connection as a socket: every wait has a deadline, and a client that left has a type.

The socket does not block; waits are ``poll`` calls. (A socket timeout would do the same with
two more system calls for each change of it.) ``CancelledError`` is a client that has gone or does
not read; ``DeadlineError`` is one that does not write.
"""

from __future__ import annotations

import select
import socket
import threading
import time

from ..errors import CancelledError, DeadlineError

__all__ = ["ClientSocket"]

_RECEIVE = 64 * 1024


class ClientSocket:
    """An accepted socket of one thread; others may call only ``stop_reading`` and ``stop``."""

    __slots__ = ("_closing", "_reads", "_socket", "address")

    def __init__(self, accepted: socket.socket, address: str) -> None:
        self.address = address
        self._socket = accepted
        self._closing = threading.Lock()
        accepted.setblocking(False)
        # An answer is one send; waiting for more of it (Nagle) would only delay the last segment.
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reads = select.poll()
        self._reads.register(accepted, select.POLLIN)

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self, deadline: float) -> bytes:
        """Return what has come, b"" at the end of input. ``deadline`` is on the monotonic clock."""
        while True:
            if not self._reads.poll(_milliseconds(deadline)):
                raise DeadlineError("nothing came from the client in time")
            try:
                return self._socket.recv(_RECEIVE)
            except BlockingIOError:
                continue
            except OSError as error:
                raise CancelledError("the client has left") from error

    def peek(self) -> bytes | None:
        """Return a byte that waits to be read, b"" when the client has left, None for neither."""
        try:
            return self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def send(self, data: bytes, stall_s: float) -> None:
        """Send all of it; CancelledError when the client left or takes nothing for ``stall_s``."""
        left: bytes | memoryview = data
        while True:
            try:
                sent = self._socket.send(left)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise CancelledError("the client has left") from error
            if sent == len(left):
                return
            left = memoryview(left)[sent:]
            self._wait_for_room(stall_s)

    def _wait_for_room(self, stall_s: float) -> None:
        room = select.poll()
        room.register(self._socket, select.POLLOUT)
        if not room.poll(_milliseconds(time.monotonic() + stall_s)):
            raise CancelledError(f"the client has read nothing for {stall_s:g} s")

    def linger(self, seconds: float) -> None:
        """Say that nothing more comes, and throw away what the client still sends.

        Closing a socket with unread input resets the connection, and the reset can overtake the
        answer: a client in the middle of a refused upload would never read why.
        """
        deadline = time.monotonic() + seconds
        try:
            self._socket.shutdown(socket.SHUT_WR)
            while self.receive(deadline) and time.monotonic() < deadline:
                continue
        except (OSError, CancelledError):
            return

    def stop_reading(self) -> None:
        """Wake the owner as if the client had left; what it writes still goes out."""
        self._shutdown(socket.SHUT_RD)

    def stop(self) -> None:
        """Wake the owner; nothing goes in or out any more."""
        self._shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._closing:
            self._socket.close()

    def _shutdown(self, how: int) -> None:
        # Under the lock of close(): a closed descriptor may be another connection's by now.
        with self._closing:
            if self._socket.fileno() < 0:
                return
            try:
                self._socket.shutdown(how)
            except OSError:
                return  # The client was faster.


def _milliseconds(deadline: float) -> int:
    return max(0, int((deadline - time.monotonic()) * 1000) + 1)
