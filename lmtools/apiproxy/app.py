"""The proxy's routes: who asks what, whether they may, and which function answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from ..codecs import codec_named, count_codec_named
from ..codecs.base import Codec, Headers
from ..codecs.text import dumps, loads
from ..errors import (
    AuthError,
    CancelledError,
    InvalidRequestError,
    LMError,
    NotFoundError,
    ProtocolError,
    RequestError,
)
from ..flags import nearest
from ..http1 import find
from ..secret import Secret
from ..types import Json
from . import passing, raw
from .exchange import Asked, Back, count, incoming, request_id_headers, serve
from .headers import refusal_headers
from .inbound import Exchange
from .log import ExchangeEntry
from .options import map_model
from .refuse import as_api_error, asker_dialect, local_error, loggable, send_refusal

#: Characters of a client's own ``x-request-id`` that are taken over; a longer one gets ours.
MAX_REQUEST_ID = 128

Action = Callable[["App", Exchange, ExchangeEntry], None]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path, by method. HEAD is answered as GET without its body."""

    actions: dict[str, Action]
    open: bool = False

    @property
    def allowed(self) -> str:
        methods = set(self.actions) | ({"HEAD"} if "GET" in self.actions else set())
        return ", ".join(sorted(methods))


class App:
    """Answers exchanges over one back. ``client_keys`` empty asks nobody for a key."""

    def __init__(self, back: Back, client_keys: tuple[Secret, ...] = ()) -> None:
        self.back = back
        self._client_keys = client_keys

    def handle(self, http: Exchange) -> None:
        """Answer one exchange and write its line in the log."""
        entry = ExchangeEntry(
            request_id=self._request_id(http),
            method=http.request.method,
            path=http.request.path,
            provider=self.back.lm.backend.provider.name,
        )
        try:
            self._answer(http, entry)
        finally:
            # A client that closes once it has the whole answer has not left early.
            entry.status = 499 if http.client_left and not http.ended else _status(http)
            entry.ms = int((time.monotonic() - http.started) * 1000)
            entry.bytes_in, entry.bytes_out = http.bytes_in, http.bytes_out
            self.back.log.exchange(entry)

    def _answer(self, http: Exchange, entry: ExchangeEntry) -> None:
        dialect = asker_dialect(http.request.path, http.request.headers)
        entry.client = dialect
        try:
            route = _find(http)
            if not route.open:
                self._authenticate(http)
            method = "GET" if http.request.method == "HEAD" else http.request.method
            route.actions[method](self, http, entry)
        except LMError as error:
            if http.status is not None or isinstance(error, CancelledError):
                raise
            _refuse(http, dialect, entry, error)

    def _request_id(self, http: Exchange) -> str:
        """Return the client's own request id when it is a plain word, else one of ours."""
        given = http.request.header("x-request-id") or ""
        if 0 < len(given) <= MAX_REQUEST_ID and _PLAIN_ID.fullmatch(given):
            return given
        return f"req_{self.back.new_id()}"

    def _authenticate(self, http: Exchange) -> None:
        """Raise AuthError unless one of the client keys came, in any header that carries keys."""
        if not self._client_keys:
            return
        shown = [_presented(http.request.headers, name) for name in _KEY_HEADERS]
        given = [secret for secret in shown if secret is not None]
        # Every pair is compared, so that the time says nothing about which key came near.
        matches = [key == secret for key in self._client_keys for secret in given]
        if not any(matches):
            said = "the key is not one of this proxy's client keys" if given else "no key came"
            raise AuthError(
                f"{said}; send one as Authorization: Bearer KEY or x-api-key: KEY", status=401
            )


def _status(http: Exchange) -> int:
    """Return the answer's status: where none was begun, the one that the server will send."""
    if http.status is not None:
        return http.status
    return 503 if http.life.aborting else 500


_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:-]+")


def _presented(headers: Headers, name: str) -> Secret | None:
    value = find(headers, name)
    if value is None:
        return None
    scheme, _, rest = value.partition(" ")
    try:
        return Secret(rest if rest and scheme.lower() == "bearer" else value)
    except ValueError:
        return None


# Reading


def _read_body(http: Exchange) -> bytes:
    """Return the body of a request that says it is JSON. Raises an ApiError: 415, 413, 400."""
    kind = (http.request.header("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        said = f"got {kind[:60]!r}" if kind else "none came"
        raise InvalidRequestError(f"Content-Type: expected application/json, {said}", status=415)
    return http.read_body()


def _parse_json(body: bytes) -> Json:
    try:
        return loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"the body is not UTF-8 at byte {error.start}", status=400
        ) from None
    except ProtocolError as error:
        raise InvalidRequestError(f"the body is {error}", status=400) from None


def _ask(http: Exchange, entry: ExchangeEntry, codec: Codec, body: Json) -> Asked:
    request = codec.parse_request(incoming(http, body))
    if not request.model:
        raise RequestError("name a model", path="model")
    return Asked(http, codec, request, entry)


def _respond(http: Exchange, entry: ExchangeEntry, body: Json) -> None:
    headers = (("Content-Type", "application/json"), *request_id_headers(entry))
    http.respond(200, headers, dumps(body).encode())


# Routes


def _complete(dialect: str) -> Action:
    def act(app: App, http: Exchange, entry: ExchangeEntry) -> None:
        codec, back = codec_named(dialect), app.back
        body = _read_body(http)
        sent_as = partial(map_model, back.model_map)
        betas = ",".join(v for n, v in http.request.headers if n.lower() == "anthropic-beta")
        found = raw.look(body, dialect, back.lm.backend, sent_as, back.lm.taught, betas)
        if isinstance(found, raw.Passing):
            passing.serve(http, codec, entry, back, found)
            return
        if found.reason is not raw.Reason.OTHER_DIALECT:
            back.log.debug("not passed raw", request_id=entry.request_id, reason=found.reason.value)
        value = _parse_json(body) if found.body is None else found.body
        serve(_ask(http, entry, codec, value), back)

    return act


def _count_tokens(app: App, http: Exchange, entry: ExchangeEntry) -> None:
    counts = count_codec_named("anthropic")
    assert counts is not None
    request = counts.parse_count_request(incoming(http, _parse_json(_read_body(http))))
    asked = Asked(http, codec_named("anthropic"), request, entry)
    _respond(http, entry, counts.render_count_response(count(asked, app.back)))


def _models(app: App, http: Exchange, entry: ExchangeEntry) -> None:
    codec = codec_named(asker_dialect(None, http.request.headers))
    _respond(http, entry, codec.render_models(app.back.lm.models(http.watch())))


def _model(app: App, http: Exchange, entry: ExchangeEntry) -> None:
    codec = codec_named(asker_dialect(None, http.request.headers))
    asked = http.request.path.removeprefix(_MODEL_PREFIX)
    served = map_model(app.back.model_map, asked)
    for info in app.back.lm.models(http.watch()):
        if info.id == served:
            return _respond(http, entry, codec.render_model(replace(info, id=asked)))
    raise NotFoundError(
        f"no model {asked[:100]!r} here; GET /v1/models lists those that are served",
        status=404,
        provider_code="model_not_found",
    )


def _about(app: App, http: Exchange, entry: ExchangeEntry) -> None:
    provider = app.back.lm.backend.provider.name
    served = [path for path in ROUTES if path != "/"]
    _respond(
        http, entry, {"status": "ok", "name": "lmtools", "provider": provider, "serves": served}
    )


def _healthy(app: App, http: Exchange, entry: ExchangeEntry) -> None:
    _respond(http, entry, {"status": "ok"})


def _ready(app: App, http: Exchange, entry: ExchangeEntry) -> None:
    if http.life.draining:
        raise local_error(503, "draining: running requests end, new ones go elsewhere")
    _respond(http, entry, {"status": "ok"})


_MODEL_PREFIX = "/v1/models/"
_MODEL_ROUTE = Route({"GET": _model})

ROUTES: dict[str, Route] = {
    "/": Route({"GET": _about}, open=True),
    "/healthz": Route({"GET": _healthy}, open=True),
    "/readyz": Route({"GET": _ready}, open=True),
    "/v1/messages": Route({"POST": _complete("anthropic")}),
    "/v1/messages/count_tokens": Route({"POST": _count_tokens}),
    "/v1/chat/completions": Route({"POST": _complete("openai_chat")}),
    "/v1/models": Route({"GET": _models}),
}


def _refuse(http: Exchange, dialect: str, entry: ExchangeEntry, error: LMError) -> None:
    """Answer an error. A function of its own: a frame in the error's traceback that held the error
    would keep the exchange until the collector runs.
    """
    entry.error = loggable(error)
    failure = as_api_error(error)
    failure.request_id = failure.request_id or entry.request_id
    headers = (*request_id_headers(entry), *refusal_headers(error))
    if isinstance(error, MethodError):
        headers += (("Allow", error.allowed),)
    send_refusal(http, codec_named(dialect), failure, headers)


def _find(http: Exchange) -> Route:
    """Return the route of a request. Raises 404 naming the near path, 405 naming the methods."""
    path = http.request.path
    route = ROUTES.get(path)
    if route is None and path.startswith(_MODEL_PREFIX) and path != _MODEL_PREFIX:
        route = _MODEL_ROUTE
    if route is None:
        raise NotFoundError(f"no such path: {path[:100]}; {_near(path)}", status=404)
    method = http.request.method
    if method not in route.actions and not (method == "HEAD" and "GET" in route.actions):
        raise MethodError(method, route.allowed)
    return route


def _near(path: str) -> str:
    """Say which path was probably meant: a doubled or a missing /v1 is the usual slip."""
    tail = path[:100].rstrip("/").rpartition("/v1")[2]
    near = nearest(f"/v1{tail}", ROUTES) or nearest(tail, ROUTES)
    return f"did you mean {near[0]}?" if near else "GET / lists what is served"


class MethodError(InvalidRequestError):
    """405, with the ``Allow`` header that it must carry (RFC 9110 15.5.6)."""

    def __init__(self, method: str, allowed: str) -> None:
        super().__init__(f"method {method[:20]} is not served here; use {allowed}", status=405)
        self.allowed = allowed
