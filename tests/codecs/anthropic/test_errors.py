from __future__ import annotations

import json

import pytest

from lmtools.codecs import anthropic
from lmtools.codecs.anthropic.errors import ERROR_TYPES, parse_error_event, render_error_event
from lmtools.codecs.text import dumps
from lmtools.errors import CODES, ApiError, ContextLengthError, api_error, class_for_code
from lmtools.types import Opaque, StreamError, to_exception
from tests.codecs.anthropic.wire import plant


def error_bytes(word: str, message: str = "words", **fields: object) -> bytes:
    return json.dumps(
        {"type": "error", "error": {"type": word, "message": message}, **fields}
    ).encode()


@pytest.mark.parametrize(
    ("word", "code", "status"), [(w, *held) for w, held in ERROR_TYPES.items()]
)
def test_every_type_word_is_a_code_and_back(word, code, status):
    error = anthropic.parse_error(status, (), error_bytes(word))

    assert (type(error), error.code, error.provider_code) == (class_for_code(code), code, word)
    assert (error.status, error.message) == (status, "words")
    refusal = anthropic.render_error(api_error(code, "words"))
    assert (refusal.status, refusal.body["error"]["type"]) == (status, word)


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_ours_has_a_form_here(code):
    refusal = anthropic.render_error(api_error(code, "words"))

    assert 400 <= refusal.status < 600
    assert refusal.body["error"]["type"] in ERROR_TYPES


BODIES = [
    {"type": "error", "error": {"type": "api_error", "message": "m"}, "request_id": "req_1"},
    {"error": {"message": "m", "type": "overloaded_error"}, "request_id": None, "type": "error"},
    {"type": "error", "error": {"type": "word_of_tomorrow", "message": "m"}},
    {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "m", "details": {"error_code": "ramp"}},
        "request_id": 7,
    },
]


@pytest.mark.parametrize("body", BODIES, ids=dumps)
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_an_error_comes_out_as_it_went_in(body, change):
    body = change(body)

    error = anthropic.parse_error(500, (("request-id", "req_header"),), json.dumps(body).encode())

    assert dumps(anthropic.render_error(error).body) == dumps(body)
    event = parse_error_event(body)
    assert dumps(render_error_event(event)) == dumps(body)


def test_headers_say_when_to_come_back_and_who_asked():
    headers = (("Retry-After", "7"), ("Request-Id", "req_9"))

    error = anthropic.parse_error(429, headers, error_bytes("rate_limit_error"))

    assert (error.retry_after, error.request_id) == (7.0, "req_9")
    refusal = anthropic.render_error(error)
    assert refusal.headers == (("retry-after", "7"), ("request-id", "req_9"))


def test_the_upstreams_own_status_is_passed_on():
    assert anthropic.render_error(api_error("server", "m", status=503)).status == 503
    assert anthropic.render_error(api_error("server", "m", status=200)).status == 500


@pytest.mark.parametrize(
    ("status", "word", "message", "code"),
    [
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000",
            "context_length",
        ),
        (
            400,
            "invalid_request_error",
            "input length and max_tokens exceed context limit",
            "context_length",
        ),
        (413, "request_too_large", "Request exceeds the maximum size", "too_large"),
        (400, "invalid_request_error", "Your credit balance is too low", "billing"),
        (404, "not_found_error", "model: claude-none", "unsupported_model"),
        (404, "not_found_error", "no such file", "not_found"),
        # A limit of tokens per minute is about time, whatever its text is.
        (429, "rate_limit_error", "prompt is too long for your rate limit", "rate_limit"),
        (529, "overloaded_error", "prompt is too long", "overloaded"),
        (418, "teapot_error", "prompt is too long", "context_length"),
        (503, "teapot_error", "words", "overloaded"),
    ],
)
def test_texts_are_looked_at_last(status, word, message, code):
    assert anthropic.parse_error(status, (), error_bytes(word, message)).code == code


def test_context_length_is_an_invalid_request_for_clients():
    refusal = anthropic.render_error(ContextLengthError("too long"))

    assert (refusal.status, refusal.body["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("code", "provider_code", "message", "said"),
    [
        ("context_length", "context_length_exceeded", "maximum context", "prompt is too long: maximum context"),
        ("context_length", None, "8192 tokens at most", "prompt is too long: 8192 tokens at most"),
        ("context_length", "BadRequestError", "Prompt is too long", "Prompt is too long"),
        ("context_length", "invalid_request_error", "exceed context limit: 9", "exceed context limit: 9"),
        ("rate_limit", "rate_limit_exceeded", "slow down", "slow down"),
    ],
)  # fmt: skip
def test_a_prompt_that_another_provider_finds_too_long_is_said_in_this_apis_words(
    code, provider_code, message, said
):
    """Claude Code shortens a conversation by that wording alone; the API's own goes on as it is."""
    error = api_error(code, message, status=400, provider_code=provider_code)
    event = StreamError(code, message, provider_code=provider_code)

    assert anthropic.render_error(error).body["error"]["message"] == said
    assert render_error_event(event)["error"]["message"] == said


PLAIN = [
    (b"", 502, "the server answered 502 without a word"),
    (
        b"<html><head><title>x</title></head><body><h1>502 Bad Gateway</h1>\nnginx</body></html>",
        502,
        "502 Bad Gateway nginx",
    ),
    (b"upstream connect error", 503, "upstream connect error"),
    (b"\xff\xfe", 500, "\ufffd\ufffd"),
    (b"x" * 2000, 500, "x" * 500),
    (b'"text"', 500, '"text"'),
    (b"[1]", 500, "[1]"),
    (b'{"detail": "no"}', 500, "no"),
]


@pytest.mark.parametrize(
    ("body", "status", "message"), PLAIN, ids=[str(b[:20]) for b, _, _ in PLAIN]
)
def test_a_body_that_is_no_error_object_still_gives_an_error(body, status, message):
    error = anthropic.parse_error(status, (), body)

    assert isinstance(error, ApiError)
    assert (error.status, error.message) == (status, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "just words"}, "just words"),
        ({"error": {"type": 7, "message": 8}}, "the server gave an error without a message"),
        ({"type": "error"}, "the server gave an error without a message"),
        ({"type": "error", "error": [1]}, "the server gave an error without a message"),
    ],
)
def test_odd_error_objects(body, message):
    error = anthropic.parse_error(500, (), json.dumps(body).encode())

    assert (error.code, error.message) == ("server", message)


def test_an_error_of_another_dialect_gets_a_word_of_this_one():
    error = api_error(
        "rate_limit",
        "slow down",
        provider_code="rate_limit_exceeded",
        opaque=(Opaque("other", "error", {"rest": {"param": None}}), object()),
    )

    assert anthropic.render_error(error).body == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "slow down"},
    }


def test_an_error_event_without_an_error_is_an_error_all_the_same():
    assert parse_error_event({"what": 1}) == StreamError(
        "provider", "the server gave an error event without an error"
    )


def test_an_error_event_has_the_status_of_its_type():
    event = parse_error_event(
        {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
    )

    assert (event.code, event.status, event.provider_code) == (
        "overloaded",
        529,
        "overloaded_error",
    )


def test_an_error_that_the_gateway_wrapped_into_text_is_read():
    """Argo passes on the SDK's exception as a Python literal, on its Anthropic wire too."""
    inner = (
        "Error code: 400 - {'type': 'error', 'error': {'type': 'invalid_request_error',"
        " 'message': 'max_tokens: Field required'}, 'request_id': 'req_vrtx_1'}"
    )
    body = {"type": "error", "error": {"type": "api_error", "message": inner}}
    error = anthropic.parse_error(400, (), json.dumps(body).encode())

    assert error.message == "max_tokens: Field required"
    assert error.provider_code == "invalid_request_error"
    assert error.request_id == "req_vrtx_1"
    assert error.code == "invalid_request"


def test_an_error_whose_id_nobody_said_may_get_one_from_who_sends_it_on():
    """A stream's error event has no id; the answer that it becomes before the first word has ours."""
    error = to_exception(parse_error_event(json.loads(error_bytes("overloaded_error"))))
    error.request_id = "req_ours"

    assert anthropic.render_error(error).body["request_id"] == "req_ours"
