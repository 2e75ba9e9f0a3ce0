"""What one specific refusal teaches, and what is sent instead, once."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from lmtools.client import LM
from lmtools.codecs import codec_named
from lmtools.codecs.base import Incoming
from lmtools.errors import InvalidRequestError, LMError
from lmtools.providers.remedies import Remedy, touches
from lmtools.remembered import Remembered
from lmtools.transport import MockResponse, MockTransport
from lmtools.types import Message, Opaque, Reasoning, Request, TextPart, ThinkingPart

JSON = {"content-type": "application/json"}
CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
GOOD = {"anthropic": CLAUDE, "openai_chat": CHAT}
ASK = Request("mystery-1", (Message.user("Hi"),), max_tokens=2000)


def refusal(dialect, message, param=None, code=None, status=400):
    error = {"type": "invalid_request_error", "message": message}
    if dialect == "anthropic":
        return MockResponse(status, json.dumps({"type": "error", "error": error}).encode(), JSON)
    body = {"error": {**error, "param": param, "code": code}}
    return MockResponse(status, json.dumps(body).encode(), JSON)


def good(dialect):
    return MockResponse(200, json.dumps(GOOD[dialect]).encode(), JSON)


def answering(dialect, *answers, retries=0):
    """Return an LM at a server that nobody described, and the bodies that it gets."""
    left = list(answers)
    transport = MockTransport(lambda request: left.pop(0))
    provider = "anthropic" if dialect == "anthropic" else "openai"
    url = "http://127.0.0.1:9/v1"
    lm = LM(provider, base_url=url, api_key="k", transport=transport, retries=retries)
    return lm, transport


def bodies(transport):
    return [json.loads(request.body) for request in transport.requests]


HISTORY = (
    Message.user("Hi"),
    Message.assistant(
        (
            ThinkingPart("hm", opaque=(Opaque("anthropic", "signature", {"signature": "forged"}),)),
            TextPart("Hello"),
        )
    ),
    Message.user("More"),
)
BETA = Opaque("anthropic", "headers", {"anthropic-beta": "x-1,context-management-2025-06-27, y-2"})
EDITS = Opaque("anthropic", "body", {"rest": {"context_management": {"edits": []}}})

OTHER_NAME = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. "
    "Use 'max_completion_tokens' instead."
)
ONE_VALUE = (
    "Unsupported value: 'temperature' does not support 0.5 with this model. "
    "Only the default (1) value is supported."
)
NO_BUDGETS = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
    '"output_config.effort" to control thinking behavior.'
)
#: name: dialect, message, param, code, changes of ASK, (key gone, key come), path of the loss
CASES = {
    "max_tokens at OpenAI": (
        "openai_chat",
        OTHER_NAME,
        "max_tokens",
        "unsupported_parameter",
        {},
        ("max_tokens", "max_completion_tokens"),
        None,
    ),
    "max_tokens without a param": (
        "openai_chat",
        OTHER_NAME,
        None,
        None,
        {},
        ("max_tokens", "max_completion_tokens"),
        None,
    ),
    "temperature at OpenAI": (
        "openai_chat",
        ONE_VALUE,
        "temperature",
        "unsupported_value",
        {"temperature": 0.5},
        ("temperature", None),
        "temperature",
    ),
    "top_p named in the text alone": (
        "openai_chat",
        "Unsupported parameter: 'top_p' is not supported with this model.",
        None,
        None,
        {"top_p": 0.5},
        ("top_p", None),
        "top_p",
    ),
    "stop at OpenAI": (
        "openai_chat",
        "Unsupported parameter: 'stop' is not supported with this model.",
        "stop",
        "unsupported_parameter",
        {"stop": ("x",)},
        ("stop", None),
        "stop",
    ),
    "temperature of a newer Claude": (
        "anthropic",
        "`temperature` is deprecated for this model.",
        None,
        None,
        {"temperature": 0.5},
        ("temperature", None),
        "temperature",
    ),
    "both sampling fields": (
        "anthropic",
        "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
        None,
        None,
        {"temperature": 0.5, "top_p": 0.5},
        ("top_p", None),
        "top_p",
    ),
    "a field of a beta": (
        "anthropic",
        "context_management: Extra inputs are not permitted",
        None,
        None,
        {"opaque": (BETA, EDITS)},
        ("context_management", None),
        "context_management",
    ),
    "thinking with a budget": (
        "anthropic",
        NO_BUDGETS,
        None,
        None,
        {"reasoning": Reasoning("enabled", budget=1024)},
        (None, "output_config"),
        "reasoning",
    ),
    "a forged signature": (
        "anthropic",
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        None,
        None,
        {"messages": HISTORY},
        (None, None),
        "messages[1].parts[0]",
    ),
}


def case_of(name):
    dialect, message, param, code, changes, keys, path = CASES[name]
    fields = {"model": ASK.model, "messages": ASK.messages, "max_tokens": 2000, **changes}
    return dialect, refusal(dialect, message, param, code), Request(**fields), keys, path


@pytest.mark.parametrize("name", CASES)
def test_one_refusal_is_answered_once_with_a_loss(name):
    dialect, refused, ask, (gone, come), path = case_of(name)
    lm, transport = answering(dialect, refused, good(dialect))
    call, response = lm.deliver(lm.render(ask))
    first, second = bodies(transport)

    assert response.status == 200
    assert first != second
    assert gone is None or (gone in first and gone not in second)
    assert come is None or (come not in first and come in second)
    assert path is None or path in [loss.path for loss in call.losses]


@pytest.mark.parametrize("name", CASES)
def test_the_same_refusal_again_is_the_callers(name):
    dialect, refused, ask, _, _ = case_of(name)
    lm, transport = answering(dialect, refused, refused)

    with pytest.raises(InvalidRequestError):
        lm.complete(ask)
    assert len(transport.requests) == 2


@pytest.mark.parametrize("name", CASES)
def test_what_holds_for_the_model_is_sent_right_the_next_time(name):
    dialect, refused, ask, _, path = case_of(name)
    lm, transport = answering(dialect, refused, good(dialect), good(dialect))
    lm.complete(ask)
    lm.complete(ask)
    sent = bodies(transport)

    assert len(sent) == 3
    assert sent[1] == sent[2]
    assert path is None or path in [loss.path for loss in lm.render(ask).losses]


def thinking(state, text="hm"):
    data = {"signature": state}
    part = ThinkingPart(text, opaque=(Opaque("anthropic", "signature", data),))
    return Message.assistant((part, TextPart(f"after {state}")))


def test_only_thinking_that_was_refused_stays_away():
    """The next turn brings the signature of the model that answered, which is worth keeping."""
    lm, transport = answering(
        "anthropic", case_of("a forged signature")[1], *[good("anthropic")] * 2
    )
    more = Message.user("More")
    lm.complete(Request("m", (more, thinking("bad"), more), max_tokens=9))
    lm.complete(Request("m", (more, thinking("bad"), more, thinking("new"), more), max_tokens=9))
    sent = bodies(transport)[-1]["messages"]

    kinds = [[b["type"] for b in m["content"]] for m in sent if isinstance(m["content"], list)]
    assert kinds == [["thinking", "text"]]
    assert [m["content"] for m in sent][1] == "after bad"


def test_a_message_of_refused_thinking_alone_goes_away_whole():
    refused = case_of("a forged signature")[1]
    lm, transport = answering("anthropic", refused, good("anthropic"))
    part = thinking("bad").parts[0]
    history = (*[Message.user("Hi")], Message.assistant((part,)), Message.user("More"))
    body = codec_named("anthropic").render_request(
        Request("m", history, max_tokens=9), lm.backend.target("m")
    )
    ask = codec_named("anthropic").parse_request(Incoming(body.body))
    call, _ = lm.deliver(lm.render(ask, said_in="anthropic"))

    assert [m["role"] for m in bodies(transport)[1]["messages"]] == ["user", "user"]
    assert [loss.path for loss in call.losses] == ["messages[1]"]


def test_another_model_of_the_same_server_learns_nothing():
    dialect, refused, ask, _, _ = case_of("max_tokens at OpenAI")
    lm, _ = answering(dialect, refused, good(dialect))
    lm.complete(ask)
    other = Request("mystery-2", ask.messages, max_tokens=2000)

    assert "max_tokens" in json.loads(lm.render(other).http.body)


def test_a_name_longer_than_any_models_is_helped_and_not_remembered():
    dialect, refused, ask, _, _ = case_of("max_tokens at OpenAI")
    lm, transport = answering(dialect, refused, good(dialect))
    endless = replace(ask, model="m" * 257)
    lm.complete(endless)

    assert "max_completion_tokens" in bodies(transport)[-1]
    assert "max_tokens" in json.loads(lm.render(endless).http.body)


def test_a_beta_goes_with_its_field_and_others_stay():
    dialect, refused, ask, _, _ = case_of("a field of a beta")
    lm, transport = answering(dialect, refused, good(dialect))
    call, _ = lm.deliver(lm.render(ask))
    first, second = (request.header("anthropic-beta") for request in transport.requests)

    assert "context-management-2025-06-27" in first
    assert second == "x-1,y-2"
    assert "headers.anthropic-beta" in [loss.path for loss in call.losses]


def test_a_field_without_its_beta_goes_alone():
    refused = case_of("a field of a beta")[1]
    ask = Request("mystery-1", ASK.messages, max_tokens=9, opaque=(EDITS,))
    lm, transport = answering("anthropic", refused, good("anthropic"))
    call, _ = lm.deliver(lm.render(ask))

    assert "context_management" not in bodies(transport)[1]
    assert [loss.path for loss in call.losses] == ["context_management"]


def test_a_stream_has_its_remedy_before_its_first_event():
    dialect, refused, ask, _, _ = case_of("max_tokens at OpenAI")
    lm, transport = answering(dialect, refused, good(dialect))

    with lm.stream(ask) as stream:
        assert stream.response().text == "Hi"
        assert "max_completion_tokens" in json.loads(stream.call.http.body)
    assert all(body["stream"] for body in bodies(transport))


def test_several_refusals_are_answered_one_after_the_other():
    lm, transport = answering(
        "openai_chat",
        *(case_of(name)[1] for name in ("max_tokens at OpenAI", "temperature at OpenAI")),
        good("openai_chat"),
    )
    lm.complete(Request("mystery-1", ASK.messages, max_tokens=5, temperature=0.5))

    assert bodies(transport)[-1].keys() & {
        "max_tokens",
        "temperature",
        "max_completion_tokens",
    } == {"max_completion_tokens"}


def test_a_server_that_refuses_either_name_is_heard():
    """Both texts name both fields; going back and forth would not end."""
    to_new = case_of("max_tokens at OpenAI")[1]
    to_old = refusal(
        "openai_chat",
        "Unsupported parameter: 'max_completion_tokens' is not supported. Use 'max_tokens'.",
        "max_completion_tokens",
        "unsupported_parameter",
    )
    lm, transport = answering("openai_chat", to_new, to_old, to_new)

    with pytest.raises(InvalidRequestError):
        lm.complete(ASK)
    assert len(transport.requests) <= 3


@pytest.mark.parametrize(
    ("dialect", "message", "param", "code", "status"),
    [
        ("openai_chat", "max_tokens is too large: 99", "max_tokens", "invalid_value", 400),
        ("openai_chat", "'tools' is not supported", "tools", "unsupported_parameter", 400),
        ("openai_chat", "'max_tokens' is not supported", "max_tokens", None, 404),
        ("anthropic", "max_tokens: Field required", None, None, 400),
        ("anthropic", "tools.0.strict: Extra inputs are not permitted", None, None, 400),
        ("anthropic", "messages.0.temperature: Extra inputs are not permitted", None, None, 400),
        ("anthropic", "prompt is too long", None, None, 400),
    ],
)
def test_other_refusals_are_the_callers_at_once(dialect, message, param, code, status):
    lm, transport = answering(dialect, refusal(dialect, message, param, code, status))

    with pytest.raises(InvalidRequestError):
        lm.complete(ASK)
    assert len(transport.requests) == 1


def test_what_was_not_sent_is_not_left_out():
    lm, transport = answering("openai_chat", case_of("temperature at OpenAI")[1])

    with pytest.raises(InvalidRequestError):
        lm.complete(ASK)
    assert len(transport.requests) == 1


def test_only_a_refusal_is_diagnosed():
    """A failure that may pass can hold any words."""
    message = CASES["max_tokens at OpenAI"][1]
    lm, transport = answering("openai_chat", refusal("openai_chat", message, status=500))

    with pytest.raises(LMError):
        lm.complete(ASK)
    assert len(transport.requests) == 1


HEAD = {"model": "m", "max_tokens": 9}
USER = {"role": "user", "content": "Hi"}


def blocks(*content):
    return {"role": "assistant", "content": list(content)}


SIGNED = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "b3RoZXI="}
SAID = {"type": "text", "text": "Hello"}
BETAS = (("anthropic-beta", "a-1,context-management-2025-06-27,b-2"),)
NOT_SIGNED = "messages.1.content.0.thinking.signature: Field required"
FORGED = "messages.1.content.0: Invalid `signature` in `thinking` block"
NO_BETA = "Unexpected value(s) `a-1` for the `anthropic-beta` header. Please consult our docs."
EMPTY = "messages: text content blocks must be non-empty"
EDITED = "context_management: Extra inputs are not permitted"
#: name: words of the refusal, body, what it becomes, betas that go on, paths of losses
SAME_DIALECT = {
    "forged": (
        FORGED,
        {"messages": [USER, blocks(SIGNED, REDACTED, SAID), USER]},
        {"messages": [USER, blocks(SAID), USER]},
        None,
        ["messages[1].parts[0]", "messages[1].parts[1]"],
    ),
    "unsigned": (
        NOT_SIGNED,
        {"messages": [USER, blocks({"type": "thinking", "thinking": "x"}, SIGNED, SAID), USER]},
        {"messages": [USER, blocks(SIGNED, SAID), USER]},
        None,
        ["messages[1].parts[0]"],
    ),
    "budget": (
        NO_BUDGETS,
        {"messages": [USER], "thinking": {"type": "enabled", "budget_tokens": 31999}},
        {"messages": [USER], "thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
        None,
        ["reasoning"],
    ),
    "beta field": (
        EDITED,
        {"messages": [USER], "context_management": {"edits": []}},
        {"messages": [USER]},
        "a-1,b-2",
        ["headers.anthropic-beta", "context_management"],
    ),
    "beta": (
        NO_BETA,
        {"messages": [USER]},
        {"messages": [USER]},
        "context-management-2025-06-27,b-2",
        ["headers.anthropic-beta"],
    ),
    "several betas, one with a field": (
        "Unexpected value(s) `a-1`, `context-management-2025-06-27` for the `anthropic-beta` header.",
        {"messages": [USER], "context_management": {"edits": []}},
        {"messages": [USER]},
        "b-2",
        ["headers.anthropic-beta", "context_management"],
    ),
    "empty text": (
        EMPTY,
        {"messages": [USER, blocks({"type": "text", "text": ""}), USER, blocks({"type": "text", "text": ""}, SAID), USER]},
        {"messages": [USER, USER, blocks(SAID), USER]},
        None,
        ["messages[1].parts[0]", "messages[1]", "messages[3].parts[0]"],
    ),
}  # fmt: skip


def said(name):
    words, body, becomes, betas, paths = SAME_DIALECT[name]
    wire = Incoming({**HEAD, **body}, headers=BETAS)
    return refusal("anthropic", words), wire, {**HEAD, **becomes}, betas, paths


def listed(body):
    """Return a body whose contents are lists: a text that stands alone may be spelled so or so."""
    spelled = [
        {**m, "content": [{"type": "text", "text": m["content"]}]}
        if isinstance(m["content"], str)
        else m
        for m in body["messages"]
    ]
    return {**body, "messages": spelled}


@pytest.mark.parametrize("name", SAME_DIALECT)
def test_what_no_client_can_know_is_helped_in_its_own_dialect_too(name):
    refused, wire, becomes, betas, paths = said(name)
    lm, transport = answering("anthropic", refused, good("anthropic"))
    request = codec_named("anthropic").parse_request(wire)
    call, _ = lm.deliver(lm.render(request, said_in="anthropic"))

    assert [listed(body) for body in bodies(transport)] == [listed(wire.body), listed(becomes)]
    assert transport.requests[1].header("anthropic-beta") == (betas or BETAS[0][1])
    assert [loss.path for loss in call.losses] == paths


@pytest.mark.parametrize("name", SAME_DIALECT)
def test_a_remedy_touches_the_body_that_it_changes_and_not_what_became_of_it(name):
    refused, wire, becomes, betas, _ = said(name)
    lm, _ = answering("anthropic", refused, good("anthropic"))
    request = codec_named("anthropic").parse_request(wire)
    call, _ = lm.deliver(lm.render(request, said_in="anthropic"))
    (remedy,) = lm.taught(call.target, "anthropic")

    assert touches(remedy, wire.body, BETAS[0][1])
    assert not touches(remedy, becomes, betas or "")


@pytest.mark.parametrize(
    "remedy",
    [
        Remedy("unsigned thinking"),
        Remedy("adaptive thinking"),
        Remedy("blank texts"),
        Remedy("thinking history", marks=frozenset({"0"})),
        Remedy("one sampling field"),
        Remedy("field", "context_management"),
        Remedy("limits field", "max_completion_tokens"),
        Remedy("beta", "z"),
    ],
    ids=lambda remedy: remedy.name,
)
@pytest.mark.parametrize(
    "odd",
    [{}, {"messages": 5}, {"messages": [None, 7, {}, {"content": 5}, {"content": [1, {}]}]},
     {"system": "", "thinking": "enabled", "messages": []},
     {"messages": [{"content": [{"type": "tool_result", "content": ""}, {"type": "x", "text": 5}]}]}],
    ids=lambda odd: json.dumps(odd)[:20],
)  # fmt: skip
def test_bodies_of_any_form_are_untouched_by_what_is_not_in_them(remedy, odd):
    assert not touches(remedy, odd)


def test_an_empty_block_in_a_tools_result_is_touched():
    inner = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": " "}]}

    assert touches(Remedy("blank texts"), {"messages": [{"role": "user", "content": [inner]}]})


def test_a_field_whose_beta_the_client_forgot_is_its_own_mistake():
    """Were it remembered, the next client's field and beta would be dropped for it."""
    body = {**HEAD, "messages": [USER], "context_management": {}}
    ask = codec_named("anthropic").parse_request(Incoming(body))
    lm, transport = answering("anthropic", refusal("anthropic", EDITED))

    with pytest.raises(InvalidRequestError):
        lm.deliver(lm.render(ask, said_in="anthropic"))
    assert len(transport.requests) == 1
    assert lm.taught(lm.backend.target("m"), None) == ()


def test_a_beta_whose_name_only_begins_like_the_refused_one_stays():
    betas = (("anthropic-beta", "a-1,a-10,a-1-new"),)
    ask = codec_named("anthropic").parse_request(
        Incoming({**HEAD, "messages": [USER]}, headers=betas)
    )
    lm, transport = answering("anthropic", refusal("anthropic", NO_BETA), good("anthropic"))
    call, _ = lm.deliver(lm.render(ask, said_in="anthropic"))

    assert transport.requests[1].header("anthropic-beta") == "a-10,a-1-new"
    (remedy,) = lm.taught(call.target, "anthropic")
    assert touches(remedy, {}, "b-2, a-1")
    assert not touches(remedy, {}, "a-10,a-1-new")


def test_a_refusal_that_names_no_beta_takes_none_away():
    """Nothing that it says is a name, so nothing tells which one to leave out."""
    words = 'Unexpected value(s) "a-1" for the `anthropic-beta` header.'
    ask = codec_named("anthropic").parse_request(
        Incoming({**HEAD, "messages": [USER]}, headers=BETAS)
    )
    lm, transport = answering("anthropic", refusal("anthropic", words))

    with pytest.raises(InvalidRequestError):
        lm.deliver(lm.render(ask, said_in="anthropic"))
    assert len(transport.requests) == 1
    assert lm.taught(lm.backend.target("m"), "anthropic") == ()


def test_a_client_of_the_same_dialect_hears_its_own_refusal():
    body = {"model": "m", "max_tokens": 9, "temperature": 0.5, "messages": []}
    ask = codec_named("anthropic").parse_request(Incoming(body))
    lm, transport = answering("anthropic", case_of("temperature of a newer Claude")[1])

    with pytest.raises(InvalidRequestError):
        lm.deliver(lm.render(ask, said_in="anthropic"))
    assert len(transport.requests) == 1


def test_the_limits_field_is_renamed_for_every_client():
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    ask = codec_named("openai_chat").parse_request(Incoming(body))
    refused = case_of("max_tokens at OpenAI")[1]
    lm, transport = answering("openai_chat", refused, good("openai_chat"))
    lm.deliver(lm.render(ask, said_in="openai_chat"))

    assert bodies(transport)[1]["max_completion_tokens"] == 9


def test_memory_is_bounded_and_forgets_what_was_asked_for_longest_ago():
    known: Remembered[int, Remedy] = Remembered(2)
    known.learn(1, Remedy("a"))
    known.learn(2, Remedy("b"))
    known.learn(1, Remedy("c"))
    known.learn(1, Remedy("a"))
    assert known.find(2) == (Remedy("b"),)
    known.learn(3, Remedy("d"))

    assert known.find(1) == ()
    assert known.find(2) == (Remedy("b"),)
    assert known.find(3) == (Remedy("d"),)


def test_of_one_key_the_newest_values_are_kept():
    known: Remembered[int, int] = Remembered(2, each=3)
    for value in (1, 2, 3, 1, 4):
        known.learn(1, value)

    assert known.find(1) == (2, 3, 4)


def test_memory_takes_many_threads_at_once():
    known: Remembered[int, int] = Remembered(8)

    def work(start):
        for i in range(500):
            known.learn((start + i) % 16, i % 3)
            known.find(i % 16)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(bool(known.find(key)) for key in range(16)) == 8
