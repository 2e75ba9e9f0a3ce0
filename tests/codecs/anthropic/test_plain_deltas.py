"""Deltas with nothing beside their text take a short way, and lose nothing on it."""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import anthropic
from lmtools.codecs.base import Stamp
from lmtools.types import (
    Message,
    Opaque,
    Request,
    Start,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
)

WIRE = (Opaque("other", "chunk", {"rest": {"fingerprint": "f"}}),)
STAMP = Stamp("stamp", 1, "m")


def encoder_after(*events):
    encoder = anthropic.stream_encoder(Request("m", (Message.user("Hi"),)), STAMP)
    for event in (Start(), *events):
        encoder.encode(event)
    return encoder


@pytest.mark.parametrize(
    ("first", "more", "delta"),
    [
        (TextDelta(0, "a"), TextDelta, {"type": "text_delta", "text": 'b"'}),
        (ThinkingDelta(0, "a"), ThinkingDelta, {"type": "thinking_delta", "thinking": 'b"'}),
        (
            ToolCallDelta(0, "{", "t1", "ls"),
            ToolCallDelta,
            {"type": "input_json_delta", "partial_json": 'b"'},
        ),
    ],
)
@pytest.mark.parametrize("wire", [(), WIRE])
def test_one_more_text_is_one_frame_and_what_stands_beside_it_one_loss(first, more, delta, wire):
    encoder = encoder_after(first)
    frames = [encoder.encode(more(0, 'b"', wire=wire)) for _ in range(3)]
    body = json.dumps(
        {"type": "content_block_delta", "index": 0, "delta": delta}, separators=(",", ":")
    )
    assert frames == [f"event: content_block_delta\ndata: {body}\n\n".encode()] * 3
    assert [loss.path for loss in encoder.losses if "fingerprint" in loss.path] == (
        ["fingerprint"] if wire else []
    )


def test_a_call_whose_last_fragment_was_plain_is_known_to_be_complete():
    encoder = encoder_after(ToolCallDelta(0, "{", "t1", "ls"), ToolCallDelta(0, '"a":1'))
    assert encoder.encode(ToolCallDelta(1, "{}", "t2", "ls")) == b""
    encoder = encoder_after(ToolCallDelta(0, "{", "t1", "ls"), ToolCallDelta(0, '"a":1}'))
    assert b'"t2"' in encoder.encode(ToolCallDelta(1, "{}", "t2", "ls"))


def test_probabilities_of_a_later_text_are_a_loss():
    encoder = encoder_after(TextDelta(0, "a"))
    encoder.encode(TextDelta(0, "b", (TokenLogprob("b", -1.0),)))
    assert "logprobs" in [loss.path for loss in encoder.losses]


def test_new_keys_beside_a_later_text_are_a_loss():
    encoder = encoder_after(TextDelta(0, "a"), TextDelta(0, "b", wire=WIRE))
    other = (Opaque("other", "chunk", {"rest": {"fingerprint": "f", "new": 1}}),)
    encoder.encode(TextDelta(0, "c", wire=other))
    assert "new" in [loss.path for loss in encoder.losses]
