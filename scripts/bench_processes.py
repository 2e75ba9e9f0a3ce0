"""The processes of a benchmark: upstream, load generator and proxies, and what they cost.

The upstream and the load generator also end by themselves when their stdin does.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.bench_children import end, start
from scripts.bench_load import GRACE_S
from scripts.start_cost import resident_mib

ROOT = Path(__file__).parents[1]
READY_S = 20.0
_LOG_BYTES = 4096


class BenchError(Exception):
    """The benchmark cannot go on; the text says what a process did not do."""


class Child:
    """A process that answers a line with a line."""

    def __init__(self, module: str) -> None:
        words = [sys.executable, "-m", module]
        self._process = start(words, str(ROOT), _plain_environment(), subprocess.PIPE)
        self._module = module

    def ask(self, line: str, seconds: float = READY_S) -> str:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(line.encode() + b"\n")
        stdin.flush()
        return self.hear(seconds)

    def tell(self, line: str) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(line.encode() + b"\n")
        stdin.flush()

    def hear(self, seconds: float = READY_S) -> str:
        """Return the next line. Lines come one by one: nothing is left in a buffer."""
        stdout = self._process.stdout
        assert stdout is not None
        if not select.select([stdout], [], [], seconds)[0]:
            raise BenchError(f"{self._module}: no answer within {seconds:g} s")
        said = stdout.readline()
        if not said:
            raise BenchError(f"{self._module}: ended")
        return said.decode().strip()

    @property
    def cpu_s(self) -> float:
        return cpu_s(self._process.pid)

    def close(self) -> None:
        end(self._process)


class Load(Child):
    """The load generator."""

    def __init__(self) -> None:
        super().__init__("scripts.bench_load")

    def run(
        self, port: int, request: bytes, connections: int, seconds: float, kind: str
    ) -> dict[str, Any]:
        """Return the result of a job. BenchError when an answer failed."""
        job = {
            "port": port,
            "request": request.decode("latin-1"),
            "connections": connections,
            "seconds": seconds,
            "kind": kind,
        }
        result: dict[str, Any] = json.loads(self.ask(json.dumps(job), seconds + 2 * GRACE_S))
        if result["failed"] and kind != "held":
            raise BenchError(f"{result['failed']} of the answers failed: {connections} x {kind}")
        return result


class Upstream(Child):
    def __init__(self) -> None:
        super().__init__("scripts.bench_upstream")
        self.port = int(self.hear())

    def set_mode(self, mode: str) -> None:
        self.ask(mode)


class Proxy:
    """``python -m lmtools.apiproxy`` before the upstream. Its log goes to a file of its own."""

    def __init__(self, provider: str, upstream: int) -> None:
        self.port = _free_port()
        words = [sys.executable, "-m", "lmtools.apiproxy", "-port", str(self.port)]
        words += ["-provider", provider, "-provider-url", f"http://127.0.0.1:{upstream}/v1"]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close
        self._process = start(words, str(ROOT), _plain_environment(), self._log)

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                time.sleep(0.005)
            else:
                return
        raise BenchError(f"the proxy is not ready:\n{self.said()}")

    def said(self) -> str:
        """Return the end of the proxy's log."""
        size = os.fstat(self._log.fileno()).st_size
        start = max(0, size - _LOG_BYTES)
        return os.pread(self._log.fileno(), _LOG_BYTES, start).decode("utf-8", "replace")

    @property
    def cpu_s(self) -> float:
        return cpu_s(self._process.pid)

    @property
    def mib(self) -> float:
        return resident_mib(self._process.pid)

    def close(self) -> None:
        end(self._process)
        self._log.close()


def cpu_s(pid: int) -> float:
    """Return the CPU time, user and system, that a process has used so far.

    Its clock counts nanoseconds where /proc/PID/stat counts hundredths of a second; the number of
    the clock is what clock_getcpuclockid(3) makes of the pid.
    """
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def proxies(upstream: int, providers: Sequence[str]) -> Iterator[list[Proxy]]:
    """Yield one ready proxy for each provider."""
    started: list[Proxy] = []
    try:
        for provider in providers:
            started.append(Proxy(provider, upstream))
        for proxy in started:
            proxy.wait_ready()
        yield started
    finally:
        for proxy in started:
            proxy.close()


def _plain_environment() -> dict[str, str]:
    """Return the environment without keys and addresses: none of them is a benchmark's to use."""
    foreign = ("_API_KEY", "_AUTH_TOKEN", "_BASE_URL", "_PROXY", "_proxy")
    return {name: value for name, value in os.environ.items() if not name.endswith(foreign)}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
