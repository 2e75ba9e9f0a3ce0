"""Streamed answers of the Messages API, written: events to frames.

Whatever the events are, the frames keep the order that clients check: ``message_start``, then per
block start, deltas and stop with indexes that count up, then ``message_delta`` and
``message_stop``; or ``error``, after which nothing comes. Pings may stand anywhere. A signature
goes out right before its block ends.

The text delta, which is nearly every frame, is one small template around the escaped text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ...sse import encode_event
from ...types import (
    AudioDelta,
    AudioPart,
    BuiltinCallDelta,
    BuiltinCallPart,
    CitationDelta,
    CitationPart,
    Delta,
    End,
    Event,
    Json,
    JsonObject,
    Opaque,
    OpaqueDelta,
    PartDelta,
    RefusalDelta,
    RefusalPart,
    Request,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
)
from ..base import Losses, Stamp
from ..blocks import CLOSE, OPEN, Action, Framing
from ..fields import held_keys
from ..seal import is_state
from ..text import dumps
from .block_writer import BlockWriter, frame
from .errors import render_error_event
from .parts import Rendering, render_block
from .responses import NO_CONTENT, message_head, restore_message
from .spelling import NAME, REDACTED, data_of
from .usage import CARRIED_COUNTS, render_stop_reason, render_usage

_FRAGMENTS = (TextDelta, ThinkingDelta, ToolCallDelta)
_EMPTY = TextDelta(0, "")
_REST = {"rest"}
_PING = encode_event('{"type":"ping"}', "ping")
_GRAMMAR = frozenset(
    {
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)


class _Reported:
    """What was reported, each thing once. Not the encoder's own: its blocks report too, and would
    hold the encoder that holds them.
    """

    def __init__(self, to: Rendering) -> None:
        self._to = to
        self.seen: set[tuple[str, ...]] = set()

    def report(self, opaque: Iterable[Opaque], path: str) -> None:
        """Report what other dialects own, each key once."""
        for item in opaque:
            # What belongs to somebody has its own place, and its own loss.
            if item.dialect == NAME or is_state(item):
                continue
            said = _keys_of(item, path)
            if said in self.seen:
                continue
            self.seen.add(said)
            reason = f"only {item.dialect} says this; {NAME} has no such field"
            for key in held_keys(item.data):
                where = f"{path}.{key}" if path else key
                self.once((item.dialect, where), where, "dropped", reason)

    def once(self, key: tuple[str, ...], path: str, action: str, reason: str) -> None:
        if key not in self.seen:
            self.seen.add(key)
            self._to.lose(path, action, reason)


class Encoder:
    """Events in, bytes out. ``losses`` name each kind of loss once, not once a chunk."""

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._to = Rendering(answer=True)
        self._framing = Framing()
        self._is_started = False
        self._is_ended = False
        self._first_usage = Usage()
        self._first_tier: str | None = None
        reported = _Reported(self._to)
        self._seen, self._report, self._once = reported.seen, reported.report, reported.once
        self._known_wire: tuple[Opaque, ...] = ()
        self._skipped: set[int] = set()
        self._block = BlockWriter(self._to, stamp, self._report)

    @property
    def losses(self) -> Losses:
        return self._to.losses

    def encode(self, event: Event) -> bytes:
        if self._is_ended:
            return b""
        # Nearly every event: one more text for the open block, with nothing beside it.
        if (
            isinstance(event, _FRAGMENTS)
            and self._framing.open == (event.part_index, event.type)
            and not event.opaque
            and (event.wire is self._known_wire or self._says_nothing_new(event.wire))
        ):
            plain = self._plain(event)
            if plain is not None:
                return plain
        match event:
            case Start():
                return self._start(event)
            case End():
                return self._end(event)
            case StreamError():
                return self._error(event)
            case OpaqueDelta(part_index=None):
                return self._opaque(event)
            case _:
                return self._started() + self._delta(event)

    def _plain(self, event: TextDelta | ThinkingDelta | ToolCallDelta) -> bytes | None:
        """Return the frame of one more text of the open block; None where it says more."""
        if isinstance(event, TextDelta):
            return None if event.logprobs else self._block.text(event.text)
        if isinstance(event, ThinkingDelta):
            return self._block.thought(event.text)
        self._framing.note(event.text)
        return self._block.arguments(event.text)

    def ping(self) -> bytes:
        return b"" if self._is_ended else _PING

    def close(self) -> bytes:
        """End the stream with an error, unless it has its end."""
        message = "the stream ended before the answer was whole"
        return b"" if self._is_ended else self._error(StreamError("truncated", message))

    def _started(self) -> bytes:
        return b"" if self._is_started else self._start(Start())

    def _start(self, event: Start) -> bytes:
        if self._is_started:
            self._once(("start",), "start", "dropped", "a stream has one start")
            return b""
        self._is_started = True
        self._first_usage, self._first_tier = event.usage, event.service_tier
        out = message_head(event.id, self._stamp)
        out |= {"content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None}
        if "usage" not in data_of(event.opaque, "message").get("absent", ()):
            estimate = self._stamp.input_tokens
            out["usage"] = render_usage(event.usage, event.service_tier, estimate, self._to)
        self._report((*event.opaque, *event.wire), "")
        message = restore_message(out, event.opaque, ("message",))
        return frame({"type": "message_start", "message": message}, event.wire)

    def _delta(self, event: Delta) -> bytes:
        if isinstance(event, PartDelta):
            event = _as_delta(event)
        if event.part_index in self._skipped or self._skip(event):
            return b""
        return self._act(self._framing.feed(event))

    def _skip(self, event: Delta) -> bool:
        """Tell whether a part has no block here; the loss says so once."""
        if isinstance(event, PartDelta):
            path = self._block.path(event.part_index)
            if render_block(event.part, path, self._to) is not None:
                return False
        elif isinstance(event, BuiltinCallDelta) and any(o.dialect != NAME for o in event.opaque):
            path = self._block.path(event.part_index)
            self._to.drop(path, "another provider ran this call")
        else:
            return False
        self._skipped.add(event.part_index)
        return True

    def _act(self, actions: Iterable[Action]) -> bytes:
        frames = []
        for verb, index, event in actions:
            if verb == CLOSE:
                frames.append(self._block.close(event))
            elif verb == OPEN:
                frames.append(self._block.open(index, event))
            else:
                frames.append(self._block.delta(event))
        return b"".join(frames)

    def _opaque(self, event: OpaqueDelta) -> bytes:
        content = event.content
        if content.dialect != NAME:
            if is_state(content):
                # The frame that brought it; the state itself comes with its part.
                return b""
            self._report((content,), "")
            if not any(held_keys(content.data)):
                said = (content.dialect, content.kind)
                self._once(said, content.kind, "dropped", "a foreign event")
            return b""
        kind = content.data.get("type")
        if content.kind not in ("ping", "event") or not _is_event_name(kind):
            self._once((NAME, content.kind), content.kind, "dropped", "out of its place")
            return b""
        return self._started() + encode_event(dumps(content.data), kind)

    def _end(self, event: End) -> bytes:
        frames = [self._started(), self._act(self._framing.finish())]
        if self._framing.index < 0 and self._stamp.foreign:
            self._to.losses.append(NO_CONTENT)
            frames += [self._act(self._framing.feed(_EMPTY)), self._act(self._framing.finish())]
        self._is_ended = True
        delta: JsonObject = {
            "stop_reason": render_stop_reason(
                event.finish, event.opaque, "end", self._block.has_calls, self._to
            ),
            "stop_sequence": event.stop_sequence,
            "stop_details": None,
        }
        body: JsonObject = {"type": "message_delta"}
        body["delta"] = restore_message(delta, event.opaque, ("end",))
        # Clients take a stream without a stop reason for one that was cut.
        body["delta"].setdefault("stop_reason", "end_turn")
        outer = data_of(event.opaque, "message_delta")
        if "absent" not in outer:
            body["usage"] = self._usage(event)
        body = {**outer.get("rest", {}), **body}
        self._report((*event.opaque, *event.wire), "")
        if self._framing.lost:
            self._to.lose("message.parts", "dropped", "deltas of a call that was complete")
        frames += [frame(earlier) for earlier in data_of(event.wire, "earlier").get("frames", ())]
        frames += [frame(body), frame({"type": "message_stop"}, event.wire)]
        return b"".join(frames)

    def _usage(self, event: End) -> JsonObject:
        usage, before = event.usage, self._first_usage
        if not data_of(usage.opaque, "usage"):
            # What the end leaves open, the start said.
            known = {n: getattr(before, n) for n in CARRIED_COUNTS if getattr(usage, n) is None}
            usage = replace(usage, **known)
        tier = event.service_tier
        if tier is not None and not data_of(event.opaque, "end").get("tier"):
            # The API names the tier at the start alone, and its SDK knows no such key here.
            if tier != self._first_tier:
                self._to.drop("service_tier", "the end of a stream names no tier")
            tier = None
        return render_usage(usage, tier, self._stamp.input_tokens, self._to, before)

    def _error(self, event: StreamError) -> bytes:
        self._is_ended = True
        self._report((*event.opaque, *event.wire), "error")
        body = render_error_event(event)
        word = body["error"]["type"]
        if event.provider_code not in (None, word):
            self._to.lose("error.provider_code", "substituted", f"sent as the type {word}")
        return frame(body, event.wire)

    def _says_nothing_new(self, wire: tuple[Opaque, ...]) -> bool:
        """Tell whether what stands beside a frame is another dialect's and was reported before."""
        for item in wire:
            if item.dialect == NAME or _keys_of(item, "") not in self._seen:
                return False
        # Frames that differ in their text alone share what stands beside it.
        self._known_wire = wire
        return True


def _keys_of(item: Opaque, path: str) -> tuple[str, ...]:
    data = item.data
    keys = data["rest"] if data.keys() == _REST else held_keys(data)
    return (item.dialect, item.kind, path, *keys)


def _is_event_name(kind: Json) -> bool:
    """Tell whether an event of that type may stand anywhere in a stream."""
    return kind.__class__ is str and kind not in _GRAMMAR and len(kind.splitlines()) == 1


def _as_delta(event: PartDelta) -> Delta:
    """Return a whole part as the delta that builds it, where its blocks are built from deltas."""
    at, part = event.part_index, event.part
    match part:
        case TextPart():
            return TextDelta(at, part.text, opaque=part.opaque, wire=event.wire)
        case ThinkingPart() if all(o.kind != REDACTED for o in part.opaque):
            return ThinkingDelta(at, part.text, part.opaque, event.wire)
        case RefusalPart():
            return RefusalDelta(at, part.text, opaque=part.opaque, wire=event.wire)
        case AudioPart() if part.transcript is not None:
            return AudioDelta(at, "", part.transcript, opaque=part.opaque, wire=event.wire)
        case CitationPart():
            return CitationDelta(at, part, wire=event.wire)
        case ToolCallPart():
            text = part.text if part.text is not None else _argument_text(part)
            return ToolCallDelta(
                at, text, part.id, part.name, part.kind, part.namespace, part.opaque, event.wire
            )
        case BuiltinCallPart():
            text = dumps(part.input) if part.input else ""
            return BuiltinCallDelta(
                at, text, part.id, part.name, part.status, part.opaque, event.wire
            )
        case _:
            return event


def _argument_text(part: ToolCallPart) -> str:
    if isinstance(part.input, str):
        return part.input
    return dumps(part.input) if part.input else ""


def stream_encoder(request: Request, stamp: Stamp) -> Encoder:
    return Encoder(stamp)
