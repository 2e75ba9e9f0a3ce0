"""TLS on a connected socket. Imported when the first https origin is asked for: ``ssl`` costs
about 10 ms and 3 MB, and a proxy before a plain local server never needs it.
"""

from __future__ import annotations

import os
import socket
import ssl

from ..errors import ConfigError, ConnectError
from .connection import RECEIVE_SIZE, Connection
from .waits import READ, WRITE, Waiter

__all__ = ["TlsConnection", "make_context", "start_tls"]


class TlsConnection(Connection):
    """A connection whose socket is an ``SSLSocket``."""

    socket: ssl.SSLSocket

    def __init__(self, wrapped: ssl.SSLSocket) -> None:
        super().__init__(wrapped)
        self._ending: OSError | None = None
        self._ended = False

    @property
    def pending(self) -> bool:
        return self._ended or self.socket.pending() > 0

    def receive(self) -> bytes | None:
        """Return all records that have come, up to RECEIVE_SIZE: a burst is one read, not many.

        The end that follows them (TLS's farewell, a failure) is kept for the next call: the kernel
        may have no more to report, so that nothing would ever wake a wait for it.
        """
        parts: list[bytes] = []
        size = 0
        while size < RECEIVE_SIZE and not self._ended:
            try:
                data = self.socket.recv(RECEIVE_SIZE)
            except ssl.SSLWantReadError:
                self.read_events = READ
                return b"".join(parts) if parts else None
            except ssl.SSLWantWriteError:
                self.read_events = WRITE
                return b"".join(parts) if parts else None
            except OSError as error:
                self._ending = error
                data = b""
            self._ended = not data
            parts.append(data)
            size += len(data)
        if size == 0 and self._ending is not None:
            raise self._ending
        return b"".join(parts)

    def send(self, data: bytes | memoryview) -> int:
        try:
            return self.socket.send(data)
        except ssl.SSLWantWriteError:
            self.write_events = WRITE
        except ssl.SSLWantReadError:
            self.write_events = READ
        return 0


def make_context(ca_file: str | os.PathLike[str] | None = None) -> ssl.SSLContext:
    """Return the default client context; ``ca_file`` (PEM) adds to what it trusts.

    Otherwise OpenSSL looks where it was built to look, or where SSL_CERT_FILE and SSL_CERT_DIR say.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise ConfigError(f"CA file {os.fspath(ca_file)}: {error.strerror or error}") from error
    return context


def start_tls(
    connected: socket.socket,
    host: str,
    context: ssl.SSLContext,
    waiter: Waiter,
    deadline: float | None,
) -> TlsConnection:
    """Do the handshake; takes the socket over. ConnectError says which check failed."""
    wrapped = context.wrap_socket(
        connected, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
    )
    try:
        _shake_hands(wrapped, waiter, deadline)
    except BaseException:
        wrapped.close()
        raise
    return TlsConnection(wrapped)


def _shake_hands(wrapped: ssl.SSLSocket, waiter: Waiter, deadline: float | None) -> None:
    while True:
        try:
            wrapped.do_handshake()
            return
        except ssl.SSLWantReadError:
            events = READ
        except ssl.SSLWantWriteError:
            events = WRITE
        except OSError as error:
            raise ConnectError(f"{waiter.peer}: TLS: {_explain(error)}") from error
        waiter.wait(wrapped.fileno(), events, deadline, "TLS handshake")


def _explain(error: OSError) -> str:
    """Say what failed and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate was refused ({error.verify_message}). Check the host name; for a "
            "private authority give its certificate as CA file or in SSL_CERT_FILE"
        )
    reason = getattr(error, "reason", None)
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}:
        return "the port does not speak TLS. Is the address http:// instead of https://?"
    return f"the handshake failed ({reason or error.strerror or error})"
