"""A client that leaves is noticed in every phase, and a provider that falls silent is left.

The phases with an answer under way are in ``test_proxy``: before its head, before its first event,
in its middle, streamed and whole. Here are those before, and the silence of a provider.
"""

from __future__ import annotations

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from lmtools import client
from lmtools.apiproxy import Options, Server
from lmtools.apiproxy.log import Log
from lmtools.errors import CancelledError
from lmtools.flags.provider import ProviderChoice
from lmtools.transport import HttpRequest, HttpResponse, HttpTransport, Watch
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import events, key_source
from tests.fakes.scenario import BEFORE, Scenario, refusing
from tests.fakes.server import Gate

#: Seconds. Nothing that passes waits for it, and it is shorter than any deadline of the proxy's.
WAIT_S = 9.0
PATHS = ["/v1/messages", "/v1/chat/completions"]
ASK = {"model": "gpt-4.1", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}


class Lines(io.StringIO):
    """A log that tells when an exchange is over, and when because its client left."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.over = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        size = super().write(text)
        if " exchange " in text:
            self.over.set()
        if "status=499" in text:
            self.left.set()
        return size


class Observed:
    """A transport that tells when a request is on its way, and when it was given up."""

    def __init__(self, **options: Any) -> None:
        self._inner = HttpTransport(**options)
        self.entered = threading.Semaphore(0)
        self.cancelled = threading.Event()

    def send(self, request: HttpRequest, watch: Watch | None = None) -> HttpResponse:
        self.entered.release()
        try:
            return self._inner.send(request, watch)
        except CancelledError:
            self.cancelled.set()
            raise

    def close(self) -> None:
        self._inner.close()


class Site:
    """A proxy before ``url``, its log and its transport."""

    def __init__(self, url: str, path: str, transport: Observed, **options: Any) -> None:
        self.path, self.transport, self.log = path, transport, Lines()
        choice = ProviderChoice("openai", url=url, key=key_source())
        self.server = Server(
            Options(provider=choice, port=0, **options),
            log=Log("info", stream=self.log),
            transport=transport,
        )

    def request(self, stream: bool) -> bytes:
        body = json.dumps({**ASK, "stream": stream}).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body

    @contextmanager
    def client(self, data: bytes) -> Iterator[socket.socket]:
        port = int(self.server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), WAIT_S) as connection:
            connection.sendall(data)
            yield connection


@contextmanager
def site(
    url: str, path: str, limits: dict[str, Any] | None = None, **options: Any
) -> Iterator[Site]:
    found = Site(url, path, Observed(**(limits or {})), **options)
    with found.server:
        yield found


@pytest.fixture(params=PATHS, ids=["translated", "passed"])
def path(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


# Clients that leave


def test_while_its_body_is_read(path: str, stream: bool) -> None:
    with FakeOpenAI() as fake, site(fake.url, path) as proxy:
        with proxy.client(proxy.request(stream)[:-10]):
            pass
        assert proxy.log.left.wait(WAIT_S)
        assert fake.asked == []


def test_while_it_waits_for_a_free_connection(path: str, stream: bool) -> None:
    gate = Gate()
    with FakeOpenAI() as fake, site(fake.url, path, {"max_connections": 1}) as proxy:
        fake.play(Scenario(gates={BEFORE: gate}))
        with proxy.client(proxy.request(stream)) as first:
            assert gate.reached.wait(WAIT_S)
            assert proxy.transport.entered.acquire(timeout=WAIT_S)
            with proxy.client(proxy.request(stream)):
                assert proxy.transport.entered.acquire(timeout=WAIT_S)
            assert proxy.transport.cancelled.wait(WAIT_S)
            assert proxy.log.left.wait(WAIT_S)
            gate.open()
            assert first.recv(12) == b"HTTP/1.1 200"
        assert len(fake.asked) == 1
    gate.close()


@contextmanager
def full_listener() -> Iterator[int]:
    """Give the port of a listener that lets nobody in any more: connecting to it stays silent."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address[1]


def test_while_the_provider_is_connected_to(path: str, stream: bool) -> None:
    with (
        full_listener() as port,
        site(f"http://127.0.0.1:{port}/v1", path, connect_timeout=None) as proxy,
    ):
        with proxy.client(proxy.request(stream)):
            assert proxy.transport.entered.acquire(timeout=WAIT_S)
        assert proxy.transport.cancelled.wait(WAIT_S)
        assert proxy.log.left.wait(WAIT_S)


class MuteTls:
    """A server that takes the first words of a TLS handshake and never answers them."""

    def __init__(self) -> None:
        self.greeted, self.left = threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(WAIT_S)
            while connection.recv(65536):
                self.greeted.set()
        self.left.set()

    def close(self) -> None:
        self._thread.join(WAIT_S)
        self._listener.close()


def test_while_tls_is_agreed_on(path: str, stream: bool) -> None:
    upstream = MuteTls()
    with site(f"https://127.0.0.1:{upstream.port}/v1", path, connect_timeout=None) as proxy:
        with proxy.client(proxy.request(stream)):
            assert upstream.greeted.wait(WAIT_S)
        assert upstream.left.wait(WAIT_S)
        assert proxy.log.left.wait(WAIT_S)
    upstream.close()


def test_while_a_retry_is_waited_for(
    path: str, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is there any more to try again for."""
    waiting = threading.Event()

    def schedule(attempt: int, retry_after: float | None) -> float:
        waiting.set()
        return 600.0

    monkeypatch.setattr(client, "schedule", schedule)
    with FakeOpenAI() as fake, site(fake.url, path, retries=3) as proxy:
        fake.play(refusing(503), Scenario())
        with proxy.client(proxy.request(stream)):
            assert waiting.wait(WAIT_S)
        assert proxy.log.left.wait(WAIT_S)
        assert len(fake.asked) == 1


# Providers that fall silent


def read_all(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def unchunked(answer: bytes) -> bytes:
    rest, found = answer.partition(b"\r\n\r\n")[2], b""
    while size := int(rest.partition(b"\r\n")[0], 16):
        rest = rest.partition(b"\r\n")[2]
        found, rest = found + rest[:size], rest[size + 2 :]
    return found


def test_a_stream_that_stalls_ends_with_the_dialects_error(path: str) -> None:
    """At the idle deadline, and the provider is left: there is no deadline on the whole."""
    gate = Gate()
    with FakeOpenAI() as fake, site(fake.url, path, idle_timeout=1.0) as proxy:
        fake.play(Scenario(gates={4: gate}))
        with proxy.client(proxy.request(True)) as connection:
            answer = read_all(connection)
        assert fake.left.wait(WAIT_S)
    gate.close()
    told = events(unchunked(answer))

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert "deadline" in told[-1][1]["error"]["message"]
    assert told[-1][0] == ("error" if path == "/v1/messages" else "")
    assert b"[DONE]" not in answer
    assert b"message_stop" not in answer


@pytest.mark.parametrize("at", [BEFORE, 0])
def test_a_provider_that_never_begins_is_504(path: str, stream: bool, at: int) -> None:
    gate = Gate()
    timeouts: dict[str, Any] = {"idle_timeout": 1.0, "first_byte_timeout": 1.0}
    with FakeOpenAI() as fake, site(fake.url, path, retries=0, **timeouts) as proxy:
        fake.play(Scenario(gates={at: gate}))
        with proxy.client(proxy.request(stream)) as connection:
            answer = read_all(connection)
        assert fake.left.wait(WAIT_S)
    gate.close()

    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"deadline" in answer
