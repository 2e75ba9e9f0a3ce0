"""The providers' wires: the fakes that stand for them, and what reached them, in no dialect's words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI

Item = tuple[Any, ...]


@dataclass(frozen=True)
class Heard:
    """A request as a provider understands it.

    ``turns``: (role, items); neighbours of one role are one turn, and results are the user's. Items
    are ``("text", text)``, ``("image", media type, data)``, ``("image", url)``, ``("document", media
    type, data, name)``, ``("call", number, name, input)``, ``("result", number, text, failed)``,
    ``("thinking", text, signature)``, ``("redacted_thinking", data)``. Calls are numbered, since ids may change on the way. What a
    result holds beside text follows it as items of its own.
    """

    turns: list[tuple[str, list[Item]]]
    system: str = ""
    tools: tuple[tuple[str, Any], ...] = ()
    choice: str | None = None
    parallel: bool | None = None
    limit: int | None = None
    stop: tuple[str, ...] = ()
    schema: Any = None
    thinks: bool = False
    effort: str | None = None
    choices: int | None = None
    logprobs: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Wire:
    """A provider's API: ``fake`` stands for its maker's service, ``compatible`` for others' servers.

    ``thinker`` is a model that reasons, ``graded`` one that takes words for how much.
    """

    name: str
    provider: str
    model: str
    thinker: str
    graded: str
    fake: Callable[[], FakeAPI]
    compatible: Callable[[], FakeAPI]
    hear: Callable[[Any], Heard]


class _Turns:
    """Puts turns together, and numbers calls."""

    def __init__(self) -> None:
        self.found: list[tuple[str, list[Item]]] = []
        self._numbers: dict[str, int] = {}

    def add(self, role: str, items: Iterable[Item]) -> None:
        if self.found and self.found[-1][0] == role:
            self.found[-1][1].extend(items)
        else:
            self.found.append((role, list(items)))

    def number(self, call: str) -> int:
        return self._numbers.setdefault(call, len(self._numbers))


def _hear_anthropic(body: Any) -> Heard:
    turns = _Turns()
    for message in body["messages"]:
        turns.add(message["role"], _anthropic_items(message["content"], turns))
    choice = body.get("tool_choice") or {}
    config = body.get("output_config") or {}
    off = choice.get("disable_parallel_tool_use")
    system = body.get("system", "")
    return Heard(
        turns.found,
        system if isinstance(system, str) else "".join(block["text"] for block in system),
        tuple((tool["name"], tool["input_schema"]) for tool in body.get("tools") or ()),
        choice.get("name") or choice.get("type"),
        None if off is None else not off,
        body.get("max_tokens"),
        tuple(body.get("stop_sequences") or ()),
        (config.get("format") or {}).get("schema"),
        (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
        config.get("effort"),
        temperature=body.get("temperature"),
    )


def _anthropic_items(content: Any, turns: _Turns) -> Iterable[Item]:
    if isinstance(content, str):
        yield ("text", content)
        return
    for block in content:
        kind = block["type"]
        if kind == "redacted_thinking":
            yield (kind, block["data"])
        elif kind == "text":
            yield ("text", block["text"])
        elif kind in ("image", "document"):
            source = block["source"]
            held = (source["url"],) if "url" in source else (source["media_type"], source["data"])
            yield (kind, *held, *((block.get("title"),) if kind == "document" else ()))
        elif kind == "tool_use":
            yield ("call", turns.number(block["id"]), block["name"], block["input"])
        elif kind == "tool_result":
            held = list(_anthropic_items(block.get("content") or [], turns))
            text = "".join(item[1] for item in held if item[0] == "text")
            failed = bool(block.get("is_error"))
            yield ("result", turns.number(block["tool_use_id"]), text, failed)
            yield from (item for item in held if item[0] != "text")
        elif kind == "thinking":
            yield ("thinking", block["thinking"], block["signature"])
        else:
            yield (kind, block)


def _hear_chat(body: Any) -> Heard:
    turns, system = _Turns(), []
    for message in body["messages"]:
        role = message["role"]
        if role in ("system", "developer") and not turns.found:
            system.append(_chat_text(message["content"]))
        elif role == "tool":
            number = turns.number(message["tool_call_id"])
            turns.add("user", [("result", number, _chat_text(message["content"]), False)])
        else:
            turns.add(role, _chat_items(message, turns))
    form = body.get("response_format") or {}
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
    stop = body.get("stop") or ()
    effort = body.get("reasoning_effort")
    return Heard(
        turns.found,
        "".join(system),
        tuple(_chat_tool(tool) for tool in body.get("tools") or ()),
        _chat_choice(body.get("tool_choice")),
        body.get("parallel_tool_calls"),
        next((limit for limit in limits if limit is not None), None),
        (stop,) if isinstance(stop, str) else tuple(stop),
        (form.get("json_schema") or {}).get("schema"),
        effort not in (None, "none"),
        effort,
        body.get("n"),
        body.get("top_logprobs") if body.get("logprobs") else None,
        body.get("temperature"),
    )


def _chat_choice(choice: Any) -> str | None:
    if isinstance(choice, dict):
        name: str = choice["function"]["name"]
        return name
    return {"required": "any"}.get(choice, choice)


def _chat_tool(tool: Any) -> tuple[str, Any]:
    return tool["function"]["name"], tool["function"].get("parameters")


def _chat_text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _chat_items(message: Any, turns: _Turns) -> Iterable[Item]:
    if message.get("reasoning_content"):
        yield ("thinking", message["reasoning_content"], "")
    content = message.get("content")
    if isinstance(content, str) and content:
        yield ("text", content)
    for part in content if isinstance(content, list) else ():
        yield _chat_part(part)
    for call in message.get("tool_calls") or ():
        given = json.loads(call["function"]["arguments"])
        yield ("call", turns.number(call["id"]), call["function"]["name"], given)


def _chat_part(part: Any) -> Item:
    if part["type"] == "image_url":
        return ("image", *_from_url(part["image_url"]["url"]))
    if part["type"] == "file":
        file = part["file"]
        return ("document", *_from_url(file["file_data"]), file.get("filename"))
    return ("text", part["text"])


def _from_url(url: str) -> tuple[str, ...]:
    """Return (media type, data) of a data URI, or (url,)."""
    if not url.startswith("data:"):
        return (url,)
    kind, _, data = url.removeprefix("data:").partition(";base64,")
    return kind, data


WIRES = {
    wire.name: wire
    for wire in (
        Wire(
            "anthropic",
            "anthropic",
            "claude-haiku-4-5",
            "claude-haiku-4-5",
            "claude-opus-4-7",
            FakeAnthropic,
            FakeAnthropic,
            _hear_anthropic,
        ),
        Wire(
            "openai_chat",
            "openai",
            "gpt-4.1",
            "gpt-5-mini",
            "gpt-5-mini",
            FakeOpenAI,
            partial(FakeOpenAI, compatible=True),
            _hear_chat,
        ),
    )
}
