"""What agents keep of an answer, and how their next request is made of it.

As Claude Code and opencode do: the message goes back as it came, with a result for each call.
"""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.proxy import Answered, events


def kept_message(answered: Answered, stream: bool) -> dict[str, Any]:
    """Return the assistant's message of a 200, in the dialect that it was answered in."""
    assert answered.status == 200, answered.raw
    if stream:
        told = events(answered.raw)
        return _chat_streamed(told) if told[-1][1] == "[DONE]" else _anthropic_streamed(told)
    if "choices" in answered.body:
        message = answered.body["choices"][0]["message"]
        return {k: v for k, v in message.items() if v is not None}
    return {"role": "assistant", "content": answered.body["content"]}


def _anthropic_streamed(told: list[tuple[str, Any]]) -> dict[str, Any]:
    assert [name for name, _ in told[-2:]] == ["message_delta", "message_stop"]
    blocks: list[dict[str, Any]] = []
    inputs: dict[int, str] = {}
    for name, data in told:
        if name == "content_block_start":
            assert data["index"] == len(blocks)
            blocks.append(data["content_block"])
        elif name == "content_block_delta":
            for key in ("text", "thinking", "signature"):
                if key in data["delta"]:
                    blocks[data["index"]][key] += data["delta"][key]
            inputs[data["index"]] = inputs.get(data["index"], "") + data["delta"].get(
                "partial_json", ""
            )
    for at, block in enumerate(blocks):
        if block["type"] == "tool_use":
            block["input"] = json.loads(inputs.get(at) or "{}")
    return {"role": "assistant", "content": blocks}


def _chat_streamed(told: list[tuple[str, Any]]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for _, chunk in told[:-1]:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            for key in ("content", "reasoning_content", "refusal"):
                if delta.get(key):
                    message[key] = message.get(key, "") + delta[key]
            if "reasoning_details" in delta:
                message.setdefault("reasoning_details", []).extend(delta["reasoning_details"])
            for piece in delta.get("tool_calls") or []:
                call = calls.setdefault(
                    piece["index"], {"function": {"name": "", "arguments": ""}, "type": "function"}
                )
                if "id" in piece:
                    call["id"] = piece["id"]
                for key, text in piece["function"].items():
                    call["function"][key] += text
    if calls:
        message["tool_calls"] = [calls[at] for at in sorted(calls)]
    return message


def calls_of(message: dict[str, Any]) -> list[str]:
    """Return the ids of the calls in a message of either dialect, in order."""
    if isinstance(message.get("content"), list):
        return [block["id"] for block in message["content"] if block["type"] == "tool_use"]
    return [call["id"] for call in message.get("tool_calls") or []]


def going_on(body: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Return a recorded second request as it follows on ``message`` instead of the recorded one."""
    before, result = body["messages"][:-2], body["messages"][-1]
    if result["role"] == "tool":
        results = [{**result, "tool_call_id": call} for call in calls_of(message)]
        return {**body, "messages": [*before, message, *results]}
    (block,) = result["content"]
    marked = {**block, "cache_control": block["cache_control"]}
    plain = {k: v for k, v in block.items() if k != "cache_control"}
    ids = calls_of(message)
    content = [{**(marked if id == ids[-1] else plain), "tool_use_id": id} for id in ids]
    return {**body, "messages": [*before, message, {"role": "user", "content": content}]}


def said(message: dict[str, Any]) -> list[Any]:
    """Return what a message says, in order: texts, thoughts and calls; empty ones say nothing."""
    if isinstance(message.get("content"), list):
        return [
            _without_ids(block)
            for block in message["content"]
            if block.get("text") != "" and block.get("thinking") != ""
        ]
    calls = [
        {**call["function"], "arguments": json.loads(call["function"]["arguments"] or "{}")}
        for call in message.get("tool_calls") or []
    ]
    words = [message.get(key) or "" for key in ("reasoning_content", "content", "refusal")]
    return [*words, *calls]


def _without_ids(message: Any) -> Any:
    """Return a message without what two answers cannot have in common."""
    if isinstance(message, dict):
        unsaid = ("id", "caller", "citations")
        return {k: _without_ids(v) for k, v in message.items() if k not in unsaid}
    return [_without_ids(item) for item in message] if isinstance(message, list) else message
