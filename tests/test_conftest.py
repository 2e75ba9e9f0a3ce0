"""The guards of conftest hold: nothing leaves the machine, nothing of the caller's gets in."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator

import pytest

ACTIONS: dict[str, Callable[[], object]] = {
    "a connection": lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
    "a connection by code": lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
    "a datagram": lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("192.0.2.1", 53)),
    "IPv6": lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
    "a name": lambda: socket.getaddrinfo("example.com", 80),
    "a name as bytes": lambda: socket.getaddrinfo(b"example.com", 80),
}


@pytest.fixture
def forgive(network_guard: object) -> Iterator[list[str]]:
    """The refusals of a test that provokes them on purpose, forgotten at its end."""
    refused: list[str] = network_guard.refused  # type: ignore[attr-defined]
    yield refused
    refused.clear()


def swallowing_errors(action: Callable[[], object]) -> None:
    """Stands for code under test that turns every failure into a result."""
    with contextlib.suppress(Exception):
        action()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS.keys())
def test_leaving_the_machine_fails_even_where_errors_are_handled(
    action: Callable[[], object], forgive: list[str]
) -> None:
    with pytest.raises(pytest.fail.Exception, match="loopback addresses only"):
        swallowing_errors(action)

    assert len(forgive) == 1


def test_loopback_connections_work() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port), timeout=5) as client:
            accepted, address = server.accept()
            accepted.close()
            assert address == client.getsockname()


def test_an_unresolvable_name_may_be_tried() -> None:
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("nothing.invalid", 80)


def test_keys_and_proxies_of_the_caller_are_gone() -> None:
    foreign = ("_API_KEY", "_PROXY", "_BASE_URL", "_AUTH_TOKEN")

    assert not [name for name in os.environ if name.upper().endswith(foreign)]
    assert os.listdir(os.environ["HOME"]) == []
