"""The benchmark's upstream: one process, one epoll loop, answers that were made before.

It prints its port, then takes a mode a line on stdin and says ``ok``:

==========  ====================================================================================
``whole``   a JSON answer
``burst``   a stream, all of it at once
``paced``   a stream, one delta every ``PACE_S`` seconds, ``PACED_DELTAS`` of them; the streams
            take turns, so that no two deltas come at once
``held``    a stream of one delta that does not end
==========  ====================================================================================

It ends with its stdin. Nothing of a request is looked at but its path and its length.
"""

from __future__ import annotations

import select
import socket
import sys
import time
from contextlib import suppress

from scripts.bench_wire import PATHS, Answers, answers

MODES = ("whole", "burst", "paced", "held")
PACE_S = 0.02
PACED_DELTAS = 50
_RECEIVE = 1 << 18
_MOST_HEADS = 4096
_NO_DATA = memoryview(b"")


class _Client:
    """A connection. ``missing`` are bytes of a body still to come, ``left`` what is to be sent."""

    __slots__ = ("answers", "deltas", "head", "left", "missing", "socket")

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.head = b""
        self.missing = 0
        self.left = _NO_DATA
        self.answers: Answers | None = None
        self.deltas = 0


class Upstream:
    def __init__(self, listener: socket.socket, control: int) -> None:
        self._listener = listener
        self._control = control
        self._mode = "whole"
        self._by_dialect = answers()
        self._at_once = {
            (mode, id(said)): data
            for said in self._by_dialect.values()
            for mode, data in (
                ("whole", said.whole),
                ("burst", said.burst),
                ("paced", said.head),
                ("held", said.head + said.deltas[0]),
            )
        }
        self._clients: dict[int, _Client] = {}
        self._heads: dict[bytes, tuple[int, Answers]] = {}
        self._paced: list[_Client] = []
        self._turn = 0
        self._due = 0.0
        self._epoll = select.epoll()
        self._epoll.register(listener, select.EPOLLIN)
        self._epoll.register(control, select.EPOLLIN)

    def run(self) -> None:
        """Serve until the control pipe ends."""
        listener, clients = self._listener.fileno(), self._clients
        while True:
            for fd, events in self._epoll.poll(self._pause()):
                client = clients.get(fd)
                if client is not None:
                    self._serve(client, events)
                elif fd == listener:
                    self._accept()
                elif fd == self._control and not self._obey():
                    return
            if self._paced:
                self._send_due()

    def _pause(self) -> float | None:
        return max(0.0, self._due - time.monotonic()) if self._paced else None

    def _obey(self) -> bool:
        word = sys.stdin.readline().strip()
        if word in MODES:
            self._mode = word
            print("ok", flush=True)
        return bool(word)

    def _accept(self) -> None:
        accepted = self._listener.accept()[0]
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[accepted.fileno()] = _Client(accepted)
        self._epoll.register(accepted, select.EPOLLIN)

    def _serve(self, client: _Client, events: int) -> None:
        try:
            if events & select.EPOLLOUT:
                self._send(client, client.left)
            if events & ~select.EPOLLOUT:
                self._receive(client, client.socket.recv(_RECEIVE))
        except BlockingIOError:
            return
        except OSError:
            self._forget(client)

    def _receive(self, client: _Client, data: bytes) -> None:
        if not data:
            self._forget(client)
            return
        if client.missing:
            client.missing -= len(data)
        elif not self._begin(client, client.head + data):
            return
        if client.missing <= 0:
            self._answer(client)

    def _begin(self, client: _Client, data: bytes) -> bool:
        """Take a request's first bytes; False until its head is whole."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            client.head = data
            return False
        head, client.head = data[:end], b""
        known = self._heads.get(head)
        if known is None:
            known = self._read_head(head)
        length, client.answers = known
        client.missing = length - (len(data) - end - 4)
        return True

    def _read_head(self, head: bytes) -> tuple[int, Answers]:
        path = head.split(b" ", 2)[1].partition(b"?")[0]
        lower = head.lower()
        start = lower.index(b"\r\ncontent-length:") + 17
        end = lower.find(b"\r\n", start)
        length = int(lower[start : end if end > 0 else None])
        if len(self._heads) >= _MOST_HEADS:
            self._heads.clear()
        known = self._heads[head] = length, self._by_dialect[PATHS[path]]
        return known

    def _answer(self, client: _Client) -> None:
        client.missing = 0
        self._send(client, memoryview(self._at_once[self._mode, id(client.answers)]))
        if self._mode == "paced":
            client.deltas = 0
            if not self._paced:
                self._due = time.monotonic()
            self._paced.append(client)

    def _send(self, client: _Client, data: memoryview) -> None:
        waited = bool(client.left)
        client.left = data
        with suppress(BlockingIOError):
            while client.left:
                client.left = client.left[client.socket.send(client.left) :]
        if bool(client.left) != waited:
            wanted = select.EPOLLIN | (select.EPOLLOUT if client.left else 0)
            self._epoll.modify(client.socket, wanted)

    def _send_due(self) -> None:
        """Give the stream whose turn it is its next delta, as often as is due."""
        now = time.monotonic()
        while self._paced and self._due <= now:
            self._turn = (self._turn + 1) % len(self._paced)
            client = self._paced[self._turn]
            self._due += PACE_S / len(self._paced)
            assert client.answers is not None
            client.deltas += 1
            data = client.answers.deltas[client.deltas]
            if client.deltas == PACED_DELTAS:
                self._paced.remove(client)
                data += client.answers.tail
            try:
                client.socket.send(data)
            except OSError:
                self._forget(client)

    def _forget(self, client: _Client) -> None:
        if self._clients.pop(client.socket.fileno(), None) is not None:
            self._epoll.unregister(client.socket)
            if client in self._paced:
                self._paced.remove(client)
            client.socket.close()


def main() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.setblocking(False)
        print(listener.getsockname()[1], flush=True)
        Upstream(listener, sys.stdin.fileno()).run()


if __name__ == "__main__":
    main()
