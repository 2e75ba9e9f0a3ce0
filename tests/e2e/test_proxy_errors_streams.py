"""Streams that fail: before any content a true status, after it the dialect's own terminal error, and
never a normal end.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.error_cells import (
    MODELS,
    WIRES,
    Bench,
    Cell,
    assert_failed_stream,
    assert_nothing_leaks,
    assert_refused,
    benches,
    each_cell,
    frames_of,
    said_by,
    words_of,
)
from tests.fakes.exact import END, LAST_CHUNK, RESET, Answer, Mark, chunk, head
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import UPSTREAM_KEY
from tests.fakes.scenario import Call, Scenario


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, Bench]]:
    with benches() as found:
        yield found


SAID = Scenario(
    text=("some ", "words"), calls=(Call("get_weather", ('{"location"', ': "Oslo"}'), "one"),)
)
#: What the last frame before each place holds.
PLACES: dict[str, dict[str, bytes | None]] = {
    "nothing": {"anthropic": None, "openai_chat": None},
    "start": {"anthropic": b"content_block_start", "openai_chat": b'"role"'},
    "content": {"anthropic": b"some ", "openai_chat": b"some "},
    "call": {"anthropic": b'"tool_use"', "openai_chat": b'"get_weather"'},
    "arguments": {"anthropic": b"{\\\"location", "openai_chat": b"{\\\"location"},
    "finish": {"anthropic": b"stop_reason\":\"tool_use", "openai_chat": b"finish_reason\":\"tool_calls"},
}  # fmt: skip
#: At these places nothing has been shown to the client yet.
EARLY = ("nothing", "start")


def frames(wire: str) -> list[bytes]:
    fake = FakeAnthropic() if wire == "anthropic" else FakeOpenAI()
    return fake.frames(SAID, {"model": MODELS[wire], "stream": True}, 1)


def up_to(wire: str, place: str) -> list[bytes]:
    """Return the frames of a good stream up to a place."""
    mark = PLACES[place][wire]
    if mark is None:
        return []
    found = frames(wire)
    last = next(at for at, frame in enumerate(found) if mark in frame)
    return found[: last + 1]


_LINES = ("Content-Type: text/event-stream", "request-id: up-1", "Retry-After: 7")
CHUNKED = head(200, *_LINES, "Transfer-Encoding: chunked")


def chunked(pieces: list[bytes], *ends: bytes | Mark) -> Answer:
    return [CHUNKED, *map(chunk, pieces), *ends]


def halved(pieces: list[bytes], wire: str) -> list[bytes]:
    """Return the frames, and half of the next one."""
    following = frames(wire)[len(pieces)]
    return [*pieces, following[: len(following) // 2]]


def breaks(wire: str, place: str) -> dict[str, Answer]:
    pieces = up_to(wire, place)
    body = b"".join(pieces)
    half = halved(pieces, wire)
    return {
        "closed": chunked(pieces, END),
        "reset": chunked(pieces, RESET),
        "ended": chunked(pieces, LAST_CHUNK),
        "closed-in-a-frame": chunked(half, END),
        "ended-in-a-frame": chunked(half, LAST_CHUNK),
        "until-the-end": [head(200, *_LINES) + body, END],
        "too-long": [head(200, *_LINES, "Content-Length: 99999") + body, END],
        "too-short": [head(200, *_LINES, f"Content-Length: {len(body)}") + b"".join(half)],
        "broken-chunk": [CHUNKED, *map(chunk, pieces), b"what\r\n", END],
        "gzip-cut": [head(200, *_LINES, "Content-Encoding: gzip", "Transfer-Encoding: chunked"), chunk(gzip.compress(body or b"x")[:-6]), LAST_CHUNK],
        "junk-frame": chunked([*pieces, b"data: {not json\n\n", b"data: neither\n\n"], LAST_CHUNK),
    }  # fmt: skip


#: After the finish reason a Chat answer is whole: several servers never send ``[DONE]``.
COMPLETE = ("ended", "closed-in-a-frame", "ended-in-a-frame", "until-the-end", "too-short", "junk-frame")  # fmt: skip


@pytest.mark.parametrize("mode", breaks("anthropic", "nothing"))
@pytest.mark.parametrize("place", PLACES)
@each_cell
def test_a_stream_that_breaks_never_looks_like_an_answer(
    bench: dict[str, Bench], cell: Cell, place: str, mode: str
) -> None:
    answered = bench[cell.wire].ask(cell, True, breaks(cell.wire, place)[mode])

    assert bench[cell.wire].attempts == 1
    if place == "finish" and cell.wire == "openai_chat" and b'"error"' not in answered.raw:
        assert mode in COMPLETE
        assert frames_of(answered.raw)
        assert_nothing_leaks(answered)
        return
    if mode == "junk-frame" and cell.way == "raw":
        # What nobody here can read is between the client and its provider.
        # That no end came can still be told.
        assert b"{not json" in answered.raw
        assert b'"error"' in answered.raw.rpartition(b"data: ")[2]
        assert_nothing_leaks(answered)
        return
    if mode == "broken-chunk" and answered.status != 200:
        # What came in one piece with the breach is not looked at: all of it may be wrong.
        assert_refused(cell, answered, 502)
        return
    if place in EARLY and mode != "junk-frame":
        error = assert_refused(cell, answered, 502)
        assert answered.headers["x-upstream-request-id"] == "up-1"
        assert words_of(cell, error) in (said_by(cell, "truncated"), said_by(cell, "protocol"))
        return
    if answered.status != 200:
        assert place in EARLY
        assert_refused(cell, answered, 502)
        return
    assert_failed_stream(cell, answered)
    assert answered.headers["x-upstream-request-id"] == "up-1"
    if place != "start":
        assert b"some " in answered.raw


# Errors that the provider sends as an event

_TOLD = f"told to fail, with {UPSTREAM_KEY}"
_CHAT = {"message": _TOLD, "type": "server_error", "param": None, "code": None}
#: frame -> (kind, status) where nothing had been said. The word decides; without one it is a 502.
EVENTS: dict[str, tuple[bytes, str, int]] = {
    "overloaded": (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"%s"}}\n\n', "overloaded", 529),
    "rate-limited": (b'event: error\ndata: {"type":"error","error":{"type":"rate_limit_error","message":"%s"},"request_id":"req_9"}\n\n', "rate", 429),
    "anthropic-without-name": (b'data: {"type":"error","error":{"type":"overloaded_error","message":"%s"}}\n\n', "overloaded", 529),
    "chat": (b'data: {"error":{"message":"%s","type":"server_error","param":null,"code":"overloaded"}}\n\n', "", 529),
    "chat-named": (b'event: error\ndata: {"error":{"message":"%s","type":"rate_limit_error","param":null,"code":429}}\n\n', "", 429),
    "chat-text": (b'data: {"error":"%s"}\n\n', "provider", 502),
    "named-message": (b'event: error\ndata: {"message":"%s"}\n\n', "provider", 502),
    "echo-beside": (b'data: {"error":{"message":"%s","type":"server_error","metadata":{"raw":"%s"},"param":null,"code":null}}\n\n', "", 500),
    "and-the-end-behind": (b'data: {"error":{"message":"%s","type":"server_error","param":null,"code":null}}\n\ndata: [DONE]\n\n', "", 500),
}  # fmt: skip


def event(name: str) -> bytes:
    return EVENTS[name][0].replace(b"%s", _TOLD.encode())


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("place", PLACES)
@each_cell
def test_an_error_event_is_a_status_before_content_and_an_event_after_it(
    bench: dict[str, Bench], cell: Cell, place: str, name: str
) -> None:
    answer = chunked([*up_to(cell.wire, place), event(name)], LAST_CHUNK)

    answered = bench[cell.wire].ask(cell, True, answer)

    assert bench[cell.wire].attempts == 1
    _, kind, status = EVENTS[name]
    if place in EARLY:
        assert 400 <= answered.status < 600
        error = assert_refused(cell, answered, answered.status)
        assert answered.headers["x-upstream-request-id"] == "up-1"
        if kind and (name.startswith("chat") or cell.wire == "anthropic"):
            assert answered.status == status
        if kind and cell.is_translated and cell.wire == "anthropic":
            assert words_of(cell, error) == said_by(cell, kind)
    else:
        error = assert_failed_stream(cell, answered)
        assert b"some " in answered.raw
    assert "told to fail" in error["message"]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", EVENTS)
def test_an_error_that_came_with_content_in_one_piece_is_an_event(
    bench: dict[str, Bench], wire: str, name: str
) -> None:
    """One read may hold the first words, the error, and what the server says behind it."""
    cell = Cell(wire, wire, "raw")
    pieces = b"".join([*up_to(wire, "arguments"), event(name)])

    answered = bench[wire].ask(cell, True, [CHUNKED + chunk(pieces), LAST_CHUNK])

    assert "told to fail" in assert_failed_stream(cell, answered)["message"]
    assert json.dumps("some ")[1:-1].encode() in answered.raw


def test_the_events_of_the_table_are_what_they_should_be() -> None:
    """A place that no frame marks would leave its rows without a test."""
    for wire in WIRES:
        sizes = [len(up_to(wire, place)) for place in PLACES]
        assert sizes == sorted(set(sizes)), wire
        assert sizes[-1] < len(frames(wire))
    decoded: list[Any] = [frames_of(event(name)) for name in EVENTS]
    assert all(decoded)
