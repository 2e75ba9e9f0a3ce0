"""The proxy as clients meet it: routes, names, ids, losses, true statuses, pings, and clients that leave."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from lmtools.apiproxy import exchange
from lmtools.apiproxy.options import ModelRule
from lmtools.flags.provider import ProviderChoice
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import CONTENT, Proxy, before, events, running
from tests.fakes.scenario import (
    AFTER,
    BEFORE,
    CUT_EARLY,
    FAILS_EARLY,
    FAILS_MIDWAY,
    HELLO,
    PARALLEL_TOOLS,
    Failure,
    Scenario,
    refusing,
)
from tests.fakes.server import Gate

PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions"}
MODELS = {"anthropic": "claude-haiku-4-5", "openai_chat": "gpt-4.1"}
ASK = [{"role": "user", "content": CONTENT}]
WAIT_S = 15.0


class Cell:
    """A client's dialect, a wire, a fake behind it and a proxy between."""

    def __init__(self, dialect: str, wire: str, fake: FakeAPI, proxy: Proxy) -> None:
        self.dialect, self.wire, self.fake, self.proxy = dialect, wire, fake, proxy
        self.path = PATHS[dialect]

    def body(self, **more: Any) -> dict[str, Any]:
        return {"model": MODELS[self.wire], "max_tokens": 64, "messages": ASK, **more}

    def post(self, **more: Any) -> Any:
        return self.proxy.post(self.path, self.body(**more))

    def request(self, **more: Any) -> bytes:
        """Return the bytes of a request, for a raw socket."""
        body = json.dumps(self.body(**more)).encode()
        head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


def fake_of(wire: str) -> FakeAPI:
    return FakeAnthropic() if wire == "anthropic" else FakeOpenAI()


@pytest.fixture(params=[(d, w) for d in PATHS for w in PATHS], ids=lambda p: f"{p[0]}-over-{p[1]}")
def cell(request: pytest.FixtureRequest) -> Iterator[Cell]:
    dialect, wire = request.param
    with fake_of(wire) as fake, before(fake) as proxy:
        yield Cell(dialect, wire, fake, proxy)


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.close()


@pytest.fixture
def loopback() -> Iterator[Proxy]:
    with running(ProviderChoice("loopback")) as proxy:
        yield proxy


# Routes


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/v1/models", "/v1/models/echo"])
def test_head_is_get_without_its_body(loopback: Proxy, path: str) -> None:
    """Claude Code's first request is HEAD / without a key."""
    got, headed = loopback.ask("GET", path), loopback.ask("HEAD", path)

    assert (got.status, headed.status, headed.raw) == (200, 200, b"")
    assert headed.headers["content-length"] == str(len(got.raw))
    assert got.headers["content-type"] == "application/json"


def test_the_root_says_what_is_served(loopback: Proxy) -> None:
    said = loopback.ask("GET", "/").body

    assert said["provider"] == "loopback"
    assert set(PATHS.values()) <= set(said["serves"])


def test_queries_do_not_matter_to_the_route(loopback: Proxy) -> None:
    body = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}

    assert loopback.post("/v1/messages?beta=true", body).status == 200
    assert loopback.ask("GET", "/v1/models?limit=1000").status == 200


def test_one_connection_carries_many_exchanges(cell: Cell) -> None:
    """Errors and streams keep it open, too."""
    cell.fake.play(HELLO, refusing(400), HELLO, HELLO)
    with socket.create_connection(("127.0.0.1", cell.proxy.port), WAIT_S) as connection:
        reader = connection.makefile("rb")
        statuses = []
        for stream in (False, False, True, False):
            connection.sendall(cell.request(stream=stream))
            statuses.append(read_answer(reader)[0])
        reader.close()

    assert statuses == [200, 400, 200, 200]


def read_answer(reader: Any) -> tuple[int, dict[str, str], bytes]:
    """Read one answer off a connection that stays open."""
    status, headers = read_head(reader)
    if "content-length" in headers:
        return status, headers, reader.read(int(headers["content-length"]))
    parts = []
    while size := int(reader.readline(), 16):
        parts.append(reader.read(size))
        reader.readline()
    reader.readline()
    return status, headers, b"".join(parts)


def read_head(reader: Any) -> tuple[int, dict[str, str]]:
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers


# Names, ids, losses


def test_a_request_id_is_echoed_under_both_names(cell: Cell) -> None:
    given = cell.proxy.post(cell.path, cell.body(), {"x-request-id": "my-id.1"})
    made = cell.post()
    odd = cell.proxy.post(cell.path, cell.body(), {"x-request-id": "no spaces or; such"})
    failed = cell.proxy.post(cell.path, {}, {"x-request-id": "my-id.2"})

    assert (given.headers["x-request-id"], given.headers["request-id"]) == ("my-id.1", "my-id.1")
    assert re.fullmatch(r"req_[0-9a-f]{24}", made.headers["request-id"])
    assert re.fullmatch(r"req_[0-9a-f]{24}", odd.headers["request-id"])
    assert failed.headers["x-request-id"] == "my-id.2"
    cell.proxy.server.close(WAIT_S)
    assert "request_id=my-id.1" in cell.proxy.log.getvalue()


def test_the_log_has_one_line_for_each_exchange(cell: Cell) -> None:
    cell.fake.play(HELLO, refusing(429, "3"))
    cell.post(stream=True)
    cell.post()
    cell.proxy.server.close(WAIT_S)

    lines = [line for line in cell.proxy.log.getvalue().splitlines() if " exchange " in line]

    # A line is written after its answer has gone out, so that the second may come first.
    good, failed = sorted(lines, key=lambda line: "status=429" in line)
    assert {"status=200", "stream=true"} <= set(good.split())
    assert {"status=429", f"client={cell.dialect}"} <= set(failed.split())


@pytest.mark.parametrize("stream", [False, True])
def test_a_mapped_model_answers_under_the_name_that_was_asked(stream: bool) -> None:
    for dialect, path in PATHS.items():
        for wire, model in MODELS.items():
            rules = (ModelRule(re.compile("^mine"), model),)
            with fake_of(wire) as fake, before(fake, model_map=rules) as proxy:
                body = {"model": "mine-1", "max_tokens": 9, "messages": ASK, "stream": stream}
                answered = proxy.post(path, body)
                assert fake.asked[0].body["model"] == model
            assert answered.status == 200
            named = re.findall(rb'"model":\s*"([^"]*)"', answered.raw)
            assert set(named) == {b"mine-1"}, (dialect, wire)
            assert model.encode() not in answered.raw


def test_what_the_wire_cannot_say_is_named_in_a_header() -> None:
    with FakeOpenAI() as fake, before(fake) as proxy:
        body = {"model": "gpt-4.1", "max_tokens": 9, "messages": ASK, "top_k": 5}
        whole = proxy.post("/v1/messages", body)
        streamed = proxy.post("/v1/messages", {**body, "stream": True})
        plain = proxy.post("/v1/chat/completions", {k: v for k, v in body.items() if k != "top_k"})

    assert fake.refused == []
    for answered in (whole, streamed):
        assert answered.status == 200
        assert "top_k;dropped" in answered.headers["x-lmtools-loss"]
    assert "x-lmtools-loss" not in plain.headers


@pytest.mark.parametrize("wire", sorted(PATHS))
def test_a_chat_stream_has_usage_only_when_it_was_asked_for(wire: str) -> None:
    with fake_of(wire) as fake, before(fake) as proxy:
        cell = Cell("openai_chat", wire, fake, proxy)
        bare = events(cell.post(stream=True).raw)
        asked = events(cell.post(stream=True, stream_options={"include_usage": True}).raw)

    assert not any(data.get("usage") for _, data in bare[:-1])
    assert asked[-2][1]["usage"]["prompt_tokens"] == 11
    assert asked[-2][1]["choices"] == []
    assert asked[-1][1] == "[DONE]"


# Statuses


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 529])
def test_an_upstreams_status_is_the_clients(cell: Cell, status: int, stream: bool) -> None:
    cell.fake.play(refusing(status, "17"))

    answered = cell.post(stream=stream)

    assert (answered.status, answered.dialect) == (status, cell.dialect)
    assert answered.headers["retry-after"] == "17"
    assert "told to fail" in answered.error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_page_from_a_gateway_becomes_an_error_in_the_clients_dialect(
    cell: Cell, stream: bool
) -> None:
    page = b"<html><head><title>503 Service Unavailable</title></head><body>nginx</body></html>"
    cell.fake.play(Scenario(failure=Failure(503, raw=page, retry_after="2")))

    answered = cell.post(stream=stream)

    assert (answered.status, answered.dialect) == (503, cell.dialect)
    assert answered.headers["retry-after"] == "2"


@pytest.mark.parametrize("frames", [0, 1])
def test_a_stream_that_fails_before_any_content_has_a_true_status(cell: Cell, frames: int) -> None:
    """Wrapped in a 200, the error would stop clients from trying again."""
    cell.fake.play(Scenario(fail_after=frames, failure=Failure(529, "Overloaded")))

    answered = cell.post(stream=True)

    assert answered.status == (529 if cell.wire == "anthropic" else 500)
    assert answered.dialect == cell.dialect
    assert "Overloaded" in answered.error["message"]


@pytest.mark.parametrize("frames", [0, 1])
def test_a_stream_that_is_cut_before_any_content_is_502(cell: Cell, frames: int) -> None:
    cell.fake.play(Scenario(cut_after=frames))

    answered = cell.post(stream=True)

    assert (answered.status, answered.dialect) == (502, cell.dialect)


def test_a_failure_after_content_is_the_dialects_last_event(cell: Cell) -> None:
    for scenario in (FAILS_MIDWAY, CUT_EARLY):
        cell.fake.play(scenario)

        answered = cell.post(stream=True)

        assert answered.status == 200
        assert b"some " in answered.raw
        name, data = events(answered.raw)[-1]
        assert data["error"]["message"]
        assert (name, data.get("type")) == (
            ("error", "error") if cell.dialect == "anthropic" else ("", None)
        )
        assert b"message_stop" not in answered.raw
        assert b"[DONE]" not in answered.raw


def test_a_refused_request_is_tried_again_only_when_that_may_help() -> None:
    for status, tries in ((503, 2), (429, 2), (529, 2), (400, 1), (401, 1)):
        with FakeAnthropic() as fake, before(fake, retries=1) as proxy:
            fake.play(refusing(status, "0"), HELLO)
            answered = proxy.post(
                "/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": ASK}
            )

            assert len(fake.asked) == tries
            assert answered.status == (200 if tries == 2 else status)


def test_an_early_failure_of_a_stream_is_not_repeated_inside() -> None:
    """The upstream had answered: only the client may ask (and pay) again."""
    with FakeAnthropic() as fake, before(fake, retries=2) as proxy:
        fake.play(FAILS_EARLY)
        body = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": ASK, "stream": True}

        assert proxy.post("/v1/messages", body).status == 529
        assert len(fake.asked) == 1


# Silence


def test_a_silent_stream_gets_pings_before_and_after_its_first_word(
    cell: Cell, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claude Code takes 20 seconds without a byte for a stall."""
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.02)
    second = Gate()
    cell.fake.play(Scenario(gates={BEFORE: gate, 4: second}))

    with socket.create_connection(("127.0.0.1", cell.proxy.port), WAIT_S) as connection:
        connection.sendall(cell.request(stream=True))
        seen = read_until(connection, PING[cell.dialect], 2)
        assert seen.startswith(b"HTTP/1.1 200 ")
        assert b"Hello" not in seen
        gate.open()
        assert second.reached.wait(WAIT_S)
        said = read_until(connection, b"Hello", 1)
        silent = read_until(connection, PING[cell.dialect], 2)
        second.open()
        rest = read_until(connection, b"0\r\n\r\n", 1)
    second.close()

    whole = unchunk(seen + said + silent + rest)
    assert_grammar(cell.dialect, events(whole))


PING = {"anthropic": b"event: ping", "openai_chat": b"\n:"}


def read_until(connection: socket.socket, mark: bytes, times: int) -> bytes:
    """Read until ``mark`` came ``times``; comments also begin a chunk."""
    found = b""
    while found.count(mark) < times:
        data = connection.recv(65536)
        assert data, found
        found += data
    return found


def unchunk(answer: bytes) -> bytes:
    rest, parts = answer.partition(b"\r\n\r\n")[2], []
    while size := int(rest.partition(b"\r\n")[0], 16):
        rest = rest.partition(b"\r\n")[2]
        parts.append(rest[:size])
        rest = rest[size + 2 :]
    return b"".join(parts)


def assert_grammar(dialect: str, found: list[tuple[str, Any]]) -> None:
    """Check the order of events by what SDKs rely on, and that all text came."""
    told = [(name, data) for name, data in found if name != "ping"]
    if dialect == "anthropic":
        names = [name for name, _ in told]
        assert names[0] == "message_start"
        assert names[-2:] == ["message_delta", "message_stop"]
        text = "".join(d["delta"].get("text", "") for n, d in told if n == "content_block_delta")
    else:
        assert told[-1][1] == "[DONE]"
        text = "".join(c["delta"].get("content") or "" for _, d in told[:-1] for c in d["choices"])
    assert text == "Hello, world!"


def test_a_failure_after_a_ping_is_an_event(
    cell: Cell, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the ping the 200 has gone out; the error still names itself."""
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.02)
    cell.fake.play(Scenario(gates={BEFORE: gate}, fail_after=0, failure=Failure(529, "Overloaded")))

    with socket.create_connection(("127.0.0.1", cell.proxy.port), WAIT_S) as connection:
        connection.sendall(cell.request(stream=True))
        seen = read_until(connection, PING[cell.dialect], 1)
        gate.open()
        seen += read_until(connection, b"0\r\n\r\n", 1)

    _, data = events(unchunk(seen))[-1]
    assert "Overloaded" in data["error"]["message"]


def test_a_whole_answer_is_never_pinged(
    cell: Cell, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.01)
    cell.fake.play(Scenario(gates={0: gate}))
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(cell.post()))
    asking.start()

    assert gate.reached.wait(WAIT_S)
    gate.open()
    asking.join(WAIT_S)

    assert found[0].status == 200
    assert "Hello, world!" in json.dumps(found[0].body)


# Clients that leave


@pytest.mark.parametrize(
    ("stream", "at"),
    [(True, BEFORE), (True, 0), (True, 4), (False, BEFORE), (False, 0)],
    ids=[
        "stream-before-head",
        "stream-before-events",
        "stream-midway",
        "whole-before-head",
        "whole-before-body",
    ],
)
def test_when_the_client_leaves_the_upstream_is_left(
    cell: Cell, gate: Gate, stream: bool, at: int
) -> None:
    """Otherwise the provider goes on generating, and billing, for nobody."""
    cell.fake.play(Scenario(gates={at: gate}))

    with cell.proxy.raw(cell.request(stream=stream)) as connection:
        assert gate.reached.wait(WAIT_S)
        if at > 0:
            read_until(connection, b"Hello", 1)

    assert cell.fake.left.wait(WAIT_S)


def test_a_client_that_left_is_logged_as_499_and_harms_nobody(cell: Cell, gate: Gate) -> None:
    cell.fake.play(Scenario(gates={0: gate}))
    with cell.proxy.raw(cell.request(stream=True)):
        assert gate.reached.wait(WAIT_S)
    assert cell.fake.left.wait(WAIT_S)

    assert cell.post().status == 200
    cell.proxy.server.close(WAIT_S)

    assert "status=499" in cell.proxy.log.getvalue()


def test_a_client_that_closes_with_its_whole_answer_has_not_left_early(
    cell: Cell, gate: Gate
) -> None:
    """The upstream still owes the end of its body, and the proxy still listens to both."""
    cell.fake.play(Scenario(gates={AFTER: gate}))

    with cell.proxy.raw(cell.request(stream=True)) as connection:
        read_until(connection, b"0\r\n\r\n", 1)
    assert cell.fake.left.wait(WAIT_S)
    cell.proxy.server.close(WAIT_S)

    assert "status=200" in cell.proxy.log.getvalue()
    assert "status=499" not in cell.proxy.log.getvalue()


# Content


def test_both_dialects_carry_calls_over_both_wires(cell: Cell) -> None:
    cell.fake.play(PARALLEL_TOOLS, PARALLEL_TOOLS)
    schema = {"type": "object", "properties": {"location": {"type": "string"}}}
    tool: dict[str, Any] = {"name": "get_weather", "input_schema": schema}
    if cell.dialect == "openai_chat":
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": schema}}

    whole = cell.post(tools=[tool]).body
    streamed = events(cell.post(tools=[tool], stream=True).raw)

    if cell.dialect == "anthropic":
        assert [b["type"] for b in whole["content"]] == ["text", "tool_use", "tool_use"]
        started = [d["content_block"]["type"] for n, d in streamed if n == "content_block_start"]
        assert started == ["text", "tool_use", "tool_use"]
        assert whole["stop_reason"] == "tool_use"
    else:
        assert [c["function"]["name"] for c in whole["choices"][0]["message"]["tool_calls"]] == [
            "get_weather"
        ] * 2
        indexes = [
            call["index"]
            for _, data in streamed[:-1]
            for choice in data["choices"]
            for call in choice["delta"].get("tool_calls") or []
        ]
        assert sorted(set(indexes)) == [0, 1]
        assert whole["choices"][0]["finish_reason"] == "tool_calls"


def test_beta_headers_reach_an_anthropic_upstream_and_no_other() -> None:
    beta = {
        "anthropic-beta": "context-management-2025-06-27,x-2026-01-01",
        "anthropic-version": "2023-06-01",
    }
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 9,
        "messages": ASK,
        "context_management": {"edits": []},
    }
    with FakeAnthropic() as fake, before(fake) as proxy:
        assert proxy.post("/v1/messages", body, beta).status == 200
        assert fake.asked[0].headers["anthropic-beta"] == beta["anthropic-beta"]
        assert fake.asked[0].body["context_management"] == {"edits": []}
    with FakeOpenAI() as fake, before(fake) as proxy:
        answered = proxy.post("/v1/messages", {**body, "model": "gpt-4.1"}, beta)
        assert answered.status == 200
        assert "anthropic-beta" not in fake.asked[0].headers
        assert "context_management" in answered.headers["x-lmtools-loss"]


def test_no_header_of_the_client_reaches_the_upstream_by_itself(cell: Cell) -> None:
    secret = {
        "authorization": "Bearer sk-SENTINEL",
        "cookie": "c=SENTINEL",
        "x-api-key": "SENTINEL",
        "x-other": "SENTINEL",
    }

    assert cell.proxy.post(cell.path, cell.body(), secret).status == 200

    assert "sk-SENTINEL" not in str(dict(cell.fake.asked[0].headers))
    assert not {"cookie", "x-other"} & set(cell.fake.asked[0].headers)


def test_draining_answers_readyz_503_and_lets_what_runs_end(cell: Cell, gate: Gate) -> None:
    cell.fake.play(Scenario(gates={4: gate}))
    with cell.proxy.raw(cell.request(stream=True)) as connection:
        seen = read_until(connection, b"Hello", 1)
        closing = threading.Thread(target=cell.proxy.server.close, args=(WAIT_S,))
        closing.start()
        gate.open()
        while data := connection.recv(65536):
            seen += data
        closing.join(WAIT_S)

    assert not closing.is_alive()
    assert_grammar(cell.dialect, events(unchunk(seen)))
