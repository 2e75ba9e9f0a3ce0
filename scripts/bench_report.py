"""A benchmark's figures as a table beside what they aim at, and the page that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bench_figures import HELD_STREAMS, WAYS, Figures

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"

#: What a figure should be at most, on two cores; rates at least.
AIMS: Mapping[str, float] = {
    "passed/CPU µs per request/small, 1": 150,
    "translated/CPU µs per request/small, 1": 300,
    "passed/CPU µs per request/small, 64": 150,
    "translated/CPU µs per request/small, 64": 300,
    "passed/CPU µs per request/large, 1": 300,
    "translated/CPU µs per request/large, 1": 2800,
    "passed/CPU µs per burst delta/32": 2,
    "translated/CPU µs per burst delta/32": 12,
    "translated/requests per s/small, 64": 4000,
    f"passed/streams waiting/{HELD_STREAMS}": 0,
    f"translated/streams waiting/{HELD_STREAMS}": 0,
}

_OF = {
    "requests per s": "connections",
    "p50 ms": "connections",
    "p99 ms": "connections",
    "CPU µs per request": "connections",
}


def share_of_aim(name: str, value: float) -> float | None:
    """Return by how much a figure misses its aim: 1 and less is met, 2 is twice too much."""
    aim = AIMS.get(name)
    if aim is None:
        return None
    if "per s" in name:
        return aim / value if value else float("inf")
    return value / aim if aim else value


def table(figures: Figures) -> list[str]:
    """Return the table in Markdown: a row for each figure, a column for each way."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in figures.items():
        way, what, of = name.split("/")
        rows.setdefault((what, of), {})[way] = _shown(name, value)
    lines = ["| what | of | direct | passed | translated |", "|---|---|---:|---:|---:|"]
    for (what, of), cells in rows.items():
        if "start" not in cells:
            columns = [cells.get(way, "") for way in ("direct", *WAYS)]
            lines.append(f"| {what} | {of} {_unit(what, of)} | {' | '.join(columns)} |")
    return lines


def start_table(figures: Figures) -> list[str]:
    lines = ["| what | figure |", "|---|---:|"]
    for name, value in figures.items():
        way, unit, what = name.split("/")
        if way == "start":
            lines.append(f"| {what} | {value:.1f} {unit} |")
    return lines


def _unit(what: str, of: str) -> str:
    unit = _OF.get(what, "streams")
    return unit[:-1] if of.rsplit(maxsplit=1)[-1] == "1" else unit


def _shown(name: str, value: float) -> str:
    text = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
    share = share_of_aim(name, value)
    if share is None:
        return text
    return f"{text} (aim {AIMS[name]:,.0f}: {share:.2f})"


def machine_line(machine: Mapping[str, Any]) -> str:
    load = ", ".join(f"{value:.1f}" for value in machine["load"])
    return (
        f"{machine['date']}, Python {machine['python']}, {machine['system']}, "
        f"{machine['cores']} cores, load average before {load}; "
        f"medians of {machine['rounds']} rounds."
    )


def text(figures: Figures, machine: Mapping[str, Any]) -> str:
    parts = [[machine_line(machine)], start_table(figures), table(figures)]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def update(page: Path, report: str) -> None:
    """Put the report between the marks of the page. ValueError when it has none."""
    old = page.read_text(encoding="utf-8")
    before, begun, rest = old.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise ValueError(f"{page}: {BEGIN} and {END} are not there")
    page.write_text(f"{before}{BEGIN}\n\n{report}\n{END}{after}", encoding="utf-8")
