"""Frames that say the same but for one text: read without their JSON, and never otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from random import Random

import pytest

from lmtools.codecs import anthropic, learned, openai_chat
from lmtools.codecs.base import Target
from lmtools.codecs.learned import Repeats, learn
from lmtools.sse import SSEDecoder, SSEEvent
from lmtools.types import Message, Request, TextDelta
from tests.corpus import capture_files, case_id

REQUEST = Request("m", (Message.user("Hi"),), stream=True)
STREAMS = capture_files("*/captures/*.stream.txt")

TEXTS = [
    "plain",
    " with spaces ",
    "Grüße, 世界 👋",
    'a "quoted" word',
    "back\\slash",
    "trailing\\",
    'ends in a quote"',
    "line\nend\ttab",
    '"},"finish_reason":null}]}',
    '"}}',
    '"},"x":"',
    "\ud83d",
    "\x00",
    "",
]


def at(frame):
    return frame["d"]["text"]


def shape_of(value, dump=json.dumps, padding=""):
    return learn(dump(value), "text", at(value), at, padding)


@pytest.mark.parametrize("ascii", [True, False])
@pytest.mark.parametrize("text", TEXTS)
def test_a_learned_frame_gives_the_text_that_parsing_gives(text, ascii):
    shape = shape_of({"n": 1, "d": {"type": "t", "text": "one"}, "z": None})
    data = json.dumps({"n": 1, "d": {"type": "t", "text": text}, "z": None}, ensure_ascii=ascii)
    assert shape.read(data) == (text, "")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("pad", ["", "xY3"])
def test_padding_that_differs_in_each_frame_is_given_too(text, pad):
    shape = shape_of({"d": {"text": "one"}, "pad": "abc", "z": 1}, padding="pad")
    assert shape.read(json.dumps({"d": {"text": text}, "pad": pad, "z": 1})) == (text, pad)


@pytest.mark.parametrize(
    "data",
    [
        '{"d":{"text":"two"},"n":2}',
        '{"d":{"text":"two"},"n":1,"m":1}',
        '{"m":1,"d":{"text":"two"},"n":1}',
        '{"d":{"text":"two","text":"three"},"n":1}',
        '{"d":{"text":"two\\"},"n":1}',
        '{"d":{"text":"two\\x"},"n":1}',
        '{"d":{"text":"two"x"},"n":1}',
        '{"d":{"text":null},"n":1}',
        '{"d":{"text":"',
        '"},"n":1}',
        "",
        "[DONE]",
    ],
)
def test_a_frame_of_any_other_shape_is_not_read(data):
    shape = learn('{"d":{"text":"one"},"n":1}', "text", "one", at)
    assert shape.read('{"d":{"text":"two"},"n":1}') == ("two", "")
    assert shape.read(data) is None


def test_padding_with_a_quote_or_an_escape_is_left_to_the_parser():
    shape = learn('{"d":{"text":"one"},"pad":"a"}', "text", "one", at, "pad")
    assert shape.read('{"d":{"text":"two"},"pad":"b\\n"}') is None
    assert shape.read('{"d":{"text":"two"},"pad":"b","pad":"c"}') is None


def test_spaces_before_the_last_brace_say_nothing():
    shape = learn('{"d":{"text":"one"}      }', "text", "one", at)
    for spaces in (0, 1, 7):
        assert shape.read('{"d":{"text":"two"}' + " " * spaces + "}") == ("two", "")
    assert shape.read('{"d":{"text":"two"}   ') is None
    assert shape.read('{"d":{"text":"two"   }}') is None


@pytest.mark.parametrize(
    "data",
    [
        # The first string of that key is not the one that is meant, or not the one that counts.
        '{"text":"one","d":{"text":"one"}}',
        '{"d":{"text":"one","text":"one"}}',
        '{"d":{"other":"one"}}',
        '{"d":{"text":1}}',
        '{"d":[{"text":"one"}]}',
        '{"d":{"text":"one"}',
        '{"d":{"text":"one',
        "[]",
        '{"d":{"text":"one","more":"' + "x" * learned.MAX_LENGTH + '"}}',
    ],
)
def test_what_cannot_be_told_for_certain_is_not_learned(data):
    assert learn(data, "text", "one", at) is None


def test_a_text_that_is_not_the_frames_is_not_learned():
    assert learn('{"d":{"text":"one"}}', "text", "two", at) is None


def test_padding_that_is_not_at_the_top_is_not_taken_for_it():
    assert learn('{"d":{"text":"one"},"o":{"pad":"a"}}', "text", "one", at, "pad") is None


# Runs of frames


def frames_of(data):
    decoder = SSEDecoder()
    return [*decoder.feed(data), *decoder.close()]


def decoded(codec, frames, n=None):
    decoder = codec.stream_decoder(replace(REQUEST, n=n), Target(origin="o"))
    return [decoder.decode(frame) for frame in frames] + [decoder.close()]


def both_ways(codec, frames, monkeypatch, n=None):
    """Return the events of frames with and without lessons."""
    quick = decoded(codec, frames, n)
    with monkeypatch.context() as patch:
        patch.setattr(learned, "MAX_LESSONS", 0)
        return quick, decoded(codec, frames, n)


@pytest.mark.parametrize("path", STREAMS, ids=case_id)
@pytest.mark.parametrize("codec", [anthropic, openai_chat], ids=["anthropic", "openai_chat"])
def test_a_recorded_stream_gives_the_same_events_with_and_without_lessons(codec, path, monkeypatch):
    quick, slow = both_ways(codec, frames_of(path.read_bytes()), monkeypatch)
    assert quick == slow


def chat_chunk(delta, finish=None, **fields):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "created": 1, "model": "m", "choices": [choice], **fields}


def call_chunk(text, index=0, **fields):
    call = {"function": {"arguments": text}, **fields}
    return chat_chunk({"tool_calls": [call if index is None else {"index": index, **call}]})


def named_call(index, id):
    function = {"name": "ls", "arguments": ""}
    return chat_chunk({"tool_calls": [{"index": index, "id": id, "function": function}]})


def with_logprobs(text):
    tokens = {"content": [{"token": text, "logprob": -1.0, "top_logprobs": []}]}
    choice = {"index": 0, "delta": {"content": text}, "logprobs": tokens}
    return {"id": "chatcmpl-1", "choices": [choice]}


def two_choices(own, other):
    choices = [{"index": i, "delta": {"content": text}} for i, text in ((1, other), (0, own))]
    return {"id": "chatcmpl-1", "choices": choices}


def chat_frame(random):
    """Return one chunk of any of the kinds that stand in streams, with a random text."""
    text = random.choice(["Hel", "lo", *TEXTS])
    match random.randrange(17):
        case 16:
            return with_logprobs(text)
        case 0:
            return call_chunk(text, random.choice([0, 0, 1, None]))
        case 1:
            return named_call(random.choice([0, 1, None]), random.choice(["c1", "c2"]))
        case 2:
            return chat_chunk({"reasoning_content": text})
        case 3:
            return chat_chunk({"reasoning": text})
        case 4:
            details = [{"type": "reasoning.text", "text": text, "index": 0}]
            return chat_chunk({"reasoning_details": details})
        case 5:
            return chat_chunk({"content": text}, usage={"prompt_tokens": random.randrange(3)})
        case 6:
            return chat_chunk({"content": text}, service_tier=random.choice(["a", "b"]))
        case 7:
            return chat_chunk({"content": text, "refusal": random.choice(["", "no"])})
        case 8:
            return {"choices": [], "usage": {"completion_tokens": 3}}
        case 9:
            return chat_chunk({"content": text}, random.choice([None, None, "stop"]))
        case 10:
            return random.choice(["[DO", ": x", '{"choices":[{"delta":{"content":"Hel"}}', "{}"])
        case _:
            return chat_chunk({"content": text}, obfuscation=random.choice(["", "a", "b\n"]))


def runs(random, make):
    """Yield frames, most of them several times in a row with other texts."""
    for _ in range(40):
        value = make(random)
        data = value if isinstance(value, str) else json.dumps(value)
        for _ in range(random.choice([1, 2, 3, 6])):
            yield SSEEvent(None, data)
            data = data.replace('"Hel"', '"lo"', 1) if '"Hel"' in data else data


@pytest.mark.parametrize("seed", range(150))
def test_a_random_chat_stream_gives_the_same_events_with_and_without_lessons(seed, monkeypatch):
    frames = list(runs(Random(seed), chat_frame))
    quick, slow = both_ways(openai_chat, frames, monkeypatch)
    assert quick == slow


def test_the_text_of_another_choice_is_not_taken_for_the_answer(monkeypatch):
    said = [("Hel", "Hel"), ("lo", "lo"), ("a", "a"), ("a", "b"), ("b", "c"), ("b", "d")]
    chunks = [chat_chunk({"role": "assistant"}), *(two_choices(*texts) for texts in said)]
    frames = [SSEEvent(None, json.dumps(chunk)) for chunk in chunks]
    quick, slow = both_ways(openai_chat, frames, monkeypatch, n=2)
    assert quick == slow


@pytest.mark.parametrize("index", [{}, {"index": None}, {"index": "0"}])
def test_arguments_of_calls_without_index_decide_which_call_goes_on(index, monkeypatch):
    """Only the text tells that the first call is whole, and that its name begins a second one."""
    named = chat_chunk({"tool_calls": [{"id": "c1", "function": {"name": "ls"}}]})
    again = chat_chunk({"tool_calls": [{"function": {"name": "ls", "arguments": ""}}]})
    fragments = ['{"a', '":"', "b", "c", '"}']
    calls = [{**index, "function": {"arguments": text}} for text in fragments]
    chunks = [named, *(chat_chunk({"tool_calls": [call]}) for call in calls), again]
    chunks.append(chat_chunk({}, "tool_calls"))
    frames = [SSEEvent(None, json.dumps(chunk)) for chunk in chunks]
    quick, slow = both_ways(openai_chat, frames, monkeypatch)
    assert quick == slow


def anthropic_frame(random):
    text, index = random.choice(["Hel", "lo", *TEXTS]), random.choice([0, 0, 0, 1])
    match random.randrange(8):
        case 0:
            kind = random.choice(["text", "thinking", "tool_use"])
            block = {"type": kind, kind: "", "id": "t1", "name": "ls", "input": {}}
            return {"type": "content_block_start", "index": index, "content_block": block}
        case 1:
            return {"type": "content_block_stop", "index": index}
        case 2:
            return {"type": "ping"}
        case 3:
            delta = {"type": "thinking_delta", "thinking": text}
        case 4:
            delta = {"type": "signature_delta", "signature": text}
        case 5:
            delta = {"type": "input_json_delta", "partial_json": text}
        case _:
            delta = {"type": "text_delta", "text": text}
    return {"type": "content_block_delta", "index": index, "delta": delta}


@pytest.mark.parametrize("seed", range(150))
def test_a_random_anthropic_stream_gives_the_same_events_with_and_without_lessons(
    seed, monkeypatch
):
    start = SSEEvent(None, '{"type":"message_start","message":{"id":"m"}}')
    opened = '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}'
    frames = [start, SSEEvent(None, opened), *runs(Random(seed), anthropic_frame)]
    quick, slow = both_ways(anthropic, frames, monkeypatch)
    assert quick == slow


@pytest.mark.parametrize("name", ["error", "message", ""])
def test_a_frame_of_another_name_is_not_one_more(name, monkeypatch):
    """Chat servers name the frame of an error, whatever stands in it."""
    data = [json.dumps(chat_chunk({"content": word})) for word in ("", "a", "b", "c", "d")]
    frames = [SSEEvent(None, text) for text in data] + [SSEEvent(name, data[-1])]
    quick, slow = both_ways(openai_chat, frames, monkeypatch)
    assert quick == slow


def test_the_third_delta_of_a_run_is_the_first_that_is_not_parsed(monkeypatch):
    parsed = []
    monkeypatch.setattr(
        "lmtools.codecs.openai_chat.decoder.loads",
        lambda data: parsed.append(data) or json.loads(data),
    )
    words = ["", "one", "two", "three", "four", "five"]
    frames = [SSEEvent(None, json.dumps(chat_chunk({"content": word}))) for word in words]
    events = decoded(openai_chat, frames)
    assert [batch[0].text for batch in events[1:6]] == words[1:]
    assert parsed == [frame.data for frame in frames[:3]]


def test_a_stream_whose_frames_are_all_different_is_no_longer_learned_from(monkeypatch):
    lessons = []
    monkeypatch.setattr(learned, "learn", lambda *args: lessons.append(args))
    repeats = Repeats({TextDelta: (("text", at),)})
    for number in range(50):
        frame = SSEEvent(None, json.dumps({"d": {"text": "one"}, "n": number}))
        assert repeats.event(frame) is None
        repeats.learn(frame, [TextDelta(0, "one")])
    assert len(lessons) == learned.MAX_LESSONS


def test_lessons_that_are_of_use_go_on():
    repeats = Repeats({TextDelta: (("text", at),)})
    read = []
    for number in range(300):
        frame = SSEEvent(None, json.dumps({"d": {"text": "one"}, "n": number // 10}))
        event = repeats.event(frame)
        read.append(event)
        if event is None:
            repeats.learn(frame, [TextDelta(0, "one")])
    assert sum(event is not None for event in read[-100:]) == 90
