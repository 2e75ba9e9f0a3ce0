"""Processes that a benchmark starts, and that end with it: also on Ctrl-C, at any moment.

Each child is in a session of its own, so that Ctrl-C reaches the benchmark alone. An interrupt that
comes while a process is being started waits until it is in the list of those to be ended; a second
one changes nothing.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO

STOP_S = 5.0

_running: list[subprocess.Popen[bytes]] = []
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Interrupt:
    """What SIGINT and SIGTERM do: raise KeyboardInterrupt, once, and not while ``held``."""

    def __init__(self) -> None:
        self.held = False
        self._came = False
        self._raised = False

    def __call__(self, *_: int | FrameType | None) -> None:
        self._came = True
        self.check()

    def check(self) -> None:
        if self._came and not self.held and not self._raised:
            self._raised = True
            raise KeyboardInterrupt


_interrupt = _Interrupt()


@contextmanager
def all_ended() -> Iterator[None]:
    """End every process that was started here, however the block is left."""
    before = [signal.signal(number, _interrupt) for number in _SIGNALS]
    try:
        yield
    finally:
        _interrupt.held = True
        while _running:
            end(_running[-1])
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def start(
    words: Sequence[str], cwd: str, env: dict[str, str], output: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a process with a pipe to its stdin. Only within ``all_ended``."""
    _interrupt.held = True
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=None if output == subprocess.PIPE else subprocess.STDOUT,
        start_new_session=True,
    )
    _running.append(process)
    _interrupt.held = False
    _interrupt.check()
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started here; it is gone afterwards."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    if process in _running:
        _running.remove(process)
