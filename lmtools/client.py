"""``LM``: one model provider, as a library sees it.

A call is made ready without a network (``render``), sent (``send``), and read (``complete`` or
``stream``). The proxy's back is this same class, so that library and proxy behave alike.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

from .call import FINISH_S, Call, Stream, comes_whole
from .closing import Closing
from .codecs import codec_named, count_codec_named
from .codecs.base import Codec, Headers, Rendered, Target
from .codecs.text import dumps, loads
from .errors import (
    ApiError,
    AuthError,
    ConfigError,
    LMError,
    ProtocolError,
    RequestError,
    TransportError,
)
from .http1 import merge
from .providers import Backend, open_backend, provider_named
from .providers.filters import cut_response, enforce_stops
from .providers.remedies import Remedy, diagnose, may_help, treat
from .providers.repairs import Ledger, repair
from .remembered import Remembered
from .retry import LONGEST_WAIT_S, schedule, worth_retrying
from .secret import Secret
from .transport import HttpRequest, HttpResponse, HttpTransport, Timeouts, Transport, Watch
from .transport.pause import pause
from .types import ModelInfo, Request, Response, check_request, events_from_response
from .version import VERSION

__all__ = ["FINISH_S", "LM", "Call", "Stream", "found_in"]

#: Bytes. An error body beyond this is cut: its message stands at its start.
MAX_ERROR_BODY = 1 << 20
#: Pages of a model list, each of up to 1000 rows; a server that never ends its list is left.
MAX_MODEL_PAGES = 100

#: Models whose refusals are remembered.
MAX_REMEDIED = 256
#: Characters of a model's name: names come from clients, and longer ones are not remembered.
LONGEST_MODEL = 256

# What a login page or a wrong address answers with; the labels that servers of streams give
# otherwise are too many to ask for the right one.
_PAGES = frozenset({"text/html", "application/xhtml+xml"})

USER_AGENT = f"lmtools/{VERSION}"


class LM(Closing):
    """A provider with its credential and transport. Closing it closes a transport that it made
    itself.

    ``provider`` is a name of the provider table, or a ``Backend``. Without ``api_key`` the
    provider's environment variables are looked at. ``retries`` is how often a request is sent again
    after an error that may pass (429, 5xx, no connection), before anything of the answer was used,
    unless the provider asks for more than ``longest_wait`` seconds of patience;
    ``on_retry(error, attempt, seconds)`` hears of each before the wait, attempt 1 being the first.
    """

    def __init__(
        self,
        provider: str | Backend,
        *,
        api_key: str | Secret | None = None,
        base_url: str | None = None,
        transport: Transport | None = None,
        timeouts: Timeouts | None = None,
        retries: int = 2,
        environment: Mapping[str, str] | None = None,
        longest_wait: float = LONGEST_WAIT_S,
        on_retry: Callable[[LMError, int, float], None] | None = None,
    ) -> None:
        if isinstance(provider, Backend):
            self.backend = provider
        else:
            row = provider_named(provider)
            variables = os.environ if environment is None else environment
            # A key from the environment is meant for the provider's own address only.
            secret = _secret(api_key, row.env_keys if base_url is None else (), variables)
            self.backend = open_backend(row, base_url, secret, need_key=transport is None)
        self.timeouts = timeouts or Timeouts()
        self.retries = retries
        self._longest_wait = longest_wait
        self._on_retry = on_retry
        self._remedies: Remembered[tuple[str | None, str], Remedy] = Remembered(MAX_REMEDIED)
        self._owned = transport is None
        self._transport = transport if transport is not None else HttpTransport()

    def close(self) -> None:
        if self._owned:
            self._transport.close()

    # Making ready

    def render(self, request: Request, *, said_in: str | None = None) -> Call:
        """Return the exact call, without a network.

        ``said_in`` is the dialect of a client whose request this is: where the provider speaks the
        same one, what the client said goes on as it was said.
        """
        codec, target = self._target(request, said_in)
        return self._render(request, said_in, codec, target, self.taught(target, said_in))

    def taught(self, target: Target, said_in: str | None) -> tuple[Remedy, ...]:
        """Return what refusals taught of a target's model, for what was said in a dialect."""
        known = self._remedies.find((target.origin, target.model))
        return tuple(remedy for remedy in known if may_help(remedy, target, said_in))

    def _render(
        self,
        asked: Request,
        said_in: str | None,
        codec: Codec,
        target: Target,
        remedies: tuple[Remedy, ...],
    ) -> Call:
        ledger = Ledger(asked)
        request, target = treat(asked, target, remedies, ledger)
        request = _repaired(request, target, said_in, ledger)
        rendered = codec.render_request(request, target)
        http = self._rendered_http("complete", request, target, rendered)
        losses = (*ledger.losses, *ledger.restate(rendered.losses, request))
        stops, losses = enforce_stops(asked, losses)
        return Call(http, request, target, codec, losses, stops, asked, said_in, remedies)

    def _target(self, request: Request, said_in: str | None) -> tuple[Codec, Target]:
        if said_in is None:
            check_request(request)
        target = self.backend.target(request.model)
        if said_in == target.dialect:
            target = self.backend.target_as_sent(request.model)
        return codec_named(target.dialect), target

    def _rendered_http(
        self, operation: str, request: Request, target: Target, rendered: Rendered
    ) -> HttpRequest:
        try:
            body = dumps(rendered.body).encode()
        except (TypeError, ValueError) as error:
            raise RequestError(f"the request is not JSON: {error}") from error
        return self._http(operation, request, target, rendered.path, rendered.headers, body)

    def forward(self, body: bytes, request: Request, target: Target, headers: Headers) -> Call:
        """Return the call of a body that stands in the target's dialect already, as it is.

        Of ``request`` only the model and the stream flag count.
        """
        http = self._http("complete", request, target, "", headers, body)
        return Call(http, request, target, codec_named(target.dialect))

    def _http(
        self,
        operation: str,
        request: Request,
        target: Target,
        path: str,
        own: Headers,
        body: bytes,
    ) -> HttpRequest:
        url = self.backend.url(operation, target.dialect)
        if url is None:
            raise ConfigError(
                f"{self.backend.provider.title} has no {operation} endpoint for {request.model}",
                provider=target.provider,
            )
        wanted = (
            "text/event-stream"
            if request.stream and operation == "complete"
            else "application/json"
        )
        headers = merge(
            (("Content-Type", "application/json"), ("Accept", wanted), ("User-Agent", USER_AGENT)),
            self.backend.headers(target.dialect),
            own,
        )
        return HttpRequest("POST", url + path, headers, body, self.timeouts)

    # Sending

    def send(self, call: Call, watch: Watch | None = None) -> HttpResponse:
        """Send a call.

        Return the raw answer, its body unread. An error status raises its ApiError.
        """
        attempt = 0
        while True:
            try:
                return self._send_once(call, watch)
            except LMError as error:
                attempt += 1
                if attempt > self.retries or not worth_retrying(error, self._longest_wait):
                    raise
                wait = schedule(attempt, error.retry_after)
                if self._on_retry is not None:
                    self._on_retry(error, attempt, wait)
            pause(wait * random.uniform(1.0, 1.1), watch)

    def deliver(self, call: Call, watch: Watch | None = None) -> tuple[Call, HttpResponse]:
        """Send a call, and after a refusal that has a remedy, what the remedy makes of it.

        Each remedy is tried once. Return the call that was answered, and its answer, as ``send``
        does.
        """
        try:
            return call, self.send(call, watch)
        except ApiError as error:
            again = self._remedied(call, error)
            if again is None:
                raise
        return self.deliver(again, watch)

    def _remedied(self, call: Call, error: ApiError) -> Call | None:
        """Return the call to make after a refusal; None where nothing new can be tried."""
        if call.asked is None:
            return None
        remedy = diagnose(error, call.asked, call.target)
        if remedy is None or remedy in call.remedies:
            return None
        codec, target = self._target(call.asked, call.said_in)
        if not may_help(remedy, target, call.said_in):
            return None
        remedies = (*call.remedies, remedy)
        again = self._render(call.asked, call.said_in, codec, target, remedies)
        if (again.http.body, again.http.headers) == (call.http.body, call.http.headers):
            return None
        if remedy.lasts and len(target.model) <= LONGEST_MODEL:
            self._remedies.learn((target.origin, target.model), remedy)
        return replace(again, request=call.request)

    def remedy(self, request: Request, said_in: str, error: ApiError) -> Call | None:
        """Return the call to make after the refusal of a body that was forwarded (``forward``).

        ``request`` is what the body says. None where nothing is known that would help.
        """
        codec, target = self._target(request, said_in)
        return self._remedied(self._render(request, said_in, codec, target, ()), error)

    def _send_once(self, call: Call, watch: Watch | None) -> HttpResponse:
        response = self._transport.send(call.http, watch)
        response.headers = self._mask_headers(response.headers)
        if response.status < 300:
            return response
        with response, found_in(response):
            raise self._error(call.codec, response)

    def _error(self, codec: Codec, response: HttpResponse) -> ApiError:
        provider = self.backend.provider
        if response.status < 400:
            return ApiError(
                f"{provider.title} answered {response.status}, a redirect, which is not followed;"
                " check -provider-url",
                provider=provider.name,
                status=502,
            )
        body = self.mask(_beginning(response))
        error = codec.parse_error(response.status, response.headers, body)
        error.provider = provider.name
        error.answer = (response.status, response.headers, body)
        if isinstance(error, AuthError):
            error.env_keys = provider.env_keys
        return error

    def mask(self, body: bytes) -> bytes:
        """Return an error's body without our key, which some servers repeat."""
        secret = self.backend.secret
        return body if secret is None else secret.mask_in(body.decode("latin-1")).encode("latin-1")

    def _mask_headers(self, headers: Headers) -> Headers:
        """Return an answer's headers without our key: some of them reach clients and the log."""
        secret = self.backend.secret
        if secret is None:
            return headers
        return tuple((name, secret.mask_in(value)) for name, value in headers)

    # Whole answers

    def complete(self, request: Request) -> Response:
        """Return the whole answer, or raise the mapped error."""
        call = self.render(replace(request, stream=None) if request.stream else request)
        return self.receive(call)

    def receive(self, call: Call, watch: Watch | None = None) -> Response:
        """Send a call and return its whole answer."""
        call, response = self.deliver(call, watch)
        with response:
            return self.parse(call, response.read())

    def parse(self, call: Call, body: bytes) -> Response:
        """Return the whole answer that a body holds, or raise the error that it is."""
        value = self.read_json(body)
        try:
            response = call.codec.parse_response(value, call.request, call.target)
        except LMError as error:
            masked = self.mask(body)
            if masked != body:
                # Read once more, so that no part of the error holds the key.
                return self.parse(call, masked)
            error.provider = self.backend.provider.name
            raise
        return cut_response(response, call.stops) if call.stops else response

    def read_json(self, body: bytes) -> Any:
        """Return the value of an answer's body; ProtocolError when it is not JSON."""
        title = self.backend.provider.title
        try:
            return loads(body.decode("utf-8"))
        except (ProtocolError, UnicodeDecodeError) as error:
            raise ProtocolError(
                f"{title} answered 200 with {len(body)} bytes that are not JSON;"
                " check -provider-url",
                provider=self.backend.provider.name,
            ) from error

    # Streams

    def stream(self, request: Request) -> Stream:
        """Open a stream of events; use it as a context manager, or close it."""
        return self.open(self.render(request if request.stream else replace(request, stream=True)))

    def open(self, call: Call, watch: Watch | None = None) -> Stream:
        """Send a call and return its stream, with the answer's head already read."""
        call, response = self.deliver(call, watch)
        headers = response.headers
        kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
        with found_in(response):
            if kind == "application/json" and comes_whole(response):
                with response:
                    whole = self.parse(call, response.read())
                ready = iter([list(events_from_response(whole))])
                return Stream(call, None, ready, headers=headers)
            self.refuse_page(response)
        parse = partial(self.parse, call)
        return Stream(call, response, None, self.backend.secret, headers, parse)

    def refuse_page(self, response: HttpResponse) -> None:
        """Close an answer that is a web page, and raise ProtocolError: it is no cut stream."""
        kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
        if kind in _PAGES:
            response.close()
            raise ProtocolError(
                f"{self.backend.provider.title} answered 200 with a web page ({kind});"
                " check -provider-url",
                provider=self.backend.provider.name,
            )

    # Other endpoints

    def count_tokens(
        self, request: Request, *, said_in: str | None = None, watch: Watch | None = None
    ) -> int:
        """Return the provider's count of the input; ConfigError where it has no such endpoint."""
        codec, target = self._target(request, said_in)
        counts = count_codec_named(target.dialect)
        if counts is None or self.backend.url("count_tokens", target.dialect) is None:
            raise ConfigError(
                f"{self.backend.provider.title} counts no tokens for {request.model}",
                provider=target.provider,
            )
        ledger = Ledger(request)
        request, target = treat(request, target, self.taught(target, said_in), ledger)
        request = _repaired(request, target, said_in, ledger)
        rendered = counts.render_count_request(request, target)
        http = self._rendered_http("count_tokens", request, target, rendered)
        call = Call(http, request, target, codec, rendered.losses)
        with self.send(call, watch) as response:
            return counts.parse_count_response(self.read_json(response.read()))

    def models(self, watch: Watch | None = None) -> tuple[ModelInfo, ...]:
        """Return the provider's model list, every page of it."""
        dialect = self.backend.dialect(self.backend.provider.default_model)
        codec = codec_named(dialect)
        parse: Callable[[Any], tuple[ModelInfo, ...]] = (
            self.backend.provider.parse_models or codec.parse_models
        )
        found: list[ModelInfo] = []
        query, seen = "", set[str]()
        for _ in range(MAX_MODEL_PAGES):
            body = self._get("models", dialect, codec, query, watch)
            found.extend(parse(body))
            last = (
                body.get("last_id")
                if isinstance(body, dict) and body.get("has_more") is True
                else None
            )
            if not isinstance(last, str) or last in seen:
                break
            seen.add(last)
            query = f"?limit=1000&after_id={quote(last, safe='')}"
        return tuple(found)

    def _get(
        self, operation: str, dialect: str, codec: Codec, query: str, watch: Watch | None
    ) -> Any:
        url = self.backend.url(operation, dialect)
        if url is None:
            raise ConfigError(f"{self.backend.provider.title} has no {operation} endpoint")
        headers = merge(
            (("Accept", "application/json"), ("User-Agent", USER_AGENT)),
            self.backend.headers(dialect),
        )
        http = HttpRequest("GET", url + query, headers, b"", self.timeouts)
        call = Call(http, Request("", ()), Target(dialect), codec)
        with self.send(call, watch) as response, found_in(response):
            body = response.read()
            value = self.read_json(body)
            if isinstance(value, dict) and value.get("error"):
                error = codec.parse_error(response.status, response.headers, self.mask(body))
                error.provider = self.backend.provider.name
                try:
                    raise error
                finally:
                    del error  # Its traceback holds this frame.
            return value


@contextmanager
def found_in(answer: HttpResponse) -> Iterator[None]:
    """Give an error that is raised inside the headers of the answer that it was found in."""
    try:
        yield
    except LMError as error:
        error.answer_headers = answer.headers
        raise


def _beginning(answer: HttpResponse) -> bytes:
    """Return an error's body up to its bound, or up to where it broke: the status says the rest."""
    parts: list[bytes] = []
    size = 0
    with suppress(TransportError):
        while size < MAX_ERROR_BODY and (part := answer.read_some()):
            parts.append(part)
            size += len(part)
    return b"".join(parts)[:MAX_ERROR_BODY]


def _repaired(request: Request, target: Target, said_in: str | None, ledger: Ledger) -> Request:
    """Return what was said in another dialect, or by a program in none, as this target takes it."""
    return request if said_in == target.dialect else repair(request, target, ledger)[0]


def _secret(
    given: str | Secret | None, env_keys: tuple[str, ...], environment: Mapping[str, str]
) -> Secret | None:
    if isinstance(given, Secret):
        return given
    found = given or next((environment[key] for key in env_keys if environment.get(key)), None)
    if not found:
        return None
    try:
        return Secret(found)
    except ValueError as error:
        raise ConfigError(str(error), env_keys=env_keys) from None
