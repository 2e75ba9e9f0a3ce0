"""How many tokens a request holds, estimated without a tokenizer.

English text and JSON come to about four characters a token in the tokenizers of today, Chinese and
Japanese to about one character, Cyrillic and Greek to between one and two. Pictures are billed by
their area and not by their bytes, so media count as constants: base64 must not inflate a number.
The result is good to about a fifth either way; it decides no limit. What answers say of their
requests makes it better: the ratio of true tokens to estimated ones, smoothed over a model's
answers.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..codecs.text import dumps
from ..types import (
    AudioPart,
    BinaryPart,
    BuiltinCallPart,
    BuiltinResultPart,
    CitationPart,
    CustomTool,
    DocumentPart,
    FunctionTool,
    ImagePart,
    Json,
    OpaquePart,
    Part,
    RefusalPart,
    Request,
    TextPart,
    ThinkingPart,
    Tool,
    ToolCallPart,
    ToolResultPart,
    ToolsPart,
    VideoPart,
)

__all__ = ["estimate_text", "estimate_tokens", "scaled", "smoothed"]

#: Tokens that frame a message (role, separators), a tool, and a request.
_PER_MESSAGE = 4
_PER_TOOL = 12
_PER_REQUEST = 3
#: An image of about 1,100 x 1,100 pixels; larger ones are scaled down by the providers.
_PER_IMAGE = 1_600
#: A minute of speech, half a minute of video, two pages: unknown sizes have to be something.
_PER_AUDIO = 1_000
_PER_VIDEO = 8_000
_PER_DOCUMENT = 3_000
#: What nobody else understands is mostly encrypted or base64; it counts as text up to this.
_OPAQUE_MOST = 2_000

#: A ratio beyond these says that something else was counted, not that the estimate is off.
_LEAST_RATIO, _MOST_RATIO = 0.25, 4.0
#: How much the newest answer counts beside all before it.
_NEWEST = 0.25


def smoothed(ratio: float | None, observed: float) -> float:
    """Return a model's ratio after one more answer; None is no answer yet."""
    observed = min(max(observed, _LEAST_RATIO), _MOST_RATIO)
    return observed if ratio is None else ratio + _NEWEST * (observed - ratio)


def scaled(estimated: int, ratio: float | None) -> int:
    """Return estimated tokens as a ratio makes them, at least 1 of any; None leaves them."""
    return estimated if ratio is None or not estimated else max(1, round(estimated * ratio))


def estimate_text(text: str) -> int:
    """Return the tokens of a text; 0 for the empty text, at least 1 for any other."""
    length = len(text)
    beyond_ascii = 0 if text.isascii() else len(text.encode("utf-8", "replace")) - length
    # A quarter per character, and three eighths for each byte that UTF-8 adds: 1 for a Chinese
    # character, 0.6 for a Cyrillic one.
    return (2 * length + 3 * beyond_ascii + 7) // 8


def estimate_tokens(request: Request) -> int:
    """Return the input tokens of a request: its messages (system among them), tools and schema."""
    total = _PER_REQUEST
    for message in request.messages:
        total += _PER_MESSAGE + _parts(message.parts) + estimate_text(message.name or "")
    total += sum(map(_tool, request.tools))
    if request.output is not None and request.output.schema is not None:
        total += _json(request.output.schema)
    return total


def _parts(parts: Iterable[Part]) -> int:
    return sum(map(_part, parts))


def _part(part: Part) -> int:
    match part:
        case TextPart(text=text) | ThinkingPart(text=text) | RefusalPart(text=text):
            return estimate_text(text)
        case ToolCallPart():
            return estimate_text(part.name) + _call_input(part) + _PER_MESSAGE
        case ToolResultPart():
            return _parts(part.content) + _PER_MESSAGE
        case ImagePart():
            return _PER_IMAGE
        case AudioPart():
            return _PER_AUDIO
        case VideoPart():
            return _PER_VIDEO
        case DocumentPart() | BinaryPart():
            return _document(part)
        case CitationPart():
            return estimate_text(part.text or "")
        case ToolsPart():
            return sum(map(_tool, part.tools))
        case BuiltinCallPart():
            return estimate_text(part.name) + _json(part.input)
        case BuiltinResultPart():
            return _parts(part.sources) + _PER_MESSAGE
        case OpaquePart():
            return min(_json(part.content.data), _OPAQUE_MOST)


def _call_input(part: ToolCallPart) -> int:
    return estimate_text(part.text) if part.text is not None else _json(part.input)


def _document(part: DocumentPart | BinaryPart) -> int:
    """Count a text document by its length; any other by the constant."""
    if part.data is not None and (part.media_type or "").startswith("text/"):
        return len(part.data) * 3 // 16
    return _PER_DOCUMENT


def _tool(tool: Tool) -> int:
    total = _PER_TOOL + estimate_text(tool.name)
    if isinstance(tool, FunctionTool):
        total += estimate_text(tool.description or "") + _json(tool.parameters)
    elif isinstance(tool, CustomTool):
        total += estimate_text(tool.description or "") + _json(tool.format)
    return total


def _json(value: Json) -> int:
    return 0 if value is None else estimate_text(dumps(value))
