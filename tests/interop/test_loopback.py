"""The SDKs against the built-in provider, as a newcomer tries them: no key, no network."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip("anthropic", reason="needs the anthropic SDK: run scripts/interop")
pytest.importorskip("openai", reason="needs the openai SDK: run scripts/interop")

from lmtools.flags.provider import ProviderChoice
from tests.fakes.proxy import running
from tests.interop.asks import Ask, Image, Tool, Turn, user
from tests.interop.cell import SURFACES, results

pytestmark = pytest.mark.interop

SAID = "Good day \U0001f44b, all\u2028of you"
SCHEMA = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "days": {"type": "integer", "minimum": 2}},
    "required": ["place", "days"],
}


@pytest.fixture(
    params=[(client, wire) for client in SURFACES for wire in ("anthropic", "openai-chat")],
    ids=lambda p: f"{p[0]}-over-{p[1]}",
)
def sdk(request: pytest.FixtureRequest, stack: ExitStack) -> Any:
    client, wire = request.param
    proxy = stack.enter_context(running(ProviderChoice("loopback", loopback_wire=wire)))
    return stack.enter_context(SURFACES[client](proxy.url))


def ask(sdk: Any, way: str, model: str, *turns: Turn, **more: Any) -> Any:
    """Ask, and validate what came."""
    try:
        return sdk.ask(way, Ask(turns or (user(SAID),), **more), model)
    finally:
        for came in sdk.tap.came:
            sdk.validate(came, set(), full=True)


def test_echo_repeats_what_was_said(sdk: Any, way: str) -> None:
    answer = ask(sdk, way, "echo")

    assert answer.text == SAID
    assert answer.model == "echo"
    assert answer.finish == "stop"
    assert answer.input_tokens
    assert answer.output_tokens


def test_any_other_name_is_echo_under_that_name(sdk: Any, way: str) -> None:
    assert ask(sdk, way, "some-model").model == "some-model"


def test_think_shows_its_thinking(sdk: Any, way: str) -> None:
    answer = ask(sdk, way, "think")

    assert "words" in answer.thinking
    assert answer.text == SAID


def test_tools_are_called_with_fitting_arguments_and_answered(sdk: Any, way: str) -> None:
    tools = (Tool("forecast", SCHEMA), Tool("archive", SCHEMA))

    first = ask(sdk, way, "tools", tools=tools)

    assert [call.name for call in first.calls] == ["forecast", "archive"]
    assert all(
        isinstance(call.given["place"], str) and call.given["days"] >= 2 for call in first.calls
    )
    assert first.finish == "calls"

    history = (user(SAID), first.turn, results(first, "sun", "snow"))
    second = ask(sdk, way, "tools", *history, tools=tools)

    assert "sun" in second.text
    assert "snow" in second.text


def test_an_image_is_seen(sdk: Any, way: str) -> None:
    answer = ask(sdk, way, "echo", user("Look.", Image("aGVsbG8=")))

    assert answer.text == "Look.\n[image image/png 5 bytes]"


def test_a_small_limit_cuts_the_answer(sdk: Any, way: str) -> None:
    assert ask(sdk, way, "story", limit=8).finish == "length"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 529])
def test_a_failing_model_fails_with_its_status(sdk: Any, way: str, status: int) -> None:
    with pytest.raises(sdk.error) as caught:
        ask(sdk, way, f"error-{status}")

    assert sdk.failure(caught.value).status == status


@pytest.mark.parametrize("way", ["stream", "async-stream"])
def test_a_cut_stream_raises_after_its_first_words(sdk: Any, way: str) -> None:
    pieces: list[str] = []

    with pytest.raises(sdk.error):
        sdk.watch(way, Ask((user(SAID),)), "cut", pieces)

    assert pieces


def test_the_models_are_listed(sdk: Any) -> None:
    names = {model.id for model in sdk.client.models.list()}

    assert {"echo", "story", "think", "tools", "slow", "error-429", "error-529", "cut"} <= names
    assert sdk.client.models.retrieve("story").id == "story"
