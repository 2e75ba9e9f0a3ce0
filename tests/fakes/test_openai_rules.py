"""Every rule of the OpenAI fake refuses the breach it is for, and nothing that real clients send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import corpus
from tests.fakes.openai_rules import RULES, VENDOR_RULES
from tests.fakes.server import first_breach

ALL = RULES + VENDOR_RULES
HEADERS = {"authorization": "Bearer sk-fake-key"}
ASK = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"}
GOOD: dict[str, Any] = {"model": "gpt-4.1", "messages": [ASK]}
LONG = "c" * 41


def said(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [ASK, *messages], **more}


def parts(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(parts)}]}


def image(url: Any, **more: Any) -> dict[str, Any]:
    return parts({"type": "image_url", "image_url": {"url": url, **more}})


def tool(**function: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "ls", **function}}]}


def schema(**inner: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": inner}}


#: (rule, what is changed in GOOD, what the message holds). None takes a key away; "+" is headers.
BREACHES: list[tuple[str, dict[str, Any], str]] = [
    ("key", {"+": {"authorization": None}}, "You didn't provide an API key"),
    ("key", {"+": {"authorization": "Bearer refused"}}, "Incorrect API key provided"),
    ("model", {"model": None}, "you must provide a model parameter"),
    ("model", {"model": "claude-sonnet-4-5"}, "does not exist or you do not have access"),
    (
        "stream_options",
        {"stream_options": {"include_usage": True}},
        "only allowed when 'stream' is enabled",
    ),
    (
        "both limits",
        {"max_tokens": 5, "max_completion_tokens": 5},
        "at the same time is not supported",
    ),
    ("messages", {"messages": []}, "Invalid 'messages': empty array."),
    ("messages", {"messages": None}, "Missing required parameter: 'messages'."),
    ("roles", {"messages": [{"role": "model", "content": "x"}]}, "Invalid value: 'model'."),
    ("content", {"messages": [{"role": "user", "content": None}]}, "expected a string, got null"),
    ("content", said({"role": "assistant", "content": None}), "expected a string, got null"),
    ("content", {"messages": [{"role": "user", "content": []}]}, "empty array"),
    ("parts", parts({"type": "image", "source": {}}), "Invalid value: 'image'."),
    (
        "parts",
        parts({"type": "image_url", "image_url": {"url": "https://a.example"}}, role="system"),
        "Invalid value: 'image_url'.",
    ),
    (
        "parts",
        parts({"type": "text"}),
        "Missing required parameter: 'messages[0].content[0].text'.",
    ),
    (
        "parts",
        parts({"type": "text", "text": "a", "cache_control": {}}),
        "Unknown parameter: 'messages[0].content[0].cache_control'.",
    ),
    (
        "images",
        parts({"type": "image_url", "image_url": "https://a.example"}),
        "expected an object",
    ),
    ("images", image("file:///etc/passwd"), "Expected a base64-encoded data URL"),
    ("images", image("data:application/pdf;base64,aGk="), "Expected a base64-encoded data URL"),
    ("images", image("data:image/png;base64,a b"), "Invalid base64 image_url."),
    ("images", image("https://a.example", detail="max"), "Invalid value: 'max'."),
    ("results asked", said(RESULT), "must be a response to a preceeding message with 'tool_calls'"),
    (
        "results asked",
        said(CALLED, RESULT, {**RESULT, "tool_call_id": "call_2"}),
        "must be a response to a preceeding",
    ),
    ("calls answered", said(CALLED, ASK), "did not have response messages: call_1"),
    ("calls answered", said(CALLED), "did not have response messages: call_1"),
    (
        "calls",
        said({"role": "assistant", "content": "x", "tool_calls": []}),
        "tool_calls': empty array",
    ),
    (
        "calls",
        said(
            {**CALLED, "tool_calls": [{**CALL, "function": {"name": "ls", "arguments": {}}}]},
            RESULT,
        ),
        "expected a string",
    ),
    (
        "calls",
        said({**CALLED, "tool_calls": [{**CALL, "index": 0}]}, RESULT),
        "Unknown parameter: 'messages[1].tool_calls[0].index'.",
    ),
    (
        "ids",
        said({**CALLED, "tool_calls": [{**CALL, "id": LONG}]}, {**RESULT, "tool_call_id": LONG}),
        "maximum length 40, but got a string with length 41",
    ),
    ("empty tools", {"tools": []}, "Invalid 'tools': empty array."),
    (
        "without tools",
        {"tool_choice": "auto"},
        "'tool_choice' is only allowed when 'tools' are specified.",
    ),
    ("without tools", {"parallel_tool_calls": False}, "'parallel_tool_calls' is only allowed when"),
    (
        "tools",
        {"tools": [{"type": "web_search", "web_search": {"name": "x"}}]},
        "Supported values are: 'function' and 'custom'.",
    ),
    (
        "tools",
        {"tools": [{**TOOL, "cache_control": {}}]},
        "Unknown parameter: 'tools[0].cache_control'.",
    ),
    ("names", tool(name="a.b"), "string does not match pattern"),
    ("names", tool(name="n" * 65), "maximum length 64, but got a string with length 65"),
    ("names", tool(name=None), "Missing required parameter: 'tools[0].function.name'."),
    (
        "names",
        said(
            {**CALLED, "tool_calls": [{**CALL, "function": {"name": "a b", "arguments": ""}}]},
            RESULT,
        ),
        "string does not match pattern",
    ),
    (
        "parameters",
        tool(parameters={"type": "array"}),
        "schema must be a JSON Schema of 'type: \"object\"'",
    ),
    ("tool choice", {"tools": [TOOL], "tool_choice": "any"}, "Invalid value: 'any'."),
    (
        "tool choice",
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "ls"}},
        "Invalid value: 'tool'.",
    ),
    (
        "tool choice",
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "rm"}}},
        "no function named 'rm'",
    ),
    (
        "format",
        schema(schema={}),
        "Missing required parameter: 'response_format.json_schema.name'.",
    ),
    ("format", schema(name="a b"), "string does not match pattern"),
    ("format", {"response_format": {"type": "json"}}, "Invalid value: 'json'."),
    ("unknown field", {"top_k": 4}, "Unknown parameter: 'top_k'."),
    ("unknown field", {"thinking": {"type": "disabled"}}, "Unknown parameter: 'thinking'."),
    (
        "message keys",
        said({"role": "assistant", "content": "x", "reasoning_content": "y"}),
        "Unknown parameter: 'messages[1].reasoning_content'.",
    ),
    ("max_tokens", {"model": "gpt-5.4", "max_tokens": 5}, "Use 'max_completion_tokens' instead."),
    ("max_tokens", {"model": "o3-mini", "max_tokens": 5}, "Use 'max_completion_tokens' instead."),
    ("limit", {"max_tokens": 0}, "integer below minimum value"),
    (
        "limit",
        {"max_tokens": 32769},
        "max_tokens is too large: 32769. This model supports at most 32768",
    ),
    ("temperature", {"temperature": 3}, "decimal above maximum value"),
    (
        "temperature",
        {"model": "gpt-5-mini", "temperature": 0.2},
        "'temperature' does not support 0.2 with this model",
    ),
    ("top_p", {"model": "o3", "top_p": 0.9}, "'top_p' is not supported with this model."),
    (
        "top_p",
        {"model": "gpt-5.4", "reasoning_effort": "low", "top_p": 0.9},
        "'top_p' is not supported",
    ),
    (
        "stop on reasoning models",
        {"model": "gpt-5.4", "stop": "x"},
        "'stop' is not supported with this model.",
    ),
    ("stop", {"stop": list("abcde")}, "maximum length 4, but got an array with length 5"),
    (
        "effort",
        {"model": "gpt-5-mini", "reasoning_effort": "xhigh"},
        "does not support 'xhigh' with this model",
    ),
    (
        "effort",
        {"reasoning_effort": "low"},
        "Unrecognized request argument supplied: reasoning_effort",
    ),
    ("json word", {"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
    ("metadata", {"metadata": {"a": 1}}, "Invalid type for 'metadata.a'"),
    ("logprobs", {"top_logprobs": 2}, "only allowed when 'logprobs' is enabled"),
]

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"stream": True, "stream_options": {"include_usage": True}, "stop": list("abcd"), "n": 2},
    {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "system", "content": "x"}, ASK]},
    said(CALLED, RESULT, ASK, tools=[TOOL], tool_choice="required", parallel_tool_calls=False),
    said({**CALLED, "tool_calls": [CALL, {**CALL, "id": "b"}]}, {**RESULT, "tool_call_id": "b"}, RESULT),
    {"model": "gpt-5.4", "max_completion_tokens": 5, "temperature": 0.3, "reasoning_effort": "none"},
    {"model": "gpt-5-mini", "reasoning_effort": "minimal", "temperature": 1},
    image("data:image/png;base64,aGk=", detail="low"),
    image("http://a.example/b.png"),
    schema(name="answer", schema={"type": "object"}, strict=True),
]  # fmt: skip


def sent(change: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the good request with a change made."""
    body = {k: v for k, v in {**GOOD, **change}.items() if v is not None and k != "+"}
    headers = {**HEADERS, **change.get("+", {})}
    return body, {k: v for k, v in headers.items() if v is not None}


@pytest.mark.parametrize(("name", "change", "message"), BREACHES)
def test_a_breach_is_refused_by_its_rule_alone(
    name: str, change: dict[str, Any], message: str
) -> None:
    body, headers = sent(change)

    found = first_breach(ALL, body, headers)

    assert found is not None
    rule, breach = found
    assert rule.name == name
    assert message in breach.message
    assert first_breach([r for r in ALL if r.name != name], body, headers) is None


def test_every_rule_has_a_breach_and_a_source() -> None:
    assert {rule.name for rule in ALL} == {name for name, _, _ in BREACHES}
    assert all(rule.source for rule in ALL)
    assert len({rule.name for rule in ALL}) == len(ALL)


@pytest.mark.parametrize("change", ACCEPTED)
def test_what_the_api_takes_is_taken(change: dict[str, Any]) -> None:
    body, headers = sent(change)

    assert first_breach(ALL, body, headers) is None


@pytest.mark.parametrize(
    "path", corpus.recorded_files("opencode-chat-*.json"), ids=lambda p: p.stem
)
def test_what_opencode_sends_is_taken(path: Path) -> None:
    record = json.loads(path.read_text())

    assert first_breach(ALL, record["body"], HEADERS) is None


@pytest.mark.parametrize(
    "path", corpus.capture_files("openai-tool-followup/ingress.json"), ids=lambda p: p.parent.name
)
def test_the_captured_request_is_taken(path: Path) -> None:
    assert first_breach(ALL, json.loads(path.read_text()), HEADERS) is None
