"""The exception tree: its drawing, its codes, its statuses, and what is worth a retry."""

from __future__ import annotations

import re

import pytest

from lmtools import errors
from lmtools.errors import (
    CODES,
    ApiError,
    ConfigError,
    DeadlineError,
    LMError,
    RequestError,
    TransportError,
    api_error,
    class_for_code,
    code_for_status,
    status_for_code,
)


def classes() -> dict[str, type[LMError]]:
    found = {name: getattr(errors, name) for name in errors.__all__}
    return {n: c for n, c in found.items() if isinstance(c, type) and issubclass(c, LMError)}


def drawn() -> dict[str, tuple[str, str]]:
    """Read the tree in the module's docstring: {class: (parent, code)}."""
    rows: dict[str, tuple[str, str]] = {}
    above: list[str] = ["LMError"]
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│ ├└─]*)(\w+Error) +(\w+) ", line)
        if found:
            depth = len(found[1]) // 4
            rows[found[2]] = (above[depth - 1], found[3])
            above[depth:] = [found[2]]
    return rows


def test_the_drawn_tree_is_the_tree_of_classes() -> None:
    actual = {
        name: (cls.__mro__[1].__name__, cls.code)
        for name, cls in classes().items()
        if cls is not LMError
    }

    assert drawn() == actual


def test_every_class_has_a_code_with_a_status() -> None:
    assert {cls.code for cls in classes().values()} == CODES
    assert all(400 <= status_for_code(code) <= 599 for code in CODES)


def test_no_two_classes_of_a_family_share_a_code() -> None:
    """``class_for_code`` would otherwise depend on the order of a list."""
    codes = [cls.code for cls in classes().values() if issubclass(cls, ApiError)]

    assert len(codes) == len(set(codes))
    for cls in classes().values():
        if issubclass(cls, ApiError):
            assert class_for_code(cls.code) is cls


STATUSES = [
    # status, code, status of that code
    (400, "invalid_request", 400),
    (401, "auth", 401),
    (402, "billing", 402),
    (403, "permission", 403),
    (404, "not_found", 404),
    (408, "api_timeout", 504),
    (409, "conflict", 409),
    (413, "too_large", 413),
    (418, "invalid_request", 400),
    (422, "invalid_request", 400),
    (429, "rate_limit", 429),
    (499, "invalid_request", 400),
    (500, "server", 500),
    (502, "server", 500),
    (503, "overloaded", 529),
    (504, "api_timeout", 504),
    (529, "overloaded", 529),
    (302, "provider", 502),
]


@pytest.mark.parametrize(("status", "code", "back"), STATUSES)
def test_a_status_and_its_code(status: int, code: str, back: int) -> None:
    assert code_for_status(status) == code
    assert status_for_code(code) == back


def test_an_unknown_code_is_a_failure_of_ours() -> None:
    assert status_for_code("no such word") == 500
    assert class_for_code("no such word") is ApiError


RETRYABLE = {
    *("TransportError", "ConnectError", "DeadlineError", "TruncatedError"),
    *("RateLimitError", "ApiTimeoutError", "ServerError", "OverloadedError"),
}


def test_what_is_worth_a_retry() -> None:
    """Failures of the moment are; wrong requests, wrong set-ups, wrong bytes and a caller's wish are not."""
    assert {name for name, cls in classes().items() if cls.retryable} == RETRYABLE


@pytest.mark.parametrize(
    ("code", "retryable"),
    [("truncated", True), ("timeout", True), ("cancelled", False), ("protocol", False)],
)
def test_a_code_of_the_transport_keeps_its_word_and_its_advice_as_an_api_error(
    code: str, retryable: bool
) -> None:
    error = api_error(code, "m", status=502)

    assert (type(error), error.code, error.retryable, error.status) == (
        ApiError,
        code,
        retryable,
        502,
    )
    assert ApiError("m").code == "provider"


def test_a_code_that_nobody_knows_is_the_providers() -> None:
    assert api_error("flux", "m").code == "provider"


def test_what_an_api_error_knows() -> None:
    error = api_error(
        "rate_limit",
        "slow down",
        provider="openai",
        provider_code="tpm",
        status=429,
        request_id="req_1",
        retry_after=1.5,
        param="messages",
        env_keys=["A"],
        opaque=(1,),
    )

    assert type(error) is errors.RateLimitError
    assert (error.provider, error.provider_code, error.status) == ("openai", "tpm", 429)
    assert (error.request_id, error.retry_after, error.param) == ("req_1", 1.5, "messages")
    assert (error.env_keys, error.opaque, error.partial) == (("A",), (1,), None)
    assert str(error) == "slow down"


def test_a_request_error_begins_with_its_path() -> None:
    assert (
        str(RequestError("expected a string, got 7", path="messages[2].role"))
        == "messages[2].role: expected a string, got 7"
    )
    assert str(RequestError("is not an object")) == "is not an object"


def test_a_config_error_names_the_variables_that_would_do() -> None:
    error = ConfigError("no key", provider="openai", env_keys=iter(["OPENAI_API_KEY"]))

    assert error.env_keys == ("OPENAI_API_KEY",)
    assert error.provider == "openai"


def test_a_deadline_is_also_pythons_timeout() -> None:
    error = DeadlineError("idle for 300 s")

    assert isinstance(error, TimeoutError)
    assert isinstance(error, TransportError)
    assert str(error) == "idle for 300 s"
