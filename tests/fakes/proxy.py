"""A running proxy before a fake, a plain HTTP client for it, and a log that must stay clean."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lmtools.apiproxy import Options, Server
from lmtools.apiproxy.log import Log
from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.secret import Secret
from lmtools.transport import HttpRequest, HttpResponse, HttpTransport, Watch
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI

UPSTREAM_KEY = "sk-upstream-SENTINEL-0001"
CLIENT_KEY = "sk-client-SENTINEL-0002"
#: Stands in bodies of requests and answers; none of it may reach the log.
CONTENT = "content SENTINEL 0003"
_PATIENCE_S = 20.0


@dataclass
class Answered:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def error(self) -> dict[str, Any]:
        """The error of either dialect, after checking that it has all that its readers expect."""
        body = self.body
        assert self.headers["content-type"].startswith("application/json")
        if body.get("type") == "error":
            assert isinstance(body["error"]["type"], str)
        else:
            assert {"message", "type", "param", "code"} <= set(body["error"])
        assert isinstance(body["error"]["message"], str)
        found: dict[str, Any] = body["error"]
        return found

    @property
    def dialect(self) -> str:
        return "anthropic" if self.body.get("type") == "error" else "openai_chat"


class Asker:
    """Asks the proxy that listens on ``port`` of this machine."""

    port: int

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answered:
        """Send one request; bytes go as they are, anything else as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if body is not None else {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE_S)
        try:
            connection.request(method, path, data, {**given, **(headers or {})})
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answered(response.status, names, raw)

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answered:
        return self.ask("POST", path, body, headers)

    @contextmanager
    def raw(self, data: bytes) -> Iterator[socket.socket]:
        """Give a socket on which ``data`` was sent."""
        with socket.create_connection(("127.0.0.1", self.port), _PATIENCE_S) as connection:
            connection.sendall(data)
            yield connection

    def read_all(self, data: bytes) -> bytes:
        """Send bytes, and return all that comes until the server closes."""
        with self.raw(data) as connection:
            return b"".join(iter(lambda: connection.recv(65536), b""))


@dataclass
class Proxy(Asker):
    server: Server
    port: int
    log: io.StringIO = field(default_factory=io.StringIO)

    @property
    def url(self) -> str:
        return self.server.url


class Rerouted:
    """A transport to the vendor's own address that ends at a fake, so that its own row is in use."""

    def __init__(self, origin: str, fake: FakeAPI) -> None:
        self._inner = HttpTransport()
        self._origin, self._to = origin, fake.url.removesuffix("/v1")

    def send(self, request: HttpRequest, watch: Watch | None = None) -> HttpResponse:
        assert request.url.startswith(self._origin)
        return self._inner.send(
            replace(request, url=request.url.replace(self._origin, self._to, 1)), watch
        )

    def close(self) -> None:
        self._inner.close()


VENDORS = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com"}


def key_source() -> KeySource:
    return KeySource("the test", secret=Secret(UPSTREAM_KEY))


@contextmanager
def running(provider: ProviderChoice, transport: Any = None, **options: Any) -> Iterator[Proxy]:
    """Run a proxy, and check at its end that its log holds no traceback, key or content."""
    log = io.StringIO()
    chosen = Options(**{"provider": provider, "port": 0, "retries": 0, **options})
    with Server(chosen, log=Log("debug", "text", log), transport=transport) as server:
        yield Proxy(server, int(server.url.rpartition(":")[2]), log)
    assert_clean(log.getvalue())


@contextmanager
def before(fake: FakeAPI, *, vendor: bool = False, **options: Any) -> Iterator[Proxy]:
    """Run a proxy before a fake: at an address of the user's own, or as the vendor itself."""
    name = "anthropic" if isinstance(fake, FakeAnthropic) else "openai"
    with ExitStack() as stack:
        if vendor:
            choice = ProviderChoice(name, key=key_source())
            transport = Rerouted(VENDORS[name], fake)
            stack.callback(transport.close)
            yield stack.enter_context(running(choice, transport, **options))
        else:
            choice = ProviderChoice(name, url=fake.url, key=key_source())
            yield stack.enter_context(running(choice, **options))


def assert_clean(log: str) -> None:
    assert "Traceback" not in log
    assert "SENTINEL" not in log
    assert "handler failed" not in log
    assert "connection failed" not in log


def events(raw: bytes) -> list[tuple[str, Any]]:
    """Return (event name, data) of a stream, comments left out. ``[DONE]`` stays text."""
    found: list[tuple[str, Any]] = []
    for frame in raw.decode().split("\n\n"):
        name, data = "", None
        for line in frame.split("\n"):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                text = line.removeprefix("data: ")
                data = text if text == "[DONE]" else json.loads(text)
        if data is not None:
            found.append((name, data))
    return found
