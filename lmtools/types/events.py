"""Stream events.

A stream is one ``Start``, then deltas, then exactly one ``End`` or ``StreamError``, last, always. A
``StreamError`` may come without a ``Start``.

``part_index`` names a part of the answer being built. Deltas of the same index and class append to
one part; a decoder gives every part its own index, in order of first appearance. The two opaque
fields differ in what they belong to: ``opaque`` belongs to the value under construction and is
kept by assembly; ``wire`` belongs to the frame alone (padding, fingerprints repeated in each
chunk), passes to an encoder of the same dialect, and is not part of the assembled answer.
"""

from __future__ import annotations

from typing import ClassVar

from ..errors import ApiError, LMError, api_error
from . import check
from .opaque import Opaque, opaque_field
from .parts import PART_CLASSES, CitationPart, Part
from .responses import FINISH_REASONS, NOT_REPORTED, TokenLogprob, Usage
from .value import value_class


@value_class(frozen=True, slots=True)
class Start:
    """The answer begins.

    ``usage`` is what is known before the first token (input and cache counts). ``message_opaque``
    belongs to the answer's message, as ``opaque`` does to the whole answer.
    """

    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: Usage = NOT_REPORTED
    service_tier: str | None = None
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    message_opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "start"

    def __post_init__(self) -> None:
        check.maybe_text(self, "id")
        check.maybe_text(self, "model")
        check.maybe_int(self, "created")
        check.one(self, "usage", Usage)
        check.maybe_text(self, "service_tier")
        opaque_field(self)
        opaque_field(self, "wire")
        opaque_field(self, "message_opaque")


@value_class(frozen=True, slots=True)
class TextDelta:
    """A fragment of text. Logprobs on an empty fragment without opaque data make no part."""

    part_index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "text"


@value_class(frozen=True, slots=True)
class ThinkingDelta:
    """A fragment of shown reasoning; its signature is opaque."""

    part_index: int
    text: str
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "thinking"


@value_class(frozen=True, slots=True)
class RefusalDelta:
    """A fragment of the words of refusal."""

    part_index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "refusal"


@value_class(frozen=True, slots=True)
class ToolCallDelta:
    """A raw fragment of a call's arguments; the first delta has the ``id``, name and kind."""

    part_index: int
    text: str = ""
    id: str | None = None
    name: str | None = None
    kind: str = "function"
    namespace: str | None = None
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "tool_call"


@value_class(frozen=True, slots=True)
class BuiltinCallDelta:
    """A provider's own call; ``text`` is a raw fragment of its input."""

    part_index: int
    text: str = ""
    id: str | None = None
    name: str | None = None
    status: str | None = None
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "builtin_call"


@value_class(frozen=True, slots=True)
class AudioDelta:
    """``data`` is a base64 fragment, ``transcript`` a fragment of what is said."""

    part_index: int
    data: str = ""
    transcript: str = ""
    media_type: str | None = None
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "audio"


@value_class(frozen=True, slots=True)
class CitationDelta:
    """A citation of the text part with this index."""

    part_index: int
    citation: CitationPart
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "citation"


@value_class(frozen=True, slots=True)
class PartDelta:
    """A whole part at once: an image, redacted thinking, a builtin result, an opaque block."""

    part_index: int
    part: Part
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "part"

    def __post_init__(self) -> None:
        check.one(self, "part", PART_CLASSES)


@value_class(frozen=True, slots=True)
class PartEnd:
    """The part is complete, where a dialect says so; never required of a decoder."""

    part_index: int
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "part_end"


@value_class(frozen=True, slots=True)
class OpaqueDelta:
    """A whole stream event that only its dialect understands, kept in its order."""

    content: Opaque
    part_index: int | None = None
    type: ClassVar[str] = "opaque"

    def __post_init__(self) -> None:
        check.one(self, "content", Opaque)


@value_class(frozen=True, slots=True)
class End:
    """The answer is whole. ``usage`` is final and cumulative; its None leave those of ``Start``."""

    finish: str | None = None
    usage: Usage = NOT_REPORTED
    stop_sequence: str | None = None
    service_tier: str | None = None
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "end"

    def __post_init__(self) -> None:
        check.maybe_word(self, "finish", FINISH_REASONS)
        check.one(self, "usage", Usage)
        check.maybe_text(self, "stop_sequence")
        check.maybe_text(self, "service_tier")
        opaque_field(self)
        opaque_field(self, "wire")


@value_class(frozen=True, slots=True)
class StreamError:
    """The answer failed. ``code`` is one of ``errors.CODES``; ``retry_after`` is in seconds."""

    code: str
    message: str
    provider_code: str | None = None
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    param: str | None = None
    opaque: tuple[Opaque, ...] = ()
    wire: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "error"

    def __post_init__(self) -> None:
        check.text(self, "code")
        check.text(self, "message")
        check.maybe_text(self, "provider_code")
        check.maybe_int(self, "status")
        check.maybe_text(self, "request_id")
        check.maybe_number(self, "retry_after")
        check.maybe_text(self, "param")
        opaque_field(self)
        opaque_field(self, "wire")


Delta = (
    TextDelta
    | ThinkingDelta
    | RefusalDelta
    | ToolCallDelta
    | BuiltinCallDelta
    | AudioDelta
    | CitationDelta
    | PartDelta
    | PartEnd
    | OpaqueDelta
)
Event = Start | Delta | End | StreamError
EVENT_CLASSES: tuple[type, ...] = (
    Start,
    TextDelta,
    ThinkingDelta,
    RefusalDelta,
    ToolCallDelta,
    BuiltinCallDelta,
    AudioDelta,
    CitationDelta,
    PartDelta,
    PartEnd,
    OpaqueDelta,
    End,
    StreamError,
)


def stream_error(error: LMError) -> StreamError:
    """Return the event that says what an exception says."""
    opaque = error.opaque if isinstance(error, ApiError) else ()
    where = getattr(error, "param", None) or getattr(error, "path", None)
    return StreamError(
        error.code,
        error.message,
        provider_code=error.provider_code,
        status=error.status,
        request_id=error.request_id,
        retry_after=error.retry_after,
        param=where or None,
        opaque=tuple(item for item in opaque if isinstance(item, Opaque)),
    )


def to_exception(event: StreamError) -> ApiError:
    """Return the exception of the class that the event's code names."""
    return api_error(
        event.code,
        event.message,
        provider_code=event.provider_code,
        status=event.status,
        request_id=event.request_id,
        retry_after=event.retry_after,
        param=event.param,
        opaque=event.opaque,
    )


__all__ = [
    "EVENT_CLASSES",
    "AudioDelta",
    "BuiltinCallDelta",
    "CitationDelta",
    "Delta",
    "End",
    "Event",
    "OpaqueDelta",
    "PartDelta",
    "PartEnd",
    "RefusalDelta",
    "Start",
    "StreamError",
    "TextDelta",
    "ThinkingDelta",
    "ToolCallDelta",
    "stream_error",
    "to_exception",
]
