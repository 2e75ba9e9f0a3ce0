"""Rows: text in and out."""

from __future__ import annotations

import re
from dataclasses import replace

from lmtools.apiproxy.options import ModelRule
from tests.fakes.scenario import AWKWARD, EMPTY, UNICODE, UNICODE_BYTES, Call, Scenario
from tests.interop.asks import Tool, Turn, assistant, user
from tests.interop.cell import Cell, results
from tests.interop.pages import ANTHROPIC_MESSAGES
from tests.interop.table import Group, Less, No, Where

GROUP = Group("Text")
LINES = "a\u2028b\u2029c\u0085d\re\r\nf\x0bg\x0ch"
NOTE = Tool("note", {"type": "object", "properties": {"text": {"type": "string"}}})


@GROUP.row("text")
def text(cell: Cell) -> None:
    answer = cell.ask()

    assert (answer.text, answer.finish) == ("Hello, world!", "stop")
    assert (answer.input_tokens, answer.output_tokens) == (11, 7)
    assert answer.id
    assert cell.heard.turns == [("user", [("text", "Hello")])]


@GROUP.row("text, as a gateway spells it", gateway=True)
def gateway_text(cell: Cell) -> None:
    """Every key there is, null where unused, in an order of its own; Azure's first chunk."""
    cell.play(Scenario(shape="argo"))

    assert cell.ask().text == "Hello, world!"


@GROUP.row(
    "the name that was asked for comes back from a mapped model",
    options=lambda model: {"model_map": (ModelRule(re.compile("^my-"), model),)},
)
def mapped_model(cell: Cell) -> None:
    answer = cell.ask(model="my-model")

    assert answer.model == "my-model"
    assert cell.bodies[-1]["model"] == cell.wire.model


@GROUP.row("system text")
def system_text(cell: Cell) -> None:
    assert cell.ask(system="Be brief.").text == "Hello, world!"
    assert cell.heard.system == "Be brief."
    assert cell.heard.turns == [("user", [("text", "Hello")])]


@GROUP.row(
    "a system message in mid-conversation",
    less=[
        Less(
            Where(client="openai", wire="anthropic"),
            "messages[2]",
            "it is the user's there: not every server of this wire knows the role",
        )
    ],
)
def system_midway(cell: Cell) -> None:
    turns = (user("Hello"), assistant("Hi."), Turn("system", ("Be brief.",)), user("And now?"))

    cell.ask(turns=turns)

    end = [("system", [("text", "Be brief.")]), ("user", [("text", "And now?")])]
    if cell.column.is_foreign and cell.client == "openai":
        end = [("user", [("text", "Be brief."), ("text", "And now?")])]
    # In its place, never at the front: what stands before it is a prefix that caches know.
    assert cell.heard.turns == [
        ("user", [("text", "Hello")]),
        ("assistant", [("text", "Hi.")]),
        *end,
    ]


@GROUP.row("multi-turn")
def multi_turn(cell: Cell) -> None:
    first = cell.ask()
    cell.play(Scenario(text=("And ", "again.")))

    second = cell.ask(turns=(user("Hello"), first.turn, user("And now?")))

    assert second.text == "And again."
    assert cell.heard.turns == [
        ("user", [("text", "Hello")]),
        ("assistant", [("text", "Hello, world!")]),
        ("user", [("text", "And now?")]),
    ]


@GROUP.row("several text parts in one turn")
def text_parts(cell: Cell) -> None:
    cell.ask(turns=(user("one", "two"),))

    assert cell.heard.turns == [("user", [("text", "one"), ("text", "two")])]


@GROUP.row("unicode, each character a piece")
def unicode_pieces(cell: Cell) -> None:
    cell.play(UNICODE)

    assert cell.ask(turns=(user(AWKWARD),)).text == AWKWARD
    assert cell.heard.turns == [("user", [("text", AWKWARD)])]


@GROUP.row("unicode, written byte by byte")
def unicode_bytes(cell: Cell) -> None:
    cell.play(UNICODE_BYTES)

    assert cell.ask(turns=(user(AWKWARD),)).text == AWKWARD


@GROUP.row("unicode, split in two at every byte of it")
def unicode_splits(cell: Cell) -> None:
    said = "\u00e9\u2028\U0001f469"
    scenario = Scenario(text=(said,))
    body = {"model": cell.wire.model, "stream": cell.is_stream}
    frames = cell.fake.frames(scenario, body, 1)
    whole = b"".join(frames) if cell.is_stream else cell.fake.whole_bytes(scenario, body, 1)
    start = whole.index(said.encode())
    for at in range(start, start + len(said.encode()) + 1):
        cell.play(replace(scenario, split_at=at))
        assert cell.ask().text == said, at


@GROUP.row("U+2028, U+2029, NEL, CR, VT and FF in text")
def line_separators(cell: Cell) -> None:
    cell.play(Scenario(text=tuple(LINES)))

    assert cell.ask(turns=(user(LINES),), system=LINES).text == LINES
    assert cell.heard.turns == [("user", [("text", LINES)])]
    assert cell.heard.system == LINES


@GROUP.row("U+2028 and its like in tool arguments and results")
def line_separators_in_tools(cell: Cell) -> None:
    pieces = ('{"text": "a', "\u2028", "b\u2029c\u0085", 'd\\r"}')
    given = {"text": "a\u2028b\u2029c\u0085d\r"}
    cell.play(Scenario(text=(), calls=(Call("note", pieces, "sep"),)))
    first = cell.ask(tools=(NOTE,))
    assert [call.given for call in first.calls] == [given]

    cell.ask(turns=(user("Hello"), first.turn, results(first, LINES)), tools=(NOTE,))

    assert cell.heard.turns[1:] == [
        ("assistant", [("call", 0, "note", given)]),
        ("user", [("result", 0, LINES, False)]),
    ]


@GROUP.row("a prompt of 5 MB")
def large_prompt(cell: Cell) -> None:
    prompt = "Fjord \u2028 " * 500_000
    assert len(prompt.encode()) >= 5_000_000

    assert cell.ask(turns=(user(prompt),)).text == "Hello, world!"
    assert cell.heard.turns == [("user", [("text", prompt)])]


@GROUP.row("an answer without content")
def empty_answer(cell: Cell) -> None:
    cell.play(EMPTY)

    answer = cell.ask()

    assert (answer.text, answer.calls, answer.finish) == ("", [], "stop")


@GROUP.row(
    "an empty assistant turn in the history",
    no=[
        No(
            Where(client="anthropic", wire="anthropic"),
            "a turn before the last one must have content",
            ANTHROPIC_MESSAGES,
        )
    ],
    less=[
        Less(
            Where(client="openai", wire="anthropic"), "messages[1];dropped", "the turn is left out"
        )
    ],
)
def empty_turn(cell: Cell) -> None:
    cell.ask(turns=(user("Hello"), assistant(""), user("Are you there?")))

    said = [item for _, items in cell.heard.turns for item in items if item[0] == "text"]
    assert said[0] == ("text", "Hello")
    assert said[-1] == ("text", "Are you there?")
