"""Type checks that constructors share.

Each looks at one field of a frozen value and raises TypeError or ValueError that names the class
and the field. Lists become tuples and integral floats become ints where the field says so; bool is
never a number.
"""

from __future__ import annotations

from collections.abc import Collection
from math import isfinite
from typing import Any

_set = object.__setattr__


def _wrong(value: Any, name: str, wanted: str) -> TypeError:
    got = getattr(value, name)
    shown = "None" if got is None else type(got).__name__
    return TypeError(f"{type(value).__name__}.{name}: expected {wanted}, got {shown}")


def text(value: Any, name: str) -> None:
    if not isinstance(getattr(value, name), str):
        raise _wrong(value, name, "a string")


def maybe_text(value: Any, name: str) -> None:
    held = getattr(value, name)
    if held is not None and not isinstance(held, str):
        raise _wrong(value, name, "a string or None")


def maybe_bool(value: Any, name: str) -> None:
    held = getattr(value, name)
    if held is not None and not isinstance(held, bool):
        raise _wrong(value, name, "a bool or None")


def maybe_int(value: Any, name: str, minimum: int | None = None) -> None:
    held = getattr(value, name)
    if held is None:
        return
    if held.__class__ is float and held.is_integer():
        held = int(held)
        _set(value, name, held)
    if held.__class__ is not int:
        raise _wrong(value, name, "an integer or None")
    if minimum is not None and held < minimum:
        raise ValueError(f"{type(value).__name__}.{name}: {held} is below {minimum}")


def maybe_number(value: Any, name: str) -> None:
    if getattr(value, name) is not None:
        number(value, name)


def number(value: Any, name: str) -> None:
    held = getattr(value, name)
    if held.__class__ not in (int, float):
        raise _wrong(value, name, "a number")
    if not isfinite(held):
        raise ValueError(f"{type(value).__name__}.{name}: {held} is not finite")


def json_object(value: Any, name: str) -> None:
    if not isinstance(getattr(value, name), dict):
        raise _wrong(value, name, "a JSON object (dict)")


def maybe_json_object(value: Any, name: str) -> None:
    if getattr(value, name) is not None:
        json_object(value, name)


def maybe_word(value: Any, name: str, words: Collection[str]) -> None:
    """Check that a field is None or one of a closed list of words."""
    if getattr(value, name) is not None:
        word(value, name, words)


def word(value: Any, name: str, words: Collection[str]) -> None:
    """Check that a field is one of a closed list of words."""
    text(value, name)
    held = getattr(value, name)
    if held not in words:
        listed = ", ".join(sorted(words))
        raise ValueError(f"{type(value).__name__}.{name}: {held!r:.60} is none of {listed}")


def one(value: Any, name: str, cls: type | tuple[type, ...]) -> None:
    if not isinstance(getattr(value, name), cls):
        raise _wrong(value, name, _names(cls))


def maybe_value(value: Any, name: str, cls: type | tuple[type, ...]) -> None:
    if getattr(value, name) is not None:
        one(value, name, cls)


def values(value: Any, name: str, cls: type | tuple[type, ...]) -> None:
    """Check that a field is a sequence of ``cls``; store it as a tuple, coercing a bare value."""
    held = getattr(value, name)
    if held.__class__ is not tuple:
        held = _as_tuple(value, name, cls)
        _set(value, name, held)
    for i, item in enumerate(held):
        if not isinstance(item, cls):
            where = f"{type(value).__name__}.{name}[{i}]"
            raise TypeError(f"{where}: expected {_names(cls)}, got {type(item).__name__}")


def _as_tuple(value: Any, name: str, cls: type | tuple[type, ...]) -> tuple[Any, ...]:
    held = getattr(value, name)
    if isinstance(held, cls):
        return (held,)
    if not isinstance(held, list):
        raise _wrong(value, name, f"a sequence of {_names(cls)}")
    return tuple(held)


def _names(cls: type | tuple[type, ...]) -> str:
    return " or ".join(c.__name__ for c in cls) if isinstance(cls, tuple) else cls.__name__
