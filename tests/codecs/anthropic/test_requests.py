from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmtools.codecs import anthropic
from lmtools.codecs.base import Incoming, Target
from lmtools.codecs.text import dumps
from lmtools.errors import RequestError
from lmtools.types import CacheMark, Message, Opaque, Request, TextPart, ToolChoice, find_opaque
from tests.codecs.anthropic.wire import parse, plant, render, request_body
from tests.corpus import capture_files, case_id, recorded_files

BODIES = [*capture_files("anthropic-*/ingress.json"), *recorded_files("claude-code-*.json")]


def load(path: Path) -> Any:
    body = json.loads(path.read_text())
    return body.get("body", body)


@pytest.mark.parametrize("path", BODIES, ids=case_id)
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_a_recorded_request_comes_out_as_it_went_in(path, change):
    """Every value, every unknown key at every depth, and the order of keys."""
    body = change(load(path))

    rendered = anthropic.render_request(parse(body), Target())

    assert dumps(rendered.body) == dumps(body)
    assert rendered.losses == ()


SPELLINGS = [
    request_body(system="Be brief."),
    request_body(system=""),
    request_body(system=[]),
    request_body(system=[{"type": "text", "text": "one"}]),
    request_body(system=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
    request_body(system=None, tools=None, metadata=None, stop_sequences=None, thinking=None),
    request_body(tools=[], stop_sequences=[], metadata={}),
    request_body(metadata={"user_id": "u"}),
    request_body(metadata={"user_id": None}),
    request_body(metadata={"team": "x", "user_id": "u"}),
    request_body(service_tier="auto", stream=False, temperature=0, top_p=1, top_k=5),
    request_body(stop_sequences=["a", ""]),
    request_body(cache_control={"type": "ephemeral"}),
    request_body(cache_control={"ttl": "1h", "type": "ephemeral"}),
    request_body(cache_control={"type": "tomorrow", "scope": 1}),
    request_body(cache_control=None),
    request_body(tools=[{"name": "ls", "input_schema": {}}], tool_choice={"type": "any"}),
    request_body(container="c", context_management={"edits": []}, mcp_servers=[{"url": "u"}]),
    request_body(messages=[]),
    request_body(messages=[{"role": "system", "content": "first"}]),
    request_body(system="top", messages=[{"role": "system", "content": "then"}]),
    request_body(
        messages=[
            {"role": "user", "content": "a"},
            {"content": [{"type": "text", "text": "mid"}], "role": "system"},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": []},
            {"role": "user", "content": "b", "name": "kept"},
            {"role": "narrator", "content": "kept too"},
        ]
    ),
]


@pytest.mark.parametrize("body", SPELLINGS, ids=lambda body: dumps(body)[40:100])
def test_spelling_survives(body):
    rendered, losses = render(parse(body))

    assert dumps(rendered) == dumps(body)
    assert losses == []


def test_the_canonical_request_holds_what_the_body_says():
    body = request_body(
        system="Be brief.",
        metadata={"user_id": "u1"},
        stop_sequences=["END"],
        cache_control={"type": "ephemeral", "ttl": "1h"},
        service_tier="auto",
        stream=True,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
    )

    request = parse(body)

    assert request.messages == (Message.system("Be brief."), Message.user("Hi"))
    assert (request.user, request.stop, request.cache) == ("u1", ("END",), CacheMark("1h"))
    assert (request.service_tier, request.stream, request.max_tokens) == ("auto", True, 100)
    assert (request.temperature, request.top_p, request.top_k) == (0.5, 0.9, 4)


WRONG = [
    ([], "body: expected an object"),
    ({"messages": []}, "model: expected a string"),
    ({"model": 7, "messages": []}, "model: expected a string, got 7"),
    ({"model": "m"}, "messages: expected a list, got nothing"),
    (request_body(messages=[7]), "messages[0]: expected an object, got 7"),
    (request_body(messages=[{"content": "x"}]), "messages[0].role: expected a string"),
    (request_body(messages=[{"role": "user"}]), "messages[0].content: expected a string or a list"),
    (
        request_body(messages=[{"role": "user", "content": 7}]),
        "messages[0].content: expected a string or a list of blocks, got 7",
    ),
    (
        request_body(messages=[{"role": "user", "content": [{"text": "x"}]}]),
        "messages[0].content[0].type: expected a string, got null",
    ),
    (
        request_body(messages=[{"role": "user", "content": [{"type": "text", "text": 7}]}]),
        "messages[0].content[0].text: expected a string, got 7",
    ),
    (request_body(system=7), "system: expected a string or a list of blocks, got 7"),
    (request_body(stop_sequences=["a", 7]), "stop_sequences[1]: expected a string, got 7"),
    (request_body(tools=[{"input_schema": {}}]), "tools[0].name: expected a string, got nothing"),
    (request_body(tools=[{"type": 7, "name": "x"}]), "tools[0].type: expected a string, got 7"),
    (request_body(tool_choice={"type": "tool"}), "tool_choice.name: expected a string"),
    (request_body(cache_control="x"), "cache_control: expected an object"),
    (request_body(temperature=float("inf")), "Request.temperature: inf is not finite"),
    (
        request_body(thinking={"type": "enabled", "budget_tokens": -1}),
        "thinking.budget_tokens: expected a count",
    ),
]


@pytest.mark.parametrize(("body", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_body_is_refused_with_the_path_of_what_is_wrong(body, message):
    with pytest.raises(RequestError) as caught:
        parse(body)

    assert str(caught.value).startswith(message)


def test_allowed_headers_travel_with_the_request_and_others_do_not():
    headers = (("Anthropic-Beta", "a,b"), ("anthropic-version", "2023-06-01"), ("x-api-key", "k"))

    request = anthropic.parse_request(Incoming(request_body(), headers=headers))

    rendered = anthropic.render_request(request, Target())
    assert rendered.headers == (("anthropic-beta", "a,b"), ("anthropic-version", "2023-06-01"))


def test_headers_of_another_dialect_are_losses():
    request = Request(
        "m", (Message.user("x"),), max_tokens=1, opaque=Opaque("other", "headers", {"beta": "1"})
    )

    assert render(request)[1] == [("headers.beta", "dropped")]


@pytest.mark.parametrize(
    ("limit", "target", "sent", "losses"),
    [
        (50, {}, 50, []),
        (None, {}, 4096, [("max_tokens", "defaulted")]),
        (None, {"default_max_tokens": 900}, 900, [("max_tokens", "defaulted")]),
        (None, {"max_output_tokens": 100}, 100, [("max_tokens", "defaulted")]),
        (500, {"max_output_tokens": 100}, 100, [("max_tokens", "clamped")]),
    ],
)
def test_a_limit_is_always_sent_and_fits_the_model(limit, target, sent, losses):
    body, found = render(Request("m", (Message.user("x"),), max_tokens=limit), **target)

    assert (body["max_tokens"], found) == (sent, losses)


SAMPLED = Request(
    "m",
    (Message.user("x"),),
    max_tokens=1,
    temperature=1.5,
    top_p=0.5,
    top_k=3,
    stop=("END",),
)


@pytest.mark.parametrize(
    ("target", "sent", "losses"),
    [
        ({}, {"temperature": 1.5, "top_p": 0.5, "top_k": 3, "stop_sequences": ["END"]}, []),
        (
            {"temperature_max": 1.0},
            {"temperature": 1.0, "top_p": 0.5, "top_k": 3, "stop_sequences": ["END"]},
            [("temperature", "clamped")],
        ),
        (
            {"one_sampling_field": True},
            {"temperature": 1.5, "top_k": 3, "stop_sequences": ["END"]},
            [("top_p", "dropped")],
        ),
        (
            {"sampling": False, "stop": False},
            {},
            [
                ("temperature", "dropped"),
                ("top_p", "dropped"),
                ("top_k", "dropped"),
                ("stop", "dropped"),
            ],
        ),
        (
            {"refuses": frozenset({"top_k", "stop_sequences"})},
            {"temperature": 1.5, "top_p": 0.5},
            [("stop", "dropped"), ("top_k", "dropped")],
        ),
    ],
)
def test_sampling_fields_go_as_far_as_the_target_takes_them(target, sent, losses):
    body, found = render(SAMPLED, **target)

    rest = {k: v for k, v in body.items() if k not in ("model", "max_tokens", "messages")}
    assert rest == sent
    assert sorted(found) == sorted(losses)


def test_a_refused_field_that_only_this_dialect_has_is_dropped_too():
    body, losses = render(parse(request_body(speed="fast")), refuses=frozenset({"speed"}))

    assert "speed" not in body
    assert losses == [("speed", "dropped")]


@pytest.mark.parametrize(
    ("tier", "sent", "action"),
    [
        ("auto", "auto", None),
        ("standard_only", "standard_only", None),
        ("tomorrow", "tomorrow", None),
        ("default", "standard_only", "substituted"),
        ("priority", "auto", "substituted"),
        ("flex", None, "dropped"),
    ],
)
def test_service_tiers_become_the_nearest_that_anthropic_knows(tier, sent, action):
    body, losses = render(Request("m", (Message.user("x"),), max_tokens=1, service_tier=tier))

    assert body.get("service_tier") == sent
    assert losses == ([("service_tier", action)] if action else [])


def test_every_field_that_anthropic_has_no_word_for_is_a_loss():
    request = Request(
        "m",
        (Message.user("x"),),
        max_tokens=1,
        seed=1,
        frequency_penalty=0.1,
        presence_penalty=0.1,
        logprobs=True,
        top_logprobs=2,
        verbosity="low",
        cache_key="k",
        cache_retention="24h",
        metadata={"a": "b"},
        store=True,
        previous_response_id="r",
        n=2,
        opaque=Opaque("other", "body", {"rest": {"logit_bias": {"1": 2}, "silent": None}}),
    )

    body, losses = render(request)

    assert list(body) == ["model", "max_tokens", "messages"]
    assert losses == [
        *((name, "dropped") for name in _UNSAID),
        ("n", "clamped"),
        ("logit_bias", "dropped"),
    ]


_UNSAID = (
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "cache_key",
    "cache_retention",
    "metadata",
    "store",
    "previous_response_id",
)


def test_values_that_say_nothing_are_no_loss():
    request = Request(
        "m",
        (Message.user("x"),),
        max_tokens=1,
        n=1,
        frequency_penalty=0,
        presence_penalty=0.0,
        logprobs=False,
        store=False,
        include_usage=True,
    )

    assert render(request)[1] == []


def test_extensions_come_last_the_dialects_before_the_providers():
    request = Request(
        "m",
        (Message.user("x"),),
        max_tokens=1,
        extensions={
            "anthropic": {"speed": "fast", "a": 1},
            "argo": {"a": 2},
            "other": {"b": 1},
            "x": 1,
        },
    )

    body, _ = render(request, provider="argo")

    assert (body["speed"], body["a"]) == ("fast", 2)
    assert "b" not in body
    assert render(request, provider="x")[0]["a"] == 1


def test_the_targets_model_is_sent():
    assert render(parse(request_body()), model="claude-real")[0]["model"] == "claude-real"


def test_a_changed_canonical_value_wins_over_what_was_kept():
    request = parse(request_body(metadata={"user_id": None, "team": "x"}))

    changed = Request(
        request.model, request.messages, max_tokens=5, user="u", opaque=request.opaque
    )

    assert render(changed)[0]["metadata"] == {"user_id": "u", "team": "x"}


def test_cache_marks_of_another_dialect_report_what_they_hold():
    mark = CacheMark("1h", opaque=Opaque("other", "mark", {"rest": {"pin": True}}))
    request = Request("m", (Message("user", (TextPart("x", mark),)),), max_tokens=1, cache=mark)

    body, losses = render(request)

    assert body["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert losses == [("cache.pin", "dropped"), ("messages[0].parts[0].cache.pin", "dropped")]


def test_nothing_is_kept_of_a_body_in_the_codecs_own_order():
    request = parse({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]})

    assert request.opaque == ()
    assert find_opaque(request.messages[0].opaque, "anthropic", "message") is None


def test_a_choice_that_says_nothing_is_not_sent():
    choice = ToolChoice(parallel=True)

    assert "tool_choice" not in render(Request("m", (Message.user("x"),), tool_choice=choice))[0]
