"""The bytes that the benchmark sends: requests of a client, answers of two upstreams, made once.

The client speaks Anthropic Messages. Its requests are relayed to an upstream of the same dialect
(*passed*), or translated for one that speaks OpenAI Chat Completions (*translated*). Heads carry
the fields that the vendors' SDKs and APIs send, since their number is a part of the cost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MODEL = "claude-sonnet-4-20250514"
CHAT_MODEL = "gpt-4o-2024-08-06"
#: Text deltas in one streamed answer.
DELTAS = 1000
LARGE_BYTES = 100_000

#: Upstream's path -> the dialect it answers in.
PATHS = {b"/v1/messages": "anthropic", b"/v1/chat/completions": "chat"}

_REQUEST_FIELDS = (
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("User-Agent", "Anthropic/Python 0.60.0"),
    ("x-stainless-lang", "python"),
    ("x-stainless-package-version", "0.60.0"),
    ("x-stainless-os", "Linux"),
    ("x-stainless-arch", "x64"),
    ("x-stainless-runtime", "CPython"),
    ("x-stainless-runtime-version", "3.12.3"),
    ("x-stainless-retry-count", "0"),
    ("x-stainless-timeout", "600"),
    ("anthropic-version", "2023-06-01"),
    ("x-api-key", "benchmark"),
)
_ANSWER_FIELDS = (
    ("Date", "Tue, 04 Mar 2025 10:00:00 GMT"),
    ("request-id", "req_011CNoTaKeYjUsTaBeNcHm1"),
    ("server", "bench"),
    ("via", "1.1 edge"),
    ("cf-cache-status", "DYNAMIC"),
    *((f"ratelimit-{what}", "400000") for what in ("limit", "remaining", "reset")),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-robots-tag", "none"),
)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _fields(pairs: Iterable[tuple[str, str]]) -> bytes:
    return b"".join(f"{name}: {value}\r\n".encode() for name, value in pairs)


# Requests


def request(body: bytes) -> bytes:
    """Return the whole request, head and body."""
    pairs = (("Host", "127.0.0.1"), *_REQUEST_FIELDS, ("Content-Length", str(len(body))))
    return b"POST /v1/messages HTTP/1.1\r\n" + _fields(pairs) + b"\r\n" + body


def small_body(stream: bool = False) -> bytes:
    """Return a question of one message, about 200 bytes."""
    body: dict[str, object] = {
        "model": MODEL,
        "max_tokens": 1024,
        "system": "You are a helpful assistant. Answer in one sentence.",
        "messages": [{"role": "user", "content": "What is the capital of France, and why?"}],
    }
    return _json(body | {"stream": True} if stream else body)


def large_body(size: int = LARGE_BYTES) -> bytes:
    """Return an agent's request of about ``size`` bytes: a system text, tools, calls, results."""
    body = {
        "model": MODEL,
        "max_tokens": 8192,
        "system": [{"type": "text", "text": "You edit files of a project. " * 300}],
        "tools": [_tool(number) for number in range(20)],
        "messages": [{"role": "user", "content": "Rename the option everywhere."}],
    }
    messages = body["messages"]
    assert isinstance(messages, list)
    length, turn = len(_json(body)), 0
    while length < size:
        pair = _turn(turn)
        messages += pair
        length += len(_json(pair))
        turn += 1
    return _json(body)


def _tool(number: int) -> dict[str, object]:
    properties = {
        f"argument_{i}": {"type": "string", "description": "What the argument means. " * 3}
        for i in range(6)
    }
    schema = {"type": "object", "properties": properties, "required": ["argument_0"]}
    about = "Does one thing to files of the project, and says what it did. " * 4
    return {"name": f"tool_{number}", "description": about, "input_schema": schema}


def _turn(number: int) -> list[dict[str, object]]:
    call = {
        "type": "tool_use",
        "id": f"toolu_{number:024}",
        "name": f"tool_{number % 20}",
        "input": {"argument_0": f"src/module_{number}.py", "argument_1": "line\n" * 8},
    }
    said = {"type": "text", "text": "Now the next file, where the option is read."}
    shown = "".join(f"{i:4}  def function_{i}(value: int) -> int:\n" for i in range(24))
    result = {"type": "tool_result", "tool_use_id": call["id"], "content": shown}
    return [{"role": "assistant", "content": [said, call]}, {"role": "user", "content": [result]}]


# Answers


@dataclass(frozen=True)
class Answers:
    """What one upstream says: a whole answer, and a stream as head, deltas and tail.

    Each event is an HTTP chunk of its own, as servers that flush every event send it. ``mark``
    stands once in every delta that a client of the same dialect reads.
    """

    whole: bytes
    head: bytes
    deltas: tuple[bytes, ...]
    tail: bytes

    @property
    def burst(self) -> bytes:
        return self.head + b"".join(self.deltas) + self.tail


#: Once in every delta that the client reads.
DELTA_MARK = b'"text_delta"'


def answers() -> dict[str, Answers]:
    """Return the answers by dialect."""
    return {
        "anthropic": _answers(_anthropic_whole(), *_anthropic_events()),
        "chat": _answers(_chat_whole(), *_chat_events()),
    }


def _answers(
    whole: object, start: list[bytes], deltas: Iterator[bytes], end: list[bytes]
) -> Answers:
    body = _json(whole)
    head = b"HTTP/1.1 200 OK\r\n" + _fields(_ANSWER_FIELDS)
    sized = _fields((("Content-Type", "application/json"), ("Content-Length", str(len(body)))))
    chunked = _fields((("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")))
    return Answers(
        head + sized + b"\r\n" + body,
        head + chunked + b"\r\n" + b"".join(map(_chunk, start)),
        tuple(map(_chunk, deltas)),
        b"".join(map(_chunk, end)) + b"0\r\n\r\n",
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_SENTENCE = "The capital of France is Paris, the seat of its kings, courts and schools since 987."


def _anthropic_whole() -> object:
    return {
        "id": "msg_01BenchmarkBenchmarkBench",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": _SENTENCE}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 31, "output_tokens": 22, "service_tier": "standard"},
    }


def _anthropic_events() -> tuple[list[bytes], Iterator[bytes], list[bytes]]:
    def event(kind: str, **fields: object) -> bytes:
        return f"event: {kind}\ndata: ".encode() + _json({"type": kind, **fields}) + b"\n\n"

    opened = {**_as_dict(_anthropic_whole()), "content": [], "stop_reason": None}
    empty = {"type": "text", "text": ""}
    start = [
        event("message_start", message=opened),
        event("content_block_start", index=0, content_block=empty),
    ]
    deltas = (
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
        for word in _words()
    )
    stop = {"stop_reason": "end_turn", "stop_sequence": None}
    end = [
        event("content_block_stop", index=0),
        event("message_delta", delta=stop, usage={"output_tokens": DELTAS}),
        event("message_stop"),
    ]
    return start, deltas, end


def _as_dict(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _words() -> Iterator[str]:
    return (f" word{number}" for number in range(DELTAS))


def _chat_whole() -> object:
    message: dict[str, object] = {
        "role": "assistant",
        "content": _SENTENCE,
        "refusal": None,
        "annotations": [],
    }
    return {
        "id": "chatcmpl-BenchmarkBenchmarkBenchmark",
        "object": "chat.completion",
        "created": 1741082400,
        "model": CHAT_MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 31,
            "completion_tokens": 22,
            "total_tokens": 53,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_benchmark",
    }


def _chat_events() -> tuple[list[bytes], Iterator[bytes], list[bytes]]:
    def event(delta: object, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        body = {
            "id": "chatcmpl-BenchmarkBenchmarkBenchmark",
            "object": "chat.completion.chunk",
            "created": 1741082400,
            "model": CHAT_MODEL,
            "service_tier": "default",
            "system_fingerprint": "fp_benchmark",
            "choices": [choice],
        }
        return b"data: " + _json(body) + b"\n\n"

    start = [event({"role": "assistant", "content": "", "refusal": None})]
    deltas = (event({"content": word}) for word in _words())
    return start, deltas, [event({}, "stop"), b"data: [DONE]\n\n"]
