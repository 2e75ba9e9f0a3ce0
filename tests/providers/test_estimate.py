"""The token estimate: what counts, by how much, and what must not inflate it."""

from __future__ import annotations

import base64

import pytest

from lmtools.providers.estimate import estimate_text, estimate_tokens, scaled, smoothed
from lmtools.types import (
    AudioPart,
    BinaryPart,
    BuiltinCallPart,
    BuiltinResultPart,
    BuiltinTool,
    CitationPart,
    CustomTool,
    DocumentPart,
    FunctionTool,
    ImagePart,
    Message,
    Opaque,
    OpaquePart,
    OutputFormat,
    RefusalPart,
    Request,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolsPart,
    VideoPart,
)

BIG = base64.b64encode(b"x" * 300_000).decode()
WORDS = "four " * 100


def tokens_of(*parts, **request) -> int:
    """Return what the parts add to a request whose message is empty."""
    bare = estimate_tokens(Request("m", (Message("user", ()),)))
    return estimate_tokens(Request("m", (Message("user", parts),), **request)) - bare


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("a" * 4000, 1000),
        ("漢字" * 100, 200),
        ("мир" * 100, 188),
        ("😀" * 100, 138),
        ("\ud800", 1),
    ],
)
def test_a_text_is_four_ascii_characters_or_one_chinese_a_token(text, tokens):
    assert estimate_text(text) == tokens


def test_a_longer_text_never_has_fewer_tokens():
    text = "aé漢😀 " * 50
    counts = [estimate_text(text[:end]) for end in range(len(text))]

    assert counts == sorted(counts)


@pytest.mark.parametrize(
    "part",
    [
        TextPart(WORDS),
        ThinkingPart(WORDS),
        RefusalPart(WORDS),
        CitationPart(text=WORDS),
        ToolResultPart("t", (TextPart(WORDS),)),
        ToolCallPart("t", "ls", {"text": WORDS}),
        ToolCallPart("t", "ls", {}, text=WORDS),
        BuiltinCallPart("b", "web_search", {"query": WORDS}),
        BuiltinResultPart("b", "web_search", (CitationPart(text=WORDS),)),
        OpaquePart(Opaque("anthropic", "block", {"text": WORDS})),
        ToolsPart((FunctionTool("f", WORDS),)),
        DocumentPart("text/plain", base64.b64encode(WORDS.encode()).decode()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_every_text_counts_wherever_it_stands(part):
    assert 125 <= tokens_of(part) <= 125 + 40


@pytest.mark.parametrize(
    "part",
    [
        ImagePart("image/png", BIG),
        AudioPart("audio/wav", BIG),
        VideoPart("video/mp4", BIG),
        DocumentPart("application/pdf", BIG),
        BinaryPart("application/octet-stream", BIG),
        ToolResultPart("t", (ImagePart("image/png", BIG),)),
        OpaquePart(Opaque("anthropic", "web_search_tool_result", {"encrypted_content": BIG})),
    ],
    ids=lambda part: type(part).__name__,
)
def test_base64_does_not_inflate_the_number(part):
    assert 500 <= tokens_of(part) <= 10_000


def test_a_medium_by_reference_counts_as_one_that_is_sent():
    assert tokens_of(ImagePart(url="https://x/y.png")) == tokens_of(ImagePart("image/png", BIG))


@pytest.mark.parametrize(
    "request_fields",
    [
        {"tools": (FunctionTool("f", WORDS),)},
        {"tools": (FunctionTool("f", parameters={"description": WORDS}),)},
        {"tools": (FunctionTool(WORDS, parameters=None),)},
        {"tools": (CustomTool("c", WORDS),)},
        {"tools": (CustomTool("c", format={"definition": WORDS}),)},
        {"output": OutputFormat("json_schema", {"description": WORDS})},
    ],
)
def test_tools_and_schemas_count(request_fields):
    assert 125 <= tokens_of(**request_fields) <= 125 + 40


def test_a_builtin_tool_counts_a_little():
    assert 0 < tokens_of(tools=(BuiltinTool("web_search"),)) < 40


def test_system_messages_count_as_any_other():
    user = Message.user("hello")

    alone = estimate_tokens(Request("m", (user,)))
    with_system = estimate_tokens(Request("m", (Message.system(WORDS), user)))

    assert 125 <= with_system - alone <= 140


@pytest.mark.parametrize(
    ("before", "observed", "after"),
    [(None, 1.5, 1.5), (1.0, 1.4, 1.1), (2.0, 1.0, 1.75), (None, 99.0, 4.0), (None, 0.0, 0.25)],
)
def test_a_ratio_follows_its_answers_slowly_and_within_bounds(before, observed, after):
    assert smoothed(before, observed) == pytest.approx(after)


@pytest.mark.parametrize(
    ("estimated", "ratio", "tokens"),
    [(100, None, 100), (100, 1.25, 125), (1, 0.25, 1), (0, 3.0, 0), (3, 0.5, 2)],
)
def test_an_estimate_is_scaled_and_never_to_nothing(estimated, ratio, tokens):
    assert scaled(estimated, ratio) == tokens
