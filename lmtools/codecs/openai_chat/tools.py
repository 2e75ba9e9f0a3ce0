"""Tools, the choice among them, and calls: both directions.

``functions``, ``function_call`` and the role ``function`` are the words of before tools. They are
read as tools, and written again as they came: a tool, a call or a choice keeps the note ``legacy``.
"""

from __future__ import annotations

from dataclasses import replace

from ...errors import RequestError
from ...types import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Json,
    JsonObject,
    Opaque,
    OpaquePart,
    Part,
    Request,
    Tool,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    find_opaque,
)
from ..arguments import format_arguments, parse_arguments
from ..base import Loss, Losses
from ..custom_tools import describe, input_schema, unwrap_input, wrap_input
from ..fields import Fields, report_foreign, wrong
from ..names import ToolKey, WireNames
from .wire import NAME, Shape

TOOL = Shape("tool", ("type", "function", "custom"), {"type": "function"})
FUNCTION = Shape("function", ("name", "description", "parameters", "strict"))
CUSTOM = Shape("custom", ("name", "description", "format"))
FORMAT = Shape("format", ("type", "grammar"))
GRAMMAR = Shape("grammar", ("definition", "syntax"))
CHOICE = Shape("tool_choice", ("type", "function", "custom", "allowed_tools"))
CHOSEN = Shape("chosen", ("name",))
ALLOWED = Shape("allowed_tools", ("mode", "tools"))
CALL = Shape("tool_call", ("id", "type", "function", "custom"), {"type": "function"})
#: What Google's server keeps on a call; the kind of that state.
EXTRA = "extra_content"
CALLED = Shape("called", ("name", "arguments", "input"))

#: The word in ``Target.refuses`` of a server without custom tools.
CUSTOM_TOOLS = "custom_tools"

_CHOICE_MODES = ("auto", "required", "none")


def is_legacy(request: Request) -> bool:
    """Tell whether the client offered functions in the words of before tools."""
    return any(TOOL.note(tool.opaque, "legacy") for tool in request.tools)


# Tools


def parse_tool(value: Json, path: str) -> Tool:
    fields = Fields(value, path)
    kind = fields.rest.get("type", "function")
    if kind == "function" and isinstance(fields.rest.get("function"), dict):
        return _parse_function_tool(fields, value)
    if kind == "custom" and isinstance(fields.rest.get("custom"), dict):
        return _parse_custom_tool(fields, value)
    if not isinstance(kind, str) or kind in ("function", "custom"):
        raise RequestError("expected a tool: its type and an object of that name", path=path)
    del fields.rest["type"]
    data = {"rest": fields.rest, "keys": list(value)}
    return BuiltinTool(kind, opaque=(Opaque(NAME, "builtin", data),))


def _parse_function_tool(fields: Fields, wire: JsonObject) -> FunctionTool:
    definition = fields.rest.pop("function")
    tool = parse_function(definition, fields.at("function"))
    return _with_opaque(tool, TOOL.keep(fields, wire))


def _with_opaque(tool: FunctionTool, outer: tuple[Opaque, ...]) -> FunctionTool:
    if not outer:
        return tool
    return FunctionTool(
        tool.name, tool.description, tool.parameters, tool.strict, opaque=(*outer, *tool.opaque)
    )


def parse_function(definition: Json, path: str, *, legacy: bool = False) -> FunctionTool:
    fields = Fields(definition, path)
    name, description = fields.required_text("name"), fields.text("description")
    parameters, strict = fields.object("parameters"), fields.boolean("strict")
    note = (Opaque(NAME, "tool", {"legacy": True}),) if legacy else ()
    opaque = (*note, *FUNCTION.keep(fields, definition))
    return FunctionTool(name, description, parameters, strict, opaque=opaque)


def _parse_custom_tool(fields: Fields, wire: JsonObject) -> CustomTool:
    definition = fields.rest.pop("custom")
    inner = Fields(definition, fields.at("custom"))
    name, description = inner.required_text("name"), inner.text("description")
    format, kept = _parse_format(inner.object("format"), inner.at("format"))
    del fields.rest["type"]
    opaque = (*TOOL.keep(fields, wire), *CUSTOM.keep(inner, definition), *kept)
    return CustomTool(name, description, format, opaque=opaque)


def _parse_format(
    wire: JsonObject | None, path: str
) -> tuple[JsonObject | None, tuple[Opaque, ...]]:
    """Return a custom tool's format in the flat form ``{type, syntax, definition}``.

    Chat nests a grammar one deeper than Responses does (SDK: ``CustomFormatGrammar`` against
    ``CustomToolInputFormat``). Any other format stays as it is.
    """
    grammar = wire.get("grammar") if wire else None
    if wire is None or wire.get("type") != "grammar" or not isinstance(grammar, dict):
        return wire, ()
    outer, inner = Fields(wire, path), Fields(grammar, f"{path}.grammar")
    del outer.rest["grammar"], outer.rest["type"]
    flat = {
        "type": "grammar",
        "syntax": inner.text("syntax"),
        "definition": inner.text("definition"),
    }
    format = {key: value for key, value in flat.items() if value is not None}
    return format, (*FORMAT.keep(outer, wire), *GRAMMAR.keep(inner, grammar))


def _render_format(format: JsonObject, opaque: tuple[Opaque, ...]) -> JsonObject:
    if format.get("type") != "grammar" or "grammar" in format:
        return format
    grammar = {key: value for key, value in format.items() if key != "type"}
    return FORMAT.fill({"type": "grammar", "grammar": GRAMMAR.fill(grammar, opaque)}, opaque)


def render_tool(
    tool: Tool, path: str, names: WireNames, losses: Losses, *, wrap: bool = False
) -> JsonObject | None:
    """Return the tool, or None for a builtin of another dialect (the loss is recorded).

    ``wrap``: the server knows no custom tools, so a function with one text stands for each.
    """
    if tool.cache is not None:
        losses.append(Loss(f"{path}.cache", "dropped", "Chat has no cache marks on tools"))
    if isinstance(tool, BuiltinTool):
        return _render_builtin(tool, path, losses)
    report_foreign(tool.opaque, NAME, path, losses)
    if tool.namespace is not None:
        losses.append(Loss(f"{path}.namespace", "emulated", "Chat has none; it is in the name"))
    out: JsonObject = {"name": names.wire(tool.name, tool.namespace)}
    if isinstance(tool, CustomTool) and wrap:
        losses.append(Loss(path, "emulated", "the server has no custom tools; sent as a function"))
        return {
            "type": "function",
            "function": {**out, "description": describe(tool), "parameters": input_schema()},
        }
    if tool.description is not None:
        out["description"] = tool.description
    if isinstance(tool, CustomTool):
        if tool.format is not None:
            out["format"] = _render_format(tool.format, tool.opaque)
        return TOOL.fill({"type": "custom", "custom": CUSTOM.fill(out, tool.opaque)}, tool.opaque)
    return _render_function(tool, out)


def _render_function(tool: FunctionTool, out: JsonObject) -> JsonObject:
    if tool.parameters is not None:
        out["parameters"] = tool.parameters
    if tool.strict is not None:
        out["strict"] = tool.strict
    definition = FUNCTION.fill(out, tool.opaque)
    if TOOL.note(tool.opaque, "legacy"):
        return definition
    return TOOL.fill({"function": definition}, tool.opaque)


def _render_builtin(tool: BuiltinTool, path: str, losses: Losses) -> JsonObject | None:
    if find_opaque(tool.opaque, NAME, "builtin") is None:
        losses.append(Loss(path, "dropped", f"Chat has no builtin tool {tool.name}"))
        return None
    return Shape("builtin", ("type",)).fill({"type": tool.name}, tool.opaque)


# The choice


def parse_choice(value: Json, parallel: bool | None, path: str) -> ToolChoice | None:
    """Return the choice; None when ``value`` is one that no canonical field says."""
    if value is None:
        return None if parallel is None else ToolChoice(parallel=parallel)
    if isinstance(value, str):
        # Some servers know Anthropic's word for "required".
        mode = "required" if value == "any" else value
        note = (Opaque(NAME, "tool_choice", {"word": value}),) if mode != value else ()
        return ToolChoice(mode, (), parallel, note) if mode in _CHOICE_MODES else None
    if value.__class__ is not dict:
        raise wrong(path, "a string or an object", value)
    kind = value.get("type")
    if kind == "allowed_tools":
        return _parse_allowed(value, parallel, path)
    ref = _parse_ref(value, path, "")
    if ref is None:
        return None
    return ToolChoice("required", (ref[0],), parallel, ref[1])


def _parse_ref(
    value: Json, path: str, suffix: str, shape: Shape = CHOICE
) -> tuple[ToolRef, tuple[Opaque, ...]] | None:
    """Return a named tool; ``suffix`` tells the opaque data of several apart."""
    if value.__class__ is not dict or value.get("type") not in ("function", "custom"):
        return None
    kind = value["type"]
    fields = Fields(value, path)
    definition = fields.object(kind)
    if definition is None:
        return None
    inner = Fields(definition, fields.at(kind))
    name = inner.required_text("name")
    del fields.rest["type"]
    outer, chosen = _numbered(shape, suffix), _numbered(CHOSEN, suffix)
    return ToolRef(name, kind), (*outer.keep(fields, value), *chosen.keep(inner, definition))


def _numbered(shape: Shape, suffix: str) -> Shape:
    return Shape(f"{shape.kind}{suffix}", shape.keys, shape.always) if suffix else shape


def _parse_allowed(value: JsonObject, parallel: bool | None, path: str) -> ToolChoice | None:
    fields = Fields(value, path)
    definition = fields.object("allowed_tools")
    if definition is None:
        return None
    inner = Fields(definition, fields.at("allowed_tools"))
    mode, listed = inner.text("mode"), inner.array("tools")
    found = [
        _parse_ref(item, f"{inner.path}.tools[{i}]", f"[{i}]")
        for i, item in enumerate(listed or ())
    ]
    refs = [ref for ref in found if ref is not None]
    if mode not in _CHOICE_MODES or not refs or len(refs) < len(found):
        return None
    del fields.rest["type"]
    opaque = [*CHOICE.keep(fields, value), *ALLOWED.keep(inner, definition, {"said": True})]
    for _, kept in refs:
        opaque.extend(kept)
    return ToolChoice(mode, tuple(ref for ref, _ in refs), parallel, tuple(opaque))


def render_choice(choice: ToolChoice, names: WireNames, *, wrap: bool = False) -> Json:
    """Return ``tool_choice``, None when it is not said; ``wrap`` as in ``render_tool``."""
    if wrap:
        refs = tuple(ToolRef(ref.name, "function", ref.namespace) for ref in choice.allowed)
        choice = ToolChoice(choice.mode, refs, choice.parallel, choice.opaque)
    opaque = choice.opaque
    if choice.mode is None:
        return None
    if not choice.allowed:
        word = CHOICE.note(opaque, "word")
        return word if word == "any" and choice.mode == "required" else choice.mode
    if choice.forced is not None and not ALLOWED.note(opaque, "said"):
        return _render_ref(choice.forced, names, opaque, "")
    tools = [_render_ref(ref, names, opaque, f"[{i}]") for i, ref in enumerate(choice.allowed)]
    allowed = ALLOWED.fill({"mode": choice.mode, "tools": tools}, opaque)
    return CHOICE.fill({"type": "allowed_tools", "allowed_tools": allowed}, opaque)


def _render_ref(
    ref: ToolRef, names: WireNames, opaque: tuple[Opaque, ...], suffix: str
) -> JsonObject:
    kind = "custom" if ref.kind == "custom" else "function"
    name = {"name": names.wire(ref.name, ref.namespace)}
    chosen = _numbered(CHOSEN, suffix).fill(name, opaque)
    return _numbered(CHOICE, suffix).fill({"type": kind, kind: chosen}, opaque)


# Calls


def parse_call(
    value: Json,
    path: str,
    names: WireNames,
    minted: str | None = None,
    origin: str | None = None,
) -> Part:
    """Return a call of ``tool_calls``; ``minted`` is the id to give where the wire has none.

    ``origin`` is whose state an answer's call carries; without one it stays where it is.
    """
    fields = Fields(value, path)
    kind = fields.rest.get("type")
    if kind is None:
        kind = "custom" if "custom" in fields.rest and "function" not in fields.rest else "function"
    if kind not in ("function", "custom"):
        return OpaquePart(Opaque(NAME, "tool_call", {"rest": value}))
    definition = fields.any(kind)
    inner = Fields(definition, fields.at(kind))
    id = fields.text("id")
    if not id and minted is not None:
        id = minted
    if id is None:
        raise fields.missing("id", "a string that names the call")
    name = inner.required_text("name")
    if kind == "custom":
        fields.rest.pop("type", None)
        text: str | None = inner.text("input") or ""
        input: Json = text
    else:
        input, text = _take_arguments(inner)
    state = take_state(fields.rest, origin)
    opaque = (*CALL.keep(fields, value), *CALLED.keep(inner, definition, _said(definition)), *state)
    namespace, name = names.canonical(name)
    return ToolCallPart(id, name, input, text, kind, namespace, opaque=opaque)


def take_state(wire: JsonObject, origin: str | None) -> tuple[Opaque, ...]:
    """Take the state that a server keeps on a call of its answer, or on its message.

    Google's server of this dialect signs the first call of each step, and an answer without calls,
    and wants the signature back where it stood (ai.google.dev/gemini-api/docs/thought-signatures,
    OpenAI compatibility)::

        "extra_content": {"google": {"thought_signature": "..."}}
    """
    held = wire.get(EXTRA)
    if origin is None or held.__class__ is not dict or not held:
        return ()
    del wire[EXTRA]
    return (Opaque(NAME, EXTRA, {EXTRA: held}, origin),)


def extra_state(opaque: tuple[Opaque, ...]) -> Opaque | None:
    """Return the state of that kind for a server of this dialect, where it is whole."""
    for item in opaque:
        if item.dialect == NAME and item.kind == EXTRA:
            return item if isinstance(item.data.get(EXTRA), dict) else None
    return None


def _take_arguments(fields: Fields) -> tuple[Json, str | None]:
    """Return (input, text). Some clients and servers send the object itself, or nothing."""
    given = fields.rest.get("arguments")
    if given.__class__ is dict:
        return fields.any("arguments"), None
    text = fields.text("arguments")
    if text is None:
        return {}, None
    return parse_arguments(text)[0], text


def _said(definition: JsonObject) -> JsonObject:
    given = definition.get("arguments")
    if given.__class__ is dict:
        return {"arguments": "object"}
    if given is None and definition.get("input") is None:
        return {"arguments": "none"}
    return {}


def parse_legacy_call(value: JsonObject, path: str, names: WireNames, id: str) -> ToolCallPart:
    fields = Fields(value, path)
    namespace, name = names.canonical(fields.required_text("name"))
    input, text = _take_arguments(fields)
    opaque = CALLED.keep(fields, value, {"legacy": id, **_said(value)})
    return ToolCallPart(id, name, input, text, namespace=namespace, opaque=opaque)


def as_custom(part: Part, custom: frozenset[ToolKey]) -> Part:
    """Return a call of a custom tool as one, when the server called it as a function."""
    if not isinstance(part, ToolCallPart) or part.kind != "function":
        return part
    if (part.namespace, part.name) not in custom:
        return part
    input, right = parse_arguments(part.text) if part.text is not None else (part.input, True)
    text = part.text if not right else unwrap_input(input) if input else ""
    return replace(part, input=text, text=text, kind="custom", opaque=_states(part))


def wrapped_call(part: ToolCallPart) -> ToolCallPart:
    """Return a custom call as a call of the function that stands for its tool."""
    text = format_arguments(part.input, part.text)
    return replace(part, input=wrap_input(text), text=None, kind="function", opaque=_states(part))


def _states(part: ToolCallPart) -> tuple[Opaque, ...]:
    """Return what belongs to a call however it is spelled."""
    return tuple(item for item in part.opaque if item.kind == EXTRA)


def render_call(
    part: ToolCallPart, id: str, names: WireNames, state: Opaque | None = None
) -> JsonObject:
    """Return the call; ``state`` is what of its state may go where it goes."""
    kind = "custom" if part.kind == "custom" else "function"
    out: JsonObject = {"id": id, kind: render_called(part, names)}
    if part.kind == "custom" and "type" not in (CALL.note(part.opaque, "absent") or ()):
        out["type"] = "custom"
    if state is not None:
        out[EXTRA] = state.data[EXTRA]
    return CALL.fill(out, part.opaque)


def render_called(part: ToolCallPart, names: WireNames) -> JsonObject:
    """Return what a call names and gives: the inner object, and the whole of a legacy call."""
    out: JsonObject = {"name": names.wire(part.name, part.namespace)}
    if part.kind == "custom":
        text = format_arguments(part.input, part.text)
        if text or CALLED.note(part.opaque, "arguments") != "none":
            out["input"] = text
        return CALLED.fill(out, part.opaque)
    spelling = CALLED.note(part.opaque, "arguments")
    if part.text is None and spelling == "object":
        out["arguments"] = part.input
    elif part.text is not None or part.input or spelling != "none":
        out["arguments"] = format_arguments(part.input, part.text)
    return CALLED.fill(out, part.opaque)


def says_legacy(part: ToolCallPart) -> bool:
    """Tell whether a call is a ``function_call``, whose id is a minted one."""
    return bool(CALLED.note(part.opaque, "legacy") == part.id)
