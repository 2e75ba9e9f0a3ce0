"""Flags as Go's ``flag`` package reads them, from one table of declarations.

A program is a ``Program``: a row per ``Flag`` with its kind, default, range and help, and the
conflicts between rows. ``parse`` reads the words by Go's rules (``-name value``, ``-name=value``,
``--name``; a boolean never takes the next word; the last one wins). The same rows make an
``argparse`` parser, which writes the help and answers what types and choices there are; argparse
does not read the words, because its rules are others: it abbreviates single-dash names even with
``allow_abbrev=False`` (``-mod`` is ``-model``), and knows neither ``--name`` as a second spelling
nor ``-stream=false`` for a boolean.

``provider`` holds the rows and rules that the programs share: which provider, where, which key.
"""

from .declare import Flag, InfoRequested, Program, UsageError
from .table import argument_parser, completion_script, help_text
from .values import read_value, render_duration
from .words import Parsed, nearest, parse

__all__ = [
    "Flag",
    "InfoRequested",
    "Parsed",
    "Program",
    "UsageError",
    "argument_parser",
    "completion_script",
    "help_text",
    "nearest",
    "parse",
    "read_value",
    "render_duration",
]
