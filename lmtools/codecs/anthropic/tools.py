"""Tools and the choice among them, both ways.

::

    {"name": "ls", "description": "...", "input_schema": {...}, "strict": true, "cache_control":
    {...}} {"type": "web_search_20250305", "name": "web_search", "max_uses": 3} {"type": "auto" |
    "any" | "none", "disable_parallel_tool_use": true} {"type": "tool", "name": "ls"}

``type`` absent or ``custom`` is a function; any other type word names a tool that Anthropic defines
or runs itself, whose settings and version are this dialect's own.
"""

from __future__ import annotations

import re

from ...types import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Json,
    JsonObject,
    Tool,
    ToolChoice,
    ToolRef,
)
from ..custom_tools import describe, input_schema
from ..fields import Fields, report_foreign, restore
from .parts import Rendering
from .spelling import NAME, data_of, kept_key, parse_cache, render_cache

_TOOL_KEYS = ("type", "name", "description", "input_schema", "strict", "cache_control")
_CHOICE_KEYS = ("type", "name", "disable_parallel_tool_use")
_VERSION = re.compile(r"_\d{8}$")
_MODES = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}

#: What stands for a built-in tool that another dialect asked for: type word and name.
_BUILTINS = {
    "web_search": ("web_search_20250305", "web_search"),
    "web_fetch": ("web_fetch_20250910", "web_fetch"),
    "code_execution": ("code_execution_20250825", "code_execution"),
    "bash": ("bash_20250124", "bash"),
    "text_editor": ("text_editor_20250728", "str_replace_based_edit_tool"),
    "memory": ("memory_20250818", "memory"),
}


def parse_tool(value: Json, path: str) -> Tool:
    fields = Fields(value, path)
    kind = fields.rest.get("type")
    if kind.__class__ is str and kind != "custom":
        del fields.rest["type"]
        cache = parse_cache(fields)
        opaque = fields.kept(NAME, "tool", ("type", "name", "cache_control"), {"type": kind})
        return BuiltinTool(_VERSION.sub("", kind), cache, opaque)
    notes = {"type": fields.text("type")} if kind is not None else None
    name = fields.required_text("name")
    description, parameters = fields.text("description"), fields.object("input_schema")
    strict = fields.boolean("strict")
    cache = parse_cache(fields)
    opaque = fields.kept(NAME, "tool", _TOOL_KEYS, notes)
    return FunctionTool(name, description, parameters, strict, None, cache, opaque)


def render_tools(tools: tuple[Tool, ...], to: Rendering) -> list[JsonObject]:
    rendered = (render_tool(tool, f"tools[{i}]", to) for i, tool in enumerate(tools))
    return [tool for tool in rendered if tool is not None]


def render_tool(tool: Tool, path: str, to: Rendering) -> JsonObject | None:
    match tool:
        case FunctionTool():
            out = _function(tool, path, to)
        case CustomTool():
            out = _custom(tool, path, to)
        case BuiltinTool():
            found = _builtin(tool)
            if found is None:
                return to.drop(path, "anthropic has no built-in tool of this name")
            out = found
    report_foreign(tool.opaque, NAME, path, to.losses)
    if tool.cache is not None:
        out["cache_control"] = render_cache(tool.cache, f"{path}.cache", to.losses)
    return restore(out, tool.opaque, NAME, "tool")


def _function(tool: FunctionTool, path: str, to: Rendering) -> JsonObject:
    out: JsonObject = {}
    kind = data_of(tool.opaque, "tool").get("type")
    if kind is not None:
        out["type"] = kind
    out["name"] = to.tool_name(tool.name, tool.namespace, path)
    if tool.description is not None:
        out["description"] = tool.description
    if tool.parameters is not None:
        out["input_schema"] = tool.parameters
    else:
        # Required by the API; a function without a schema takes nothing.
        out["input_schema"] = {"type": "object", "properties": {}}
    if tool.strict is not None:
        out["strict"] = tool.strict
    return out


def _custom(tool: CustomTool, path: str, to: Rendering) -> JsonObject:
    name = to.tool_name(tool.name, tool.namespace, path)
    to.lose(
        path, "emulated", "anthropic has no free text tools; offered as a function with one string"
    )
    return {"name": name, "description": describe(tool), "input_schema": input_schema()}


def _builtin(tool: BuiltinTool) -> JsonObject | None:
    """Return the type word (and the name, where the wire does not keep it) of a built-in tool."""
    kind = data_of(tool.opaque, "tool").get("type")
    if kind is not None and _VERSION.sub("", kind) == tool.name:
        return {"type": kind}
    known = _BUILTINS.get(tool.name)
    return None if known is None else {"type": known[0], "name": known[1]}


def parse_tool_choice(value: Json, path: str) -> ToolChoice:
    fields = Fields(value, path)
    kind = fields.rest.get("type")
    mode = _MODES.get(kind) if kind.__class__ is str else None
    allowed: tuple[ToolRef, ...] = ()
    if mode is not None:
        del fields.rest["type"]
        allowed = (ToolRef(fields.required_text("name")),) if kind == "tool" else ()
    serial = fields.boolean("disable_parallel_tool_use")
    opaque = fields.kept(NAME, "tool_choice", _CHOICE_KEYS)
    return ToolChoice(mode, allowed, None if serial is None else not serial, opaque)


def render_tool_choice(choice: ToolChoice, to: Rendering) -> JsonObject | None:
    report_foreign(choice.opaque, NAME, "tool_choice", to.losses)
    out: JsonObject = {}
    if choice.mode is not None:
        out["type"] = "any" if choice.mode == "required" else choice.mode
    elif choice.parallel is False and not kept_key(choice.opaque, "tool_choice", "type"):
        out["type"] = "auto"
    elif not data_of(choice.opaque, "tool_choice"):
        # Only "parallel" was said, and several calls at once are Anthropic's own default.
        return None
    if choice.forced is not None:
        forced = choice.forced
        name = to.tool_name(forced.name, forced.namespace, "tool_choice.allowed[0]")
        if forced.kind == "custom":
            to.lose("tool_choice.allowed[0].kind", "emulated", "offered as a function")
        out |= {"type": "tool", "name": name}
    elif choice.allowed:
        to.lose(
            "tool_choice.allowed", "dropped", "anthropic cannot narrow the offered tools to several"
        )
    if choice.parallel is not None:
        out["disable_parallel_tool_use"] = not choice.parallel
    return restore(out, choice.opaque, NAME, "tool_choice")
