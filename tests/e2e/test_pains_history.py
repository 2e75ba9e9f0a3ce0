"""What users of such proxies complain about in conversations, each complaint under its number."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lmtools.flags.provider import ProviderChoice
from tests.fakes.agents import kept_message
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.histories import (
    FUNCTIONS,
    TO_GPT,
    TOOLS,
    body_of,
    called,
    result,
    to_chat,
    to_messages,
    use,
)
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.pairs import ASK, both_ways
from tests.fakes.proxy import before, key_source, running
from tests.fakes.scenario import THINKING, Call, Scenario
from tests.fakes.server import FakeServer, Reply

JSON = ("Content-Type", "application/json")


# P4

#: Histories as interrupted agents leave them, and the results that come right after the call.
TANGLED: dict[str, tuple[list[Any], list[str]]] = {
    "no result": ([{"role": "user", "content": "stop"}], ["a", "b"]),
    "one result": ([{"role": "user", "content": [result("b")]}], ["a", "b"]),
    "other order": ([{"role": "user", "content": [result("b"), result("a")]}], ["a", "b"]),
    "text before": ([{"role": "user", "content": [{"type": "text", "text": "wait"}, result("a"), result("b")]}], ["a", "b"]),
    "text between": ([{"role": "user", "content": [result("a"), {"type": "text", "text": "wait"}, result("b")]}], ["a", "b"]),
    "late result": ([{"role": "user", "content": [result("a")]}, {"role": "assistant", "content": "hm"}, {"role": "user", "content": [result("b")]}], ["a", "b"]),
    "stray result": ([{"role": "user", "content": [result("a"), result("b"), result("z")]}], ["a", "b"]),
    "nothing more": ([], ["a", "b"]),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TANGLED))
def test_p4_each_call_has_its_result_at_once_and_in_order(name: str) -> None:
    later, ids = TANGLED[name]
    history = [*ASK, {"role": "assistant", "content": [use("a"), use("b", "cat")]}, *later]
    (sent,) = to_chat(body_of(history, tools=TOOLS))
    messages = sent["messages"]
    at = next(i for i, message in enumerate(messages) if message.get("tool_calls"))

    assert [call["id"] for call in messages[at]["tool_calls"]] == ids
    assert [m["tool_call_id"] for m in messages[at + 1 : at + 3]] == ids
    assert [m["role"] for m in messages].count("tool") == 2
    assert all(m["content"] for m in messages[at + 1 :] if m["role"] != "assistant")


@pytest.mark.parametrize(
    "history",
    [
        [*ASK, called("a", "b"), {"role": "tool", "tool_call_id": "b", "content": "x"}],
        [*ASK, called("a", "b"), {"role": "user", "content": "stop"}],
        [*ASK, called("a"), {"role": "user", "content": "wait"}, {"role": "tool", "tool_call_id": "a", "content": "x"}],
        [*ASK, {"role": "tool", "tool_call_id": "z", "content": "x"}, called("a"), {"role": "tool", "tool_call_id": "a", "content": "x"}],
    ],
    ids=["one result", "no result", "text between", "stray result"],
)  # fmt: skip
def test_p4_the_other_way_results_come_first_in_the_next_turn(history: list[Any]) -> None:
    (sent,) = to_messages(body_of(history, tools=FUNCTIONS))
    messages = sent["messages"]
    at = next(
        i
        for i, message in enumerate(messages)
        if message["role"] == "assistant" and message["content"][-1]["type"] == "tool_use"
    )
    asked = [b["id"] for b in messages[at]["content"] if b["type"] == "tool_use"]
    answered = messages[at + 1]["content"][: len(asked)]

    assert [block["tool_use_id"] for block in answered] == asked
    results = [
        block
        for message in messages
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    assert len(results) == len(asked)


@pytest.mark.parametrize("name", sorted(TANGLED))
def test_p4_nothing_is_mended_where_bytes_are_passed(name: str) -> None:
    history = [*ASK, {"role": "assistant", "content": [use("a"), use("b")]}, *TANGLED[name][0]]
    body = json.dumps(body_of(history, model="claude-haiku-4-5", tools=TOOLS)).encode()
    with FakeServer(lambda _: Reply(400, [JSON], b"{}")) as server:
        choice = ProviderChoice("anthropic", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            proxy.post("/v1/messages", body)

    assert server.seen[0].raw == body


# P5


@both_ways
def test_p5_a_signature_is_never_made_up(stream: bool) -> None:
    """A Chat server signs nothing: its thinking goes to the client without a signature that the
    Messages API could be shown, and does not come back to it as a thought."""
    with FakeOpenAI(compatible=True) as fake, before(fake) as proxy:
        fake.play(THINKING)
        answered = proxy.post("/v1/messages", body_of(stream=stream))
    blocks = kept_message(answered, stream)["content"]

    assert [block["type"] for block in blocks] == ["thinking", "text"]
    assert blocks[0]["signature"] == ""
    assert b"signature_delta" not in answered.raw


@both_ways
def test_p5_a_signature_goes_back_byte_for_byte(stream: bool) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    asked = body_of(model="claude-haiku-4-5", max_tokens=2048, thinking=thinking, stream=stream)
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        fake.play(THINKING)
        message = kept_message(proxy.post("/v1/messages", asked), stream)
        history = [*ASK, message, {"role": "user", "content": "go on"}]
        assert proxy.post("/v1/messages", {**asked, "messages": history}).status == 200

    assert fake.refused == []
    assert fake.asked[-1].body["messages"][1] == message
    assert message["content"][0]["signature"]


@pytest.mark.parametrize(
    "thought",
    [
        {"reasoning_content": "unsigned"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "t", "signature": "Zm9yZ2Vk"}]},
        {"reasoning_details": [{"type": "reasoning.encrypted", "data": "lmt1.Zm9yZ2Vk"}]},
    ],
    ids=["unsigned", "another's", "forged"],
)
def test_p5_another_providers_thought_is_left_out(thought: dict[str, Any]) -> None:
    history = [*ASK, {"role": "assistant", "content": "Yes.", **thought}, *ASK]
    (sent,) = to_messages(body_of(history))

    assert "thinking" not in json.dumps(sent["messages"])
    assert "unsigned" not in json.dumps(sent)


# P22

PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PAGES = {
    "type": "document",
    "source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
}


def test_p22_media_in_results_reach_the_model_in_the_next_turn() -> None:
    """Results stay together; what they show follows, each under its call's id."""
    history = [
        *ASK,
        {"role": "assistant", "content": [use("a"), use("b", "cat")]},
        {"role": "user", "content": [result("a", [{"type": "text", "text": "see"}, PICTURE]), result("b", [PAGES]), {"type": "text", "text": "and?"}]},
    ]  # fmt: skip
    (sent,) = to_chat(body_of(history, tools=TOOLS))
    roles = [message["role"] for message in sent["messages"]]

    assert roles == ["user", "assistant", "tool", "tool", "user"]
    assert sent["messages"][2]["content"] == "see"
    assert sent["messages"][3]["content"]
    parts = sent["messages"][4]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text", "file", "text"]
    assert parts[1]["image_url"]["url"] == "data:image/png;base64,aGk="
    assert parts[3]["file"]["file_data"] == "data:application/pdf;base64,aGk="
    assert [label["text"].count(id) for label, id in ((parts[0], " a:"), (parts[2], " b:"))] == [
        1,
        1,
    ]


def test_p22_what_cannot_be_shown_leaves_a_word_in_its_place() -> None:
    """A reference that only the other provider can follow."""
    filed = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    history = [
        *ASK,
        {"role": "assistant", "content": [use("a")]},
        {"role": "user", "content": [result("a", [filed])]},
    ]
    with FakeOpenAI() as fake, before(fake, vendor=True, **TO_GPT) as proxy:
        answered = proxy.post("/v1/messages", body_of(history, tools=TOOLS))

    assert (answered.status, fake.refused) == (200, [])
    assert "messages[2]" in answered.headers["x-lmtools-loss"]
    assert fake.asked[0].body["messages"][2]["content"]


# P28

LONG = ["toolu_" + "x" * 60 + mark for mark in "12"]
ODD = ["call|1:x", "call|1;x", "c" * 200, "é"]
NAMES = ["n" * 70 + "a", "n" * 70 + "b", "get.weather v2", "get weather.v2"]


def test_p28_long_ids_fit_on_both_sides_and_stay_apart() -> None:
    history = [
        *ASK,
        {"role": "assistant", "content": [use(id) for id in LONG]},
        {"role": "user", "content": [result(id, id[-1]) for id in LONG]},
    ]
    first = body_of(history, tools=TOOLS)
    second = body_of([*history, {"role": "assistant", "content": "ok"}, *ASK], tools=TOOLS)
    sent = to_chat(first, second)
    ids = [call["id"] for call in sent[0]["messages"][1]["tool_calls"]]

    assert len(set(ids)) == 2
    assert all(len(id) <= 40 for id in ids)
    for body in sent:
        assert [call["id"] for call in body["messages"][1]["tool_calls"]] == ids
        assert [(m["tool_call_id"], m["content"]) for m in body["messages"][2:4]] == [
            (ids[0], "1"),
            (ids[1], "2"),
        ]


def test_p28_odd_ids_fit_the_messages_api() -> None:
    results = [
        {"role": "tool", "tool_call_id": id, "content": str(at)} for at, id in enumerate(ODD)
    ]
    (sent,) = to_messages(body_of([*ASK, called(*ODD), *results], tools=FUNCTIONS))
    ids = [block["id"] for block in sent["messages"][1]["content"]]

    assert len(set(ids)) == len(ODD)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", id) for id in ids)
    assert [block["tool_use_id"] for block in sent["messages"][2]["content"]] == ids


@both_ways
def test_p28_names_fit_and_come_back_as_they_were(stream: bool) -> None:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in NAMES]
    with FakeOpenAI() as fake, before(fake, vendor=True, **TO_GPT) as proxy:
        assert proxy.post("/v1/messages", body_of(tools=tools)).status == 200
        sent = [tool["function"]["name"] for tool in fake.asked[0].body["tools"]]
        fake.play(Scenario(text=(), calls=tuple(Call(n, ("{}",), f"i{i}") for i, n in enumerate(sent))))  # fmt: skip
        answered = proxy.post("/v1/messages", body_of(tools=tools, stream=stream))

    assert fake.refused == []
    assert len(set(sent)) == len(NAMES)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in sent)
    assert [block["name"] for block in kept_message(answered, stream)["content"]] == NAMES


# P29

EMPTIES: list[list[Any]] = [
    [{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]}],
    [*ASK, {"role": "assistant", "content": ""}, {"role": "user", "content": "go on"}],
    [*ASK, {"role": "assistant", "content": []}, {"role": "user", "content": "go on"}],
    [*ASK, {"role": "assistant", "content": " \n"}, {"role": "user", "content": "go on"}],
    [{"role": "user", "content": " "}],
]


@pytest.mark.parametrize("at", range(len(EMPTIES)))
def test_p29_empty_words_do_not_reach_a_provider_that_refuses_them(at: int) -> None:
    """OpenAI takes them, and gets them as they were said."""
    (sent,) = to_messages(body_of(EMPTIES[at]))
    (taken,) = to_chat(body_of(EMPTIES[at]))

    assert sent["messages"]
    for message in sent["messages"]:
        content = message["content"]
        texts = [content] if isinstance(content, str) else [part["text"] for part in content]
        assert texts
        assert all(text.strip() for text in texts)
    assert len(taken["messages"]) == len(EMPTIES[at])
