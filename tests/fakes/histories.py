"""Conversations with tools in either dialect, sent over the other wire to a strict upstream."""

from __future__ import annotations

import re
from typing import Any

from lmtools.apiproxy.options import ModelRule
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.pairs import ASK, PATHS
from tests.fakes.proxy import before
from tests.fakes.server import Seen

TO_GPT: dict[str, Any] = {"model_map": (ModelRule(re.compile(""), "gpt-4.1"),)}
TO_CLAUDE: dict[str, Any] = {"model_map": (ModelRule(re.compile(""), "claude-haiku-4-5"),)}
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("ls", "cat")]
FUNCTIONS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("ls", "cat")
]


def body_of(messages: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 64, "messages": messages or ASK, **more}


def to_chat(body: dict[str, Any], *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Send requests of the Messages API; return what a strict upstream that speaks Chat got."""
    return [seen.body for seen in seen_by(FakeOpenAI(), "/v1/messages", TO_GPT, body, *more)]


def to_messages(body: dict[str, Any], *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Send requests of the Chat API; return what a strict upstream of the Messages API got."""
    path = PATHS["openai_chat"]
    return [seen.body for seen in seen_by(FakeAnthropic(), path, TO_CLAUDE, body, *more)]


def seen_by(fake: Any, path: str, options: dict[str, Any], *bodies: dict[str, Any]) -> list[Seen]:
    with fake, before(fake, vendor=True, **options) as proxy:
        for body in bodies:
            answered = proxy.post(path, body)
            assert (answered.status, fake.refused) == (200, []), answered.raw
    found: list[Seen] = fake.asked
    return found


def use(id: str, name: str = "ls") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": {}}


def result(id: str, content: Any = "done") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, "content": content}


def called(*ids: str) -> dict[str, Any]:
    calls = [
        {"id": id, "type": "function", "function": {"name": "ls", "arguments": "{}"}} for id in ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls}
