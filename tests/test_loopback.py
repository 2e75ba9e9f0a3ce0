"""The loopback transport: a server of either dialect without a network, and its failures."""

from __future__ import annotations

import json
import socket
from dataclasses import replace

import pytest

import lmtools
from lmtools.codecs import codec_named, count_codec_named
from lmtools.codecs.base import Target
from lmtools.errors import (
    CancelledError,
    ConfigError,
    DeadlineError,
    ProtocolError,
    RateLimitError,
    ServerError,
    TruncatedError,
    UnsupportedModelError,
)
from lmtools.loopback import LoopbackTransport
from lmtools.providers.loopback_model import MODELS, STORY
from lmtools.sse import SSEDecoder
from lmtools.transport import HttpRequest, HttpResponse, Timeouts
from lmtools.types import (
    FunctionTool,
    ImagePart,
    Message,
    OutputFormat,
    Request,
    StreamError,
    ToolChoice,
    ToolResultPart,
    response_from_events,
)

PATHS = {"anthropic": "/messages", "openai_chat": "/chat/completions"}
WIRES = sorted(PATHS)
TOOLS = (
    FunctionTool(
        "weather",
        "Tells it.",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
    FunctionTool("time", None, {"type": "object", "properties": {}}),
)
ECHO = Request(
    "echo", (Message.system("Be short."), Message.user("Grüße, 世界 🚀")), max_tokens=1000
)


def post(path: str, body: object, **fields) -> HttpRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpRequest("POST", f"http://loopback.invalid/v1{path}", body=data, **fields)


def get(path: str) -> HttpRequest:
    return HttpRequest("GET", f"http://loopback.invalid{path}")


def rendered(request: Request, wire: str) -> HttpRequest:
    body = codec_named(wire).render_request(request, Target(wire, default_max_tokens=4096)).body
    return post(PATHS[wire], body)


def whole(response: HttpResponse, request: Request, wire: str):
    """Return the answer as a client of the dialect reads it, whole or from its stream."""
    codec, target = codec_named(wire), Target(wire)
    if response.status >= 400:
        raise codec.parse_error(response.status, response.headers, response.read())
    if not request.stream:
        return codec.parse_response(json.loads(response.read()), request, target)
    return response_from_events(events_of(response, request, wire))


def events_of(response: HttpResponse, request: Request, wire: str) -> list:
    decoder, frames = codec_named(wire).stream_decoder(request, Target(wire)), SSEDecoder()
    events = []
    while data := response.read_some():
        for frame in frames.feed(data):
            events += decoder.decode(frame)
    for frame in frames.close():
        events += decoder.decode(frame)
    return events + decoder.close()


def ask(request: Request, wire: str, **options):
    response = LoopbackTransport(wire, **options).send(rendered(request, wire))
    return whole(response, request, wire)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [None, True])
class TestBothWires:
    def test_echo_comes_back_through_the_real_codecs(self, wire, stream):
        response = ask(replace(ECHO, stream=stream, include_usage=stream), wire)

        assert response.text == "Grüße, 世界 🚀"
        assert response.finish == "stop"
        assert response.model == "echo"
        assert response.usage.input_tokens > 0
        assert response.usage.output_tokens > 0

    def test_think_shows_its_thinking(self, wire, stream):
        response = ask(replace(ECHO, model="think", stream=stream), wire)

        assert response.thinking.startswith("The user has sent")
        assert response.text == "Grüße, 世界 🚀"

    def test_tools_are_called_and_their_results_answered(self, wire, stream):
        request = replace(ECHO, model="tools", tools=TOOLS, stream=stream)
        first = ask(request, wire)
        results = Message.tool(
            [ToolResultPart(c.id, Message.user(c.name).parts) for c in first.tool_calls]
        )
        second = ask(replace(request, messages=(*ECHO.messages, first.message, results)), wire)

        assert [(c.name, c.input) for c in first.tool_calls] == [
            ("weather", {"city": "city"}),
            ("time", {}),
        ]
        assert first.finish == "tool_call"
        assert second.text == "The tool answered: weather\nThe tool answered: time"

    def test_the_tool_choice_is_honoured(self, wire, stream):
        request = replace(ECHO, model="tools", tools=TOOLS, stream=stream)

        alone = ask(replace(request, tool_choice=ToolChoice("auto", parallel=False)), wire)
        none = ask(replace(request, tool_choice=ToolChoice("none")), wire)

        assert [call.name for call in alone.tool_calls] == ["weather"]
        assert not none.tool_calls

    def test_limits_and_stop_sequences_are_honoured(self, wire, stream):
        short = ask(replace(ECHO, model="story", max_tokens=5, stream=stream), wire)
        stopped = ask(replace(ECHO, model="story", stop=("stamps",), stream=stream), wire)

        assert short.finish == "length"
        assert stopped.text == STORY.partition("stamps")[0]

    def test_an_image_is_acknowledged(self, wire, stream):
        look = Message.user(["Look:", ImagePart("image/png", "aGVsbG8=")])

        assert (
            ask(replace(ECHO, messages=(look,), stream=stream), wire).text
            == "Look:\n[image image/png 5 bytes]"
        )

    def test_an_output_schema_is_answered_with_json_that_fits(self, wire, stream):
        form = OutputFormat("json_schema", TOOLS[0].parameters, "answer")

        assert json.loads(ask(replace(ECHO, output=form, stream=stream), wire).text) == {
            "city": "city"
        }

    def test_errors_keep_status_and_retry_after(self, wire, stream):
        for model, cls, status in (
            ("error-429", RateLimitError, 429),
            ("error-529", ServerError, 529),
        ):
            with pytest.raises(cls) as raised:
                ask(replace(ECHO, model=model, stream=stream), wire)
            assert (raised.value.status, raised.value.retry_after) == (status, 1.0)
            assert raised.value.request_id.startswith("req_")

    def test_a_cut_answer_is_seen_to_be_cut(self, wire, stream):
        request = replace(ECHO, model="cut", stream=stream)
        response = LoopbackTransport(wire).send(rendered(request, wire))

        if not stream:
            with pytest.raises(TruncatedError):
                response.read()
            return
        *events, last = events_of(response, request, wire)
        assert isinstance(last, StreamError)
        assert "".join(e.text for e in events if e.type == "text") in STORY
        assert last.code in ("truncated", "protocol")

    def test_an_unknown_model_is_404_or_the_default(self, wire, stream):
        request = replace(ECHO, model="claude-opus-9", stream=stream)

        with pytest.raises(UnsupportedModelError) as raised:
            ask(request, wire)
        assert raised.value.status == 404
        response = ask(request, wire, default="echo")
        assert (response.model, response.text) == ("claude-opus-9", "Grüße, 世界 🚀")
        with pytest.raises(RateLimitError):
            ask(replace(request, model="error-429"), wire, default="echo")

    def test_answers_are_the_same_each_time(self, wire, stream):
        request = rendered(replace(ECHO, model="think", stream=stream), wire)

        first, second = (LoopbackTransport(wire).send(request) for _ in range(2))

        assert first.headers == second.headers
        assert first.read() == second.read()


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_comes_delta_by_delta(wire):
    request = replace(ECHO, model="story", stream=True)
    response = LoopbackTransport(wire).send(rendered(request, wire))

    pieces = 0
    while response.read_some():
        pieces += 1

    assert response.header("content-type") == "text/event-stream"
    assert pieces > 400


def test_tokens_are_counted_without_an_answer():
    counts = count_codec_named("anthropic")
    body = counts.render_count_request(ECHO, Target("anthropic")).body

    response = LoopbackTransport("anthropic").send(post("/messages/count_tokens", body))

    assert counts.parse_count_response(json.loads(response.read())) > 0


@pytest.mark.parametrize("wire", [*WIRES, "openai-chat", "openai"])
def test_models_are_listed_in_the_wires_dialect(wire):
    transport = LoopbackTransport(wire)
    codec = codec_named("anthropic" if wire == "anthropic" else "openai_chat")

    listed = codec.parse_models(json.loads(transport.send(get("/v1/models")).read()))
    one = json.loads(transport.send(get("/v1/models/story")).read())

    assert [model.id for model in listed] == list(MODELS)
    assert one["id"] == "story"
    assert transport.send(get("/v1/models/none")).status == 404


BAD = [
    (post("/messages", b"{"), 400, "JSON"),
    (post("/messages", b"[]"), 400, "expected an object"),
    (post("/messages", b"\xff"), 400, "UTF-8"),
    (post("/messages", {"model": "echo", "max_tokens": 5, "messages": 7}), 400, "messages"),
    (post("/chat/completions", {"model": "echo", "messages": "x"}), 400, "messages"),
    (post("/completions", {}), 404, "/v1/completions"),
    (post("/models", {}), 405, "GET"),
    (get("/v1/messages"), 405, "POST"),
    (get("/v1/modelsx"), 404, "modelsx"),
    (get("/"), 404, "path"),
]


@pytest.mark.parametrize(
    ("request_", "status", "said"),
    BAD,
    ids=[f"{r.method} {r.url[-12:]} {r.body[:9]!r}" for r, _, _ in BAD],
)
def test_a_bad_request_is_refused_in_the_dialects_form(request_, status, said):
    response = LoopbackTransport().send(request_)
    body = json.loads(response.read())

    assert response.status == status
    assert said in body["error"]["message"]
    assert response.header("content-type") == "application/json"


def test_a_wire_that_is_no_dialect_is_refused_at_once():
    with pytest.raises(ConfigError):
        LoopbackTransport("klingon")


# Time and leaving


class Watch:
    """A watch over a socket; ``ticks`` counts how often a wait asked for the time."""

    def __init__(self, near: socket.socket) -> None:
        self.near, self.ticks = near, 0

    def fileno(self) -> int:
        return self.near.fileno()

    def readable(self) -> None:
        raise CancelledError("the client has left")

    def tick(self, now: float) -> float | None:
        self.ticks += 1
        return None


@pytest.fixture
def pair():
    near, far = socket.socketpair()
    yield near, far
    near.close()
    far.close()


@pytest.mark.parametrize("stream", [None, True])
def test_slow_ends_when_its_client_leaves(pair, stream):
    near, far = pair
    watch = Watch(near)
    request = rendered(replace(ECHO, model="slow", stream=stream), "anthropic")
    far.close()

    with pytest.raises(CancelledError, match="left"):
        LoopbackTransport(delay_s=1000.0).send(request, watch).read()

    assert watch.ticks > 0


@pytest.mark.parametrize("stream", [None, True])
def test_slow_takes_its_time_before_each_delta(stream, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr("lmtools.loopback.pause", lambda seconds, *_: pauses.append(seconds))
    request = replace(ECHO, model="slow", stream=stream)

    response = LoopbackTransport(delay_s=0.5).send(rendered(request, "anthropic"))

    assert sum(pauses) == (0 if stream else 0.5 * 22)
    assert response._body.buffered is not stream
    assert whole(response, request, "anthropic").text.endswith("twenty")
    # Start, twenty words, End.
    assert sum(pauses) >= 0.5 * 22


@pytest.mark.parametrize(
    ("stream", "timeouts"),
    [(True, Timeouts(idle=0.001)), (None, Timeouts(first_byte=0.001))],
)
def test_slow_runs_into_the_callers_deadlines(stream, timeouts):
    body = rendered(replace(ECHO, model="slow", stream=stream), "anthropic").body

    with pytest.raises(DeadlineError):
        LoopbackTransport(delay_s=1000.0).send(post("/messages", body, timeouts=timeouts)).read()


def test_a_closed_answer_and_a_closed_transport_are_cancelled():
    transport = LoopbackTransport()
    response = transport.send(rendered(replace(ECHO, stream=True), "anthropic"))
    assert response.read_some()
    response.close()
    transport.close()

    with pytest.raises(CancelledError):
        response.read_some()
    with pytest.raises(CancelledError):
        transport.send(get("/v1/models"))


def test_an_answer_that_was_read_to_its_end_may_be_closed():
    with LoopbackTransport().send(get("/v1/models")) as response:
        response.read()
    assert response.read_some() == b""


def test_the_bound_of_the_request_is_kept():
    with pytest.raises(ProtocolError):
        LoopbackTransport().send(HttpRequest("GET", "http://x/v1/models", max_body=10)).read()


def test_it_is_a_public_name():
    assert lmtools.LoopbackTransport is LoopbackTransport
