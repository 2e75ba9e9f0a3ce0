"""Chunks to events: what servers do to a stream, and what is made of it."""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Incoming, Target
from lmtools.sse import SSEDecoder, SSEEvent
from lmtools.types import (
    AudioDelta,
    CitationDelta,
    CustomTool,
    End,
    FunctionTool,
    Message,
    OpaqueDelta,
    RefusalDelta,
    Request,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
    response_from_events,
)

REQUEST = Request("gpt-4.1", (Message.user("Hi"),), stream=True)
DONE = "[DONE]"


def chunk(delta=None, finish=None, **fields):
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    choice |= fields.pop("choice", {})
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [choice], **fields}


def call(**fields):
    return chunk({"tool_calls": [fields]})


ROLE = chunk({"role": "assistant", "content": ""})
STOP = chunk(finish="stop")
CALLED = chunk(finish="tool_calls")


def decode(*frames, request=REQUEST, close=True, event=None, **target):
    decoder = openai_chat.stream_decoder(request, Target(**target))
    events = []
    for frame in frames:
        data = frame if isinstance(frame, str) else json.dumps(frame)
        events += decoder.decode(SSEEvent(event, data))
    if close:
        events += decoder.close()
    assert decoder.losses == []
    return events


def calls_of(*frames, **options):
    answer = response_from_events(decode(*frames, **options))
    return [(call.id, call.name, call.text) for call in answer.tool_calls]


def test_a_usual_stream():
    events = decode(ROLE, chunk({"content": "Hel"}), chunk({"content": "lo"}), STOP, DONE)
    assert events == [
        Start("chatcmpl-1", "m", 1),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        End("stop"),
    ]


@pytest.mark.parametrize("marker", ["[DONE]", " [DONE] ", "[DONE]\n"])
def test_the_end_marker_may_stand_with_spaces(marker):
    assert decode(ROLE, STOP, marker, close=False)[-1] == End("stop")


def test_nothing_comes_after_the_end():
    assert decode(ROLE, STOP, DONE, chunk({"content": "late"}), DONE)[-1] == End("stop")
    assert len(decode(ROLE, STOP, DONE, chunk({"content": "late"}), DONE)) == 2


def test_a_chunk_without_choices_is_not_the_start():
    azure = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
    events = decode({**azure, "prompt_filter_results": [1]}, azure, ROLE, STOP, DONE)
    assert isinstance(events[0], Start)
    assert (events[0].id, events[0].model) == ("chatcmpl-1", "m")
    (preamble,) = events[0].wire
    assert preamble.data == {"chunks": [{"prompt_filter_results": [1]}]}


def test_the_first_chunk_may_say_everything():
    only = chunk({"role": "assistant", "content": "Hi"}, "stop", usage={"prompt_tokens": 3})
    events = decode(only)
    assert [event.type for event in events] == ["start", "text", "end"]
    assert events[-1].usage.input_tokens == 3


def test_a_server_that_does_not_stream_may_answer_with_a_whole_message():
    whole = chunk(choice={"message": {"role": "assistant", "content": "Hi"}}, finish="stop")
    assert response_from_events(decode(whole, DONE)).text == "Hi"


def test_a_stream_without_names_takes_them_from_the_request():
    bare = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    start = decode(bare)[0]
    assert (start.id, start.model, start.created) == (None, "gpt-4.1", None)
    assert decode(bare, model="upstream")[0].model == "upstream"


def test_an_empty_finish_reason_is_none():
    assert decode(ROLE, chunk({"content": "x"}, ""))[-1].code == "truncated"
    assert decode(ROLE, chunk({"content": "x"}, ""), STOP)[-1] == End("stop")


def test_done_without_a_reason_is_the_end():
    assert decode(ROLE, chunk({"content": "x"}), DONE)[-1].finish == "stop"
    assert (
        decode(ROLE, call(index=0, id="c", function={"name": "f"}), DONE)[-1].finish == "tool_call"
    )


BROKEN = [
    ([ROLE], "truncated"),
    ([], "truncated"),
    ([DONE], "truncated"),
    ([ROLE, DONE], "truncated"),
    ([{"choices": [], "usage": {"prompt_tokens": 3}}, DONE], "truncated"),
    ([ROLE, '{"id":"chat'], "truncated"),
    ([ROLE, '{"id":"chat', chunk({"content": "x"})], "protocol"),
    ([ROLE, "[]"], "truncated"),
    ([ROLE, "[1, 2]", DONE], "protocol"),
    ([ROLE, {"choices": {"a": 1}}], "protocol"),
    ([ROLE, {"choices": ["x"]}], "protocol"),
    ([ROLE, chunk("text")], "protocol"),
    ([ROLE, chunk(choice={"index": []})], "protocol"),
    ([ROLE, chunk({"tool_calls": ["x"]})], "protocol"),
    ([ROLE, chunk({"content": ["x"]})], "protocol"),
    ([ROLE, chunk({"annotations": ["x"]})], "protocol"),
    ([ROLE, chunk({"content": "a"}, choice={"logprobs": {"content": [{}]}})], "protocol"),
    ([ROLE, chunk({"content": "a"}, choice={"logprobs": {"content": "x"}})], "protocol"),
    ([ROLE, call(index=0, id="c"), CALLED, DONE], "protocol"),
]


@pytest.mark.parametrize(("frames", "code"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_stream_ends_in_one_error(frames, code):
    events = decode(*frames)
    assert events[-1].code == code
    assert [event for event in events if isinstance(event, (End, StreamError))] == events[-1:]


def test_what_breaks_after_the_finish_reason_does_not_unmake_the_answer():
    assert decode(ROLE, STOP, '{"choices": [], "usa')[-1] == End("stop")
    assert decode(ROLE, STOP, "not json", DONE)[-1] == End("stop")


def test_a_cut_at_any_byte_is_never_an_exception_and_never_a_short_answer():
    frames = [ROLE, chunk({"content": "Hé"}), STOP, {"choices": [], "usage": {}}]
    stream = b"".join(b"data: " + json.dumps(f).encode() + b"\n\n" for f in frames)
    finished = stream.index(b'"stop"}]}') + len(b'"stop"}]}')
    for cut in range(len(stream)):
        sse = SSEDecoder()
        decoder = openai_chat.stream_decoder(REQUEST, Target())
        events = []
        for frame in [*sse.feed(stream[:cut]), *sse.close()]:
            events += decoder.decode(frame)
        events += decoder.close()
        assert isinstance(events[-1], StreamError if cut < finished else End), cut


ERRORS = [
    (None, {"error": {"message": "busy", "type": "server_error", "code": "overloaded"}}, "overloaded"),
    (None, {"error": {"message": "slow", "code": "rate_limit_exceeded"}}, "rate_limit"),
    (None, {"error": {"message": "gone", "code": 502}}, "server"),
    (None, {"error": "model crashed"}, "provider"),
    ("error", {"message": "odd", "type": "invalid_request_error"}, "invalid_request"),
    ("error", {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "overloaded"),
    ("error", {"nothing": 1}, "provider"),
]  # fmt: skip


@pytest.mark.parametrize(("event", "frame", "code"), ERRORS)
def test_an_error_in_the_stream_ends_it(event, frame, code):
    (error,) = decode(frame, event=event)
    assert isinstance(error, StreamError)
    assert error.code == code


def test_empty_frames_say_nothing():
    assert decode("", " ", ROLE, STOP, "", DONE)[-1] == End("stop")


# Usage

COUNTED = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


@pytest.mark.parametrize(
    "frames",
    [
        [ROLE, STOP, {"choices": [], "usage": COUNTED}],
        [ROLE, {"choices": [], "usage": COUNTED}, STOP],
        [{"choices": [], "usage": COUNTED}, ROLE, STOP],
        [ROLE, chunk(finish="stop", usage=COUNTED)],
        [chunk({"content": "a"}, usage={"prompt_tokens": 1}), chunk(finish="stop", usage=COUNTED)],
        [ROLE, STOP, {"choices": None, "usage": COUNTED}],
    ],
)
def test_usage_counts_wherever_it_comes_and_the_last_report_stands(frames):
    end = decode(*frames, DONE)[-1]
    assert (end.usage.input_tokens, end.usage.output_tokens) == (3, 5)


# Calls

CALLS = {
    "fragments by index": [
        call(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        call(index=0, function={"arguments": '{"x"'}),
        call(index=0, function={"arguments": ":1}"}),
    ],
    "continuations spelled with nulls": [
        call(index=0, id="a", type="function", function={"name": "f", "arguments": ""}),
        call(index=0, id=None, type=None, function={"name": None, "arguments": '{"x":1}'}),
    ],
    "arguments at once": [call(index=0, id="a", function={"name": "f", "arguments": '{"x":1}'})],
    "arguments as an object": [call(index=0, id="a", function={"name": "f", "arguments": {"x": 1}})],
    "no index": [
        call(id="a", function={"name": "f", "arguments": '{"x"'}),
        call(function={"arguments": ":1}"}),
    ],
    "no index, the id in each": [
        call(id="a", function={"name": "f", "arguments": '{"x"'}),
        call(id="a", function={"name": "f", "arguments": ":1}"}),
    ],
    "no index, the name in each": [
        call(id="a", function={"name": "f", "arguments": '{"x"'}),
        call(function={"name": "f", "arguments": ":1}"}),
    ],
    "the name repeated": [
        call(index=0, id="a", function={"name": "f", "arguments": '{"x"'}),
        call(index=0, id="a", function={"name": "f", "arguments": ":1}"}),
    ],
    "the id last": [
        call(index=0, function={"name": "f", "arguments": '{"x"'}),
        call(index=0, id="a", function={"arguments": ":1}"}),
    ],
    "the name last": [
        call(index=0, id="a", function={"arguments": '{"x"'}),
        call(index=0, function={"name": "f", "arguments": ":1}"}),
    ],
    "no index, the id last": [
        call(function={"name": "f", "arguments": '{"x"'}),
        call(id="a", function={"arguments": ":1}"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("frames", CALLS.values(), ids=CALLS)
def test_a_call_is_whole_however_it_comes(frames):
    ((id, name, text),) = calls_of(ROLE, *frames, CALLED, DONE)
    assert (id, name, json.loads(text)) == ("a", "f", {"x": 1})


PARALLEL = {
    "interleaved": [
        call(index=0, id="a", function={"name": "f", "arguments": ""}),
        call(index=1, id="b", function={"name": "g", "arguments": ""}),
        call(index=0, function={"arguments": "{}"}),
        call(index=1, function={"arguments": "[]"}),
    ],
    "in one chunk": [
        chunk({"tool_calls": [
            {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"index": 1, "id": "b", "function": {"name": "g", "arguments": "[]"}},
        ]}),
    ],
    "in one chunk without index": [
        chunk({"tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "function": {"name": "g", "arguments": "[]"}},
        ]}),
    ],
    "all with index 0": [
        call(index=0, id="a", function={"name": "f", "arguments": "{}"}),
        call(index=0, id="b", function={"name": "g", "arguments": "["}),
        call(index=0, function={"arguments": "]"}),
    ],
    "by id alone": [
        call(id="a", function={"name": "f", "arguments": "{"}),
        call(id="b", function={"name": "g", "arguments": "["}),
        call(id="a", function={"arguments": "}"}),
        call(id="b", function={"arguments": "]"}),
    ],
    "by place in the list": [
        chunk({"tool_calls": [
            {"id": "a", "function": {"name": "f", "arguments": "{"}},
            {"id": "b", "function": {"name": "g", "arguments": "["}},
        ]}),
        chunk({"tool_calls": [{"id": "a", "function": {"arguments": "}"}}, {"function": {"arguments": "]"}}]}),
    ],
    "from index 1": [
        call(index=1, id="a", function={"name": "f", "arguments": "{}"}),
        call(index=2, id="b", function={"name": "g", "arguments": "[]"}),
    ],
}  # fmt: skip


@pytest.mark.parametrize("frames", PARALLEL.values(), ids=PARALLEL)
def test_parallel_calls_are_kept_apart(frames):
    assert calls_of(ROLE, *frames, CALLED, DONE) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_calls_without_index_and_id_are_told_apart_by_whole_arguments():
    same = {"name": "f", "arguments": '{"x":1}'}
    found = calls_of(ROLE, call(function=same), call(function=same), CALLED, DONE)
    assert [(name, text) for _, name, text in found] == [("f", '{"x":1}')] * 2
    assert len({id for id, _, _ in found}) == 2


def test_a_call_that_never_gets_an_id_is_given_one_made_of_the_answers():
    frames = [ROLE, call(index=0, function={"name": "f", "arguments": "{}"}), CALLED, DONE]
    assert calls_of(*frames) == [("call_chatcmpl1_0", "f", "{}")]


def test_a_call_without_arguments_has_the_empty_object():
    frames = [ROLE, call(index=0, id="a", function={"name": "f", "arguments": ""}), CALLED, DONE]
    assert calls_of(*frames) == [("a", "f", "{}")]


def test_a_custom_call_is_free_text():
    frames = [
        call(index=0, id="a", type="custom", custom={"name": "run", "input": ""}),
        call(index=0, type="custom", custom={"input": "print(1)"}),
    ]
    (made,) = response_from_events(decode(ROLE, *frames, CALLED, DONE)).tool_calls
    assert (made.kind, made.name, made.input) == ("custom", "run", "print(1)")


def test_a_custom_tool_that_was_called_as_a_function_streams_its_text():
    request = Request("m", (Message.user("Hi"),), tools=(CustomTool("run"),))
    frames = [
        call(index=0, id="a", function={"name": "run", "arguments": ""}),
        call(index=0, function={"arguments": '{"input":"1'}),
        call(index=0, function={"arguments": '+1"}'}),
    ]
    events = decode(ROLE, *frames, CALLED, DONE, request=request)
    (made,) = response_from_events(events).tool_calls
    assert (made.kind, made.input) == ("custom", "1+1")
    assert [event.text for event in events[1:-1]] == ["", "1", "+1", ""]


def test_a_function_call_of_before_tools_is_a_call():
    frames = [
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"x":1}'}}),
        chunk(finish="function_call"),
    ]
    events = decode(ROLE, *frames, DONE)
    assert events[-1] == End("tool_call")
    (made,) = response_from_events(events).tool_calls
    assert (made.id, made.name, made.input) == ("call_chatcmpl1_0", "f", {"x": 1})


def test_keys_of_a_call_belong_to_the_call():
    signed = {"google": {"thought_signature": "s"}}
    frame = call(index=0, id="a", extra_content=signed, function={"name": "f", "arguments": "{}"})
    (made,) = response_from_events(decode(ROLE, frame, CALLED, DONE)).tool_calls
    assert made.opaque[0].data["rest"] == {"extra_content": signed}


def test_a_renamed_tool_comes_back_under_its_own_name():
    request = Request("m", (Message.user("Hi"),), tools=(FunctionTool("a.b"),))
    target = {"name_rule": r"^\w{1,64}$"}
    body = openai_chat.render_request(request, Target(**target)).body
    sent = body["tools"][0]["function"]["name"]
    frame = call(index=0, id="c", function={"name": sent, "arguments": "{}"})
    assert calls_of(ROLE, frame, CALLED, DONE, request=request, **target) == [("c", "a.b", "{}")]


# Other content


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_thinking_and_stands_before_the_text(field):
    frames = [chunk({field: "hm"}), chunk({field: "m", "content": "Hi"})]
    events = decode(ROLE, *frames, STOP, DONE)
    assert [type(event) for event in events[1:-1]] == [ThinkingDelta, ThinkingDelta, TextDelta]
    assert [event.part_index for event in events[1:-1]] == [0, 0, 1]
    assert events[1].opaque[0].data == {"field": field}
    assert events[2].opaque == ()


def test_refusals_audio_and_citations_have_their_own_events():
    cited = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 2}}  # fmt: skip
    frames = [
        chunk({"content": "Hi", "annotations": [cited]}),
        chunk({"refusal": "No"}),
        chunk({"audio": {"id": "a1", "data": "AAAA", "transcript": "Hi"}}),
        chunk({"audio": {"expires_at": 5}}),
    ]
    asked = openai_chat.parse_request(
        Incoming({"model": "m", "messages": [], "audio": {"format": "wav"}})
    )
    events = decode(ROLE, *frames, STOP, DONE, request=asked)
    kinds = [TextDelta, CitationDelta, RefusalDelta, AudioDelta, AudioDelta]
    assert [type(event) for event in events[1:-1]] == kinds
    audio = response_from_events(events).message.parts[-1]
    assert (audio.media_type, audio.data, audio.transcript) == ("audio/wav", "AAAA", "Hi")
    assert audio.opaque[0].data["rest"] == {"id": "a1", "expires_at": 5}


def test_logprobs_go_with_the_text_or_the_refusal_or_alone():
    logprobs = {"logprobs": {"content": [{"token": "a", "logprob": -1}]}}
    token = (TokenLogprob("a", -1),)
    frames = [
        chunk({"content": "a"}, choice=logprobs),
        chunk({"content": ""}, choice=logprobs),
        chunk({"refusal": "no"}, choice=logprobs),
        chunk({"x": 1}, choice=logprobs),
        chunk({}, choice=logprobs),
    ]
    events = decode(ROLE, *frames, STOP, DONE)[1:-1]
    assert [(type(e), e.text, bool(e.logprobs)) for e in events] == [
        (TextDelta, "a", True),
        (TextDelta, "", True),
        (RefusalDelta, "no", True),
        (TextDelta, "", True),
        (TextDelta, "", True),
    ]
    assert events[0].logprobs[0].token == token[0].token


def test_content_may_be_a_list_of_parts():
    thought = {"type": "thinking", "thinking": []}
    frame = chunk({"content": [{"type": "text", "text": "Hi", "x": 1}, thought]})
    events = decode(ROLE, frame, STOP, DONE)
    assert events[1].text == "Hi"
    assert events[1].opaque[0].data == {"rest": {"x": 1}}
    assert events[2].content.data == {"rest": thought}
    events = decode(ROLE, chunk({"content": [thought], "x": 1}), STOP, DONE)
    assert [e.content.data for e in events[1:3]] == [{"delta": {"x": 1}}, {"rest": thought}]


def test_other_choices_are_this_dialects_own():
    request = Request("m", (Message.user("Hi"),), n=2)
    other = {"index": 1, "delta": {"content": "B"}, "finish_reason": None}
    both = chunk({"content": "A"})
    both["choices"].append(other)
    first, second = {**ROLE, "choices": [other]}, both
    events = decode(first, second, STOP, DONE, request=request)
    assert [event.type for event in events] == ["start", "opaque", "text", "end"]
    assert events[1].content.data["rest"]["choices"] == [other]
    assert events[2].wire[0].data["rest"]["choices"] == [other]
    assert response_from_events(events).text == "A"


def test_one_choice_is_the_answer_whatever_its_index():
    odd = chunk({"content": "A"}, choice={"index": 1})
    assert response_from_events(decode(odd, STOP, DONE)).text == "A"


def test_remarks_of_the_server_keep_their_place():
    remark = {"id": "x", "choices": [], "content_filter_offsets": {"check": 1}}
    silent = {"id": "x", "choices": [], "nothing": None}
    events = decode(ROLE, remark, silent, chunk({"note": 1}), chunk({"note": None}), STOP, DONE)
    assert [type(event) for event in events] == [Start, OpaqueDelta, OpaqueDelta, End]
    assert events[1].content.data == {"rest": {"content_filter_offsets": {"check": 1}}}
    assert events[2].content.data == {"delta": {"note": 1}}


def test_a_tier_and_a_stop_sequence_are_read():
    last = chunk(finish="stop", choice={"stop_reason": "END"}, service_tier="flex")
    end = decode(ROLE, last, DONE)[-1]
    assert (end.finish, end.stop_sequence, end.service_tier) == ("stop_sequence", "END", "flex")


def test_a_repeated_finish_reason_changes_nothing():
    events = decode(
        ROLE, STOP, STOP, chunk(finish="stop", note=1), chunk(finish="stop", note=2), DONE
    )
    assert [type(event) for event in events] == [Start, OpaqueDelta, End]


def test_first_fragment_carries_what_identifies_the_call():
    frame = call(index=0, id="a", function={"name": "f", "arguments": "{"})
    events = decode(ROLE, frame, call(index=0, function={"arguments": "}"}), call(index=0), CALLED)
    assert events[1:-1] == [ToolCallDelta(0, "{", "a", "f"), ToolCallDelta(0, "}")]
