"""Rows: every error that a provider documents, and streams that fail, break and fall silent."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.fakes.scenario import CUT_EARLY, FAILS_EARLY, FAILS_MIDWAY, Failure, Scenario
from tests.fakes.server import Gate
from tests.interop.cell import Cell
from tests.interop.pages import ANTHROPIC_ERRORS, ANTHROPIC_STREAMING, OPENAI_ERRORS
from tests.interop.table import Group, No, Where

GROUP = Group("Errors")
STREAMS = Group("Streams that break and wait")


@dataclass(frozen=True)
class Documented:
    """One documented error. ``wires``: (type, code) that each provider gives it; a missing one has none.

    ``classes``: what each SDK raises.
    """

    name: str
    status: int
    wires: Mapping[str, tuple[str, str | None]]
    classes: tuple[str, str]
    message: str = "upstream says no"
    retry_after: str | None = None


BOTH = ("anthropic", "openai_chat")
ERRORS = (
    Documented("400: the request is wrong", 400, {"anthropic": ("invalid_request_error", None), "openai_chat": ("invalid_request_error", "invalid_value")}, ("BadRequestError", "BadRequestError")),
    Documented("400: the prompt is too long", 400, {"anthropic": ("invalid_request_error", None), "openai_chat": ("invalid_request_error", "context_length_exceeded")}, ("BadRequestError", "BadRequestError"), "prompt is too long: 250000 tokens > 200000 maximum"),
    Documented("401: the key is refused", 401, {"anthropic": ("authentication_error", None), "openai_chat": ("invalid_request_error", "invalid_api_key")}, ("AuthenticationError", "AuthenticationError")),
    Documented("402: billing", 402, {"anthropic": ("billing_error", None)}, ("APIStatusError", "APIStatusError")),
    Documented("403: not permitted", 403, {"anthropic": ("permission_error", None), "openai_chat": ("invalid_request_error", "unsupported_country_region_territory")}, ("PermissionDeniedError", "PermissionDeniedError")),
    Documented("404: no such model", 404, {"anthropic": ("not_found_error", None), "openai_chat": ("invalid_request_error", "model_not_found")}, ("NotFoundError", "NotFoundError"), "model: nope"),
    Documented("409: conflict", 409, {"anthropic": ("conflict_error", None), "openai_chat": ("invalid_request_error", None)}, ("ConflictError", "ConflictError")),
    Documented("413: the request is too large", 413, {"anthropic": ("request_too_large", None)}, ("APIStatusError", "APIStatusError")),
    Documented("422: the request cannot be processed", 422, {"openai_chat": ("invalid_request_error", None)}, ("UnprocessableEntityError", "UnprocessableEntityError")),
    Documented("429: too many requests", 429, {"anthropic": ("rate_limit_error", None), "openai_chat": ("requests", "rate_limit_exceeded")}, ("RateLimitError", "RateLimitError"), retry_after="7"),
    Documented("429: the quota is used up", 429, {"openai_chat": ("insufficient_quota", "insufficient_quota")}, ("RateLimitError", "RateLimitError")),
    Documented("500: the server failed", 500, {"anthropic": ("api_error", None), "openai_chat": ("server_error", None)}, ("InternalServerError", "InternalServerError")),
    Documented("503: the engine is overloaded", 503, {"openai_chat": ("service_unavailable_error", "server_is_overloaded")}, ("ServiceUnavailableError", "InternalServerError"), retry_after="9"),
    Documented("503: slow down", 503, {"openai_chat": ("service_unavailable_error", "slow_down")}, ("ServiceUnavailableError", "InternalServerError"), retry_after="30"),
    Documented("504: it took too long", 504, {"anthropic": ("timeout_error", None)}, ("InternalServerError", "InternalServerError")),
    Documented("529: the API is overloaded", 529, {"anthropic": ("overloaded_error", None)}, ("OverloadedError", "InternalServerError"), retry_after="5"),
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

    assert error.classes[cell.client == "openai"] in failure.types
    assert failure.status == error.status
    assert error.message in failure.message
    assert failure.request_id
    assert failure.retry_after == error.retry_after
    assert cell.last.headers["content-type"].startswith("application/json")
    if not cell.column.is_foreign:
        assert failure.kind == kind
        assert failure.code == code


for _error in ERRORS:
    GROUP.row(
        _error.name,
        no=[
            No(Where(wire=wire), "not among the documented errors", PAGES[wire])
            for wire in BOTH
            if wire not in _error.wires
        ],
    )(lambda cell, error=_error: _documented(cell, error))  # type: ignore[misc]


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
        lambda cell, error=_midway: _fails_midway(cell, error)  # type: ignore[misc]
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
