"""Rows: thinking, shown, signed and handed back."""

from __future__ import annotations

from tests.fakes import anthropic_rules
from tests.fakes.scenario import REDACTED_TOOL, THINKING, THINKING_TOOL
from tests.interop.asks import Ask, user
from tests.interop.cell import Cell, results
from tests.interop.pages import ANTHROPIC_THINKING, OPENAI_CHAT_OBJECT
from tests.interop.rows_tools import WEATHER
from tests.interop.table import Group, Less, No, Where

GROUP = Group("Thinking")
NO_THINKING = No(
    Where(wire="openai_chat"),
    "a Chat answer has no field for reasoning, only its count of tokens",
    OPENAI_CHAT_OBJECT,
)
NO_REASONING_CONTENT = No(
    Where(wire="anthropic"),
    "thinking comes as blocks with signatures; the rows above",
    ANTHROPIC_THINKING,
)


def _think(cell: Cell, **more: object) -> Ask:
    """Return a request that asks for thinking, in the client's way."""
    own = {"budget": 1024} if cell.client == "anthropic" else {"effort": "low"}
    return Ask(**{"model": cell.wire.thinker, **own, **more})  # type: ignore[arg-type]


SAID_OTHERWISE = [
    Less(
        Where(client="anthropic", wire="openai_chat"),
        "reasoning;substituted",
        "a budget becomes an effort",
    ),
    Less(
        Where(client="openai", wire="anthropic"),
        "reasoning;substituted",
        "an effort becomes a budget",
    ),
]


@GROUP.row("thinking is asked for", less=SAID_OTHERWISE)
def asked(cell: Cell) -> None:
    cell.ask(_think(cell))

    assert cell.heard.thinks


@GROUP.row("thinking is shown", no=[NO_THINKING], less=SAID_OTHERWISE)
def shown(cell: Cell) -> None:
    cell.play(THINKING)

    answer = cell.ask(_think(cell))

    assert answer.thinking == "The user asks \u2014 I answer."
    assert answer.text == "It is 391."
    if cell.client == "anthropic":
        assert answer.signature == anthropic_rules.sign(answer.thinking)


@GROUP.row("signed thinking goes back with a tool's result", no=[NO_THINKING], less=SAID_OTHERWISE)
def signed(cell: Cell) -> None:
    cell.play(THINKING_TOOL)
    first = cell.ask(_think(cell, tools=(WEATHER,)))
    assert first.thinking == "I need the weather."
    history = (user("Hello"), first.turn, results(first, "4 degrees"))

    cell.ask(_think(cell, turns=history, tools=(WEATHER,)))

    assert cell.heard.turns[1][1] == [
        ("thinking", "I need the weather.", anthropic_rules.sign("I need the weather.")),
        ("call", 0, "get_weather", {"location": "Oslo"}),
    ]


@GROUP.row(
    "redacted thinking goes back with a tool's result", no=[NO_THINKING], less=SAID_OTHERWISE
)
def redacted(cell: Cell) -> None:
    cell.play(REDACTED_TOOL)
    first = cell.ask(_think(cell, tools=(WEATHER,)))
    history = (user("Hello"), first.turn, results(first, "4 degrees"))

    cell.ask(_think(cell, turns=history, tools=(WEATHER,)))

    assert cell.heard.turns[1][1] == [
        ("redacted_thinking", anthropic_rules.redacted("a secret thought")),
        ("call", 0, "get_weather", {"location": "Oslo"}),
    ]


@GROUP.row(
    "reasoning_content of a compatible server is shown",
    no=[NO_REASONING_CONTENT],
    compatible=True,
)
def reasoning_content(cell: Cell) -> None:
    cell.play(THINKING)

    answer = cell.ask(model="deepseek-reasoner")

    assert (answer.thinking, answer.text) == ("The user asks \u2014 I answer.", "It is 391.")


@GROUP.row(
    "reasoning_content goes back with a tool's result",
    no=[NO_REASONING_CONTENT],
    compatible=True,
)
def reasoning_content_back(cell: Cell) -> None:
    cell.play(THINKING_TOOL)
    first = cell.ask(model="deepseek-reasoner", tools=(WEATHER,))
    history = (user("Hello"), first.turn, results(first, "4 degrees"))

    cell.ask(model="deepseek-reasoner", turns=history, tools=(WEATHER,))

    assert cell.heard.turns[1][1] == [
        ("thinking", "I need the weather.", ""),
        ("call", 0, "get_weather", {"location": "Oslo"}),
    ]


@GROUP.row("effort")
def effort(cell: Cell) -> None:
    cell.ask(model=cell.wire.graded, effort="high")

    assert cell.heard.effort == "high"
