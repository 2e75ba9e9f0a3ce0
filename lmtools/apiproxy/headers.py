"""The provider's headers that reach clients: a closed list."""

from __future__ import annotations

from ..codecs.base import Headers

__all__ = ["passed_headers"]

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
