"""A transport for tests: a function answers instead of the network.

::

    def handler(request: HttpRequest) -> MockResponse:
        assert request.header("authorization")
        return MockResponse(200, b'{"ok": true}')

    transport = MockTransport(handler)
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..errors import CancelledError
from ..http1 import Headers
from .base import BodySource, Clock, HttpRequest, HttpResponse, Watch
from .inflate import InflatedBody, content_coding

__all__ = ["MockResponse", "MockTransport"]


@dataclass(frozen=True, slots=True)
class MockResponse:
    """What to answer. ``body`` is bytes, or pieces that arrive one by one.

    A piece that is an exception is raised by the read that meets it: a cut stream is
    ``[b"data: ...", TruncatedError("cut")]``. ``headers`` may be a mapping.
    """

    status: int = 200
    body: bytes | Iterable[bytes | Exception] = b""
    headers: Headers | Mapping[str, str] = ()
    reason: str = ""

    def open(
        self, request: HttpRequest, watch: Watch | None = None, clock: Clock = time.monotonic
    ) -> HttpResponse:
        """Return the answer as a transport gives it."""
        headers = tuple(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)
        coding = content_coding(headers, "mock")
        pieces = [self.body] if isinstance(self.body, bytes) else self.body
        body: BodySource = _MockBody(pieces, watch, clock)
        if coding:
            body = InflatedBody(body, coding, request.max_body, "mock")
        return HttpResponse(
            self.status,
            headers,
            body,
            reason=self.reason,
            request_url=request.url,
            max_body=request.max_body,
        )


class MockTransport:
    """A ``Transport`` whose answers come from ``handler``, which may also raise.

    ``requests`` holds what was sent, in order. The watch is served before each piece, as a wait
    would do it.
    """

    def __init__(
        self,
        handler: Callable[[HttpRequest], MockResponse | HttpResponse],
        clock: Clock = time.monotonic,
    ) -> None:
        self.requests: list[HttpRequest] = []
        self.closed = False
        self._handler = handler
        self._clock = clock

    def send(self, request: HttpRequest, watch: Watch | None = None) -> HttpResponse:
        if self.closed:
            raise CancelledError("the transport is closed")
        self.requests.append(request)
        _serve(watch, self._clock)
        answer = self._handler(request)
        if isinstance(answer, MockResponse):
            return answer.open(request, watch, self._clock)
        return answer

    def close(self) -> None:
        self.closed = True


class _MockBody:
    def __init__(
        self, pieces: Iterable[bytes | Exception], watch: Watch | None, clock: Clock
    ) -> None:
        self._pieces: Iterator[bytes | Exception] = iter(pieces)
        self._watch = watch
        self._clock = clock
        self._closed = False
        self._ended = False

    @property
    def buffered(self) -> bool:
        return self._ended

    def read_some(self) -> bytes:
        if self._closed and not self._ended:
            raise CancelledError("the answer was closed")
        for piece in self._pieces:
            _serve(self._watch, self._clock)
            if isinstance(piece, Exception):
                self._ended = True
                raise piece
            # An empty piece is not the end of the body.
            if piece:
                return piece
        self._ended = True
        return b""

    def finish(self, _seconds: float) -> None:
        self.close()

    def close(self) -> None:
        self._closed = True


def _serve(watch: Watch | None, clock: Clock) -> None:
    """Do for the watch what one wait does."""
    if watch is None:
        return
    watch.tick(clock())
    fd = watch.fileno()
    if fd >= 0:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if poll.poll(0):
            watch.readable()
