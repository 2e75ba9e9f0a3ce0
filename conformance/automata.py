"""The order of events that a dialect's streams keep, as automata over frames.

They are written from the documentation and from recorded streams, not from our encoders, so that
an encoder can be held against them. Strict in what is sent: a client library must be able to rely on it.
Keys, event types and block types that they do not know are let pass, as both APIs ask of clients.

Sources: [A] docs.claude.com, Streaming Messages, and ``anthropic.types.RawMessageStreamEvent``;
[O] platform.openai.com, Chat Completions streaming, and ``openai.types.chat.ChatCompletionChunk``;
[R] what every recorded stream does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from lmtools.errors import ProtocolError
from lmtools.sse import SSEEvent
from lmtools.types.json import loads


class Breach(Exception):
    """A frame that the grammar does not allow here."""


def need(condition: bool, rule: str) -> None:
    if not condition:
        raise Breach(rule)


def _parsed(frame: SSEEvent) -> dict[str, Any]:
    try:
        value = loads(frame.data)
    except ProtocolError as error:
        raise Breach(f"data is not JSON: {error}") from None
    need(isinstance(value, dict), "data is an object")
    return value  # type: ignore[no-any-return]


#: Which blocks a delta may stand in. [A]: each ``*_delta`` updates the block of its kind.
_DELTA_BLOCKS = {
    "text_delta": ("text",),
    "citations_delta": ("text",),
    "thinking_delta": ("thinking",),
    "signature_delta": ("thinking",),
    "input_json_delta": ("tool_use", "server_tool_use", "mcp_tool_use"),
    "compaction_delta": ("compaction",),
}
#: What the start of a block already holds. [A] and the block types of the SDK.
_BLOCK_FIELDS: dict[str, tuple[tuple[str, type], ...]] = {
    "text": (("text", str),),
    "thinking": (("thinking", str),),
    "redacted_thinking": (("data", str),),
    "tool_use": (("id", str), ("name", str), ("input", dict)),
    "server_tool_use": (("id", str), ("name", str), ("input", dict)),
}
_NEVER_EMPTY = frozenset({"id", "name", "data"})


class Anthropic:
    """message_start, blocks one after the other, message_delta, message_stop; or an error, last. [A]"""

    def __init__(self) -> None:
        self._started = False
        self._ended = False
        self._summed_up = False
        self._reason: Any = None
        self._blocks = 0
        self._open: str | None = None

    def feed(self, frame: SSEEvent) -> None:
        need(not self._ended, "nothing follows message_stop or error")
        data = _parsed(frame)
        kind = data.get("type")
        need(isinstance(kind, str), "every event has a type")
        need(frame.event == kind, f"the SSE event name {frame.event!r} equals the type {kind!r}")
        if kind == "ping":
            return  # [A]: any number of pings, anywhere
        if kind == "error":
            self._on_error(data)
            return
        need(self._started or kind == "message_start", "message_start comes first")
        handler = self._HANDLERS.get(str(kind))
        if handler:
            handler(self, data)

    def close(self) -> None:
        need(self._ended, "the stream ends with message_stop or error")

    def _on_error(self, data: dict[str, Any]) -> None:
        error = data.get("error")
        need(isinstance(error, dict), "error holds an object")
        for key in ("type", "message"):
            need(isinstance(error.get(key), str), f"error.{key} is a string")  # type: ignore[union-attr]
        self._ended = True

    def _on_start(self, data: dict[str, Any]) -> None:
        need(not self._started, "message_start comes once")
        message = data.get("message")
        need(isinstance(message, dict), "message_start holds a message")
        assert isinstance(message, dict)
        need(message.get("content") == [], "the message starts with empty content")
        need(message.get("role") == "assistant", "the message is the assistant's")
        need(message.get("type") == "message", "message.type is message")
        for key in ("id", "model"):
            need(isinstance(message.get(key), str), f"message.{key} is a string")
        need(message.get("stop_reason") is None, "a message starts without stop_reason")
        _need_counts(message.get("usage"), ("input_tokens", "output_tokens"))
        self._started = True

    def _on_block_start(self, data: dict[str, Any]) -> None:
        need(self._open is None, "one block is open at a time")
        need(not self._summed_up, "no block follows message_delta")
        need(data.get("index") == self._blocks, f"the next block has index {self._blocks}")
        block = data.get("content_block")
        need(isinstance(block, dict) and isinstance(block.get("type"), str), "a block has a type")
        assert isinstance(block, dict)
        kind = block["type"]
        for key, cls in _BLOCK_FIELDS.get(kind, ()):
            need(isinstance(block.get(key), cls), f"a {kind} block starts with {key}")
            need(bool(block[key]) or key not in _NEVER_EMPTY, f"{kind}.{key} is not empty")
        self._open = kind

    def _on_block_delta(self, data: dict[str, Any]) -> None:
        need(self._open is not None, "a delta stands in an open block")
        self._need_index(data)
        delta = data.get("delta")
        need(isinstance(delta, dict) and isinstance(delta.get("type"), str), "a delta has a type")
        assert isinstance(delta, dict)
        blocks = _DELTA_BLOCKS.get(delta["type"])
        fits = blocks is None or self._open in blocks or self._open not in _BLOCK_FIELDS
        need(fits, f"{delta['type']} does not stand in a {self._open} block")

    def _on_block_stop(self, data: dict[str, Any]) -> None:
        need(self._open is not None, "content_block_stop closes an open block")
        self._need_index(data)
        self._open = None
        self._blocks += 1

    def _need_index(self, data: dict[str, Any]) -> None:
        need(data.get("index") == self._blocks, f"the open block has index {self._blocks}")

    def _on_message_delta(self, data: dict[str, Any]) -> None:
        need(self._open is None, "message_delta follows the last content_block_stop")
        delta = data.get("delta")
        need(isinstance(delta, dict), "message_delta holds a delta")
        assert isinstance(delta, dict)
        _need_counts(data.get("usage"), ("output_tokens",))
        self._reason = delta.get("stop_reason", self._reason)
        self._summed_up = True

    def _on_stop(self, _data: dict[str, Any]) -> None:
        need(self._open is None, "message_stop follows the last content_block_stop")
        need(self._summed_up, "message_delta comes before message_stop")
        need(isinstance(self._reason, str), "message_delta gives a stop_reason")
        self._ended = True

    _HANDLERS: ClassVar[dict[str, Callable[[Anthropic, dict[str, Any]], None]]] = {
        "message_start": _on_start,
        "content_block_start": _on_block_start,
        "content_block_delta": _on_block_delta,
        "content_block_stop": _on_block_stop,
        "message_delta": _on_message_delta,
        "message_stop": _on_stop,
    }


def _need_counts(usage: Any, names: tuple[str, ...]) -> None:
    need(isinstance(usage, dict), "usage is an object")
    for name in names:
        count = usage.get(name)
        need(
            isinstance(count, int) and not isinstance(count, bool),
            f"usage.{name} is a whole number",
        )


#: Chunk fields that stay the same through one stream. [O]: "each chunk has the same ID", and so on.
_CONSTANT = ("id", "object", "created", "model")
#: Keys of a delta that say nothing of the answer's content.
_SILENT = frozenset({"role"})


class _Choice:
    """One choice of a Chat stream: role first, then content, then one finish reason."""

    def __init__(self) -> None:
        self.finished = False
        self._spoke = False
        self._calls = 0

    def feed(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        need(isinstance(delta, dict), "a choice holds a delta")
        assert isinstance(delta, dict)
        said = {k for k, v in delta.items() if v not in (None, "", []) and k not in _SILENT}
        need(not self.finished or not said, f"no content follows finish_reason, got {sorted(said)}")
        self._feed_role(delta)
        for key in ("content", "refusal"):
            need(isinstance(delta.get(key), (str, type(None))), f"delta.{key} is text or null")
        calls = delta.get("tool_calls")
        need(calls is None or isinstance(calls, list), "delta.tool_calls is a list")
        for call in calls or ():
            self._feed_call(call)
        self._feed_finish(choice.get("finish_reason"))

    def _feed_role(self, delta: dict[str, Any]) -> None:
        role = delta.get("role")
        if self._spoke:
            need(role is None, "the role comes once")  # [R]
        else:
            need(role == "assistant", "the first delta gives the role")
        self._spoke = True

    def _feed_call(self, call: Any) -> None:
        need(isinstance(call, dict), "a tool call is an object")
        index = call.get("index")
        need(
            isinstance(index, int) and 0 <= index <= self._calls,
            f"tool call index {index!r} leaves a gap",
        )
        body = call.get(call.get("type") or "function") or call.get("custom") or {}
        need(isinstance(body, dict), "a tool call holds an object of its type")
        for key in ("arguments", "input"):
            need(isinstance(body.get(key), (str, type(None))), f"{key} are text")
        if index == self._calls:
            need(call.get("type") in ("function", "custom"), "a call's first fragment has its type")
            need(bool(call.get("id")), "a call's first fragment has its id")
            need(bool(body.get("name")), "a call's first fragment has its name")
            self._calls += 1
        else:
            need(call.get("id") is None, "a call's id comes once")
            need(body.get("name") is None, "a call's name comes once: client libraries append it")

    def _feed_finish(self, reason: Any) -> None:
        need(isinstance(reason, (str, type(None))), "finish_reason is text or null")
        if reason is not None:
            need(not self.finished, "finish_reason comes once")
            self.finished = True


class OpenAIChat:
    """Chunks, each choice from role to finish_reason, then usage, then [DONE]; or an error. [O]"""

    def __init__(self) -> None:
        self._constant: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}
        self._counted = self._done = self._failed = False

    def feed(self, frame: SSEEvent) -> None:
        need(not self._done, "nothing follows [DONE]")
        if frame.data == "[DONE]":
            self._on_done()
            return
        need(not self._failed, "nothing but [DONE] follows an error")
        data = _parsed(frame)
        if isinstance(data.get("error"), dict):
            need(isinstance(data["error"].get("message"), str), "error.message is a string")
            self._failed = True
            return
        need(frame.event is None, "chunks have no SSE event name")
        self._on_chunk(data)

    def close(self) -> None:
        need(self._done or self._failed, "the stream ends with [DONE] or an error")

    def _on_done(self) -> None:
        if not self._failed:
            need(bool(self._choices), "a choice comes before [DONE]")
            need(self._all_finished(), "every choice has a finish_reason before [DONE]")
        self._done = True

    def _all_finished(self) -> bool:
        return all(choice.finished for choice in self._choices.values())

    def _on_chunk(self, data: dict[str, Any]) -> None:
        choices = data.get("choices")
        need(isinstance(choices, list), "a chunk has choices")
        assert isinstance(choices, list)
        usage = data.get("usage")
        if not choices and usage is None and not self._choices:
            return  # [R]: Azure sends its prompt's filter results first, with empty id and model
        self._need_constant(data)
        need(not self._counted, "nothing but [DONE] follows the usage chunk")
        for choice in choices:
            self._on_choice(choice)
        if usage is not None:
            need(not choices, "usage comes in a chunk of its own")
            need(bool(self._choices) and self._all_finished(), "usage follows every finish_reason")
            _need_counts(usage, ("prompt_tokens", "completion_tokens", "total_tokens"))
            self._counted = True

    def _need_constant(self, data: dict[str, Any]) -> None:
        for key in _CONSTANT:
            need(key in data, f"a chunk has {key}")
            first = self._constant.setdefault(key, data[key])
            need(data[key] == first, f"{key} is the same in every chunk")
        need(data["object"] == "chat.completion.chunk", "object is chat.completion.chunk")
        need(isinstance(data["id"], str) and bool(data["id"]), "id is not empty")

    def _on_choice(self, choice: Any) -> None:
        need(isinstance(choice, dict), "a choice is an object")
        index = choice.get("index")
        need(isinstance(index, int), "a choice has an index")
        self._choices.setdefault(index, _Choice()).feed(choice)


AUTOMATA: dict[str, type[Anthropic | OpenAIChat]] = {
    "anthropic": Anthropic,
    "openai_chat": OpenAIChat,
}


def breach(dialect: str, frames: Iterable[SSEEvent]) -> str | None:
    """Return which frame breaks which rule first, or None when the stream keeps the grammar."""
    automaton = AUTOMATA[dialect]()
    number = 0
    try:
        for frame in frames:
            automaton.feed(frame)
            number += 1
        automaton.close()
    except Breach as rule:
        return f"frame {number}: {rule}"
    return None
