"""``scripts/coverage`` adds up by package and fails below the floors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.coverage_table import main


def summary(statements: int, missing: int, branches: int = 0, missed: int = 0) -> dict[str, object]:
    return {
        "summary": {
            "num_statements": statements,
            "missing_lines": missing,
            "num_branches": branches,
            "missing_branches": missed,
        }
    }


CASES = {
    "a pure package at its floor": ({"lmtools/sse.py": summary(100, 2)}, 0),
    "a pure package below": ({"lmtools/sse.py": summary(100, 3)}, 1),
    "another at its floor": ({"lmtools/lmc/chat.py": summary(100, 10)}, 0),
    "another below": ({"lmtools/lmc/chat.py": summary(100, 11)}, 1),
    "branches count": ({"lmtools/sse.py": summary(100, 0, 100, 5)}, 1),
    "files of a package add up": (
        {"lmtools/codecs/a/b.py": summary(10, 1), "lmtools/codecs/c.py": summary(90, 0)},
        0,
    ),
    "a good package does not pay for a bad one": (
        {"lmtools/lmc/chat.py": summary(1000, 0), "lmtools/agent.py": summary(10, 5)},
        1,
    ),
    "a package without code": ({"lmtools/lmc/__init__.py": summary(0, 0)}, 0),
}


@pytest.mark.parametrize(("files", "status"), CASES.values(), ids=CASES.keys())
def test_each_package_keeps_its_floor(
    tmp_path: Path, files: dict[str, object], status: int
) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"files": files}))

    assert main([str(report)]) == status


def test_the_table_names_what_is_low(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    files = {"lmtools/sse.py": summary(200, 5, 100, 4), "lmtools/errors.py": summary(10, 0)}
    report.write_text(json.dumps({"files": files}))

    main([str(report)])
    said = capsys.readouterr()

    assert "sse             200      5      100      4   97.0    98 LOW" in said.out
    assert "errors           10      0        0      0  100.0    98\n" in said.out
    assert said.err == "coverage: below the floor: sse\n"
