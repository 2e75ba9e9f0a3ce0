from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmtools.codecs import anthropic
from lmtools.codecs.base import Stamp, Target
from lmtools.sse import SSEEvent
from lmtools.types import (
    BuiltinCallDelta,
    CitationDelta,
    CustomTool,
    End,
    FunctionTool,
    Message,
    OpaqueDelta,
    OpaquePart,
    PartDelta,
    PartEnd,
    Request,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    find_opaque,
)
from tests.codecs.anthropic.wire import (
    ASK,
    answer_body,
    block_frames,
    decode,
    encode,
    end_frames,
    frame,
    plant,
    read,
    said,
    start_frame,
)
from tests.corpus import capture_files, case_id

STREAMS = capture_files("*/captures/*anthropic-stream.stream.txt")
#: A hand-written capture whose block has no stop: our own stream has one.
WITHOUT_STOP = "stream-anthropic-to-openai"


def again(frames: list[SSEEvent]) -> list[Any]:
    """Return what an encoder makes of the events of a stream."""
    start = json.loads(frames[0].data).get("message", {})
    bodies, losses = encode(decode(frames), Stamp("msg_stamp", 0, start.get("model", "m")))
    assert losses == []
    return bodies


@pytest.mark.parametrize("path", STREAMS, ids=case_id)
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_a_captured_stream_comes_out_as_it_went_in(path, change):
    frames = read(path.read_bytes())
    bodies = [change(json.loads(item.data)) for item in frames]

    rendered = again([frame(body) for body in bodies])

    if WITHOUT_STOP in str(path):
        assert rendered.pop(3)["type"] == "content_block_stop"
    assert rendered == bodies


TEXT = {"type": "text", "text": ""}
CITED = {"type": "page_location", "cited_text": "c", "document_index": 0}
COMPACTION = {"type": "compaction", "content": None}
ODD: list[list[SSEEvent]] = [
    block_frames({"type": "text", "text": "already"}, {"type": "text_delta", "text": ""}),
    block_frames(TEXT, {"type": "text_delta", "text": ""}, {"type": "text_delta", "text": "x"}),
    block_frames({**TEXT, "citations": []}, {"type": "citations_delta", "citation": CITED}),
    block_frames({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "x"}),
    block_frames({"type": "thinking", "thinking": "", "signature": ""}),
    block_frames({"type": "thinking", "thinking": "all", "signature": "s"}),
    block_frames(
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "thinking_delta", "thinking": "x", "estimated_tokens": 5},
        {"type": "signature_delta", "signature": ""},
    ),
    block_frames({"type": "redacted_thinking", "data": "d"}),
    block_frames(
        {
            "type": "tool_use",
            "id": "t",
            "name": "x",
            "input": {"a": 1},
            "caller": {"type": "direct"},
        }
    ),
    block_frames(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "input_json_delta", "partial_json": '{"query": "q"}'},
    ),
    block_frames({"type": "server_tool_use", "id": "s", "name": "x", "input": {"a": 1}}),
    block_frames({"type": "mcp_tool_use", "id": "s", "name": "x", "server_name": "m", "input": {}}),
    block_frames({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
    block_frames({"type": "container_upload", "file_id": "f"}),
    block_frames(
        COMPACTION,
        {"type": "compaction_delta", "content": "sum"},
        {"type": "compaction_delta", "content": "mary", "encrypted_content": "e"},
    ),
    block_frames(TEXT, {"type": "delta_of_tomorrow", "x": 1}),
    [*block_frames(TEXT, index=0), *block_frames(TEXT, index=1)],
    [frame({"type": "ping"}), frame({"type": "event_of_tomorrow", "x": [1]})],
    [
        frame(
            {
                "type": "message_delta",
                "delta": {"stop_reason": None},
                "usage": {"output_tokens": 1},
                "x": 1,
            }
        )
    ],
]


@pytest.mark.parametrize("middle", ODD, ids=lambda frames: frames[0].data[40:110])
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_an_odd_stream_comes_out_as_it_went_in(middle, change):
    bodies = [change(json.loads(f.data)) for f in [start_frame(), *middle, *end_frames()]]

    assert again([frame(body) for body in bodies]) == bodies


def test_a_stream_is_one_start_deltas_and_one_end():
    frames = [
        start_frame(input_tokens=3, cache_read_input_tokens=2),
        *block_frames(
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "hm"},
            {"type": "signature_delta", "signature": "s"},
        ),
        *block_frames(
            TEXT,
            {"type": "text_delta", "text": "Hi"},
            {"type": "citations_delta", "citation": CITED},
            index=1,
        ),
        *block_frames(
            {"type": "tool_use", "id": "t", "name": "ls", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"a":'},
            {"type": "input_json_delta", "partial_json": "1}"},
            index=2,
        ),
        *end_frames("tool_use"),
    ]

    events = decode(frames, target=Target(origin="here"))

    assert isinstance(events[0], Start)
    assert (events[0].id, events[0].usage.input_tokens) == ("msg_1", 5)
    assert [(type(e), e.part_index) for e in events[1:-1]] == [
        (ThinkingDelta, 0),
        (ThinkingDelta, 0),
        (ThinkingDelta, 0),
        (PartEnd, 0),
        (TextDelta, 1),
        (TextDelta, 1),
        (CitationDelta, 1),
        (PartEnd, 1),
        (ToolCallDelta, 2),
        (ToolCallDelta, 2),
        (ToolCallDelta, 2),
        (PartEnd, 2),
    ]
    assert "".join(e.text for e in events if isinstance(e, ToolCallDelta)) == '{"a":1}'
    assert events[3].opaque[0].data == {"signature": "s"}
    assert events[3].opaque[0].origin == "here"
    end = events[-1]
    assert isinstance(end, End)
    assert (end.finish, end.usage.output_tokens) == ("tool_call", 2)


def test_an_end_without_cache_counts_adds_those_of_the_start():
    usage = {"input_tokens": 10, "output_tokens": 5}
    frames = [
        start_frame(input_tokens=9, cache_read_input_tokens=300, cache_creation_input_tokens=20),
        frame({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
        frame({"type": "message_stop"}),
    ]

    events = decode(frames)

    assert isinstance(events[-1], End)
    assert events[-1].usage.input_tokens == 330
    assert encode(events)[0][1]["usage"] == usage


@pytest.mark.parametrize("path", STREAMS, ids=case_id)
def test_a_stream_cut_anywhere_never_looks_like_a_short_answer(path):
    """Losing the connection is an error, at every byte before the end marker is whole."""
    data = path.read_bytes()
    last = data.rindex(b'"message_stop"')
    whole = data.index(b"}", last) + 1

    # Every byte of the last three frames, and every seventh before them.
    tail = data[: data.rindex(b"event: content_block")].__len__()
    for cut in [*range(0, tail, 7), *range(tail, whole)]:
        events = decode(read(data[:cut]))
        assert isinstance(events[-1], StreamError), cut
        assert not any(isinstance(event, End) for event in events), cut
    assert isinstance(decode(read(data[:whole]))[-1], End)


def test_a_stop_reason_without_the_end_marker_is_a_cut():
    events = decode([start_frame(), *end_frames()[:1]])

    assert isinstance(events[-1], StreamError)
    assert events[-1].code == "truncated"


def test_nothing_comes_after_the_end():
    decoder = anthropic.stream_decoder(ASK, Target())
    for item in [start_frame(), *end_frames()]:
        decoder.decode(item)

    assert decoder.decode(frame({"type": "ping"})) == []
    assert decoder.close() == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("{broken", "protocol"),
        ("[1]", "protocol"),
        ('{"type":"content_block_start","index":0}', "protocol"),
        ('{"type":"content_block_start","index":"0","content_block":{}}', "protocol"),
        (
            '{"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}',
            "protocol",
        ),
        ('{"type":"content_block_delta","index":0,"delta":{"type":"text_delta"}}', "protocol"),
        (
            '{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"x"}}',
            "protocol",
        ),
        ('{"type":"content_block_delta","index":[],"delta":{"type":[]}}', "protocol"),
        ('{"type":"message_delta","delta":{},"usage":{"output_tokens":-1}}', "protocol"),
        ('{"type":"message_delta","delta":{},"usage":{"output_tokens":1e999}}', "protocol"),
        ('{"type":"error","error":{"type":"overloaded_error","message":"m"}}', "overloaded"),
        ('{"error":{"message":"m"}}', "provider"),
    ],
)
def test_a_malformed_or_failed_stream_ends_in_one_error(data, code):
    events = decode([start_frame(), SSEEvent(None, data), *end_frames()])

    assert isinstance(events[-1], StreamError)
    assert events[-1].code == code
    assert not any(isinstance(event, End) for event in events)


def test_an_error_event_that_is_no_json_keeps_its_words():
    (event,) = decode([SSEEvent("error", "<h1>Bad Gateway</h1>")])
    (silent,) = decode([SSEEvent("error", "<p>")])

    assert event == StreamError("provider", "Bad Gateway")
    assert silent == StreamError("provider", "an error without a word")


def test_an_error_may_come_without_a_start():
    events = decode(
        [
            frame({"type": "ping"}),
            frame({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}),
        ]
    )

    assert events == [
        StreamError(
            "overloaded",
            "busy",
            provider_code="overloaded_error",
            status=529,
            opaque=events[0].opaque,
        )
    ]


def test_a_forgotten_start_is_made_up_and_early_pings_come_after_it():
    events = decode([frame({"type": "ping"}), *block_frames(TEXT), *end_frames()])

    assert [type(event) for event in events] == [Start, OpaqueDelta, TextDelta, PartEnd, End]


def test_a_second_start_and_the_end_of_no_block_are_losses():
    decoder = anthropic.stream_decoder(ASK, Target())
    frames = [start_frame(), start_frame(), frame({"type": "content_block_stop", "index": 9})]

    events = [event for item in frames for event in decoder.decode(item)]

    assert len(events) == 1
    assert said(decoder.losses) == [("start", "dropped"), ("part", "dropped")]


def test_deltas_without_their_block_start_begin_a_part_of_their_kind():
    deltas = [
        {"type": "text_delta", "text": "a"},
        {"type": "text_delta", "text": "b"},
        {"type": "thinking_delta", "thinking": "c"},
        {"type": "signature_delta", "signature": "s"},
    ]
    frames = [frame({"type": "content_block_delta", "index": 0, "delta": d}) for d in deltas]

    events = decode([start_frame(), *frames, *end_frames()])

    kinds = [(type(event), event.part_index) for event in events[1:-1]]
    assert kinds == [(TextDelta, 0), (TextDelta, 0), (ThinkingDelta, 1), (ThinkingDelta, 1)]


def test_frames_without_index_or_type_are_read_as_far_as_they_go():
    frames = [
        SSEEvent("content_block_start", '{"content_block":{"type":"text","text":""}}'),
        SSEEvent("content_block_delta", '{"delta":{"type":"text_delta","text":"x"}}'),
        SSEEvent("content_block_delta", '{"delta":null}'),
        SSEEvent("content_block_stop", "{}"),
        SSEEvent("message_start", "{}"),
        SSEEvent("message_delta", "{}"),
        SSEEvent("ping", ""),
        SSEEvent(None, "[DONE]"),
        SSEEvent("message_stop", "{}"),
    ]

    events = decode([SSEEvent("message_start", "{}"), *frames])

    assert [type(e) for e in events] == [Start, TextDelta, TextDelta, OpaqueDelta, PartEnd, End]
    assert (events[0].id, events[-1].finish) == (None, None)


def test_a_start_that_holds_content_or_a_reason_keeps_it():
    body = {"type": "message_start", "message": answer_body(content=[TEXT], stop_reason="end_turn")}

    (start,) = anthropic.stream_decoder(ASK, Target()).decode(frame(body))

    kept = find_opaque(start.opaque, "anthropic", "message")
    assert kept is not None
    assert kept["rest"] == {"content": [TEXT], "stop_reason": "end_turn"}


def test_parts_whose_end_is_missing_are_complete_at_the_end():
    custom = Request("m", (Message.user("x"),), tools=(CustomTool("edit"),))
    starts = [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "tool_use", "id": "t", "name": "edit", "input": {}},
        COMPACTION,
    ]
    frames = [
        frame({"type": "content_block_start", "index": i, "content_block": block})
        for i, block in enumerate(starts)
    ]
    args = {"type": "input_json_delta", "partial_json": '{"text": "odd"}'}
    frames.append(frame({"type": "content_block_delta", "index": 1, "delta": args}))

    events = decode([start_frame(), *frames, *end_frames()], custom)

    late = events[-4:-1]
    assert [type(event) for event in late] == [ThinkingDelta, ToolCallDelta, PartDelta]
    assert late[1].text == "odd"


def test_a_call_of_an_offered_custom_tool_is_text_as_it_comes():
    request = Request(
        "m", (Message.user("x"),), tools=(CustomTool("edit"), FunctionTool("ls", namespace="fs"))
    )
    pieces = ['{"inp', 'ut": "*** Be', "gin\\n", "\\ud83d", '\\ude00 end"', "}"]
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    frames = [
        *block_frames({"type": "tool_use", "id": "t", "name": "edit", "input": {}}, *deltas),
        *block_frames({"type": "tool_use", "id": "u", "name": "fs__ls", "input": {}}, index=1),
        *block_frames(
            {"type": "tool_use", "id": "v", "name": "edit", "input": {"input": "at once"}}, index=2
        ),
    ]

    events = decode([start_frame(), *frames, *end_frames()], request)

    calls = [e for e in events if isinstance(e, ToolCallDelta)]
    assert [c.text for c in calls if c.part_index == 0] == ["", "*** Be", "gin\n", "😀 end"]
    assert {c.kind for c in calls if c.part_index == 0} == {"custom"}
    assert [(c.name, c.namespace) for c in calls if c.part_index == 1] == [("ls", "fs")]
    assert [c.text for c in calls if c.part_index == 2] == ["at once"]


def test_a_call_without_an_id_gets_one_from_its_place():
    call = {"type": "tool_use", "name": "ls", "input": {}}

    events = decode(
        [start_frame(), *block_frames(call), *block_frames(call, index=1), *end_frames()]
    )

    assert [e.id for e in events if isinstance(e, ToolCallDelta)] == ["call_0", "call_1"]


def test_a_compaction_is_one_part_whatever_its_frames():
    events = decode([start_frame(), *ODD[14], *end_frames()])

    (part,) = [event.part for event in events if isinstance(event, PartDelta)]
    assert isinstance(part, OpaquePart)
    assert part.content.data["rest"] == {
        "type": "compaction",
        "content": "summary",
        "encrypted_content": "e",
    }


def test_builtin_calls_are_not_calls_for_the_caller():
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    delta = {"type": "input_json_delta", "partial_json": "{}"}

    events = decode([start_frame(), *block_frames(block, delta), *end_frames()])

    assert [type(event) for event in events[1:3]] == [BuiltinCallDelta, BuiltinCallDelta]


def test_a_late_count_joins_what_an_earlier_frame_said():
    frames = [
        start_frame(),
        frame(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "max_tokens"},
                "usage": {"output_tokens": 9},
            }
        ),
        frame({"type": "message_delta", "delta": {}, "usage": {"input_tokens": 4}}),
        frame({"type": "message_stop"}),
    ]

    end = decode(frames)[-1]

    assert isinstance(end, End)
    assert (end.finish, end.usage.output_tokens, end.usage.input_tokens) == ("length", 9, 4)


def test_a_path_is_named_in_what_goes_wrong():
    events = decode([start_frame(), *block_frames({"type": "text", "text": 7})])

    assert isinstance(events[-1], StreamError)
    assert "content[0].text: expected a string, got 7" in events[-1].message


def test_the_streams_are_there(captures):
    assert captures("*/captures/*anthropic-stream.stream.txt") == STREAMS
    assert all(isinstance(path, Path) for path in STREAMS)


def test_a_stream_without_usage_comes_out_without_it():
    message = {k: v for k, v in answer_body(stop_reason=None).items() if k != "usage"}
    delta = {"stop_reason": "end_turn", "stop_sequence": None, "stop_details": None}
    bodies = [
        {"type": "message_start", "message": message},
        {"type": "message_delta", "delta": delta},
        {"type": "message_stop"},
    ]

    assert again([frame(body) for body in bodies]) == bodies
