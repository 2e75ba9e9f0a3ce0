"""P29: answers that say nothing: whole, streamed, over either wire, and as history."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from lmtools.apiproxy import exchange
from lmtools.flags.provider import ProviderChoice
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import Answered, before, events, key_source, running
from tests.fakes.server import FakeServer, Gate, Reply

WAIT_S = 15.0
PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions"}
PROVIDERS = {"anthropic": "anthropic", "openai_chat": "openai"}
ASK = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
JSON = ("Content-Type", "application/json")
EVENTS = ("Content-Type", "text/event-stream")
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1}}  # fmt: skip


def chunk(delta: Any, finish: str | None = None) -> str:
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({**HEAD, 'choices': choices})}\n\n"


def frames(*found: dict[str, Any]) -> str:
    return "".join(f"event: {data['type']}\ndata: {json.dumps(data)}\n\n" for data in found)


DONE = "data: [DONE]\n\n"
ROLE = chunk({"role": "assistant", "content": ""})
START = {"type": "message_start", "message": {**MESSAGE, "stop_reason": None}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}}  # fmt: skip
STOP = {"type": "message_stop"}
WHOLE = {
    "anthropic": json.dumps(MESSAGE),
    "openai_chat": json.dumps(
        {**HEAD, "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"}]}
    ),
}  # fmt: skip
STREAMS = {
    "anthropic": frames(START, END, STOP),
    "openai_chat": ROLE + chunk({}, "stop") + DONE,
}
#: Ends without content or reason: the backend behind the server failed.
NOTHING = {
    "only its end": ("openai_chat", DONE),
    "a role and its end": ("openai_chat", ROLE + DONE),
    "only its end, Anthropic's": ("anthropic", frames(STOP)),
    "a start and its end": ("anthropic", frames(START, STOP)),
}


def asked(client: str, wire: str, reply: Reply, *, stream: bool) -> tuple[Answered, str]:
    """Return what a client gets of a reply, and the log."""
    with FakeServer(lambda _: reply) as server:
        choice = ProviderChoice(PROVIDERS[wire], url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            answered = proxy.post(PATHS[client], {**ASK, "stream": stream})
            proxy.server.close(WAIT_S)
            return answered, proxy.log.getvalue()


@pytest.mark.parametrize("wire", sorted(PATHS))
@pytest.mark.parametrize("client", sorted(PATHS))
@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_answer_is_counted(client: str, wire: str, stream: bool) -> None:
    kind, body = (EVENTS, STREAMS[wire]) if stream else (JSON, WHOLE[wire])
    answered, log = asked(client, wire, Reply(200, [kind], body.encode()), stream=stream)

    assert answered.status == 200
    assert log.count("empty=true") == 1
    if client == wire:
        assert answered.raw == body.encode()


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_says_something_is_not_counted(stream: bool) -> None:
    said = chunk({"content": "x"})
    body = ROLE + said + chunk({}, "stop") + DONE if stream else WHOLE["openai_chat"].replace("null", '"x"', 1)  # fmt: skip
    reply = Reply(200, [EVENTS if stream else JSON], body.encode())
    for client in PATHS:
        assert "empty" not in asked(client, "openai_chat", reply, stream=stream)[1]


def test_an_anthropic_client_gets_a_block_of_an_empty_answer() -> None:
    reply = Reply(200, [JSON], WHOLE["openai_chat"].encode())
    answered, log = asked("anthropic", "openai_chat", reply, stream=False)

    assert answered.body["content"] == [{"type": "text", "text": ""}]
    assert answered.body["stop_reason"] == "end_turn"
    assert "path=message.parts action=defaulted" in log


def test_an_anthropic_client_gets_a_block_of_an_empty_stream() -> None:
    reply = Reply(200, [EVENTS], STREAMS["openai_chat"].encode())
    answered, _ = asked("anthropic", "openai_chat", reply, stream=True)

    found = events(answered.raw)
    assert [name for name, _ in found] == ["message_start", "content_block_start", "content_block_stop", "message_delta", "message_stop"]  # fmt: skip
    assert found[1][1]["content_block"] == {"type": "text", "text": ""}
    assert found[3][1]["delta"]["stop_reason"] == "end_turn"


@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.parametrize("client", sorted(PATHS))
def test_a_stream_that_ends_without_content_or_reason_is_an_error(client: str, name: str) -> None:
    """Nothing of it reaches the client before: the status is a true one."""
    wire, body = NOTHING[name]
    answered, log = asked(client, wire, Reply(200, [EVENTS], body.encode()), stream=True)

    assert answered.status == 502
    assert answered.dialect == client
    assert "empty" not in log


@pytest.mark.parametrize("client", sorted(PATHS))
def test_behind_a_ping_such_a_stream_ends_with_an_error_event(
    client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.02)
    gate = Gate()
    reply = Reply(200, [EVENTS], [ROLE.encode(), gate, DONE.encode()])
    with FakeServer(lambda _: reply) as server:
        choice = ProviderChoice("openai", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            body = json.dumps({**ASK, "stream": True}).encode()
            head = f"POST {PATHS[client]} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            with proxy.raw(head.encode() + body) as connection:
                got = until(connection, b"ping" if client == "anthropic" else b"\n:")
                gate.open()
                while data := connection.recv(65536):
                    got += data
    gate.close()

    assert b"[DONE]" not in got
    assert b"message_stop" not in got
    assert b'"error"' in got.rpartition(b"\n\ndata: " if client == "openai_chat" else b"event: ")[2]


@pytest.mark.parametrize(("text", "empty"), [("", 1), ("x", 0)])
def test_behind_a_ping_an_answer_is_empty_only_without_content(
    text: str, empty: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a 200 nobody has to look at pieces of content, but at the first."""
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.02)
    first, second = Gate(), Gate()
    opening = chunk({"role": "assistant", "content": text})
    pieces = [b": open\n\n", first, opening.encode(), second, (chunk({}, "stop") + DONE).encode()]
    with FakeServer(lambda _: Reply(200, [EVENTS], pieces)) as server:
        choice = ProviderChoice("openai", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            body = json.dumps({**ASK, "stream": True}).encode()
            head = f"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            with proxy.raw(head.encode() + body) as connection:
                until(connection, b"\n:")
                first.open()
                until(connection, b"assistant")
                second.open()
                until(connection, b"[DONE]")
            proxy.server.close(WAIT_S)
            log = proxy.log.getvalue()
    first.close()
    second.close()

    assert log.count("empty=true") == empty


def until(connection: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        data = connection.recv(65536)
        assert data, got
        got += data
    return got


# The answer as history

TURNS: list[Any] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": [{"type": "text", "text": ""}]},
    {"role": "user", "content": "Go on"},
]


@pytest.mark.parametrize("content", [TURNS[1]["content"], []], ids=["empty text", "no block"])
def test_an_empty_answer_may_come_back_to_the_server_that_refuses_it(content: Any) -> None:
    """The first refusal is paid for; then the turn is left out at once."""
    turns = [TURNS[0], {"role": "assistant", "content": content}, TURNS[2]]
    body = {**ASK, "model": "claude-haiku-4-5", "messages": turns}
    with FakeAnthropic() as fake, before(fake) as proxy:
        assert [proxy.post("/v1/messages", body).status for _ in range(2)] == [200, 200]

    assert len(fake.refused) == 1
    assert fake.asked[-1].body == {**body, "messages": [TURNS[0], TURNS[2]]}
    assert len(fake.asked) == 3


def test_an_empty_answer_may_come_back_through_another_dialect() -> None:
    with FakeOpenAI() as fake, before(fake) as proxy:
        body = {**ASK, "messages": TURNS}
        assert proxy.post("/v1/messages", body).status == 200
    with FakeAnthropic() as claude, before(claude) as proxy:
        turns = [TURNS[0], {"role": "assistant", "content": ""}, TURNS[2]]
        body = {**ASK, "model": "claude-haiku-4-5", "messages": turns}
        assert proxy.post("/v1/chat/completions", body).status == 200

    assert fake.refused == claude.refused == []
