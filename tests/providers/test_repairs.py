"""What is made right for a foreign wire, and that nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.codecs import anthropic, openai_chat
from lmtools.codecs.base import Incoming, Target
from lmtools.providers import open_backend, provider_named, repair
from lmtools.types import Message, Opaque, Reasoning, Request, TextPart, ThinkingPart, ToolCallPart

ASK = {"role": "user", "content": "Hello"}
TOOLS = [{"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}]


def target(provider: str, model: str) -> Target:
    return open_backend(provider_named(provider), need_key=False).target(model)


SONNET = target("anthropic", "claude-sonnet-4-5")
GPT = target("openai", "gpt-5")


def called(*ids: str, **more: Any) -> dict[str, Any]:
    calls = [
        {"id": i, "type": "function", "function": {"name": "ls", "arguments": "{}"}} for i in ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def result(id: str, text: str = "x") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id, "content": text}


def from_chat(messages: list[Any], to: Target = SONNET, **more: Any) -> tuple[Any, list[str]]:
    """Return the Anthropic body of a Chat client's request, and the repairs' losses."""
    request = openai_chat.parse_request(Incoming({"model": "m", "messages": messages, **more}))
    repaired, ledger = repair(request, to)
    body = anthropic.render_request(repaired, to).body
    return body, [f"{loss.path} {loss.action}" for loss in ledger.losses]


def said(body: Any) -> list[Any]:
    """Return (role, text or types) of each message."""
    return [
        (
            m["role"],
            m["content"] if isinstance(m["content"], str) else [b["type"] for b in m["content"]],
        )
        for m in body["messages"]
    ]


CONVERSATIONS: list[tuple[str, list[Any], list[Any], list[str]]] = [
    ("nothing wrong", [ASK], [("user", "Hello")], []),
    (
        "a blank text beside another",
        [{"role": "user", "content": [{"type": "text", "text": " \n"}, {"type": "text", "text": "a"}]}],
        [("user", "a")],
        ["messages[0].parts[0] dropped"],
    ),
    (
        "a blank answer",
        [ASK, {"role": "assistant", "content": ""}, ASK],
        [("user", "Hello"), ("user", "Hello")],
        ["messages[1] dropped"],
    ),
    (
        "an answer of unsigned thinking alone",
        [ASK, {"role": "assistant", "reasoning_content": "hm", "content": ""}, ASK],
        [("user", "Hello"), ("user", "Hello")],
        ["messages[1].parts[0] dropped", "messages[1] dropped"],
    ),
    (
        "an answer to go on with that ends in spaces",
        [ASK, {"role": "assistant", "content": "So \n"}],
        [("user", "Hello"), ("assistant", "So")],
        ["messages[1].parts[0] substituted"],
    ),
    (
        "a system message alone",
        [{"role": "system", "content": "Say hello."}],
        [("user", "[continue]")],
        ["messages defaulted"],
    ),
    (
        "a call that was interrupted",
        [ASK, called("a", "b"), result("a"), ASK],
        [("user", "Hello"), ("assistant", ["tool_use"] * 2), ("user", ["tool_result"] * 2), ("user", "Hello")],
        ["messages[1].parts[1] defaulted"],
    ),
    (
        "a call at the end",
        [ASK, called("a")],
        [("user", "Hello"), ("assistant", ["tool_use"]), ("user", ["tool_result"])],
        ["messages[1].parts[0] defaulted"],
    ),
    (
        "a result without a call",
        [ASK, result("a"), ASK],
        [("user", "Hello"), ("user", ["text", "text"]), ("user", "Hello")],
        ["messages[1].parts[0] substituted"],
    ),
    (
        "two results of one call",
        [ASK, called("a"), result("a"), result("a", "y")],
        [("user", "Hello"), ("assistant", ["tool_use"]), ("user", ["tool_result"]), ("user", ["text", "text"])],
        ["messages[3].parts[0] substituted"],
    ),
    (
        "a message between a call and its result",
        [ASK, called("a"), {"role": "user", "content": "wait"}, result("a")],
        [("user", "Hello"), ("assistant", ["tool_use"]), ("user", ["tool_result"]), ("user", "wait")],
        ["messages[2] substituted"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "wanted", "losses"), [c[1:] for c in CONVERSATIONS], ids=[c[0] for c in CONVERSATIONS])  # fmt: skip
def test_a_chat_conversation_becomes_one_that_anthropic_takes(messages, wanted, losses):
    body, found = from_chat(messages)

    assert said(body) == wanted
    assert found == losses


def test_what_is_right_is_the_same_object():
    request = Request("m", (Message.user("a"),), stop=("x",), reasoning=Reasoning(effort="low"))

    for to in (SONNET, GPT):
        repaired, ledger = repair(request, to)
        assert repaired is request
        assert ledger.losses == []


def test_the_result_that_stands_in_says_that_there_is_none():
    body, _ = from_chat([ASK, called("a"), ASK])

    assert body["messages"][2]["content"] == [
        {
            "type": "tool_result",
            "tool_use_id": "a",
            "content": "[No result: the call was interrupted.]",
            "is_error": True,
        }
    ]


def test_an_empty_result_stays_one():
    body, losses = from_chat([ASK, called("a"), result("a", "")])

    assert body["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": "a"}]
    assert losses == []


def test_blank_stop_sequences_are_left_out_for_anthropic_alone():
    body, losses = from_chat([ASK], stop=["\n\n", "END"])

    assert body["stop_sequences"] == ["END"]
    assert losses == ["stop[0] dropped"]
    assert repair(Request("m", (Message.user("a"),), stop=("\n",)), GPT)[0].stop == ("\n",)


def test_an_orphan_of_an_anthropic_history_is_repaired_for_openai():
    use = {"type": "tool_use", "id": "a", "name": "ls", "input": {}}
    messages = [ASK, {"role": "assistant", "content": [use]}, ASK]
    request = anthropic.parse_request(
        Incoming({"model": "m", "max_tokens": 9, "messages": messages})
    )
    repaired, ledger = repair(request, GPT)
    sent = openai_chat.render_request(repaired, GPT).body["messages"]

    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "user"]
    assert sent[2]["tool_call_id"] == "a"
    assert [loss.path for loss in ledger.losses] == ["messages[1].parts[0]"]


@pytest.mark.parametrize("rest", [["You are."], []])
def test_the_billing_line_of_claude_code_goes_to_anthropic_only(rest):
    """It changes with the entry point, and a prefix cache would never hold behind it."""
    lines = ["x-anthropic-billing-header: cc_version=2; cc_entrypoint=sdk", *rest]
    request = Request("m", (Message("system", tuple(map(TextPart, lines))), Message.user("a")))

    repaired, ledger = repair(request, GPT)

    assert [m.text for m in repaired.messages] == [*rest, "a"]
    assert [loss.path for loss in ledger.losses] == ["messages[0].parts[0]"]
    assert repair(request, SONNET)[0] is request


LOOP = [ASK, called("a"), result("a")]
THINKING = [
    # model, request, thinking and output_config that are sent
    ("claude-sonnet-4-5", {"messages": [ASK], "tool_choice": "required"}, {"type": "disabled"}, None),
    ("claude-sonnet-4-5", {"messages": LOOP}, {"type": "disabled"}, None),
    ("claude-opus-4-5", {"messages": LOOP}, {"type": "disabled"}, {"effort": "high"}),
    ("claude-sonnet-4-5", {"messages": [*LOOP, ASK]}, {"type": "enabled", "budget_tokens": 16384}, None),
    ("claude-sonnet-4-5", {"messages": [ASK], "tool_choice": "auto"}, {"type": "enabled", "budget_tokens": 16384}, None),
    ("claude-opus-4-6", {"messages": LOOP}, {"type": "adaptive"}, {"effort": "high"}),
    ("claude-opus-4-7", {"messages": [ASK], "tool_choice": "required"}, {"type": "disabled"}, {"effort": "high"}),
    ("claude-3-5-haiku-20241022", {"messages": LOOP}, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("model", "more", "thinking", "config"), THINKING)
def test_thinking_within_a_budget_is_asked_for_only_where_it_is_taken(
    model, more, thinking, config
):
    messages = more["messages"]
    rest = {k: v for k, v in more.items() if k != "messages"}
    body, losses = from_chat(
        messages, target("anthropic", model), tools=TOOLS, reasoning_effort="high", **rest
    )

    assert body.get("thinking") == thinking
    assert body.get("output_config") == config
    assert bool(losses) == (thinking == {"type": "disabled"})


def test_a_budget_becomes_adaptive_thinking_where_the_model_takes_both():
    to = target("anthropic", "claude-opus-4-6")
    call = ToolCallPart("a", "ls", {})
    request = Request(
        "m",
        (Message.user("a"), Message("assistant", (call,)), Message.tool({"a": "x"})),
        reasoning=Reasoning("enabled", budget=4000),
    )

    repaired, ledger = repair(request, to)

    assert repaired.reasoning == Reasoning("adaptive")
    assert [(loss.path, loss.action) for loss in ledger.losses] == [("reasoning", "substituted")]


@pytest.mark.parametrize(("origin", "mode"), [(None, "enabled"), ("other", "disabled")])
def test_a_loop_goes_on_with_thinking_that_this_api_signed(origin, mode):
    signed = ThinkingPart(
        "hm", opaque=(Opaque("anthropic", "signature", {"signature": "s"}, origin),)
    )
    request = Request(
        "m",
        (
            Message.user("a"),
            Message("assistant", (signed, ToolCallPart("a", "ls", {}))),
            Message.tool({"a": "x"}),
        ),
        reasoning=Reasoning("enabled", budget=4000),
    )

    repaired, _ = repair(request, SONNET)

    assert repaired.reasoning is not None
    assert repaired.reasoning.mode == mode
