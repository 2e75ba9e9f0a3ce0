"""Reasoning state of one dialect, sealed to travel through a client of another.

``lmt1.`` + base64url of the canonical JSON ``{"data", "dialect", "kind", "origin"}``. The client
stores it where its dialect keeps state of the model and hands it back; ``open`` gives the same
``Opaque`` again. A seal hides nothing and proves nothing: what comes back is a client's data. So
only kinds of reasoning state open, only with an origin, and never with the names under which
codecs keep wire keys (``rest``, ``keys``); whose codec reads the state checks its values.

Thinking that did not stand first in its answer has a further key ``at``, its ``Place``, for clients
whose dialect says all reasoning apart from the text and the calls that it stood between.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from ..errors import ProtocolError
from ..types import JsonObject, Opaque
from .places import FIRST, Place
from .text import loads

PREFIX = "lmt1."
#: Characters of a sealed text. Signatures have kilobytes; a client's forgery may have anything.
MAX_SEALED = 1 << 20

#: What may travel: state that a model's provider wants back, by the names that codecs give it.
STATE_KINDS = frozenset({"signature", "redacted", "reasoning_details", "extra_content"})
_KEYS = {"data", "dialect", "kind", "origin"}
_NEVER = frozenset({"rest", "keys"})
_ENCODER = json.JSONEncoder(
    ensure_ascii=True, allow_nan=False, sort_keys=True, separators=(",", ":")
)


def is_state(item: Opaque) -> bool:
    """Tell whether a value is reasoning state with an owner, which may be sealed."""
    return item.origin is not None and item.kind in STATE_KINDS and not _NEVER & item.data.keys()


def seal(state: Opaque, place: Place = FIRST) -> str:
    """Return the sealed text: the same bytes for the same state, whatever its order of keys."""
    held: JsonObject = {
        "data": state.data,
        "dialect": state.dialect,
        "kind": state.kind,
        "origin": state.origin,
    }
    if place != FIRST:
        held["at"] = list(place)
    return PREFIX + urlsafe_b64encode(_ENCODER.encode(held).encode()).decode().rstrip("=")


def open(text: Any) -> Opaque | None:
    """Return what was sealed, or None for anything that ``seal`` does not write."""
    found = open_placed(text)
    return None if found is None else found[0]


def open_placed(text: Any) -> tuple[Opaque, Place] | None:
    """Return what was sealed and where it stood, or None as ``open`` does."""
    if not isinstance(text, str) or not text.startswith(PREFIX) or len(text) > MAX_SEALED:
        return None
    body = text[len(PREFIX) :]
    try:
        held = loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode())
    except (ValueError, ProtocolError, RecursionError):
        return None
    if not isinstance(held, dict):
        return None
    place = _read_place(held.pop("at", list(FIRST)))
    state = _read_state(held)
    if state is None or place is None:
        return None
    # One state has one sealed text: bytes that decode to it in another way are not ours.
    return (state, place) if _same(state, place, text) else None


def _read_state(held: JsonObject) -> Opaque | None:
    if held.keys() != _KEYS:
        return None
    dialect, kind, origin, data = (held[key] for key in ("dialect", "kind", "origin", "data"))
    if not all(isinstance(word, str) and word for word in (dialect, kind, origin)):
        return None
    if not isinstance(data, dict):
        return None
    state = Opaque(dialect, kind, data, origin)
    return state if is_state(state) else None


def _read_place(at: Any) -> Place | None:
    if not isinstance(at, list) or len(at) != 2:
        return None
    if any(count.__class__ is not int or count < 0 for count in at):
        return None
    return Place(*at)


def _same(state: Opaque, place: Place, text: str) -> bool:
    try:
        return seal(state, place) == text
    except (ValueError, RecursionError):
        return False
