"""Running cases against laws, and the table of what came of it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field

from lmtools.codecs import DIALECTS, codec_named

from .corpus import Case
from .exchange import Codecs
from .laws import LAWS, Law


@dataclass(frozen=True, slots=True)
class Failure:
    law: str
    case: Case
    problems: tuple[str, ...]


@dataclass(slots=True)
class Cell:
    """What came of one law in one dialect."""

    run: int = 0
    failures: list[Failure] = field(default_factory=list)


Table = dict[tuple[str, str], Cell]


def codecs() -> Codecs:
    """Return the codecs by dialect."""
    return {name: codec_named(name) for name in DIALECTS}


def check(law: Law, case: Case, codecs: Codecs) -> Failure | None:
    """Hold one case against one law. Whatever a codec raises is a breach, with the place it came from."""
    problems: list[str] = []
    try:
        problems.extend(law.check(case, codecs))
    except Exception as error:  # noqa: BLE001  a corpus run reports every case, whatever one does
        problems.append(f"raised {type(error).__name__}: {error} ({_place(error)})")
    return Failure(law.name, case, tuple(problems)) if problems else None


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "lmtools" in frame.filename] or frames
    return f"{own[-1].filename.rpartition('/')[2]}:{own[-1].lineno}"


def run(cases: Iterable[Case], laws: Iterable[Law], codecs: Codecs) -> Table:
    """Hold every case against every law that is for it."""
    table: Table = {}
    laws = tuple(laws)
    for case in cases:
        if case.dialect not in codecs:
            continue
        for law in laws:
            if not law.applies(case):
                continue
            cell = table.setdefault((law.name, case.dialect), Cell())
            cell.run += 1
            failure = check(law, case, codecs)
            if failure:
                cell.failures.append(failure)
    return table


def render(table: Table, dialects: Iterable[str], laws: Iterable[Law] = LAWS) -> str:
    """Return the table as text: a row for each law, a column for each dialect."""
    dialects = tuple(dialects)
    lines = [f"{'law':11}{'':38}" + "".join(f"{name:>14}" for name in dialects)]
    for law in laws:
        cells = "".join(f"{_shown(table.get((law.name, name))):>14}" for name in dialects)
        lines.append(f"{law.name:11}{law.title:38}{cells}")
    return "\n".join(lines)


def _shown(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return f"{cell.run} ok" if not cell.failures else f"{len(cell.failures)}/{cell.run} RED"


def failures(table: Table) -> list[Failure]:
    return [failure for cell in table.values() for failure in cell.failures]
