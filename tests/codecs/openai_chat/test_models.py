"""The list of models."""

from __future__ import annotations

import json

import pytest

from lmtools.codecs import openai_chat
from lmtools.errors import ProtocolError
from lmtools.types import ModelInfo
from tests import corpus


def test_the_captured_list_comes_back_as_it_came():
    paths = corpus.capture_files("models-openai/captures/openai.response.json")
    if not paths:
        pytest.skip("no captured list of models beside the checkout")
    wire = json.loads(paths[0].read_text("utf-8"))
    models = openai_chat.parse_models(wire)
    assert json.dumps(openai_chat.render_models(models)["data"]) == json.dumps(wire["data"])


def test_argos_list_has_the_names_to_call_beside_the_ids(shared):
    path = next((shared / "captures").glob("models-argo/captures/*.response.json"))
    models = openai_chat.parse_models(json.loads(path.read_text("utf-8")))
    assert models
    assert "internal_id" in models[0].opaque[0].data["rest"]


@pytest.mark.parametrize(
    ("wire", "model"),
    [
        ({"id": "m"}, ModelInfo("m")),
        (
            {"id": "m", "object": "model", "created": 5, "owned_by": "o"},
            ModelInfo("m", None, 5, "o"),
        ),
        ({"id": "m", "created": "now", "owned_by": None}, ModelInfo("m")),
        ({"id": "m", "max_model_len": 8192}, ModelInfo("m", max_input_tokens=8192)),
        ({"id": "m", "context_length": 8192}, ModelInfo("m", max_input_tokens=8192)),
    ],
)
def test_what_servers_say_of_a_model_is_read(wire, model):
    (parsed,) = openai_chat.parse_models({"object": "list", "data": [wire]})
    names = ("id", "created", "owned_by", "max_input_tokens")
    assert [getattr(parsed, n) for n in names] == [getattr(model, n) for n in names]
    assert openai_chat.parse_models([wire]) == (parsed,)


def test_what_a_server_leaves_open_stays_open_in_its_own_words():
    wire = {"id": "m", "object": "model", "created": "now", "owned_by": None}
    (model,) = openai_chat.parse_models([wire])
    assert openai_chat.render_model(model) == wire


def test_a_model_of_another_dialect_has_what_clients_require():
    assert openai_chat.render_models((ModelInfo("claude", "Claude"),)) == {
        "object": "list",
        "data": [{"id": "claude", "object": "model", "created": 0, "owned_by": ""}],
    }


@pytest.mark.parametrize("wire", [None, {}, {"data": {}}, {"data": [7]}, {"data": [{}]}, "text"])
def test_what_is_no_list_of_models_is_a_breach_of_protocol(wire):
    with pytest.raises(ProtocolError, match="malformed list of models"):
        openai_chat.parse_models(wire)
