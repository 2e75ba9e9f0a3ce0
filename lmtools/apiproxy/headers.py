"""The provider's headers that reach clients: a closed list."""

from __future__ import annotations

from ..codecs.base import Headers
from ..codecs.error_headers import retry_after_value
from ..errors import LMError

__all__ = ["passed_headers", "refusal_headers"]

_PASSED = frozenset({"retry-after", "retry-after-ms", "x-should-retry"})
_PASSED_FAMILIES = ("anthropic-ratelimit-", "x-ratelimit-")
_REQUEST_IDS = frozenset({"request-id", "x-request-id"})


def passed_headers(headers: Headers) -> Headers:
    """Return the provider's headers that its clients read.

    Its request id goes under a name of its own, since the usual ones carry ours.
    """
    found: list[tuple[str, str]] = []
    for name, value in headers:
        lower = name.lower()
        if lower in _PASSED or lower.startswith(_PASSED_FAMILIES):
            found.append((lower, value))
        elif lower in _REQUEST_IDS:
            found.append(("x-upstream-request-id", value))
    return tuple(found)


def refusal_headers(error: LMError) -> Headers:
    """Return what the provider's answer said beside an error.

    A wait that is known is said in whole seconds: some clients read neither a date nor
    ``retry-after-ms``.
    """
    found = passed_headers(error.answer_headers)
    if error.retry_after is None:
        return found
    rest = tuple(pair for pair in found if pair[0] != "retry-after")
    return (*rest, ("retry-after", retry_after_value(error.retry_after)))
