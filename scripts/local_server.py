"""Starts ``python -m lmtools.apiproxy -provider loopback`` for a script, and ends it."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
READY_SECONDS = 20.0
STOP_SECONDS = 10.0
LOG_BYTES = 65536


class NotReady(Exception):
    """The server ended or never answered; the text holds what it said."""


class LocalServer:
    def __init__(self, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
        self.process = process
        self.port = port
        self._log = log

    def said(self) -> str:
        """Return what the server wrote so far."""
        # pread: the server writes at the offset that a seek here would move.
        return os.pread(self._log.fileno(), LOG_BYTES, 0).decode("utf-8", "replace")

    def ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        """Return (status, body) of one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        headers = {"content-type": "application/json"} if body else {}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8")
        finally:
            connection.close()

    def answers(self) -> bool:
        try:
            return self.ask("GET", "/readyz")[0] == 200
        except OSError:
            return False


@contextmanager
def local_server(env: Mapping[str, str] | None = None) -> Iterator[LocalServer]:
    """Yield a server that answers ``/readyz``; raises NotReady with its log when there is none.

    ``env`` is its environment, None for ours.
    """
    port = _free_port()
    words = ["-m", "lmtools.apiproxy", "-provider", "loopback", "-port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            server = LocalServer(process, port, log)
            if not _becomes_ready(server):
                raise NotReady(f"python {' '.join(words)}\n{server.said()}")
            yield server
        finally:
            _end(process)


def _becomes_ready(server: LocalServer) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        if server.answers():
            return True
        time.sleep(0.002)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
