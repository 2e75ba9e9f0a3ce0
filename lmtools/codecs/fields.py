"""Taking keys away from a wire object, and putting back what nobody took.

A parser takes the keys that it understands; what is left is the dialect's own, and is kept as an
``Opaque`` beside the canonical value. There is no list of known fields to maintain, and a key that
appears in the API tomorrow passes through today::

    fields = Fields(body, "messages[0]")
    role = fields.required_text("role")
    ...
    opaque = fields.kept("anthropic", "message", ("role", "content"))

The data of such an ``Opaque`` is ``{"rest": {...}, "keys": [...]}`` with spelling notes of the
codec beside them. ``keys`` is the order of the wire object and stands there only when it differs
from the codec's own order. An explicit null is never taken: it stays in the rest, since None means
absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import contains
from typing import Any

from ..errors import RequestError
from ..types import Json, JsonObject, Opaque, find_opaque
from .base import Loss, Losses
from .seal import STATE_KINDS

_NAMES = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def shown(value: Json) -> str:
    """Return how an error names a wrong value: its kind, or the number itself; never content."""
    return _NAMES.get(value.__class__) or f"{value!r:.40}"


def wrong(path: str, wanted: str, value: Json) -> RequestError:
    return RequestError(f"expected {wanted}, got {shown(value)}", path=path)


class Fields:
    """One wire object whose keys are taken away, each with its type check. Errors name the path."""

    __slots__ = ("_keys", "path", "rest")

    def __init__(self, value: Json, path: str) -> None:
        if value.__class__ is not dict:
            raise wrong(path or "body", "an object", value)
        self.path = path
        self.rest: JsonObject = dict(value)
        self._keys = tuple(value)

    def at(self, key: str) -> str:
        """Return the path of ``key`` in this object."""
        return f"{self.path}.{key}" if self.path else key

    def _typed(self, key: str, kinds: tuple[type, ...], wanted: str) -> Any:
        value = self.rest.get(key)
        if value is None:
            return None
        if value.__class__ not in kinds:
            raise wrong(self.at(key), wanted, value)
        del self.rest[key]
        return value

    def text(self, key: str) -> str | None:
        return self._typed(key, (str,), "a string")  # type: ignore[no-any-return]

    def integer(self, key: str) -> int | None:
        value = self.rest.get(key)
        if value.__class__ is float and value.is_integer():
            # 1.0 for 1 is legal JSON for an integer field; the spelling is not kept.
            del self.rest[key]
            return int(value)
        return self._typed(key, (int,), "an integer")  # type: ignore[no-any-return]

    def number(self, key: str) -> float | None:
        return self._typed(key, (int, float), "a number")  # type: ignore[no-any-return]

    def boolean(self, key: str) -> bool | None:
        return self._typed(key, (bool,), "a boolean")  # type: ignore[no-any-return]

    def object(self, key: str) -> JsonObject | None:
        return self._typed(key, (dict,), "an object")  # type: ignore[no-any-return]

    def array(self, key: str) -> list[Json] | None:
        return self._typed(key, (list,), "a list")  # type: ignore[no-any-return]

    def any(self, key: str) -> Json:
        """Take whatever is there; None when it is absent or null."""
        value = self.rest.get(key)
        if value is not None:
            del self.rest[key]
        return value

    def required_text(self, key: str) -> str:
        value = self.text(key)
        if value is None:
            raise self.missing(key, "a string")
        return value

    def missing(self, key: str, wanted: str) -> RequestError:
        said = "null" if key in self.rest else "nothing"
        return RequestError(f"expected {wanted}, got {said}", path=self.at(key))

    def kept(
        self,
        dialect: str,
        kind: str,
        natural: tuple[str, ...],
        notes: JsonObject | None = None,
        origin: str | None = None,
    ) -> tuple[Opaque, ...]:
        """Return what nobody took, as nothing or one Opaque.

        ``natural`` is the key order that the codec itself renders; ``notes`` are spellings.
        """
        data: JsonObject = dict(notes) if notes else {}
        if self.rest:
            data["rest"] = self.rest
            data["keys"] = list(self._keys)
        elif not _in_order(self._keys, natural):
            data["keys"] = list(self._keys)
        return (Opaque(dialect, kind, data, origin),) if data else ()


def _in_order(keys: tuple[str, ...], natural: tuple[str, ...]) -> bool:
    """Tell whether ``keys`` appear in ``natural`` in the same order (gaps allowed)."""
    # Looking into an iterator takes what stands before the key out of it.
    place: Any = iter(natural)
    return all(map(contains, repeat(place), keys))


def restore(out: JsonObject, opaque: tuple[Opaque, ...], dialect: str, kind: str) -> JsonObject:
    """Return ``out`` with what ``Fields.kept`` kept for that kind, in the order of the wire.

    A canonical value wins over a kept key of the same name. Keys that the kept order does not
    know stand last.
    """
    data = find_opaque(opaque, dialect, kind)
    if data is None:
        return out
    for key, value in data.get("rest", {}).items():
        out.setdefault(key, value)
    keys = data.get("keys")
    if not keys:
        return out
    ordered = {key: out[key] for key in keys if key in out}
    for key, value in out.items():
        ordered.setdefault(key, value)
    return ordered


def note(opaque: tuple[Opaque, ...], dialect: str, kind: str, name: str) -> Json:
    """Return a spelling note that ``kept`` was given, or None."""
    data = find_opaque(opaque, dialect, kind)
    return None if data is None else data.get(name)


#: Headers that say how one wire is spoken, and nothing of what is asked: never a loss.
_PROTOCOL_HEADERS = frozenset({"anthropic-version", "anthropic-dangerous-direct-browser-access"})


def report_headers(opaque: Iterable[Opaque], dialect: str, losses: Losses) -> None:
    """Record a loss for every header of a request that another dialect owns."""
    for item in opaque:
        if item.kind == "headers" and item.dialect != dialect:
            losses += [
                Loss(f"headers.{name}", "dropped", f"a header of {item.dialect}")
                for name in item.data
                if name not in _PROTOCOL_HEADERS
            ]


def held_keys(data: JsonObject) -> Iterator[str]:
    """Yield the keys of a frame that only its dialect knows, each as often as it stands there.

    They are those of ``rest``, and of the objects that are kept under other names (``choice``,
    ``delta``, ``chunks``); notes on spelling are no objects. Nulls and empty lists say nothing, and
    reasoning state goes with its part, or that loses it.
    """
    for held in data.values():
        for each in held if isinstance(held, list) else (held,):
            if isinstance(each, dict):
                for key, said in each.items():
                    if said is not None and said != [] and key not in STATE_KINDS:
                        yield key


def report_foreign(
    opaque: Iterable[Opaque],
    dialect: str,
    path: str,
    losses: Losses,
    skip: frozenset[str] = frozenset(),
) -> None:
    """Record a loss for every key that another dialect owns.

    Nulls and empty lists say nothing: OpenAI's SDK hands messages back with ``annotations: []``.

    ``skip`` names kinds that the caller accounts for itself (signatures, sealed carriers).
    """
    for item in opaque:
        if item.dialect == dialect or item.kind in skip:
            continue
        for key, value in item.data.get("rest", {}).items():
            if value is not None and value != []:
                where = f"{path}.{key}" if path else key
                losses.append(
                    Loss(
                        where,
                        "dropped",
                        f"only {item.dialect} says this; {dialect} has no such field",
                    )
                )
