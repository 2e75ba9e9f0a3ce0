"""A proxy in a process of its own that says what it holds, and all that a proxy sees, many times.

A process of its own: what else a test's process does counts there too. The fake keeps what it was
asked, coverage keeps a record of each thread, and the lists that CPython keeps of freed objects
make memory of one module look like another one's.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from lmtools import client
from lmtools.apiproxy import Options, Server, counting, passing, service
from lmtools.apiproxy.log import Log
from lmtools.flags.provider import ProviderChoice
from lmtools.providers import base
from lmtools.state.calls import CallStates
from tests.fakes.base import FakeAPI
from tests.fakes.proxy import Asker, key_source
from tests.fakes.scenario import HELLO, PARALLEL_TOOLS, THINKING_TOOL, Failure, Scenario, refusing
from tests.fakes.server import Gate

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
#: What each memory with a bound holds here at most, so that it is full after a few rounds.
BOUND = 8
#: Rounds after which everything that fills once is full: each brings new models, calls and counts.
WARM_UP = 3 * BOUND
CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"

# In the proxy's process


def serve(provider: str, url: str) -> None:
    """Run a proxy; answer each line of standard input with what is held."""
    for module, name in (
        (counting, "MAX_COUNTS"),
        (counting, "MAX_MODELS"),
        (base, "_MAX_TARGETS"),
        (client, "MAX_REMEDIED"),
    ):
        assert getattr(module, name) > BOUND
        setattr(module, name, BOUND)
    vars(service)["CallStates"] = partial(CallStates, max_entries=BOUND)
    kept = vars(passing)["_kept_request"]
    assert kept.cache_info().maxsize > BOUND
    vars(passing)["_kept_request"] = lru_cache(BOUND)(kept.__wrapped__)
    tracemalloc.start()
    choice = ProviderChoice(provider, url=url, key=key_source())
    with (
        open(os.devnull, "w") as nowhere,
        Server(
            Options(provider=choice, port=0, retries=0), log=Log("debug", "text", nowhere)
        ) as server,
    ):
        tell({"port": int(server.url.rpartition(":")[2])})
        for _ in sys.stdin:
            settle()
            tell({"waiting": own_objects(), **held()})
            # From here on, what waits for the collector waits until the next question.
            gc.disable()


def tell(said: dict[str, Any]) -> None:
    print(json.dumps(said), flush=True)


def settle() -> None:
    """Wait until no connection of a client is being looked after any more."""
    deadline = time.monotonic() + PATIENCE_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "accept" not in thread.name:
            thread.join(max(0.0, deadline - time.monotonic()))


def own_objects() -> Counter[str]:
    """Return how many objects of our own are alive, by type."""
    return Counter(
        f"{type(item).__module__}.{type(item).__qualname__}"
        for item in gc.get_objects()
        if type(item).__module__.startswith("lmtools.")
    )


def held() -> dict[str, Any]:
    """Return what is held once the collector ran: objects of ours, bytes of all, files, threads."""
    gc.collect()
    return {
        "objects": own_objects(),
        "bytes": tracemalloc.get_traced_memory()[0],
        "files": len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
        "threads": threading.active_count(),
    }


# In the test's process


@dataclass(frozen=True)
class Held:
    """What the proxy's process holds.

    ``waiting`` are our objects before the collector ran, for the first time since the last look;
    ``objects`` those after it. By type.
    """

    waiting: Counter[str]
    objects: Counter[str]
    bytes: int
    files: int
    threads: int

    def more_than(self, before: Held) -> dict[str, int]:
        """Return what is held in greater number, bytes aside."""
        grown = {f"uncollected {name}": n for name, n in (self.waiting - before.objects).items()}
        grown.update(self.objects - before.objects)
        counts = {"files": self.files - before.files, "threads": self.threads - before.threads}
        return {**grown, **{name: more for name, more in counts.items() if more > 0}}


class Soak(Asker):
    """A proxy before a fake, and what a proxy sees: each ``round`` has it all."""

    def __init__(self, fake: FakeAPI, model: str, program: subprocess.Popen[str]) -> None:
        self._fake, self._model, self._program = fake, model, program
        self._number = 0
        self.statuses: Counter[int] = Counter()
        self.port = self._read()["port"]

    def _read(self) -> Any:
        assert self._program.stdout is not None
        return json.loads(self._program.stdout.readline())

    def held(self) -> Held:
        assert self._program.stdin is not None
        self._program.stdin.write("\n")
        self._program.stdin.flush()
        said = self._read()
        counts = {name: Counter(said.pop(name)) for name in ("waiting", "objects")}
        return Held(**counts, **said)

    def round(self, times: int) -> None:
        for _ in range(times):
            self._number += 1
            for path in (MESSAGES, CHAT):
                for stream in (False, True):
                    self._exchanges(path, {"stream": stream})
                self._ask(path, {"messages": 7})
                self._leave(path)
            self._ask(COUNT, {})
            self._ask("/nowhere", {})
            # What the fake was asked and said is nothing to the proxy.
            for kept in (self._fake.seen, self._fake.sent, self._fake.refused):
                kept.clear()

    def _exchanges(self, path: str, more: dict[str, Any]) -> None:
        """Ask for what ends well, for what the provider refuses, and for what breaks off."""
        self._ask(path, more)
        self._ask(path, more, PARALLEL_TOOLS)
        # A call of its own each time: what its reasoning was is remembered by it.
        call = replace(THINKING_TOOL.calls[0], id=f"t{self._number}")
        self._ask(path, more, replace(THINKING_TOOL, calls=(call,)))
        self._ask(path, {**more, "model": f"{self._model}-{self._number}"})
        self._ask(path, more, refusing(429))
        self._ask(path, more, Scenario(failure=Failure(502, raw=b"<p>Bad gateway</p>")))
        self._ask(path, more, Scenario(cut_after=4))
        self._ask(path, more, Scenario(fail_after=0, failure=Failure(529)))
        self._ask(path, more, Scenario(fail_after=4, failure=Failure(529)))

    def _ask(self, path: str, more: dict[str, Any], scenario: Scenario = HELLO) -> None:
        if path != COUNT and path != "/nowhere" and "messages" not in more:
            self._fake.play(scenario)
        self.statuses[self.post(path, {**self._body(), **more}).status] += 1

    def _body(self) -> dict[str, Any]:
        text = f"{self._number} " * 400
        messages = [{"role": "user", "content": text}]
        return {"model": self._model, "max_tokens": 64, "messages": messages}

    def _leave(self, path: str) -> None:
        """Ask for a stream, and go in the middle of it."""
        gate = Gate(PATIENCE_S)
        self._fake.left.clear()
        self._fake.play(Scenario(gates={2: gate}))
        data = json.dumps({**self._body(), "stream": True}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        with self.raw(head.encode() + data):
            assert gate.reached.wait(PATIENCE_S)
        assert self._fake.left.wait(PATIENCE_S)
        gate.close()


@contextmanager
def soaking(fake: FakeAPI, provider: str, model: str) -> Iterator[Soak]:
    """Run a proxy before a fake in a process of its own, which coverage does not follow."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE_", "COV_"))}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.soak", provider, fake.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environ,
    ) as program:
        try:
            yield Soak(fake, model, program)
        finally:
            program.kill()


if __name__ == "__main__":
    serve(*sys.argv[1:])
