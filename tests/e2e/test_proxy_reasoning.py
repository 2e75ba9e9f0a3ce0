"""Reasoning state crosses a client of another dialect, and goes back to its owner alone."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

import pytest

from lmtools.codecs import seal
from lmtools.flags.provider import ProviderChoice
from lmtools.transport import HttpRequest, MockResponse, MockTransport
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.proxy import Answered, Proxy, before, running
from tests.fakes.scenario import THINKING_TOOL
from tests.fakes.turns import blocks_of, message_of

PATH = "/v1/chat/completions"
PARAMETERS = {"type": "object", "properties": {"location": {"type": "string"}}}
ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 8000,
    "reasoning_effort": "low",
    "messages": [{"role": "user", "content": "How is the weather in Oslo?"}],
    "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}],
}
streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def follow_up(proxy: Proxy, message: dict[str, Any], stream: bool) -> Answered:
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"}
    messages = [*ASK["messages"], message, result]
    return proxy.post(PATH, {**ASK, "messages": messages, "stream": stream})


def restarted(fake: FakeAnthropic) -> AbstractContextManager[Proxy]:
    """Return a further proxy before the same provider, which remembers nothing."""
    return before(fake, vendor=True)


def sent_blocks(fake: FakeAnthropic) -> list[dict[str, Any]]:
    """Return the assistant's blocks of the last request, after seeing that none was refused."""
    assert fake.refused == []
    messages = fake.asked[-1].body["messages"]
    found: list[dict[str, Any]] = next(m for m in messages if m["role"] == "assistant")["content"]
    return found


@streamed_or_whole
def test_p5_a_chat_client_hands_signed_thinking_back_to_the_provider_that_signed_it(
    stream: bool,
) -> None:
    """The fake verifies its signatures, as the API does."""
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        fake.play(THINKING_TOOL)
        message = message_of(proxy.post(PATH, {**ASK, "stream": stream}), stream)
        (detail,) = message["reasoning_details"]
        second = follow_up(proxy, message, stream)
        assert second.status == 200, second.raw
        blocks = sent_blocks(fake)

    state = seal.open(detail["signature"])
    assert state is not None
    assert detail["text"] == message["reasoning_content"] == THINKING_TOOL.thought
    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert blocks[0]["thinking"] == THINKING_TOOL.thought
    assert blocks[0]["signature"] == state.data["signature"]


@streamed_or_whole
@pytest.mark.parametrize(
    "change",
    [
        {"signature": "Zm9yZ2Vk"},
        {"signature": "lmt1.Zm9yZ2Vk"},
        {"signature": seal.seal(seal.Opaque("anthropic", "signature", {"signature": 7}, "o"))},
        {"signature": seal.seal(seal.Opaque("anthropic", "signature", {"signature": "s"}, "o"))},
    ],
    ids=["not sealed", "forged", "of no type", "of another owner"],
)
def test_state_that_is_not_the_providers_own_is_dropped(
    change: dict[str, Any], stream: bool
) -> None:
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy, restarted(fake) as later:
        fake.play(THINKING_TOOL)
        message = message_of(proxy.post(PATH, {**ASK, "stream": stream}), stream)
        message["reasoning_details"][0].update(change)
        second = follow_up(later, message, stream)
        assert second.status == 200, second.raw
        assert "messages[1]" in second.headers["x-lmtools-loss"]
        blocks = sent_blocks(fake)

    assert [block["type"] for block in blocks] == ["tool_use"]


DETAILS = [{"type": "reasoning.text", "text": "I think", "signature": "up+/=", "index": 0}]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CHOICE = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
ASK_ANTHROPIC: dict[str, Any] = {
    "model": "some-model",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "Hi"}],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
}


def thinking_server(request: HttpRequest) -> MockResponse:
    """Answer as OpenRouter does: reasoning with details, then a call."""
    if not json.loads(request.body).get("stream"):
        said = {"role": "assistant", "content": None, "reasoning": "I think", "tool_calls": [CALL]}
        message = {**said, "reasoning_details": DETAILS}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        body = json.dumps({**CHOICE, "choices": [choice]}).encode()
        return MockResponse(200, body, {"content-type": "application/json"})
    first = {"type": "reasoning.text", "text": "I ", "index": 0}
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "reasoning": "I ", "reasoning_details": [first]},
        {"reasoning": "think", "reasoning_details": [{**DETAILS[0], "text": "think"}]},
        {"tool_calls": [{"index": 0, **CALL}]},
        {},
    ]
    frames = b""
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": None if delta else "tool_calls"}
        chunk = {**CHOICE, "object": "chat.completion.chunk", "choices": [choice]}
        frames += f"data: {json.dumps(chunk)}\n\n".encode()
    return MockResponse(200, frames + b"data: [DONE]\n\n", {"content-type": "text/event-stream"})


@streamed_or_whole
@pytest.mark.parametrize("own", [True, False], ids=["its owner", "another key"])
def test_an_anthropic_client_carries_the_reasoning_details_of_a_chat_provider(
    stream: bool, own: bool
) -> None:
    transport = MockTransport(thinking_server)
    choice = ProviderChoice("openai", url="http://127.0.0.1:9/v1")
    with running(choice, transport) as proxy, running(choice, transport) as later:
        answered = proxy.post("/v1/messages", {**ASK_ANTHROPIC, "stream": stream})
        blocks = blocks_of(answered, stream)
        state = seal.open(blocks[0]["signature"])
        assert state is not None
        if not own:
            owner = seal.Opaque(state.dialect, state.kind, state.data, "other")
            blocks[0]["signature"] = seal.seal(owner)
        result = {"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}
        turns = [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        messages = [*ASK_ANTHROPIC["messages"], *turns]
        second = later.post("/v1/messages", {**ASK_ANTHROPIC, "messages": messages})
        assert second.status == 200, second.raw
        sent = json.loads(transport.requests[-1].body)["messages"][1]

    assert [block["type"] for block in blocks] == ["thinking", "tool_use"]
    assert blocks[0]["thinking"] == "I think"
    assert sent.get("reasoning_details") == (DETAILS if own else None)
    assert own or "messages[1].parts[0]" in second.headers["x-lmtools-loss"]
    assert sent["content"] is None
