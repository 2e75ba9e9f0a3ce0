"""Clients of both dialects before upstreams of both wires that fail, and what a failure must look like.

A cell is a client's dialect, the backend's wire and the way between: ``raw`` (the provider's bytes go
on), ``codec`` (one dialect on both sides, and a body that may not go on as it is) or ``translated``.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from conformance.automata import breach
from lmtools import retry
from lmtools.flags.provider import ProviderChoice
from lmtools.sse import SSEDecoder, SSEEvent
from tests.fakes.exact import PATIENCE_S, Answer, ExactServer
from tests.fakes.proxy import CONTENT, UPSTREAM_KEY, Answered, Proxy, key_source, running

WIRES = ("anthropic", "openai_chat")
PROVIDERS = {"anthropic": "anthropic", "openai_chat": "openai"}
PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions"}
MODELS = {"anthropic": "claude-haiku-4-5", "openai_chat": "gpt-4.1"}
#: The id that clients of the tests give to their requests, and the one that upstreams answer with.
OWN_ID = "mine-0007"
UPSTREAM_ID = "req_upstream_0001"
#: Bytes of a head that no client may see.
PRIVATE = ("set-cookie", "server", "cf-ray", "openai-organization", "via", "location")


@dataclass(frozen=True)
class Cell:
    client: str
    wire: str
    way: str

    def __str__(self) -> str:
        return f"{self.client}-over-{self.wire}-{self.way}"

    @property
    def path(self) -> str:
        return PATHS[self.client]

    @property
    def is_translated(self) -> bool:
        return self.way == "translated"

    def body(self, *, stream: bool) -> bytes:
        messages = [{"role": "user", "content": CONTENT}]
        asked = {"model": MODELS[self.wire], "max_tokens": 64, "messages": messages}
        text = json.dumps({**asked, "stream": stream})
        # A key that stands twice is one of the things that may not go on as they are.
        return (text if self.way != "codec" else text[:-1] + ', "max_tokens": 64}').encode()


CELLS = [
    Cell(client, wire, way)
    for client in WIRES
    for wire in WIRES
    for way in (("raw", "codec") if client == wire else ("translated",))
]
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
each_cell = pytest.mark.parametrize("cell", CELLS, ids=str)


@dataclass
class Bench:
    """One upstream of a wire, and a proxy before it."""

    upstream: ExactServer
    proxy: Proxy

    def ask(self, cell: Cell, stream: bool, *answers: Answer) -> Answered:
        """Play the answers, and return what a client of the cell gets."""
        self.upstream.play(*answers)
        headers = {"x-request-id": OWN_ID}
        return self.proxy.post(cell.path, cell.body(stream=stream), headers)

    def ask_after_ping(self, cell: Cell, answer: Answer) -> Answered:
        """Return what a client gets when the answer comes after the first ping has gone out."""
        gate = threading.Event()
        self.upstream.play([gate, *answer])
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy.port, timeout=PATIENCE_S)
        headers = {"x-request-id": OWN_ID, "Content-Type": "application/json"}
        try:
            connection.request("POST", cell.path, cell.body(stream=True), headers)
            response = connection.getresponse()
            gate.set()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answered(response.status, names, response.read())
        finally:
            connection.close()

    @property
    def attempts(self) -> int:
        return len(self.upstream.asked)


@contextmanager
def benches(**options: Any) -> Iterator[dict[str, Bench]]:
    """Run an upstream and a proxy for each wire. A retry waits a millisecond where nobody says more."""
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        patch.setattr(retry, "_FIRST_WAIT_S", 0.001)
        found = {}
        for wire in WIRES:
            upstream = stack.enter_context(ExactServer())
            url = f"http://127.0.0.1:{upstream.port}/v1"
            choice = ProviderChoice(PROVIDERS[wire], url=url, key=key_source())
            proxy = stack.enter_context(running(choice, **{"retries": 1, **options}))
            found[wire] = Bench(upstream, proxy)
        yield found


#: What a failure is -> Anthropic's type word, and OpenAI's type and code. Sources:
#: platform.claude.com/docs/en/api/errors, developers.openai.com/docs/guides/error-codes.
WORDS: dict[str, tuple[str, tuple[str, str | None]]] = {
    "invalid": ("invalid_request_error", ("invalid_request_error", None)),
    "context": ("invalid_request_error", ("invalid_request_error", "context_length_exceeded")),
    "auth": ("authentication_error", ("invalid_request_error", "invalid_api_key")),
    "billing": ("billing_error", ("insufficient_quota", "insufficient_quota")),
    "permission": ("permission_error", ("permission_error", "permission_denied")),
    "missing": ("not_found_error", ("invalid_request_error", "not_found")),
    "model": ("not_found_error", ("invalid_request_error", "model_not_found")),
    "conflict": ("conflict_error", ("invalid_request_error", "conflict")),
    "large": ("request_too_large", ("invalid_request_error", "request_too_large")),
    "rate": ("rate_limit_error", ("rate_limit_error", "rate_limit_exceeded")),
    "server": ("api_error", ("server_error", None)),
    "timeout": ("timeout_error", ("server_error", "api_timeout")),
    "overloaded": ("overloaded_error", ("server_error", "overloaded")),
    # What happens on the way to the provider has no word of a vendor's: a code of our own.
    "connect": ("api_error", ("server_error", "connect")),
    "deadline": ("timeout_error", ("server_error", "timeout")),
    "truncated": ("api_error", ("server_error", "truncated")),
    "protocol": ("api_error", ("server_error", "protocol")),
    "transport": ("api_error", ("server_error", "transport")),
    "provider": ("api_error", ("server_error", "provider")),
}
#: Kinds that another attempt may help, when the provider does not ask for more patience.
PASSING = frozenset({"rate", "server", "timeout", "overloaded", "connect"})


def words_of(cell: Cell, error: dict[str, Any]) -> Any:
    return error["type"] if cell.client == "anthropic" else (error["type"], error["code"])


def said_by(cell: Cell, kind: str) -> Any:
    """Return the words of a kind in the client's dialect."""
    return WORDS[kind][0 if cell.client == "anthropic" else 1]


def assert_refused(
    cell: Cell, answered: Answered, status: int, *, as_it_came: bool = False
) -> dict[str, Any]:
    """Check that an answer is a refusal in the client's own form, and return its error.

    One that passes ``as_it_came`` has the keys that its provider gave it.
    """
    error: dict[str, Any] = answered.body["error"] if as_it_came else answered.error
    assert answered.status == status, error
    assert answered.dialect == cell.client
    assert answered.headers["x-request-id"] == answered.headers["request-id"] == OWN_ID
    assert answered.headers["content-length"] == str(len(answered.raw))
    assert error["message"].strip()
    if cell.client == "anthropic":
        assert isinstance(answered.body.get("request_id"), str | None)
    assert_nothing_leaks(answered)
    return error


def assert_nothing_leaks(answered: Answered) -> None:
    told = answered.raw + repr(dict(answered.headers)).encode()
    assert UPSTREAM_KEY.encode() not in told
    assert b"SENTINEL" not in told
    assert not set(PRIVATE) & set(answered.headers)


def frames_of(raw: bytes) -> list[SSEEvent]:
    decoder = SSEDecoder()
    return [*decoder.feed(raw), *decoder.close()]


def assert_failed_stream(cell: Cell, answered: Answered) -> dict[str, Any]:
    """Check that a stream keeps its grammar and ends with the dialect's error; return the error."""
    assert answered.status == 200, answered.raw
    assert answered.headers["content-type"].startswith("text/event-stream")
    assert answered.headers["x-request-id"] == OWN_ID
    frames = [frame for frame in frames_of(answered.raw) if frame.data]
    assert breach(cell.client, frames) is None
    last = json.loads(frames[-1].data)
    error: dict[str, Any] = last["error"]
    assert error["message"].strip()
    if cell.client == "anthropic":
        assert (frames[-1].event, last["type"]) == ("error", "error")
        assert isinstance(error["type"], str)
        assert "message_stop" not in [frame.event for frame in frames]
    else:
        assert {"message", "type", "param", "code"} <= set(error)
    assert_nothing_leaks(answered)
    return error
