from __future__ import annotations

import pytest

from lmtools.codecs.error_headers import find_header, request_id, retry_after, retry_after_value

DATE = ("date", "Sat, 21 Nov 2026 05:00:00 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ((), None),
        ((("Retry-After", "7"),), 7.0),
        ((("retry-after", "1.5"),), 1.5),
        ((("retry-after-ms", "250"), ("retry-after", "9")), 0.25),
        ((("retry-after-ms", "soon"), ("retry-after", "9")), 9.0),
        ((("retry-after", "Sat, 21 Nov 2026 05:01:30 GMT"), DATE), 90.0),
        ((("retry-after", "Sat, 21 Nov 2026 04:00:00 GMT"), DATE), 0.0),
        ((("retry-after", "Sat, 21 Nov 2026 05:01:30 GMT"),), None),
        ((("retry-after", "Sat, 21 Nox 2026 05:01:30 GMT"), DATE), None),
        ((("retry-after", "Sat, 99 Nov 2026 05:01:30 GMT"), DATE), None),
        ((("retry-after", "tomorrow"), DATE), None),
        ((("retry-after", "-1"),), None),
        ((("retry-after", "inf"),), None),
        ((("retry-after", "nan"),), None),
    ],
)
def test_the_pause_that_a_server_asks_for_is_in_seconds(headers, seconds):
    assert retry_after(headers) == seconds


def test_the_first_request_id_that_says_something_wins():
    assert request_id((("X-Request-Id", "x"), ("Request-Id", ""))) == "x"
    assert request_id((("server", "x"),)) is None


def test_header_names_have_no_case():
    assert find_header((("A", "1"), ("a", "2")), "a") == "1"


@pytest.mark.parametrize(("seconds", "value"), [(0.0, "0"), (1.2, "2"), (7.0, "7"), (-1.0, "0")])
def test_a_pause_is_sent_in_whole_seconds_and_never_too_short(seconds, value):
    assert retry_after_value(seconds) == value
