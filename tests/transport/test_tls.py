"""TLS against a real TLS server with a certificate of the test's own."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lmtools.errors import (
    CancelledError,
    ConfigError,
    ConnectError,
    DeadlineError,
    ProtocolError,
    TransportError,
    TruncatedError,
)
from lmtools.transport import HttpRequest, HttpTransport, Proxies, Timeouts, tls


def secure(identity, script, context=None):
    """The script behind a TLS handshake."""

    def run(peer):
        try:
            peer.start_tls(context or identity.context())
        except (ssl.SSLError, ConnectionError):
            return  # a client that does not trust us goes away in the handshake
        script(peer)

    return run


def repeat(peer):
    number = 0
    while peer.read_request() is not None:
        number += 1
        peer.answer(b"%d" % number)


@pytest.fixture
def trusting(make_transport, identity):
    return make_transport(ca_file=identity.certificate)


def get(server, path="", host="localhost", **options) -> HttpRequest:
    return HttpRequest("GET", f"https://{host}:{server.port}{path}", **options)


@pytest.fixture
def serve_tls(serve, identity, monkeypatch):
    return lambda *scripts: serve(*(secure(identity, script) for script in scripts))


def test_a_trusted_server_is_asked_over_one_kept_connection(serve_tls, trusting):
    server = serve_tls(repeat)
    assert [trusting.send(get(server, "/x")).read() for _ in range(3)] == [b"1", b"2", b"3"]
    assert (server.accepted, trusting.idle) == (1, 1)


def test_an_address_in_the_certificate_is_trusted(serve_tls, trusting):
    assert trusting.send(get(serve_tls(repeat), host="127.0.0.1")).read() == b"1"


def test_the_server_is_told_the_name_that_is_meant(serve, identity, trusting):
    names = []
    context = identity.context()
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    context.set_alpn_protocols(["h2", "http/1.1"])
    spoken = []

    def script(peer):
        spoken.append(peer.socket.selected_alpn_protocol())
        repeat(peer)

    trusting.send(get(serve(secure(identity, script, context)))).read()
    assert (names, spoken) == (["localhost"], ["http/1.1"])


def test_ssl_cert_file_is_honoured(serve_tls, identity):
    """In a process of its own: OpenSSL reads the variable when it first looks for authorities."""
    server = serve_tls(repeat)
    code = (
        "import sys; from lmtools.transport import *\n"
        "with HttpTransport() as transport:\n"
        "    print(transport.send(HttpRequest('GET', sys.argv[1])).read())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"https://localhost:{server.port}/"],
        env={"SSL_CERT_FILE": str(identity.certificate)},
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("b'1'\n", "")


def test_a_certificate_of_an_unknown_authority_is_refused_with_the_way_out(
    serve_tls, make_transport
):
    transport = make_transport()
    with pytest.raises(ConnectError, match="certificate was refused.*SSL_CERT_FILE"):
        transport.send(get(serve_tls(repeat)))
    assert transport.active == 0


def test_a_certificate_for_another_name_is_refused(serve_tls, make_transport, identity):
    server = serve_tls(repeat)
    transport = make_transport(
        ca_file=identity.certificate,
        lookup=lambda *rest: [(2, 1, 6, "", ("127.0.0.1", server.port))],
    )
    with pytest.raises(ConnectError, match="certificate was refused.*Check the host name"):
        transport.send(get(server, host="other.example"))


def test_tls_with_a_plain_server_says_so(serve, make_transport):
    def script(peer):
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        peer.wait_for_close()

    with pytest.raises(ConnectError, match="does not speak TLS. Is the address http://"):
        make_transport().send(get(serve(script)))


def test_plain_http_with_a_tls_server_fails_with_a_hint_or_a_close(serve, identity, transport):
    """OpenSSL servers answer with a TLS alert, others just close."""

    def script(peer):
        peer.socket.recv(100)
        peer.send(b"\x15\x03\x01\x00\x02\x02\x46")

    server = serve(script)
    with pytest.raises(ProtocolError, match="Is the address https://"):
        transport.send(HttpRequest("GET", server.url))


def test_a_server_that_closes_in_the_handshake_is_a_connect_error(serve, make_transport):
    with pytest.raises(ConnectError, match="TLS: "):
        make_transport().send(get(serve(lambda peer: peer.socket.recv(10))))


def test_a_silent_handshake_meets_the_connect_deadline(serve, make_transport, clock, watcher):
    waits = []

    def tick():
        waits.append(1)
        if len(waits) < 3:
            return None
        clock.now += 6
        return 0.0

    transport = make_transport(clock=clock)
    request = get(serve(lambda peer: peer.wait_for_close()), timeouts=Timeouts(connect=5))
    with pytest.raises(DeadlineError, match="TLS handshake"):
        transport.send(request, watcher(tick))


def test_a_ca_file_that_is_none_is_a_configuration_error(serve_tls, make_transport, tmp_path):
    server = serve_tls(repeat)
    with pytest.raises(ConfigError, match="absent.pem"):
        make_transport(ca_file=tmp_path / "absent.pem").send(get(server))
    (tmp_path / "empty.pem").write_text("nothing")
    with pytest.raises(ConfigError, match="empty.pem"):
        make_transport(ca_file=tmp_path / "empty.pem").send(get(server))


def test_a_callers_own_context_is_used(serve_tls, identity, make_transport):
    context = ssl.create_default_context(cafile=identity.certificate)
    assert make_transport(ssl_context=context).send(get(serve_tls(repeat))).read() == b"1"


def test_what_tls_already_decrypted_is_not_waited_for(serve_tls, trusting, monkeypatch):
    """A record may hold more than one read takes; the kernel has nothing more to report then."""
    monkeypatch.setattr(tls, "RECEIVE_SIZE", 1000)
    data = bytes(range(256)) * 60

    def script(peer):
        peer.request()
        peer.answer(data)
        repeat(peer)

    response = trusting.send(get(serve_tls(script)))
    assert response.buffered
    assert response.read() == data


def test_a_long_answer_comes_whole_over_tls(serve_tls, trusting):
    data = bytes(range(256)) * 40_000

    def script(peer):
        peer.request()
        peer.answer(data)
        repeat(peer)

    assert trusting.send(get(serve_tls(script))).read() == data


def test_a_burst_of_small_records_is_read_together(serve_tls, trusting):
    sent = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            peer.send(b"1\r\nx\r\n")
        peer.send(b"0\r\n\r\n")
        sent.set()
        peer.wait_for_close()

    response = trusting.send(get(serve_tls(script)))
    assert sent.wait(20)
    reads = 0
    while response.read_some():
        reads += 1
    assert reads <= 3


def test_a_stream_over_tls_comes_piece_by_piece(serve_tls, trusting):
    more = threading.Semaphore(0)

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            assert more.acquire(timeout=20)
            peer.send(b"2\r\nab\r\n")
        assert more.acquire(timeout=20)
        peer.send(b"0\r\n\r\n")

    response = trusting.send(get(serve_tls(script)))
    for _ in range(3):
        more.release()
        assert response.read_some() == b"ab"
    more.release()
    assert response.read_some() == b""


def test_a_long_body_is_sent_whole_over_tls(serve_tls, trusting):
    body = bytes(range(256)) * 40_000

    def script(peer):
        assert peer.request()[1] == body
        peer.answer()

    server = serve_tls(script)
    request = HttpRequest("POST", f"https://localhost:{server.port}/", body=body)
    assert trusting.send(request).read() == b"ok"


def test_an_early_answer_over_tls_is_the_answer(serve_tls, trusting):
    """TLS 1.3 sends session tickets first: news of its own that must not stop the request."""

    def script(peer):
        peer.socket.recv(1000)
        peer.answer(b"too large", status="413 Content Too Large")
        peer.wait_for_close()

    server = serve_tls(script)
    request = HttpRequest("POST", f"https://localhost:{server.port}/", body=bytes(50_000_000))
    response = trusting.send(request)
    assert (response.status, response.read()) == (413, b"too large")


def test_a_connection_closed_without_tls_saying_so_is_a_cut(serve_tls, trusting):
    """Anyone on the way can forge the end of a TCP connection, not that of TLS."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of i")

    response = trusting.send(get(serve_tls(script)))
    with pytest.raises(TruncatedError):
        response.read()


def test_a_connection_closed_by_tls_itself_is_an_end(serve_tls, trusting):
    """The server's farewell comes with the last bytes, and its TCP connection stays open."""
    gone = threading.Event()
    sent = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        assert go.wait(20)
        peer.send(b"all of it")
        peer.socket.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            peer.socket.unwrap()
        sent.set()
        assert gone.wait(20)

    go = threading.Event()
    response = trusting.send(get(serve_tls(script)))
    go.set()
    assert sent.wait(20)
    assert response.read() == b"all of it"
    gone.set()


def test_a_dead_reused_connection_is_replaced_over_tls(serve_tls, trusting):
    def die_at_second(peer):
        peer.request()
        peer.answer(b"first")
        peer.request()

    server = serve_tls(die_at_second, repeat)
    assert trusting.send(get(server)).read() == b"first"
    assert trusting.send(get(server)).read() == b"1"
    assert server.accepted == 2


def test_a_new_connection_that_dies_over_tls_is_a_transport_error(serve_tls, trusting):
    server = serve_tls(lambda peer: peer.request())
    with pytest.raises(TransportError, match="without an answer"):
        trusting.send(get(server))
    assert server.accepted == 1


def test_closing_ends_a_read_over_tls_in_another_thread(serve_tls, trusting, watcher):
    waits = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        peer.wait_for_close()

    def tolerant(peer):
        try:
            script(peer)
        except OSError:
            return  # the client ends without TLS's farewell

    response = trusting.send(get(serve_tls(tolerant)), watcher(waits.set))
    waits.clear()
    raised = []

    def read():
        try:
            response.read_some()
        except CancelledError as error:
            raised.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert waits.wait(20)
    response.close()
    thread.join(20)
    assert len(raised) == 1


def test_the_default_transport_reads_the_environment_once(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    with HttpTransport() as transport:
        assert transport._proxies == Proxies({"https": "http://proxy.example:3128"})
