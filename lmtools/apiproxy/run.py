"""One run of the proxy: options, a server, and signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

from ..errors import ConfigError
from ..flags import InfoRequested, UsageError
from ..transport import split_url
from ..transport.proxies import from_environment
from .options import Options, parse
from .service import DRAIN_S, Server

__all__ = ["run"]

EXIT_FAILED = 1


def run(words: Sequence[str] | None = None) -> int:
    """Run the proxy until it is told to end; return the exit code."""
    try:
        options = parse(sys.argv[1:] if words is None else words, os.environ)
    except InfoRequested as info:
        return _inform(info.text)
    except UsageError as error:
        _say(f"apiproxy: {error}")
        return error.exit_code
    try:
        return _serve(options)
    except ConfigError as error:
        _say(f"apiproxy: {error}")
        return EXIT_FAILED


def _inform(text: str) -> int:
    """Print what was asked for; return the exit code. ``apiproxy -h | head`` is no failure."""
    try:
        if sys.stdout is not None:
            print(text, flush=True)
    except OSError as error:
        # The interpreter flushes once more at its end: what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            _say(f"apiproxy: standard output: {error.strerror or error}")
            return EXIT_FAILED
    return 0


def _say(text: str) -> None:
    """Print on standard error. Closed or full, it keeps nobody from serving."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _serve(options: Options) -> int:
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
    lines = [
        f"apiproxy: serving {provider} on {url}",
        f"  ANTHROPIC_BASE_URL={url}   (Claude Code, Anthropic SDKs)",
        f"  OPENAI_BASE_URL={url}/v1   (OpenAI SDKs)",
    ]
    if (hint := _proxy_hint(url, os.environ)) is not None:
        lines.append(hint)
    _say("\n".join(lines))


def _proxy_hint(url: str, environ: Mapping[str, str]) -> str | None:
    """Return what clients have to set where the environment sends them elsewhere, None if nothing.

    Node, Bun and curl ask the proxy of the environment for 127.0.0.1 too, and get its 503.
    """
    origin = split_url(url)[0]
    if not from_environment(environ).is_asked_by_others(origin):
        return None
    return f"  NO_PROXY={origin.host}   (a proxy is set here, and most clients would ask it)"
