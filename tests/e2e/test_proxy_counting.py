"""P17: counts of tokens: the provider's or local, learned from answers, and never a storm."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from lmtools.apiproxy.counting import MAX_ASKED
from lmtools.flags.provider import ProviderChoice
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import Proxy, before, events, key_source, running
from tests.fakes.scenario import HELLO, Counts, Scenario
from tests.fakes.server import FakeServer, Gate, Reply, json_reply

COUNT = "/v1/messages/count_tokens"
WAIT_S = 15.0
TOOLS = [{"name": "f", "description": "word " * 400, "input_schema": {"type": "object"}}]
SYSTEM = "You are a careful assistant. " * 60


def asking(text: str = "Hi", model: str = "gpt-4.1", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "system": SYSTEM, "tools": TOOLS, **more}


def counted(proxy: Proxy, body: dict[str, Any]) -> int:
    answered = proxy.post(COUNT, body)
    assert answered.status == 200
    tokens: int = answered.body["input_tokens"]
    return tokens


@pytest.mark.parametrize("stream", [False, True])
def test_an_estimate_covers_system_and_tools_and_learns_from_the_answer(stream: bool) -> None:
    with FakeOpenAI(Scenario(counts=Counts(fresh=3000))) as fake, before(fake) as proxy:
        first = counted(proxy, asking())
        bare = counted(proxy, {"model": "gpt-4.1", "messages": asking()["messages"]})
        answered = proxy.post("/v1/messages", asking(max_tokens=9, stream=stream))
        later = counted(proxy, asking())
        again = proxy.post("/v1/messages", asking(max_tokens=9, stream=True))

    assert first > 800 > 20 > bare > 0
    assert answered.status == 200
    assert later == 3000
    start = events(again.raw)[0][1]["message"]
    assert start["usage"]["input_tokens"] == 3000
    assert not [seen for seen in fake.seen if "count" in seen.path]


def without_counts(seen: Any) -> Reply:
    if "count" in seen.path:
        error = {"type": "not_found_error", "message": "no such path"}
        return json_reply(404, {"type": "error", "error": error})
    with FakeAnthropic() as fake:
        return json_reply(200, fake.message(Scenario(counts=Counts(fresh=3000)), seen.body, 1))


def test_a_server_without_counts_is_asked_once_and_its_raw_answers_teach() -> None:
    body = asking(model="claude-haiku-4-5")
    with FakeServer(without_counts) as server:
        choice = ProviderChoice("anthropic", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            first = counted(proxy, body)
            assert proxy.post("/v1/messages", {**body, "max_tokens": 9}).status == 200
            later = counted(proxy, body)

    assert first != later == 3000
    assert len([seen for seen in server.seen if "count" in seen.path]) == 1


def test_equal_counts_are_asked_of_the_provider_once() -> None:
    with FakeAnthropic() as fake, before(fake) as proxy:
        tokens = [counted(proxy, asking(model="claude-haiku-4-5")) for _ in range(40)]
        other = counted(proxy, asking("other", model="claude-haiku-4-5"))

    assert tokens == [576] * 40
    assert other == 576
    assert len(fake.seen) == 2


def test_of_a_storm_a_few_are_asked_and_the_others_estimated_at_once() -> None:
    gates = [Gate() for _ in range(MAX_ASKED)]
    waiting = iter(gates)
    lock = threading.Lock()

    def answer(seen: Any) -> Reply:
        with lock:
            gate = next(waiting)
        return Reply(200, [("Content-Type", "application/json")], [gate, b'{"input_tokens": 5}'])

    got: list[int] = []
    with FakeServer(answer) as server:
        choice = ProviderChoice("anthropic", url=server.url + "/v1", key=key_source())
        with running(choice) as proxy:
            ask = lambda i: got.append(counted(proxy, asking(str(i), "claude-haiku-4-5")))  # noqa: E731
            threads = [threading.Thread(target=ask, args=(i,)) for i in range(MAX_ASKED)]
            for thread in threads:
                thread.start()
            assert all(gate.reached.wait(WAIT_S) for gate in gates)
            estimated = [counted(proxy, asking(f"x{i}", "claude-haiku-4-5")) for i in range(20)]
            for gate in gates:
                gate.open()
            for thread in threads:
                thread.join(WAIT_S)

    assert got == [5] * MAX_ASKED
    assert min(estimated) > 800
    assert len(server.seen) == MAX_ASKED
    for gate in gates:
        gate.close()


def test_a_refused_count_is_heard_and_not_kept() -> None:
    with FakeAnthropic(HELLO) as fake, before(fake) as proxy:
        body = asking(model="claude-haiku-4-5", messages=[])
        assert [proxy.post(COUNT, body).status for _ in range(2)] == [400, 400]

    assert len(fake.refused) == 2
