"""No answer at all: no name, no port, no TLS, a connection that ends without a byte, and silence."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmtools import retry
from lmtools.flags.provider import ProviderChoice
from lmtools.transport import HttpTransport, Proxies
from tests.fakes.error_cells import (
    CELLS,
    OWN_ID,
    PROVIDERS,
    Cell,
    assert_failed_stream,
    assert_refused,
    both_ways,
    each_cell,
    said_by,
    words_of,
)
from tests.fakes.exact import END, RESET, SILENCE, ExactServer, chunk, head, whole
from tests.fakes.proxy import Answered, key_source, running


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_WAIT_S", 0.001)


def ask(cell: Cell, url: str, stream: bool, transport: Any = None, **options: Any) -> Answered:
    """Return what a client of the cell gets from a proxy before ``url``."""
    choice = ProviderChoice(PROVIDERS[cell.wire], url=url, key=key_source())
    own = transport or HttpTransport(proxies=Proxies())
    try:
        with running(choice, own, **{"retries": 1, **options}) as proxy:
            headers = {"x-request-id": OWN_ID}
            return proxy.post(cell.path, cell.body(stream=stream), headers)
    finally:
        own.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@both_ways
@each_cell
def test_a_port_that_refuses_is_a_502_that_names_it(cell: Cell, stream: bool) -> None:
    port = free_port()

    answered = ask(cell, f"http://127.0.0.1:{port}/v1", stream)

    error = assert_refused(cell, answered, 502)
    assert str(port) in error["message"]
    assert words_of(cell, error) == said_by(cell, "connect")


@both_ways
@each_cell
def test_a_name_that_does_not_exist_is_a_502_and_asked_for_once(cell: Cell, stream: bool) -> None:
    """It will not exist in a second either."""
    asked: list[str] = []

    def lookup(host: str, *rest: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    transport = HttpTransport(lookup=lookup, proxies=Proxies())
    answered = ask(cell, "http://nowhere.invalid/v1", stream, transport)

    error = assert_refused(cell, answered, 502)
    assert "nowhere.invalid" in error["message"]
    assert words_of(cell, error) == said_by(cell, "connect")
    assert asked == ["nowhere.invalid"]


@each_cell
def test_a_resolver_that_is_busy_is_asked_twice(cell: Cell) -> None:
    asked: list[str] = []

    def lookup(host: str, *rest: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    transport = HttpTransport(lookup=lookup, proxies=Proxies())
    answered = ask(cell, "http://nowhere.invalid/v1", False, transport)

    assert_refused(cell, answered, 502)
    assert len(asked) == 2


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl program to make a certificate with")
    folder: Path = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(made)]  # fmt: skip
    subprocess.run(command, capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


@both_ways
@each_cell
def test_a_certificate_that_nobody_vouches_for_is_refused(
    cell: Cell, stream: bool, certificate: ssl.SSLContext
) -> None:
    """No retry makes it better, and no key goes out."""
    with ExactServer(tls=certificate) as server:
        server.play(whole(200, b"{}"))
        answered = ask(cell, f"https://127.0.0.1:{server.port}/v1", stream)

        error = assert_refused(cell, answered, 502)
        assert "certificate" in error["message"]
        assert words_of(cell, error) == said_by(cell, "connect")
        assert server.asked == []
        assert server.connections <= 2


@each_cell
def test_a_plain_server_at_an_https_address_is_named(cell: Cell) -> None:
    with ExactServer(greeting=b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") as server:
        answered = ask(cell, f"https://127.0.0.1:{server.port}/v1", False)

    assert "TLS" in assert_refused(cell, answered, 502)["message"]


@each_cell
def test_a_tls_server_at_an_http_address_is_named(cell: Cell, certificate: ssl.SSLContext) -> None:
    with ExactServer(tls=certificate) as server:
        server.play(whole(200, b"{}"))
        answered = ask(cell, f"http://127.0.0.1:{server.port}/v1", False)

    assert_refused(cell, answered, 502)


@both_ways
@each_cell
@pytest.mark.parametrize("mark", [END, RESET], ids=repr)
def test_a_request_that_went_out_is_not_sent_again(cell: Cell, stream: bool, mark: Any) -> None:
    """The provider may have done the work, and billed it."""
    with ExactServer() as server:
        server.play([mark])
        answered = ask(cell, f"http://127.0.0.1:{server.port}/v1", stream)

        assert_refused(cell, answered, 502)
        assert len(server.asked) == 1


@pytest.mark.parametrize("again", ["answers", "closes"])
@each_cell
def test_only_a_connection_that_lay_idle_is_replaced_once(cell: Cell, again: str) -> None:
    """A server may close a kept connection just as the next request is on its way."""
    refusal = whole(400, b'{"error": "told to fail"}')
    last = refusal if again == "answers" else [END]
    with ExactServer() as server:
        server.play(refusal, [END], last)
        url = f"http://127.0.0.1:{server.port}/v1"
        choice = ProviderChoice(PROVIDERS[cell.wire], url=url, key=key_source())
        with running(choice, retries=1) as proxy:
            headers = {"x-request-id": OWN_ID}
            first = proxy.post(cell.path, cell.body(stream=False), headers)
            second = proxy.post(cell.path, cell.body(stream=False), headers)

        assert_refused(cell, first, 400)
        assert_refused(cell, second, 400 if again == "answers" else 502)
        assert [asked.connection for asked in server.asked] == [1, 1, 2]


@both_ways
@each_cell
def test_a_provider_that_says_nothing_is_a_504(cell: Cell, stream: bool) -> None:
    with ExactServer() as server:
        server.play([SILENCE])
        url = f"http://127.0.0.1:{server.port}/v1"
        answered = ask(cell, url, stream, first_byte_timeout=0.03)

        error = assert_refused(cell, answered, 504)
        assert words_of(cell, error) == said_by(cell, "deadline")
        assert len(server.asked) == 1


@each_cell
def test_a_stream_that_falls_silent_ends_with_an_error(cell: Cell) -> None:
    """Before any content a 504, after it the dialect's own error."""
    start = head(200, "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
    said = {
        "anthropic": b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"c","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some "}}\n\n',
        "openai_chat": b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"some "},"finish_reason":null}]}\n\n',
    }  # fmt: skip
    with ExactServer() as server:
        url = f"http://127.0.0.1:{server.port}/v1"
        server.play([start, SILENCE])
        early = ask(cell, url, True, idle_timeout=0.03)
        server.play([start + chunk(said[cell.wire]), SILENCE])
        late = ask(cell, url, True, idle_timeout=0.03)

    assert_refused(cell, early, 504)
    assert_failed_stream(cell, late)
    assert b"some " in late.raw


def test_every_pair_of_dialects_is_asked() -> None:
    assert len(CELLS) == 6
    assert {(cell.client, cell.wire) for cell in CELLS} == {
        (c, w) for c in PROVIDERS for w in PROVIDERS
    }


@pytest.fixture(scope="module", autouse=True)
def _no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        yield
