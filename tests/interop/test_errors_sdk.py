"""What the makers' SDKs raise when a provider fails: the class, the status, the id and the words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.error_cells import MODELS, UPSTREAM_ID, WIRES, Bench, benches
from tests.fakes.exact import END, LAST_CHUNK, RESET, Answer, chunk, head, whole

anthropic = pytest.importorskip("anthropic", reason="needs the anthropic SDK: run scripts/interop")
openai = pytest.importorskip("openai", reason="needs the openai SDK: run scripts/interop")
pytestmark = pytest.mark.interop

#: status -> the class that both SDKs have under one name.
CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    409: "ConflictError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    502: "InternalServerError",
    503: "InternalServerError",
    524: "InternalServerError",
    529: "InternalServerError",
}
BODIES = {
    "anthropic": {"type": "error", "error": {"type": "api_error", "message": "told to fail"}},
    "openai_chat": {"error": {"message": "told to fail", "type": "x", "param": None, "code": "y"}},
}
EVENTS = ("Content-Type: text/event-stream", "Transfer-Encoding: chunked")
ASK = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, Bench]]:
    with benches(retries=0) as found:
        yield found


def ask(maker: str, bench: Bench, wire: str, stream: bool, answer: Answer) -> Any:
    """Ask with a maker's SDK and read the answer to its end."""
    bench.upstream.play(answer)
    settings: dict[str, Any] = {"api_key": "k", "max_retries": 0, "timeout": 20.0}
    model: Any = MODELS[wire]
    if maker == "anthropic":
        with anthropic.Anthropic(base_url=bench.proxy.url, **settings) as client:
            create: Any = client.messages.create
            answered = create(model=model, messages=ASK, max_tokens=9, stream=stream)
            return list(answered) if stream else answered
    with openai.OpenAI(base_url=bench.proxy.url + "/v1", **settings) as client:
        create = client.chat.completions.create
        answered = create(model=model, messages=ASK, stream=stream)
        return list(answered) if stream else answered


makers = pytest.mark.parametrize("maker", ["anthropic", "openai"])
wires = pytest.mark.parametrize("wire", WIRES)
ways = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@makers
@wires
@ways
@pytest.mark.parametrize("status", CLASSES)
def test_a_refusal_is_the_exception_of_its_status(
    bench: dict[str, Bench], maker: str, wire: str, stream: bool, status: int
) -> None:
    sdk: Any = anthropic if maker == "anthropic" else openai
    refusal = whole(status, json.dumps(BODIES[wire]).encode(), f"x-request-id: {UPSTREAM_ID}")

    with pytest.raises(getattr(sdk, CLASSES[status])) as raised:
        ask(maker, bench[wire], wire, stream, refusal)

    error: Any = raised.value
    assert error.status_code == status
    assert "told to fail" in str(error)
    assert error.request_id.startswith("req_")
    assert error.response.headers["x-upstream-request-id"] == UPSTREAM_ID
    assert isinstance(error.body, dict)
    if maker == "openai":
        assert error.type
    else:
        assert error.body["error"]["type"]


@makers
@wires
@pytest.mark.parametrize("end", [END, RESET, LAST_CHUNK], ids=repr)
def test_a_stream_that_breaks_raises_after_its_words(
    bench: dict[str, Bench], maker: str, wire: str, end: Any
) -> None:
    """A short answer would be taken for the whole."""
    sdk: Any = anthropic if maker == "anthropic" else openai
    said = {
        "anthropic": b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],"model":"c","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\nevent: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\nevent: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"some "}}\n\n',
        "openai_chat": b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"some "},"finish_reason":null}]}\n\n',
    }  # fmt: skip

    with pytest.raises(sdk.APIError) as raised:
        ask(maker, bench[wire], wire, True, [head(200, *EVENTS), chunk(said[wire]), end])

    assert str(raised.value)


@makers
@wires
@ways
def test_an_error_inside_a_200_is_the_exception_of_its_words(
    bench: dict[str, Bench], maker: str, wire: str, stream: bool
) -> None:
    """With a true status the SDKs' own retries work."""
    sdk: Any = anthropic if maker == "anthropic" else openai
    error = {"type": "rate_limit_error", "message": "told to fail"}
    body = json.dumps({"type": "error", "error": error}).encode()
    answer: Answer = whole(200, body)
    if stream:
        answer = [head(200, *EVENTS), chunk(b"event: error\ndata: %s\n\n" % body), LAST_CHUNK]

    with pytest.raises(sdk.RateLimitError) as raised:
        ask(maker, bench[wire], wire, stream, answer)

    assert raised.value.status_code == 429
    assert "told to fail" in str(raised.value)


@makers
@wires
def test_a_provider_that_is_not_there_is_a_502(
    bench: dict[str, Bench], maker: str, wire: str
) -> None:
    """The proxy answers, so it is no connection error of the client's."""
    sdk: Any = anthropic if maker == "anthropic" else openai

    with pytest.raises(sdk.InternalServerError) as raised:
        ask(maker, bench[wire], wire, False, [RESET])

    assert raised.value.status_code == 502
