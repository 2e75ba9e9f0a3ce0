"""JSON as Python values and as text, and the one full check that a library user's own JSON gets.

JSON that our own parser produced is trusted: it is shared by reference and never changed. What a
user constructs is checked once, where it enters (``types.check_request``), not in each constructor.

The decoder and the encoder are made once: ``json.loads`` looks for an encoding and ``json.dumps``
builds an encoder at each call with other separators, and both cost more than the work itself on the
small objects of a stream.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

from ..errors import ProtocolError, RequestError

#: Any JSON value: None, bool, int, finite float, str, list of Json, dict of str to Json.
Json = Any
#: A JSON object. Shared by reference; treat it as read-only.
JsonObject = dict[str, Any]

#: Deeper nesting than this is refused: no API needs it, and it would exhaust the stack of ``json``.
MAX_DEPTH = 200


def _refuse_constant(word: str) -> Json:
    raise ValueError(f"JSON has no {word}")


def _finite(digits: str) -> float:
    """Refuse 1e999: Python reads it as infinity, which no encoder can write again."""
    value = float(digits)
    if not isfinite(value):
        raise ValueError("a number is too large for a double")
    return value


_decoder = json.JSONDecoder(strict=False, parse_constant=_refuse_constant, parse_float=_finite)
_scan = _decoder.scan_once  # type: ignore[attr-defined]
#: Reads the value that begins at a place: (text, index) -> (value, end). Stricter than ``loads``:
#: control characters in strings are refused. Raises StopIteration, ValueError or RecursionError.
scan_strictly = json.JSONDecoder(  # type: ignore[attr-defined]
    strict=True, parse_constant=_refuse_constant, parse_float=_finite
).scan_once
#: Reads the string that begins before a place, with control characters let in: (text, index after
#: the opening quote, False) -> (value, index after the closing one). Raises ValueError.
scan_string = json.decoder.scanstring  # type: ignore[attr-defined]
_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
#: The JSON string of a text, without the care for lone surrogates that ``dumps`` takes.
quote = json.encoder.encode_basestring
_escaped = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode
_make_iterencode = json.encoder.c_make_encoder  # type: ignore[attr-defined]


def _kept_encode() -> Callable[[Json], str]:
    """Return ``_encoder.encode`` without what it makes anew at each call.

    It notes no containers to find one that holds itself: such a one is nested too deeply.
    """
    if _make_iterencode is None:
        return _encoder.encode
    write = json.encoder.encode_basestring
    iterencode = _make_iterencode(
        None, _encoder.default, write, None, ":", ",", False, False, False
    )
    return lambda value: "".join(iterencode(value, 0))


_encode = _kept_encode()
_WHITESPACE = " \t\n\r"


def dumps(value: Json) -> str:
    """Return compact JSON text that UTF-8 can carry, in the order of the keys as they stand.

    RequestError when the nesting exhausts the stack; ValueError and TypeError for what is not JSON.
    """
    try:
        text = _encode(value)
    except RecursionError:
        raise RequestError("nested too deeply to be written as JSON") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate came in as an escape (\ud800) and must leave as one.
        return _escaped(value)
    return text


def loads(text: str) -> Json:
    """Return the value of one JSON text; ProtocolError says where it is not JSON.

    NaN, infinities and numbers beyond a double, which the standard library's parser lets in, are
    refused. Control characters in strings are let in: some servers forget to escape them.
    """
    text = text.strip(_WHITESPACE)
    try:
        value, end = _scan(text, 0)
    except StopIteration as stop:
        raise ProtocolError(f"not JSON at character {stop.value}") from None
    except RecursionError:
        raise ProtocolError("not JSON: it is nested too deeply") from None
    except ValueError as error:
        raise ProtocolError(f"not JSON: {_what_is_wrong(error)}") from None
    if end != len(text):
        raise ProtocolError(f"not JSON: something follows the value at character {end}")
    return value


def _what_is_wrong(error: ValueError) -> str:
    """Say it without Python's advice to programmers, which it has for integers of 4300 digits."""
    long_integer = str(error).startswith("Exceeds the limit")
    return "a number has too many digits" if long_integer else str(error)


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
