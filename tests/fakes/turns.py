"""Answers of a proxy as clients keep them for the next turn."""

from __future__ import annotations

import json
from typing import Any

from tests.fakes.proxy import Answered, events


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
            if delta.get("content"):
                out["content"] = (out["content"] or "") + delta["content"]
            out["reasoning_content"] = out.get("reasoning_content", "") + delta.get(
                "reasoning_content", ""
            )
            for call in delta.get("tool_calls", ()):
                if call["index"] == len(out["tool_calls"]):
                    function = {"name": call["function"]["name"], "arguments": ""}
                    named = {"id": call["id"], "type": "function", "function": function}
                    beside = (
                        {"extra_content": call["extra_content"]} if "extra_content" in call else {}
                    )
                    out["tool_calls"].append({**named, **beside})
                function = out["tool_calls"][call["index"]]["function"]
                function["arguments"] += call["function"].get("arguments", "")
    return out


def blocks_of(answered: Answered, stream: bool) -> list[dict[str, Any]]:
    """Return the answer's blocks as a client of the Messages API keeps them."""
    assert answered.status == 200, answered.raw
    if not stream:
        found: list[dict[str, Any]] = answered.body["content"]
        return found
    blocks: list[dict[str, Any]] = []
    arguments: dict[int, str] = {}
    for _, event in events(answered.raw):
        if event["type"] == "content_block_start":
            blocks.append(event["content_block"])
        delta = event.get("delta", {})
        for key in ("thinking", "signature", "text"):
            if key in delta:
                blocks[-1][key] += delta[key]
        if "partial_json" in delta:
            arguments[len(blocks) - 1] = arguments.get(len(blocks) - 1, "") + delta["partial_json"]
    for i, text in arguments.items():
        blocks[i]["input"] = json.loads(text or "{}")
    return blocks
