"""Rows: tools, calls and results."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tests.fakes.scenario import NO_ARGUMENTS, ONE_TOOL, PARALLEL_TOOLS, Call, Scenario
from tests.interop.asks import Called, Image, Result, Tool, Turn, assistant, user
from tests.interop.cell import Cell, results
from tests.interop.pages import ANTHROPIC_MESSAGES, OPENAI_CHAT
from tests.interop.rows_media import PNG
from tests.interop.table import Group, Less, No, Where

GROUP = Group("Tools")
SCHEMA = {
    "type": "object",
    "properties": {"location": {"type": "string"}},
    "required": ["location"],
}
WEATHER = Tool("get_weather", SCHEMA)
NOW = Tool("now", {"type": "object", "properties": {}})
CHICAGO = {"location": "Chicago"}


@GROUP.row("a tool call")
def tool_call(cell: Cell) -> None:
    cell.play(ONE_TOOL)

    answer = cell.ask(tools=(WEATHER,))

    assert [(call.name, call.given) for call in answer.calls] == [("get_weather", CHICAGO)]
    assert answer.finish == "calls"
    assert answer.text == ""
    assert cell.heard.tools == (("get_weather", SCHEMA),)


@GROUP.row("a tool call, as a gateway spells it", gateway=True)
def gateway_call(cell: Cell) -> None:
    cell.play(Scenario(text=(), calls=ONE_TOOL.calls, shape="argo"))

    answer = cell.ask(tools=(WEATHER,))

    assert [(call.name, call.given) for call in answer.calls] == [("get_weather", CHICAGO)]
    assert answer.finish == "calls"


@GROUP.row("parallel calls after text")
def parallel_calls(cell: Cell) -> None:
    cell.play(PARALLEL_TOOLS)

    answer = cell.ask(tools=(WEATHER,))

    assert answer.text == "I look both up."
    given = [call.given for call in answer.calls]
    assert given == [{"location": "Oslo"}, {"location": "Bergen \U0001f327"}]
    assert len({call.id for call in answer.calls}) == 2
    assert answer.finish == "calls"


@GROUP.row("follow-up: the result of a call")
def follow_up(cell: Cell) -> None:
    cell.play(ONE_TOOL)
    first = cell.ask(tools=(WEATHER,))

    second = cell.ask(turns=(user("Hello"), first.turn, results(first, "sunny")), tools=(WEATHER,))

    assert second.text == "Hello, world!"
    assert cell.heard.turns == [
        ("user", [("text", "Hello")]),
        ("assistant", [("call", 0, "get_weather", CHICAGO)]),
        ("user", [("result", 0, "sunny", False)]),
    ]


@GROUP.row("follow-up: results of parallel calls, and text after them")
def follow_up_parallel(cell: Cell) -> None:
    cell.play(PARALLEL_TOOLS)
    first = cell.ask(tools=(WEATHER,))
    found = results(first, "4 degrees", "rain")

    cell.ask(
        turns=(user("Hello"), first.turn, replace(found, parts=(*found.parts, "Well?"))),
        tools=(WEATHER,),
    )

    assert cell.heard.turns[1:] == [
        (
            "assistant",
            [
                ("text", "I look both up."),
                ("call", 0, "get_weather", {"location": "Oslo"}),
                ("call", 1, "get_weather", {"location": "Bergen \U0001f327"}),
            ],
        ),
        (
            "user",
            [("result", 0, "4 degrees", False), ("result", 1, "rain", False), ("text", "Well?")],
        ),
    ]


@GROUP.row("a call without arguments, and its result")
def no_arguments(cell: Cell) -> None:
    cell.play(NO_ARGUMENTS)

    first = cell.ask(tools=(NOW,))
    (call,) = first.calls
    # What a Chat server streams for no arguments is no text at all, and passes as it came.
    assert call.given == {} or (cell.is_raw and cell.client == "openai" and call.given == "")
    if call.given == "":
        return

    cell.ask(turns=(user("Hello"), first.turn, results(first, "noon")), tools=(NOW,))

    assert cell.heard.turns[1:] == [
        ("assistant", [("call", 0, "now", {})]),
        ("user", [("result", 0, "noon", False)]),
    ]


#: Ids as servers make them: Kimi's, a gateway's, and a long one.
ODD_IDS = {
    "openai_chat": "functions.get_weather:0",
    "anthropic": "toolu_vrtx_01" + "Ab9-_" * 10,
}


@GROUP.row("an odd id from the server, and its result")
def odd_id(cell: Cell) -> None:
    call = Call("get_weather", ('{"location": "Oslo"}',), exact_id=ODD_IDS[cell.wire.name])
    cell.play(Scenario(text=(), calls=(call,)))

    first = cell.ask(tools=(WEATHER,))
    cell.ask(turns=(user("Hello"), first.turn, results(first, "rain")), tools=(WEATHER,))

    assert cell.heard.turns[1:] == [
        ("assistant", [("call", 0, "get_weather", {"location": "Oslo"})]),
        ("user", [("result", 0, "rain", False)]),
    ]


@GROUP.row(
    "odd ids in the history, of a conversation begun elsewhere",
    no=[
        No(
            Where(client="anthropic", wire="anthropic"),
            "ids of calls are letters, digits, _ and -",
            ANTHROPIC_MESSAGES,
        ),
        No(
            Where(client="openai", wire="openai_chat"),
            "ids of calls have 40 characters at most",
            OPENAI_CHAT,
        ),
    ],
    less=[
        Less(Where(foreign=True), "messages[", "ids are replaced by ones that the provider takes")
    ],
)
def odd_ids(cell: Cell) -> None:
    ids = ("fn.weather:0|\u65e5\u672c", "toolu_" + "x" * 60)
    calls = [Called(id, "get_weather", {"location": "Oslo"}) for id in ids]
    results = [Result(id, (f"result {n}",)) for n, id in enumerate(ids)]

    cell.ask(turns=(user("Hello"), assistant(*calls), user(*results)), tools=(WEATHER,))

    assert cell.heard.turns[1:] == [
        ("assistant", [("call", n, "get_weather", {"location": "Oslo"}) for n in (0, 1)]),
        ("user", [("result", n, f"result {n}", False) for n in (0, 1)]),
    ]


def _choice(cell: Cell, choice: str) -> None:
    cell.ask(tools=(WEATHER, NOW), choice=choice)

    assert cell.heard.choice == choice


for _word, _name in (
    ("auto", "tool choice: automatic"),
    ("none", "tool choice: none"),
    ("any", "tool choice: any"),
    ("get_weather", "tool choice: a named tool"),
):
    GROUP.row(_name)(partial(_choice, choice=_word))


@GROUP.row("an empty list of tools")
def empty_tools(cell: Cell) -> None:
    """Claude Code's request for a title has one, and OpenAI refuses it."""
    assert cell.ask(tools=()).text == "Hello, world!"
    assert cell.heard.tools == ()


@GROUP.row("no parallel calls")
def no_parallel(cell: Cell) -> None:
    cell.ask(tools=(WEATHER,), parallel=False)

    assert cell.heard.parallel is False


@GROUP.row("no parallel calls, and a tool chosen")
def no_parallel_named(cell: Cell) -> None:
    cell.ask(tools=(WEATHER, NOW), choice="now", parallel=False)

    assert (cell.heard.choice, cell.heard.parallel) == ("now", False)


NO_FLAG = No(
    Where(client="openai"),
    "a tool message has content and an id, and no field for failure",
    OPENAI_CHAT,
)


@GROUP.row(
    "a tool that failed",
    no=[NO_FLAG],
    less=[
        Less(
            Where(foreign=True),
            "messages[2].parts[0].is_error;emulated",
            "words before the result say it",
        )
    ],
)
def tool_failed(cell: Cell) -> None:
    cell.play(ONE_TOOL)
    first = cell.ask(tools=(WEATHER,))
    result = Result(first.calls[0].id, ("no such place",), failed=True)

    cell.ask(turns=(user("Hello"), first.turn, Turn("user", (result,))), tools=(WEATHER,))

    ((_, number, said, failed),) = cell.heard.turns[-1][1]
    assert number == 0
    assert said.endswith("no such place")
    assert failed or "failed" in said


@GROUP.row(
    "an image in a tool's result",
    no=[
        No(Where(client="openai"), "a tool message holds text only", OPENAI_CHAT),
    ],
    less=[
        Less(
            Where(foreign=True),
            "messages[2].parts[0].content[1];substituted",
            "the image follows the result, in a user message",
        )
    ],
)
def image_in_result(cell: Cell) -> None:
    cell.play(ONE_TOOL)
    first = cell.ask(tools=(WEATHER,))
    result = Result(first.calls[0].id, ("a map", Image(PNG)))

    cell.ask(turns=(user("Hello"), first.turn, Turn("user", (result,))), tools=(WEATHER,))

    items = cell.heard.turns[-1][1]
    assert ("image", "image/png", PNG) in items
    assert items[0][:2] == ("result", 0)
    assert "a map" in items[0][2]
