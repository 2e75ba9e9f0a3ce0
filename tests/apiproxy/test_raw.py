"""What may go on raw, what is left to the codec and why, and which headers go with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmtools.apiproxy import passing
from lmtools.apiproxy.headers import passed_headers
from lmtools.apiproxy.raw import Left, Passing, Reason, look, reason_to_leave
from lmtools.codecs import codec_named
from lmtools.codecs.base import Target
from lmtools.codecs.openai_chat.tools import CUSTOM_TOOLS
from lmtools.codecs.passage import passage_named
from lmtools.errors import ApiError
from lmtools.providers import ARGO_HOSTS, Backend, loopback, provider_named
from lmtools.providers.remedies import LIMITS_FIELD, Remedy
from tests import corpus

ASK = [{"role": "user", "content": "Hello"}]
CHAT = {"model": "m", "messages": ASK}
MESSAGES = {"model": "m", "max_tokens": 9, "messages": ASK}
SYNONYM = b'{"mod\\u0065l" : "m", "messages":[{"role":"user","content":"a\\u2028 \\ud83c\\udf27"}] ,"x":1e2}\n'


def server(wire: str = "openai-chat", **manners: Any) -> Backend:
    """Return a server that takes everything as sent, ``manners`` aside."""
    return Backend(replace(loopback(wire), manners=manners), "http://passage.invalid/v1")


def seen(body: Any, dialect: str = "openai_chat", backend: Backend | None = None) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    wire = "anthropic" if dialect == "anthropic" else "openai-chat"
    return look(data, dialect, backend or server(wire), str)


def recorded() -> list[tuple[str, str, bytes]]:
    """Return (name, dialect, bytes) of the requests that real clients sent, and of the captured."""
    found = []
    for path in corpus.recorded_files():
        held = json.loads(path.read_text())
        dialect = {"/v1/messages": "anthropic", "/v1/chat/completions": "openai_chat"}.get(
            held["path"].partition("?")[0]
        )
        if dialect:
            body = json.dumps(held["body"], ensure_ascii=False, separators=(",", ":")).encode()
            found.append((path.stem, dialect, body))
    return found + captured()


def captured() -> list[tuple[str, str, bytes]]:
    found = []
    for path in corpus.capture_files("*/ingress.json"):
        family = json.loads(path.with_name("case.json").read_text())["ingress_family"]
        dialect = {"anthropic": "anthropic", "openai": "openai_chat"}.get(family)
        if dialect and "messages" in json.loads(path.read_text()):
            found.append((path.parent.name, dialect, path.read_bytes()))
    return found


BODIES = [pytest.param(dialect, body, id=name) for name, dialect, body in recorded()]


# What goes on


@pytest.mark.parametrize(("dialect", "body"), BODIES)
def test_recorded_bodies_go_on_byte_for_byte(dialect: str, body: bytes) -> None:
    """P15: the spelling is what a prompt cache knows a prompt by."""
    passing = seen(body, dialect)

    assert isinstance(passing, Passing)
    assert passing.body == body
    assert passing.model == passing.sent_model == json.loads(body)["model"]
    assert passing.stream is bool(json.loads(body).get("stream"))


@pytest.mark.parametrize(("dialect", "body"), BODIES)
def test_with_another_model_only_its_value_differs(dialect: str, body: bytes) -> None:
    wire = "anthropic" if dialect == "anthropic" else "openai-chat"
    passing = look(body, dialect, server(wire), lambda _: 'new "name"')

    assert isinstance(passing, Passing)
    old = json.dumps(json.loads(body)["model"]).encode()
    assert passing.body == body.replace(old, b'"new \\"name\\""', 1)
    assert (passing.model, passing.sent_model) == (json.loads(body)["model"], 'new "name"')


def test_odd_spellings_survive_around_a_new_name() -> None:
    passing = look(SYNONYM, "openai_chat", server(), lambda _: "n")

    assert isinstance(passing, Passing)
    assert passing.body == SYNONYM.replace(b'"m"', b'"n"')
    assert seen(SYNONYM).body == SYNONYM


@pytest.mark.parametrize(
    ("field", "limits", "sent"),
    [
        ("max_tokens", "max_completion_tokens", "max_completion_tokens"),
        ("max_completion_tokens", "max_tokens", "max_tokens"),
        ("max_tokens", "max_tokens", "max_tokens"),
        ("max_tokens", None, "max_tokens"),
    ],
)
def test_the_limits_field_gets_the_servers_name_in_its_place(
    field: str, limits: str | None, sent: str
) -> None:
    text = '{"model":"m","%s" : 5,"messages":[{"role":"user","content":"max_tokens"}]}'

    passing = seen((text % field).encode(), backend=server(limits_field=limits))

    assert passing.body == (text % sent).encode()


def test_opencodes_limit_reaches_gpt_5_under_the_name_that_it_takes() -> None:
    openai = Backend(provider_named("openai"), "https://api.openai.com/v1")

    passing = seen({"model": "gpt-5", "max_tokens": 32000, "messages": ASK}, backend=openai)

    assert json.loads(passing.body)["max_completion_tokens"] == 32000
    assert b'"max_tokens"' not in passing.body


# What is left to the codec: each reason once

REASONS: dict[Reason, tuple[Any, Mapping[str, Any]]] = {
    Reason.NOT_PLAIN_JSON: (b'{"model":"m","messages":[', {}),
    Reason.DUPLICATE_KEYS: (b'{"model":"m","messages":[],"mod\\u0065l":"other"}', {}),
    Reason.NO_MODEL: ({"model": "", "messages": ASK}, {}),
    Reason.ODD_STREAM: ({**CHAT, "stream": "yes"}, {}),
    Reason.OTHER_FRAMING: ({**CHAT, "stream": True}, {"framing": "text"}),
    Reason.DEVELOPER: (
        {**CHAT, "messages": [*ASK, {"role": "developer", "content": "x"}]},
        {"developer": False},
    ),
    Reason.REFUSED_FIELD: ({**CHAT, "seed": 4}, {"refuses": frozenset({"seed"})}),
    Reason.NO_LIMIT: (CHAT, {"default_max_tokens": 900}),
    Reason.ODD_LIMIT: (
        {**CHAT, "max_tokens": 5, "max_completion_tokens": 6},
        {"limits_field": "max_tokens"},
    ),
    Reason.EMPTY_LIST: ({**CHAT, "tools": []}, {}),
    Reason.SEALED: ({**CHAT, "messages": [{"role": "assistant", "x": "lmt1.aGk"}]}, {}),
}


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_each_reason_leaves_a_body_to_the_codec(reason: Reason) -> None:
    body, manners = REASONS[reason]

    left = seen(body, backend=server(**manners))

    assert isinstance(left, Left)
    assert left.reason is reason


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_without_its_cause_the_body_goes_on(reason: Reason) -> None:
    """The same body at a server without the manner, or the same server and a plain body."""
    body, manners = REASONS[reason]
    other = CHAT if not manners or reason is Reason.OTHER_FRAMING else body

    backend = server() if manners else server(**manners)

    assert isinstance(seen(other, backend=backend), Passing)


def test_the_tests_have_a_case_of_every_reason() -> None:
    assert {*REASONS, Reason.OTHER_DIALECT, Reason.STOP, Reason.REMEDY} == set(Reason)


def test_another_dialect_at_the_provider_is_a_reason() -> None:
    argo = Backend(provider_named("argo"), ARGO_HOSTS["prod"])

    left = look(json.dumps(CHAT).encode(), "openai_chat", argo, lambda _: "claudeopus47")

    assert left == Left(Reason.OTHER_DIALECT, CHAT)


def test_stop_sequences_that_have_to_be_enforced_are_a_reason() -> None:
    target = Target("openai_chat", stop=False)
    passage = passage_named("openai_chat")

    for stop, reason in (("x", Reason.STOP), (["x"], Reason.STOP), (None, None)):
        values = {**CHAT, "stop": stop}
        assert reason_to_leave("", values, passage, target) is reason


def test_argos_gateway_gets_no_developer_role_raw() -> None:
    argo = Backend(provider_named("argo"), ARGO_HOSTS["prod"])
    messages = [{"role": "developer", "content": "Be brief."}, *ASK]

    assert seen({**CHAT, "messages": messages}, backend=argo).reason is Reason.DEVELOPER
    assert isinstance(seen(CHAT, backend=argo), Passing)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"model":"m"', b'{"model":"m"} x', b'\xff{"model":"m"}', b'{"model":"\xff"}',
     b'{"model":"m","t":"\t"}', b'{"model":"m","n":NaN}', b'{"model":"m","n":1e999}', '{"model":"m"}'.encode("utf-16"),
     b'{"model":"m","a":' + b"[" * 90_000 + b"]" * 90_000 + b"}"],
    ids=lambda body: repr(body[:24]),
)  # fmt: skip
def test_what_is_not_strictly_json_is_the_codecs_to_answer(body: bytes) -> None:
    assert seen(body) == Left(Reason.NOT_PLAIN_JSON)


@pytest.mark.parametrize("model", [None, 7, "", [], {"a": 1}])
def test_a_model_that_is_no_name_is_the_codecs_to_answer(model: Any) -> None:
    assert seen({**CHAT, "model": model}).reason is Reason.NO_MODEL


@pytest.mark.parametrize("stream", [1, 0, "true", [], {}])
def test_a_stream_flag_that_is_none_is_the_codecs_to_answer(stream: Any) -> None:
    assert seen({**CHAT, "stream": stream}).reason is Reason.ODD_STREAM


CUSTOM_CALL = [{"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}}]


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
        {"messages": [*ASK, {"role": "assistant", "tool_calls": CUSTOM_CALL}]},
    ],
)
def test_custom_tools_are_a_reason_where_a_server_has_none(more: dict[str, Any]) -> None:
    refusing = server(refuses=frozenset({CUSTOM_TOOLS}))

    assert seen({**CHAT, **more}, backend=refusing).reason is Reason.REFUSED_FIELD
    assert isinstance(seen({**CHAT, **more}), Passing)
    assert isinstance(seen(SYNONYM, backend=refusing), Passing)


def test_anthropic_takes_an_empty_list_of_tools_and_needs_a_limit() -> None:
    assert isinstance(seen({**MESSAGES, "tools": []}, "anthropic"), Passing)
    assert seen({"model": "m", "messages": ASK}, "anthropic").reason is Reason.NO_LIMIT


def test_a_left_body_needs_no_second_reading() -> None:
    body = {**CHAT, "tools": [], "temperature": 0.5, "top": [1, {"a": None}]}

    assert seen(body) == Left(Reason.EMPTY_LIST, body)


# What refusals taught


def knowing(*remedies: Remedy, body: Any, dialect: str = "anthropic", betas: str = "") -> Any:
    backend = server("anthropic" if dialect == "anthropic" else "openai-chat")
    taught = lambda target, said_in: remedies  # noqa: E731
    return look(json.dumps(body).encode(), dialect, backend, str, taught, betas)


def test_a_body_that_was_refused_in_this_form_is_left_at_once_and_others_go_on() -> None:
    adaptive, beta = Remedy("adaptive thinking"), Remedy("beta", "old-1")
    budget = {**MESSAGES, "thinking": {"type": "enabled", "budget_tokens": 2000}}

    assert knowing(adaptive, beta, body=budget) == Left(Reason.REMEDY, budget)
    assert knowing(adaptive, beta, body=MESSAGES, betas="new-2,old-1").reason is Reason.REMEDY
    assert isinstance(knowing(adaptive, beta, body=MESSAGES, betas="new-2"), Passing)
    assert isinstance(knowing(body=budget), Passing)


def test_a_name_of_the_limits_field_that_was_taught_is_put_in_its_place() -> None:
    """No body is left for it: only the spelling of one key changes."""
    remedy = Remedy(LIMITS_FIELD, "max_completion_tokens")
    passing = knowing(remedy, body={**CHAT, "max_tokens": 5}, dialect="openai_chat")

    assert json.loads(passing.body) == {**CHAT, "max_completion_tokens": 5}


# Headers


def test_an_answers_headers_pass_through_a_list() -> None:
    wire = (
        ("Anthropic-RateLimit-Requests-Remaining", "9"),
        ("x-ratelimit-limit-tokens", "100"),
        ("Retry-After", "7"),
        ("retry-after-ms", "7000"),
        ("x-should-retry", "true"),
        ("request-id", "req_up"),
        ("Set-Cookie", "s=1"),
        ("anthropic-organization-id", "org"),
        ("openai-organization", "org"),
        ("Content-Length", "3"),
        ("cf-ray", "x"),
    )

    assert passed_headers(wire) == (
        ("anthropic-ratelimit-requests-remaining", "9"),
        ("x-ratelimit-limit-tokens", "100"),
        ("retry-after", "7"),
        ("retry-after-ms", "7000"),
        ("x-should-retry", "true"),
        ("x-upstream-request-id", "req_up"),
    )


# Errors


@pytest.mark.parametrize(
    ("dialect", "status", "body", "own"),
    [
        ("anthropic", 529, b'{"type": "error","error":{"type":"overloaded_error","message":"Overloaded"}}', True),
        ("anthropic", 400, b'{"type":"error","error":{"type":"new_error","message":"m","x":1},"request_id":"r"}', True),
        ("openai_chat", 429, b'{"error":{"message":"m","type":"t","param":null,"code":"c"}}', True),
        ("openai_chat", 400, b'{"error":{"code":"c","message":"m"}}\n', True),
        ("openai_chat", 400, b'{"detail":"m"}', False),
        ("openai_chat", 400, b'{"object":"error","message":"m","type":"t","code":400}', False),
        ("openai_chat", 503, b"<html>no</html>", False),
        ("openai_chat", 500, b'{"error":"m"}', False),
        ("openai_chat", 500, b"\xff", False),
        ("openai_chat", 500, b'"text"', False),
        ("anthropic", 500, b"", False),
        ("anthropic", 400, b'{"error":{"message":"m"}}', False),
    ],
)  # fmt: skip
def test_an_error_goes_on_as_it_is_only_in_the_dialects_own_form(
    dialect: str, status: int, body: bytes, own: bool
) -> None:
    codec = codec_named(dialect)
    error = codec.parse_error(status, (), body)
    error.answer = (status, (), body)

    assert passing._is_own_form(codec, error) is own


def test_an_error_that_came_from_no_answer_is_rendered() -> None:
    assert not passing._is_own_form(codec_named("anthropic"), ApiError("x", status=400))


def test_the_recordings_were_there(shared: Path) -> None:
    """Without them the tests over every body would pass over none."""
    assert shared.is_dir()
    assert len(recorded()) >= 18
