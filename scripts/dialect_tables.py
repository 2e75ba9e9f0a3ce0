"""Writes docs/dialects: field by field, what a dialect says and what becomes of it in the others.

``scripts/dialect_tables`` writes the pages; ``--check`` fails when one is not what it would write.
The rows are made from the own cases of the conformance corpus (dialect_traces.py), never by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from conformance import corpus, runner
from conformance.corpus import Case
from conformance.exchange import Codecs
from scripts.dialect_traces import FRAMES, NOTES, Place, Step, Trace, traces

FOLDER = Path(__file__).parents[1] / "docs" / "dialects"

TOP = "Requests: top-level fields"
MESSAGES = "Requests: messages"
CONTENT = "Requests: content of messages"
TOOLS = "Requests: tools"
ANSWERS = "Answers"
EVENTS = "Stream events"
TITLES = (TOP, MESSAGES, CONTENT, TOOLS, ANSWERS, EVENTS)

#: Lists whose items are told apart by kind in every row.
KIND_LISTS = ("content", "tools", FRAMES)

#: How many places and losses of one cell are shown.
MANY = 3

SAME = "\N{HORIZONTAL ELLIPSIS}"

INTRO = f"""\
# Dialect %s

Written by `scripts/dialect_tables` from the requests, answers and streams of the conformance
corpus: each value in them was changed, and followed into the canonical values and out of each
codec. A field that no case has is not here. Like the invented names, which stand for fields of
tomorrow, it is kept as opaque data, goes back to its own dialect as it came, and is dropped with a
loss towards another.

* **On the wire**: brackets hold the kind of an item (its `type` or `role`), parentheses that of a
  single object; `.*` is all that the cases have below, `{{a, b}}` fields that go the same way,
  `= word` one value where the sides have different words. *Not given*: what is sent when the field
  is absent. *As a whole*: a loss that names no single value.
* **Canonical**: where `lmtools.types` has it. *opaque* is what only this dialect's codec reads.
* **To a dialect**: the field it becomes (`{SAME}`: of the same name) at a server that takes all
  that its dialect can say, and the losses, as `x-lmtools-loss` and the log name them. Several
  fields or losses are those of several cases. An answer goes to a client of that dialect.
"""


@dataclass(slots=True)
class Row:
    """One line of a table: a wire path, and the texts of each cell in order of appearance."""

    kind: str
    wire: tuple[Step, ...]
    word: str
    cells: list[dict[str, None]]
    given: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.wire)

    @property
    def path(self) -> str:
        return text_of(Place(self.wire, self.word))


def text_of(place: Place) -> str:
    steps = place.steps[1:] if place.steps[0].name == FRAMES and place.steps[1:] else place.steps
    first = place.steps[0].label if steps is not place.steps else ""
    path = ".".join([*([first] if first else []), *(str(step) for step in steps)])
    return f"{path} = {place.word}" if place.word else path


def rows(found: Iterable[Trace], dialect: str, dialects: Sequence[str]) -> list[Row]:
    """Return the rows of a page, as few as say the same."""
    gathered = _gathered(found, dialect, dialects)
    absent = [row for row in gathered if not row.given]
    found_rows = [row for row in gathered if row.given]
    for reduce in (_without_common_words, _without_labels, _collapsed, _joined, _braced):
        found_rows = reduce(found_rows)
    return [*found_rows, *absent]


def _gathered(found: Iterable[Trace], dialect: str, dialects: Sequence[str]) -> list[Row]:
    gathered: dict[object, Row] = {}
    for trace in found:
        given = bool(trace.wire.steps)
        where = trace.wire.steps or trace.canonical[0].steps
        key = (trace.kind, where, trace.wire.word, given)
        empty: list[dict[str, None]] = [{} for _ in range(len(dialects) + 1)]
        row = gathered.setdefault(key, Row(trace.kind, where, trace.wire.word, empty, given))
        row.cells[0].update(dict.fromkeys(f"`{text_of(place)}`" for place in trace.canonical))
        for cell, name in zip(row.cells[1:], dialects, strict=True):
            cell.update(dict.fromkeys(_told(trace, name, name == dialect)))
    for row in gathered.values():
        row.cells = [_without_notes(cell) for cell in row.cells]
    return [*gathered.values()]


def _told(trace: Trace, dialect: str, same: bool) -> list[str]:
    outcome = trace.outcomes.get(dialect)
    if outcome is None:
        return []
    names = [step.name for step in trace.wire.steps]
    places = [place for place in outcome.places if place.steps]
    if same and any([step.name for step in place.steps] == names for place in places):
        return ["kept", *outcome.losses]
    said = [f"`{text_of(place)}`" for place in places]
    return [*said, *outcome.losses, *([outcome.note] if outcome.note else [])]


def _without_notes(cell: dict[str, None]) -> dict[str, None]:
    """A note says why nothing is said, so it goes where some case says something."""
    said = {text: None for text in cell if text not in NOTES}
    return said or cell


# --- fewer rows that say the same


def _grouped(rows: Iterable[Row], key: Callable[[Row], object]) -> list[list[Row]]:
    groups: dict[object, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return [*groups.values()]


def _merged(group: Sequence[Row]) -> Row:
    cells = [{k: None for row in group for k in row.cells[i]} for i in range(len(group[0].cells))]
    return replace(group[0], cells=cells)


def _without_common_words(found: list[Row]) -> list[Row]:
    """Words that are the same on all sides need no rows of their own."""
    out = []
    for group in _grouped(found, lambda row: (row.kind, row.wire)):
        common = [_bare(row) for row in group if not row.word or _says_same(row)]
        out += [row for row in group if row.word and not _says_same(row)]
        if common:
            out.append(_merged(common))
    return out


def _says_same(row: Row) -> bool:
    words = [text.rpartition(" = ")[2] for cell in row.cells for text in cell if " = " in text]
    return all(word == f"{row.word}`" for word in words)


def _bare(row: Row) -> Row:
    cells = [{text.replace(f" = {row.word}`", "`"): None for text in cell} for cell in row.cells]
    return replace(row, word="", cells=cells)


def _without_labels(found: list[Row]) -> list[Row]:
    """A kind is not shown where all kinds that the corpus has in this place say the same."""
    out = []
    for group in _grouped(found, lambda row: (row.kind, row.names)):
        for at in range(len(group[0].wire)):
            if group[0].wire[at].name not in KIND_LISTS:
                group = _relabelled(group, at)
        out += group
    return out


def _relabelled(group: list[Row], at: int) -> list[Row]:
    """Return the rows without the label of one step, or as they are where two would contradict."""
    bare = _grouped([_without_label(row, at) for row in group], lambda row: (row.wire, row.word))
    if any(row.cells != same[0].cells for same in bare for row in same):
        return group
    return [same[0] for same in bare]


def _without_label(row: Row, at: int) -> Row:
    """The same label in the cells goes too: a user's text is a user's text on the other side."""
    return _labelled(row, at, "", "[]")


def _labelled(row: Row, at: int, label: str, shown: str) -> Row:
    old = row.wire[at].label
    wire = (*row.wire[:at], replace(row.wire[at], label=label), *row.wire[at + 1 :])
    cells = [{text.replace(f"[{old}]", shown): None for text in cell} for cell in row.cells]
    return replace(row, wire=wire, cells=cells if old else row.cells)


def _joined(found: list[Row]) -> list[Row]:
    """Rows that differ in one kind only become one that names the kinds."""
    for at in range(max(len(row.wire) for row in found)):
        out: list[Row] = []
        for group in _grouped(found, partial(_joint, at=at)):
            labels = sorted({row.wire[at].label for row in group if len(row.wire) > at})
            joined = (
                _labelled(group[0], at, ", ".join(labels), "[]") if len(group) > 1 else group[0]
            )
            out.append(joined)
        found = out
    return found


def _joint(row: Row, at: int) -> object:
    if len(row.wire) <= at or not row.wire[at].label:
        return id(row)
    bare = _without_label(row, at)
    return (row.kind, bare.wire, row.word, str(bare.cells))


def _collapsed(found: list[Row]) -> list[Row]:
    """What lies below one place and goes the same way together becomes one row, ``place.*``."""
    for depth in range(1, max(len(row.wire) for row in found)):
        out: list[Row] = []
        for group in _grouped(found, partial(_above, depth=depth)):
            below = [_below(row, depth) for row in group]
            same = all(row.cells == below[0].cells for row in below)
            out += [below[0]] if same and len(group) > 1 else group
        found = out
    return found


def _above(row: Row, depth: int) -> object:
    return (row.kind, row.wire[:depth]) if len(row.wire) > depth and not row.word else id(row)


def _below(row: Row, depth: int) -> Row:
    tail = ".".join(str(step) for step in row.wire[depth:])
    cells = [{text.replace(f".{tail}`", ".*`"): None for text in cell} for cell in row.cells]
    return replace(row, wire=(*row.wire[:depth], Step("*")), cells=cells)


def _braced(found: list[Row]) -> list[Row]:
    """Fields of one object that go the same way share a row, ``place.{one, other}``."""
    out = []
    for group in _grouped(found, _siblings):
        names = ", ".join(sorted(_split(row)[1] for row in group))
        wire = (*_split(group[0])[0], Step(f"{{{names}}}"))
        joint = replace(group[0], wire=wire, cells=_same_names(group[0]))
        out.append(joint if len(group) > 1 else group[0])
    return out


def _split(row: Row) -> tuple[tuple[Step, ...], str]:
    """Return the object and the name of its field; ``name.*`` is one name."""
    last = 2 if row.wire[-1].name == "*" else 1
    return row.wire[:-last], ".".join(str(step) for step in row.wire[-last:])


def _same_names(row: Row) -> list[dict[str, None]]:
    name = _split(row)[1]
    pattern = re.compile(rf"(?<=[`.]){re.escape(name)}`$")
    return [{pattern.sub(f"{SAME}`", text): None for text in cell} for cell in row.cells]


def _siblings(row: Row) -> object:
    return id(row) if row.word else (row.kind, _split(row)[0], str(_same_names(row)))


# --- pages


def page(found: Iterable[Trace], dialect: str, dialects: Sequence[str]) -> str:
    """Return the page of a dialect; the same corpus and codecs give the same bytes."""
    made = rows(found, dialect, dialects)
    names = (f"to {name}" for name in dialects)
    head = _line(("on the wire", "canonical", *names)) + "|---" * (len(dialects) + 2) + "|\n"
    text = INTRO % dialect
    for title in TITLES:
        held = sorted((row for row in made if _title(row) == title), key=lambda row: row.path)
        if held:
            text += f"\n## {title}\n\n{head}" + "".join(_shown(row) for row in held)
    return text


def _title(row: Row) -> str:
    if row.kind != "request":
        return ANSWERS if row.kind == "response" else EVENTS
    first, second = (*row.wire, Step(""))[:2]
    if first.name == "messages" and second.listed and second.name in ("content", "parts"):
        return CONTENT
    return {"messages": MESSAGES, "tools": TOOLS, "functions": TOOLS}.get(first.name, TOP)


def _shown(row: Row) -> str:
    if row.given:
        first = f"`{row.path}`"
    else:
        defaulted = all(text.startswith("defaulted") for cell in row.cells[1:] for text in cell)
        first = "*not given*" if defaulted else "*as a whole*"
    return _line((first, *(_cell(cell) for cell in row.cells)))


def _cell(cell: Iterable[str]) -> str:
    places = [text for text in cell if text.startswith("`")]
    others = [text for text in cell if not text.startswith("`")]
    return "; ".join([", ".join(_few(places)), *_few(others)] if places else _few(others))


def _few(texts: list[str]) -> list[str]:
    return texts if len(texts) <= MANY else [*texts[:MANY], "..."]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def pages(cases: Sequence[Case], codecs: Codecs) -> dict[str, str]:
    """Return the text of each page by its file name."""
    names = [*codecs]
    return {f"{name}.md": page(traces(cases, name, codecs), name, names) for name in names}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="dialect_tables", description="Write docs/dialects.")
    parser.add_argument("--check", action="store_true", help="fail where a page is not as written")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    stale = []
    for name, text in pages(corpus.own(), runner.codecs()).items():
        path = options.folder / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if options.check:
            print(
                f"{path}: not what the codecs do now; run scripts/dialect_tables", file=sys.stderr
            )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    done = "stale" if options.check else "written"
    print(f"dialect_tables: {', '.join(stale) or 'no page'} {done}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
