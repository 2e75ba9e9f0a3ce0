from __future__ import annotations

import json

import pytest

from lmtools.codecs.custom_tools import (
    InputReader,
    custom_tools,
    describe,
    input_schema,
    unwrap_input,
    wrap_input,
)
from lmtools.types import CustomTool, FunctionTool, Message, Request


def test_only_custom_tools_are_custom():
    request = Request(
        "m",
        (Message.user("x"),),
        tools=(FunctionTool("a"), CustomTool("b"), CustomTool("c", namespace="n")),
    )

    assert custom_tools(request) == {(None, "b"), ("n", "c")}


def test_the_function_takes_one_string():
    assert input_schema()["required"] == ["input"]
    assert wrap_input("x") == {"input": "x"}


@pytest.mark.parametrize(
    ("tool", "quoted"),
    [
        (CustomTool("a"), None),
        (CustomTool("a", format={"type": "text"}), None),
        (CustomTool("a", "Does a.", {"type": "grammar", "definition": "g"}), '"definition":"g"'),
    ],
)
def test_the_description_quotes_the_grammar(tool, quoted):
    text = describe(tool)

    assert text.startswith(tool.description or "Give the whole text")
    assert (quoted in text) if quoted else ("must follow" not in text)


@pytest.mark.parametrize(
    ("input", "text"),
    [
        ({"input": "x"}, "x"),
        ({"input": "x", "more": 1}, "x"),
        ({"patch": "x"}, "x"),
        ("x", "x"),
        ({"input": 7}, '{"input":7}'),
        ({"a": "x", "b": "y"}, '{"a":"x","b":"y"}'),
        ({}, "{}"),
        (None, "null"),
    ],
)
def test_a_call_is_unwrapped_whatever_its_shape(input, text):
    assert unwrap_input(input) == text


TEXTS = ["", "plain", 'a "quoted" \\ line\n\ttab', "grün 😀 \u2028", "{}", "\\u0041", "\ud800"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("spaced", [True, False])
def test_every_split_of_the_arguments_gives_the_same_text(text, ascii_only, spaced):
    separators = (", ", " : ") if spaced else (",", ":")
    whole = json.dumps({"input": text}, ensure_ascii=ascii_only, separators=separators)
    whole = f" {whole} " if spaced else whole
    for cut in range(len(whole) + 1):
        for second in range(cut, min(cut + 8, len(whole)) + 1):
            reader = InputReader()
            pieces = [reader.feed(p) for p in (whole[:cut], whole[cut:second], whole[second:])]
            assert "".join(pieces) + reader.close() == text


def test_text_comes_as_soon_as_it_is_certain():
    reader = InputReader()

    assert [reader.feed(p) for p in ('{"input":"abc', "def\\", 'n"', ', "x": 1}')] == [
        "abc",
        "def",
        "\n",
        "",
    ]


@pytest.mark.parametrize(
    ("fragments", "text"),
    [
        (['{"patch": ', '"x"}'], "x"),
        (["not json"], "not json"),
        (["  "], ""),
        ([], ""),
        (["[1]"], "[1]"),
        (['{"other": "', "y" * 300, '"}'], "y" * 300),
        (['{"a":1,"b":"', "y" * 300, "cut"], '{"a":1,"b":"' + "y" * 300 + "cut"),
    ],
)
def test_another_shape_is_held_back_and_unwrapped_at_the_end(fragments, text):
    reader = InputReader()

    assert [reader.feed(fragment) for fragment in fragments] == [""] * len(fragments)
    assert reader.close() == text


def test_a_cut_or_broken_string_gives_what_came():
    cut = InputReader()
    assert cut.feed('{"input":"ab\\') + cut.close() == "ab\\"

    broken = InputReader()
    assert broken.feed('{"input":"a\\x"}') == "a\\x"
