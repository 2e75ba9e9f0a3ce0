"""JSON text for codecs, under the name that they import: the kept decoder and encoder of ``types``.

They live there because assembly parses the arguments of tool calls with the same strictness, and
``types`` stands below ``codecs``.
"""

from __future__ import annotations

from ..types.json import dumps, loads, quote

__all__ = ["dumps", "loads", "quoted_between"]


def quoted_between(head: str, text: str, tail: str) -> bytes:
    """Return ``text`` as a JSON string between two pieces of JSON, in UTF-8, as ``dumps`` has it.

    Encoders of streams write nearly every frame so: a template around one text.
    """
    try:
        return f"{head}{quote(text)}{tail}".encode()
    except UnicodeEncodeError:
        return f"{head}{dumps(text)}{tail}".encode()
