"""A fake of the OpenAI Chat Completions API, and of compatible servers that also reason aloud.

Shapes follow recorded answers of the vendor and of Argo. ``FakeOpenAI(compatible=True)`` stands for
vLLM, SGLang, llama.cpp and gateways: it takes fields of their own and answers with
``reasoning_content``, as DeepSeek's API documents it (api-docs.deepseek.com/guides/thinking_mode).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.fakes import openai_rules
from tests.fakes.base import FakeAPI, compact, spaced
from tests.fakes.scenario import HELLO, Call, Counts, Scenario
from tests.fakes.server import Breach, Reply, json_reply

MODELS = ("gpt-4.1", "gpt-5.4", "gpt-5-mini")
CREATED = 1776884913

#: (type, code) of each status (https://platform.openai.com/docs/guides/error-codes).
ERROR_TYPES: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    409: ("invalid_request_error", None),
    413: ("invalid_request_error", None),
    422: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("service_unavailable_error", None),
}
_FINISH = {
    "stop": "stop",
    "calls": "tool_calls",
    "length": "length",
    "stop_sequence": "stop",
    "refusal": "stop",
    "filter": "content_filter",
}
_SAFE = {"filtered": False, "severity": "safe"}
_FILTERS = {"hate": _SAFE, "self_harm": _SAFE, "sexual": _SAFE, "violence": _SAFE}


class FakeOpenAI(FakeAPI):
    path = "/v1/chat/completions"

    def __init__(self, default: Scenario = HELLO, *, compatible: bool = False) -> None:
        super().__init__(default)
        self.compatible = compatible
        vendor = () if compatible else openai_rules.VENDOR_RULES
        self.rules = openai_rules.RULES + vendor

    def id_headers(self, number: int) -> Sequence[tuple[str, str]]:
        return [("x-request-id", f"req_fake{number:04}"), ("openai-processing-ms", "12")]

    def error_body(self, breach: Breach) -> Any:
        kind, code = ERROR_TYPES.get(breach.status, ("server_error", None))
        if breach.kind != "invalid_request_error":
            kind = breach.kind
        error = {
            "message": breach.message,
            "type": kind,
            "param": breach.param,
            "code": breach.code or code,
        }
        return {"error": error}

    def failing_frame(self, breach: Breach) -> bytes:
        return f"data: {compact(self.error_body(breach))}\n\n".encode()

    def list_models(self, name: str) -> Reply:
        rows = [
            {"id": m, "object": "model", "created": CREATED, "owned_by": "openai"} for m in MODELS
        ]
        if name:
            found = [row for row in rows if row["id"] == name]
            if not found:
                text = f"The model '{name}' does not exist"
                return self.refuse(Breach(text, "model", "model_not_found", 404))
            return json_reply(200, found[0])
        return json_reply(200, {"object": "list", "data": rows})

    def message(self, scenario: Scenario, body: dict[str, Any], number: int) -> Any:
        said: dict[str, Any] = {
            "role": "assistant",
            "content": None
            if scenario.refusal or (scenario.calls and not scenario.text)
            else scenario.said,
            "refusal": scenario.refusal or None,
            "annotations": [],
        }
        if scenario.thinking:
            said["reasoning_content"] = scenario.thought
        if scenario.calls:
            said["tool_calls"] = [_call(call, number, call.text or "{}") for call in scenario.calls]
        choice: dict[str, Any] = {
            "index": 0,
            "message": said,
            "logprobs": _logprobs(scenario.text, body),
            "finish_reason": _FINISH[scenario.ending],
        }
        others = [_other(at, text, choice) for at, text in _others(scenario, body)]
        found: dict[str, Any] = {
            "id": _id(number),
            "object": "chat.completion",
            "created": CREATED,
            "model": body["model"] + "-2026-03-17",
            "choices": [choice, *others],
            "usage": usage(scenario.counts),
            "service_tier": "default",
            "system_fingerprint": None,
        }
        if scenario.shape == "argo":
            choice["content_filter_results"] = _FILTERS
            said |= {"audio": None, "function_call": None, "tool_calls": said.get("tool_calls")}
            found["prompt_filter_results"] = [
                {"content_filter_results": _FILTERS, "prompt_index": 0}
            ]
        return found

    def frames(self, scenario: Scenario, body: dict[str, Any], number: int) -> list[bytes]:
        argo = scenario.shape == "argo"
        options = body.get("stream_options")
        counted = isinstance(options, dict) and options.get("include_usage") is True
        head = {
            "id": _id(number),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": body["model"] + "-2026-03-17",
            "service_tier": "default",
            "system_fingerprint": None,
        }
        chunks = [_azure_first()] if argo else []
        for at, choice in enumerate(_all_choices(scenario, body, number)):
            full = _argo_choice(choice) if argo else {"index": 0, **choice}
            chunk = {**head, "choices": [full]}
            if counted or argo:
                chunk["usage"] = None
            chunks.append({**chunk, "obfuscation": "Xq7Lw2Zp9"[: at % 9]})
        if counted:
            chunks.append(
                {**head, "choices": [], "usage": usage(scenario.counts), "obfuscation": "k"}
            )
        if argo:
            chunks = [_in_argo_order(chunk) for chunk in chunks]
        write = spaced if argo else compact
        return [f"data: {write(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]


def _id(number: int) -> str:
    return f"chatcmpl-Fake{number:025}"


def call_id(call: Call, number: int) -> str:
    if call.exact_id:
        return call.exact_id
    return f"call_{call.id}{number:010}"


def _call(call: Call, number: int, arguments: str) -> dict[str, Any]:
    return {
        "id": call_id(call, number),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def usage(counts: Counts) -> dict[str, Any]:
    """Cached tokens are part of the prompt here, and reasoning is part of the completion."""
    prompt = counts.fresh + counts.cache_read + counts.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": counts.output,
        "total_tokens": prompt + counts.output,
        "prompt_tokens_details": {"cached_tokens": counts.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": counts.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _choices(scenario: Scenario, body: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """Yield the choice of each chunk. A lone tool call comes with the role, as the vendor sends it."""
    calls = list(enumerate(scenario.calls))
    first: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
    if calls and not scenario.text and not scenario.thinking:
        at, call = calls[0]
        opening = [{"index": at, **_call(call, number, "")}]
        yield _choice(
            {"role": "assistant", "content": None, "tool_calls": opening, "refusal": None}
        )
        yield from _arguments(at, call)
        calls = calls[1:]
    else:
        yield _choice(first)
    for piece in scenario.thinking:
        yield _choice({"reasoning_content": piece})
    for piece in scenario.text:
        found = _choice({"content": piece})
        logprobs = _logprobs((piece,), body)
        yield found if logprobs is None else {**found, "logprobs": logprobs}
    if scenario.refusal:
        for piece in re.findall(r"\S+\s*", scenario.refusal):
            yield _choice({"refusal": piece})
    for at, call in calls:
        yield _choice({"tool_calls": [{"index": at, **_call(call, number, "")}]})
        yield from _arguments(at, call)
    yield _choice({}, _FINISH[scenario.ending])


def _others(scenario: Scenario, body: dict[str, Any]) -> list[tuple[int, str]]:
    """Return (index, text) of the further choices that were asked for."""
    return list(enumerate(scenario.others[: (body.get("n") or 1) - 1], 1))


def _other(at: int, text: str, first: dict[str, Any]) -> dict[str, Any]:
    return {**first, "index": at, "message": {**first["message"], "content": text}}


def _logprobs(pieces: Iterable[str], body: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was asked for about the tokens, which are the pieces of the text here."""
    if body.get("logprobs") is not True:
        return None
    return {
        "content": [_logprob(p, body.get("top_logprobs") or 0) for p in pieces],
        "refusal": None,
    }


def _logprob(token: str, top: int) -> dict[str, Any]:
    found = {"token": token, "logprob": -0.25, "bytes": list(token.encode())}
    others = [{"token": "x" * n, "logprob": -0.5 - n, "bytes": [120] * n} for n in range(1, top)]
    return {**found, "top_logprobs": [found, *others] if top else []}


def _all_choices(scenario: Scenario, body: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """Yield the choice of each chunk; further choices come between the first one's, whole."""
    first = list(_choices(scenario, body, number))
    yield first[0]
    for index, text in _others(scenario, body):
        for delta, finish in (
            ({"role": "assistant", "content": ""}, None),
            ({"content": text}, None),
            ({}, "stop"),
        ):
            yield {"index": index, **_choice(delta, finish)}
    yield from first[1:]


def _arguments(at: int, call: Call) -> Iterator[dict[str, Any]]:
    for piece in call.arguments:
        yield _choice({"tool_calls": [{"index": at, "function": {"arguments": piece}}]})


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"delta": delta, "finish_reason": finish}


def _azure_first() -> dict[str, Any]:
    """Return the chunk with which Azure reports on the prompt: no choice, no id, no model."""
    return {
        "id": "",
        "choices": [],
        "created": 0,
        "model": "",
        "object": "",
        "service_tier": None,
        "system_fingerprint": None,
        "usage": None,
        "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _FILTERS}],
    }


def _argo_choice(choice: dict[str, Any]) -> dict[str, Any]:
    """Return a choice as the gateway writes it: every field that there is, null where unused."""
    empty = {
        "content": None,
        "function_call": None,
        "refusal": None,
        "role": None,
        "tool_calls": None,
    }
    delta = empty | choice["delta"]
    return {
        "delta": delta,
        "finish_reason": choice["finish_reason"],
        "index": 0,
        "logprobs": None,
        "content_filter_results": {},
    }


def _in_argo_order(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk with its keys in the gateway's order: the id first, what Azure adds last."""
    added = ("usage", "obfuscation", "prompt_filter_results")
    order = sorted(chunk, key=lambda key: (key != "id", key in added and added.index(key) + 1, key))
    found = {key: chunk[key] for key in order}
    counts = found["usage"]
    if counts:
        plain = sorted(counts, key=lambda key: (key.endswith("_details"), key))
        found["usage"] = {
            key: dict(sorted(counts[key].items())) if key.endswith("_details") else counts[key]
            for key in plain
        }
    return found
