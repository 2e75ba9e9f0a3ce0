"""The argument text of a tool call, as every dialect but Anthropic's and Gemini's sends it."""

from __future__ import annotations

from ..errors import ProtocolError
from ..types import Json, JsonObject
from .text import dumps, loads


def parse_arguments(text: str) -> tuple[JsonObject, bool]:
    """Return the input that argument text stands for, and whether the text is what it should be.

    Models call tools without parameters with empty text: that is the empty object, and right. Text
    that is not a JSON object gives ``({}, False)``; the caller keeps the text.
    """
    if not text or text.isspace():
        return {}, True
    try:
        value = loads(text)
    except ProtocolError:
        return {}, False
    return (value, True) if value.__class__ is dict else ({}, False)


def format_arguments(input: Json, text: str | None) -> str:
    """Return the exact text where the call came with one, else compact JSON of the input."""
    if text is not None:
        return text
    return input if isinstance(input, str) else dumps(input)
