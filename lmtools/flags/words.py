"""The words of a command line -> values, by the rules of Go's ``flag`` package.

As Go: ``-name`` and ``--name`` are one; ``-name value`` or ``-name=value``; a value is the next
word whatever it looks like (``-max-tokens -5``); a boolean takes a value only after ``=``; the last
one wins; no abbreviations; reading stops at the first word that is no flag and after ``--``.
Unlike Go: what stands after that stop is an error, not ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from .declare import Flag, InfoRequested, Program, UsageError
from .table import COMPLETION, HELP_NAMES, completion_script, help_text
from .values import allowed, quoted, read_value

__all__ = ["Parsed", "nearest", "parse"]

_MAX_NAME = 40


class Parsed:
    """The value of every declared flag, by its Python name: ``parsed.max_tokens``.

    ``given`` holds the names (as typed, without dashes) of the flags that stood on the line.
    """

    __slots__ = ("_values", "given")

    def __init__(self, values: Mapping[str, object], given: Iterable[str]) -> None:
        self._values = dict(values)
        self.given = frozenset(given)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no flag is declared for {name!r}") from None

    def __repr__(self) -> str:
        # Values stay out of it: -argo-user may hold a key.
        return f"Parsed(given={sorted(self.given)})"


def parse(words: Sequence[str], program: Program) -> Parsed:
    """Read the words that follow the program's name.

    Raises UsageError, one line, at the first word that is wrong; InfoRequested for ``-h``,
    ``-help`` and ``-completion SHELL``.
    """
    values: dict[str, Any] = {flag.attribute: flag.absent for flag in program.flags}
    given: set[str] = set()
    for flag, text in _pairs(words, program):
        value = read_value(flag, text)
        if flag.kind == "repeat":
            value = (*values[flag.attribute], value)
        values[flag.attribute] = value
        given.add(flag.name)
    _check_together(program, values, given)
    return Parsed(values, given)


def _pairs(words: Sequence[str], program: Program) -> Iterator[tuple[Flag, str]]:
    """Yield each flag with its value's text, in the order of the line."""
    known = {flag.name: flag for flag in program.flags}
    rest = deque(words)
    before: Flag | None = None
    while rest:
        word = rest.popleft()
        if word == "--":
            _refuse_strays(rest, program, None)
            return
        if len(word) < 2 or not word.startswith("-"):
            _refuse_strays((word,), program, before)
        name, text = _split(word)
        flag = known.get(name) or _built_in(name, program)
        if text is None:
            text = "true" if flag.kind == "bool" else _next(flag, rest)
        if flag is COMPLETION:
            raise InfoRequested(_completion(program, text))
        yield flag, text
        before = flag


def _split(word: str) -> tuple[str, str | None]:
    """Return the name of a flag word and the text after its first ``=``, None without one."""
    body = word[2:] if word.startswith("--") else word[1:]
    name, equals, text = body.partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"{quoted(word)} is not a flag; flags are written -name or -name=value")
    return name, text if equals else None


def _built_in(name: str, program: Program) -> Flag:
    if name in HELP_NAMES:
        raise InfoRequested(help_text(program))
    if name == COMPLETION.name:
        return COMPLETION
    names = [flag.name for flag in program.flags] + [HELP_NAMES[-1], COMPLETION.name]
    near = " or ".join(f"-{other}" for other in nearest(name, names))
    hint = f"did you mean {near}?" if near else f"{program.name} -h lists the flags"
    raise UsageError(f"unknown flag -{quoted(name)[1:-1]}; {hint}")


def _completion(program: Program, shell: str) -> str:
    read_value(COMPLETION, shell)  # refuses a shell that there is no script for
    return completion_script(program)


def _next(flag: Flag, rest: deque[str]) -> str:
    if not rest:
        raise UsageError(f"-{flag.name}: the value is missing; give {allowed(flag)}")
    return rest.popleft()


def _refuse_strays(words: Iterable[str], program: Program, before: Flag | None) -> None:
    """Raise for the first of the words, if there is one."""
    for word in words:
        if before is not None and before.kind == "bool":
            advice = f"-{before.name} takes a value only as -{before.name}=false"
        else:
            advice = f"{program.name} takes flags only"
        advice += f"; {program.input}" if program.input else ""
        raise UsageError(f"unexpected word {quoted(word)}: {advice}")


def _check_together(program: Program, values: Mapping[str, object], given: set[str]) -> None:
    """Refuse flags that contradict one another. One that is set to false or empty is not there."""

    def stands(name: str) -> bool:
        value = values[name.replace("-", "_")]
        return name in given and not (value is None or value is False or value == "")

    for name, others in program.conflicts:
        for other in others:
            if stands(name) and stands(other):
                raise UsageError(f"-{name} and -{other} exclude each other; give one of them")
    for name, needed in program.needs:
        if stands(name) and not stands(needed):
            raise UsageError(f"-{name} has no meaning without -{needed}")


def nearest(word: str, names: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Return the names that a mistyped word most likely means, best first; none if none is near.

    Near is one that continues or is continued by the word, or one edit away for every three
    letters. ``difflib`` is not used: it counts swapped letters as two edits and is one more import.
    """
    word = word.lower()
    if len(word) > _MAX_NAME:
        return ()
    ranked = []
    for name in names:
        distance = _distance(word, name)
        if min(len(word), len(name)) >= 3 and (name.startswith(word) or word.startswith(name)):
            distance = min(distance, 1)
        if distance <= max(1, len(word) // 3):
            ranked.append((distance, name))
    return tuple(name for _, name in sorted(ranked)[:limit])


def _distance(one: str, other: str) -> int:
    """Return the edits from one to the other: insert, drop, replace, swap of neighbours."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        before, above, row = row, before, [i]
        for j, right in enumerate(other, start=1):
            cost = min(before[j] + 1, row[-1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, above[j - 2] + 1)
            row.append(cost)
    return row[-1]
