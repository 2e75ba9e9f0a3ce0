"""What every test gets: a clean environment, no way out to the network, fixed seeds, shared data."""

from __future__ import annotations

import ipaddress
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import corpus

# A developer's own keys, proxies and settings must neither reach a test nor decide its result.
FOREIGN_ENVIRONMENT = ("_API_KEY", "_AUTH_TOKEN", "_BASE_URL", "_PROXY")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of captures and recordings that stands beside the checkout; skips without it."""
    if not corpus.SHARED.is_dir():
        pytest.skip(
            f"no {corpus.SHARED.name}/ folder beside the checkout: no captured traffic to test on"
        )
    return corpus.SHARED


@pytest.fixture(scope="session")
def captures(shared: Path) -> Callable[[str], list[Path]]:
    """A function from a glob such as ``*/ingress.json`` to the captured files, in order."""
    return lambda pattern: sorted((shared / "captures").glob(pattern))


@pytest.fixture
def rng() -> random.Random:
    """The same numbers at every run."""
    return random.Random(20250301)


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty home folder, and none of the caller's keys, addresses and proxies."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.upper().endswith(FOREIGN_ENVIRONMENT):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


class NetworkGuard:
    """Refuses connections and name look-ups that would leave this machine, and remembers them."""

    def __init__(self) -> None:
        self.refused: list[str] = []

    def allow_address(self, address: Any) -> None:
        if isinstance(address, tuple) and not _stays_here(address[0]):
            self._refuse(f"connect to {address[0]}:{address[1]}")

    def allow_name(self, host: Any) -> None:
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        # RFC 6761: .invalid never resolves, so a test of that failure may ask for it.
        if name and not name.endswith(".invalid") and not _stays_here(name):
            self._refuse(f"look up {name}")

    def _refuse(self, what: str) -> None:
        self.refused.append(what)
        # Not an Exception: code under test that handles OSError must not turn this into a result.
        pytest.fail(f"a test tried to {what}; tests use loopback addresses only", pytrace=True)


def _stays_here(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host in ("", "localhost")
    return address.is_loopback or address.is_unspecified


@pytest.fixture(scope="session")
def network_guard() -> Iterator[NetworkGuard]:
    guard = NetworkGuard()
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex
    getaddrinfo = socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        guard.allow_address(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        guard.allow_address(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        guard.allow_name(host)
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded_connect)
        patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
        patch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
        yield guard


@pytest.fixture(autouse=True)
def _no_way_out(network_guard: NetworkGuard) -> Iterator[None]:
    """A refusal fails the test even where a thread swallowed it."""
    network_guard.refused.clear()
    yield
    assert not network_guard.refused, f"tried to leave this machine: {network_guard.refused}"
