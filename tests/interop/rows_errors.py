"""Rows: every error that a provider documents, and streams that fail, break and fall silent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tests.fakes.scenario import CUT_EARLY, FAILS_EARLY, FAILS_MIDWAY, Failure, Scenario
from tests.fakes.server import Gate
from tests.interop.cell import Cell
from tests.interop.pages import ANTHROPIC_ERRORS, ANTHROPIC_STREAMING, OPENAI_ERRORS
from tests.interop.table import Group, No, Where

GROUP = Group("Errors")
STREAMS = Group("Streams that break and wait")


@dataclass(frozen=True)
class Documented:
    """One documented error.

    ``wires``: (type, code) that each provider gives it; a provider that is missing documents none.
    ``classes``: what Anthropic's and OpenAI's SDK raise. ``kind`` and ``code`` are the word that an
    Anthropic client of a Chat provider reads, and the code that a Chat client of Anthropic reads.
    """

    name: str
    status: int
    wires: Mapping[str, tuple[str, str | None]]
    classes: tuple[str, str]
    kind: str = ""
    code: str | None = None
    message: str = "upstream says no"
    retry_after: str | None = None


def _wires(anthropic: str | None, kind: str | None = None, code: str | None = None) -> Any:
    found: dict[str, tuple[str, str | None]] = {}
    if anthropic is not None:
        found["anthropic"] = (anthropic, None)
    return found if kind is None else {**found, "openai_chat": (kind, code)}


def _same(name: str) -> tuple[str, str]:
    return name, name


_BAD = "invalid_request_error"
_BUSY = "service_unavailable_error"
_SERVER = "InternalServerError"
ERRORS = (
    Documented("400: the request is wrong", 400, _wires(_BAD, _BAD, "invalid_value"), _same("BadRequestError"), _BAD),
    Documented("400: the prompt is too long", 400, _wires(_BAD, _BAD, "context_length_exceeded"), _same("BadRequestError"), _BAD, "context_length_exceeded", "prompt is too long: 250000 tokens > 200000 maximum"),
    Documented("401: the key is refused", 401, _wires("authentication_error", _BAD, "invalid_api_key"), _same("AuthenticationError"), "authentication_error", "invalid_api_key"),
    Documented("402: billing", 402, _wires("billing_error"), _same("APIStatusError"), code="insufficient_quota"),
    Documented("403: not permitted", 403, _wires("permission_error", _BAD, "unsupported_country_region_territory"), _same("PermissionDeniedError"), "permission_error", "permission_denied"),
    Documented("404: no such model", 404, _wires("not_found_error", _BAD, "model_not_found"), _same("NotFoundError"), "not_found_error", "model_not_found", "model: nope"),
    Documented("409: conflict", 409, _wires("conflict_error", _BAD), _same("ConflictError"), "conflict_error", "conflict"),
    Documented("413: the request is too large", 413, _wires("request_too_large"), _same("APIStatusError"), code="request_too_large"),
    Documented("422: the request cannot be processed", 422, _wires(None, _BAD), _same("UnprocessableEntityError"), _BAD),
    Documented("429: too many requests", 429, _wires("rate_limit_error", "requests", "rate_limit_exceeded"), _same("RateLimitError"), "rate_limit_error", "rate_limit_exceeded", retry_after="7"),
    Documented("429: the quota is used up", 429, _wires(None, "insufficient_quota", "insufficient_quota"), _same("RateLimitError"), "billing_error"),
    Documented("500: the server failed", 500, _wires("api_error", "server_error"), _same(_SERVER), "api_error"),
    Documented("503: the engine is overloaded", 503, _wires(None, _BUSY, "server_is_overloaded"), ("ServiceUnavailableError", _SERVER), "overloaded_error", retry_after="9"),
    Documented("503: slow down", 503, _wires(None, _BUSY, "slow_down"), ("ServiceUnavailableError", _SERVER), "overloaded_error", retry_after="30"),
    Documented("504: it took too long", 504, _wires("timeout_error"), _same(_SERVER), code="api_timeout"),
    Documented("529: the API is overloaded", 529, _wires("overloaded_error"), ("OverloadedError", _SERVER), code="overloaded", retry_after="5"),
)  # fmt: skip
PAGES = {"anthropic": ANTHROPIC_ERRORS, "openai_chat": OPENAI_ERRORS}


def _documented(cell: Cell, error: Documented) -> None:
    kind, code = error.wires[cell.wire.name]
    cell.play(
        Scenario(
            failure=Failure(error.status, error.message, error.retry_after, kind=kind, code=code)
        )
    )

    failure = cell.fails()

    assert error.classes[cell.client != "anthropic"] in failure.types
    assert failure.status == error.status
    assert error.message in failure.message
    assert failure.request_id
    assert failure.retry_after == error.retry_after
    assert cell.last.headers["content-type"].startswith("application/json")
    if not cell.column.is_foreign:
        assert (failure.kind, failure.code) == (kind, code)
    elif cell.client == "anthropic":
        assert failure.kind == error.kind
    else:
        assert failure.code == error.code


for _error in ERRORS:
    GROUP.row(
        _error.name,
        no=[
            No(Where(wire=wire), "not among the documented errors", PAGES[wire])
            for wire in PAGES
            if wire not in _error.wires
        ],
    )(partial(_documented, error=_error))


@GROUP.row("502: a gateway's page in HTML")
def html(cell: Cell) -> None:
    page = b"<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>"
    cell.play(Scenario(failure=Failure(502, raw=page)))

    failure = cell.fails()

    assert failure.status == 502
    assert "Bad Gateway" in failure.message
    assert "<html" not in failure.message


WHOLE = No(
    Where(stream=False), "an answer that is not streamed has one status", ANTHROPIC_STREAMING
)


@STREAMS.row("an error before the first event", no=[WHOLE])
def fails_early(cell: Cell) -> None:
    cell.play(FAILS_EARLY)

    failure = cell.fails()

    assert failure.status in (500, 502, 503, 529)
    assert "Overloaded" in failure.message


@dataclass(frozen=True)
class Midway:
    """An error of a stream: (status, type, code) by wire, and the type that Anthropic's client reads."""

    name: str
    wires: Mapping[str, tuple[int, str, str | None]]
    kind: str


MIDWAY = (
    Midway("overloaded", {"anthropic": (529, "overloaded_error", None), "openai_chat": (503, "service_unavailable_error", "server_is_overloaded")}, "overloaded_error"),
    Midway("the server failed", {"anthropic": (500, "api_error", None), "openai_chat": (500, "server_error", None)}, "api_error"),
    Midway("too many requests", {"anthropic": (429, "rate_limit_error", None), "openai_chat": (429, "requests", "rate_limit_exceeded")}, "rate_limit_error"),
)  # fmt: skip


def _fails_midway(cell: Cell, error: Midway) -> None:
    status, kind, code = error.wires[cell.wire.name]
    failure = Failure(status, "it ended here", kind=kind, code=code)
    cell.play(replace(FAILS_MIDWAY, failure=failure))

    said, raised = cell.breaks()

    assert said.startswith("some ")
    assert "stop" not in said
    assert "it ended here" in raised.message
    if cell.client == "anthropic":
        assert raised.kind == error.kind
    elif not cell.column.is_foreign:
        assert (raised.kind, raised.code) == (kind, code)


for _midway in MIDWAY:
    STREAMS.row(f"an error mid-stream: {_midway.name}", no=[WHOLE])(
        partial(_fails_midway, error=_midway)
    )


@STREAMS.row("the connection is cut")
def cut(cell: Cell) -> None:
    """Losing the connection must never look like a short answer."""
    cell.play(CUT_EARLY)
    if not cell.is_stream:
        assert cell.fails().status == 502
        return

    said, failure = cell.breaks()

    assert said.startswith("some ")
    assert "stop" not in said
    assert failure.message


SILENCE_S = 22.0


def _silence(cell: Cell, at: int) -> None:
    """Hold the answer back before a frame; longer than a ping's interval, and than some clients wait."""
    gate, pings = Gate(2 * SILENCE_S), []

    def open_gate() -> None:
        pings.append(cell.last.pings if cell.is_stream else 0)
        gate.open()

    cell.play(Scenario(gates={at if cell.is_stream else 0: gate}))
    opener = threading.Timer(SILENCE_S, open_gate)
    opener.start()
    try:
        answer = cell.ask()
    finally:
        opener.cancel()
        opener.join()
        gate.close()

    assert answer.text == "Hello, world!"
    if cell.is_stream:
        # What the provider itself sent before it fell silent went on, within its dialect.
        sent = [body.get("type") for body in cell.fake.sent[:at]]
        own = pings[0] - (0 if cell.column.is_foreign else sent.count("ping"))
        assert own >= 1


@STREAMS.row("22 s of silence before the answer", patient=True)
def silence(cell: Cell) -> None:
    _silence(cell, 0)


@STREAMS.row("22 s of silence mid-stream", no=[WHOLE], patient=True)
def silence_midway(cell: Cell) -> None:
    _silence(cell, 4)
