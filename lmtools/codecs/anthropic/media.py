"""Sources of images and documents.

::

    {"type": "base64", "media_type": "image/png", "data": "iVBOR..."}
    {"type": "url", "url": "https://..."}
    {"type": "file", "file_id": "file_..."}
    {"type": "text", "media_type": "text/plain", "data": "plain text"}        documents only
    {"type": "content", "content": "plain text" | [text blocks]}              documents only

A text document is base64 in the canonical part; how its text was cut into blocks is spelling. Other
sources (images inside ``content``, types of tomorrow) have no canonical form, and the block stays
opaque.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any

from ...types import DocumentPart, ImagePart, JsonObject, Opaque
from ..base import Loss, Losses
from ..fields import Fields, restore
from ..media import sniff
from .spelling import NAME, data_of

_SOURCE_KEYS = ("type", "media_type", "data", "url", "file_id", "content")
_PLAIN = "text/plain"


def parse_source(fields: Fields) -> tuple[dict[str, Any], tuple[Opaque, ...]] | None:
    """Take ``source``; return a media part's arguments and what was kept; None if no part fits.

    When None is returned, ``fields`` still holds the source.
    """
    value = fields.rest.get("source")
    if value.__class__ is not dict:
        return None
    source = Fields(value, fields.at("source"))
    kind = source.rest.pop("type", None)
    taker = _TAKERS.get(kind) if kind.__class__ is str else None
    found = taker(source) if taker else None
    if found is None:
        return None
    media, notes = found
    del fields.rest["source"]
    return media, source.kept(NAME, "source", _SOURCE_KEYS, notes)


Taken = tuple[dict[str, Any], JsonObject | None] | None


def _base64(source: Fields) -> Taken:
    data = source.text("data")
    if data is None:
        return None
    return {"media_type": source.text("media_type"), "data": data}, None


def _url(source: Fields) -> Taken:
    url = source.text("url")
    return None if url is None else ({"url": url}, None)


def _file(source: Fields) -> Taken:
    file_id = source.text("file_id")
    return None if file_id is None else ({"file_id": file_id}, None)


def _text(source: Fields) -> Taken:
    text = source.text("data")
    if text is None:
        return None
    media_type = source.text("media_type")
    notes: JsonObject | None = None if media_type == _PLAIN else {"form": "text"}
    return {"media_type": media_type, "data": _encode(text)}, notes


def _content(source: Fields) -> Taken:
    content = source.rest.get("content")
    if content.__class__ is str:
        del source.rest["content"]
        return {"media_type": _PLAIN, "data": _encode(content)}, {"cut": "string"}
    if content.__class__ is not list or not content:
        return None
    texts = [_plain_text(block) for block in content]
    if None in texts:
        return None
    del source.rest["content"]
    text = "\n".join(texts)  # type: ignore[arg-type]
    return {"media_type": _PLAIN, "data": _encode(text)}, {
        "cut": [len(t) for t in texts if t is not None]
    }


def _plain_text(block: Any) -> str | None:
    """Return the text of a block that holds a text and nothing else."""
    if block.__class__ is not dict or list(block) != ["type", "text"] or block["type"] != "text":
        return None
    return block["text"] if block["text"].__class__ is str else None


_TAKERS = {"base64": _base64, "url": _url, "file": _file, "text": _text, "content": _content}


def _encode(text: str) -> str:
    # A lone surrogate is legal in JSON text and must come back as it came.
    return b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii")


def _decode(data: str) -> str | None:
    """Return the text of base64 data, None when it is neither base64 nor UTF-8."""
    try:
        return b64decode(data, validate=True).decode("utf-8", "surrogatepass")
    except (Base64Error, UnicodeDecodeError, ValueError):
        return None


def render_source(part: ImagePart | DocumentPart, path: str, losses: Losses) -> JsonObject:
    notes = data_of(part.opaque, "source")
    out = _natural(part, notes, path, losses)
    return restore(out, part.opaque, NAME, "source")


def _natural(
    part: ImagePart | DocumentPart, notes: JsonObject, path: str, losses: Losses
) -> JsonObject:
    if part.url is not None:
        return {"type": "url", "url": part.url}
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    data = part.data or ""
    is_text = notes.get("form") == "text" or (part.media_type or "").startswith("text/")
    if isinstance(part, DocumentPart) and is_text:
        text = _decode(data)
        if text is not None:
            return _text_source(part, text, notes, path, losses)
    media_type = part.media_type or _guess(data, path, losses)
    if media_type is None:
        return {"type": "base64", "data": data}
    return {"type": "base64", "media_type": media_type, "data": data}


def _guess(data: str, path: str, losses: Losses) -> str | None:
    """Return the media type that the data's first bytes show, since the API requires one."""
    media_type = sniff(data)
    if media_type is not None:
        losses.append(Loss(f"{path}.media_type", "defaulted", f"named {media_type} by its bytes"))
    return media_type


def _text_source(
    part: DocumentPart, text: str, notes: JsonObject, path: str, losses: Losses
) -> JsonObject:
    cut = notes.get("cut") if part.media_type == _PLAIN else None
    if cut == "string":
        return {"type": "content", "content": text}
    if cut:
        blocks = _cut(text, cut)
        if blocks is not None:
            return {"type": "content", "content": [{"type": "text", "text": b} for b in blocks]}
    if notes.get("form") == "text":
        given = {} if part.media_type is None else {"media_type": part.media_type}
        return {"type": "text", **given, "data": text}
    if part.media_type != _PLAIN:
        reason = "anthropic takes text documents as text/plain only"
        losses.append(Loss(f"{path}.media_type", "substituted", reason))
    return {"type": "text", "media_type": _PLAIN, "data": text}


def _cut(text: str, lengths: list[int]) -> list[str] | None:
    """Return the pieces of these lengths that line feeds joined, None if they no longer fit."""
    pieces, start = [], 0
    for length in lengths:
        pieces.append(text[start : start + length])
        start += length + 1
    return pieces if "\n".join(pieces) == text else None
