"""Custom tools (free text in, OpenAI's ``type: custom``) where a dialect knows only JSON objects.

The tool is offered as a function with one string ``input``, its grammar quoted in the description,
and the calls come back as text: whole (``unwrap_input``) or from the fragments of a stream
(``InputReader``).
"""

from __future__ import annotations

import re

from ..errors import ProtocolError
from ..types import CustomTool, Json, JsonObject, Request
from .names import ToolKey
from .text import dumps, loads

_OPENING = re.compile(r'\s*\{\s*"input"\s*:\s*"')
#: What stands in a JSON string up to its end, without an escape that is cut.
_INSIDE = re.compile(r'(?:[^"\\]+|\\u[0-9a-fA-F]{4}|\\[^u])*')
#: An opening is short: what is longer than this before the text has another shape.
_LONGEST_OPENING = 200
_HIGH_SURROGATE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}$")


def custom_tools(request: Request) -> frozenset[ToolKey]:
    """Return (namespace, name) of the custom tools that a request offers."""
    return frozenset((t.namespace, t.name) for t in request.tools if isinstance(t, CustomTool))


def input_schema() -> JsonObject:
    return {
        "type": "object",
        "properties": {"input": {"type": "string"}},
        "required": ["input"],
        "additionalProperties": False,
    }


def describe(tool: CustomTool) -> str:
    """Return the description of the function that stands for a custom tool."""
    lines = [tool.description] if tool.description else []
    lines.append("Give the whole text of the call, unquoted and unwrapped, as the string `input`.")
    if tool.format and tool.format.get("type") != "text":
        lines.append(f"The text must follow this format: {dumps(tool.format)}")
    return "\n\n".join(lines)


def wrap_input(text: Json) -> JsonObject:
    return {"input": text}


def unwrap_input(input: Json) -> str:
    """Return the text of a call; models also give it bare, or under another key."""
    if isinstance(input, str):
        return input
    if isinstance(input, dict):
        held = input.get("input")
        if held is None and len(input) == 1:
            held = next(iter(input.values()))
        if isinstance(held, str):
            return held
    return dumps(input)


class InputReader:
    """Fragments of ``{"input": "..."}`` to fragments of the text.

    A call that has another shape is held back until ``close`` and unwrapped there. States: before
    the text (``opening``), in it (``inside``), after it (``done``), or another shape (``other``).
    """

    def __init__(self) -> None:
        self._state = "opening"
        self._rest = ""
        self._other: list[str] = []

    def feed(self, fragment: str) -> str:
        """Return the text that is certain by now."""
        if self._state == "done":
            return ""
        if self._state == "other":
            self._other.append(fragment)
            return ""
        self._rest += fragment
        if self._state == "opening":
            opening = _OPENING.match(self._rest)
            if opening:
                self._state = "inside"
                self._rest = self._rest[opening.end() :]
            elif len(self._rest) > _LONGEST_OPENING:
                self._state = "other"
        return self._read() if self._state == "inside" else ""

    def _read(self) -> str:
        inside = _INSIDE.match(self._rest).group()  # type: ignore[union-attr]  # matches ""
        is_last = self._rest.startswith('"', len(inside))
        if not is_last and _HIGH_SURROGATE.search(inside):
            # The other half of the character is still to come.
            inside = inside[:-6]
        self._rest = self._rest[len(inside) :]
        if self._rest.startswith('"'):
            self._state = "done"
        return _unescape(inside)

    def close(self) -> str:
        """Return the text that ``feed`` held back; whatever came, if it is not JSON."""
        if self._state == "inside":
            return self._rest
        whole = self._rest + "".join(self._other)
        if self._state == "done" or not whole.strip():
            return ""
        try:
            return unwrap_input(loads(whole))
        except ProtocolError:
            return whole


def _unescape(inside: str) -> str:
    try:
        text: str = loads(f'"{inside}"')
    except ProtocolError:
        return inside
    return text
