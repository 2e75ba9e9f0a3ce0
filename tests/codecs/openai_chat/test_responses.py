"""Whole answers: from upstreams of all kinds, and to Chat clients from all dialects."""

from __future__ import annotations

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Incoming, Stamp, Target
from lmtools.codecs.text import dumps, loads
from lmtools.errors import ApiError, ProtocolError
from lmtools.types import (
    AudioPart,
    BuiltinCallPart,
    CacheMark,
    CitationPart,
    CustomTool,
    FunctionTool,
    ImagePart,
    Message,
    Opaque,
    OpaquePart,
    RefusalPart,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from tests import corpus

REQUEST = Request("gpt-4.1", (Message.user("Hi"),))
STAMP = Stamp("chatcmpl-stamp", 1700000000, "alias", 7)
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def parse(body, request=REQUEST, **target):
    return openai_chat.parse_response(body, request, Target(**target))


def render(response, request=REQUEST, stamp=STAMP):
    rendered = openai_chat.render_response(response, request, stamp)
    return rendered.body, [(loss.path, loss.action) for loss in rendered.losses]


def answer(message=None, **fields):
    finish = fields.pop("finish_reason", "stop")
    choice = {"index": 0, "message": message or {"role": "assistant", "content": "Hi"}}
    choice |= fields.pop("choice", {}) | {"finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"} | {
        "choices": [choice],
        **fields,
    }


def spoke(*parts, finish="stop", **fields):
    return Response("x", "m", Message("assistant", parts), finish, **fields)


def captured():
    names = ("openai", "argo-openai")
    files = corpus.capture_files("*/captures/*.response.json")
    found = [path for path in files if path.name.partition(".")[0] in names]
    return [path for path in found if "models" not in path.parts[-3]]


@pytest.mark.parametrize("path", captured(), ids=corpus.case_id)
def test_captured_answers_come_back_byte_for_byte(path):
    wire = loads(path.read_text("utf-8"))
    rendered = openai_chat.render_response(parse(wire), REQUEST, Stamp("x", 1, ""))
    assert dumps(rendered.body) == dumps(wire)
    assert rendered.losses == ()


#: Answers of servers that no capture has.
SPELLINGS = [
    answer(id="gen-17"),  # OpenRouter
    answer(choice={"stop_reason": "END"}, finish_reason="stop"),  # vLLM
    answer(choice={"stop_reason": None}),
    answer(choice={"stop_reason": 128009}),
    answer(finish_reason="eos"),
    answer(finish_reason=None),
    answer(finish_reason="something new"),
    answer(finish_reason="insufficient_system_resource"),  # DeepSeek
    answer({"role": "assistant", "content": None, "tool_calls": [CALL]}, finish_reason="stop"),
    answer({"role": "assistant", "content": "", "tool_calls": []}),
    answer({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}, finish_reason="function_call"),
    answer({"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": []}]}),  # Mistral
    answer({"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "annotations": [{"type": "url_citation", "url_citation": {"end_index": 2, "start_index": 1, "title": "t", "url": "u"}}]}),
    answer({"role": "assistant", "content": "x", "annotations": [{"type": "file_citation", "file_citation": {"a": 1}}]}),
    answer({"role": "assistant", "content": "x", "annotations": [{"type": "url_citation", "url_citation": {"start_index": -1, "url": "u"}}]}),
    answer({"role": "assistant", "content": "x", "annotations": None}),
    answer({"role": "assistant", "content": None, "audio": {"id": "a", "data": "AAAA", "expires_at": 5, "transcript": "Hi"}}),
    answer({"role": "assistant", "content": None, "audio": {"id": "a"}}),
    answer({"role": "assistant", "content": None, "tool_calls": [{"id": "m", "type": "mcp", "mcp": {}}]}, finish_reason="tool_calls"),
    answer(usage=None),
    answer(usage={}),
    answer(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_cache_hit_tokens": 2, "prompt_cache_miss_tokens": 1}),  # DeepSeek
    answer(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "cached_tokens": 2}),  # Moonshot
    answer(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": None}),
    answer(usage={"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, "prompt_tokens_details": {}}),
    answer(choice={"logprobs": {"content": None, "refusal": []}}),
    answer(choice={"logprobs": []}),
    answer(choice={"logprobs": {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [{"token": "b", "logprob": -1}]}]}}),
    answer(object="chat.completion.chunk"),
    answer(service_tier="flex", moderation={"input": {}}),
]  # fmt: skip


@pytest.mark.parametrize("wire", SPELLINGS, ids=lambda w: dumps(w)[60:150])
def test_each_spelling_comes_back_as_it_came(wire):
    rendered = openai_chat.render_response(parse(wire), REQUEST, Stamp("x", 1, ""))
    assert dumps(rendered.body) == dumps(wire)
    assert rendered.losses == ()


WRONG = [
    ([], "malformed answer: body: expected an object, got a list"),
    ("text", "malformed answer: body: expected an object, got a string"),
    ({"id": "x"}, "malformed answer: choices: expected a list with a choice in it, got nothing"),
    ({"choices": []}, "malformed answer: choices: expected a list with a choice in it, got nothing"),
    ({"choices": [7]}, "malformed answer: choices[0]: expected an object, got 7"),
    ({"choices": [{}]}, "malformed answer: choices[0].message: expected an object, got null"),
    (answer({"content": 7}), "malformed answer: choices[0].message.content: expected a string, a list or null, got 7"),
    (answer({"tool_calls": [{"id": "c", "function": {}}]}), "malformed answer: choices[0].message.tool_calls[0].function.name: expected a string, got nothing"),
    (answer(choice={"logprobs": {"content": [{"token": "a"}]}}), "malformed answer: choices[0].logprobs.content[0].logprob: expected a number, got nothing"),
    (answer(choice={"logprobs": {"content": [{"token": "a", "logprob": float("inf")}]}}), "malformed answer: TokenLogprob.logprob: inf is not finite"),
    (answer(created="now"), "malformed answer: created: expected an integer, got a string"),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "message"), WRONG, ids=[m for _, m in WRONG])
def test_a_malformed_answer_is_a_breach_of_protocol_that_names_the_path(wire, message):
    with pytest.raises(ProtocolError) as caught:
        parse(wire)
    assert str(caught.value) == message


ERRORS = [
    ({"error": {"message": "no", "type": "server_error", "code": 502}}, "server", 502),
    ({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, "rate_limit", 429),
    ({"type": "error", "error": {"type": "api_error", "message": "broken"}}, "server", 500),
    ({"error": "model crashed", "choices": []}, "provider", 502),
    ({"detail": "Method Not Allowed"}, "provider", 502),
]


@pytest.mark.parametrize(("wire", "code", "status"), ERRORS)
def test_an_error_that_comes_with_status_200_is_raised(wire, code, status):
    with pytest.raises(ApiError) as caught:
        parse(wire)
    assert (caught.value.code, caught.value.status) == (code, status)


FINISH = [
    ("stop", "stop", None),
    ("length", "length", None),
    ("tool_calls", "tool_call", None),
    ("function_call", "tool_call", None),
    ("content_filter", "content_filter", None),
    ("end_turn", "stop", None),
    ("model_length", "context_length", None),
    ("error", "error", None),
    (None, None, None),
    ("nobody knows", None, None),
]


@pytest.mark.parametrize(("word", "finish", "sequence"), FINISH)
def test_finish_words_have_a_canonical_meaning(word, finish, sequence):
    parsed = parse(answer(finish_reason=word))
    assert (parsed.finish, parsed.stop_sequence) == (finish, sequence)


def test_vllm_tells_which_stop_sequence_came():
    parsed = parse(answer(choice={"stop_reason": "END"}))
    assert (parsed.finish, parsed.stop_sequence) == ("stop_sequence", "END")


def test_the_choice_with_index_0_is_the_answer_wherever_it_stands():
    two = answer()
    two["choices"] = [
        {"index": 1, "message": {"role": "assistant", "content": "B"}, "finish_reason": "stop"},
        {"index": 0, "message": {"role": "assistant", "content": "A"}, "finish_reason": "stop"},
    ]
    assert parse(two).text == "A"
    assert dumps(render(parse(two), stamp=Stamp("x", 1, ""))[0]) == dumps(two)


def test_ids_are_minted_for_calls_that_have_none_and_differ_by_answer():
    nameless = {"function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [nameless, nameless]}
    one, two = (
        [call.id for call in parse(answer(message, id=f"chatcmpl-{n}")).tool_calls] for n in "ab"
    )
    assert one == ["call_chatcmpla_0", "call_chatcmpla_1"]
    assert not set(one) & set(two)
    unnamed = answer(message)
    del unnamed["id"]
    assert [call.id for call in parse(unnamed).tool_calls] == ["call_0", "call_1"]


def test_a_renamed_tool_comes_back_under_its_own_name():
    request = Request("m", (Message.user("Hi"),), tools=(FunctionTool("a.b", namespace="ns"),))
    target = {"name_rule": r"^\w{1,64}$"}
    body = openai_chat.render_request(request, Target(**target)).body
    name = body["tools"][0]["function"]["name"]
    call = {"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    (called,) = parse(answer(message), request, **target).tool_calls
    assert (called.namespace, called.name) == ("ns", "a.b")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [('{"input":"1+1"}', "1+1"), ('{"code":"1+1"}', "1+1"), ("1+1", "1+1"), ("", "")],
)
def test_a_custom_tool_that_was_called_as_a_function_is_still_a_custom_call(arguments, text):
    request = Request("m", (Message.user("Hi"),), tools=(CustomTool("run"),))
    call = {"id": "c", "type": "function", "function": {"name": "run", "arguments": arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    (made,) = parse(answer(message), request).tool_calls
    assert (made.kind, made.input, made.text) == ("custom", text, text)


def test_the_model_is_the_targets_where_the_answer_names_none():
    wire = answer()
    del wire["model"]
    assert parse(wire, model="upstream").model == "upstream"
    assert parse(wire).model == "gpt-4.1"


def test_spoken_audio_has_the_type_that_was_asked_for():
    asked = openai_chat.parse_request(
        Incoming({"model": "m", "messages": [], "audio": {"voice": "ash", "format": "mp3"}})
    )
    message = {"role": "assistant", "content": None, "audio": {"data": "AAAA", "transcript": "Hi"}}
    (part,) = parse(answer(message), asked).message.parts
    assert (part.media_type, part.transcript) == ("audio/mpeg", "Hi")


USAGE = [
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2, "audio_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 1, "accepted_prediction_tokens": 0},
        },
        Usage(10, 5, 15, 4, 2, 3, 1, 1),
    ),
    ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4}, Usage(10, cache_read_tokens=4)),
    ({"prompt_tokens": 10, "cached_tokens": 4}, Usage(10, cache_read_tokens=4)),
    ({"prompt_tokens": 10, "completion_tokens": None}, Usage(10)),
    ({}, Usage()),
]  # fmt: skip


@pytest.mark.parametrize(("wire", "usage"), USAGE)
def test_counts_mean_the_same_as_everywhere(wire, usage):
    parsed = parse(answer(usage=wire)).usage
    assert (
        Usage(*[getattr(parsed, n) for n in Usage.__dataclass_fields__ if n != "opaque"]) == usage
    )


# To a client


def test_a_foreign_answer_says_everything_that_openai_always_says():
    usage = Usage(10, 5, cache_read_tokens=4)
    body, losses = render(spoke(TextPart("Hi"), usage=usage, service_tier="standard"))
    assert body == {
        "id": "chatcmpl-stamp",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "alias",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {},
        },
        "service_tier": "default",
    }  # fmt: skip
    assert losses == [("service_tier", "substituted")]


def test_a_count_that_nobody_reported_is_the_estimate_with_one_loss():
    body, losses = render(spoke(TextPart("Hi"), usage=Usage(cache_read_tokens=1)))
    assert body["usage"]["prompt_tokens"] == 7
    assert body["usage"]["completion_tokens"] == 0
    assert losses == [("usage", "defaulted")]
    assert "usage" not in render(spoke(TextPart("Hi")))[0]


def test_counts_that_are_none_are_repaired_and_fail_no_answer():
    wire = answer(usage={"prompt_tokens": 3, "completion_tokens": -1, "total_tokens": "many"})
    body, losses = render(parse(wire))
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3}
    assert losses == [("usage", "defaulted")]


ENDS = [
    ("stop", (), "stop", []),
    ("stop", (ToolCallPart("c", "f", {}),), "tool_calls", [("finish", "substituted")]),
    (None, (ToolCallPart("c", "f", {}),), "tool_calls", [("finish", "substituted")]),
    (None, (), "stop", [("finish", "substituted")]),
    ("tool_call", (ToolCallPart("c", "f", {}),), "tool_calls", []),
    ("length", (ToolCallPart("c", "f", {}),), "length", []),
    ("stop_sequence", (), "stop", [("finish", "substituted")]),
    ("context_length", (), "length", [("finish", "substituted")]),
    ("refusal", (), "content_filter", [("finish", "substituted")]),
    ("pause", (), "stop", [("finish", "substituted")]),
    ("error", (), "length", [("finish", "substituted")]),
]


@pytest.mark.parametrize(("finish", "parts", "word", "losses"), ENDS)
def test_a_finish_is_one_of_the_five_words_that_clients_know(finish, parts, word, losses):
    body, got = render(spoke(*parts, finish=finish))
    assert body["choices"][0]["finish_reason"] == word
    assert got == losses


def message_of(*parts, request=REQUEST):
    body, losses = render(spoke(*parts), request)
    plain = {"role": "assistant", "refusal": None, "annotations": []}
    message = body["choices"][0]["message"]
    return {k: v for k, v in message.items() if plain.get(k, "") != v}, [p for p, _ in losses]


def test_texts_and_thinking_are_joined_and_said_to_be():
    parts = (ThinkingPart("a"), TextPart("x"), ThinkingPart("b"), TextPart("y"))
    message, losses = message_of(*parts)
    assert message == {"content": "xy", "reasoning_content": "a\nb"}
    assert losses == ["message.parts[2]", "message.parts[3]"]


def test_the_state_of_thinking_does_not_travel():
    signed = ThinkingPart("a", opaque=(Opaque("anthropic", "signature", {"signature": "s"}),))
    message, losses = message_of(signed, ThinkingPart(""), TextPart("x"))
    assert message == {"content": "x", "reasoning_content": "a"}
    assert losses == ["message.parts[0].signature", "message.parts[1]"]


def test_a_citation_of_a_whole_block_gets_the_place_of_that_block():
    parts = (TextPart("ab"), TextPart("cde"), CitationPart("https://e.com", None, "quoted"))
    message, losses = message_of(*parts)
    assert message["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {
                "end_index": 5,
                "start_index": 2,
                "title": "https://e.com",
                "url": "https://e.com",
            },
        }
    ]
    assert losses == [
        "message.parts[1]",
        "message.parts[2].text",
        "message.parts[2].start",
        "message.parts[2].end",
    ]


def test_what_a_chat_answer_cannot_hold_is_named():
    parts = (
        CitationPart(text="a passage"),
        BuiltinCallPart("s", "web_search"),
        ImagePart("image/png", "AAAA"),
        OpaquePart(Opaque("anthropic", "block", {"rest": {"type": "new"}})),
        TextPart("x", cache=CacheMark()),
    )
    message, losses = message_of(*parts)
    assert message == {"content": "x"}
    assert losses == [
        "message.parts[0]",
        "message.parts[1]",
        "message.parts[2]",
        "message.parts[3]",
        "message.parts[4].cache",
    ]


def test_a_refusal_and_a_call_stand_in_their_own_keys():
    call = ToolCallPart("c", "f", {"a": 1}, namespace="ns", cache=CacheMark())
    message, losses = message_of(RefusalPart("No."), call, TextPart("late"))
    arguments = {"name": "f", "arguments": '{"a":1}'}
    assert message == {
        "content": "late",
        "refusal": "No.",
        "tool_calls": [{"id": "c", "type": "function", "function": arguments}],
    }
    assert losses[:2] == ["message.parts[1].cache", "message.parts[1].namespace"]
    assert "message.parts[2]" in losses


def test_audio_of_others_gets_the_id_and_time_that_clients_need():
    """The format is what the client asked for; another one is named as a loss."""
    message, losses = message_of(AudioPart("audio/wav", "AAAA"))
    assert message["audio"] == {
        "id": "audio_chatcmpl-stamp",
        "expires_at": 1700000000,
        "data": "AAAA",
        "transcript": "",
    }
    assert losses == ["message.parts[0].media_type"]
    assert message_of(AudioPart(None, "AAAA"))[1] == []


def test_an_answer_holds_one_audio_as_data():
    message, losses = message_of(AudioPart(None, "AAAA"), AudioPart(None, "BBBB"))
    assert (message["audio"]["data"], losses) == ("AAAA", ["message.parts[1]"])

    message, losses = message_of(AudioPart(url="https://e.com/a"))
    assert ("audio" in message, losses) == (False, ["message.parts[0]"])


def test_a_client_that_knows_functions_gets_a_function_call():
    asked = openai_chat.parse_request(
        Incoming({"model": "m", "messages": [], "functions": [{"name": "f"}]})
    )
    calls = (ToolCallPart("c", "f", {}), ToolCallPart("d", "f", {}))
    body, _ = render(spoke(*calls, finish="tool_call"), asked)
    choice = body["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert [call["id"] for call in choice["message"]["tool_calls"]] == ["d"]


def test_logprobs_have_all_their_keys():
    tokens = (TokenLogprob("a", -0.5, top=(TokenLogprob("b", -1.0, (98,)),)),)
    body, _ = render(spoke(TextPart("a"), logprobs=tokens))
    assert body["choices"][0]["logprobs"] == {
        "content": [
            {
                "token": "a",
                "logprob": -0.5,
                "bytes": None,
                "top_logprobs": [{"token": "b", "logprob": -1.0, "bytes": [98]}],
            }
        ],
        "refusal": None,
    }


def test_an_answer_is_the_assistants_and_has_no_name():
    odd = Response(None, "m", Message("user", (TextPart("x"),), name="n"), "stop")
    body, losses = render(odd)
    assert body["id"] == "chatcmpl-stamp"
    assert losses == [("message.role", "substituted"), ("message.name", "dropped")]


def test_a_stamp_without_the_prefix_gets_it():
    assert render(spoke(TextPart("x")), stamp=Stamp("7", 1, "m"))[0]["id"] == "chatcmpl-7"


def test_a_stop_sequence_that_chat_cannot_say_is_named():
    _, losses = render(spoke(TextPart("x"), finish="stop_sequence", stop_sequence="END"))
    assert losses == [("finish", "substituted"), ("stop_sequence", "dropped")]
