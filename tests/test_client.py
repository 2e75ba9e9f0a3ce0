"""``LM``: making ready, sending, reading, and what happens when it goes wrong."""

from __future__ import annotations

import json

import pytest

from lmtools.client import LM
from lmtools.errors import (
    AuthError,
    CancelledError,
    ConfigError,
    InvalidRequestError,
    LMError,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    RequestError,
    TruncatedError,
)
from lmtools.transport import MockResponse, MockTransport
from lmtools.types import USAGE_COUNTS, Message, Request

KEY = "sk-ant-secret-0123456789"

ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-6",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
ASK = Request("claude-sonnet-4-6", [Message.user("Hi")], max_tokens=10)


def frames(*events):
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


STREAM = frames(
    {"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 2},
    },
    {"type": "message_stop"},
)
SSE = {"content-type": "text/event-stream"}
JSON = {"content-type": "application/json"}


def answering(*answers, **options):
    """Return an LM on a transport that gives these answers in order, and that transport."""
    left = list(answers)
    transport = MockTransport(lambda request: left.pop(0))
    options.setdefault("retries", 0)
    return LM("anthropic", api_key=KEY, transport=transport, **options), transport


def whole(body=ANSWER, status=200, headers=JSON):
    return MockResponse(status, json.dumps(body).encode(), headers)


def refusal(status, kind, **headers):
    error = {"type": "error", "error": {"type": kind, "message": "no"}}
    return MockResponse(status, json.dumps(error).encode(), {**JSON, **headers})


def test_a_whole_answer_is_parsed():
    lm, transport = answering(whole())
    response = lm.complete(ASK)

    assert response.text == "Hello"
    assert response.finish == "stop"
    assert response.usage.output_tokens == 2
    sent = json.loads(transport.requests[0].body)
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]
    assert "stream" not in sent


def test_a_call_goes_to_the_providers_url_with_its_headers():
    lm, transport = answering(whole())
    lm.complete(ASK)
    headers = {name.lower(): value for name, value in transport.requests[0].headers}

    assert transport.requests[0].url == "https://api.anthropic.com/v1/messages"
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("lmtools/")


def test_making_ready_needs_no_network_and_says_what_is_lost():
    lm, transport = answering()
    call = lm.render(Request("claude-sonnet-4-6", [Message.user("Hi")], max_tokens=5, seed=7))

    assert not transport.requests
    assert [loss.path for loss in call.losses] == ["seed"]
    assert KEY not in repr(call)


def test_a_stream_is_events_that_assemble_to_the_whole_answer():
    lm, transport = answering(MockResponse(200, STREAM, SSE))
    with lm.stream(ASK) as stream:
        kinds = [event.type for event in stream]
        response = stream.response()

    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert response.text == "Hello"
    assert json.loads(transport.requests[0].body)["stream"] is True


def test_one_read_gives_all_its_events_at_once():
    lm, _ = answering(MockResponse(200, b"".join(STREAM), SSE))
    with lm.stream(ASK) as stream:
        batches = list(stream.batches())

    assert len(batches) == 1
    assert batches[0][-1].type == "end"


@pytest.mark.parametrize("cut", range(len(STREAM)))
def test_a_stream_without_its_end_marker_is_never_a_short_answer(cut):
    lm, _ = answering(MockResponse(200, STREAM[:cut], SSE))
    with lm.stream(ASK) as stream:
        events = list(stream)

    assert events[-1].type == "error"
    assert events[-1].code == "truncated"


def test_a_connection_that_breaks_mid_stream_ends_it_with_its_reason():
    lm, _ = answering(MockResponse(200, [*STREAM[:3], TruncatedError("reset by peer")], SSE))
    with lm.stream(ASK) as stream:
        events = list(stream)
        with pytest.raises(TruncatedError, match="reset by peer") as caught:
            stream.response()

    assert events[-1].message == "reset by peer"
    assert caught.value.partial.text == "Hel"


def test_a_cancelled_stream_is_no_answer_at_all():
    lm, _ = answering(MockResponse(200, [*STREAM[:3], CancelledError("gone")], SSE))
    with lm.stream(ASK) as stream, pytest.raises(CancelledError):
        list(stream)


def test_a_server_that_cannot_stream_is_read_whole_and_given_as_events():
    lm, _ = answering(whole())
    with lm.stream(ASK) as stream:
        assert stream.response().text == "Hello"


@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "invalid_request_error", InvalidRequestError),
        (401, "authentication_error", AuthError),
        (429, "rate_limit_error", RateLimitError),
        (529, "overloaded_error", OverloadedError),
    ],
)
def test_an_error_status_raises_its_class_with_the_provider_named(status, kind, error):
    lm, _ = answering(refusal(status, kind, **{"retry-after": "7", "request-id": "req_1"}))
    with pytest.raises(error) as caught:
        lm.complete(ASK)

    assert caught.value.status == status
    assert caught.value.provider == "anthropic"
    assert caught.value.provider_code == kind
    assert caught.value.request_id == "req_1"
    assert caught.value.retry_after == 7.0


def test_a_refused_key_names_where_one_could_come_from():
    lm, _ = answering(refusal(401, "authentication_error"))
    with pytest.raises(AuthError) as caught:
        lm.complete(ASK)

    assert caught.value.env_keys == ("ANTHROPIC_API_KEY",)
    assert KEY not in str(caught.value)


def test_a_redirect_is_an_error_and_not_followed():
    lm, transport = answering(MockResponse(302, b"", {"location": "https://elsewhere.invalid/"}))
    with pytest.raises(InvalidRequestError.__mro__[1], match="redirect.*-provider-url"):
        lm.complete(ASK)

    assert len(transport.requests) == 1


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"\xff\xfe", b"{"])
def test_an_answer_that_is_not_json_is_named_without_being_shown(body):
    lm, _ = answering(MockResponse(200, body, {"content-type": "text/html"}))
    with pytest.raises(ProtocolError, match="not JSON; check -provider-url") as caught:
        lm.complete(ASK)

    assert "hello" not in str(caught.value)


@pytest.mark.parametrize("body", [[], None, 7, "x", {"content": 7}, {"content": [7]}])
def test_json_of_another_shape_is_a_protocol_error(body):
    lm, _ = answering(whole(body))
    with pytest.raises(ProtocolError):
        lm.complete(ASK)


def test_an_error_inside_a_200_is_raised():
    lm, _ = answering(refusal(200, "api_error"))
    with pytest.raises(Exception, match="no") as caught:
        lm.complete(ASK)

    assert caught.value.code == "server"


REPEATING = f"Incorrect API key provided: {KEY}"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, json.dumps({"type": "error", "error": {"type": "authentication_error", "message": REPEATING}}).encode()),
        (400, f"got x-api-key: {KEY}".encode()),
        (200, json.dumps({"type": "error", "error": {"type": "api_error", "message": REPEATING, "seen": KEY}}).encode()),
    ],
)  # fmt: skip
def test_a_key_that_the_provider_repeats_in_its_error_is_masked(status, body):
    """What a proxy's clients read, and what a caller logs, never holds the key."""
    lm, _ = answering(MockResponse(status, body, JSON))

    with pytest.raises(LMError) as caught:
        lm.complete(ASK)

    assert "***" in caught.value.message
    assert KEY not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("status", [200, 401])
def test_a_key_that_the_provider_repeats_in_a_header_is_masked(status):
    """Request ids and rate limits reach a proxy's clients and its log."""
    headers = {**JSON, "x-request-id": KEY, "x-ratelimit-limit": f"for {KEY}"}
    lm, _ = answering(MockResponse(status, b"{}", headers))

    try:
        with lm.send(lm.render(ASK)) as answer:
            found = answer.headers
    except LMError as error:
        found = error.answer_headers

    assert ("x-ratelimit-limit", "for ***") in found
    assert ("x-request-id", "***") in found


def test_a_key_that_a_streams_error_repeats_is_masked():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": REPEATING}}
    lm, _ = answering(MockResponse(200, frames(error), SSE))

    with lm.stream(ASK) as stream:
        events = list(stream)

    assert events[-1].message == "Incorrect API key provided: ***"


def test_a_web_page_instead_of_a_stream_is_named_as_one():
    """A login page is no answer that was cut."""
    lm, _ = answering(
        MockResponse(200, b"<html>Sign in</html>", {"content-type": "text/html; charset=utf-8"})
    )

    with pytest.raises(ProtocolError, match="a web page .* check -provider-url"):
        lm.stream(ASK)


def test_an_error_body_that_never_ends_leaves_its_status():
    def endless():
        while True:
            yield b"x" * 65536

    lm, _ = answering(MockResponse(429, endless(), {"retry-after": "3"}))
    with pytest.raises(RateLimitError) as caught:
        lm.complete(ASK)

    assert caught.value.retry_after == 3.0


# Retries


def test_an_error_that_may_pass_is_sent_again():
    heard = []
    lm, transport = answering(
        refusal(529, "overloaded_error", **{"retry-after": "0"}),
        whole(),
        retries=1,
        on_retry=lambda error, attempt, seconds: heard.append((error.code, attempt)),
    )

    assert lm.complete(ASK).text == "Hello"
    assert len(transport.requests) == 2
    assert heard == [("overloaded", 1)]


def test_retries_are_counted():
    refused = refusal(429, "rate_limit_error", **{"retry-after": "0"})
    lm, transport = answering(refused, refused, refused, retries=2)
    with pytest.raises(RateLimitError):
        lm.complete(ASK)

    assert len(transport.requests) == 3


def test_what_stays_wrong_is_sent_once():
    lm, transport = answering(refusal(400, "invalid_request_error"), retries=5)
    with pytest.raises(InvalidRequestError):
        lm.complete(ASK)

    assert len(transport.requests) == 1


# What a user constructs is checked where it enters


@pytest.mark.parametrize(
    ("request_", "path"),
    [
        (Request("", [Message.user("x")]), "model"),
        (Request("m", []), "messages"),
        (Request("m", [Message.user("\ud800")]), r"messages\[0\].parts\[0\].text"),
        (Request("m", [Message.user("x")], metadata={"a": float("nan")}), "metadata.a"),
        (Request("m", [Message.user("x")], extensions={"anthropic": {"a": (1,)}}), "extensions"),
    ],
)
def test_a_request_that_cannot_be_sent_names_its_path(request_, path):
    lm, transport = answering()
    with pytest.raises(RequestError, match=path):
        lm.complete(request_)

    assert not transport.requests


def test_extensions_are_merged_into_the_body_last():
    lm, transport = answering(whole())
    extra = {"anthropic": {"inference_geo": "eu", "max_tokens": 11}}
    lm.complete(Request("claude-sonnet-4-6", [Message.user("Hi")], max_tokens=5, extensions=extra))
    sent = json.loads(transport.requests[0].body)

    assert sent["inference_geo"] == "eu"
    assert sent["max_tokens"] == 11


# Other endpoints


def test_tokens_are_counted_by_the_provider():
    lm, transport = answering(whole({"input_tokens": 42}))

    assert lm.count_tokens(ASK) == 42
    assert transport.requests[0].url.endswith("/v1/messages/count_tokens")
    assert "max_tokens" not in json.loads(transport.requests[0].body)


def test_a_provider_that_counts_nothing_says_so():
    lm = LM("openai", api_key="sk-x", transport=MockTransport(lambda request: whole()))
    with pytest.raises(ConfigError, match="OpenAI counts no tokens"):
        lm.count_tokens(Request("gpt-5", [Message.user("Hi")]))


def page(ids, more):
    data = [
        {"id": i, "type": "model", "display_name": i, "created_at": "2026-01-01T00:00:00Z"}
        for i in ids
    ]
    return whole({"data": data, "has_more": more, "first_id": ids[0], "last_id": ids[-1]})


def test_a_model_list_is_read_page_by_page():
    lm, transport = answering(page(["a", "b/c"], True), page(["d"], False))

    assert [model.id for model in lm.models()] == ["a", "b/c", "d"]
    assert transport.requests[1].url.endswith("/v1/models?limit=1000&after_id=b%2Fc")
    assert transport.requests[1].method == "GET"


def test_a_model_list_that_repeats_its_cursor_is_left():
    lm, _ = answering(*[page(["a"], True)] * 3)

    assert len(lm.models()) == 2


# Construction


def test_a_key_comes_from_the_providers_own_variable():
    lm = LM(
        "openai",
        environment={"OPENAI_API_KEY": "sk-env"},
        transport=MockTransport(lambda r: whole()),
    )

    assert lm.backend.headers("openai_chat") == (("Authorization", "Bearer sk-env"),)


def test_a_key_from_the_environment_is_not_sent_to_another_server():
    lm = LM(
        "openai",
        base_url="http://127.0.0.1:9/v1",
        environment={"OPENAI_API_KEY": "sk-env"},
        transport=MockTransport(lambda r: whole()),
    )

    assert lm.backend.headers("openai_chat") == ()


def test_a_missing_key_is_said_at_construction():
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        LM("openai", environment={})


def test_a_key_that_is_none_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        LM("openai", api_key="two words", environment={})

    assert "two words" not in str(caught.value)


def test_a_transport_of_the_callers_is_left_open():
    transport = MockTransport(lambda request: whole())
    with LM("anthropic", api_key=KEY, transport=transport):
        pass

    assert not transport.closed


def test_usage_that_was_not_reported_is_none():
    lm, _ = answering(whole({**ANSWER, "usage": {}}))

    usage = lm.complete(ASK).usage

    assert [getattr(usage, name) for name in USAGE_COUNTS] == [None] * len(USAGE_COUNTS)
