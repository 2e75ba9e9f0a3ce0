"""When to try again, and how long to wait: pure, so that a test needs no clock."""

from __future__ import annotations

from .errors import ApiTimeoutError, ConnectError, LMError, RateLimitError, ServerError

#: Seconds. A server that asks for more than this is believed, but not waited for: the caller is
#: told.
LONGEST_WAIT_S = 60.0
_FIRST_WAIT_S = 0.5
_LONGEST_STEP_S = 8.0

#: Errors after which the same request may succeed, and which came before any of the answer was
#: used.
_RETRYABLE = (ApiTimeoutError, ConnectError, RateLimitError, ServerError)


def worth_retrying(error: LMError, longest_wait: float = LONGEST_WAIT_S) -> bool:
    """Tell whether the request may be sent again as it is, after at most ``longest_wait`` seconds.

    A transport that broke after the request went out is not in the list: the provider may have
    done, and billed, the work.
    """
    if error.retry_after is not None and error.retry_after > longest_wait:
        return False
    return error.retryable and isinstance(error, _RETRYABLE)


def schedule(attempt: int, retry_after: float | None) -> float:
    """Return seconds to wait before ``attempt`` (1 is the first retry).

    The server's ``Retry-After`` wins when given; otherwise 0.5 * 2**(attempt - 1), at most 8 s. No
    jitter here: the caller adds it, so that this stays a function.
    """
    if retry_after is not None:
        return min(max(retry_after, 0.0), LONGEST_WAIT_S)
    return float(min(_FIRST_WAIT_S * 2.0 ** (attempt - 1), _LONGEST_STEP_S))
