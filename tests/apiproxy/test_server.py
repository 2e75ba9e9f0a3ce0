"""The server core over real sockets: what clients send, well-meant and not, and what they get."""

from __future__ import annotations

import errno
import gzip
import io
import select
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from lmtools.apiproxy.client_socket import ClientSocket
from lmtools.apiproxy.inbound import Exchange
from lmtools.apiproxy.limits import Limits
from lmtools.apiproxy.log import Log
from lmtools.apiproxy.server import HttpServer, is_loopback, listen
from lmtools.errors import CancelledError, ConfigError, InvalidRequestError

PATIENCE_S = 20.0  # no test waits so long unless it fails
JSON = (("Content-Type", "application/json"),)
QUICK = Limits(linger_s=0.2)


def echo(exchange: Exchange) -> None:
    body = exchange.read_body()
    exchange.respond(200, JSON, exchange.request.path.encode() + b":" + body)


def render_failure(path: str | None, status: int, message: str):
    return JSON, f'{{"path":"{path}","status":{status},"message":"{message}"}}'.encode()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Client:
    """A client on a raw socket that reads answers by their framing."""

    def __init__(self, server: HttpServer) -> None:
        self.socket = socket.create_connection((server.host, server.port), PATIENCE_S)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> Client:
        self.socket.sendall(data)
        return self

    def ask(self, data: bytes, head_only: bool = False) -> Answer:
        self.send(data)
        return self.read(head_only)

    def read(self, head_only: bool = False) -> Answer:
        line = self._file.readline()
        assert line.startswith(b"HTTP/1.1 "), line
        status = int(line.split()[1])
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if status == 100 or head_only or status == 204:
            return Answer(status, headers, b"")
        return Answer(status, headers, *self._read_body(headers))

    def _read_body(self, headers: dict[str, str]) -> tuple[bytes, bool]:
        if "content-length" in headers:
            body = self._file.read(int(headers["content-length"]))
            return body, len(body) < int(headers["content-length"])
        if headers.get("transfer-encoding") != "chunked":
            return self._file.read(), False
        body = b""
        while size := int(self._file.readline() or b"-1", 16):
            if size < 0:
                return body, True
            body += self._file.read(size)
            assert self._file.read(2) == b"\r\n"
        assert self._file.readline() == b"\r\n"
        return body, False

    def at_end(self) -> bool:
        """Wait for the server to close; True when nothing came before that."""
        try:
            return self._file.read() == b""
        except ConnectionResetError:
            return True

    def leave(self) -> None:
        self._file.close()
        self.socket.close()


@dataclass
class Site:
    """A running server, its log and its clients, all closed after the test."""

    server: HttpServer
    log: io.StringIO
    clients: list[Client]
    waits: threading.Semaphore
    departures: threading.Semaphore

    def await_waiting(self, times: int) -> None:
        """Return when connections have begun to wait for a request so many more times."""
        for _ in range(times):
            assert self.waits.acquire(timeout=PATIENCE_S)

    def client(self) -> Client:
        client = Client(self.server)
        self.clients.append(client)
        return client


Serve = Callable[..., Site]


@pytest.fixture
def serve() -> Iterator[Serve]:
    sites: list[Site] = []

    def start(handler=echo, limits=QUICK, host="127.0.0.1", port=0, **options) -> Site:
        written = io.StringIO()
        server = HttpServer(
            (host, port),
            handler,
            limits,
            render_failure=render_failure,
            log=Log("debug", stream=written),
            **options,
        )
        site = Site(server, written, [], threading.Semaphore(0), threading.Semaphore(0))
        waiting, leave = server._admission.waiting, server._admission.leave

        def observed(connection) -> bool:
            goes_on = waiting(connection)
            site.waits.release()
            return goes_on

        def departed(connection) -> None:
            leave(connection)
            site.departures.release()

        server._admission.waiting, server._admission.leave = observed, departed
        server.start()
        sites.append(site)
        return site

    yield start
    for site in sites:
        for client in site.clients:
            client.leave()
        site.server.close(0.0)
    left = [thread for thread in threading.enumerate() if thread.name == "accept"]
    assert not left


def post(body: bytes = b"", *headers: str, path: str = "/v1/messages", version="1.1") -> bytes:
    lines = [f"POST {path} HTTP/{version}", "Host: localhost", *headers]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


# Framing and keep-alive


def test_one_connection_carries_one_request_after_the_other(serve):
    client = serve().client()

    for body in (b"one", b"", b"x" * 300_000, b"last"):
        answer = client.ask(post(body))
        assert (answer.status, answer.body) == (200, b"/v1/messages:" + body)
        assert not answer.closes


def test_pipelined_requests_are_answered_in_order(serve):
    client = serve().client()
    chunked = post(b"3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked", path="/b")

    client.send(post(b"first", path="/a") + chunked + post(b"third", path="/c"))

    assert [client.read().body for _ in range(3)] == [b"/a:first", b"/b:abc", b"/c:third"]


def test_a_request_may_come_byte_by_byte(serve):
    client = serve().client()

    for byte in post(b"hello") + post(b"2\r\nhi\r\n0\r\n\r\n", "Transfer-Encoding: chunked"):
        client.send(bytes([byte]))

    assert [client.read().body for _ in range(2)] == [b"/v1/messages:hello", b"/v1/messages:hi"]


def test_a_length_that_is_said_is_the_length_that_is_sent(serve):
    site = serve(lambda exchange: exchange.respond(200, JSON, "é".encode() * 400_000))

    answer = site.client().ask(post())

    assert len(answer.body) == int(answer.headers["content-length"]) == 800_000


@pytest.mark.parametrize(
    ("version", "connection", "closes"),
    [
        ("1.1", None, False),
        ("1.1", "close", True),
        ("1.1", "Keep-Alive, Close", True),
        ("1.0", None, True),
        ("1.0", "keep-alive", False),
    ],
)
def test_a_connection_stays_open_as_version_and_header_say(serve, version, connection, closes):
    client = serve().client()
    headers = [f"Connection: {connection}"] if connection else []

    answer = client.ask(post(b"x", *headers, version=version))

    assert answer.body == b"/v1/messages:x"
    assert answer.closes is closes
    if closes:
        assert client.at_end()
    else:
        assert client.ask(post(b"y", *headers, version=version)).body == b"/v1/messages:y"


def test_an_http_1_0_client_is_told_that_its_connection_stays(serve):
    answer = serve().client().ask(post(b"x", "Connection: keep-alive", version="1.0"))

    assert answer.headers["connection"] == "keep-alive"


def test_head_gets_the_head_of_get_and_the_connection_stays_in_step(serve):
    client = serve().client()
    head = b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

    answer = client.ask(head, head_only=True)

    assert (answer.status, answer.headers["content-length"]) == (200, "9")
    assert client.ask(post(b"next")).body == b"/v1/messages:next"


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_an_answer_without_a_body_has_none(serve, method):
    def stream(exchange: Exchange) -> None:
        exchange.begin(204 if method == "POST" else 200, JSON)
        exchange.write(b"never")
        exchange.end(b"sent")

    client = serve(stream).client()
    request = f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    for _ in range(2):
        answer = client.ask(request, head_only=True)
        assert "transfer-encoding" not in answer.headers


def test_204_has_no_length(serve):
    client = serve(lambda exchange: exchange.respond(204, ())).client()

    for _ in range(2):
        assert "content-length" not in client.ask(post()).headers


def test_every_answer_has_the_date(serve):
    date = serve().client().ask(post()).headers["date"]

    parsed = time.strptime(date, "%a, %d %b %Y %H:%M:%S GMT")
    assert abs(time.mktime(parsed) - time.mktime(time.gmtime())) < 120


# Streams


def test_a_stream_is_one_chunk_per_write_and_the_first_comes_with_the_head(serve):
    going_on = threading.Event()

    def stream(exchange: Exchange) -> None:
        exchange.begin_events((("X-Own", "1"),))
        exchange.write(b"data: 1\n\n")
        going_on.wait(PATIENCE_S)
        exchange.write(b"")
        exchange.write(b"data: 2\n\n")
        exchange.end(b"data: 3\n\n")

    client = serve(stream).client()
    client.send(post())
    first = client.socket.recv(65536)
    going_on.set()

    head, _, body = first.partition(b"\r\n\r\n")
    assert body == b"9\r\ndata: 1\n\n\r\n"
    assert (
        b"Content-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Accel-Buffering: no"
        in head
    )
    assert b"X-Own: 1" in head
    rest = b""
    while not rest.endswith(b"0\r\n\r\n"):
        rest += client.socket.recv(65536)
    assert rest == b"9\r\ndata: 2\n\n\r\n9\r\ndata: 3\n\n\r\n0\r\n\r\n"
    # The connection is in step for the next request.
    assert client.ask(post()).body == b"data: 1\n\ndata: 2\n\ndata: 3\n\n"


def test_a_stream_to_http_1_0_ends_with_the_connection(serve):
    def stream(exchange: Exchange) -> None:
        exchange.begin_events()
        exchange.write(b"a")
        exchange.end(b"b")

    answer = serve(stream).client().ask(post(b"", "Connection: keep-alive", version="1.0"))

    assert (answer.body, answer.closes) == (b"ab", True)
    assert "transfer-encoding" not in answer.headers


def test_an_empty_write_sends_the_head_alone(serve):
    def stream(exchange: Exchange) -> None:
        exchange.begin(200, JSON)
        exchange.write(b"")
        exchange.watch().tick(0.0)
        sent.wait(PATIENCE_S)
        exchange.end()

    sent = threading.Event()
    client = serve(stream).client().send(post())

    assert client.socket.recv(65536).endswith(b"\r\n\r\n")
    sent.set()
    assert client.socket.recv(65536) == b"0\r\n\r\n"


def test_a_stream_whose_handler_fails_is_seen_to_be_cut(serve):
    def stream(exchange: Exchange) -> None:
        exchange.begin_events()
        exchange.write(b"data: 1\n\n")
        raise RuntimeError("secret words of a client")

    site = serve(stream)
    client = site.client()

    answer = client.ask(post())

    assert (answer.body, answer.cut) == (b"data: 1\n\n", True)
    assert client.at_end()
    assert "error=RuntimeError where=test_server.py:" in site.log.getvalue()
    assert "answer cut" in site.log.getvalue()
    assert "secret" not in site.log.getvalue()


def test_a_stream_that_its_handler_leaves_open_is_seen_to_be_cut(serve):
    def stream(exchange: Exchange) -> None:
        exchange.begin_events()
        exchange.write(b"data: 1\n\n")

    assert serve(stream).client().ask(post()).cut


# Handlers


def test_a_handler_that_fails_is_a_500_in_the_applications_form(serve):
    def fail(exchange: Exchange) -> None:
        raise KeyError(exchange.read_body())

    site = serve(fail)
    client = site.client()

    answer = client.ask(post(b"private words"))

    assert answer.status == 500
    assert b'"path":"/v1/messages"' in answer.body
    assert answer.headers["content-type"] == "application/json"
    assert "error=KeyError where=test_server.py:" in site.log.getvalue()
    assert "private" not in site.log.getvalue()
    assert "Traceback" not in site.log.getvalue()


def test_a_handler_that_forgets_to_answer_is_a_500(serve):
    assert serve(lambda exchange: None).client().ask(post()).status == 500


def test_an_api_error_that_a_handler_lets_through_is_answered_with_its_status(serve):
    def refuse(exchange: Exchange) -> None:
        raise InvalidRequestError("no such thing", status=422)

    answer = serve(refuse).client().ask(post())

    assert answer.status == 422
    assert b"no such thing" in answer.body


@pytest.mark.parametrize(
    "header",
    [
        ("X-Bad", "a\r\nSet-Cookie: b"),
        ("X Bad", "a"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
    ],
)
def test_a_header_that_would_change_the_framing_is_not_sent(serve, header):
    client = serve(lambda exchange: exchange.respond(200, (header,), b"body")).client()

    answer = client.ask(post())

    assert (answer.status, answer.closes) == (500, True)
    assert "set-cookie" not in answer.headers


def test_an_exchange_is_answered_once(serve):
    seen: list[int | None] = []
    done = threading.Event()

    def twice(exchange: Exchange) -> None:
        for act in (lambda: exchange.write(b"x"), exchange.end):
            with pytest.raises(ValueError, match="no answer is open"):
                act()
        exchange.respond(200, JSON, b"1")
        with pytest.raises(ValueError, match="thrown away"):
            exchange.read_body()
        with pytest.raises(ValueError, match="answered already, with status 200"):
            exchange.respond(200, JSON, b"2")
        with pytest.raises(ValueError, match="no answer is open"):
            exchange.write(b"x")
        seen.append(exchange.status)
        done.set()

    assert serve(twice).client().ask(post()).body == b"1"
    assert done.wait(PATIENCE_S)
    assert seen == [200]


def test_an_exchange_counts_its_bytes(serve):
    def count(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.begin(200, JSON)
        exchange.write(b"12345")
        exchange.end(b"%d %d" % (exchange.bytes_in, exchange.bytes_out))

    received, sent = serve(count).client().ask(post(b"123")).body[5:].split()

    assert int(received) == 3
    assert int(sent) > 100


# Request heads


def test_path_and_query_are_decoded(serve):
    seen = []

    def look(exchange: Exchange) -> None:
        seen.append(exchange.request)
        exchange.respond(200, ())

    client = serve(look).client()
    for target in (
        "/v1/models/a%2Fb?x=1&y=%20&x=2&z",
        "http://localhost/p?q=1",
        "http://localhost",
    ):
        client.ask(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nX-Key: v\r\n\r\n".encode())
    client.ask(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert [(r.path, dict(r.query)) for r in seen] == [
        ("/v1/models/a/b", {"x": "2", "y": " ", "z": ""}),
        ("/p", {"q": "1"}),
        ("/", {}),
        ("*", {}),
    ]
    assert seen[0].header("x-key") == "v"
    assert seen[0].client == "127.0.0.1"
    assert "v" not in repr(seen[0].headers and seen[0]).partition("headers")[2]


BAD_HEADS = [
    ("length and chunks at once", post(b"0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
    ("two lengths", post(b"x", "Content-Length: 1", "Content-Length: 2"), 400),
    ("a length that is no number", post(b"x", "Content-Length: +1"), 400),
    ("an unknown coding", post(b"x", "Transfer-Encoding: gzip, chunked"), 501),
    ("chunked twice", post(b"x", "Transfer-Encoding: chunked, chunked"), 400),
    ("lines that end with LF", b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
    ("a blank before the colon", b"GET / HTTP/1.1\r\nHost: localhost\r\nX : 1\r\n\r\n", 400),
    ("a folded line", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: 1\r\n 2\r\n\r\n", 400),
    ("a NUL", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n", 400),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", 400),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n", 400),
    ("no HTTP at all", b"hello\r\n\r\n", 400),
    ("a target that is no path", b"GET foo HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("CONNECT", b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("too many query fields", b"GET /?" + b"a&" * 200 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    ("an unknown expectation", post(b"", "Expect: miracles"), 417),
    ("too many headers", b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 101 + b"\r\n", 431),
    ("a huge header", b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
    ("a huge target", b"GET /" + b"x" * 9_000, 414),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_bytes", "status"), [case[1:] for case in BAD_HEADS], ids=[c[0] for c in BAD_HEADS]
)
def test_a_bad_head_is_answered_and_ends_the_connection(serve, request_bytes, status):
    """Where the next request would start is unknown, so that nothing after it may be served."""
    called = []
    site = serve(called.append)
    client = site.client()

    answer = client.ask(request_bytes)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.closes
    assert client.at_end()
    client.leave()
    assert site.departures.acquire(timeout=PATIENCE_S)
    assert not called


def test_what_is_smuggled_behind_a_bad_head_is_not_served(serve):
    called = []
    site = serve(lambda exchange: called.append(exchange.request.path))
    client = site.client()

    client.send(post(b"", "Content-Length: 5", "Transfer-Encoding: chunked") + post(path="/admin"))

    assert client.read().status == 400
    assert client.at_end()
    client.leave()
    assert site.departures.acquire(timeout=PATIENCE_S)
    assert not called
    assert "INFO request refused client=127.0.0.1 status=400 reason=" in site.log.getvalue()


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LOCALHOST:8080", True),
        ("localhost.:80", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.8.9.10:1", True),
        ("[::1]:8080", True),
        ("example.org", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("0.0.0.0", False),
        ("192.168.1.1", False),
    ],
)
def test_a_server_on_loopback_answers_to_this_machines_names_only(serve, host, allowed):
    """A name whose DNS answer is changed to 127.0.0.1 would otherwise open the proxy to a web page."""
    client = serve(allowed_hosts=("Example.org:443",)).client()

    answer = client.ask(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    assert answer.status == (200 if allowed else 403)
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_the_host_of_an_absolute_target_counts_instead_of_the_header(serve):
    answer = serve().client().ask(b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n")

    assert answer.status == 403


def test_http_1_0_needs_no_host(serve):
    assert serve().client().ask(b"GET / HTTP/1.0\r\n\r\n").status == 200


def test_a_server_on_every_address_answers_to_any_name_unless_some_are_listed(serve):
    ask = b"GET / HTTP/1.1\r\nHost: proxy.example\r\n\r\n"

    for options, status in (({}, 200), ({"allowed_hosts": ("other",)}, 403)):
        site = serve(host="0.0.0.0", **options)
        site.server.host = "127.0.0.1"
        client = site.client()
        site.server.host = "0.0.0.0"
        assert client.ask(ask).status == status


def test_is_loopback_looks_at_the_whole_host():
    for host in ("127.0.0.1", "127.255.0.3", "::1", "[::1]", "::ffff:127.0.0.1", "localhost"):
        assert is_loopback(host)
    for host in ("", "127.0.0.1.nip.io", "10.0.0.1", "::", "[::2]", "xlocalhost"):
        assert not is_loopback(host)


# Bodies


def test_a_chunked_body_is_read_as_its_bytes(serve):
    body = b"5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n"

    assert (
        serve().client().ask(post(body, "Transfer-Encoding: chunked")).body
        == b"/v1/messages:hello world"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nab\r\n0\r\n\r\n",
        b"2\r\nabX0\r\n\r\n",
        b"-1\r\n\r\n",
        b"2\nab\n0\n\n",
        b"1" * 2000,
        b"0\r\nbad trailer\r\n\r\n",
    ],
    ids=["size", "end", "sign", "LF", "endless size", "trailer"],
)
def test_a_broken_chunked_body_is_400_and_ends_the_connection(serve, body):
    client = serve().client()

    answer = client.ask(post(body, "Transfer-Encoding: chunked"))

    assert (answer.status, answer.closes) == (400, True)
    assert client.at_end()


def test_a_body_too_large_is_413_before_a_byte_of_it_came(serve):
    client = serve(limits=replace(QUICK, max_body=100)).client()

    answer = client.ask(post(b"", "Content-Length: 101"))

    assert answer.status == 413
    assert b"larger than 100 bytes" in answer.body
    assert client.at_end()


def test_a_chunked_body_is_413_as_soon_as_it_is_too_large(serve):
    client = serve(limits=replace(QUICK, max_body=100)).client()

    assert client.ask(post(b"65\r\n", "Transfer-Encoding: chunked")).status == 413


def test_a_client_in_the_middle_of_a_refused_upload_reads_why(serve):
    """Closing with unread input would reset the connection, and the reset would overtake the answer."""
    client = serve(limits=replace(QUICK, max_body=100, linger_s=PATIENCE_S)).client()

    answer = client.ask(post(b"x" * 20_000_000))

    assert answer.status == 413


@pytest.mark.parametrize(
    ("coding", "data"),
    [
        ("gzip", gzip.compress(b"hello")),
        ("X-GZIP", gzip.compress(b"hello")),
        ("gzip", gzip.compress(b"he") + gzip.compress(b"llo")),
        ("deflate", zlib.compress(b"hello")),
        ("identity", b"hello"),
        ("identity, gzip", gzip.compress(b"hello")),
    ],
)
def test_a_compressed_body_is_inflated(serve, coding, data):
    client = serve().client()

    for _ in range(2):
        answer = client.ask(post(data, f"Content-Encoding: {coding}"))
        assert answer.body == b"/v1/messages:hello"


@pytest.mark.parametrize(
    ("coding", "data", "status"),
    [
        ("gzip", gzip.compress(b"x" * 101), 413),
        ("gzip", gzip.compress(b"x" * 10_000_000), 413),
        ("gzip", gzip.compress(b"x" * 60) * 2, 413),
        ("gzip", gzip.compress(b"hello")[:-3], 400),
        ("gzip", b"", 400),
        ("gzip", b"not gzip", 400),
        ("gzip", gzip.compress(b"") * 40, 400),
        ("br", b"x", 415),
        ("zstd", b"x", 415),
        ("gzip, gzip", b"x", 415),
    ],
)
def test_a_compressed_body_is_bounded_and_checked(serve, coding, data, status):
    client = serve(
        limits=replace(QUICK, max_body=max(100, len(data)) if status == 400 else 100)
    ).client()
    if len(data) > 100 and status == 413:
        client = serve(limits=replace(QUICK, max_body=len(data))).client()

    assert client.ask(post(data, f"Content-Encoding: {coding}")).status == status


def test_expect_100_continue_is_answered_when_the_body_is_wanted(serve):
    client = serve().client()
    head, body = post(b"hello", "Expect: 100-continue")[:-5], b"hello"

    assert client.ask(head).status == 100
    assert client.ask(body).body == b"/v1/messages:hello"


def test_expect_100_continue_is_not_answered_to_a_client_that_does_not_wait(serve):
    assert serve().client().ask(post(b"hello", "Expect: 100-continue")).status == 200


def test_a_request_refused_by_its_head_uploads_nothing(serve):
    client = serve(lambda exchange: exchange.respond(401, JSON, b"no")).client()

    answer = client.ask(post(b"", "Expect: 100-continue", "Content-Length: 1000000"))

    assert (answer.status, answer.closes) == (401, True)
    assert client.at_end()


def test_an_unread_body_that_came_already_does_not_end_the_connection(serve):
    client = serve(
        lambda exchange: exchange.respond(404, JSON, exchange.request.path.encode())
    ).client()

    for path in ("/a", "/b"):
        answer = client.ask(post(b"small", path=path))
        assert (answer.body, answer.closes) == (path.encode(), False)


def test_an_unread_body_that_is_broken_ends_the_connection(serve):
    client = serve(lambda exchange: exchange.respond(404, JSON, b"no")).client()

    assert client.ask(post(b"zz\r\n", "Transfer-Encoding: chunked")).closes
    assert client.at_end()


# Time


def test_a_head_that_is_not_whole_in_time_is_408(serve):
    client = serve(limits=replace(QUICK, head_s=0.05)).client()

    answer = client.ask(b"GET / HTTP/1.1\r\nHost: local")

    assert answer.status == 408
    assert client.at_end()


def test_a_connection_that_says_nothing_is_closed_without_an_answer(serve):
    assert serve(limits=replace(QUICK, head_s=0.05)).client().at_end()


def test_a_kept_connection_is_closed_when_it_is_idle(serve):
    client = serve(limits=replace(QUICK, idle_s=0.05)).client()

    assert client.ask(post(b"x")).status == 200
    assert client.at_end()


@pytest.mark.parametrize("body", [b"", b"half"])
def test_a_body_that_stops_coming_is_408(serve, body):
    client = serve(limits=replace(QUICK, body_s=0.05)).client()

    answer = client.ask(post(body, "Content-Length: 8"))

    assert (answer.status, answer.closes) == (408, True)


def test_a_body_slower_than_the_least_rate_is_408(serve):
    """Each byte comes in time, all of them never would."""
    client = serve(limits=replace(QUICK, body_s=0.3, body_min_rate=1_000_000)).client()
    client.send(post(b"", "Content-Length: 1000"))
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.01):
            try:
                client.send(b"x")
            except OSError:
                return

    dripping = threading.Thread(target=drip, daemon=True)
    dripping.start()
    try:
        assert client.read().status == 408
    finally:
        stop.set()
        dripping.join()


def test_a_client_that_does_not_read_is_given_up(serve):
    outcome: list[str] = []
    done = threading.Event()

    def flood(exchange: Exchange) -> None:
        exchange.begin_events()
        try:
            while True:
                exchange.write(b"x" * 65536)
        except CancelledError as error:
            outcome.append(str(error))
            raise
        finally:
            done.set()

    site = serve(flood, replace(QUICK, write_s=0.05))
    client = site.client().send(post())

    assert done.wait(PATIENCE_S)
    assert "read nothing" in outcome[0]
    client.leave()
    assert "ERROR" not in site.log.getvalue()


# Clients that leave


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        post(b"", "Content-Length: 10"),
        post(b"abc", "Content-Length: 10"),
        post(b"5\r\nab", "Transfer-Encoding: chunked"),
    ],
    ids=["silent", "in the head", "before the body", "in the body", "in a chunk"],
)
def test_a_client_that_leaves_early_is_no_error(serve, sent):
    site = serve()
    client = site.client().send(sent)

    client.leave()
    site.server.close(PATIENCE_S)

    assert "ERROR" not in site.log.getvalue()


@pytest.mark.parametrize("reset", [False, True])
def test_a_watch_tells_a_handler_that_its_client_left(serve, reset):
    seen: list[bool] = []
    waiting, done = threading.Event(), threading.Event()

    def wait(exchange: Exchange) -> None:
        watch = exchange.watch()
        waiting.set()
        try:
            wait_for(watch)
        finally:
            seen.append(exchange.client_left)
            done.set()

    site = serve(wait)
    client = site.client().send(post(b"x"))
    assert waiting.wait(PATIENCE_S)
    if reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.leave()

    assert done.wait(PATIENCE_S)
    assert seen == [True]
    site.server.close(PATIENCE_S)
    assert "ERROR" not in site.log.getvalue()
    assert "client left" not in site.log.getvalue() or "WARN" not in site.log.getvalue()


def wait_for(watch) -> None:
    """Wait as a transport does, until the watch says that the client left."""
    while watch.fileno() >= 0:
        poll = select.poll()
        poll.register(watch.fileno(), select.POLLIN)
        watch.tick(time.monotonic())
        if poll.poll(PATIENCE_S * 1000):
            watch.readable()


def test_a_watch_rests_when_the_client_pipelines(serve):
    stopped = threading.Event()

    def wait(exchange: Exchange) -> None:
        exchange.read_body()
        if exchange.request.path == "/a":
            begun.set()
            wait_for(exchange.watch())
            stopped.set()
        exchange.respond(200, JSON, exchange.request.path.encode())

    begun = threading.Event()
    client = serve(wait).client().send(post(path="/a"))
    assert begun.wait(PATIENCE_S)
    client.send(post(path="/b"))

    assert stopped.wait(PATIENCE_S)
    assert [client.read().body for _ in range(2)] == [b"/a", b"/b"]


def test_a_watch_pings_only_after_silence(serve):
    pings: list[float] = []

    def handler(exchange: Exchange) -> None:
        watch = exchange.watch(lambda: pings.append(now), interval=15.0)
        start = watch._since
        now = start + 1
        assert watch.tick(now) == pytest.approx(14.0)
        now = start + 15
        assert watch.tick(now) == 15.0
        assert watch.tick(now + 1) == pytest.approx(14.0)
        exchange.last_write = now + 10
        assert watch.tick(now + 20) == pytest.approx(5.0)
        assert exchange.watch().tick(now) is None
        exchange.respond(200, JSON, str(len(pings)).encode())

    assert serve(handler).client().ask(post()).body == b"1"


def test_a_write_to_a_client_that_left_raises_each_time(serve):
    seen: list[str] = []
    gone, done = threading.Event(), threading.Event()

    def stream(exchange: Exchange) -> None:
        exchange.begin_events()
        gone.wait(PATIENCE_S)
        try:
            for _ in range(2):
                with pytest.raises(CancelledError):
                    while True:
                        exchange.write(b"x" * 65536)
            seen.append("left")
        finally:
            done.set()

    site = serve(stream)
    client = site.client().send(post())
    client.leave()
    gone.set()

    assert done.wait(PATIENCE_S)
    assert seen == ["left"]


# Bounds


def test_the_longest_idle_connection_makes_room_for_a_new_one(serve):
    site = serve(limits=replace(QUICK, max_connections=3))
    clients = []
    for _ in range(3):
        clients.append(client := site.client())
        assert client.ask(post(b"x")).status == 200
        site.await_waiting(2)

    assert site.client().ask(post(b"new")).status == 200

    assert clients[0].at_end()
    assert clients[1].ask(post(b"still")).status == 200


def test_clients_that_stall_in_their_head_keep_nobody_out(serve):
    site = serve(limits=replace(QUICK, max_connections=5))
    for _ in range(20):
        site.client().send(b"GET / HTTP/1.1\r\nHost: localh")

    assert site.client().ask(post(b"healthy")).body == b"/v1/messages:healthy"


def test_beyond_the_bound_a_client_is_told_to_come_back(serve):
    running, release = threading.Semaphore(0), threading.Event()

    def wait(exchange: Exchange) -> None:
        exchange.read_body()
        running.release()
        release.wait(PATIENCE_S)
        exchange.respond(200, JSON, b"served")

    site = serve(wait, replace(QUICK, max_connections=2))
    busy = [site.client().send(post(b"x")) for _ in range(2)]
    for _ in busy:
        assert running.acquire(timeout=PATIENCE_S)

    # The body is announced and never sent: the answer does not wait for it.
    refused = site.client().ask(post(b"", "Content-Length: 1000", path="/v1/chat/completions"))
    release.set()

    assert refused.status == 503
    assert refused.headers["retry-after"] == "1"
    assert b'"path":"/v1/chat/completions"' in refused.body
    assert [client.read().body for client in busy] == [b"served", b"served"]
    assert "too many connections" in site.log.getvalue()


def test_beyond_the_refusals_too_connections_are_closed(serve, monkeypatch):
    running, release = threading.Event(), threading.Event()

    def wait(exchange: Exchange) -> None:
        running.set()
        release.wait(PATIENCE_S)
        exchange.respond(200, JSON, b"served")

    monkeypatch.setattr("lmtools.apiproxy.server._REFUSALS", 0)
    site = serve(wait, replace(QUICK, max_connections=1))
    site.client().send(post())
    assert running.wait(PATIENCE_S)

    assert site.client().at_end()
    release.set()


class FailingListener:
    """A listening socket whose next ``accept`` calls fail as given."""

    def __init__(self, *errors: OSError) -> None:
        self.errors = list(errors)

    def accept(self):
        raise self.errors.pop(0)


def test_out_of_descriptors_the_server_closes_who_waits_and_goes_on(serve):
    site = serve()
    idle = site.client()
    assert idle.ask(post(b"x")).status == 200
    site.await_waiting(2)

    site.server._accept_waiting(FailingListener(OSError(errno.EMFILE, "too many open files")))
    site.server._accept_waiting(
        FailingListener(OSError(errno.ECONNABORTED, "gone"), BlockingIOError())
    )

    assert idle.at_end()
    assert "cannot accept error=EMFILE made_room=true" in site.log.getvalue()
    assert site.client().ask(post(b"x")).status == 200


def test_a_thread_that_cannot_start_costs_one_connection(serve, monkeypatch):
    site = serve()
    start = threading.Thread.start

    def fail_once(thread: threading.Thread) -> None:
        monkeypatch.setattr(threading.Thread, "start", start)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail_once)

    assert site.client().at_end()
    assert site.client().ask(post(b"x")).status == 200


# Closing


def test_closing_lets_what_runs_end_and_takes_nothing_new(serve):
    running, release = threading.Event(), threading.Event()

    def wait(exchange: Exchange) -> None:
        exchange.read_body()
        running.set()
        release.wait(PATIENCE_S)
        exchange.respond(200, JSON, b"served")

    site = serve(wait)
    idle, busy = site.client(), site.client()
    busy.send(post(b"x"))
    assert running.wait(PATIENCE_S)

    closing = threading.Thread(target=site.server.close, args=(PATIENCE_S,))
    closing.start()
    assert idle.at_end()
    with pytest.raises(OSError):
        site.client()
    release.set()

    answer = busy.read()
    assert (answer.body, answer.closes) == (b"served", True)
    closing.join(PATIENCE_S)
    assert not closing.is_alive()


def test_a_connection_whose_answer_promised_more_ends_when_the_server_does(serve):
    """The answer went out before the close began, and the connection asks for its next request after."""
    answered, closing_began = threading.Event(), threading.Event()

    def answer(exchange: Exchange) -> None:
        exchange.respond(200, JSON, b"served")
        answered.set()
        closing_began.wait(PATIENCE_S)

    site = serve(answer)
    client = site.client()
    assert not client.ask(post()).closes
    assert answered.wait(PATIENCE_S)
    end_waiting = site.server._admission.end_waiting
    site.server._admission.end_waiting = lambda: (end_waiting(), closing_began.set())

    closing = threading.Thread(target=site.server.close, args=(1000.0,))
    closing.start()

    assert client.at_end()
    closing.join(PATIENCE_S)
    assert not closing.is_alive()


def test_what_runs_longer_than_the_drain_gets_its_last_words(serve):
    """A cut stream shall end with its dialect's own error event, not in the middle."""
    running = threading.Event()

    def stream(exchange: Exchange) -> None:
        exchange.read_body()
        exchange.begin_events()
        exchange.write(b"data: 1\n\n")
        running.set()
        try:
            wait_for(exchange.watch())
        except CancelledError:
            assert exchange.life.aborting
            assert not exchange.client_left
            exchange.end(b"event: error\n\n")

    site = serve(stream)
    client = site.client().send(post(b"x"))
    assert running.wait(PATIENCE_S)

    site.server.close(0.0)

    answer = client.read()
    assert (answer.body, answer.cut) == (b"data: 1\n\nevent: error\n\n", False)


def test_what_had_not_begun_when_the_drain_ended_is_503(serve):
    running = threading.Event()

    def wait(exchange: Exchange) -> None:
        exchange.read_body()
        running.set()
        wait_for(exchange.watch())

    site = serve(wait)
    client = site.client().send(post(b"x"))
    assert running.wait(PATIENCE_S)

    site.server.close(0.0)

    assert client.read().status == 503


def test_a_body_that_still_comes_when_the_drain_ended_is_503(serve):
    """Its reader is woken as if the client had left, which it has not."""
    running = threading.Event()

    def read(exchange: Exchange) -> None:
        running.set()
        exchange.read_body()

    site = serve(read)
    client = site.client().send(post(b"half", "Content-Length: 8"))
    assert running.wait(PATIENCE_S)

    site.server.close(0.0)

    assert client.read().status == 503


def test_a_second_close_hurries_the_first(serve):
    running = threading.Event()

    def wait(exchange: Exchange) -> None:
        running.set()
        wait_for(exchange.watch())

    site = serve(wait)
    client = site.client().send(post(b"x"))
    assert running.wait(PATIENCE_S)
    closing = threading.Thread(target=site.server.close, args=(1000.0,))
    closing.start()

    site.server.close(0.0)

    closing.join(PATIENCE_S)
    assert not closing.is_alive()
    assert client.read().status == 503


def test_a_client_socket_can_be_stopped_after_it_was_closed():
    near, far = socket.socketpair()
    near.close()
    listener = listen(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname())
    listener.setblocking(True)
    accepted, _ = listener.accept()
    client = ClientSocket(accepted, "test")
    peer.close()

    client.stop()
    client.linger(1.0)
    client.close()
    client.stop_reading()
    client.stop()

    assert client.fileno() == -1
    far.close()
    listener.close()


# Listening


def test_a_port_in_use_is_one_message_with_what_to_do(serve):
    taken = serve().server.port

    with pytest.raises(ConfigError) as raised:
        listen(("127.0.0.1", taken))

    message = str(raised.value)
    assert f"127.0.0.1:{taken}" in message
    assert "-port" in message
    assert "-port-fallback" in message


def test_a_server_starts_once(serve):
    """A second listener would be served by nobody: its clients would wait for ever."""
    server = serve(echo).server
    with pytest.raises(RuntimeError, match="make another one"):
        server.start()
    server.close(0.0)
    with pytest.raises(RuntimeError, match="make another one"):
        server.start()


def test_a_tls_handshake_is_refused_at_once(serve):
    """It has no line end, so that both sides would wait for the other until a deadline."""
    answer = serve(echo).client().ask(b"\x16\x03\x01\x02\x00\x01")

    assert answer.status == 400
    assert b"https://" in answer.body


def test_port_fallback_takes_any_free_port(serve):
    taken = serve().server.port

    other = serve(port=taken, port_fallback=True)

    assert other.server.port not in (0, taken)
    assert other.client().ask(post(b"x")).status == 200


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (("nosuchhost.invalid", 0), "nosuchhost.invalid:0"),
        (("x" * 70 + ".invalid", 0), "no host name"),
        (("127.0.0.1", 70000), "127.0.0.1:70000"),
        (("127.0.0.1", -1), "127.0.0.1:-1"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_named(address, said):
    with pytest.raises(ConfigError, match=said):
        listen(address)


def test_advice_fits_the_reason(monkeypatch):
    for number, said in (
        (errno.EACCES, "above 1023"),
        (errno.EADDRNOTAVAIL, "no such address"),
        (errno.EIO, "Input/output"),
    ):

        def refuse(*_: object, number: int = number) -> None:
            raise OSError(number, "Input/output error")

        monkeypatch.setattr("lmtools.apiproxy.server._bind", refuse)
        with pytest.raises(ConfigError, match=said):
            listen(("127.0.0.1", 80))


def test_an_ipv6_address_is_served(serve):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 in this Python")
    try:
        site = serve(host="::1")
    except ConfigError as error:
        pytest.skip(f"no IPv6 here: {error}")

    answer = site.client().ask(f"GET / HTTP/1.1\r\nHost: [::1]:{site.server.port}\r\n\r\n".encode())

    assert answer.status == 200


def test_localhost_is_the_ipv4_address(serve):
    assert serve(host="localhost").server.host == "127.0.0.1"


def test_an_application_that_cannot_say_its_failure_costs_one_connection(serve, monkeypatch):
    def fail(path: str | None, status: int, message: str):
        raise RuntimeError("private words")

    monkeypatch.setitem(globals(), "render_failure", fail)
    site = serve()

    assert site.client().send(b"nonsense\r\n\r\n").at_end()
    assert site.departures.acquire(timeout=PATIENCE_S)
    assert "ERROR connection failed error=RuntimeError where=test_server.py:" in site.log.getvalue()
    assert "private" not in site.log.getvalue()
    assert site.client().ask(post(b"x")).status == 200
