"""Whole events' bytes, the model's name in them, and which of them are plain."""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import DIALECTS, passage
from lmtools.codecs.passage import EventBytes, Renamer, around, passage_named, rename_answer
from lmtools.errors import ConfigError, ProtocolError

START = b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"up","content":[]}}\n\n'
DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"message_stop \\"model\\":\\"up\\""}}\n\n'
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{"content":"data: {\\"id\\":\\"c\\"} \\"model\\":\\"up\\""},"finish_reason":null}]}\n\n'
LAST = CHUNK.replace(b'"finish_reason":null', b'"finish_reason":"stop"')
USAGE = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"up","choices":[],"usage":{"prompt_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"
MESSAGES = START + b"event: ping\ndata: {}\n\n" + DELTA + STOP
CALL = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"up","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]},"finish_reason":null}]}\n\n'
CHUNKS = CHUNK + CHUNK + LAST + USAGE + DONE


def test_every_dialect_has_a_passage_and_nothing_else() -> None:
    assert all(passage_named(name).model[-1] == "model" for name in DIALECTS)
    with pytest.raises(ConfigError, match="no dialect 'morse'"):
        passage_named("morse")


# Whole events


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 64, 10_000])
def test_events_come_whole_however_the_bytes_do(line_end: bytes, size: int) -> None:
    stream = (b": hi\n\n" + MESSAGES).replace(b"\n", line_end)
    reader = EventBytes()

    blocks = [reader.feed(stream[at : at + size]) for at in range(0, len(stream), size)]

    assert b"".join(blocks) == stream
    assert reader.close() == b""
    blank = line_end * 2
    assert all(block.endswith(blank) for block in blocks if block)


def test_mixed_line_ends_end_events_too() -> None:
    reader = EventBytes()

    assert reader.feed(b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\nda") == (
        b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n"
    )


@pytest.mark.parametrize(
    ("rest", "given"),
    [
        (b"data: [DONE]", b"data: [DONE]\n\n"),
        (b"data: [DONE]\n", b"data: [DONE]\n\n\n"),
        (b'event: x\ndata: {"a":1}', b'event: x\ndata: {"a":1}\n\n'),
        (b'data: {"a":\ndata: 1}', b'data: {"a":\ndata: 1}\n\n'),
        (b'data: {"a":', b""),
        (b"data: [DON", b""),
        (b"data: \xff", b""),
        (b"event: message_stop\n", b""),
        (b"", b""),
    ],
)
def test_a_last_event_without_its_blank_line_is_given_only_when_it_is_whole(
    rest: bytes, given: bytes
) -> None:
    reader = EventBytes()
    reader.feed(DELTA + rest)

    assert reader.close() == given


def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passage, "_MAX_EVENT", 1000)
    reader = EventBytes()
    assert reader.feed(b"x" * 999 + b"\n\n" + b"y" * 999)

    with pytest.raises(ProtocolError, match="more than 1000 bytes"):
        reader.feed(b"yy")


# Names


@pytest.mark.parametrize(
    ("dialect", "stream"), [("anthropic", MESSAGES), ("openai_chat", CHUNKS)], ids=str
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [1, 60, 10_000])
def test_only_the_models_value_changes(
    dialect: str, stream: bytes, line_end: bytes, size: int
) -> None:
    """What looks like the name inside of a text is text."""
    stream = stream.replace(b"\n", line_end)
    reader, renamer = EventBytes(), Renamer(passage_named(dialect), 'my "model"')

    out = b"".join(
        renamer.rename(reader.feed(stream[at : at + size])) for at in range(0, len(stream), size)
    )

    assert out == stream.replace(b'"model":"up"', b'"model":"my \\"model\\""')


def test_another_name_and_another_place_are_found_after_many_alike() -> None:
    renamer = Renamer(passage_named("openai_chat"), "mine")
    odd = [
        b'data: {"id":"c","model":"down","choices":[]}\n\n',
        b'data: {"choices":[{"model":"inner"}],"mod\\u0065l":"up"}\n\n',
        b'data: {"model":"up","model":"up"}\n\n',
        b'data: {"model":null}\n\n',
        b'data: {"error":"no name"}\n\n',
        b'event: x\nid: 7\ndata:{"model":"up"}\nretry: 1\n\n',
        b"data: not JSON\n\n",
        b'data: {"model":"up\xff"}\n\n',
        b": comment\n\n",
        CHUNK.replace(b"{", b"{ ", 1),
        CHUNK,
    ]
    expected = [
        event.replace(b'"down"', b'"mine"').replace(b':"up"', b':"mine"').replace(b'\\":\\"mine', b'\\":\\"up')
        for event in odd
    ]  # fmt: skip
    expected[7] = odd[7]

    assert renamer.rename(CHUNK * 3).count(b'"mine"') == 3
    assert [renamer.rename(event) for event in odd] == expected
    assert Renamer(passage_named("openai_chat"), "mine").rename(b"".join(odd)) == b"".join(expected)


def test_a_key_that_comes_twice_does_not_hide_behind_chunks_that_were_alike() -> None:
    renamer = Renamer(passage_named("openai_chat"), "mine")
    renamer.rename(CHUNK)
    twice = CHUNK.replace(b"}]}\n", b'}],"model":"up"}\n')

    assert renamer.rename(twice).count(b'"model":"mine"') == 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id":"a","model" : "up", "x":{"model":"up"}}', b'{"id":"a","model" : "mine", "x":{"model":"up"}}'),
        (b'{"model":null}', b'{"model":null}'),
        (b'{"model":"up","text":"\t"}', b'{"model":"up","text":"\t"}'),
        (b'{"model":"\xff"}', b'{"model":"\xff"}'),
        (b"{}", b"{}"),
    ],
)  # fmt: skip
def test_a_whole_answer_gets_the_clients_name_at_its_top(body: bytes, expected: bytes) -> None:
    assert rename_answer(body, "mine") == expected


# Plain events


@pytest.mark.parametrize(
    ("dialect", "block", "plain"),
    [
        ("anthropic", DELTA, True),
        ("anthropic", DELTA * 5, True),
        ("anthropic", DELTA + STOP, False),
        ("anthropic", START, False),
        ("anthropic", STOP, False),
        ("anthropic", b'event: error\ndata: {"type":"error"}\n\n', False),
        ("anthropic", STOP.replace(b"\n", b"\r\n"), False),
        ("anthropic", DELTA + STOP.replace(b"\n", b"\r\n"), False),
        ("anthropic", b"", False),
        ("anthropic", b'event: content_block_delta\ndata: {"type":"error","error":{}}\n\n', False),
        ("anthropic", b'event: content_block_delta\ndata: {"type": "error"}\n\n', False),
        ("anthropic", DELTA.replace(b"message_stop", b'\\"type\\":\\"error\\"'), True),
        ("openai_chat", CHUNK, True),
        ("openai_chat", CHUNK.replace(b":null", b": null") * 3, True),
        ("openai_chat", LAST, False),
        ("openai_chat", CHUNK + LAST, False),
        ("openai_chat", CHUNK + LAST.replace(b'":"stop"', b'" : "stop"'), False),
        ("openai_chat", USAGE, False),
        ("openai_chat", DONE, False),
        ("openai_chat", CHUNK + DONE, False),
        ("openai_chat", CHUNK + CALL, False),
        ("openai_chat", CALL.replace(b'"id":"call_1","type":"function",', b"").replace(b'"name":"f",', b""), True),
        ("openai_chat", CHUNK.replace(b'{"index":0', b'{"finish_reason":null},{"index":0') + DONE, False),
        ("openai_chat", CHUNK + b'data: {"error":{"message":"x"}}\n\n', False),
        ("openai_chat", CHUNK.replace(b"}]}", b'}],"usage": {"prompt_tokens":1}}'), False),
        ("openai_chat", CHUNK.replace(b"\n", b"\r\n"), False),
        ("openai_chat", CHUNK.replace(b'"index":0', b'"index":0,"finish_reason":null') + USAGE, False),
        ("openai_chat", b"", False),
    ],
)  # fmt: skip
def test_an_event_is_plain_only_when_nothing_but_content_can_be_in_it(
    dialect: str, block: bytes, plain: bool
) -> None:
    assert passage_named(dialect).is_plain(block) is plain


@pytest.mark.parametrize("count", [0, 1, 6, 12, 13, 14, 50])
def test_the_middle_of_many_events_is_told_from_their_ends(count: int) -> None:
    found = [b"data: %d\n\n" % number for number in range(count)]

    parts = around(b"".join(found))

    if count > 12:
        assert parts == tuple(map(b"".join, (found[:6], found[6:-6], found[-6:])))
    else:
        assert parts == (b"".join(found), b"", b"")


def test_the_streams_here_are_streams() -> None:
    """A typing slip in the samples would make the tests above agree with anything."""
    for stream in (MESSAGES, CHUNKS):
        for event in stream.split(b"\n\n")[:-1]:
            data = event.partition(b"data: ")[2]
            assert data == b"[DONE]" or isinstance(json.loads(data), dict)
