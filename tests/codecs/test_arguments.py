"""Argument text of tool calls."""

from __future__ import annotations

import pytest

from lmtools.codecs.arguments import format_arguments, parse_arguments

TEXTS = [
    ('{"a":1}', {"a": 1}, True),
    ("", {}, True),
    (" \n", {}, True),
    ("[1]", {}, False),
    ("not json", {}, False),
    ('{"a":', {}, False),
    ("null", {}, False),
    ('{"a":NaN}', {}, False),
]


@pytest.mark.parametrize(("text", "value", "right"), TEXTS)
def test_argument_text_is_an_object_or_says_that_it_is_not(text, value, right):
    assert parse_arguments(text) == (value, right)


@pytest.mark.parametrize(
    ("value", "text", "wire"),
    [
        ({"a": 1}, '{ "a": 1 }', '{ "a": 1 }'),
        ({"a": "é"}, None, '{"a":"é"}'),
        ({}, None, "{}"),
        ({}, "", ""),
        ("free text", None, "free text"),
    ],
)
def test_the_exact_text_wins_over_the_input(value, text, wire):
    assert format_arguments(value, text) == wire
