"""What one maker's API is sent for a request of the other's, model by model.

The rows are what somebody who knows both APIs would send. Providers decide (limits, forms of
thinking, roles), codecs say it, and repairs see to what the target would refuse.
"""

from __future__ import annotations

from json import dumps
from typing import Any

import pytest

from lmtools.codecs import anthropic, openai_chat
from lmtools.codecs.base import Incoming, Stamp, Target
from lmtools.providers import open_backend, provider_named, repair
from lmtools.sse import SSEEvent
from lmtools.types import Request

CODECS: dict[str, Any] = {"anthropic": anthropic, "openai_chat": openai_chat}
STAMP = Stamp("0123456789abcdef01234567", 1_800_000_000, "shown-model", 7)
USER = {"role": "user", "content": "hi"}
PICTURE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def target(name: str) -> Target:
    """Return the target of "provider/model"; "compatible" is somebody's own server."""
    provider, _, model = name.partition("/")
    row = provider_named("openai" if provider == "compatible" else provider)
    url = "http://127.0.0.1:8000/v1" if provider == "compatible" else None
    return open_backend(row, url, need_key=False).target(model)


def sent(client: str, to: str, **said: Any) -> tuple[dict[str, Any], set[str]]:
    """Return the body that ``to`` gets and the paths of the losses."""
    body = {"model": "m", "messages": [USER], **said}
    if client == "anthropic":
        body.setdefault("max_tokens", 1000)
    goal = target(to)
    request, ledger = repair(CODECS[client].parse_request(Incoming(body)), goal)
    rendered = CODECS[goal.dialect].render_request(request, goal)
    return rendered.body, {loss.path for loss in (*ledger.losses, *rendered.losses)}


# Thinking and effort

BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 31999}, "max_tokens": 32000}
XHIGH = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}
OFF = {"thinking": {"type": "disabled"}}


@pytest.mark.parametrize(
    ("to", "said", "effort"),
    [
        ("openai/gpt-5", BUDGET, "high"),
        ("openai/gpt-5.1", BUDGET, "high"),
        ("openai/gpt-5.2", BUDGET, "xhigh"),
        ("openai/o3", BUDGET, "high"),
        ("openai/gpt-4.1", BUDGET, None),
        ("argo/gemini25pro", BUDGET, "high"),
        ("argo/gpt5", BUDGET, "high"),
        ("compatible/qwen3", BUDGET, "high"),
        ("openai/gpt-5", XHIGH, "high"),
        ("openai/gpt-5.4", XHIGH, "xhigh"),
        ("argo/gemini25pro", XHIGH, "high"),
        ("compatible/qwen3", XHIGH, "high"),
        ("openai/gpt-5", OFF, None),
        ("openai/gpt-5.1", OFF, "none"),
        ("openai/o3", OFF, None),
    ],
)
def test_anthropics_thinking_becomes_the_effort_that_the_model_knows(to, said, effort):
    body, losses = sent("anthropic", to, **said)

    assert body.get("reasoning_effort") == effort
    assert any(path.startswith("reasoning") for path in losses)


@pytest.mark.parametrize(
    ("to", "effort", "thinking", "config"),
    [
        ("anthropic/claude-opus-4-7", "xhigh", {"type": "adaptive"}, {"effort": "xhigh"}),
        ("anthropic/claude-opus-4-6", "xhigh", {"type": "adaptive"}, {"effort": "high"}),
        ("anthropic/claude-opus-4-6", "minimal", {"type": "adaptive"}, {"effort": "low"}),
        ("anthropic/claude-sonnet-4-5", "low", {"type": "enabled", "budget_tokens": 2048}, None),
        ("anthropic/claude-sonnet-4-5", "none", {"type": "disabled"}, None),
        ("anthropic/claude-3-5-haiku-20241022", "high", None, None),
        ("argo/claudeopus47", "high", {"type": "adaptive"}, {"effort": "high"}),
    ],
)
def test_an_effort_becomes_the_form_of_thinking_that_the_model_takes(to, effort, thinking, config):
    body, _ = sent("openai_chat", to, reasoning_effort=effort)

    assert body.get("thinking") == thinking
    assert body.get("output_config") == config


def test_a_budget_of_ours_fits_below_the_limit_or_is_left_out():
    fits, _ = sent(
        "openai_chat", "anthropic/claude-sonnet-4-5", reasoning_effort="high", max_tokens=2000
    )
    too_small, losses = sent(
        "openai_chat", "anthropic/claude-sonnet-4-5", reasoning_effort="high", max_tokens=500
    )

    assert fits["thinking"] == {"type": "enabled", "budget_tokens": 1999}
    assert "thinking" not in too_small
    assert "reasoning" in losses


# Limits and sampling


@pytest.mark.parametrize(
    ("client", "to", "said", "wanted"),
    [
        ("openai_chat", "anthropic/claude-sonnet-4-5", {}, {"max_tokens": 32000}),
        ("openai_chat", "anthropic/claude-3-5-haiku-20241022", {}, {"max_tokens": 8192}),
        (
            "openai_chat",
            "anthropic/claude-sonnet-4-5",
            {"max_tokens": 10**6},
            {"max_tokens": 64000},
        ),
        ("anthropic", "openai/gpt-4.1", {"max_tokens": 64000}, {"max_completion_tokens": 32768}),
        ("anthropic", "compatible/qwen3", {"max_tokens": 64000}, {"max_tokens": 64000}),
        ("anthropic", "argo/gemini25pro", {"max_tokens": 500}, {"max_tokens": 500}),
    ],
)
def test_the_limit_stands_where_the_model_reads_it(client, to, said, wanted):
    body, _ = sent(client, to, **said)
    found = {k: v for k, v in body.items() if k in ("max_tokens", "max_completion_tokens")}

    assert found == wanted


@pytest.mark.parametrize(
    ("client", "to", "said", "wanted"),
    [
        (
            "openai_chat",
            "anthropic/claude-sonnet-4-5",
            {"temperature": 1.7, "top_p": 0.3},
            {"temperature": 1.0},
        ),
        ("openai_chat", "anthropic/claude-opus-4-7", {"temperature": 0.3}, {}),
        ("anthropic", "openai/gpt-5", {"temperature": 1, "top_p": 0.9, "top_k": 4}, {}),
        (
            "anthropic",
            "openai/gpt-4.1",
            {"temperature": 1, "top_p": 0.9, "top_k": 4},
            {"temperature": 1, "top_p": 0.9},
        ),
    ],
)
def test_sampling_fields_are_those_that_the_model_takes(client, to, said, wanted):
    body, losses = sent(client, to, **said)
    found = {k: v for k, v in body.items() if k in said}

    assert found == wanted
    assert losses >= {k for k in said if said[k] != wanted.get(k)}


def test_stop_sequences_are_cut_to_chats_four_and_kept_from_models_without_them():
    said = {"stop_sequences": ["a", "b", "c", "d", "e"]}

    assert sent("anthropic", "openai/gpt-4.1", **said)[0]["stop"] == ["a", "b", "c", "d"]
    assert "stop" not in sent("anthropic", "openai/gpt-5", **said)[0]


# Tools


@pytest.mark.parametrize("name", ["mcp.server/tool", "x" * 80, "naïve"])
def test_an_odd_tool_name_goes_out_in_rule_and_comes_back_as_it_was(name):
    tools = [{"name": name, "input_schema": {"type": "object"}}]
    request = anthropic.parse_request(
        Incoming({"model": "m", "max_tokens": 9, "messages": [USER], "tools": tools})
    )
    goal = target("openai/gpt-4.1")
    wire = openai_chat.render_request(request, goal).body["tools"][0]["function"]["name"]
    call = {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": wire, "arguments": "{}"},
    }
    whole = {"choices": [{"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]}
    chunk = {"choices": [{"delta": {"tool_calls": [call]}, "finish_reason": None}]}
    decoder = openai_chat.stream_decoder(request, goal)
    encoder = anthropic.stream_encoder(request, STAMP)

    answer = openai_chat.parse_response(whole, request, goal)
    rendered = anthropic.render_response(answer, request, STAMP).body
    events = decoder.decode(SSEEvent(None, dumps(chunk)))
    streamed = b"".join(encoder.encode(event) for event in events).decode()

    assert wire != name
    assert goal.name_rule is not None
    assert rendered["content"][0]["name"] == name
    assert f'"name":"{name}"' in streamed


@pytest.mark.parametrize(
    ("client", "to", "said", "wanted"),
    [
        ("anthropic", "openai/gpt-4.1", {"tools": []}, {}),
        ("openai_chat", "anthropic/claude-opus-4-7", {"tools": []}, {}),
        ("anthropic", "openai/gpt-4.1", {"tool_choice": {"type": "any"}}, {}),
        (
            "anthropic",
            "openai/gpt-4.1",
            {
                "tools": [{"name": "f", "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
            },
            {"tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
        ),
        (
            "openai_chat",
            "anthropic/claude-opus-4-7",
            {"tools": [FUNCTION], "tool_choice": "none"},
            {
                "tools": [{"name": "f", "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "none"},
            },
        ),
        (
            "openai_chat",
            "anthropic/claude-opus-4-7",
            {"tools": [FUNCTION], "parallel_tool_calls": False},
            {
                "tools": [{"name": "f", "input_schema": {"type": "object"}}],
                "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
            },
        ),
    ],
)
def test_tools_and_the_choice_among_them(client, to, said, wanted):
    body, _ = sent(client, to, **said)

    assert {k: v for k, v in body.items() if k.startswith(("tool", "parallel"))} == wanted


def test_parallel_results_with_media_and_failure_become_chats_messages_in_order():
    history = [
        USER,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Checking."},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "b",
                    "content": [{"type": "text", "text": "no"}, PICTURE],
                    "is_error": True,
                },
                {"type": "tool_result", "tool_use_id": "a"},
                {"type": "text", "text": "go on"},
            ],
        },
    ]
    body, losses = sent("anthropic", "openai/gpt-4.1", messages=history)
    _, assistant, *results, last = body["messages"]

    assert assistant["content"] == "Checking."
    assert [call["id"] for call in assistant["tool_calls"]] == ["a", "b"]
    assert [m["tool_call_id"] for m in results] == ["a", "b"]
    assert results[1]["content"] == "[the tool failed] no"
    assert [part["type"] for part in last["content"]] == ["text", "image_url", "text"]
    assert losses >= {"messages[2].parts[1].is_error", "messages[2].parts[1].content[1]"}


def test_parallel_results_of_a_chat_client_share_one_turn():
    calls = [
        {"id": i, "type": "function", "function": {"name": "f", "arguments": ""}} for i in "ab"
    ]
    history = [
        USER,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]
    body, losses = sent("openai_chat", "anthropic/claude-sonnet-4-5", messages=history)

    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
    assert [b["tool_use_id"] for b in body["messages"][2]["content"]] == ["a", "b"]
    assert losses == {"max_tokens"}


# Usage


def test_cached_tokens_are_counted_in_as_chat_does_and_apart_as_anthropic_does():
    request = Request("m", (), stream=True, include_usage=True)
    counts = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 100,
        "output_tokens": 7,
    }
    body = {"type": "message", "role": "assistant", "content": [], "usage": counts}
    answer = anthropic.parse_response(body, request, Target())
    chat = openai_chat.render_response(answer, request, STAMP).body
    back = openai_chat.parse_response(chat, request, Target())

    assert chat["usage"]["prompt_tokens"] == 115
    assert chat["usage"]["prompt_tokens_details"]["cached_tokens"] == 100
    assert chat["usage"]["total_tokens"] == 122
    again = anthropic.render_response(back, request, STAMP).body["usage"]
    assert {key: again[key] for key in counts} == counts


# Losses


def paths_of(client: str, to: str, headers: Any = (), **said: Any) -> list[str]:
    body = {"model": "m", "max_tokens": 9, "messages": [USER], **said}
    goal = target(to)
    request = CODECS[client].parse_request(Incoming(body, headers=headers))
    rendered = CODECS[goal.dialect].render_request(request, goal)
    return [loss.path for loss in rendered.losses]


def test_the_version_of_a_protocol_is_no_loss():
    headers = (("anthropic-version", "2023-06-01"), ("anthropic-beta", "b-2025-01-01"))

    assert paths_of("anthropic", "openai/gpt-4.1", headers) == ["headers.anthropic-beta"]


def test_one_change_is_one_loss():
    late = [USER, {"role": "system", "content": "a"}, {"role": "developer", "content": "b"}]

    assert paths_of("anthropic", "openai/gpt-5", **BUDGET) == ["reasoning"]
    assert paths_of("openai_chat", "anthropic/claude-opus-4-7", messages=late) == [
        "messages[1].role",
        "messages[2].role",
    ]


def test_a_text_document_that_is_not_base64_is_left_out_with_a_word():
    source = {"type": "base64", "media_type": "text/plain", "data": "\u00e9"}
    content = [{"type": "document", "source": source}]
    body, losses = sent(
        "anthropic", "openai/gpt-4.1", messages=[{"role": "user", "content": content}]
    )

    assert "left out" in str(body["messages"][0]["content"])
    assert losses == {"messages[0].parts[0]"}


# Streams


def streamed(frames: list[Any], dialect: str, client: str) -> tuple[str, list[str]]:
    """Return what the client gets of an upstream's frames, and the paths of the losses."""
    request = Request("m", (), stream=True)
    decoder = CODECS[dialect].stream_decoder(request, Target(dialect=dialect))
    encoder = CODECS[client].stream_encoder(request, STAMP)
    events = [e for f in frames for e in decoder.decode(SSEEvent(None, dumps(f)))]
    out = b"".join(encoder.encode(event) for event in events)
    return out.decode(), [loss.path for loss in encoder.losses]


def test_an_unknown_event_whose_name_holds_a_line_end_stays_out_of_the_stream():
    start = {"type": "message_start", "message": {"content": []}}
    out, losses = streamed([start, {"type": "a\nevent: error"}], "anthropic", "anthropic")

    assert out.count("event: ") == 1
    assert losses == ["event"]


def test_a_finished_chunk_keeps_its_parts_whatever_stands_beside_them():
    part = {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}}
    delta = {"content": [part], "x": 1}
    chunks = [
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"delta": delta, "finish_reason": "stop"}]},
    ]
    out, _ = streamed(chunks, "openai_chat", "openai_chat")

    assert "https://a.example/b.png" in out


def test_each_new_key_of_a_foreign_stream_is_a_loss_once():
    """The second kind of key counts, not only the first chunk that had any."""
    chunks = [
        {"choices": [{"delta": {"content": "a"}}], **more}
        for more in ({}, {"one": 1}, {"one": 1}, {"two": 2})
    ]
    _, losses = streamed(chunks, "openai_chat", "anthropic")

    assert losses == ["usage", "one", "two"]
