"""What one dialect says and no other understands, kept beside the value that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .check import json_object, maybe_text, text
from .json import JsonObject


@dataclass(frozen=True, slots=True)
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
