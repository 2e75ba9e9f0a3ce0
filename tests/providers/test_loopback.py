"""The built-in model: what it answers, on canonical values alone."""

from __future__ import annotations

import json

import pytest

from lmtools.errors import ApiError, OverloadedError, RateLimitError, UnsupportedModelError
from lmtools.providers.estimate import estimate_text, estimate_tokens
from lmtools.providers.loopback_model import MODEL_LIST, MODELS, STORY, WIRES, answer, seed_of
from lmtools.types import (
    AudioPart,
    BuiltinTool,
    CustomTool,
    End,
    FunctionTool,
    ImagePart,
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Start,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolResultPart,
    find_opaque,
    response_from_events,
)

HELLO = (Message.system("Be short."), Message.user("Hello there, Müller!"))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (
    FunctionTool("weather", parameters=SCHEMA),
    FunctionTool("time", parameters=None),
    FunctionTool("third"),
)


def ask(model: str, messages=HELLO, *, wire: str = "openai_chat", seed: str = "5eed", **fields):
    """Return the whole answer, after checking the rules that every stream keeps."""
    events = answer(Request(model, messages, **fields), seed, wire)
    assert isinstance(events[0], Start)
    assert isinstance(events[-1], End)
    assert not any(isinstance(event, Start | End) for event in events[1:-1])
    indices = [event.part_index for event in events[1:-1]]
    assert indices == sorted(indices)
    assert set(indices) == set(range(len(set(indices))))
    return response_from_events(events)


def test_echo_repeats_the_last_user_text():
    messages = (
        *HELLO,
        Message.assistant("Hi"),
        Message.user(["again", " please"]),
        Message.assistant("x"),
    )

    assert ask("echo").text == "Hello there, Müller!"
    assert ask("echo", messages).text == "again please"
    assert ask("echo").finish == "stop"


def test_echo_acknowledges_media_and_an_empty_conversation():
    media = (
        ImagePart("image/png", "aGVsbG8="),
        ImagePart(url="https://x/y.png"),
        AudioPart("audio/wav", "no base64"),
    )

    assert ask("echo", (Message.user(["Look:", *media]),)).text == (
        "Look:\n[image image/png 5 bytes]\n[image by reference]\n[audio audio/wav not base64]"
    )
    assert ask("echo", (Message.system("x"),)).text == "There is nothing to repeat."


def test_echo_streams_word_by_word_and_a_huge_text_in_bounded_pieces():
    def deltas(text: str) -> list[str]:
        events = answer(Request("echo", (Message.user(text),)), "s", "openai_chat")
        return [event.text for event in events if isinstance(event, TextDelta)]

    assert deltas("one two  three\n") == ["one ", "two  ", "three\n"]
    assert deltas("  lead") == ["  lead"]
    assert deltas(" \n ") == [" \n "]
    huge = "word " * 100_000
    assert len(deltas(huge)) <= 512
    assert "".join(deltas(huge)) == huge


def test_story_is_long_and_comes_in_many_deltas():
    events = answer(Request("story", HELLO), "s", "openai_chat")

    assert len(STORY.split()) > 400
    assert len(events) > 400
    assert response_from_events(events).text == STORY


def test_slow_counts_and_cut_begins_a_story():
    assert ask("slow").text.split()[0] == "one"
    assert len(ask("slow").text.split()) == 20
    assert ask("cut").text == STORY


@pytest.mark.parametrize(("wire", "signed"), [("anthropic", True), ("openai_chat", False)])
def test_think_thinks_before_it_answers(wire, signed):
    events = answer(Request("think", HELLO), "5eed", wire)
    response = response_from_events(events)

    assert response.thinking
    assert response.text == "Hello there, Müller!"
    assert isinstance(events[1], ThinkingDelta)
    signature = find_opaque(response.message.parts[0].opaque, "anthropic", "signature")
    assert bool(signature) is signed
    assert 0 < response.usage.reasoning_tokens < response.usage.output_tokens


@pytest.mark.parametrize("reasoning", [Reasoning("disabled"), Reasoning(effort="none")])
def test_think_does_not_think_when_told_not_to(reasoning):
    assert ask("think", reasoning=reasoning).thinking == ""
    assert ask("think", reasoning=Reasoning("enabled", budget=1024)).thinking


def test_tools_calls_the_first_two_tools_with_arguments_that_fit():
    response = ask("tools", tools=TOOLS)

    assert [(call.name, call.input) for call in response.tool_calls] == [
        ("weather", {"city": "city"}),
        ("time", {}),
    ]
    assert response.text
    assert response.finish == "tool_call"
    assert len({call.id for call in response.tool_calls}) == 2


def test_a_call_comes_in_fragments_whose_first_has_the_name():
    events = answer(Request("tools", HELLO, tools=TOOLS[:1]), "s", "openai_chat")
    fragments = [event for event in events if isinstance(event, ToolCallDelta)]

    assert (fragments[0].name, fragments[0].text) == ("weather", "")
    assert len(fragments) == 3
    assert json.loads("".join(fragment.text for fragment in fragments)) == {"city": "city"}


@pytest.mark.parametrize(
    ("model", "choice", "called"),
    [
        ("tools", ToolChoice("none"), []),
        ("tools", ToolChoice("auto"), ["weather", "time"]),
        ("tools", ToolChoice(parallel=False), ["weather"]),
        ("tools", ToolChoice("required"), ["weather", "time"]),
        ("tools", ToolChoice("required", (ToolRef("third"),)), ["third"]),
        ("tools", ToolChoice("auto", (ToolRef("third"), ToolRef("time"))), ["time", "third"]),
        ("echo", None, []),
        ("echo", ToolChoice("auto"), []),
        ("echo", ToolChoice("required"), ["weather"]),
        ("story", ToolChoice("required", (ToolRef("time"),)), ["time"]),
    ],
)
def test_the_tool_choice_is_honoured(model, choice, called):
    response = ask(model, tools=TOOLS, tool_choice=choice)

    assert [call.name for call in response.tool_calls] == called
    assert response.finish == ("tool_call" if called else "stop")


def test_without_a_tool_that_can_be_called_tools_says_so():
    assert ask("tools").text == "There is no tool to call."
    assert ask("tools", tools=(BuiltinTool("web_search"),)).text == "There is no tool to call."


def test_a_custom_tool_gets_text_and_keeps_its_kind_and_namespace():
    (call,) = ask("tools", tools=(CustomTool("patch", namespace="fs"),)).tool_calls

    assert (call.kind, call.namespace, call.input) == ("custom", "fs", "sample")


CALL = Message.assistant([ToolCallPart("t1", "weather", {"city": "Ulm"})])
RESULTS = [
    ((Message.tool({"t1": "rain"}),), "The tool answered: rain"),
    ((Message.user([ToolResultPart("t1", (TextPart("rain"),))]),), "The tool answered: rain"),
    (
        (Message.tool({"t1": "a"}), Message.tool({"t2": "b"})),
        "The tool answered: a\nThe tool answered: b",
    ),
    (
        (Message.tool(ToolResultPart("t1", (TextPart("no"),), is_error=True)),),
        "The tool failed with: no",
    ),
    ((Message.tool(ToolResultPart("t1", ())),), "The tool answered: nothing"),
    ((Message.tool({"t1": "rain"}), Message.system("go on")), "The tool answered: rain"),
]


@pytest.mark.parametrize(("results", "text"), RESULTS)
@pytest.mark.parametrize("choice", [None, ToolChoice("required")])
def test_tools_answers_from_the_results_that_the_history_ends_with(results, text, choice):
    """Even where a call is still required: a client repeats its tool_choice in the follow-up."""
    response = ask("tools", (*HELLO, CALL, *results), tools=TOOLS, tool_choice=choice)

    assert (response.text, response.tool_calls, response.finish) == (text, (), "stop")


def test_tools_calls_again_when_the_user_goes_on():
    messages = (
        *HELLO,
        CALL,
        Message.tool({"t1": "rain"}),
        Message.assistant("Rain."),
        Message.user("And now?"),
    )

    assert ask("tools", messages, tools=TOOLS).tool_calls


@pytest.mark.parametrize("model", ["echo", "story", "think", "tools"])
def test_an_output_schema_is_answered_with_json_that_fits(model):
    response = ask(model, output=OutputFormat("json_schema", SCHEMA))

    assert json.loads(response.text) == {"city": "city"}


def test_a_json_object_is_answered_with_one():
    assert json.loads(ask("echo", output=OutputFormat("json_object")).text) == {
        "echo": "Hello there, Müller!"
    }
    assert ask("echo", output=OutputFormat("text")).text == "Hello there, Müller!"


@pytest.mark.parametrize("model", ["story", "think", "echo", "tools"])
@pytest.mark.parametrize("limit", [0, 1, 5, 20, 100_000])
def test_max_tokens_bounds_the_answer(model, limit):
    whole, response = ask(model, tools=TOOLS), ask(model, tools=TOOLS, max_tokens=limit)

    assert response.usage.output_tokens <= limit
    assert estimate_text(response.text) + estimate_text(response.thinking) <= limit
    cut = whole.usage.output_tokens > limit
    assert response.finish == ("length" if cut else whole.finish)
    assert whole.text.startswith(response.text)


def test_a_stop_sequence_ends_the_answer_before_it():
    response = ask("echo", stop=("zzz", "there", "Hello there, M", ""))

    assert (response.text, response.finish, response.stop_sequence) == (
        "",
        "stop_sequence",
        "Hello there, M",
    )
    assert ask("echo", stop=(" there",)).text == "Hello"
    assert ask("echo", stop=("absent",)).finish == "stop"


def test_usage_is_the_estimate():
    request = Request("echo", HELLO)
    response = ask("echo")

    assert response.usage.input_tokens == estimate_tokens(request)
    assert response.usage.output_tokens == estimate_text("Hello there, Müller!")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


@pytest.mark.parametrize(
    ("model", "cls", "status", "retry_after"),
    [
        ("error-400", ApiError, 400, None),
        ("error-429", RateLimitError, 429, 1),
        ("error-500", ApiError, 500, None),
        ("error-529", OverloadedError, 529, 1),
        ("error-503", OverloadedError, 503, 1),
        ("error-418", ApiError, 418, None),
    ],
)
def test_an_error_model_fails_as_its_name_says(model, cls, status, retry_after):
    with pytest.raises(cls) as raised:
        ask(model)

    assert (raised.value.status, raised.value.retry_after) == (status, retry_after)


@pytest.mark.parametrize(
    "model", ["gpt-5", "", "error-", "error-200", "error-4000", "error-abc", "Echo"]
)
def test_a_model_that_does_not_exist_is_404_with_those_that_do(model):
    with pytest.raises(UnsupportedModelError) as raised:
        ask(model)

    assert raised.value.status == 404
    assert "echo, story" in str(raised.value)


@pytest.mark.parametrize("wire", WIRES)
def test_the_same_request_always_gets_the_same_answer(wire):
    first, second = (answer(Request("tools", HELLO, tools=TOOLS), "5eed", wire) for _ in range(2))

    assert first == second
    assert first[0].id == f"{WIRES[wire].id_prefix}5eed"
    calls = response_from_events(first).tool_calls
    assert all(call.id.startswith(WIRES[wire].call_prefix) for call in calls)


def test_different_bodies_have_different_ids():
    seeds = {seed_of(b'{"n":%d}' % n) for n in range(1000)}

    assert len(seeds) == 1000
    assert all(len(seed) == 16 for seed in seeds)


def test_the_model_list_names_every_model():
    assert [info.id for info in MODEL_LIST] == list(MODELS)
