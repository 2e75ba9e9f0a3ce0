"""Compressed answers: what is taken off, and within which bounds."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from lmtools.errors import ProtocolError, TruncatedError
from lmtools.transport import HttpRequest, MockResponse, MockTransport
from lmtools.transport import inflate as inflate_module

TEXT = b"".join(b'{"delta": "%d"}\n' % number for number in range(2000))


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODED = [
    ("gzip", gzip.compress(TEXT)),
    ("GZIP", gzip.compress(TEXT)),
    ("x-gzip", gzip.compress(TEXT)),
    ("deflate", zlib.compress(TEXT)),
    ("deflate", bare_deflate(TEXT)),
    ("gzip", gzip.compress(TEXT[:999]) + gzip.compress(TEXT[999:])),
    ("identity", TEXT),
    ("", TEXT),
    ("gzip, identity", gzip.compress(TEXT)),
]


def send(coding: str, *pieces: bytes, max_body: int = 1 << 28):
    transport = MockTransport(
        lambda request: MockResponse(200, pieces, {"Content-Encoding": coding})
    )
    return transport.send(HttpRequest("GET", "http://x/", max_body=max_body))


@pytest.mark.parametrize(("coding", "wire"), ENCODED)
def test_a_compressed_answer_reads_like_any_other(coding, wire):
    assert send(coding, wire).read() == TEXT
    assert send(coding, *(wire[i : i + 1] for i in range(len(wire)))).read() == TEXT


@pytest.mark.parametrize(("coding", "wire"), ENCODED[:6])
def test_a_compressed_answer_cut_anywhere_is_truncated(coding, wire):
    rng = random.Random(10)
    for cut in {1, 2, 9, len(wire) - 1, *rng.sample(range(1, len(wire)), 40)}:
        if wire[:cut].endswith(gzip.compress(TEXT[:999])):
            continue  # the end of the first of two members is an end
        with pytest.raises(TruncatedError, match="compressed answer was cut"):
            send(coding, wire[:cut]).read()


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_empty_body_has_nothing_to_inflate(coding):
    assert send(coding).read() == b""


def test_a_flushed_stream_comes_piece_by_piece():
    packer = zlib.compressobj(wbits=31)
    pieces = [
        packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)
        for event in (b"data: 1\n\n", b"data: 2\n\n")
    ]
    response = send("gzip", *pieces, packer.flush())
    assert response.read_some() == b"data: 1\n\n"
    assert response.read_some() == b"data: 2\n\n"
    assert response.read_some() == b""


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("wire", [b"\x1f\x8b\x09\x00garbage", b"\xff\xff\xff\xff", b"plain text"])
def test_what_cannot_be_inflated_is_refused(coding, wire):
    with pytest.raises(ProtocolError, match="cannot be inflated"):
        send(coding, wire).read()


def test_bytes_after_a_gzip_member_that_are_none_are_refused():
    with pytest.raises(ProtocolError, match="cannot be inflated"):
        send("gzip", gzip.compress(b"x") + b"trailing").read()


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip"])
def test_other_codings_are_refused_by_name(coding):
    with pytest.raises(ProtocolError, match=coding):
        send(coding, b"x")


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress, bare_deflate])
def test_a_bomb_is_met_long_before_it_has_grown(pack):
    coding = "gzip" if pack is gzip.compress else "deflate"
    response = send(coding, pack(bytes(200_000_000)))
    size = 0
    with pytest.raises(ProtocolError, match="200 times"):
        while part := response.read_some():
            assert len(part) <= 256 * 1024
            size += len(part)
    assert size <= 17 * 1024 * 1024


def test_the_bound_is_on_the_inflated_bytes():
    assert send("gzip", gzip.compress(TEXT), max_body=len(TEXT)).read() == TEXT
    with pytest.raises(ProtocolError, match=f"more than {len(TEXT) - 1} bytes"):
        send("gzip", gzip.compress(TEXT), max_body=len(TEXT) - 1).read()


def test_a_long_answer_that_compresses_well_is_no_bomb(monkeypatch):
    monkeypatch.setattr(inflate_module, "_FREE_OUTPUT", 1000)
    text = TEXT * 20
    assert len(text) > 7 * len(gzip.compress(text))
    assert send("gzip", gzip.compress(text)).read() == text


def test_what_is_left_of_a_piece_is_buffered():
    response = send("gzip", gzip.compress(bytes(600_000)))
    assert not response.buffered
    assert len(response.read_some()) == 256 * 1024
    assert response.buffered
    assert len(response.read()) == 600_000 - 256 * 1024


def test_closing_reaches_the_connection(serve, transport):
    wire = gzip.compress(TEXT)

    def script(peer):
        peer.request()
        peer.answer(wire, "Content-Encoding: gzip")
        while peer.read_request():
            peer.answer(wire[:-1], "Content-Encoding: gzip")

    server = serve(script)
    assert transport.send(HttpRequest("GET", server.url)).read() == TEXT
    assert transport.idle == 1
    with pytest.raises(TruncatedError):
        transport.send(HttpRequest("GET", server.url)).read()
    with transport.send(HttpRequest("GET", server.url)):
        pass
    assert transport.active == 0
