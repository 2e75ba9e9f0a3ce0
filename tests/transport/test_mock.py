"""MockTransport: what a test of a client needs."""

from __future__ import annotations

import socket

import pytest

from lmtools.errors import CancelledError, ProtocolError, RateLimitError, TruncatedError
from lmtools.transport import HttpRequest, MockResponse, MockTransport

REQUEST = HttpRequest("POST", "https://api.example/v1?key=secret", (("X-Key", "k"),), b"{}")


def test_a_function_answers_and_the_requests_are_kept():
    def handler(request):
        assert request.header("x-key") == "k"
        return MockResponse(429, b"slow down", {"Retry-After": "3"}, reason="Too Many Requests")

    transport = MockTransport(handler)
    with transport.send(REQUEST) as response:
        assert (response.status, response.reason) == (429, "Too Many Requests")
        assert response.header("retry-after") == "3"
        assert response.request_url == REQUEST.url
        assert response.read() == b"slow down"
        assert response.read() == b""
    assert transport.requests == [REQUEST]


def test_pieces_come_one_by_one_and_empty_ones_are_no_end():
    transport = MockTransport(lambda request: MockResponse(body=[b"a", b"", b"b"]))
    response = transport.send(REQUEST)
    assert [response.read_some(), response.read_some(), response.read_some()] == [b"a", b"b", b""]
    assert response.buffered


def test_an_exception_among_the_pieces_is_raised_where_it_stands():
    transport = MockTransport(
        lambda request: MockResponse(body=iter([b"a", TruncatedError("cut"), b"never"]))
    )
    response = transport.send(REQUEST)
    assert response.read_some() == b"a"
    with pytest.raises(TruncatedError, match="cut"):
        response.read_some()


def test_a_handler_may_raise_or_give_an_answer_already_open():
    def refuse(request):
        raise RateLimitError("later")

    with pytest.raises(RateLimitError):
        MockTransport(refuse).send(REQUEST)
    transport = MockTransport(lambda request: MockResponse(body=b"x").open(request))
    assert transport.send(REQUEST).read() == b"x"


def test_bounds_hold_in_the_mock_too():
    transport = MockTransport(lambda request: MockResponse(body=b"x" * 11))
    request = HttpRequest("GET", "http://x/", max_body=10)
    with pytest.raises(ProtocolError, match="body over 10 bytes"):
        transport.send(request).read()
    assert transport.send(request).read(limit=11) == b"x" * 11


def test_a_closed_answer_gives_no_more():
    response = MockTransport(lambda request: MockResponse(body=[b"a", b"b"])).send(REQUEST)
    assert response.read_some() == b"a"
    response.close()
    with pytest.raises(CancelledError):
        response.read_some()


def test_a_closed_transport_sends_nothing():
    transport = MockTransport(lambda request: MockResponse())
    transport.close()
    with pytest.raises(CancelledError):
        transport.send(REQUEST)
    assert transport.requests == []


def test_the_watch_is_served_before_each_piece(clock, watcher):
    near, far = socket.socketpair()
    watch = watcher(fd=near.fileno(), readable=lambda: near.recv(1))
    transport = MockTransport(lambda request: MockResponse(body=[b"a", b"b"]), clock)
    with near, far:
        response = transport.send(REQUEST, watch)
        assert response.read_some() == b"a"
        far.send(b"x")
        assert response.read_some() == b"b"
    assert (watch.ticks, watch.reads) == ([1000.0, 1000.0, 1000.0], 1)


def test_a_client_that_left_ends_the_mock_answer(watcher):
    def leave():
        raise CancelledError("the client has left")

    near, far = socket.socketpair()
    far.close()
    transport = MockTransport(lambda request: MockResponse(body=[b"a"]))
    with near, pytest.raises(CancelledError, match="left"):
        transport.send(REQUEST, watcher(fd=near.fileno(), readable=leave))
