"""Parts: what a message is made of.

A part says what the conversation holds, in no dialect's words. Every part may carry a cache mark
and opaque annotations of dialects. A ``ToolCallPart`` is a call that the caller must run; what a
provider ran itself is a ``BuiltinCallPart`` with its ``BuiltinResultPart``. A block that nobody
else understands is an ``OpaquePart``, kept in its position.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import Any, ClassVar

from . import check
from .json import Json
from .opaque import Opaque, opaque_field
from .tools import TOOL_CLASSES, TOOL_KINDS, Tool
from .value import value_class


@value_class(frozen=True, slots=True)
class CacheMark:
    """The prompt up to and including this value is worth caching; ``ttl`` is a word like ``1h``."""

    ttl: str | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.maybe_text(self, "ttl")
        opaque_field(self)


def _annotations(part: Any) -> None:
    if part.cache is not None:
        check.one(part, "cache", CacheMark)
    if part.opaque.__class__ is not tuple or part.opaque:
        opaque_field(part)


@value_class(frozen=True, slots=True)
class TextPart:
    """Words. The text may be empty."""

    text: str
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        check.text(self, "text")
        _annotations(self)


@value_class(frozen=True, slots=True)
class ThinkingPart:
    """The model's reasoning. Hidden reasoning has no text; its state is opaque with an origin."""

    text: str
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "thinking"

    def __post_init__(self) -> None:
        check.text(self, "text")
        _annotations(self)


@value_class(frozen=True, slots=True)
class RefusalPart:
    """The model's words of refusal."""

    text: str
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "refusal"

    def __post_init__(self) -> None:
        check.text(self, "text")
        _annotations(self)


@value_class(frozen=True, slots=True)
class CitationPart:
    """A source of the text part before it.

    ``text`` is the cited passage; ``start`` and ``end`` are character offsets into that text part
    where the dialect gives them (OpenAI's ``url_citation``).
    """

    url: str | None = None
    title: str | None = None
    text: str | None = None
    start: int | None = None
    end: int | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "citation"

    def __post_init__(self) -> None:
        for name in ("url", "title", "text"):
            check.maybe_text(self, name)
        check.maybe_int(self, "start", 0)
        check.maybe_int(self, "end", 0)
        _annotations(self)


class Media:
    """What the media parts share: exactly one of ``data`` (base64), ``url`` or ``file_id``."""

    __slots__ = ()
    media_type: str | None
    data: str | None
    url: str | None
    file_id: str | None

    def __post_init__(self) -> None:
        for name in ("media_type", "data", "url", "file_id"):
            check.maybe_text(self, name)
        given = [n for n in ("data", "url", "file_id") if getattr(self, n) is not None]
        if len(given) != 1:
            named = " and ".join(given) or "none"
            raise ValueError(
                f"{type(self).__name__}: exactly one of data, url, file_id is needed, got {named}"
            )
        _annotations(self)

    @property
    def bytes(self) -> bytes:
        """The decoded payload; ValueError when it is a URL or a file id, or not base64."""
        if self.data is None:
            raise ValueError(f"{type(self).__name__} holds no data, only a reference")
        try:
            return b64decode(self.data, validate=True)
        except Base64Error as error:
            raise ValueError(f"{type(self).__name__}.data is not base64: {error}") from None

    def __repr__(self) -> str:
        if self.data is not None:
            held = f"data=<{len(self.data)} characters>"
        else:
            held = f"url={self.url!r:.80}" if self.url is not None else f"file_id={self.file_id!r}"
        return f"{type(self).__name__}({self.media_type!r}, {held})"


@value_class(frozen=True, slots=True, repr=False)
class ImagePart(Media):
    """``detail`` is OpenAI's word (low, high, auto), kept as sent."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "image"

    def __post_init__(self) -> None:
        Media.__post_init__(self)
        check.maybe_text(self, "detail")


@value_class(frozen=True, slots=True, repr=False)
class AudioPart(Media):
    """``id`` and ``transcript`` are set on audio that a model spoke."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    transcript: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "audio"

    def __post_init__(self) -> None:
        Media.__post_init__(self)
        check.maybe_text(self, "transcript")


@value_class(frozen=True, slots=True, repr=False)
class VideoPart(Media):
    """A video."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "video"


@value_class(frozen=True, slots=True, repr=False)
class DocumentPart(Media):
    """A document: a PDF, or plain text (base64 like all data) with a ``text/*`` media type."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None
    context: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "document"

    def __post_init__(self) -> None:
        Media.__post_init__(self)
        check.maybe_text(self, "name")
        check.maybe_text(self, "context")


@value_class(frozen=True, slots=True, repr=False)
class BinaryPart(Media):
    """Bytes of any other kind."""

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    name: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "binary"

    def __post_init__(self) -> None:
        Media.__post_init__(self)
        check.maybe_text(self, "name")


@value_class(frozen=True, slots=True)
class ToolCallPart:
    """A call that the caller must run.

    ``input`` is the parsed value: an object for functions, a string for custom tools. ``text`` is
    the exact argument text where the wire had text, so that replaying a history changes no byte. A
    text that is not a JSON object leaves ``input`` as the empty object; ``text`` still says what
    came. ``kind`` and ``namespace`` are the call's own, since the tool may be gone while its call
    is still in history.
    """

    id: str
    name: str
    input: Json
    text: str | None = None
    kind: str = "function"
    namespace: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "tool_call"

    def __post_init__(self) -> None:
        check.text(self, "id")
        check.text(self, "name")
        check.maybe_text(self, "text")
        check.word(self, "kind", TOOL_KINDS)
        check.maybe_text(self, "namespace")
        _annotations(self)


@value_class(frozen=True, slots=True)
class ToolResultPart:
    """The result of one call. ``is_error`` None is not said; False is said."""

    id: str
    content: tuple[Part, ...]
    is_error: bool | None = None
    name: str | None = None
    kind: str = "function"
    namespace: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "tool_result"

    def __post_init__(self) -> None:
        check.text(self, "id")
        check.values(self, "content", PART_CLASSES)
        check.maybe_bool(self, "is_error")
        check.maybe_text(self, "name")
        check.word(self, "kind", TOOL_KINDS)
        check.maybe_text(self, "namespace")
        _annotations(self)


@value_class(frozen=True, slots=True)
class ToolsPart:
    """Tools introduced in the middle of the input (OpenAI's ``additional_tools``)."""

    tools: tuple[Tool, ...]
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "tools"

    def __post_init__(self) -> None:
        check.values(self, "tools", TOOL_CLASSES)
        _annotations(self)


@value_class(frozen=True, slots=True)
class BuiltinCallPart:
    """A call that the provider runs, or ran, itself (web search, code execution)."""

    id: str
    name: str
    input: Json = None
    status: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "builtin_call"

    def __post_init__(self) -> None:
        check.text(self, "id")
        check.text(self, "name")
        check.maybe_text(self, "status")
        _annotations(self)


@value_class(frozen=True, slots=True)
class BuiltinResultPart:
    """What a provider's own call gave: its sources, and the rest in the dialect's opaque data."""

    id: str
    name: str
    sources: tuple[CitationPart, ...] = ()
    status: str | None = None
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "builtin_result"

    def __post_init__(self) -> None:
        check.text(self, "id")
        check.text(self, "name")
        check.values(self, "sources", CitationPart)
        check.maybe_text(self, "status")
        _annotations(self)


@value_class(frozen=True, slots=True)
class OpaquePart:
    """A whole block that only its dialect understands, kept in its position."""

    content: Opaque
    cache: CacheMark | None = None
    opaque: tuple[Opaque, ...] = ()
    type: ClassVar[str] = "opaque"

    def __post_init__(self) -> None:
        check.one(self, "content", Opaque)
        _annotations(self)


MediaPart = ImagePart | AudioPart | VideoPart | DocumentPart | BinaryPart
Part = (
    TextPart
    | ThinkingPart
    | RefusalPart
    | CitationPart
    | ImagePart
    | AudioPart
    | VideoPart
    | DocumentPart
    | BinaryPart
    | ToolCallPart
    | ToolResultPart
    | ToolsPart
    | BuiltinCallPart
    | BuiltinResultPart
    | OpaquePart
)
MEDIA_CLASSES: tuple[type, ...] = (ImagePart, AudioPart, VideoPart, DocumentPart, BinaryPart)
PART_CLASSES: tuple[type, ...] = (
    TextPart,
    ThinkingPart,
    RefusalPart,
    CitationPart,
    *MEDIA_CLASSES,
    ToolCallPart,
    ToolResultPart,
    ToolsPart,
    BuiltinCallPart,
    BuiltinResultPart,
    OpaquePart,
)
