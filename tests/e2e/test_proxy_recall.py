"""Reasoning state of clients that keep only a call's id, and thoughts between texts and calls."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.secret import Secret
from lmtools.transport import HttpRequest, MockResponse, MockTransport
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.proxy import Answered, Proxy, before, key_source, running
from tests.fakes.scenario import HELLO, THINKING_TOOL
from tests.fakes.turns import blocks_of, message_of

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
PARAMETERS = {"type": "object", "properties": {"location": {"type": "string"}}}
ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 8000,
    "reasoning_effort": "low",
    "messages": [{"role": "user", "content": "How is the weather in Oslo?"}],
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}],
}


def without_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    """Return what most clients of the Chat API keep of an answer."""
    kept = {key: message[key] for key in ("role", "content")}
    calls = [
        {key: call[key] for key in ("id", "type", "function")} for call in message["tool_calls"]
    ]
    return {**kept, "tool_calls": calls}


def follow_up(
    proxy: Proxy, message: dict[str, Any], key: str = "mine", stream: bool = False
) -> Answered:
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "rain"}
        for call in message["tool_calls"]
    ]
    body = {**ASK, "messages": [*ASK["messages"], message, *results], "stream": stream}
    answered = proxy.post(CHAT, body, {"Authorization": f"Bearer {key}"})
    assert answered.status == 200, answered.raw
    return answered


def first_turn(proxy: Proxy, stream: bool) -> dict[str, Any]:
    body = {**ASK, "stream": stream}
    return message_of(proxy.post(CHAT, body, {"Authorization": "Bearer mine"}), stream)


def sent_turn(fake: FakeAnthropic) -> tuple[list[dict[str, Any]], Any]:
    """Return the assistant's blocks of the last request, and the thinking that it asks for."""
    assert fake.refused == []
    body = fake.asked[-1].body
    turn = next(m for m in body["messages"] if m["role"] == "assistant")
    return turn["content"], body.get("thinking")


# Calls that come back bare


@streamed_or_whole
def test_a_client_that_keeps_only_calls_gets_its_thinking_continued(stream: bool) -> None:
    """The fake verifies its signatures, as the API does."""
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        fake.play(THINKING_TOOL)
        message = without_reasoning(first_turn(proxy, stream))
        second = follow_up(proxy, message, stream=stream)
        blocks, thinking = sent_turn(fake)

    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert blocks[0]["thinking"] == THINKING_TOOL.thought
    assert blocks[0]["signature"]
    assert thinking["type"] == "enabled"
    assert "messages[1]" not in second.headers.get("x-lmtools-loss", "")


def test_reasoning_text_that_comes_back_bare_is_not_lost_beside_its_signed_self() -> None:
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        fake.play(THINKING_TOOL)
        message = first_turn(proxy, False)
        del message["reasoning_details"]
        assert message["reasoning_content"] == THINKING_TOOL.thought
        second = follow_up(proxy, message)
        blocks, _ = sent_turn(fake)

    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert "messages[1]" not in second.headers.get("x-lmtools-loss", "")


@pytest.mark.parametrize("case", ["restarted", "another client", "other arguments", "another id"])
def test_without_a_memory_of_this_very_call_thinking_ends_with_a_loss(case: str) -> None:
    """What the API expects before the calls of a thinking turn is missing, so it is not asked to."""
    with (
        FakeAnthropic() as fake,
        before(fake, vendor=True) as proxy,
        before(fake, vendor=True) as later,
    ):
        fake.play(THINKING_TOOL)
        message = without_reasoning(first_turn(proxy, True))
        (call,) = message["tool_calls"]
        if case == "other arguments":
            call["function"]["arguments"] = '{"location": "Bergen"}'
        elif case == "another id":
            call["id"] += "x"
        asked = later if case == "restarted" else proxy
        second = follow_up(asked, message, "yours" if case == "another client" else "mine")
        blocks, thinking = sent_turn(fake)

    assert [block["type"] for block in blocks] == ["tool_use"]
    assert thinking is None or thinking["type"] == "disabled"
    assert "reasoning;dropped" in second.headers["x-lmtools-loss"]


# Thoughts between texts and calls

INTERLEAVED: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "First I look.", "signature": "c2lnbmVkIG9uZQ=="},
    {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
    {"type": "text", "text": "I look it up."},
    {"type": "thinking", "thinking": "Two cities, then.", "signature": "c2lnbmVkIHR3bw=="},
    {"type": "text", "text": " Twice."},
    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "Oslo"}},
    {"type": "thinking", "thinking": "", "signature": "aGlkZGVu"},
    {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"location": "Bergen"}},
]
PARTS = ("thinking", "signature", "text")


def frames_of(blocks: list[dict[str, Any]]) -> bytes:
    """Return a stream of the Messages API."""
    usage = {"input_tokens": 5, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": {**head, "content": []}}]
    for i, block in enumerate(blocks):
        empty = {key: "" for key in PARTS if key in block}
        if "input" in block:
            empty["input"] = {}  # type: ignore[assignment]
        start = {"type": "content_block_start", "index": i, "content_block": {**block, **empty}}
        deltas = [{"type": f"{key}_delta", key: block[key]} for key in PARTS if block.get(key)]
        if "input" in block:
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        told = [{"type": "content_block_delta", "index": i, "delta": delta} for delta in deltas]
        found += [start, *told, {"type": "content_block_stop", "index": i}]
    found.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage})
    found.append({"type": "message_stop"})
    return b"".join(f"event: {f['type']}\ndata: {json.dumps(f)}\n\n".encode() for f in found)


def thinking_between(request: HttpRequest) -> MockResponse:
    """Answer as the Messages API does with interleaved thinking."""
    if json.loads(request.body).get("stream"):
        return MockResponse(200, frames_of(INTERLEAVED), {"content-type": "text/event-stream"})
    usage = {"input_tokens": 5, "output_tokens": 1}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": usage}
    body = {**head, "content": INTERLEAVED, "stop_reason": "tool_use", "stop_sequence": None}
    return MockResponse(200, json.dumps(body).encode(), {"content-type": "application/json"})


def anthropic_choice(key: str = "sk-one", url: str | None = None) -> ProviderChoice:
    return ProviderChoice("anthropic", url=url, key=KeySource("the test", secret=Secret(key)))


@streamed_or_whole
@pytest.mark.parametrize("hands_back", [True, False], ids=["handed back", "remembered"])
def test_several_thoughts_redacted_ones_and_hidden_ones_keep_their_order(
    stream: bool, hands_back: bool
) -> None:
    """Chat says all reasoning first, then all text, then all calls; the API gets its own order."""
    transport = MockTransport(thinking_between)
    choice = anthropic_choice()
    with running(choice, transport) as proxy, running(choice, transport) as restarted:
        message = first_turn(proxy, stream)
        kept = message if hands_back else without_reasoning(message)
        second = follow_up(restarted if hands_back else proxy, kept)
    sent = json.loads(transport.requests[-1].body)["messages"][1]["content"]

    assert message["content"] == "I look it up. Twice."
    assert message["reasoning_content"] == "First I look.\nTwo cities, then."
    assert [detail["type"] for detail in message["reasoning_details"]] == [
        "reasoning.text",
        "reasoning.encrypted",
        "reasoning.text",
        "reasoning.encrypted",
    ]
    assert sent == INTERLEAVED
    assert "messages[1]" not in second.headers.get("x-lmtools-loss", "")


@pytest.mark.parametrize(
    "other",
    [anthropic_choice("sk-two"), anthropic_choice(url="https://gateway.example/v1")],
    ids=["another key", "another host"],
)
def test_state_goes_to_nobody_but_the_key_and_host_that_gave_it(other: ProviderChoice) -> None:
    transport = MockTransport(thinking_between)
    with running(anthropic_choice(), transport) as proxy, running(other, transport) as foreign:
        message = first_turn(proxy, False)
        second = follow_up(foreign, message)
    sent = json.loads(transport.requests[-1].body)
    wire = json.dumps(sent)

    assert [block["type"] for block in sent["messages"][1]["content"]] == [
        "text",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert not any(word in wire for word in ("c2lnbmVk", "cmVkYWN0", "aGlkZGVu", "lmt1", "First"))
    losses = second.headers["x-lmtools-loss"]
    assert [f"messages[1].parts[{i}];dropped" in losses for i in (0, 1, 3, 6)] == [True] * 4


# Google's server of the Chat API

SIGNATURE = {"google": {"thought_signature": "CrICAdHtim8+/="}}
CALLS: list[dict[str, Any]] = [
    {
        "id": "function-call-1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"location":"Oslo"}'},
        "extra_content": SIGNATURE,
    },
    {
        "id": "function-call-2",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"location":"Bergen"}'},
    },
]
ASK_GEMINI: dict[str, Any] = {
    "model": "gemini-3-pro-preview",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "How is the weather?"}],
    "tools": [{"name": "get_weather", "input_schema": PARAMETERS}],
}
HEAD = {"id": "r1", "created": 1, "model": "gemini-3-pro-preview"}


def signing_calls(request: HttpRequest) -> MockResponse:
    """Answer as Google's server of the Chat API: the first of parallel calls is signed.

    It streams each call whole, in a chunk of its own, and gives every one the index 0.
    """
    if not json.loads(request.body).get("stream"):
        message = {"role": "assistant", "tool_calls": CALLS}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        body = {**HEAD, "object": "chat.completion", "choices": [choice]}
        return MockResponse(200, json.dumps(body).encode(), {"content-type": "application/json"})
    frames = b""
    for i, call in enumerate(CALLS):
        delta = {"role": "assistant", "tool_calls": [{"index": 0, **call}]}
        choice = {"index": 0, "delta": delta, "finish_reason": "tool_calls" if i else None}
        chunk = {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}
        frames += f"data: {json.dumps(chunk)}\n\n".encode()
    return MockResponse(200, frames + b"data: [DONE]\n\n", {"content-type": "text/event-stream"})


GOOGLE = ProviderChoice(
    "openai", url="https://generativelanguage.googleapis.com/v1beta/openai", key=key_source()
)


def sent_extras(transport: MockTransport) -> list[Any]:
    messages = json.loads(transport.requests[-1].body)["messages"]
    turn = next(message for message in messages if message["role"] == "assistant")
    return [call.get("extra_content") for call in turn["tool_calls"]]


@streamed_or_whole
@pytest.mark.parametrize("remembers", [True, False], ids=["remembered", "restarted"])
def test_p6_googles_signature_comes_back_on_the_call_of_an_anthropic_client(
    stream: bool, remembers: bool
) -> None:
    """Nothing takes its place where it is gone: Google documents no placeholder for this API."""
    transport = MockTransport(signing_calls)
    with running(GOOGLE, transport) as proxy, running(GOOGLE, transport) as restarted:
        blocks = blocks_of(proxy.post(MESSAGES, {**ASK_GEMINI, "stream": stream}), stream)
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "rain"}
            for block in blocks
        ]
        turns = [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
        body = {**ASK_GEMINI, "messages": [*ASK_GEMINI["messages"], *turns]}
        second = (proxy if remembers else restarted).post(MESSAGES, body)
        assert second.status == 200, second.raw
        log = proxy.log.getvalue()
    lost = "messages[1].parts[0].extra_content;dropped"

    assert blocks == [
        {
            "type": "tool_use",
            "id": call["id"],
            "name": "get_weather",
            "input": json.loads(call["function"]["arguments"]),
        }
        for call in CALLS
    ]
    assert sent_extras(transport) == ([SIGNATURE, None] if remembers else [None, None])
    assert (lost in second.headers.get("x-lmtools-loss", "")) == (not remembers)
    assert "extra_content" not in log


@streamed_or_whole
@pytest.mark.parametrize("path", ["raw", "codec"])
def test_p6_a_chat_client_of_google_keeps_the_signature_itself(stream: bool, path: str) -> None:
    transport = MockTransport(signing_calls)
    # A role that the server does not know is one reason to go through the codec.
    role = "developer" if path == "codec" else "system"
    ask = {
        "model": "gemini-3-pro-preview",
        "messages": [{"role": role, "content": "Be brief."}, *ASK["messages"]],
        "tools": ASK["tools"],
    }
    with running(GOOGLE, transport) as proxy:
        answered = proxy.post(CHAT, {**ask, "stream": stream})
        if path == "raw" and stream:
            message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": CALLS}
            assert answered.raw == signing_calls(transport.requests[-1]).body
        else:
            message = message_of(answered, stream)
            assert [call.get("extra_content") for call in message["tool_calls"]] == [
                SIGNATURE,
                None,
            ]
        second = proxy.post(CHAT, {**ask, "messages": [*ask["messages"], message]})
        assert second.status == 200, second.raw

    assert sent_extras(transport) == [SIGNATURE, None]


# A proxy behind a proxy


@streamed_or_whole
@pytest.mark.parametrize("hands_back", [True, False], ids=["handed back", "remembered"])
def test_a_proxy_behind_a_proxy_gets_its_own_sealed_state_back(
    stream: bool, hands_back: bool
) -> None:
    """The outer one takes the inner one's entries for its provider's state, and seals them again."""
    with FakeAnthropic() as fake, before(fake, vendor=True) as inner:
        fake.play(THINKING_TOOL)
        with running(ProviderChoice("openai", url=f"{inner.url}/v1", key=key_source())) as outer:
            ask = {
                "model": "claude-sonnet-4-5",
                "max_tokens": 8000,
                "thinking": {"type": "enabled", "budget_tokens": 2000},
                "messages": ASK["messages"],
                "tools": [{"name": "get_weather", "input_schema": PARAMETERS}],
            }
            blocks = blocks_of(outer.post(MESSAGES, {**ask, "stream": stream}), stream)
            shown = [block["type"] for block in blocks]
            if not hands_back:
                blocks = [block for block in blocks if block["type"] == "tool_use"]
            result = {"type": "tool_result", "tool_use_id": blocks[-1]["id"], "content": "rain"}
            turns = [
                {"role": "assistant", "content": blocks},
                {"role": "user", "content": [result]},
            ]
            second = outer.post(MESSAGES, {**ask, "messages": [*ASK["messages"], *turns]})
            assert second.status == 200, second.raw
        sent, thinking = sent_turn(fake)

    assert shown == ["thinking", "tool_use"]
    assert [block["type"] for block in sent] == ["thinking", "tool_use"]
    assert sent[0]["thinking"] == THINKING_TOOL.thought
    assert thinking["type"] == "enabled"


@pytest.mark.parametrize("hands_back", [True, False], ids=["handed back", "remembered"])
def test_p5_state_that_its_own_provider_refuses_is_left_out_and_asked_again_once(
    hands_back: bool,
) -> None:
    """A signature may stop being valid, and neither client nor memory can know."""
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        fake.play(replace(THINKING_TOOL, forge=True), HELLO, HELLO)
        message = first_turn(proxy, False)
        kept = message if hands_back else without_reasoning(message)
        answers = [follow_up(proxy, kept), follow_up(proxy, kept)]
        turns = [
            next(m for m in asked.body["messages"] if m["role"] == "assistant")["content"]
            for asked in fake.asked[1:]
        ]
        refused = len(fake.refused)

    assert refused == 1
    assert [[block["type"] for block in turn] for turn in turns] == [
        ["thinking", "tool_use"],
        ["tool_use"],
        ["tool_use"],
    ]
    assert ["messages[1]" in a.headers["x-lmtools-loss"] for a in answers] == [True, True]


@streamed_or_whole
def test_two_proxies_of_one_dialect_keep_the_thinking_by_the_memory_of_the_inner_one(
    stream: bool,
) -> None:
    """The outer one cannot know whose seal it is, and sends none of another owner on."""
    with FakeAnthropic() as fake, before(fake, vendor=True) as inner:
        fake.play(THINKING_TOOL)
        with running(ProviderChoice("openai", url=f"{inner.url}/v1", key=key_source())) as outer:
            message = first_turn(outer, stream)
            second = follow_up(outer, message, stream=stream)
        blocks, thinking = sent_turn(fake)

    assert message["reasoning_details"][0]["signature"].startswith("lmt1.")
    assert "messages[1]" in second.headers["x-lmtools-loss"]
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert thinking["type"] == "enabled"
