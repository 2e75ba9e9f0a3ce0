"""``scripts/dialect_tables`` follows every value of the corpus, and sees when its pages are stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance import runner
from conformance.corpus import Case
from lmtools.codecs.base import Loss, Rendered
from scripts import dialect_tables
from scripts.dialect_tables import main, page
from scripts.dialect_traces import traces

REPOSITORY = Path(__file__).parents[2]
DIALECTS = ("anthropic", "openai_chat")

REQUEST = {
    "model": "m",
    "max_tokens": 5,
    "top_k": 3,
    "tools": [{"name": "ls", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "any"},
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
    "tomorrow": {"a": "x", "b": 2},
}


def streamed(finish: str) -> Case:
    choices = [
        {"index": 0, "delta": {"role": "assistant", "content": "Hi"}},
        {"index": 0, "delta": {}, "finish_reason": finish},
    ]
    frames = [json.dumps({"id": "c", "choices": [choice]}) for choice in choices]
    stream = "".join(f"data: {frame}\n\n" for frame in [*frames, "[DONE]"]).encode()
    return Case(finish, "openai_chat", "stream", "here", stream=stream)


# A word is followed by putting another word of the same place in its stead, so each has two.
CASES = [
    Case("any", "anthropic", "request", "here", REQUEST),
    Case("auto", "anthropic", "request", "here", REQUEST | {"tool_choice": {"type": "auto"}}),
    streamed("length"),
    streamed("stop"),
]


def written(dialect: str, codecs: Any = None) -> dict[str, tuple[str, ...]]:
    """Return the rows of a page of the small corpus above: cells by the path on the wire."""
    codecs = codecs or runner.codecs()
    text = page(traces(CASES, dialect, codecs), dialect, DIALECTS)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): tuple(row[1:]) for row in rows}


ROWS = {
    "a field that another dialect names otherwise": (
        "anthropic",
        "max_tokens",
        ("`max_tokens`", "kept", "`max_completion_tokens`"),
    ),
    "a field that is dropped": (
        "anthropic",
        "top_k",
        ("`top_k`", "kept", "dropped: Chat has no top_k"),
    ),
    "a word of each side": (
        "anthropic",
        "tool_choice.type = any",
        ("`tool_choice.mode = required`", "kept", "`tool_choice = required`"),
    ),
    "what nobody knows, as one row": (
        "anthropic",
        "tomorrow.*",
        (
            "`opaque`",
            "kept",
            "dropped: only anthropic says this; openai_chat has no such field",
        ),
    ),
    "a text in a list of blocks": (
        "anthropic",
        "messages[].content[text].text",
        ("`messages[].parts[text].text`", "kept", "`messages[].content`"),
    ),
    "a fragment of a stream": (
        "openai_chat",
        "choices[].delta.content",
        ("`text.text`", "`content_block_delta.delta.text`", "kept"),
    ),
    "the word that ends a stream": (
        "openai_chat",
        "choices[].finish_reason = length",
        ("`end.finish = length`", "`message_delta.delta.stop_reason = max_tokens`", "kept"),
    ),
}


@pytest.mark.parametrize(("dialect", "path", "cells"), ROWS.values(), ids=ROWS)
def test_a_row_says_where_a_value_stands_and_what_becomes_of_it(
    dialect: str, path: str, cells: tuple[str, ...]
) -> None:
    assert written(dialect)[path] == cells


def test_a_codec_that_drops_a_field_changes_its_row() -> None:
    """The table follows what the codec does, not a list of what it should do."""
    chat = runner.codecs()["openai_chat"]

    def render_request(request: Any, target: Any) -> Rendered:
        rendered = chat.render_request(request, target)
        body = {key: value for key, value in rendered.body.items() if key != "model"}
        return replace(
            rendered, body=body, losses=(*rendered.losses, Loss("model", "dropped", "planted"))
        )

    methods = {name: getattr(chat, name) for name in dir(chat) if not name.startswith("__")}
    broken = SimpleNamespace(**{**methods, "render_request": render_request})

    assert written("anthropic")["model"] == ("`model`", "kept", "`model`")
    rows = written("anthropic", {**runner.codecs(), "openai_chat": broken})
    assert rows["model"] == ("`model`", "kept", "dropped: planted")


def test_a_loss_that_no_value_is_the_cause_of_has_a_row() -> None:
    case = Case(
        "no limit",
        "openai_chat",
        "request",
        "here",
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
    )

    text = page(traces([case], "openai_chat", runner.codecs()), "openai_chat", DIALECTS)

    assert "| *not given* | `max_tokens` | defaulted: anthropic requires a limit" in text


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialect_tables.corpus, "own", lambda: CASES)


@pytest.mark.usefixtures("small")
def test_a_page_that_differs_is_stale_until_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["--check", "--folder", str(tmp_path)]
    assert main(check) == 1, "pages that are not there are stale"
    assert not list(tmp_path.iterdir()), "--check writes nothing"

    assert main(check[1:]) == 0
    assert main(check) == 0

    (tmp_path / "anthropic.md").write_text("by hand", encoding="utf-8")
    capsys.readouterr()
    assert main(check) == 1
    told = capsys.readouterr().err
    assert "anthropic.md: not what the codecs do now; run scripts/dialect_tables" in told
    assert "openai_chat.md" not in told


def test_the_pages_are_the_same_whatever_the_order_of_hashes(tmp_path: Path) -> None:
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-m", "scripts.dialect_tables", "--folder", str(tmp_path / seed)],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )

    for name in ("anthropic.md", "openai_chat.md"):
        one, two = ((tmp_path / seed / name).read_bytes() for seed in ("1", "2"))
        assert one == two
