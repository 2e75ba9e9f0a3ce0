"""Every cell of docs/matrix.md that can be, run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("anthropic", reason="needs the anthropic SDK: run scripts/interop")
pytest.importorskip("openai", reason="needs the openai SDK: run scripts/interop")
from lmtools.apiproxy import raw
from tests.interop.cell import Cell, look
from tests.interop.rows import ROWS
from tests.interop.table import Column, Row, cells

pytestmark = pytest.mark.interop
CELLS = list(cells(ROWS))
Key = tuple[str, Column, str]


def _run(row: Row, column: Column, way: str) -> None:
    with Cell(row, column, way) as cell:
        cell.run()


@pytest.fixture(scope="session", autouse=True)
def codec_columns() -> Iterator[None]:
    """Have the bodies of the codec columns left to the codec."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw, "look", look)
        yield


@pytest.fixture(scope="session", autouse=True)
def patient(
    request: pytest.FixtureRequest, codec_columns: None
) -> Iterator[dict[Key, Future[None]]]:
    """Start the cells that mostly wait: they run beside all others."""
    asked = [
        item.callspec.params["cell"]
        for item in request.session.items
        if hasattr(item, "callspec") and "cell" in item.callspec.params
    ]
    waiting = [found for found in asked if isinstance(found, tuple) and found[0].patient]
    if not waiting:
        yield {}
        return
    with ThreadPoolExecutor(len(waiting)) as pool:
        yield {
            (row.name, column, way): pool.submit(_run, row, column, way)
            for row, column, way in waiting
        }


@pytest.mark.parametrize(
    "cell", CELLS, ids=lambda c: f"{c[0].name}-{c[1].id}-{c[2]}".replace(" ", "_")
)
def test_cell(
    cell: tuple[Row, Column, str],
    patient: dict[Key, Future[None]],
    record_property: Any,
) -> None:
    row, column, way = cell
    record_property("cell", (row.name, column.id, way))
    if row.patient:
        patient[row.name, column, way].result()
    else:
        _run(row, column, way)
