"""A small HTTP server on loopback for fakes: it keeps what it is sent and plays what it is told, byte by byte.

What a fake needs and ``http.server`` lacks: answers written in pieces of any size, answers that
wait for a test between two pieces, answers that break off, and the knowledge that a client left.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

#: Seconds after which a fake gives up on a test that forgot it. Nothing that passes waits for it.
PATIENCE_S = 20.0

Pairs = Sequence[tuple[str, str]]


@dataclass
class Seen:
    """One request as it came. Header names are in lower case; ``body`` is None unless it is JSON."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        try:
            return json.loads(self.raw)
        except ValueError:
            return None


class Gate:
    """Holds an answer back until the test opens it, ``patience_s`` seconds at most."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self._here, self._there = socket.socketpair()
        #: Set when an answer has come as far as this gate.
        self.reached = threading.Event()

    def open(self) -> None:
        self._here.send(b"x")

    def fileno(self) -> int:
        return self._there.fileno()

    def close(self) -> None:
        self._here.close()
        self._there.close()


class Cut:
    """Where an answer breaks off: the connection is closed, the answer is not ended."""


CUT = Cut()
Piece = bytes | Gate | Cut


@dataclass
class Reply:
    """An answer. A list of pieces is sent chunked; ``write_size`` splits every piece further.

    ``before`` holds it back before its head.
    """

    status: int
    headers: Pairs
    body: bytes | list[Piece]
    write_size: int | None = None
    before: Gate | None = None


class FakeServer:
    """Serves ``answer(seen) -> Reply`` in a thread per connection, as a context manager."""

    def __init__(self, answer: Callable[[Seen], Reply]) -> None:
        self.seen: list[Seen] = []
        #: Set when a client closed its connection before its answer was whole.
        self.left = threading.Event()
        self._answer = answer
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closing = False
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            pass  # Wakes accept(), which closing the listener does not do everywhere.
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._listener.close()

    def _spawn(self, run: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._connections.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            reader = connection.makefile("rb")
            with reader:
                while (seen := _read(reader)) is not None:
                    self.seen.append(seen)
                    if not self._write(connection, self._answer(seen), seen.method):
                        break
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._connections.discard(connection)

    def _write(self, connection: socket.socket, reply: Reply, method: str) -> bool:
        """Send an answer; tell whether the connection may carry another."""
        try:
            return _play(connection, reply, method)
        except OSError:
            if not self._closing:
                self.left.set()
            return False


def _read(reader: Any) -> Seen | None:
    line = reader.readline().decode("latin-1").split()
    if len(line) != 3:
        return None
    headers: dict[str, str] = {}
    while (row := reader.readline().strip()) and b":" in row:
        name, _, value = row.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        raw = _read_chunks(reader)
    else:
        raw = reader.read(int(headers.get("content-length") or 0))
    return Seen(line[0], line[1], headers, raw)


def _read_chunks(reader: Any) -> bytes:
    parts = []
    while size := int(reader.readline().split(b";")[0], 16):
        parts.append(reader.read(size))
        reader.readline()
    while reader.readline().strip():
        continue
    return b"".join(parts)


def _play(connection: socket.socket, reply: Reply, method: str) -> bool:
    if reply.before is not None:
        _wait(connection, reply.before)
    rows = [f"HTTP/1.1 {reply.status} {_reason(reply.status)}"]
    rows += [f"{name}: {value}" for name, value in reply.headers]
    whole = isinstance(reply.body, bytes)
    rows.append(f"Content-Length: {len(reply.body)}" if whole else "Transfer-Encoding: chunked")
    connection.sendall("\r\n".join([*rows, "", ""]).encode("latin-1"))
    if method == "HEAD":
        return True
    if isinstance(reply.body, bytes):
        connection.sendall(reply.body)
        return True
    for piece in reply.body:
        if isinstance(piece, Cut):
            return False
        if isinstance(piece, Gate):
            _wait(connection, piece)
            continue
        for part in _split(piece, reply.write_size):
            connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
    connection.sendall(b"0\r\n\r\n")
    return True


def _wait(connection: socket.socket, gate: Gate) -> None:
    """Wait for the gate to open; ConnectionError when the client leaves first."""
    gate.reached.set()
    ready, _, _ = select.select([connection, gate], [], [], gate.patience_s)
    if gate in ready:
        return
    raise ConnectionError("the client left" if ready else "nobody opened the gate")


def _split(piece: bytes, size: int | None) -> Iterator[bytes]:
    step = size or len(piece) or 1
    for start in range(0, len(piece), step):
        yield piece[start : start + step]


def _reason(status: int) -> str:
    return {200: "OK", 400: "Bad Request", 429: "Too Many Requests"}.get(status, "Answer")


def json_reply(status: int, body: Any, headers: Pairs = ()) -> Reply:
    """Return a whole JSON answer."""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, [("Content-Type", "application/json"), *headers], data)


@dataclass(frozen=True)
class Breach:
    """Why a request is refused, in the words of the API that it was sent to."""

    message: str
    param: str | None = None
    code: str | None = None
    status: int = 400
    kind: str = "invalid_request_error"


#: (body, headers in lower case) to why the request is refused, or None.
Check = Callable[[dict[str, Any], Mapping[str, str]], Breach | str | None]


@dataclass(frozen=True)
class Rule:
    """One thing that the real API refuses. ``source`` is where that is seen or said."""

    name: str
    source: str
    check: Check

    def breach(self, body: dict[str, Any], headers: Mapping[str, str]) -> Breach | None:
        found = self.check(body, headers)
        return Breach(found) if isinstance(found, str) else found


@dataclass
class Refusals:
    """What a fake refused: the rules' names, in order."""

    names: list[str] = field(default_factory=list)


def first_breach(
    rules: Sequence[Rule], body: dict[str, Any], headers: Mapping[str, str]
) -> tuple[Rule, Breach] | None:
    for rule in rules:
        found = rule.breach(body, headers)
        if found is not None:
            return rule, found
    return None
