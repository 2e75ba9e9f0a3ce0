"""Answers: usage, why an answer ended, and the whole response."""

from __future__ import annotations

from . import check
from .opaque import Opaque, merge_opaque, opaque_field
from .parts import CitationPart, RefusalPart, ThinkingPart, ToolCallPart
from .requests import Message
from .value import value_class

#: Why an answer ended. ``stop_sequence``: one of the request's stop strings came. ``length``: the
#: output limit. ``context_length``: the model's window. ``pause``: the provider wants the turn sent
#: again to go on. ``error``: the provider says that it failed.
FINISH_REASONS = frozenset(
    {
        "stop",
        "stop_sequence",
        "length",
        "context_length",
        "tool_call",
        "content_filter",
        "refusal",
        "pause",
        "error",
    }
)


@value_class(frozen=True, slots=True)
class Usage:
    """Token counts, normalised: every dialect's numbers mean the same here.

    ``None`` means not reported, never zero. ``input_tokens`` includes cache reads and writes
    (Anthropic reports them apart, and its codec adds them); ``output_tokens`` includes reasoning.
    Each part also stands apart.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        for name in USAGE_COUNTS:
            if getattr(self, name) is not None:
                check.maybe_int(self, name, 0)
        opaque_field(self)

    def updated(self, later: Usage) -> Usage:
        """Return these counts with those of a later report, where that has any."""
        if later == NOT_REPORTED:
            return self
        counts = {
            name: getattr(self, name) if getattr(later, name) is None else getattr(later, name)
            for name in USAGE_COUNTS
        }
        return Usage(**counts, opaque=merge_opaque((self.opaque, later.opaque)))


USAGE_COUNTS = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
)


#: Nothing was reported.
NOT_REPORTED = Usage()


@value_class(frozen=True, slots=True)
class TokenLogprob:
    """One token with its natural-log probability. The alternatives in ``top`` have no ``top``."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.text(self, "token")
        check.number(self, "logprob")
        if self.bytes is not None:
            check.values(self, "bytes", int)
        check.values(self, "top", TokenLogprob)
        opaque_field(self)


@value_class(frozen=True, slots=True)
class Response:
    """One answer. ``created`` is in Unix seconds, ``stop_sequence`` the stop string that came."""

    id: str | None
    model: str
    message: Message
    finish: str | None = None
    usage: Usage = NOT_REPORTED
    created: int | None = None
    stop_sequence: str | None = None
    service_tier: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.maybe_text(self, "id")
        check.text(self, "model")
        check.one(self, "message", Message)
        check.maybe_word(self, "finish", FINISH_REASONS)
        check.one(self, "usage", Usage)
        check.maybe_int(self, "created")
        check.maybe_text(self, "stop_sequence")
        check.maybe_text(self, "service_tier")
        if self.logprobs is not None:
            check.values(self, "logprobs", TokenLogprob)
        opaque_field(self)

    @property
    def text(self) -> str:
        """The answer's text parts joined, without separator; empty when there are none."""
        return self.message.text

    @property
    def thinking(self) -> str:
        """The shown reasoning joined, without separator."""
        return "".join(p.text for p in self.message.parts if isinstance(p, ThinkingPart))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        return tuple(p for p in self.message.parts if isinstance(p, ToolCallPart))

    @property
    def citations(self) -> tuple[CitationPart, ...]:
        return tuple(p for p in self.message.parts if isinstance(p, CitationPart))

    @property
    def refusal(self) -> str | None:
        """The words of refusal, or None."""
        words = [p.text for p in self.message.parts if isinstance(p, RefusalPart)]
        return "".join(words) if words else None
