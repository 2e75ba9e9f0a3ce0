"""``value_class`` makes what ``dataclass`` makes; only the way into the slots is another."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from inspect import signature
from typing import Any, ClassVar

import pytest

from lmtools.types.value import value_class


@value_class(frozen=True, slots=True)
class Value:
    """A value."""

    name: str
    count: int = 3
    held: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "value"


@dataclass(frozen=True, slots=True)
class Plain:
    """A value."""

    name: str
    count: int = 3
    held: dict[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "value"


@value_class(frozen=True, slots=True, repr=False)
class Checked:
    amount: float

    def __post_init__(self) -> None:
        if self.amount < 0:
            raise ValueError("below 0")
        object.__setattr__(self, "amount", round(self.amount))


ARGUMENTS: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
    (("a",), {}),
    (("a", 4), {}),
    (("a", 4, {"x": 1}), {}),
    ((), {"name": "a", "held": {"x": 1}}),
    (("a",), {"count": None}),
]


@pytest.mark.parametrize(("args", "named"), ARGUMENTS)
def test_it_holds_what_a_dataclass_would_hold(args: Any, named: Any) -> None:
    value, plain = Value(*args, **named), Plain(*args, **named)
    assert asdict(value) == asdict(plain)
    assert repr(value) == repr(plain).replace("Plain", "Value")
    assert value == Value(*args, **named)
    assert value != Value("b")
    assert replace(value, name="b") == Value("b", value.count, value.held)
    assert copy.copy(value) == copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value


@pytest.mark.parametrize(
    ("args", "named"),
    [((), {}), (("a", 1, {}, 2), {}), (("a",), {"name": "b"}), (("a",), {"z": 1})],
)
def test_wrong_arguments_are_a_type_error(args: Any, named: Any) -> None:
    with pytest.raises(TypeError, match=r"Value\.__init__\(\)"):
        Value(*args, **named)


def test_each_value_gets_its_own_default() -> None:
    assert Value("a").held is not Value("a").held


def test_it_is_frozen_and_has_no_other_attributes() -> None:
    value = Value("a")
    with pytest.raises(FrozenInstanceError):
        value.name = "b"
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(value, "other", 1)
    assert not hasattr(value, "__dict__")


def test_it_shows_its_fields_and_parameters() -> None:
    assert [f.name for f in fields(Value)] == ["name", "count", "held"]
    assert Value.__match_args__ == ("name", "count", "held")
    assert list(signature(Value).parameters) == ["name", "count", "held"]
    assert Value.__init__.__annotations__["count"] == "int"


def test_what_a_class_checks_itself_is_checked_after_that() -> None:
    assert Checked(2.4).amount == 2
    assert "amount" not in repr(Checked(1))
    with pytest.raises(ValueError, match="below 0"):
        Checked(-1)
