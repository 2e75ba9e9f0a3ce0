"""The prompt's bytes and the schema's file, good and bad."""

from __future__ import annotations

import pytest

from lmtools.flags import UsageError
from lmtools.lmc.prompt import MAX_PROMPT, MAX_SCHEMA, load_schema, parse_prompt


def refusal(function, *arguments):
    with pytest.raises(UsageError) as caught:
        function(*arguments)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"Hello\n", "Hello"),
        ("  \u00a0Grüße 🌍\u2003\n".encode(), "Grüße 🌍"),
        (b"\xef\xbb\xbfmark", "mark"),
        (b"a\r\nb\n\n", "a\r\nb"),
        (b"x" * MAX_PROMPT, "x" * MAX_PROMPT),
    ],
)
def test_a_prompt_is_its_text_without_the_blanks_around_it(data, text):
    assert parse_prompt(data) == text


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"caf\xe9 secret", "byte 0xe9 at offset 3"),
        (b"half \xf0\x9f", "offset 5"),
        ("Hi".encode("utf-16-le"), "NUL at character 1"),
        (b"x" * (MAX_PROMPT + 1), "10 MiB"),
    ],
)
def test_a_bad_prompt_is_refused_in_one_line_without_its_content(data, part):
    message = refusal(parse_prompt, data)

    assert part in message
    assert "secret" not in message


def test_a_schema_is_read_below_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "s.json").write_text('{"type": "object"}')

    assert load_schema("~/s.json") == {"type": "object"}


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"{", "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b"[1]", "holds an array"),
        (b"null", "holds null"),
        (b'"s"', "holds a string"),
        (b"7", "holds a number"),
        (b"true", "holds a boolean"),
        (b" " * (MAX_SCHEMA + 1), "larger than"),
    ],
)
def test_what_is_wrong_with_a_schema_is_said(tmp_path, content, part):
    path = tmp_path / "s.json"
    path.write_bytes(content)

    message = refusal(load_schema, str(path))

    assert part in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("name", "part"), [("none.json", "No such file"), ("", "Is a directory"), ("a\0b", "no file")]
)
def test_a_schema_that_cannot_be_read_is_named(tmp_path, name, part):
    message = refusal(load_schema, f"{tmp_path}/{name}")

    assert "cannot read" in message
    assert part in message
