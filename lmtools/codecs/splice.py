"""The members of a JSON object with their places in the text, and new texts put there.

Whoever forwards a body may have to change one value at its top, the model's name for one. Parsing
and rendering the rest would change its spelling, and with it what a provider's prompt cache knows
it by. So the text stays, and only the places that change are replaced.

The members' values are read by the standard library's scanner, one call each. Skipping them with
regular expressions instead takes more than twice as long (115 KB of a coding agent's request)
and would let broken JSON through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import ProtocolError
from ..types import Json
from ..types.json import scan_strictly

__all__ = ["Edit", "Member", "find", "members", "splice"]


class Member(NamedTuple):
    """A key and its value, with the places of both in characters, the key's with its quotes."""

    key: str
    value: Json
    key_start: int
    key_end: int
    start: int
    end: int


class Edit(NamedTuple):
    """What stands from ``start`` to ``end`` becomes ``text``."""

    start: int
    end: int
    text: str


_SPACE = re.compile(r"[ \t\n\r]*")
_skip = _SPACE.match
_SPACES = " \t\n\r"


def members(text: str, start: int = 0, *, whole: bool = True) -> list[Member]:
    """Return the members of the object that begins at ``start``, duplicates too, in their order.

    ``whole``: nothing but white space may follow it. ProtocolError for anything but an object in
    JSON as RFC 8259 has it.
    """
    try:
        found, end = _members(text, _after_space(text, start))
    except StopIteration as stop:
        raise ProtocolError(f"not JSON at character {stop.value}") from None
    except (ValueError, IndexError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from None
    if whole and _after_space(text, end) != len(text):
        raise ProtocolError(f"not JSON: something follows the object at character {end}")
    return found


def _after_space(text: str, at: int) -> int:
    # Compact JSON, as nearly all clients send it, has none.
    if text[at : at + 1] in _SPACES:
        return _skip(text, at).end()  # type: ignore[union-attr]
    return at


def _members(text: str, at: int) -> tuple[list[Member], int]:
    """Return the members, and where the object ends. IndexError when the text ends before it."""
    found: list[Member] = []
    _expect(text, at, "{")
    at = _after_space(text, at + 1)
    if text[at] == "}":
        return found, at + 1
    while True:
        _expect(text, at, '"')
        key, key_end = scan_strictly(text, at)
        colon = _after_space(text, key_end)
        _expect(text, colon, ":")
        start = _after_space(text, colon + 1)
        value, end = scan_strictly(text, start)
        found.append(Member(key, value, at, key_end, start, end))
        at = _after_space(text, end)
        if text[at] == "}":
            return found, at + 1
        _expect(text, at, ",")
        at = _after_space(text, at + 1)


def _expect(text: str, at: int, character: str) -> None:
    if text[at] != character:
        raise ValueError(f"expected {character!r} at character {at}")


def find(text: str, path: tuple[str, ...]) -> list[Member]:
    """Return the members at a path of keys: several where keys are duplicates, none when absent.

    ProtocolError as for ``members``.
    """
    found = members(text)
    for i, key in enumerate(path):
        here = [member for member in found if member.key == key]
        if i == len(path) - 1:
            return here
        objects = (member for member in here if member.value.__class__ is dict)
        found = [inner for m in objects for inner in members(text, m.start, whole=False)]
    return []


def splice(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with the edits made. Their places must not overlap."""
    parts, done = [], 0
    for edit in sorted(edits):
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join(parts) + text[done:]
