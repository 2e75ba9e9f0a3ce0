"""JSON text: compact, exact both ways, and nothing that another reader would refuse."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.codecs.text import dumps, loads, quoted_between
from lmtools.errors import ProtocolError, RequestError
from lmtools.types import json as text_of_json

SAME: list[tuple[Any, str]] = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (0.1, "0.1"),
    (1e22, "1e+22"),
    (2**63, "9223372036854775808"),
    ("", '""'),
    ("déjà 日本 \U0001f9d1", '"déjà 日本 \U0001f9d1"'),
    ("\u2028", '"\u2028"'),
    ('"\\/\n\x00', '"\\"\\\\/\\n\\u0000"'),
    ({"b": [1, {}], "a": [], "10": None, "2": None}, '{"b":[1,{}],"a":[],"10":null,"2":null}'),
]


@pytest.mark.parametrize(("value", "text"), SAME, ids=[text for _, text in SAME])
def test_value_and_text_are_the_same_thing(value: Any, text: str) -> None:
    """Compact, no escapes that UTF-8 does not need, keys in their order."""
    assert dumps(value) == text
    assert loads(text) == value


def test_a_lone_surrogate_leaves_as_the_escape_that_it_came_as() -> None:
    assert dumps(loads('{"é":"\\ud800"}')) == '{"\\u00e9":"\\ud800"}'


def test_white_space_around_a_value_and_raw_control_characters_are_let_in() -> None:
    """Some servers forget to escape a line end in a string."""
    assert loads(' \t\r\n{"a": "x\ny"}\n') == {"a": "x\ny"}


NOT_JSON = [
    *("", "   ", "{", "[1,]", "{'a':1}", '"open', "tru", "01", "+1", ".5", "1.", "\x00"),
    *("NaN", "Infinity", "-Infinity", '{"a":NaN}', "1e999", "[-1e999]"),
    *('{"a":1}{', "1 2", "[]]", "\ufeff{}", '\u00a0"nbsp is no JSON white space"'),
]


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_no_json_is_refused(text: str) -> None:
    """Also what Python's own parser lets in, or reads as a value that it cannot write again."""
    with pytest.raises(ProtocolError, match="not JSON"):
        loads(text)


def test_an_error_does_not_repeat_the_text() -> None:
    with pytest.raises(ProtocolError) as refused:
        loads('{"key": SECRET}')

    assert "SECRET" not in str(refused.value)
    assert "8" in str(refused.value), "where it is not JSON"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_nesting_that_would_exhaust_the_stack_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        loads(text)


def test_a_number_with_thousands_of_digits_is_refused() -> None:
    """Python bounds the conversion of digits, since its cost is quadratic."""
    with pytest.raises(ProtocolError, match="not JSON"):
        loads("9" * 5000)


def test_writing_what_is_nested_too_deeply_is_an_error_of_the_request() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(RequestError, match="nested too deeply"):
        dumps(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(value)


@pytest.mark.parametrize(
    "text", ["", "plain", 'a "b" \\ \n\x00', "déjà 日本 \U0001f9d1", "\ud83d", "é\udc00"]
)
def test_a_text_between_two_pieces_of_json_is_written_as_everywhere(text: str) -> None:
    assert quoted_between('{"text":', text, "}") == dumps({"text": text}).encode()


def test_a_value_that_holds_itself_is_refused_and_not_written_for_ever() -> None:
    value: list[Any] = []
    value.append({"value": value})
    with pytest.raises(RequestError, match="nested too deeply"):
        dumps(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": float("-inf")}])
def test_what_json_has_no_number_for_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(value)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", {"a": object()}, {(1, 2): 3}])
def test_what_is_not_json_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError):
        dumps(value)


def test_without_the_c_encoder_the_text_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_of_json, "_make_iterencode", None)
    encode = text_of_json._kept_encode()
    for value, text in SAME:
        assert encode(value) == text
