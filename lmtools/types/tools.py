"""Tools offered to a model, and the choice among them."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, ClassVar

from . import check
from .json import JsonObject
from .opaque import Opaque, opaque_field
from .value import value_class

if TYPE_CHECKING:
    from .parts import CacheMark

TOOL_KINDS = frozenset({"function", "custom", "builtin"})
TOOL_CHOICE_MODES = frozenset({"auto", "required", "none"})


def _empty_schema() -> JsonObject:
    return {"type": "object", "properties": {}}


@value_class(frozen=True, slots=True)
class FunctionTool:
    """A tool whose input is a JSON object that fits ``parameters`` (a JSON Schema)."""

    name: str
    description: str | None = None
    parameters: JsonObject | None = field(default_factory=_empty_schema)
    strict: bool | None = None
    namespace: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "function"

    def __post_init__(self) -> None:
        check.text(self, "name")
        check.maybe_text(self, "description")
        check.maybe_json_object(self, "parameters")
        check.maybe_bool(self, "strict")
        check.maybe_text(self, "namespace")
        opaque_field(self)


@value_class(frozen=True, slots=True)
class CustomTool:
    """A tool whose input is free text, optionally bound by a grammar in ``format``."""

    name: str
    description: str | None = None
    format: JsonObject | None = None
    namespace: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        check.text(self, "name")
        check.maybe_text(self, "description")
        check.maybe_json_object(self, "format")
        check.maybe_text(self, "namespace")
        opaque_field(self)


@value_class(frozen=True, slots=True)
class BuiltinTool:
    """A tool that the provider runs or defines itself.

    ``name`` is the general word (``web_search``, ``code_execution``, ``bash``), whatever
    version word the dialect uses; that word and the settings are the dialect's opaque data.
    """

    name: str
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "builtin"

    def __post_init__(self) -> None:
        check.text(self, "name")
        opaque_field(self)


Tool = FunctionTool | CustomTool | BuiltinTool
TOOL_CLASSES: tuple[type, ...] = (FunctionTool, CustomTool, BuiltinTool)


@value_class(frozen=True, slots=True)
class ToolRef:
    """The name of an offered tool, with its kind."""

    name: str
    kind: str = "function"
    namespace: str | None = None

    def __post_init__(self) -> None:
        check.text(self, "name")
        check.word(self, "kind", TOOL_KINDS)
        check.maybe_text(self, "namespace")


@value_class(frozen=True, slots=True)
class ToolChoice:
    """Which tools the model may or must call.

    ``mode`` None says nothing (only ``parallel`` is said). ``allowed`` narrows the offered tools;
    ``required`` with exactly one allowed tool is the forced call of that tool. ``parallel`` False
    allows at most one call in an answer.
    """

    mode: str | None = None
    allowed: tuple[ToolRef, ...] = ()
    parallel: bool | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.maybe_word(self, "mode", TOOL_CHOICE_MODES)
        check.values(self, "allowed", ToolRef)
        check.maybe_bool(self, "parallel")
        opaque_field(self)

    @property
    def forced(self) -> ToolRef | None:
        """The one tool that must be called, if this choice names one."""
        if self.mode == "required" and len(self.allowed) == 1:
            return self.allowed[0]
        return None
