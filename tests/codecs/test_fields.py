"""Taking keys away and putting back what nobody took: nothing is lost, nothing is said twice."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from lmtools.codecs.base import Loss
from lmtools.codecs.fields import Fields, note, report_foreign, restore, shown, wrong
from lmtools.errors import RequestError
from lmtools.types import Opaque
from tests.generators import json_value

TAKEN: list[tuple[str, Any]] = [
    ("text", "a"),
    ("text", ""),
    ("integer", 0),
    ("number", 0),
    ("number", 0.5),
    ("boolean", False),
    ("object", {}),
    ("array", []),
    ("any", False),
    ("any", {"a": None}),
    ("required_text", ""),
]


@pytest.mark.parametrize(("method", "value"), TAKEN)
def test_a_key_of_the_right_type_is_taken_away(method: str, value: Any) -> None:
    """Falsy values are said, and JSON is handed over by reference."""
    wire = {"a": 1, "key": value}
    fields = Fields(wire, "")

    assert getattr(fields, method)("key") is value
    assert fields.rest == {"a": 1}
    assert wire == {"a": 1, "key": value}, "the wire object itself is never changed"


@pytest.mark.parametrize(
    "method", ["text", "integer", "number", "boolean", "object", "array", "any"]
)
def test_null_is_not_taken(method: str) -> None:
    """None means absent, so an explicit null is spelling and stays in the rest."""
    fields = Fields({"key": None}, "")

    assert getattr(fields, method)("key") is None
    assert getattr(fields, method)("absent") is None
    assert fields.rest == {"key": None}


def test_an_integral_float_is_an_integer() -> None:
    fields = Fields({"n": 16.0}, "")

    value = fields.integer("n")

    assert (value, type(value)) == (16, int)
    assert fields.rest == {}


SECRET = "SECRET"
WRONG: list[tuple[str, Any, str]] = [
    ("text", 7, "expected a string, got 7"),
    ("text", [SECRET], "expected a string, got a list"),
    ("text", True, "expected a string, got a boolean"),
    ("integer", True, "expected an integer, got a boolean"),
    ("integer", 1.5, "expected an integer, got 1.5"),
    ("integer", SECRET, "expected an integer, got a string"),
    ("number", SECRET, "expected a number, got a string"),
    ("number", False, "expected a number, got a boolean"),
    ("boolean", 0, "expected a boolean, got 0"),
    ("boolean", SECRET, "expected a boolean, got a string"),
    ("object", [SECRET], "expected an object, got a list"),
    ("array", {SECRET: 1}, "expected a list, got an object"),
    ("required_text", None, "expected a string, got null"),
    ("required_text", 10**60, "expected a string, got " + "1" + "0" * 39),
]


@pytest.mark.parametrize(("method", "value", "message"), WRONG)
@pytest.mark.parametrize(("path", "where"), [("", "key"), ("messages[2]", "messages[2].key")])
def test_a_wrong_type_is_named_by_its_path_and_never_by_its_content(
    method: str, value: Any, message: str, path: str, where: str
) -> None:
    fields = Fields({"key": value}, path)

    with pytest.raises(RequestError) as refused:
        getattr(fields, method)("key")

    assert str(refused.value) == f"{where}: {message}"
    assert refused.value.path == where


def test_a_missing_key_is_told_from_a_null() -> None:
    with pytest.raises(RequestError, match=r"^m\.key: expected a string, got nothing$"):
        Fields({}, "m").required_text("key")
    assert (
        str(Fields({"a": None}, "").missing("a", "an object")) == "a: expected an object, got null"
    )


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ([], "", "body: expected an object, got a list"),
        (None, "", "body: expected an object, got null"),
        (SECRET, "messages[0]", "messages[0]: expected an object, got a string"),
    ],
)
def test_what_is_no_object_is_refused(value: Any, path: str, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        Fields(value, path)

    assert str(refused.value) == message


def test_a_wrong_value_can_be_named_by_a_codec_too() -> None:
    assert str(wrong("a.b", "red or blue", SECRET)) == "a.b: expected red or blue, got a string"
    assert shown(None) == "null"
    assert shown(12) == "12"


NATURAL = ("role", "content", "name")


def taken(wire: dict[str, Any], **kept: Any) -> tuple[dict[str, Any], tuple[Opaque, ...]]:
    """Take the natural keys as a codec does, and keep what is left."""
    fields = Fields(wire, "")
    out = {key: value for key in NATURAL if (value := fields.any(key)) is not None}
    return out, fields.kept("d", "message", NATURAL, **kept)


def test_a_natural_object_keeps_nothing() -> None:
    """No opaque data where there is nothing to remember, even when keys are absent."""
    assert taken({"role": "user", "name": "n"}) == ({"role": "user", "name": "n"}, ())


def test_unknown_keys_nulls_and_order_come_back_as_they_were() -> None:
    wire = {"x_new": {"deep": [None]}, "name": None, "content": "c", "role": "user"}
    out, opaque = taken(wire)

    assert opaque[0].data["rest"] == {"x_new": {"deep": [None]}, "name": None}
    assert list(restore(out, opaque, "d", "message").items()) == list(wire.items())


def test_an_order_of_its_own_comes_back_without_any_rest() -> None:
    wire = {"content": "c", "role": "user"}
    out, opaque = taken(wire)

    assert opaque == (Opaque("d", "message", {"keys": ["content", "role"]}),)
    assert list(restore(out, opaque, "d", "message")) == ["content", "role"]


def test_any_object_comes_back_with_its_order(rng: Random) -> None:
    for _ in range(300):
        keys = rng.sample((*NATURAL, "x", "y", "z"), rng.randint(0, 6))
        wire = {key: json_value(rng) for key in keys}
        out, opaque = taken(wire)

        assert list(restore(out, opaque, "d", "message").items()) == list(wire.items())


def test_a_canonical_value_wins_over_a_kept_one() -> None:
    """Somebody changed the message after it was parsed: what they said stands."""
    opaque = (Opaque("d", "message", {"rest": {"name": None, "x": 1}, "keys": ["x", "name"]}),)

    assert restore({"name": "new"}, opaque, "d", "message") == {"x": 1, "name": "new"}


def test_a_key_that_the_kept_order_does_not_know_stands_last() -> None:
    opaque = (Opaque("d", "message", {"keys": ["b", "gone", "a"]}),)

    out = restore({"new": 0, "a": 1, "b": 2}, opaque, "d", "message")

    assert list(out.items()) == [("b", 2), ("a", 1), ("new", 0)]


@pytest.mark.parametrize(
    "opaque",
    [
        (),
        (Opaque("other", "message", {"rest": {"x": 1}}),),
        (Opaque("d", "tool", {"rest": {"x": 1}}),),
    ],
)
def test_only_the_same_dialect_and_kind_is_restored(opaque: tuple[Opaque, ...]) -> None:
    out = {"a": 1}

    assert restore(out, opaque, "d", "message") is out


def test_notes_are_kept_beside_the_rest_and_found_again() -> None:
    _, opaque = taken({"role": "user"}, notes={"content": "list"}, origin="o")

    assert opaque == (Opaque("d", "message", {"content": "list"}, "o"),)
    assert note(opaque, "d", "message", "content") == "list"
    assert note(opaque, "d", "message", "other") is None
    assert note((), "d", "message", "content") is None
    assert restore({"role": "user"}, opaque, "d", "message") == {"role": "user"}, "a note is no key"


@pytest.mark.parametrize(
    ("path", "where"), [("", "x"), ("messages[0].parts[1]", "messages[0].parts[1].x")]
)
def test_every_key_of_another_dialect_is_a_loss(path: str, where: str) -> None:
    losses: list[Loss] = []
    opaque = (
        Opaque("b", "message", {"rest": {"x": 0, "silent": None, "empty": []}, "keys": ["x"]}),
        Opaque("a", "message", {"rest": {"own": 1}}),
        Opaque("b", "signature", {"rest": {"signature": "s"}}),
        Opaque("b", "spelling", {"content": "list"}),
    )

    report_foreign(opaque, "a", path, losses, skip=frozenset({"signature"}))

    assert [(loss.path, loss.action) for loss in losses] == [(where, "dropped")]
    assert str(losses[0]) == f"{where}: dropped: only b says this; a has no such field"


def test_the_whole_cycle_keeps_one_object_per_dialect() -> None:
    """Two dialects may annotate one value, and each finds its own."""
    opaque = tuple(Opaque(owner, "message", {"rest": {owner: 1}}) for owner in ("a", "b"))

    assert restore({}, opaque, "b", "message") == {"b": 1}
    assert restore({}, opaque, "a", "message") == {"a": 1}
