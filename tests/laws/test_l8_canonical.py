"""L8 from the canonical side: of a request or an answer that holds everything, no field is lost silently.

The corpus holds what wires say. A library user may construct more: every kind of part in every place
where it can stand, every field set. Each field in turn is changed; the wire of each dialect changes with
it, or a loss names it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance import exchange, runner
from conformance.laws.ownership import unsaid
from lmtools.types import (
    AudioPart,
    BinaryPart,
    BuiltinCallPart,
    BuiltinResultPart,
    BuiltinTool,
    CacheMark,
    CitationPart,
    CustomTool,
    DocumentPart,
    FunctionTool,
    ImagePart,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    RefusalPart,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    TokenLogprob,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolResultPart,
    ToolsPart,
    Usage,
    VideoPart,
)

CODECS = runner.codecs()
MARK = CacheMark("1h")
KINDS: tuple[tuple[Any, str, dict[str, str]], ...] = (
    (ImagePart, "image/png", {"detail": "low"}),
    (AudioPart, "audio/wav", {"transcript": "hi"}),
    (VideoPart, "video/mp4", {}),
    (DocumentPart, "application/pdf", {"name": "a.pdf", "context": "ctx"}),
    (BinaryPart, "application/zip", {"name": "b.zip"}),
)


def media(cls: Any, media_type: str, more: dict[str, str]) -> tuple[Part, ...]:
    """The three ways to hold one medium."""
    return (
        cls(media_type, data="AAAA", cache=MARK, **more),
        cls(media_type, url="https://example.com/a", **more),
        cls(file_id="file_1", **more),
    )


ALL_MEDIA = tuple(part for kind in KINDS for part in media(*kind))
CITATION = CitationPart("https://example.com", "Title", "cited", 0, 2)
CALLS = (
    ToolCallPart("c1", "f", {"a": 1}, cache=MARK),
    ToolCallPart("c2", "g", "x = 1", kind="custom"),
    ToolCallPart("c3", "h", {"b": 2}, namespace="space"),
)
SEARCH = (
    BuiltinCallPart("b1", "web_search", {"q": 1}, "completed", cache=MARK),
    BuiltinResultPart("b1", "web_search", (CitationPart("https://e.com", "T", "c"),), "completed"),
)
TOLD = (
    ThinkingPart("hm"),
    TextPart("yo", cache=MARK),
    CITATION,
    RefusalPart("no"),
    *CALLS,
    *SEARCH,
)
RESULTS = (
    ToolResultPart("c1", (TextPart("r"), *media(*KINDS[0]), *media(*KINDS[3])), True, "f", cache=MARK),
    ToolResultPart("c2", (TextPart("r2"),), kind="custom"),
    ToolResultPart("c3", (TextPart("r3"),), namespace="space"),
)  # fmt: skip
MESSAGES = (
    Message("system", (TextPart("sys", cache=MARK),), name="s"),
    Message("developer", (TextPart("dev"),)),
    Message("user", (TextPart("hi", cache=MARK), *ALL_MEDIA), name="ann"),
    Message("assistant", TOLD, name="bot"),
    Message("tool", RESULTS),
    Message("user", (TextPart("go"), ToolsPart((FunctionTool("late", "d"),), cache=MARK))),
    Message("system", (TextPart("mid"),)),
    Message("user", (TextPart("end"),)),
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: /x/"}}
TOOLS = (
    FunctionTool("f", "desc", SCHEMA, True, cache=MARK),
    CustomTool("g", "desc", GRAMMAR, cache=MARK),
    FunctionTool("h", namespace="space"),
    BuiltinTool("web_search", cache=MARK),
)
FULL = Request(
    "model",
    MESSAGES,
    TOOLS,
    ToolChoice("required", (ToolRef("f"), ToolRef("g", "custom")), False),
    stream=True,
    max_tokens=100,
    temperature=0.5,
    top_p=0.9,
    top_k=40,
    seed=7,
    frequency_penalty=0.1,
    presence_penalty=0.2,
    stop=("END",),
    n=2,
    logprobs=True,
    top_logprobs=3,
    reasoning=Reasoning("enabled", "high", 2048, "auto"),
    output=OutputFormat("json_schema", SCHEMA, "name", "desc", True),
    verbosity="low",
    cache=MARK,
    cache_key="k",
    cache_retention="24h",
    user="u",
    metadata={"user_id": "x", "team": "y"},
    service_tier="flex",
    store=True,
    previous_response_id="resp_1",
)
REQUESTS = {
    "everything": FULL,
    "a forced custom tool": replace(FULL, tool_choice=ToolChoice("required", (ToolRef("g", "custom"),))),
    "a forced tool": replace(FULL, tool_choice=ToolChoice("required", (ToolRef("f"),), True)),
    "free choice": replace(FULL, tool_choice=ToolChoice("auto")),
    "only the parallel flag": replace(FULL, tool_choice=ToolChoice(parallel=False)),
    "adaptive thinking": replace(FULL, reasoning=Reasoning("adaptive", summary="detailed")),
    "thinking off": replace(FULL, reasoning=Reasoning("disabled")),
    "an effort": replace(FULL, reasoning=Reasoning(effort="minimal")),
    "a budget": replace(FULL, reasoning=Reasoning(budget=4096)),
    "json": replace(FULL, output=OutputFormat("json_object")),
    "no tools": replace(FULL, tools=(), tool_choice=None),
}  # fmt: skip
ANSWER = Response(
    "id",
    "model",
    Message("assistant", TOLD),
    "tool_call",
    Usage(100, 50, 150, 30, 20, 10, 5, 4),
    1700000000,
    "END",
    "flex",
    (TokenLogprob("yo", -0.5, (121, 111), (TokenLogprob("no", -1.5),)),),
)
ANSWERS = {
    "everything": ANSWER,
    "spoken": replace(ANSWER, message=Message("assistant", media(*KINDS[1])[:1]), finish="stop"),
    "media": replace(ANSWER, message=Message("assistant", ALL_MEDIA), finish="stop"),
    "stopped": replace(ANSWER, message=Message.assistant("x"), finish="stop_sequence"),
}


@pytest.mark.parametrize("dialect", sorted(CODECS))
@pytest.mark.parametrize("name", REQUESTS)
def test_no_field_of_a_request_is_lost_silently(dialect: str, name: str) -> None:
    target = exchange.target(dialect)

    lost = unsaid(REQUESTS[name], lambda value: CODECS[dialect].render_request(value, target))

    assert [line for line in lost if not line.startswith("include_usage")] == []


@pytest.mark.parametrize("dialect", sorted(CODECS))
@pytest.mark.parametrize("name", ANSWERS)
def test_no_field_of_an_answer_is_lost_silently(dialect: str, name: str) -> None:
    """The id and the time of an answer to a client of another dialect are the server's own."""
    request = Request("model", (Message.user("Hello"),))

    lost = unsaid(
        ANSWERS[name],
        lambda value: CODECS[dialect].render_response(value, request, exchange.stamp(value.model)),
    )

    assert [line for line in lost if line.partition(":")[0] not in ("id", "created")] == []
