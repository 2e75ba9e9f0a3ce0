"""``python -m lmtools.lmc`` and the console script ``lmc``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from .stop import Stopped, stop_signals
from .terminal import Terminal

__all__ = ["main"]


def main(
    words: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    terminal: Terminal | None = None,
) -> int:
    """Run lmc and return its exit code. None stands for what the process was given."""
    words = sys.argv[1:] if words is None else words
    environ = os.environ if environ is None else environ
    terminal = Terminal.of_process(environ) if terminal is None else terminal
    try:
        with stop_signals():
            # The rest is loaded under the handlers: Ctrl-C while that happens prints no traceback.
            from .run import run

            return run(words, environ, terminal)
    except Stopped as stop:
        terminal.fail(stop.reason)
        return stop.exit_code


if __name__ == "__main__":
    sys.exit(main())
