from __future__ import annotations

import pytest

from lmtools.codecs.anthropic.parts import Rendering
from lmtools.codecs.anthropic.tools import (
    parse_tool,
    parse_tool_choice,
    render_tool,
    render_tool_choice,
    render_tools,
)
from lmtools.codecs.text import dumps
from lmtools.types import (
    BuiltinTool,
    CacheMark,
    CustomTool,
    FunctionTool,
    Opaque,
    ToolChoice,
    ToolRef,
)
from tests.codecs.anthropic.wire import plant, said

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}

WIRE = [
    {"name": "ls", "input_schema": SCHEMA},
    {"name": "ls", "description": "", "input_schema": {}, "strict": False},
    {"type": "custom", "name": "ls", "input_schema": SCHEMA, "defer_loading": True},
    {"type": None, "name": "ls", "description": None, "input_schema": SCHEMA},
    {"input_schema": SCHEMA, "name": "ls", "cache_control": {"type": "ephemeral"}},
    {"name": "ls", "input_schema": SCHEMA, "allowed_callers": ["direct"], "input_examples": [{}]},
    {"type": "web_search_20250305", "name": "web_search", "max_uses": 3, "user_location": None},
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"name": "computer", "type": "computer_20250124", "display_width_px": 800},
    {"type": "mcp_toolset", "mcp_server_name": "s", "cache_control": {"type": "ephemeral"}},
    {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"},
]


@pytest.mark.parametrize("wire", WIRE, ids=lambda wire: dumps(wire)[:60])
@pytest.mark.parametrize("change", [lambda tool: tool, plant], ids=["as-sent", "new-keys"])
def test_a_tool_comes_out_as_it_went_in(wire, change):
    wire, to = change(wire), Rendering()

    rendered = render_tool(parse_tool(wire, "tools[0]"), "tools[0]", to)

    assert dumps(rendered) == dumps(wire)
    assert to.losses == []


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("web_search_20250305", "web_search"),
        ("bash_20250124", "bash"),
        ("text_editor_20250728", "text_editor"),
        ("mcp_toolset", "mcp_toolset"),
    ],
)
def test_versions_are_no_part_of_a_built_in_tools_name(word, name):
    tool = parse_tool({"type": word, "name": "x", "cache_control": {"type": "ephemeral"}}, "t")

    assert isinstance(tool, BuiltinTool)
    assert (tool.name, tool.cache) == (name, CacheMark())


def test_functions_are_functions():
    wire = {"name": "ls", "description": "d", "input_schema": SCHEMA, "strict": True}

    assert parse_tool(wire, "t") == FunctionTool("ls", "d", SCHEMA, True)


FOREIGN = [
    (
        FunctionTool("f", parameters=None),
        {"name": "f", "input_schema": {"type": "object", "properties": {}}},
        [],
    ),
    (
        FunctionTool("f", parameters=SCHEMA, namespace="n"),
        {"name": "f", "input_schema": SCHEMA},
        [("tools[0].namespace", "substituted")],
    ),
    (
        BuiltinTool("web_search", opaque=(Opaque("other", "tool", {"rest": {"size": 1}}),)),
        {"type": "web_search_20250305", "name": "web_search"},
        [("tools[0].size", "dropped")],
    ),
    (BuiltinTool("telepathy"), None, [("tools[0]", "dropped")]),
]


@pytest.mark.parametrize(("tool", "wire", "losses"), FOREIGN, ids=lambda case: str(case)[:40])
def test_tools_of_other_dialects(tool, wire, losses):
    to = Rendering()

    assert render_tools((tool,), to) == ([] if wire is None else [wire])
    assert said(to.losses) == losses


def test_a_custom_tool_is_offered_as_a_function_with_one_string():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    to = Rendering()

    wire = render_tool(CustomTool("edit", "Edits files.", grammar), "tools[0]", to)

    assert wire is not None
    assert wire["input_schema"]["required"] == ["input"]
    assert wire["description"].startswith("Edits files.\n\n")
    assert "start: /.+/" in wire["description"]
    assert said(to.losses) == [("tools[0]", "emulated")]


CHOICES = [
    ({"type": "auto"}, ToolChoice("auto")),
    ({"type": "any"}, ToolChoice("required")),
    ({"type": "none"}, ToolChoice("none")),
    ({"type": "tool", "name": "ls"}, ToolChoice("required", (ToolRef("ls"),))),
    ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice("auto", parallel=False)),
    ({"type": "any", "disable_parallel_tool_use": False}, ToolChoice("required", parallel=True)),
]


@pytest.mark.parametrize(("wire", "choice"), CHOICES)
def test_choice_and_wire_are_the_same_thing(wire, choice):
    assert parse_tool_choice(wire, "tool_choice") == choice
    assert render_tool_choice(choice, Rendering()) == wire


@pytest.mark.parametrize(
    "wire",
    [
        {"disable_parallel_tool_use": True, "type": "auto"},
        {"type": "tomorrow", "name": "x", "disable_parallel_tool_use": True},
        {"type": "tomorrow"},
        {"type": 7},
    ],
)
def test_a_choice_of_tomorrow_comes_out_as_it_went_in(wire):
    to = Rendering()

    assert dumps(render_tool_choice(parse_tool_choice(plant(wire), ""), to)) == dumps(plant(wire))
    assert to.losses == []


@pytest.mark.parametrize(
    ("choice", "wire", "losses"),
    [
        (ToolChoice(parallel=False), {"type": "auto", "disable_parallel_tool_use": True}, []),
        (ToolChoice(parallel=True), None, []),
        (
            ToolChoice("auto", (ToolRef("a"),)),
            {"type": "auto"},
            [("tool_choice.allowed", "dropped")],
        ),
        (
            ToolChoice("required", (ToolRef("a"), ToolRef("b"))),
            {"type": "any"},
            [("tool_choice.allowed", "dropped")],
        ),
        (
            ToolChoice("required", (ToolRef("a", "custom"),)),
            {"type": "tool", "name": "a"},
            [("tool_choice.allowed[0].kind", "emulated")],
        ),
        (
            ToolChoice("none", opaque=(Opaque("other", "choice", {"rest": {"x": 1}}),)),
            {"type": "none"},
            [("tool_choice.x", "dropped")],
        ),
    ],
)
def test_choices_of_other_dialects(choice, wire, losses):
    to = Rendering()

    assert render_tool_choice(choice, to) == wire
    assert said(to.losses) == losses
