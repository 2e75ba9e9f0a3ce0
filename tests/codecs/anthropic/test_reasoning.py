from __future__ import annotations

from typing import Any

import pytest

from lmtools.codecs.text import dumps
from lmtools.types import Message, Opaque, OutputFormat, Reasoning, Request
from tests.codecs.anthropic.wire import parse, plant, render, request_body

SCHEMA = {"type": "object"}
FORMAT = {"type": "json_schema", "schema": SCHEMA}

WIRE = [
    {"thinking": {"type": "enabled", "budget_tokens": 31999}},
    {"thinking": {"type": "enabled", "budget_tokens": 5000, "display": "omitted"}},
    {"thinking": {"display": "summarized", "type": "adaptive"}},
    {"thinking": {"type": "adaptive", "display": "tomorrow"}},
    {"thinking": {"type": "adaptive", "display": 7}},
    {"thinking": {"type": "disabled"}},
    {"thinking": {"type": "between_tools"}},
    {"thinking": {"type": "between_tools", "display": "omitted"}},
    {"thinking": {}},
    {"thinking": None},
    {"output_config": {"effort": "max"}},
    {"output_config": {"effort": "minimal"}},
    {"output_config": {"effort": None, "format": None}},
    {"output_config": {"format": FORMAT}},
    {"output_config": {"format": {"schema": SCHEMA, "type": "json_schema"}, "effort": "low"}},
    {"output_config": {"format": {"type": "json_schema"}}},
    {"output_config": {"format": {"type": "grammar", "x": 1}}},
    {"output_config": {"task_budget": {"total": 5}}},
    {"output_config": {}},
    {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high", "format": FORMAT}},
    {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}},
]


@pytest.mark.parametrize("fields", WIRE, ids=lambda fields: dumps(fields)[:70])
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_it_comes_out_as_it_went_in(fields, change):
    body = change(request_body(**fields))

    rendered, losses = render(parse(body))

    assert dumps(rendered) == dumps(body)
    assert losses == []


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, ("enabled", None, 9, None)),
        (
            {"thinking": {"type": "adaptive", "display": "summarized"}},
            ("adaptive", None, None, "auto"),
        ),
        (
            {"thinking": {"type": "disabled", "display": "omitted"}},
            ("disabled", None, None, "none"),
        ),
        ({"output_config": {"effort": "xhigh"}}, (None, "xhigh", None, None)),
        ({"thinking": {"type": "between_tools"}}, (None, None, None, None)),
    ],
)
def test_the_canonical_reasoning_says_what_the_wire_does(fields, reasoning):
    held = parse(request_body(**fields)).reasoning

    assert held is not None
    assert (held.mode, held.effort, held.budget, held.summary) == reasoning


ENABLED, ADAPTIVE = {"enabled", "disabled"}, {"adaptive", "disabled", "effort"}
WORDS = frozenset({"low", "medium", "high"})
R = Reasoning

#: reasoning, forms of the target (None: unknown), what is sent, losses.
MAPPED: list[tuple[Reasoning, set[str] | None, dict[str, Any], list[tuple[str, str]]]] = [
    (R(effort="high"), None, {"output_config": {"effort": "high"}}, []),
    (R(effort="none"), None, {"thinking": {"type": "disabled"}}, []),
    (
        R(effort="minimal"),
        None,
        {"output_config": {"effort": "low"}},
        [("reasoning.effort", "substituted")],
    ),
    (R(budget=2000), None, {"thinking": {"type": "enabled", "budget_tokens": 2000}}, []),
    (
        R("enabled"),
        None,
        {"thinking": {"type": "enabled", "budget_tokens": 16384}},
        [("reasoning.budget", "defaulted")],
    ),
    (R(), None, {}, []),
    (R(summary="auto"), None, {}, [("reasoning.summary", "dropped")]),
    (
        R("adaptive", summary="concise"),
        None,
        {"thinking": {"type": "adaptive", "display": "summarized"}},
        [("reasoning.summary", "substituted")],
    ),
    (
        R(effort="high"),
        ADAPTIVE,
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        [],
    ),
    (R(effort="none"), ADAPTIVE, {"thinking": {"type": "disabled"}}, []),
    (R(effort="none"), {"adaptive"}, {}, [("reasoning.mode", "dropped")]),
    (R(effort="none"), set(), {}, []),
    (
        R(effort="low"),
        ENABLED,
        {"thinking": {"type": "enabled", "budget_tokens": 2048}},
        [("reasoning", "substituted")],
    ),
    (
        R("adaptive"),
        ENABLED,
        {"thinking": {"type": "enabled", "budget_tokens": 16384}},
        [("reasoning", "substituted")],
    ),
    (
        R("enabled", budget=8000),
        ADAPTIVE,
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
        [("reasoning", "substituted")],
    ),
    (
        R("enabled", budget=30000),
        ADAPTIVE | {"xhigh"},
        {"thinking": {"type": "adaptive"}},
        [("reasoning", "substituted"), ("reasoning.effort", "dropped")],
    ),
    (
        R("enabled", "low", 30000),
        ADAPTIVE,
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        [("reasoning", "substituted")],
    ),
    (
        R("enabled", budget=2000),
        {"adaptive"},
        {"thinking": {"type": "adaptive"}},
        [("reasoning", "substituted")],
    ),
    (R("enabled", budget=2000), set(), {}, [("reasoning", "dropped")]),
    (
        R("adaptive", "high"),
        set(),
        {},
        [("reasoning", "dropped"), ("reasoning.effort", "dropped")],
    ),
    (R("adaptive", "high"), {"effort"}, {"output_config": {"effort": "high"}}, []),
    (R("adaptive"), {"effort"}, {}, [("reasoning", "dropped")]),
    (
        R("enabled", "high", 2000),
        ENABLED,
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
        [],
    ),
    (
        R(opaque=(Opaque("other", "reasoning", {"rest": {"context": 1}}),)),
        None,
        {},
        [("reasoning.context", "dropped")],
    ),
]


@pytest.mark.parametrize(
    ("reasoning", "forms", "sent", "losses"), MAPPED, ids=lambda c: str(c)[:60]
)
def test_reasoning_is_said_in_a_form_that_the_target_takes(reasoning, forms, sent, losses):
    target = {} if forms is None else {"thinking": frozenset(forms), "efforts": WORDS}
    request = Request("m", (Message.user("x"),), max_tokens=50000, reasoning=reasoning)

    body, found = render(request, **target)

    assert {k: body[k] for k in ("thinking", "output_config") if k in body} == sent
    assert found == losses


def test_effort_alone_from_an_anthropic_client_does_not_switch_thinking_on():
    request = parse(request_body(output_config={"effort": "high"}))

    body, losses = render(request, thinking=frozenset(ADAPTIVE), efforts=WORDS)

    assert "thinking" not in body
    assert losses == []


def test_an_effort_word_becomes_the_nearest_one_that_the_model_takes():
    request = Request("m", (Message.user("x"),), max_tokens=5, reasoning=Reasoning(effort="max"))

    body, losses = render(request, efforts=WORDS, effort_map={"max": "high"})

    assert body["output_config"] == {"effort": "high"}
    assert losses == [("reasoning.effort", "substituted")]


@pytest.mark.parametrize(
    ("limit", "budget", "largest", "sent", "losses"),
    [
        # As the client sent it: the API's own refusal says more than a silent correction.
        (1000, 2000, None, (1000, 2000), []),
        (
            32000,
            31999,
            20000,
            (20000, 19999),
            [("max_tokens", "clamped"), ("reasoning.budget", "clamped")],
        ),
        (None, 10000, None, (14096, 10000), [("max_tokens", "defaulted")]),
        (
            None,
            10000,
            8000,
            (8000, 7999),
            [("max_tokens", "defaulted"), ("reasoning.budget", "clamped")],
        ),
        (32000, 31999, 1024, (1024, None), [("max_tokens", "clamped"), ("reasoning", "dropped")]),
    ],
)
def test_a_budget_stays_below_the_limit_that_we_changed(limit, budget, largest, sent, losses):
    reasoning = Reasoning("enabled", budget=budget)
    request = Request("m", (Message.user("x"),), max_tokens=limit, reasoning=reasoning)

    body, found = render(request, max_output_tokens=largest)

    assert (body["max_tokens"], body.get("thinking", {}).get("budget_tokens")) == sent
    assert found == losses


def test_a_budget_that_stands_for_an_effort_fits_the_clients_limit():
    request = Request(
        "m", (Message.user("x"),), max_tokens=4000, reasoning=Reasoning(effort="high")
    )

    body, _ = render(request, thinking=frozenset(ENABLED))

    assert body["thinking"] == {"type": "enabled", "budget_tokens": 3999}


@pytest.mark.parametrize(
    ("output", "sent", "losses"),
    [
        (OutputFormat("json_schema", SCHEMA), {"format": FORMAT}, []),
        (
            OutputFormat("json_schema", SCHEMA, "n", "d", True),
            {"format": FORMAT},
            [
                ("output.name", "dropped"),
                ("output.description", "dropped"),
                ("output.strict", "dropped"),
            ],
        ),
        (OutputFormat("json_object"), None, [("output", "dropped")]),
        (OutputFormat("text"), None, []),
    ],
)
def test_output_formats(output, sent, losses):
    body, found = render(Request("m", (Message.user("x"),), max_tokens=5, output=output))

    assert body.get("output_config") == sent
    assert found == losses
