"""The two SDKs behind one face, so that a test of all pairs is written once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, ClassVar, Self

import anthropic
import openai

KEY = "sk-client-key-0001"
TIMEOUT_S = 30.0


@dataclass
class Answer:
    """An answer in no SDK's words. ``raw`` is the SDK's own object, to be handed back in the history."""

    raw: Any
    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    finish: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    model: str = ""
    id: str = ""


class AnthropicSDK:
    """``ask`` in one of four ways: whole or stream, sync or async."""

    error = anthropic.APIError
    finishes: ClassVar = {
        "stop": "end_turn",
        "calls": "tool_use",
        "length": "max_tokens",
        "refusal": "refusal",
    }

    def __init__(self, url: str) -> None:
        settings: dict[str, Any] = {
            "base_url": url.removesuffix("/v1"),
            "api_key": KEY,
            "max_retries": 0,
            "timeout": TIMEOUT_S,
            "_strict_response_validation": True,
        }
        self.client = anthropic.Anthropic(**settings)
        self._settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    # Requests

    @staticmethod
    def tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"name": name, "description": f"The tool {name}.", "input_schema": schema}

    @staticmethod
    def image(media_type: str, data: str) -> dict[str, Any]:
        return {
            "type": "image",
            "source": {"type": "base64", "media_type": media_type, "data": data},
        }

    @staticmethod
    def image_url(url: str) -> dict[str, Any]:
        return {"type": "image", "source": {"type": "url", "url": url}}

    @staticmethod
    def follow_up(answer: Answer, results: list[str]) -> list[Any]:
        """Return the messages that hand results back, made of the SDK's own objects."""
        found = [
            {"type": "tool_result", "tool_use_id": call, "content": result}
            for (call, _, _), result in zip(answer.calls, results, strict=True)
        ]
        return [
            {"role": "assistant", "content": answer.raw.content},
            {"role": "user", "content": found},
        ]

    def ask(self, way: str, model: str, messages: list[Any], **more: Any) -> Answer:
        asked = {"model": model, "max_tokens": 4096, "messages": messages, **more}
        if way == "whole":
            return _anthropic_answer(self.client.messages.create(**asked))
        if way == "stream":
            with self.client.messages.stream(**asked) as stream:
                return _anthropic_answer(stream.get_final_message())
        return asyncio.run(_within(self._ask(way, asked)))

    async def _ask(self, way: str, asked: dict[str, Any]) -> Answer:
        async with anthropic.AsyncAnthropic(**self._settings) as client:
            if way == "async-whole":
                return _anthropic_answer(await client.messages.create(**asked))
            async with client.messages.stream(**asked) as stream:
                return _anthropic_answer(await stream.get_final_message())

    def texts(self, model: str, into: list[str], **more: Any) -> None:
        """Stream, adding each piece of text as it comes."""
        asked = {
            "model": model,
            "max_tokens": 4096,
            "messages": [{"role": "user", "content": "Go on."}],
            **more,
        }
        with self.client.messages.stream(**asked) as stream:
            for piece in stream.text_stream:
                into.append(piece)


def _anthropic_answer(message: anthropic.types.Message) -> Answer:
    found = Answer(message, model=message.model, id=message.id, finish=message.stop_reason or "")
    for block in message.content:
        if block.type == "text":
            found.text += block.text
        elif block.type == "thinking":
            found.thinking += block.thinking
        elif block.type == "tool_use":
            found.calls.append((block.id, block.name, block.input))
    usage = message.usage
    found.cached_tokens = usage.cache_read_input_tokens
    found.input_tokens = (
        usage.input_tokens
        + (usage.cache_read_input_tokens or 0)
        + (usage.cache_creation_input_tokens or 0)
    )
    found.output_tokens = usage.output_tokens
    return found


class OpenAISDK:
    error = openai.APIError
    finishes: ClassVar = {"stop": "stop", "calls": "tool_calls", "length": "length"}

    def __init__(self, url: str) -> None:
        settings: dict[str, Any] = {
            "base_url": url.removesuffix("/v1") + "/v1",
            "api_key": KEY,
            "max_retries": 0,
            "timeout": TIMEOUT_S,
            "_strict_response_validation": True,
        }
        self.client = openai.OpenAI(**settings)
        self._settings = settings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    @staticmethod
    def tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
        described = {"name": name, "description": f"The tool {name}.", "parameters": schema}
        return {"type": "function", "function": described}

    @staticmethod
    def image(media_type: str, data: str) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}

    @staticmethod
    def image_url(url: str) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": url}}

    @staticmethod
    def follow_up(answer: Answer, results: list[str]) -> list[Any]:
        found = [
            {"role": "tool", "tool_call_id": call, "content": result}
            for (call, _, _), result in zip(answer.calls, results, strict=True)
        ]
        return [answer.raw, *found]

    def ask(self, way: str, model: str, messages: list[Any], **more: Any) -> Answer:
        asked: dict[str, Any] = {"model": model, "messages": messages, **more}
        if "stream" in way:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        if way == "whole":
            return _openai_answer(self.client.chat.completions.create(**asked))
        if way == "stream":
            with self.client.chat.completions.create(**asked) as stream:
                return _joined(list(stream))
        return asyncio.run(_within(self._ask(way, asked)))

    async def _ask(self, way: str, asked: dict[str, Any]) -> Answer:
        async with openai.AsyncOpenAI(**self._settings) as client:
            answered = await client.chat.completions.create(**asked)
            if way == "async-whole":
                return _openai_answer(answered)
            async with answered:
                return _joined([chunk async for chunk in answered])

    def texts(self, model: str, into: list[str], **more: Any) -> None:
        asked = {"model": model, "messages": [{"role": "user", "content": "Go on."}], **more}
        with self.client.chat.completions.create(stream=True, **asked) as stream:
            for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    into.append(chunk.choices[0].delta.content)


def _openai_answer(completion: openai.types.chat.ChatCompletion) -> Answer:
    choice = completion.choices[0]
    said = choice.message
    found = Answer(said, model=completion.model, id=completion.id, finish=choice.finish_reason)
    found.text, found.refusal = said.content or "", said.refusal or ""
    found.thinking = getattr(said, "reasoning_content", None) or ""
    for call in said.tool_calls or []:
        found.calls.append((call.id, call.function.name, json.loads(call.function.arguments)))
    _count(found, completion.usage)
    return found


def _count(found: Answer, usage: Any) -> None:
    if usage is not None:
        found.input_tokens, found.output_tokens = usage.prompt_tokens, usage.completion_tokens
        details = usage.prompt_tokens_details
        found.cached_tokens = details.cached_tokens if details else None


def _joined(chunks: list[openai.types.chat.ChatCompletionChunk]) -> Answer:
    """Put a stream together as clients do: by index, the name and id from the first fragment."""
    said: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, dict[str, Any]] = {}
    found = Answer(said, model=chunks[0].model, id=chunks[0].id)
    assert {(chunk.id, chunk.model, chunk.created) for chunk in chunks} == {
        (found.id, found.model, chunks[0].created)
    }
    for chunk in chunks:
        _count(found, chunk.usage)
        for choice in chunk.choices:
            delta = choice.delta
            found.text += delta.content or ""
            found.refusal += delta.refusal or ""
            found.thinking += getattr(delta, "reasoning_content", None) or ""
            found.finish = choice.finish_reason or found.finish
            for part in delta.tool_calls or []:
                call = calls.setdefault(
                    part.index,
                    {
                        "id": part.id,
                        "type": "function",
                        "function": {"name": part.function.name, "arguments": ""},
                    },
                )
                call["function"]["arguments"] += part.function.arguments or ""
    assert sorted(calls) == list(range(len(calls)))
    said["content"] = found.text or None
    if calls:
        said["tool_calls"] = [calls[index] for index in sorted(calls)]
    found.calls = [
        (c["id"], c["function"]["name"], json.loads(c["function"]["arguments"] or "{}"))
        for c in calls.values()
    ]
    return found


async def _within(asked: Awaitable[Answer]) -> Answer:
    return await asyncio.wait_for(asked, TIMEOUT_S)
