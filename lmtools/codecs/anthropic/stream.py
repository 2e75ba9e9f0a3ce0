"""Streamed answers of the Messages API, read: frames to events.

::

    message_start {message}                                  Start
    content_block_start {index, content_block}               the first delta of a part
    content_block_delta {index, delta}                       a delta
    content_block_stop {index}                               PartEnd
    message_delta {delta: {stop_reason ...}, usage}          held until
    message_stop                                             End
    ping, and types of tomorrow                              OpaqueDelta
    error {error}                                            StreamError

Usage is cumulative. An answer is whole at ``message_stop`` and not before: a connection that ends
after the stop reason was still cut. What a frame holds beside goes into ``wire`` (kinds ``frame``
for the frame, ``delta`` for the object inside it); what the content block holds belongs to the
part.

The first delta of a part has what the block's start held. Usually that is no text; the note
``inline`` in its frame tells that it was, and ``explicit`` that an empty signature came in a frame
of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ...errors import ProtocolError, RequestError
from ...sse import SSEEvent
from ...types import (
    BuiltinCallDelta,
    BuiltinCallPart,
    CitationDelta,
    CitationPart,
    End,
    Event,
    Json,
    JsonObject,
    Opaque,
    OpaqueDelta,
    OpaquePart,
    Part,
    PartDelta,
    PartEnd,
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
from ..base import Loss, Losses, Target
from ..custom_tools import InputReader
from ..fields import Fields
from ..learned import Place, Repeats
from ..text import dumps, loads
from .content import parse_block, parse_citation, signature_state
from .errors import parse_error_event, plain_message
from .responses import MESSAGE_KEYS, NULLABLE_KEYS, reading_for, take_constants, take_nulls
from .spelling import NAME, REDACTED, SIGNATURE
from .usage import CARRIED_COUNTS, absent_keys, add_cached, parse_stop_reason, parse_usage

_END_KEYS = ("stop_reason", "stop_sequence", "stop_details")


def extra(fields: Fields, kind: str, notes: JsonObject | None = None) -> tuple[Opaque, ...]:
    """Return what a frame holds beside its fields. The order of keys is not kept in streams."""
    data: JsonObject = dict(notes) if notes else {}
    if fields.rest:
        data["rest"] = fields.rest
    return (Opaque(NAME, kind, data),) if data else ()


#: delta type -> (the kind of block it stands in, its key, the event).
_PLAIN_DELTAS: dict[str, tuple[str, str, Callable[[int, str], Event]]] = {
    "text_delta": ("text", "text", TextDelta),
    "thinking_delta": ("thinking", "thinking", ThinkingDelta),
    "input_json_delta": ("call", "partial_json", ToolCallDelta),
}


def _at(key: str) -> tuple[tuple[str, Place]]:
    return ((key, lambda frame: frame["delta"][key]),)


#: Where the text of an event stands. What the decoder remembers of such a frame may not
#: depend on that text, since ``Repeats`` may read the next one.
_PLACES: dict[type, tuple[tuple[str, Place], ...]] = {
    TextDelta: _at("text"),
    ThinkingDelta: _at("thinking"),
    ToolCallDelta: _at("partial_json"),
}


class _Block:
    """A content block that was started. ``kind`` says which deltas it takes."""

    __slots__ = ("frames", "is_signed", "kind", "part_index", "reader")

    def __init__(self, kind: str, part_index: int) -> None:
        self.kind = kind
        self.part_index = part_index
        self.is_signed = False
        self.reader: InputReader | None = None
        self.frames: list[JsonObject] = []


class Decoder:
    """Frames in, events out. ``losses`` are frames that the order of a stream does not allow."""

    def __init__(self, request: Request, target: Target) -> None:
        self.losses: Losses = []
        self._reading = reading_for(request, target)
        self._blocks: dict[int, _Block] = {}
        self._count = 0
        self._early: list[Event] = []
        self._is_started = False
        self._is_ended = False
        self._has_calls = False
        self._first_usage = Usage()
        self._end: End | None = None
        self._last_delta: JsonObject = {}
        self._earlier: list[JsonObject] = []
        self._repeats = Repeats(_PLACES)

    def decode(self, frame: SSEEvent) -> list[Event]:
        if self._is_ended:
            return []
        again = self._repeats.event(frame)
        if again is not None:
            return [again]
        if not frame.data or frame.data == "[DONE]":
            return []
        try:
            body = loads(frame.data)
            if body.__class__ is not dict:
                raise ProtocolError("a stream event is an object")
            events = self._event(body, frame.event)
            self._repeats.learn(frame, events)
            return events
        except (ProtocolError, RequestError) as error:
            return self._fail(frame, error)

    def _event(self, body: JsonObject, name: str | None) -> list[Event]:
        kind = body.get("type")
        if kind.__class__ is not str:
            kind = name or ""
        if kind == "content_block_delta" and len(body) == 3:
            plain = self._plain_delta(body)
            if plain is not None:
                return plain
        handler = _HANDLERS.get(kind)
        if handler is not None:
            fields = Fields(body, "")
            fields.rest.pop("type", None)
            return handler(self, fields)
        if kind == "error" or name == "error" or body.get("error"):
            self._is_ended = True
            return [parse_error_event(body)]
        return self._after_start(
            [OpaqueDelta(Opaque(NAME, kind if kind == "ping" else "event", body))]
        )

    def _plain_delta(self, body: JsonObject) -> list[Event] | None:
        """Return the delta of a frame that holds one and nothing else; None when more is to see.

        Nine tenths of a stream are such frames, and these few looks are all the checks they need.
        """
        delta, index = body.get("delta"), body.get("index")
        if delta.__class__ is not dict or index.__class__ is not int or len(delta) != 2:
            return None
        word = delta.get("type")
        plain = _PLAIN_DELTAS.get(word) if word.__class__ is str else None
        block = self._blocks.get(index)
        if plain is None or block is None:
            return None
        kind, key, make = plain
        text = delta.get(key)
        if block.kind != kind or block.reader is not None or text.__class__ is not str:
            return None
        return [make(block.part_index, text)]

    def _fail(self, frame: SSEEvent, error: Exception) -> list[Event]:
        self._is_ended = True
        if frame.event == "error":
            return [StreamError("provider", plain_message(frame.data) or "an error without a word")]
        return [StreamError("protocol", f"anthropic: not a stream event: {error}")]

    def _after_start(self, events: list[Event]) -> list[Event]:
        """Hold what came too early: a stream begins with its start."""
        if self._is_started:
            return events
        self._early += events
        return []

    def _begin(self, start: Start) -> list[Event]:
        self._is_started = True
        events, self._early = [start, *self._early], []
        return events

    def _started(self) -> list[Event]:
        """Return the start that the server forgot."""
        return [] if self._is_started else self._begin(Start())

    def _message_start(self, fields: Fields) -> list[Event]:
        if self._is_started:
            self.losses.append(Loss("start", "dropped", "a stream has one start"))
            return []
        value = fields.object("message")
        message = Fields({} if value is None else value, "message")
        notes = absent_keys(message, NULLABLE_KEYS)
        take_constants(message)
        id, model = message.text("id"), message.text("model")
        if message.rest.get("content") == []:
            del message.rest["content"]
        finish, _ = parse_stop_reason(message, False)
        if finish is not None:
            message.rest["stop_reason"] = (value or {})["stop_reason"]
        take_nulls(message)
        counts, tier = message.object("usage"), None
        if counts is not None:
            self._first_usage, tier = parse_usage(counts, "message.usage")
        return self._begin(
            Start(
                id,
                model,
                usage=self._first_usage,
                service_tier=tier,
                opaque=message.kept(NAME, "message", MESSAGE_KEYS, notes),
                wire=extra(fields, "frame"),
            )
        )

    def _open(self, index: int | None, kind: str) -> _Block:
        block = _Block(kind, self._count)
        self._count += 1
        self._blocks[-1 if index is None else index] = block
        return block

    def _block_start(self, fields: Fields) -> list[Event]:
        events = self._started()
        index, content = fields.integer("index"), fields.object("content_block")
        if content is None:
            raise fields.missing("content_block", "an object")
        if content.get("type") == "compaction":
            block = self._open(index, "compaction")
            block.frames.append(
                {"type": "content_block_start", "content_block": content, **fields.rest}
            )
            return events
        part, *cited = parse_block(content, f"content[{self._count}]", self._reading)
        return [*events, *self._first_delta(part, cited, index, fields)]

    def _first_delta(
        self, part: Part, cited: list[Part], index: int | None, fields: Fields
    ) -> list[Event]:
        match part:
            case TextPart():
                at = self._open(index, "text").part_index
                wire = extra(fields, "frame", {"inline": True} if part.text else None)
                first: Event = TextDelta(at, part.text, opaque=part.opaque, wire=wire)
                more = [CitationDelta(at, c) for c in cited if isinstance(c, CitationPart)]
                return [first, *more]
            case ThinkingPart() if not any(o.kind == REDACTED for o in part.opaque):
                return [self._first_thinking(part, index, fields)]
            case ToolCallPart():
                return [self._first_call(part, index, fields)]
            case BuiltinCallPart():
                at = self._open(index, "builtin").part_index
                text = dumps(part.input) if part.input else ""
                wire = extra(fields, "frame", {"inline": True} if text else None)
                return [BuiltinCallDelta(at, text, part.id, part.name, None, part.opaque, wire)]
            case _:
                at = self._open(index, "part").part_index
                return [PartDelta(at, part, wire=extra(fields, "frame"))]

    def _first_thinking(self, part: ThinkingPart, index: int | None, fields: Fields) -> Event:
        block = self._open(index, "thinking")
        # The start's empty signature is the place for the one that comes in a delta.
        state = [o for o in part.opaque if o.kind != SIGNATURE or o.data["signature"]]
        block.is_signed = any(o.kind == SIGNATURE for o in state)
        notes = {"inline": True} if part.text or block.is_signed else None
        return ThinkingDelta(
            block.part_index, part.text, tuple(state), extra(fields, "frame", notes)
        )

    def _first_call(self, part: ToolCallPart, index: int | None, fields: Fields) -> Event:
        self._has_calls = True
        block = self._open(index, "call")
        text = ""
        if part.kind == "custom":
            block.reader = InputReader()
            text = part.input if part.input != "{}" else ""
        elif part.input:
            text = dumps(part.input)
        return ToolCallDelta(
            block.part_index,
            text,
            part.id,
            part.name,
            part.kind,
            part.namespace,
            part.opaque,
            extra(fields, "frame", {"inline": True} if text else None),
        )

    def _block_delta(self, fields: Fields) -> list[Event]:
        events = self._started()
        index, value = fields.integer("index"), fields.object("delta")
        delta = Fields({} if value is None else value, "delta")
        kind = delta.rest.pop("type", None)
        match kind:
            case "text_delta":
                at = self._taking(index, "text").part_index
                events.append(TextDelta(at, delta.required_text("text"), wire=_wire(fields, delta)))
            case "thinking_delta":
                at = self._taking(index, "thinking").part_index
                text = delta.required_text("thinking")
                events.append(ThinkingDelta(at, text, wire=_wire(fields, delta)))
            case "signature_delta":
                events.append(self._signature(index, fields, delta))
            case "input_json_delta":
                events += self._input(index, fields, delta)
            case "citations_delta":
                at = self._taking(index, "text").part_index
                citation = parse_citation(delta.object("citation"), "delta.citation")
                events.append(CitationDelta(at, citation, wire=_wire(fields, delta)))
            case _:
                events += self._unknown_delta(index, fields, value)
        return events

    def _taking(self, index: int | None, kind: str) -> _Block:
        """Return the block that takes deltas of this kind; a new one where its start is missing."""
        block = self._blocks.get(-1 if index is None else index)
        return block if block is not None and block.kind == kind else self._open(index, kind)

    def _signature(self, index: int | None, fields: Fields, delta: Fields) -> Event:
        block = self._taking(index, "thinking")
        block.is_signed = True
        signature = delta.required_text("signature")
        wire = _wire(fields, delta)
        if not signature:
            wire = (*wire, Opaque(NAME, "signature_frame", {"explicit": True}))
        state = signature_state(signature, self._reading.origin)
        return ThinkingDelta(block.part_index, "", (state,), wire)

    def _input(self, index: int | None, fields: Fields, delta: Fields) -> list[Event]:
        block = self._blocks.get(-1 if index is None else index)
        text = delta.required_text("partial_json")
        if block is None or block.kind not in ("call", "builtin"):
            raise ProtocolError("arguments of a call that was not started")
        wire = _wire(fields, delta)
        if block.kind == "builtin":
            return [BuiltinCallDelta(block.part_index, text, wire=wire)]
        if block.reader is None:
            return [ToolCallDelta(block.part_index, text, wire=wire)]
        text = block.reader.feed(text)
        return [ToolCallDelta(block.part_index, text, kind="custom", wire=wire)] if text else []

    def _unknown_delta(self, index: int | None, fields: Fields, delta: Json) -> list[Event]:
        block = self._blocks.get(-1 if index is None else index)
        if block is not None and block.kind == "compaction":
            block.frames.append({"type": "content_block_delta", "delta": delta, **fields.rest})
            return []
        data: JsonObject = {"delta": delta, **({"rest": fields.rest} if fields.rest else {})}
        at = None if block is None else block.part_index
        return [OpaqueDelta(Opaque(NAME, "delta", data), at)]

    def _block_stop(self, fields: Fields) -> list[Event]:
        index = fields.integer("index")
        block = self._blocks.pop(-1 if index is None else index, None)
        if block is None:
            self.losses.append(Loss("part", "dropped", "the end of a block that was not started"))
            return []
        return [*self._rest_of(block), PartEnd(block.part_index, wire=extra(fields, "frame"))]

    def _rest_of(self, block: _Block) -> list[Event]:
        """Return what a block held back until its end."""
        if block.reader is not None:
            text = block.reader.close()
            return [ToolCallDelta(block.part_index, text, kind="custom")] if text else []
        if block.kind == "thinking" and not block.is_signed:
            # As a whole answer has it: thinking that its server did not sign, which it takes back
            # so.
            state = signature_state("", self._reading.origin)
            return [ThinkingDelta(block.part_index, "", (state,))]
        return [_compaction(block)] if block.kind == "compaction" else []

    def _message_delta(self, fields: Fields) -> list[Event]:
        events = self._started()
        if self._end is not None:
            self._earlier.append(self._last_delta)
        self._last_delta = {"type": "message_delta", **fields.rest}
        value, counts = fields.object("delta"), fields.object("usage")
        delta = Fields({} if value is None else value, "delta")
        notes = absent_keys(delta, _END_KEYS)
        finish, stop_note = parse_stop_reason(delta, self._has_calls)
        stop_sequence = delta.text("stop_sequence")
        take_nulls(delta)
        usage, tier = Usage(), None
        if counts is not None:
            usage, tier = parse_usage(counts, "usage", at_end=True)
            whole = add_cached(usage.input_tokens, usage, self._first_usage)
            usage = replace(usage, input_tokens=whole)
            if tier is not None:
                stop_note |= {"tier": True}
        end = End(
            finish,
            usage,
            stop_sequence,
            tier,
            (
                *delta.kept(NAME, "end", _END_KEYS, notes | stop_note),
                *extra(fields, "message_delta", {"absent": ["usage"]} if counts is None else None),
            ),
        )
        self._end = end if self._end is None else _joined(self._end, end)
        return events

    def _message_stop(self, fields: Fields) -> list[Event]:
        events = self._started()
        for block in self._blocks.values():
            events += self._rest_of(block)
        self._is_ended = True
        if self._end is None and not self._count:
            return [StreamError("truncated", "anthropic: message_stop with nothing said before it")]
        end = End() if self._end is None else self._end
        wire = extra(fields, "frame")
        if self._earlier:
            wire = (*wire, Opaque(NAME, "earlier", {"frames": self._earlier}))
        return [*events, replace(end, wire=wire) if wire else end]

    def close(self) -> list[Event]:
        """Return the error of a stream that was cut, nothing after its end."""
        if self._is_ended:
            return []
        self._is_ended = True
        return [StreamError("truncated", "anthropic: the stream ended before message_stop")]


def _wire(fields: Fields, delta: Fields) -> tuple[Opaque, ...]:
    return (*extra(fields, "frame"), *extra(delta, "delta"))


def _compaction(block: _Block) -> Event:
    """Return the block that its start and deltas make; its frames go along for the same dialect."""
    merged: JsonObject = dict(block.frames[0]["content_block"])
    for frame in block.frames[1:]:
        delta = frame["delta"]
        for key, value in delta.items() if isinstance(delta, dict) else ():
            held = merged.get(key)
            if key != "type":
                is_more = isinstance(held, str) and isinstance(value, str)
                merged[key] = held + value if is_more else value
    part = OpaquePart(Opaque(NAME, "block", {"rest": merged, "keys": list(merged)}))
    return PartDelta(
        block.part_index, part, wire=(Opaque(NAME, "frames", {"frames": block.frames}),)
    )


def _joined(first: End, then: End) -> End:
    """Return the end that two message_delta frames make; the later one's counts and words win."""
    counts = {
        name: getattr(first.usage, name)
        for name in CARRIED_COUNTS
        if getattr(then.usage, name) is None
    }
    return replace(
        then,
        finish=then.finish or first.finish,
        stop_sequence=then.stop_sequence or first.stop_sequence,
        usage=replace(then.usage, **counts),
    )


_HANDLERS: dict[str, Callable[[Decoder, Fields], list[Event]]] = {
    "message_start": Decoder._message_start,
    "content_block_start": Decoder._block_start,
    "content_block_delta": Decoder._block_delta,
    "content_block_stop": Decoder._block_stop,
    "message_delta": Decoder._message_delta,
    "message_stop": Decoder._message_stop,
}


def stream_decoder(request: Request, target: Target) -> Decoder:
    return Decoder(request, target)
