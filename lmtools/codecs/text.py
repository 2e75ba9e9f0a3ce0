"""JSON text for codecs, under the name that they import: the kept decoder and encoder of ``types``.

They live there because assembly parses the arguments of tool calls with the same strictness, and
``types`` stands below ``codecs``.
"""

from __future__ import annotations

from ..types.json import dumps, loads

__all__ = ["dumps", "loads"]
