"""What a flag and a program are: rows of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError

__all__ = ["Flag", "InfoRequested", "Kind", "Program", "UsageError"]

Kind = Literal["string", "bool", "int", "float", "duration", "path", "choice", "repeat"]


class UsageError(ConfigError):
    """The words or the environment do not make a run. One line; the program ends with code 2."""

    exit_code = 2


class InfoRequested(Exception):
    """The words ask for a text instead of a run: print ``text`` on stdout and end with code 0."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    ``name`` has no dash. ``default`` is the value when the flag is absent, and for choices also
    when it is given empty. Durations are seconds; a ``repeat`` flag gives a tuple of strings.
    ``minimum`` and ``maximum`` bound numbers, ends included. Choices match whatever the case, and
    ``aliases`` are pairs of a further spelling and the choice it stands for. ``group`` is the
    heading in the help.
    """

    name: str
    kind: Kind
    help: str
    default: object = None
    choices: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    metavar: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    group: str | None = None

    @property
    def attribute(self) -> str:
        """The flag's name as a Python name, and its name in ``Parsed``."""
        return self.name.replace("-", "_")

    @property
    def absent(self) -> object:
        """The value when the flag is not on the line."""
        if self.default is None:
            return {"bool": False, "repeat": ()}.get(self.kind)
        return self.default


@dataclass(frozen=True, slots=True)
class Program:
    """A program's command line.

    ``conflicts`` pairs a flag with those it cannot stand with, ``needs`` a flag with the one it has
    no meaning without. ``input`` says in the message about a stray word where input goes instead.
    """

    name: str
    summary: str
    flags: tuple[Flag, ...]
    usage: str = ""
    epilog: str = ""
    input: str = ""
    conflicts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    needs: tuple[tuple[str, str], ...] = ()
