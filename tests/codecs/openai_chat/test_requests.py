"""Request bodies: what is read, what stays as it came, and what is refused with its path."""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Incoming, Target
from lmtools.codecs.text import dumps, loads
from lmtools.errors import RequestError
from lmtools.types import (
    CacheMark,
    OpaquePart,
    Reasoning,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolResultPart,
)
from tests import corpus

USER = {"role": "user", "content": "Hi"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def parse(body):
    return openai_chat.parse_request(Incoming(body))


def body(**fields):
    return {"model": "gpt-4.1", "messages": [USER], **fields}


def render(request, **target):
    return openai_chat.render_request(request, Target(**target))


def recorded():
    files = corpus.recorded_files("opencode-chat-*.json")
    files += corpus.capture_files("openai-tool-followup/ingress.json")
    return files


@pytest.mark.parametrize("path", recorded(), ids=lambda p: p.stem)
def test_recorded_bodies_come_back_byte_for_byte(path):
    held = loads(path.read_text("utf-8"))
    wire = held.get("body", held)
    rendered = render(parse(wire))
    assert dumps(rendered.body) == dumps(wire)
    assert rendered.losses == ()


#: Spellings that no recording has. Sources: openai.types.chat (SDK 3.52) unless the row says otherwise.
SPELLINGS = [
    body(stop="x"),
    body(stop=[]),
    body(stop=["a", "b", "c", "d", "e"]),
    body(stop=None),
    body(tools=[]),
    body(functions=[]),
    body(max_tokens=5, max_completion_tokens=7),
    body(max_completion_tokens=None, max_tokens=7),
    body(user="u", safety_identifier="s"),
    body(safety_identifier="s"),
    body(stream_options={}),
    body(stream_options=None),
    body(stream_options={"include_obfuscation": False, "include_usage": True}),
    body(service_tier="standard_only"),
    body(reasoning_effort="extreme"),
    body(reasoning_effort=None),
    body(top_k=20),  # vLLM, OpenRouter
    body(tool_choice="auto"),
    body(tools=[TOOL], tool_choice="any"),  # Anthropic's word, which some servers take
    body(tools=[TOOL], tool_choice="sometimes"),
    body(tools=[TOOL], tool_choice={"type": "mcp", "server": "x"}),
    body(tools=[TOOL], tool_choice={"type": "function"}),
    body(tools=[TOOL], tool_choice={"type": "allowed_tools"}),
    body(tools=[TOOL], tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp"}]}}),
    body(tools=[TOOL], tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]}}),
    body(tools=[TOOL], parallel_tool_calls=False),
    body(functions=[TOOL["function"]], function_call={"name": "f"}),
    body(functions=[TOOL["function"]], function_call="none"),
    body(functions=[TOOL["function"]], function_call={"name": "f", "extra": 1}),
    body(tools=[{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]),
    body(tools=[{"function": {"name": "f"}}]),
    body(response_format={"type": "grammar", "grammar": "root ::= x"}),  # llama.cpp, vLLM
    body(response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
    body(messages=[{"role": "user", "content": None}]),
    body(messages=[{"role": "user"}]),
    body(messages=[{"role": "user", "content": []}]),
    body(messages=[{"role": "user", "content": ""}]),
    body(messages=[{"role": "assistant", "content": None}]),
    body(messages=[{"role": "assistant", "content": "", "tool_calls": []}]),
    body(messages=[{"role": "assistant", "content": "x", "tool_calls": None}]),
    body(messages=[{"role": "assistant", "reasoning": "hm", "reasoning_content": "hm", "content": "x"}]),
    body(messages=[{"role": "assistant", "reasoning": {"effort": 1}, "content": "x"}]),
    body(messages=[{"role": "assistant", "content": "x", "audio": {"id": "audio_1", "data": "AAAA", "expires_at": 1, "transcript": "x"}}]),
    body(messages=[{"role": "assistant", "content": None, "audio": {}}]),
    body(messages=[{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}]),
    body(messages=[{"role": "assistant", "tool_calls": [{"id": "c", "type": "mcp", "mcp": {"a": 1}}]}]),
    body(messages=[{"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]}]),
    body(messages=[{"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}]),
    body(messages=[{"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": None}}]}]),
    body(messages=[{"role": "assistant", "content": None, "tool_calls": [{"id": "", "type": "function", "function": {"name": "f", "arguments": "{"}}]}]),
    body(messages=[{"role": "assistant", "content": None, "tool_calls": [{"id": "c", "custom": {"name": "f"}}]}]),
    body(messages=[{"role": "function", "name": "f", "content": "1"}]),
    body(messages=[{"role": "function", "content": "1"}]),
    body(messages=[{"role": "latest_reminder", "content": "x"}]),
    body(messages=[{"role": "user", "content": "x", "name": "n"}, {"role": "assistant", "content": "y", "name": "m"}]),
    body(messages=[{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}, {"role": "function", "name": "f", "content": "1"}]),
    body(messages=[{"role": "assistant", "content": "x", "annotations": [{"type": "url_citation", "url_citation": {"end_index": 1, "start_index": 0, "title": "t", "url": "u"}}, {"type": "other"}]}]),
    body(messages=[{"role": "assistant", "content": "x", "annotations": []}]),
    body(messages=[{"role": "tool", "tool_call_id": "c", "content": [{"type": "hologram"}]}]),
    body(tools=[{"type": "web_search_preview", "search_context_size": "low"}], tool_choice="auto"),
    body(tools=[{"type": "browser_search"}]),  # Groq
    body(tools=[{"type": "custom", "custom": {"name": "c", "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "x"}}}}], tool_choice={"type": "custom", "custom": {"name": "c"}}),
    body(response_format={"type": "text"}),
    body(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": None}}),
    body(messages=[{"role": "tool", "tool_call_id": "c", "name": "f", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://e.com/a.png"}}]}]),
    body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "https://e.com/a.png"}]}]),
    body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;x=1;base64,AAAA"}}]}]),
    body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:;base64,AAAA"}}]}]),
    body(messages=[{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA", "fps": 2}}]}]),  # vLLM
    body(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA"}}]}]),
    body(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "x-wav"}}]}]),
    body(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_data": "AAAA"}}]}]),
    body(messages=[{"role": "user", "content": [{"type": "file", "file": {"filename": "a.pdf"}}]}]),
    body(messages=[{"role": "user", "content": [{"type": "text", "text": "x", "prompt_cache_breakpoint": {"ttl": "30m"}}]}]),
    body(messages=[{"role": "user", "content": [{"text": "x", "type": "text"}]}]),
    body(messages=[{"role": "system", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}]),  # OpenRouter, LiteLLM
]  # fmt: skip


@pytest.mark.parametrize("wire", SPELLINGS, ids=lambda w: dumps(w)[35:110])
def test_each_spelling_comes_back_as_it_came(wire):
    rendered = render(parse(wire))
    assert dumps(rendered.body) == dumps(wire)
    assert rendered.losses == ()


WRONG = [
    ([], "body: expected an object, got a list"),
    (None, "body: expected an object, got null"),
    ({}, "model: expected a string, got nothing"),
    ({"model": None}, "model: expected a string, got null"),
    ({"model": "m"}, "messages: expected a list, got nothing"),
    ({"model": "m", "messages": {}}, "messages: expected a list, got an object"),
    (body(messages=["x"]), "messages[0]: expected an object, got a string"),
    (body(messages=[{"content": "x"}]), "messages[0].role: expected a string, got nothing"),
    (body(messages=[USER, {"role": "user", "content": 7}]), "messages[1].content: expected a string, a list or null, got 7"),
    (body(messages=[{"role": "user", "content": ["x"]}]), "messages[0].content[0]: expected an object, got a string"),
    (body(messages=[{"role": "user", "content": [{"text": "x"}]}]), "messages[0].content[0].type: expected a string, got null"),
    (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text: expected a string, got nothing"),
    (body(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), "messages[0].content[0].image_url: expected an object, got null"),
    (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].tool_call_id: expected a string, got nothing"),
    (body(messages=[{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]), "messages[0].tool_calls[0].id: expected a string that names the call, got nothing"),
    (body(messages=[{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}]), "messages[0].tool_calls[0].function.name: expected a string, got nothing"),
    (body(messages=[{"role": "assistant", "tool_calls": {}}]), "messages[0].tool_calls: expected a list, got an object"),
    (body(messages=[{"role": "assistant", "function_call": {}}]), "messages[0].function_call.name: expected a string, got nothing"),
    (body(tools={}), "tools: expected a list, got an object"),
    (body(tools=["f"]), "tools[0]: expected an object, got a string"),
    (body(tools=[{"type": "function"}]), "tools[0]: expected a tool: its type and an object of that name"),
    (body(tools=[{"type": 3}]), "tools[0]: expected a tool: its type and an object of that name"),
    (body(tools=[TOOL], tool_choice=7), "tool_choice: expected a string or an object, got 7"),
    (body(stop=7), "stop: expected a string or a list, got 7"),
    (body(stop=["a", 7]), "stop[1]: expected a string, got 7"),
    (body(temperature="hot"), "temperature: expected a number, got a string"),
    (body(max_tokens=1.5), "max_tokens: expected an integer, got 1.5"),
    (body(stream="yes"), "stream: expected a boolean, got a string"),
    (body(response_format={"type": "json_schema"}), "response_format.json_schema: expected an object, got nothing"),
    (body(temperature=float("inf")), "body: Request.temperature: inf is not finite"),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_wrong_body_is_refused_with_the_path_of_what_is_wrong(wire, message):
    with pytest.raises(RequestError) as caught:
        parse(wire)
    assert str(caught.value) == message


def parts_of(*messages):
    return [message.parts for message in parse(body(messages=list(messages))).messages]


def test_reasoning_stands_first_and_calls_last():
    (parts,) = parts_of(
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
            "refusal": "no",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "reasoning_content": "hm",
        }
    )  # fmt: skip
    assert [part.type for part in parts] == ["thinking", "text", "text", "refusal", "tool_call"]
    assert parts[0] == ThinkingPart("hm", opaque=parts[0].opaque)
    assert parts[3] == RefusalPart("no")
    assert parts[4] == ToolCallPart("c", "f", {"a": 1}, '{"a":1}')


def test_functions_of_before_tools_are_paired_by_name_in_order():
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    result = {"role": "function", "name": "f", "content": "1"}
    messages = parts_of(call, call, result, result, {**result, "name": "g"})
    ids = [parts[0].id for parts in messages]
    assert ids == [
        "call_legacy_0",
        "call_legacy_1",
        "call_legacy_0",
        "call_legacy_1",
        "call_legacy_2",
    ]
    assert messages[2][0] == ToolResultPart("call_legacy_0", (TextPart("1"),), name="f")


def test_functions_of_before_tools_are_tools_to_everybody_else():
    asked = parse(body(functions=[TOOL["function"]], function_call={"name": "f"}))
    assert asked.tools[0].name == "f"
    assert asked.tool_choice == ToolChoice("required", (ToolRef("f"),))


def test_a_grammar_has_one_form_whatever_dialect_nests_it():
    grammar = {"syntax": "lark", "definition": "start: x"}
    tool = {"name": "c", "format": {"type": "grammar", "grammar": grammar}}
    asked = parse(body(tools=[{"type": "custom", "custom": tool}]))
    assert asked.tools[0].format == {"type": "grammar", **grammar}


def test_a_cache_breakpoint_is_a_cache_mark():
    part = {
        "type": "text",
        "text": "x",
        "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
    }
    ((text,),) = parts_of({"role": "user", "content": [part]})
    assert text.cache == CacheMark("12h", opaque=text.cache.opaque)


@pytest.mark.parametrize("word", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_every_effort_word_of_the_api_is_canonical(word):
    assert parse(body(reasoning_effort=word)).reasoning == Reasoning(effort=word)


def test_parts_of_unknown_types_keep_their_place():
    odd = {"type": "hologram", "hologram": {"x": 1}}
    ((first, second),) = parts_of({"role": "user", "content": [odd, {"type": "text", "text": "x"}]})
    assert isinstance(first, OpaquePart)
    assert first.content.data == {"rest": odd}
    assert second == TextPart("x")


def test_a_choice_without_tools_says_nothing_to_others():
    assert parse(body(tool_choice="auto", parallel_tool_calls=True)).tool_choice is None


def test_parsing_leaves_the_callers_body_alone():
    wire = body(
        tools=[TOOL],
        tool_choice="auto",
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    )
    before = json.dumps(wire)
    parse(wire)
    assert json.dumps(wire) == before
