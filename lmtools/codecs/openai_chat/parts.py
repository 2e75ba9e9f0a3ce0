"""Content parts: the elements of a ``content`` list, and how content is spelled.

Spelling: content is a string, a list, null, or not there at all. A message keeps the note
``content`` when its spelling is not the natural one (one plain text is a string, nothing is ``""``,
or null on an assistant's message that holds calls).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable

from ...errors import RequestError
from ...types import (
    AudioPart,
    BinaryPart,
    CacheMark,
    DocumentPart,
    ImagePart,
    Json,
    JsonObject,
    MediaPart,
    Opaque,
    OpaquePart,
    Part,
    RefusalPart,
    TextPart,
    VideoPart,
)
from .. import media
from ..base import Loss, Losses, Target
from ..fields import Fields, report_foreign, shown, wrong
from .wire import NAME, Shape

_BREAKPOINT = "prompt_cache_breakpoint"
_ABSENT = object()

TEXT = Shape("text", ("type", "text", _BREAKPOINT, "cache_control"))
REFUSAL = Shape("refusal", ("type", "refusal"))
IMAGE = Shape("image", ("type", "image_url", _BREAKPOINT, "cache_control"))
IMAGE_URL = Shape("image_url", ("url", "detail"))
VIDEO = Shape("video", ("type", "video_url"))
VIDEO_URL = Shape("video_url", ("url",))
AUDIO = Shape("input_audio_part", ("type", "input_audio", _BREAKPOINT, "cache_control"))
INPUT_AUDIO = Shape("input_audio", ("data", "format"))
FILE = Shape("file_part", ("type", "file", _BREAKPOINT, "cache_control"))
FILE_FILE = Shape("file", ("file_id", "file_data", "filename"))
CACHE = Shape("cache", ("mode", "ttl"), {"mode": "explicit"})
#: Anthropic's mark, which OpenRouter and LiteLLM take in Chat's parts too.
CACHE_CONTROL = Shape("cache", ("type", "ttl"), {"type": "ephemeral"})
_MARKS = {_BREAKPOINT: CACHE, "cache_control": CACHE_CONTROL}


def parse_content(value: Json, path: str) -> tuple[tuple[Part, ...], str]:
    """Return the parts of a ``content`` value and its spelling: string, list or null."""
    if value is None:
        return (), "null"
    if value.__class__ is str:
        return ((TextPart(value),) if value else ()), "string"
    if value.__class__ is list:
        return tuple(parse_part(item, f"{path}[{i}]") for i, item in enumerate(value)), "list"
    raise wrong(path, "a string, a list or null", value)


def take_content(fields: Fields) -> tuple[tuple[Part, ...], str]:
    """Take ``content`` away from a message; the spelling may also be ``absent``."""
    value = fields.rest.pop("content", _ABSENT)
    if value is _ABSENT:
        return (), "absent"
    return parse_content(value, fields.at("content"))


def natural_spelling(parts: tuple[Part, ...], empty: str = "string") -> str:
    if not parts:
        return empty
    return "string" if len(parts) == 1 and is_plain(parts[0]) else "list"


def is_plain(part: Part) -> bool:
    """Tell whether a part is text and nothing else, so that a string says all of it."""
    return part.__class__ is TextPart and part.cache is None and not part.opaque


def spelled_content(
    out: JsonObject, rendered: list[JsonObject], spelling: str | None = None, empty: str = "string"
) -> None:
    """Put rendered content parts into a message, in the noted spelling where it still fits.

    ``empty`` is the spelling of no parts when there is no note.
    """
    if not rendered:
        spelling = spelling or empty
        if spelling != "absent":
            out["content"] = {"null": None, "list": []}.get(spelling, "")
    elif spelling != "list" and len(rendered) == 1 and list(rendered[0]) == ["type", "text"]:
        out["content"] = rendered[0]["text"]
    else:
        out["content"] = rendered


def parse_part(value: Json, path: str) -> Part:
    fields = Fields(value, path)
    kind = fields.rest.pop("type", None)
    if kind.__class__ is not str:
        raise RequestError(f"expected a string, got {shown(kind)}", path=fields.at("type"))
    parser = _PARSERS.get(kind)
    if parser is None:
        return OpaquePart(Opaque(NAME, "part", {"rest": value}))
    return parser(fields, value)


def _parse_text(fields: Fields, wire: JsonObject) -> Part:
    text, cache = fields.required_text("text"), _parse_cache(fields)
    return TextPart(text, cache, TEXT.keep(fields, wire))


def _parse_refusal(fields: Fields, wire: JsonObject) -> Part:
    text = fields.required_text("refusal")
    # The note tells it from a refusal that stands beside the content.
    return RefusalPart(text, opaque=REFUSAL.keep(fields, wire, {"in": "content"}))


def _parse_cache(fields: Fields) -> CacheMark | None:
    for key, shape in _MARKS.items():
        wire = fields.object(key)
        if wire is not None:
            mark = Fields(wire, fields.at(key))
            ttl = mark.text("ttl")
            # The note tells a mark of this dialect, which may go back as one.
            return CacheMark(ttl, shape.keep(mark, wire, {"key": key}))
    return None


def _parse_image(fields: Fields, wire: JsonObject) -> Part:
    source = fields.any("image_url")
    notes: JsonObject = {}
    kept: tuple[Opaque, ...] = ()
    detail: str | None = None
    if source.__class__ is str:
        # vLLM, LM Studio and others also take the bare string.
        uri, notes["image_url"] = source, "string"
    else:
        inner = Fields(source, fields.at("image_url"))
        uri, detail = inner.required_text("url"), inner.text("detail")
        kept = IMAGE_URL.keep(inner, source)
    media_type, data, url = _take_uri(uri, notes)
    cache = _parse_cache(fields)
    opaque = (*IMAGE.keep(fields, wire, notes), *kept)
    return ImagePart(media_type, data, url, detail=detail, cache=cache, opaque=opaque)


def _parse_video(fields: Fields, wire: JsonObject) -> Part:
    """``video_url`` is no part of OpenAI's own: vLLM, SGLang and Qwen take it."""
    source = fields.any("video_url")
    inner = Fields(source, fields.at("video_url"))
    notes: JsonObject = {"said": True}
    media_type, data, url = _take_uri(inner.required_text("url"), notes)
    opaque = (*VIDEO.keep(fields, wire, notes), *VIDEO_URL.keep(inner, source))
    return VideoPart(media_type, data, url, opaque=opaque)


def _take_uri(uri: str, notes: JsonObject) -> tuple[str | None, str | None, str | None]:
    """Return (media_type, data, url) of a URL that may be a data URI."""
    inline = media.parse_data_uri(uri)
    if inline is None:
        return None, None, uri
    if inline.head != media.data_uri_head(inline.media_type):
        notes["head"] = inline.head
    return inline.media_type, inline.data, None


def _parse_audio(fields: Fields, wire: JsonObject) -> Part:
    source = fields.any("input_audio")
    inner = Fields(source, fields.at("input_audio"))
    data, format = inner.required_text("data"), inner.text("format")
    media_type = media.audio_media_type(format) if format else None
    notes: JsonObject = {}
    if media.audio_format(media_type) != format:
        notes["format"] = format or ""
    cache = _parse_cache(fields)
    opaque = (*AUDIO.keep(fields, wire), *INPUT_AUDIO.keep(inner, source, notes))
    return AudioPart(media_type, data, cache=cache, opaque=opaque)


def _parse_file(fields: Fields, wire: JsonObject) -> Part:
    source = fields.any("file")
    inner = Fields(source, fields.at("file"))
    file_id, name = inner.text("file_id"), inner.text("filename")
    uri = None if file_id is not None else inner.text("file_data")
    if file_id is None and uri is None:
        return OpaquePart(Opaque(NAME, "part", {"rest": wire}))
    notes: JsonObject = {"said": True}
    media_type, data = None, None
    if uri is not None:
        media_type, data, bare = _take_uri(uri, notes)
        if bare is not None:
            # Some clients send the base64 text alone.
            media_type, data, notes["head"] = media.sniff(bare), bare, ""
    cache = _parse_cache(fields)
    opaque = (*FILE.keep(fields, wire), *FILE_FILE.keep(inner, source, notes))
    return DocumentPart(media_type, data, None, file_id, name, cache=cache, opaque=opaque)


_PARSERS: dict[str, Callable[[Fields, JsonObject], Part]] = {
    "text": _parse_text,
    "refusal": _parse_refusal,
    "image_url": _parse_image,
    "video_url": _parse_video,
    "input_audio": _parse_audio,
    "file": _parse_file,
}


class PartRenderer:
    """Canonical content parts to Chat's, with the losses. ``target`` may refuse kinds of media."""

    def __init__(self, target: Target, losses: Losses) -> None:
        self._media = target.media
        self._losses = losses

    def lose(self, path: str, action: str, reason: str) -> None:
        self._losses.append(Loss(path, action, reason))

    def render(self, part: Part, path: str) -> JsonObject | None:
        """Return the content part, or None when Chat cannot say it (the loss is recorded)."""
        report_foreign(part.opaque, NAME, path, self._losses)
        out = self._rendered(part, path)
        if part.cache is not None:
            self._cache(part.cache, out, f"{path}.cache")
        return out and self._filled(part, out)

    def _rendered(self, part: Part, path: str) -> JsonObject | None:
        match part:
            case TextPart():
                return {"type": "text", "text": part.text}
            case RefusalPart():
                return {"type": "refusal", "refusal": part.text}
            case ImagePart() | AudioPart() | VideoPart() | DocumentPart() | BinaryPart():
                return self._media_part(part, path)
            case OpaquePart() if part.content.dialect == NAME:
                return dict(part.content.data["rest"])
            case _:
                self.lose(path, "dropped", f"Chat has no {part.type} in this place")
                return None

    def _filled(self, part: Part, out: JsonObject) -> JsonObject:
        shape = _SHAPES.get(out["type"])
        return shape.fill(out, part.opaque) if shape and part.opaque else out

    def _cache(self, mark: CacheMark, out: JsonObject | None, path: str) -> None:
        """Only what came as a breakpoint goes as one: servers refuse keys that they do not know."""
        key = CACHE.note(mark.opaque, "key")
        if out is None or key is None:
            self.lose(path, "dropped", "Chat servers cache prefixes by themselves")
            return
        said = {} if mark.ttl is None else {"ttl": mark.ttl}
        out[key] = _MARKS[key].fill(said, mark.opaque)

    def _media_part(self, part: MediaPart, path: str) -> JsonObject:
        if self._media is not None and part.type not in self._media:
            return self._placeholder(part, path, f"the model takes no {part.type}")
        match part:
            case ImagePart() if part.file_id is None:
                return self._image(part)
            case AudioPart() if part.data is not None:
                return self._audio(part, path)
            case VideoPart() if part.file_id is None and self._takes_video(part):
                return _render_video(part)
            case DocumentPart() | BinaryPart() if part.url is None:
                return self._file(part, path)
            case _:
                return self._placeholder(part, path, f"Chat cannot say this {part.type}")

    def _audio(self, part: AudioPart, path: str) -> JsonObject:
        if part.transcript is not None:
            self.lose(f"{path}.transcript", "dropped", "Chat takes the sound alone")
        inner: JsonObject = {"data": part.data}
        said = INPUT_AUDIO.note(part.opaque, "format")
        if said and media.audio_media_type(said) == part.media_type:
            inner["format"] = said
        elif said != "" or part.media_type is not None:
            inner["format"] = media.audio_format(part.media_type)
        return {"type": "input_audio", "input_audio": INPUT_AUDIO.fill(inner, part.opaque)}

    def _takes_video(self, part: VideoPart) -> bool:
        return self._media is not None or VIDEO.note(part.opaque, "said") is True

    def _placeholder(self, part: MediaPart, path: str, reason: str) -> JsonObject:
        """Say in words that something stood here, so that the model can say what it misses."""
        self.lose(path, "substituted", f"{reason}; a note in words stands in its place")
        where = part.url or part.file_id or part.media_type or "no further description"
        return {"type": "text", "text": f"[{part.type} left out: {where}]"}

    def _image(self, part: ImagePart) -> JsonObject:
        url = _uri(part, IMAGE.note(part.opaque, "head"))
        if IMAGE.note(part.opaque, "image_url") == "string" and part.detail is None:
            return {"type": "image_url", "image_url": url}
        inner: JsonObject = {"url": url}
        if part.detail is not None:
            inner["detail"] = part.detail
        return {"type": "image_url", "image_url": IMAGE_URL.fill(inner, part.opaque)}

    def _file(self, part: DocumentPart | BinaryPart, path: str) -> JsonObject:
        if isinstance(part, DocumentPart) and part.context is not None:
            self.lose(f"{path}.context", "dropped", "Chat files have no context")
        said = FILE_FILE.note(part.opaque, "said") is True
        if not said and part.data is not None and (part.media_type or "").startswith("text/"):
            return self._text_file(part, path)
        inner: JsonObject = {}
        if part.file_id is not None:
            inner["file_id"] = part.file_id
        else:
            inner["file_data"] = _uri(part, FILE_FILE.note(part.opaque, "head"))
        if part.name is not None:
            inner["filename"] = part.name
        elif part.data is not None and not said:
            inner["filename"] = media.file_name(part.media_type)
            self.lose(f"{path}.name", "defaulted", "Chat wants a file name with file data")
        return {"type": "file", "file": FILE_FILE.fill(inner, part.opaque)}

    def _text_file(self, part: DocumentPart | BinaryPart, path: str) -> JsonObject:
        """OpenAI takes PDF as files; a text goes as text, under its name."""
        try:
            text = b64decode(part.data or "", validate=True).decode()
        except ValueError:
            return self._placeholder(part, path, "the document's data is not base64 of UTF-8")
        self.lose(path, "substituted", "Chat takes text documents as text")
        return {"type": "text", "text": f"{part.name}:\n{text}" if part.name else text}


def _render_video(part: VideoPart) -> JsonObject:
    inner = {"url": _uri(part, VIDEO.note(part.opaque, "head"))}
    return {"type": "video_url", "video_url": VIDEO_URL.fill(inner, part.opaque)}


def _uri(part: MediaPart, head: Json) -> str:
    """Return the URL, or the data as a data URI; ``head`` is its first part as it came."""
    if part.data is None:
        return part.url or ""
    if head == "" or (head and _media_type_of(head) == part.media_type):
        return f"{head}{part.data}"
    return media.format_data_uri(part.media_type, part.data)


def _media_type_of(head: str) -> str | None:
    inline = media.parse_data_uri(head)
    return inline and inline.media_type


_SHAPES = {
    "text": TEXT,
    "refusal": REFUSAL,
    "image_url": IMAGE,
    "video_url": VIDEO,
    "input_audio": AUDIO,
    "file": FILE,
}
