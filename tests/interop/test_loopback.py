"""The SDKs against the built-in provider, as a newcomer tries them: no key, no network."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.flags.provider import ProviderChoice

anthropic = pytest.importorskip("anthropic", reason="needs the anthropic SDK: run scripts/interop")
openai = pytest.importorskip("openai", reason="needs the openai SDK: run scripts/interop")
pytestmark = pytest.mark.interop

ASK = [{"role": "user", "content": "Good day \U0001f44b, all\u2028of you"}]
SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["place", "days"],
}


@pytest.fixture(
    params=[(c, w) for c in ("anthropic", "openai") for w in ("anthropic", "openai-chat")],
    ids=lambda p: f"{p[0]}-over-{p[1]}",
)
def sdk(request: pytest.FixtureRequest, bench: Any) -> Any:
    client, wire = request.param
    server = bench.proxy(ProviderChoice("loopback", loopback_wire=wire))
    return bench.sdk(client, server.url)


def test_echo_repeats_what_was_said(sdk: Any, way: str) -> None:
    answer = sdk.ask(way, "echo", ASK)

    assert answer.text == ASK[0]["content"]
    assert answer.model == "echo"
    assert answer.finish == sdk.finishes["stop"]
    assert answer.input_tokens
    assert answer.output_tokens


def test_any_other_name_is_echo_under_that_name(sdk: Any, way: str) -> None:
    assert sdk.ask(way, "some-model", ASK).model == "some-model"


def test_think_shows_its_thinking(sdk: Any, way: str) -> None:
    answer = sdk.ask(way, "think", ASK)

    assert "words" in answer.thinking
    assert answer.text == ASK[0]["content"]


def test_tools_are_called_with_fitting_arguments_and_answered(sdk: Any, way: str) -> None:
    tools = [sdk.tool("forecast", SCHEMA), sdk.tool("archive", SCHEMA)]

    first = sdk.ask(way, "tools", ASK, tools=tools)

    assert [name for _, name, _ in first.calls] == ["forecast", "archive"]
    assert all(
        isinstance(given["place"], str) and given["days"] >= 2 for _, _, given in first.calls
    )
    assert first.finish == sdk.finishes["calls"]

    second = sdk.ask(way, "tools", ASK + sdk.follow_up(first, ["sun", "snow"]), tools=tools)

    assert "sun" in second.text
    assert "snow" in second.text


def test_an_image_is_seen(sdk: Any, way: str) -> None:
    content = [{"type": "text", "text": "Look."}, sdk.image("image/png", "aGVsbG8=")]

    answer = sdk.ask(way, "echo", [{"role": "user", "content": content}])

    assert answer.text == "Look.\n[image image/png 5 bytes]"


def test_a_small_limit_cuts_the_answer(sdk: Any, way: str) -> None:
    answer = sdk.ask(way, "story", ASK, max_tokens=8)

    assert answer.finish == sdk.finishes["length"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
def test_a_failing_model_fails_with_its_status(sdk: Any, way: str, status: int) -> None:
    with pytest.raises(sdk.error) as caught:
        sdk.ask(way, f"error-{status}", ASK)

    assert caught.value.status_code == status


def test_a_cut_stream_raises_after_its_first_words(sdk: Any) -> None:
    pieces: list[str] = []

    with pytest.raises(sdk.error):
        sdk.texts("cut", pieces)

    assert pieces


def test_the_models_are_listed(sdk: Any) -> None:
    names = {model.id for model in sdk.client.models.list()}

    assert {"echo", "story", "think", "tools", "slow", "error-429", "error-529", "cut"} <= names
    assert sdk.client.models.retrieve("story").id == "story"
