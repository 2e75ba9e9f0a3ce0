"""``python -m conformance [-v] [-law NAME] [-case TEXT] [-dialect NAME]``: exit code 1 when a law is broken."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import corpus, runner
from .laws import ELSEWHERE, LAWS


def parser() -> argparse.ArgumentParser:
    names = ", ".join(law.name for law in LAWS)
    made = argparse.ArgumentParser(prog="python -m conformance", description="Run the corpus against the laws.")  # fmt: skip
    made.add_argument("-v", action="store_true", help="every difference, and the cases that passed")
    made.add_argument("-law", action="append", metavar="NAME", help=f"only this law: {names}")
    made.add_argument("-case", default="", metavar="TEXT", help="only cases whose name holds TEXT")
    made.add_argument("-dialect", default="", metavar="NAME", help="only cases of this dialect")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    laws = [law for law in LAWS if not options.law or {law.name, law.group} & set(options.law)]
    unknown = set(options.law or ()) - {name for law in LAWS for name in (law.name, law.group)}
    cases = [c for c in corpus.load() if options.case in c.name and options.dialect in c.dialect]
    if unknown or not cases:
        wrong = f"no law {', '.join(sorted(unknown))}" if unknown else "no such case"
        print(f"{wrong}; see -h", file=sys.stderr)
        return 2
    codecs = runner.codecs()
    table = runner.run(cases, laws, codecs)
    failed = runner.failures(table)
    for failure in failed:
        _report(failure, options.v)
    print(runner.render(table, codecs, laws))
    for line in (*(f"{law}: {why}" for law, why in ELSEWHERE), *corpus.absent()):
        print(f"not run: {line}")
    print(f"{len(cases)} cases, {len(failed)} failures")
    return 1 if failed else 0


def _report(failure: runner.Failure, all_of_it: bool) -> None:
    shown = failure.problems if all_of_it else failure.problems[:1]
    for problem in shown:
        print(f"{failure.law} {failure.case.name}: {problem}")
    if len(shown) < len(failure.problems):
        print(f"    and {len(failure.problems) - len(shown)} more (-v)")


if __name__ == "__main__":
    sys.exit(main())
