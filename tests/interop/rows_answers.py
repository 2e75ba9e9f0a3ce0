"""Rows: settings of an answer, and what it says about itself."""

from __future__ import annotations

import json

from tests.fakes.scenario import CACHED, LENGTH, REFUSAL, STOPPED, Counts, Scenario
from tests.interop.cell import Cell
from tests.interop.pages import (
    ANTHROPIC_MESSAGES,
    ANTHROPIC_STOP,
    ANTHROPIC_STREAMING,
    OPENAI_CHAT_OBJECT,
)
from tests.interop.table import Group, Less, No, Where

GROUP = Group("Settings and accounts")
PLACE = {
    "type": "object",
    "properties": {"place": {"type": "string"}},
    "required": ["place"],
    "additionalProperties": False,
}


@GROUP.row(
    "an answer that follows a schema",
    less=[
        Less(
            Where(client="openai", wire="anthropic"),
            "output.",
            "the schema's name and its strictness are not said: every schema is strict there",
        )
    ],
)
def schema(cell: Cell) -> None:
    cell.play(Scenario(text=('{"pla', 'ce": "Oslo"}')))

    answer = cell.ask(schema=PLACE)

    assert answer.text == '{"place": "Oslo"}'
    assert cell.heard.schema == PLACE


@GROUP.row("temperature")
def temperature(cell: Cell) -> None:
    cell.ask(temperature=0.5)

    assert cell.heard.temperature == 0.5


@GROUP.row(
    "stop sequences",
    less=[
        Less(
            Where(client="anthropic", wire="openai_chat"),
            "",
            "the stop reason is end_turn, and not which sequence came: Chat says stop",
        )
    ],
)
def stop(cell: Cell) -> None:
    cell.play(STOPPED)

    answer = cell.ask(stop=("three", "four"))

    assert answer.text == "one, two, "
    assert cell.heard.stop == ("three", "four")
    named = cell.client == cell.wire.name == "anthropic"
    expected = ("stop_sequence", "three") if named else ("stop", None)
    assert (answer.finish, answer.stop_sequence) == expected


@GROUP.row("a limit, reached")
def limit(cell: Cell) -> None:
    cell.play(LENGTH)

    answer = cell.ask(limit=16)

    assert (answer.text, answer.finish) == ("This is cut", "length")
    assert cell.heard.limit == 16


@GROUP.row(
    "a limit beyond the model's own",
    less=[Less(Where(foreign=True), "max_tokens;clamped", "sent as the largest the model takes")],
)
def limit_beyond(cell: Cell) -> None:
    """Within a dialect, what the provider refuses is its client's to know."""
    if cell.column.is_foreign:
        assert cell.ask(limit=10_000_000).text == "Hello, world!"
        assert (cell.heard.limit or 0) < 10_000_000
        return

    failure = cell.refused(limit=10_000_000)

    assert failure.status == 400
    assert "10000000" in failure.message


@GROUP.row(
    "a refusal",
    less=[
        Less(
            Where(client="anthropic", wire="openai_chat"),
            "",
            "it is the answer's text, and the stop reason end_turn: Chat says stop",
        ),
        Less(Where(client="openai", wire="anthropic"), "", "finish_reason is content_filter"),
    ],
)
def refusal(cell: Cell) -> None:
    cell.play(REFUSAL)

    answer = cell.ask()

    assert "I cannot help with that." in answer.text + answer.refusal
    expected = {"anthropic": "refusal", "openai": "stop"}[cell.client]
    if cell.column.is_foreign:
        expected = {"anthropic": "stop", "openai": "filter"}[cell.client]
    assert answer.finish == expected


@GROUP.row(
    "an answer that a filter ended",
    no=[
        No(
            Where(wire="anthropic"),
            "the API's word for it is refusal, the row above",
            ANTHROPIC_STOP,
        )
    ],
)
def filtered(cell: Cell) -> None:
    cell.play(Scenario(text=("Some ", "words"), finish="filter"))

    answer = cell.ask()

    assert answer.text == "Some words"
    assert answer.finish == ("refusal" if cell.client == "anthropic" else "filter")


@GROUP.row("usage: tokens read from and written to a cache")
def cached(cell: Cell) -> None:
    cell.play(CACHED)

    answer = cell.ask()

    assert (answer.input_tokens, answer.output_tokens) == (1243, 9)
    assert answer.cached_tokens == 1200


@GROUP.row("usage: reasoning tokens")
def reasoning_tokens(cell: Cell) -> None:
    cell.play(Scenario(counts=Counts(output=90, reasoning=64)))

    answer = cell.ask()

    assert (answer.output_tokens, answer.reasoning_tokens) == (90, 64)


@GROUP.row(
    "usage: not asked for in a stream",
    no=[
        No(Where(client="anthropic"), "each stream has usage", ANTHROPIC_STREAMING),
        No(Where(stream=False), "an answer in whole has usage", OPENAI_CHAT_OBJECT),
    ],
)
def no_usage(cell: Cell) -> None:
    answer = cell.ask(usage=False)

    assert answer.text == "Hello, world!"
    assert answer.input_tokens is None
    assert all(json.loads(data)["choices"] for _, data in cell.last.frames if data != "[DONE]")


@GROUP.row(
    "two choices (n = 2)",
    no=[
        No(
            Where(client="anthropic"),
            "a request has no field for it, and an answer is one message",
            ANTHROPIC_MESSAGES,
        )
    ],
    less=[Less(Where(foreign=True), "n;clamped", "one choice comes")],
)
def choices(cell: Cell) -> None:
    cell.play(Scenario(others=("Good day.",)))

    answer = cell.ask(choices=2)

    if cell.column.is_foreign:
        assert answer.choices == ["Hello, world!"]
    else:
        assert answer.choices == ["Hello, world!", "Good day."]
        assert cell.heard.choices == 2


@GROUP.row(
    "log probabilities",
    no=[
        No(
            Where(client="anthropic"),
            "neither a request nor an answer has a field for them",
            ANTHROPIC_MESSAGES,
        )
    ],
    less=[
        Less(Where(foreign=True), "logprobs;dropped", "none come"),
        Less(Where(foreign=True), "top_logprobs;dropped", "none come"),
    ],
)
def logprobs(cell: Cell) -> None:
    answer = cell.ask(logprobs=2)

    assert answer.text == "Hello, world!"
    if cell.column.is_foreign:
        assert answer.logprobs == []
    else:
        assert answer.logprobs == [("Hello", -0.25), (", world!", -0.25)]
        assert cell.heard.logprobs == 2
