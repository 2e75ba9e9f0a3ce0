"""JSON values as trees: walking, replacing one place, and the first difference of two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]


def shown(path: Path) -> str:
    """Return ``messages[0].content`` for ``("messages", 0, "content")``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "(root)"


def objects(value: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield every object of the tree, outer before inner."""
    if isinstance(value, dict):
        yield path, value
        for key, child in value.items():
            yield from objects(child, (*path, key))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from objects(child, (*path, i))


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every string, number, boolean and null of the tree."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, (*path, key))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from leaves(child, (*path, i))
    else:
        yield path, value


def at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """Return the tree with ``new`` at ``path``; what is not on the way is shared."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def first_difference(expected: Any, got: Any, path: Path = ()) -> str | None:
    """Return where and how two JSON values differ first, key order included; None when they are the same.

    ``True`` is not 1, null is not absent; 1 and 1.0 are the same number.
    """
    if isinstance(expected, dict) and isinstance(got, dict):
        return _object_difference(expected, got, path)
    if isinstance(expected, list) and isinstance(got, list):
        for i, (one, other) in enumerate(zip(expected, got, strict=False)):
            found = first_difference(one, other, (*path, i))
            if found:
                return found
        if len(expected) != len(got):
            return f"{shown(path)}: {len(expected)} items became {len(got)}"
        return None
    same = expected == got and isinstance(expected, bool) == isinstance(got, bool)
    return None if same else f"{shown(path)}: {expected!r:.80} became {got!r:.80}"


def _object_difference(expected: dict[str, Any], got: dict[str, Any], path: Path) -> str | None:
    for key, value in expected.items():
        if key not in got:
            return f"{shown((*path, key))}: {value!r:.80} is gone"
        found = first_difference(value, got[key], (*path, key))
        if found:
            return found
    for key, value in got.items():
        if key not in expected:
            return f"{shown((*path, key))}: {value!r:.80} was not there"
    if list(expected) != list(got):
        return f"{shown(path)}: key order {list(expected)} became {list(got)}"
    return None
