"""When a request is sent again, and after how long."""

from __future__ import annotations

import pytest

from lmtools.errors import (
    AuthError,
    CancelledError,
    ConnectError,
    DeadlineError,
    InvalidRequestError,
    OverloadedError,
    RateLimitError,
    ServerError,
    TransportError,
    TruncatedError,
)
from lmtools.retry import schedule, worth_retrying


@pytest.mark.parametrize("error", [RateLimitError, ServerError, OverloadedError, ConnectError])
def test_errors_that_may_pass_are_retried(error):
    assert worth_retrying(error("no"))


@pytest.mark.parametrize(
    "error",
    [AuthError, InvalidRequestError, CancelledError, TruncatedError, TransportError, DeadlineError],
)
def test_errors_that_stay_or_that_may_have_been_billed_are_not(error):
    assert not worth_retrying(error("no"))


def test_a_name_that_does_not_exist_is_not_looked_up_again():
    error = ConnectError("no such name")
    error.retryable = False

    assert not worth_retrying(error)


def test_the_callers_patience_bounds_the_wait():
    assert worth_retrying(RateLimitError("no", retry_after=1.0), 1.0)
    assert not worth_retrying(RateLimitError("no", retry_after=7.0), 1.0)


def test_a_server_that_asks_for_minutes_is_not_waited_for():
    assert worth_retrying(RateLimitError("no", retry_after=60.0))
    assert not worth_retrying(RateLimitError("no", retry_after=61.0))


@pytest.mark.parametrize(
    ("attempt", "retry_after", "seconds"),
    [(1, None, 0.5), (2, None, 1.0), (3, None, 2.0), (9, None, 8.0), (1, 7.0, 7.0), (1, -1.0, 0.0)],
)
def test_waits_double_up_to_a_bound_unless_the_server_says(attempt, retry_after, seconds):
    assert schedule(attempt, retry_after) == seconds
