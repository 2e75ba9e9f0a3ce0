"""Canonical values as trees: their leaves by path, their differences, and the same without opaque data.

Paths are those of ``Loss.path``: ``messages[1].parts[0].cache``, and for a key that a dialect keeps for
itself the key where its object stood, without the box that it is kept in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from itertools import zip_longest
from typing import Any

from lmtools.codecs.base import Loss
from lmtools.errors import ProtocolError
from lmtools.types import Opaque, OpaquePart, ToolCallPart
from lmtools.types.json import loads

from .trees import Path, shown

#: Fields that hold one dialect's own data.
OPAQUE_FIELDS = frozenset({"opaque", "wire"})

_MESSAGE = re.compile(r"|message|messages\[\d+\]")
_BOX = re.compile(r"\.?\b(?:opaque|wire)\[\d+\]\.data(?:\.rest)?|\.content\.data(?:\.rest)?")


def _steps(value: Any) -> Iterator[tuple[str | int, Any]]:
    if is_dataclass(value):
        for field in fields(value):
            yield field.name, getattr(value, field.name)
    elif isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, (tuple, list)):
        yield from enumerate(value)


def leaves(value: Any, path: Path = (), *, opaque: bool = True) -> Iterator[tuple[Path, Any]]:
    """Yield (path, value) of every leaf: text, number, boolean; None and empty collections are nothing."""
    if value is None or (isinstance(value, Opaque) and not opaque):
        return
    if not is_dataclass(value) and not isinstance(value, (dict, tuple, list)):
        yield path, value
        return
    for step, child in _steps(value):
        yield from leaves(child, (*path, step), opaque=opaque)


def differences(one: Any, other: Any, path: str = "", *, opaque: bool = False) -> Iterator[str]:
    """Yield the paths of the leaves in which two canonical values differ.

    What only one of them has counts with all its leaves. The kept order of keys is no content.
    """
    if is_dataclass(one) and one.__class__ is other.__class__:
        for field in fields(one):
            if opaque or field.name not in OPAQUE_FIELDS:
                mine, theirs = getattr(one, field.name), getattr(other, field.name)
                yield from differences(mine, theirs, f"{path}.{field.name}", opaque=opaque)
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in one | other:
            if not path.endswith("].data") or key != "keys":
                yield from differences(one.get(key), other.get(key), f"{path}.{key}", opaque=opaque)
    elif isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        for i, (mine, theirs) in enumerate(zip_longest(one, other)):
            yield from differences(mine, theirs, f"{path}[{i}]", opaque=opaque)
    elif one != other or isinstance(one, bool) != isinstance(other, bool):
        yield from _leaf_paths((one, other), path.removeprefix("."), opaque)


def _leaf_paths(values: Iterable[Any], path: str, opaque: bool) -> Iterator[str]:
    for value in values:
        for steps, _ in leaves(value, opaque=opaque):
            below = shown(steps) if steps else ""
            if not below.startswith("data.keys"):
                yield path + ("." if path and below and not below.startswith("[") else "") + below


def bare(value: Any) -> Any:
    """Return the value with every opaque field emptied, at every depth; whole opaque parts stay."""
    if isinstance(value, OpaquePart):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        kept = {
            field.name: () if field.name in OPAQUE_FIELDS else bare(getattr(value, field.name))
            for field in fields(value)
        }
        return replace(value, **kept)
    if isinstance(value, tuple):
        return tuple(bare(item) for item in value)
    return value


def normal(value: Any) -> Any:
    """Return the value without the exact argument text of calls where it says no more than the input.

    Only some wires carry arguments as text, so one that carries JSON cannot say how it was spelt.
    """
    if isinstance(value, ToolCallPart):
        return replace(value, text=None) if _says_input(value) else value
    if is_dataclass(value) and not isinstance(value, (type, Opaque)):
        return replace(value, **{f.name: normal(getattr(value, f.name)) for f in fields(value)})
    return tuple(normal(item) for item in value) if isinstance(value, tuple) else value


def _says_input(call: ToolCallPart) -> bool:
    try:
        return bool(loads(call.text or "{}") == call.input)
    except ProtocolError:
        return bool(call.text == call.input)


def changed(value: Any, path: Path, new: Any) -> Any:
    """Return the canonical value with ``new`` at ``path`` (fields, tuples and JSON alike)."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(step, str) and is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{step: changed(getattr(value, step), rest, new)})
    copy: Any = list(value) if isinstance(value, tuple) else value.copy()
    copy[step] = changed(value[step], rest, new)
    return tuple(copy) if isinstance(value, tuple) else copy


def squeezed(path: str) -> str:
    """Return the path of a kept key as its loss names it: without the box it is kept in."""
    return _BOX.sub("", path).removeprefix(".")


def covered(path: str, losses: Iterable[Loss]) -> bool:
    """Tell whether a loss names ``path`` or something that it is a part of."""
    squeezed_path = squeezed(path)
    return any(_leads_to(loss.path, squeezed_path) for loss in losses)


def excused(path: str, losses: Iterable[Loss]) -> bool:
    """Tell whether what stands at ``path`` may differ on account of a loss.

    A field that is emulated or substituted is said by the fields beside it (``is_error`` by a prefix
    of the content): such a loss excuses the whole value that the field belongs to, a message aside.
    """
    squeezed_path = squeezed(path)
    return any(_leads_to(_reach(loss), squeezed_path) for loss in losses)


def _reach(loss: Loss) -> str:
    owner, _, field = loss.path.rpartition(".")
    spread = loss.action in ("emulated", "substituted") and not field.endswith("]")
    return owner if spread and not _MESSAGE.fullmatch(owner) else loss.path


def _leads_to(prefix: str, path: str) -> bool:
    return path == prefix or (path.startswith(prefix) and path[len(prefix)] in ".[")
