"""The automata accept what real servers send and refuse every planted breach, naming its rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from conformance import automata, corpus, exchange
from lmtools.sse import SSEEvent

Frames = list[Any]
Edit = Callable[[Frames], Frames]

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def anthropic_frames() -> Frames:
    """A text block and a call, as the API sends them."""
    return [
        {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]  # fmt: skip


def chat_frames() -> Frames:
    """Text, two calls, a finish reason, usage, [DONE]."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**_BASE, "choices": [choice]}

    def call(**fields: Any) -> dict[str, Any]:
        return {"tool_calls": [fields]}

    return [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hi"}),
        chunk(call(index=0, id="c0", type="function", function={"name": "f", "arguments": ""})),
        chunk(call(index=0, function={"arguments": "{}"})),
        chunk(call(index=1, id="c1", type="function", function={"name": "g", "arguments": "{}"})),
        chunk({}, "tool_calls"),
        {**_BASE, "choices": [], "usage": USAGE},
        "[DONE]",
    ]


_BASE = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def sse(dialect: str, frames: Frames) -> list[SSEEvent]:
    def one(frame: Any) -> SSEEvent:
        if isinstance(frame, SSEEvent):
            return frame
        if isinstance(frame, str):
            return SSEEvent(None, frame)
        name = frame.get("type") if dialect == "anthropic" else None
        return SSEEvent(name, json.dumps(frame))

    return [one(frame) for frame in frames]


def breach(dialect: str, frames: Frames) -> str | None:
    return automata.breach(dialect, sse(dialect, frames))


# Edits of a lawful stream. A frame is counted from 0.


def drop(*places: int) -> Edit:
    return lambda frames: [frame for i, frame in enumerate(frames) if i not in places]


def insert(place: int, frame: Any) -> Edit:
    return lambda frames: [*frames[:place], frame, *frames[place:]]


def repeat(place: int) -> Edit:
    return lambda frames: insert(place, frames[place])(frames)


def move(place: int, to: int) -> Edit:
    return lambda frames: insert(to, frames[place])(drop(place)(frames))


def put(place: int, *path: Any, value: Any) -> Edit:
    """Set what stands at a path in one frame; ``...`` as value takes it away."""

    def edit(frames: Frames) -> Frames:
        frame = json.loads(json.dumps(frames[place]))
        inner = frame
        for step in path[:-1]:
            inner = inner[step]
        if value is ...:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        return [*frames[:place], frame, *frames[place + 1 :]]

    return edit


PING = {"type": "ping"}
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
CHAT_ERROR = {"error": {"message": "busy", "type": "server_error"}}
THINKING = {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "x"}}  # fmt: skip

ANTHROPIC_BREACHES: list[tuple[str, Edit, str]] = [
    ("nothing", lambda _: [], "ends with message_stop or error"),
    ("no message_start", drop(0), "message_start comes first"),
    ("two message_starts", repeat(0), "message_start comes once"),
    ("content in message_start", put(0, "message", "content", value=[{"type": "text"}]), "empty content"),
    ("a stop_reason in message_start", put(0, "message", "stop_reason", value="end_turn"), "without stop_reason"),
    ("message_start without usage", put(0, "message", "usage", value=...), "usage is an object"),
    ("no input_tokens", put(0, "message", "usage", "input_tokens", value=None), "usage.input_tokens"),
    ("message_start without id", put(0, "message", "id", value=None), "message.id"),
    ("another role", put(0, "message", "role", value="user"), "the assistant's"),
    ("delta without an open block", drop(1), "stands in an open block"),
    ("delta after its block's stop", move(2, 3), "stands in an open block"),
    ("two open blocks", drop(3), "one block is open at a time"),
    ("index gap", put(4, "index", value=2), "next block has index 1"),
    ("index repeated", put(4, "index", value=0), "next block has index 1"),
    ("delta of another index", put(2, "index", value=1), "open block has index 0"),
    ("stop of another index", put(3, "index", value=1), "open block has index 0"),
    ("stop without a block", repeat(3), "closes an open block"),
    ("text_delta in a tool_use block", put(5, "delta", value={"type": "text_delta", "text": "x"}), "does not stand in a tool_use"),
    ("input_json_delta in a text block", put(2, "delta", value={"type": "input_json_delta", "partial_json": ""}), "does not stand in a text"),
    ("thinking_delta in a text block", insert(2, THINKING), "does not stand in a text"),
    ("text block without text", put(1, "content_block", "text", value=...), "starts with text"),
    ("tool_use without a name", put(4, "content_block", "name", value=""), "tool_use.name is not empty"),
    ("tool_use without an id", put(4, "content_block", "id", value=None), "starts with id"),
    ("tool_use without input", put(4, "content_block", "input", value=...), "starts with input"),
    ("no message_stop", drop(8), "ends with message_stop or error"),
    ("no message_delta", drop(7), "message_delta comes before message_stop"),
    ("message_delta without usage", put(7, "usage", value=...), "usage is an object"),
    ("message_delta without output_tokens", put(7, "usage", value={}), "usage.output_tokens"),
    ("message_delta without stop_reason", put(7, "delta", value={}), "gives a stop_reason"),
    ("message_delta in an open block", drop(6), "follows the last content_block_stop"),
    ("block after message_delta", move(7, 4), "no block follows message_delta"),
    ("two message_stops", repeat(8), "nothing follows"),
    ("ping after message_stop", insert(9, PING), "nothing follows"),
    ("content after an error", insert(3, ERROR), "nothing follows"),
    ("error without a message", lambda _: [{"type": "error", "error": {"type": "x"}}], "error.message"),
    ("event name unlike the type", insert(2, SSEEvent("message", '{"type":"ping"}')), "equals the type"),
    ("no event name", insert(2, SSEEvent(None, '{"type":"ping"}')), "equals the type"),
    ("data that is no JSON", insert(2, SSEEvent("ping", '{"type":')), "not JSON"),
    ("data that is no object", insert(2, SSEEvent("ping", "[]")), "an object"),
]  # fmt: skip

CALL = ("choices", 0, "delta", "tool_calls", 0)
CHAT_BREACHES: list[tuple[str, Edit, str]] = [
    ("nothing", lambda _: [], "ends with [DONE] or an error"),
    ("no role", drop(0), "first delta gives the role"),
    ("role twice", put(1, "choices", 0, "delta", "role", value="assistant"), "role comes once"),
    ("tool index gap", put(4, *CALL, "index", value=2), "leaves a gap"),
    ("first tool index 1", drop(2, 3), "leaves a gap"),
    ("no tool index", put(2, *CALL, "index", value=...), "leaves a gap"),
    ("no id on the first fragment", put(2, *CALL, "id", value=...), "first fragment has its id"),
    ("no name on the first fragment", put(2, *CALL, "function", "name", value=...), "first fragment has its name"),
    ("no type on the first fragment", put(2, *CALL, "type", value=...), "first fragment has its type"),
    ("id repeated", put(3, *CALL, "id", value="c0"), "id comes once"),
    ("name repeated", put(3, *CALL, "function", "name", value="f"), "name comes once"),
    ("arguments as an object", put(3, *CALL, "function", "arguments", value={}), "are text"),
    ("content after the finish reason", move(5, 1), "no content follows finish_reason"),
    ("finish reason twice", repeat(5), "finish_reason comes once"),
    ("no finish reason", drop(5, 6), "finish_reason before [DONE]"),
    ("usage before the finish reason", move(6, 5), "usage follows every finish_reason"),
    ("usage beside a choice", put(5, "usage", value=USAGE), "a chunk of its own"),
    ("usage twice", repeat(6), "follows the usage chunk"),
    ("usage without a total", put(6, "usage", "total_tokens", value=...), "usage.total_tokens"),
    ("chunk ids that differ", put(3, "id", value="chatcmpl-2"), "id is the same"),
    ("models that differ", put(3, "model", value="n"), "model is the same"),
    ("times that differ", put(3, "created", value=2), "created is the same"),
    ("an empty id", lambda frames: [{**f, "id": ""} if isinstance(f, dict) else f for f in frames], "id is not empty"),
    ("another object", put(0, "object", value="chat.completion"), "object is"),
    ("no object", put(0, "object", value=...), "a chunk has object"),
    ("no [DONE]", drop(7), "ends with [DONE] or an error"),
    ("two [DONE]s", repeat(7), "nothing follows [DONE]"),
    ("[DONE] alone", drop(0, 1, 2, 3, 4, 5, 6), "a choice comes before [DONE]"),
    ("a chunk after [DONE]", move(7, 6), "nothing follows [DONE]"),
    ("a chunk after an error", insert(2, CHAT_ERROR), "nothing but [DONE] follows an error"),
    ("an error without a message", lambda _: [{"error": {"type": "x"}}], "error.message"),
    ("an SSE event name", insert(1, SSEEvent("chunk", json.dumps(chat_frames()[1]))), "no SSE event name"),
    ("no delta", put(1, "choices", 0, "delta", value=...), "holds a delta"),
    ("content that is a list", put(1, "choices", 0, "delta", "content", value=[]), "text or null"),
    ("data that is no JSON", insert(2, '{"id":'), "not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "rule"), ANTHROPIC_BREACHES, ids=lambda v: str(v)[:40])
def test_the_anthropic_automaton_refuses(name: str, edit: Edit, rule: str) -> None:
    assert breach("anthropic", anthropic_frames()) is None

    found = breach("anthropic", edit(anthropic_frames()))

    assert found is not None, name
    assert rule in found


@pytest.mark.parametrize(("name", "edit", "rule"), CHAT_BREACHES, ids=lambda v: str(v)[:40])
def test_the_chat_automaton_refuses(name: str, edit: Edit, rule: str) -> None:
    assert breach("openai_chat", chat_frames()) is None

    found = breach("openai_chat", edit(chat_frames()))

    assert found is not None, name
    assert rule in found


@pytest.mark.parametrize("place", range(9))
def test_a_ping_may_stand_anywhere_before_the_end_of_an_anthropic_stream(place: int) -> None:
    assert breach("anthropic", insert(place, PING)(anthropic_frames())) is None


@pytest.mark.parametrize("place", range(9))
def test_an_error_may_end_an_anthropic_stream_anywhere(place: int) -> None:
    assert breach("anthropic", [*anthropic_frames()[:place], ERROR]) is None


@pytest.mark.parametrize("place", range(8))
def test_an_error_may_end_a_chat_stream_anywhere_with_or_without_done(place: int) -> None:
    cut = [*chat_frames()[:place], CHAT_ERROR]

    assert breach("openai_chat", cut) is None
    assert breach("openai_chat", [*cut, "[DONE]"]) is None


def test_unknown_events_blocks_and_keys_are_let_pass() -> None:
    """Both APIs add such things without a new version, and clients have to tolerate them."""
    frames = anthropic_frames()
    frames[1]["content_block"] = {"type": "hologram", "depth": 1}
    frames[2]["delta"] = {"type": "hologram_delta", "depth": 2}
    frames.insert(3, {"type": "weather", "sky": "blue"})

    assert breach("anthropic", frames) is None
    assert breach("openai_chat", put(1, "moon", value="full")(chat_frames())) is None


STREAMS = [case for case in corpus.load() if case.kind == "stream"]


@pytest.mark.parametrize("case", STREAMS, ids=str)
def test_each_stream_of_the_corpus_is_lawful_exactly_when_it_is_said_to_be(
    case: corpus.Case,
) -> None:
    found = automata.breach(case.dialect, exchange.frames_of([case.stream]))

    assert (found is None) == case.lawful, found
