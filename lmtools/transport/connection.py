"""One connection: a socket that never blocks, plain here and with TLS in ``tls``."""

from __future__ import annotations

import select
import socket
from contextlib import suppress

from ..errors import TransportError
from .waits import READ, WRITE, Waiter

__all__ = ["RECEIVE_SIZE", "Connection", "NoAnswerError", "receive"]

RECEIVE_SIZE = 64 * 1024


class NoAnswerError(TransportError):
    """The connection ended before a byte of the answer. On a reused one that is worth a retry."""


class Connection:
    """A connected socket and what the pool has to know of it.

    ``read_events`` and ``write_events`` are what to poll for when ``receive`` gave None or ``send``
    gave 0; with TLS a read may have to wait for writing.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.fd = connected.fileno()
        self.read_events = READ
        self.write_events = WRITE
        self.idle_since = 0.0

    @property
    def pending(self) -> bool:
        """True when bytes have been taken from the kernel that ``receive`` has not returned yet."""
        return False

    def receive(self) -> bytes | None:
        """Return what there is, b"" at the end of input, None when nothing has come. OSError."""
        try:
            return self.socket.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return None

    def send(self, data: bytes | memoryview) -> int:
        """Return how many bytes were taken, 0 when none fit now. OSError."""
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0

    def is_stale(self) -> bool:
        """Tell whether an idle connection was closed, or spoke when nobody had asked."""
        poll = select.poll()
        poll.register(self.fd, READ)
        return bool(poll.poll(0))

    def abort(self) -> None:
        """End a wait of another thread on this connection: it sees the end of input."""
        # SSLSocket.shutdown also drops the TLS state, under the feet of the thread that reads.
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def close(self) -> None:
        self.socket.close()


def receive(connection: Connection, waiter: Waiter, deadline: float | None, phase: str) -> bytes:
    """Wait for bytes and return them, b"" at the end of input.

    What TLS already decrypted is asked for first: the kernel would never report it.
    """
    while True:
        if not connection.pending:
            waiter.wait(connection.fd, connection.read_events, deadline, phase)
        data = connection.receive()
        if data is not None:
            return data
