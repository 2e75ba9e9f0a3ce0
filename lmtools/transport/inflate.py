"""gzip and deflate taken off an answer's body, within bounds.

We ask for identity, but servers and proxies in between compress all the same. What cannot be
inflated with the standard library (br, zstd) is refused by name.
"""

from __future__ import annotations

import zlib
from typing import Any

from ..errors import ProtocolError, TruncatedError
from ..http1 import Headers, words
from .base import BodySource

__all__ = ["MAX_RATIO", "InflatedBody", "content_coding"]

#: Output to input beyond ``_FREE_OUTPUT`` bytes. JSON reaches about 20; a bomb has 1000.
MAX_RATIO = 200
_FREE_OUTPUT = 16 * 1024 * 1024

# Bytes given out by one read, so that a bomb is met piece by piece.
_STEP = 256 * 1024

_GZIP = 31
_ZLIB = 15
_RAW = -15


def content_coding(headers: Headers, peer: str) -> str | None:
    """Return "gzip", "deflate" or None; ProtocolError for a coding that we cannot take off."""
    codings = [coding for coding in words(headers, "content-encoding") if coding != "identity"]
    if not codings:
        return None
    if len(codings) == 1 and codings[0] in {"gzip", "x-gzip", "deflate"}:
        return codings[0].removeprefix("x-")
    raise ProtocolError(
        f"{peer}: the answer is encoded as {', '.join(codings)[:80]}, which was not asked for; "
        "only gzip and deflate can be read"
    )


class InflatedBody:
    """``limit`` bounds the inflated bytes. Several gzip members in a row are one body."""

    def __init__(self, body: BodySource, coding: str, limit: int, peer: str) -> None:
        gzip = coding == "gzip"
        self._body = body
        self._gzip = gzip
        self._limit = limit
        self._peer = peer
        self._inflater: Any = zlib.decompressobj(_GZIP) if gzip else None
        self._input = b""
        self._read = 0
        self._given = 0
        self._between_members = True

    @property
    def buffered(self) -> bool:
        return bool(self._input) or self._body.buffered

    def finish(self, seconds: float) -> None:
        self._body.finish(seconds)

    def close(self) -> None:
        self._body.close()

    def read_some(self) -> bytes:
        while True:
            if not self._input:
                self._input = self._body.read_some()
                self._read += len(self._input)
                if not self._input:
                    return self._end()
            out = self._inflate()
            if out:
                return out

    def _end(self) -> bytes:
        if not self._between_members:
            raise TruncatedError(f"{self._peer}: the compressed answer was cut")
        return b""

    def _inflate(self) -> bytes:
        inflater = self._inflater or self._start_deflate()
        try:
            out: bytes = inflater.decompress(self._input, _STEP)
        except zlib.error as error:
            self.close()
            raise ProtocolError(f"{self._peer}: the answer cannot be inflated ({error})") from error
        self._between_members = inflater.eof
        self._input = inflater.unconsumed_tail or inflater.unused_data
        if inflater.eof:
            self._inflater = zlib.decompressobj(_GZIP if self._gzip else _ZLIB)
        self._given += len(out)
        self._check_bounds()
        return out

    def _start_deflate(self) -> Any:
        """Deflate means zlib's format, but some servers send it bare: the first byte tells."""
        bare = self._input[0] & 0x0F != 8
        self._inflater = zlib.decompressobj(_RAW if bare else _ZLIB)
        return self._inflater

    def _check_bounds(self) -> None:
        consumed = self._read - len(self._input)
        expanding = self._given > _FREE_OUTPUT and self._given > MAX_RATIO * consumed
        if self._given > self._limit or expanding:
            self.close()
            raise ProtocolError(
                f"{self._peer}: the answer inflates to more than {self._limit} bytes or "
                f"{MAX_RATIO} times its size"
            )
