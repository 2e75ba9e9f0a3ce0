"""``scripts/bench`` measures what it says, refuses what it cannot measure, and leaves no process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts import bench_wire
from scripts.bench_figures import too_slow
from scripts.bench_report import AIMS, BEGIN, END, share_of_aim, table, update

ROOT = Path(__file__).parents[2]
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="epoll and /proc are Linux's")


@ON_LINUX
def test_a_quick_run_gives_every_figure(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"

    words = [sys.executable, "-m", "scripts.bench", "-quick", "-json", str(file)]
    ran = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert ran.returncode == 0, ran.stderr
    written = json.loads(file.read_text())
    assert set(written["machine"]) >= {"cores", "python", "load", "date"}
    figures = written["figures"]
    for way in ("passed", "translated"):
        for size in ("small", "large"):
            for what in ("CPU µs per request", "requests per s", "p50 ms", "p99 ms"):
                assert figures[f"{way}/{what}/{size}, 8"] > 0
                assert f"direct/requests per s/{size}, 8" in figures
        for what in ("burst deltas per s", "CPU µs per burst delta", "CPU µs per paced delta"):
            assert figures[f"{way}/{what}/8"] > 0
        assert figures[f"{way}/streams waiting/32"] == 0
        assert f"{way}/KB per open stream/32" in figures
    assert figures["start/ms/import lmtools"] > 0
    assert written["of_aim"].keys() <= AIMS.keys()
    assert "| CPU µs per request | small, 1 connection |" in ran.stdout


@ON_LINUX
def test_an_interrupted_run_leaves_no_process() -> None:
    words = [sys.executable, "-m", "scripts.bench"]
    bench = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        started = _children(bench.pid, 4)

        bench.send_signal(signal.SIGINT)

        assert bench.wait(30) == 130
        assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []
    finally:
        bench.kill()


def _children(pid: int, count: int) -> list[int]:
    """Return the ids of a process's children once there are so many."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if len(found) >= count:
            return [int(word) for word in found]
        os.sched_yield()
    raise AssertionError(f"{pid} has no {count} children")


REFUSED = {
    "as fast as the generator": (
        {"direct/requests per s/x": 5000, "passed/requests per s/x": 4000},
        1,
    ),
    "just under three times": (
        {"direct/requests per s/x": 2999, "passed/requests per s/x": 1000},
        1,
    ),
    "three times": ({"direct/requests per s/x": 3000, "passed/requests per s/x": 1000}, 0),
    "deltas too": ({"direct/burst deltas per s/1": 9, "translated/burst deltas per s/1": 4}, 1),
    "latencies are no rates": ({"direct/p50 ms/x": 1, "passed/p50 ms/x": 1}, 0),
}


@pytest.mark.parametrize(("figures", "count"), REFUSED.values(), ids=REFUSED.keys())
def test_rates_that_could_be_the_generators_are_refused(
    figures: dict[str, float], count: int
) -> None:
    assert len(too_slow(figures)) == count


def test_an_aim_is_missed_above_one_whether_it_is_a_cost_or_a_rate() -> None:
    assert share_of_aim("passed/CPU µs per request/small, 1", 300) == 2
    assert share_of_aim("translated/requests per s/small, 64", 2000) == 2
    assert share_of_aim("passed/streams waiting/256", 0) == 0
    assert share_of_aim("passed/streams waiting/256", 236) == 236
    assert share_of_aim("passed/p50 ms/small, 1", 1) is None


def test_the_table_has_a_row_for_each_figure_and_a_column_for_each_way() -> None:
    figures = {"direct/p50 ms/small, 1": 0.02, "translated/p50 ms/small, 1": 0.5}

    assert table(figures)[2:] == ["| p50 ms | small, 1 connection | 0.02 |  | 0.50 |"]


def test_a_page_keeps_what_stands_around_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    update(page, "new\n")

    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"
    page.write_text("no marks")
    with pytest.raises(ValueError, match="are not there"):
        update(page, "new\n")


def test_requests_and_answers_are_of_the_size_they_are_said_to_be() -> None:
    assert 150 < len(bench_wire.small_body()) < 300
    assert 100_000 <= len(bench_wire.large_body()) < 105_000
    said = bench_wire.answers()["anthropic"]
    assert said.burst.count(bench_wire.DELTA_MARK) == bench_wire.DELTAS
    assert len(bench_wire.answers()["chat"].deltas) == bench_wire.DELTAS
