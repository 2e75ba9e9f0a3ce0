"""A server that does on the wire exactly what a test's script says, and a TLS identity for it."""

from __future__ import annotations

import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmtools.http1 import BodyReader, RequestHead, head_end, parse_request_head, request_framing
from lmtools.transport import HttpTransport, Proxies

# No wait of a test lasts that long unless something is broken.
PATIENCE_S = 20.0


class Peer:
    """The server's end of one connection. What a script reads is checked by the strict parser."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.socket.settimeout(PATIENCE_S)

    def read_request(self) -> tuple[RequestHead, bytes] | None:
        """Return the next request, None when the client closed instead."""
        buffer = b""
        while (end := head_end(buffer)) < 0:
            data = self.socket.recv(65536)
            if not data:
                return None
            buffer += data
        head = parse_request_head(buffer[:end])
        reader = BodyReader(request_framing(head))
        body = reader.feed(buffer[end:])
        while not reader.done:
            body += reader.feed(self.socket.recv(65536))
        return head, body

    def request(self) -> tuple[RequestHead, bytes]:
        found = self.read_request()
        assert found is not None, "the client closed without a request"
        return found

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, body: bytes = b"ok", *headers: str, status: str = "200 OK") -> None:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)

    def wait_for_close(self) -> bytes:
        """Return what the client still sent before it closed or reset the connection."""
        rest = b""
        try:
            while data := self.socket.recv(65536):
                rest += data
        except ConnectionError:
            pass  # a reset is a close too
        return rest

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)


Script = Callable[[Peer], None]


class Server:
    """Runs one script per connection, the last one for all that follow; keeps their failures."""

    def __init__(self, scripts: tuple[Script, ...]) -> None:
        self.scripts = scripts
        self.accepted = 0
        self.failures: list[BaseException] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        if self._listening.fileno() < 0:
            return
        # Closing alone would leave accept() waiting.
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a script of the server still runs"
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            script = self.scripts[min(self.accepted, len(self.scripts) - 1)]
            self.accepted += 1
            thread = threading.Thread(target=self._run, args=(script, accepted))
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Script, accepted: socket.socket) -> None:
        peer = Peer(accepted)
        try:
            script(peer)
        except BaseException as error:
            self.failures.append(error)
        finally:
            peer.socket.close()
            accepted.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """``serve(script, ...)`` starts a server; a script's failed assertion fails the test."""
    servers: list[Server] = []

    def start(*scripts: Script) -> Server:
        servers.append(Server(scripts))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
    assert [failure for server in servers for failure in server.failures] == []


@pytest.fixture
def transport(serve: object) -> Iterator[HttpTransport]:
    """Closed before the servers are, so that no script waits for its client."""
    with HttpTransport(proxies=Proxies()) as open_transport:
        yield open_transport
    assert open_transport.active == 0, "an exchange still holds its slot"


@pytest.fixture
def make_transport(serve: object) -> Iterator[Callable[..., HttpTransport]]:
    made: list[HttpTransport] = []

    def make(**options: object) -> HttpTransport:
        options.setdefault("proxies", Proxies())
        made.append(HttpTransport(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()
    assert [one.active for one in made] == [0] * len(made), "an exchange still holds its slot"


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Identity:
    """A certificate for ``localhost`` and 127.0.0.1 that is its own authority."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        self.key = folder / "key.pem"

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """Made by the openssl program: the standard library reads certificates but makes none."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl program to make a certificate with")
    made = Identity(tmp_path_factory.mktemp("tls"))
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=lmtools test"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(made.key), "-out", str(made.certificate)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"openssl cannot make a certificate: {done.stderr[-200:]}")
    return made


class Watcher:
    """A Watch made of functions. ``fd`` is what it wants watched."""

    def __init__(self, tick=None, fd: int = -1, readable=None) -> None:
        self.fd = fd
        self.ticks: list[float] = []
        self.reads = 0
        self._tick = tick or (lambda: None)
        self._readable = readable or (lambda: None)

    def fileno(self) -> int:
        return self.fd

    def readable(self) -> None:
        self.reads += 1
        self._readable()

    def tick(self, now: float) -> float | None:
        self.ticks.append(now)
        return self._tick()


@pytest.fixture
def watcher() -> type[Watcher]:
    return Watcher


@pytest.fixture
def silent_address() -> Iterator[tuple[str, int]]:
    """An address whose queue of connections is full: the kernel drops what comes, as a dead host."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            with socket.socket() as probe:
                probe.setblocking(False)
                probe.connect_ex(full.getsockname())
                poll = select.poll()
                poll.register(probe, select.POLLOUT)
                if poll.poll(100):
                    pytest.skip("this kernel accepts connections beyond the queue's bound")
            yield full.getsockname()
        finally:
            for filler in fillers:
                filler.close()
