"""Between a stream's events and the whole answer, both ways.

``response_from_events(events_from_response(r)) == r`` for every answer that a model gives: an
assistant's message without a name, with logprobs that are None or not empty.

What assembly does with what a delta carries:

* fragments of the same ``part_index`` and kind are joined, once, at the end; parts stand in the
  order in which they first appeared, citations after the part that they belong to;
* a ``PartDelta`` is always a part of its own;
* the arguments of a call are kept exactly as ``text`` and parsed as ``input``; text that is no JSON
  object (cut, empty, a bare list) leaves ``input`` empty; the input of a custom call is its text;
* ``opaque`` of the pieces becomes one per owner (``merge_opaque``); ``wire`` and ``OpaqueDelta``
  belong to frames and end with them;
* of two reports of a count, the later stands (``Usage.updated``).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable, Iterator
from dataclasses import replace
from re import findall

from ..errors import LMError, ProtocolError, TruncatedError
from .events import (
    AudioDelta,
    BuiltinCallDelta,
    CitationDelta,
    End,
    Event,
    OpaqueDelta,
    PartDelta,
    PartEnd,
    RefusalDelta,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    to_exception,
)
from .json import Json, dumps, loads
from .opaque import Opaque, merge_opaque
from .parts import (
    AudioPart,
    BuiltinCallPart,
    CitationPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from .requests import Message
from .responses import Response, TokenLogprob, Usage

__all__ = ["Assembler", "as_delta", "events_from_response", "response_from_events"]

#: A delta that holds a fragment of a part.
Fragment = TextDelta | ThinkingDelta | RefusalDelta | ToolCallDelta | BuiltinCallDelta | AudioDelta


def response_from_events(events: Iterable[Event], model: str = "") -> Response:
    """Return the answer that a whole stream builds; errors as ``Assembler.response``."""
    assembler = Assembler()
    for event in events:
        assembler.feed(event)
    return assembler.response(model)


class Assembler:
    """Builds one answer from the events of one stream, in linear time."""

    __slots__ = ("_building", "_last", "_latest", "_logprobs", "_message", "_parts", "_start")

    def __init__(self) -> None:
        self._start: Start | None = None
        self._last: End | StreamError | None = None
        self._parts: list[_Building] = []
        self._building: dict[tuple[int, str], _Building] = {}
        self._latest: dict[int, _Building] = {}
        self._message: list[tuple[Opaque, ...]] = []
        self._logprobs: list[TokenLogprob] = []

    @property
    def done(self) -> bool:
        """Whether the last event of the stream has come."""
        return self._last is not None

    def feed(self, event: Event) -> None:
        """Take the next event; ProtocolError when the order of events is broken."""
        self._check_order(event)
        match event:
            case Start():
                self._start = event
            case End() | StreamError():
                self._last = event
            case PartDelta():
                self._add(event.part_index, _Building(event))
            case CitationDelta():
                self._cite(event)
            case PartEnd():
                self._end_part(event)
            case OpaqueDelta():
                pass  # it belongs to the stream, and not to the answer
            case _:
                self._feed_fragment(event)

    def response(self, model: str = "") -> Response:
        """Return the answer, of ``model`` if the stream did not name one.

        Raises TruncatedError when the end has not come, ProtocolError when a call has no name,
        and the ApiError of a ``StreamError``. Each holds what had come as ``partial``.
        """
        if self._last is None:
            raise self._failed(TruncatedError("the stream ended before its end marker"), model)
        if isinstance(self._last, StreamError):
            raise self._failed(_exception(self._last), model)
        for place, part in enumerate(self._parts):
            if part.nameless:
                broken = ProtocolError(f"part {place} of the answer is a call without a name")
                raise self._failed(broken, model)
        return self.partial(model)

    def partial(self, model: str = "") -> Response:
        """Return what has come so far: its last part may be cut, and ``finish`` is still None."""
        start = self._start or Start()
        end = self._last if isinstance(self._last, End) else End()
        parts = tuple(part for building in self._parts for part in building.parts())
        message = merge_opaque((start.message_opaque, *self._message))
        return Response(
            start.id,
            model if start.model is None else start.model,
            Message("assistant", parts, opaque=message),
            end.finish,
            start.usage.updated(end.usage),
            start.created,
            end.stop_sequence,
            start.service_tier if end.service_tier is None else end.service_tier,
            tuple(self._logprobs) or None,
            merge_opaque((start.opaque, end.opaque)),
        )

    def _failed(self, error: LMError, model: str = "") -> LMError:
        error.partial = self.partial(model)
        return error

    def _check_order(self, event: Event) -> None:
        if self._last is not None:
            raise self._failed(ProtocolError(f"event {event.type!r} after the end of the stream"))
        if isinstance(event, Start):
            if self._start is not None:
                raise self._failed(ProtocolError("the stream started twice"))
        elif self._start is None and not isinstance(event, StreamError):
            raise self._failed(
                ProtocolError(f"event {event.type!r} before the start of the stream")
            )

    def _add(self, index: int, building: _Building) -> _Building:
        self._parts.append(building)
        self._latest[index] = building
        return building

    def _feed_fragment(self, event: Fragment) -> None:
        if isinstance(event, TextDelta | RefusalDelta) and event.logprobs:
            self._logprobs.extend(event.logprobs)
            if not event.text and not event.opaque:
                return
        key = (event.part_index, event.type)
        building = self._building.get(key)
        if building is None:
            self._building[key] = self._add(event.part_index, _Building(event))
        else:
            building.fragments.append(event)
            building.opaque.append(event.opaque)

    def _cite(self, event: CitationDelta) -> None:
        """Put the citation after its part; one whose part never came stands alone."""
        building = self._latest.get(event.part_index)
        if building is None:
            building = self._add(event.part_index, _Building(None))
        building.citations.append(event.citation)
        building.opaque.append(event.opaque)

    def _end_part(self, event: PartEnd) -> None:
        """Keep what the end of a part says; of a part that never came, the message keeps it."""
        building = self._latest.get(event.part_index)
        (building.opaque if building else self._message).append(event.opaque)


class _Building:
    """One part under construction, with the citations that stand after it."""

    __slots__ = ("citations", "fragments", "opaque", "whole")

    def __init__(self, event: Fragment | PartDelta | None) -> None:
        self.whole: Part | None = None
        self.fragments: list[Fragment] = []
        self.citations: list[CitationPart] = []
        self.opaque: list[tuple[Opaque, ...]] = []
        if isinstance(event, PartDelta):
            self.whole = event.part
            self.opaque = [event.part.opaque, event.opaque]
        elif event is not None:
            self.fragments.append(event)
            self.opaque.append(event.opaque)

    @property
    def nameless(self) -> bool:
        """Whether this is a call whose name never came."""
        calls = [f for f in self.fragments if isinstance(f, ToolCallDelta | BuiltinCallDelta)]
        return bool(calls) and not any(call.name for call in calls)

    def parts(self) -> list[Part]:
        opaque = merge_opaque(self.opaque)
        if self.whole is not None:
            part = self.whole if opaque == self.whole.opaque else replace(self.whole, opaque=opaque)
            return [part, *self.citations]
        if self.fragments:
            return [_join(self.fragments, opaque), *self.citations]
        return list(self.citations)


def _join(fragments: list[Fragment], opaque: tuple[Opaque, ...]) -> Part:
    """Return the part of fragments that are all of one class, at least one."""
    match fragments[0]:
        case TextDelta():
            return TextPart(_text(fragments), opaque=opaque)
        case ThinkingDelta():
            return ThinkingPart(_text(fragments), opaque=opaque)
        case RefusalDelta():
            return RefusalPart(_text(fragments), opaque=opaque)
        case ToolCallDelta():
            return _tool_call([f for f in fragments if isinstance(f, ToolCallDelta)], opaque)
        case BuiltinCallDelta():
            return _builtin_call([f for f in fragments if isinstance(f, BuiltinCallDelta)], opaque)
        case AudioDelta():
            return _audio([f for f in fragments if isinstance(f, AudioDelta)], opaque)


def _text(fragments: list[Fragment]) -> str:
    return "".join([f.text for f in fragments if not isinstance(f, AudioDelta)])


def _tool_call(deltas: list[ToolCallDelta], opaque: tuple[Opaque, ...]) -> ToolCallPart:
    text, first = "".join([delta.text for delta in deltas]), deltas[0]
    return ToolCallPart(
        _first(delta.id for delta in deltas) or f"call_{first.part_index}",
        _first(delta.name for delta in deltas) or "",
        text if first.kind == "custom" else _object(text),
        text,
        first.kind,
        _first(delta.namespace for delta in deltas),
        opaque=opaque,
    )


def _builtin_call(deltas: list[BuiltinCallDelta], opaque: tuple[Opaque, ...]) -> BuiltinCallPart:
    text = "".join([delta.text for delta in deltas])
    return BuiltinCallPart(
        _first(delta.id for delta in deltas) or f"call_{deltas[0].part_index}",
        _first(delta.name for delta in deltas) or "",
        _value(text) if text else None,
        _first(delta.status for delta in reversed(deltas)),
        opaque=opaque,
    )


def _audio(deltas: list[AudioDelta], opaque: tuple[Opaque, ...]) -> AudioPart:
    return AudioPart(
        _first(delta.media_type for delta in deltas),
        data=_joined_base64("".join([delta.data for delta in deltas])),
        transcript="".join([delta.transcript for delta in deltas]) or None,
        opaque=opaque,
    )


def _joined_base64(data: str) -> str:
    """Return one base64 text from fragments: OpenAI pads each chunk of audio on its own."""
    if "=" not in data.rstrip("="):
        return data
    try:
        raw = b"".join(b64decode(piece, validate=True) for piece in findall("[^=]+=*", data))
    except Base64Error:
        return data
    return b64encode(raw).decode()


def _first(values: Iterable[str | None]) -> str | None:
    """Return the first value that says something."""
    return next((value for value in values if value), None)


def _object(text: str) -> Json:
    try:
        value = loads(text)
    except ProtocolError:
        return {}
    return value if value.__class__ is dict else {}


def _value(text: str) -> Json:
    """Return the JSON value of ``text``, or ``text`` itself where it is no JSON."""
    try:
        return loads(text)
    except ProtocolError:
        return text


def _exception(event: StreamError) -> LMError:
    """Return the event's exception; a cut is TruncatedError however it was noticed."""
    if event.code == "truncated":
        return TruncatedError(event.message, status=event.status, request_id=event.request_id)
    return to_exception(event)


def events_from_response(response: Response) -> Iterator[Event]:
    """Yield the events of a whole answer: each part in one delta, with its end.

    ``Start`` has the counts that are known before the first token. A part goes as fragments of its
    kind where those give the same part again, else as a ``PartDelta``: a call without argument
    text, a cache mark, empty thinking.
    """
    yield Start(
        response.id,
        response.model,
        response.created,
        _input_usage(response.usage),
        response.service_tier,
        opaque=response.opaque,
        message_opaque=response.message.opaque,
    )
    yield from _part_events(response.message.parts, response.logprobs or ())
    yield End(response.finish, response.usage, response.stop_sequence, response.service_tier)


def _part_events(parts: tuple[Part, ...], logprobs: tuple[TokenLogprob, ...]) -> Iterator[Event]:
    index, cited = -1, False
    for part in parts:
        if isinstance(part, CitationPart) and cited:
            yield CitationDelta(index, part)
            continue
        if index >= 0:
            yield PartEnd(index)
        index += 1
        cited = isinstance(part, TextPart)
        delta = _exact_delta(PartDelta(index, part))
        if logprobs and isinstance(delta, TextDelta | RefusalDelta) and delta.text:
            delta, logprobs = replace(delta, logprobs=logprobs), ()
        yield delta
    if index >= 0:
        yield PartEnd(index)
    if logprobs:
        yield TextDelta(index + 1, "", logprobs)


def _exact_delta(event: PartDelta) -> Event:
    """Return the fragment that builds the same part, or else the event itself."""
    delta = as_delta(event)
    if isinstance(delta, PartDelta) or _Building(delta).parts() != [event.part]:
        return event
    return delta


def as_delta(event: PartDelta) -> Fragment | PartDelta:
    """Return a whole part as one fragment of its kind, for encoders that know only those.

    Media, results, opaque blocks and thinking without text stay as they are. What no fragment can
    say is lost: cache marks, and that a call had no argument text of its own.
    """
    index, part, opaque = event.part_index, event.part, event.part.opaque + event.opaque
    match part:
        case TextPart():
            return TextDelta(index, part.text, opaque=opaque, wire=event.wire)
        case ThinkingPart() if part.text:
            return ThinkingDelta(index, part.text, opaque, event.wire)
        case RefusalPart():
            return RefusalDelta(index, part.text, opaque=opaque, wire=event.wire)
        case ToolCallPart(id=call, name=name, kind=kind, namespace=space):
            text = _argument_text(part)
            return ToolCallDelta(index, text, call, name, kind, space, opaque, event.wire)
        case BuiltinCallPart(id=call, name=name, status=status):
            text = "" if part.input is None else dumps(part.input)
            return BuiltinCallDelta(index, text, call, name, status, opaque, event.wire)
        case AudioPart(data=str(data), transcript=said, media_type=kind):
            return AudioDelta(index, data, said or "", kind, opaque, event.wire)
        case _:
            return event


def _argument_text(part: ToolCallPart) -> str:
    if part.text is not None:
        return part.text
    return part.input if isinstance(part.input, str) else dumps(part.input)


def _input_usage(usage: Usage) -> Usage:
    return Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        input_audio_tokens=usage.input_audio_tokens,
    )
