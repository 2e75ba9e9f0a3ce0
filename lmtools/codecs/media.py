"""Media on the wire: data URIs, and the words for formats.

Dialects that name a media file by a format word (``mp3``) and those that name it by a media type
(``audio/mpeg``) meet here. Payloads are base64 text throughout and are never decoded, except for
the first bytes when no one says what they are.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from typing import NamedTuple

_AUDIO_TYPES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "pcm16": "audio/pcm",
    "ogg": "audio/ogg",
    "m4a": "audio/mp4",
    "webm": "audio/webm",
}
_AUDIO_FORMATS = {media_type: word for word, media_type in _AUDIO_TYPES.items()} | {
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mp3": "mp3",
    "audio/x-flac": "flac",
    "audio/x-m4a": "m4a",
    "audio/l16": "pcm16",
}
_EXTENSIONS = {
    "application/pdf": "pdf",
    "text/plain": "txt",
    "text/html": "html",
    "text/csv": "csv",
    "text/markdown": "md",
    "application/json": "json",
}
#: (offset, bytes there, media type): enough for what models take.
_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (0, b"%PDF-", "application/pdf"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftyp", "video/mp4"),
)


class DataURI(NamedTuple):
    """``head`` is everything up to and including the comma, as it was written."""

    media_type: str | None
    data: str
    head: str


def parse_data_uri(uri: str) -> DataURI | None:
    """Return the parts of a base64 data URI (RFC 2397); None for any other URI."""
    if uri[:5].lower() != "data:":
        return None
    comma = uri.find(",", 0, 300)
    if comma < 0 or not uri[:comma].lower().endswith(";base64"):
        return None
    media_type = uri[5:comma].split(";", 1)[0]
    return DataURI(media_type or None, uri[comma + 1 :], uri[: comma + 1])


def data_uri_head(media_type: str | None) -> str:
    return f"data:{media_type or ''};base64,"


def format_data_uri(media_type: str | None, data: str) -> str:
    """Return a base64 data URI; an unknown media type is looked for in the data itself."""
    return data_uri_head(media_type or sniff(data)) + data


def sniff(data: str) -> str | None:
    """Return the media type that the first bytes of base64 ``data`` show, or None."""
    try:
        first = b64decode(data[:32], validate=True)
    except (Base64Error, ValueError):
        return None
    for offset, mark, media_type in _SIGNATURES:
        if first.startswith(mark, offset):
            return media_type
    return None


def audio_media_type(format: str) -> str:
    """Return the media type of an audio format word; an unknown word becomes ``audio/<word>``."""
    return _AUDIO_TYPES.get(format, f"audio/{format}")


def audio_format(media_type: str | None) -> str:
    """Return the format word of an audio media type; wav when nobody said."""
    if not media_type:
        return "wav"
    plain = media_type.partition(";")[0].strip().lower()
    return _AUDIO_FORMATS.get(plain) or plain.rpartition("/")[2]


def file_name(media_type: str | None, stem: str = "document") -> str:
    """Return a file name for bytes that came without one."""
    plain = (media_type or "").partition(";")[0].strip().lower()
    return f"{stem}.{_EXTENSIONS.get(plain) or plain.rpartition('/')[2] or 'bin'}"
