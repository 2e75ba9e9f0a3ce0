"""Sealed reasoning state: one text for one state, and nothing else opens."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from lmtools.codecs import anthropic, seal
from lmtools.codecs.base import Incoming, Target
from lmtools.codecs.places import FIRST, Place
from lmtools.types import Message, Opaque, Request, TextPart, ThinkingPart

STATE = Opaque("anthropic", "signature", {"signature": "RXPQ+/=\u2028"}, "anthropic:x:01")
HELD = {"data": STATE.data, "dialect": "anthropic", "kind": "signature", "origin": "anthropic:x:01"}


def written(value: Any) -> str:
    """Return a value in the seal's own form, whether or not it is a state."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return "lmt1." + urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_what_was_sealed_opens_as_the_same_state() -> None:
    assert seal.open(seal.seal(STATE)) == STATE
    assert seal.seal(STATE) == written(HELD)


def test_a_seal_tells_where_a_thought_stood_that_was_not_the_first() -> None:
    text = seal.seal(STATE, Place(12, 1))

    assert text == written({**HELD, "at": [12, 1]})
    assert seal.open_placed(text) == (STATE, Place(12, 1))
    assert seal.open(text) == STATE
    assert seal.open_placed(seal.seal(STATE)) == (STATE, FIRST)


def test_the_order_of_keys_does_not_change_the_text() -> None:
    """Prefix caches see the sealed text."""
    one = Opaque("d", "signature", {"a": 1, "b": {"c": 2, "d": 3}}, "o")
    other = Opaque("d", "signature", {"b": {"d": 3, "c": 2}, "a": 1}, "o")

    assert seal.seal(one) == seal.seal(other)


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        ["lmt1."],
        "",
        "lmt1.",
        "lmt1.!!!!",
        "lmt1.\u00e9",
        "lmt2." + seal.seal(STATE)[5:],
        seal.seal(STATE)[:-3],
        seal.seal(STATE) + "=",
        seal.seal(STATE) + "\n",
        "lmt1." + "/+" + seal.seal(STATE)[5:],
        "lmt1." + "A" * seal.MAX_SEALED,
        "lmt1." + urlsafe_b64encode(b"[" * 100_000).decode(),
        "lmt1." + urlsafe_b64encode(json.dumps(HELD).encode()).decode(),
        written([HELD]),
        written({**HELD, "more": 1}),
        written({key: value for key, value in HELD.items() if key != "origin"}),
        written({**HELD, "origin": None}),
        written({**HELD, "origin": ""}),
        written({**HELD, "dialect": 1}),
        written({**HELD, "kind": "message"}),
        written({**HELD, "kind": ["signature"]}),
        written({**HELD, "data": "text"}),
        written({**HELD, "data": {"signature": "s", "rest": {"model": "other"}}}),
        written({**HELD, "data": {"signature": "s", "keys": 7}}),
        written({**HELD, "at": [0, 0]}),
        written({**HELD, "at": [3]}),
        written({**HELD, "at": [3, -1]}),
        written({**HELD, "at": [True, 1]}),
        written({**HELD, "at": [1.0, 1]}),
        written({**HELD, "at": "31"}),
        written({**HELD, "at": None}),
    ],
)
def test_what_a_client_makes_up_does_not_open(text: Any) -> None:
    assert seal.open(text) is None


def test_state_without_an_owner_is_not_for_sealing() -> None:
    assert seal.is_state(STATE)
    assert not seal.is_state(Opaque("anthropic", "signature", {"signature": "s"}))
    assert not seal.is_state(Opaque("anthropic", "block", {"rest": {}}, "o"))


def sent(request: Request, origin: str = "o") -> tuple[Any, list[str]]:
    target = Target("anthropic", "anthropic", "m", origin, default_max_tokens=9)
    rendered = anthropic.render_request(request, target)
    return rendered.body["messages"][0]["content"], [loss.path for loss in rendered.losses]


@pytest.mark.parametrize(
    "state",
    [
        Opaque("anthropic", "signature", {"signature": 7}, "o"),
        Opaque("anthropic", "signature", {}, "o"),
        Opaque("anthropic", "redacted", {"data": ["x"]}, "o"),
        Opaque("anthropic", "signature", {"signature": "s"}, "another"),
        Opaque("openai_chat", "reasoning_details", {"details": []}, "o"),
    ],
)
def test_opened_state_that_is_not_what_the_api_gave_is_dropped(state: Opaque) -> None:
    """The client can seal anything; only its own owner's text is sent on."""
    opened = seal.open(seal.seal(state))
    assert opened == state
    message = Message("assistant", (ThinkingPart("t", opaque=(opened,)), TextPart("x")))

    assert sent(Request("m", (message,), max_tokens=9)) == ("x", ["messages[0].parts[0]"])


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "t", "signature": "SEALED"},
        {"type": "redacted_thinking", "data": "SEALED"},
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        seal.seal(Opaque("openai_chat", "reasoning_details", {"details": []}, "o")),
        seal.seal(Opaque("anthropic", "signature", {"signature": "s"}, "another")),
        "lmt1.forged",
    ],
)
def test_a_seal_never_reaches_the_api(block: dict[str, str], text: str) -> None:
    """The API answers 400 to a signature that it did not make."""
    held = {key: text if value == "SEALED" else value for key, value in block.items()}
    content = [held, {"type": "text", "text": "x"}]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": content}]}
    blocks, losses = sent(anthropic.parse_request(Incoming(body)))

    assert blocks in ("x", [{"type": "text", "text": "x"}])
    assert losses == ["messages[0].parts[0]"]
