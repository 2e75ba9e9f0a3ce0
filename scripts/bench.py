"""What the proxy costs, measured with a fake upstream and a load generator of its own.

``scripts/bench [-quick] [-json FILE] [-update]`` prints the table, writes the figures as JSON, and
puts the table into docs/performance.md. It takes about three minutes, with ``-quick`` some
seconds, whose figures say only that everything runs. Everything is on 127.0.0.1 and ends with it.

Exit code 1: a process failed, or the generator and the upstream, face to face, are not three times
as fast as the proxy (``-quick`` only says so).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.bench_children import all_ended
from scripts.bench_figures import QUICK, Plan, measure, too_slow
from scripts.bench_processes import BenchError
from scripts.bench_report import AIMS, share_of_aim, text, update

PAGE = Path(__file__).parents[1] / "docs/performance.md"


def machine(plan: Plan) -> dict[str, Any]:
    """Return what a reader needs to compare figures."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "load": [round(value, 2) for value in os.getloadavg()],
        "rounds": plan.rounds,
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench", description="Measure what the proxy costs.")
    parser.add_argument("-quick", action="store_true", help="see that it runs, in some seconds")
    parser.add_argument("-json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("-update", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args(arguments)
    plan = QUICK if options.quick else Plan()
    facts = machine(plan)
    try:
        with all_ended():
            figures = measure(plan)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    report = text(figures, facts)
    print(report)
    refused = too_slow(figures)
    for problem in refused:
        print(f"bench: generator too slow: {problem}", file=sys.stderr)
    if options.json:
        missed = {name: share_of_aim(name, figures[name]) for name in AIMS if name in figures}
        written = {"machine": facts, "figures": figures, "of_aim": missed, "refused": refused}
        options.json.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n")
    if refused and not options.quick:
        return 1
    if options.update:
        update(PAGE, report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
