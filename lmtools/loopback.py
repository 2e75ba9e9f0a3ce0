"""The ``loopback`` provider: a transport whose other end is the built-in model.

It answers requests as a server of the dialect would, from bytes to bytes through the real codecs,
so that a program that works with it has exercised everything but the network. For your own tests::

    lm = LM(provider_named("loopback"), transport=LoopbackTransport("anthropic"))

Models and what they do are in ``providers.loopback_model``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import unquote, urlsplit

from .codecs import codec_named, count_codec_named
from .codecs.base import Codec, CountCodec, Incoming, Refusal, Stamp
from .codecs.text import dumps, loads
from .errors import (
    ApiError,
    CancelledError,
    DeadlineError,
    InvalidRequestError,
    ProtocolError,
    RequestError,
    TruncatedError,
    UnsupportedModelError,
    api_error,
)
from .http1 import REASONS, Headers
from .providers import LOOPBACK_WIRES
from .providers.estimate import estimate_tokens
from .providers.loopback_model import CREATED, MODEL_LIST, MODELS, WIRES, answer, seed_of
from .transport import HttpRequest, HttpResponse, Watch
from .transport.pause import pause
from .types import Event, JsonObject, Request, response_from_events

__all__ = ["LoopbackTransport"]

_JSON = ("Content-Type", "application/json")
_EVENTS = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))
#: Where each dialect takes a conversation; a base URL may stand before it.
_CHAT_PATHS = {"/chat/completions": "openai_chat", "/messages": "anthropic"}
_COUNT_PATHS = {"/messages/count_tokens": "anthropic"}


@dataclass(frozen=True, slots=True)
class _Answer:
    """``pieces`` come one by one, ``pause_s`` apart; an exception among them is raised."""

    status: int
    headers: Headers
    pieces: Iterator[bytes | Exception]
    pause_s: float = 0.0


class LoopbackTransport:
    """A ``Transport`` without a network. Safe to use from several threads.

    ``wire`` is the dialect of what has no path of its own in each, the model list: a dialect's name
    or a word of ``-loopback-wire``. ``default`` answers for names that are no model here; without
    it they are 404. ``delay_s`` is the pause of the model ``slow`` before each delta.
    """

    def __init__(
        self,
        wire: str = "openai_chat",
        *,
        default: str | None = None,
        delay_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire = LOOPBACK_WIRES.get(wire, wire)
        self._default = default
        self._delay_s = delay_s
        self._clock = clock
        self._closed = False
        codec_named(self._wire)

    def send(self, request: HttpRequest, watch: Watch | None = None) -> HttpResponse:
        """Return the answer, as ``Transport.send`` does."""
        if self._closed:
            raise CancelledError("the transport is closed")
        found = self._answer(request)
        body = _Body(found, request, watch, self._clock)
        if found.pause_s and not dict(found.headers).get("Content-Type", "").startswith("text/"):
            body.wait_for_all()
        return HttpResponse(
            found.status,
            found.headers,
            body,
            reason=REASONS.get(found.status, ""),
            request_url=request.url,
            max_body=request.max_body,
        )

    def close(self) -> None:
        self._closed = True

    # Routes

    def _answer(self, request: HttpRequest) -> _Answer:
        path = unquote(urlsplit(request.url).path)
        seed = seed_of(request.body)
        for suffix, dialect in (_CHAT_PATHS | _COUNT_PATHS).items():
            if path.endswith(suffix):
                counting = suffix in _COUNT_PATHS
                return self._post(request, path, seed, dialect, counting)
        return self._list_models(request, path, seed)

    def _post(
        self, request: HttpRequest, path: str, seed: str, dialect: str, counting: bool
    ) -> _Answer:
        codec = codec_named(dialect)
        counts = count_codec_named(dialect) if counting else None
        try:
            _check_method(request, "POST")
            wire = Incoming(_parse_body(request.body), path, {}, request.headers)
            if counts is not None:
                return _count(counts, wire, dialect, seed)
            return self._chat(codec, wire, seed)
        except (ApiError, RequestError, ProtocolError) as error:
            return _refusal(codec, error, seed)

    def _chat(self, codec: Codec, wire: Incoming, seed: str) -> _Answer:
        asked = codec.parse_request(wire)
        model = self._model(asked.model)
        served = asked if model == asked.model else replace(asked, model=model)
        events = answer(served, seed, codec.NAME)
        stamp = Stamp(
            WIRES[codec.NAME].id_prefix + seed, CREATED, asked.model, estimate_tokens(asked)
        )
        pause_s = self._delay_s if model == "slow" else 0.0
        headers = _with_id(codec.NAME, seed)
        if asked.stream:
            pieces = _stream(codec, events, asked, stamp, model == "cut")
            return _Answer(200, _EVENTS + headers, pieces, pause_s)
        response = replace(response_from_events(events), model=asked.model)
        body = codec.render_response(response, asked, stamp).body
        if model == "slow":
            pause_s *= len(events)
        return _whole(200, headers, body, model == "cut", pause_s)

    def _model(self, name: str) -> str:
        if name in MODELS or name.startswith("error-") or self._default is None:
            return name
        return self._default

    def _list_models(self, request: HttpRequest, path: str, seed: str) -> _Answer:
        codec = codec_named(self._wire)
        listing, slash, name = path.rpartition("/models")[2].partition("/")
        try:
            if "/models" not in path or listing:
                raise api_error("not_found", f"path: loopback serves no {path!r:.80}", status=404)
            _check_method(request, "GET")
            return _whole(200, _with_id(self._wire, seed), _models(codec, name if slash else None))
        except ApiError as error:
            return _refusal(codec, error, seed)


def _check_method(request: HttpRequest, wanted: str) -> None:
    if request.method != wanted:
        raise InvalidRequestError(f"method: expected {wanted}, got {request.method}", status=405)


def _parse_body(body: bytes) -> JsonObject:
    try:
        value = loads(body.decode())
    except UnicodeDecodeError:
        raise RequestError("is not UTF-8", path="body") from None
    if not isinstance(value, dict):
        raise RequestError("expected an object", path="body")
    return value


# Answers


def _count(counts: CountCodec, wire: Incoming, dialect: str, seed: str) -> _Answer:
    tokens = estimate_tokens(counts.parse_count_request(wire))
    return _whole(200, _with_id(dialect, seed), counts.render_count_response(tokens))


def _models(codec: Codec, name: str | None) -> JsonObject:
    if name is None:
        return codec.render_models(MODEL_LIST)
    for model in MODEL_LIST:
        if model.id == name:
            return codec.render_model(model)
    raise UnsupportedModelError(f"model: loopback has no {name!r:.80}", status=404)


def _refusal(codec: Codec, error: Exception, seed: str) -> _Answer:
    """Return an error in the dialect's form; what is no ApiError is the request's fault."""
    if not isinstance(error, ApiError):
        error = InvalidRequestError(str(error), status=400)
    error.request_id = error.request_id or f"req_{seed}"
    said: Refusal = codec.render_error(error)
    names = {name.lower() for name, _ in said.headers}
    extra = tuple(pair for pair in _with_id(codec.NAME, seed) if pair[0] not in names)
    return _whole(said.status, tuple(said.headers) + extra, said.body)


def _with_id(dialect: str, seed: str) -> Headers:
    return ((WIRES[dialect].request_id_header, f"req_{seed}"),)


def _whole(
    status: int, headers: Headers, body: JsonObject, cut: bool = False, pause_s: float = 0.0
) -> _Answer:
    data = dumps(body).encode()
    headers = (_JSON, ("Content-Length", str(len(data))), *headers)
    pieces: list[bytes | Exception] = [data]
    if cut:
        pieces = [data[: len(data) // 2], TruncatedError("loopback: the answer is cut")]
    return _Answer(status, headers, iter(pieces), pause_s)


def _stream(
    codec: Codec, events: list[Event], request: Request, stamp: Stamp, cut: bool
) -> Iterator[bytes | Exception]:
    """Yield the frames; a cut stream stops inside one, halfway, without any end."""
    encoder = codec.stream_encoder(request, stamp)
    for place, event in enumerate(events):
        data = encoder.encode(event)
        if cut and place > len(events) // 2 and len(data) > 1:
            yield data[: len(data) // 2]
            return
        yield data
    yield encoder.close()


class _Body:
    """``transport.BodySource`` over an answer's pieces."""

    def __init__(
        self,
        found: _Answer,
        request: HttpRequest,
        watch: Watch | None,
        clock: Callable[[], float],
    ) -> None:
        self._pieces = found.pieces
        self._pause_s = found.pause_s
        self._first_byte_s = request.timeouts.first_byte
        self._idle_s = request.timeouts.idle
        self._watch = watch
        self._clock = clock
        self._closed = False
        self._ended = False

    @property
    def buffered(self) -> bool:
        return self._ended or not self._pause_s

    def wait_for_all(self) -> None:
        """Take the whole pause before the head, as a server does that answers in one piece."""
        pause_s, self._pause_s = self._pause_s, 0.0
        self._wait(pause_s, self._first_byte_s, "waiting for the answer")

    def read_some(self) -> bytes:
        for piece in self._pieces:
            self._wait(self._pause_s, self._idle_s, "silence in the answer")
            if isinstance(piece, Exception):
                raise piece
            if piece:
                return piece
        self._ended = True
        return b""

    def finish(self, seconds: float) -> None:  # noqa: ARG002 - nothing to wait for
        self.close()

    def close(self) -> None:
        self._closed = not self._ended

    def _wait(self, seconds: float, most: float | None, phase: str) -> None:
        """Wait as for a slow server; a deadline that is shorter than the pause passes."""
        late = most is not None and seconds > most
        pause(most if late and most is not None else seconds, self._watch, self._clock)
        if self._closed:
            raise CancelledError("loopback: the answer was closed")
        if late:
            raise DeadlineError(f"loopback: {phase}: the deadline passed")
