"""All rows of the matrix, in its order."""

from __future__ import annotations

from tests.interop import (
    rows_answers,
    rows_errors,
    rows_media,
    rows_reasoning,
    rows_text,
    rows_tools,
)

GROUPS = (
    rows_text.GROUP,
    rows_tools.GROUP,
    rows_reasoning.GROUP,
    rows_media.GROUP,
    rows_answers.GROUP,
    rows_errors.GROUP,
    rows_errors.STREAMS,
)
ROWS = tuple(row for group in GROUPS for row in group.rows)
