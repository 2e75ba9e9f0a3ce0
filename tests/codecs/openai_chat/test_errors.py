"""Errors: every form that Chat servers use, and the one that clients get."""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import openai_chat
from lmtools.errors import ApiError, ConfigError, DeadlineError, RequestError, api_error
from lmtools.types import Opaque


def parse(status, body, headers=()):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return openai_chat.parse_error(status, headers, data)


def openai(message="m", type="invalid_request_error", param=None, code=None):
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


#: status, body, canonical code. OpenAI's error guide unless a row says otherwise.
CODES = [
    (400, openai(), "invalid_request"),
    (400, openai(code="context_length_exceeded"), "context_length"),
    (400, openai("This model's maximum context length is 8192 tokens."), "context_length"),
    (400, openai("the request exceeds the available context size", "exceed_context_size_error"), "context_length"),  # llama.cpp
    (401, openai(code="invalid_api_key"), "auth"),
    (401, openai("no"), "auth"),
    (400, openai("Incorrect API key provided: x"), "auth"),
    (403, openai(code="unsupported_country_region_territory"), "permission"),
    (403, openai("no"), "permission"),
    (429, openai(type="insufficient_quota", code="insufficient_quota"), "billing"),
    (429, openai(type="tokens", code="rate_limit_exceeded"), "rate_limit"),
    (429, openai("Request too large: maximum context length", type="tokens"), "rate_limit"),
    (429, openai("model not found"), "rate_limit"),
    (404, openai(code="model_not_found"), "unsupported_model"),
    (404, openai("The model `x` does not exist"), "unsupported_model"),
    (404, openai("The model `x` does not exist.", "NotFoundError", code=404), "unsupported_model"),  # vLLM
    (404, openai("No such file"), "not_found"),
    (400, openai("unknown model: x"), "unsupported_model"),  # LM Studio
    (409, openai(), "conflict"),
    (413, openai(), "too_large"),
    (422, openai(), "invalid_request"),
    (500, openai(type="server_error"), "server"),
    (500, openai("the context length", "server_error"), "server"),
    (503, openai(type="server_error"), "overloaded"),
    (503, openai(type="InternalServerError"), "overloaded"),
    (504, openai(type="timeout"), "api_timeout"),
    (500, openai(code="overloaded"), "overloaded"),
    (400, [{"error": {"code": 400, "message": "API key not valid. Please pass one.", "status": "INVALID_ARGUMENT"}}], "auth"),  # Google
    (429, [{"error": {"code": 429, "message": "x", "status": "RESOURCE_EXHAUSTED"}}], "rate_limit"),  # Google
    (400, {"object": "error", "message": "x", "type": "BadRequestError", "param": None, "code": 400}, "invalid_request"),  # vLLM
    (400, {"error": "model is not loaded"}, "invalid_request"),  # LM Studio
    (404, {"error": "model 'x' not found"}, "unsupported_model"),  # Ollama
    (405, {"detail": "Method Not Allowed"}, "invalid_request"),  # FastAPI
    (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required", "type": "missing"}]}, "invalid_request"),
    (422, {"detail": [7]}, "invalid_request"),
    (400, {"detail": {"message": "x", "code": "context_length_exceeded"}}, "context_length"),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "overloaded"),
    (502, b"<html><head><title>502</title></head><body><h1>Bad Gateway</h1></body></html>", "server"),
    (502, b"", "server"),
    (418, b"\xff\xfe", "invalid_request"),
    (400, "a JSON text", "invalid_request"),
    (400, [], "invalid_request"),
    (400, {}, "invalid_request"),
    (400, {"error": {}}, "invalid_request"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "code"), CODES, ids=range(len(CODES)))
def test_every_form_has_a_code_a_message_and_the_true_status(status, body, code):
    error = parse(status, body)
    assert (error.code, error.status) == (code, status)
    assert error.message
    refusal = openai_chat.render_error(error)
    assert refusal.status == status
    assert set(refusal.body["error"]) <= {"message", "type", "param", "code", "status", "object"}


MESSAGES = [
    (b"<html><style>p {}</style><h1>502</h1>\n Bad   Gateway", "502 Bad Gateway"),
    (b"", "the server answered 502 without a word"),
    (b"plain words", "plain words"),
    (b"x" * 5000, "x" * 500),
    ({"error": {"reason": 1}}, '{"reason":1}'),
    ({"error": "words"}, "words"),
    ({"detail": [{"loc": ["body", 0], "msg": "no"}, {"msg": "nor"}]}, "body.0: no; nor"),
    ({"detail": [{"x": 1}]}, '[{"x":1}]'),
    ({"detail": {"message": "inner"}}, "inner"),
]


@pytest.mark.parametrize(("body", "message"), MESSAGES)
def test_the_message_is_words_and_not_too_many(body, message):
    assert parse(502, body).message == message


def test_everything_that_names_the_exchange_is_kept():
    headers = (("X-Request-Id", "req_1"), ("Retry-After", "7"))
    error = parse(429, openai("slow", "requests", "messages", "rate_limit_exceeded"), headers)
    assert (error.request_id, error.retry_after) == ("req_1", 7.0)
    assert (error.param, error.provider_code) == ("messages", "rate_limit_exceeded")
    refusal = openai_chat.render_error(error)
    assert refusal.headers == (("retry-after", "7"), ("x-request-id", "req_1"))


SAME = [
    openai(),
    openai("m", "t", "p", "c"),
    openai(type=None, code="c"),
    {"error": {"message": "m"}},
    {"error": {"message": "m", "type": "x", "extra": {"a": 1}}, "beside": [1]},
    {"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": []}},
]


@pytest.mark.parametrize("body", SAME)
def test_an_error_of_this_dialect_comes_back_as_it_came(body):
    assert json.dumps(openai_chat.render_error(parse(400, body)).body) == json.dumps(body)


@pytest.mark.parametrize(
    "body",
    [
        {"detail": "no"},
        {"detail": [{"loc": ["body", "x"], "msg": "no", "type": "missing"}]},
        {"detail": {"message": "no"}},
        {"error": "no"},
        {"message": "no", "object": "error"},
    ],
    ids=json.dumps,
)
def test_an_error_of_another_form_gets_all_keys_of_this_one(body):
    """Client libraries and tools look up ``type``, ``param`` and ``code``."""
    inner = openai_chat.render_error(parse(422, body)).body["error"]

    assert list(inner)[:4] == ["message", "type", "param", "code"]
    assert (inner["type"], inner["param"], inner["code"]) == (None, None, None)


#: Argo: the vendor's error as a Python literal in the text of the gateway's.
WRAPPED = {
    "error": {
        "message": "Error code: 400 - {'error': {'message': \"Unknown parameter: 'x'.\","
        " 'type': 'invalid_request_error', 'param': 'x', 'code': 'unknown_parameter'},"
        " 'request_id': 'req_9'}",
        "type": "BadRequestError",
        "code": "internal_error",
    }
}


@pytest.mark.parametrize(("status", "true_status"), [(400, 400), (500, 400), (422, 422)])
def test_the_error_inside_a_gateways_text_is_the_error(status, true_status):
    error = parse(status, WRAPPED)
    assert (error.code, error.status) == ("invalid_request", true_status)
    assert (error.message, error.param) == ("Unknown parameter: 'x'.", "x")
    assert (error.provider_code, error.request_id) == ("unknown_parameter", "req_9")
    assert openai_chat.render_error(error).body == {
        "error": {
            "message": "Unknown parameter: 'x'.",
            "type": "invalid_request_error",
            "param": "x",
            "code": "unknown_parameter",
        },
        "request_id": "req_9",
    }


RENDERED = [
    (api_error("context_length", "m"), 400, "invalid_request_error", "context_length_exceeded"),
    (api_error("rate_limit", "m", status=429), 429, "rate_limit_error", "rate_limit_exceeded"),
    (api_error("overloaded", "m", status=529), 529, "server_error", "overloaded"),
    (api_error("auth", "m"), 401, "invalid_request_error", "invalid_api_key"),
    (api_error("server", "m", status=500), 500, "server_error", None),
    (api_error("truncated", "m"), 502, "server_error", "truncated"),
    (api_error("invalid_request", "m", status=200), 400, "invalid_request_error", None),
    (DeadlineError("m"), 504, "server_error", "timeout"),
    (ConfigError("m"), 500, "server_error", "not_configured"),
]


@pytest.mark.parametrize(("error", "status", "type", "code"), RENDERED)
def test_errors_of_others_are_worded_as_openai_words_them(error, status, type, code):
    refusal = openai_chat.render_error(error)
    assert refusal.status == status
    assert refusal.body == openai(error.message, type, None, code)


def test_a_status_that_is_no_error_gives_way_to_what_the_body_says():
    error = parse(200, openai("busy", "server_error", None, "503"))
    assert (error.code, error.status) == ("overloaded", 503)
    assert parse(200, b"words").status == 502


def test_an_error_of_another_dialect_does_not_bring_its_words():
    other = api_error(
        "overloaded",
        "m",
        status=529,
        provider_code="overloaded_error",
        opaque=(Opaque("anthropic", "error", {"rest": {"x": 1}}), "not opaque"),
    )
    assert openai_chat.render_error(other).body == openai("m", "server_error", None, "overloaded")


def test_a_wrong_request_names_its_path_as_the_param():
    refusal = openai_chat.render_error(RequestError("expected a string", path="messages[0].role"))
    assert refusal.status == 400
    assert refusal.body["error"]["param"] == "messages[0].role"


def test_an_error_that_another_lmtools_made_keeps_its_code():
    made = openai_chat.render_error(api_error("truncated", "cut"))
    error = parse(502, made.body)
    assert (error.code, error.provider_code, error.retryable) == ("truncated", None, True)


def test_an_unreadable_error_is_still_an_error():
    error = parse(500, b'{"error": {"message": ' + b"[" * 5000)
    assert isinstance(error, ApiError)
    assert error.code == "server"


def test_long_texts_are_searched_in_bounded_time():
    page = b"<script" * 200_000
    assert parse(502, page).code == "server"
    assert parse(400, openai("model " * 200_000 + "does not exist")).code == "invalid_request"
