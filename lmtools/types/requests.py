"""Messages and requests.

``Request.messages`` holds the whole conversation in order, system and developer messages in their
places: a leading run of them is what Anthropic calls ``system`` and Responses ``instructions``.
Constructors check types, not the conversation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, is_dataclass
from operator import attrgetter
from typing import Any

from ..errors import RequestError
from . import check
from .json import JsonObject, check_json, check_text
from .opaque import Opaque, opaque_field
from .parts import PART_CLASSES, CacheMark, Part, TextPart, ToolResultPart
from .tools import TOOL_CLASSES, Tool, ToolChoice
from .value import value_class

ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
REASONING_MODES = frozenset({"enabled", "adaptive", "disabled"})
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
OUTPUT_FORMATS = frozenset({"text", "json_object", "json_schema"})

#: What the message constructors take for content.
Content = str | Part | Sequence[str | Part]


def as_parts(content: Content) -> tuple[Part, ...]:
    """Return parts from a string, a part, or a sequence of both."""
    if isinstance(content, str):
        return (TextPart(content),)
    if isinstance(content, PART_CLASSES):
        return (content,)  # type: ignore[return-value]
    return tuple(TextPart(c) if isinstance(c, str) else c for c in content)  # type: ignore[union-attr]


@value_class(frozen=True, slots=True)
class Message:
    """One turn. Tool results stand in a ``tool`` message, or in a ``user`` one (Anthropic)."""

    role: str
    parts: tuple[Part, ...]
    name: str | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        if self.role.__class__ is not str or self.role not in ROLES:
            check.word(self, "role", ROLES)
        parts: object = self.parts
        if isinstance(parts, str):
            raise TypeError("Message.parts: expected parts, got a string; use Message.user(text)")
        check.values(self, "parts", PART_CLASSES)
        check.maybe_text(self, "name")
        opaque_field(self)

    @classmethod
    def system(cls, content: Content) -> Message:
        return cls("system", as_parts(content))

    @classmethod
    def developer(cls, content: Content) -> Message:
        return cls("developer", as_parts(content))

    @classmethod
    def user(cls, content: Content) -> Message:
        return cls("user", as_parts(content))

    @classmethod
    def assistant(cls, content: Content) -> Message:
        return cls("assistant", as_parts(content))

    @classmethod
    def tool(
        cls, results: Mapping[str, Content] | ToolResultPart | Sequence[ToolResultPart]
    ) -> Message:
        """Return the results of calls: ``{call id: result}``, or result parts, in that order."""
        if isinstance(results, Mapping):
            given = [ToolResultPart(call, as_parts(result)) for call, result in results.items()]
            return cls("tool", tuple(given))
        return cls("tool", (results,) if isinstance(results, ToolResultPart) else tuple(results))

    @property
    def text(self) -> str:
        """The text parts joined, without separator."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@value_class(frozen=True, slots=True)
class Reasoning:
    """How much the model shall think.

    ``mode`` switches (None: not said), ``budget`` is in tokens, ``effort`` one of ``EFFORTS``,
    ``summary`` what of the reasoning shall be shown: auto, concise, detailed or none.
    """

    mode: str | None = None
    effort: str | None = None
    budget: int | None = None
    summary: str | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.maybe_word(self, "mode", REASONING_MODES)
        check.maybe_word(self, "effort", EFFORTS)
        check.maybe_int(self, "budget", 0)
        check.maybe_text(self, "summary")
        opaque_field(self)


@value_class(frozen=True, slots=True)
class OutputFormat:
    """The form of the answer. All but ``type`` go with json_schema; ``schema`` is a JSON Schema."""

    type: str = "text"
    schema: JsonObject | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.word(self, "type", OUTPUT_FORMATS)
        check.maybe_json_object(self, "schema")
        check.maybe_text(self, "name")
        check.maybe_text(self, "description")
        check.maybe_bool(self, "strict")
        opaque_field(self)


@value_class(frozen=True, slots=True)
class Request:
    """One request to a model, in no dialect's words.

    None is "not said". ``max_tokens`` bounds the output, reasoning included. ``extensions`` is the
    caller's own door: ``{dialect or provider: JSON object}``, merged into the body last.
    ``include_usage`` asks for usage in a stream where the dialect wants to be asked.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    stream: bool | None = None
    include_usage: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: tuple[str, ...] = ()
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning: Reasoning | None = None
    output: OutputFormat | None = None
    verbosity: str | None = None
    cache: CacheMark | None = None
    cache_key: str | None = None
    cache_retention: str | None = None
    user: str | None = None
    metadata: JsonObject | None = None
    service_tier: str | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    extensions: JsonObject = field(default_factory=dict)
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.text(self, "model")
        check.values(self, "messages", Message)
        check.values(self, "tools", TOOL_CLASSES)
        check.values(self, "stop", str)
        if _nested(self) != _NO_NESTED:
            for name, cls in _NESTED:
                check.maybe_value(self, name, cls)
        for names, held, nothing, examine in _OPTIONAL:
            # Most of these are said in few requests: one look at all of a kind, then at each.
            if held(self) != nothing:
                for name in names:
                    examine(self, name)
        check.json_object(self, "extensions")
        opaque_field(self)


_NESTED: tuple[tuple[str, type], ...] = (
    ("tool_choice", ToolChoice),
    ("reasoning", Reasoning),
    ("output", OutputFormat),
    ("cache", CacheMark),
)
_nested = attrgetter(*(name for name, _ in _NESTED))
_NO_NESTED = (None,) * len(_NESTED)
_CHECKS: tuple[tuple[Callable[[Any, str], None], tuple[str, ...]], ...] = (
    (check.maybe_bool, ("stream", "include_usage", "logprobs", "store")),
    (check.maybe_int, ("max_tokens", "top_k", "seed", "n", "top_logprobs")),
    (
        check.maybe_number,
        ("temperature", "top_p", "frequency_penalty", "presence_penalty"),
    ),
    (
        check.maybe_text,
        (
            "verbosity",
            "cache_key",
            "cache_retention",
            "user",
            "service_tier",
            "previous_response_id",
        ),
    ),
    (check.maybe_json_object, ("metadata",)),
)
#: Names, what a request holds of them, that of one that says none of them, and their check.
_OPTIONAL = tuple(
    (names, attrgetter(*names), (None,) * len(names) if len(names) > 1 else None, examine)
    for examine, names in _CHECKS
)


def check_request(request: Request) -> None:
    """Check what a library user constructed, at every depth; RequestError names the path.

    Codecs do not call this: what they parse is JSON from our own parser already.
    """
    if not request.model:
        raise RequestError("is empty; name a model", path="model")
    if not request.messages:
        raise RequestError("is empty; give at least one message", path="messages")
    for path, value in _leaves(request, ""):
        if isinstance(value, str):
            check_text(value, path)
        else:
            check_json(value, path)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield (path, str or JSON value) of every leaf of a tree of canonical values."""
    for name, declared in value.__dataclass_fields__.items():
        held = getattr(value, name)
        where = f"{path}.{name}" if path else name
        if isinstance(held, str) or declared.type.startswith("Json"):
            yield where, held
        elif isinstance(held, tuple):
            for i, item in enumerate(held):
                if isinstance(item, str):
                    yield f"{where}[{i}]", item
                else:
                    yield from _leaves(item, f"{where}[{i}]")
        elif is_dataclass(held):
            yield from _leaves(held, where)
