"""The benchmark's client: one process, one epoll loop, a fixed number of connections.

It takes jobs on stdin and answers each with a result, JSON, one a line. A job is::

    {"port", "request", "connections", "seconds", "kind"}

``whole`` and ``stream`` send the request on every connection again and again until the time is up,
and wait for the last answers. ``counted`` is ``stream`` and counts the deltas that came, which
costs too much to be done while measuring. ``held`` sends the request once, waits for the first byte
of an answer on each connection, says so, and closes them at the next line.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scripts.bench_wire import DELTA_MARK

#: Seconds that a job may take beyond its own time before what is missing counts as failed.
GRACE_S = 10.0
_RECEIVE = 1 << 18
_SEND_BUFFER = 1 << 20
_LENGTH = b"ontent-Length: "
_END = b"0\r\n\r\n"
_END_SIZE = len(_END)


class _Connection:
    """``missing`` are bytes of the answer still to come, -1 before its length is known."""

    __slots__ = ("body", "missing", "sent_at", "socket")

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.sent_at = 0.0
        self.missing = -1
        self.body = b""


class Load:
    """One job. ``latencies`` are seconds from sending to the last byte of each answer."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._port = int(job["port"])
        self._request = job["request"].encode("latin-1")
        self._count = int(job["connections"])
        self._seconds = float(job["seconds"])
        self._kind = job["kind"]
        self._epoll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        self.latencies: list[float] = []
        self.first_bytes: list[float] = []
        self.failed = 0
        self.deltas = 0

    @contextmanager
    def connected(self) -> Iterator[None]:
        try:
            for _ in range(self._count):
                self._connect()
            yield
        finally:
            for connection in self._connections.values():
                connection.socket.close()
            self._epoll.close()

    def _connect(self) -> None:
        connected = socket.create_connection(("127.0.0.1", self._port), timeout=GRACE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The buffer takes a whole request, so that sending one never holds up the others.
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._connections[connected.fileno()] = _Connection(connected)
        self._epoll.register(connected, select.EPOLLIN)

    def run(self) -> dict[str, Any]:
        """Send and count until the time is up and the last answers have come."""
        take = self._take_whole if self._kind == "whole" else self._take_stream
        clock, poll = time.perf_counter, self._epoll.poll
        started = last = clock()
        until, give_up = started + self._seconds, started + self._seconds + GRACE_S
        busy = len(self._connections)
        for connection in self._connections.values():
            self._send(connection, clock())
        while busy and last < give_up:
            for fd, _ in poll(GRACE_S):
                connection = self._connections[fd]
                done = take(connection, connection.socket.recv(_RECEIVE))
                if done is None:
                    continue
                last = clock()
                if done:
                    self.latencies.append(last - connection.sent_at)
                if done and last < until:
                    self._send(connection, last)
                else:
                    busy -= 1
                    self._epoll.unregister(connection.socket)
            last = clock()
        self.failed += busy
        return self._result(last - started)

    def _send(self, connection: _Connection, now: float) -> None:
        connection.sent_at = now
        connection.socket.sendall(self._request)

    def _take_whole(self, connection: _Connection, data: bytes) -> bool | None:
        """Return whether an answer is whole; None while there is more of it to come."""
        if connection.missing >= 0:
            connection.missing -= len(data)
        else:
            data = connection.body + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                connection.body = data
                return None if data else self._fail()
            at = data.find(_LENGTH, 0, end) + len(_LENGTH)
            if not data.startswith(b"HTTP/1.1 200") or at < len(_LENGTH):
                return self._fail()
            connection.missing = int(data[at : data.find(b"\r", at)]) - (len(data) - end - 4)
        if not data:
            return self._fail()
        if connection.missing > 0:
            return None
        connection.missing, connection.body = -1, b""
        return True

    def _take_stream(self, connection: _Connection, data: bytes) -> bool | None:
        """As ``_take_whole``, for an answer that is chunked."""
        if not data:
            return self._fail()
        if connection.missing < 0:
            connection.missing = 0
            self.first_bytes.append(time.perf_counter() - connection.sent_at)
            if not data.startswith(b"HTTP/1.1 200"):
                return self._fail()
        if self._kind == "counted":
            connection.body += data
        elif len(data) < _END_SIZE:
            data = connection.body + data
        if not data.endswith(_END):
            if self._kind != "counted":
                connection.body = data[-_END_SIZE:]
            return None
        self.deltas += connection.body.count(DELTA_MARK)
        connection.missing, connection.body = -1, b""
        return True

    def _fail(self) -> bool:
        self.failed += 1
        return False

    def hold(self) -> Iterator[dict[str, Any]]:
        """Yield once every stream has begun, or the time is up; close them after that."""
        for connection in self._connections.values():
            self._send(connection, time.perf_counter())
        started, waiting = time.perf_counter(), set(self._connections)
        while waiting and (left := started + self._seconds - time.perf_counter()) > 0:
            for fd, _ in self._epoll.poll(left):
                connection = self._connections[fd]
                self._take_stream(connection, connection.socket.recv(_RECEIVE))
                waiting.discard(fd)
        self.failed += len(waiting)
        yield self._result(time.perf_counter() - started)

    def _result(self, elapsed: float) -> dict[str, Any]:
        ordered = sorted(self.latencies)
        return {
            "done": len(ordered),
            "failed": self.failed,
            "seconds": elapsed,
            "deltas": self.deltas,
            "p50_ms": _quantile(ordered, 0.50),
            "p99_ms": _quantile(ordered, 0.99),
            "first_byte_ms": max(self.first_bytes, default=0.0) * 1000,
        }


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000 if ordered else 0.0


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        load = Load(job)
        with load.connected():
            if job["kind"] != "held":
                print(json.dumps(load.run()), flush=True)
                continue
            for result in load.hold():
                print(json.dumps(result), flush=True)
                sys.stdin.readline()


if __name__ == "__main__":
    main()
