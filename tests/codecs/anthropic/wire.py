"""What the tests of this dialect share: short requests, and streams from frames and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from lmtools.codecs import anthropic
from lmtools.codecs.base import Incoming, Loss, Stamp, Target
from lmtools.sse import SSEDecoder, SSEEvent
from lmtools.types import Event, Message, Request

STAMP = Stamp("msg_stamp", 1_700_000_000, "claude-test", input_tokens=7)
ASK = Request("claude-test", (Message.user("Hi"),))


def request_body(**fields: Any) -> dict[str, Any]:
    body = {"model": "claude-test", "max_tokens": 100}
    return {
        **body,
        **fields,
        "messages": fields.get("messages", [{"role": "user", "content": "Hi"}]),
    }


def answer_body(**fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 1,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 2,
        },
        **fields,
    }


def parse(body: Any, **wire: Any) -> Request:
    return anthropic.parse_request(Incoming(body, **wire))


def render(request: Request, **target: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Return the body, and (path, action) of each loss."""
    rendered = anthropic.render_request(request, Target(**target))
    return rendered.body, said(rendered.losses)


def said(losses: Iterable[Loss]) -> list[tuple[str, str]]:
    return [(loss.path, loss.action) for loss in losses]


def plant(value: Any) -> Any:
    """Return the value with a new key in every object, at every depth."""
    if isinstance(value, dict):
        return {**{key: plant(held) for key, held in value.items()}, "x_new": {"deep": [1, None]}}
    return [plant(item) for item in value] if isinstance(value, list) else value


def frame(body: dict[str, Any]) -> SSEEvent:
    return SSEEvent(body.get("type"), json.dumps(body))


def start_frame(**usage: int) -> SSEEvent:
    message = answer_body(stop_reason=None)
    message["usage"] |= usage
    return frame({"type": "message_start", "message": message})


def block_frames(block: dict[str, Any], *deltas: dict[str, Any], index: int = 0) -> list[SSEEvent]:
    frames = [{"type": "content_block_start", "index": index, "content_block": block}]
    frames += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
    frames.append({"type": "content_block_stop", "index": index})
    return [frame(body) for body in frames]


def end_frames(reason: str | None = "end_turn") -> list[SSEEvent]:
    delta = {"stop_reason": reason, "stop_sequence": None, "stop_details": None}
    usage = answer_body()["usage"]
    return [
        frame({"type": "message_delta", "delta": delta, "usage": usage}),
        frame({"type": "message_stop"}),
    ]


def read(data: bytes) -> list[SSEEvent]:
    decoder = SSEDecoder()
    return [*decoder.feed(data), *decoder.close()]


def decode(
    frames: Iterable[SSEEvent], request: Request = ASK, target: Target | None = None
) -> list[Event]:
    decoder = anthropic.stream_decoder(request, target or Target())
    events = [event for item in frames for event in decoder.decode(item)]
    return events + decoder.close()


def encode(
    events: Iterable[Event], stamp: Stamp = STAMP
) -> tuple[list[Any], list[tuple[str, str]]]:
    """Return the JSON of each frame, and the losses."""
    encoder = anthropic.stream_encoder(ASK, stamp)
    data = b"".join(encoder.encode(event) for event in events) + encoder.close()
    frames = read(data)
    bodies = [json.loads(item.data) for item in frames]
    assert [item.event for item in frames] == [body["type"] for body in bodies]
    return bodies, said(encoder.losses)
