"""HttpTransport against a server that does on the wire what each test says."""

from __future__ import annotations

import gc
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lmtools.errors import (
    CancelledError,
    ConnectError,
    DeadlineError,
    ProtocolError,
    RequestError,
    TransportError,
    TruncatedError,
)
from lmtools.http1 import find_all
from lmtools.transport import HttpRequest, HttpTransport, Proxies, Timeouts

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(url: str, **options) -> HttpRequest:
    return HttpRequest("GET", url, **options)


def post(url: str, body: bytes = b"{}", **options) -> HttpRequest:
    return HttpRequest("POST", url, body=body, **options)


def repeat(peer) -> None:
    """Answer requests until the client closes; the body says which one it was."""
    number = 0
    while peer.read_request() is not None:
        number += 1
        peer.answer(b"%d" % number)


# What is sent and what comes back


def test_a_request_goes_out_with_what_it_needs_and_its_answer_comes_back(serve, transport):
    seen = []

    def script(peer):
        seen.append(peer.request())
        peer.answer(b"hello", "X-A: 1", "x-a: 2", status="418 Teapot")

    server = serve(script)
    headers = (("Content-Type", "application/json"), ("X-Key", "k"))
    with transport.send(post(f"{server.url}/v1/x?y=1", b'{"a":1}', headers=headers)) as response:
        assert (response.status, response.reason) == (418, "Teapot")
        assert response.header("x-A") == "1"
        assert find_all(response.headers, "X-A") == ["1", "2"]
        assert response.request_url == f"{server.url}/v1/x?y=1"
        assert response.read() == b"hello"
    [(head, body)] = seen
    assert (head.method, head.target, head.version, body) == (
        "POST",
        "/v1/x?y=1",
        "1.1",
        b'{"a":1}',
    )
    assert head.headers == (
        ("Host", f"127.0.0.1:{server.port}"),
        ("User-Agent", "lmtools"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Content-Length", "7"),
        *headers,
    )


def test_the_callers_own_headers_take_the_place_of_the_defaults(serve, transport):
    seen = []

    def script(peer):
        seen.append(peer.request()[0])
        peer.answer()

    own = (
        ("host", "api.example"),
        ("user-agent", "me"),
        ("ACCEPT", "a/b"),
        ("content-length", "2"),
    )
    transport.send(post(serve(script).url, headers=own)).read()
    assert seen[0].headers == (("Accept-Encoding", "identity"), *own)
    assert seen[0].target == "/"


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ((("Content-Length", "3"),), "headers.content-length"),
        ((("Transfer-Encoding", "chunked"),), "headers.transfer-encoding"),
        ((("X", "a\r\nY: b"),), "headers.X"),
    ],
)
def test_a_request_that_would_break_its_framing_is_not_sent(transport, headers, path):
    with pytest.raises(RequestError) as caught:
        transport.send(post("http://127.0.0.1:9/", headers=headers))
    assert caught.value.path == path


def test_a_long_body_is_sent_whole(serve, transport):
    body = bytes(range(256)) * 40_000

    def script(peer):
        assert peer.request()[1] == body
        peer.answer()

    assert transport.send(post(serve(script).url, body)).read() == b"ok"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_an_answer_without_a_body_ends_at_its_head(serve, transport, status):
    def script(peer):
        peer.request()
        peer.send(f"HTTP/1.1 {status}\r\nContent-Encoding: br\r\n\r\n".encode())
        repeat(peer)

    server = serve(script)
    assert transport.send(get(server.url)).read() == b""
    assert transport.send(get(server.url)).read() == b"1"
    assert server.accepted == 1


def test_the_answer_to_head_has_no_body(serve, transport):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        repeat(peer)

    server = serve(script)
    assert transport.send(HttpRequest("HEAD", server.url)).read() == b""
    assert transport.send(get(server.url)).read() == b"1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(serve, transport, status):
    def script(peer):
        peer.request()
        peer.answer(b"", "Location: http://127.0.0.1:1/", status=f"{status} Elsewhere")

    response = transport.send(get(serve(script).url, headers=(("Authorization", "key"),)))
    assert (response.status, response.header("location")) == (status, "http://127.0.0.1:1/")


def test_chunks_that_come_byte_by_byte_are_one_body(serve, transport):
    def script(peer):
        peer.request()
        for byte in CHUNKED + b"5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n":
            peer.send(bytes([byte]))

    assert transport.send(get(serve(script).url)).read() == b"hello!"


def test_one_read_gives_what_has_come(serve, transport):
    """A stream's pieces are handed on as they come, without waiting for more."""
    more = threading.Semaphore(0)

    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")
        for _ in range(3):
            assert more.acquire(timeout=20)
            peer.send(b"1\r\n!\r\n2\r\n?!\r\n")
        assert more.acquire(timeout=20)
        peer.send(b"0\r\n\r\n")

    response = transport.send(get(serve(script).url))
    assert response.read_some() == b"hello"
    for _ in range(3):
        more.release()
        assert response.read_some() == b"!?!"
    more.release()
    assert response.read_some() == b""
    assert response.read_some() == b""
    assert response.buffered


def test_bytes_that_came_with_the_head_are_buffered(serve, transport):
    done = threading.Event()

    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")
        assert done.wait(20)

    response = transport.send(get(serve(script).url))
    assert response.buffered
    assert response.read_some() == b"hello"
    assert not response.buffered
    done.set()
    response.close()


def test_a_body_without_framing_ends_with_its_connection(serve, transport):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    server = serve(script)
    assert transport.send(get(server.url)).read() == b"all of it"
    assert transport.idle == 0


def test_old_servers_lines_are_read(serve, transport):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.0 200 OK\nContent-Length: 2\n\nok")

    server = serve(script)
    assert transport.send(get(server.url)).read() == b"ok"
    assert transport.idle == 0


# Interim answers


def test_interim_answers_are_passed_over(serve, transport):
    """103 taken for the answer is a bug that other clients have had."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        repeat(peer)

    server = serve(script)
    response = transport.send(get(server.url))
    assert (response.status, response.header("link"), response.read()) == (200, None, b"ok")
    assert transport.send(get(server.url)).read() == b"1"


def test_endless_interim_answers_are_refused(serve, transport):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 33)
        peer.wait_for_close()

    with pytest.raises(ProtocolError, match="33 interim answers"):
        transport.send(get(serve(script).url))


def test_a_switch_of_protocols_that_nobody_asked_for_is_refused(serve, transport):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        peer.wait_for_close()

    with pytest.raises(ProtocolError, match="101"):
        transport.send(get(serve(script).url))


# Keeping connections


def test_a_connection_is_used_again(serve, transport):
    server = serve(repeat)
    assert [transport.send(get(server.url)).read() for _ in range(3)] == [b"1", b"2", b"3"]
    assert (server.accepted, transport.idle) == (1, 1)


def test_a_body_that_came_with_its_head_returns_the_connection_unread(serve, transport):
    """Whoever looks at the status alone neither leaks nor loses the connection."""
    server = serve(repeat)
    assert transport.send(get(server.url)).status == 200
    response = transport.send(get(server.url))
    assert (server.accepted, transport.active) == (1, 0)
    assert response.read() == b"2"


def test_a_connection_that_the_server_closed_while_idle_is_not_used(serve, transport):
    closed = threading.Event()

    def once(peer):
        peer.request()
        peer.answer(b"once")
        peer.socket.close()
        closed.set()

    server = serve(once, repeat)
    assert transport.send(get(server.url)).read() == b"once"
    assert closed.wait(20)
    assert transport.send(get(server.url)).read() == b"1"
    assert server.accepted == 2


def test_bytes_after_an_answer_end_the_connection(serve, transport):
    """What the server says unasked must not become the answer to the next request."""

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 Forged\r\n\r\n")
        peer.wait_for_close()

    server = serve(script, repeat)
    assert transport.send(get(server.url)).read() == b"ok"
    assert transport.idle == 0
    assert transport.send(get(server.url)).read() == b"1"


def test_bytes_sent_while_the_connection_is_idle_end_it(serve, transport):
    spoke = threading.Event()
    speak = threading.Event()

    def script(peer):
        peer.request()
        peer.answer()
        assert speak.wait(20)
        peer.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        spoke.set()
        peer.wait_for_close()

    server = serve(script, repeat)
    assert transport.send(get(server.url)).read() == b"ok"
    assert transport.idle == 1
    speak.set()
    assert spoke.wait(20)
    assert transport.send(get(server.url)).status == 200
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("request_headers", "answer"),
    [
        ((("Connection", "close"),), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ((), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        ((), b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ((), CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
    ],
)
def test_a_connection_that_may_not_stay_is_closed(serve, transport, request_headers, answer):
    def script(peer):
        peer.request()
        peer.send(answer)
        assert peer.wait_for_close() == b""

    assert transport.send(get(serve(script).url, headers=request_headers)).read() == b""
    assert transport.idle == 0


def test_closing_an_unread_answer_closes_its_connection(serve, transport):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        assert peer.wait_for_close() == b""

    response = transport.send(get(serve(script).url))
    assert transport.active == 1
    response.close()
    assert (transport.active, transport.idle) == (0, 0)
    response.close()
    with pytest.raises(CancelledError, match="closed"):
        while response.read_some():
            pass


def test_a_finished_answer_returns_its_connection_when_its_framing_ends(serve, transport):
    """A stream's end marker may come a segment before the last chunk."""
    marker_read = threading.Event()

    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"3\r\nend\r\n")
        marker_read.wait(5)
        peer.send(b"0\r\n\r\n")
        peer.request()
        peer.answer(b"again")

    server = serve(script)
    response = transport.send(get(server.url))
    assert response.read_some() == b"end"
    marker_read.set()
    response.finish(5.0)

    assert transport.idle == 1
    assert transport.send(get(server.url)).read() == b"again"


@pytest.mark.parametrize("more", [b"", b"3\r\nxxx\r\n" * 50])
def test_a_finished_answer_that_does_not_end_is_given_up(serve, transport, more):
    given_up = threading.Event()

    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"3\r\nend\r\n")
        peer.send(more)
        given_up.wait(5)

    response = transport.send(get(serve(script).url))
    assert response.read_some()[:3] == b"end"
    response.finish(0.0)
    given_up.set()

    assert (transport.idle, transport.active) == (0, 0)


def test_an_answer_that_is_forgotten_gives_its_slot_back(serve, transport):
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        peer.wait_for_close()

    response = transport.send(get(serve(script).url))
    assert transport.active == 1
    del response
    assert transport.active == 0


# Sending again


def test_a_reused_connection_that_dies_without_a_byte_is_replaced_once(serve, transport):
    def die_at_second(peer):
        peer.request()
        peer.answer(b"first")
        assert peer.request()[1] == b"second"

    def again(peer):
        assert peer.request()[1] == b"second"
        peer.answer(b"again")

    server = serve(die_at_second, again)
    assert transport.send(post(server.url, b"first")).read() == b"first"
    assert transport.send(post(server.url, b"second")).read() == b"again"
    assert server.accepted == 2


def test_a_reused_connection_that_is_reset_without_a_byte_is_replaced(serve, transport):
    def die_at_second(peer):
        peer.request()
        peer.answer(b"first")
        peer.request()
        peer.reset()

    server = serve(die_at_second, repeat)
    assert transport.send(post(server.url)).read() == b"first"
    assert transport.send(post(server.url)).read() == b"1"


def test_a_request_is_sent_no_third_time(serve, transport):
    def die_at_second(peer):
        peer.request()
        peer.answer(b"first")
        peer.request()

    server = serve(die_at_second, lambda peer: peer.request())
    assert transport.send(post(server.url)).read() == b"first"
    with pytest.raises(TransportError, match="without an answer"):
        transport.send(post(server.url))
    assert server.accepted == 2


def test_a_new_connection_that_dies_is_not_tried_again(serve, transport):
    """The server may have begun to work on the request: only the caller may repeat it."""
    server = serve(lambda peer: peer.request())
    with pytest.raises(TransportError, match="ended without an answer"):
        transport.send(post(server.url))
    assert server.accepted == 1


def test_a_reused_connection_that_dies_after_a_byte_is_not_tried_again(serve, transport):
    def die_in_the_head(peer):
        peer.request()
        peer.answer(b"first")
        peer.request()
        peer.send(b"H")

    server = serve(die_in_the_head)
    assert transport.send(post(server.url)).read() == b"first"
    with pytest.raises(TruncatedError, match="inside the head"):
        transport.send(post(server.url))
    assert server.accepted == 1


def test_an_interim_answer_is_a_byte_of_the_answer(serve, transport):
    def die_after_interim(peer):
        peer.request()
        peer.answer(b"first")
        peer.request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    server = serve(die_after_interim)
    assert transport.send(post(server.url)).read() == b"first"
    with pytest.raises(TruncatedError):
        transport.send(post(server.url))
    assert server.accepted == 1


# Answers that break


CUT_BODIES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    CHUNKED + b"5\r\nhel",
    CHUNKED + b"5\r\nhello",
    CHUNKED + b"5\r\nhello\r\n",
    CHUNKED + b"5\r\nhello\r\n0",
    CHUNKED + b"5\r\nhello\r\n0\r\n",
    CHUNKED + b"5\r\nhello\r\n0\r\nTrailer: x\r\n",
]


@pytest.mark.parametrize("wire", CUT_BODIES)
@pytest.mark.parametrize("reset", [False, True], ids=["close", "reset"])
def test_a_cut_body_is_truncated_never_short(serve, transport, wire, reset):
    taken = threading.Event()

    def script(peer):
        peer.request()
        peer.send(wire)
        if reset:
            # A reset may take away what has not been read.
            assert taken.wait(20)
            peer.reset()

    response = transport.send(get(serve(script).url))
    taken.set()
    with pytest.raises(TruncatedError, match="127.0.0.1"):
        response.read()
    assert transport.active == 0


def test_a_reset_before_the_answer_is_a_transport_error(serve, transport):
    def script(peer):
        peer.request()
        peer.reset()

    with pytest.raises(TransportError, match="without an answer") as caught:
        transport.send(get(serve(script).url))
    assert caught.value.retryable


BROKEN = [
    (b"SSH-2.0-OpenSSH_9.6\r\n", "not HTTP/1"),
    (b"\x15\x03\x01\x00\x02\x02\x46", "speaks TLS"),
    (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "no colon"),
    (b"HTTP/1.1 abc\r\n\r\n", "status line"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "Content-Length"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\n", "zip"),
    (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello", "br"),
    (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, "longer than"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n", "more than 256 headers"),
    (CHUNKED + b"zz\r\n", "chunk size"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "longer than 1000"),
]


@pytest.mark.parametrize(("wire", "message"), BROKEN)
def test_an_answer_that_breaks_the_rules_is_refused_by_name(serve, transport, wire, message):
    def script(peer):
        peer.request()
        peer.send(wire)
        peer.wait_for_close()

    with pytest.raises(ProtocolError, match=message) as caught:
        transport.send(get(serve(script).url, max_body=1000)).read()
    assert "127.0.0.1" in str(caught.value)
    assert caught.value.status is None


def test_a_broken_chunk_in_the_middle_is_refused(serve, transport):
    go = threading.Event()

    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")
        assert go.wait(20)
        peer.send(b"5\r\nhelloX")
        peer.wait_for_close()

    response = transport.send(get(serve(script).url))
    assert response.read_some() == b"hello"
    go.set()
    with pytest.raises(ProtocolError, match="127.0.0.1.*chunked body") as caught:
        response.read_some()
    assert caught.value.status is None


def test_an_endless_body_ends_at_the_bound(serve, transport):
    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"400\r\n" + b"x" * 1024 + b"\r\n" + b"1\r\ny\r\n")
        peer.wait_for_close()

    with pytest.raises(ProtocolError, match="longer than 1024 bytes"):
        transport.send(get(serve(script).url, max_body=1024)).read()


def test_reading_stops_at_the_callers_limit(serve, transport):
    def script(peer):
        peer.request()
        peer.answer(b"x" * 100)
        peer.wait_for_close()

    with pytest.raises(ProtocolError, match="body over 99 bytes"):
        transport.send(get(serve(script).url)).read(limit=99)


def test_an_answer_before_the_whole_request_was_read_is_the_answer(serve, transport):
    """413 comes while a long body is still going out, and then nobody reads the rest."""

    def script(peer):
        peer.socket.recv(1000)
        peer.answer(b"too large", status="413 Content Too Large")
        peer.wait_for_close()

    server = serve(script)
    response = transport.send(post(server.url, bytes(50_000_000)))
    assert (response.status, response.read()) == (413, b"too large")
    assert transport.idle == 0


def test_an_early_interim_answer_does_not_stop_the_request(serve, transport):
    body = bytes(20_000_000)

    def script(peer):
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert peer.request()[1] == body
        peer.answer()

    response = transport.send(post(serve(script).url, body))
    assert (response.status, response.read()) == (200, b"ok")


def test_a_server_that_closes_during_the_request_has_not_answered(serve, transport):
    def script(peer):
        peer.socket.recv(1000)

    with pytest.raises(TransportError):
        transport.send(post(serve(script).url, bytes(50_000_000)))


# Deadlines: the clock is the test's


def test_a_silent_server_meets_the_first_byte_deadline(serve, make_transport, clock, watcher):
    def script(peer):
        peer.request()
        peer.wait_for_close()

    def pass_time():
        clock.now += 11
        return 0.0

    transport = make_transport(clock=clock)
    request = get(serve(script).url, timeouts=Timeouts(first_byte=10))
    with pytest.raises(DeadlineError, match="waiting for the answer"):
        transport.send(request, watcher(pass_time))
    assert transport.active == 0


def test_a_head_that_trickles_meets_the_first_byte_deadline(serve, make_transport, clock, watcher):
    more = threading.Semaphore(0)

    def script(peer):
        peer.request()
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000:
            if not more.acquire(timeout=20) or stopped.is_set():
                break
            peer.send(bytes([byte]))
        peer.wait_for_close()

    stopped = threading.Event()
    transport = make_transport(clock=clock)

    def one_byte_per_second():
        clock.now += 1
        if clock.now > 1030:
            stopped.set()
            return 0.0
        more.release()
        return None

    request = get(serve(script).url, timeouts=Timeouts(first_byte=30))
    with pytest.raises(DeadlineError):
        transport.send(request, watcher(one_byte_per_second))
    more.release()


def test_silence_inside_a_body_meets_the_idle_deadline(serve, make_transport, clock, watcher):
    def script(peer):
        peer.request()
        peer.send(CHUNKED + b"5\r\nhello\r\n")
        peer.wait_for_close()

    late = []

    def tick():
        if late:
            clock.now += 6
        return 0.0 if late else None

    transport = make_transport(clock=clock)
    request = get(serve(script).url, timeouts=Timeouts(idle=5))
    response = transport.send(request, watcher(tick))
    assert response.read_some() == b"hello"
    late.append(True)
    with pytest.raises(DeadlineError, match="more of the answer"):
        response.read_some()
    assert transport.active == 0


def test_a_live_stream_has_no_total_deadline(serve, make_transport, clock):
    go = threading.Semaphore(0)

    def script(peer):
        peer.request()
        peer.send(CHUNKED)
        for _ in range(5):
            assert go.acquire(timeout=20)
            peer.send(b"1\r\nx\r\n")
        peer.send(b"0\r\n\r\n")

    transport = make_transport(clock=clock)
    timeouts = Timeouts(connect=30, first_byte=30, idle=30)
    response = transport.send(get(serve(script).url, timeouts=timeouts))
    for _ in range(5):
        clock.now += 1000
        go.release()
        assert response.read_some() == b"x"
    assert response.read() == b""


def test_no_deadline_at_all_is_possible(serve, make_transport):
    transport = make_transport()
    timeouts = Timeouts(connect=None, first_byte=None, idle=None)
    assert transport.send(get(serve(repeat).url, timeouts=timeouts)).read() == b"1"


# Cancelling, and the watch


def blocked_stream(peer):
    peer.request()
    peer.send(CHUNKED + b"5\r\nhello\r\n")
    peer.wait_for_close()


def test_closing_an_answer_ends_a_read_that_waits_in_another_thread(serve, make_transport, watcher):
    waits = threading.Event()
    transport = make_transport()
    response = transport.send(get(serve(blocked_stream).url), watcher(waits.set))
    assert response.read_some() == b"hello"
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
    assert transport.active == 0


def test_closing_an_answer_that_only_eof_ends_is_no_end_of_its_body(serve, make_transport, watcher):
    """The abort looks like the end of input; it must not look like a whole answer."""
    waits = threading.Event()

    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        peer.wait_for_close()

    response = make_transport().send(get(serve(script).url), watcher(waits.set))
    waits.clear()
    outcome = []

    def read():
        try:
            outcome.append(response.read_some())
        except CancelledError as error:
            outcome.append(type(error))

    thread = threading.Thread(target=read)
    thread.start()
    assert waits.wait(20)
    response.close()
    thread.join(20)
    assert outcome == [CancelledError]


def test_closing_the_transport_ends_every_wait(serve, make_transport, watcher):
    def silent(peer):
        peer.request()
        peer.wait_for_close()

    transport = make_transport()
    server = serve(silent)
    raised = []
    waiting = threading.Barrier(4)

    def send():
        ticks = []

        def tick():
            ticks.append(1)
            if len(ticks) == 2:  # the first wait was for the connection
                waiting.wait(20)

        try:
            transport.send(get(server.url), watcher(tick))
        except CancelledError as error:
            raised.append(str(error))

    threads = [threading.Thread(target=send) for _ in range(3)]
    for thread in threads:
        thread.start()
    waiting.wait(20)
    transport.close()
    for thread in threads:
        thread.join(20)
    assert raised == [f"{server.url}: the transport was closed"] * 3


def test_a_closed_transport_sends_nothing(serve, make_transport):
    transport = make_transport()
    transport.close()
    transport.close()
    with pytest.raises(CancelledError, match="the transport is closed"):
        transport.send(get("http://127.0.0.1:9/"))


def test_closing_the_transport_closes_what_lies_in_the_pool(serve, make_transport):
    closed = threading.Event()

    def script(peer):
        repeat(peer)
        closed.set()

    transport = make_transport()
    server = serve(script)
    first = transport.send(get(server.url))
    assert transport.idle == 1
    transport.close()
    assert closed.wait(20)
    assert first.read() == b"1"
    assert transport.idle == 0


def test_a_client_that_leaves_ends_the_wait_for_the_provider(serve, make_transport, watcher):
    near, far = socket.socketpair()

    def leave():
        assert near.recv(10) == b""
        raise CancelledError("the client has left")

    def script(peer):
        peer.request()
        far.close()
        assert peer.wait_for_close() == b""

    transport = make_transport()
    with near:
        watch = watcher(fd=near.fileno(), readable=leave)
        with pytest.raises(CancelledError, match="client has left"):
            transport.send(get(serve(script).url), watch)
    assert (watch.reads, transport.active, transport.idle) == (1, 0, 0)


def test_a_watch_that_is_readable_goes_on_until_it_says_otherwise(serve, transport, watcher):
    """Input that is not a farewell (the next request, sent early) ends the watching only."""
    near, far = socket.socketpair()
    go = threading.Event()

    def script(peer):
        peer.request()
        far.send(b"GET")
        assert go.wait(20)
        peer.answer(b"done")

    def stop_watching():
        watch.fd = -1
        go.set()

    watch = watcher(fd=near.fileno(), readable=stop_watching)
    with near, far:
        assert transport.send(get(serve(script).url), watch).read() == b"done"
    assert watch.reads == 1


def test_the_watch_is_called_at_the_times_it_asks_for(serve, transport, watcher):
    go = threading.Event()

    def script(peer):
        peer.request()
        peer.send(CHUNKED)
        assert go.wait(20)
        peer.send(b"0\r\n\r\n")

    def tick():
        if len(watch.ticks) == 6:
            go.set()
        return 0.001

    watch = watcher(tick)
    assert transport.send(get(serve(script).url), watch).read() == b""
    assert len(watch.ticks) >= 6
    assert watch.ticks == sorted(watch.ticks)


# Connecting


def test_a_port_where_nobody_listens_is_named(serve, transport):
    server = serve(repeat)
    with pytest.raises(ConnectError, match="cannot connect to port 1 of 127.0.0.1") as caught:
        transport.send(get("http://127.0.0.1:1/secret-path?key=secret"))
    assert "secret" not in str(caught.value)
    assert caught.value.retryable
    assert transport.send(get(server.url)).read() == b"1"


def test_a_name_that_does_not_resolve_is_named(transport):
    with pytest.raises(ConnectError, match=r"the name nowhere\.invalid was not found"):
        transport.send(get("http://nowhere.invalid/"))


@pytest.mark.parametrize(
    ("number", "retryable"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)]
)
def test_only_a_resolver_in_trouble_is_worth_asking_again(make_transport, number, retryable):
    def lookup(*wanted):
        raise socket.gaierror(number, "no")

    with pytest.raises(ConnectError) as caught:
        make_transport(lookup=lookup).send(get("http://nowhere.invalid/"))

    assert caught.value.retryable is retryable


def test_a_name_that_cannot_be_a_name_does_not_resolve(transport):
    with pytest.raises(ConnectError, match="was not found"):
        transport.send(get("http://a..invalid/"))


def test_the_next_address_is_tried_when_one_refuses(serve, make_transport):
    server = serve(repeat)
    asked = []

    def lookup(host, port, *rest):
        asked.append(host)
        return [(2, 1, 6, "", ("127.0.0.1", 1)), (2, 1, 6, "", ("127.0.0.1", server.port))]

    transport = make_transport(lookup=lookup)
    assert transport.send(get("http://two.example/")).read() == b"1"
    assert asked == ["two.example"]


def test_every_address_that_failed_is_told(make_transport):
    def lookup(host, port, *rest):
        return [(2, 1, 6, "", ("127.0.0.1", 1)), (2, 1, 6, "", ("127.0.0.2", 1))]

    with pytest.raises(ConnectError, match=r"127\.0\.0\.1: .*; 127\.0\.0\.2: "):
        make_transport(lookup=lookup).send(get("http://two.example/"))


def test_a_name_without_addresses_is_told(make_transport):
    with pytest.raises(ConnectError, match="no address"):
        make_transport(lookup=lambda *rest: []).send(get("http://none.example/"))


def test_a_look_up_that_hangs_meets_the_connect_deadline(make_transport, clock, watcher):
    release = threading.Event()

    def lookup(*rest):
        assert release.wait(20)
        return []

    def pass_time():
        clock.now += 6
        return 0.0

    transport = make_transport(clock=clock, lookup=lookup)
    try:
        with pytest.raises(DeadlineError, match=r"looking up slow\.example"):
            request = get("http://slow.example/", timeouts=Timeouts(connect=5))
            transport.send(request, watcher(pass_time))
    finally:
        release.set()


def test_an_address_that_stays_silent_leaves_time_for_the_next(
    serve, make_transport, clock, watcher, silent_address
):
    server = serve(repeat)

    def lookup(*rest):
        return [(2, 1, 6, "", silent_address), (2, 1, 6, "", ("127.0.0.1", server.port))]

    waits = []

    def first_share_passes():
        waits.append(1)
        if len(waits) == 2:  # the first wait is for the name
            clock.now += 6
            return 0.0
        return None

    transport = make_transport(clock=clock, lookup=lookup)
    request = get("http://two.example/", timeouts=Timeouts(connect=10))
    assert transport.send(request, watcher(first_share_passes)).read() == b"1"


def test_a_connection_that_nobody_accepts_meets_the_connect_deadline(
    make_transport, clock, watcher, silent_address
):
    def pass_time():
        clock.now += 6
        return 0.0

    transport = make_transport(clock=clock)
    request = get(f"http://127.0.0.1:{silent_address[1]}/", timeouts=Timeouts(connect=5))
    with pytest.raises(DeadlineError, match="connect"):
        transport.send(request, watcher(pass_time))


# Slots


def test_exchanges_beyond_the_bound_wait_in_line(serve, make_transport, watcher):
    transport = make_transport(max_connections=1)
    server = serve(blocked_stream, repeat)
    first = transport.send(get(server.url))
    in_line = threading.Event()
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(transport.send(get(server.url), watcher(in_line.set)).read())
    )
    thread.start()
    assert in_line.wait(20)
    assert server.accepted == 1
    first.close()
    thread.join(20)
    assert answers == [b"1"]


def test_waiting_in_line_ends_at_the_connect_deadline(serve, make_transport, clock, watcher):
    def pass_time():
        clock.now += 11
        return 0.0

    transport = make_transport(max_connections=1, clock=clock)
    server = serve(blocked_stream, repeat)
    first = transport.send(get(server.url))
    with pytest.raises(DeadlineError, match="all 1 connections are busy"):
        transport.send(get(server.url), watcher(pass_time))
    assert transport.active == 1
    first.close()
    assert transport.active == 0
    assert transport.send(get(server.url)).read() == b"1"


def test_unread_answers_do_not_use_the_slots_up(serve, make_transport):
    transport = make_transport(max_connections=2)
    server = serve(blocked_stream)
    for _ in range(5):
        with transport.send(get(server.url)):
            pass
    assert transport.active == 0


# Imports


def test_importing_the_transport_loads_no_heavy_module():
    code = (
        "import sys, lmtools.transport as t; t.HttpTransport().close(); "
        "print([m for m in ('ssl', 'http.client', 'email', 'urllib.request', 'asyncio', 'logging') "
        "if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout == "[]\n"


# Sharing and leaking


def test_threads_that_share_a_transport_get_their_own_answers(serve, transport):
    def echo(peer):
        while (found := peer.read_request()) is not None:
            peer.answer(found[1])

    server = serve(echo)
    wrong = []

    def work(name):
        for number in range(40):
            body = f"{name}-{number}".encode() * 50
            if transport.send(post(server.url, body)).read() != body:
                wrong.append(body)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert server.accepted <= 6


DESCRIPTORS = Path("/proc/self/fd")


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="counts descriptors in /proc")
def test_exchanges_that_fail_leave_no_descriptor_open(serve, clock, watcher):
    def pass_time():
        clock.now += 700
        return 0.0

    def lookup(host, port, *rest):
        raise OSError("no such name")

    gc.collect()
    before = len(list(DESCRIPTORS.iterdir()))
    cut = serve(lambda peer: peer.request() and peer.send(b"HTTP/1.1 200 OK\r\n"))
    silent = serve(lambda peer: peer.wait_for_close())
    with HttpTransport(proxies=Proxies(), clock=clock, lookup=lookup) as transport:
        for url in [cut.url, "http://127.0.0.1:1/", "http://nowhere.example/"] * 5:
            with pytest.raises(TransportError):
                transport.send(get(url))
        for _ in range(5):
            with pytest.raises(DeadlineError):
                transport.send(get(silent.url), watcher(pass_time))
    del transport
    cut.close()
    silent.close()
    gc.collect()
    assert len(list(DESCRIPTORS.iterdir())) == before
