"""L2, L3, L4, L5, L7 and L10: what streams keep."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from lmtools.codecs.base import Codec, Loss, StreamDecoder
from lmtools.sse import SSEDecoder, SSEEvent
from lmtools.types import (
    BuiltinCallDelta,
    End,
    Event,
    Message,
    Request,
    Response,
    Start,
    StreamError,
    ToolCallDelta,
    events_from_response,
    response_from_events,
)

from .. import automata, canonical, exchange, sequences
from ..corpus import Case
from ..exchange import Codecs
from .bodies import KEY, planted

#: Above this many bytes, offsets are taken around frame boundaries and sampled within frames.
LONG = 8192


def model_of(events: Iterable[Event]) -> str:
    """Return the model that a stream names, so that re-encoding names the same."""
    return next((e.model for e in events if isinstance(e, Start) and e.model), "model")


# --- L2: what a stream says is said again


def said_again(case: Case, codecs: Codecs) -> Iterator[str]:
    """Decoded, encoded and decoded again, a stream gives the same answer, opaque data included."""
    codec, request = codecs[case.dialect], exchange.asked(codecs[case.dialect], case)
    events = exchange.decode(codec, [case.stream], request)
    again, losses = exchange.encode(codec, events, request, model_of(events))
    for loss in losses if case.lawful else ():
        yield f"{loss.path}: a loss on the way back to the same dialect ({loss.action})"
    repeated = exchange.decode(codec, [again], request)
    if isinstance(events[-1], StreamError):
        if not _same_error(events[-1], repeated[-1]):
            yield f"{events[-1]!r:.200} became {repeated[-1]!r:.200}"
        return
    before, after = response_from_events(events), response_from_events(repeated)
    for path in canonical.differences(before, after, opaque=True):
        # What a server sent against the grammar is put right, and named where content changes.
        mended = path in ("id", "created", "model") or canonical.covered(path, losses)
        if case.lawful or not mended:
            yield f"{path}: differs after decode, encode, decode"


def _same_error(one: StreamError, other: Event) -> bool:
    """What this side noticed itself (a cut, broken bytes) has no word of its own in the dialect."""
    if one.code in _CUT_CODES:
        return isinstance(other, StreamError) and one.message in other.message
    return one == other


# --- L3: unknown keys in events


def unknown_keys(case: Case, codecs: Codecs) -> Iterator[str]:
    """A new key in every object of every event comes out of decode and encode of the same dialect."""
    forms: tuple[Callable[[int], Any], ...] = (
        lambda n: f"unknown-{n}-",
        lambda n: {"number": f"unknown-{n}-"},
    )
    for form in forms:
        yield from _keys_kept(case, codecs[case.dialect], form)


def _keys_kept(case: Case, codec: Codec, form: Callable[[int], Any]) -> Iterator[str]:
    request = exchange.asked(codec, case)
    frames, planted_in = _planted_frames(exchange.frames_of([case.stream]), form)
    events = exchange.decode_frames(codec, frames, request)
    if isinstance(events[-1], StreamError) and events[-1].code in _CUT_CODES:
        return  # what stood behind the last whole event is not the codec's to repeat
    out, losses = exchange.encode(codec, events, request, model_of(events))
    text = out.decode()
    for number, frame in enumerate(planted_in):
        key, value = _new_key(number, form)
        if f'"{key}":{_compact(value)}' not in text:
            yield f"{key}, new in {frame.data:.160}, is gone"
    for loss in losses:
        yield f"{loss.path}: a loss on the way back to the same dialect ({loss.action})"


def _new_key(number: int, form: Callable[[int], Any]) -> tuple[str, Any]:
    """Return a key of its own: two events may build one object, in which the later of two equal keys stands."""
    return f"{KEY}_{number}", form(number)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _planted_frames(
    frames: list[SSEEvent], form: Callable[[int], Any]
) -> tuple[list[SSEEvent], list[SSEEvent]]:
    """Return the frames with new keys, and for each new key the frame that it went into."""
    out: list[SSEEvent] = []
    planted_in: list[SSEEvent] = []
    for frame in frames:
        data = _json_or_none(frame.data)
        if not isinstance(data, dict):
            out.append(frame)
            continue

        def new(_: int, frame: SSEEvent = frame) -> tuple[str, Any]:
            planted_in.append(frame)
            return _new_key(len(planted_in) - 1, form)

        out.append(SSEEvent(frame.event, _compact(_planted_event(data, new))))
    return out, planted_in


def _planted_event(data: dict[str, Any], new: Callable[[int], tuple[str, Any]]) -> dict[str, Any]:
    block = data.get("content_block")
    if not isinstance(block, dict) or not isinstance(block.get("input"), dict):
        return planted(data, new)  # type: ignore[no-any-return]
    # The input of a call is the caller's own JSON, which the deltas that follow replace.
    held = planted({**data, "content_block": {**block, "input": None}}, new)
    held["content_block"]["input"] = block["input"]
    return held  # type: ignore[no-any-return]


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


# --- L4: chunking


def chunking(case: Case, codecs: Codecs) -> Iterator[str]:
    """However the bytes are split, the events are the same."""
    codec, request = codecs[case.dialect], exchange.asked(codecs[case.dialect], case)
    whole = exchange.decode(codec, [case.stream], request)
    for size in (1, 2, 3, 7, 64):
        chunks = (case.stream[i : i + size] for i in range(0, len(case.stream), size))
        if exchange.decode(codec, chunks, request) != whole:
            yield f"chunks of {size} bytes give other events"
    yield from _split_frames(case.stream)


def _split_frames(stream: bytes) -> Iterator[str]:
    """Split at every byte. A decoder sees only frames, so what splits the same decodes the same.

    In a long stream each split is made within a window of frames: a split further away than a whole
    frame on either side meets the SSE decoder in the state of a frame boundary.
    """
    for start, end in _windows(stream):
        window = stream[start:end]
        whole = exchange.frames_of([window])
        for i in range(1, len(window)):
            if exchange.frames_of([window[:i], window[i:]]) != whole:
                yield f"split at byte {start + i} gives other frames"


def _windows(stream: bytes) -> Iterator[tuple[int, int]]:
    if len(stream) <= LONG:
        yield 0, len(stream)
        return
    ends = [0, *_boundaries(stream), len(stream)]
    for i in range(0, len(ends) - 1, 2):
        yield ends[i], ends[min(i + 3, len(ends) - 1)]


def _boundaries(stream: bytes) -> list[int]:
    """Return the offsets behind every blank line of an LF-framed stream."""
    found, at = [], stream.find(b"\n\n")
    while at >= 0:
        found.append(at + 2)
        at = stream.find(b"\n\n", at + 2)
    return found


# --- L5: stream = whole


def whole_streamed(case: Case, codecs: Codecs) -> Iterator[str]:
    """A response cut into events, encoded, decoded and assembled is the response; id and time aside.

    In another dialect it is what that dialect's whole answer would be.
    """
    response = exchange.parse_response(codecs[case.dialect], case)
    uncut = response_from_events(events_from_response(response))
    for path in canonical.differences(response, uncut, opaque=True):
        yield f"{path}: differs after events_from_response and response_from_events"
    counted = any(canonical.leaves(response.usage))
    asked = exchange.asked(codecs[case.dialect], case)
    request = replace(asked, stream=True, include_usage=counted)
    for name, codec in codecs.items():
        out, losses = exchange.encode(
            codec, events_from_response(response), request, response.model
        )
        back = response_from_events(exchange.decode(codec, [out], request))
        if name == case.dialect:
            yield from _unlike_whole(response, back, losses)
            yield from _state_kept(response, back)
        elif not _unparsed_arguments(response):
            # A stream sends arguments as they come; a whole answer can tell that they are no JSON.
            whole = _retold(codec, response, request)
            yield from (f"as {name}: {line}" for line in _unlike_whole(whole, back, ()))


def _retold(codec: Codec, response: Response, request: Request) -> Response:
    """Return what a client of another dialect reads of the whole answer."""
    rendered = codec.render_response(response, request, exchange.stamp(response.model))
    return codec.parse_response(rendered.body, request, exchange.target(codec.NAME))


def _unlike_whole(whole: Response, back: Response, losses: Iterable[Loss]) -> Iterator[str]:
    for path in canonical.differences(canonical.normal(whole), canonical.normal(back)):
        if path not in ("id", "created") and not canonical.covered(path, losses):
            yield f"{path}: differs in the stream of the same response"


def _unparsed_arguments(response: Response) -> bool:
    calls = canonical.normal(response).tool_calls
    return any(call.text is not None for call in calls)


def _state_kept(before: Response, after: Response) -> Iterator[str]:
    """Reasoning state is opaque, yet belongs to the answer."""
    for kind in ("signature", "redacted"):
        one, other = _state(before, kind), _state(after, kind)
        if one != other:
            yield f"{kind}: {one!r:.80} became {other!r:.80}"


def _state(response: Response, kind: str) -> list[Any]:
    return [o.data for p in response.message.parts for o in p.opaque if o.kind == kind]


def parity(case: Case, codecs: Codecs) -> Iterator[str]:
    """A captured stream and the captured whole answer to the same request have the same structure."""
    codec = codecs[case.dialect]
    request = exchange.asked(codec, case)
    response = codec.parse_response(case.body, request, exchange.target(case.dialect))
    events = exchange.decode(codec, [case.stream], request)
    assembled = response_from_events(events)
    for name, one, other in _structure(response, assembled):
        if one != other:
            yield f"{name}: {one} in the whole answer, {other} in the stream"


def _structure(one: Response, other: Response) -> Iterator[tuple[str, Any, Any]]:
    # Two samples of one model: whether a reason is given is structure, which one is not.
    yield "finish is given", one.finish is not None, other.finish is not None
    for name in ("model", "service_tier"):
        yield name, getattr(one, name), getattr(other, name)
    yield "parts", _types(one), _types(other)
    if other.usage.output_tokens is not None:  # Chat reports it in a stream only when asked
        yield "usage", _reported(one), _reported(other)


def _types(response: Response) -> list[str]:
    return [part.type for part in response.message.parts]


def _reported(response: Response) -> list[str]:
    return [str(path[0]) for path, _ in canonical.leaves(response.usage, opaque=False)]


# --- L7: truncation


def truncation(case: Case, codecs: Codecs) -> Iterator[str]:
    """Cut anywhere, a stream raises nothing and is not finished before its end marker."""
    codec, request = codecs[case.dialect], exchange.asked(codecs[case.dialect], case)
    for cut, marker_seen, events in _cuts(codec, request, case.stream):
        for problem in ending(events, marker_seen):
            yield f"cut at byte {cut} of {len(case.stream)}: {problem}"


def ending(events: list[Event], marker_seen: bool) -> Iterator[str]:
    """Yield what is wrong with the events of a cut stream."""
    if not events or not isinstance(events[-1], (End, StreamError)):
        yield f"the last event is {events[-1].type if events else 'nothing'}, no end and no error"
        return
    if sum(isinstance(event, (End, StreamError)) for event in events) != 1:
        yield "more than one end"
    if sum(isinstance(event, Start) for event in events) > 1:
        yield "more than one start"
    last = events[-1]
    if isinstance(last, End) and not marker_seen:
        yield "finished before the end marker"
    # Half a frame is not JSON: its reader may call that a breach of protocol, or see the cut.
    if isinstance(last, StreamError) and not marker_seen and last.code not in _CUT_CODES:
        yield f"error code {last.code!r} instead of 'truncated'"


_CUT_CODES = frozenset({"truncated", "protocol"})


def _cuts(codec: Codec, request: Request, stream: bytes) -> Iterator[tuple[int, bool, list[Event]]]:
    """Yield (offset, end marker or error seen, events that matter) for cuts of the stream.

    One decoder runs along the stream; at each cut a copy of it is closed, which is the same as
    decoding the cut stream from its start. Deltas before the end matter to no rule of ``ending``.
    """
    sse, target = SSEDecoder(), exchange.target(codec.NAME)
    decoder = codec.stream_decoder(request, target)
    shared = {id(value): value for value in (request, target)}  # frozen: copies may share them
    mattering: list[Event] = []
    marker = False
    for cut in range(len(stream)):
        if _wanted(stream, cut):
            tail, last_frames = _closed(sse, decoder, dict(shared))
            seen = marker or any(is_end_marker(codec.NAME, frame) for frame in last_frames)
            yield cut, seen, mattering + tail
        for frame in sse.feed(stream[cut : cut + 1]):
            marker = marker or is_end_marker(codec.NAME, frame)
            for event in decoder.decode(frame):
                ended = bool(mattering) and isinstance(mattering[-1], (End, StreamError))
                if ended or isinstance(event, (Start, End, StreamError)):
                    mattering.append(event)


def _wanted(stream: bytes, cut: int) -> bool:
    """Every offset of a short stream; of a long one those near a line's end, and every 97th."""
    return len(stream) <= LONG or cut % 97 == 0 or b"\n" in stream[cut - 2 : cut + 2]


def _closed(
    sse: SSEDecoder, decoder: StreamDecoder, shared: dict[int, Any]
) -> tuple[list[Event], list[SSEEvent]]:
    frames = copy.deepcopy(sse).close()
    decoder = copy.deepcopy(decoder, shared)
    events = [event for frame in frames for event in decoder.decode(frame)]
    return events + decoder.close(), frames


def is_end_marker(dialect: str, frame: SSEEvent) -> bool:
    """Tell whether a whole frame says that the answer is whole, or that it failed.

    Anthropic: message_stop. Chat: a finish reason; servers exist that never send [DONE].
    """
    data = _json_or_none(frame.data)
    if frame.event == "error":
        return True
    if not isinstance(data, dict):
        return frame.data == "[DONE]"
    if data.get("error"):
        return True
    if dialect == "anthropic":
        return data.get("type") == "message_stop"
    return any(c.get("finish_reason") for c in data.get("choices") or () if isinstance(c, dict))


# --- L10: grammar


def recorded_grammar(case: Case, _codecs: Codecs) -> Iterator[str]:
    """The automaton of the dialect accepts what the real server sent."""
    found = automata.breach(case.dialect, exchange.frames_of([case.stream]))
    if found:
        yield found


def grammar(case: Case, codecs: Codecs) -> Iterator[str]:
    """Every encoder makes a lawful stream of these events: whole, cut anywhere, and with pings."""
    codec = codecs[case.dialect]
    events = exchange.decode(codec, [case.stream], exchange.asked(codec, case))
    for name, sender in codecs.items():
        for label, variant in sequences.variants(events):
            for problem in encoded_breach(sender, variant):
                yield f"as {name}, {label}: {problem}"


def encoded_breach(codec: Codec, events: list[Event], ping_at: int | None = None) -> Iterator[str]:
    """Yield what is unlawful in the bytes that a codec makes of a sequence of events."""
    request = Request("model", (Message.user("Hello"),), stream=True, include_usage=True)
    out, _losses = exchange.encode(codec, events, request, "model", ping_at)
    frames = exchange.frames_of([out])
    found = automata.breach(codec.NAME, frames)
    if found:
        yield found
        return
    back = exchange.decode_frames(codec, frames, request)
    yield from _same_ending(events, back)


def _nameless(events: list[Event]) -> bool:
    """Tell whether a call never gets its name (before the end: what follows does not count)."""
    named: dict[int, bool] = {}
    for event in events:
        if isinstance(event, (End, StreamError)):
            break
        if isinstance(event, (ToolCallDelta, BuiltinCallDelta)):
            named[event.part_index] = named.get(event.part_index, False) or bool(event.name)
    return not all(named.values())


def _same_ending(events: list[Event], back: list[Event]) -> Iterator[str]:
    ends = [event for event in events if isinstance(event, (End, StreamError))]
    finished = bool(ends) and isinstance(ends[0], End)
    if _nameless(events):
        return  # a call that nobody can make: no grammar has a form for it but an error
    if finished != isinstance(back[-1], End):
        yield f"an ending of {ends[0].type if ends else 'nothing'} reads as {back[-1].type}"
