"""The checks check: what they are there for makes a cell red, and the page says so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("anthropic", reason="needs the anthropic SDK: run scripts/interop")
pytest.importorskip("openai", reason="needs the openai SDK: run scripts/interop")

from tests.fakes.scenario import CACHED, HELLO, PARALLEL_TOOLS, REFUSAL
from tests.interop import page
from tests.interop.asks import Ask
from tests.interop.cell import SURFACES, Cell
from tests.interop.rows import ROWS
from tests.interop.table import COLUMNS, WAYS, Less, Row, Where, cells
from tests.interop.tap import Came
from tests.interop.wires import WIRES

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]
OWN = {"anthropic": "anthropic", "openai": "openai_chat"}
SCENARIOS = {"text": HELLO, "calls": PARALLEL_TOOLS, "refusal": REFUSAL, "cached": CACHED}
Change = Callable[[Any], Any]


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("client", SURFACES)
def test_the_fakes_speak_as_the_apis_do(stack: ExitStack, client: str, name: str, way: str) -> None:
    """Straight to the fake, without a proxy: the same checks hold for what it sends."""
    wire, scenario = WIRES[OWN[client]], SCENARIOS[name]
    fake = stack.enter_context(wire.fake())
    sdk = stack.enter_context(SURFACES[client](fake.url))
    fake.play(scenario)

    answer = sdk.ask(way, Ask(), wire.model)

    assert answer.text + answer.refusal == scenario.said + scenario.refusal
    for came in sdk.tap.came:
        # OpenAI pads its chunks with a key that the SDK knows; the rest is in the models.
        sdk.validate(came, set(), full=True)


def _without(*path: str) -> Change:
    def change(body: Any) -> Any:
        held = body
        for key in path[:-1]:
            held = held[0] if isinstance(held, list) else held
            held = held[key]
        held = held[0] if isinstance(held, list) else held
        del held[path[-1]]
        return body

    return change


def _with(value: Any, *path: str) -> Change:
    def change(body: Any) -> Any:
        held = body
        for key in path[:-1]:
            held = held[0] if isinstance(held, list) else held
            held = held[key]
        held = held[0] if isinstance(held, list) else held
        held[path[-1]] = value
        return body

    return change


#: What is wrong with a whole answer, and what is said about it.
BREACHES: list[tuple[str, Change, str]] = [
    ("anthropic", _without("role"), "Field required"),
    ("anthropic", _without("stop_sequence"), "stop_sequence is not there"),
    ("anthropic", _without("stop_details"), "stop_details is not there"),
    ("anthropic", _without("usage", "cache_creation"), "cache_creation is not there"),
    ("anthropic", _with("11", "usage", "input_tokens"), "valid integer"),
    ("anthropic", _with(11.0, "usage", "input_tokens"), "valid integer"),
    ("anthropic", _with("stop", "stop_reason"), "Input should be"),
    ("anthropic", _with(1, "surprise"), "surprise is unknown"),
    ("anthropic", _with(1, "content", "surprise"), "surprise is unknown"),
    ("openai", _without("created"), "Field required"),
    ("openai", _without("choices", "logprobs"), "logprobs is not there"),
    ("openai", _without("choices", "message", "refusal"), "refusal is not there"),
    ("openai", _without("choices", "message", "content"), "content is not there"),
    ("openai", _without("usage"), "usage is not there"),
    ("openai", _with("1", "created"), "valid integer"),
    ("openai", _with("end_turn", "choices", "finish_reason"), "Input should be"),
    ("openai", _with(1, "choices", "message", "surprise"), "surprise is unknown"),
]


@pytest.mark.parametrize(("client", "change", "words"), BREACHES)
def test_an_answer_that_is_not_the_apis_is_refused(client: str, change: Change, words: str) -> None:
    wire = WIRES[OWN[client]]
    body = wire.fake().message(HELLO, {"model": wire.model}, 1)
    sdk = SURFACES[client]("http://127.0.0.1:9/v1")
    headers = {"content-type": "application/json"}
    good = Came(200, headers, bytearray(json.dumps(body).encode()))
    bad = Came(200, headers, bytearray(json.dumps(change(body)).encode()))

    sdk.validate(good, set(), full=True)
    with pytest.raises(AssertionError, match=words):
        sdk.validate(bad, set(), full=True)


@pytest.mark.parametrize("client", SURFACES)
def test_a_key_that_the_provider_sent_may_be_there(client: str) -> None:
    wire = WIRES[OWN[client]]
    body = {**wire.fake().message(HELLO, {"model": wire.model}, 1), "surprise": 1}
    came = Came(200, {"content-type": "application/json"}, bytearray(json.dumps(body).encode()))

    SURFACES[client]("http://127.0.0.1:9/v1").validate(came, {"surprise"}, full=True)


ERRORS: list[tuple[str, Any, str]] = [
    ("anthropic", {"type": "error", "error": {"type": "api_error", "message": "m"}}, "request_id"),
    ("anthropic", {"type": "error", "error": {"type": "strange", "message": "m"}, "request_id": "r"}, "Input should be"),
    ("openai", {"error": {"message": "m", "type": "t", "param": None}}, "code is not there"),
    ("openai", {"error": {"type": "t", "param": None, "code": None}}, "Field required"),
]  # fmt: skip


@pytest.mark.parametrize(("client", "body", "words"), ERRORS)
def test_an_error_that_is_not_the_apis_is_refused(client: str, body: Any, words: str) -> None:
    came = Came(500, {"content-type": "application/json"}, bytearray(json.dumps(body).encode()))

    with pytest.raises(AssertionError, match=words):
        SURFACES[client]("http://127.0.0.1:9/v1").validate(came, set(), full=True)


# Cells


def _run(run: Callable[[Cell], None], at: int, less: tuple[Less, ...] = ()) -> None:
    with Cell(Row("Checks", "a check", run, less=less), COLUMNS[at], "whole") as cell:
        cell.run()


def _ask_two(cell: Cell) -> None:
    assert cell.ask(choices=2).text == "Hello, world!"


#: An OpenAI client over Anthropic's wire, which clamps n.
FOREIGN = next(i for i, column in enumerate(COLUMNS) if column.id == "openai-over-anthropic")


def test_a_loss_that_the_row_does_not_say_is_red() -> None:
    with pytest.raises(AssertionError, match="lost, and the row does not say so"):
        _run(_ask_two, FOREIGN)


def test_a_loss_that_the_row_says_and_does_not_come_is_red() -> None:
    _run(_ask_two, FOREIGN, (Less(Where(), "n;clamped", "one comes"),))
    with pytest.raises(AssertionError, match="temperature"):
        _run(_ask_two, FOREIGN, (Less(Where(), "temperature", "colder"),))


def test_what_the_fake_refuses_is_red() -> None:
    def refused(cell: Cell) -> None:
        cell.fails(limit=-1)

    with pytest.raises(AssertionError, match="max_tokens"):
        _run(refused, 0)


def test_a_stream_out_of_order_is_red() -> None:
    def swapped(cell: Cell) -> None:
        frames = cell.fake.frames
        # The end of the block before its last delta.
        cell.fake.frames = lambda *args: _swap(frames(*args), -4)  # type: ignore[method-assign]
        cell.ask()

    with (
        pytest.raises(AssertionError, match="frame"),
        Cell(Row("Checks", "a check", swapped), COLUMNS[0], "stream") as cell,
    ):
        cell.run()


def _swap(frames: list[bytes], at: int) -> list[bytes]:
    frames[at], frames[at + 1] = frames[at + 1], frames[at]
    return frames


# The page

ALL = {(row.name, column.id, way) for row, column, way in cells(ROWS)}


def test_a_cell_that_did_not_pass_is_red_on_the_page() -> None:
    lacking = sorted(ALL)[len(ALL) // 2]

    green, red = page.write(ALL), page.write(ALL - {lacking})

    assert (page.count_red(ALL), page.count_red(ALL - {lacking})) == (0, 1)
    # Once in the legend.
    assert green.count(page.RED) == 1
    assert red.count(page.RED) == 2


def test_names_of_rows_and_columns_are_told_apart() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert len({column.id for column in COLUMNS}) == len(COLUMNS)


def test_every_cell_that_cannot_be_has_a_page_of_documentation() -> None:
    for row in ROWS:
        for no in row.no:
            assert no.source.startswith("https://"), row.name
            assert no.why, row.name
            assert any(no.where.holds(column, way) for column in COLUMNS for way in WAYS)


def test_a_run_that_left_cells_out_fails() -> None:
    """A cell that was skipped or never ran is red: one cell alone is no run of the table."""
    one = "tests/interop/test_matrix.py::test_cell[text-anthropic-over-anthropic-raw-whole]"
    words = ["-q", "-p", "tests.interop.matrix", "--matrix", "check", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *words, one]

    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert f"docs/matrix.md: {len(ALL) - 1} cells are red" in run.stdout
    assert "1 passed" in run.stdout
