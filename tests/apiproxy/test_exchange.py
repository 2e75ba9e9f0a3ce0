"""One exchange through the proxy: what of the provider's words goes where."""

from __future__ import annotations

import io
import json
import socket

import pytest

from lmtools.apiproxy import Options, Server
from lmtools.apiproxy.log import Log
from lmtools.errors import TruncatedError
from lmtools.flags.provider import ProviderChoice
from lmtools.transport import MockResponse, MockTransport

WORDS = "your prompt was: what is my diagnosis"
REFUSAL = {"error": {"message": WORDS, "type": "server_error", "code": "overloaded"}}
SSE = {"content-type": "text/event-stream"}
BODY = json.dumps({"model": "m", "stream": True, "messages": []}).encode()
ASK = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


def exchange(answer: MockResponse) -> tuple[bytes, str]:
    """Return what a client of a stream gets, and the proxy's log."""
    lines = io.StringIO()
    choice = ProviderChoice("openai", url="http://127.0.0.1:9/v1")
    server = Server(
        Options(provider=choice, port=0, retries=0),
        log=Log("debug", stream=lines),
        transport=MockTransport(lambda request: answer),
    )
    with server:
        port = int(server.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 20) as client:
            client.sendall(ASK)
            with client.makefile("rb") as file:
                received = file.read()
    # The line of an exchange is written after its answer: the server has ended by now.
    return received, lines.getvalue()


def test_what_a_provider_says_in_the_first_event_of_a_stream_is_not_logged():
    """Its words may quote the prompt; the client gets them, the log the code."""
    received, log = exchange(MockResponse(200, f"data: {json.dumps(REFUSAL)}\n\n".encode(), SSE))

    assert WORDS.encode() in received
    assert WORDS not in log
    assert "openai answered with an error (overloaded)" in log


@pytest.mark.parametrize(
    ("pieces", "said"),
    [([], "truncated: the stream ended"), ([TruncatedError("the wire broke")], "the wire broke")],
)
def test_what_broke_on_the_way_is_logged_in_our_words(pieces, said):
    _, log = exchange(MockResponse(200, pieces, SSE))

    assert said in log


def test_a_handler_that_fails_is_logged_with_the_status_that_its_client_gets():
    """It is an error of ours, and must not stand in the log as an exchange like any other."""

    def fail():
        raise KeyError(WORDS)
        yield b""

    received, log = exchange(MockResponse(200, fail(), SSE))

    assert received.startswith(b"HTTP/1.1 500 ")
    assert "ERROR exchange" in log
    assert "status=500" in log
    assert WORDS not in log
