"""docs/matrix.md, from the rows and the cells that passed."""

from __future__ import annotations

from collections.abc import Iterator

from tests.fakes import anthropic_rules, openai_rules
from tests.interop.rows import GROUPS, ROWS
from tests.interop.table import COLUMNS, WAYS, Column, Group, Less, Row, cells

#: Cells as (row, column, way).
Passed = set[tuple[str, str, str]]
#: How a passing cell, one with less, one that cannot be and a failing one are shown.
GREEN, LESS, IMPOSSIBLE, RED = "✓", "≈", "–", "✗"
HEAD = """\
# Which SDK does what over which provider

Written by `scripts/interop --update` from a run of both makers' SDKs against a proxy, in front of
servers that refuse what the real APIs refuse; `scripts/interop` alone fails where a run differs.

A row is one thing that people do. A column is a client's API over the API that the provider
speaks; where both are one, bodies pass as they came (*raw*), or go through the codec when they
cannot (*codec*). A cell has four marks: answers in whole and streamed with the sync client, then the
same with the async one.

* ✓: the outcome is that of the API itself. Asserted are what the client gets, what reaches the
  provider, and that every body and event is valid to the SDK's own models: no coercion, no missing
  field, also none that may be null and is always there, no unknown one that the provider did not send.
* ≈: the same, less what the note says. A loss of the request is named in the header
  `x-lmtools-loss`, by the path and word in brackets.
* –: cannot be, with the page of the provider's documentation that says so.
* ✗: fails, or was not run.
"""
RULES_HEAD = """\
## What the servers of these tests refuse

Each rule is the real API's, in its words, with where that was seen or is documented. A request that
breaks one makes its cell red; `tests/fakes` sees each rule refuse something, and alone.

| API | rule | source |
|---|---|---|"""
#: The rules of each wire; those of compatible servers are among the vendor's.
RULES = {
    "anthropic": anthropic_rules.RULES,
    "openai_chat": (*openai_rules.RULES, *openai_rules.VENDOR_RULES),
}


def write(passed: Passed) -> str:
    """Return the page for the cells that passed."""
    lines = [HEAD, _counts(passed)]
    for group in GROUPS:
        lines += ["", f"## {group.title}", "", *_table(group, passed)]
    lines += ["", RULES_HEAD, *_rules()]
    return "\n".join(lines) + "\n"


def _counts(passed: Passed) -> str:
    total = len(ROWS) * len(COLUMNS) * len(WAYS)
    possible, red = len(list(cells(ROWS))), count_red(passed)
    return (
        f"{len(ROWS)} rows, {total} cells: {possible - red} pass, {red} fail, "
        f"{total - possible} cannot be."
    )


def count_red(passed: Passed) -> int:
    """Return how many cells that can be did not pass."""
    return sum((row.name, column.id, way) not in passed for row, column, way in cells(ROWS))


def _table(group: Group, passed: Passed) -> Iterator[str]:
    notes: list[str] = []
    yield "| | " + " | ".join(_title(column) for column in COLUMNS) + " |"
    yield "|---" * (len(COLUMNS) + 1) + "|"
    for row in group.rows:
        marks = [_marks(row, column, passed, notes) for column in COLUMNS]
        yield f"| {row.name} | " + " | ".join(marks) + " |"
    if notes:
        yield ""
        yield from (f"{number}. {note}" for number, note in enumerate(notes, 1))


def _rules() -> Iterator[str]:
    for wire, rules in RULES.items():
        for rule in rules:
            yield f"| {wire} | {rule.name} | {rule.source} |"


def _title(column: Column) -> str:
    return f"{column.client} → {column.wire}" + ("" if column.is_foreign else f" ({column.path})")


def _marks(row: Row, column: Column, passed: Passed, notes: list[str]) -> str:
    marks, numbers = "", []
    for way in WAYS:
        no = row.impossible(column, way)
        lost = row.lost(column, way)
        if no is not None:
            marks += IMPOSSIBLE
            numbers.append(_note(notes, f"{no.why}: <{no.source}>"))
        elif (row.name, column.id, way) not in passed:
            marks += RED
        else:
            marks += LESS if lost else GREEN
            numbers += [_note(notes, _said(less)) for less in lost]
    shown = ", ".join(str(number) for number in sorted(set(numbers)))
    return f"{marks} {shown}".strip()


def _said(less: Less) -> str:
    return f"{less.what} (`{less.loss}`)" if less.loss else less.what


def _note(notes: list[str], text: str) -> int:
    """Return the number of a note, which is added once."""
    if text not in notes:
        notes.append(text)
    return notes.index(text) + 1
