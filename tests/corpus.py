"""Where captured traffic is, for tests that make one case of each file at collection time."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).parents[2] / "shared"


def capture_files(pattern: str) -> list[Path]:
    """Return the captured files under ``shared/captures`` that match, in order; none without it."""
    return sorted((SHARED / "captures").glob(pattern))


def recorded_files(pattern: str = "*.json") -> list[Path]:
    """Return the recorded request bodies of real clients, in order; none without them."""
    return sorted((SHARED / "recorded").glob(pattern))


def case_id(path: Path) -> str:
    """Name a file in test output: ``openai-tool-followup/anthropic.response.json``."""
    parts = path.relative_to(SHARED).parts[1:]
    return "/".join(part for part in parts if part != "captures")
