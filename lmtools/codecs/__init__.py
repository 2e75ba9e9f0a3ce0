"""One codec per wire dialect, each pure functions in pairs; see ``codecs.base``.

A dialect's package is imported when it is first asked for: a client of one wire does not pay for
the others.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, cast

from ..errors import ConfigError
from .base import Codec, CountCodec

if TYPE_CHECKING:
    from . import anthropic as anthropic
    from . import openai_chat as openai_chat

    # The assignments let the type checker see that each module is a codec.
    _ANTHROPIC: Codec = anthropic
    _OPENAI_CHAT: Codec = openai_chat
    _ANTHROPIC_COUNTS: CountCodec = anthropic

#: The names of the dialects.
DIALECTS = ("anthropic", "openai_chat")
#: The dialects that have an endpoint which counts a request's tokens.
COUNTING = frozenset({"anthropic"})


@cache
def codec_named(dialect: str) -> Codec:
    """Return the codec of a dialect; ConfigError for a name that is none."""
    if dialect not in DIALECTS:
        raise ConfigError(f"no dialect {dialect!r}; known: {', '.join(DIALECTS)}")
    return cast(Codec, import_module(f"{__name__}.{dialect}"))


def count_codec_named(dialect: str) -> CountCodec | None:
    """Return the codec of a dialect that counts tokens, None for one that does not."""
    return cast(CountCodec, codec_named(dialect)) if dialect in COUNTING else None


__all__ = ["COUNTING", "DIALECTS", "Codec", "CountCodec", "codec_named", "count_codec_named"]
