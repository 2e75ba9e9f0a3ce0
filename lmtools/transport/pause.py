"""A wait between two attempts that a client's leaving ends."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from .base import Watch


def pause(
    seconds: float, watch: Watch | None = None, clock: Callable[[], float] = time.monotonic
) -> None:
    """Wait ``seconds``, serving ``watch`` all the while; CancelledError when its client leaves."""
    deadline = clock() + seconds
    while (left := deadline - clock()) > 0:
        # A new poll per turn: a watch may stop watching its descriptor.
        ready = select.poll()
        if watch is not None:
            tick = watch.tick(clock())
            left = left if tick is None else min(left, tick)
            if watch.fileno() >= 0:
                ready.register(watch.fileno(), select.POLLIN)
        if ready.poll(int(left * 1000) + 1) and watch is not None:
            watch.readable()
