"""Driving codecs: what a client and a server do with them, without sockets, for the laws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lmtools.codecs.base import Codec, Incoming, Loss, Rendered, Stamp, Target
from lmtools.sse import SSEDecoder, SSEEvent
from lmtools.types import Event, Message, Request, Response

from .corpus import Case

#: Codecs by dialect. A law takes them as an argument, so that a test can hand it a broken one.
Codecs = Mapping[str, Codec]

STAMP_ID = "stamp-0001"
CREATED = 1700000000


def target(dialect: str) -> Target:
    """Return a server of the dialect that takes everything as sent."""
    return Target(dialect=dialect)


def parse_request(codec: Codec, case: Case, body: object = None) -> Request:
    wire = case.request if body is None else body
    return codec.parse_request(Incoming(wire, headers=case.headers))


def asked(codec: Codec, case: Case) -> Request:
    """Return the request that a response or a stream answers.

    Where the case gives none: one that asks for usage exactly when the stream has it.
    """
    if case.request is not None and case.kind != "request":
        return parse_request(codec, case)
    messages = (Message.user("Hello"),)
    if case.kind != "stream":
        return Request("model", messages)
    return Request("model", messages, stream=True, include_usage=has_usage(case))


def has_usage(case: Case) -> bool:
    return b'"usage":{' in case.stream.replace(b" ", b"")


def stamp(model: str) -> Stamp:
    return Stamp(STAMP_ID, CREATED, model, input_tokens=7)


def parse_response(codec: Codec, case: Case, body: object = None) -> Response:
    wire = case.body if body is None else body
    return codec.parse_response(wire, asked(codec, case), target(case.dialect))


def render_response(codec: Codec, case: Case, response: Response) -> Rendered:
    return codec.render_response(response, asked(codec, case), stamp(response.model))


def frames_of(chunks: Iterable[bytes]) -> list[SSEEvent]:
    decoder = SSEDecoder()
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)]
    return [*frames, *decoder.close()]


def decode_frames(codec: Codec, frames: Iterable[SSEEvent], request: Request) -> list[Event]:
    decoder = codec.stream_decoder(request, target(codec.NAME))
    events = [event for frame in frames for event in decoder.decode(frame)]
    return [*events, *decoder.close()]


def decode(codec: Codec, chunks: Iterable[bytes], request: Request) -> list[Event]:
    """Return the events of a stream's bytes, as a client reads them."""
    return decode_frames(codec, frames_of(chunks), request)


def encode(
    codec: Codec, events: Iterable[Event], request: Request, model: str, ping_at: int | None = None
) -> tuple[bytes, list[Loss]]:
    """Return the bytes that a server sends for these events, and its losses.

    ``ping_at`` sends a ping before that event.
    """
    encoder = codec.stream_encoder(request, stamp(model))
    out = bytearray()
    for i, event in enumerate(events):
        if i == ping_at:
            out += encoder.ping()
        out += encoder.encode(event)
    out += encoder.close()
    return bytes(out), encoder.losses
