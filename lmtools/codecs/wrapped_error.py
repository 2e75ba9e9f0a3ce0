"""Errors that a gateway wrapped into the text of its own.

Gateways written in Python on the vendors' SDKs pass on the SDK's exception as text, as Argo does on
both wires: ``Error code: 400 - {'error': {'message': ..., 'code': ...}, 'request_id': ...}``. The
status and the Python literal behind it are the real error.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from ..types import Json

_WRAPPED = re.compile(r"^(?:[\w.]+: )?Error code: (\d{3}) - (\{.*\})\s*$", re.S)
_LONGEST = 20_000
_DEEPEST = 20
_ID_KEYS = ("request_id", "requestId", "x-request-id")


@dataclass(frozen=True, slots=True)
class WrappedError:
    """What stood in the text. ``type`` and ``code`` are the inner provider's own words."""

    status: int
    message: str
    type: str | None = None
    code: str | None = None
    param: str | None = None
    request_id: str | None = None


def unwrap(text: str) -> WrappedError | None:
    """Return the error inside a text, None when there is none that can be read safely."""
    found = _WRAPPED.match(text[: _LONGEST + 1])
    if found is None or len(text) > _LONGEST or _depth(found[2]) > _DEEPEST:
        return None
    try:
        outer = ast.literal_eval(found[2])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    inner = outer.get("error") if isinstance(outer, dict) else None
    inner = inner if isinstance(inner, dict) else outer
    message = inner.get("message") if isinstance(inner, dict) else None
    if not isinstance(message, str) or not message:
        return None
    nested = unwrap(message)
    if nested is not None:
        return nested
    return WrappedError(
        int(found[1]),
        message,
        _text(inner.get("type")),
        _text(inner.get("code")),
        _text(inner.get("param")),
        next((_text(outer.get(key)) for key in _ID_KEYS if _text(outer.get(key))), None),
    )


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None


def _depth(literal: str) -> int:
    """Return how deep the brackets nest, those in strings counted too: literal_eval recurses."""
    depth = deepest = 0
    for character in literal:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest
