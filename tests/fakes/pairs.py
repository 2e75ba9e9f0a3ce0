"""A client's dialect and an upstream's wire: every pair of them, and one question over each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmtools.sse import SSEDecoder
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import Answered, before
from tests.fakes.scenario import Scenario

PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions"}
MODELS = {"anthropic": "claude-haiku-4-5", "openai_chat": "some-model"}
ASK = [{"role": "user", "content": "Say hello."}]
PAIRS = [(dialect, wire) for dialect in PATHS for wire in PATHS]
each_pair = pytest.mark.parametrize(
    ("dialect", "wire"), PAIRS, ids=[f"{d}-over-{w}" for d, w in PAIRS]
)
both_ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def fake_of(wire: str) -> FakeAPI:
    return FakeAnthropic() if wire == "anthropic" else FakeOpenAI(compatible=True)


def body_of(wire: str, **more: Any) -> dict[str, Any]:
    return {"model": MODELS[wire], "max_tokens": 2048, "messages": ASK, **more}


def ask(dialect: str, wire: str, scenario: Scenario, **more: Any) -> Answered:
    """Ask once, in a dialect, an upstream that speaks ``wire``. Ids are the same each time."""
    with fake_of(wire) as fake, before(fake) as proxy:
        fake.play(scenario)
        return proxy.post(PATHS[dialect], body_of(wire, **more))


def raw_request(dialect: str, wire: str, **more: Any) -> bytes:
    data = json.dumps(body_of(wire, **more)).encode()
    head = f"POST {PATHS[dialect]} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def frames_of(raw: bytes) -> list[Any]:
    reader = SSEDecoder()
    return [*reader.feed(raw), *reader.close()]
