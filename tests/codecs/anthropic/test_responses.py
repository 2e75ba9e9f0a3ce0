from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmtools.codecs import anthropic
from lmtools.codecs.base import Stamp, Target
from lmtools.codecs.text import dumps
from lmtools.errors import OverloadedError, ProtocolError
from lmtools.types import (
    CitationPart,
    CustomTool,
    FunctionTool,
    Message,
    Opaque,
    RefusalPart,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from tests.codecs.anthropic.wire import ASK, STAMP, answer_body, plant, said
from tests.corpus import capture_files, case_id


def is_answer(path: Path) -> bool:
    return json.loads(path.read_text()).get("type") == "message"


BODIES = [p for p in capture_files("*/captures/*anthropic.response.json") if is_answer(p)]


def parse(body: Any, request: Request = ASK, **target: Any) -> Response:
    return anthropic.parse_response(body, request, Target(**target))


def render(
    response: Response, stamp: Stamp = STAMP
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    rendered = anthropic.render_response(response, ASK, stamp)
    return rendered.body, said(rendered.losses)


@pytest.mark.parametrize("path", BODIES, ids=case_id)
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_a_captured_answer_comes_out_as_it_went_in(path, change):
    body = change(json.loads(path.read_text()))

    rendered, losses = render(parse(body), Stamp("msg_other", 0, body["model"]))

    assert dumps(rendered) == dumps(body)
    assert losses == []


USAGE = answer_body()["usage"]
ODD = [
    answer_body(stop_reason="compaction"),
    answer_body(stop_reason="word_of_tomorrow"),
    answer_body(stop_reason=None),
    answer_body(stop_reason="stop_sequence", stop_sequence="END"),
    answer_body(stop_reason="refusal", stop_details={"type": "refusal", "category": None}),
    answer_body(container={"id": "c"}, context_management={"applied_edits": []}),
    answer_body(content=[{"type": "tool_use", "id": "t", "name": "x", "input": {}}]),
    answer_body(
        content=[{"type": "tool_use", "id": "t", "name": "x", "input": {}}], stop_reason=None
    ),
    answer_body(usage={"output_tokens": 1, "input_tokens": 2}),
    answer_body(usage={**USAGE, "cache_read_input_tokens": None}),
    answer_body(usage={**USAGE, "output_tokens_details": {"thinking_tokens": 1}, "speed": "fast"}),
    answer_body(usage={**USAGE, "output_tokens_details": {}, "iterations": [{"input_tokens": 1}]}),
    answer_body(usage={**USAGE, "output_tokens_details": None, "service_tier": None}),
    answer_body(usage={**USAGE, "service_tier": "priority", "server_tool_use": {"a": 1}}),
    answer_body(usage={}),
    answer_body(usage=None),
    answer_body(type="message_of_tomorrow", role="narrator"),
    {k: v for k, v in answer_body().items() if k not in ("stop_sequence", "stop_details", "usage")},
    {k: v for k, v in answer_body().items() if k != "stop_reason"},
]


@pytest.mark.parametrize("body", ODD, ids=lambda body: dumps(body)[100:220])
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_an_odd_answer_comes_out_as_it_went_in(body, change):
    body = change(body)

    assert dumps(render(parse(body))[0]) == dumps(body)


def test_usage_counts_cached_input_as_input():
    usage = parse(
        answer_body(
            usage={
                "input_tokens": 10,
                "cache_read_input_tokens": 300,
                "cache_creation_input_tokens": 20,
                "output_tokens": 5,
                "output_tokens_details": {"thinking_tokens": 3},
                "service_tier": "standard",
            }
        )
    )

    held = usage.usage
    assert (held.input_tokens, held.output_tokens, held.total_tokens) == (330, 5, None)
    assert (held.cache_read_tokens, held.cache_write_tokens, held.reasoning_tokens) == (300, 20, 3)
    assert usage.service_tier == "standard"


def test_what_is_not_reported_is_none_and_not_zero():
    usage = parse(answer_body(usage={"input_tokens": 1})).usage

    assert (usage.cache_read_tokens, usage.output_tokens, usage.reasoning_tokens) == (None,) * 3


FINISHES = [
    ("end_turn", "stop"),
    ("max_tokens", "length"),
    ("stop_sequence", "stop_sequence"),
    ("tool_use", "tool_call"),
    ("pause_turn", "pause"),
    ("refusal", "refusal"),
    ("model_context_window_exceeded", "context_length"),
]


@pytest.mark.parametrize(("word", "finish"), FINISHES)
def test_stop_reasons_are_finish_words(word, finish):
    assert parse(answer_body(stop_reason=word)).finish == finish
    assert render(Response("msg_1", "m", Message.assistant("x"), finish))[0]["stop_reason"] == word


@pytest.mark.parametrize(
    ("finish", "calls", "word", "losses"),
    [
        ("content_filter", False, "refusal", [("finish", "substituted")]),
        ("error", False, "end_turn", [("finish", "substituted")]),
        (None, False, "end_turn", [("finish", "defaulted")]),
        ("stop", True, "tool_use", [("finish", "substituted")]),
        (None, True, "tool_use", [("finish", "defaulted")]),
        ("length", True, "max_tokens", []),
    ],
)
def test_a_client_gets_a_stop_reason_that_it_can_act_on(finish, calls, word, losses):
    part = ToolCallPart("t", "x", {}) if calls else TextPart("x")
    usage = Usage(1, 1, cache_read_tokens=0, cache_write_tokens=0)

    body, found = render(Response("msg_1", "m", Message("assistant", (part,)), finish, usage))

    assert body["stop_reason"] == word
    assert found == losses


def test_a_kept_stop_reason_gives_way_to_a_changed_finish():
    for word in ("compaction", "word_of_tomorrow"):
        answer = parse(answer_body(stop_reason=word))
        changed = Response(answer.id, answer.model, answer.message, "length", opaque=answer.opaque)

        assert render(changed)[0]["stop_reason"] == "max_tokens"


def test_a_foreign_answer_has_every_key_that_a_client_reads():
    response = Response(
        "chatcmpl-1",
        "gpt",
        Message("assistant", (ThinkingPart("hm"), TextPart("Hi"), RefusalPart("no"))),
        "refusal",
        Usage(30, 5, 35, cache_read_tokens=10, reasoning_tokens=2),
        created=1,
        service_tier="default",
    )

    body, losses = render(response)

    assert body == {
        "id": "msg_stamp",
        "type": "message",
        "role": "assistant",
        "model": "claude-test",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Hi"},
            {"type": "text", "text": "no"},
        ],
        "stop_reason": "refusal",
        "stop_sequence": None,
        "stop_details": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 10,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 2},
            "service_tier": "standard",
            "cache_creation": None,
            "inference_geo": None,
        },
    }
    assert losses == [
        ("message.parts[2]", "substituted"),
        ("usage", "defaulted"),
        ("service_tier", "substituted"),
    ]


def test_numbers_that_nobody_reported_are_an_estimate_and_one_loss():
    body, losses = render(Response(None, "m", Message.assistant("x"), "stop"))

    assert body["usage"] == {
        "input_tokens": 7,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "cache_creation": None,
        "inference_geo": None,
        "service_tier": None,
    }
    assert losses == [("usage", "defaulted")]


def test_cached_tokens_beyond_the_input_do_not_make_it_negative():
    usage = Usage(5, 1, cache_read_tokens=9, cache_write_tokens=0)

    body, _ = render(Response(None, "m", Message.assistant("x"), "stop", usage))

    assert body["usage"]["input_tokens"] == 0


def test_what_an_answer_cannot_say_is_a_loss():
    usage = Usage(1, 1, 3, 0, 0, input_audio_tokens=1, output_audio_tokens=0)
    foreign = Opaque("other", "choice", {"rest": {"index": 0}})
    response = Response(
        None,
        "m",
        Message("assistant", (), opaque=(foreign,)),
        "stop",
        usage,
        service_tier="flex",
        logprobs=(TokenLogprob("a", 0.0),),
        opaque=(Opaque("other", "body", {"rest": {"object": "x"}}),),
    )

    assert render(response)[1] == [
        ("service_tier", "dropped"),
        ("usage.total_tokens", "dropped"),
        ("usage.input_audio_tokens", "dropped"),
        ("logprobs", "dropped"),
        ("message.index", "dropped"),
        ("object", "dropped"),
    ]


def test_calls_come_back_under_the_clients_own_names_and_kinds():
    request = Request(
        "m",
        (Message.user("x"),),
        tools=(CustomTool("edit"), FunctionTool("ls", namespace="fs")),
    )
    calls = [
        {"type": "tool_use", "id": "a", "name": "edit", "input": {"input": "text"}},
        {"type": "tool_use", "id": "b", "name": "fs__ls", "input": {"a": 1}},
    ]

    answer = parse(answer_body(content=calls), request)

    assert answer.tool_calls == (
        ToolCallPart("a", "edit", "text", kind="custom"),
        ToolCallPart("b", "ls", {"a": 1}, namespace="fs"),
    )


def test_thinking_of_an_answer_carries_the_targets_origin():
    body = answer_body(content=[{"type": "thinking", "thinking": "hm", "signature": "s"}])

    (part,) = parse(body, origin="here").message.parts

    assert part.opaque[0].origin == "here"


def test_an_error_in_an_answer_is_raised():
    with pytest.raises(OverloadedError) as caught:
        parse({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})

    assert (caught.value.status, caught.value.message) == (529, "busy")


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"content": 7},
        {},
        {"detail": "no"},
        {"choices": []},
        {"content": [7]},
        {"content": [], "usage": []},
        {"content": [], "usage": {"input_tokens": -1}},
        {"content": [], "usage": {"input_tokens": "1"}},
        {"content": [], "id": 7},
    ],
)
def test_what_is_no_answer_is_a_breach_of_protocol(body):
    with pytest.raises(ProtocolError, match="anthropic: not an answer"):
        parse(body)


def test_an_answer_that_says_nothing_is_still_an_answer():
    answer = parse({"content": []})

    assert (answer.id, answer.model, answer.finish) == (None, "claude-test", None)
    assert answer.message == Message("assistant", ())


def test_citations_of_an_answer_belong_to_the_text_before_them():
    cited = {"type": "page_location", "cited_text": "c", "document_title": "t"}
    body = answer_body(content=[{"type": "text", "text": "x", "citations": [cited]}])

    text, citation = parse(body).message.parts

    assert text == TextPart("x")
    assert isinstance(citation, CitationPart)
    assert (citation.title, citation.text) == ("t", "c")


def test_a_message_id_begins_as_clients_expect():
    stamp = Stamp("abc", 0, "m")

    assert render(Response(None, "m", Message("assistant", ())), stamp)[0]["id"] == "msg_abc"
