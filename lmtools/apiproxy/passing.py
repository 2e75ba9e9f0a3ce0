"""The raw passage under way: a client and a provider of one dialect get each other's bytes.

Of the answer, only the model's name changes; events stay whole, pings stand between them, and after
a cut the dialect's terminal error is the last one. A decoder listens for what the log wants, and
for an end that is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from ..call import comes_whole, masked
from ..client import FINISH_S, Call, found_in
from ..codecs.base import Codec, Headers, Stamp, StreamEncoder
from ..codecs.passage import EventBytes, Passage, Renamer, around, rename_answer, split_events
from ..codecs.text import loads
from ..errors import ApiError, CancelledError, LMError, ProtocolError, TransportError
from ..providers.estimate import estimate_tokens
from ..sse import SSEDecoder
from ..transport import HttpResponse
from ..types import (
    End,
    Event,
    Json,
    Request,
    Start,
    StreamError,
    events_from_response,
    stream_error,
)
from . import exchange
from .counting import LONGEST_MODEL
from .exchange import Back, is_meaningful, note_usage, request_id_headers
from .headers import passed_headers, refusal_headers
from .inbound import Exchange
from .log import ExchangeEntry
from .raw import Passing
from .refuse import loggable, stream_refusal

__all__ = ["serve"]

# Headers


def _sent_headers(headers: Headers, passage: Passage) -> Headers:
    """Return the client's headers that go on, those of one name as one (RFC 9110 5.3)."""
    found: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in passage.headers or lower.startswith(passage.families):
            found[lower] = f"{found[lower]},{value}" if lower in found else value
    return tuple(found.items())


# Exchanges


def _heard_request(model: str, stream: bool) -> Request:
    """Return all that a decoder which only listens has to know."""
    return Request(model, (), stream=stream or None, include_usage=True)


_kept_request = lru_cache(maxsize=64)(_heard_request)


@dataclass(slots=True)
class _Asked:
    """One exchange: who asked, what goes on, and how the provider is called."""

    http: Exchange
    codec: Codec
    entry: ExchangeEntry
    back: Back
    passing: Passing
    call: Call

    def headers(self, answer: HttpResponse | None = None) -> Headers:
        own = request_id_headers(self.entry)
        return own if answer is None else (*own, *passed_headers(answer.headers))

    def stamp(self) -> Stamp:
        return Stamp(self.back.new_id(), int(self.back.now()), self.passing.model)

    @property
    def is_renamed(self) -> bool:
        return self.passing.model != self.passing.sent_model


def serve(http: Exchange, codec: Codec, entry: ExchangeEntry, back: Back, passing: Passing) -> None:
    """Answer one request for a completion with the provider's own bytes."""
    entry.model, entry.stream = passing.model, passing.stream
    if passing.sent_model != passing.model:
        entry.upstream_model = passing.sent_model
    # Nothing is kept under a name that is too long for a model's: clients make names up.
    heard = _kept_request if len(passing.sent_model) <= LONGEST_MODEL else _heard_request
    request = heard(passing.sent_model, passing.stream)
    headers = _sent_headers(http.request.headers, passing.passage)
    call = back.lm.forward(passing.body, request, passing.target, headers)
    asked = _Asked(http, codec, entry, back, passing, call)
    try:
        if passing.stream:
            _Stream(asked).run()
        else:
            _serve_whole(asked)
        _learn_count(asked)
    except ApiError as error:
        if http.status is not None or not _answer_refusal(asked, error):
            raise


def _answer_refusal(asked: _Asked, error: ApiError) -> bool:
    """Answer what was refused before anything went out: with a remedy, else as it was refused.

    False where ``error`` is to be raised. (Raised in here it would hold itself, see ``errors``.)
    """
    try:
        again = None if asked.back.strict else _with_remedy(asked, error)
        if again is not None:
            exchange.serve_otherwise(*again)
            return True
    except ApiError as refused:
        if asked.http.status is not None or not _pass_refusal(asked, refused):
            raise
        return True
    return _pass_refusal(asked, error)


def _pass_refusal(asked: _Asked, error: ApiError) -> bool:
    """Send a refusal on as it came; False where that is not the dialect's form."""
    if not _is_own_form(asked.codec, error):
        return False
    asked.entry.error = loggable(error)
    _respond_as_it_is(asked, error)
    return True


def _with_remedy(asked: _Asked, error: ApiError) -> tuple[exchange.Asked, Back, Call] | None:
    """Return the exchange as it goes on through the codec; None where nothing helps."""
    http, codec, back = asked.http, asked.codec, asked.back
    try:
        request = _parsed(asked)
        sent = replace(request, model=asked.passing.sent_model)
        call = back.lm.remedy(sent, codec.NAME, error)
    except LMError:
        # What the codec cannot read was the provider's to refuse, and its words are the better.
        return None
    return None if call is None else (exchange.Asked(http, codec, request, asked.entry), back, call)


def _is_own_form(codec: Codec, error: ApiError) -> bool:
    """Tell whether an error's body is what the codec would write: JSON in the dialect's form.

    A page of HTML is not, nor another server's JSON, nor an error wrapped into another one's text.
    """
    if error.answer is None:
        return False
    status, _, body = error.answer
    try:
        value = loads(body.decode())
    except (ProtocolError, UnicodeDecodeError):
        return False
    refusal = codec.render_error(error)
    return refusal.status == status and refusal.body == value


def _respond_as_it_is(asked: _Asked, error: ApiError) -> None:
    assert error.answer is not None
    status, _, body = error.answer
    own = asked.headers() + refusal_headers(error)
    asked.http.respond(status, (("Content-Type", "application/json"), *own), body)


def _parsed(asked: _Asked) -> Request:
    """Return what the client's body says; RequestError where the codec cannot read it."""
    body = loads(asked.http.read_body().decode())
    return asked.codec.parse_request(exchange.incoming(asked.http, body))


def _learn_count(asked: _Asked) -> None:
    """Teach the estimates for a model, where clients are given any."""
    model, tokens, counts = asked.call.target.model, asked.entry.input_tokens, asked.back.counts
    if tokens is None or not counts.wants(model):
        return
    try:
        estimated = estimate_tokens(_parsed(asked))
    except LMError as error:
        asked.back.log.debug("counted without an estimate", error=error.code)
    else:
        counts.learn(model, estimated, tokens)


# Whole answers


def _serve_whole(asked: _Asked) -> None:
    with asked.back.lm.send(asked.call, asked.http.watch()) as answer, found_in(answer):
        body = answer.read()
        _listen_to_whole(asked, body)
    if asked.is_renamed:
        body = rename_answer(body, asked.passing.model)
    headers = (("Content-Type", "application/json"), *asked.headers(answer))
    asked.http.respond(200, headers, body)


def _listen_to_whole(asked: _Asked, body: bytes) -> None:
    """Note what the log wants.

    Raises the error that an answer with status 200 may be, or ProtocolError for one that is none of
    the dialect's: its reader would fail over it without a word.
    """
    lm, entry = asked.back.lm, asked.entry
    heard = asked.passing.passage.hear(lm.read_json(body))
    if heard is None:
        exchange.note_response(entry, lm.parse(asked.call, body))
    else:
        entry.upstream_id, entry.input_tokens, entry.output_tokens = heard


def _log_deafness(asked: _Asked, error: Exception) -> None:
    """Tell the log that an answer went on which nobody here could read; never its content."""
    known = asked.entry.request_id
    asked.back.log.warning("answer passed unread", request_id=known, error=type(error).__name__)


# Streams


class _Ear:
    """A decoder that listens to a stream. What it cannot read makes it deaf, and nothing else.

    Deaf, it still knows an end by its bytes: what broke off must not look like a short answer.
    """

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        call = asked.call
        self._frames = SSEDecoder()
        self._decoder = call.codec.stream_decoder(call.request, call.target)
        self.is_deaf = False
        self._has_ended = False
        #: Somebody writes what is heard here: what cannot be read is the stream's end.
        self.is_needed = False

    def hear(self, block: bytes) -> list[Event]:
        """Return what whole events say."""
        if not self._has_ended:
            self._has_ended = self._asked.passing.passage.ends.search(block) is not None
        if self.is_deaf:
            return []
        events: list[Event] = []
        try:
            for frame in self._frames.feed(block):
                events += self._decoder.decode(frame)
        except Exception as error:  # whatever fails in here, the stream goes on
            if self.is_needed:
                raise
            self._turn_deaf(error)
        return self._heard(events)

    def end(self) -> list[Event]:
        """Return what the end of input means."""
        if not self.is_deaf:
            return self._heard(self._decoder.close())
        if self._has_ended:
            return []
        return [StreamError("truncated", "the stream ended before the answer was whole")]

    def _heard(self, events: list[Event]) -> list[Event]:
        last = events[-1] if events else None
        if not self.is_needed and isinstance(last, StreamError) and last.code == "protocol":
            self._turn_deaf(ProtocolError(last.message))
            return events[:-1]
        return events

    def _turn_deaf(self, error: Exception) -> None:
        self.is_deaf = True
        _log_deafness(self._asked, error)


class _Stream:
    """A streamed answer on its way. ``held`` is what waits for the 200."""

    def __init__(self, asked: _Asked) -> None:
        self._asked = asked
        self._provider = asked.back.lm.backend.provider.name
        self._http = asked.http
        self._ear = _Ear(asked)
        self._renamer = (
            Renamer(asked.passing.passage, asked.passing.model) if asked.is_renamed else None
        )
        # Not the answer itself: it holds the watch, and the watch this stream (``_ping``).
        self._headers: Headers = ()
        self._opened = self._begun = self._said = False
        self._held = b""

    @cached_property
    def _encoder(self) -> StreamEncoder:
        """Writes pings and errors between the provider's bytes; most streams need neither."""
        return self._asked.codec.stream_encoder(self._asked.call.request, self._asked.stamp())

    def run(self) -> None:
        watch = self._http.watch(self._ping, exchange.PING_INTERVAL_S)
        try:
            lm = self._asked.back.lm
            with lm.send(self._asked.call, watch) as answer, found_in(answer):
                self._headers = self._asked.headers(answer)
                lm.refuse_page(answer)
                if comes_whole(answer):
                    self._serve_whole(answer.read())
                else:
                    self._relay(answer)
        except CancelledError:
            raise
        except LMError as error:
            if not self._begun or self._http.ended:
                raise
            self._fail(stream_error(error))

    def _relay(self, answer: HttpResponse) -> None:
        events = EventBytes()
        try:
            while chunk := answer.read_some():
                block = events.feed(chunk)
                if block and self._pass_on(block):
                    answer.finish(FINISH_S)
                    return
        except TransportError as error:
            if error.code == "cancelled":
                raise
            self._fail(stream_error(error))
            return
        block = events.close()
        if not (block and self._pass_on(block)):
            self._end()

    def _pass_on(self, block: bytes) -> bool:
        """Send whole events on, or hold them; tell whether the answer is at its end."""
        mends = self._ear.is_needed
        if not self._opened:
            self._opened = True
            if self._asked.passing.passage.is_odd(block):
                self._mend()
                mends = True
        heard = self._ear.hear(block) if mends else self._hear_around(block)
        if self._ear.is_deaf:
            # What may be an error from here on is not known for one, and may repeat our key.
            block = self._asked.back.lm.mask(block)
        last = heard[-1] if heard else None
        self._note_content(heard)
        shown = self._begun or self._ear.is_deaf or any(map(is_meaningful, heard))
        if isinstance(last, StreamError):
            self._asked.entry.error = f"{last.code}: mid-stream"
            lm = self._asked.back.lm
            block, last = lm.mask(block), masked(last, lm.backend.secret)
            heard[-1] = last
            if not shown:
                raise stream_refusal(last, self._provider)
            if last.code == "truncated":
                # The provider's words are those of a good end.
                self._fail(last)
                return True
            found = None if mends else self._around_error(block)
            if found is not None:
                self._end_with_error(*found, last)
                return True
        self._held += self._written(heard) if mends else self._as_it_is(block)
        for event in heard:
            if isinstance(event, Start | End):
                note_usage(self._asked.entry, event.usage)
        if isinstance(last, End | StreamError):
            self._finish()
            return True
        if shown:
            self._flush()
        return False

    def _around_error(self, block: bytes) -> tuple[bytes, bytes] | None:
        """Return the events before the first that is an error, and that; None where none is."""
        call, passed = self._asked.call, b""
        for piece in split_events(block):
            decoder = call.codec.stream_decoder(call.request, call.target)
            heard = [event for frame in SSEDecoder().feed(piece) for event in decoder.decode(frame)]
            last = heard[-1] if heard else None
            # Alone, a piece of a call is a breach of protocol; in its place it is not.
            if isinstance(last, StreamError) and last.code != "protocol":
                return passed, piece
            passed += piece
        return None

    def _end_with_error(self, before: bytes, piece: bytes, error: StreamError) -> None:
        """Send an error as it came where it has the dialect's form, else in that form.

        Nothing behind it goes on.
        """
        own = self._encoder.encode(error) + self._encoder.close()
        is_own_form = _said(piece) == _said(own)
        self._held += self._as_it_is(before) + (piece if is_own_form else own)
        self._finish()

    def _hear_around(self, block: bytes) -> list[Event]:
        """Return what whole events say, those aside that only go on with what was heard to begin.

        Such a run is most of a stream, and stands between its first events and its last.
        """
        is_plain = self._asked.passing.passage.is_plain
        if self._said and is_plain(block):
            return []
        head, middle, tail = around(block)
        if not is_plain(middle):
            return self._ear.hear(block)
        heard = self._ear.hear(head)
        said = self._said or any(map(exchange.is_content, heard))
        return heard + self._ear.hear(tail if said else middle + tail)

    def _note_content(self, heard: list[Event]) -> None:
        if not self._said:
            self._said = any(map(exchange.is_content, heard))
            if heard and isinstance(heard[-1], End):
                self._asked.entry.empty = not self._said or None

    def _as_it_is(self, block: bytes) -> bytes:
        return block if self._renamer is None else self._renamer.rename(block)

    def _written(self, heard: list[Event]) -> bytes:
        return b"".join([self._encoder.encode(event) for event in heard])

    def _mend(self) -> None:
        """From here on the codec writes the stream, for the request as it was asked."""
        self._ear.is_needed = True
        self._encoder = self._codec_for_client()

    def _codec_for_client(self) -> StreamEncoder:
        return self._asked.codec.stream_encoder(_parsed(self._asked), self._asked.stamp())

    def _end(self) -> None:
        """The input is over, without an end that was heard before it."""
        heard = self._ear.end()
        last = heard[-1] if heard else None
        self._note_content(heard)
        if isinstance(last, StreamError):
            self._fail(last)
            return
        if isinstance(last, End):
            note_usage(self._asked.entry, last.usage)
        if self._ear.is_needed:
            self._held += self._written(heard)
        self._finish()

    def _serve_whole(self, body: bytes) -> None:
        """The server cannot stream, and answered whole: the codec makes a stream of it."""
        response = self._asked.back.lm.parse(self._asked.call, body)
        exchange.note_response(self._asked.entry, response)
        self._encoder = self._codec_for_client()
        self._held += self._written(list(events_from_response(response)))
        self._finish()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._http.begin_events(self._headers or self._asked.headers())

    def _flush(self) -> None:
        self._begin()
        held, self._held = self._held, b""
        self._http.write(held)

    def _finish(self) -> None:
        self._begin()
        self._http.end(self._held)

    def _fail(self, error: StreamError) -> None:
        """End with the dialect's terminal error, or with a true status where no 200 went out."""
        if not self._begun:
            raise stream_refusal(error, self._provider)
        self._asked.entry.error = f"{error.code}: mid-stream"
        self._held += self._encoder.encode(error) + self._encoder.close()
        self._finish()

    def _ping(self) -> None:
        self._held += self._encoder.ping()
        self._flush()


def _said(events: bytes) -> tuple[str | None, Json] | None:
    """Return the name and the value of the last event; None where it has no JSON."""
    frames = SSEDecoder().feed(events)
    try:
        return (frames[-1].event, loads(frames[-1].data)) if frames else None
    except ProtocolError:
        return None
