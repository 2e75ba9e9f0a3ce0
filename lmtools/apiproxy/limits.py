"""Bounds of the server: how many, how much, how long."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are in seconds, sizes in bytes.

    ``max_connections``  more are answered 503 before their body is read
    ``max_body``         of a request, as sent and after inflating; more is 413
    ``head_s``           from the first byte of a head to its last; later is 408
    ``idle_s``           a kept connection without a next request is closed after it
    ``body_s``           longest silence inside a body, and the start that ``body_min_rate`` gives
    ``body_min_rate``    bytes per second that a body must reach on average, after ``body_s``
    ``write_s``          a client that takes no byte for so long has left
    ``linger_s``         how long input is thrown away so that a refused client can read why
    """

    max_connections: int = 1024
    max_body: int = 64 * 1024 * 1024
    head_s: float = 10.0
    idle_s: float = 60.0
    body_s: float = 30.0
    body_min_rate: int = 1024
    write_s: float = 60.0
    linger_s: float = 2.0
