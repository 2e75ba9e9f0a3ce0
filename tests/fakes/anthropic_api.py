"""A fake of the Anthropic Messages API. Shapes follow recorded answers of the real one and of Argo."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tests.fakes import anthropic_rules
from tests.fakes.base import FakeAPI, compact, spaced
from tests.fakes.scenario import Call, Counts, Scenario
from tests.fakes.server import Breach, Reply, json_reply

MODELS = ("claude-haiku-4-5", "claude-opus-4-7", "claude-sonnet-4-6")

#: The error type of each status (https://platform.claude.com/docs/en/api/errors).
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STOP_REASONS = {
    "stop": "end_turn",
    "calls": "tool_use",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "filter": "refusal",
}


class FakeAnthropic(FakeAPI):
    rules = anthropic_rules.RULES
    path = "/v1/messages"
    side_paths = ("/v1/messages/count_tokens",)

    def id_headers(self, number: int) -> Sequence[tuple[str, str]]:
        return [("request-id", f"req_fake{number:04}")]

    def error_body(self, breach: Breach) -> Any:
        kind = (
            breach.kind
            if breach.kind != "invalid_request_error"
            else ERROR_TYPES.get(breach.status, "api_error")
        )
        error = {"type": kind, "message": breach.message}
        return {"type": "error", "error": error, "request_id": f"req_fake{self._count:04}"}

    def failing_frame(self, breach: Breach) -> bytes:
        body = self.error_body(breach)
        del body["request_id"]
        return f"event: error\ndata: {compact(body)}\n\n".encode()

    def list_models(self, name: str) -> Reply:
        rows = [_model(model) for model in MODELS]
        if name:
            found = [row for row in rows if row["id"] == name]
            if not found:
                return self.refuse(Breach(f"model: {name}", status=404, kind="not_found_error"))
            return json_reply(200, found[0])
        ends = {"first_id": MODELS[0], "last_id": MODELS[-1]}
        return json_reply(200, {"data": rows, "has_more": False, **ends})

    def answer_aside(self, path: str, body: dict[str, Any]) -> Reply:
        return json_reply(200, {"input_tokens": 576}, self.id_headers(self.next_number()))

    def message(self, scenario: Scenario, body: dict[str, Any], number: int) -> Any:
        argo = scenario.shape == "argo"
        found = {
            "model": body["model"],
            "id": _message_id(number, argo),
            "type": "message",
            "role": "assistant",
            "content": [_whole_block(scenario, call, number) for call in _blocks(scenario)],
            "stop_reason": _STOP_REASONS[scenario.ending],
            "stop_sequence": scenario.stop_sequence,
            "stop_details": None,
            "usage": _usage(scenario.counts, scenario.counts.output, argo),
        }
        return _sorted(found) if argo else found

    def frames(self, scenario: Scenario, body: dict[str, Any], number: int) -> list[bytes]:
        argo = scenario.shape == "argo"
        events = list(_events(scenario, body, number, argo))
        return [_frame(event, at, argo) for at, event in enumerate(events)]


def _model(name: str) -> dict[str, Any]:
    shown = name.replace("-", " ").title()
    return {
        "type": "model",
        "id": name,
        "display_name": shown,
        "created_at": "2025-09-29T00:00:00Z",
        "lifecycle": "active",
    }


def _message_id(number: int, argo: bool) -> str:
    return f"msg_{'vrtx_' if argo else ''}01Fake{number:018}"


def call_id(scenario: Scenario, call: Call, number: int) -> str:
    if call.exact_id:
        return call.exact_id
    vertex = "vrtx_" if scenario.shape == "argo" else ""
    return f"toolu_{vertex}01{call.id}{number:06}"


def _blocks(scenario: Scenario) -> list[tuple[str, Any]]:
    """Return (kind, what) of the content blocks, in the order of the real API."""
    found: list[tuple[str, Any]] = []
    if scenario.thinking:
        found.append(("thinking", scenario.thinking))
    if scenario.redacted:
        found.append(("redacted_thinking", scenario.redacted))
    text = (*scenario.text, scenario.refusal) if scenario.refusal else scenario.text
    if text:
        found.append(("text", text))
    return found + [("tool_use", call) for call in scenario.calls]


def _whole_block(scenario: Scenario, block: tuple[str, Any], number: int) -> dict[str, Any]:
    kind, held = block
    if kind == "thinking":
        signature = "Zm9yZ2Vk" if scenario.forge else anthropic_rules.sign(scenario.thought)
        found = {"type": "thinking", "thinking": scenario.thought, "signature": signature}
    elif kind == "redacted_thinking":
        found = {"type": kind, "data": anthropic_rules.redacted(held)}
    elif kind == "text":
        found = {"type": "text", "text": "".join(held)}
        if scenario.shape == "argo":
            found["citations"] = None
    else:
        found = {
            "type": "tool_use",
            "id": call_id(scenario, held, number),
            "name": held.name,
            "input": json.loads(held.text or "{}"),
        }
        if scenario.shape != "argo":
            found["caller"] = {"type": "direct"}
    return found


def _usage(counts: Counts, output: int, argo: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "input_tokens": counts.fresh,
        "cache_creation_input_tokens": counts.cache_write,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output,
        "service_tier": None if argo else "standard",
    }
    if counts.reasoning:
        found["output_tokens_details"] = {"thinking_tokens": counts.reasoning}
    found["server_tool_use" if argo else "inference_geo"] = None if argo else "not_available"
    return found


def _events(
    scenario: Scenario, body: dict[str, Any], number: int, argo: bool
) -> Iterator[dict[str, Any]]:
    start = {
        "model": body["model"],
        "id": _message_id(number, argo),
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": _usage(scenario.counts, 1, argo),
    }
    yield {"type": "message_start", "message": start}
    for index, (kind, held) in enumerate(_blocks(scenario)):
        whole = _whole_block(scenario, (kind, held), number)
        empty = {
            "thinking": {"thinking": "", "signature": ""},
            "redacted_thinking": {},
            "text": {"text": ""},
            "tool_use": {"input": {}},
        }
        yield {"type": "content_block_start", "index": index, "content_block": whole | empty[kind]}
        if index == 0 and not argo:
            yield {"type": "ping"}
        for delta in _deltas(kind, held, whole):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    usage = _usage(scenario.counts, scenario.counts.output, argo)
    for name in ("cache_creation", "service_tier", "inference_geo"):
        usage.pop(name, None)
    delta = {
        "stop_reason": _STOP_REASONS[scenario.ending],
        "stop_sequence": scenario.stop_sequence,
        "stop_details": None,
    }
    yield {"type": "message_delta", "delta": delta, "usage": usage}
    yield {"type": "message_stop"}


def _deltas(kind: str, held: Any, whole: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if kind == "tool_use":
        # The real API opens with an empty fragment.
        for piece in ("", *held.arguments):
            yield {"type": "input_json_delta", "partial_json": piece}
        return
    if kind == "redacted_thinking":
        return
    for piece in held:
        yield {"type": f"{kind}_delta", kind: piece}
    if kind == "thinking":
        yield {"type": "signature_delta", "signature": whole["signature"]}


def _frame(event: dict[str, Any], at: int, argo: bool) -> bytes:
    """Return a frame; the vendor pads its JSON with blanks before the last brace, and writes pings wide."""
    if argo:
        data = spaced(_sorted(event))
    elif event["type"] == "ping":
        data = spaced(event)
    else:
        data = compact(event)[:-1] + " " * (at * 7 % 15) + "}"
    return f"event: {event['type']}\ndata: {data}\n\n".encode()


def _sorted(value: Any) -> Any:
    """Return the gateway's key order: alphabetical, but a message begins with its id and ends with why."""
    if isinstance(value, dict):
        order = sorted(value, key=lambda key: (key != "id", key == "stop_details", key))
        return {key: _sorted(value[key]) for key in order}
    return [_sorted(item) for item in value] if isinstance(value, list) else value
