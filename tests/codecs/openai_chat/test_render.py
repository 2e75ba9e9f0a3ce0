"""Rendering for one server: limits, efforts, tools, and everything it takes or refuses."""

from __future__ import annotations

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Incoming, Target
from lmtools.types import (
    BuiltinTool,
    CacheMark,
    CustomTool,
    FunctionTool,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolsPart,
)

ALL_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
OLD_EFFORTS = frozenset({"low", "medium", "high"})


def render(fields, **target):
    request = Request("m", (Message.user("Hi"),), **fields)
    rendered = openai_chat.render_request(request, Target(**target))
    return rendered.body, [(loss.path, loss.action) for loss in rendered.losses]


def said(fields, key, **target):
    body, losses = render(fields, **target)
    return body.get(key), losses


REASONING = [
    (Reasoning(effort="high"), {}, "high", []),
    (Reasoning(effort="max"), {}, "max", []),
    (Reasoning(effort="max"), {"effort_map": {"max": "xhigh"}}, "xhigh", [("reasoning.effort", "substituted")]),
    (Reasoning(effort="max"), {"efforts": OLD_EFFORTS, "effort_map": {"max": "high"}}, "high", [("reasoning.effort", "substituted")]),
    (Reasoning(effort="xhigh"), {"efforts": OLD_EFFORTS}, "high", [("reasoning.effort", "substituted")]),
    (Reasoning(effort="minimal"), {"efforts": OLD_EFFORTS}, "low", [("reasoning.effort", "substituted")]),
    (Reasoning(effort="none"), {"efforts": OLD_EFFORTS | {"none"}}, "none", []),
    (Reasoning(effort="high"), {"efforts": frozenset({"none"})}, "none", [("reasoning.effort", "substituted")]),
    (Reasoning(effort="high"), {"efforts": frozenset()}, None, [("reasoning.effort", "dropped")]),
    (Reasoning(effort="high"), {"thinking": frozenset({"enabled"})}, None, [("reasoning.effort", "dropped")]),
    (Reasoning(effort="high"), {"thinking": frozenset({"effort"}), "efforts": OLD_EFFORTS}, "high", []),
    (Reasoning("disabled"), {"efforts": ALL_EFFORTS}, "none", [("reasoning.mode", "substituted")]),
    (Reasoning("disabled"), {"efforts": OLD_EFFORTS}, None, [("reasoning.mode", "dropped")]),
    (Reasoning("disabled"), {}, None, [("reasoning.mode", "dropped")]),
    (Reasoning("enabled", budget=1024), {}, "low", [("reasoning", "substituted")]),
    (Reasoning("enabled", budget=2048), {}, "low", [("reasoning", "substituted")]),
    (Reasoning("enabled", budget=8192), {}, "medium", [("reasoning", "substituted")]),
    (Reasoning("enabled", budget=24576), {}, "high", [("reasoning", "substituted")]),
    (Reasoning("enabled", budget=31999), {}, "high", [("reasoning", "substituted")]),
    (Reasoning("enabled", budget=31999), {"efforts": ALL_EFFORTS}, "xhigh", [("reasoning", "substituted")]),
    (Reasoning("enabled", budget=31999), {"efforts": OLD_EFFORTS, "effort_map": {"xhigh": "high"}}, "high", [("reasoning", "substituted")]),
    (Reasoning("enabled", budget=1024), {"efforts": frozenset()}, None, [("reasoning", "dropped")]),
    (Reasoning("adaptive"), {}, None, [("reasoning.mode", "dropped")]),
    (Reasoning("adaptive", effort="high", budget=5), {}, "high", [("reasoning.mode", "substituted"), ("reasoning.budget", "dropped")]),
    (Reasoning(summary="auto"), {}, None, [("reasoning.summary", "dropped")]),
]  # fmt: skip


@pytest.mark.parametrize(("reasoning", "target", "word", "losses"), REASONING)
def test_reasoning_becomes_the_effort_word_that_the_server_takes(reasoning, target, word, losses):
    assert said({"reasoning": reasoning}, "reasoning_effort", **target) == (word, losses)


LIMITS = [
    ({"max_tokens": 5}, {}, {"max_completion_tokens": 5}, []),
    ({"max_tokens": 5}, {"limits_field": "max_tokens"}, {"max_tokens": 5}, []),
    ({"max_tokens": 500}, {"max_output_tokens": 100}, {"max_completion_tokens": 100}, [("max_tokens", "clamped")]),
    ({}, {"default_max_tokens": 50}, {"max_completion_tokens": 50}, [("max_tokens", "defaulted")]),
    ({}, {"default_max_tokens": 500, "max_output_tokens": 100}, {"max_completion_tokens": 100}, [("max_tokens", "defaulted"), ("max_tokens", "clamped")]),
    ({}, {}, {}, []),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "target", "wanted", "losses"), LIMITS)
def test_the_limit_goes_under_the_servers_name_and_within_its_bound(fields, target, wanted, losses):
    body, got = render(fields, **target)
    assert {k: v for k, v in body.items() if "tokens" in k} == wanted
    assert got == losses


def test_both_spellings_of_the_limit_become_the_one_that_the_server_knows():
    wire = {"model": "m", "messages": [], "max_tokens": 5, "max_completion_tokens": 7}
    request = openai_chat.parse_request(Incoming(wire))
    body = openai_chat.render_request(request, Target(limits_field="max_tokens")).body
    assert body == {"model": "m", "messages": [], "max_tokens": 7}
    body = openai_chat.render_request(request, Target(limits_field="max_completion_tokens")).body
    assert body == {"model": "m", "messages": [], "max_completion_tokens": 7}


SAMPLING = [
    ({"temperature": 0.5, "top_p": 0.9}, {}, {"temperature": 0.5, "top_p": 0.9}, []),
    ({"temperature": 1.5}, {"temperature_max": 1.0}, {"temperature": 1.0}, [("temperature", "clamped")]),
    ({"temperature": 0.5, "top_p": 0.9}, {"one_sampling_field": True}, {"temperature": 0.5}, [("top_p", "dropped")]),
    ({"top_p": 0.9}, {"one_sampling_field": True}, {"top_p": 0.9}, []),
    ({"temperature": 0.5, "top_p": 0.9, "top_k": 4}, {"sampling": False}, {}, [("temperature", "dropped"), ("top_p", "dropped"), ("top_k", "dropped")]),
    ({"top_k": 4}, {}, {}, [("top_k", "dropped")]),
    ({"stop": ("a", "b")}, {}, {"stop": ["a", "b"]}, []),
    ({"stop": ("a",)}, {"stop": False}, {}, [("stop", "dropped")]),
    ({"stop": ("a", "b", "c", "d", "e")}, {}, {"stop": ["a", "b", "c", "d"]}, [("stop", "clamped")]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "target", "wanted", "losses"), SAMPLING)
def test_sampling_and_stop_go_as_far_as_the_server_takes_them(fields, target, wanted, losses):
    body, got = render(fields, **target)
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == wanted
    assert got == losses


def test_the_targets_model_is_sent():
    assert render({}, model="upstream-name")[0]["model"] == "upstream-name"


def test_fields_that_the_server_refuses_are_left_out_under_their_canonical_names():
    fields = {"verbosity": "low", "reasoning": Reasoning(effort="low"), "seed": 1}
    refuses = frozenset({"verbosity", "reasoning_effort", "unheard_of"})
    body, losses = render(fields, refuses=refuses)
    assert set(body) == {"model", "messages", "seed"}
    assert set(losses) == {("verbosity", "dropped"), ("reasoning.effort", "dropped")}


def test_what_chat_cannot_say_at_all_is_named():
    fields = {
        "cache": CacheMark("1h"),
        "previous_response_id": "resp_1",
        "opaque": (
            Opaque("anthropic", "request", {"rest": {"context_management": {}, "nothing": None}}),
            Opaque("anthropic", "headers", {"anthropic-beta": "x"}),
        ),
    }
    assert render(fields)[1] == [
        ("context_management", "dropped"),
        ("headers.anthropic-beta", "dropped"),
        ("cache", "dropped"),
        ("previous_response_id", "dropped"),
    ]


@pytest.mark.parametrize(
    ("tier", "word", "losses"),
    [
        ("priority", "priority", []),
        ("standard_only", "default", [("service_tier", "substituted")]),
        ("standard", "default", [("service_tier", "substituted")]),
    ],
)
def test_service_tiers_are_worded_as_openai_words_them(tier, word, losses):
    assert said({"service_tier": tier}, "service_tier") == (word, losses)


def test_plain_fields_have_their_chat_names():
    fields = {
        "seed": 1,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 3,
        "verbosity": "low",
        "metadata": {"a": "b"},
        "store": False,
        "cache_key": "k",
        "cache_retention": "24h",
        "user": "u",
        "stream": True,
    }
    body, losses = render(fields)
    renamed = {"cache_key": "prompt_cache_key", "cache_retention": "prompt_cache_retention"}
    assert {renamed.get(k, k): v for k, v in fields.items()}.items() <= body.items()
    assert losses == []


def test_usage_is_asked_for_in_streams_where_the_target_says_so():
    assert said({"stream": True}, "stream_options", stream_usage=True)[0] == {"include_usage": True}
    assert said({"stream": False}, "stream_options", stream_usage=True)[0] is None
    kept = said({"stream": True, "include_usage": False}, "stream_options", stream_usage=True)[0]
    assert kept == {"include_usage": False}


def test_extensions_are_merged_last_the_provider_after_the_dialect():
    extensions = {
        "openai_chat": {"seed": 2, "a": 1},
        "vllm": {"a": 2},
        "anthropic": {"b": 1},
        "odd": 7,
    }
    body, _ = render({"seed": 1, "extensions": extensions}, provider="vllm")
    assert (body["seed"], body["a"], "b" in body) == (2, 2, False)


OUTPUTS = [
    (OutputFormat("json_object"), {"type": "json_object"}, []),
    (OutputFormat("json_schema", {"type": "object"}), {"type": "json_schema", "json_schema": {"name": "response", "schema": {"type": "object"}}}, [("output.name", "defaulted")]),
    (OutputFormat("json_schema", {}, "n", "d", True), {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": {}, "strict": True}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("output", "wire", "losses"), OUTPUTS)
def test_an_output_format_has_a_name(output, wire, losses):
    assert said({"output": output}, "response_format") == (wire, losses)


# Tools

SEARCH = BuiltinTool("web_search", opaque=(Opaque("anthropic", "tool", {"rest": {"max_uses": 5}}),))


def test_tools_keep_schema_and_strictness_and_lose_cache_marks():
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
    tool = FunctionTool("f", "d", schema, True, cache=CacheMark())
    tools, losses = said({"tools": (tool,)}, "tools")
    function = {"name": "f", "description": "d", "parameters": schema, "strict": True}
    assert tools == [{"type": "function", "function": function}]
    assert losses == [("tools[0].cache", "dropped")]


def test_a_custom_tool_goes_as_one_with_its_grammar_nested():
    format = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    (tool,) = said({"tools": (CustomTool("c", "d", format),)}, "tools")[0]
    grammar = {"syntax": "lark", "definition": "start: x"}
    assert tool == {
        "type": "custom",
        "custom": {
            "name": "c",
            "description": "d",
            "format": {"type": "grammar", "grammar": grammar},
        },
    }


def test_a_server_without_custom_tools_gets_a_function_for_each():
    call = Message("assistant", (ToolCallPart("c", "run", "1+1", "1+1", "custom"),))
    tool = CustomTool("run", "Runs code", {"type": "grammar", "syntax": "lark", "definition": "x"})
    choice = ToolChoice("required", (ToolRef("run", "custom"),))
    request = Request("m", (call, Message.tool({"c": "2"})), (tool,), choice)
    refuses = frozenset({"custom_tools"})
    rendered = openai_chat.render_request(request, Target(refuses=refuses))
    (function,) = (offered["function"] for offered in rendered.body["tools"])
    assert function["parameters"]["required"] == ["input"]
    assert "Runs code" in function["description"]
    assert "lark" in function["description"]
    assert rendered.body["tool_choice"] == {"type": "function", "function": {"name": "run"}}
    sent = rendered.body["messages"][0]["tool_calls"][0]
    assert sent["function"] == {"name": "run", "arguments": '{"input":"1+1"}'}
    assert [(loss.path, loss.action) for loss in rendered.losses] == [
        ("messages[0].parts[0]", "emulated"),
        ("tools[0]", "emulated"),
    ]


def test_a_builtin_tool_of_another_dialect_is_dropped_with_the_choice_that_names_it():
    forced = ToolChoice("required", (ToolRef("web_search", "builtin"),))
    body, losses = render({"tools": (SEARCH, FunctionTool("f")), "tool_choice": forced})
    assert [tool["function"]["name"] for tool in body["tools"]] == ["f"]
    assert body["tool_choice"] == "auto"
    assert losses == [("tools[0]", "dropped"), ("tool_choice.allowed", "dropped")]


def test_a_choice_among_tools_that_all_went_goes_too():
    body, losses = render({"tools": (SEARCH,), "tool_choice": ToolChoice("auto", parallel=False)})
    assert set(body) == {"model", "messages"}
    assert losses == [("tools[0]", "dropped"), ("tool_choice", "dropped")]


def test_a_choice_that_does_not_name_the_dropped_tool_stays():
    choice = ToolChoice("required", (ToolRef("f"),))
    body, _ = render({"tools": (SEARCH, FunctionTool("f")), "tool_choice": choice})
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}


CHOICES = [
    (ToolChoice("required"), "required"),
    (ToolChoice("none"), "none"),
    (ToolChoice("required", (ToolRef("f"),)), {"type": "function", "function": {"name": "f"}}),
    (ToolChoice("required", (ToolRef("c", "custom"),)), {"type": "custom", "custom": {"name": "c"}}),
    (ToolChoice("auto", (ToolRef("f"),)), {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}),
    (ToolChoice(), None),
]  # fmt: skip


@pytest.mark.parametrize(("choice", "wire"), CHOICES)
def test_choices_have_their_chat_forms(choice, wire):
    fields = {"tools": (FunctionTool("f"), CustomTool("c")), "tool_choice": choice}
    assert said(fields, "tool_choice")[0] == wire


def test_one_call_at_a_time_is_asked_for_beside_the_choice():
    fields = {"tools": (FunctionTool("f"),), "tool_choice": ToolChoice(parallel=False)}
    body, losses = render(fields)
    assert body["parallel_tool_calls"] is False
    assert "tool_choice" not in body
    assert losses == []


def test_names_out_of_the_servers_rule_are_renamed_everywhere():
    fields = {
        "tools": (FunctionTool("mcp.tool"), FunctionTool("exec", namespace="functions")),
        "tool_choice": ToolChoice("required", (ToolRef("mcp.tool"),)),
    }
    body, losses = render(fields, name_rule=r"^[a-zA-Z0-9_-]{1,64}$")
    first, second = (tool["function"]["name"] for tool in body["tools"])
    assert first.startswith("mcp_tool_")
    assert body["tool_choice"]["function"]["name"] == first
    assert second == "functions__exec"
    assert losses == [("tools[1].namespace", "emulated")]


def test_tools_that_stand_in_a_message_are_offered_at_the_top():
    messages = (Message("developer", (ToolsPart((FunctionTool("late"),)),)), Message.user("Hi"))
    rendered = openai_chat.render_request(Request("m", messages), Target())
    assert [tool["function"]["name"] for tool in rendered.body["tools"]] == ["late"]
    assert [message["role"] for message in rendered.body["messages"]] == ["user"]
    assert ("messages[0].parts[0]", "substituted") in [(x.path, x.action) for x in rendered.losses]


def test_an_empty_list_of_tools_goes_only_where_nobody_is_named():
    wire = {"model": "m", "messages": [], "tools": [], "functions": []}
    request = openai_chat.parse_request(Incoming(wire))
    assert openai_chat.render_request(request, Target()).body == wire
    sent = openai_chat.render_request(request, Target(provider="openai"))
    assert sent.body == {"model": "m", "messages": []}
    assert sent.losses == ()
