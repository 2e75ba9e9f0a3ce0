"""What real clients were recorded to send is taken by upstreams as strict as the vendors' own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lmtools.apiproxy.options import ModelRule
from lmtools.flags.provider import ProviderChoice
from tests import corpus
from tests.fakes.agents import calls_of, going_on, kept_message
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import Answered, Proxy, before, events, running
from tests.fakes.scenario import CUT_EARLY, FAILS_MIDWAY, HELLO, ONE_TOOL, Call, Scenario

CLAUDE_MODELS = ("claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7", "claude-opus-4-1")
GPT_MODELS = ("gpt-4.1", "gpt-4o", "gpt-5-mini", "gpt-5.4", "o3")
_PASSED = ("anthropic-beta", "anthropic-version", "user-agent", "accept")


def ask(fake: FakeAPI, record: Mapping[str, Any], model: str | None, **change: Any) -> Answered:
    """Send a recorded request through a proxy that serves its vendor, as ``model`` if one is given."""
    rules = (ModelRule(re.compile(""), model),) if model else ()
    headers = {k: v for k, v in record["headers"].items() if k in _PASSED}
    path = "/v1/messages?beta=true" if "/messages" in record["path"] else "/v1/chat/completions"
    with before(fake, vendor=True, model_map=rules) as proxy:
        return proxy.post(path, {**record["body"], **change}, headers)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def recorded(pattern: str) -> Any:
    return pytest.mark.parametrize("path", corpus.recorded_files(pattern), ids=lambda p: p.stem)


@recorded("claude-code-*.json")
@pytest.mark.parametrize("stream", [True, False])
def test_claude_code_over_its_own_wire_is_sent_on_as_it_was_said(path: Path, stream: bool) -> None:
    """Claude Code repeats a broken stream's request whole, without streaming."""
    record = load(path)
    with FakeAnthropic() as fake:
        answered = ask(fake, record, None, stream=stream)

    assert fake.refused == []
    assert answered.status == 200
    assert fake.asked[0].body == {**record["body"], "stream": stream}
    assert list(fake.asked[0].body) == list(record["body"])
    assert fake.asked[0].headers["anthropic-beta"] == record["headers"]["anthropic-beta"]


@recorded("claude-code-*.json")
@pytest.mark.parametrize("model", GPT_MODELS)
def test_claude_code_is_served_by_openais_models(path: Path, model: str) -> None:
    record = load(path)
    with FakeOpenAI() as fake:
        fake.play(ONE_TOOL if record["body"].get("tools") else HELLO)
        answered = ask(fake, record, model)

    assert fake.refused == []
    assert answered.status == 200
    assert events(answered.raw)[-1][0] == "message_stop"
    sent = fake.asked[0].body
    assert len(sent.get("tools", [])) == len(record["body"].get("tools", []))
    assert sent["model"] == model


@recorded("opencode-chat-*.json")
def test_opencode_over_its_own_wire_is_taken(path: Path) -> None:
    record = load(path)
    with FakeOpenAI() as fake:
        answered = ask(fake, record, None)

    assert fake.refused == []
    assert answered.status == 200
    assert fake.asked[0].body["messages"] == record["body"]["messages"]
    assert fake.asked[0].body.get("tools") == record["body"].get("tools")


@recorded("opencode-chat-*.json")
@pytest.mark.parametrize("model", [*CLAUDE_MODELS, "gpt-5-mini", "o3"])
def test_opencode_is_served_by_any_model(path: Path, model: str) -> None:
    record = load(path)
    with FakeAnthropic() if model.startswith("claude") else FakeOpenAI() as fake:
        answered = ask(fake, record, model)

    assert fake.refused == []
    assert answered.status == 200
    assert events(answered.raw)[-1][1] == "[DONE]"


# Sessions, in their order


@dataclass(frozen=True)
class Session:
    """What one client sent in one session: a title, a request, and the same with a tool's result."""

    name: str
    first: dict[str, Any]
    second: dict[str, Any]
    title: dict[str, Any] | None

    @property
    def is_anthropic(self) -> bool:
        return "/messages" in str(self.first["path"])

    @property
    def call(self) -> Call:
        """The call that was answered to the first request."""
        message = self.second["body"]["messages"][-2]
        if self.is_anthropic:
            block = message["content"][-1]
            return Call(block["name"], (json.dumps(block["input"]),), "one")
        function = message["tool_calls"][0]["function"]
        return Call(function["name"], (function["arguments"],), "one")


def sessions() -> list[Session]:
    found = []
    for first in corpus.recorded_files("*-first.json"):
        if not first.name.startswith(("claude-code", "opencode-chat")):
            continue
        name = first.name.removesuffix("-first.json")
        title = first.with_name(f"{name}-title.json")
        found.append(
            Session(
                name,
                load(first),
                load(first.with_name(f"{name}-tool-result.json")),
                load(title) if title.exists() else None,
            )
        )
    return found


def replay(proxy: Proxy, session: Session, stream: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send a session as its client does; return the two messages that it keeps."""

    def say(record: Mapping[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        headers = {k: v for k, v in record["headers"].items() if k in _PASSED}
        path = "/v1/messages?beta=true" if session.is_anthropic else "/v1/chat/completions"
        # stream_options are for streams alone.
        plain = {k: v for k, v in body.items() if stream or k != "stream_options"}
        return kept_message(proxy.post(path, {**plain, "stream": stream}, headers), stream)

    if session.title is not None:
        assert said_in(say(session.title, session.title["body"]))
    called = say(session.first, session.first["body"])
    last = say(session.second, going_on(session.second["body"], called))
    return called, last


def said_in(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content)


def script(session: Session, wire: str) -> list[Scenario]:
    """Return what the upstream answers: a title, a call, and words."""
    # Only a provider that was asked to think does: FakeOpenAI is a vendor that hides it.
    thinking = ("I ", "see.") if session.is_anthropic and wire == "anthropic" else ()
    call = Scenario(thinking=thinking, text=("I will run it.",), calls=(session.call,))
    title = [Scenario(text=('{"title": ', '"A title"}'))] if session.title is not None else []
    return [*title, call, HELLO]


each_session = pytest.mark.parametrize("session", sessions(), ids=lambda s: s.name)
streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@each_session
@streamed_or_whole
@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
def test_a_recorded_session_runs_over_either_wire(
    session: Session, wire: str, stream: bool
) -> None:
    """The second request carries what the first was answered: its call, thinking and ids."""
    own = session.is_anthropic is (wire == "anthropic")
    model = None if own else {"anthropic": "claude-opus-4-8", "openai_chat": "gpt-4.1"}[wire]
    rules = (ModelRule(re.compile(""), model),) if model else ()
    with FakeAnthropic() if wire == "anthropic" else FakeOpenAI() as fake:
        fake.play(*script(session, wire))
        with before(fake, vendor=True, model_map=rules) as proxy:
            called, last = replay(proxy, session, stream)

    assert fake.refused == []
    assert len(calls_of(called)) == 1
    assert said_in(called) == "I will run it."
    assert said_in(last) == "Hello, world!"
    messages = fake.asked[-1].body["messages"]
    assert calls_of(messages[-2]) == result_ids(messages[-1])
    assert len(calls_of(messages[-2])) == 1
    if own:
        assert messages[-2]["content"] == called["content"]


def result_ids(message: dict[str, Any]) -> list[str]:
    if message["role"] == "tool":
        return [message["tool_call_id"]]
    return [b["tool_use_id"] for b in message["content"] if b["type"] == "tool_result"]


@each_session
@streamed_or_whole
@pytest.mark.parametrize("wire", ["anthropic", "openai-chat"])
def test_a_recorded_session_runs_without_a_provider(
    session: Session, wire: str, stream: bool
) -> None:
    """The built-in model calls tools that were offered, and answers from what they gave."""
    rules = (ModelRule(re.compile(""), "tools"),)
    choice = ProviderChoice("loopback", loopback_wire=wire)
    with running(choice, model_map=rules) as proxy:
        called, last = replay(proxy, session, stream)

    assert calls_of(called)
    assert not calls_of(last)
    result = session.second["body"]["messages"][-1]["content"]
    assert (result if isinstance(result, str) else result[0]["content"])[:6] in said_in(last)


@recorded("claude-code-*.json")
@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
@pytest.mark.parametrize("breaks", [CUT_EARLY, FAILS_MIDWAY], ids=["cut", "error"])
def test_after_a_broken_stream_the_same_request_is_answered_whole(
    path: Path, wire: str, breaks: Scenario
) -> None:
    """Claude Code asks again at once without streaming: up to 115 KB, and the same to the letter."""
    record = load(path)
    headers = {k: v for k, v in record["headers"].items() if k in _PASSED}
    rules = (ModelRule(re.compile(""), "gpt-4.1"),) if wire == "openai_chat" else ()
    with FakeAnthropic() if wire == "anthropic" else FakeOpenAI() as fake:
        fake.play(breaks, HELLO)
        with before(fake, vendor=True, model_map=rules) as proxy:
            broken = proxy.post("/v1/messages?beta=true", record["body"], headers)
            again = {**record["body"], "stream": False}
            whole = proxy.post("/v1/messages?beta=true", again, headers)

    assert fake.refused == []
    assert (broken.status, events(broken.raw)[-1][0]) == (200, "error")
    assert whole.status == 200
    assert whole.body["content"][-1]["text"] == "Hello, world!"
    streamed, repeated = (
        {k: v for k, v in seen.body.items() if not k.startswith("stream")} for seen in fake.asked
    )
    assert streamed == repeated


# What clients say that some models refuse

TOOL_A = {"name": "get.weather v2", "input_schema": {"type": "object"}}
TOOL_C = {"type": "function", "function": {"name": "ls", "parameters": {"type": "object"}}}
ASK = {"role": "user", "content": "Hello"}
LONG_ID = "toolu_" + "x" * 60
_USED: list[dict[str, Any]] = [
    ASK,
    {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": LONG_ID, "name": "ls", "input": {"a": 1}}],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": LONG_ID, "content": "x", "is_error": True}
        ],
    },
]
_PICTURED = [
    {"type": "text", "text": "see"},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
]

#: What an Anthropic client adds to a plain request.
OF_ANTHROPIC: dict[str, dict[str, Any]] = {
    "sampling": {"temperature": 0.2, "top_p": 0.9, "top_k": 5},
    "stop": {"stop_sequences": ["a", "b", "c", "d", "e"]},
    "large limit": {"max_tokens": 64_000},
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
    "adaptive": {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
    "no thinking": {"thinking": {"type": "disabled"}},
    "no tools": {"tools": []},
    "metadata": {"metadata": {"user_id": "u"}, "service_tier": "auto"},
    "schema": {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
    "long ids": {"messages": _USED, "tools": [{"name": "ls", "input_schema": {"type": "object"}}]},
    "one at a time": {
        "tools": [{"name": "ls", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    },
    "cache": {"system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
    "picture in a result": {
        "messages": [
            *_USED[:2],
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": LONG_ID, "content": _PICTURED}]},
        ],
        "tools": [{"name": "ls", "input_schema": {"type": "object"}}],
    },
    "prefill": {"messages": [ASK, {"role": "assistant", "content": "So"}]},
}  # fmt: skip


@pytest.mark.parametrize("model", GPT_MODELS)
@pytest.mark.parametrize("name", sorted(OF_ANTHROPIC))
def test_what_an_anthropic_client_says_is_taken_by_openai(name: str, model: str) -> None:
    body = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 500,
        "messages": [ASK],
        **OF_ANTHROPIC[name],
    }
    with FakeOpenAI() as fake:
        answered = ask(fake, {"path": "/v1/messages", "headers": {}, "body": body}, model)

    assert fake.refused == []
    assert answered.status == 200


_CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call|1:x", "type": "function", "function": {"name": "ls", "arguments": '{"a":'}}
    ],
}
_RESULT = {"role": "tool", "tool_call_id": "call|1:x", "content": ""}
#: What a Chat client adds to a plain request.
OF_CHAT: dict[str, dict[str, Any]] = {
    "sampling": {"temperature": 1.7, "top_p": 0.9},
    "penalties": {"frequency_penalty": 1, "presence_penalty": 1, "logit_bias": {"5": 1}, "seed": 4},
    "stop": {"stop": "x"},
    "no limit": {},
    "old limit": {"max_tokens": 900_000},
    "new limit": {"max_completion_tokens": 300},
    "effort none": {"reasoning_effort": "none"},
    "effort minimal": {"reasoning_effort": "minimal"},
    "effort high": {"reasoning_effort": "high", "max_completion_tokens": 800},
    "first the answer": {"messages": [{"role": "assistant", "content": "Hi."}, ASK]},
    "stream options": {"stream": True, "stream_options": {"include_usage": True}},
    "format": {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}},
    "json": {"response_format": {"type": "json_object"}, "messages": [{"role": "user", "content": "JSON please"}]},
    "choices": {"n": 2, "logprobs": True, "top_logprobs": 2},
    "who": {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto"},
    "developer": {"messages": [{"role": "developer", "content": "Be brief."}, ASK]},
    "late system": {"messages": [ASK, {"role": "assistant", "content": "a"}, {"role": "system", "content": "s"}, ASK]},
    "odd ids": {"messages": [ASK, _CALLED, {"role": "tool", "tool_call_id": "call|1:x", "content": ""}], "tools": [TOOL_C]},
    "web picture": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}}]}]},
    "no parallel": {"tools": [TOOL_C], "parallel_tool_calls": False},
    "none": {"tools": [TOOL_C], "tool_choice": "none"},
}  # fmt: skip


#: Requests that Anthropic refuses as they stand, and that are repaired for it.
REPAIRED: dict[str, dict[str, Any]] = {
    "blank stop": {"stop": ["\n\n", "END"]},
    "effort with temperature": {"reasoning_effort": "high", "max_completion_tokens": 800, "temperature": 0.5},
    "effort with sampling": {"reasoning_effort": "high", "max_completion_tokens": 4000, "temperature": 0.5, "top_p": 0.2},
    "forced with effort": {"reasoning_effort": "high", "tools": [TOOL_C], "tool_choice": "required"},
    "empty text": {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]}]},
    "blank message": {"messages": [ASK, {"role": "assistant", "content": "a"}, {"role": "user", "content": " \n"}]},
    "thought alone": {"messages": [ASK, {"role": "assistant", "content": "", "reasoning_content": "hm"}, ASK]},
    "system between": {"messages": [ASK, _CALLED, {"role": "system", "content": "s"}, _RESULT], "tools": [TOOL_C]},
    "user between": {"messages": [ASK, _CALLED, ASK, _RESULT, ASK], "tools": [TOOL_C]},
    "same ids": {"messages": [ASK, _CALLED, _RESULT, _CALLED, _RESULT], "tools": [TOOL_C]},
    "call at the end": {"messages": [ASK, _CALLED], "tools": [TOOL_C]},
    "blank answer": {"messages": [ASK, {"role": "assistant", "content": ""}, ASK]},
    "call without result": {"messages": [ASK, {**_CALLED, "content": "x"}, ASK], "tools": [TOOL_C]},
    "result without call": {"messages": [ASK, _RESULT, ASK], "tools": [TOOL_C]},
    "system only": {"messages": [{"role": "system", "content": "Say hello."}]},
}  # fmt: skip


@pytest.mark.parametrize("model", CLAUDE_MODELS)
@pytest.mark.parametrize("name", sorted(OF_CHAT | REPAIRED))
def test_what_a_chat_client_says_is_taken_by_anthropic(name: str, model: str) -> None:
    body = {"model": "gpt-4.1", "messages": [ASK], **(OF_CHAT | REPAIRED)[name]}
    with FakeAnthropic() as fake:
        answered = ask(fake, {"path": "/v1/chat/completions", "headers": {}, "body": body}, model)

    assert fake.refused == []
    assert answered.status == 200


#: The same from an Anthropic client to OpenAI.
REPAIRED_OF_ANTHROPIC: dict[str, dict[str, Any]] = {
    "call without result": {"messages": [*_USED[:2], ASK]},
    "result without call": {"messages": [ASK, _USED[2]]},
    "text before result": {"messages": [*_USED[:2], {"role": "user", "content": [{"type": "text", "text": "wait"}, *_USED[2]["content"]]}]},
    "call at the end": {"messages": _USED[:2]},
    "user between": {"messages": [*_USED[:2], ASK, _USED[2]]},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REPAIRED_OF_ANTHROPIC))
def test_what_an_anthropic_client_says_is_repaired_for_openai(name: str) -> None:
    tools = [{"name": "ls", "input_schema": {"type": "object"}}]
    body = {"model": "m", "max_tokens": 9, "tools": tools, **REPAIRED_OF_ANTHROPIC[name]}
    with FakeOpenAI() as fake:
        answered = ask(fake, {"path": "/v1/messages", "headers": {}, "body": body}, "gpt-4.1")

    assert fake.refused == []
    assert answered.status == 200


@pytest.mark.parametrize("scenario", [HELLO, Scenario(shape="argo")], ids=["vendor", "argo"])
def test_a_tool_name_that_openai_refuses_is_renamed_and_restored(scenario: Scenario) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [ASK], "tools": [TOOL_A]}
    with FakeOpenAI() as fake:
        record = {"path": "/v1/messages", "headers": {}, "body": body}
        ask(fake, record, "gpt-4.1")
        name = fake.asked[0].body["tools"][0]["function"]["name"]
        called = Scenario(text=(), calls=(ONE_TOOL.calls[0].__class__(name, ("{}",), "a"),))
        fake.play(called, called)
        whole = ask(fake, record, "gpt-4.1").body
        streamed = events(ask(fake, record, "gpt-4.1", stream=True).raw)

    assert fake.refused == []
    assert whole["content"][0]["name"] == "get.weather v2"
    started = [d["content_block"] for n, d in streamed if n == "content_block_start"]
    assert [block["name"] for block in started] == ["get.weather v2"]
