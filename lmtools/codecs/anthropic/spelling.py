"""The dialect's name, what its parsers share, and how spelling is kept.

Notes stand beside ``rest`` and ``keys`` in the ``data`` of an Opaque of this dialect:

``content``  "list": one plain text block came as a list, where the codec writes a string
``empty``    keys that held an empty list or object, with that value
``absent``   keys that an answer lacked, although the codec always writes them
``type``     the type word, where the canonical value has no natural one
``inline``   a system message that stood first in ``messages``, not in ``system``
"""

from __future__ import annotations

from dataclasses import dataclass

from ...types import CacheMark, Json, JsonObject, Opaque, find_opaque
from ..base import Losses
from ..fields import Fields, report_foreign, restore, wrong
from ..names import ToolKey, WireNames

NAME = "anthropic"

#: Kinds of thinking state. They hold no ``rest``: who drops them says so for the whole part.
SIGNATURE = "signature"
REDACTED = "redacted"

_CACHE_KEYS = ("type", "ttl")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a parser knows beside the wire: whose state this is, and which tools take free text.

    ``origin`` marks thinking state; ``names`` tells a tool's own name from its name on this wire;
    ``custom`` holds the offered custom tools. An ``answer`` may lack call ids: they are made.
    """

    origin: str | None = None
    names: WireNames = WireNames()
    custom: frozenset[ToolKey] = frozenset()
    answer: bool = False


REQUEST = Reading()


def data_of(opaque: tuple[Opaque, ...], kind: str) -> JsonObject:
    """Return what this dialect kept under ``kind``; empty when nothing."""
    if not opaque:
        return {}
    return find_opaque(opaque, NAME, kind) or {}


def kept_key(opaque: tuple[Opaque, ...], kind: str, key: str) -> bool:
    """Tell whether the wire's own value of ``key`` was left in the rest."""
    return key in data_of(opaque, kind).get("rest", {})


def take_empty(fields: Fields, kinds: dict[str, type]) -> JsonObject:
    """Take away the keys that hold an empty value of their kind; return them with it."""
    empty = {key: fields.rest[key] for key, kind in kinds.items() if fields.rest.get(key) == kind()}
    for key in empty:
        del fields.rest[key]
    return empty


def put(out: JsonObject, key: str, value: Json, empty: JsonObject) -> None:
    """Set ``key`` to a value that is not empty, or to the empty one that came."""
    if value:
        out[key] = value
    elif key in empty:
        out[key] = empty[key]


def count(fields: Fields, key: str) -> int | None:
    """Take a number of tokens."""
    value = fields.integer(key)
    if value is not None and value < 0:
        raise wrong(fields.at(key), "a count", value)
    return value


def parse_cache(fields: Fields) -> CacheMark | None:
    value = fields.object("cache_control")
    if value is None:
        return None
    mark = Fields(value, fields.at("cache_control"))
    if mark.rest.get("type") == "ephemeral":
        del mark.rest["type"]
    ttl = mark.text("ttl")
    return CacheMark(ttl, mark.kept(NAME, "cache_control", _CACHE_KEYS))


def render_cache(mark: CacheMark, path: str, losses: Losses) -> JsonObject:
    out: JsonObject = {}
    if not kept_key(mark.opaque, "cache_control", "type"):
        out["type"] = "ephemeral"
    if mark.ttl is not None:
        out["ttl"] = mark.ttl
    report_foreign(mark.opaque, NAME, path, losses)
    return restore(out, mark.opaque, NAME, "cache_control")
