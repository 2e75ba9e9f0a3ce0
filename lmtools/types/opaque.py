"""What one dialect says and no other understands, kept beside the value that it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

from .check import json_object, maybe_text, text
from .json import JsonObject
from .value import value_class

_USUAL = (str, str, dict, None)


@value_class(frozen=True, slots=True)
class Opaque:
    """Data that only ``dialect``'s codec may read or write.

    It holds only what no canonical field says: keys without a canonical meaning, explicit nulls,
    spelling. ``kind`` names the wire object it was taken from, or the state that it is (an
    Anthropic thinking signature, a sealed carrier).

    ``origin`` is set on state that belongs to one provider and credential (signatures, encrypted
    reasoning). Such data goes back byte for byte to an equal origin, and to nobody else.
    """

    dialect: str
    kind: str
    data: JsonObject
    origin: str | None = None

    def __post_init__(self) -> None:
        said = (self.dialect.__class__, self.kind.__class__, self.data.__class__, self.origin)
        if said == _USUAL:
            # As codecs make them, hundreds for one request.
            return
        text(self, "dialect")
        text(self, "kind")
        json_object(self, "data")
        maybe_text(self, "origin")

    def __repr__(self) -> str:
        origin = f", origin={self.origin!r}" if self.origin else ""
        return f"Opaque({self.dialect!r}, {self.kind!r}, <{len(self.data)} keys>{origin})"


def find_opaque(opaque: tuple[Opaque, ...], dialect: str, kind: str) -> JsonObject | None:
    """Return the data of the first value of that dialect and kind, or None."""
    for item in opaque:
        if item.kind == kind and item.dialect == dialect:
            return item.data
    return None


def merge_opaque(groups: Iterable[tuple[Opaque, ...]]) -> tuple[Opaque, ...]:
    """Return the opaque data of one value from what came for it in pieces, in that order.

    Pieces of the same dialect, kind and origin become one: an object inside the data (``rest``)
    takes the later keys, the list ``keys`` the names that it lacks, and of any other entry the
    later value stands, as Anthropic's SDK does with signatures. Nothing that came is changed.
    """
    first, *later = [group for group in groups if group] or [()]
    if not later:
        return first
    pieces = [[item] for item in first]
    owned: dict[tuple[str, str, str | None], list[Opaque]] = {}
    for piece in pieces:
        owned.setdefault(_owner(piece[0]), piece)
    for item in chain.from_iterable(later):
        owner = _owner(item)
        if owner not in owned:
            owned[owner] = []
            pieces.append(owned[owner])
        owned[owner].append(item)
    return tuple(_folded(piece) for piece in pieces)


def _owner(item: Opaque) -> tuple[str, str, str | None]:
    return item.dialect, item.kind, item.origin


def _folded(pieces: list[Opaque]) -> Opaque:
    if len(pieces) == 1:
        return pieces[0]
    data: JsonObject = {}
    keys: dict[Any, None] = {}
    for name, value in chain.from_iterable(item.data.items() for item in pieces):
        if name == "keys" and isinstance(value, list):
            keys.update(dict.fromkeys(value))
            data[name] = None
        elif isinstance(value, dict) and isinstance(data.get(name), dict):
            data[name].update(value)
        else:
            data[name] = dict(value) if isinstance(value, dict) else value
    if keys:
        data["keys"] = list(keys)
    return Opaque(pieces[0].dialect, pieces[0].kind, data, pieces[0].origin)


def opaque_field(value: Any, name: str = "opaque") -> None:
    """Check that a field is a tuple of Opaque, coercing a list or a single value."""
    held = getattr(value, name)
    if held.__class__ is tuple and not held:
        return
    items = (held,) if isinstance(held, Opaque) else tuple(held)
    for item in items:
        if not isinstance(item, Opaque):
            raise TypeError(
                f"{type(value).__name__}.{name}: expected Opaque values, got {type(item).__name__}"
            )
    if items is not held:
        object.__setattr__(value, name, items)
