"""What real agents say, one habit at a time: taken by both strict upstreams and by the built-in model.

The habits are those of clients whose requests were recorded; their sessions are replayed in
``test_proxy_recorded``, and what Claude Code's makers ask for is in ``test_gateway_contract``.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lmtools.apiproxy.options import ModelRule
from lmtools.flags.provider import ProviderChoice
from tests.fakes.agents import kept_message
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.pairs import both_ways
from tests.fakes.proxy import Answered, before, running

BETAS = "claude-code-20250219,context-management-2025-06-27,mid-conversation-system-2026-04-07,effort-2025-11-24,structured-outputs-2025-12-15"
HEADERS = {"anthropic-version": "2023-06-01", "anthropic-beta": BETAS}
#: Every keyword of JSON Schema, draft 2020-12 (json-schema.org/draft/2020-12), in one schema.
EVERY_KEYWORD: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://example.com/tool",
    "$anchor": "top",
    "$dynamicAnchor": "node",
    "$vocabulary": {"https://json-schema.org/draft/2020-12/vocab/core": True},
    "$comment": "for readers",
    "$defs": {"name": {"type": "string", "minLength": 1}},
    "title": "Tool",
    "description": "All that a schema can say.",
    "default": {},
    "deprecated": False,
    "readOnly": False,
    "writeOnly": False,
    "examples": [{"name": "x"}],
    "type": "object",
    "properties": {
        "name": {"$ref": "#/$defs/name"},
        "next": {"$dynamicRef": "#node"},
        "kind": {"enum": ["a", 1, None]},
        "fixed": {"const": "yes"},
        "number": {"type": "number", "minimum": 0, "maximum": 10, "exclusiveMinimum": -1, "exclusiveMaximum": 11, "multipleOf": 0.5},
        "text": {"type": "string", "minLength": 0, "maxLength": 9, "pattern": "^[a-z]*$", "format": "uri", "contentEncoding": "base64", "contentMediaType": "application/json", "contentSchema": {"type": "object"}},
        "list": {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}, "contains": {"type": "integer"}, "minContains": 0, "maxContains": 3, "minItems": 0, "maxItems": 5, "uniqueItems": True, "unevaluatedItems": False},
        "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "one": {"oneOf": [{"type": "boolean"}, {"type": "integer"}]},
        "both": {"allOf": [{"type": ["string", "null"]}, {"not": {"const": "no"}}]},
        "properties": {"type": "string"},
        "const": {"type": "string"},
    },
    "patternProperties": {"^x-": {"type": "string"}},
    "additionalProperties": False,
    "unevaluatedProperties": False,
    "propertyNames": {"pattern": "^[a-z-]+$"},
    "minProperties": 0,
    "maxProperties": 99,
    "required": ["name"],
    "dependentRequired": {"one": ["both"]},
    "dependentSchemas": {"both": {"required": ["one"]}},
    "if": {"properties": {"kind": {"const": "a"}}},
    "then": {"required": ["name"]},
    "else": {"properties": {"fixed": {"const": "yes"}}},
}  # fmt: skip
TITLE = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}
SAID = [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}]
NOTICE = {"role": "system", "content": "Some tools are deferred."}
TOOL = {"name": "ls", "description": "List.", "input_schema": EVERY_KEYWORD}
HABITS: dict[str, dict[str, Any]] = {
    "system in the middle": {"messages": [*SAID, NOTICE]},
    "system stays in the history": {"messages": [*SAID, NOTICE, {"role": "assistant", "content": "Hi."}, *SAID]},
    "adaptive thinking": {"thinking": {"type": "adaptive"}},
    **{f"effort {e}": {"thinking": {"type": "adaptive"}, "output_config": {"effort": e}} for e in ("low", "medium", "high", "xhigh", "max")},
    "budget one below the limit": {"model": "claude-sonnet-4-5", "max_tokens": 32_000, "thinking": {"type": "enabled", "budget_tokens": 31_999}},
    "no tools": {"tools": []},
    "thinking disabled": {"thinking": {"type": "disabled"}},
    "every keyword": {"tools": [TOOL]},
    "a title": {"tools": [], "thinking": {"type": "disabled"}, "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": TITLE}}},
    "context management": {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
    "large": {"system": [{"type": "text", "text": "word " * 23_000, "cache_control": {"type": "ephemeral"}}]},
}  # fmt: skip
habit = pytest.mark.parametrize("name", sorted(HABITS))


def body_of(name: str, stream: bool) -> dict[str, Any]:
    body = {"model": "claude-opus-4-8", "max_tokens": 64_000, "messages": SAID, "stream": stream}
    return {**body, **HABITS[name]}


def assert_answered(answered: Answered, stream: bool) -> None:
    assert answered.status == 200, answered.raw
    assert kept_message(answered, stream)["content"]


@habit
@both_ways
def test_its_own_provider_is_told_in_the_same_words(name: str, stream: bool) -> None:
    body = json.dumps(body_of(name, stream)).encode()
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        answered = proxy.post("/v1/messages?beta=true", body, HEADERS)

    assert fake.refused == []
    assert_answered(answered, stream)
    assert fake.asked[0].raw == body


@habit
@both_ways
@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5.4", "o3"])
def test_another_provider_takes_it(name: str, model: str, stream: bool) -> None:
    rules = (ModelRule(re.compile(""), model),)
    with FakeOpenAI() as fake, before(fake, vendor=True, model_map=rules) as proxy:
        answered = proxy.post("/v1/messages?beta=true", body_of(name, stream), HEADERS)

    assert fake.refused == []
    assert_answered(answered, stream)
    sent = fake.asked[0].body
    assert "tools" not in sent or sent["tools"]
    if name == "every keyword":
        assert sent["tools"][0]["function"]["parameters"] == EVERY_KEYWORD
    if name.startswith("system"):
        assert [m["role"] for m in sent["messages"]][:2] == ["user", "system"]
    if name == "a title":
        assert sent["response_format"]["json_schema"]["schema"] == TITLE


@habit
@both_ways
@pytest.mark.parametrize("wire", ["anthropic", "openai-chat"])
@pytest.mark.parametrize("model", ["echo", "tools", "think"])
def test_the_built_in_model_takes_it(name: str, model: str, wire: str, stream: bool) -> None:
    rules = (ModelRule(re.compile(""), model),)
    with running(ProviderChoice("loopback", loopback_wire=wire), model_map=rules) as proxy:
        answered = proxy.post("/v1/messages?beta=true", body_of(name, stream), HEADERS)

    assert_answered(answered, stream)
    if name == "a title":
        text = kept_message(answered, stream)["content"][-1]["text"]
        assert isinstance(json.loads(text)["title"], str)


@both_ways
def test_every_keyword_of_a_chat_clients_schema_reaches_anthropic(stream: bool) -> None:
    function = {"name": "ls", "parameters": EVERY_KEYWORD}
    body = {
        "model": "claude-opus-4-8",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": "auto",
        "stream": stream,
    }
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        answered = proxy.post("/v1/chat/completions", body)

    assert fake.refused == []
    assert_answered(answered, stream)
    assert fake.asked[0].body["tools"][0]["input_schema"] == EVERY_KEYWORD


@pytest.mark.parametrize("model", ["gpt-5-mini", "o3", "gpt-4.1", "claude-opus-4-8"])
@both_ways
def test_opencodes_limit_has_the_name_that_the_model_wants(model: str, stream: bool) -> None:
    """It says ``max_tokens`` for every model."""
    fake = FakeAnthropic() if model.startswith("claude") else FakeOpenAI()
    body = {
        "model": model,
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": "hi"}],
        "stream": stream,
    }
    with fake, before(fake, vendor=True) as proxy:
        answered = proxy.post("/v1/chat/completions", body)

    assert fake.refused == []
    assert_answered(answered, stream)
    assert sum(value == 32_000 for value in fake.asked[0].body.values()) == 1
