"""What starting costs: ``import lmtools``, the time until the proxy is ready, its idle memory.

``scripts/start_cost [--check] [--runs N]`` prints medians, and an empty Python beside them to say
how fast this machine is. With ``--check`` a figure over its bound in ``BOUNDS`` fails.

Compiled files are kept in a folder of their own for the time of the measurement, written by first
runs that do not count: that is what a user's second start finds, whatever the environment here says
about them.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.local_server import ROOT, local_server

BOUNDS = {"import lmtools": 60.0, "apiproxy ready": 200.0, "apiproxy idle": 30.0}


@contextmanager
def compiled_files_kept() -> Iterator[dict[str, str]]:
    """Yield an environment for processes that keep what they compile, until the block is left."""
    with tempfile.TemporaryDirectory(prefix="start-cost-") as folder:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        yield env | {"PYTHONPYCACHEPREFIX": folder}


def python_ms(code: str, env: dict[str, str]) -> float:
    """Return the wall time of a whole Python process that runs the code."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env=env)
    return (time.perf_counter() - start) * 1000


def server_cost(env: dict[str, str]) -> tuple[float, float]:
    """Return (ms from the start of the process to the first answer of /readyz, MiB after it)."""
    start = time.perf_counter()
    with local_server(env) as server:
        ready = (time.perf_counter() - start) * 1000
        return ready, resident_mib(server.process.pid)


def resident_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
    words = ["ps", "-o", "rss=", "-p", str(pid)]
    return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) / 1024


def median_of(runs: int, measure: Callable[[], float]) -> float:
    measure()  # the first run fills the disk cache and writes .pyc files
    return statistics.median(measure() for _ in range(runs))


def measure_all(runs: int) -> dict[str, float]:
    with compiled_files_kept() as env:
        figures = {
            "empty Python": median_of(runs, lambda: python_ms("pass", env)),
            "import lmtools": median_of(runs, lambda: python_ms("import lmtools", env)),
        }
        server_cost(env)
        ready, memory = zip(*(server_cost(env) for _ in range(runs)), strict=True)
    return figures | {
        "apiproxy ready": statistics.median(ready),
        "apiproxy idle": statistics.median(memory),
    }


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="start_cost", description="Measure what starting costs.")
    parser.add_argument("--check", action="store_true", help="fail when a figure is over its bound")
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args(arguments)
    figures = measure_all(options.runs)
    over = [name for name, bound in BOUNDS.items() if figures[name] >= bound]
    print(f"medians of {options.runs} runs, Python {platform.python_version()}")
    for name, figure in figures.items():
        unit = "MiB" if name == "apiproxy idle" else "ms"
        bound = f"   bound {BOUNDS[name]:.0f}" if name in BOUNDS else ""
        print(f"{name:16} {figure:7.1f} {unit:3}{bound}{'   OVER' if name in over else ''}")
    return 1 if over and options.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
