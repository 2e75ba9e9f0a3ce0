"""JSON as Python values, and the one full check that a library user's own JSON goes through.

JSON that our own parser produced is trusted: it is shared by reference and never changed. What a
user constructs is checked once, where it enters (``types.check_request``), not in every constructor.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from ..errors import RequestError

#: Any JSON value: None, bool, int, finite float, str, list of Json, dict of str to Json.
Json = Any
#: A JSON object. Shared by reference; treat it as read-only.
JsonObject = dict[str, Any]

#: Deeper nesting than this is refused: no API needs it, and it would exhaust the C stack of ``json``.
MAX_DEPTH = 200


def check_json(value: Json, path: str) -> None:
    """Raise RequestError, naming the path, unless ``value`` is exactly JSON.

    Tuples, bytes, NaN, infinities, lone surrogates, keys that are not strings and nesting beyond
    ``MAX_DEPTH`` are refused, since each would be changed or refused later, further from its cause.
    """
    stack: list[tuple[Json, str, int]] = [(value, path, 0)]
    while stack:
        item, where, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise RequestError(f"nested deeper than {MAX_DEPTH} levels", path=where)
        kind = item.__class__
        if kind is dict:
            for key, child in item.items():
                if key.__class__ is not str:
                    raise RequestError(f"object keys are strings, got {key!r:.60}", path=where)
                check_text(key, where)
                stack.append((child, f"{where}.{key}" if where else key, depth + 1))
        elif kind is list:
            stack.extend((child, f"{where}[{i}]", depth + 1) for i, child in enumerate(item))
        else:
            _check_scalar(item, where)


def _check_scalar(item: Json, where: str) -> None:
    if item is None or item is True or item is False or item.__class__ is int:
        return
    if item.__class__ is str:
        check_text(item, where)
    elif item.__class__ is float:
        if not isfinite(item):
            raise RequestError(f"JSON has no {item!r}; use null or a finite number", path=where)
    else:
        raise RequestError(f"expected JSON, got {type(item).__name__}", path=where)


def check_text(text: str, where: str) -> None:
    """Raise RequestError when ``text`` holds a lone surrogate: UTF-8 cannot carry it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(f"character {error.start} is a lone surrogate", path=where) from None
