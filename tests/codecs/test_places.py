"""Thoughts stand again where as much stands before them as in the answer."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.codecs.places import FIRST, Place, put_back
from lmtools.types import (
    CacheMark,
    CitationPart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)

A, B = ToolCallPart("a", "f", {}), ToolCallPart("b", "f", {})
CITED, CITATION = TextPart("abcdef"), CitationPart(url="u")
MARKED = TextPart("abcdef", cache=CacheMark())


def shown(parts: tuple[Part, ...]) -> list[Any]:
    """Return texts as they are, thoughts in brackets, calls by their ids."""
    out: list[Any] = []
    for part in parts:
        match part:
            case ThinkingPart(text=text):
                out.append([text])
            case TextPart(text=text) | RefusalPart(text=text):
                out.append(text)
            case ToolCallPart(id=id):
                out.append(id)
            case _:
                out.append(part.type)
    return out


@pytest.mark.parametrize(
    ("parts", "places", "expected"),
    [
        ([TextPart("abcdef"), A], [(0, 0)], [["0"], "abcdef", "a"]),
        ([TextPart("abcdef"), A], [(0, 0), (3, 0)], [["0"], "abc", ["1"], "def", "a"]),
        ([TextPart("abcdef"), A], [(6, 0)], ["abcdef", ["0"], "a"]),
        ([TextPart("abcdef"), A, B], [(3, 0), (6, 1)], ["abc", ["0"], "def", "a", ["1"], "b"]),
        ([TextPart("abcdef"), A], [(2, 0), (2, 0), (4, 0)], None),
        ([TextPart("abc"), TextPart("def"), A], [(3, 0)], ["abc", ["0"], "def", "a"]),
        ([TextPart("abc"), TextPart("def"), A], [(4, 0)], ["abc", "d", ["0"], "ef", "a"]),
        ([A, B], [(0, 0), (0, 1)], [["0"], "a", ["1"], "b"]),
        ([A, TextPart("abc"), B], [(0, 1), (3, 1)], ["a", ["0"], "abc", ["1"], "b"]),
        # All text stands before the calls, as Chat says it: the calls keep their thoughts.
        ([TextPart("abcdef"), A, B], [(3, 1)], ["abcdef", "a", ["0"], "b"]),
        # The client shortened the text, or left out a call.
        ([TextPart("ab"), A], [(30, 0)], ["ab", ["0"], "a"]),
        ([TextPart("ab"), A], [(2, 5)], ["ab", "a", ["0"]]),
        ([], [(0, 0), (7, 7)], [["0"], ["1"]]),
        # What is more than words is not cut.
        ([CITED, CITATION, A], [(3, 0)], [["0"], "abcdef", "citation", "a"]),
        ([CITED, CITATION, A], [(6, 0)], ["abcdef", "citation", ["0"], "a"]),
        ([MARKED, A], [(3, 0)], [["0"], "abcdef", "a"]),
        ([TextPart("ab"), RefusalPart("no")], [(0, 0), (2, 0)], [["0"], "ab", ["1"], "no"]),
    ],
)
def test_thoughts_are_put_back(
    parts: list[Part], places: list[tuple[int, int]], expected: list[Any] | None
) -> None:
    thoughts = [(Place(*at), ThinkingPart(str(i))) for i, at in enumerate(places)]
    found = shown(put_back(parts, thoughts))

    assert found == (expected or ["ab", ["0"], ["1"], "cd", ["2"], "ef", "a"])


def test_without_thoughts_nothing_changes() -> None:
    assert put_back([CITED, CITATION, A], []) == (CITED, CITATION, A)


def test_the_words_and_calls_stay_the_same_wherever_a_thought_is_put() -> None:
    parts = [TextPart("abc"), A, TextPart("def"), B]
    for characters in range(9):
        for calls in range(4):
            found = put_back(parts, [(Place(characters, calls), ThinkingPart("t"))])
            texts = "".join(part.text for part in found if isinstance(part, TextPart))
            assert texts == "abcdef"
            assert [part for part in found if isinstance(part, ToolCallPart)] == [A, B]
            assert sum(isinstance(part, ThinkingPart) for part in found) == 1
            assert all(part.text for part in found if isinstance(part, TextPart))
    assert FIRST == (0, 0)


def test_many_thoughts_in_one_long_text_are_all_put_back() -> None:
    """Places are a client's word, and may be many: each cut copies no more than its own words."""
    count = 20_000
    thoughts = [(Place(i * 10, 0), ThinkingPart("")) for i in range(count)]
    found = put_back([TextPart("x" * count * 10)], thoughts)

    assert len(found) == count * 2
    assert {len(part.text) for part in found if isinstance(part, TextPart)} == {10}
