"""What the user gives besides flags: the prompt's bytes and the schema's file."""

from __future__ import annotations

import os

from ..errors import ProtocolError
from ..flags import UsageError
from ..types.json import JsonObject, loads

__all__ = ["MAX_PROMPT", "MAX_SCHEMA", "load_schema", "parse_prompt", "parse_schema"]

#: Bytes.
MAX_PROMPT = 10 * 1024 * 1024
MAX_SCHEMA = 1024 * 1024

_KINDS = {list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def parse_prompt(data: bytes) -> str:
    """Return the prompt, blanks around it trimmed; at most ``MAX_PROMPT`` bytes of UTF-8 text.

    Raises UsageError, which holds nothing of the prompt.
    """
    if len(data) > MAX_PROMPT:
        raise UsageError(f"the prompt is longer than {MAX_PROMPT} bytes (10 MiB); send less of it")
    try:
        # Some editors begin a file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the prompt is not UTF-8 text: byte {data[error.start]:#04x} at offset {error.start}; "
            "convert it, for example with iconv"
        ) from None
    zero = text.find("\0")
    if zero >= 0:
        raise UsageError(
            f"the prompt is not text: there is a NUL at character {zero}; is it a binary file?"
        )
    text = text.strip()
    if not text:
        raise UsageError('the prompt is empty; give it on standard input: echo "Hello" | lmc')
    return text


def load_schema(path: str) -> JsonObject:
    """Return the JSON object in a file, ``~`` expanded. Raises UsageError."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = file.read(MAX_SCHEMA + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file can have this name"
        raise UsageError(f"-json-schema: cannot read {path!r}: {reason}") from None
    return parse_schema(data, path)


def parse_schema(data: bytes, path: str) -> JsonObject:
    """Return the schema in a file's bytes. ``path`` is for the message of the UsageError."""
    if len(data) > MAX_SCHEMA:
        raise UsageError(f"-json-schema: {path!r} is larger than {MAX_SCHEMA} bytes")
    try:
        schema = loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, ProtocolError) as error:
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UsageError(f"-json-schema: {path!r} is not valid JSON ({reason})") from None
    if not isinstance(schema, dict):
        kind = _KINDS.get(type(schema), "null")
        raise UsageError(f"-json-schema: {path!r} holds {kind}; a schema is a JSON object")
    return schema
