"""Tool names and call ids as one server takes them."""

from __future__ import annotations

import re

import pytest

from lmtools.codecs.base import Target
from lmtools.codecs.names import wire_id, wire_names
from lmtools.types import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    Message,
    Request,
    ToolCallPart,
    ToolsPart,
)

RULE = r"^[a-zA-Z0-9_-]{1,64}$"


def request(*names, history=(), tools=()):
    messages = [Message.user("Hi")]
    messages += [Message("assistant", (ToolCallPart("c", name, {}),)) for name in history]
    return Request("m", tuple(messages), tools=(*(FunctionTool(n) for n in names), *tools))


def named(request, *names, rule=RULE):
    maps = wire_names(request, Target(name_rule=rule))
    return [maps.wire(name) for name in names]


def test_names_that_fit_stay_as_they_are():
    maps = wire_names(request("ls", "read_file"), Target(name_rule=RULE))
    assert (maps.to_wire, maps.from_wire) == ({}, {})
    assert maps.wire("ls") == "ls"
    assert maps.canonical("ls") == (None, "ls")


def test_without_a_rule_every_name_stays():
    assert named(request("a b", "é" * 200), "a b", rule=None) == ["a b"]


@pytest.mark.parametrize("name", ["mcp.server.tool", "a b", "é", "x" * 65, "", "a/b:c"])
def test_a_name_out_of_rule_is_cleaned_and_comes_back(name):
    maps = wire_names(request(name, "ls"), Target(name_rule=RULE))
    wire = maps.wire(name)
    assert re.fullmatch(RULE, wire)
    assert maps.canonical(wire) == (None, name)


def test_names_that_begin_alike_or_clean_alike_stay_apart():
    names = ["x" * 70, "x" * 71, "a.b", "a:b", "a_b"]
    assert len(set(named(request(*names), *names))) == len(names)


def test_a_cleaned_name_never_takes_the_name_of_another_tool():
    taken = named(request("a.b"), "a.b")[0]
    names = ["a.b", taken]
    wire = named(request(*names), *names)
    assert wire[1] == taken
    assert wire[0] not in names


def test_the_name_is_the_same_whatever_else_is_offered():
    alone = named(request("a.b"), "a.b")
    assert named(request("z.z", "a.b", "ls"), "a.b") == alone
    assert named(request("ls", history=["a.b"]), "a.b") == alone


def test_tools_of_the_history_and_of_messages_are_named_too():
    part = ToolsPart((FunctionTool("in.message"), BuiltinTool("web.search")))
    asked = Request(
        "m",
        (Message("user", (part,)), Message("assistant", (ToolCallPart("c", "gone.tool", {}),))),
        tools=(CustomTool("cus.tom"), BuiltinTool("bash.2")),
    )
    maps = wire_names(asked, Target(name_rule=RULE))
    assert {key[1] for key in maps.to_wire} == {"in.message", "gone.tool", "cus.tom"}


def test_a_namespace_goes_into_the_name_and_comes_back():
    spaced = FunctionTool("exec", namespace="functions")
    maps = wire_names(request("exec", tools=[spaced]), Target())
    wire = maps.wire("exec", "functions")
    assert wire == "functions__exec"
    assert maps.wire("exec") == "exec"
    assert maps.canonical(wire) == ("functions", "exec")


def test_a_namespace_that_would_make_a_taken_name_gets_a_hash():
    spaced = FunctionTool("exec", namespace="functions")
    maps = wire_names(request("functions__exec", tools=[spaced]), Target())
    assert maps.wire("functions__exec") == "functions__exec"
    assert maps.wire("exec", "functions") not in ("functions__exec", "exec")


def test_two_namespaces_that_would_make_one_name_stay_apart():
    tools = (FunctionTool("c", namespace="a__b"), FunctionTool("b__c", namespace="a"))
    maps = wire_names(request(tools=tools), Target())
    wires = [maps.wire(tool.name, tool.namespace) for tool in tools]
    assert len(set(wires)) == 2
    assert [maps.canonical(wire) for wire in wires] == [(t.namespace, t.name) for t in tools]


@pytest.mark.parametrize(
    ("rule", "length", "id"),
    [
        (r"^[a-zA-Z0-9_-]+$", None, "call:1/2"),
        (None, 40, "call_" + "x" * 80),
        (r"^[a-zA-Z0-9]{9}$", 9, "call_1"),
        (r"^[a-z][a-z0-9_]*$", None, "1:2"),
        (None, 9, "é" * 20),
    ],
)
def test_a_call_id_out_of_rule_is_remade_the_same_each_time(rule, length, id):
    target = Target(id_rule=rule, id_length=length)
    wire = wire_id(id, target)
    assert wire == wire_id(id, target) != id
    assert rule is None or re.fullmatch(rule, wire)
    assert length is None or len(wire) <= length
    assert wire != wire_id(id + "x", target)


def test_a_call_id_that_fits_stays():
    assert wire_id("call_1", Target()) == "call_1"
    assert wire_id("call_1", Target(id_rule=r"^[a-z0-9_]+$", id_length=10)) == "call_1"


def test_a_rule_that_nothing_fits_still_gives_a_short_id():
    assert len(wire_id("call:1", Target(id_rule=r"^$", id_length=12))) <= 12
