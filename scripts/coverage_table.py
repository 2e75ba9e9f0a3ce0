"""Turns coverage's JSON report into a table by package, and fails below the floors.

The pure packages are functions of their arguments, so nothing in them is out of a test's reach.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.check_layers import LAYERS

PURE = ("errors", "types", "serde", "sse", "http1", "codecs")
PURE_FLOOR = 98.0
FLOOR = 90.0
COUNTS = ("num_statements", "missing_lines", "num_branches", "missing_branches")


def by_package(report: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Add up the files of each part of lmtools, in the order of the layers."""
    totals = {unit: dict.fromkeys(COUNTS, 0) for line in LAYERS for unit in line}
    for name, file in report["files"].items():
        unit = Path(name).with_suffix("").parts[1]
        counts = totals.setdefault(unit, dict.fromkeys(COUNTS, 0))
        for count in COUNTS:
            counts[count] += file["summary"][count]
    return {unit: counts for unit, counts in totals.items() if counts["num_statements"]}


def percent(counts: Mapping[str, int]) -> float:
    """Return the covered share of statements and branches together, as coverage reports it."""
    whole = counts["num_statements"] + counts["num_branches"]
    missing = counts["missing_lines"] + counts["missing_branches"]
    return 100.0 * (whole - missing) / whole


def floor(unit: str) -> float:
    return PURE_FLOOR if unit in PURE else FLOOR


def main(arguments: list[str]) -> int:
    totals = by_package(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    print("package       lines missed branches missed      % floor")
    low = []
    for unit, counts in totals.items():
        covered = percent(counts)
        low += [unit] if covered < floor(unit) else []
        numbers = "{:6} {:6} {:8} {:6}".format(*(counts[count] for count in COUNTS))
        print(
            f"{unit:12} {numbers} {covered:6.1f} {floor(unit):5.0f}{' LOW' if unit in low else ''}"
        )
    if low:
        print(f"coverage: below the floor: {', '.join(low)}", file=sys.stderr)
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
