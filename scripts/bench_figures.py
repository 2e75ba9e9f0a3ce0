"""What is measured: rounds of direct, passed and translated exchanges, one after the other.

CPU is that of the proxy's process, user and system. Rounds of the three kinds alternate, so that
what else the machine does meets all of them; each figure is the median of its rounds.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from scripts import start_cost
from scripts.bench_processes import BenchError, Load, Proxy, Upstream, proxies
from scripts.bench_upstream import PACED_DELTAS
from scripts.bench_wire import DELTAS, large_body, request, small_body

PROVIDERS = ("anthropic", "openai")
#: Names of the two ways through the proxy, in the order of PROVIDERS.
WAYS = ("passed", "translated")
#: How much faster than the proxy the generator and the upstream have to be, face to face.
HEADROOM = 3.0
HELD_STREAMS = 256

#: Name -> value. A name is ``way/what in which unit/of what``: "passed/p99 ms/small, 64".
Figures = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How long to measure. ``connections`` and ``streams`` are the columns of the table."""

    rounds: int = 5
    seconds: float = 1.0
    starts: int = 9
    connections: tuple[int, ...] = (1, 8, 64)
    streams: tuple[int, ...] = (1, 32)
    held: int = HELD_STREAMS


QUICK = Plan(rounds=1, seconds=0.1, starts=1, connections=(1, 8), streams=(1, 8), held=32)


class Bench:
    """The processes of one run and the figures that they gave so far."""

    def __init__(self, plan: Plan, upstream: Upstream, load: Load) -> None:
        self._plan = plan
        self._upstream = upstream
        self._load = load
        self.figures: Figures = {}

    def whole(self, ways: list[Proxy], size: str, connections: int) -> None:
        """Measure answers that are not streamed."""
        body = small_body() if size == "small" else large_body()
        self._upstream.set_mode("whole")
        name = f"{size}, {connections}"
        for way, rounds in self._rounds(ways, request(body), connections, "whole"):
            rates = [r["done"] / r["seconds"] for r in rounds]
            self._note(f"{way}/requests per s/{name}", rates)
            self._note(f"{way}/p50 ms/{name}", [r["p50_ms"] for r in rounds])
            self._note(f"{way}/p99 ms/{name}", [r["p99_ms"] for r in rounds])
            if way != "direct":
                cpu = [r["cpu_s"] / r["done"] * 1e6 for r in rounds]
                self._note(f"{way}/CPU µs per request/{name}", cpu)

    def burst(self, ways: list[Proxy], streams: int) -> None:
        """Measure streams that come as fast as they are read."""
        self._upstream.set_mode("burst")
        body = request(small_body(stream=True))
        for way, port in self._ports(ways):
            came = self._load.run(port, body, 1, 0.0, "counted")["deltas"]
            if came != DELTAS:
                raise BenchError(f"{way}: {came} of {DELTAS} deltas came")
        for way, rounds in self._rounds(ways, body, streams, "stream"):
            rates = [r["done"] * DELTAS / r["seconds"] for r in rounds]
            self._note(f"{way}/burst deltas per s/{streams}", rates)
            if way != "direct":
                cpu = [r["cpu_s"] / (r["done"] * DELTAS) * 1e6 for r in rounds]
                self._note(f"{way}/CPU µs per burst delta/{streams}", cpu)

    def paced(self, ways: list[Proxy], streams: int) -> None:
        """Measure streams whose deltas come one by one."""
        self._upstream.set_mode("paced")
        body = request(small_body(stream=True))
        for way, rounds in self._rounds(ways, body, streams, "stream"):
            if way != "direct":
                cpu = [r["cpu_s"] / (r["done"] * PACED_DELTAS) * 1e6 for r in rounds]
                self._note(f"{way}/CPU µs per paced delta/{streams}", cpu)

    def held(self, proxy: Proxy, way: str) -> None:
        """Measure many streams at once, in a proxy that has served one request before."""
        count, body = self._plan.held, request(small_body(stream=True))
        self._upstream.set_mode("whole")
        self._load.run(proxy.port, request(small_body()), 1, 0.0, "whole")
        before = proxy.mib
        self._upstream.set_mode("held")
        result = self._load.run(proxy.port, body, count, 10.0, "held")
        self.figures[f"{way}/slowest first byte ms/{count}"] = result["first_byte_ms"]
        self.figures[f"{way}/streams waiting/{count}"] = result["failed"]
        self.figures[f"{way}/KB per open stream/{count}"] = (proxy.mib - before) * 1024 / count
        self._load.tell("close")

    def _ports(self, ways: list[Proxy]) -> Iterator[tuple[str, int]]:
        yield "direct", self._upstream.port
        for way, proxy in zip(WAYS, ways, strict=True):
            yield way, proxy.port

    def _rounds(
        self, ways: list[Proxy], body: bytes, connections: int, kind: str
    ) -> list[tuple[str, list[dict[str, Any]]]]:
        """Return the rounds by way. A first, shorter one of each is thrown away."""
        plan = self._plan
        found: dict[str, list[dict[str, Any]]] = {way: [] for way, _ in self._ports(ways)}
        by_port = {proxy.port: proxy for proxy in ways}
        for number in range(plan.rounds + 1):
            seconds = plan.seconds if number else plan.seconds / 4
            for way, port in self._ports(ways):
                proxy = by_port.get(port)
                before = proxy.cpu_s if proxy else 0.0
                result = self._load.run(port, body, connections, seconds, kind)
                result["cpu_s"] = proxy.cpu_s - before if proxy else 0.0
                found[way] += [result] if number else []
        return list(found.items())

    def _note(self, name: str, rounds: list[float]) -> None:
        self.figures[name] = statistics.median(rounds)


def measure(plan: Plan) -> Figures:
    """Return all figures, in the order of the table."""
    with closing(Upstream()) as upstream, closing(Load()) as load:
        bench = Bench(plan, upstream, load)
        with proxies(upstream.port, PROVIDERS) as ways:
            for size in ("small", "large"):
                for connections in plan.connections:
                    bench.whole(ways, size, connections)
            for streams in plan.streams:
                bench.burst(ways, streams)
            bench.paced(ways, plan.streams[-1])
        with proxies(upstream.port, PROVIDERS) as ways:
            for way, proxy in zip(WAYS, ways, strict=True):
                bench.held(proxy, way)
    return _start_figures(plan.starts) | bench.figures


def _start_figures(starts: int) -> Figures:
    figures = start_cost.measure_all(starts)
    units = {"apiproxy idle": "MiB"}
    return {f"start/{units.get(name, 'ms')}/{name}": value for name, value in figures.items()}


def too_slow(figures: Figures) -> list[str]:
    """Return where the direct run is less than HEADROOM times as fast as a way through the proxy.

    There the proxy's rate is also the generator's, and says nothing.
    """
    problems = []
    for name, rate in figures.items():
        way, what, of = name.split("/")
        direct = figures.get(f"direct/{what}/{of}")
        if way in WAYS and what.endswith("per s") and direct and direct < HEADROOM * rate:
            problems.append(f"{name}: {rate:,.0f}, direct only {direct:,.0f}")
    return problems
