"""Errors inside the text of a gateway's error."""

from __future__ import annotations

import pytest

from lmtools.codecs.wrapped_error import WrappedError, unwrap

#: What Argo answered for a sampling field that a model refuses.
ARGO = (
    "Error code: 400 - {'error': {'message': \"Unsupported value: 'temperature' does not support"
    " 0.1 with this model.\", 'type': 'invalid_request_error', 'param': 'temperature',"
    " 'code': 'unsupported_value'}}"
)


def test_the_error_inside_is_found():
    assert unwrap(ARGO) == WrappedError(
        400,
        "Unsupported value: 'temperature' does not support 0.1 with this model.",
        "invalid_request_error",
        "unsupported_value",
        "temperature",
    )


def test_the_request_id_of_the_inner_provider_is_kept():
    text = (
        "Error code: 529 - {'type': 'error', 'error': {'type': 'overloaded_error',"
        " 'message': 'Overloaded'}, 'request_id': 'req_vrtx_1'}"
    )
    assert unwrap(text) == WrappedError(
        529, "Overloaded", "overloaded_error", request_id="req_vrtx_1"
    )


def test_the_innermost_of_several_wrappings_counts():
    text = f"BadRequestError: Error code: 500 - {{'message': {ARGO!r}}}"
    assert unwrap(text).code == "unsupported_value"


def test_an_object_without_an_inner_error_object_is_read_as_one():
    assert unwrap("Error code: 404 - {'message': 'no', 'code': 7}") == WrappedError(404, "no")


NOT_WRAPPED = [
    "",
    "Error code: 400",
    "Error code: 400 - {'error': }",
    "Error code: 400 - {'error': {'message': 7}}",
    "Error code: 400 - {'error': {'message': ''}}",
    "Error code: 400 - {1, 2}",
    "Error code: 400 - {[]: 1}",
    "Error code: 400 - {'a': __import__('os')}",
    "Error code: 400 - {'message': 'x', 'a': " + "[" * 30 + "]" * 30 + "}",
    "Error code: 400 - {'a': " + "-" * 15_000 + "1}",
    "Error code: 400 - {'message': '" + "x" * 30_000 + "'}",
    "Error code: 400 - {'message': 'x'}" + " " * 30_000,
    "before Error code: 400 - {'message': 'x'}",
]


@pytest.mark.parametrize("text", NOT_WRAPPED, ids=range(len(NOT_WRAPPED)))
def test_what_cannot_be_read_safely_is_left_alone(text):
    assert unwrap(text) is None
