"""The event stream decoder and encoder: the WHATWG rules and the habits of real servers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lmtools.errors import ProtocolError
from lmtools.sse import SSEDecoder, SSEEvent, encode_comment, encode_event

SHARED = Path(__file__).resolve().parents[2] / "shared"
STREAMS = sorted(SHARED.glob("captures/**/*.stream.txt"))


def decode(*chunks: bytes) -> list[SSEEvent]:
    decoder = SSEDecoder()
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.close()


def pairs(*chunks: bytes) -> list[tuple[str | None, str]]:
    return [(event.event, event.data) for event in decode(*chunks)]


# name, bytes, (event, data) of each event. Where a case is one of the web platform tests
# (eventsource/format-*), its name is theirs.
CASES: list[tuple[str, bytes, list[tuple[str | None, str]]]] = [
    ("empty stream", b"", []),
    ("one event", b"data: a\n\n", [(None, "a")]),
    ("no space after the colon", b"data:[DONE]\n\n", [(None, "[DONE]")]),
    ("only one space is removed", b"data:  a \n\n", [(None, " a ")]),
    ("a tab is not a space", b"data:\ta\n\n", [(None, "\ta")]),
    ("typed", b"event: ping\ndata: {}\n\n", [("ping", "{}")]),
    ("typed without spaces", b"event:ping\ndata:{}\n\n", [("ping", "{}")]),
    ("type after data", b"data: {}\nevent: ping\n\n", [("ping", "{}")]),
    ("last type wins", b"event: a\nevent: b\ndata: 1\n\n", [("b", "1")]),
    ("empty type is none", b"event: \ndata: 1\n\nevent\ndata: 2\n\n", [(None, "1"), (None, "2")]),
    ("type does not carry over", b"event: a\ndata: 1\n\ndata: 2\n\n", [("a", "1"), (None, "2")]),
    ("type without data is nothing", b"event: a\n\ndata: 2\n\n", [(None, "2")]),
    ("lines are joined", b"data: a\ndata: b\ndata\n\n", [(None, "a\nb\n")]),
    ("typed lines are joined", b"event: x\ndata: a\ndata:b\n\n", [("x", "a\nb")]),
    ("format-field-data", b"data:\n\ndata\ndata\n\ndata:test\n\n",
     [(None, ""), (None, "\n"), (None, "test")]),
    ("format-field-parsing", (b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\r"
     b"data_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n"), [(None, "\0\n 2\n1\n3\n\n4")]),
    ("format-comments", b"data:1\r:\0\n:\r\ndata:2\n:" + b"x" * 2000 + b"\rdata:3\n:data:fail\r:x\n"
     b"data:4\n\n", [(None, "1\n2\n3\n4")]),
    ("format-newlines", b"data:test\r\ndata\ndata:test\r\n\r\n", [(None, "test\n\ntest")]),
    ("format-leading-space", b"data:\ttest\rdata: \ndata:test\n\n", [(None, "\ttest\n\ntest")]),
    ("format-null-character", b"data:\0\n\n\n\n", [(None, "\0")]),
    ("format-utf-8", b"data:ok\xe2\x80\xa6\n\n", [(None, "ok\u2026")]),
    ("format-bom", b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n",
     [(None, "1"), (None, "3")]),
    ("format-bom-2", b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n", [(None, "2")]),
    ("format-field-unknown", (b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacomm"
     b"entyay\ndata:test\n\n"), [(None, "test\n\ntest")]),
    ("carriage returns alone", b"event: a\rdata: 1\r\rdata: 2\r\r", [("a", "1"), (None, "2")]),
    ("CRLF framing", b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", [("a", "1"), (None, "2")]),
    ("mixed line ends", b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\ndata: 4\n\r",
     [(None, "1"), (None, "2"), (None, "3"), (None, "4")]),
    ("extra blank lines", b"\n\n\ndata: 1\n\n\n\n\ndata: 2\n\n\n", [(None, "1"), (None, "2")]),
    ("heartbeat comments", b": ping\n\n:\n\ndata: 1\n\n: keep-alive\r\n\r\n", [(None, "1")]),
    ("comment inside an event", b"event: a\n: x\ndata: 1\n\n", [("a", "1")]),
    ("U+2028, U+2029, U+0085, VT, FF are data", "data: a\u2028b\u2029c\x85d\x0be\x0cf\n\n".encode(),
     [(None, "a\u2028b\u2029c\x85d\x0be\x0cf")]),
    ("the same in two lines", "data: a\u2028b\ndata: c\x85d\x1c\n\n".encode(),
     [(None, "a\u2028b\nc\x85d\x1c")]),
    ("last blank line missing", b"data: 1\n\ndata: 2\n", [(None, "1"), (None, "2")]),
    ("last line end missing", b"data: 1\n\ndata: [DONE]", [(None, "1"), (None, "[DONE]")]),
    ("a comment is no last event", b"data: 1\n\n: bye", [(None, "1")]),
    ("a type is no last event", b"data: 1\n\nevent: x\n", [(None, "1")]),
    ("invalid UTF-8", b"data: a\xffb\xe2\x82c\n\n", [(None, "a\ufffdb\ufffdc")]),
    ("truncated character at a line end", b"data: \xf0\x9f\n\ndata: \x99\x82\n\n",
     [(None, "\ufffd"), (None, "\ufffd\ufffd")]),
    ("encoded surrogate", b"data: \xed\xa0\x80\n\n", [(None, "\ufffd\ufffd\ufffd")]),
    ("colons in data", b'data: {"a": "b:c"}\n\n', [(None, '{"a": "b:c"}')]),
    ("a type that contradicts the data is passed on", b'event: a\ndata: {"type":"b"}\n\n',
     [("a", '{"type":"b"}')]),
    ("data is not JSON", b"data: hello\ndata: world\n\n", [(None, "hello\nworld")]),
]  # fmt: skip
IDS = [case[0] for case in CASES]


@pytest.mark.parametrize(("_name", "stream", "events"), CASES, ids=IDS)
def test_a_stream_is_these_events(_name, stream, events):
    assert pairs(stream) == events


@pytest.mark.parametrize(("_name", "stream", "_events"), CASES, ids=IDS)
def test_every_split_of_a_stream_gives_the_same_events(_name, stream, _events):
    whole = decode(stream)
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == whole
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], stream[cut:]) == whole
        assert decode(stream[:cut], b"", stream[cut : cut + 1], stream[cut + 1 :]) == whole


def split_points(stream: bytes) -> list[int]:
    """Every point of a short stream; of a long one those within two bytes of a line end."""
    if len(stream) <= 2000:
        return list(range(len(stream)))
    ends = [i for i in range(len(stream)) if stream[i] == 10]
    return sorted({i + d for i in ends[:150] + ends[-150:] for d in (-1, 0, 1, 2)})


@pytest.mark.skipif(not STREAMS, reason="no captured streams beside the checkout")
@pytest.mark.parametrize("path", STREAMS, ids=lambda p: f"{p.parts[-3]}/{p.name.split('.')[0]}")
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_every_split_of_a_captured_stream_gives_the_same_events(path, line_end):
    stream = path.read_bytes()
    whole = decode(stream)
    stream = stream.replace(b"\r\n", b"\n").replace(b"\n", line_end)
    assert decode(stream) == whole
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == whole
    for size in (3, 7, 64, 1448):
        assert decode(*(stream[i : i + size] for i in range(0, len(stream), size))) == whole
    if line_end != b"\r" and len(stream) < 20_000:
        for cut in split_points(stream):
            assert decode(stream[:cut], stream[cut:]) == whole


@pytest.mark.skipif(not STREAMS, reason="no captured streams beside the checkout")
def test_the_captured_streams_hold_events():
    """The split test above would also pass on streams in which nothing is found."""
    counts = [len(decode(path.read_bytes())) for path in STREAMS]
    assert len(counts) > 20
    assert sum(counts) > 1000


def test_random_streams_do_not_depend_on_random_splits():
    rng = random.Random(53)
    alphabet = [b"data:", b"data: ", b"event:", b"id: 1", b"retry:5", b":", b" ", b"\r", b"\n",
                b"\r\n", b"\n\n", b"x", b"\0", b"\xef\xbb\xbf", "é".encode(), b"\xff"]  # fmt: skip
    for _ in range(2000):
        stream = b"".join(rng.choices(alphabet, k=rng.randint(1, 30)))
        cuts = sorted(rng.randint(0, len(stream)) for _ in range(rng.randint(1, 6)))
        parts = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        assert decode(*parts) == decode(stream), (stream, cuts)


def test_ids_and_retry_follow_the_standard():
    """An id with NUL and a retry that is not all ASCII digits are ignored; both last."""
    decoder = SSEDecoder()
    events = decoder.feed(
        b"id: 7\nretry: 1500\ndata: a\n\ndata: b\n\nid: x\0y\nretry: 1s\ndata: c\n\n"
        b"retry: \xd9\xa1\ndata: d\n\nid\ndata: e\n\nretry: -1\ndata: f\n\nretry:\ndata: g\n\n"
        b"retry: " + b"9" * 5000 + b"\ndata: h\n\n"
    )
    assert events[0] == SSEEvent(None, "a", "7", 1500)
    assert events[1] == SSEEvent(None, "b")
    assert [(event.id, event.retry) for event in events[2:]] == [
        (None, None), (None, None), ("", None), (None, None), (None, None), (None, None)
    ]  # fmt: skip
    assert (decoder.last_id, decoder.retry) == ("", 1500)


def test_ids_and_retry_of_events_without_data_are_kept_by_the_decoder():
    decoder = SSEDecoder()
    assert decoder.feed(b"id: 9\nretry: 20\n\n") == []
    assert (decoder.last_id, decoder.retry) == ("9", 20)


def test_events_are_given_as_soon_as_their_blank_line_is_there():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: 1\n") == []
    assert [event.data for event in decoder.feed(b"\ndata: 2\r\n\r")] == ["1", "2"]
    assert decoder.feed(b"\ndata: 3\r") == []
    assert [event.data for event in decoder.feed(b"\n\r")] == ["3"]
    assert decoder.close() == []


def test_close_gives_the_last_event_once():
    decoder = SSEDecoder()
    decoder.feed(b"data: 1")
    assert [event.data for event in decoder.close()] == ["1"]
    assert decoder.close() == []


@pytest.mark.parametrize("size", [1, 16 * 1024])
def test_a_line_of_one_mebibyte_passes_in_small_chunks(size):
    """No line limit: a finished answer or an image is one line of any length."""
    text = "x" * (1 << 20)
    stream = f"event: big\ndata: {text}\n\n".encode()
    assert pairs(*(stream[i : i + size] for i in range(0, len(stream), size))) == [("big", text)]


def test_an_event_of_many_lines_passes_byte_by_byte():
    stream = b"data: x\n" * 50_000 + b"\n"
    (event,) = decode(*(stream[i : i + 1] for i in range(len(stream))))
    assert event.data == "\n".join("x" * 50_000)


def test_the_decoder_searches_each_byte_once():
    """Linear time, shown by counting: the searched ranges add up to about the stream."""

    class Counting(bytearray):
        searched = 0

        def rfind(self, sub, start=0):
            Counting.searched += len(self) - start
            return super().rfind(sub, start)

    decoder = SSEDecoder()
    decoder._buffer = Counting()
    for _ in range(20_000):
        decoder.feed(b"data: x\n")
    assert 160_000 <= Counting.searched + 8 <= 2 * 160_000


def test_a_stream_over_its_budget_is_refused():
    decoder = SSEDecoder(max_bytes=20)
    assert decoder.feed(b"data: 1\n\n")
    with pytest.raises(ProtocolError, match="more than 20 bytes"):
        decoder.feed(b"data: 0123456789")


# data, event, bytes
ENCODED = [
    ("a", None, b"data: a\n\n"),
    ("", None, b"data: \n\n"),
    (" a", "x", b"event: x\ndata:  a\n\n"),
    ("a\nb", None, b"data: a\ndata: b\n\n"),
    ("a\r\nb\rc\n", "x", b"event: x\ndata: a\ndata: b\ndata: c\ndata: \n\n"),
    ("\u2028é", None, "data: \u2028é\n\n".encode()),
]


@pytest.mark.parametrize(("data", "event", "wire"), ENCODED)
def test_an_event_and_its_bytes_are_the_same_thing(data, event, wire):
    assert encode_event(data, event) == wire
    assert pairs(wire) == [(event, data.replace("\r\n", "\n").replace("\r", "\n"))]


def test_half_a_surrogate_pair_is_replaced_and_a_whole_pair_is_its_character():
    assert pairs(encode_event("a\ud83db")) == [(None, "a\ufffdb")]
    assert pairs(encode_event("\ud83d\ude42")) == [(None, "\U0001f642")]


@pytest.mark.parametrize("name", ["a\nb", "a\r", "x\ndata: forged"])
def test_an_event_name_cannot_start_another_line(name):
    with pytest.raises(ValueError, match="line end"):
        encode_event("x", name)


@pytest.mark.parametrize(
    ("text", "wire"), [("", b":\n\n"), ("hi", b": hi\n\n"), ("a\ndata: b", b": a\n: data: b\n\n")]
)
def test_a_comment_is_no_event(text, wire):
    assert encode_comment(text) == wire
    assert decode(wire) == []
