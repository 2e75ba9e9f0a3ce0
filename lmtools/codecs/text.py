"""JSON text, with a decoder and an encoder that are made once.

``json.loads`` looks for an encoding and ``json.dumps`` builds an encoder at each call with other
separators; both cost more than the work itself on the small objects of a stream.
"""

from __future__ import annotations

import json

from ..errors import ProtocolError
from ..types import Json


def _refuse_constant(word: str) -> Json:
    raise ValueError(f"JSON has no {word}")


_scan = json.JSONDecoder(strict=False, parse_constant=_refuse_constant).scan_once  # type: ignore[attr-defined]
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_escaped = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode
_whitespace = " \t\n\r"


def dumps(value: Json) -> str:
    """Return compact JSON text that UTF-8 can carry, in the order of the keys as they stand."""
    text = _encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate came in as an escape (\ud800) and must leave as one.
        return _escaped(value)
    return text


def loads(text: str) -> Json:
    """Return the value of one JSON text; ProtocolError says where it is not JSON.

    NaN and infinities, which the standard library's parser lets in, are refused.
    """
    text = text.strip(_whitespace)
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ProtocolError(f"not JSON at character {stop.value}") from None
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"not JSON: {error}") from None
    if end != len(text):
        raise ProtocolError(f"not JSON: something follows the value at character {end}")
    return value
