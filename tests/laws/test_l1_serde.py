"""L1: canonical JSON gives back every canonical value, and its bytes never vary."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from lmtools.serde import (
    event_from_json,
    from_bytes,
    from_json,
    part_from_json,
    to_bytes,
    to_json,
    tool_from_json,
)
from lmtools.types import EVENT_CLASSES, PART_CLASSES, TOOL_CLASSES
from lmtools.types.json import dumps, loads
from tests.generators import Values

ROUNDS = 150
WHOLE = ("request", "response", "model", "usage", "message", "mark", "reasoning", "output")
NESTED = ("tool_choice", "tool_ref", "logprob", "one_opaque")


@pytest.mark.parametrize("name", WHOLE + NESTED)
def test_a_value_read_back_is_the_same_value(name: str) -> None:
    values = Values(Random(name))
    for _ in range(ROUNDS):
        value = getattr(values, name)()

        assert from_json(type(value), to_json(value)) == value
        assert from_bytes(type(value), to_bytes(value)) == value


def any_event(values: Values) -> Any:
    rng = values.rng
    makers = [
        values.start,
        values.end,
        values.error,
        *[lambda: values.delta(rng.randint(0, 3))] * 9,
    ]
    return rng.choice(makers)()


UNIONS: dict[str, tuple[Any, Any, tuple[type, ...]]] = {
    "part": (lambda values: values.part(), part_from_json, PART_CLASSES),
    "tool": (lambda values: values.tool(), tool_from_json, TOOL_CLASSES),
    "event": (any_event, event_from_json, EVENT_CLASSES),
}


@pytest.mark.parametrize("union", UNIONS)
def test_every_class_of_a_union_is_read_back_by_its_type_tag(union: str) -> None:
    make, read, classes = UNIONS[union]
    values = Values(Random(union))
    made = [make(values) for _ in range(ROUNDS * 4)]

    assert {type(value) for value in made} == set(classes)
    for value in made:
        assert read(loads(dumps(to_json(value)))) == value


@pytest.mark.parametrize("name", WHOLE + NESTED)
def test_equal_values_have_equal_bytes(name: str) -> None:
    """A value that was read has the bytes that it was read from."""
    values = Values(Random(name))
    for _ in range(ROUNDS):
        value = getattr(values, name)()
        data = to_bytes(value)

        assert to_bytes(from_bytes(type(value), data)) == data
