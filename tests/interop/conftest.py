"""What the tests with real SDKs share. They need the interop extra: scripts/interop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

#: Whose failing asserts show their values, as those of test modules do.
ASSERTING = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("conftest", "matrix") and not path.stem.startswith("test_")
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "interop: runs the makers' own SDKs against the proxy")
    pytest.register_assert_rewrite(*(f"tests.interop.{name}" for name in ASSERTING))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a test starts, and ends with it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=["whole", "stream", "async-whole", "async-stream"])
def way(request: pytest.FixtureRequest) -> Any:
    return request.param
