"""The pytest plugin that writes docs/matrix.md, or holds it against what was seen.

``--matrix=update`` writes the page, ``--matrix=check`` fails the run where it differs. Whatever is
not seen to pass is red, and a red cell fails the run: one that failed, was skipped, or never ran.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "matrix.md"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--matrix", choices=("update", "check"), help="write docs/matrix.md, or check it"
    )


class Seen:
    """Which cells were seen to pass, as (row, column, way)."""

    def __init__(self) -> None:
        self.passed: set[tuple[str, str, str]] = set()

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            found: dict[str, Any] = dict(report.user_properties)
            if "cell" in found:
                row, column, way = found["cell"]
                self.passed.add((row, column, way))

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        mode = session.config.getoption("--matrix")
        if mode is None or hasattr(session.config, "workerinput"):
            return
        # Imported here, since what pytest loads before the tests shows no values of failing asserts.
        from tests.interop import page

        found, red = page.write(self.passed), page.count_red(self.passed)
        problems = [f"{red} cells are red"] if red else []
        if mode == "update":
            PAGE.write_text(found, encoding="utf-8")
        elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != found:
            problems.append("it differs from this run; scripts/interop --update writes it")
        if problems:
            print(f"\ndocs/matrix.md: {'; '.join(problems)}")
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Seen(), "matrix-seen")
