"""A call that is ready to be sent, and the stream of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .closing import Closing
from .codecs.base import Codec, Headers, Losses, StreamDecoder, Target
from .codecs.text import dumps, loads
from .errors import ApiError, TransportError
from .providers.filters import StopFilter
from .providers.remedies import Remedy
from .secret import Secret
from .sse import SSEDecoder, SSEEvent
from .transport import HttpRequest, HttpResponse
from .types import (
    Event,
    Request,
    Response,
    StreamError,
    events_from_response,
    response_from_events,
    stream_error,
)

__all__ = ["FINISH_S", "Call", "Stream", "comes_whole", "masked"]

#: Seconds to wait, after a stream's end marker, for the end of its framing.
FINISH_S = 0.25


@dataclass(frozen=True, slots=True)
class Call:
    """A request made ready: what will be sent, to whom, and what was lost on the way.

    ``stops`` are the stop sequences that the server does not know, enforced on its answer.
    ``asked`` is the request as it came, in the dialect ``said_in``, for a call that was rendered
    from one; ``remedies`` is what earlier refusals changed about it.
    """

    http: HttpRequest
    request: Request
    target: Target
    codec: Codec
    losses: tuple[Any, ...] = ()
    stops: tuple[str, ...] = ()
    asked: Request | None = None
    said_in: str | None = None
    remedies: tuple[Remedy, ...] = ()


class Stream(Closing):
    """The events of one answer. Iterate it once; ``response()`` reads the rest and assembles it
    all.

    The last event is an ``End`` or a ``StreamError``, always. ``call`` is the one that was
    answered, ``headers`` are the answer's.
    """

    def __init__(
        self,
        call: Call,
        response: HttpResponse | None,
        ready: Iterator[list[Event]] | None,
        secret: Secret | None = None,
        headers: Headers = (),
        parse: Callable[[bytes], Response] | None = None,
    ) -> None:
        self.call = call
        self.headers = headers
        self.http = response
        self._decoder = call.codec.stream_decoder(call.request, call.target)
        if ready is None:
            assert response is not None
            ready = _Reader(response, self._decoder, secret, parse).read()
        self._batches = _cut(ready, StopFilter(call.stops), response) if call.stops else ready
        self._seen: list[Event] = []

    @property
    def losses(self) -> Losses:
        return self._decoder.losses

    def close(self) -> None:
        """Leave the stream.

        An unfinished answer's connection is closed, so that the provider stops.
        """
        if self.http is not None:
            self.http.close()

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            self._seen.extend(batch)
            yield from batch

    def batches(self) -> Iterator[list[Event]]:
        """Yield the events of one network read at a time, never an empty list."""
        return self._batches

    def response(self) -> Response:
        """Return the assembled answer; a stream that failed raises its error."""
        for _ in self:
            pass
        return response_from_events(self._seen, model=self.call.request.model)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads a stream's batches. Not the stream's own: what reads them on would hold what holds it,
    and with it a whole exchange that ended before its stream did.
    """

    http: HttpResponse
    decoder: StreamDecoder
    secret: Secret | None
    parse: Callable[[bytes], Response] | None

    def read(self) -> Iterator[list[Event]]:
        frames = SSEDecoder()
        try:
            if self.parse is not None and comes_whole(self.http):
                yield list(events_from_response(self.parse(self.http.read())))
                return
            while chunk := self.http.read_some():
                events: list[Event] = []
                for frame in frames.feed(chunk):
                    events += self.decoder.decode(frame)
                if events:
                    self._mask_last(events)
                    yield events
                    if _is_last(events[-1]):
                        self.http.finish(FINISH_S)
                        return
            events = self._decode_rest(frames.close())
            if not (events and _is_last(events[-1])):
                events += self.decoder.close()
            self._mask_last(events)
            yield events
        except (ApiError, TransportError) as error:
            if error.code == "cancelled":
                raise
            yield [stream_error(error)]
        finally:
            self.http.close()

    def _mask_last(self, events: list[Event]) -> None:
        """Take our key out of an error that repeats it."""
        last = events[-1]
        if isinstance(last, StreamError):
            events[-1] = masked(last, self.secret)

    def _decode_rest(self, frames: list[SSEEvent]) -> list[Event]:
        """Return the events of a last frame that has no blank line after it.

        Some servers forget that line; a frame that cannot be read is one that was cut.
        """
        events = [event for frame in frames for event in self.decoder.decode(frame)]
        last = events[-1] if events else None
        if isinstance(last, StreamError) and last.code == "protocol":
            events[-1] = StreamError("truncated", "the stream ended in the middle of an event")
        return events


def _cut(
    batches: Iterator[list[Event]], stop: StopFilter, http: HttpResponse | None
) -> Iterator[list[Event]]:
    """Yield the batches up to a stop sequence; there the provider is left."""
    for batch in batches:
        passed = stop.feed(batch)
        if stop.is_cut and http is not None:
            http.close()
        if passed:
            yield passed
        if stop.is_cut:
            return


#: How the lines of an event stream begin.
_LINES = (b"data:", b"event:", b":", b"id:", b"retry:")


def comes_whole(answer: HttpResponse) -> bool:
    """Tell whether a body is one JSON text and no event stream: its first bytes know best.

    Servers that cannot stream answer whole, whatever they were asked; some put the label of a
    stream on it, and others that of JSON on a stream. Waits for the first bytes.
    """
    start = answer.peek().lstrip()
    if start[:1] in (b"{", b"["):
        return True
    kind = (answer.header("content-type") or "").partition(";")[0].strip().lower()
    is_line = any(start.startswith(line) or line.startswith(start) for line in _LINES)
    return kind == "application/json" and not (start and is_line)


def masked(error: StreamError, secret: Secret | None) -> StreamError:
    """Return an error without our key, which some servers repeat: in its text or beside it."""
    if secret is None:
        return error
    hide = secret.mask_in
    return replace(
        error,
        message=hide(error.message),
        provider_code=error.provider_code and hide(error.provider_code),
        request_id=error.request_id and hide(error.request_id),
        param=error.param and hide(error.param),
        opaque=tuple(replace(held, data=loads(hide(dumps(held.data)))) for held in error.opaque),
    )


def _is_last(event: Event) -> bool:
    return event.type in ("end", "error")
