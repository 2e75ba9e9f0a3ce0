"""Answers, streams and errors held against the official SDK's own types, where it is installed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmtools.codecs import anthropic
from lmtools.errors import CODES, api_error
from lmtools.types import (
    CitationPart,
    End,
    Message,
    ModelInfo,
    RefusalPart,
    Response,
    Start,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    Usage,
)
from tests.codecs.anthropic.wire import ASK, STAMP, read

pytest.importorskip("anthropic", reason="the official SDK is not installed")
pytest.importorskip("pydantic", reason="the official SDK is not installed")

from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as SDKMessage
from anthropic.types import ModelInfo as SDKModelInfo
from anthropic.types import RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from pydantic import TypeAdapter

from lmtools.types.assemble import events_from_response

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)

FOREIGN = Response(
    "chatcmpl-1",
    "gpt",
    Message(
        "assistant",
        (
            ThinkingPart("hm"),
            TextPart("Hi"),
            CitationPart("https://example.org", "t", start=0, end=2),
            RefusalPart("no"),
            ToolCallPart("call_1", "ls", {"a": 1}, text='{"a":1}'),
            ToolCallPart("call_2", "edit", "free", kind="custom"),
        ),
    ),
    "tool_call",
    Usage(30, 5, 35, reasoning_tokens=2),
)


def encoded(response: Response) -> bytes:
    encoder = anthropic.stream_encoder(ASK, STAMP)
    return (
        b"".join(encoder.encode(event) for event in events_from_response(response))
        + encoder.close()
    )


def test_a_foreign_answer_is_a_message_to_the_sdk():
    body = anthropic.render_response(FOREIGN, ASK, STAMP).body

    message = SDKMessage.model_validate(body, strict=True)

    kinds = [block.type for block in message.content]
    assert kinds == ["thinking", "text", "text", "tool_use", "tool_use"]
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 5)


def test_a_foreign_stream_is_events_to_the_sdk_and_adds_up_to_the_whole_answer():
    whole = anthropic.render_response(FOREIGN, ASK, STAMP).body
    snapshot = None
    buffers: dict[int, bytes] = {}

    for frame in read(encoded(FOREIGN)):
        event = EVENT.validate_python(json.loads(frame.data), strict=True)
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)

    assert snapshot is not None
    assert json.loads(snapshot.to_json(exclude_none=True)) == _without_nulls(whole)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def test_an_answer_of_which_nothing_is_known_is_still_a_message():
    bare = Response(None, "m", Message("assistant", ()))

    body = anthropic.render_response(bare, ASK, STAMP).body
    assert SDKMessage.model_validate(body, strict=True).content == []
    encoder = anthropic.stream_encoder(ASK, STAMP)
    frames = read(encoder.encode(Start()) + encoder.encode(End()))
    seen = [EVENT.validate_python(json.loads(frame.data), strict=True).type for frame in frames]
    assert seen == ["message_start", "message_delta", "message_stop"]


@pytest.mark.parametrize("code", sorted(CODES - {"conflict", "too_large"}))
def test_errors_are_errors_to_the_sdk(code):
    """Conflicts and large bodies have type words that the SDK's union does not list."""
    body = anthropic.render_error(api_error(code, "m", request_id="req_1")).body

    assert ErrorResponse.model_validate(body, strict=True).error.message.endswith("m")


def test_a_model_is_a_model_to_the_sdk():
    body = anthropic.render_model(ModelInfo("gpt"))

    assert SDKModelInfo.model_validate_json(json.dumps(body)).id == "gpt"
