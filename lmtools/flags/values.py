"""The text of one flag's value <-> the value, in Go's spellings; a refusal says what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from .declare import Flag, Kind, UsageError

__all__ = ["allowed", "quoted", "read_value", "render_duration"]

_TRUE = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE = frozenset(("0", "f", "F", "false", "FALSE", "False"))

# Go's integers are of 64 bits. ``int(text, 0)`` alone would take blanks and other scripts' digits.
_INT = re.compile(r"[+-]?[0-9][0-9a-zA-Z_]*")
_MAX_INT = 2**63 - 1
_FLOAT = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

# Nanoseconds, so that sums of parts are exact until the one division at the end.
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu, which Go takes as well
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_DURATION = re.compile(rf"([+-]?)((?:{_PART.pattern})+)")
_BARE_NUMBER = re.compile(rf"[+-]?{_NUMBER}")

_SHOWN = 60


class _Refused(ValueError):
    """A text is no value; the message, if any, is advice to add."""


def read_value(flag: Flag, text: str) -> object:
    """Return the value that ``text`` means for ``flag``; one element for a ``repeat`` flag.

    Raises UsageError naming flag, text and what is allowed.
    """
    try:
        return _READERS[flag.kind](flag, text)
    except _Refused as refusal:
        advice = f" ({refusal})" if str(refusal) else ""
        raise UsageError(
            f"-{flag.name}: {quoted(text)} is not accepted; give {allowed(flag)}{advice}"
        ) from None


def allowed(flag: Flag) -> str:
    """Return in words what values a flag takes."""
    match flag.kind:
        case "string" | "repeat":
            return flag.metavar or "a text"
        case "path":
            return "the path of a file"
        case "bool":
            return "true or false (also 1, 0, t, f)"
        case "int":
            return "a whole number" + _range(flag, "{:.0f}".format)
        case "float":
            return "a number" + _range(flag, "{:g}".format)
        case "duration":
            return "a duration such as 500ms, 90s, 1m30s or 1.5h" + _range(flag, render_duration)
        case "choice":
            return "one of " + ", ".join(flag.choices)


def quoted(text: str) -> str:
    """Return a word for a message: on one line, in quotes, cut when long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def render_duration(seconds: float) -> str:
    """Return seconds in Go's syntax, exact to the nanosecond: 90.0 -> ``1m30s``."""
    left = round(abs(seconds) * 1e9)
    words = "-" if seconds < 0 else ""
    for unit in ("h", "m"):
        count, left = divmod(left, _UNITS[unit])
        words += f"{count}{unit}" if count else ""
    if left >= _UNITS["s"]:
        return words + _decimal(left, "s")
    for unit in ("ms", "us", "ns"):
        if left >= _UNITS[unit]:
            return words + _decimal(left, unit)
    return words or "0s"


def _decimal(nanoseconds: int, unit: str) -> str:
    whole, rest = divmod(nanoseconds, _UNITS[unit])
    digits = str(_UNITS[unit] + rest)[1:].rstrip("0")
    return f"{whole}.{digits}{unit}" if digits else f"{whole}{unit}"


def _range(flag: Flag, show: Callable[[float], str]) -> str:
    low, high = flag.minimum, flag.maximum
    if low is not None and high is not None:
        return f" from {show(low)} to {show(high)}"
    if low is not None:
        return f", {show(low)} or more"
    return f", at most {show(high)}" if high is not None else ""


def _check_range(flag: Flag, number: float) -> None:
    if flag.minimum is not None and number < flag.minimum:
        raise _Refused
    if flag.maximum is not None and number > flag.maximum:
        raise _Refused


def _read_bool(_: Flag, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _Refused


def _read_int(flag: Flag, text: str) -> int:
    if not _INT.fullmatch(text) or len(text) > 80:
        raise _Refused
    try:
        number = int(text, 0)
    except ValueError:
        # Python refuses 010, which Go reads as 8: nobody types that for a port on purpose.
        octal = text.lstrip("+-").isdigit()
        raise _Refused("a leading 0 would mean octal; write 0o10" if octal else "") from None
    if not -_MAX_INT - 1 <= number <= _MAX_INT:
        raise _Refused
    _check_range(flag, number)
    return number


def _read_float(flag: Flag, text: str) -> float:
    if not _FLOAT.fullmatch(text):
        raise _Refused
    number = float(text)
    if not math.isfinite(number):
        raise _Refused
    _check_range(flag, number)
    return number


def _read_duration(flag: Flag, text: str) -> float:
    """Return seconds. A bare 0 needs no unit; any other bare number is told the missing ``s``."""
    parts = _DURATION.fullmatch("0s" if text in ("0", "+0", "-0") else text)
    if parts is None:
        raise _Refused(f"a unit is missing; write {text}s" if _is_short_number(text) else "")
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(parts[2]))
    # Go counts whole nanoseconds; rounding also takes out what the float products add.
    if total > _MAX_INT:
        raise _Refused("longer than 292 years")
    seconds = round(-total if parts[1] == "-" else total) / 1e9
    _check_range(flag, seconds)
    return seconds


def _is_short_number(text: str) -> bool:
    return len(text) <= 20 and _BARE_NUMBER.fullmatch(text) is not None


def _read_choice(flag: Flag, text: str) -> object:
    """Return the declared spelling. Empty means the default, as ``-provider "$UNSET"`` expects."""
    word = text.strip().lower()
    if not word:
        return flag.default
    known = {choice.lower(): choice for choice in flag.choices} | dict(flag.aliases)
    if word not in known:
        raise _Refused
    return known[word]


def _read_text(_: Flag, text: str) -> str:
    """Return the text. Bytes that are not UTF-8 arrive as lone surrogates and could not be sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _Refused("it is not UTF-8") from None
    return text


def _read_path(_: Flag, text: str) -> str | None:
    """Return the path as typed (any bytes may be a file name); empty is no path."""
    if "\0" in text:
        raise _Refused
    return text or None


_READERS: dict[Kind, Callable[[Flag, str], object]] = {
    "string": _read_text,
    "repeat": _read_text,
    "path": _read_path,
    "bool": _read_bool,
    "int": _read_int,
    "float": _read_float,
    "duration": _read_duration,
    "choice": _read_choice,
}
