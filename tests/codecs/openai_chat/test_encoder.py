"""Events to chunks: what a Chat client gets, whatever the events are."""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Incoming, Stamp, Target
from lmtools.sse import SSEDecoder
from lmtools.types import (
    AudioDelta,
    AudioPart,
    BuiltinCallDelta,
    BuiltinResultPart,
    CacheMark,
    CitationDelta,
    CitationPart,
    End,
    ImagePart,
    Message,
    Opaque,
    OpaqueDelta,
    PartDelta,
    PartEnd,
    RefusalDelta,
    Request,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    TokenLogprob,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    events_from_response,
    response_from_events,
)

REQUEST = Request("alias", (Message.user("Hi"),), stream=True)
ASKED = Request("alias", (Message.user("Hi"),), stream=True, include_usage=True)
STAMP = Stamp("chatcmpl-stamp", 1700000000, "alias", 7)
START = Start("msg_1", "claude", 5)
PING = Opaque("anthropic", "ping", {"type": "ping"})


def encode(*events, request=REQUEST, close=True):
    encoder = openai_chat.stream_encoder(request, STAMP)
    out = b"".join(encoder.encode(event) for event in events)
    if close:
        out += encoder.close()
    losses = [(loss.path, loss.action) for loss in encoder.losses]
    return out, losses


def frames(*events, **options):
    sse = SSEDecoder()
    found = sse.feed(encode(*events, **options)[0]) + sse.close()
    return [json.loads(frame.data) if frame.data != "[DONE]" else "[DONE]" for frame in found]


def deltas(*events, **options):
    """Return the deltas of the content chunks: without the role's and the finish's."""
    found = [f["choices"][0]["delta"] for f in frames(*events, **options) if "choices" in f]
    assert found[0] == {"role": "assistant", "content": ""}
    assert found[-1] == {}
    return found[1:-1]


def losses_of(*events, **options):
    return encode(*events, **options)[1]


def test_a_usual_stream():
    head = {
        "id": "chatcmpl-stamp",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "alias",
    }

    def chunk(delta, finish=None):
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    assert frames(START, TextDelta(0, "Hel"), TextDelta(0, "lo"), End("stop")) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        "[DONE]",
    ]


def test_usage_comes_last_if_asked_for_and_is_null_before():
    start = Start("x", "m", 5, Usage(input_tokens=10))
    end = End("stop", Usage(output_tokens=5))
    found = frames(start, TextDelta(0, "a"), TextDelta(0, "b"), end, request=ASKED)
    assert [frame.get("usage", "-") for frame in found[:-2]] == [None] * 4
    assert found[-2]["choices"] == []
    assert found[-2]["usage"]["total_tokens"] == 15
    assert not any("usage" in f for f in frames(start, TextDelta(0, "a"), end) if f != "[DONE]")


def test_usage_that_nobody_reported_is_not_invented():
    assert not [
        f for f in frames(START, End("stop"), request=ASKED) if f != "[DONE]" and f["usage"]
    ]


def test_the_template_of_plain_text_is_the_same_as_the_long_way():
    events = [TextDelta(0, "a"), TextDelta(0, 'b\u2028"\\\n'), TextDelta(0, "")]
    tiered = Start("chatcmpl-7", "m", 5, service_tier="flex")
    first, second = frames(tiered, *events, End("stop"), request=ASKED)[1:3]
    assert {**first, "choices": None} == {**second, "choices": None}
    assert second["choices"][0] == {"index": 0, "delta": {"content": "b\u2028\"\\\n"}, "finish_reason": None}  # fmt: skip
    assert list(first) == list(second)


def test_an_upstream_of_this_dialect_keeps_its_id():
    assert frames(Start("chatcmpl-7", "m", 5), End("stop"))[0]["id"] == "chatcmpl-7"
    own = (Opaque("openai_chat", "response", {"own_id": True}),)
    assert frames(Start("gen-7", "m", 5, opaque=own), End("stop"))[0]["id"] == "gen-7"


def test_an_error_is_the_last_frame():
    error = StreamError("overloaded", "busy", status=529)
    found = frames(START, TextDelta(0, "a"), error, End("stop"))
    assert found[-1] == {
        "error": {"message": "busy", "type": "server_error", "param": None, "code": "overloaded"}
    }
    assert len(found) == 3
    assert frames(error) == found[-1:]


def test_a_stream_that_never_ends_ends_in_an_error():
    assert frames(START, TextDelta(0, "a"))[-1]["error"]["code"] == "truncated"
    assert frames()[-1]["error"]["code"] == "truncated"


def test_nothing_follows_the_end():
    encoder = openai_chat.stream_encoder(REQUEST, STAMP)
    encoder.encode(End("stop"))
    assert encoder.encode(TextDelta(0, "late")) == b""
    assert (encoder.ping(), encoder.close()) == (b"", b"")


def test_a_ping_is_a_comment():
    encoder = openai_chat.stream_encoder(REQUEST, STAMP)
    assert encoder.ping() == b": ping\n\n"
    assert encode(START, OpaqueDelta(PING), close=False)[0].endswith(b": ping\n\n")
    assert losses_of(START, OpaqueDelta(PING), End("stop")) == []


ODD = [
    ([TextDelta(0, "a"), End("stop")], ["a"]),
    ([TextDelta(0, "a"), START, TextDelta(0, "b"), End("stop")], ["a", "b"]),
    ([START, START, TextDelta(0, "a"), End("stop")], ["a"]),
    ([START, TextDelta(0, ""), End("stop")], []),
    ([START, PartEnd(3), TextDelta(5, "a"), PartEnd(5), PartEnd(5), End("stop")], ["a"]),
]


@pytest.mark.parametrize(("events", "texts"), ODD)
def test_odd_orders_of_events_make_a_usual_stream(events, texts):
    assert [delta["content"] for delta in deltas(*events)] == texts


# Calls


def test_calls_are_numbered_from_0_in_the_order_in_which_they_open():
    found = deltas(
        START,
        TextDelta(0, "I look."),
        ToolCallDelta(3, "", "a", "f"),
        ToolCallDelta(5, "", "b", "g"),
        ToolCallDelta(3, '{"x"'),
        ToolCallDelta(5, "{}"),
        ToolCallDelta(3, ":1}"),
        End("tool_call"),
    )
    calls = [delta["tool_calls"][0] for delta in found[1:]]
    assert calls[0] == {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}  # fmt: skip
    assert calls[1]["index"] == 1
    assert calls[2] == {"index": 0, "function": {"arguments": '{"x"'}}
    assert [call["index"] for call in calls[2:]] == [0, 1, 0]


def test_a_call_waits_for_its_id_and_its_name():
    found = deltas(START, ToolCallDelta(0, "{"), ToolCallDelta(0, "}", "a", "f"), End("tool_call"))
    calls = [delta["tool_calls"][0] for delta in found]
    assert (calls[0]["id"], calls[0]["function"]) == ("a", {"name": "f", "arguments": "{"})
    assert calls[1] == {"index": 0, "function": {"arguments": "}"}}


def test_a_call_without_an_id_gets_one_and_one_without_a_name_is_dropped():
    events = [
        START,
        ToolCallDelta(0, "{}", name="f"),
        ToolCallDelta(1, "{}", "b"),
        End("tool_call"),
    ]
    (delta,) = deltas(*events)
    assert delta["tool_calls"][0]["id"] == "call_hatcmplstamp_0"
    assert losses_of(*events) == [("message.parts[1]", "dropped")]


def test_a_call_without_arguments_gets_the_empty_object():
    found = deltas(START, ToolCallDelta(0, "", "a", "f"), End("tool_call"))
    assert [d["tool_calls"][0]["function"]["arguments"] for d in found] == ["", "{}"]


def test_a_custom_call_carries_its_text():
    run = ToolCallDelta(0, "print(", "a", "run", "custom")
    found = deltas(START, run, ToolCallDelta(0, "1)", kind="custom"), End("tool_call"))
    assert found[0]["tool_calls"][0]["custom"] == {"name": "run", "input": "print("}
    assert found[1]["tool_calls"][0] == {"index": 0, "custom": {"input": "1)"}}


def test_a_client_that_knows_functions_gets_a_function_call():
    asked = openai_chat.parse_request(
        Incoming({"model": "m", "messages": [], "functions": [{"name": "f"}]})
    )
    events = [
        START,
        ToolCallDelta(0, "", "a", "f"),
        ToolCallDelta(0, "{}"),
        ToolCallDelta(1, "{}", "b", "f"),
        End("tool_call"),
    ]
    found = frames(*events, request=asked)
    said = [frame["choices"][0]["delta"] for frame in found[1:4]]
    assert said[0] == {"function_call": {"name": "f", "arguments": ""}}
    assert said[1] == {"function_call": {"arguments": "{}"}}
    assert said[2]["tool_calls"][0]["id"] == "b"
    assert found[-2]["choices"][0]["finish_reason"] == "function_call"


@pytest.mark.parametrize("finish", ["stop", None, "tool_call"])
def test_an_answer_with_a_call_says_so_at_its_end(finish):
    found = frames(START, ToolCallDelta(0, "{}", "a", "f"), End(finish))
    assert found[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_namespace_is_named_as_lost():
    event = ToolCallDelta(0, "{}", "a", "f", namespace="ns")
    assert losses_of(START, event, End("tool_call")) == [("message.parts[0].namespace", "dropped")]


# Other content


def test_thinking_goes_in_the_field_that_clients_read():
    signature = Opaque("anthropic", "signature", {"signature": "s"})
    events = [
        START,
        ThinkingDelta(0, "a"),
        ThinkingDelta(0, "b"),
        ThinkingDelta(0, "", (signature,)),
        ThinkingDelta(0, "", (signature,)),
        ThinkingDelta(2, "c"),
        End("stop"),
    ]
    assert [d["reasoning_content"] for d in deltas(*events)] == ["a", "b", "\nc"]
    assert losses_of(*events) == [
        ("message.parts[0]", "dropped"),
        ("message.parts[1]", "substituted"),
    ]


def test_thinking_keeps_the_field_of_an_upstream_of_this_dialect():
    note = (Opaque("openai_chat", "thinking", {"field": "reasoning"}),)
    found = deltas(START, ThinkingDelta(0, "a", note), ThinkingDelta(0, "b"), End("stop"))
    assert found == [{"reasoning": "a"}, {"reasoning": "b"}]


def test_a_second_text_is_joined_and_said_to_be():
    events = [START, TextDelta(0, "a"), TextDelta(1, "b"), TextDelta(0, "c"), End("stop")]
    assert [d["content"] for d in deltas(*events)] == ["a", "b", "c"]
    assert losses_of(*events) == [("message.parts[1]", "substituted")]


def test_a_citation_waits_until_the_text_that_it_covers_has_ended():
    cited = CitationPart("https://e.com", "t")
    events = [START, TextDelta(0, "ab"), TextDelta(1, "c"), CitationDelta(1, cited)]
    events += [TextDelta(1, "d"), PartEnd(1), TextDelta(2, "e"), End("stop")]
    place = {"end_index": 4, "start_index": 2, "title": "t", "url": "https://e.com"}
    annotation = {"type": "url_citation", "url_citation": place}
    found = deltas(*events)
    assert found[3] == {"annotations": [annotation]}
    assert ("message.parts[2]", "substituted") in losses_of(*events)


def test_a_citation_that_knows_its_place_goes_at_once():
    cited = CitationPart("https://e.com", "t", start=1, end=2)
    events = [START, TextDelta(0, "ab"), CitationDelta(0, cited), TextDelta(0, "c"), End("stop")]
    assert "annotations" in deltas(*events)[1]
    assert losses_of(*events) == []


def test_a_citation_without_an_address_is_lost():
    cited = PartDelta(1, CitationPart(text="a passage"))
    losses = losses_of(START, TextDelta(0, "a"), cited, End("stop"))
    assert losses[-1] == ("message.parts[1]", "dropped")


def test_refusal_audio_and_logprobs():
    token = (TokenLogprob("a", -1.0),)
    events = [
        START,
        TextDelta(0, "a", token),
        TextDelta(0, "", token),
        RefusalDelta(1, "No", token),
        RefusalDelta(1, ""),
        AudioDelta(2, "AAAA", "Hi"),
        AudioDelta(2, "BBBB"),
        AudioDelta(2),
        End("refusal"),
    ]
    chunks = frames(*events)
    said = [frame["choices"][0] for frame in chunks[1:-2]]
    assert [choice["delta"] for choice in said] == [
        {"content": "a"},
        {},
        {"refusal": "No"},
        {"audio": {"id": "audio_chatcmpl-stamp", "data": "AAAA", "transcript": "Hi"}},
        {"audio": {"data": "BBBB"}},
    ]
    logprobs = [bool(choice.get("logprobs")) for choice in said]
    assert logprobs == [True, True, True, False, False]
    assert chunks[-2]["choices"][0]["finish_reason"] == "content_filter"


def test_whole_parts_go_as_fragments():
    events = [
        START,
        PartDelta(0, ThinkingPart("hm")),
        PartDelta(1, TextPart("a", cache=CacheMark())),
        PartDelta(2, ToolCallPart("c", "f", {"x": 1})),
        PartDelta(3, AudioPart(None, "AAAA")),
        End("tool_call"),
    ]
    found = deltas(*events)
    assert found[0] == {"reasoning_content": "hm"}
    assert found[1] == {"content": "a"}
    assert found[2]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x":1}'}
    assert found[3]["audio"]["data"] == "AAAA"
    assert losses_of(*events) == [("message.parts[1].cache", "dropped")]


LOST = [
    PartDelta(0, ImagePart("image/png", "AAAA")),
    PartDelta(0, ThinkingPart("")),
    PartDelta(0, BuiltinResultPart("s", "web_search")),
    BuiltinCallDelta(0, "{}", "s", "web_search"),
]


@pytest.mark.parametrize("event", LOST, ids=lambda event: event.type)
def test_what_a_chat_stream_cannot_hold_is_named_once(event):
    assert deltas(START, event, End("stop")) == []
    assert losses_of(START, event, End("stop")) == [("message.parts[0]", "dropped")]
    assert len(losses_of(START, LOST[3], LOST[3], End("stop"))) == 1


def test_events_and_keys_of_other_dialects_are_named_once_a_kind():
    news = OpaqueDelta(Opaque("anthropic", "news", {"rest": {"x": 1}}))
    keyed = Opaque("anthropic", "text", {"rest": {"citations": [7], "none": None}})
    spelled = Opaque("anthropic", "text", {"keys": ["text"]})
    events = [news, news, TextDelta(0, "a", opaque=(keyed,)), TextDelta(0, "b", opaque=(keyed,))]
    frame = (Opaque("anthropic", "frame", {"rest": {"padding": "x"}}),)
    events += [TextDelta(0, "c", opaque=(spelled,), wire=frame), End("stop", wire=frame)]
    assert losses_of(START, *events) == [
        ("events.news.x", "dropped"),
        ("message.parts[0].citations", "dropped"),
        ("padding", "dropped"),
    ]


def test_what_an_error_of_another_dialect_says_beside_its_message_is_named():
    error = StreamError("overloaded", "busy", provider_code="overloaded_error", request_id="req_1")
    assert losses_of(START, error) == [
        ("error.provider_code", "substituted"),
        ("error.request_id", "dropped"),
    ]
    assert losses_of(START, StreamError("overloaded", "busy")) == []


# An upstream of the same dialect


def passed(*upstream, request=ASKED):
    """Return the frames that a client gets of an upstream's."""
    decoder = openai_chat.stream_decoder(request, Target())
    sse = SSEDecoder()
    data = "".join(f"data: {f if isinstance(f, str) else json.dumps(f)}\n\n" for f in upstream)
    events = [e for frame in sse.feed(data.encode()) for e in decoder.decode(frame)]
    return frames(*events, *decoder.close(), request=request)


HEAD = {"id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 9, "model": "alias"}


def chunk(delta, finish=None, **fields):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {**HEAD, "choices": [choice], "usage": None, **fields}


def test_keys_that_nobody_knows_pass_in_their_frames():
    upstream = [
        {**HEAD, "choices": [], "usage": None, "prompt_filter_results": [1]},
        chunk({"role": "assistant", "content": "", "refusal": None}, obfuscation="a"),
        chunk({"content": "Hi", "vendor": 1}, obfuscation="b"),
        chunk({"note": "alone"}),
        chunk({}, "stop", obfuscation="c"),
        {**HEAD, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, "obfuscation": "d"},
        "[DONE]",
    ]  # fmt: skip
    got = passed(*upstream)
    assert got[:-1] == upstream[:-1]


def test_a_tier_that_is_known_late_is_said_late():
    found = frames(START, TextDelta(0, "a"), End("stop", service_tier="flex"))
    assert "service_tier" not in found[1]
    assert found[2]["service_tier"] == "flex"


def test_a_stop_sequence_that_chat_cannot_say_is_named():
    assert losses_of(START, End("stop_sequence", stop_sequence="END")) == [
        ("finish", "substituted"),
        ("stop_sequence", "dropped"),
    ]


def test_a_fragment_that_says_nothing_is_not_sent():
    events = [START, ToolCallDelta(0, "{}", "a", "f"), ToolCallDelta(0), End("tool_call")]
    assert len(deltas(*events)) == 1


def test_keys_inside_a_chunk_pass_in_their_objects():
    token = {"token": "a", "logprob": -1.0, "bytes": None, "top_logprobs": [], "vendor": 1}
    head = {**HEAD, "id": "gen-1"}
    call = {
        "index": 0,
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": "{}", "z": 1},
        "y": 2,
    }
    more = {"index": 0, "function": {"z": 3}, "y": 4}
    upstream = [
        {
            **chunk({"role": "assistant", "content": ""}),
            **head,
            "choices": [
                {
                    "index": 0,
                    "delta": {"role": "assistant", "content": ""},
                    "filter": {"a": 1},
                    "finish_reason": None,
                }
            ],
        },
        {
            **chunk({}),
            **head,
            "choices": [
                {
                    "index": 0,
                    "delta": {"content": "a"},
                    "logprobs": {"content": [token], "refusal": None, "vendor": 2},
                    "finish_reason": None,
                }
            ],
        },
        {**chunk({"tool_calls": [call]}), **head},
        {**chunk({"tool_calls": [more]}), **head},
        {**chunk({}, "tool_calls"), **head},
        "[DONE]",
    ]
    assert passed(*upstream) == upstream


def test_the_upstreams_own_finish_word_passes():
    upstream = [chunk({"role": "assistant", "content": ""}), chunk({}, "end_turn"), "[DONE]"]
    assert passed(*upstream) == upstream
    stopped = chunk({}, "stop")
    stopped["choices"][0]["stop_reason"] = "END"
    assert passed(upstream[0], stopped, "[DONE]")[1]["choices"][0]["stop_reason"] == "END"


def test_other_choices_pass_with_role_first_and_one_finish():
    request = openai_chat.parse_request(
        Incoming({"model": "m", "n": 2, "messages": [], "stream_options": {"include_usage": True}})
    )

    def other(delta, finish=None):
        choice = {"index": 1, "delta": delta, "finish_reason": finish}
        return {**HEAD, "choices": [choice], "usage": None}

    first = chunk({"role": "assistant", "content": ""})
    good = [
        first,
        other({"role": "assistant", "content": "B"}),
        other({}, "stop"),
        chunk({}, "stop"),
    ]
    assert passed(*good, "[DONE]", request=request) == [*good, "[DONE]"]
    odd = [
        first,
        other({"content": "B"}),
        other({"role": "assistant", "content": "C"}),
        chunk({}, "stop"),
    ]
    got = passed(*odd, "[DONE]", request=request)
    assert got[1]["choices"][0]["delta"] == {"role": "assistant", "content": "B"}
    assert got[2]["choices"][0]["delta"] == {"content": "C"}
    assert got[4] == other({}, "stop")
    late = [first, other({}, "stop"), other({"content": "late"}), chunk({}, "stop"), "[DONE]"]
    assert passed(*late, request=request)[2]["choices"] == []


def test_content_parts_of_an_upstream_pass():
    part = {"type": "thinking", "thinking": []}
    upstream = [chunk({"role": "assistant", "content": ""}), chunk({"content": [part]}), chunk({}, "stop"), "[DONE]"]  # fmt: skip
    assert passed(*upstream) == upstream
    text = {"type": "text", "text": "Hi", "x": 1}
    assert passed(upstream[0], chunk({"content": [text]}), *upstream[2:])[1]["choices"][0]["delta"] == {"content": [text]}  # fmt: skip


def test_a_whole_answer_that_is_streamed_keeps_what_it_said_beside():
    wire = {
        **HEAD,
        "object": "chat.completion",
        "system_fingerprint": "fp",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "A", "vendor": 1}, "finish_reason": "stop", "filter": {}},
            {"index": 1, "message": {"role": "assistant", "content": "B"}, "finish_reason": "stop"},
        ],
    }  # fmt: skip
    response = openai_chat.parse_response(wire, REQUEST, Target())
    start = Start(
        response.id,
        response.model,
        9,
        opaque=response.opaque,
        message_opaque=response.message.opaque,
    )
    events = [start, TextDelta(0, "A"), End("stop")]
    got = frames(*events)
    assert got[0]["system_fingerprint"] == "fp"
    assert got[0]["choices"][0]["delta"]["vendor"] == 1
    assert got[2]["choices"][0]["filter"] == {}
    assert losses_of(*events) == []


def test_all_choices_of_a_whole_answer_stream_to_a_client_of_the_dialect():
    """Those beyond the first come in one chunk each, and their calls say which they are."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    other = {"role": "assistant", "content": None, "tool_calls": [call], "x": 1}
    wire = {
        **HEAD,
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"},
            {"index": 1, "message": other, "finish_reason": "tool_calls", "logprobs": None},
            {"message": None, "index": []},
        ],
    }
    response = openai_chat.parse_response(wire, REQUEST, Target())
    got = frames(*events_from_response(response))
    choices = [choice for frame in got if frame != "[DONE]" for choice in frame["choices"]]
    second = [choice for choice in choices if choice["index"] == 1]
    third = [choice for choice in choices if choice["index"] == 2]

    assert [c["delta"].get("content") for c in choices if c["index"] == 0] == ["", "A", None]
    assert second == [
        {
            "index": 1,
            "delta": {**other, "tool_calls": [{"index": 0, **call}]},
            "finish_reason": "tool_calls",
            "logprobs": None,
        }
    ]
    assert [c["finish_reason"] for c in third] == [None, "stop"]
    assert losses_of(*events_from_response(response)) == []


def test_what_is_encoded_decodes_to_the_same_answer():
    events = [
        START,
        ThinkingDelta(0, "hm"),
        TextDelta(1, "Hi"),
        ToolCallDelta(2, "{}", "a", "f"),
        End("tool_call", Usage(1, 2, 3)),
    ]
    out, _ = encode(*events, request=ASKED)
    decoder = openai_chat.stream_decoder(ASKED, Target())
    back = [e for frame in SSEDecoder().feed(out) for e in decoder.decode(frame)]
    one, two = response_from_events(events), response_from_events([*back, *decoder.close()])
    assert [p.type for p in one.message.parts] == [p.type for p in two.message.parts]
    assert (one.text, one.thinking, one.tool_calls) == (two.text, two.thinking, two.tool_calls)
    assert (two.finish, two.usage.total_tokens) == ("tool_call", 3)


def test_audio_of_a_format_that_was_not_asked_for_is_named():
    events = [START, PartDelta(0, AudioPart("audio/wav", "AAAA")), End("stop")]

    assert losses_of(*events) == [("message.parts[0].media_type", "dropped")]


def test_a_call_of_another_kind_goes_as_a_function():
    """SDKs know function and custom calls only."""
    part = ToolCallPart("c", "f", {"x": 1}, kind="builtin")
    events = [START, PartDelta(0, part), End("tool_call")]

    assert deltas(*events)[0]["tool_calls"][0]["type"] == "function"
    assert losses_of(*events) == [("message.parts[0].kind", "substituted")]
