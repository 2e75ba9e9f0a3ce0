"""What an exchange remembers of an answer, and gives back to a later request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lmtools.apiproxy.recall import Recall, client_mark
from lmtools.codecs.base import Loss
from lmtools.state.calls import CallStates, Kept
from lmtools.types import (
    End,
    Event,
    Message,
    Opaque,
    Part,
    PartDelta,
    Request,
    Response,
    Start,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallDelta,
    ToolCallPart,
    ToolResultPart,
    events_from_response,
)

ORIGIN = "anthropic:anthropic:01"


def signed(text: str, signature: str, origin: str | None = ORIGIN) -> ThinkingPart:
    return ThinkingPart(text, opaque=(Opaque("d", "signature", {"signature": signature}, origin),))


ONE, TWO, HIDDEN = signed("one", "1"), signed("two", "2"), signed("", "3")
BARE = ThinkingPart("no signature")
EXTRA = Opaque("d", "extra_content", {"extra_content": {"g": 1}}, ORIGIN)
A = ToolCallPart("a", "f", {"x": 1}, '{"x":1}')
B = ToolCallPart("b", "f", {"y": 2}, '{"y":2}', opaque=(EXTRA,))
ANSWER: tuple[Part, ...] = (ONE, TextPart("text"), TWO, TextPart(" more"), A, HIDDEN, B)
#: The same without what a client of another dialect keeps of it.
KEPT = (TextPart("text more"), A, replace(B, opaque=()))


def recall(memory: CallStates, client: str = "client", origin: str = ORIGIN) -> Recall:
    return Recall(memory, client, origin)


def response(*parts: Part) -> Response:
    return Response("r", "m", Message("assistant", parts), "tool_call")


def learn(memory: CallStates, parts: tuple[Part, ...], stream: bool) -> Recall:
    """Remember an answer, told whole or as a stream."""
    into = recall(memory)
    if stream:
        for event in events_from_response(response(*parts)):
            into.hear(event)
        assert into.close() == []
    else:
        assert into.keep(response(*parts))[1] == []
    return into


def restored(memory: CallStates, *parts: Part, **whose: str) -> tuple[Part, ...]:
    request = Request("m", (Message.user("Hi"), Message("assistant", parts)))
    return recall(memory, **whose).restore(request).messages[1].parts


streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@streamed_or_whole
def test_an_answer_that_lost_its_state_is_itself_again(stream: bool) -> None:
    memory = CallStates()
    learn(memory, ANSWER, stream)

    assert restored(memory, *KEPT) == ANSWER


@streamed_or_whole
@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ((A,), (ONE, TWO, A)),
        ((replace(B, opaque=()),), (HIDDEN, B)),
        ((TextPart("te"), A), (ONE, TextPart("te"), TWO, A)),
        ((ThinkingPart("one\ntwo"), TextPart("text more"), *KEPT[1:]), ANSWER),
        ((BARE, A), (ONE, BARE, TWO, A)),
        ((ONE, TextPart("text"), A), (ONE, TextPart("text"), A)),
        ((signed("x", "9", "another"), A), (ONE, signed("x", "9", "another"), TWO, A)),
        ((replace(A, id="other"),), (replace(A, id="other"),)),
        ((TextPart("text more"),), (TextPart("text more"),)),
    ],
    ids=[
        "text left out",
        "a call left out",
        "text cut short",
        "reasoning bare",
        "other reasoning",
        "state handed back",
        "another's state",
        "another call",
        "no calls",
    ],
)
def test_what_came_back_is_completed(
    kept: tuple[Part, ...], expected: tuple[Part, ...], stream: bool
) -> None:
    memory = CallStates()
    learn(memory, ANSWER, stream)

    assert restored(memory, *kept) == expected


@pytest.mark.parametrize("whose", [{"client": "other"}, {"origin": "anthropic:anthropic:02"}])
def test_nothing_is_given_to_another_client_or_sent_to_another_origin(
    whose: dict[str, str],
) -> None:
    memory = CallStates()
    learn(memory, ANSWER, True)

    assert restored(memory, *KEPT, **whose) == KEPT


def test_a_call_that_has_its_state_keeps_it() -> None:
    memory = CallStates()
    learn(memory, ANSWER, True)
    newer = Opaque("d", "extra_content", {"extra_content": {"g": 2}}, ORIGIN)

    assert restored(memory, replace(B, opaque=(newer,)))[-1].opaque == (newer,)


@streamed_or_whole
def test_thoughts_after_the_last_call_stay_with_it(stream: bool) -> None:
    """A Chat server may send its state at the end of the stream; where it stands is all one."""
    memory = CallStates()
    learn(memory, (A, ONE), stream)

    assert restored(memory, A) == (ONE, A)


@streamed_or_whole
@pytest.mark.parametrize("parts", [(ONE, TextPart("x")), (BARE, A), (TextPart("x"),), (A,)])
def test_only_state_before_calls_is_remembered(parts: tuple[Part, ...], stream: bool) -> None:
    memory = CallStates()
    learn(memory, parts, stream)

    assert len(memory) == 0


def test_a_request_without_anything_to_restore_is_the_same_value() -> None:
    memory = CallStates()
    results = Message("tool", (ToolResultPart("a", (TextPart("rain"),)),))
    request = Request("m", (Message.user("Hi"), Message("assistant", (TextPart("x"), A)), results))

    assert recall(memory).restore(request) is request
    learn(memory, ANSWER, True)
    changed = recall(memory).restore(request)
    assert changed is not request
    assert changed.messages[0] is request.messages[0]
    assert changed.messages[2] is results


def test_the_client_gets_the_answer_without_the_state_on_its_calls() -> None:
    whole, _ = recall(CallStates()).keep(response(*ANSWER))
    heard = [recall(CallStates()).hear(event) for event in events_from_response(response(*ANSWER))]

    assert whole.message.parts == (*ANSWER[:-1], replace(B, opaque=()))
    assert EXTRA not in [o for event in heard for o in getattr(event, "opaque", ())]
    assert [o for event in heard for o in getattr(event, "opaque", ()) if o.kind == "signature"]


def test_a_stream_is_heard_however_its_parts_are_told() -> None:
    """Parts may come whole; fragments of parallel calls interleaved, the signature last."""
    memory, state = CallStates(), ONE.opaque
    events: list[Event] = [
        Start(),
        PartDelta(0, TextPart("text")),
        ThinkingDelta(1, "on"),
        ToolCallDelta(2, '{"x"', "a", "f"),
        ToolCallDelta(3, '{"y"', "b", "f"),
        ThinkingDelta(1, "e", state),
        ToolCallDelta(2, ":1}"),
        TextDelta(0, " more"),
        ToolCallDelta(3, ":2}", opaque=(EXTRA,)),
        PartDelta(4, replace(A, id="c", opaque=(EXTRA,))),
        End("tool_call"),
    ]
    into = recall(memory)
    passed = [into.hear(event) for event in events]
    assert into.close() == []

    assert passed[8] == ToolCallDelta(3, ":2}")
    assert passed[9] == PartDelta(4, replace(A, id="c"))
    kept = (TextPart("text more"), A, replace(B, opaque=()), replace(A, id="c"))
    assert restored(memory, *kept) == (
        TextPart("text"),
        ONE,
        TextPart(" more"),
        A,
        B,
        replace(A, id="c", opaque=(EXTRA,)),
    )


class Full:
    """A memory that takes nothing more."""

    def remember(self, client: str, origin: str, call: ToolCallPart, kept: Kept) -> bool:
        return False

    def recall(self, client: str, origin: str, call: ToolCallPart) -> Kept | None:
        return None


@streamed_or_whole
def test_what_is_too_large_to_remember_is_a_loss(stream: bool) -> None:
    into = Recall(Full(), "client", ORIGIN)
    if stream:
        for event in events_from_response(response(*ANSWER)):
            into.hear(event)
        losses: list[Any] = into.close()
    else:
        _, losses = into.keep(response(*ANSWER))

    assert [(loss.path, loss.action) for loss in losses] == [("message.parts", "dropped")] * 2


def test_of_a_stream_that_thinks_without_end_no_more_is_held_than_can_be_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lmtools.apiproxy.recall.MAX_HEARD", 10_000)
    memory = CallStates()
    into = recall(memory)
    for _ in range(1_000):
        into.hear(ThinkingDelta(0, "hm"))
        assert len(into._heard) < 10_000 / 100
    for event in events_from_response(response(*ANSWER)):
        into.hear(event)

    assert [(loss.path, loss.action) for loss in into.close()] == [("message.parts", "dropped")]
    assert len(memory) == 0


@pytest.mark.parametrize("size", [9_000, 11_000])
def test_the_state_of_a_stream_counts_as_what_it_says_does(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmtools.apiproxy.recall.MAX_HEARD", 10_000)
    into = recall(CallStates())
    for event in events_from_response(response(signed("hm", "s" * size), A)):
        into.hear(event)

    assert bool(into.close()) is (size > 10_000)


@pytest.mark.parametrize(
    "other",
    [
        (),
        (("authorization", "Bearer other"),),
        (("x-api-key", "Bearer key"),),
        (("authorization", "Bearer key"), ("x-goog-api-key", "more")),
    ],
)
def test_clients_are_told_apart_by_the_credentials_that_they_send(
    other: tuple[tuple[str, str], ...],
) -> None:
    mark = client_mark((("authorization", "Bearer key"),))

    assert client_mark((("host", "x"), ("Authorization", "Bearer key"))) == mark
    assert client_mark(other) != mark
    assert "key" not in mark


def test_losses_are_told_under_the_paths_of_the_request_as_it_was_asked() -> None:
    memory = CallStates()
    learn(memory, ANSWER, True)
    into = recall(memory)
    losses = (Loss("messages[1].parts[5].name", "dropped", ""), Loss("stop", "dropped", ""))
    assert into.restate(losses) == losses
    asked = Request("m", (Message.user("Hi"), Message("assistant", KEPT)))
    restored = into.restore(asked).messages[1].parts

    where = {f"messages[1].parts[{i}].x": part for i, part in enumerate(restored)}
    told = into.restate(tuple(Loss(path, "dropped", "") for path in where))
    assert [loss.path for loss in told] == [
        "messages[1]",
        "messages[1]",
        "messages[1]",
        "messages[1]",
        "messages[1].parts[1].x",
        "messages[1]",
        "messages[1].parts[2].x",
    ]
