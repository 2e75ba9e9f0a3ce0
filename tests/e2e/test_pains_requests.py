"""What users of such proxies complain about in what reaches the provider, each complaint under its number."""

from __future__ import annotations

import json
import re
import threading
from itertools import pairwise
from typing import Any

import pytest

from lmtools.apiproxy.options import ModelRule
from lmtools.flags.provider import ProviderChoice
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.histories import TO_GPT, TOOLS, body_of, result, seen_by, to_chat, to_messages, use
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.pairs import ASK, PATHS, both_ways
from tests.fakes.proxy import Answered, before, key_source, running
from tests.fakes.server import FakeServer, Gate, Reply, Seen, json_reply

JSON = ("Content-Type", "application/json")


# P14


def test_p14_marks_of_a_cache_are_named_where_they_cannot_go() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}
    body = body_of(
        [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": mark}]}],
        system=[{"type": "text", "text": "s", "cache_control": mark}],
    )
    with FakeOpenAI() as fake, before(fake, vendor=True, **TO_GPT) as proxy:
        answered = proxy.post("/v1/messages", body)

    assert answered.headers["x-lmtools-loss"].count(".cache;dropped") == 2
    assert "cache" not in json.dumps(fake.asked[0].body)


def test_p14_marks_stay_as_they_are_through_the_codec_too() -> None:
    """Ttl, order and number: a body that has to be seen is not one that may be changed."""
    hour, short = {"type": "ephemeral", "ttl": "1h"}, {"type": "ephemeral", "ttl": "5m"}
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "s", "cache_control": hour}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": t, "cache_control": c} for t, c in (("a", hour), ("b", short), ("c", {"type": "ephemeral"}))]}],
    }  # fmt: skip
    # A key that stands twice at the top leaves the body to the codec.
    twice = '{"max_tokens": 9, ' + json.dumps(body)[1:]
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        assert proxy.post("/v1/messages", twice.encode()).status == 200

    assert fake.refused == []
    assert fake.asked[0].body == body
    assert fake.asked[0].raw != twice.encode()


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"type": "ephemeral", "ttl": "1h"}),
        ({"cache_control": {"type": "ephemeral"}}, {"type": "ephemeral"}),
        ({"prompt_cache_breakpoint": {"mode": "explicit"}}, {"type": "ephemeral"}),
    ],
)
def test_p14_a_chat_clients_marks_are_anthropics_in_the_same_places(said: Any, sent: Any) -> None:
    def marked(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": text, **said}]}

    (body,) = to_messages(body_of([marked("system", "s"), marked("user", "a")]))

    assert body["system"] == [{"type": "text", "text": "s", "cache_control": sent}]
    assert body["messages"][0]["content"] == [{"type": "text", "text": "a", "cache_control": sent}]


# P15


def test_p15_a_longer_conversation_begins_as_the_shorter_one() -> None:
    """Byte for byte up to the new turn: servers keep what they know by the beginning."""
    system = [{"type": "text", "text": "You help."}]
    first = body_of([*ASK], system=system, tools=TOOLS)
    turns = [
        *ASK,
        {"role": "assistant", "content": [{"type": "text", "text": "I look."}, use("a")]},
        {"role": "user", "content": [result("a"), {"type": "text", "text": "and?"}]},
    ]
    second = {**first, "messages": turns}
    third = {**first, "messages": [*turns, {"role": "assistant", "content": "So."}, *ASK]}
    sent = [
        seen.raw
        for seen in seen_by(FakeOpenAI(), "/v1/messages", TO_GPT, first, second, third, third)
    ]

    for shorter, longer in pairwise(sent):
        end = end_of_messages(shorter)
        assert longer[:end] == shorter[:end]
    assert sent[2] == sent[3]
    assert [json.loads(raw)["tools"] for raw in sent] == [json.loads(sent[0])["tools"]] * 4


def end_of_messages(raw: bytes) -> int:
    """Return the offset behind the last message of a body."""
    text = raw.decode()
    start = text.index('"messages":') + len('"messages":')
    _, end = json.JSONDecoder().raw_decode(text, start)
    return len(text[: end - 1].encode())


# P16


def test_p16_a_line_that_changes_each_time_does_not_reach_another_provider() -> None:
    """It stands before everything else, so nothing behind it would be known again."""
    marks = ("cch=1a2b3", "cch=9f8e7")
    bodies = [
        body_of(
            system=[
                {
                    "type": "text",
                    "text": f"x-anthropic-billing-header: cc_version=2.1.197; {mark};",
                },
                {"type": "text", "text": "You help."},
            ]
        )
        for mark in marks
    ]
    first, second = to_chat(*bodies)

    assert first == second
    assert not {"billing", *marks} & set(re.findall(r"billing|cch=\w+", json.dumps(first)))


def test_p16_a_key_of_the_cache_is_the_clients_or_none() -> None:
    """A random one for each call would keep every turn from the cache."""
    plain, keyed = (
        seen.body
        for seen in seen_by(
            FakeOpenAI(),
            PATHS["openai_chat"],
            TO_GPT,
            body_of(),
            body_of(prompt_cache_key="session-1"),
        )
    )
    assert "prompt_cache_key" not in plain
    assert keyed["prompt_cache_key"] == "session-1"
    assert all("prompt_cache_key" not in body for body in to_chat(body_of(), body_of()))


def test_p16_who_asks_is_the_same_in_each_turn() -> None:
    """OpenAI sends requests of one ``user`` to where their prefix is kept."""
    asked = body_of(metadata={"user_id": "user_1_session_2"})
    longer = {**asked, "messages": [*ASK, {"role": "assistant", "content": "Hi."}, *ASK]}

    assert [body["user"] for body in to_chat(asked, longer)] == ["user_1_session_2"] * 2


# P17


def count(proxy: Any, body: dict[str, Any]) -> int:
    counted = {k: v for k, v in body.items() if k != "max_tokens"}
    answered = proxy.post("/v1/messages/count_tokens", counted)
    assert answered.status == 200, answered.raw
    found: int = answered.body["input_tokens"]
    return found


def test_p17_system_tools_and_each_message_count() -> None:
    """728 tokens are not 48 because tools were left out."""
    tools = [{**TOOLS[0], "description": "word " * 500}]
    with FakeOpenAI() as fake, before(fake, vendor=True, **TO_GPT) as proxy:
        plain = count(proxy, body_of())
        with_system = count(proxy, body_of(system="word " * 200))
        with_tools = count(proxy, body_of(tools=tools))
        longer = count(proxy, body_of([*ASK, {"role": "assistant", "content": "a"}, *ASK]))

    assert plain > 0
    assert with_system - plain > 100
    assert with_tools - plain > 300
    assert longer > plain
    assert fake.asked == []


#: Counts of a storm that may reach the provider.
FEW = 8


def test_p17_a_storm_of_counts_does_not_reach_the_provider() -> None:
    """Claude Code asks some fifty times within a second when it starts."""
    gate, lock, asked = Gate(), threading.Lock(), [0]

    def answer(seen: Seen) -> Reply:
        with lock:
            asked[0] += 1
        reply = json_reply(200, {"input_tokens": 5})
        reply.before = gate
        return reply

    found: list[int] = []
    with FakeServer(answer) as server:
        choice = ProviderChoice("anthropic", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            threads = [
                threading.Thread(
                    target=lambda i=i: found.append(
                        count(proxy, body_of([{"role": "user", "content": f"w{i} " * 50}]))
                    )
                )
                for i in range(50)
            ]
            for thread in threads:
                thread.start()
            while len(found) < len(threads) - FEW:
                assert any(thread.is_alive() for thread in threads)
                threads[0].join(0.01)
            gate.open()
            for thread in threads:
                thread.join(15)
    gate.close()

    assert len(found) == len(threads)
    assert all(tokens > 0 for tokens in found)
    assert 0 < asked[0] <= FEW
    assert found.count(5) == asked[0]


# P18


@both_ways
@pytest.mark.parametrize("dialect", sorted(PATHS))
@pytest.mark.parametrize("model", ["gpt-5-mini", "gpt-5.4", "o3", "gpt-4.1"])
def test_p18_a_models_own_name_of_the_limit_is_used(dialect: str, model: str, stream: bool) -> None:
    rules: dict[str, Any] = {"model_map": (ModelRule(re.compile(""), model),)}
    body = body_of(max_tokens=300, stream=stream)
    (seen,) = seen_by(FakeOpenAI(), PATHS[dialect], rules, body)

    given = {k: v for k, v in seen.body.items() if k in ("max_tokens", "max_completion_tokens")}
    assert list(given.values()) == [300]


@pytest.mark.parametrize("dialect", sorted(PATHS))
@pytest.mark.parametrize(
    ("wanted", "refused"),
    [("max_completion_tokens", "max_tokens"), ("max_tokens", "max_completion_tokens")],
)
def test_p18_a_refused_name_is_changed_once_and_remembered(
    dialect: str, wanted: str, refused: str
) -> None:
    """For models that no table knows."""
    message = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}  # fmt: skip
    error = {"message": f"Unsupported parameter: '{refused}' is not supported with this model. Use '{wanted}' instead.", "type": "invalid_request_error", "param": refused, "code": "unsupported_parameter"}  # fmt: skip

    def answer(seen: Seen) -> Reply:
        return (
            json_reply(400, {"error": error}) if refused in seen.body else json_reply(200, message)
        )

    with FakeServer(answer) as server:
        choice = ProviderChoice("openai", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            body = body_of(model="house-model")
            if dialect == "openai_chat":
                body[refused] = body.pop("max_tokens")
            statuses = [proxy.post(PATHS[dialect], body).status for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert [refused in seen.body for seen in server.seen].count(True) <= 1
    assert all(seen.body.get(wanted) == 64 for seen in server.seen if refused not in seen.body)


# P19


def test_p19_a_field_and_its_beta_go_together_or_not_at_all() -> None:
    """To their own provider both, to another one neither; and the loss says so."""
    body = body_of(model="claude-haiku-4-5", context_management={"edits": []})
    beta = {"anthropic-beta": "context-management-2025-06-27"}
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        assert proxy.post("/v1/messages", body, beta).status == 200
    assert fake.asked[0].headers["anthropic-beta"] == beta["anthropic-beta"]
    assert fake.asked[0].body["context_management"] == {"edits": []}

    with FakeOpenAI() as chat, before(chat, vendor=True, **TO_GPT) as proxy:
        answered = proxy.post("/v1/messages", body, beta)
    assert (answered.status, chat.refused) == (200, [])
    assert "anthropic-beta" not in chat.asked[0].headers
    assert {"context_management;dropped", "headers.anthropic-beta;dropped"} <= set(
        answered.headers["x-lmtools-loss"].split(", ")
    )


def test_p19_a_gateway_that_knows_no_such_beta_is_asked_without_it() -> None:
    """Once: after that the pair is left out for this model, and the log says it."""
    error = {"type": "invalid_request_error", "message": "context_management: Extra inputs are not permitted"}  # fmt: skip
    message = {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}], "model": "claude-x", "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip

    def answer(seen: Seen) -> Reply:
        if "context_management" in seen.body:
            return json_reply(400, {"type": "error", "error": error})
        return json_reply(200, message)

    with FakeServer(answer) as server:
        choice = ProviderChoice("anthropic", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            body = body_of(model="claude-x", context_management={"edits": []})
            beta = {"anthropic-beta": "context-management-2025-06-27,other-2025-01-01"}
            statuses = [proxy.post("/v1/messages", body, beta).status for _ in range(3)]
            log = proxy.log.getvalue()

    assert statuses == [200, 200, 200]
    assert ["context_management" in seen.body for seen in server.seen] == [
        True,
        False,
        False,
        False,
    ]
    assert [seen.headers.get("anthropic-beta") for seen in server.seen[1:]] == [
        "other-2025-01-01"
    ] * 3
    assert "refused, sent otherwise" in log


# P33

CLAUDES = ("claude-opus-4-1", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-haiku-4-5")  # fmt: skip


@pytest.mark.parametrize("model", CLAUDES)
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh"])
def test_p33_each_model_is_told_to_think_in_its_own_way(model: str, effort: str) -> None:
    """A budget for the older ones, adaptive thinking and an effort for the newer ones."""
    rules: dict[str, Any] = {"model_map": (ModelRule(re.compile(""), model),)}
    body = {**body_of(max_tokens=8000), "reasoning_effort": effort}
    (seen,) = seen_by(FakeAnthropic(), PATHS["openai_chat"], rules, body)
    thinking = seen.body.get("thinking", {"type": "disabled"})["type"]

    adaptive = model in ("claude-opus-4-7", "claude-opus-4-8")
    assert thinking in (
        ("disabled", "adaptive") if adaptive else ("disabled", "enabled", "adaptive")
    )
    assert (thinking == "disabled") is (effort == "none")


@both_ways
@pytest.mark.parametrize("model", ["claude-opus-4-7", "claude-opus-4-8"])
def test_p33_a_budget_for_a_model_that_knows_none_is_no_error(model: str, stream: bool) -> None:
    """Older clients say ``enabled``: refused once at most, and remembered."""
    thinking = {"type": "enabled", "budget_tokens": 4000}
    body = body_of(model=model, max_tokens=8000, thinking=thinking, stream=stream)
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        statuses: list[Answered] = [proxy.post("/v1/messages", body) for _ in range(2)]

    assert [answered.status for answered in statuses] == [200, 200]
    assert len(fake.refused) <= 1
    assert fake.asked[-1].body["thinking"]["type"] == "adaptive"
