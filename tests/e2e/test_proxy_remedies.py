"""A refusal of the raw passage that has a remedy: once through the codec, and remembered."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmtools.apiproxy import raw
from lmtools.apiproxy.options import ModelRule
from lmtools.flags.provider import ProviderChoice
from tests import corpus
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.anthropic_rules import sign
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import Answered, Proxy, before, key_source, running
from tests.fakes.scenario import HELLO, Failure, Scenario
from tests.fakes.server import FakeServer, Reply, json_reply

WAIT_S = 15.0
CLAUDE_CODE = corpus.recorded_files("claude-code-messages-claude-sonnet-4-5-*.json")
OPUS = {"model_map": (ModelRule(re.compile("sonnet"), "claude-opus-4-7"),)}
both_ways = pytest.mark.parametrize("stream", [False, True])


def recorded(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    record = json.loads(path.read_text())
    headers = {k: v for k, v in record["headers"].items() if k.startswith("anthropic-")}
    return record["body"], headers


def different(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the paths at which two JSON values differ, a key's absence being one."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = {**one, **other}
        return [
            p for k in keys for p in different(one.get(k, ...), other.get(k, ...), f"{path}.{k}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [p for i, (a, b) in pairs for p in different(a, b, f"{path}[{i}]")]
    return [] if one == other else [path]


@pytest.mark.parametrize("path", CLAUDE_CODE, ids=lambda p: p.stem)
def test_p33_claude_code_works_with_a_model_that_takes_no_budgets(path: Path) -> None:
    """Of the recorded body only the thinking differs from what the server refused."""
    body, headers = recorded(path)
    assert body["thinking"]["type"] == "enabled"
    with FakeAnthropic() as fake, before(fake, **OPUS) as proxy:
        answers = [proxy.post("/v1/messages", body, headers) for _ in range(3)]
        sent = [seen.body for seen in fake.asked]

    assert [answered.status for answered in answers] == [200, 200, 200]
    assert [name for name, _ in fake.refused] == ["thinking form"]
    assert sent[0] == {**body, "model": "claude-opus-4-7"}
    assert sent[1] == sent[2] == sent[3]
    assert different(sent[0], sent[1]) == [".thinking.budget_tokens", ".thinking.type", ".output_config"]  # fmt: skip
    assert sent[1]["thinking"]["type"] == "adaptive"
    assert list(sent[1])[: len(sent[0])] == list(sent[0])
    assert all("reasoning;substituted" in a.headers["x-lmtools-loss"] for a in answers)


@pytest.mark.parametrize("path", CLAUDE_CODE, ids=lambda p: p.stem)
def test_bodies_that_the_remedy_does_not_touch_keep_their_bytes(path: Path) -> None:
    body, headers = recorded(path)
    plain = {**body, "thinking": {"type": "adaptive"}, "model": "claude-opus-4-7"}
    data = json.dumps(plain, ensure_ascii=False, indent=1).encode()
    with FakeAnthropic() as fake, before(fake, **OPUS) as proxy:
        assert proxy.post("/v1/messages", body, headers).status == 200
        answered = proxy.post("/v1/messages", data, headers)

    assert answered.status == 200
    assert fake.asked[-1].raw == data
    assert "x-lmtools-loss" not in answered.headers


def test_the_log_says_what_was_refused_and_why_the_next_body_left_the_passage() -> None:
    body, headers = recorded(CLAUDE_CODE[0])
    with FakeAnthropic() as fake, before(fake, **OPUS) as proxy:
        for _ in range(2):
            proxy.post("/v1/messages", body, headers)
        proxy.server.close(WAIT_S)
        log = proxy.log.getvalue()

    assert log.count('remedies="adaptive thinking"') == 1
    assert log.count(raw.Reason.REMEDY.value) == 1


def test_under_strict_the_client_hears_the_refusal() -> None:
    body, headers = recorded(CLAUDE_CODE[0])
    with FakeAnthropic() as fake, before(fake, strict=True, **OPUS) as proxy:
        answers = [proxy.post("/v1/messages", body, headers) for _ in range(2)]

    assert [answered.status for answered in answers] == [400, 400]
    assert "thinking.type.enabled" in answers[1].error["message"]
    assert len(fake.asked) == 2


def history(*signatures: str, stream: bool) -> dict[str, Any]:
    """Return a conversation with a turn of thinking for each signature, unknown keys around."""
    turns: list[Any] = [{"role": "user", "content": "Hi"}]
    for signature in signatures:
        thought = {"type": "thinking", "thinking": signature, "signature": signature}
        thought |= {"signature": sign("good")} if signature == "good" else {}
        said = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
        turns += [{"role": "assistant", "content": [thought, *said]}, {"role": "user", "content": "More"}]  # fmt: skip
    return {"model": "claude-sonnet-4-6", "stream": stream, "max_tokens": 9, "messages": turns}


@both_ways
def test_p5_thinking_that_another_server_signed_is_left_out_and_stays_out(stream: bool) -> None:
    """What the server signed itself since then goes back to it."""
    with FakeAnthropic() as fake, before(fake) as proxy:
        first = proxy.post("/v1/messages", history("forged", stream=stream))
        later = proxy.post("/v1/messages", history("forged", "good", stream=stream))
        other = proxy.post("/v1/messages", history("good", stream=stream))
        sent = [seen.body for seen in fake.asked]

    assert (first.status, later.status, other.status) == (200, 200, 200)
    assert [name for name, _ in fake.refused] == ["signature"]
    assert different(sent[0], sent[1]) == [".messages[1].content"]
    assert sent[1]["messages"][1]["content"] == sent[0]["messages"][1]["content"][1:]
    assert sent[2]["messages"][3] == history("forged", "good", stream=stream)["messages"][3]
    assert sent[3] == history("good", stream=stream)


@both_ways
def test_p5_thinking_without_a_signature_is_left_out(stream: bool) -> None:
    body = history("x", stream=stream)
    del body["messages"][1]["content"][0]["signature"]
    with FakeAnthropic() as fake, before(fake) as proxy:
        answers = [proxy.post("/v1/messages", body) for _ in range(2)]

    assert [answered.status for answered in answers] == [200, 200]
    assert len(fake.asked) == 3
    assert [name for name, _ in fake.refused] == ["signature"]


def refusing(beta: str) -> FakeServer:
    """Return a server that knows neither a beta nor its field."""

    def answer(seen: Any) -> Reply:
        error = {"type": "invalid_request_error", "message": f"{beta}: Extra inputs are not permitted"}  # fmt: skip
        if beta in seen.body or beta.replace("_", "-") in seen.headers.get("anthropic-beta", ""):
            return json_reply(400, {"type": "error", "error": error})
        with FakeAnthropic() as fake:
            return json_reply(200, fake.message(HELLO, seen.body, 1))

    return FakeServer(answer)


@contextmanager
def at(server: FakeServer, name: str = "anthropic", **options: Any) -> Iterator[Proxy]:
    choice = ProviderChoice(name, url=server.url + "/v1", key=key_source())
    with running(choice, **options) as proxy:
        yield proxy


def test_p19_a_beta_and_its_field_are_dropped_together() -> None:
    body, headers = recorded(CLAUDE_CODE[0])
    body = {**body, "stream": False}
    assert "context_management" in body
    with refusing("context_management") as server, at(server) as proxy:
        answers = [proxy.post("/v1/messages", body, headers) for _ in range(2)]

    assert [answered.status for answered in answers] == [200, 200]
    assert len(server.seen) == 3
    kept = [b for b in headers["anthropic-beta"].split(",") if "context-management" not in b]
    for seen in server.seen[1:]:
        assert seen.body == {k: v for k, v in body.items() if k != "context_management"}
        assert seen.headers["anthropic-beta"].split(",") == kept


def test_p18_the_limits_field_gets_its_other_name_and_the_bytes_around_it_stay() -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."  # fmt: skip
    error = {"message": message, "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}  # fmt: skip

    def answer(seen: Any) -> Reply:
        if "max_tokens" in seen.body:
            return json_reply(400, {"error": error})
        return json_reply(200, FakeOpenAI().message(HELLO, seen.body, 1))

    data = b'{ "model":"mystery","max_tokens" : 9, "messages":[{"role":"user","content":"max_tokens \\u00e9"}] }'
    with FakeServer(answer) as server, at(server, "openai") as proxy:
        answers = [proxy.post("/v1/chat/completions", data) for _ in range(2)]

    assert [answered.status for answered in answers] == [200, 200]
    assert different(server.seen[0].body, server.seen[1].body) == [".max_tokens", ".max_completion_tokens"]  # fmt: skip
    assert server.seen[2].raw == data.replace(b'"max_tokens" :', b'"max_completion_tokens" :')
    assert len(server.seen) == 3


def test_a_remedy_that_does_not_help_leaves_the_last_refusal_to_the_client() -> None:
    body, headers = recorded(CLAUDE_CODE[0])
    refusals = ['"thinking.type.enabled" is not supported for this model.', "effort: odd\u00a0word"]

    def answer(seen: Any) -> Reply:
        error = {"type": "invalid_request_error", "message": refusals[len(server.seen) - 1]}
        body = json.dumps({"type": "error", "error": error, "x": 1.0}, indent=3)
        return Reply(400, [("Content-Type", "application/json")], body.encode())

    with FakeServer(answer) as server, at(server) as proxy:
        answered = proxy.post("/v1/messages", body, headers)

    assert answered.status == 400
    assert answered.body["error"]["message"] == refusals[1]
    assert answered.raw.endswith(b'   "x": 1.0\n}')
    assert len(server.seen) == 2


def test_a_refusal_without_a_remedy_is_passed_on_as_it_is() -> None:
    failed = Scenario(failure=Failure(400, "prompt is too long"))
    with FakeAnthropic() as fake, before(fake) as proxy:
        fake.play(failed)
        answered: Answered = proxy.post("/v1/messages", history("good", stream=True))

    assert answered.status == 400
    assert answered.error["message"] == "prompt is too long"
    assert len(fake.asked) == 1
