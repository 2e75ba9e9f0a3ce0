"""``python -m lmtools.apiproxy``: options, a server, and signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from ..errors import ConfigError
from ..flags import InfoRequested, UsageError
from .options import Options, parse
from .service import DRAIN_S, Server

EXIT_FAILED = 1


def main(words: Sequence[str] | None = None) -> int:
    """Run the proxy until it is told to end; return the exit code."""
    try:
        options = parse(sys.argv[1:] if words is None else words, os.environ)
    except InfoRequested as info:
        print(info.text)
        return 0
    except UsageError as error:
        print(f"apiproxy: {error}", file=sys.stderr)
        return error.exit_code
    try:
        return _run(options)
    except ConfigError as error:
        print(f"apiproxy: {error}", file=sys.stderr)
        return EXIT_FAILED


def _run(options: Options) -> int:
    server = Server(options)
    ending = _catch_signals()
    server.start()
    _announce(server)
    ending.wait()
    # A second signal ends what still runs.
    drain = threading.Thread(target=server.close, args=(DRAIN_S,), daemon=True)
    hurry = _catch_signals()
    drain.start()
    while drain.is_alive() and not hurry.wait(0.05):
        continue
    if drain.is_alive():
        server.close(0.0)
    return 0


def _catch_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set from now on."""
    told = threading.Event()

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, tell)
    return told


def _announce(server: Server) -> None:
    """Say where the proxy listens, and how clients find it."""
    url, provider = server.url, server.options.provider.name
    lines = (
        f"apiproxy: serving {provider} on {url}",
        f"  ANTHROPIC_BASE_URL={url}   (Claude Code, Anthropic SDKs)",
        f"  OPENAI_BASE_URL={url}/v1   (OpenAI SDKs)",
    )
    print("\n".join(lines), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
