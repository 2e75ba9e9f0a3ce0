"""Stop sequences that the server does not know end an answer here."""

from __future__ import annotations

import json
import random

import pytest

from lmtools.client import LM
from lmtools.codecs.base import Loss
from lmtools.errors import CancelledError
from lmtools.providers.filters import (
    MAX_STOP_LENGTH,
    MAX_STOPS,
    StopFilter,
    cut_response,
    enforce_stops,
)
from lmtools.transport import MockResponse, MockTransport
from lmtools.types import (
    CitationDelta,
    CitationPart,
    End,
    Message,
    Opaque,
    OpaqueDelta,
    PartEnd,
    Request,
    Response,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    TokenLogprob,
    ToolCallDelta,
    ToolCallPart,
    events_from_response,
    response_from_events,
)


def fed(stops, *batches):
    """Return what each batch lets through, and the filter."""
    stop = StopFilter(stops)
    return [stop.feed(batch) for batch in batches], stop


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def deltas(*texts, part=0):
    return [[TextDelta(part, text)] for text in texts]


@pytest.mark.parametrize(
    ("stops", "texts", "kept", "stop"),
    [
        (["END"], ["one END two"], "one ", "END"),
        (["END"], ["one E", "N", "D two"], "one ", "END"),
        (["END"], ["EEN", "ENDED"], "EEN", "END"),
        (["aab"], ["aaab"], "a", "aab"),
        (["END", "one"], ["xone END"], "x", "one"),
        (["abcd", "c"], ["xabcd"], "xab", "c"),
        (["bc", "abc"], ["xabc"], "x", "abc"),
        (["\n\n"], ["a\n", "b\n", "\nc"], "a\nb", "\n\n"),
        (["END"], ["END"], "", "END"),
    ],
)
def test_the_string_that_is_whole_first_ends_the_answer_before_it(stops, texts, kept, stop):
    batches, found = fed(stops, *deltas(*texts))
    events = [event for batch in batches for event in batch]

    assert text_of(events) == kept
    assert events[-1] == End("stop_sequence", stop_sequence=stop)
    assert found.is_cut


def test_every_division_into_deltas_ends_alike(rng: random.Random):
    for _ in range(300):
        text = "".join(rng.choices("ab", k=12))
        stops = ["".join(rng.choices("ab", k=rng.randint(1, 5))) for _ in range(3)]
        whole = [e for batch in fed(stops, *deltas(text), [End("stop")])[0] for e in batch]
        pieces, rest = [], text
        while rest:
            size = rng.randint(0, 3)
            pieces.append(rest[:size])
            rest = rest[size:]
        split = [e for batch in fed(stops, *deltas(*pieces), [End("stop")])[0] for e in batch]

        assert (text_of(split), split[-1]) == (text_of(whole), whole[-1]), (text, stops, pieces)


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["hello"], ["hello"]),
        (["a STO", "RY"], ["a ", "STORY"]),
        (["S", "T", "O", "X"], ["", "", "", "STOX"]),
        (["SSTO", "P"], ["S", ""]),
        (["x", "", "y"], ["x", "", "y"]),
    ],
)
def test_text_waits_only_while_a_stop_string_may_begin_in_it(texts, shown):
    batches, _ = fed(["STOP"], *deltas(*texts))

    assert [text_of(batch) for batch in batches] == shown


@pytest.mark.parametrize(
    "event",
    [
        PartEnd(0),
        TextDelta(1, "P"),
        ThinkingDelta(1, "P"),
        ToolCallDelta(1, "P", id="c", name="ls"),
        CitationDelta(0, CitationPart(text="P")),
        End("stop"),
        StreamError("truncated", "cut"),
    ],
    ids=lambda event: type(event).__name__,
)
def test_what_was_held_goes_before_the_next_event(event):
    batches, found = fed(["STOP"], [TextDelta(0, "a STO")], [event])

    assert batches == [[TextDelta(0, "a ")], [TextDelta(0, "STO"), event]]
    assert not found.is_cut


def test_a_ping_does_not_let_text_go():
    ping = OpaqueDelta(Opaque("anthropic", "ping", {}))
    batches, found = fed(["STOP"], [TextDelta(0, "ST")], [ping], [TextDelta(0, "OP")])

    assert batches == [[], [ping], [End("stop_sequence", stop_sequence="STOP")]]
    assert found.is_cut


def test_thinking_and_arguments_are_never_looked_at():
    events = [
        Start("id"),
        ThinkingDelta(0, "STOP"),
        ToolCallDelta(1, '{"a": "STOP"}', id="c", name="ls"),
        End("tool_call"),
    ]

    assert fed(["STOP"], events)[0] == [events]


def test_nothing_passes_after_the_cut():
    batches, _ = fed(["."], [TextDelta(0, "a.b"), TextDelta(0, "c")], [PartEnd(0), End("stop")])

    assert batches == [[TextDelta(0, "a"), End("stop_sequence", stop_sequence=".")], []]


def test_what_comes_with_a_delta_comes_once_and_logprobs_go_with_their_tokens():
    tokens = tuple(TokenLogprob(text, -0.5) for text in ("a ", "ST", "X"))
    opaque = (Opaque("openai_chat", "delta", {"x": 1}),)
    batches, _ = fed(["STOP"], [TextDelta(0, "a ST", tokens[:2], opaque)], [TextDelta(0, "X")])

    assert batches == [
        [TextDelta(0, "a ", tokens[:1], opaque)],
        [TextDelta(0, "ST", tokens[1:2]), TextDelta(0, "X")],
    ]


ANSWERS = [
    (TextPart("one. two"),),
    (ThinkingPart("hm."), TextPart("one"), TextPart("two. three"), ToolCallPart("c", "ls", {})),
    (TextPart("."),),
    (TextPart("one"), TextPart(". two")),
    (TextPart("none"), ToolCallPart("c", "ls", {"a": "."})),
]


# A wire that has logprobs gives one text.
@pytest.mark.parametrize(
    ("parts", "has_logprobs"),
    [(parts, False) for parts in ANSWERS] + [(parts, True) for parts in ANSWERS if len(parts) == 1],
)
def test_a_whole_answer_ends_as_its_stream_does(parts, has_logprobs):
    message = Message("assistant", parts)
    logprobs = tuple(TokenLogprob(c, -1.0) for c in message.text) if has_logprobs else None
    response = Response("id", "m", message, finish="stop", logprobs=logprobs)
    streamed = StopFilter(["."]).feed(events_from_response(response))

    assert cut_response(response, ["."]) == response_from_events(streamed, model="m")


@pytest.mark.parametrize("action", ["dropped", "clamped"])
def test_a_loss_of_stop_sequences_becomes_emulated(action):
    request = Request("m", (), stop=("a", "", "b"))
    other = Loss("stop[1]", "dropped", "it is empty")
    stops, losses = enforce_stops(request, (other, Loss("stop", action, "it knows none")))

    assert stops == ("a", "b")
    assert losses[0] == other
    assert (losses[1].path, losses[1].action) == ("stop", "emulated")
    assert losses[1].reason.startswith("it knows none")


@pytest.mark.parametrize(
    ("stop", "losses"),
    [
        (("a",), ()),
        (("a",), (Loss("seed", "dropped", "no"),)),
        (("",), (Loss("stop", "dropped", "no"),)),
        (("a" * (MAX_STOP_LENGTH + 1),), (Loss("stop", "dropped", "no"),)),
        (("a",) * (MAX_STOPS + 1), (Loss("stop", "dropped", "no"),)),
    ],
)
def test_strings_that_the_server_enforces_or_nobody_can_are_left_alone(stop, losses):
    assert enforce_stops(Request("m", (), stop=stop), losses) == ((), losses)


# Through the client: a reasoning model of OpenAI's takes no stop sequences.

ASK = Request("gpt-5.4", (Message.user("Hi"),), stop=("END",))


def chat_lm(answer):
    transport = MockTransport(lambda request: answer)
    return LM("openai", api_key="k", transport=transport), transport


def test_a_whole_answer_is_cut_and_the_loss_says_that_it_is_emulated():
    choice = {"index": 0, "message": {"role": "assistant", "content": "one END two"}}
    body = {"id": "c", "model": "m", "choices": [{**choice, "finish_reason": "stop"}]}
    json_kind = {"content-type": "application/json"}
    lm, transport = chat_lm(MockResponse(200, json.dumps(body).encode(), json_kind))
    response = lm.complete(ASK)

    assert (response.text, response.finish, response.stop_sequence) == (
        "one ",
        "stop_sequence",
        "END",
    )
    assert "stop" not in json.loads(transport.requests[0].body)
    assert [(loss.path, loss.action) for loss in lm.render(ASK).losses] == [("stop", "emulated")]


def test_a_stream_is_cut_and_the_provider_is_left():
    """What is not read any more would be generated, and billed, for nobody."""
    read = []

    def pieces():
        for text in ("one ", "E", "ND two", "three"):
            read.append(text)
            choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
            chunk = {"id": "c", "model": "m", "choices": [choice]}
            yield f"data: {json.dumps(chunk)}\n\n".encode()

    lm, _ = chat_lm(MockResponse(200, pieces(), {"content-type": "text/event-stream"}))
    with lm.stream(ASK) as stream:
        response = stream.response()
        with pytest.raises(CancelledError):
            stream.http.read_some()

    assert (response.text, response.finish, response.stop_sequence) == (
        "one ",
        "stop_sequence",
        "END",
    )
    assert read == ["one ", "E", "ND two"]


def test_a_server_that_answers_a_stream_whole_is_cut_too():
    choice = {"index": 0, "message": {"role": "assistant", "content": "one END two"}}
    body = {"id": "c", "model": "m", "choices": [{**choice, "finish_reason": "stop"}]}
    json_kind = {"content-type": "application/json"}
    lm, _ = chat_lm(MockResponse(200, json.dumps(body).encode(), json_kind))

    with lm.stream(ASK) as stream:
        assert stream.response().text == "one "


def test_a_server_that_knows_stop_sequences_is_told_them():
    lm, _ = chat_lm(MockResponse())
    call = lm.render(Request("gpt-4.1", ASK.messages, stop=("END",)))

    assert json.loads(call.http.body)["stop"] == ["END"]
    assert call.stops == ()


def test_a_stop_sequence_that_the_server_refuses_is_enforced_here_beside_its_own():
    """Anthropic refuses sequences of white space; the others it knows, and is told of them."""
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "one\n\ntwo"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    answer = MockResponse(200, json.dumps(body).encode(), {"content-type": "application/json"})
    transport = MockTransport(lambda request: answer)
    lm = LM("anthropic", api_key="k", transport=transport)
    ask = Request("claude-sonnet-4-5", ASK.messages, max_tokens=9, stop=("END", "\n\n", ""))
    response = lm.complete(ask)

    assert (response.text, response.stop_sequence) == ("one", "\n\n")
    assert json.loads(transport.requests[0].body)["stop_sequences"] == ["END"]
    lost = [(loss.path, loss.action) for loss in lm.render(ask).losses]
    assert lost == [("stop[1]", "emulated"), ("stop[2]", "dropped")]
