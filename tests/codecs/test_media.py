"""Data URIs and the words for formats."""

from __future__ import annotations

from base64 import b64encode

import pytest

from lmtools.codecs import media

URIS = [
    ("data:image/png;base64,AAAA", ("image/png", "AAAA", "data:image/png;base64,")),
    ("data:;base64,AAAA", (None, "AAAA", "data:;base64,")),
    (
        "data:text/plain;charset=utf-8;base64,AAAA",
        ("text/plain", "AAAA", "data:text/plain;charset=utf-8;base64,"),
    ),
    ("DATA:image/PNG;BASE64,AA==", ("image/PNG", "AA==", "DATA:image/PNG;BASE64,")),
    ("https://example.com/a.png", None),
    ("data:text/plain,hello", None),
    ("data:image/png;base64", None),
    ("data:" + "x" * 400 + ";base64,AAAA", None),
    ("", None),
]


@pytest.mark.parametrize(("uri", "parts"), URIS)
def test_a_base64_data_uri_comes_apart_and_nothing_else_does(uri, parts):
    found = media.parse_data_uri(uri)
    assert found == parts
    if found is not None:
        assert found.head + found.data == uri


def test_format_and_parse_are_inverse():
    uri = media.format_data_uri("image/webp", "AAAA")
    assert uri == "data:image/webp;base64,AAAA"
    assert media.parse_data_uri(uri)[:2] == ("image/webp", "AAAA")


SIGNATURES = [
    (b"\x89PNG\r\n\x1a\n" + bytes(8), "image/png"),
    (b"\xff\xd8\xff\xe0" + bytes(8), "image/jpeg"),
    (b"GIF89a" + bytes(8), "image/gif"),
    (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
    (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/wav"),
    (b"%PDF-1.7\n", "application/pdf"),
    (b"ID3\x04" + bytes(8), "audio/mpeg"),
    (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
    (b"plain words", None),
    (b"", None),
]


@pytest.mark.parametrize(("first", "media_type"), SIGNATURES)
def test_the_first_bytes_tell_the_media_type(first, media_type):
    data = b64encode(first).decode()
    assert media.sniff(data) == media_type
    assert media.format_data_uri(None, data) == f"data:{media_type or ''};base64,{data}"


def test_what_is_not_base64_has_no_known_type():
    assert media.sniff("***") is None
    assert media.sniff("é") is None


AUDIO = [
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("flac", "audio/flac"),
    ("opus", "audio/opus"),
    ("pcm16", "audio/pcm"),
    ("weird", "audio/weird"),
]


@pytest.mark.parametrize(("word", "media_type"), AUDIO)
def test_audio_words_and_media_types_are_the_same_thing(word, media_type):
    assert media.audio_media_type(word) == media_type
    assert media.audio_format(media_type) == word


@pytest.mark.parametrize(
    ("media_type", "word"),
    [
        ("audio/x-wav", "wav"),
        ("Audio/MP3", "mp3"),
        ("audio/L16; rate=24000", "pcm16"),
        (None, "wav"),
        ("", "wav"),
    ],
)
def test_other_spellings_of_audio_types_are_known(media_type, word):
    assert media.audio_format(media_type) == word


@pytest.mark.parametrize(
    ("media_type", "name"),
    [
        ("application/pdf", "document.pdf"),
        ("text/plain; charset=utf-8", "document.txt"),
        ("application/x-thing", "document.x-thing"),
        (None, "document.bin"),
    ],
)
def test_a_file_without_a_name_gets_one(media_type, name):
    assert media.file_name(media_type) == name
