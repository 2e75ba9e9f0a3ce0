"""L10: an encoder's stream is lawful whatever events it gets, in any order, with pings anywhere."""

from __future__ import annotations

from random import Random

import pytest

from conformance import automata, exchange, runner
from conformance.laws.streams import encoded_breach
from conformance.sequences import ADVERSARIAL
from lmtools.codecs.base import Stamp
from lmtools.types import End, Message, Request, Start, StreamError, TextDelta
from tests.generators import random_any_events, random_events

CODECS = runner.codecs()
DIALECTS = sorted(CODECS)
#: Opaque data of a dialect is written by its own codec only, so random data is never its own.
FOREIGN = ("gemini", "elsewhere")
PLAIN = [Start("id", "model"), TextDelta(0, "a"), TextDelta(1, "b"), End("stop")]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_an_adversarial_sequence_gives_a_lawful_stream(dialect: str, name: str) -> None:
    assert list(encoded_breach(CODECS[dialect], ADVERSARIAL[name])) == []


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_it_is_lawful_as_well_when_it_breaks_off_after_any_event(dialect: str, name: str) -> None:
    events = ADVERSARIAL[name]

    for cut in range(len(events)):
        assert list(encoded_breach(CODECS[dialect], events[:cut])) == []


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(150))
def test_random_lawful_events_give_a_lawful_stream(dialect: str, seed: int) -> None:
    assert list(encoded_breach(CODECS[dialect], random_events(Random(seed), FOREIGN))) == []


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("seed", range(300))
def test_random_events_in_any_order_give_a_lawful_stream(dialect: str, seed: int) -> None:
    assert list(encoded_breach(CODECS[dialect], random_any_events(Random(seed), FOREIGN))) == []


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("place", range(len(PLAIN)))
def test_a_ping_may_come_before_any_event(dialect: str, place: int) -> None:
    assert list(encoded_breach(CODECS[dialect], PLAIN, ping_at=place)) == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_encoder_that_is_closed_without_an_end_sends_an_error_once(dialect: str) -> None:
    request = Request("model", (Message.user("Hello"),), stream=True)
    encoder = CODECS[dialect].stream_encoder(request, Stamp("id", 1, "model"))
    out = b"".join(encoder.encode(event) for event in PLAIN[:2]) + encoder.close()

    frames = exchange.frames_of([out])
    events = exchange.decode_frames(CODECS[dialect], frames, request)

    assert automata.breach(dialect, frames) is None
    assert isinstance(events[-1], StreamError)
    assert encoder.close() == b""
