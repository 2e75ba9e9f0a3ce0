"""Members of an object with their places, and texts put there."""

from __future__ import annotations

import json
import random

import pytest

from lmtools.codecs.splice import Edit, find, members, splice
from lmtools.errors import ProtocolError

#: Objects whose spelling is the point.
SPELLINGS = [
    "{}",
    " \t\r\n{ } \n",
    '{"model":"m"}',
    '{ "model" : "m" , "n" : [ 1 , { "model" : "inner" } ] }',
    '{"a":"}","b":"{\\"model\\":\\"no\\"}","model":"m"}',
    '{"a":"\\\\","model":"m\\"q\\\\","z":null}',
    '{"\\u006dodel":"m","x":-1.5e3,"t":true,"f":false}',
    '{"\u00e9\U0001f469":"\ud55c","model":"\u2028","e":""}',
    '{"model":"\\ud83d","deep":[[[[{"a":{"b":[]}}]]]]}',
    '{"messages":[],"model":{"model":"m"},"big":123456789012345678901234567890}',
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_each_member_stands_where_it_is_said_to(text: str) -> None:
    found = members(text)

    assert {m.key: m.value for m in found} == json.loads(text)
    assert [m.key for m in found] == list(json.loads(text))
    for member in found:
        assert json.loads(text[member.key_start : member.key_end]) == member.key
        assert json.loads(text[member.start : member.end]) == member.value


@pytest.mark.parametrize("text", SPELLINGS)
def test_a_spliced_value_is_the_only_difference(text: str) -> None:
    for member in members(text):
        new = splice(text, [Edit(member.start, member.end, '{"new":1}')])
        assert json.loads(new) == {**json.loads(text), member.key: {"new": 1}}
        assert new.startswith(text[: member.start])
        assert new.endswith(text[member.end :])


def test_several_edits_are_made_in_any_order() -> None:
    text = '{"a":1,"b":2,"c":3}'
    edits = [Edit(m.start, m.end, "long text") for m in members(text)]

    assert splice(text, reversed(edits)) == '{"a":long text,"b":long text,"c":long text}'
    assert splice(text, []) == text


def test_duplicates_are_all_found_however_they_are_spelled() -> None:
    text = '{"model":"a","x":{"model":"no"},"\\u006d\\u006Fdel":"b"}'

    assert [m.value for m in members(text) if m.key == "model"] == ["a", "b"]
    assert [m.value for m in find(text, ("model",))] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "path", "values"),
    [
        ('{"message":{"id":1,"model":"m"},"model":"no"}', ("message", "model"), ["m"]),
        ('{ "message" : { "model" : "m" } }', ("message", "model"), ["m"]),
        ('{"message":{"model":"a"},"message":{"model":"b"}}', ("message", "model"), ["a", "b"]),
        ('{"message":"text"}', ("message", "model"), []),
        ('{"message":["model"]}', ("message", "model"), []),
        ('{"other":{"model":"m"}}', ("message", "model"), []),
        ("{}", ("model",), []),
        ('{"a":1}', (), []),
    ],
)
def test_a_path_finds_what_stands_there(
    text: str, path: tuple[str, ...], values: list[str]
) -> None:
    found = find(text, path)

    assert [m.value for m in found] == values
    assert [json.loads(text[m.start : m.end]) for m in found] == values


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "[]", '"text"', "null", "{", '{"a"', '{"a":', '{"a":1', '{"a":1,', '{"a":1,}', "{,}",
        '{"a" 1}', "{a:1}", "{'a':1}", '{"a":1 "b":2}', '{"a":1}{}', '{"a":1} x', '{"a":NaN}',
        '{"a":Infinity}', '{"a":[1,]}', '{"a":{"b"}}', '{"a":"\\x"}', '{"a":"\\ud8"}', '{"a":"un', '{"a":01}',
        '{"a":"line\nend"}', '{"a\tb":1}', '{"a":1e999}', '\ufeff{"a":1}', '{"a":tru}', '{1:2}',
        '{"a":' + "[" * 100_000,
        '{"a":' + "9" * 5000 + "}",
    ],
    ids=lambda text: repr(text[:20]),
)  # fmt: skip
def test_what_is_no_object_in_strict_json_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="not JSON"):
        members(text)


def test_random_objects_are_read_as_the_standard_library_reads_them(rng: random.Random) -> None:
    """Cut anywhere, none of them is an object any more."""
    for _ in range(200):
        value = {random_text(rng): random_json(rng, 3) for _ in range(rng.randrange(6))}
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
        assert {m.key: m.value for m in members(text)} == value
        cut = text[: rng.randrange(len(text))]
        with pytest.raises(ProtocolError):
            members(cut)


def random_text(rng: random.Random) -> str:
    return "".join(
        rng.choice('ab"\\{}[]:,\n\u00e9\u2028\U0001f327') for _ in range(rng.randrange(6))
    )


def random_json(rng: random.Random, depth: int) -> object:
    kinds = "tnlbfdo" if depth else "tnbf"
    match rng.choice(kinds):
        case "t":
            return random_text(rng)
        case "n":
            return rng.choice([None, rng.randrange(-9, 9)])
        case "b":
            return rng.random() < 0.5
        case "f":
            return rng.randrange(100) / 8
        case "l":
            return [random_json(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            return {random_text(rng): random_json(rng, depth - 1) for _ in range(rng.randrange(4))}
