"""A program's rows as an argparse parser, and what is made from it: help and shell completion.

Importing argparse costs 2 ms, building 28 rows 3 ms and formatting them 2 ms more, so the parser is
built only when somebody asks for it. It never reads a real command line; tests use it as a second
reader of the words that Go and argparse agree on.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from .declare import Flag, Program
from .values import read_value, render_duration

__all__ = ["COMPLETION", "HELP_NAMES", "argument_parser", "completion_script", "help_text"]

HELP_NAMES = ("h", "help")
COMPLETION = Flag(
    "completion",
    "choice",
    'print a completion script: eval "$({program} -completion bash)"',
    choices=("bash",),
    default="bash",
)

_WIDTH = 96
_NAME_COLUMN = 30


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """A fixed width: the help text in the documentation is the one that every terminal shows."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=_NAME_COLUMN, width=_WIDTH)


def argument_parser(program: Program) -> argparse.ArgumentParser:
    """Return the rows as an argparse parser: types, choices, defaults, headings and help."""
    parser = argparse.ArgumentParser(
        prog=program.name,
        usage=_escape(program.usage) or None,
        description=program.summary,
        epilog=program.epilog,
        prefix_chars="-",
        allow_abbrev=False,
        add_help=False,
        formatter_class=_Formatter,
    )
    headings: dict[str, argparse._ArgumentGroup] = {}
    for flag in program.flags:
        heading = flag.group or "flags"
        if heading not in headings:
            headings[heading] = parser.add_argument_group(heading)
        headings[heading].add_argument(f"-{flag.name}", **_argument(flag))
    about = parser.add_argument_group("about this program")
    about.add_argument(*(f"-{name}" for name in HELP_NAMES), action="help", help="print this text")
    completion = _argument(COMPLETION) | {"help": COMPLETION.help.format(program=program.name)}
    about.add_argument(f"-{COMPLETION.name}", **completion)
    return parser


def help_text(program: Program) -> str:
    return argument_parser(program).format_help()


def _argument(flag: Flag) -> dict[str, Any]:
    """Return what ``add_argument`` is told about a flag."""
    told: dict[str, Any] = {"default": flag.absent, "help": _help(flag)}
    if flag.kind == "bool":
        return told | {"action": "store_true"}
    told |= {"type": partial(read_value, flag), "metavar": _metavar(flag)}
    if flag.kind == "repeat":
        return told | {"action": "append", "default": []}
    return told | ({"choices": flag.choices} if flag.choices else {})


def _metavar(flag: Flag) -> str:
    names = {"int": "N", "float": "X", "duration": "TIME", "path": "FILE"}
    return flag.metavar or "|".join(flag.choices) or names.get(flag.kind, "TEXT")


def _help(flag: Flag) -> str:
    words = flag.help
    if flag.kind == "repeat":
        words += " (repeatable)"
    shown = _shown_default(flag)
    return _escape(f"{words} (default {shown})" if shown else words)


def _shown_default(flag: Flag) -> str:
    if flag is COMPLETION or flag.default in (None, False, "", ()):
        return ""
    if flag.kind == "duration" and isinstance(flag.default, (int, float)):
        return render_duration(flag.default)
    return str(flag.default)


def _escape(text: str) -> str:
    """argparse formats help with ``%``."""
    return text.replace("%", "%%")


_BASH = """\
_{function}() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}"
    case "${{COMP_WORDS[COMP_CWORD-1]}}" in
{cases}
    esac
    COMPREPLY=($(compgen -W "{names}" -- "$word"))
}}
complete -F _{function} {program}
"""
_CASE = "        {names}) COMPREPLY=({words}); return ;;"


def completion_script(program: Program) -> str:
    """Return the bash script (3.2 or newer) that completes flags, choices and file names."""
    flags = (*program.flags, COMPLETION)
    cases = (
        _CASE.format(names=f"-{flag.name}|--{flag.name}", words=_candidates(flag))
        for flag in flags
        if flag.kind != "bool"
    )
    return _BASH.format(
        function=program.name.replace("-", "_"),
        program=program.name,
        cases="\n".join(cases),
        names=" ".join(f"-{name}" for name in (*(f.name for f in flags), HELP_NAMES[-1])),
    )


def _candidates(flag: Flag) -> str:
    """Return bash words that give the values worth offering; none for free text."""
    if flag.kind == "path":
        return '$(compgen -f -- "$word")'
    if flag.choices:
        return f'$(compgen -W "{" ".join(flag.choices)}" -- "$word")'
    return ""
