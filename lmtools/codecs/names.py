"""Tool names and call ids as one server takes them, and back.

A server may allow only some characters or a length (``Target.name_rule``), and most dialects have
no namespaces. Naming is one pure function over the offered tools *and* the history, since a call in
the history may name a tool that is no longer offered. A name that fits goes as it is; one that does
not is cleaned, cut, and gets a hash of the original, so that it is the same in every turn whatever
else is offered, and two long names that begin alike stay apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from ..types import BuiltinTool, Request, ToolCallPart, ToolsPart
from .base import Target

#: (namespace, name).
ToolKey = tuple[str | None, str]

_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]")
_HASH_DIGITS = 8
_LONGEST = 64


@dataclass(frozen=True, slots=True)
class WireNames:
    """Both maps hold only what differs; a name in neither is the same on both sides."""

    to_wire: Mapping[ToolKey, str] = field(default_factory=dict)
    from_wire: Mapping[str, ToolKey] = field(default_factory=dict)

    def wire(self, name: str, namespace: str | None = None) -> str:
        return self.to_wire.get((namespace, name), name)

    def canonical(self, wire: str) -> ToolKey:
        """Return (namespace, name) of a name that the server used."""
        return self.from_wire.get(wire, (None, wire))


_SAME = WireNames()


def wire_names(request: Request, target: Target) -> WireNames:
    """Return how this request's tools are named for this target, and back."""
    keys = dict.fromkeys(_tool_keys(request))
    rule = re.compile(target.name_rule) if target.name_rule else None
    odd = {key: "" for key in keys if key[0] is not None or (rule and not rule.fullmatch(key[1]))}
    if not odd:
        return _SAME
    taken = {key[1] for key in keys if key not in odd}
    to_wire: dict[ToolKey, str] = {}
    for key in odd:
        to_wire[key] = _wire_name(key, rule, taken)
        taken.add(to_wire[key])
    return WireNames(to_wire, {wire: key for key, wire in to_wire.items()})


def _tool_keys(request: Request) -> Iterator[ToolKey]:
    """Yield the names of every tool that is offered or was called."""
    for tool in request.tools:
        if not isinstance(tool, BuiltinTool):
            yield tool.namespace, tool.name
    for message in request.messages:
        for part in message.parts:
            if part.__class__ is ToolCallPart:
                yield part.namespace, part.name
            elif part.__class__ is ToolsPart:
                for tool in part.tools:
                    if not isinstance(tool, BuiltinTool):
                        yield tool.namespace, tool.name


def _wire_name(key: ToolKey, rule: re.Pattern[str] | None, taken: set[str]) -> str:
    namespace, name = key
    full = name if namespace is None else f"{namespace}__{name}"
    if (rule is None or rule.fullmatch(full)) and full not in taken:
        return full
    lengths = range(_HASH_DIGITS, _LONGEST, _HASH_DIGITS)
    fitted = (_fit(full, rule, _LONGEST, digits) for digits in lengths)
    return next((name for name in fitted if name not in taken), full)


def wire_id(id: str, target: Target) -> str:
    """Return a call id as the target takes it: the same for a call and its result."""
    if target.id_rule is None and target.id_length is None:
        return id
    rule = re.compile(target.id_rule) if target.id_rule else None
    longest = target.id_length or _LONGEST
    too_long = target.id_length is not None and len(id) > target.id_length
    if not too_long and (rule is None or rule.fullmatch(id)):
        return id
    return _fit(id, rule, longest, _HASH_DIGITS)


def _fit(text: str, rule: re.Pattern[str] | None, longest: int, digits: int) -> str:
    """Return a short, clean text with a hash of the original, as long as the rule lets it be."""
    digest = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    for candidate in _candidates(_UNSAFE.sub("_", text), digest, longest, digits):
        if rule is None or rule.fullmatch(candidate):
            return candidate
    return digest[:longest]


def _candidates(clean: str, digest: str, longest: int, digits: int) -> Iterator[str]:
    """Yield what a rule may accept, the most telling first."""
    for head in (clean, f"t{clean}"):
        for length in range(longest - digits - 1, 0, -1):
            yield f"{head[:length]}_{digest[:digits]}"
    # Rules without separators, such as Mistral's nine letters and digits for call ids.
    for length in range(min(longest, len(digest)), 0, -1):
        yield digest[:length]
