"""What is made right for a foreign wire, and that nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.client import LM
from lmtools.codecs import anthropic, openai_chat
from lmtools.codecs.base import Incoming, Loss, Target
from lmtools.providers import open_backend, provider_named, repair
from lmtools.providers.repairs import calls
from lmtools.transport import MockResponse, MockTransport
from lmtools.types import (
    BuiltinCallPart,
    BuiltinResultPart,
    CitationPart,
    FunctionTool,
    ImagePart,
    Message,
    Opaque,
    OpaquePart,
    Reasoning,
    Request,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolsPart,
)

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
    chat = target("openai", "gpt-4.1")
    repaired, ledger = repair(Request("m", (Message.user("a"),), stop=("\n", "")), chat)
    assert repaired.stop == ("\n",)
    assert [loss.path for loss in ledger.losses] == ["stop[1]"]


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


def test_the_billing_line_at_the_front_of_a_prompt_is_left_out_alone():
    prompt = "x-anthropic-billing-header: cc_version=2;\nYou are.\nBe brief."
    request = Request("m", (Message.system(prompt), Message.user("a")))

    repaired, ledger = repair(request, GPT)

    assert [m.text for m in repaired.messages] == ["You are.\nBe brief.", "a"]
    assert [loss.path for loss in ledger.losses] == ["messages[0].parts[0]"]


def test_a_user_who_speaks_of_the_billing_line_is_heard():
    request = Request("m", (Message.user("x-anthropic-billing-header: what is it?"),))

    assert repair(request, GPT)[0] is request


def test_ids_out_of_rule_are_the_same_in_every_turn_and_on_both_sides():
    """A conversation that grows keeps its beginning, or no prefix cache would hold."""
    turns = [ASK, called("call|1", "call:1"), result("call|1"), result("call:1", "y")]
    longer = [*turns, called("call|1"), result("call|1", "z")]
    first, losses = from_chat(turns)
    second, _ = from_chat(longer)
    uses = [b["id"] for b in second["messages"][1]["content"] + second["messages"][3]["content"]]
    results = [b["tool_use_id"] for i in (2, 4) for b in second["messages"][i]["content"]]

    assert second["messages"][: len(first["messages"])] == first["messages"]
    assert len(set(uses)) == 3
    assert uses == results
    assert losses == ["messages[1].parts[0].id substituted", "messages[1].parts[1].id substituted"]


def test_an_id_that_another_one_was_given_is_changed_itself():
    first, _ = from_chat([ASK, called("a|"), result("a|")])
    taken = first["messages"][1]["content"][0]["id"]
    body, losses = from_chat([ASK, called("a|"), result("a|"), called(taken), result(taken, "y")])
    again = body["messages"][3]["content"][0]["id"]

    assert again != taken
    assert body["messages"][4]["content"][0]["tool_use_id"] == again
    assert losses[1:] == ["messages[3].parts[0].id substituted"]


def test_many_uses_of_one_id_take_linear_work(monkeypatch):
    asked = []
    wire_id = calls.wire_id
    monkeypatch.setattr(calls, "wire_id", lambda *a: asked.append(1) or wire_id(*a))
    turns = [m for _ in range(300) for m in (called("a"), result("a"))]

    body, _ = from_chat([ASK, *turns])

    assert len({m["content"][0]["id"] for m in body["messages"] if m["role"] == "assistant"}) == 300
    assert len(asked) <= 2 * 300


def test_results_stand_in_the_order_of_their_calls():
    body, losses = from_chat([ASK, called("a", "b"), result("b"), result("a")])

    assert [b["tool_use_id"] for b in body["messages"][2]["content"]] == ["a", "b"]
    assert losses == []


def test_a_result_belongs_to_the_latest_call_of_its_id():
    body, losses = from_chat([ASK, called("a"), ASK, called("a"), result("a", "y")])
    results = [b for m in body["messages"] for b in m["content"] if "tool_use_id" in b]

    assert [b["content"] for b in results] == ["[No result: the call was interrupted.]", "y"]
    assert losses[0] == "messages[1].parts[0] defaulted"


def test_a_result_among_an_answers_own_parts_moves_into_a_turn_of_its_own():
    parts = (ToolCallPart("a", "ls", {}), ToolResultPart("a", (TextPart("x"),)), TextPart("done"))
    request = Request("m", (Message.user("a"), Message("assistant", parts)))

    repaired, _ = repair(request, GPT)

    assert [m.role for m in repaired.messages] == ["user", "assistant", "tool"]
    assert repaired.messages[1].text == "done"


def test_a_turn_whose_results_stand_in_two_user_messages_is_one():
    call = (ToolCallPart("a", "ls", {}), ToolCallPart("b", "ls", {}))
    results = [ToolResultPart(id, (TextPart(id),)) for id in ("a", "b")]
    turns = (Message("assistant", call), *(Message("user", (r,)) for r in results))
    request = Request("m", (Message.user("a"), *turns))

    repaired, ledger = repair(request, SONNET)
    body = anthropic.render_request(repaired, SONNET).body

    assert [b["tool_use_id"] for b in body["messages"][2]["content"]] == ["a", "b"]
    assert ledger.losses == []


def test_pictures_of_a_stray_result_are_kept():
    picture = ImagePart("image/png", data="aGk=")
    stray = ToolResultPart("a", (TextPart("see"), picture))
    request = Request("m", (Message.user("a"), Message("tool", (stray,))))

    repaired, _ = repair(request, SONNET)

    assert repaired.messages[1].role == "user"
    assert repaired.messages[1].parts[1:] == (TextPart("see"), picture)


def test_a_citation_goes_with_the_blank_text_that_it_is_of():
    parts = (TextPart("a"), TextPart(" "), CitationPart("https://a.example"), TextPart("b"))
    request = Request("m", (Message.user("a"), Message("assistant", parts), Message.user("b")))

    repaired, ledger = repair(request, SONNET)

    assert repaired.messages[1].parts == (TextPart("a"), TextPart("b"))
    assert [loss.path for loss in ledger.losses] == [f"messages[1].parts[{j}]" for j in (1, 2)]


def test_blank_texts_in_a_result_are_left_out():
    result = ToolResultPart("a", (TextPart(" "), TextPart("b")))
    call = Message("assistant", (ToolCallPart("a", "ls", {}),))
    request = Request("m", (Message.user("a"), call, Message("tool", (result,))))

    repaired, ledger = repair(request, SONNET)

    assert repaired.messages[2].parts == (ToolResultPart("a", (TextPart("b"),)),)
    assert [loss.path for loss in ledger.losses] == ["messages[2].parts[0].content[0]"]


OF_OTHERS = Opaque("openai_responses", "item", {"rest": {"a": 1}})
UNSAID = [
    ToolsPart((FunctionTool("ls"),)),
    OpaquePart(OF_OTHERS),
    BuiltinCallPart("a", "web_search", opaque=(OF_OTHERS,)),
    BuiltinResultPart("a", "web_search", opaque=(OF_OTHERS,)),
    ThinkingPart("hm"),
]


@pytest.mark.parametrize("part", UNSAID, ids=[part.type for part in UNSAID])
def test_a_message_of_what_the_target_cannot_say_is_left_out_whole(part):
    request = Request("m", (Message.user("a"), Message("assistant", (part,)), Message.user("b")))

    repaired, ledger = repair(request, SONNET)

    assert [m.text for m in repaired.messages] == ["a", "b"]
    assert ledger.losses[-1].path == "messages[1]"


def test_a_request_without_messages_is_left_to_the_servers_words():
    request = Request("m", ())

    assert repair(request, SONNET)[0] is request


def test_a_blank_turn_of_the_users_still_asks():
    body, losses = from_chat(
        [ASK, {"role": "assistant", "content": "a"}, {"role": "user", "content": ""}]
    )

    assert said(body)[-1] == ("user", "[continue]")
    assert losses == ["messages[2] defaulted"]


REASONING = [
    # reasoning, limit, what is sent, losses
    (Reasoning("enabled", budget=9000), 4000, Reasoning("enabled", budget=3999), ["reasoning.budget"]),
    (Reasoning("enabled", budget=10), None, Reasoning("enabled", budget=1024), ["reasoning.budget"]),
    (Reasoning(budget=2000), 500, Reasoning("disabled"), ["reasoning"]),
    (Reasoning("disabled", budget=2000), 4000, Reasoning("disabled"), ["reasoning.budget"]),
    (Reasoning(effort="none", budget=2000), 4000, Reasoning(effort="none"), ["reasoning.budget"]),
    (Reasoning("enabled", budget=2000), 4000, Reasoning("enabled", budget=2000), []),
]  # fmt: skip


@pytest.mark.parametrize(("reasoning", "limit", "sent", "losses"), REASONING)
def test_a_budget_stands_between_its_least_value_and_the_limit(reasoning, limit, sent, losses):
    request = Request("m", (Message.user("a"),), max_tokens=limit, reasoning=reasoning)

    repaired, ledger = repair(request, SONNET)

    assert repaired.reasoning == sent
    assert [loss.path for loss in ledger.losses] == losses


SAMPLING = {"temperature": 0.5, "top_p": 0.9, "top_k": 3}


@pytest.mark.parametrize(
    ("reasoning", "to", "gone"),
    [
        (Reasoning("enabled", budget=2000), SONNET, set(SAMPLING)),
        (Reasoning(effort="high"), SONNET, set(SAMPLING)),
        (Reasoning("disabled"), SONNET, set()),
        (Reasoning(effort="none"), SONNET, set()),
        (None, SONNET, set()),
        (Reasoning(effort="high"), GPT, set()),
        (Reasoning(effort="high"), target("anthropic", "claude-3-5-haiku-20241022"), set()),
        (Reasoning(effort="high"), Target("anthropic"), set()),
        (Reasoning("enabled", budget=2000), Target("anthropic"), set(SAMPLING)),
        (Reasoning("adaptive"), target("anthropic", "claude-opus-4-6"), set(SAMPLING)),
    ],
)
def test_sampling_is_left_out_only_where_the_model_thinks(reasoning, to, gone):
    request = Request("m", (Message.user("a"),), reasoning=reasoning, **SAMPLING)

    repaired, ledger = repair(request, to)

    assert {name for name in SAMPLING if getattr(repaired, name) is None} == gone
    assert {loss.path for loss in ledger.losses} == gone


def test_sampling_that_thinking_takes_stays():
    request = Request(
        "m", (Message.user("a"),), reasoning=Reasoning("adaptive"), temperature=1.0, top_p=0.97
    )

    assert repair(request, target("anthropic", "claude-opus-4-6"))[0] is request


def test_an_effort_in_anthropics_own_words_asks_for_no_thinking():
    asked = {"model": "m", "max_tokens": 9, "messages": [ASK], "output_config": {"effort": "low"}}
    request = anthropic.parse_request(Incoming({**asked, "temperature": 0.5}))

    assert repair(request, target("anthropic", "claude-opus-4-6"))[0] is request


def test_losses_of_the_codec_name_the_request_as_it_was_asked():
    """Messages that a repair put in or took out do not shift the paths that a client reads."""
    late = {"role": "system", "content": "s", "name": "n"}
    asked = [ASK, called("a"), {"role": "assistant", "content": "b"}, late, ASK]
    request = openai_chat.parse_request(Incoming({"model": SONNET.model, "messages": asked}))
    with LM("anthropic", transport=MockTransport(lambda _: MockResponse())) as lm:
        call = lm.render(request, said_in="openai_chat")

    assert {"messages[3].role", "messages[3].name"} <= {loss.path for loss in call.losses}
    repaired, ledger = repair(request, SONNET)
    added = [Loss("messages[2].parts[0].is_error", "emulated", ""), Loss("stop", "dropped", "")]
    assert [loss.path for loss in ledger.restate(added, repaired)] == ["messages", "stop"]


@pytest.mark.parametrize(
    ("said_in", "repaired"), [("anthropic", False), ("openai_chat", True), (None, True)]
)
def test_only_what_was_said_in_another_dialect_is_repaired(said_in, repaired):
    """A program's own request was said in none, and is repaired."""
    request = Request("claude-sonnet-4-5", (Message.user(["a", " "]),), max_tokens=9)
    with LM("anthropic", transport=MockTransport(lambda _: MockResponse())) as lm:
        call = lm.render(request, said_in=said_in)

    assert [loss.path for loss in call.losses] == (["messages[0].parts[1]"] if repaired else [])
    assert (b'"text":" "' in call.http.body) == (not repaired)
