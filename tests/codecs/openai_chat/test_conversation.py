"""Messages of other dialects in Chat's words: where things go, and what is said to be lost."""

from __future__ import annotations

from base64 import b64encode

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Target
from lmtools.types import (
    AudioPart,
    BinaryPart,
    BuiltinCallPart,
    BuiltinResultPart,
    CacheMark,
    CitationPart,
    DocumentPart,
    FunctionTool,
    ImagePart,
    Message,
    Opaque,
    OpaquePart,
    RefusalPart,
    Request,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    VideoPart,
)

PNG = ImagePart("image/png", "AAAA")
PNG_WIRE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALL = ToolCallPart("c1", "f", {"a": 1})
CALL_WIRE = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def render(*messages, **target):
    request = Request("m", messages)
    rendered = openai_chat.render_request(request, Target(**target))
    return rendered.body["messages"], [(loss.path, loss.action) for loss in rendered.losses]


def text(words):
    return {"type": "text", "text": words}


def test_several_system_blocks_stay_several_and_lose_their_cache_marks():
    system = Message("system", (TextPart("a"), TextPart("b", cache=CacheMark("1h"))))
    messages, losses = render(system, Message.user("Hi"))
    assert messages == [
        {"role": "system", "content": [text("a"), text("b")]},
        {"role": "user", "content": "Hi"},
    ]
    assert losses == [("messages[0].parts[1].cache", "dropped")]


ROLES = [
    ({}, ["system", "developer", "user", "system"], []),
    ({"developer": False}, ["system", "system", "user", "system"], [("messages[1].role", "substituted")]),
    ({"system": "first"}, ["system", "developer", "user", "user"], [("messages[3].role", "substituted")]),
    ({"system": "none"}, ["user", "user", "user", "user"], [("messages[0].role", "substituted"), ("messages[1].role", "substituted"), ("messages[3].role", "substituted")]),
]  # fmt: skip


@pytest.mark.parametrize(("target", "roles", "losses"), ROLES)
def test_system_messages_stand_where_the_server_takes_them(target, roles, losses):
    given = (
        Message.system("a"),
        Message.developer("b"),
        Message.user("c"),
        Message.system("d"),
    )
    messages, got = render(*given, **target)
    assert [message["role"] for message in messages] == roles
    assert [message["content"] for message in messages] == ["a", "b", "c", "d"]
    assert got == losses


def test_results_in_a_users_turn_become_tool_messages_before_the_rest_of_it():
    turn = Message(
        "user",
        (
            ToolResultPart("c1", (TextPart("one"),), is_error=False),
            ToolResultPart("c2", (TextPart("two"), TextPart("more"))),
            TextPart("And now?"),
        ),
    )
    messages, losses = render(Message("assistant", (TextPart("I look."), CALL)), turn)
    assert messages == [
        {"role": "assistant", "content": "I look.", "tool_calls": [CALL_WIRE]},
        {"role": "tool", "content": "one", "tool_call_id": "c1"},
        {"role": "tool", "content": [text("two"), text("more")], "tool_call_id": "c2"},
        {"role": "user", "content": "And now?"},
    ]
    assert losses == []


def test_text_before_the_results_of_its_turn_moves_behind_them():
    turn = Message("user", (TextPart("Here:"), ToolResultPart("c1", (TextPart("one"),))))
    messages, losses = render(turn)
    assert [message["role"] for message in messages] == ["tool", "user"]
    assert losses == [("messages[0].parts", "substituted")]


def test_media_of_results_follow_after_the_last_result_of_the_run():
    first = Message.tool({"c1": [TextPart("shot"), PNG]})
    second = Message.tool({"c2": [PNG]})
    messages, losses = render(first, second, Message.assistant("ok"))
    assert [message["role"] for message in messages] == ["tool", "tool", "user", "assistant"]
    assert messages[0]["content"] == "shot"
    assert "next user message" in messages[1]["content"]
    label = "Media of the result of call {}:"
    assert messages[2]["content"] == [
        text(label.format("c1")),
        PNG_WIRE,
        text(label.format("c2")),
        PNG_WIRE,
    ]
    assert losses == [
        ("messages[0].parts[0].content[1]", "substituted"),
        ("messages[1].parts[0].content[0]", "substituted"),
    ]


def test_media_of_results_join_the_users_turn_that_follows():
    messages, _ = render(Message.tool({"c1": [PNG]}), Message.user("What is it?"))
    assert [message["role"] for message in messages] == ["tool", "user"]
    assert messages[1]["content"][1:] == [PNG_WIRE, text("What is it?")]


def test_media_of_the_last_results_are_sent_as_well():
    messages, _ = render(Message("user", (ToolResultPart("c1", (PNG,)),)))
    assert messages[-1]["content"][-1] == PNG_WIRE


ERRORS = [
    ((TextPart("boom"),), "[the tool failed] boom"),
    ((), "[the tool failed]"),
    ((PNG,), "[the tool failed] [The result holds media; they follow in the next user message.]"),
]


@pytest.mark.parametrize(("content", "said"), ERRORS)
def test_a_failed_result_says_so_in_words(content, said):
    messages, losses = render(Message("tool", (ToolResultPart("c1", content, is_error=True),)))
    assert messages[0]["content"] == said
    assert ("messages[0].parts[0].is_error", "emulated") in losses


def test_a_result_loses_its_cache_mark_and_keeps_its_name():
    part = ToolResultPart("c1", (TextPart("x"),), name="f", cache=CacheMark())
    messages, losses = render(Message("user", (part,)))
    assert messages == [{"role": "tool", "content": "x", "name": "f", "tool_call_id": "c1"}]
    assert losses == [("messages[0].parts[0].cache", "dropped")]


def test_call_ids_fit_the_server_on_both_sides_of_the_pair():
    call = ToolCallPart("toolu:" + "x" * 60, "f", {})
    messages, _ = render(Message("assistant", (call,)), Message.tool({call.id: "1"}), id_length=40)
    ids = {messages[0]["tool_calls"][0]["id"], messages[1]["tool_call_id"]}
    assert len(ids) == 1
    assert len(ids.pop()) <= 40


def test_a_tool_message_without_a_result_speaks_as_the_user():
    messages, losses = render(Message("tool", (TextPart("x"),)))
    assert messages == [{"role": "user", "content": "x"}]
    assert losses == [("messages[0].role", "substituted")]


# The assistant

SIGNED = ThinkingPart("hm", opaque=(Opaque("anthropic", "signature", {"signature": "s"}, "o"),))


def test_thinking_goes_back_only_where_the_server_takes_it_and_never_as_text():
    turn = Message("assistant", (SIGNED, TextPart("ok")))
    messages, losses = render(turn)
    assert messages == [{"role": "assistant", "content": "ok"}]
    assert losses == [("messages[0].parts[0]", "dropped")]
    messages, losses = render(turn, reasoning_field="reasoning_content")
    assert messages == [{"role": "assistant", "content": "ok", "reasoning_content": "hm"}]
    assert losses == [("messages[0].parts[0].signature", "dropped")]


def test_an_empty_signature_is_none():
    """Anthropic requires one, so its clients hand back what another server's reasoning got."""
    unsigned = Opaque("anthropic", "signature", {"signature": ""})

    turn = Message("assistant", (ThinkingPart("hm", opaque=(unsigned,)), TextPart("ok")))

    assert render(turn, reasoning_field="reasoning_content")[1] == []


def test_hidden_thinking_is_dropped_and_several_texts_are_joined():
    turn = Message("assistant", (ThinkingPart(""), ThinkingPart("a"), ThinkingPart("b")))
    messages, losses = render(turn, reasoning_field="reasoning")
    assert messages == [{"role": "assistant", "content": "", "reasoning": "a\nb"}]
    assert losses == [("messages[0].parts[0]", "dropped")]


def test_an_assistant_with_calls_alone_has_null_content():
    assert render(Message("assistant", (CALL,)))[0][0]["content"] is None


def test_text_after_a_call_stands_before_it_in_chat():
    messages, losses = render(Message("assistant", (CALL, TextPart("then"))))
    assert messages[0]["content"] == "then"
    assert losses == [("messages[0].parts[1]", "substituted")]


def test_a_call_shows_its_namespace_in_its_name_and_loses_its_mark():
    call = ToolCallPart("c", "exec", {}, namespace="functions", cache=CacheMark())
    messages, losses = render(Message("assistant", (call,)))
    assert messages[0]["tool_calls"][0]["function"]["name"] == "functions__exec"
    assert losses == [
        ("messages[0].parts[0].cache", "dropped"),
        ("messages[0].parts[0].namespace", "emulated"),
    ]


def test_a_call_of_a_renamed_tool_is_renamed_in_the_history():
    request = Request(
        "m",
        (Message("assistant", (ToolCallPart("c", "a.b", {}),)),),
        tools=(FunctionTool("a.b"),),
    )
    body = openai_chat.render_request(request, Target(name_rule=r"^\w{1,64}$")).body
    called = body["messages"][0]["tool_calls"][0]["function"]["name"]
    assert called == body["tools"][0]["function"]["name"] != "a.b"


def test_a_custom_call_carries_its_text():
    call = ToolCallPart("c", "run", "print(1)", kind="custom")
    wire = {"id": "c", "type": "custom", "custom": {"name": "run", "input": "print(1)"}}
    assert render(Message("assistant", (call,)))[0][0]["tool_calls"] == [wire]


def test_a_refusal_stands_beside_null_content():
    messages, _ = render(Message("assistant", (RefusalPart("No."),)))
    assert messages == [{"role": "assistant", "content": None, "refusal": "No."}]


def test_spoken_audio_goes_back_by_its_id_alone():
    spoken = AudioPart(
        "audio/wav",
        "AAAA",
        transcript="Hi",
        opaque=(Opaque("openai_chat", "audio", {"rest": {"id": "audio_1", "expires_at": 5}}),),
    )
    messages, _ = render(Message("assistant", (spoken,)))
    assert messages == [{"role": "assistant", "content": None, "audio": {"id": "audio_1"}}]


def test_what_a_result_cannot_hold_is_named():
    result = ToolResultPart("c", (TextPart("x"), BuiltinCallPart("s", "search")))
    messages, losses = render(Message("tool", (result,)))
    assert messages == [{"role": "tool", "content": "x", "tool_call_id": "c"}]
    assert losses == [("messages[0].parts[0].content[1]", "dropped")]


def test_a_turn_of_results_whose_rest_cannot_be_said_is_results_alone():
    turn = Message("user", (ToolResultPart("c", ()), BuiltinCallPart("s", "search")))
    messages, losses = render(turn)
    assert messages == [{"role": "tool", "content": "", "tool_call_id": "c"}]
    assert losses == [("messages[0].parts[1]", "dropped")]


DROPPED = [
    BuiltinCallPart("s1", "web_search", {"query": "x"}),
    BuiltinResultPart("s1", "web_search"),
    CitationPart("https://e.com"),
    OpaquePart(Opaque("anthropic", "block", {"rest": {"type": "fallback"}})),
]


@pytest.mark.parametrize("part", DROPPED, ids=lambda part: part.type)
def test_what_chat_has_no_place_for_is_named(part):
    messages, losses = render(Message("assistant", (TextPart("ok"), part)))
    assert messages == [{"role": "assistant", "content": "ok"}]
    assert losses == [("messages[0].parts[1]", "dropped")]


def test_keys_of_other_dialects_are_named_at_their_place():
    note = Opaque("anthropic", "text", {"rest": {"citations": ["c"], "empty": [], "nothing": None}})
    messages, losses = render(Message("user", (TextPart("x", opaque=(note,)),)))
    assert messages == [{"role": "user", "content": "x"}]
    assert losses == [("messages[0].parts[0].citations", "dropped")]


# Media

HELLO = b64encode(b"hello").decode()
MEDIA = [
    (PNG, PNG_WIRE, []),
    (ImagePart(url="https://e.com/a.png", detail="low"), {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}}, []),
    (ImagePart(file_id="file_1"), text("[image left out: file_1]"), ["substituted"]),
    (AudioPart("audio/mpeg", "AAAA"), {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}, []),
    (AudioPart("audio/mpeg", url="https://e.com/a.mp3"), text("[audio left out: https://e.com/a.mp3]"), ["substituted"]),
    (VideoPart("video/mp4", "AAAA"), text("[video left out: video/mp4]"), ["substituted"]),
    (VideoPart(data="AAAA"), text("[video left out: no further description]"), ["substituted"]),
    (DocumentPart("application/pdf", "AAAA", name="a.pdf"), {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}}, []),
    (DocumentPart("application/pdf", "AAAA"), {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "document.pdf"}}, ["defaulted"]),
    (DocumentPart(file_id="file_1"), {"type": "file", "file": {"file_id": "file_1"}}, []),
    (DocumentPart(url="https://e.com/a.pdf"), text("[document left out: https://e.com/a.pdf]"), ["substituted"]),
    (DocumentPart("text/plain", HELLO, name="a.txt"), text("a.txt:\nhello"), ["substituted"]),
    (DocumentPart("text/plain", HELLO), text("hello"), ["substituted"]),
    (DocumentPart("text/plain", "****"), text("[document left out: text/plain]"), ["substituted"]),
    (DocumentPart("application/pdf", "AAAA", name="a", context="c"), {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a"}}, ["dropped"]),
    (BinaryPart("application/zip", "AAAA", name="a.zip"), {"type": "file", "file": {"file_data": "data:application/zip;base64,AAAA", "filename": "a.zip"}}, []),
]  # fmt: skip


@pytest.mark.parametrize(("part", "wire", "actions"), MEDIA)
def test_media_go_as_chat_takes_them_or_leave_words_behind(part, wire, actions):
    messages, losses = render(Message("user", (TextPart("See:"), part)))
    assert messages[0]["content"][1] == wire
    assert [action for _, action in losses] == actions


def test_media_that_the_model_does_not_take_leave_words_behind():
    messages, losses = render(Message("user", (PNG,)), media=frozenset({"audio"}))
    assert messages[0]["content"] == "[image left out: image/png]"
    assert losses == [("messages[0].parts[0]", "substituted")]


def test_a_server_that_takes_video_gets_it():
    part = VideoPart("video/mp4", "AAAA")
    messages, _ = render(Message("user", (part,)), media=frozenset({"video"}))
    url = "data:video/mp4;base64,AAAA"
    assert messages[0]["content"] == [{"type": "video_url", "video_url": {"url": url}}]
