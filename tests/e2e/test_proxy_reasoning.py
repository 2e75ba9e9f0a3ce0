"""Reasoning state crosses a client of another dialect, and goes back to its owner alone."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.codecs import seal
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.proxy import Answered, Proxy, before, events
from tests.fakes.scenario import THINKING_TOOL

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


def message_of(answered: Answered, stream: bool) -> dict[str, Any]:
    """Return the assistant's message as a client of the Chat API keeps it."""
    assert answered.status == 200, answered.raw
    if not stream:
        found: dict[str, Any] = answered.body["choices"][0]["message"]
        return found
    out: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": []}
    for _, chunk in events(answered.raw):
        for choice in [] if chunk == "[DONE]" else chunk["choices"]:
            delta = choice["delta"]
            out.setdefault("reasoning_details", []).extend(delta.get("reasoning_details", ()))
            out["reasoning_content"] = out.get("reasoning_content", "") + delta.get(
                "reasoning_content", ""
            )
            for call in delta.get("tool_calls", ()):
                if call["index"] == len(out["tool_calls"]):
                    function = {"name": call["function"]["name"], "arguments": ""}
                    named = {"id": call["id"], "type": "function", "function": function}
                    out["tool_calls"].append(named)
                function = out["tool_calls"][call["index"]]["function"]
                function["arguments"] += call["function"].get("arguments", "")
    return out


def follow_up(proxy: Proxy, message: dict[str, Any], stream: bool) -> Answered:
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"}
    messages = [*ASK["messages"], message, result]
    return proxy.post(PATH, {**ASK, "messages": messages, "stream": stream})


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
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        fake.play(THINKING_TOOL)
        message = message_of(proxy.post(PATH, {**ASK, "stream": stream}), stream)
        message["reasoning_details"][0].update(change)
        second = follow_up(proxy, message, stream)
        assert second.status == 200, second.raw
        assert "messages[1]" in second.headers["x-lmtools-loss"]
        blocks = sent_blocks(fake)

    assert [block["type"] for block in blocks] == ["tool_use"]
