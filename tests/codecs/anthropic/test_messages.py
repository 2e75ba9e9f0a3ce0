from __future__ import annotations

from lmtools.types import Message, Opaque, Request, TextPart, ToolCallPart, ToolResultPart
from tests.codecs.anthropic.wire import parse, render, request_body

TEXT = {"type": "text", "text": "x"}


def ask(*messages: Message, **target: object):
    return render(Request("m", messages, max_tokens=5), **target)


def test_a_leading_run_of_system_messages_becomes_the_top_level_system():
    body, losses = ask(Message.system("a"), Message.system(["b", "c"]), Message.user("x"))

    assert body["system"] == [{"type": "text", "text": t} for t in "abc"]
    assert body["messages"] == [{"role": "user", "content": "x"}]
    assert losses == []


def test_developer_messages_are_system_messages_and_a_loss_where_both_occur():
    assert ask(Message.developer("a"), Message.user("x"))[1] == []
    body, losses = ask(Message.system("a"), Message.developer("b"), Message.user("x"))

    assert [block["text"] for block in body["system"]] == ["a", "b"]
    assert losses == [("messages[1].role", "substituted")]


def test_an_empty_system_message_is_not_sent():
    assert "system" not in ask(Message("system", ()), Message.user("x"))[0]


def test_a_later_system_message_stays_in_its_place():
    body, losses = ask(Message.user("x"), Message.system("mid"), Message.developer("dev"))

    assert [m["role"] for m in body["messages"]] == ["user", "system", "system"]
    assert losses == [("messages[2].role", "substituted")]


def test_a_later_system_message_becomes_a_user_message_where_the_target_wants_it_first():
    body, losses = ask(
        Message.system("a"), Message.user("x"), Message.system("mid"), system="first"
    )

    assert body["system"] == "a"
    assert body["messages"][1] == {"role": "user", "content": "mid"}
    assert losses == [("messages[2].role", "substituted")]


def test_the_beta_that_allows_it_keeps_a_later_system_message():
    headers = (("anthropic-beta", "x,mid-conversation-system-2026-04-07"),)
    wire = request_body(
        messages=[{"role": "user", "content": "x"}, {"role": "system", "content": "s"}]
    )

    body, losses = render(parse(wire, headers=headers), system="first")

    assert body == wire
    assert losses == []


def test_a_target_without_system_messages_gets_user_messages():
    body, losses = ask(Message.system("a"), Message.user("x"), system="none")

    assert "system" not in body
    assert [m["role"] for m in body["messages"]] == ["user", "user"]
    assert losses == [("messages[0].role", "substituted")]


def test_a_system_message_that_stood_first_in_messages_moves_up_only_if_it_must():
    wire = request_body(
        messages=[{"role": "system", "content": "s", "odd": 1}, *request_body()["messages"]]
    )

    assert render(parse(wire)) == (wire, [])
    body, losses = render(parse(wire), system="first")
    assert (body["system"], len(body["messages"])) == ("s", 1)
    assert losses == [("messages[0].odd", "dropped")]


def test_results_of_one_turn_share_one_user_message():
    """Results in two user turns teach the model not to call in parallel."""
    body, losses = ask(
        Message.user("x"),
        Message("assistant", (ToolCallPart("a", "f", {}), ToolCallPart("b", "f", {}))),
        Message.tool({"a": "1"}),
        Message.tool({"b": "2"}),
        Message("user", (ToolResultPart("c", ()), TextPart("and"))),
        Message.user("then"),
    )

    assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user", "user"]
    kinds = [(b["type"], b.get("tool_use_id")) for b in body["messages"][2]["content"]]
    assert kinds == [
        ("tool_result", "a"),
        ("tool_result", "b"),
        ("tool_result", "c"),
        ("text", None),
    ]
    assert losses == []


def test_two_user_messages_of_this_dialect_stay_two():
    turn = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]}

    assert render(parse(request_body(messages=[turn, turn])))[0]["messages"] == [turn, turn]


def test_names_and_foreign_data_of_messages_are_losses():
    foreign = Opaque("other", "message", {"rest": {"weight": 0}})

    body, losses = ask(Message("user", (TextPart("x"),), name="ann", opaque=(foreign,)))

    assert body["messages"] == [{"role": "user", "content": "x"}]
    assert losses == [("messages[0].name", "dropped"), ("messages[0].weight", "dropped")]
