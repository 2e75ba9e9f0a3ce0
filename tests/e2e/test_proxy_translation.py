"""What the proxy does about a provider that is told otherwise: strictness, remedies, stops, headers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lmtools.apiproxy import Options, Server
from lmtools.flags.provider import ProviderChoice
from lmtools.transport import HttpRequest, MockResponse, MockTransport
from tests.fakes.proxy import Answered, Proxy

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream"}
LIMITS = {"x-ratelimit-remaining-requests": "7", "x-request-id": "req_up", "x-other": "1"}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "one END two"}}
WHOLE = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
WHOLE |= {"choices": [{**CHOICE, "finish_reason": "stop"}]}
REFUSED = {
    "message": "Unsupported parameter: 'temperature' is not supported with this model.",
    "type": "invalid_request_error",
    "param": "temperature",
    "code": "unsupported_parameter",
}
ASK = {"model": "gpt-5.4", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}


def streamed(*texts: str) -> bytes:
    found = b""
    for text in texts:
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
        chunk = {**WHOLE, "object": "chat.completion.chunk", "choices": [choice]}
        found += f"data: {json.dumps(chunk)}\n\n".encode()
    return found


def answer(request: HttpRequest) -> MockResponse:
    """Answer as OpenAI does, and refuse temperature."""
    body = json.loads(request.body)
    if "temperature" in body:
        return MockResponse(400, json.dumps({"error": REFUSED}).encode(), {**JSON, **LIMITS})
    if body.get("stream"):
        return MockResponse(200, streamed("one ", "E", "ND two"), {**SSE, **LIMITS})
    return MockResponse(200, json.dumps(WHOLE).encode(), {**JSON, **LIMITS})


def asked(body: dict[str, Any], **options: Any) -> tuple[Answered, list[Any]]:
    """Return what a client of the Messages API gets, and what the provider got."""
    transport = MockTransport(answer)
    # An address of its own: nothing is known about the models behind it.
    choice = ProviderChoice("openai", url="http://127.0.0.1:9/v1")
    server = Server(Options(provider=choice, port=0, **options), transport=transport)
    with server:
        proxy = Proxy(server, int(server.url.rpartition(":")[2]))
        answered = proxy.post("/v1/messages", body)
    return answered, [json.loads(request.body) for request in transport.requests]


@pytest.mark.parametrize("stream", [False, True])
def test_under_strict_a_loss_is_a_refusal_that_names_it(stream: bool) -> None:
    answered, sent = asked({**ASK, "top_k": 5, "stream": stream}, strict=True)

    assert (answered.status, answered.dialect) == (400, "anthropic")
    assert "top_k" in answered.error["message"]
    assert "-strict" in answered.error["message"]
    assert sent == []


@pytest.mark.parametrize("more", [{}, {"stop_sequences": ["END"]}])
def test_under_strict_what_is_said_or_emulated_passes(more: dict[str, Any]) -> None:
    answered, sent = asked({**ASK, **more}, strict=True)

    assert answered.status == 200
    assert len(sent) == 1


def test_under_strict_a_refusal_is_the_clients() -> None:
    answered, sent = asked({**ASK, "model": "mystery", "temperature": 0.5}, strict=True)

    assert answered.status == 400
    assert "temperature" in answered.error["message"]
    assert len(sent) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_with_a_remedy_does_not_reach_the_client(stream: bool) -> None:
    body = {**ASK, "model": "mystery", "temperature": 0.5, "stream": stream}
    answered, sent = asked(body)

    assert answered.status == 200
    assert "temperature;dropped" in answered.headers["x-lmtools-loss"]
    assert [("temperature" in body) for body in sent] == [True, False]


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_sequence_ends_the_answer_of_a_model_that_knows_none(stream: bool) -> None:
    answered, sent = asked({**ASK, "stop_sequences": ["END"], "stream": stream})

    assert "stop" not in sent[0]
    assert "stop;emulated" in answered.headers["x-lmtools-loss"]
    assert b'"stop_reason":"stop_sequence"' in answered.raw
    assert b'"stop_sequence":"END"' in answered.raw
    assert b"two" not in answered.raw


@pytest.mark.parametrize("stream", [False, True])
def test_rate_limits_and_the_providers_id_reach_the_client(stream: bool) -> None:
    answered, _ = asked({**ASK, "stream": stream})

    assert answered.headers["x-ratelimit-remaining-requests"] == "7"
    assert answered.headers["x-upstream-request-id"] == "req_up"
    assert answered.headers["x-request-id"] != "req_up"
    assert "x-other" not in answered.headers


def test_an_error_has_them_too() -> None:
    body = {**ASK, "model": "mystery", "temperature": 0.5}
    answered, _ = asked(body, strict=True)

    assert answered.headers["x-ratelimit-remaining-requests"] == "7"
    assert answered.headers["x-upstream-request-id"] == "req_up"
