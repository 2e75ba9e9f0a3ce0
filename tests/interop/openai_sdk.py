"""OpenAI's Python SDK, its Chat Completions API."""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Any, Self

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject
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

#: What the API's reference requires though it may be null, and what every recorded answer has beside
#: that. Left out are the tier and the fingerprint, which the reference does not promise, and counts:
#: one that nobody reported is not there, since zero would be a claim.
ALWAYS: Always = {
    "ChatCompletion": frozenset({"usage"}),
    "ChatCompletionMessage": frozenset({"annotations", "content", "refusal"}),
    "CompletionUsage": frozenset({"prompt_tokens_details", "completion_tokens_details"}),
    "ErrorObject": frozenset({"param", "code"}),
}
#: Apart, since the choices of whole answers and of chunks are classes of one name.
_WHOLE_CHOICE = {"Choice": frozenset({"finish_reason", "logprobs"})}
_CHUNK_CHOICE = {"Choice": frozenset({"finish_reason"})}
#: Not OpenAI's, and what clients of this dialect read and hand back (DeepSeek's and OpenRouter's).
OURS = frozenset({"reasoning_content", "reasoning_details"})

_COMPLETION: TypeAdapter[Any] = TypeAdapter(ChatCompletion)
_CHUNK: TypeAdapter[Any] = TypeAdapter(ChatCompletionChunk)
_ERROR: TypeAdapter[Any] = TypeAdapter(ErrorObject)
_FINISHES = {"tool_calls": "calls", "content_filter": "filter"}


class OpenAIChat:
    dialect = "openai_chat"
    error = openai.APIError

    def __init__(self, url: str) -> None:
        self.tap = Tap(openai)
        self._settings: dict[str, Any] = {
            "base_url": url.removesuffix("/v1") + "/v1",
            "api_key": CLIENT_KEY,
            "max_retries": 0,
            "timeout": TIMEOUT_S,
            "_strict_response_validation": True,
        }
        self.client = openai.OpenAI(http_client=self.tap.client(), **self._settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.client.close()

    def _async(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(http_client=self.tap.async_client(), **self._settings)

    def ask(self, way: str, ask: Ask, model: str) -> Answer:
        asked = request(ask, model, way)
        if way == "whole":
            return _whole(self.client.chat.completions.create(**asked))
        if way == "stream":
            with self.client.chat.completions.create(**asked) as stream:
                return _joined(list(stream))
        return asyncio.run(self._ask(way, asked))

    async def _ask(self, way: str, asked: dict[str, Any]) -> Answer:
        async with self._async() as client:
            answered = await client.chat.completions.create(**asked)
            if way == "async-whole":
                return _whole(answered)
            async with answered:
                return _joined([chunk async for chunk in answered])

    def watch(self, way: str, ask: Ask, model: str, into: list[str]) -> None:
        asked = request(ask, model, way)
        if way == "stream":
            with self.client.chat.completions.create(**asked) as stream:
                for chunk in stream:
                    _add_text(chunk, into)
        else:
            asyncio.run(self._watch(asked, into))

    async def _watch(self, asked: dict[str, Any], into: list[str]) -> None:
        async with (
            self._async() as client,
            await client.chat.completions.create(**asked) as stream,
        ):
            async for chunk in stream:
                _add_text(chunk, into)

    def failure(self, error: Exception) -> Failure:
        assert isinstance(error, openai.APIError)
        status = error if isinstance(error, openai.APIStatusError) else None
        return Failure(
            {kind.__name__ for kind in type(error).__mro__},
            str(error),
            None if status is None else status.status_code,
            error.type,
            error.code,
            None if status is None else status.request_id,
            None if status is None else status.response.headers.get("retry-after"),
        )

    def validate(self, came: Came, sent: set[str], *, full: bool) -> None:
        allowed = sent | OURS
        if came.status >= 400:
            _validate_error(came.raw.decode(), allowed)
        elif came.is_stream:
            for _, data in came.frames:
                if data.startswith('{"error"'):
                    _validate_error(data, allowed)
                elif data != "[DONE]":
                    check(_CHUNK, data, {**ALWAYS, **_CHUNK_CHOICE} if full else {}, allowed)
        else:
            always = {**ALWAYS, **_WHOLE_CHOICE} if full else {}
            check(_COMPLETION, came.raw.decode(), always, allowed)


def _validate_error(text: str, allowed: set[str]) -> None:
    inner = json.loads(text)["error"]
    check(_ERROR, json.dumps(inner), ALWAYS, allowed)


def _add_text(chunk: Any, into: list[str]) -> None:
    if chunk.choices and chunk.choices[0].delta.content:
        into.append(chunk.choices[0].delta.content)


# Requests


def request(ask: Ask, model: str, way: str) -> dict[str, Any]:
    assert ask.budget is None, "Chat has efforts, not budgets"
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    found: dict[str, Any] = {
        "model": ask.model or model,
        "messages": system + [message for turn in ask.turns for message in _messages(turn)],
    }
    if ask.tools is not None:
        found["tools"] = [_tool(tool) for tool in ask.tools]
    if ask.choice is not None:
        found["tool_choice"] = _choice(ask.choice)
    if ask.schema is not None:
        inner = {"name": "answer", "schema": ask.schema, "strict": True}
        found["response_format"] = {"type": "json_schema", "json_schema": inner}
    if ask.logprobs is not None:
        found |= {"logprobs": True, "top_logprobs": ask.logprobs}
    if "stream" in way:
        options = {"stream_options": {"include_usage": True}} if ask.usage else {}
        found |= {"stream": True, **options}
    more = {
        "parallel_tool_calls": ask.parallel,
        "max_completion_tokens": ask.limit,
        "stop": list(ask.stop) or None,
        "reasoning_effort": ask.effort,
        "n": ask.choices,
        "temperature": ask.temperature,
    }
    return found | {key: value for key, value in more.items() if value is not None}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {
        "name": tool.name,
        "description": f"The tool {tool.name}.",
        "parameters": tool.schema,
    }
    return {"type": "function", "function": described}


def _choice(word: str) -> Any:
    plain = {"auto": "auto", "none": "none", "any": "required"}
    return plain.get(word, {"type": "function", "function": {"name": word}})


def _messages(turn: Turn) -> list[Any]:
    """Return a turn's messages: results stand apart, before the rest."""
    if turn.raw is not None:
        return [turn.raw]
    results = [_result(part) for part in turn.parts if isinstance(part, Result)]
    calls = [_call(part) for part in turn.parts if isinstance(part, Called)]
    rest = [part for part in turn.parts if not isinstance(part, Result | Called)]
    said: dict[str, Any] = {"role": turn.role, "content": None}
    if len(rest) == 1 and isinstance(rest[0], str):
        said["content"] = rest[0]
    elif rest:
        said["content"] = [_part(part) for part in rest]
    if calls:
        said["tool_calls"] = calls
    return [*results, said] if rest or calls else results


def _call(part: Called) -> dict[str, Any]:
    function = {"name": part.name, "arguments": json.dumps(part.given)}
    return {"id": part.id, "type": "function", "function": function}


def _result(part: Result) -> dict[str, Any]:
    assert not part.failed, "Chat has no flag for a tool that failed"
    (text,) = part.content
    assert isinstance(text, str), "Chat's tool messages hold text only"
    return {"role": "tool", "tool_call_id": part.to, "content": text}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Image():
            url = part.url or f"data:{part.media_type};base64,{part.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Document():
            data = f"data:{part.media_type};base64,{part.data}"
            return {"type": "file", "file": {"filename": part.name, "file_data": data}}
        case _:
            assert isinstance(part, str)
            return {"type": "text", "text": part}


# Answers


def _whole(completion: Any) -> Answer:
    choice = completion.choices[0]
    said = choice.message
    found = Answer(Turn("assistant", raw=said), model=completion.model, id=completion.id)
    found.finish = _FINISHES.get(choice.finish_reason, choice.finish_reason)
    found.text, found.refusal = said.content or "", said.refusal or ""
    found.thinking = getattr(said, "reasoning_content", None) or ""
    found.signature = _signature(getattr(said, "reasoning_details", None))
    for call in said.tool_calls or []:
        given = json.loads(call.function.arguments)
        found.calls.append(Called(call.id, call.function.name, given))
    found.choices = [one.message.content or "" for one in completion.choices]
    assert [one.index for one in completion.choices] == list(range(len(completion.choices)))
    if choice.logprobs is not None:
        found.logprobs = [(one.token, one.logprob) for one in choice.logprobs.content]
    _count(found, completion.usage)
    return found


def _signature(details: Any) -> str:
    return "".join(detail.get("signature") or "" for detail in details or [])


def _count(found: Answer, usage: Any) -> None:
    if usage is None:
        return
    found.input_tokens, found.output_tokens = usage.prompt_tokens, usage.completion_tokens
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    found.cached_tokens = usage.prompt_tokens_details.cached_tokens
    found.reasoning_tokens = usage.completion_tokens_details.reasoning_tokens


def _joined(chunks: list[Any]) -> Answer:
    """Put a stream together as clients do: by index, the name and id from the first fragment."""
    first = chunks[0]
    found = Answer(Turn("assistant"), model=first.model, id=first.id)
    texts: dict[int, str] = {}
    calls: dict[int, dict[str, Any]] = {}
    details: list[Any] = []
    for chunk in chunks:
        assert (chunk.id, chunk.model, chunk.created) == (first.id, first.model, first.created)
        _count(found, chunk.usage)
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
            if choice.index == 0:
                _add(found, choice, calls, details)
    found.text = texts[0]
    found.choices = [texts[index] for index in range(len(texts))]
    assert list(calls) == list(range(len(calls)))
    found.calls = [_made(call) for call in calls.values()]
    found.signature = _signature(details)
    found.turn = Turn("assistant", raw=_message(found, list(calls.values()), details))
    return found


def _add(found: Answer, choice: Any, calls: dict[int, dict[str, Any]], details: list[Any]) -> None:
    delta, word = choice.delta, choice.finish_reason
    found.refusal += delta.refusal or ""
    found.thinking += getattr(delta, "reasoning_content", None) or ""
    details += getattr(delta, "reasoning_details", None) or []
    if word is not None:
        assert not found.finish, "a second finish reason"
        found.finish = _FINISHES.get(word, word)
    if choice.logprobs is not None:
        found.logprobs += [(one.token, one.logprob) for one in choice.logprobs.content or []]
    for part in delta.tool_calls or []:
        if part.index not in calls:
            function = {"name": part.function.name, "arguments": ""}
            calls[part.index] = {"id": part.id, "type": "function", "function": function}
        calls[part.index]["function"]["arguments"] += part.function.arguments or ""


def _made(call: dict[str, Any]) -> Called:
    function = call["function"]
    text = function["arguments"]
    # A provider's own stream may end a call without a character; it passes as it came.
    return Called(call["id"], function["name"], json.loads(text) if text else "")


def _message(found: Answer, calls: list[dict[str, Any]], details: list[Any]) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": found.text or None}
    if found.refusal:
        said["refusal"] = found.refusal
    if calls:
        said["tool_calls"] = calls
    # What clients of servers that reason aloud keep of the deltas, beside OpenAI's own fields.
    if found.thinking:
        said["reasoning_content"] = found.thinking
    if details:
        said["reasoning_details"] = details
    return said
