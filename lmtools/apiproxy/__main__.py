"""``python -m lmtools.apiproxy`` and the console script ``apiproxy``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """Run the proxy until it is told to end; return the exit code."""
    before = {number: signal.signal(number, _leave) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        # The rest is loaded under the handlers: Ctrl-C while that happens prints no traceback.
        from .run import run

        return run(words)
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) is _leave:
                signal.signal(number, handler)


def _leave(number: int, _frame: FrameType | None) -> None:
    """End a program that serves nothing yet; once it does, ``run`` has handlers of its own.

    Not by an exception: one that is raised while a finaliser runs is lost, and the signal with it.
    """
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
