"""Anthropic's Python SDK, its Messages API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import anthropic
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from pydantic import TypeAdapter

from tests.interop.asks import (
    Answer,
    Ask,
    Called,
    Document,
    Failure,
    Image,
    Part,
    Result,
    Tool,
    Turn,
)
from tests.interop.shapes import Always, check
from tests.interop.tap import CLIENT_KEY, TIMEOUT_S, Came, Tap

_API = "https://platform.claude.com/docs/en/api/messages"

#: In every recorded answer of the API, null or not; the reference lists them as fields that may be null.
ALWAYS: Always = {
    "Message": frozenset({"stop_reason", "stop_sequence", "stop_details"}),
    "Delta": frozenset({"stop_reason", "stop_sequence", "stop_details"}),
    "Usage": frozenset(
        {
            "cache_creation",
            "cache_creation_input_tokens",
            "cache_read_input_tokens",
            "inference_geo",
            "service_tier",
        }
    ),
    "MessageDeltaUsage": frozenset(
        {"cache_creation_input_tokens", "cache_read_input_tokens", "input_tokens"}
    ),
}
#: Documented type words that the SDK's union of errors does not list.
UNLISTED = {"request_too_large": 413, "conflict_error": 409}

_MESSAGE: TypeAdapter[Any] = TypeAdapter(Message)
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_ERROR: TypeAdapter[Any] = TypeAdapter(ErrorResponse)
_FINISHES = {"end_turn": "stop", "tool_use": "calls", "max_tokens": "length"}


class AnthropicMessages:
    dialect = "anthropic"
    error = anthropic.APIError

    def __init__(self, url: str) -> None:
        self.tap = Tap(anthropic)
        self._settings: dict[str, Any] = {
            "base_url": url.removesuffix("/v1"),
            "api_key": CLIENT_KEY,
            "max_retries": 0,
            "timeout": TIMEOUT_S,
            "_strict_response_validation": True,
        }
        self.client = anthropic.Anthropic(http_client=self.tap.client(), **self._settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def _async(self) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(http_client=self.tap.async_client(), **self._settings)

    def ask(self, way: str, ask: Ask, model: str) -> Answer:
        asked = request(ask, model)
        if way == "whole":
            return _answer(self.client.messages.create(**asked))
        if way == "stream":
            with self.client.messages.stream(**asked) as stream:
                return _answer(stream.get_final_message())
        return asyncio.run(self._ask(way, asked))

    async def _ask(self, way: str, asked: dict[str, Any]) -> Answer:
        async with self._async() as client:
            if way == "async-whole":
                return _answer(await client.messages.create(**asked))
            async with client.messages.stream(**asked) as stream:
                return _answer(await stream.get_final_message())

    def watch(self, way: str, ask: Ask, model: str, into: list[str]) -> None:
        asked = request(ask, model)
        if way == "stream":
            with self.client.messages.stream(**asked) as stream:
                for piece in stream.text_stream:
                    into.append(piece)
        else:
            asyncio.run(self._watch(asked, into))

    async def _watch(self, asked: dict[str, Any], into: list[str]) -> None:
        async with self._async() as client, client.messages.stream(**asked) as stream:
            async for piece in stream.text_stream:
                into.append(piece)

    def failure(self, error: Exception) -> Failure:
        assert isinstance(error, anthropic.APIError)
        body = error.body if isinstance(error.body, dict) else {}
        inner = body.get("error")
        kind = inner.get("type") if isinstance(inner, dict) else None
        status = error if isinstance(error, anthropic.APIStatusError) else None
        return Failure(
            {kind.__name__ for kind in type(error).__mro__},
            str(error),
            None if status is None else status.status_code,
            kind,
            None,
            None if status is None else status.request_id,
            None if status is None else status.response.headers.get("retry-after"),
        )

    def validate(self, came: Came, sent: set[str], *, full: bool) -> None:
        always = ALWAYS if full else {}
        if came.status >= 400:
            validate_error(came, sent)
        elif came.is_stream:
            for event, data in came.frames:
                assert event == json.loads(data)["type"]
                if event == "error":
                    check(_ERROR, data, {}, sent)
                elif event != "ping":
                    check(_EVENT, data, always, sent)
        else:
            check(_MESSAGE, came.raw.decode(), always, sent)


def validate_error(came: Came, sent: set[str]) -> None:
    body = came.body
    status = UNLISTED.get(body["error"]["type"])
    if status is not None:
        assert came.status == status
        assert body["type"] == "error"
        assert isinstance(body["error"]["message"], str)
        return
    check(_ERROR, came.raw.decode(), {"ErrorResponse": frozenset({"request_id"})}, sent)


# Requests


def request(ask: Ask, model: str) -> dict[str, Any]:
    assert ask.choices is None, "Messages has no field for several answers"
    assert ask.logprobs is None, "Messages has no field for log probabilities"
    found: dict[str, Any] = {
        "model": ask.model or model,
        "max_tokens": ask.limit or 4096,
        "messages": [_turn(turn) for turn in ask.turns],
    }
    if ask.system:
        found["system"] = [{"type": "text", "text": ask.system}]
    if ask.tools is not None:
        found["tools"] = [_tool(tool) for tool in ask.tools]
    if ask.choice is not None or ask.parallel is not None:
        found["tool_choice"] = _choice(ask)
    if ask.stop:
        found["stop_sequences"] = list(ask.stop)
    if ask.budget is not None:
        found["thinking"] = {"type": "enabled", "budget_tokens": ask.budget}
    if ask.temperature is not None:
        # The newest SDK no longer has an argument for it.
        found["extra_body"] = {"temperature": ask.temperature}
    config = {**_format(ask), **({"effort": ask.effort} if ask.effort else {})}
    return {**found, "output_config": config} if config else found


def _format(ask: Ask) -> dict[str, Any]:
    if ask.schema is None:
        return {}
    return {"format": {"type": "json_schema", "schema": ask.schema}}


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": f"The tool {tool.name}.",
        "input_schema": tool.schema,
    }


def _choice(ask: Ask) -> dict[str, Any]:
    word = ask.choice or "auto"
    found = {"type": word} if word in ("auto", "none", "any") else {"type": "tool", "name": word}
    if ask.parallel is None:
        return found
    return {**found, "disable_parallel_tool_use": not ask.parallel}


def _turn(turn: Turn) -> dict[str, Any]:
    if turn.raw is not None:
        return {"role": "assistant", "content": turn.raw.content}
    if len(turn.parts) == 1 and isinstance(turn.parts[0], str):
        return {"role": turn.role, "content": turn.parts[0]}
    return {"role": turn.role, "content": [_part(part) for part in turn.parts]}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Image(url=url) if url:
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Image():
            return {"type": "image", "source": _base64(part)}
        case Document():
            return {"type": "document", "title": part.name, "source": _base64(part)}
        case Called():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.given}
        case Result():
            return _result(part)


def _result(part: Result) -> dict[str, Any]:
    content: Any = [_part(held) for held in part.content]
    if len(part.content) == 1 and isinstance(part.content[0], str):
        content = part.content[0]
    found = {"type": "tool_result", "tool_use_id": part.to, "content": content}
    return {**found, "is_error": True} if part.failed else found


def _base64(part: Image | Document) -> Mapping[str, Any]:
    return {"type": "base64", "media_type": part.media_type, "data": part.data}


# Answers


def _answer(message: Any) -> Answer:
    word = message.stop_reason or ""
    found = Answer(
        Turn("assistant", raw=message),
        model=message.model,
        id=message.id,
        finish=_FINISHES.get(word, word),
        stop_sequence=message.stop_sequence,
    )
    for block in message.content:
        if block.type == "text":
            found.text += block.text
        elif block.type == "thinking":
            found.thinking += block.thinking
            found.signature = block.signature
        elif block.type == "tool_use":
            found.calls.append(Called(block.id, block.name, block.input))
    found.choices = [found.text]
    _count(found, message.usage)
    return found


def _count(found: Answer, usage: Any) -> None:
    cached = usage.cache_read_input_tokens or 0
    found.cached_tokens = cached
    found.input_tokens = usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0)
    found.output_tokens = usage.output_tokens
    details = usage.output_tokens_details
    found.reasoning_tokens = details and details.thinking_tokens
