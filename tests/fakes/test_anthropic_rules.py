"""Every rule of the Anthropic fake refuses the breach it is for, and nothing that real clients send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import corpus
from tests.fakes.anthropic_rules import RULES, redacted, sign
from tests.fakes.server import first_breach

HEADERS = {"x-api-key": "sk-ant-fake", "anthropic-version": "2023-06-01", ":path": "/v1/messages"}
ASK = {"role": "user", "content": "Hello"}
TOOL = {"name": "ls", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.txt"}
THOUGHT = {"type": "thinking", "thinking": "So.", "signature": sign("So.")}
GOOD: dict[str, Any] = {"model": "claude-sonnet-4-5", "max_tokens": 4096, "messages": [ASK]}
MARK = {"type": "ephemeral"}


def said(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"messages": [ASK, *messages], **more}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def image(source: dict[str, Any]) -> dict[str, Any]:
    return said(user({"type": "image", "source": source}))


THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
#: (rule, what is changed in GOOD, what the message holds). None takes a key away; "+" is headers.
BREACHES: list[tuple[str, dict[str, Any], str]] = [
    ("key", {"+": {"x-api-key": ""}}, "x-api-key header is required"),
    ("key", {"+": {"x-api-key": "refused"}}, "invalid x-api-key"),
    ("version", {"+": {"anthropic-version": None}}, "anthropic-version: header is required"),
    ("version", {"+": {"anthropic-version": "2030-01-01"}}, "is not a valid version"),
    ("model", {"model": None}, "model: Field required"),
    ("model", {"model": "gpt-4.1"}, "model: gpt-4.1"),
    ("unknown field", {"stream_options": {}}, "stream_options: Extra inputs are not permitted"),
    ("unknown field", {"reasoning_effort": "low"}, "reasoning_effort: Extra inputs"),
    (
        "unknown field",
        {"context_management": {"edits": []}},
        "context_management: Extra inputs are not permitted",
    ),
    (
        "unknown field",
        {"max_tokens": 5, "+": {":path": "/v1/messages/count_tokens"}},
        "max_tokens: Extra inputs",
    ),
    (
        "metadata",
        {"metadata": {"user_id": "u", "stream_options": {}}},
        "metadata.stream_options: Extra inputs",
    ),
    ("max_tokens", {"max_tokens": None}, "max_tokens: Field required"),
    ("max_tokens", {"max_tokens": 0}, "max_tokens: must be greater than or equal to 1"),
    ("max_tokens limit", {"max_tokens": 64001}, "max_tokens: 64001 > 64000, which is the maximum"),
    ("temperature", {"temperature": 1.5}, "temperature: range: 0..1"),
    ("temperature", {"temperature": -1}, "greater than or equal to 0"),
    ("sampling pair", {"temperature": 0.5, "top_p": 0.9}, "cannot both be specified"),
    (
        "sampling gone",
        {"model": "claude-opus-4-7", "temperature": 1},
        "`temperature` is deprecated",
    ),
    ("sampling gone", {"model": "claude-opus-4-7", "top_k": 5}, "`top_k` is deprecated"),
    (
        "thinking form",
        {"model": "claude-opus-4-7", **THINKING},
        '"thinking.type.enabled" is not supported',
    ),
    ("thinking form", {"thinking": {"type": "adaptive"}}, "Input tag 'adaptive' found"),
    (
        "budget least",
        {"thinking": {"type": "enabled", "budget_tokens": 1023}},
        "greater than or equal to 1024",
    ),
    ("budget least", {"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
    (
        "budget least",
        {"model": "claude-opus-4-7", "thinking": {"type": "adaptive", "budget_tokens": 2000}},
        "Extra inputs",
    ),
    (
        "budget most",
        {"max_tokens": 1024, **THINKING},
        "must be greater than `thinking.budget_tokens`",
    ),
    (
        "forced tool",
        {**THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled",
    ),
    ("thinking temperature", {**THINKING, "temperature": 0}, "may only be set to 1 when thinking"),
    ("thinking top_p", {**THINKING, "top_p": 0.5}, "`top_p` must be greater"),
    ("messages", {"messages": []}, "at least one message is required"),
    ("messages", {"messages": None}, "messages: Field required"),
    ("message keys", {"messages": [{**ASK, "name": "me"}]}, "messages.0.name: Extra inputs"),
    ("message keys", {"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
    ("roles", said({"role": "system", "content": "Be brief."}), 'Unexpected role "system"'),
    ("roles", said({"role": "tool", "content": "x"}), 'Unexpected role "tool"'),
    (
        "roles",
        {
            "messages": [{"role": "system", "content": "x"}, ASK],
            "+": {"anthropic-beta": "mid-conversation-system-2026-04-07"},
        },
        "messages.0: use the top-level",
    ),
    ("empty text", said(user(text(""))), "text content blocks must be non-empty"),
    ("empty text", {"system": [text("")]}, "text content blocks must be non-empty"),
    ("blank text", said(user(text(" \n"))), "must contain non-whitespace text"),
    (
        "empty message",
        said({"role": "assistant", "content": ""}, ASK),
        "messages.1: all messages must have non-empty content",
    ),
    ("prefill", said(assistant(text("So, "))), "cannot end with trailing whitespace"),
    (
        "prefill gone",
        said(assistant(text("So,")), model="claude-opus-4-6"),
        "does not support assistant message prefill",
    ),
    (
        "block keys",
        said(assistant(text("a", refusal=None))),
        "messages.1.content.0.text.refusal: Extra inputs",
    ),
    (
        "block keys",
        said(user({"type": "image_url", "image_url": {}})),
        "Input tag 'image_url' found",
    ),
    (
        "signature",
        said(assistant({**THOUGHT, "signature": "Zm9yZ2Vk"}, text("a")), ASK),
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ),
    (
        "signature",
        said(assistant({**THOUGHT, "thinking": "So?"}, text("a")), ASK),
        "Invalid `signature`",
    ),
    (
        "signature",
        said(assistant({"type": "thinking", "thinking": "a"}, text("a")), ASK),
        "signature: Field required",
    ),
    (
        "signature",
        said(assistant({"type": "redacted_thinking", "data": ""}, text("a")), ASK),
        "redacted_thinking.data",
    ),
    (
        "thinking last",
        said(assistant(THOUGHT), ASK),
        "The final block in an assistant message cannot be `thinking`",
    ),
    (
        "ids",
        said(
            assistant({**CALL, "id": "call|1"}),
            user({**RESULT, "tool_use_id": "call|1"}),
            tools=[TOOL],
        ),
        "String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    (
        "ids",
        said(assistant(CALL, CALL), user(RESULT), tools=[TOOL]),
        "`tool_use` ids must be unique",
    ),
    (
        "ids",
        said(assistant({**CALL, "input": "{}"}), user(RESULT), tools=[TOOL]),
        "input: Input should be a valid dictionary",
    ),
    (
        "calls answered",
        said(assistant(CALL), ASK, tools=[TOOL]),
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
    ),
    (
        "results asked",
        said(user(RESULT), tools=[TOOL]),
        "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1.",
    ),
    (
        "results first",
        said(assistant(CALL), user(text("see"), RESULT), tools=[TOOL]),
        "messages.1: `tool_use` ids were found",
    ),
    (
        "media",
        image({"type": "base64", "media_type": "image/tiff", "data": "aGk="}),
        "base64.media_type: Input should be",
    ),
    (
        "media",
        image({"type": "base64", "media_type": "image/png", "data": "data:image/png;base64,aGk="}),
        "invalid base64 data",
    ),
    ("media", image({"type": "url", "url": "http://a.example/b.png"}), "Only HTTPS URLs"),
    (
        "tools",
        {"tools": [{**TOOL, "name": "a.b"}]},
        "tools.0.custom.name: String should match pattern",
    ),
    ("tools", {"tools": [TOOL, TOOL]}, "Tool names must be unique"),
    ("tools", {"tools": [{"name": "ls"}]}, "input_schema: Field required"),
    (
        "tools",
        {"tools": [{"name": "ls", "input_schema": {"type": "array"}}]},
        "Input should be 'object'",
    ),
    ("tool keys", {"tools": [{**TOOL, "function": {}}]}, "tools.0.custom.function: Extra inputs"),
    (
        "tool choice",
        {"tool_choice": {"type": "auto"}},
        "may only be specified while providing tools",
    ),
    (
        "tool choice",
        {"tools": [TOOL], "tool_choice": {"type": "required"}},
        "Input tag 'required' found",
    ),
    (
        "tool choice",
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "rm"}},
        "'rm' not found",
    ),
    (
        "tool choice",
        {"tools": [TOOL], "tool_choice": {"type": "none", "disable_parallel_tool_use": True}},
        "Extra inputs",
    ),
    (
        "cache marks",
        {"messages": [user(*[text("a", cache_control=MARK)] * 5)]},
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (
        "cache order",
        {
            "messages": [
                user(text("a", cache_control=MARK), text("b", cache_control={**MARK, "ttl": "1h"}))
            ]
        },
        "must not come after",
    ),
    ("effort", {"output_config": {"effort": "minimal"}}, "output_config.effort: Input should be"),
    ("stop sequences", {"stop_sequences": [" "]}, "must contain non-whitespace"),
    ("stop sequences", {"stop_sequences": "end"}, "should be a valid array"),
]

ACCEPTED: list[dict[str, Any]] = [
    {},
    {"stream": True, "system": "Be brief.", "tools": [], "stop_sequences": ["x"], "top_k": 4},
    {"context_management": {"edits": []}, "+": {"anthropic-beta": "context-management-2025-06-27"}},
    {"model": "claude-opus-4-7", "thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
    {"max_tokens": 1024, **THINKING, "tools": [TOOL], "+": {"anthropic-beta": "interleaved-thinking-2025-05-14"}},
    said(assistant(THOUGHT, CALL), user(RESULT, text("and now?")), tools=[TOOL], **THINKING),
    said(assistant({"type": "redacted_thinking", "data": redacted("x")}, text("a")), ASK),
    said(assistant(CALL, {**CALL, "id": "b"}), user({**RESULT, "tool_use_id": "b"}, RESULT), tools=[TOOL]),
    said(assistant(text("So"))),
    image({"type": "base64", "media_type": "image/png", "data": "aGk="}),
    image({"type": "url", "url": "https://a.example/b.png"}),
    {"x-api-key": None, "+": {"x-api-key": None, "authorization": "Bearer tok"}},
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

    found = first_breach(RULES, body, headers)

    assert found is not None
    rule, breach = found
    assert rule.name == name
    assert message in breach.message
    assert first_breach([r for r in RULES if r.name != name], body, headers) is None


def test_every_rule_has_a_breach_and_a_source() -> None:
    assert {rule.name for rule in RULES} == {name for name, _, _ in BREACHES}
    assert all(rule.source for rule in RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("change", ACCEPTED)
def test_what_the_api_takes_is_taken(change: dict[str, Any]) -> None:
    body, headers = sent(change)

    assert first_breach(RULES, body, headers) is None


@pytest.mark.parametrize("path", corpus.recorded_files("claude-code-*.json"), ids=lambda p: p.stem)
def test_what_claude_code_sends_is_taken(path: Path) -> None:
    record = json.loads(path.read_text())
    headers = {**record["headers"], ":path": record["path"]}

    assert first_breach(RULES, record["body"], headers) is None


#: What a client said here was sent on by a program that may have edited it; the request is not recorded.
_EDITED = {
    "anthropic-modern-output-config": "metadata",
    "anthropic-system-text": "sampling pair",
    "anthropic-unsigned-thinking-replay-probe": "signature",
}


@pytest.mark.parametrize(
    "path", corpus.capture_files("anthropic-*/ingress.json"), ids=lambda p: p.parent.name
)
def test_captured_requests_are_taken_or_refused_as_they_were(path: Path) -> None:
    found = first_breach(RULES, json.loads(path.read_text()), HEADERS)

    assert (found[0].name if found else None) == _EDITED.get(path.parent.name)


def test_the_captured_refusal_of_a_forged_signature_has_the_fakes_words(shared: Path) -> None:
    folder = shared / "captures" / "anthropic-unsigned-thinking-replay-probe"
    answered = json.loads((folder / "captures" / "anthropic.response.json").read_text())

    found = first_breach(RULES, json.loads((folder / "ingress.json").read_text()), HEADERS)

    assert found is not None
    assert found[1].message == answered["error"]["message"]
