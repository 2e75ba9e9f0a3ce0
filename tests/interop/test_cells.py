"""The makers' own SDKs, over both wires: what people do with them works, and fails as it should."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lmtools.apiproxy.options import ModelRule
from tests.fakes import anthropic_rules
from tests.fakes.scenario import (
    AWKWARD,
    CACHED,
    CUT_EARLY,
    EMPTY,
    FAILS_EARLY,
    FAILS_MIDWAY,
    HELLO,
    LENGTH,
    NO_ARGUMENTS,
    ONE_TOOL,
    PARALLEL_TOOLS,
    REFUSAL,
    STOPPED,
    THINKING,
    THINKING_TOOL,
    UNICODE,
    UNICODE_BYTES,
    Scenario,
    refusing,
)
from tests.fakes.server import FakeServer, json_reply

anthropic = pytest.importorskip("anthropic", reason="needs the anthropic SDK: run scripts/interop")
openai = pytest.importorskip("openai", reason="needs the openai SDK: run scripts/interop")
pytestmark = pytest.mark.interop

ASK = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def upstream(cell: Any) -> Any:
    """Return the last body that reached the fake, after making sure that it refused nothing."""
    assert cell.fake.refused == []
    return cell.fake.asked[-1].body


# Text


@pytest.mark.parametrize("shape", ["vendor", "argo"])
def test_text_arrives(cell: Any, way: str, shape: str) -> None:
    cell.fake.play(Scenario(shape=shape))

    answer = cell.sdk.ask(way, cell.model, ASK)

    assert answer.text == "Hello, world!"
    assert answer.finish == cell.sdk.finishes["stop"]
    assert (answer.input_tokens, answer.output_tokens) == (11, 7)
    assert upstream(cell)["messages"][-1]["content"] == "Hello"


@pytest.mark.parametrize("scenario", [UNICODE, UNICODE_BYTES], ids=["pieces", "bytes"])
def test_every_character_arrives_however_it_is_cut(cell: Any, way: str, scenario: Scenario) -> None:
    cell.fake.play(scenario)

    answer = cell.sdk.ask(way, cell.model, [{"role": "user", "content": AWKWARD}])

    assert answer.text == AWKWARD
    sent = upstream(cell)["messages"][-1]["content"]
    assert (sent if isinstance(sent, str) else sent[0]["text"]) == AWKWARD


def test_a_conversation_keeps_its_order(cell: Any, way: str) -> None:
    turns = [*ASK, {"role": "assistant", "content": "Hi."}, {"role": "user", "content": "And now?"}]

    cell.sdk.ask(way, cell.model, turns)

    said = [(m["role"], m["content"]) for m in upstream(cell)["messages"]]
    assert said == [("user", "Hello"), ("assistant", "Hi."), ("user", "And now?")]


def test_an_answer_without_content_is_an_answer(cell: Any, way: str) -> None:
    cell.fake.play(EMPTY)

    answer = cell.sdk.ask(way, cell.model, ASK)

    assert (answer.text, answer.finish) == ("", cell.sdk.finishes["stop"])


def test_a_limit_that_was_reached_is_said(cell: Any, way: str) -> None:
    cell.fake.play(LENGTH)

    answer = cell.sdk.ask(way, cell.model, ASK)

    assert (answer.text, answer.finish) == ("This is cut", cell.sdk.finishes["length"])


def test_a_refusal_can_be_read(cell: Any, way: str) -> None:
    cell.fake.play(REFUSAL)

    answer = cell.sdk.ask(way, cell.model, ASK)

    assert "I cannot help with that." in (answer.text + answer.refusal)


def test_a_stop_sequence_goes_up_and_its_name_comes_back(cell: Any, way: str) -> None:
    cell.fake.play(STOPPED)
    field = {"anthropic": {"stop_sequences": ["three"]}, "openai": {"stop": ["three"]}}

    answer = cell.sdk.ask(way, cell.model, ASK, **field[cell.client])

    body = upstream(cell)
    assert body.get("stop_sequences", body.get("stop")) == ["three"]
    assert answer.text == "one, two, "
    if cell.client == cell.wire == "anthropic":
        assert (answer.finish, answer.raw.stop_sequence) == ("stop_sequence", "three")


def test_cached_tokens_are_counted_once(cell: Any, way: str) -> None:
    cell.fake.play(CACHED)

    answer = cell.sdk.ask(way, cell.model, ASK)

    assert answer.input_tokens == 1243
    assert answer.cached_tokens == 1200
    assert answer.output_tokens == 9


def test_the_name_that_was_asked_for_comes_back(bench: Any, way: str) -> None:
    """A mapped model must not show: clients compare it with what they asked for."""
    fake = bench.fake("openai_chat")
    rules = (ModelRule(re.compile("^claude"), "gpt-4.1"),)
    sdk = bench.sdk("anthropic", bench.before(fake, model_map=rules).url)

    answer = sdk.ask(way, "claude-haiku-4-5", ASK)

    assert answer.model == "claude-haiku-4-5"
    assert fake.asked[0].body["model"] == "gpt-4.1"


# Tools


@pytest.mark.parametrize("shape", ["vendor", "argo"])
def test_one_tool_and_its_result(cell: Any, way: str, shape: str) -> None:
    tools = [cell.sdk.tool("get_weather", WEATHER)]
    cell.fake.play(Scenario(text=(), calls=ONE_TOOL.calls, shape=shape), HELLO)

    first = cell.sdk.ask(way, cell.model, ASK, tools=tools)

    assert [(name, given) for _, name, given in first.calls] == [
        ("get_weather", {"location": "Chicago"})
    ]
    assert first.finish == cell.sdk.finishes["calls"]

    second = cell.sdk.ask(way, cell.model, ASK + cell.sdk.follow_up(first, ["sunny"]), tools=tools)

    assert second.text == "Hello, world!"
    assert "sunny" in json.dumps(upstream(cell)["messages"][-1])


def test_parallel_tools_and_their_results(cell: Any, way: str) -> None:
    tools = [cell.sdk.tool("get_weather", WEATHER)]
    cell.fake.play(PARALLEL_TOOLS, HELLO)

    first = cell.sdk.ask(way, cell.model, ASK, tools=tools)

    assert first.text == "I look both up."
    assert [given for _, _, given in first.calls] == [
        {"location": "Oslo"},
        {"location": "Bergen \U0001f327"},
    ]
    assert len({call for call, _, _ in first.calls}) == 2

    history = ASK + cell.sdk.follow_up(first, ["4 degrees", "rain"])
    second = cell.sdk.ask(way, cell.model, history, tools=tools)

    assert second.text == "Hello, world!"
    body = upstream(cell)
    turns = [m["role"] for m in body["messages"]]
    if cell.wire == "anthropic":
        assert turns == ["user", "assistant", "user"]
    else:
        assert turns == ["user", "assistant", "tool", "tool"]


def test_a_tool_without_arguments(cell: Any, way: str) -> None:
    tools = [cell.sdk.tool("now", {"type": "object", "properties": {}})]
    cell.fake.play(NO_ARGUMENTS, HELLO)

    first = cell.sdk.ask(way, cell.model, ASK, tools=tools)
    assert [(name, given) for _, name, given in first.calls] == [("now", {})]

    cell.sdk.ask(way, cell.model, ASK + cell.sdk.follow_up(first, ["noon"]), tools=tools)
    upstream(cell)


@pytest.mark.parametrize("choice", ["auto", "none", "any", "named"])
def test_a_tool_choice_is_said_in_the_wires_words(cell: Any, choice: str) -> None:
    said: dict[str, dict[str, Any]] = {
        "anthropic": {
            "auto": {"type": "auto"},
            "none": {"type": "none"},
            "any": {"type": "any"},
            "named": {"type": "tool", "name": "get_weather"},
        },
        "openai": {
            "auto": "auto",
            "none": "none",
            "any": "required",
            "named": {"type": "function", "function": {"name": "get_weather"}},
        },
    }
    tools = [cell.sdk.tool("get_weather", WEATHER)]

    cell.sdk.ask("whole", cell.model, ASK, tools=tools, tool_choice=said[cell.client][choice])

    wire = "anthropic" if cell.wire == "anthropic" else "openai"
    assert upstream(cell)["tool_choice"] == said[wire][choice]


def test_tools_of_an_empty_list_and_system_text(cell: Any, way: str) -> None:
    """Claude Code's title request has no tools, as an empty list, which OpenAI refuses."""
    if cell.client == "anthropic":
        cell.sdk.ask(way, cell.model, ASK, tools=[], system=[{"type": "text", "text": "Be brief."}])
    else:
        cell.sdk.ask(way, cell.model, [{"role": "system", "content": "Be brief."}, *ASK])

    body = upstream(cell)
    first = body["system"] if cell.wire == "anthropic" else body["messages"][0]["content"]
    assert "Be brief." in json.dumps(first)


# Thinking


def test_signed_thinking_comes_and_goes_back_untouched(bench: Any, way: str) -> None:
    fake = bench.fake("anthropic")
    sdk = bench.sdk("anthropic", bench.before(fake).url)
    tools = [sdk.tool("get_weather", WEATHER)]
    more = {"tools": tools, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    fake.play(THINKING_TOOL, THINKING)

    first = sdk.ask(way, "claude-haiku-4-5", ASK, **more)
    second = sdk.ask(way, "claude-haiku-4-5", ASK + sdk.follow_up(first, ["4 degrees"]), **more)

    assert first.raw.content[0].signature == anthropic_rules.sign("I need the weather.")
    assert second.thinking == "The user asks \u2014 I answer."
    assert fake.refused == []
    assert fake.asked[1].body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "I need the weather.",
        "signature": anthropic_rules.sign("I need the weather."),
    }


@pytest.mark.parametrize("client", ["anthropic", "openai"])
def test_reasoning_of_a_compatible_server_is_shown(bench: Any, way: str, client: str) -> None:
    fake = bench.fake("openai_chat", compatible=True)
    sdk = bench.sdk(client, bench.before(fake).url)
    fake.play(THINKING)

    answer = sdk.ask(way, "deepseek-reasoner", ASK)

    assert (answer.thinking, answer.text) == ("The user asks \u2014 I answer.", "It is 391.")
    if client == "anthropic":
        assert [block.type for block in answer.raw.content] == ["thinking", "text"]


def test_reasoning_goes_back_to_a_compatible_server(bench: Any, way: str) -> None:
    """Such servers want the reasoning of the running tool turn in ``reasoning_content``."""
    fake = bench.fake("openai_chat", compatible=True)
    sdk = bench.sdk("anthropic", bench.before(fake).url)
    tools = [sdk.tool("get_weather", WEATHER)]
    fake.play(THINKING_TOOL, HELLO)

    first = sdk.ask(way, "deepseek-reasoner", ASK, tools=tools)
    sdk.ask(way, "deepseek-reasoner", ASK + sdk.follow_up(first, ["4 degrees"]), tools=tools)

    assert fake.refused == []
    assert fake.asked[1].body["messages"][1]["reasoning_content"] == "I need the weather."


def test_an_effort_of_a_chat_client_becomes_thinking(bench: Any, way: str) -> None:
    fake = bench.fake("anthropic")
    sdk = bench.sdk("openai", bench.before(fake).url)
    fake.play(THINKING)

    answer = sdk.ask(way, "claude-haiku-4-5", ASK, reasoning_effort="low")

    assert fake.refused == []
    assert fake.asked[0].body["thinking"]["type"] == "enabled"
    assert answer.text == "It is 391."
    assert answer.thinking == "The user asks \u2014 I answer."


def test_signed_thinking_comes_back_where_the_client_hands_it_back(bench: Any, way: str) -> None:
    """The SDK keeps ``reasoning_details`` of a whole answer, and drops what it does not know of chunks.

    A signature is never made up: without it the history goes without the thinking, and is accepted.
    """
    fake = bench.fake("anthropic")
    sdk = bench.sdk("openai", bench.before(fake).url)
    tools = [sdk.tool("get_weather", WEATHER)]
    fake.play(THINKING_TOOL, HELLO)

    first = sdk.ask(way, "claude-haiku-4-5", ASK, tools=tools)
    sdk.ask(way, "claude-haiku-4-5", ASK + sdk.follow_up(first, ["4 degrees"]), tools=tools)

    assert fake.refused == []
    kinds = [block["type"] for block in fake.asked[1].body["messages"][1]["content"]]
    assert kinds == (["thinking", "tool_use"] if way.endswith("whole") else ["tool_use"])


# Images


def test_an_image_in_the_body(cell: Any, way: str) -> None:
    content = [{"type": "text", "text": "What is it?"}, cell.sdk.image("image/png", PNG)]

    cell.sdk.ask(way, cell.model, [{"role": "user", "content": content}])

    sent = upstream(cell)["messages"][0]["content"][1]
    wire = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    if cell.wire != "anthropic":
        wire = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    assert sent == wire


def test_an_image_by_address(cell: Any, way: str) -> None:
    content = [
        {"type": "text", "text": "What is it?"},
        cell.sdk.image_url("https://a.example/b.png"),
    ]

    cell.sdk.ask(way, cell.model, [{"role": "user", "content": content}])

    sent = json.dumps(upstream(cell)["messages"][0]["content"][1])
    assert '"url": "https://a.example/b.png"' in sent


# Errors


def error_class(client: str, status: int) -> type[Exception]:
    names = {
        "anthropic": {
            400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
            413: "RequestTooLargeError", 429: "RateLimitError", 500: "InternalServerError",
            503: "ServiceUnavailableError", 529: "OverloadedError",
        },
        "openai": {
            400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError",
            413: "APIStatusError", 429: "RateLimitError", 500: "InternalServerError",
            503: "InternalServerError", 529: "InternalServerError",
        },
    }  # fmt: skip
    return getattr(anthropic if client == "anthropic" else openai, names[client][status])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
def test_an_error_is_the_sdks_own_with_its_status_and_words(
    cell: Any, way: str, status: int
) -> None:
    retry_after = "7" if status in (429, 503, 529) else None
    cell.fake.play(refusing(status, retry_after, f"upstream says {status}"))

    with pytest.raises(error_class(cell.client, status)) as caught:
        cell.sdk.ask(way, cell.model, ASK)

    error = caught.value
    assert error.status_code == status
    assert f"upstream says {status}" in error.message
    assert error.request_id
    assert error.response.headers["content-type"].startswith("application/json")
    assert error.response.headers.get("retry-after") == retry_after


def test_a_stream_that_fails_before_its_first_word_has_a_true_status(cell: Any) -> None:
    cell.fake.play(FAILS_EARLY)

    with pytest.raises(cell.sdk.error) as caught:
        cell.sdk.ask("stream", cell.model, ASK)

    assert caught.value.status_code in (500, 502, 529)
    assert "Overloaded" in caught.value.message


def test_a_stream_that_fails_midway_raises(cell: Any) -> None:
    cell.fake.play(FAILS_MIDWAY)
    pieces: list[str] = []

    with pytest.raises(cell.sdk.error) as caught:
        cell.sdk.texts(cell.model, pieces)

    assert "".join(pieces).startswith("some ")
    assert "Overloaded" in str(caught.value)


def test_a_stream_that_is_cut_raises(cell: Any) -> None:
    """Losing the connection must never look like a short answer."""
    cell.fake.play(CUT_EARLY)
    pieces: list[str] = []

    with pytest.raises(cell.sdk.error):
        cell.sdk.texts(cell.model, pieces)

    assert "".join(pieces).startswith("some ")


def test_a_whole_answer_that_is_cut_raises(cell: Any) -> None:
    cell.fake.play(CUT_EARLY)

    with pytest.raises(cell.sdk.error) as caught:
        cell.sdk.ask("whole", cell.model, ASK)

    assert caught.value.status_code == 502


# Other endpoints


def test_tokens_are_counted(bench: Any) -> None:
    fake, chat = bench.fake("anthropic"), bench.fake("openai_chat")
    own = bench.sdk("anthropic", bench.before(fake).url).client
    foreign = bench.sdk("anthropic", bench.before(chat).url).client
    tools = [{"name": "ls", "input_schema": {"type": "object"}}]

    counted = own.messages.count_tokens(model="claude-haiku-4-5", messages=ASK, tools=tools)
    small = foreign.messages.count_tokens(model="gpt-4.1", messages=ASK)
    large = foreign.messages.count_tokens(
        model="gpt-4.1", messages=ASK, tools=tools, system="Be brief. " * 9
    )

    assert counted.input_tokens == 576
    assert fake.refused == []
    assert 0 < small.input_tokens < large.input_tokens
    assert chat.seen == []


def test_models_are_listed_and_found(cell: Any) -> None:
    client = cell.sdk.client

    names = [model.id for model in client.models.list()]
    one = client.models.retrieve(names[0])

    assert cell.model in names
    assert one.id == names[0]
    with pytest.raises((anthropic.NotFoundError, openai.NotFoundError)):
        client.models.retrieve("no-such-model")


# The check checks


def test_the_sdks_refuse_an_answer_that_lacks_a_field(bench: Any) -> None:
    """Without strict validation every shape would pass, and these tests would show nothing."""
    for client, lacking in (
        ("anthropic", {"type": "message"}),
        ("openai", {"object": "chat.completion"}),
    ):
        with FakeServer(lambda seen, body=lacking: json_reply(200, body)) as server:
            sdk = bench.sdk(client, server.url)
            with pytest.raises(
                (anthropic.APIResponseValidationError, openai.APIResponseValidationError)
            ):
                sdk.ask("whole", "m", ASK)


@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
@pytest.mark.parametrize(
    "scenario",
    [HELLO, PARALLEL_TOOLS, THINKING, REFUSAL, CACHED],
    ids=["text", "tools", "thinking", "refusal", "cached"],
)
def test_the_fakes_speak_as_the_sdks_expect(
    bench: Any, wire: str, scenario: Scenario, way: str
) -> None:
    """Straight to the fake, without the proxy."""
    fake = bench.fake(wire)
    fake.play(scenario)
    sdk = bench.sdk("anthropic" if wire == "anthropic" else "openai", fake.url)

    answer = sdk.ask(way, {"anthropic": "claude-haiku-4-5", "openai_chat": "gpt-4.1"}[wire], ASK)

    assert answer.text + answer.refusal.strip() == scenario.said + scenario.refusal
    assert answer.thinking == scenario.thought
