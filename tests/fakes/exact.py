"""An upstream that answers the bytes it is told, breaks off where it is told, and counts who asked."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from lmtools.http1 import BodyReader, RequestHead, head_end, parse_request_head, request_framing

#: Seconds after which a connection that nobody ends is given up. Nothing that passes waits for it.
PATIENCE_S = 20.0


class Mark:
    """What an answer does at a place: ``END`` closes, ``RESET`` sends RST, ``SILENCE`` waits for
    the client to leave."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


END, RESET, SILENCE = Mark("END"), Mark("RESET"), Mark("SILENCE")
#: An answer's bytes and marks in order. Without a mark at its end the connection lives on.
#: An event holds it back until the test sets it.
Answer = Sequence[bytes | Mark | threading.Event]


@dataclass
class Asked:
    """One request as it came, and the number of the connection that carried it."""

    head: RequestHead
    body: bytes
    connection: int


@dataclass
class ExactServer:
    """Serves answers in a thread per connection. ``play`` sets them; the last one is repeated.

    ``greeting`` is said to the first bytes of each connection, whatever they are, and ends it.
    """

    tls: ssl.SSLContext | None = None
    greeting: bytes = b""
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def play(self, *answers: Answer) -> None:
        """Forget what was asked before, and answer so from now on."""
        with self._lock:
            self.asked.clear()
            self._answers = deque(answers)

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(PATIENCE_S)
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listening.close()

    def _spawn(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            accepted.settimeout(PATIENCE_S)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            with self._lock:
                self._open.add(accepted)
            self._spawn(self._serve, accepted, self.connections)

    def _serve(self, accepted: socket.socket, number: int) -> None:
        connection = accepted
        with contextlib.suppress(OSError):
            if self.tls is not None:
                connection = self.tls.wrap_socket(accepted, server_side=True)
            if self.greeting:
                connection.recv(65536)
                connection.sendall(self.greeting)
            while not self.greeting and (request := _read(connection)) is not None:
                if not _play(connection, self._next(Asked(*request, number))):
                    break
        with contextlib.suppress(OSError):
            connection.close()
        with self._lock:
            self._open.discard(accepted)

    def _next(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            return self._answers.popleft() if len(self._answers) > 1 else self._answers[0]


def _read(connection: socket.socket) -> tuple[RequestHead, bytes] | None:
    buffer = b""
    while (end := head_end(buffer)) < 0:
        data = connection.recv(65536)
        if not data:
            return None
        buffer += data
    head = parse_request_head(buffer[:end])
    reader = BodyReader(request_framing(head))
    body = reader.feed(buffer[end:])
    while not reader.done:
        body += reader.feed(connection.recv(65536))
    return head, body


def _play(connection: socket.socket, answer: Answer) -> bool:
    """Send an answer; tell whether the connection may carry another."""
    for piece in answer:
        if isinstance(piece, bytes):
            connection.sendall(piece)
        elif isinstance(piece, threading.Event):
            piece.wait(PATIENCE_S)
        elif piece is SILENCE:
            connection.recv(1)
            return False
        else:
            if piece is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
    return True


# Answers


def head(status: int, *headers: str, reason: str = "Answer") -> bytes:
    """Return a head without framing: what follows ends with the connection."""
    return "\r\n".join([f"HTTP/1.1 {status} {reason}", *headers, "", ""]).encode("latin-1")


def whole(status: int, body: bytes, *headers: str, kind: str = "application/json") -> Answer:
    """Return an answer with the right length. An empty ``kind`` leaves the label out."""
    labels = (f"Content-Type: {kind}",) if kind else ()
    return [head(status, *labels, f"Content-Length: {len(body)}", *headers) + body]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
