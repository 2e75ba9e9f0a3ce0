"""Opaque data holds only what no canonical field says.

Two halves. Emptied of all opaque data, a parsed value still renders all of its canonical content.
And no opaque note stands before a canonical field: change any field, and the wire changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any

from lmtools.codecs.base import Rendered
from lmtools.errors import RequestError
from lmtools.types import (
    EFFORTS,
    FINISH_REASONS,
    MEDIA_CLASSES,
    OUTPUT_FORMATS,
    REASONING_MODES,
    TOOL_CHOICE_MODES,
    Message,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

from .. import canonical, exchange
from ..corpus import Case
from ..exchange import Codecs
from ..trees import Path, shown
from .transcode import differing_requests, differing_responses

#: Fields that take one of a closed list of words, by the end of their path.
_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reasoning.mode", tuple(sorted(REASONING_MODES))),
    ("reasoning.effort", EFFORTS),
    ("tool_choice.mode", tuple(sorted(TOOL_CHOICE_MODES))),
    ("output.type", tuple(sorted(OUTPUT_FORMATS))),
    ("finish", tuple(sorted(FINISH_REASONS))),
)
#: An answer with calls ends for their sake, whichever of these words says why.
_ENDS_OF_CALLS = ("stop", "stop_sequence", "tool_call")
_OTHER_ROLE = {"user": "assistant", "assistant": "user", "system": "user", "developer": "user", "tool": "user"}  # fmt: skip


def emptied(case: Case, codecs: Codecs) -> Iterator[str]:
    """Without opaque data, all canonical content still renders in its own dialect."""
    codec = codecs[case.dialect]
    if case.kind == "request":
        request = canonical.bare(exchange.parse_request(codec, case))
        rendered = codec.render_request(request, exchange.target(case.dialect))
        again = exchange.parse_request(codec, case, rendered.body)
        yield from differing_requests(request, again, rendered.losses)
        return
    response = canonical.bare(exchange.parse_response(codec, case))
    rendered = exchange.render_response(codec, case, response)
    back = exchange.parse_response(codec, case, rendered.body)
    yield from differing_responses(response, back, rendered.losses)


def every_field(case: Case, codecs: Codecs) -> Iterator[str]:
    """A change of any canonical field changes the wire, or a loss names the field."""
    codec = codecs[case.dialect]
    if case.kind == "request":
        request = exchange.parse_request(codec, case)
        target = exchange.target(case.dialect)
        yield from unsaid(request, lambda value: codec.render_request(value, target))
    else:
        response = exchange.parse_response(codec, case)
        yield from unsaid(response, lambda value: exchange.render_response(codec, case, value))


def unsaid(value: Any, render: Callable[[Any], Rendered]) -> Iterator[str]:
    """Yield the fields of a canonical value whose change shows neither on the wire nor in the losses."""
    plain = render(value)
    for path, leaf in canonical.leaves(value, opaque=False):
        for new in () if _shadowed(value, path) else _others(path, leaf):
            if path == ("finish",) and value.tool_calls and new in _ENDS_OF_CALLS:
                continue
            try:
                rendered = render(canonical.changed(value, path, new))
            except (RequestError, ValueError):
                continue  # refused by the types or the codec: not silent
            losses = (*plain.losses, *rendered.losses)
            if rendered.body == plain.body and not canonical.covered(shown(path), losses):
                yield f"{shown(path)}: {leaf!r:.40} changed to {new!r:.40}, and the wire stays the same"


def _shadowed(value: Any, path: Path) -> bool:
    """Tell whether the field is one of two that say the same, and the other one is sent.

    The exact argument text of a call stands for its input; redacted thinking has no text of its own;
    an answer is the assistant's; a tool result is one in a ``user`` message as in a ``tool`` message; a
    legacy ``function_call`` has no id on the wire, so its parser makes one; of what is at a URL, its
    server tells the type.
    """
    owner = _at(value, path[:-1])
    if isinstance(owner, ThinkingPart) and path[-1] == "text":
        return any(o.kind == "redacted" for o in owner.opaque)
    if isinstance(owner, Message) and path[-1] == "role":
        return path[0] == "message" or any(isinstance(part, ToolResultPart) for part in owner.parts)
    if isinstance(owner, (ToolCallPart, ToolResultPart)) and path[-1] == "id":
        return any(o.data.get("legacy") for o in owner.opaque)
    if isinstance(owner, MEDIA_CLASSES) and path[-1] == "media_type":
        return getattr(owner, "data", None) is None
    calls = (_at(value, path[:i]) for i, step in enumerate(path) if step == "input")
    return any(isinstance(call, ToolCallPart) and call.text is not None for call in calls)


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = getattr(value, str(step)) if is_dataclass(value) else value[step]
    return value


def _others(path: Path, leaf: Any) -> Iterator[Any]:
    where = shown(path)
    for end, words in _WORDS:
        if where.endswith(end):
            yield from (word for word in words if word != leaf)
            return
    if path[-1] == "role" and path[0] == "messages":
        yield _OTHER_ROLE[leaf]
    elif path[-1] == "kind":
        return  # the class of the value beside it says the same
    elif isinstance(leaf, bool):
        yield not leaf
    elif isinstance(leaf, (int, float)):
        yield leaf + 1
    else:
        yield f"{leaf}-changed"
