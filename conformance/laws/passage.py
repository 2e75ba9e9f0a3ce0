"""L9: what the proxy's fast path sends means the same as what the codec would send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lmtools.apiproxy import raw
from lmtools.codecs.base import Codec
from lmtools.codecs.passage import EventBytes, Renamer, passage_named, rename_answer
from lmtools.providers import Backend, loopback
from lmtools.types import End, Event, StreamError, response_from_events

from .. import canonical, exchange, trees
from ..corpus import Case
from ..exchange import Codecs

OTHER_MODEL = 'another "model" \u2013 longer'
_BLANK_LINES = (b"\n\n", b"\n\r\n", b"\r\r", b"\r\r\n")
_WIRES = {"anthropic": "anthropic", "openai_chat": "openai-chat"}


def raw_is_codec(case: Case, codecs: Codecs) -> Iterator[str]:
    """The bytes that go on are the bytes that came, and mean what the codec would have said."""
    codec = codecs[case.dialect]
    if case.kind == "request":
        for spelled in spellings(case.request):
            yield from _request(case, codec, spelled)
    elif case.kind == "response":
        for spelled in spellings(case.body):
            yield from _answer(case, codec, spelled)
    else:
        yield from _stream(case, codec)


def spellings(body: Any) -> Iterator[bytes]:
    """Yield the same JSON as clients of several makes write it."""
    yield json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    yield json.dumps(body).encode()
    yield b"\r\n\t " + json.dumps(body, indent=1).encode() + b"\n"


def backend(dialect: str, **manners: Any) -> Backend:
    """Return a server of the dialect that takes everything as sent, ``manners`` aside."""
    row = loopback(_WIRES[dialect])
    return Backend(replace(row, manners=manners), "http://passage.invalid/v1")


# Requests


def _request(case: Case, codec: Codec, body: bytes) -> Iterator[str]:
    server = backend(case.dialect)
    same = raw.look(body, case.dialect, server, str)
    if isinstance(same, raw.Left):
        return  # it goes through the codec
    if same.body != body:
        yield "the bytes changed, with nothing to change"
    yield from _means(case, codec, same, ordered=True)
    other = raw.look(body, case.dialect, server, lambda _: OTHER_MODEL)
    assert isinstance(other, raw.Passing)
    yield from _means(case, codec, other, ordered=True)
    yield from _one_span(body, other.body, case.request["model"] if case.request else "")
    if case.dialect == "openai_chat":
        for name in passage_named(case.dialect).limits:
            limited = raw.look(body, case.dialect, backend(case.dialect, limits_field=name), str)
            if isinstance(limited, raw.Passing):
                yield from _means(case, codec, limited, ordered=False)


def _means(case: Case, codec: Codec, passing: raw.Passing, *, ordered: bool) -> Iterator[str]:
    request = replace(exchange.parse_request(codec, case), model=passing.sent_model)
    rendered = codec.render_request(request, passing.target).body
    sent = json.loads(passing.body)
    # A new name of a field has no place of its own among the keys.
    found = trees.first_difference(rendered, sent) if ordered or rendered != sent else None
    if found:
        yield f"sent raw, unlike the codec: {found}"


def _one_span(before: bytes, after: bytes, model: str) -> Iterator[str]:
    """The texts differ in the model's value, and nowhere else."""
    for old in (json.dumps(model), json.dumps(model, ensure_ascii=False)):
        start = _common(before, after)
        end = min(_common(before[::-1], after[::-1]), len(before) - start)
        if len(before) - start - end <= len(old.encode()):
            return
    yield "more than the model's value changed"


def _common(one: bytes, other: bytes) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


# Answers


def _answer(case: Case, codec: Codec, body: bytes) -> Iterator[str]:
    response = exchange.parse_response(codec, case)
    stamp = exchange.stamp(OTHER_MODEL)
    rendered = codec.render_response(response, exchange.asked(codec, case), stamp).body
    sent = rename_answer(body, OTHER_MODEL)
    found = trees.first_difference(rendered, json.loads(sent))
    if found:
        yield f"answered raw, unlike the codec: {found}"
    yield from _one_span(body, sent, str(case.body.get("model")))


def _stream(case: Case, codec: Codec) -> Iterator[str]:
    request = exchange.asked(codec, case)
    passage = passage_named(case.dialect)
    whole, last = _through(EventBytes(), case.stream, len(case.stream) or 1)
    for size in (1, 7, 512):
        if _through(EventBytes(), case.stream, size) != (whole, last):
            yield f"events depend on how the bytes come ({size} at a time)"
    reader = EventBytes()
    blocks = [reader.feed(case.stream[at : at + 7]) for at in range(0, len(case.stream), 7)]
    if not all(block.endswith(_BLANK_LINES) for block in blocks if block):
        yield "an event is cut where the bytes came apart"
    if not case.stream.startswith(whole):
        yield "bytes of the stream changed"
    events = exchange.decode(codec, [whole + last], request)
    renamer = Renamer(passage, OTHER_MODEL)
    renamed = b"".join(renamer.rename(event) for event in (*_events(whole), last))
    yield from _same_meaning(codec, case, events, exchange.decode(codec, [renamed], request))
    yield from _heard(case, codec, whole + last, events)


def _through(events: EventBytes, stream: bytes, size: int) -> tuple[bytes, bytes]:
    parts = [events.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    return b"".join(parts), events.close()


def _events(stream: bytes) -> Iterator[bytes]:
    reader = EventBytes()
    for at in range(len(stream)):
        event = reader.feed(stream[at : at + 1])
        if event:
            yield event


def _same_meaning(
    codec: Codec, case: Case, events: list[Event], renamed: list[Event]
) -> Iterator[str]:
    if isinstance(events[-1], StreamError):
        if _known(events[-1]) != _known(renamed[-1]):
            yield f"{events[-1]!r:.200} became {renamed[-1]!r:.200}"
        return
    request = exchange.asked(codec, case)
    by_codec, _ = exchange.encode(codec, events, request, OTHER_MODEL)
    one = response_from_events(exchange.decode(codec, [by_codec], request))
    other = response_from_events(renamed)
    if case.lawful and one.model != other.model:
        yield f"model: {other.model!r} instead of {one.model!r}"
    for path in canonical.differences(response_from_events(events), other, opaque=True):
        if path != "model":
            yield f"{path}: differs once the model was renamed"
    for path in canonical.differences(one, other, opaque=True):
        if case.lawful and path not in ("id", "created", "model"):
            yield f"{path}: differs from what the codec sends"


def _heard(case: Case, codec: Codec, stream: bytes, events: list[Event]) -> Iterator[str]:
    """A decoder that is spared the plain events knows the same end and usage."""
    is_plain = passage_named(case.dialect).is_plain
    rest = b"".join(event for event in _events(stream) if not is_plain(event))
    heard = exchange.decode(codec, [rest], exchange.asked(codec, case))
    before, after = _ends(events), _ends(heard)
    if before != after:
        yield f"spared the plain events, a listener hears {after!r:.200}, not {before!r:.200}"


def _ends(events: list[Event]) -> list[tuple[Any, ...]]:
    return [_known(event) for event in events if isinstance(event, (End, StreamError))]


def _known(event: Any) -> tuple[Any, ...]:
    words = (getattr(event, name, None) for name in ("usage", "code", "message"))
    return (event.type, *words)
