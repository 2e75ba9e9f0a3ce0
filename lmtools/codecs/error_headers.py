"""What the headers of a refusal say: when to come back, and how the server names the exchange.

``Retry-After`` is seconds or an HTTP date (RFC 9110, 10.2.3); the date is measured against the
answer's own ``Date``, so no clock is needed here. ``retry-after-ms`` is OpenAI's and Anthropic's
finer word for the same, and wins.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import ceil, isfinite

from .base import Headers

_REQUEST_IDS = ("request-id", "x-request-id", "x-amzn-requestid", "apim-request-id")
_DATE = re.compile(r"[A-Za-z]{3}, (\d\d) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


def find_header(headers: Headers, name: str) -> str | None:
    """Return the first value of a header, whatever the case of its name."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def request_id(headers: Headers) -> str | None:
    for name in _REQUEST_IDS:
        value = find_header(headers, name)
        if value:
            return value
    return None


def retry_after(headers: Headers) -> float | None:
    """Return the seconds that the server asks to wait, None when it does not say."""
    milliseconds = _seconds(find_header(headers, "retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = find_header(headers, "retry-after")
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    until, now = _date(value), _date(find_header(headers, "date"))
    if until is None or now is None:
        return None
    return max((until - now).total_seconds(), 0.0)


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _date(value: str | None) -> datetime | None:
    found = _DATE.fullmatch((value or "").strip())
    if found is None or found[2].lower() not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(found[i]) for i in (1, 3, 4, 5, 6))
    try:
        return datetime(
            year, _MONTHS.index(found[2].lower()) + 1, day, hour, minute, second, tzinfo=UTC
        )
    except ValueError:
        return None


def retry_after_value(seconds: float) -> str:
    """Return the header's value: whole seconds, never too few."""
    return str(max(ceil(seconds), 0))
