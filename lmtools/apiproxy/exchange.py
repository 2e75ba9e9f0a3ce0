"""One proxied exchange: parse (client's dialect), render (backend's), send, and back.

The client's codec and the backend's never meet; between them stand canonical values. A stream's 200
is held until the first meaningful event, so that a failure before it reaches the client as a true
HTTP status, or until a ping is due, whichever comes first. After the 200 an error is the dialect's
terminal event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ..client import LM, Call, Stream, found_in
from ..codecs import codec_named
from ..codecs.base import Codec, Headers, Incoming, Loss, Stamp, StreamEncoder
from ..codecs.text import dumps
from ..errors import CancelledError, ConfigError, InvalidRequestError, LMError
from ..providers.estimate import estimate_tokens
from ..types import (
    End,
    Event,
    Part,
    Request,
    Response,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    Usage,
    stream_error,
)
from .counting import TokenCounts, body_key
from .headers import passed_headers
from .inbound import Exchange
from .log import ExchangeEntry, Log
from .options import ModelRule, map_model
from .recall import CallMemory, Recall, client_mark
from .refuse import loggable, stream_refusal

#: Seconds of silence after which a stream gets a ping. Claude Code takes 20 s of silence for a
#: stall.
PING_INTERVAL_S = 15.0
#: Bytes of ``x-lmtools-loss``: proxies and clients bound header blocks, some at 8 KiB.
MAX_LOSS_HEADER = 2048
#: Losses that a refusal under ``-strict`` spells out.
MAX_REFUSED = 10
_CHANGES = frozenset({"dropped", "clamped", "substituted"})

#: How the names of request headers begin that a codec may see; every other one stays here.
PASSED_FAMILIES = ("anthropic-",)
#: What servers answer that have no endpoint for counts, or none for the model.
_NO_COUNTS = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Back:
    """What exchanges share: the provider, the rules for model names, the log, the clock and ids.

    ``memory`` has the reasoning state of calls that clients may not hand back.
    """

    lm: LM
    model_map: tuple[ModelRule, ...]
    log: Log
    now: Callable[[], float]
    new_id: Callable[[], str]
    strict: bool = False
    memory: CallMemory | None = None
    counts: TokenCounts = field(default_factory=TokenCounts)


@dataclass(slots=True)
class Asked:
    """A client's request: the codec of its dialect, its canonical form, its place in the log."""

    http: Exchange
    codec: Codec
    request: Request
    entry: ExchangeEntry

    def headers(self, losses: tuple[Loss, ...], answer: Headers) -> Headers:
        """Return what goes with an answer: our id, what was lost, what the provider says."""
        own: Headers = request_id_headers(self.entry)
        lost = (("x-lmtools-loss", loss_header(losses)),) if losses else ()
        return (*own, *lost, *passed_headers(answer))


def request_id_headers(entry: ExchangeEntry) -> Headers:
    """Return the request's id under the names that the SDKs of both makers read."""
    known = entry.request_id or ""
    return (("x-request-id", known), ("request-id", known))


def incoming(http: Exchange, body: object) -> Incoming:
    """Return what of a request a codec may see."""
    request = http.request
    passed = tuple(
        (n.lower(), v) for n, v in request.headers if n.lower().startswith(PASSED_FAMILIES)
    )
    return Incoming(body, request.path, request.query, passed)


def serve(asked: Asked, back: Back) -> None:
    """Answer one request for a completion, streamed or whole."""
    request, entry = asked.request, asked.entry
    entry.model, entry.stream = request.model, bool(request.stream)
    sent, model = request, map_model(back.model_map, request.model)
    if model != request.model:
        sent = replace(request, model=model)
        entry.upstream_model = model
    recall = _recall(asked, back, sent.model)
    if recall is not None:
        sent = recall.restore(sent)
    call = _restated(back.lm.render(sent, said_in=asked.codec.NAME), recall)
    entry.losses = len(call.losses) or None
    _log_losses(back.log, entry, call.losses)
    if back.strict:
        refuse_losses(call.losses)
        # A remedy would send something else after all.
        call = replace(call, asked=None)
    _answer(asked, back, call, recall)


def serve_otherwise(asked: Asked, back: Back, call: Call) -> None:
    """Answer a request that was passed raw and refused, with a call that has the remedy."""
    _note_remedy(asked, back, call)
    _answer(asked, back, call)


def _recall(asked: Asked, back: Back, model: str) -> Recall | None:
    """Return the memory for this exchange; None where client and provider speak one dialect."""
    target = back.lm.backend.target(model)
    if back.memory is None or target.origin is None or codec_named(target.dialect) is asked.codec:
        return None
    return Recall(back.memory, client_mark(asked.http.request.headers), target.origin)


def _restated(call: Call, recall: Recall | None) -> Call:
    """Return a call with its losses under the paths of the request as the client sent it."""
    return call if recall is None else replace(call, losses=recall.restate(call.losses))


def _answer(asked: Asked, back: Back, call: Call, recall: Recall | None = None) -> None:
    request = asked.request
    # Response-side functions see the request as the client sent it.
    if call.request is not request:
        call = replace(call, request=request)
    if request.stream:
        estimated = estimate_tokens(request)
        stamp = _stamp(asked, back, call, estimated)
        _Streamed(asked, back, call, stamp, recall).run()
        back.counts.learn(call.target.model, estimated, asked.entry.input_tokens)
    else:
        _serve_whole(asked, back, call, recall)


def _stamp(asked: Asked, back: Back, call: Call, estimated: int) -> Stamp:
    return Stamp(
        back.new_id(),
        int(back.now()),
        asked.request.model,
        back.counts.scale(call.target.model, estimated),
        foreign=call.codec is not asked.codec,
    )


def _serve_whole(asked: Asked, back: Back, call: Call, recall: Recall | None) -> None:
    sent, model = call, call.target.model
    call, answer = back.lm.deliver(sent, asked.http.watch())
    if call is not sent:
        call = _restated(call, recall)
        _note_remedy(asked, back, call)
    with answer, found_in(answer):
        response = back.lm.parse(call, answer.read())
    if recall is not None:
        response, lost = recall.keep(response)
        _log_losses(back.log, asked.entry, tuple(lost))
    # An answer that counts its input needs no estimate, which is a tenth of a large request's cost.
    counted = response.usage.input_tokens
    needed = counted is None or back.counts.would_teach(model, counted)
    estimated = estimate_tokens(asked.request) if needed else 0
    stamp = _stamp(asked, back, call, estimated)
    rendered = asked.codec.render_response(response, asked.request, stamp)
    back.counts.learn(model, estimated, counted)
    note_response(asked.entry, response)
    _log_losses(back.log, asked.entry, rendered.losses)
    own = asked.headers(call.losses, answer.headers)
    headers = (("Content-Type", "application/json"), *own, *rendered.headers)
    asked.http.respond(200, headers, dumps(rendered.body).encode())


class _Streamed:
    """A streamed answer on its way. ``held`` is what waits for the 200."""

    def __init__(
        self, asked: Asked, back: Back, call: Call, stamp: Stamp, recall: Recall | None
    ) -> None:
        self._asked = asked
        self._recall = recall
        self._back = back
        self._call = call
        self._http = asked.http
        self._encoder: StreamEncoder = asked.codec.stream_encoder(asked.request, stamp)
        self._answer: Headers = ()
        self._begun = False
        self._said = False
        self._finished = False
        self._held = b""

    def run(self) -> None:
        watch = self._http.watch(self._ping, PING_INTERVAL_S)
        try:
            with self._back.lm.open(self._call, watch) as stream:
                self._relay(stream)
        except CancelledError:
            raise
        except LMError as error:
            error.answer_headers = error.answer_headers or self._answer
            if not self._begun:
                raise
            self._fail(error)
        if self._begun and not self._finished:
            self._finish()

    def _relay(self, stream: Stream) -> None:
        if stream.call is not self._call:
            self._call = _restated(stream.call, self._recall)
            _note_remedy(self._asked, self._back, self._call)
        self._answer = stream.headers
        for batch in stream.batches():
            last = batch[-1]
            if last.type == "error" and not self._begun and not any(map(is_meaningful, batch[:-1])):
                assert isinstance(last, StreamError)
                raise stream_refusal(last, self._back.lm.backend.provider.name)
            if self._recall is not None:
                batch = self._recalled(self._recall, batch)
            self._held += b"".join([self._encoder.encode(event) for event in batch])
            self._observe(batch)
            if last.type in ("end", "error"):
                self._finish()
            elif self._begun or any(map(is_meaningful, batch)):
                self._flush()

    def _observe(self, batch: list[Event]) -> None:
        self._said = self._said or any(map(is_content, batch))
        if batch[-1].type == "end":
            self._asked.entry.empty = not self._said or None
        for event in (batch[0], batch[-1]):
            if isinstance(event, Start | End):
                note_usage(self._asked.entry, event.usage)
            elif isinstance(event, StreamError):
                self._asked.entry.error = f"{event.code}: mid-stream"

    def _recalled(self, recall: Recall, batch: list[Event]) -> list[Event]:
        """Return a batch as the client gets it, and remember before the last event goes out."""
        passed = [recall.hear(event) for event in batch]
        if isinstance(batch[-1], End):
            _log_losses(self._back.log, self._asked.entry, tuple(recall.close()))
        return passed

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._http.begin_events(self._asked.headers(self._call.losses, self._answer))

    def _flush(self) -> None:
        self._begin()
        held, self._held = self._held, b""
        self._http.write(held)

    def _finish(self) -> None:
        """Send the last bytes before the upstream's connection is looked after."""
        self._begin()
        self._finished = True
        self._http.end(self._held + self._encoder.close())

    def _fail(self, error: LMError) -> None:
        self._asked.entry.error = loggable(error)
        self._held += self._encoder.encode(stream_error(error))

    def _ping(self) -> None:
        self._held += self._encoder.ping()
        self._flush()


def is_meaningful(event: Event) -> bool:
    """Tell whether an event shows that the answer really began: content, a call, or an end.

    A block that was only opened is not content: a provider that is overloaded says so after it.
    """
    if isinstance(event, TextDelta | ThinkingDelta):
        return bool(event.text)
    return event.type not in ("start", "opaque", "error")


def is_content(event: Event) -> bool:
    """Tell whether an event says something: an end is meaningful, and says nothing."""
    return event.type != "end" and is_meaningful(event)


def note_response(entry: ExchangeEntry, response: Response) -> None:
    """Note what the log wants of a whole answer."""
    note_usage(entry, response.usage)
    entry.upstream_id = response.id
    entry.empty = not any(map(_says, response.message.parts)) or None


def _says(part: Part) -> bool:
    return bool(part.text) if isinstance(part, TextPart | ThinkingPart) else True


def note_usage(entry: ExchangeEntry, usage: Usage) -> None:
    if usage.input_tokens is not None:
        entry.input_tokens = usage.input_tokens
    if usage.output_tokens is not None:
        entry.output_tokens = usage.output_tokens


def _log_losses(log: Log, entry: ExchangeEntry, losses: tuple[Loss, ...]) -> None:
    if log.shows("debug"):
        for loss in losses:
            log.debug(
                "loss",
                request_id=entry.request_id,
                path=loss.path,
                action=loss.action,
                reason=loss.reason,
            )


def _note_remedy(asked: Asked, back: Back, call: Call) -> None:
    """Log that a refusal was answered with another request, and what that cost."""
    names = ", ".join(f"{remedy.name} {remedy.word}".strip() for remedy in call.remedies)
    known = asked.entry.request_id
    back.log.info("refused, sent otherwise", request_id=known, remedies=names)
    asked.entry.losses = len(call.losses) or None
    _log_losses(back.log, asked.entry, call.losses)


def refuse_losses(losses: tuple[Loss, ...]) -> None:
    """Raise a 400 that names what the provider would not get as it was asked.

    A default that it requires, and what is done here in its place, change nothing that was asked.
    """
    found = [loss for loss in losses if loss.action in _CHANGES]
    if found:
        said = "; ".join(str(loss) for loss in found[:MAX_REFUSED])
        more = f"; and {len(found) - MAX_REFUSED} more" if len(found) > MAX_REFUSED else ""
        raise InvalidRequestError(
            f"the provider cannot be told this as it was asked, and -strict is set: {said}{more}",
            status=400,
            param=found[0].path,
            provider_code="strict",
        )


def loss_header(losses: tuple[Loss, ...]) -> str:
    """Return losses as one header value.

    ``path;action``, comma separated, printable ASCII, bounded.
    """
    shown: list[str] = []
    room = MAX_LOSS_HEADER
    for i, loss in enumerate(losses):
        text = "".join(
            c if c.isascii() and c.isprintable() and c not in ",;" else "?" for c in loss.path
        )
        item = f"{text[:200]};{loss.action}"
        if room < len(item) + 24:
            shown.append(f"and {len(losses) - i} more")
            break
        room -= len(item) + 2
        shown.append(item)
    return ", ".join(shown)


def count(asked: Asked, back: Back) -> int:
    """Return the input tokens of a request: the provider's own count, else a local estimate.

    A provider that refuses the request (400, 401, 403, 413) is heard; one that cannot count, is not
    there or has enough to count leaves the estimate.
    """
    sent = replace(asked.request, model=map_model(back.model_map, asked.request.model))
    asked.entry.model = asked.request.model
    estimated = estimate_tokens(asked.request)
    tokens = _provider_count(asked, back, sent)
    if tokens is None:
        back.counts.want(sent.model)
        return back.counts.scale(sent.model, estimated)
    back.counts.learn(sent.model, estimated, tokens)
    return tokens


def _provider_count(asked: Asked, back: Back, sent: Request) -> int | None:
    if not back.counts.may_ask(sent.model):
        return None
    try:
        return back.counts.count(_count_key(asked), lambda: _ask_count(asked, back, sent))
    except ConfigError:
        # It counts nothing, by its row of the provider table.
        return None
    except CancelledError:
        raise
    except LMError as error:
        if error.status in (400, 401, 403, 413):
            raise
        if error.status in _NO_COUNTS:
            back.counts.give_up(sent.model)
        known = asked.entry.request_id
        back.log.warning("count_tokens: estimated", request_id=known, error=error.code)
        return None


def _ask_count(asked: Asked, back: Back, sent: Request) -> int:
    return back.lm.count_tokens(sent, said_in=asked.codec.NAME, watch=asked.http.watch())


def _count_key(asked: Asked) -> bytes:
    wire = incoming(asked.http, None)
    return body_key(asked.http.read_body(), wire.headers)
