"""Error bodies in every form that servers use: each client gets its own form, with the true status.

Forms: vLLM, Ollama and LM Studio (a text under ``error``), FastAPI (``detail``), Google's compatible
endpoint (a list), API gateways (``message``), Azure (``innererror``), LiteLLM and Argo (an SDK's
exception as text), the other maker's form, and what is no JSON at all.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.error_cells import (
    CELLS,
    OWN_ID,
    Bench,
    Cell,
    assert_refused,
    benches,
    both_ways,
    each_cell,
    said_by,
    words_of,
)
from tests.fakes.exact import END, LAST_CHUNK, RESET, Answer, chunk, head, whole
from tests.fakes.proxy import UPSTREAM_KEY


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, Bench]]:
    with benches() as found:
        yield found


#: Told with each row's status; repeats our key, so that every form is asked about that as well.
TOLD = f"told to fail, with Bearer {UPSTREAM_KEY} in hand"
HEARD = "told to fail, with Bearer *** in hand"
_CHAT = {"message": TOLD, "type": "server_error", "param": None, "code": None}
_MESSAGES = {"type": "error", "error": {"type": "api_error", "message": TOLD}}
_INNER = {
    "code": "ResponsibleAIPolicyViolation",
    "content_filter_result": {"hate": {"filtered": True}},
}
_JUNK = {"junk": "x" * (1 << 20)}
_LITERAL = {"error": {"message": TOLD, "type": "invalid_request_error", "code": "bad_thing"}}


def packed(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


#: name -> (status, body, kind for clients of the other dialect or None where the form tells more)
FORMS: dict[str, tuple[int, Any, str]] = {
    "chat": (500, {"error": _CHAT}, "server"),
    "messages": (500, _MESSAGES, "server"),
    "chat-429": (429, {"error": {**_CHAT, "type": "requests"}}, "rate"),
    "messages-429": (429, {**_MESSAGES, "error": {"type": "rate_limit_error", "message": TOLD}}, "rate"),
    "bare-object": (500, {"error": {"message": TOLD}}, "server"),
    "without-type": (403, {"error": {"message": TOLD, "code": 403}}, "permission"),
    "text-under-error": (404, {"error": TOLD}, "missing"),
    "text-beside": (400, {"error": TOLD, "path": "/v1", "status": 400}, "invalid"),
    "detail": (405, {"detail": TOLD}, "invalid"),
    "detail-object": (409, {"detail": {"message": TOLD}}, "conflict"),
    "detail-list": (422, {"detail": [{"loc": ["body", "x"], "msg": TOLD, "type": "missing"}]}, "invalid"),
    "message": (403, {"message": TOLD}, "permission"),
    "vllm-old": (400, {"object": "error", "message": TOLD, "type": "BadRequestError", "param": None, "code": 400}, "invalid"),
    "google": (503, [{"error": {"code": 503, "message": TOLD, "status": "UNAVAILABLE"}}], "overloaded"),
    "azure": (400, {"error": {**_CHAT, "type": None, "param": "prompt", "code": "content_filter", "status": 400, "innererror": _INNER}}, "invalid"),
    "wrapped": (400, {"error": {**_CHAT, "message": f"Error code: 400 - {_LITERAL!r}"}}, "invalid"),
    "wrapped-in-500": (500, {"error": {**_CHAT, "message": f"litellm.BadRequestError: Error code: 400 - {_LITERAL!r}"}}, "invalid"),
    "text": (503, TOLD.encode(), "overloaded"),
    "page": (502, f"<html><head><title>x</title></head><body><h1>{TOLD}</h1></body></html>".encode(), "server"),
    "json-text": (400, TOLD, "invalid"),
    "cut-json": (500, json.dumps({"error": _CHAT}).encode()[:-9], "server"),
    "junk-behind": (500, {"error": _CHAT, **_JUNK}, "server"),
    "much-junk-behind": (429, {"error": _CHAT, "junk": "x" * (2 << 20)}, "rate"),
    "bad-utf-8": (400, b"\xff\xfe " + TOLD.encode() + b" \xf0\x28", "invalid"),
    "control-characters": (400, b'{"error": "' + TOLD.encode() + b'\x00\x07"}', "invalid"),
    "null-error": (500, {"error": None, "message": TOLD}, "server"),
    "doubled-key": (500, b'{"error": "x", "error": "' + TOLD.encode() + b'"}', "server"),
}  # fmt: skip
#: OpenAI's form with keys left out, which clients of OpenAI's read as they are.
OWN_FORM = ("bare-object", "without-type")
#: What is no JSON by the time that it is read is told as it stands.
UNREAD = ("cut-json", "junk-behind", "much-junk-behind", "control-characters", "doubled-key")
#: Nothing in them can be told; the status still is.
MUTE: dict[str, tuple[int, Any]] = {
    "empty": (429, b""),
    "blank": (503, b" \r\n "),
    "null": (400, None),
    "number": (400, 7),
    "empty-object": (401, {}),
    "empty-list": (402, []),
    "empty-error": (403, {"error": {}}),
    "odd-types": (404, {"error": {"message": {"a": 1}, "type": 7, "code": [], "param": {}}}),
    "odd-list": (409, [{"error": 1}, 2]),
    "deep": (400, b"[" * 20_000 + b"]" * 20_000),
    "zeros": (500, bytes(4096)),
    "junk": (500, b"\x80\x81<" * 400_000),
    "huge-number": (500, b'{"error": {"code": ' + b"9" * 5000 + b"}}"),
}


@both_ways
@each_cell
@pytest.mark.parametrize("form", FORMS)
def test_a_body_of_any_form_becomes_the_clients_own_form(
    bench: dict[str, Bench], cell: Cell, form: str, stream: bool
) -> None:
    status, body, kind = FORMS[form]
    answer = whole(status, packed(body), "request-id: up-1", "Retry-After: 17")

    answered = bench[cell.wire].ask(cell, stream, answer)

    told = 400 if form.startswith("wrapped") else status
    own = form in OWN_FORM and (cell.client, cell.wire) == ("openai_chat", "openai_chat")
    error = assert_refused(cell, answered, told, as_it_came=own)
    assert HEARD in error["message"]
    if form not in UNREAD and (form, cell.wire) != ("detail-list", "anthropic"):
        # The words, and nothing of the form that they came in.
        assert not set(error["message"]) & set("{}[]<>")
    assert len(error["message"]) < 1000
    assert answered.headers["retry-after"] == "17"
    assert answered.headers["x-upstream-request-id"] == "up-1"
    if cell.client != "openai_chat" or cell.is_translated:
        assert words_of(cell, error)
        assert error["type"] in (said_by(cell, kind), said_by(cell, kind)[0])
    assert bench[cell.wire].attempts == 1


@both_ways
@each_cell
@pytest.mark.parametrize("form", MUTE)
def test_a_body_that_says_nothing_still_has_its_status(
    bench: dict[str, Bench], cell: Cell, form: str, stream: bool
) -> None:
    status, body = MUTE[form]

    answered = bench[cell.wire].ask(cell, stream, whole(status, packed(body), "Retry-After: 17"))

    error = assert_refused(cell, answered, status)
    assert len(error["message"]) < 1000
    assert answered.headers["retry-after"] == "17"


def broken_bodies() -> dict[str, Answer]:
    """Return refusals whose body breaks off, is shorter or longer than it says, or cannot be read."""
    body = packed({"error": _CHAT})
    lines = ("Content-Type: application/json", "Retry-After: 17", "request-id: up-1")
    start = head(429, *lines, f"Content-Length: {len(body)}")
    chunked = head(429, *lines, "Transfer-Encoding: chunked")
    return {
        "whole-chunked": [chunked, chunk(body[:9]), chunk(body[9:]), LAST_CHUNK],
        "until-the-end": [head(429, *lines) + body, END],
        "cut": [start + body[:30], END],
        "reset": [start + body[:30], RESET],
        "reset-behind": [head(429, *lines, "Content-Length: 9999") + body, RESET],
        "nothing-came": [start, END],
        "longer": [head(429, *lines, "Content-Length: 9999") + body, END],
        "shorter": [start.replace(str(len(body)).encode(), b"20") + body],
        "broken-chunk": [chunked + chunk(body) + b"zz\r\nmore", END],
        "chunks-cut": [chunked + chunk(body), END],
        "gzip": whole(429, gzip.compress(body), *lines[1:], "Content-Encoding: gzip"),
        "gzip-cut": whole(429, gzip.compress(body)[:-9], *lines[1:], "Content-Encoding: gzip"),
        "gzip-broken": whole(429, b"\x1f\x8bjunk" * 9, *lines[1:], "Content-Encoding: gzip"),
        "brotli": whole(429, b"\x0b\x02\x80junk", *lines[1:], "Content-Encoding: br"),
        "early-hints": [head(103, "Link: </x>") + head(100) + start + body],
        "odd-label": whole(429, body, *lines[1:], kind="text/event-stream"),
        "no-label": whole(429, body, *lines[1:], kind=""),
    }


#: Those of which all that was to be said came.
READABLE = ("whole-chunked", "until-the-end", "reset-behind", "longer", "chunks-cut", "gzip", "gzip-cut", "early-hints", "odd-label", "no-label")  # fmt: skip


@both_ways
@each_cell
@pytest.mark.parametrize("form", broken_bodies())
def test_a_body_that_breaks_takes_nothing_away_from_the_status(
    bench: dict[str, Bench], cell: Cell, form: str, stream: bool
) -> None:
    """A 429 with its ``Retry-After`` is worth more to a client than its body."""
    answered = bench[cell.wire].ask(cell, stream, broken_bodies()[form])

    error = assert_refused(cell, answered, 429)
    assert answered.headers["retry-after"] == "17"
    assert answered.headers["x-upstream-request-id"] == "up-1"
    if form in READABLE:
        assert HEARD in error["message"]
    assert bench[cell.wire].attempts == 1


# Other paths


LISTS: dict[str, tuple[Answer, int]] = {
    "401": (whole(401, packed({"error": TOLD})), 401),
    "page": (whole(200, b"<html></html>", kind="text/html"), 502),
    "error-in-200": (whole(200, packed({"error": _CHAT})), 500),
    "empty": (whole(200, b""), 502),
    "text-as-data": (whole(200, b'{"data": "x"}'), 502),
    "odd-rows": (whole(200, b'{"data": [1, null, {"id": 7}]}'), 502),
    "reset": ([RESET], 502),
}


@pytest.mark.parametrize("case", LISTS)
@each_cell
def test_a_list_of_models_fails_in_the_clients_form(
    bench: dict[str, Bench], cell: Cell, case: str
) -> None:
    answer, status = LISTS[case]
    upstream, proxy = bench[cell.wire].upstream, bench[cell.wire].proxy
    upstream.play(answer)
    marks = {"anthropic": {"anthropic-version": "2023-06-01"}, "openai_chat": {}}

    answered = proxy.ask("GET", "/v1/models", None, {"x-request-id": OWN_ID, **marks[cell.client]})

    if answered.status == 200:
        # Rows that cannot be read are left out by servers' own clients, too.
        assert case == "odd-rows"
    elif case == "error-in-200":
        # Whose fault it was is said in words of the other dialect.
        assert (
            HEARD
            in assert_refused(cell, answered, 500 if cell.wire == "openai_chat" else 502)["message"]
        )
    else:
        assert_refused(cell, answered, status)


COUNTS = {400: 400, 401: 401, 403: 403, 413: 413}


@pytest.mark.parametrize("status", [*COUNTS, 429, 500, 529])
def test_a_count_is_refused_or_estimated(bench: dict[str, Bench], status: int) -> None:
    """What is wrong with the request is said; a provider that is busy is not waited for."""
    cell = CELLS[0]
    upstream, proxy = bench[cell.wire].upstream, bench[cell.wire].proxy
    upstream.play(whole(status, packed(_MESSAGES)))
    body = {"model": f"claude-{status}", "messages": [{"role": "user", "content": f"x {status}"}]}

    answered = proxy.post("/v1/messages/count_tokens", body, {"x-request-id": OWN_ID})

    if status in COUNTS:
        assert HEARD in assert_refused(cell, answered, status)["message"]
    else:
        assert answered.body["input_tokens"] > 0
