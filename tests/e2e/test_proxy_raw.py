"""Where client and provider speak one dialect, each gets the other's bytes."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmtools.apiproxy import exchange, passing, raw
from lmtools.apiproxy.counting import LONGEST_MODEL
from lmtools.apiproxy.options import ModelRule
from lmtools.codecs import codec_named
from lmtools.flags.provider import ProviderChoice
from lmtools.sse import SSEDecoder, SSEEvent
from tests import corpus
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import (
    CONTENT,
    UPSTREAM_KEY,
    Answered,
    Proxy,
    before,
    events,
    key_source,
    running,
)
from tests.fakes.scenario import (
    CUT_EARLY,
    FAILS_MIDWAY,
    HELLO,
    PARALLEL_TOOLS,
    THINKING,
    UNICODE_BYTES,
    Scenario,
)
from tests.fakes.server import CUT, FakeServer, Gate, Piece, Reply

PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions"}
PROVIDERS = {"anthropic": "anthropic", "openai_chat": "openai"}
EVENTS = ("Content-Type", "text/event-stream; charset=utf-8")
JSON = ("Content-Type", "application/json")
WAIT_S = 15.0
both = pytest.mark.parametrize("dialect", sorted(PATHS))

#: White space, order, escapes and numbers that no encoder would make so.
ODD_BODY = (
    b'{ "messages" : [ {"content":"%s \\u00e9\\/ \\ud83c\\udf27", "role":"user"} ],\n\t"temperature": 1.0e0,'
    b' "max_tokens" :9, "model": "some-model" , "x_new": {"b":1,"a":[ ]} %%s}'
) % CONTENT.encode()
ANSWERS = {
    "anthropic": b'{ "id":"msg_1", "type":"message","role":"assistant", "model" :"some-model", "x_new":[1.0],'
    b' "content":[{"type":"text","text":"\\u0048i \\"model\\":\\"some-model\\""}],"stop_reason":"end_turn","stop_sequence":null,'
    b'"usage":{"input_tokens":11,"output_tokens":7}}\n',
    "openai_chat": b'{"id":"chatcmpl-1","object":"chat.completion","created":1, "model":"some-model","x_new":[1.0],"choices":'
    b'[ {"index":0,"message":{"role":"assistant","content":"\\u0048i"},"finish_reason":"stop"} ],"usage":{"prompt_tokens":11,'
    b'"completion_tokens":7,"total_tokens":18}}',
}
STREAMS = {
    "anthropic": b'event: message_start\ndata: { "type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",'
    b'"content":[],"model":"some-model","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":11,"output_tokens":1}}}\n\n'
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
    b": a comment\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n"
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"H\\u0069 \\"model\\":\\"some-model\\""}}\n\n'
    b'event: content_block_delta\ndata: {"index":0,"type":"content_block_delta","x_new":1.0,"delta":{"type":"text_delta","text":" there"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    b'event: x_new\ndata: {"type":"x_new"}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":7}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop" }\n\n',
    "openai_chat": b'data: {"id":"","choices":[],"created":0,"model":"some-model","object":"chat.completion.chunk","prompt_filter_results":[]}\n\n'
    + b"".join(
        b'id: 7\ndata: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"some-model","choices":'
        b'[{"index":0,"delta":%s,"finish_reason":%s}],"obfuscation":"%s"}\n\n' % (delta, reason, b"x" * at)
        for at, (delta, reason) in enumerate(
            [(b'{"role":"assistant","content":""}', b"null"), (b'{"content":"H\\u0069 \\"model\\":\\"some-model\\""}', b"null"),
             (b'{"content":" there"}', b"null"), (b"{ }", b'"stop"')]
        )
    )
    + b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"some-model","choices":[],"usage":'
    b'{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18}}\n\ndata: [DONE]\n\n',
}  # fmt: skip


@contextmanager
def exact(
    dialect: str, reply: Reply | Callable[[], Reply], **options: Any
) -> Iterator[tuple[FakeServer, Proxy]]:
    """Run a proxy before a server that answers these bytes."""
    with FakeServer(lambda _: reply() if callable(reply) else reply) as server:
        choice = ProviderChoice(PROVIDERS[dialect], url=server.url + "/v1", key=key_source())
        with running(choice, **options) as proxy:
            yield server, proxy


def fake_of(dialect: str) -> FakeAPI:
    return FakeAnthropic() if dialect == "anthropic" else FakeOpenAI()


def stream_of(dialect: str, *pieces: Piece, size: int | None = None) -> Reply:
    return Reply(200, [EVENTS], list(pieces) or [STREAMS[dialect]], size)


def asking(stream: bool) -> bytes:
    return ODD_BODY % (b',"stream":true' if stream else b"")


MAPPED = {"model_map": (ModelRule(re.compile("^some-model$"), 'other-"model"'),)}


# Requests


@both
@pytest.mark.parametrize("stream", [False, True])
def test_the_provider_gets_the_bytes_that_the_client_sent(dialect: str, stream: bool) -> None:
    reply = stream_of(dialect) if stream else Reply(200, [JSON], ANSWERS[dialect])
    with exact(dialect, reply) as (server, proxy):
        answered = proxy.post(PATHS[dialect], asking(stream))

    assert answered.status == 200
    assert server.seen[0].raw == asking(stream)


@both
def test_a_mapped_models_name_is_all_that_differs(dialect: str) -> None:
    for stream, reply in (
        (False, Reply(200, [JSON], ANSWERS[dialect])),
        (True, stream_of(dialect)),
    ):
        with exact(dialect, reply, **MAPPED) as (server, proxy):
            assert proxy.post(PATHS[dialect], asking(stream)).status == 200
        assert server.seen[0].raw == asking(stream).replace(b'"some-model"', b'"other-\\"model\\""')


@pytest.mark.parametrize("path", corpus.recorded_files("claude-code-*.json"), ids=lambda p: p.stem)
def test_p15_a_recorded_conversation_goes_on_byte_for_byte(path: Path) -> None:
    """Another order of keys, and every turn is paid for from its first token."""
    record = json.loads(path.read_text())
    body = json.dumps(record["body"], ensure_ascii=False, separators=(", ", ":")).encode()
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        headers = {k: v for k, v in record["headers"].items() if k.startswith("anthropic-")}
        assert proxy.post("/v1/messages?beta=true", body, headers).status == 200

    assert fake.refused == []
    assert fake.asked[0].raw == body


@pytest.mark.parametrize(
    "path", corpus.recorded_files("opencode-chat-*.json"), ids=lambda p: p.stem
)
def test_p15_opencodes_turns_differ_in_one_key_at_most(path: Path) -> None:
    record = json.loads(path.read_text())
    body = json.dumps(record["body"], ensure_ascii=False, separators=(",", ": ")).encode()
    with FakeOpenAI() as fake, before(fake, vendor=True) as proxy:
        assert proxy.post("/v1/chat/completions", body).status == 200

    assert fake.refused == []
    renamed = body.replace(b'"max_tokens"', b'"max_completion_tokens"', 1)
    assert fake.asked[0].raw in (body, renamed)


def test_p14_cache_marks_and_their_lifetimes_stay_where_they_are() -> None:
    """Five marks are the client's own mistake: the provider says so, and nobody drops one."""
    hour = {"type": "ephemeral", "ttl": "1h"}
    text = [{"type": "text", "text": f"t{i}", "cache_control": hour} for i in range(4)]
    body = {
        "model": "claude-haiku-4-5",
        "system": text[:2],
        "messages": [{"role": "user", "content": text[2:]}],
        "tools": [{"cache_control": {"ttl": "5m", "type": "ephemeral"}, "name": "f", "input_schema": {"type": "object"}}],
        "cache_control": {"type": "ephemeral"},
        "max_tokens": 9,
    }  # fmt: skip
    data = json.dumps(body).encode()
    reply = Reply(200, [JSON], ANSWERS["anthropic"])
    with exact("anthropic", reply) as (server, proxy):
        assert proxy.post("/v1/messages", data).status == 200

    assert server.seen[0].raw == data


@both
def test_headers_go_by_a_list_and_the_credential_is_ours(dialect: str) -> None:
    given = {
        "anthropic-beta": "a-2025-01-01,b-2025-02-02",
        "anthropic-version": "2099-01-01",
        "openai-beta": "assistants=v2",
        "openai-organization": "org-SENTINEL",
        "openai-project": "proj-SENTINEL",
        "authorization": "Bearer sk-client-SENTINEL",
        "x-api-key": "sk-client-SENTINEL",
        "accept-encoding": "gzip, br",
        "cookie": "c=SENTINEL",
    }
    with exact(dialect, Reply(200, [JSON], ANSWERS[dialect])) as (server, proxy):
        assert proxy.post(PATHS[dialect], asking(False), given).status == 200

    sent = server.seen[0].headers
    assert "client-SENTINEL" not in str(sent)
    assert not {"openai-organization", "openai-project", "cookie"} & set(sent)
    assert UPSTREAM_KEY in sent.get("authorization", "") + sent.get("x-api-key", "")
    assert sent["accept-encoding"] == "identity"
    if dialect == "anthropic":
        assert (sent["anthropic-beta"], sent["anthropic-version"]) == (
            given["anthropic-beta"],
            "2099-01-01",
        )
        assert "openai-beta" not in sent
    else:
        assert sent["openai-beta"] == "assistants=v2"
        assert "anthropic-beta" not in sent


def test_p19_a_beta_field_travels_with_its_header() -> None:
    body = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "context_management": {"edits": []}}  # fmt: skip
    with FakeAnthropic() as fake, before(fake) as proxy:
        beta = {"anthropic-beta": "context-management-2025-06-27"}
        assert proxy.post("/v1/messages", body, beta).status == 200
        assert proxy.post("/v1/messages", body).status == 400

    assert fake.asked[0].headers["anthropic-beta"] == beta["anthropic-beta"]


def test_several_lines_of_one_header_are_one() -> None:
    with exact("anthropic", Reply(200, [JSON], ANSWERS["anthropic"])) as (server, proxy):
        body = asking(False)
        head = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        lines = b"anthropic-beta: a\r\nAnthropic-Beta: b\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert proxy.read_all(head + lines + body).startswith(b"HTTP/1.1 200")

    assert server.seen[0].headers["anthropic-beta"] == "a,b"


def test_a_body_that_must_be_seen_goes_through_the_codec() -> None:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "x"}]
    with FakeOpenAI() as fake, before(fake) as proxy:
        body = {"model": "some-model", "messages": messages}
        assert proxy.post("/v1/chat/completions", body).status == 200
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert fake.asked[0].body["messages"][0]["role"] == "system"
    assert raw.Reason.DEVELOPER.value in log


# Whole answers


@both
def test_the_client_gets_the_bytes_of_the_answer(dialect: str) -> None:
    reply = Reply(200, [JSON, ("request-id", "req_up"), ("anthropic-ratelimit-tokens-limit", "5"), ("set-cookie", "x=1")], ANSWERS[dialect])  # fmt: skip
    with exact(dialect, reply) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(False), {"x-request-id": "mine"})
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert answered.raw == ANSWERS[dialect]
    assert answered.headers["request-id"] == answered.headers["x-request-id"] == "mine"
    assert answered.headers["x-upstream-request-id"] == "req_up"
    assert answered.headers["anthropic-ratelimit-tokens-limit"] == "5"
    assert not {"set-cookie", "x-lmtools-loss"} & set(answered.headers)
    assert {"input_tokens=11", "output_tokens=7", "status=200"} <= set(log.split())


@both
def test_of_an_answer_only_the_models_name_changes(dialect: str) -> None:
    with exact(dialect, Reply(200, [JSON], ANSWERS[dialect].replace(b'"some-model"', b'"other-\\"model\\""')), **MAPPED) as (_, proxy):  # fmt: skip
        answered = proxy.post(PATHS[dialect], asking(False))

    assert answered.raw == ANSWERS[dialect]


@pytest.mark.parametrize(("length", "kept"), [(LONGEST_MODEL, 1), (LONGEST_MODEL + 1, 0)])
def test_nothing_is_kept_under_a_name_that_no_model_has(length: int, kept: int) -> None:
    """A client may send megabytes for a name, and another one each time."""
    passing._kept_request.cache_clear()
    body = asking(False).replace(b'"model": "some-model"', b'"model": "%s"' % (b"m" * length))
    with exact("openai_chat", Reply(200, [JSON], ANSWERS["openai_chat"])) as (server, proxy):
        assert proxy.post(PATHS["openai_chat"], body).status == 200

    assert server.seen[0].raw == body
    assert passing._kept_request.cache_info().currsize == kept


# Streams


@both
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("size", [None, 1, 100])
def test_the_client_gets_the_bytes_of_the_stream(
    dialect: str, size: int | None, line_end: bytes
) -> None:
    stream = STREAMS[dialect].replace(b"\n", line_end)
    with exact(dialect, stream_of(dialect, stream, size=size)) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(True))
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert answered.raw == stream
    assert {"input_tokens=11", "output_tokens=7", "status=200"} <= set(log.split())


@both
@pytest.mark.parametrize("size", [None, 1, 100])
def test_of_a_stream_only_the_models_name_changes(dialect: str, size: int | None) -> None:
    sent = STREAMS[dialect].replace(b'"model":"some-model"', b'"model":"up"')
    with exact(dialect, stream_of(dialect, sent, size=size), **MAPPED) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(True))

    assert answered.raw == STREAMS[dialect]


@both
def test_a_last_event_without_its_blank_line_is_passed_on(dialect: str) -> None:
    for lacking in (1, 2):
        stream = STREAMS[dialect][:-lacking]
        with exact(dialect, stream_of(dialect, stream)) as (_, proxy):
            answered = proxy.post(PATHS[dialect], asking(True))

        assert events(answered.raw) == events(STREAMS[dialect])


@both
def test_a_cut_stream_has_whole_events_and_one_error_at_its_end(dialect: str) -> None:
    """Cut at every seventh byte, and never taken for a whole answer."""
    stream = STREAMS[dialect]
    for cut in range(7, len(stream) - 2, 7):
        with exact(dialect, stream_of(dialect, stream[:cut], CUT)) as (_, proxy):
            answered = proxy.post(PATHS[dialect], asking(True))
        if answered.status != 200:
            assert answered.error["message"]
            assert b"there" not in stream[:cut]
            continue
        assert_cut(dialect, answered, stream)


@both
def test_a_stream_that_ends_without_its_end_marker_is_no_whole_answer(dialect: str) -> None:
    """The provider's framing is in order; its answer is not."""
    stream = STREAMS[dialect]
    middle = stream.rindex(b"\n\n", 0, stream.index(b" there")) + 2
    with exact(dialect, stream_of(dialect, stream[:middle])) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(True))

    assert answered.raw.startswith(stream[:middle])
    assert_cut(dialect, answered, stream)


def assert_cut(dialect: str, answered: Answered, stream: bytes) -> None:
    passed, _, last = answered.raw[:-2].rpartition(b"\n\n")
    assert stream.startswith(passed)
    name, error = events(last)[0]
    assert error["error"]["message"]
    assert name == ("error" if dialect == "anthropic" else "")
    assert answered.raw.count(b'"error"') == (2 if dialect == "anthropic" else 1)


def test_an_answer_without_done_is_whole_when_it_gave_its_reason() -> None:
    stream = STREAMS["openai_chat"].replace(b"data: [DONE]\n\n", b"")
    with exact("openai_chat", stream_of("openai_chat", stream)) as (_, proxy):
        assert proxy.post(PATHS["openai_chat"], asking(True)).raw == stream


@both
@pytest.mark.parametrize(
    "scenario", [HELLO, PARALLEL_TOOLS, THINKING, UNICODE_BYTES, FAILS_MIDWAY, CUT_EARLY]
)
def test_raw_and_codec_streams_say_the_same(
    dialect: str, scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": CONTENT}], "stream": True}  # fmt: skip
    if dialect == "openai_chat":
        body["stream_options"] = {"include_usage": True}
    told = []
    for path in ("raw", "codec"):
        if path == "codec":
            monkeypatch.setattr(raw, "look", lambda *_: raw.Left(raw.Reason.SEALED))
        with fake_of(dialect) as fake, before(fake) as proxy:
            fake.play(scenario)
            told.append(said(dialect, events(proxy.post(PATHS[dialect], body).raw)))

    assert told[0] == told[1]
    assert told[0]


def said(dialect: str, found: list[tuple[str, Any]]) -> list[Any]:
    """Return what a stream says: deltas joined by kind, the reason, usage, the error."""
    texts: dict[str, str] = {}
    rest: list[Any] = []
    for name, data in found:
        if data == "[DONE]":
            rest.append(data)
        elif "error" in data:
            rest.append(re.sub(r":\d+", "", data["error"]["message"]))
        elif dialect == "anthropic":
            rest += [data["delta"].get("stop_reason")] if name == "message_delta" else []
            delta = data.get("delta", {}) if name == "content_block_delta" else {}
            for kind in ("text", "thinking", "partial_json", "signature"):
                texts[kind] = texts.get(kind, "") + delta.get(kind, "")
        else:
            rest += [data["usage"]["prompt_tokens"]] if data.get("usage") else []
            for choice in data["choices"]:
                rest += [choice["finish_reason"]] if choice["finish_reason"] else []
                for kind in ("content", "reasoning_content"):
                    texts[kind] = texts.get(kind, "") + (choice["delta"].get(kind) or "")
                for call in choice["delta"].get("tool_calls") or ():
                    key = f"call {call['index']}"
                    texts[key] = texts.get(key, "") + call["function"].get("arguments", "")
    return [texts, rest]


@both
def test_pings_stand_between_events_and_never_in_one(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider is silent in the middle of an event."""
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.02)
    stream, gate = STREAMS[dialect], Gate()
    middle = stream.index(b" there")
    ping = {"anthropic": b'event: ping\ndata: {"type":"ping"}\n\n', "openai_chat": b":"}[dialect]
    reply = stream_of(dialect, stream[:middle], gate, stream[middle:])
    with exact(dialect, reply) as (_, proxy):
        head = f"POST {PATHS[dialect]} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(asking(True))}\r\n\r\n"
        with proxy.raw(head.encode() + asking(True)) as connection:
            got = read_until(connection, b'some-model\\"')
            while got.count(ping) < 4:
                got += connection.recv(65536)
            gate.open()
            while data := connection.recv(65536):
                got += data
    gate.close()

    body = got.partition(b"\r\n\r\n")[2]
    assert events(body.replace(ping, b"")) == events(stream.replace(ping, b""))
    whole = set(body.split(b"\n\n"))
    assert set(stream.split(b"\n\n")) <= whole


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        data = connection.recv(65536)
        assert data, got
        got += data
    return got


@both
def test_a_decoder_that_fails_does_not_touch_the_stream(
    dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails:
        losses: tuple[()] = ()

        def decode(self, frame: Any) -> Any:
            raise KeyError(CONTENT)

    monkeypatch.setattr(codec_named(dialect), "stream_decoder", lambda *_: Fails())
    with exact(dialect, stream_of(dialect)) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(True))
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert answered.raw == STREAMS[dialect]
    assert "passed unread" in log


def long_stream(dialect: str, count: int) -> bytes:
    """Return the dialect's stream with its second piece of text ``count`` times."""
    pieces = STREAMS[dialect].split(b"\n\n")
    piece = next(event for event in pieces if b" there" in event) + b"\n\n"
    return STREAMS[dialect].replace(piece, piece * count)


@both
@pytest.mark.parametrize("size", [None, 1000])
def test_of_a_long_stream_only_the_beginning_and_the_end_are_decoded(
    dialect: str, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log knows as much, and the client gets every byte."""
    frames: list[Any] = []

    class Counts(SSEDecoder):
        def feed(self, chunk: bytes) -> list[SSEEvent]:
            found = super().feed(chunk)
            frames.extend(found)
            return found

    monkeypatch.setattr(passing, "SSEDecoder", Counts)
    stream = long_stream(dialect, 100)
    with exact(dialect, stream_of(dialect, stream, size=size)) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(True))
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert answered.raw == stream
    assert "input_tokens=11 output_tokens=7" in log
    assert 4 < len(frames) < 30


@pytest.mark.parametrize("size", [None, 1000])
def test_a_call_that_begins_in_the_middle_of_a_long_stream_is_heard(size: int | None) -> None:
    """Else the end of its arguments is no stream of the dialect, and nobody hears the answer's."""
    stream = STREAMS["openai_chat"]
    piece = next(event for event in stream.split(b"\n\n") if b" there" in event) + b"\n\n"
    content = re.search(rb'"content" ?: ?"[^"]*"', piece)
    assert content is not None

    def chunk(call: dict[str, Any]) -> bytes:
        calls = json.dumps({"tool_calls": [{"index": 0, **call}]}).encode()[1:-1]
        return piece.replace(content[0], calls)

    begins = chunk({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}})
    goes_on = chunk({"function": {"arguments": " "}})
    stream = stream.replace(piece, piece * 20 + begins + goes_on * 20)
    with exact("openai_chat", stream_of("openai_chat", stream, size=size)) as (_, proxy):
        answered = proxy.post(PATHS["openai_chat"], asking(True))
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert answered.raw == stream
    assert "unread" not in log
    assert "input_tokens=11 output_tokens=7" in log


@both
def test_an_error_in_the_middle_of_a_long_stream_is_heard(dialect: str) -> None:
    """However much content stands around it in the same read."""
    error = json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    stream = long_stream(dialect, 60)
    at = stream.index(b"\n\n", len(stream) // 2) + 2
    event = b"event: error\ndata: %s\n\n" % error.encode()
    with exact(dialect, stream_of(dialect, stream[:at] + event + stream[at:])) as (_, proxy):
        proxy.post(PATHS[dialect], asking(True))
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert "mid-stream" in log


@both
def test_a_frame_that_nobody_understands_is_passed_on(dialect: str) -> None:
    at = STREAMS[dialect].index(b"\n\n") + 2
    stream = STREAMS[dialect][:at] + b"event: odd\ndata: {not JSON\n\n" + STREAMS[dialect][at:]
    with exact(dialect, stream_of(dialect, stream)) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(True))

    assert (answered.status, answered.raw) == (200, stream)


def test_a_stream_that_opens_as_azures_do_is_written_anew() -> None:
    """OpenAI's client, where it checks what it reads, refuses the first chunk."""
    sent = STREAMS["openai_chat"].replace(b'"chat.completion.chunk","prompt', b'"","prompt')
    for size in (None, 1):
        with exact("openai_chat", stream_of("openai_chat", sent, size=size), **MAPPED) as (
            _,
            proxy,
        ):
            answered = proxy.post(PATHS["openai_chat"], asking(True))
        found = events(answered.raw)
        assert {data["object"] for _, data in found[:-1]} == {"chat.completion.chunk"}
        assert {data["model"] for _, data in found[:-1]} == {"some-model"}
        assert said("openai_chat", found)[0]["content"] == 'Hi "model":"some-model" there'
        assert not any(data.get("usage") for _, data in found[:-1])
        assert found[-1][1] == "[DONE]"


def test_a_stream_that_is_written_anew_ends_with_an_error_where_it_breaks() -> None:
    sent = STREAMS["openai_chat"].replace(b'"chat.completion.chunk","prompt', b'"","prompt')
    middle = sent.index(b" there")
    for broken in (
        sent[:middle],
        sent[:middle].rpartition(b"\n\n")[0] + b"\n\ndata: {odd\n\n" + b"data: {}\n\n",
    ):
        with exact("openai_chat", stream_of("openai_chat", broken, CUT)) as (_, proxy):
            found = events(proxy.post(PATHS["openai_chat"], asking(True)).raw)
        assert found[-1][1]["error"]["message"]
        assert sum("error" in data for _, data in found) == 1


@both
def test_a_server_that_cannot_stream_is_streamed_for(dialect: str) -> None:
    with exact(dialect, Reply(200, [JSON], ANSWERS[dialect])) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(True))

    assert answered.headers["content-type"] == "text/event-stream"
    assert said(dialect, events(answered.raw))[0]
    assert b"Hi" in answered.raw
    assert events(answered.raw)[-1][1] in ({"type": "message_stop"}, "[DONE]")


# Errors

ERRORS = {
    "anthropic": b'{"type": "error","error":{"type":"rate_limit_error" ,"message":"slow\\u0020down","x":1.0}, "request_id":"req_1"}',
    "openai_chat": b'{ "error":{"message":"slow\\u0020down","type":"tokens","param":null,"code":"rate_limit_exceeded","x":1.0}}\n',
}


@both
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_goes_on_with_its_status_bytes_and_headers(dialect: str, stream: bool) -> None:
    headers = [JSON, ("Retry-After", "17"), ("x-should-retry", "true"), ("x-ratelimit-remaining-tokens", "0"), ("request-id", "req_1")]  # fmt: skip
    with exact(dialect, Reply(429, headers, ERRORS[dialect])) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(stream))

    assert (answered.status, answered.raw) == (429, ERRORS[dialect])
    assert answered.headers["retry-after"] == "17"
    assert answered.headers["x-should-retry"] == "true"
    assert answered.headers["x-ratelimit-remaining-tokens"] == "0"
    assert answered.headers["x-upstream-request-id"] == "req_1"


@both
@pytest.mark.parametrize(
    "page",
    [b"<html><body>nginx</body></html>", b'{"detail":"no"}', b"", b"\xff\xfe", b'{"error":', b"[" * 90_000],
    ids=lambda page: repr(page[:12]),
)  # fmt: skip
def test_any_other_error_is_rendered_in_the_dialect(dialect: str, page: bytes) -> None:
    with exact(dialect, Reply(503, [JSON, ("Retry-After", "2")], page)) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(False))

    assert (answered.status, answered.dialect) == (503, dialect)
    assert answered.headers["retry-after"] == "2"
    assert answered.body["error"]["message"]


@both
def test_an_error_that_repeats_our_key_does_not_show_it(dialect: str) -> None:
    body = ERRORS[dialect].replace(b"slow", UPSTREAM_KEY.encode())
    with exact(dialect, Reply(401, [JSON], body)) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(False))

    assert answered.status == 401
    assert UPSTREAM_KEY not in answered.raw.decode()


@both
def test_an_error_inside_of_a_200_has_a_true_status(dialect: str) -> None:
    with exact(dialect, Reply(200, [JSON], ERRORS[dialect])) as (_, proxy):
        answered = proxy.post(PATHS[dialect], asking(False))

    assert (answered.status, answered.dialect) == (429, dialect)


@both
@pytest.mark.parametrize("size", [None, 1])
def test_behind_a_frame_that_nobody_understands_our_key_is_not_passed_on_either(
    dialect: str, size: int | None
) -> None:
    at = STREAMS[dialect].index(b"\n\n") + 2
    error = b"event: error\ndata: " + ERRORS[dialect].strip().replace(b"slow", b"%s") + b"\n\n"
    stream = STREAMS[dialect][:at] + b"data: {not JSON\n\n" + STREAMS[dialect][at:] + error
    with exact(dialect, stream_of(dialect, stream % UPSTREAM_KEY.encode(), size=size)) as (
        _,
        proxy,
    ):
        answered = proxy.post(PATHS[dialect], asking(True))

    assert answered.raw == stream % b"***"


@both
def test_an_error_event_in_a_stream_is_passed_on_without_our_key(dialect: str) -> None:
    middle = STREAMS[dialect].index(b" there")
    middle = STREAMS[dialect].rindex(b"\n\n", 0, middle) + 2
    for word in (b"slow", UPSTREAM_KEY.encode()):
        name = b"event: error\n" if dialect == "anthropic" else b""
        error = name + b"data: " + ERRORS[dialect].strip().replace(b"slow", word) + b"\n\n"
        stream = STREAMS[dialect][:middle] + error
        with exact(dialect, stream_of(dialect, stream)) as (_, proxy):
            answered = proxy.post(PATHS[dialect], asking(True))

        assert UPSTREAM_KEY not in answered.raw.decode()
        if word == b"slow":
            assert answered.raw == stream
