"""Every status that providers and gateways document reaches each client in its own form, with the
provider's words, and is asked for again only where that may help.

Sources of the rows: [A] platform.claude.com/docs/en/api/errors; [O]
developers.openai.com/docs/guides/error-codes; [S] the SDKs' classes by status (``openai._exceptions``,
``anthropic._exceptions``); [C] developers.cloudflare.com/support/troubleshooting/http-status-codes;
[9110] RFC 9110.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fakes.error_cells import (
    CELLS,
    PASSING,
    UPSTREAM_ID,
    Bench,
    Cell,
    assert_refused,
    benches,
    both_ways,
    each_cell,
    said_by,
    words_of,
)
from tests.fakes.exact import whole
from tests.fakes.proxy import UPSTREAM_KEY, Answered


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, Bench]]:
    with benches() as found:
        yield found


@dataclass(frozen=True)
class Refusal:
    """One documented refusal. ``kind`` is what a client of the other dialect is told."""

    source: str
    wire: str
    status: int
    kind: str
    type: str
    code: str | None = None
    message: str = "told to fail"
    param: str | None = None

    def __str__(self) -> str:
        return f"{self.wire}-{self.status}-{self.code or self.type}"

    @property
    def body(self) -> bytes:
        error: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.wire == "anthropic":
            return json.dumps({"type": "error", "error": error, "request_id": UPSTREAM_ID}).encode()
        rest = {"param": self.param, "code": self.code}
        return json.dumps({"error": {"message": self.message, "type": self.type, **rest}}).encode()

    @property
    def headers(self) -> tuple[str, ...]:
        return HEADERS[self.wire]


#: What each maker sends with every answer, and what is nobody else's business.
HEADERS = {
    "anthropic": (
        f"request-id: {UPSTREAM_ID}",
        "anthropic-ratelimit-requests-limit: 50",
        "anthropic-ratelimit-requests-remaining: 0",
        "anthropic-ratelimit-input-tokens-reset: 2026-01-01T00:00:00Z",
        "set-cookie: a=SENTINEL",
        "cf-ray: SENTINEL",
        "x-should-retry: true",
    ),
    "openai_chat": (
        f"x-request-id: {UPSTREAM_ID}",
        "x-ratelimit-limit-requests: 60",
        "x-ratelimit-remaining-tokens: 149984",
        "x-ratelimit-reset-tokens: 6m0s",
        "openai-organization: SENTINEL",
        "server: SENTINEL",
    ),
}
LIMITS = {
    "anthropic": {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:00Z",
        "x-should-retry": "true",
    },
    "openai_chat": {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    },
}


def anthropic(
    status: int, kind: str, type: str, message: str = "told to fail", source: str = "[A]"
) -> Refusal:
    return Refusal(source, "anthropic", status, kind, type, None, message)


def openai(
    status: int,
    kind: str,
    type: str,
    code: str | None = None,
    message: str = "told to fail",
    param: str | None = None,
    source: str = "[O]",
) -> Refusal:
    return Refusal(source, "openai_chat", status, kind, type, code, message, param)


REFUSALS = [
    anthropic(400, "invalid", "invalid_request_error"),
    anthropic(400, "context", "invalid_request_error", "prompt is too long: 200001 tokens"),
    anthropic(400, "billing", "invalid_request_error", "Your credit balance is too low to access"),
    anthropic(401, "auth", "authentication_error"),
    anthropic(402, "billing", "billing_error"),
    anthropic(403, "permission", "permission_error"),
    anthropic(404, "missing", "not_found_error"),
    anthropic(404, "model", "not_found_error", "model: claude-none"),
    anthropic(409, "conflict", "conflict_error"),
    anthropic(413, "large", "request_too_large"),
    anthropic(422, "invalid", "invalid_request_error", source="[S]"),
    anthropic(429, "rate", "rate_limit_error"),
    anthropic(500, "server", "api_error"),
    anthropic(504, "timeout", "timeout_error"),
    anthropic(529, "overloaded", "overloaded_error"),
    openai(400, "invalid", "invalid_request_error", None, "bad tools", "tools[0].function.name"),
    openai(400, "invalid", "invalid_request_error", "unsupported_value", "bad", "temperature"),
    openai(400, "invalid", "invalid_request_error", None, "not allowed", "service_tier"),
    openai(400, "context", "invalid_request_error", "context_length_exceeded", param="messages"),
    openai(400, "invalid", "invalid_request_error", "content_policy_violation", source="[S]"),
    openai(401, "auth", "invalid_request_error", "invalid_api_key"),
    openai(401, "auth", "invalid_request_error", "ip_not_authorized"),
    openai(403, "permission", "request_forbidden", "unsupported_country_region_territory"),
    openai(404, "model", "invalid_request_error", "model_not_found", param="model", source="[S]"),
    openai(408, "timeout", "server_error", source="[S]"),
    openai(409, "conflict", "invalid_request_error", source="[S]"),
    openai(413, "large", "invalid_request_error", source="[S]"),
    openai(422, "invalid", "invalid_request_error", source="[S]"),
    openai(429, "rate", "requests", "rate_limit_exceeded"),
    openai(429, "rate", "tokens", "rate_limit_exceeded"),
    openai(429, "rate", "rate_limit_error", "slow_down"),
    openai(429, "billing", "insufficient_quota", "insufficient_quota"),
    openai(429, "billing", "insufficient_quota", "credit_balance_exhausted"),
    openai(429, "billing", "invalid_request_error", "project_spend_limit_exceeded"),
    openai(429, "billing", "invalid_request_error", "organization_spend_limit_exceeded"),
    openai(429, "billing", "invalid_request_error", "organization_usage_limit_exceeded"),
    openai(500, "server", "server_error"),
    openai(503, "overloaded", "service_unavailable_error", "server_is_overloaded"),
    openai(503, "overloaded", "server_error", "slow_down"),
]

EACH_REFUSAL = [
    pytest.param(cell, refusal, id=f"{cell}-{refusal}")
    for refusal in REFUSALS
    for cell in CELLS
    if cell.wire == refusal.wire
]


@both_ways
@pytest.mark.parametrize(("cell", "refusal"), EACH_REFUSAL)
def test_a_documented_refusal_reaches_the_client_in_its_own_words(
    bench: dict[str, Bench], cell: Cell, refusal: Refusal, stream: bool
) -> None:
    """The provider's own words to a client of its dialect, the same thing in the other's to others."""
    answered = bench[cell.wire].ask(
        cell, stream, whole(refusal.status, refusal.body, *refusal.headers)
    )

    error = assert_refused(cell, answered, refusal.status)
    assert refusal.message in error["message"]
    if cell.is_translated:
        assert words_of(cell, error) == said_by(cell, refusal.kind)
    else:
        assert answered.body == json.loads(refusal.body)
    if cell.client == "openai_chat":
        assert error["param"] == refusal.param
    assert_upstreams_headers(cell, answered)
    assert "retry-after" not in answered.headers
    assert bench[cell.wire].attempts == (2 if refusal.kind in PASSING else 1)


def assert_upstreams_headers(cell: Cell, answered: Answered) -> None:
    assert answered.headers["x-upstream-request-id"] == UPSTREAM_ID
    assert LIMITS[cell.wire].items() <= answered.headers.items()


#: What gateways, load balancers and servers answer that no provider documents: the status says it.
GATEWAYS = [
    (405, "invalid", "[9110]"),
    (415, "invalid", "[9110]"),
    (418, "invalid", "[9110]"),
    (421, "invalid", "[9110]"),
    (426, "invalid", "[9110]"),
    (431, "invalid", "[9110]"),
    (451, "invalid", "[9110]"),
    (499, "invalid", "nginx: the gateway's own client left"),
    (501, "server", "[9110]"),
    (502, "server", "[9110]"),
    (503, "overloaded", "[9110]"),
    (504, "timeout", "[9110]"),
    (520, "server", "[C]"),
    (521, "server", "[C]"),
    (522, "server", "[C]"),
    (523, "server", "[C]"),
    (524, "server", "[C]"),
    (525, "server", "[C]"),
    (526, "server", "[C]"),
    (530, "server", "[C]"),
    (598, "server", "proxies: a read that took too long"),
]
_PAGE = (
    b"<!DOCTYPE html><html><head><title>odd</title><style>a{}</style></head>"
    b"<body>\r\n<h1>told to fail</h1><p>by nginx</p></body></html>"
)


@both_ways
@each_cell
@pytest.mark.parametrize(("status", "kind", "source"), GATEWAYS, ids=lambda v: str(v)[:3])
def test_a_gateways_page_keeps_its_status_and_its_words(
    bench: dict[str, Bench], cell: Cell, stream: bool, status: int, kind: str, source: str
) -> None:
    answered = bench[cell.wire].ask(
        cell, stream, whole(status, _PAGE, *HEADERS[cell.wire], kind="text/html")
    )

    error = assert_refused(cell, answered, status)
    assert "told to fail" in error["message"]
    assert "<" not in error["message"]
    assert words_of(cell, error) == said_by(cell, kind)
    assert_upstreams_headers(cell, answered)
    assert bench[cell.wire].attempts == (2 if kind in PASSING else 1)


@both_ways
@each_cell
@pytest.mark.parametrize("status", [600, 999])
def test_a_status_that_is_none_is_not_repeated(
    bench: dict[str, Bench], cell: Cell, stream: bool, status: int
) -> None:
    """HTTP clients take a status of three digits up to 599."""
    answered = bench[cell.wire].ask(cell, stream, whole(status, b"told to fail", kind="text/plain"))

    error = assert_refused(cell, answered, answered.status)
    assert answered.status in (500, 502)
    assert "told to fail" in error["message"]


@both_ways
@each_cell
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_named_and_not_followed(
    bench: dict[str, Bench], cell: Cell, stream: bool, status: int
) -> None:
    """A credential and a prompt go to the address that was configured, and to no other."""
    moved = whole(
        status, b"" if status == 304 else b"moved", "Location: http://127.0.0.1:9/v1/SENTINEL"
    )
    answered = bench[cell.wire].ask(cell, stream, moved)

    error = assert_refused(cell, answered, 502)
    assert str(status) in error["message"]
    assert "redirect" in error["message"]
    assert bench[cell.wire].attempts == 1


# When to come back

_NOW, _THEN = "Sun, 01 Mar 2026 10:00:00 GMT", "Sun, 01 Mar 2026 10:00:17 GMT"
#: headers of the answer -> the client's ``retry-after``, and how often the provider is asked.
PATIENCE = [
    (("Retry-After: 17",), "17", 1),
    (("retry-after: 1.5",), "2", 1),
    ((f"Date: {_NOW}", f"Retry-After: {_THEN}"), "17", 1),
    (("Retry-After: 0",), "0", 2),
    (("retry-after-ms: 5",), "1", 2),
    (("retry-after-ms: 2600", "Retry-After: 3"), "3", 1),
    (("Retry-After: 86400",), "86400", 1),
    (("Retry-After: soon",), None, 2),
    (("Retry-After: -5",), None, 2),
    ((f"Date: {_THEN}", f"Retry-After: {_NOW}"), "0", 2),
]


@both_ways
@pytest.mark.parametrize(("given", "told", "attempts"), PATIENCE, ids=lambda v: str(v)[:44])
@each_cell
def test_the_client_hears_when_to_come_back(
    bench: dict[str, Bench],
    cell: Cell,
    stream: bool,
    given: tuple[str, ...],
    told: str | None,
    attempts: int,
) -> None:
    """A wait of over a second is the client's to make: it has a patience of its own."""
    refusal = anthropic(429, "rate", "rate_limit_error")
    if cell.wire == "openai_chat":
        refusal = openai(503, "overloaded", "server_error", "overloaded")
    answered = bench[cell.wire].ask(cell, stream, whole(refusal.status, refusal.body, *given))

    assert_refused(cell, answered, refusal.status)
    heard = answered.headers.get("retry-after")
    if told is None:
        assert heard is None or f"Retry-After: {heard}" in given
    else:
        assert heard is not None
        # A client of the provider's dialect may hear the very words.
        assert heard in (told, given[-1].partition(": ")[2])
        assert heard.replace(".", "").isdigit()
    for line in given:
        if line.startswith("retry-after-ms"):
            assert answered.headers["retry-after-ms"] == line.partition(": ")[2]
    assert bench[cell.wire].attempts == attempts


@both_ways
@each_cell
def test_one_short_retry_is_enough_to_hide_a_hiccup(
    bench: dict[str, Bench], cell: Cell, stream: bool
) -> None:
    refusal = anthropic(529, "overloaded", "overloaded_error")
    answered = bench[cell.wire].ask(
        cell, stream, whole(529, refusal.body), whole(400, b'{"error": "the second answer"}')
    )

    error = assert_refused(cell, answered, 400)
    assert error["message"] == "the second answer"
    assert bench[cell.wire].attempts == 2


@both_ways
@each_cell
@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_a_key_that_an_error_repeats_is_masked(
    bench: dict[str, Bench], cell: Cell, stream: bool, status: int
) -> None:
    """In the message, in fields beside it, as a key, in a page."""
    echo = f"told to fail: Authorization: Bearer {UPSTREAM_KEY}"
    error = {"type": "x", "message": echo, "param": echo, "code": UPSTREAM_KEY, UPSTREAM_KEY: echo}
    bodies = [
        {"type": "error", "error": error, "headers": {"x-api-key": UPSTREAM_KEY}, "request_id": UPSTREAM_KEY},
        {"detail": [{"loc": [UPSTREAM_KEY], "msg": echo, "type": UPSTREAM_KEY}]},
        {"error": echo},
        f"<p>{echo}</p>",
    ]  # fmt: skip
    for body in bodies:
        data = json.dumps(body) if isinstance(body, dict) else body
        answered = bench[cell.wire].ask(
            cell, stream, whole(status, data.encode(), "Retry-After: 17")
        )

        told = assert_refused(cell, answered, status)
        assert "***" in told["message"]
