"""What clients get is what the official SDK's types say, checked by its own models.

The SDK is a test dependency of the ``interop`` extra only; without it these tests skip.
"""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Incoming, Stamp, Target
from lmtools.sse import SSEDecoder
from lmtools.types import (
    AudioDelta,
    AudioPart,
    CitationPart,
    CustomTool,
    DocumentPart,
    End,
    FunctionTool,
    ImagePart,
    Message,
    OutputFormat,
    Reasoning,
    RefusalPart,
    Request,
    Response,
    Start,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    TokenLogprob,
    ToolCallDelta,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolResultPart,
    Usage,
)

pydantic = pytest.importorskip("pydantic", reason="the interop extra is not installed")
chat = pytest.importorskip("openai.types.chat", reason="the interop extra is not installed")

STAMP = Stamp("chatcmpl-1", 1700000000, "alias", 7)
REQUEST = Request("m", (Message.user("Hi"),), stream=True, include_usage=True)
CALL = ToolCallPart("c", "f", {"x": 1})

ANSWERS = [
    Response(None, "m", Message.assistant("Hi"), "stop"),
    Response(None, "m", Message("assistant", ()), None),
    Response("msg_1", "m", Message("assistant", (ThinkingPart("hm"), TextPart("a"), CALL)), "tool_call", Usage(3, 5, cache_read_tokens=1)),
    Response("x", "m", Message("assistant", (RefusalPart("No."),)), "refusal"),
    Response("x", "m", Message("assistant", (TextPart("a"), CitationPart("https://e.com"))), "pause"),
    Response("x", "m", Message("assistant", (AudioPart("audio/wav", "AAAA", transcript="Hi"),)), "stop"),
    Response("x", "m", Message("assistant", (ToolCallPart("c", "run", "1", "1", "custom"),)), "tool_call"),
    Response("x", "m", Message.assistant("a"), "error", logprobs=(TokenLogprob("a", -1.0),)),
]  # fmt: skip


@pytest.mark.parametrize("response", ANSWERS, ids=range(len(ANSWERS)))
def test_an_answer_is_a_chat_completion(response):
    body = openai_chat.render_response(response, REQUEST, STAMP).body
    read = chat.ChatCompletion.model_validate(json.loads(json.dumps(body)), strict=True)
    assert [choice.message.role for choice in read.choices] == ["assistant"]


STREAMS = [
    [End("stop")],
    [Start("x", "m", 5), TextDelta(0, "a"), TextDelta(0, "b"), End("stop", Usage(1, 2))],
    [Start(), ThinkingDelta(0, "a"), TextDelta(1, "b", (TokenLogprob("b", -1.0),)), End(None)],
    [Start(), ToolCallDelta(0, "", "c", "f"), ToolCallDelta(0, "{}"), End("tool_call", Usage(1))],
    [Start(), AudioDelta(0, "AAAA", "Hi"), End("refusal", Usage(1, 2, 3, 1, 0, 2))],
]


@pytest.mark.parametrize("events", STREAMS, ids=range(len(STREAMS)))
def test_every_frame_is_a_chat_completion_chunk(events):
    encoder = openai_chat.stream_encoder(REQUEST, STAMP)
    out = b"".join(encoder.encode(event) for event in events)
    frames = [frame.data for frame in SSEDecoder().feed(out)]
    assert frames.pop() == "[DONE]"
    for data in frames:
        chat.ChatCompletionChunk.model_validate_json(data, strict=True)


def drain(value):
    """Walk a validated value: pydantic checks what stands in an Iterable only when it is read."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, (str, int, float, type(None))):
        for item in value:
            drain(item)


PDF = DocumentPart("application/pdf", "AAAA")
REQUESTS = [
    {"tools": (FunctionTool("f", strict=True), CustomTool("c", "d", {"type": "grammar", "syntax": "lark", "definition": "x"}))},
    {"tools": (FunctionTool("f"),), "tool_choice": ToolChoice("required", (ToolRef("f"),), False)},
    {"tools": (FunctionTool("f"),), "tool_choice": ToolChoice("auto", (ToolRef("f"),))},
    {"reasoning": Reasoning("enabled", budget=9000), "output": OutputFormat("json_schema", {})},
    {"stop": ("a",) * 6, "max_tokens": 5, "stream": True, "user": "u", "metadata": {"a": "b"}},
    {"messages": (
        Message("system", (TextPart("a"), TextPart("b"))),
        Message("user", (TextPart("x"), ImagePart("image/png", "AAAA", detail="low"), AudioPart("audio/mpeg", "AAAA"), PDF)),
        Message("assistant", (ThinkingPart("hm"), TextPart("a"), CALL, ToolCallPart("d", "run", "1", kind="custom"))),
        Message("user", (ToolResultPart("c", (TextPart("1"), ImagePart("image/png", "AAAA")), True), ToolResultPart("d", ()), TextPart("go on"))),
        Message("assistant", (RefusalPart("No."),)),
    )},
]  # fmt: skip


@pytest.mark.parametrize("fields", REQUESTS, ids=range(len(REQUESTS)))
def test_a_request_is_what_the_sdk_would_send(fields):
    params = pytest.importorskip("openai.types.chat.completion_create_params")
    request = Request("m", fields.pop("messages", (Message.user("Hi"),)), **fields)
    body = openai_chat.render_request(request, Target()).body
    kind = params.CompletionCreateParamsStreaming if request.stream else params.CompletionCreateParamsNonStreaming  # fmt: skip
    adapter = pydantic.TypeAdapter(kind)
    drain(adapter.validate_python(body))
    assert openai_chat.parse_request(Incoming(body)).model == "m"
