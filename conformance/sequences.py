"""Sequences of events that an encoder must survive: every order that a broken decoder could give."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from lmtools.types import (
    AudioDelta,
    BuiltinCallDelta,
    BuiltinResultPart,
    CitationDelta,
    CitationPart,
    End,
    Event,
    ImagePart,
    Opaque,
    OpaqueDelta,
    PartDelta,
    PartEnd,
    RefusalDelta,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
)

_START = Start("id-1", "model", 1700000000, Usage(input_tokens=3))
_END = End("stop", Usage(input_tokens=3, output_tokens=5))
_ERROR = StreamError("overloaded", "busy", status=529)
_FOREIGN = Opaque("elsewhere", "event", {"rest": {"type": "news", "x": 1}})


def _call(index: int, text: str = "", id: str | None = None, name: str | None = None) -> Event:
    return ToolCallDelta(index, text, id, name)


#: Sequences by what is odd about them.
ADVERSARIAL: dict[str, list[Event]] = {
    "nothing": [],
    "start alone": [_START],
    "end alone": [_END],
    "error alone": [_ERROR],
    "empty answer": [_START, _END],
    "end without a reason": [_START, TextDelta(0, "a"), End()],
    "no start": [TextDelta(0, "a"), _END],
    "delta before the start": [TextDelta(0, "a"), _START, TextDelta(0, "b"), _END],
    "start twice": [_START, TextDelta(0, "a"), _START, TextDelta(0, "b"), _END],
    "end twice": [_START, TextDelta(0, "a"), _END, _END],
    "error after the end": [_START, TextDelta(0, "a"), _END, _ERROR],
    "end after an error": [_START, TextDelta(0, "a"), _ERROR, _END],
    "error twice": [_START, _ERROR, _ERROR],
    "delta after the end": [_START, TextDelta(0, "a"), _END, TextDelta(0, "b")],
    "error in an open part": [_START, _call(0, '{"a', "c1", "f"), _ERROR],
    "no end": [_START, TextDelta(0, "a"), PartEnd(0)],
    "part end without a part": [_START, PartEnd(3), TextDelta(0, "a"), PartEnd(1), _END],
    "part end twice": [_START, TextDelta(0, "a"), PartEnd(0), PartEnd(0), _END],
    "delta after its part end": [_START, TextDelta(0, "a"), PartEnd(0), TextDelta(0, "b"), _END],
    "indices with gaps": [_START, TextDelta(7, "a"), _call(3, "{}", "c1", "f"), _END],
    "parts going backwards": [
        _START, TextDelta(2, "c"), TextDelta(1, "b"), TextDelta(0, "a"), _END,
    ],
    "one index, several kinds": [
        _START, TextDelta(0, "a"), ThinkingDelta(0, "b"), _call(0, "{}", "c1", "f"), _END,
    ],
    "interleaved texts": [
        _START, TextDelta(0, "a"), TextDelta(1, "b"), TextDelta(0, "c"), TextDelta(1, "d"), _END,
    ],
    "interleaved calls": [
        _START, _call(0, "", "c1", "f"), _call(1, "", "c2", "g"), _call(0, '{"a":'),
        _call(1, '{"b":'), _call(0, "1}"), _call(1, "2}"), _END,
    ],
    "text between fragments of a call": [
        _START, _call(0, '{"a":', "c1", "f"), TextDelta(1, "wait"), _call(0, "1}"), _END,
    ],
    "thinking between texts": [
        _START, TextDelta(0, "a"), ThinkingDelta(1, "hm"), TextDelta(0, "b"), _END,
    ],
    "call without arguments": [_START, _call(0, "", "c1", "f"), _END],
    "call whose id and name come late": [
        _START, _call(0, "{"), _call(0, "}", "c1", "f"), _END,
    ],
    "call without a name": [_START, _call(0, "{}", "c1"), _END],
    "call without an id": [_START, _call(0, "{}", None, "f"), _END],
    "name and id repeated": [
        _START, _call(0, "{", "c1", "f"), _call(0, "}", "c1", "f"), _END,
    ],
    "arguments that are no JSON": [_START, _call(0, "not json", "c1", "f"), _END],
    "arguments that are a list": [_START, _call(0, "[1]", "c1", "f"), _END],
    "custom call": [
        _START, ToolCallDelta(0, "print(", "c1", "py", "custom"), ToolCallDelta(0, "1)"), _END,
    ],
    "builtin call and result": [
        _START, BuiltinCallDelta(0, '{"q":1}', "s1", "web_search"),
        PartDelta(1, BuiltinResultPart("s1", "web_search")), TextDelta(2, "a"), _END,
    ],
    "citation before its text": [
        _START, CitationDelta(0, CitationPart("https://x.example")), TextDelta(0, "a"), _END,
    ],
    "citation of a part that is closed": [
        _START, TextDelta(0, "a"), TextDelta(1, "b"), CitationDelta(0, CitationPart("https://x.example")), _END,
    ],
    "citation of a call": [
        _START, _call(0, "{}", "c1", "f"), CitationDelta(0, CitationPart("https://x.example")), _END,
    ],
    "empty deltas": [
        _START, TextDelta(0, ""), ThinkingDelta(1, ""), RefusalDelta(2, ""), AudioDelta(3), _END,
    ],
    "refusal": [_START, RefusalDelta(0, "I cannot."), End("refusal")],
    "audio": [_START, AudioDelta(0, "AAAA", "hi", "audio/wav"), AudioDelta(0, "BBBB"), _END],
    "image": [_START, PartDelta(0, ImagePart("image/png", data="AAAA")), _END],
    "foreign event": [_START, OpaqueDelta(_FOREIGN), TextDelta(0, "a"), OpaqueDelta(_FOREIGN, 0), _END],
    "foreign event before the start": [OpaqueDelta(_FOREIGN), _START, TextDelta(0, "a"), _END],
    "foreign event after the end": [_START, TextDelta(0, "a"), _END, OpaqueDelta(_FOREIGN)],
    "negative usage and no usage": [Start(), TextDelta(0, "a"), End("length")],
    "line separators": [_START, TextDelta(0, "a\u2028b\u0085c\r\n\n\x00d\ud83d"), _END],
}  # fmt: skip
ADVERSARIAL["no usage at all"] = ADVERSARIAL.pop("negative usage and no usage")


def variants(events: list[Event], seed: int = 1) -> Iterator[tuple[str, list[Event]]]:
    """Yield the events as they are, and what breaking connections and decoders could make of them."""
    rng = Random(seed)
    yield "whole", events
    for cut in sorted(rng.sample(range(len(events)), min(len(events), 12))):
        yield f"cut after {cut} events", events[:cut]
    yield "without starts", [event for event in events if not isinstance(event, Start)]
    yield "without part ends", [event for event in events if not isinstance(event, PartEnd)]
    yield "twice over", events + events
    yield "without ends", [event for event in events if not isinstance(event, (End, StreamError))]
    if len(events) <= 400:
        yield from _disordered(events, rng)


def _disordered(events: list[Event], rng: Random) -> Iterator[tuple[str, list[Event]]]:
    # A frame that only its own dialect understands is sent as it came; its place is the sender's matter.
    events = [event for event in events if not isinstance(event, OpaqueDelta)]
    for number in range(4):
        yield f"shuffle {number}", rng.sample(events, len(events))
        yield f"half, {number}", [event for event in events if rng.random() < 0.5]
