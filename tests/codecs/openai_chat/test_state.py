"""Reasoning state of a Chat server: wherever it comes in an answer, all of it goes back to it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lmtools.codecs import anthropic, openai_chat, seal
from lmtools.codecs.base import Incoming, Stamp, Target
from lmtools.sse import SSEEvent
from lmtools.types import (
    CustomTool,
    Message,
    Opaque,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    events_from_response,
    response_from_events,
)

OWN = Target("openai_chat", "openai", "m", "an owner")
ASK = Request("m", (Message.user("Hi"),), stream=True)
STAMP = Stamp("s", 1, "m")
HEAD = {"id": "chatcmpl-1", "created": 1, "model": "m"}
A = {"type": "reasoning.text", "text": "I think", "signature": "c2ln", "index": 0}
B = {"type": "reasoning.encrypted", "data": "ZW5j", "id": "rs_1", "index": 1}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
EXTRA = {"google": {"thought_signature": "CrIC+/="}}


def chunks(deltas: list[dict[str, Any]], last: dict[str, Any] | None = None) -> list[SSEEvent]:
    """Return the frames of a stream; ``last`` is said beside the finish reason."""
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": last or {}, "finish_reason": "tool_calls"})
    bodies = [{**HEAD, "object": "chat.completion.chunk", "choices": [c]} for c in choices]
    return [*(SSEEvent("", json.dumps(body)) for body in bodies), SSEEvent("", "[DONE]")]


def decoded(frames: list[SSEEvent], target: Target = OWN, request: Request = ASK) -> list[Any]:
    decoder = openai_chat.stream_decoder(request, target)
    return [event for frame in frames for event in decoder.decode(frame)] + decoder.close()


def parsed(message: dict[str, Any], target: Target = OWN, request: Request = ASK) -> Response:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    body = {**HEAD, "object": "chat.completion", "choices": [choice]}
    return openai_chat.parse_response(body, request, target)


def sent_back(response: Response, target: Target = OWN) -> tuple[dict[str, Any], list[str]]:
    rendered = openai_chat.render_request(Request("m", (response.message,)), target)
    return rendered.body["messages"][0], [loss.path for loss in rendered.losses]


def through_anthropic(response: Response) -> Response:
    """Return the answer as a client of the Messages API hands it back."""
    rendered = anthropic.render_response(response, ASK, STAMP)
    messages = [{"role": "assistant", "content": rendered.body["content"]}]
    body = {"model": "m", "max_tokens": 9, "messages": messages}
    (message,) = anthropic.parse_request(Incoming(body)).messages
    return Response("r", "m", message)


THOUGHT = {"reasoning": "I think"}
STREAMS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], list[Any]]] = {
    "with its text": ([{**THOUGHT, "reasoning_details": [A]}, {"tool_calls": [CALL]}], {}, [A]),
    "encrypted alone": ([{"reasoning_details": [B]}, {"tool_calls": [CALL]}], {}, [B]),
    "after the content": (
        [THOUGHT, {"content": "x"}, {"reasoning_details": [A]}, {"tool_calls": [CALL]}],
        {},
        [A],
    ),
    "after the calls": ([THOUGHT, {"tool_calls": [CALL]}, {"reasoning_details": [A]}], {}, [A]),
    "in the last chunk": (
        [THOUGHT, {"content": "x"}, {"tool_calls": [CALL]}],
        {"reasoning_details": [A, B]},
        [A, B],
    ),
    "in two places": (
        [{"reasoning_details": [A]}, {"content": "x"}, {"reasoning_details": [B]}],
        {},
        [A, B],
    ),
    "without an index": (
        [{"reasoning_details": [{"type": "x", "data": "1"}]}] * 2,
        {},
        [{"type": "x", "data": "1"}] * 2,
    ),
    "in fragments": (
        [
            {"reasoning_details": [{**A, "text": "I ", "signature": None}]},
            {"reasoning_details": [{**A, "text": "think"}]},
        ],
        {},
        [A],
    ),
    "of no shape that is known": ([{"reasoning_details": [7, "x", None]}], {}, [7, "x", None]),
}


@pytest.mark.parametrize("client", ["none", "anthropic"])
@pytest.mark.parametrize(("deltas", "last", "expected"), STREAMS.values(), ids=STREAMS)
def test_details_go_back_wherever_they_came_in_the_stream(
    deltas: list[dict[str, Any]], last: dict[str, Any], expected: list[Any], client: str
) -> None:
    response = response_from_events(decoded(chunks(deltas, last)))
    if client == "anthropic":
        response = through_anthropic(response)
    message, _ = sent_back(response)

    assert message["reasoning_details"] == expected


@pytest.mark.parametrize(("deltas", "last", "expected"), STREAMS.values(), ids=STREAMS)
def test_details_of_a_stream_reach_an_anthropic_client_without_a_loss(
    deltas: list[dict[str, Any]], last: dict[str, Any], expected: list[Any]
) -> None:
    """The frame that brings nothing but state is no loss: the state goes out with its block."""
    encoder = anthropic.stream_encoder(ASK, STAMP)
    wire = b"".join(encoder.encode(event) for event in decoded(chunks(deltas, last)))

    assert b"lmt1." in wire
    assert encoder.losses == [loss for loss in encoder.losses if loss.action == "defaulted"]


@pytest.mark.parametrize(("deltas", "last", "expected"), STREAMS.values(), ids=STREAMS)
def test_a_chat_client_gets_the_details_as_they_came(
    deltas: list[dict[str, Any]], last: dict[str, Any], expected: list[Any]
) -> None:
    encoder = openai_chat.stream_encoder(ASK, STAMP)
    wire = b"".join(encoder.encode(event) for event in decoded(chunks(deltas, last)))
    frames = [json.loads(line[6:]) for line in wire.decode().split("\n\n") if line[6:7] == "{"]
    told = [c["choices"][0]["delta"].get("reasoning_details") for c in frames if c["choices"]]
    sent = [delta.get("reasoning_details") for delta in [*deltas, last]]

    assert [listed for listed in told if listed] == [listed for listed in sent if listed]
    assert encoder.losses == []


def test_fragments_of_state_that_are_alike_are_all_kept() -> None:
    """The state is what the provider signed: a word said six times is in it six times."""
    details = [{"type": "reasoning.text", "text": "ha", "index": 0}]
    frames = chunks([{"reasoning": "ha", "reasoning_details": details}] * 6)
    message, _ = sent_back(response_from_events(decoded(frames)))

    assert message["reasoning_details"] == [{**details[0], "text": "ha" * 6}]


@pytest.mark.parametrize("details", [[A], [B], [A, B]])
def test_details_of_a_whole_answer_go_back(details: list[Any]) -> None:
    response = parsed({"content": None, "tool_calls": [CALL], "reasoning_details": details})

    assert sent_back(response)[0]["reasoning_details"] == details
    assert sent_back(through_anthropic(response))[0]["reasoning_details"] == details


@pytest.mark.parametrize("origin", ["another", None])
def test_details_and_signed_calls_go_to_no_other_owner(origin: str | None) -> None:
    call = {**CALL, "extra_content": EXTRA}
    response = parsed({"reasoning": "I think", "reasoning_details": [A], "tool_calls": [call]})
    message, losses = sent_back(response, Target("openai_chat", "openai", "m", origin))

    assert "reasoning_details" not in message
    assert "extra_content" not in message["tool_calls"][0]
    assert "messages[0].parts[0].reasoning_details" in losses
    assert "messages[0].parts[1].extra_content" in losses


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
@pytest.mark.parametrize("sealed", [True, False], ids=["signed", "bare"])
def test_reasoning_goes_back_in_the_field_that_the_server_takes(field: str, sealed: bool) -> None:
    """What it came in is the other server's word; an Anthropic client knows neither."""
    details = {"reasoning_details": [A]} if sealed else {}
    response = through_anthropic(parsed({"reasoning": "I think", "content": "x", **details}))
    target = Target("openai_chat", "openai", "m", "an owner", reasoning_field=field)
    message, losses = sent_back(response, target)

    assert message[field] == "I think"
    assert message.get("reasoning_details") == details.get("reasoning_details")
    assert len(message) == 3 + len(details)
    assert losses == []


# The state on a call


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "stream"])
def test_the_state_on_a_call_goes_back_on_that_call(whole: bool) -> None:
    signed, bare = {**CALL, "extra_content": EXTRA}, {**CALL, "id": "c2"}
    if whole:
        response = parsed({"content": None, "tool_calls": [signed, bare]})
    else:
        deltas = [{"tool_calls": [{"index": i, **c}]} for i, c in enumerate((signed, bare))]
        response = response_from_events(decoded(chunks(deltas)))

    assert sent_back(response)[0]["tool_calls"] == [signed, bare]


def test_the_state_on_a_call_may_come_after_its_name() -> None:
    later = {"index": 0, "extra_content": EXTRA}
    frames = chunks([{"tool_calls": [{"index": 0, **CALL}]}, {"tool_calls": [later]}])
    (call,) = sent_back(response_from_events(decoded(frames)))[0]["tool_calls"]

    assert call["extra_content"] == EXTRA


@pytest.mark.parametrize("extra", [None, {}, "text", [1]])
def test_what_is_no_state_on_a_call_stays_a_key_of_the_call(extra: Any) -> None:
    """Only what has an owner is kept from others; the rest is the dialect's own, as it came."""
    call = {**CALL, "extra_content": extra}
    response = parsed({"content": None, "tool_calls": [call]})

    assert not any(item.origin for item in response.tool_calls[0].opaque)
    assert sent_back(response)[0]["tool_calls"] == [call]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_chat_client_gets_the_state_on_the_call(stream: bool) -> None:
    call = {**CALL, "extra_content": EXTRA}
    response = parsed({"content": None, "tool_calls": [call]})
    if stream:
        encoder = openai_chat.stream_encoder(ASK, STAMP)
        wire = b"".join(encoder.encode(event) for event in events_from_response(response))
        assert b'"extra_content":{"google":{"thought_signature":"CrIC+/="}}' in wire
        assert encoder.losses == []
    else:
        rendered = openai_chat.render_response(response, ASK, STAMP)
        assert rendered.body["choices"][0]["message"]["tool_calls"] == [call]
        assert rendered.losses == ()


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_an_anthropic_answer_has_no_place_for_it_and_says_so(stream: bool) -> None:
    response = parsed({"content": None, "tool_calls": [{**CALL, "extra_content": EXTRA}]})
    if stream:
        encoder = anthropic.stream_encoder(ASK, STAMP)
        wire = b"".join(encoder.encode(event) for event in events_from_response(response))
        losses = encoder.losses
    else:
        rendered = anthropic.render_response(response, ASK, STAMP)
        wire, losses = json.dumps(rendered.body).encode(), list(rendered.losses)

    assert b"CrIC" not in wire
    assert ("message.parts[0].extra_content", "dropped") in [(x.path, x.action) for x in losses]


def test_a_custom_tool_that_goes_as_a_function_keeps_its_state() -> None:
    """Such a server calls it as a function; the call is of the custom tool again, and signed."""
    target = Target("openai_chat", "openai", "m", "an owner", refuses=frozenset({"custom_tools"}))
    request = Request("m", (Message.user("Hi"),), (CustomTool("f"),))
    function = {"name": "f", "arguments": '{"input":"text"}'}
    call = {"id": "c1", "type": "function", "function": function, "extra_content": EXTRA}
    response = parsed({"content": None, "tool_calls": [call]}, target, request)
    rendered = openai_chat.render_request(Request("m", (response.message,)), target)

    assert response.tool_calls[0].kind == "custom"
    assert rendered.body["messages"][0]["tool_calls"][0]["extra_content"] == EXTRA


RESULT = Message("tool", (ToolResultPart("c1", (TextPart("rain"),)),))
EARLIER = Message("tool", (ToolResultPart("c2", (TextPart("rain"),)),))


def state(origin: str, data: Any) -> Opaque:
    return Opaque("openai_chat", "extra_content", {"extra_content": data}, origin)


@pytest.mark.parametrize(
    ("opaque", "loses"),
    [
        ((state("an owner", EXTRA),), False),
        ((state("an owner", "forged"),), True),
        ((state("another", EXTRA),), True),
        ((), True),
    ],
)
def test_a_model_that_signs_its_calls_and_gets_none_back_is_a_loss(
    opaque: tuple[Opaque, ...], loses: bool
) -> None:
    """Google refuses the first call of a step of the current turn without it; others may lack it."""
    call = ToolCallPart("c1", "f", {}, opaque=opaque)
    second = ToolCallPart("c2", "f", {})
    turn = Message("assistant", (TextPart("x"), call, second))
    results = RESULT
    earlier = (Message.user("Hi"), Message("assistant", (second,)), EARLIER)
    messages = (*earlier, Message.assistant("ok"), Message.user("And?"))
    signing = Target("openai_chat", "openai", "m", "an owner", signs_calls=True)
    rendered = openai_chat.render_request(Request("m", (*messages, turn, results)), signing)
    paths = {loss.path for loss in rendered.losses if "extra_content" in loss.path}

    assert paths == ({"messages[5].parts[1].extra_content"} if loses else set())


def test_reasoning_after_a_state_is_a_thought_of_its_own() -> None:
    deltas = [{**THOUGHT, "reasoning_details": [A]}, {"content": "x"}, {"reasoning": "again"}]
    response = response_from_events(decoded(chunks(deltas, {"reasoning_details": [B]})))
    thoughts = [part for part in response.message.parts if isinstance(part, ThinkingPart)]

    assert [part.text for part in thoughts] == ["I think", "again"]
    assert sent_back(response)[0]["reasoning_details"] == [A, B]


def test_entries_of_the_clients_own_stay_beside_those_that_were_sealed_for_it() -> None:
    sealed = Opaque("anthropic", "signature", {"signature": "c2ln"}, "an owner")
    entry = {"type": "reasoning.text", "text": "I think", "signature": seal.seal(sealed)}
    message = {"role": "assistant", "content": "x", "reasoning_details": [7, entry, A]}
    request = openai_chat.parse_request(Incoming({"model": "m", "messages": [message]}))
    rendered = openai_chat.render_request(request, OWN)

    assert request.messages[0].parts == (ThinkingPart("I think", opaque=(sealed,)), TextPart("x"))
    assert rendered.body["messages"][0] == {**message, "reasoning_details": [7, A]}


# The state on a message

SIGNED_TEXT = {"content": "It rains.", "extra_content": EXTRA}


@pytest.mark.parametrize("client", ["none", "anthropic"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_the_state_on_an_answer_without_calls_goes_back_on_its_message(
    stream: bool, client: str
) -> None:
    """Google signs such an answer too, and takes it back on the message."""
    if stream:
        response = response_from_events(decoded(chunks([SIGNED_TEXT, {"content": " Still."}])))
    else:
        response = parsed({**SIGNED_TEXT, "content": "It rains. Still."})
    if client == "anthropic":
        response = through_anthropic(response)
    message, losses = sent_back(response)

    assert message == {
        "role": "assistant",
        "content": "It rains. Still.",
        "extra_content": EXTRA,
    }
    assert losses == []
    assert "extra_content" not in sent_back(response, replace(OWN, origin="another"))[0]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_a_chat_client_gets_the_state_on_the_message(stream: bool) -> None:
    if stream:
        encoder = openai_chat.stream_encoder(ASK, STAMP)
        wire = b"".join(encoder.encode(event) for event in decoded(chunks([SIGNED_TEXT])))
        frames = [json.loads(line[6:]) for line in wire.decode().split("\n\n") if line[6:7] == "{"]
        deltas = [choice["delta"] for frame in frames for choice in frame["choices"]]
        assert [d["extra_content"] for d in deltas if "extra_content" in d] == [EXTRA]
        assert "".join(delta.get("content", "") for delta in deltas) == "It rains."
        assert encoder.losses == []
    else:
        rendered = openai_chat.render_response(parsed(SIGNED_TEXT), ASK, STAMP)
        message = rendered.body["choices"][0]["message"]
        assert list(message) == ["role", "content", "extra_content"]
        assert message["extra_content"] == EXTRA
        assert rendered.losses == ()
