"""What an error says: what failed, where, what next."""

from __future__ import annotations

import pytest

from lmtools import errors
from lmtools.flags import UsageError
from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.lmc.report import describe, exit_code
from lmtools.secret import Secret

ANTHROPIC = ProviderChoice("anthropic", key=KeySource("-api-key-file", path="~/.key"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            errors.AuthError("no", status=401, request_id="r1"),
            "Anthropic refused the key (401): no; the key came from -api-key-file ~/.key (request r1)",
        ),
        (
            errors.PermissionDeniedError("no", status=403),
            "Anthropic does not allow it (403): no; the key came from -api-key-file ~/.key",
        ),
        (
            errors.RateLimitError("slow down.", status=429, retry_after=12.4),
            "Anthropic answered with an error (429): slow down; try again in 12 s",
        ),
        (
            errors.RateLimitError("slow down", status=429),
            "Anthropic answered with an error (429): slow down; try again later",
        ),
        (
            errors.ContextLengthError("too long"),
            "Anthropic answered with an error: too long; send a shorter prompt",
        ),
        (
            errors.ConnectError("h: cannot connect"),
            "h: cannot connect; check the address and the network",
        ),
        (
            errors.InvalidRequestError("bad", status=400),
            "Anthropic answered with an error (400): bad",
        ),
        (
            errors.TransportError("h: the connection ended without an answer"),
            "h: the connection ended without an answer; try again, and check the address if it stays so",
        ),
        (errors.ConfigError("no key; give one"), "no key; give one"),
    ],
)
def test_an_error_says_what_where_and_what_next(error, text):
    assert describe(error, ANTHROPIC) == text


@pytest.mark.parametrize(
    "error",
    [
        errors.DeadlineError("no whole answer within 1s; give a longer -timeout"),
        errors.ConnectError("h: the name was not found. Check the spelling"),
    ],
)
def test_an_error_that_says_already_what_to_do_gets_no_second_advice(error):
    assert describe(error, ANTHROPIC) == str(error)


@pytest.mark.parametrize(
    ("choice", "text"),
    [
        (
            ProviderChoice("openai", key=KeySource("OPENAI_API_KEY", secret=Secret("planted"))),
            "the key came from OPENAI_API_KEY",
        ),
        (
            ProviderChoice("openai"),
            "no key was sent: give -api-key-file FILE or set OPENAI_API_KEY",
        ),
        (ProviderChoice("openai", url="http://h"), "no key was sent: give -api-key-file FILE"),
    ],
)
def test_a_refused_key_is_traced_to_its_source(choice, text):
    said = describe(errors.AuthError("no", status=401), choice)

    assert said == f"OpenAI refused the key (401): no; {text}"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (errors.ConfigError("x"), 2),
        (errors.RequestError("x"), 2),
        (errors.TruncatedError("x"), 3),
        (errors.ConnectError("x"), 1),
        (errors.DeadlineError("x"), 1),
        (errors.AuthError("x"), 1),
        (errors.InvalidRequestError("x"), 1),
        (errors.LMError("x"), 1),
    ],
)
def test_what_the_user_gave_is_told_apart_from_what_went_wrong(error, code):
    assert exit_code(error) == code
