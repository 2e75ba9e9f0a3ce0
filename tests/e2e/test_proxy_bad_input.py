"""What a client or its user does wrong gets one clear answer in the client's own dialect, and leaves
neither keys nor content nor tracebacks in the log."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmtools.apiproxy import Options, Server
from lmtools.apiproxy.log import Log
from lmtools.errors import ConfigError
from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.secret import Secret
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import CLIENT_KEY, CONTENT, Proxy, before, key_source, running
from tests.fakes.scenario import refusing
from tests.fakes.server import FakeServer, Reply

PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions"}
ASK = [{"role": "user", "content": CONTENT}]
GOOD = {"model": "echo", "max_tokens": 64, "messages": ASK}


@pytest.fixture(params=["anthropic", "openai-chat"], ids=lambda wire: f"over-{wire}")
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with running(ProviderChoice("loopback", loopback_wire=request.param)) as found:
        yield found


@pytest.fixture(params=sorted(PATHS))
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# Bodies

BROKEN: list[tuple[str, bytes, str]] = [
    ("nothing", b"", "JSON"),
    ("words", b"hello SENTINEL", "JSON"),
    ("half", b'{"model": "SENTINEL", "messages": [', "JSON"),
    ("trailing", b'{"model": "echo"} SENTINEL', "JSON"),
    ("twice", b'{"model": "echo"}{"model": "echo"}', "JSON"),
    ("NaN", b'{"model": "echo", "temperature": NaN}', "JSON"),
    ("latin-1", '{"model": "\xe9 SENTINEL"}'.encode("latin-1"), "UTF-8"),
    ("deep", b"[" * 200_000, "JSON"),
    ("deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "JSON"),
    ("huge number", b'{"max_tokens": ' + b"9" * 5000 + b"}", "JSON"),
    ("list", b"[]", "object"),
    ("null", b"null", "object"),
    ("number", b"7", "object"),
    ("string", b'"SENTINEL"', "object"),
]


@pytest.mark.parametrize(
    ("body", "word"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_a_body_that_is_no_json_object_is_400(
    proxy: Proxy, dialect: str, body: bytes, word: str
) -> None:
    answered = proxy.post(PATHS[dialect], body)

    assert answered.status == 400
    assert answered.dialect == dialect
    assert word.lower() in answered.error["message"].lower()
    assert answered.error["type"] == "invalid_request_error"
    assert "SENTINEL" not in answered.error["message"]


BOTH = ("anthropic", "openai_chat")
#: (dialects, what is changed in a good request, the path that the message names)
WRONG: list[tuple[tuple[str, ...], dict[str, Any], str]] = [
    (BOTH, {"model": 7}, "model"),
    (BOTH, {"messages": "SENTINEL"}, "messages"),
    (BOTH, {"messages": {"role": "user"}}, "messages"),
    (BOTH, {"messages": [7]}, "messages[0]"),
    (BOTH, {"messages": [*ASK, {"role": 7, "content": "x"}]}, "messages[1].role"),
    (BOTH, {"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    (BOTH, {"messages": [{"role": "user", "content": ["SENTINEL"]}]}, "messages[0].content[0]"),
    (
        BOTH,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]},
        "messages[0].content[0].text",
    ),
    (BOTH, {"max_tokens": "SENTINEL"}, "max_tokens"),
    (BOTH, {"max_tokens": 1.5}, "max_tokens"),
    (BOTH, {"max_tokens": True}, "max_tokens"),
    (BOTH, {"temperature": "hot SENTINEL"}, "temperature"),
    (BOTH, {"stream": "SENTINEL"}, "stream"),
    (BOTH, {"tools": {}}, "tools"),
    (BOTH, {"tools": [7]}, "tools[0]"),
    (("anthropic",), {"tools": [{"name": 7, "input_schema": {}}]}, "tools[0].name"),
    (("anthropic",), {"stop_sequences": "SENTINEL"}, "stop_sequences"),
    (("anthropic",), {"system": 7}, "system"),
    (("anthropic",), {"thinking": "SENTINEL"}, "thinking"),
    (("openai_chat",), {"tools": [{"type": "function", "function": 7}]}, "tools[0]"),
    (("openai_chat",), {"stop": 7}, "stop"),
    (
        ("openai_chat",),
        {"messages": [{"role": "assistant", "tool_calls": 7}]},
        "messages[0].tool_calls",
    ),
]


@pytest.mark.parametrize(
    ("spoken", "change", "path"),
    [(d, change, path) for dialects, change, path in WRONG for d in dialects],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_wrong_type_is_400_and_names_the_path(
    proxy: Proxy, spoken: str, change: dict[str, Any], path: str
) -> None:
    answered = proxy.post(PATHS[spoken], {**GOOD, **change})

    assert answered.status == 400
    assert answered.dialect == spoken
    assert answered.error["message"].startswith(path)


@pytest.mark.parametrize("model", [None, ""])
def test_a_missing_model_is_400(proxy: Proxy, dialect: str, model: str | None) -> None:
    """There is never a default model."""
    body = {**GOOD, "model": model}
    for given in (body, {k: v for k, v in body.items() if v is not None}):
        answered = proxy.post(PATHS[dialect], given)

        assert (answered.status, answered.dialect) == (400, dialect)
        assert answered.error["message"].startswith("model")


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_an_undeclared_media_type_is_415(proxy: Proxy, dialect: str, kind: str | None) -> None:
    """A web page can send forms and plain text anywhere; JSON it cannot."""
    body = json.dumps(GOOD).encode()
    declared = f"Content-Type: {kind}\r\n" if kind else ""
    head = f"POST {PATHS[dialect]} HTTP/1.1\r\nHost: localhost\r\n{declared}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    answer = proxy.read_all(head.encode() + body)

    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"application/json" in answer.partition(b"\r\n\r\n")[2]


def test_too_large_a_body_is_413(dialect: str) -> None:
    big = {**GOOD, "messages": [{"role": "user", "content": "SENTINEL" * 1000}]}
    with running(ProviderChoice("loopback"), max_body_bytes=2000) as proxy:
        declared = proxy.post(PATHS[dialect], big)
        chunked = _chunked(proxy, PATHS[dialect], json.dumps(big).encode())
        small = proxy.post(PATHS[dialect], GOOD)

    assert (declared.status, declared.dialect) == (413, dialect)
    assert "2000 bytes" in declared.error["message"]
    assert chunked.startswith(b"HTTP/1.1 413 ")
    assert small.status == 200


def _head(path: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def _chunked(proxy: Proxy, path: str, body: bytes) -> bytes:
    return proxy.read_all(_head(path) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))


@pytest.mark.parametrize(
    "chunks",
    [
        b"zz\r\n",
        b"-5\r\nhello\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"5\nhello\n0\n\n",
    ],
)
def test_a_broken_chunked_body_is_400_and_ends_the_connection(
    proxy: Proxy, dialect: str, chunks: bytes
) -> None:
    answer = proxy.read_all(_head(PATHS[dialect]) + chunks)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 "))
    assert b"Connection: close" in head
    assert ("type" in json.loads(body)) == (dialect == "anthropic")


def test_a_good_chunked_body_is_read(proxy: Proxy, dialect: str) -> None:
    body = json.dumps(GOOD).encode()
    pieces = b"".join(b"%x\r\n%c\r\n" % (1, byte) for byte in body)

    with proxy.raw(_head(PATHS[dialect]) + pieces + b"0\r\n\r\n") as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


# Paths and methods


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/v1/v1/messages", "did you mean /v1/messages?"),
        ("/messages", "did you mean /v1/messages?"),
        ("/chat/completions", "did you mean /v1/chat/completions?"),
        ("/v1/chat/completions/", "did you mean /v1/chat/completions?"),
        ("/v1/mesages", "did you mean /v1/messages?"),
        ("/models", "did you mean /v1/models?"),
        ("/wholly/unknown", "GET /"),
        ("/../etc/passwd", "GET /"),
    ],
)
def test_an_unknown_path_is_404_with_the_near_one(proxy: Proxy, path: str, hint: str) -> None:
    answered = proxy.post(path, GOOD)

    assert answered.status == 404
    assert hint in answered.error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/messages", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("DELETE", "/v1/models", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/v1/models/echo", "GET, HEAD"),
        ("OPTIONS", "/v1/messages", "POST"),
    ],
)
def test_a_wrong_method_is_405_with_the_right_ones(
    proxy: Proxy, method: str, path: str, allow: str
) -> None:
    answered = proxy.ask(method, path)

    assert answered.status == 405
    assert answered.headers["allow"] == allow
    assert allow in answered.error["message"]


def test_errors_of_shared_paths_are_in_the_askers_dialect(proxy: Proxy) -> None:
    asked = {"anthropic-version": "2023-06-01"}

    assert proxy.ask("GET", "/v1/models/nope", headers=asked).dialect == "anthropic"
    assert proxy.ask("GET", "/v1/models/nope").dialect == "openai_chat"
    assert proxy.ask("GET", "/nope", headers={"x-api-key": "k"}).dialect == "anthropic"


# Keys and hosts


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(f"first-key-0000\n{CLIENT_KEY}\n")
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong-SENTINEL"},
        {"x-api-key": "wrong-SENTINEL"},
        {"authorization": "Basic SENTINEL"},
        {"authorization": CLIENT_KEY + "x"},
    ],
    ids=["none", "bearer", "x-api-key", "basic", "longer"],
)
def test_a_client_without_a_right_key_is_401(
    keys: str, dialect: str, headers: dict[str, str]
) -> None:
    with running(ProviderChoice("loopback"), client_key_file=keys) as proxy:
        answered = proxy.post(PATHS[dialect], GOOD, headers)
        listed = proxy.ask("GET", "/v1/models", headers=headers)

    assert (answered.status, answered.dialect, listed.status) == (401, dialect, 401)
    assert "Authorization: Bearer" in answered.error["message"]
    assert "SENTINEL" not in answered.error["message"]


@pytest.mark.parametrize(
    ("header", "status"), [({"host": "evil.example"}, 403), ({"expect": "miracles"}, 417)]
)
def test_what_is_refused_by_its_head_is_refused_in_the_askers_dialect(
    proxy: Proxy, dialect: str, header: dict[str, str], status: int
) -> None:
    answered = proxy.post(PATHS[dialect] + "?beta=true", GOOD, header)

    assert (answered.status, answered.dialect) == (status, dialect)


def test_a_client_with_a_right_key_is_served_and_its_key_stays_here(
    keys: str, dialect: str
) -> None:
    with FakeAnthropic() as fake, before(fake, client_key_file=keys) as proxy:
        for headers in ({"authorization": f"Bearer {CLIENT_KEY}"}, {"x-api-key": CLIENT_KEY}):
            assert (
                proxy.post(PATHS[dialect], {**GOOD, "model": "claude-haiku-4-5"}, headers).status
                == 200
            )
        assert proxy.ask("GET", "/healthz").status == 200
        assert proxy.ask("GET", "/").status == 200

    assert CLIENT_KEY not in json.dumps([dict(seen.headers) for seen in fake.seen])


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "192.168.0.7"]
)
def test_a_host_that_is_not_this_machine_is_403(proxy: Proxy, host: str) -> None:
    """A page whose name was pointed at 127.0.0.1 brings its own Host, and the reader's browser."""
    answered = proxy.post("/v1/messages", GOOD, {"Host": host})

    assert answered.status == 403
    assert "Host" in answered.error["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:9", "127.0.0.1", "[::1]:80", "app.localhost"]
)
def test_a_host_that_is_this_machine_is_served(proxy: Proxy, host: str) -> None:
    assert proxy.post("/v1/messages", GOOD, {"Host": host}).status == 200


# The provider


@pytest.mark.parametrize("wire", ["anthropic", "openai"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refused_key_is_401_and_names_no_key(dialect: str, wire: str, stream: bool) -> None:
    made = FakeAnthropic if wire == "anthropic" else FakeOpenAI
    with made() as fake:
        key = KeySource("the test", secret=Secret("refused-SENTINEL-key"))
        with running(ProviderChoice(wire, url=fake.url, key=key)) as proxy:
            answered = proxy.post(PATHS[dialect], {**GOOD, "stream": stream})

    assert (answered.status, answered.dialect) == (401, dialect)
    assert "SENTINEL" not in answered.raw.decode()
    assert (
        answered.error["type"]
        == {"anthropic": "authentication_error", "openai_chat": "invalid_request_error"}[dialect]
    )


@pytest.mark.parametrize("stream", [False, True])
def test_a_host_that_does_not_resolve_is_502(dialect: str, stream: bool) -> None:
    choice = ProviderChoice("openai", url="http://no-such-host.invalid/v1", key=key_source())
    with running(choice) as proxy:
        answered = proxy.post(PATHS[dialect], {**GOOD, "stream": stream})

    assert (answered.status, answered.dialect) == (502, dialect)
    assert "no-such-host.invalid" in answered.error["message"]


def test_a_port_that_refuses_is_502(dialect: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    choice = ProviderChoice("openai", url=f"http://127.0.0.1:{port}/v1", key=key_source())
    with running(choice) as proxy:
        answered = proxy.post(PATHS[dialect], GOOD)

    assert (answered.status, answered.dialect) == (502, dialect)
    assert f"127.0.0.1:{port}" in answered.error["message"]


@pytest.mark.parametrize(
    ("status", "raw", "kind"),
    [
        (200, b"<html>SENTINEL</html>", "text/html"),
        (200, b'{"half": ', "application/json"),
        (200, b"[]", "application/json"),
        (200, b'{"choices": "SENTINEL", "content": "SENTINEL"}', "application/json"),
        (502, b"<html><title>Bad gateway</title></html>", "text/html"),
        (302, b"", "text/html"),
    ],
    ids=["html", "half", "list", "wrong types", "502 page", "redirect"],
)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", ["anthropic", "openai"])
def test_an_upstream_that_is_none_is_502(
    dialect: str, wire: str, status: int, raw: bytes, kind: str, stream: bool
) -> None:
    reply = Reply(status, [("Content-Type", kind), ("Location", "http://127.0.0.1:1/")], raw)
    with FakeServer(lambda seen: reply) as server:
        choice = ProviderChoice(wire, url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            answered = proxy.post(PATHS[dialect], {**GOOD, "stream": stream})

    assert (answered.status, answered.dialect) == (502, dialect)
    assert len(server.seen) == 1


def test_what_an_upstream_repeats_of_the_request_is_not_logged(dialect: str) -> None:
    with FakeOpenAI() as fake, before(fake) as proxy:
        fake.play(refusing(400, message=f"cannot read {CONTENT!r}"))
        answered = proxy.post(PATHS[dialect], {**GOOD, "model": "gpt-4.1"})

    assert answered.status == 400
    assert CONTENT in answered.error["message"]


# The port


def test_a_port_in_use_is_one_message_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        quiet = Log("error", "text", io.StringIO())
        server = Server(Options(provider=ProviderChoice("loopback"), port=port), log=quiet)
        with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{port}.*in use.*-port-fallback"):
            server.start()
        server.close(0)

        choice = Options(provider=ProviderChoice("loopback"), port=port, port_fallback=True)
        with Server(choice, log=quiet) as fallen_back:
            other = int(fallen_back.url.rpartition(":")[2])
            assert other != port
            connection = http.client.HTTPConnection("127.0.0.1", other, timeout=10)
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
            connection.close()
