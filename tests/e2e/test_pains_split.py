"""P23: bytes that are cut in the middle of a letter, of an event, or anywhere else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lmtools.flags.provider import ProviderChoice
from lmtools.transport import HttpRequest, MockResponse, MockTransport
from tests import corpus
from tests.fakes.agents import kept_message, said
from tests.fakes.pairs import body_of, each_pair, fake_of, raw_request
from tests.fakes.proxy import Answered, Proxy, key_source, running
from tests.fakes.scenario import Call, Scenario

WAIT_S = 15.0

SPLIT = Scenario(
    thinking=("\u2014 \U0001f327",),
    text=("\u00e9\u2028\U0001f469\u200d\U0001f467", "\ud55c"),
    calls=(Call("put", ('{"path": "\U0001f327', '\u00e9"}'), "c"),),
)


def streams_of(wire: str) -> list[bytes]:
    """Return the streams of a wire: one that is hard to cut, and the recorded ones."""
    with fake_of(wire) as fake:
        frames = fake.frames(SPLIT, body_of(wire, stream_options={"include_usage": True}), 1)
    return [b"".join(frames), *(path.read_bytes() for path in recorded_streams(wire))]


def recorded_streams(wire: str) -> list[Any]:
    names = {"anthropic": ("anthropic-stream", "argo-anthropic-stream"), "openai_chat": ("openai-stream", "argo-openai-stream")}  # fmt: skip
    return [p for n in names[wire] for p in corpus.capture_files(f"*/captures/{n}.stream.txt")]


class Pieces:
    """A server whose answer comes in pieces of the test's choice."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def answer(self, request: HttpRequest) -> MockResponse:
        return MockResponse(200, list(self.pieces), {"content-type": "text/event-stream"})


@pytest.fixture
def pieces() -> Pieces:
    return Pieces()


@pytest.fixture
def split_proxy(pieces: Pieces, wire: str) -> Iterator[Proxy]:
    provider = "anthropic" if wire == "anthropic" else "openai"
    choice = ProviderChoice(provider, url="http://server.example/v1", key=key_source())
    with running(choice, MockTransport(pieces.answer), log_level="error") as proxy:
        yield proxy


class Kept:
    """One connection for many exchanges."""

    def __init__(self, proxy: Proxy, request: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", proxy.port), WAIT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._request = request

    def stream(self) -> bytes:
        """Ask once more; return the events."""
        self._socket.sendall(self._request)
        seen = bytearray()
        while not seen.endswith(b"0\r\n\r\n"):
            data = self._socket.recv(65536)
            assert data, bytes(seen)
            seen += data
        head, _, rest = bytes(seen).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        parts = []
        while size := int(rest.partition(b"\r\n")[0], 16):
            rest = rest.partition(b"\r\n")[2]
            parts.append(rest[:size])
            rest = rest[size + 2 :]
        return b"".join(parts)

    def close(self) -> None:
        self._socket.close()


def said_by(raw: bytes, dialect: str) -> Any:
    message = kept_message(Answered(200, {}, raw), stream=True)
    assert "\ufffd" not in json.dumps(message, ensure_ascii=False)
    return said(message)


@each_pair
def test_p23_no_cut_of_a_stream_harms_a_letter(
    dialect: str, wire: str, pieces: Pieces, split_proxy: Proxy
) -> None:
    """At every byte of a stream that is hard to cut, arguments and thoughts included."""
    stream = streams_of(wire)[0]
    kept = Kept(split_proxy, raw_request(dialect, wire, stream=True))
    pieces.pieces = [stream]
    expected = said_by(kept.stream(), dialect)
    for at in range(1, len(stream)):
        pieces.pieces = [stream[:at], stream[at:]]
        assert said_by(kept.stream(), dialect) == expected, at
    kept.close()

    assert "\U0001f327" in json.dumps(expected, ensure_ascii=False)


@each_pair
def test_p23_recorded_streams_say_the_same_byte_by_byte(
    dialect: str, wire: str, pieces: Pieces, split_proxy: Proxy, shared: Any
) -> None:
    kept = Kept(split_proxy, raw_request(dialect, wire, stream=True))
    for stream in streams_of(wire)[1:]:
        pieces.pieces = [stream]
        expected = said_by(kept.stream(), dialect)
        # The long ones repeat what is in the short ones.
        for size in (1, 7) if len(stream) < 20_000 else (61,):
            pieces.pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
            assert said_by(kept.stream(), dialect) == expected
    kept.close()
