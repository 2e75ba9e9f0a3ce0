"""A credential that shows itself only when asked by name.

Keys travel through options, clients and providers. Wherever one of those is printed, logged or put
into an error by accident, the key must not come along; ``Secret.reveal()`` is the one way to it.
"""

from __future__ import annotations

from typing import NoReturn

__all__ = ["MAX_SECRET_LENGTH", "Secret"]

#: Characters. The longest tokens in use (signed JSON tokens) stay under half of it.
MAX_SECRET_LENGTH = 16_384

_HIDDEN = "Secret(hidden)"
_MASK = "***"
_SHORTEST_MASKED = 8


class Secret:
    """One key, trimmed and fit for an HTTP header: visible ASCII only.

    Raises ``ValueError`` for anything else; the message says what is wrong without a character of
    the text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        text = text.strip()
        fault = _fault(text)
        if fault:
            raise ValueError(fault)
        self._text = text

    def reveal(self) -> str:
        """Return the key itself. Use it where the header is written and nowhere else."""
        return self._text

    def mask_in(self, text: str) -> str:
        """Return text with the key in it masked, for words of a server that repeats what it got.

        A key under 8 characters stays: it is a user name, and may be a part of any word.
        """
        return text if len(self._text) < _SHORTEST_MASKED else text.replace(self._text, _MASK)

    def __repr__(self) -> str:
        return _HIDDEN

    def __str__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return format(_HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return _same(self._text, other._text)

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not copied or pickled; pass it on, or reveal() it")


def _fault(text: str) -> str | None:
    """Return what keeps a trimmed text from being a key, or None."""
    if not text:
        return "the key is empty"
    if len(text) > MAX_SECRET_LENGTH:
        return f"the key is longer than {MAX_SECRET_LENGTH} characters"
    if any(char.isspace() for char in text):
        return "the key holds whitespace or a line break inside"
    if not text.isascii():
        return "the key holds a character outside ASCII"
    if not text.isprintable():
        return "the key holds a control character"
    return None


def _same(one: str, other: str) -> bool:
    """Compare without leaving at the first difference, so that time tells no prefix.

    ``hmac.compare_digest`` is the same with a 4 ms import (it loads OpenSSL's digests).
    """
    difference = len(one) ^ len(other)
    for left, right in zip(one, other, strict=False):
        difference |= ord(left) ^ ord(right)
    return difference == 0
