"""What users of such proxies complain about in answers, each complaint under its number."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import automata
from lmtools.apiproxy import exchange
from lmtools.apiproxy.options import Options
from lmtools.flags.provider import ProviderChoice
from lmtools.transport import HttpRequest, MockResponse, MockTransport
from tests.fakes.agents import calls_of, kept_message, said
from tests.fakes.pairs import (
    MODELS,
    PATHS,
    ask,
    body_of,
    both_ways,
    each_pair,
    fake_of,
    frames_of,
    raw_request,
)
from tests.fakes.proxy import Answered, before, events, key_source, running
from tests.fakes.scenario import (
    AWKWARD,
    BEFORE,
    CACHED,
    EMPTY,
    FAILS_EARLY,
    FAILS_MIDWAY,
    HELLO,
    LENGTH,
    NO_ARGUMENTS,
    ONE_TOOL,
    PARALLEL_TOOLS,
    REFUSAL,
    STOPPED,
    THINKING,
    THINKING_TOOL,
    UNICODE,
    Call,
    Counts,
    Failure,
    Scenario,
)
from tests.fakes.server import Gate

WAIT_S = 15.0
ANSWERS = {
    "text": HELLO,
    "unicode": UNICODE,
    "one call": ONE_TOOL,
    "two calls": PARALLEL_TOOLS,
    "no arguments": NO_ARGUMENTS,
    "thinking": THINKING,
    "thinking, call": THINKING_TOOL,
    "refusal": REFUSAL,
    "length": LENGTH,
    "stopped": STOPPED,
    "cached": CACHED,
    "nothing": EMPTY,
    "all": Scenario(
        thinking=("First ", "this."),
        text=("Then ", AWKWARD),
        calls=(*PARALLEL_TOOLS.calls, Call("now", ("",), "bare"), Call("put", tuple(json.dumps({"path": AWKWARD, "n": [1.5, None]}, ensure_ascii=False)), "c")),
    ),
}  # fmt: skip
each_answer = pytest.mark.parametrize("name", sorted(ANSWERS))


# P3


@each_pair
@both_ways
@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_p3_a_failure_has_its_true_status(
    dialect: str, wire: str, stream: bool, status: int
) -> None:
    """Wrapped in a 200, no client library would try again."""
    refused = Scenario(failure=Failure(status, "later", "7"))
    answered = ask(dialect, wire, refused, stream=stream)

    assert (answered.status, answered.dialect) == (status, dialect)
    assert answered.headers["retry-after"] == "7"
    assert answered.error["message"]


@each_pair
@pytest.mark.parametrize("frames", [0, 1, 2])
def test_p3_an_upstream_that_fails_inside_of_its_200_has_it_too(
    dialect: str, wire: str, frames: int
) -> None:
    """The 200 is held until the answer says something; an opened message or block is nothing."""
    frames = min(frames, 1) if wire == "openai_chat" else frames
    answered = ask(dialect, wire, replace(FAILS_EARLY, fail_after=frames), stream=True)

    assert answered.status >= 500
    assert answered.dialect == dialect


@each_pair
def test_p3_after_the_first_word_the_dialects_own_error_is_last(dialect: str, wire: str) -> None:
    answered = ask(dialect, wire, FAILS_MIDWAY, stream=True)
    name, last = events(answered.raw)[-1]

    assert answered.status == 200
    assert name == ("error" if dialect == "anthropic" else "")
    assert last["error"]["message"]
    assert b"[DONE]" not in answered.raw
    assert b"message_stop" not in answered.raw


# P9


@each_pair
@each_answer
def test_p9_the_assembled_stream_is_the_whole_answer(dialect: str, wire: str, name: str) -> None:
    """Arguments that are whole without a stream must not vanish in one."""
    whole = kept_message(ask(dialect, wire, ANSWERS[name]), stream=False)
    streamed = kept_message(ask(dialect, wire, ANSWERS[name], stream=True), stream=True)

    assert len(calls_of(whole)) == len(ANSWERS[name].calls)
    assert said(streamed) == said(whole)


WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
PLAIN = WORDS | st.integers(-(2**53), 2**53) | st.booleans() | st.none()
ARGUMENTS = st.dictionaries(WORDS, PLAIN | st.lists(PLAIN, max_size=3), max_size=4)


@st.composite
def any_call(draw: st.DrawFn) -> Call:
    """A call whose arguments come in pieces that are cut anywhere."""
    text = json.dumps(draw(ARGUMENTS), ensure_ascii=draw(st.booleans()))
    cuts = sorted(draw(st.sets(st.integers(1, len(text)), max_size=4)))
    pieces = tuple(text[a:b] for a, b in pairwise([0, *cuts, len(text)]) if a < b)
    return Call(draw(st.sampled_from(["get_weather", "ls", "put-2"])), pieces)


@st.composite
def any_answer(draw: st.DrawFn) -> Scenario:
    called = [replace(c, id=f"c{i}") for i, c in enumerate(draw(st.lists(any_call(), max_size=3)))]
    texts = draw(st.lists(WORDS, min_size=0 if called else 1, max_size=3))
    thinking = tuple(draw(st.lists(WORDS, max_size=2)))
    return Scenario(text=tuple(texts), thinking=thinking, calls=tuple(called))


@each_pair
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(any_answer())
def test_p9_so_it_is_of_any_answer(dialect: str, wire: str, answer: Scenario) -> None:
    whole = kept_message(ask(dialect, wire, answer), stream=False)
    streamed = kept_message(ask(dialect, wire, answer, stream=True), stream=True)

    assert [call["arguments"] for call in arguments_of(streamed)] == [
        json.loads(call.text) for call in answer.calls
    ]
    assert said(streamed) == said(whole)


def arguments_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of a message of either dialect, their arguments as values."""
    if isinstance(message.get("content"), list):
        blocks = [block for block in message["content"] if block["type"] == "tool_use"]
        return [{"name": block["name"], "arguments": block["input"]} for block in blocks]
    return [call for call in said(message) if isinstance(call, dict)]


# P10


def chunk(delta: dict[str, Any], reason: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    told = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**told, 'choices': [choice]})}\n\n"


def call(**fields: Any) -> dict[str, Any]:
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return {"type": "function", **fields, "function": function}


def calls(*deltas: list[dict[str, Any]]) -> str:
    found = [chunk({"role": "assistant", "content": None})]
    found += [chunk({"tool_calls": delta}) for delta in deltas]
    return "".join([*found, chunk({}, "tool_calls"), "data: [DONE]\n\n"])


OSLO, ROME = '{"city": "Oslo"}', '{"city": "Rome"}'
#: How servers send two calls, or the one to Oslo.
FRAGMENTS: dict[str, str] = {
    "whole at once": calls([call(index=0, id="a", name="get", arguments=OSLO), call(index=1, id="b", name="get", arguments=ROME)]),
    "each in a chunk": calls([call(index=0, id="a", name="get", arguments=OSLO)], [call(index=1, id="b", name="get", arguments=ROME)]),
    "in pieces": calls([call(index=0, id="a", name="get", arguments="")], [call(index=0, arguments=OSLO[:5])], [call(index=0, arguments=OSLO[5:])], [call(index=1, id="b", name="get", arguments=ROME[:3])], [call(index=1, arguments=ROME[3:])]),
    "interleaved": calls([call(index=0, id="a", name="get", arguments="")], [call(index=1, id="b", name="get", arguments="")], [call(index=0, arguments=OSLO[:5])], [call(index=1, arguments=ROME[:5])], [call(index=0, arguments=OSLO[5:])], [call(index=1, arguments=ROME[5:])]),
    "one index, two ids": calls([call(index=0, id="a", name="get", arguments=OSLO)], [call(index=0, id="b", name="get", arguments=ROME)]),
    "no index": calls([call(id="a", name="get", arguments=OSLO)], [call(id="b", name="get", arguments=ROME)]),
    "name repeated": calls([call(index=0, id="a", name="get", arguments=OSLO[:4])], [call(index=0, id="a", name="get", arguments=OSLO[4:])], [call(index=1, id="b", name="get", arguments=ROME)]),
    "id last, name twice": calls([call(index=0, name="get", arguments=OSLO[:4])], [call(index=0, id="a", name="get", arguments=OSLO[4:])], [call(index=1, id="b", name="get", arguments=ROME)]),
    "id last": calls([call(index=0, name="get", arguments=OSLO[:4])], [call(index=0, id="a", arguments=OSLO[4:])], [call(index=1, id="b", name="get", arguments=ROME)]),
    "no id": calls([call(index=0, name="get", arguments=OSLO)], [call(index=1, name="get", arguments=ROME)]),
    "counted from one": calls([call(index=1, id="a", name="get", arguments=OSLO)], [call(index=2, id="b", name="get", arguments=ROME)]),
}  # fmt: skip


def serving(stream: bytes, **options: Any) -> Any:
    """Run a proxy before a server that answers each request with this stream."""

    def answer(request: HttpRequest) -> MockResponse:
        return MockResponse(200, stream, {"content-type": "text/event-stream"})

    choice = ProviderChoice("openai", url="http://server.example/v1", key=key_source())
    return running(choice, MockTransport(answer), **options)


@pytest.mark.parametrize("name", sorted(FRAGMENTS))
def test_p10_calls_stay_apart_and_whole(name: str) -> None:
    tools = [{"name": "get", "input_schema": {"type": "object"}}]
    with serving(FRAGMENTS[name].encode()) as proxy:
        body = body_of("openai_chat", stream=True, tools=tools)
        message = kept_message(proxy.post("/v1/messages", body), stream=True)

    blocks = [block for block in message["content"] if block["type"] == "tool_use"]
    assert [block["name"] for block in blocks] == ["get", "get"]
    assert [block["input"] for block in blocks] == [{"city": "Oslo"}, {"city": "Rome"}]
    ids = [block["id"] for block in blocks]
    assert all(ids)
    assert len(set(ids)) == 2 if name == "no id" else ids == ["a", "b"]


# P11

UNRULY = {
    "text among calls": calls([call(index=0, id="a", name="get", arguments=OSLO[:5])])[: -len(chunk({}, "tool_calls") + "data: [DONE]\n\n")]
    + chunk({"content": "meanwhile"})
    + chunk({"tool_calls": [call(index=0, arguments=OSLO[5:])]})
    + chunk({"reasoning_content": "late thought"})
    + chunk({"content": "and after"})
    + chunk({}, "tool_calls")
    + "data: [DONE]\n\n",
    "nothing at all": "data: [DONE]\n\n",
    "a reason alone": chunk({}, "stop") + "data: [DONE]\n\n",
    "words after the reason": chunk({"content": "a"}) + chunk({}, "stop") + chunk({"content": "b"}) + "data: [DONE]\n\n",
    "no choices": f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'created': 1, 'model': 'm', 'choices': []})}\n\n" + chunk({"content": "a"}) + chunk({}, "stop") + "data: [DONE]\n\n",
    **FRAGMENTS,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(UNRULY))
def test_p11_whatever_the_server_sends_the_blocks_are_in_order(name: str) -> None:
    """Claude Code gives up a stream in which a delta has no open block."""
    with serving(UNRULY[name].encode()) as proxy:
        answered = proxy.post("/v1/messages", body_of("openai_chat", stream=True))

    if answered.status == 200:
        assert automata.breach("anthropic", frames_of(answered.raw)) is None
    else:
        assert answered.error["message"]


@each_pair
@each_answer
@pytest.mark.parametrize("cut", [None, 3, 6])
def test_p11_every_stream_keeps_its_grammar(
    dialect: str, wire: str, name: str, cut: int | None
) -> None:
    answered = ask(dialect, wire, replace(ANSWERS[name], cut_after=cut), stream=True)

    assert answered.status in (200, 502)
    if answered.status == 200:
        assert automata.breach(dialect, frames_of(answered.raw)) is None


# P12

COUNTS = Counts(fresh=3, cache_read=1200, cache_write=40, output=9, reasoning=4)


def usage_of(dialect: str, answered: Answered, stream: bool) -> dict[str, Any]:
    """Return the last usage of an answer, having seen that the first of a stream is whole too."""
    if not stream:
        found: dict[str, Any] = answered.body["usage"]
        return found
    told = [data for _, data in events(answered.raw) if data != "[DONE]"]
    if dialect == "anthropic":
        assert told[0]["message"]["usage"]["input_tokens"] > 0
        last: dict[str, Any] = next(data for data in told if data["type"] == "message_delta")
        return {**told[0]["message"]["usage"], **last["usage"]}
    return next(data["usage"] for data in reversed(told) if data.get("usage"))


@each_pair
@both_ways
def test_p12_tokens_are_counted_whatever_the_way(dialect: str, wire: str, stream: bool) -> None:
    """In one dialect the input has the cached tokens in it, in the other it has not."""
    more = (
        {"stream_options": {"include_usage": True}} if dialect == "openai_chat" and stream else {}
    )
    answered = ask(dialect, wire, replace(HELLO, counts=COUNTS), stream=stream, **more)
    usage = usage_of(dialect, answered, stream)

    # Chat's counts do not say what was written to a cache.
    written = 40 if wire == "anthropic" else 0
    if dialect == "anthropic":
        assert usage["input_tokens"] == 43 - written
        assert usage["cache_read_input_tokens"] == 1200
        assert usage["cache_creation_input_tokens"] == written
        assert usage["output_tokens"] == 9
    else:
        assert usage["prompt_tokens"] == 1243
        assert usage["prompt_tokens_details"]["cached_tokens"] == 1200
        assert (usage["completion_tokens"], usage["total_tokens"]) == (9, 1252)


@both_ways
def test_p12_a_server_that_counts_nothing_leaves_no_null(stream: bool) -> None:
    """Clients add these numbers up."""
    streamed = (chunk({"content": "Hi"}) + chunk({}, "stop") + "data: [DONE]\n\n").encode()
    message = {"role": "assistant", "content": "Hi"}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip

    def answer(request: HttpRequest) -> MockResponse:
        if stream:
            return MockResponse(200, streamed, {"content-type": "text/event-stream"})
        return MockResponse(200, json.dumps(whole).encode(), {"content-type": "application/json"})

    choice = ProviderChoice("openai", url="http://server.example/v1", key=key_source())
    with running(choice, MockTransport(answer)) as proxy:
        answered = proxy.post("/v1/messages", body_of("openai_chat", stream=stream))
    usage = usage_of("anthropic", answered, stream)

    assert isinstance(usage["input_tokens"], int)
    assert usage["input_tokens"] > 0
    assert isinstance(usage["output_tokens"], int)


def test_p12_counts_of_a_stream_are_asked_for() -> None:
    """A Chat server says them only then."""
    with fake_of("openai_chat") as fake, before(fake) as proxy:
        assert proxy.post("/v1/messages", body_of("openai_chat", stream=True)).status == 200

    assert fake.asked[0].body["stream_options"] == {"include_usage": True}


# P24


@each_pair
@pytest.mark.parametrize("at", [BEFORE, 0, 4], ids=["before head", "before events", "midway"])
def test_p24_silence_is_filled_before_and_after_the_first_word(
    dialect: str, wire: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients give a stream up after 20 s without a byte, load balancers after 60 s."""
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.02)
    gate = Gate()
    ping = b"event: ping" if dialect == "anthropic" else b"\n:"
    with fake_of(wire) as fake, before(fake) as proxy:
        fake.play(Scenario(gates={at: gate}))
        with proxy.raw(raw_request(dialect, wire, stream=True)) as connection:
            seen = b""
            while seen.count(ping) < 3:
                data = connection.recv(65536)
                assert data, seen
                seen += data
            gate.open()
            while not seen.endswith(b"0\r\n\r\n"):
                seen += connection.recv(65536)
    gate.close()

    assert seen.startswith(b"HTTP/1.1 200")
    assert b"world!" in seen


def test_p24_pings_come_in_time_and_no_deadline_is_on_the_whole() -> None:
    """What has a deadline is silence: until the first byte, and between two."""
    assert exchange.PING_INTERVAL_S <= 15
    timed = {name for name in Options.__dataclass_fields__ if name.endswith("timeout")}
    assert timed == {"connect_timeout", "first_byte_timeout", "idle_timeout"}


# P25


@each_pair
@both_ways
@pytest.mark.parametrize("at", [BEFORE, 0], ids=["before head", "before events"])
def test_p25_when_the_client_leaves_the_upstream_is_left(
    dialect: str, wire: str, stream: bool, at: int
) -> None:
    """Else a model with one slot generates for nobody, while the client's second try waits for it.

    Further phases are in ``test_proxy_liveness`` and ``test_proxy``.
    """
    gate = Gate()
    with fake_of(wire) as fake, before(fake) as proxy:
        fake.play(Scenario(gates={at: gate}))
        with proxy.raw(raw_request(dialect, wire, stream=stream)):
            assert gate.reached.wait(WAIT_S)
        assert fake.left.wait(WAIT_S)
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()
    gate.close()

    assert "status=499" in log


def test_p25_what_was_used_until_then_is_in_the_log() -> None:
    gate = Gate()
    with fake_of("anthropic") as fake, before(fake) as proxy:
        fake.play(Scenario(gates={4: gate}, counts=COUNTS))
        with proxy.raw(raw_request("anthropic", "anthropic", stream=True)) as connection:
            seen = b""
            while b"Hello" not in seen:
                seen += connection.recv(65536)
        assert fake.left.wait(WAIT_S)
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()
    gate.close()

    assert "status=499" in log
    assert "input_tokens=1243" in log


# P29


@both_ways
@pytest.mark.parametrize("dialect", sorted(PATHS))
def test_p29_an_answer_without_words_has_a_block_and_is_counted(dialect: str, stream: bool) -> None:
    """Claude Code calls an empty message malformed, and asks in vain once more."""
    with fake_of("openai_chat") as fake, before(fake) as proxy:
        fake.play(EMPTY)
        answered = proxy.post(PATHS[dialect], body_of("openai_chat", stream=stream))
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    message = kept_message(answered, stream)
    if dialect == "anthropic":
        assert message["content"] == [{"type": "text", "text": ""}]
    else:
        assert message["content"] == ""
    assert "empty=true" in log


# P32

_NUMBERS = {
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
}
_REASONS = {"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"}
_BLOCKS = {
    "text": {"text": str},
    "thinking": {"thinking": str, "signature": str},
    "tool_use": {"id": str, "name": str, "input": dict},
}


@each_answer
@pytest.mark.parametrize("wire", sorted(PATHS))
def test_p32_a_whole_answer_is_a_message_of_the_messages_api(wire: str, name: str) -> None:
    """Claude Code's permission classifier asks without a stream, and reads nothing else."""
    answered = ask("anthropic", wire, ANSWERS[name])
    body = answered.body

    assert answered.status == 200
    assert (body["type"], body["role"]) == ("message", "assistant")
    assert isinstance(body["id"], str)
    assert body["id"]
    assert body["model"] == MODELS[wire]
    assert body["stop_reason"] in _REASONS
    assert body["stop_sequence"] is None or isinstance(body["stop_sequence"], str)
    assert {k for k in _NUMBERS if type(body["usage"].get(k)) is int} == _NUMBERS
    for block in body["content"]:
        fields = _BLOCKS[block["type"]]
        assert {k: type(block[k]) for k in fields} == fields
    assert not {"choices", "object", "created"} & body.keys()
    streamed = kept_message(ask("anthropic", wire, ANSWERS[name], stream=True), stream=True)
    assert [b["type"] for b in body["content"]] == [b["type"] for b in streamed["content"]]
