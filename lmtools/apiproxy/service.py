"""The proxy as an object: options in, a listening server out."""

from __future__ import annotations

import secrets
import time
from types import TracebackType
from typing import Self

from ..client import LM
from ..keys import load_keys
from ..loopback import LoopbackTransport
from ..secret import Secret
from ..state.calls import CallStates
from ..transport import HttpTransport, Timeouts, Transport
from .app import App
from .exchange import Back
from .limits import Limits
from .log import Log
from .options import Options
from .refuse import render_failure
from .server import HttpServer

#: Seconds that running exchanges get to end when the server is closed.
DRAIN_S = 30.0
#: Seconds that a provider may ask to be left alone for before the client is told. Clients have a
#: patience of their own, and count on the status and its ``Retry-After``.
LONGEST_WAIT_S = 1.0


class Server:
    """A proxy for programs that embed it.

    ``start`` listens and returns the port; ``close`` drains. A context manager does both.
    ``transport`` replaces the way to the provider, for tests.
    """

    def __init__(
        self, options: Options, *, log: Log | None = None, transport: Transport | None = None
    ) -> None:
        self.options = options
        self.log = log or Log(options.log_level, options.log_format)
        backend = options.provider.open()
        timeouts = Timeouts(
            connect=options.connect_timeout,
            first_byte=options.first_byte_timeout,
            idle=options.idle_timeout,
        )
        self._transport = transport or _transport(options)
        self.lm = LM(
            backend,
            transport=self._transport,
            timeouts=timeouts,
            retries=options.retries,
            longest_wait=LONGEST_WAIT_S,
        )
        keys: tuple[Secret, ...] = ()
        if options.client_key_file is not None:
            keys = load_keys(options.client_key_file, options.allow_insecure_key_file)
        back = Back(
            self.lm,
            options.model_map,
            self.log,
            time.time,
            _new_id,
            options.strict,
            CallStates(),
        )
        self._http = HttpServer(
            (options.host, options.port),
            App(back, keys).handle,
            Limits(max_connections=options.max_connections, max_body=options.max_body_bytes),
            render_failure=render_failure,
            log=self.log,
            port_fallback=options.port_fallback,
        )

    @property
    def url(self) -> str:
        """The address to give to clients, once the server listens."""
        host = self._http.host
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self._http.port}"

    def start(self) -> int:
        """Listen and serve in threads of its own; return the port. ConfigError when it cannot.

        A server starts once: RuntimeError when it was started or closed before.
        """
        return self._http.start()

    def close(self, drain_s: float = DRAIN_S) -> None:
        """Stop accepting, give running exchanges ``drain_s`` seconds, close the transport."""
        self._http.close(drain_s)
        self._transport.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(0.0)


def _transport(options: Options) -> Transport:
    if options.provider.name == "loopback":
        return LoopbackTransport(options.provider.loopback_wire, default="echo")
    return HttpTransport()


def _new_id() -> str:
    return secrets.token_hex(12)
