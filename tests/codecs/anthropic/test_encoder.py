from __future__ import annotations

import json
from dataclasses import replace

import pytest

from conformance.automata import breach
from conformance.sequences import ADVERSARIAL, variants
from lmtools.codecs import anthropic
from lmtools.types import (
    AudioDelta,
    AudioPart,
    BuiltinCallDelta,
    BuiltinCallPart,
    BuiltinResultPart,
    CitationDelta,
    CitationPart,
    End,
    ImagePart,
    Opaque,
    OpaqueDelta,
    PartDelta,
    PartEnd,
    RefusalDelta,
    RefusalPart,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    TokenLogprob,
    ToolCallDelta,
    ToolCallPart,
    ToolsPart,
    Usage,
)
from tests.codecs.anthropic.wire import (
    ASK,
    STAMP,
    decode,
    encode,
    end_frames,
    frame,
    read,
    start_frame,
)

FOREIGN = Opaque("other", "chunk", {"rest": {"fingerprint": "x"}})
SIGNED = Opaque("anthropic", "signature", {"signature": "s"})
COUNTED = Usage(3, 5, cache_read_tokens=0, cache_write_tokens=0)
START, END = Start("id", "m", usage=COUNTED), End("stop", COUNTED)


def blocks(*events):
    """Return the frames between the start and the end, without what repeats, and the losses."""
    bodies, losses = encode([START, *events, END])
    assert [b["type"] for b in (bodies[0], *bodies[-2:])] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    short = []
    for body in bodies[1:-2]:
        held = body.get("content_block", body.get("delta", "stop"))
        short.append((body.get("index"), held))
    return short, losses


def test_text_is_a_block_with_a_start_deltas_and_a_stop():
    assert blocks(TextDelta(0, "a"), TextDelta(0, "b"), PartEnd(0)) == (
        [
            (0, {"type": "text", "text": ""}),
            (0, {"type": "text_delta", "text": "a"}),
            (0, {"type": "text_delta", "text": "b"}),
            (0, "stop"),
        ],
        [],
    )


def test_thinking_starts_with_the_keys_that_clients_append_to():
    """The official stream helper fails on a thinking block without ``thinking`` and ``signature``."""
    assert blocks(ThinkingDelta(0, "hm"), TextDelta(1, "x"))[0][:3] == [
        (0, {"type": "thinking", "thinking": "", "signature": ""}),
        (0, {"type": "thinking_delta", "thinking": "hm"}),
        (0, "stop"),
    ]


def test_a_signature_comes_right_before_the_stop():
    events = (ThinkingDelta(0, "a", (SIGNED,)), ThinkingDelta(0, "b"), PartEnd(0))

    assert blocks(*events)[0][1:] == [
        (0, {"type": "thinking_delta", "thinking": "a"}),
        (0, {"type": "thinking_delta", "thinking": "b"}),
        (0, {"type": "signature_delta", "signature": "s"}),
        (0, "stop"),
    ]


def test_a_call_starts_with_an_empty_input_and_its_text_comes_in_deltas():
    events = (ToolCallDelta(0, '{"a"', "call_1", "ls"), ToolCallDelta(0, ":1}"))

    assert blocks(*events) == (
        [
            (0, {"type": "tool_use", "id": "call_1", "name": "ls", "input": {}}),
            (0, {"type": "input_json_delta", "partial_json": '{"a"'}),
            (0, {"type": "input_json_delta", "partial_json": ":1}"}),
            (0, "stop"),
        ],
        [("finish", "substituted")],
    )


def test_a_call_is_announced_whatever_the_last_word_was():
    bodies, _ = encode([START, ToolCallDelta(0, "{}", "c", "ls"), END])

    assert bodies[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_call_that_names_nothing_gets_an_id_and_a_name():
    ((_, block), *_), losses = blocks(ToolCallDelta(0))

    assert ("message.parts[0].name", "defaulted") in losses
    assert block == {"type": "tool_use", "id": "toolu_msg_stamp_0", "name": "unnamed", "input": {}}


@pytest.mark.parametrize(
    ("deltas", "text"),
    [
        ((ToolCallDelta(0, "", "c", "e", "custom"),), ""),
        (
            (
                ToolCallDelta(0, 'a"', "c", "e", "custom"),
                ToolCallDelta(0, "", kind="custom"),
                ToolCallDelta(0, "\nb", kind="custom"),
            ),
            'a"\nb',
        ),
    ],
)
def test_free_text_input_is_the_string_of_an_object(deltas, text):
    short, losses = blocks(*deltas)

    joined = "".join(held["partial_json"] for _, held in short[1:-1])
    assert json.loads(joined) == {"input": text}
    assert losses == [("message.parts[0]", "emulated"), ("finish", "substituted")]


def test_parts_that_interleave_become_blocks_in_turn():
    short, _ = blocks(
        TextDelta(0, "x"),
        ToolCallDelta(1, "{", "a", "f"),
        ToolCallDelta(2, "{", "b", "g"),
        ToolCallDelta(1, "}"),
        ToolCallDelta(2, "}"),
    )

    assert [index for index, _ in short] == [0] * 3 + [1] * 4 + [2] * 4


FOREIGN_EVENTS = [
    (
        RefusalDelta(0, "no"),
        {"type": "text_delta", "text": "no"},
        [("message.parts[0]", "substituted")],
    ),
    (
        AudioDelta(0, "AA==", "said"),
        {"type": "text_delta", "text": "said"},
        [("message.parts[0]", "substituted")],
    ),
    (AudioDelta(0, "AA=="), None, [("message.parts[0]", "substituted")]),
    (
        TextDelta(0, "x", (TokenLogprob("x", 0.0),)),
        {"type": "text_delta", "text": "x"},
        [("logprobs", "dropped")],
    ),
    (
        TextDelta(0, "x", opaque=(FOREIGN,), wire=(FOREIGN,)),
        {"type": "text_delta", "text": "x"},
        [("message.parts.fingerprint", "dropped"), ("fingerprint", "dropped")],
    ),
    (
        ThinkingDelta(0, "x", (FOREIGN,)),
        {"type": "thinking_delta", "thinking": "x"},
        [("message.parts.fingerprint", "dropped")],
    ),
    (PartDelta(0, TextPart("x")), {"type": "text_delta", "text": "x"}, []),
    (
        PartDelta(0, RefusalPart("x")),
        {"type": "text_delta", "text": "x"},
        [("message.parts[0]", "substituted")],
    ),
    (
        PartDelta(0, AudioPart("audio/wav", "AA==", transcript="x")),
        {"type": "text_delta", "text": "x"},
        [("message.parts[0]", "substituted")],
    ),
    (PartDelta(0, ThinkingPart("x")), {"type": "thinking_delta", "thinking": "x"}, []),
    (
        PartDelta(0, BuiltinCallPart("i", "web_search", {"q": 1})),
        {"type": "input_json_delta", "partial_json": '{"q":1}'},
        [],
    ),
    (
        ToolCallDelta(0, "{}", "c", "f", namespace="n", opaque=(FOREIGN,)),
        {"type": "input_json_delta", "partial_json": "{}"},
        [
            ("message.parts.fingerprint", "dropped"),
            ("message.parts[0].namespace", "dropped"),
            ("finish", "substituted"),
        ],
    ),
]


@pytest.mark.parametrize(("event", "delta", "losses"), FOREIGN_EVENTS, ids=lambda e: str(e)[:60])
def test_events_of_other_dialects(event, delta, losses):
    short, found = blocks(event)

    assert [held for _, held in short[1:-1]] == ([] if delta is None else [delta])
    assert found == losses


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (ToolCallPart("c", "f", {"a": 1}), '{"a":1}'),
        (ToolCallPart("c", "f", {"a": 1}, text='{ "a": 1 }'), '{ "a": 1 }'),
    ],
)
def test_a_whole_call_is_a_start_and_a_delta(part, text):
    short, _ = blocks(PartDelta(0, part))

    assert short[1] == (0, {"type": "input_json_delta", "partial_json": text})


def test_a_whole_call_without_arguments_has_no_delta():
    short, _ = blocks(PartDelta(0, ToolCallPart("c", "f", {})))

    assert [held for _, held in short[1:]] == ["stop"]


def test_a_whole_custom_call_is_its_text():
    short, _ = blocks(PartDelta(0, ToolCallPart("c", "f", "text", kind="custom")))

    assert short[1][1]["partial_json"] == '{"input":"text'


def test_loss_of_a_kind_is_recorded_once():
    logprob = (TokenLogprob("x", 0.0),)
    many = [TextDelta(0, "x", logprob, wire=(FOREIGN,)) for _ in range(50)]

    assert blocks(*many)[1] == [("logprobs", "dropped"), ("fingerprint", "dropped")]


def test_citations_go_where_their_text_is():
    cited = CitationDelta(0, CitationPart("u", "t", start=1, end=3))

    short, losses = blocks(TextDelta(0, "ab"), TextDelta(0, "cd"), cited)

    assert short[3][1] == {
        "type": "citations_delta",
        "citation": {
            "type": "web_search_result_location",
            "cited_text": "bc",
            "url": "u",
            "title": "t",
            "encrypted_index": "",
        },
    }
    assert losses == [("message.parts[1]", "emulated")]


def test_a_citation_after_its_text_was_closed_opens_a_text_again():
    late = PartDelta(0, CitationPart("u"))

    short, _ = blocks(TextDelta(0, "a"), ThinkingDelta(1, "b"), late)

    assert short[-3][1] == {"type": "text", "text": ""}
    assert short[-2][1]["type"] == "citations_delta"


def test_whole_parts_are_their_block():
    redacted = ThinkingPart("", opaque=(Opaque("anthropic", "redacted", {"data": "d"}),))

    for event in (PartDelta(0, redacted), ThinkingDelta(0, "", redacted.opaque)):
        short, losses = blocks(event)
        assert short == [(0, {"type": "redacted_thinking", "data": "d"}), (0, "stop")]
        assert losses == []


def test_media_is_a_block_as_in_a_whole_answer():
    short, losses = blocks(PartDelta(0, ImagePart(url="u", detail="low")))

    assert short[0][1] == {"type": "image", "source": {"type": "url", "url": "u"}}
    assert losses == [("message.parts[0].detail", "dropped")]


@pytest.mark.parametrize(
    "event",
    [
        BuiltinCallDelta(0, "{", "i", "web_search", opaque=(FOREIGN,)),
        PartDelta(0, BuiltinResultPart("i", "web_search", opaque=(FOREIGN,))),
        PartDelta(0, ToolsPart(())),
    ],
)
def test_a_part_without_a_block_is_one_loss_and_takes_no_index(event):
    short, losses = blocks(event, BuiltinCallDelta(0, "}"), PartEnd(0), TextDelta(1, "x"))

    assert [index for index, _ in short] == [0, 0, 0]
    assert losses == [("message.parts[0]", "dropped")]


def test_a_builtin_call_without_an_id_gets_one():
    ((_, block), *_), _ = blocks(BuiltinCallDelta(0))

    assert block["id"] == "srvtoolu_msg_stamp_0"


@pytest.mark.parametrize(
    ("code", "losses"),
    [
        ("server_error", [("error.provider_code", "substituted")]),
        ("overloaded_error", []),
        (None, []),
    ],
)
def test_a_word_of_an_error_that_the_api_does_not_have_is_named(code, losses):
    error = StreamError("overloaded", "busy", provider_code=code, request_id="req_1")
    bodies, got = encode([START, error])

    assert (bodies[-1]["error"]["type"], bodies[-1]["request_id"]) == ("overloaded_error", "req_1")
    assert got == losses


def test_what_stands_beside_anothers_frames_is_named_by_its_keys():
    """Azure reports on the prompt before its first chunk, and on the answer in each choice."""
    report = {"prompt_filter_results": [1], "none": None, "empty": []}
    before = Opaque("openai_chat", "preamble", {"chunks": [report]})
    data = {"rest": {"obfuscation": "x"}, "choice": {"filter": {}}, "delta": {"vendor": 1}}
    beside = Opaque("openai_chat", "chunk", data)
    start = replace(START, wire=(before,))
    text = [TextDelta(0, word, wire=(beside,)) for word in "ab"]
    _, losses = encode([start, *text, End("stop", wire=(beside,))])

    assert losses == [
        (key, "dropped") for key in ("prompt_filter_results", "obfuscation", "filter", "vendor")
    ]


def test_events_that_only_others_know_are_one_loss_each_kind():
    event = OpaqueDelta(FOREIGN)
    inner = OpaqueDelta(FOREIGN, 0)

    assert blocks(event, TextDelta(0, "x"), inner, event, inner)[1] == [
        ("fingerprint", "dropped"),
        ("message.parts.fingerprint", "dropped"),
        ("message.parts.chunk", "dropped"),
    ]


@pytest.mark.parametrize(
    "data",
    [{"type": "message_stop"}, {"type": "content_block_start"}, {"x": 1}, {"type": 7}],
)
def test_an_event_of_ours_that_would_break_the_order_is_not_sent(data):
    short, losses = blocks(OpaqueDelta(Opaque("anthropic", "event", data)))

    assert (short, losses) == ([], [("event", "dropped")])


def test_an_unknown_delta_goes_only_into_its_own_open_block():
    odd = OpaqueDelta(Opaque("anthropic", "delta", {"delta": {"type": "odd"}}), 0)

    assert blocks(TextDelta(0, ""), odd)[0][1] == (0, {"type": "odd"})
    short, losses = blocks(TextDelta(0, ""), TextDelta(1, ""), odd)
    assert ("message.parts", "dropped") in losses
    assert all(held != {"type": "odd"} for _, held in short)


def test_usage_of_the_end_is_filled_from_the_start_and_estimated_once():
    bodies, losses = encode([Start("id"), End("stop", Usage(output_tokens=5))])

    assert bodies[0]["message"]["usage"]["input_tokens"] == 7
    assert bodies[1]["usage"] == {
        "input_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 5,
    }
    assert losses == [("usage", "defaulted")]

    start = Start("id", usage=Usage(30, 1, cache_read_tokens=10, cache_write_tokens=5))
    bodies, losses = encode([start, End("stop", Usage(output_tokens=9))])
    assert bodies[1]["usage"] == {
        "input_tokens": 15,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 10,
        "output_tokens": 9,
    }
    assert losses == []


def test_the_message_has_the_stamps_name_and_an_id_of_this_dialect():
    assert encode([Start("chatcmpl-1", "gpt"), END])[0][0]["message"]["id"] == "msg_stamp"
    message = encode([Start("msg_own", "gpt"), END])[0][0]["message"]
    assert (message["id"], message["model"]) == ("msg_own", "claude-test")


@pytest.mark.parametrize("finish", ["length", "content_filter", None])
def test_a_stream_always_gives_a_stop_reason(finish):
    bodies, _ = encode([START, End(finish, COUNTED)])

    assert isinstance(bodies[-2]["delta"]["stop_reason"], str)


def test_a_stream_that_fails_ends_with_its_error():
    error = StreamError("overloaded", "busy", request_id="req_1", opaque=(FOREIGN,))

    bodies, losses = encode([START, TextDelta(0, "a"), error, TextDelta(0, "b"), END])

    assert bodies[-1] == {
        "type": "error",
        "error": {"type": "overloaded_error", "message": "busy"},
        "request_id": "req_1",
    }
    assert [body["type"] for body in bodies].count("error") == 1
    assert losses == [("error.fingerprint", "dropped")]


def test_a_stream_that_was_never_finished_ends_with_an_error():
    bodies, _ = encode([START, TextDelta(0, "a")])

    assert bodies[-1]["error"]["type"] == "api_error"


def test_a_ping_may_come_at_any_time_until_the_end():
    encoder = anthropic.stream_encoder(ASK, STAMP)

    assert encoder.ping() == b'event: ping\ndata: {"type":"ping"}\n\n'
    encoder.encode(START)
    assert encoder.ping() != b""
    encoder.encode(END)
    assert encoder.ping() + encoder.close() + encoder.encode(TextDelta(0, "x")) == b""


@pytest.mark.parametrize("events", ADVERSARIAL.values(), ids=ADVERSARIAL)
def test_any_order_of_events_gives_an_order_of_frames_that_clients_allow(events):
    for _, varied in [("as it is", events), *variants(events)]:
        encoder = anthropic.stream_encoder(ASK, STAMP)
        data = b"".join(encoder.encode(event) + encoder.ping() for event in varied)
        assert breach("anthropic", read(data + encoder.close())) is None


def test_line_breaks_and_separators_inside_text_stay_in_one_frame():
    text = "a\nb\r\nc\u2028d\x85e\ud800"

    bodies, _ = encode([START, TextDelta(0, ""), TextDelta(0, text), END])

    assert bodies[2]["delta"]["text"] == text
    assert [e.text for e in decode(read(_encoded(text))) if isinstance(e, TextDelta)][1] == text


def _encoded(text: str) -> bytes:
    encoder = anthropic.stream_encoder(ASK, STAMP)
    return b"".join(encoder.encode(e) for e in (START, TextDelta(0, ""), TextDelta(0, text), END))


def test_service_tiers_are_said_where_the_wire_has_them():
    bodies, losses = encode([Start("i", usage=COUNTED, service_tier="priority"), END])

    assert bodies[0]["message"]["usage"]["service_tier"] == "priority"
    assert losses == []


def test_a_call_that_goes_on_after_it_was_complete_is_a_loss():
    late = [ToolCallDelta(0, "{}", "c", "f"), TextDelta(1, "x"), ToolCallDelta(0, "{}")]

    assert ("message.parts", "dropped") in blocks(*late)[1]


@pytest.mark.parametrize(
    ("first", "last", "said", "losses"),
    [
        ("standard", "standard", "standard", []),
        (None, "priority", None, [("service_tier", "dropped")]),
    ],
)
def test_the_tier_stands_at_the_start_alone(first, last, said, losses):
    """Chat names it in every chunk; the SDK's usage of a ``message_delta`` has no such key."""
    start = Start("id", "m", usage=COUNTED, service_tier=first)

    bodies, found = encode([start, TextDelta(0, "a"), End("stop", COUNTED, service_tier=last)])

    assert bodies[0]["message"]["usage"].get("service_tier") == said
    assert "service_tier" not in bodies[-2]["usage"]
    assert found == losses


def test_a_tier_that_this_dialect_named_at_the_end_stays_there():
    end = end_frames()
    delta = json.loads(end[0].data)
    delta["usage"]["service_tier"] = "standard"

    bodies, losses = encode(decode([start_frame(), frame(delta), end[1]]))

    assert bodies[-2] == delta
    assert losses == []
