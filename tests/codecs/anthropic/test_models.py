from __future__ import annotations

import json

import pytest

from lmtools.codecs import anthropic
from lmtools.codecs.base import Incoming, Target
from lmtools.codecs.text import dumps
from lmtools.errors import ProtocolError
from lmtools.types import Message, ModelInfo, Request
from tests.codecs.anthropic.wire import plant, request_body, said


def test_a_captured_list_comes_out_as_it_went_in(shared):
    path = shared / "captures" / "models-anthropic" / "captures" / "anthropic.response.json"
    body = json.loads(path.read_text())

    models = anthropic.parse_models(body)

    assert anthropic.render_models(models, body["has_more"]) == body
    (first, *_) = models
    assert (first.id, first.display_name, first.created) == (
        "claude-opus-4-7",
        "Claude Opus 4.7",
        1776124800,
    )
    assert (first.max_input_tokens, first.max_output_tokens) == (1_000_000, 128_000)


@pytest.mark.parametrize(
    "model",
    [
        {"type": "model", "id": "m", "display_name": "M", "created_at": "2026-04-14T00:00:00Z"},
        {
            "id": "m",
            "display_name": "M",
            "created_at": "2026-04-14T00:00:00.5+02:00",
            "type": "model",
        },
        {"type": "snapshot", "id": "m", "display_name": "M", "created_at": None},
        {"type": "model", "id": "m", "display_name": "M", "created_at": 7, "max_tokens": None},
    ],
)
@pytest.mark.parametrize("change", [lambda body: body, plant], ids=["as-sent", "new-keys"])
def test_a_model_comes_out_as_it_went_in(model, change):
    model = change(model)

    (info,) = anthropic.parse_models({"data": [model]})

    assert dumps(anthropic.render_model(info)) == dumps(model)


def test_a_foreign_model_has_every_key_that_a_client_reads():
    assert anthropic.render_models((ModelInfo("gpt", created=0, max_output_tokens=5),)) == {
        "data": [
            {
                "type": "model",
                "id": "gpt",
                "display_name": "gpt",
                "created_at": "1970-01-01T00:00:00Z",
                "lifecycle": "active",
                "max_tokens": 5,
            }
        ],
        "has_more": False,
        "first_id": "gpt",
        "last_id": "gpt",
    }
    assert anthropic.render_model(ModelInfo("x"))["created_at"] == "1970-01-01T00:00:00Z"


def test_an_empty_list_has_no_ends():
    assert anthropic.render_models(()) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


@pytest.mark.parametrize("body", [None, {}, {"data": None}, {"data": [7]}, {"data": [{}]}])
def test_what_is_no_list_is_a_breach_of_protocol(body):
    with pytest.raises(ProtocolError, match="not a model list"):
        anthropic.parse_models(body)


def test_a_count_asks_for_what_the_model_reads_and_nothing_else():
    wire = request_body(
        system="s", tools=[], stream=True, temperature=0.5, metadata={"user_id": "u"}
    )
    wire["thinking"] = {"type": "enabled", "budget_tokens": 50}
    request = anthropic.parse_count_request(Incoming(wire, headers=(("anthropic-beta", "b"),)))

    rendered = anthropic.render_count_request(request, Target(model="real"))

    assert rendered.body == {
        "model": "real",
        "thinking": {"type": "enabled", "budget_tokens": 50},
        "tools": [],
        "system": "s",
        "messages": wire["messages"],
    }
    assert rendered.headers == (("anthropic-beta", "b"),)


def test_a_count_needs_no_limit_and_reports_only_real_losses():
    request = Request("m", (Message("user", Message.user("x").parts, name="ann"),))

    rendered = anthropic.render_count_request(request, Target())

    assert said(rendered.losses) == [("messages[0].name", "dropped")]


def test_counts():
    assert anthropic.parse_count_response({"input_tokens": 576, "new": 1}) == 576
    assert anthropic.render_count_response(576) == {"input_tokens": 576}


@pytest.mark.parametrize("body", [None, {}, {"input_tokens": "5"}, {"input_tokens": -1}])
def test_what_is_no_count_is_a_breach_of_protocol(body):
    with pytest.raises(ProtocolError, match="not a token count"):
        anthropic.parse_count_response(body)
