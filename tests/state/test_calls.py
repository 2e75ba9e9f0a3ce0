"""State by tool call: for the very call it came with, bounded, and safe between threads."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from threading import Barrier, Thread
from typing import Any

import pytest

from lmtools.state.calls import _OVERHEAD, MAX_BYTES, CallStates, Kept
from lmtools.types import Json, Opaque, ThinkingPart, ToolCallPart

CLIENT, ORIGIN = "a client", "anthropic:anthropic:01"
CALL = ToolCallPart("call_1", "get_weather", {"city": "Oslo", "days": [1, 2]})
SIGNED = ThinkingPart("I think\ud800", opaque=(Opaque("d", "signature", {"s": "+/="}, ORIGIN),))
KEPT = Kept(((0, SIGNED), (12, SIGNED)), (Opaque("d", "extra_content", {"e": {"g": 1}}, ORIGIN),))


def holding(size: int) -> Kept:
    """Return what takes about ``size`` bytes."""
    return Kept(((0, ThinkingPart("x" * size)),))


def numbered(i: int) -> ToolCallPart:
    return replace(CALL, id=f"call_{i}")


def test_what_a_call_brought_comes_back_as_it_was() -> None:
    states = CallStates()

    assert states.recall(CLIENT, ORIGIN, CALL) is None
    assert states.remember(CLIENT, ORIGIN, CALL, KEPT)
    assert states.recall(CLIENT, ORIGIN, CALL) == KEPT
    assert states.recall(CLIENT, ORIGIN, CALL) == KEPT


@pytest.mark.parametrize(
    ("client", "origin", "call"),
    [
        ("another client", ORIGIN, CALL),
        (CLIENT, "anthropic:anthropic:02", CALL),
        (CLIENT, ORIGIN, replace(CALL, id="call_2")),
        (CLIENT, ORIGIN, replace(CALL, name="get_whether")),
        (CLIENT, ORIGIN, replace(CALL, input={"city": "Bergen", "days": [1, 2]})),
        (CLIENT, ORIGIN, replace(CALL, input={"city": "Oslo", "days": [2, 1]})),
        (CLIENT, ORIGIN, replace(CALL, input={})),
        (CLIENT, ORIGIN, replace(CALL, input="Oslo", kind="custom")),
        (CLIENT + '", "' + ORIGIN, "", CALL),
    ],
)
def test_nothing_is_given_back_where_anything_differs(
    client: str, origin: str, call: ToolCallPart
) -> None:
    """Ids are not unique: two clients, providers or turns may all have a ``call_1``."""
    states = CallStates()
    states.remember(CLIENT, ORIGIN, CALL, KEPT)

    assert states.recall(client, origin, call) is None


def test_calls_of_one_id_are_kept_apart_by_their_arguments() -> None:
    states = CallStates()
    other = replace(CALL, input={"city": "Bergen"})
    states.remember(CLIENT, ORIGIN, CALL, KEPT)
    states.remember(CLIENT, ORIGIN, other, holding(3))

    assert states.recall(CLIENT, ORIGIN, CALL) == KEPT
    assert states.recall(CLIENT, ORIGIN, other) == holding(3)


@pytest.mark.parametrize(
    "input",
    [{"days": [1, 2], "city": "Oslo"}, {"city": "Oslo", "days": [1.0, 2.0]}],
    ids=["another order of keys", "other forms of the numbers"],
)
def test_a_call_is_the_same_in_any_spelling_of_its_arguments(input: Json) -> None:
    """Clients parse arguments and write them again: JavaScript has one form for 1 and 1.0."""
    states = CallStates()
    states.remember(CLIENT, ORIGIN, CALL, KEPT)

    assert states.recall(CLIENT, ORIGIN, replace(CALL, input=input, text=None)) == KEPT


def test_a_true_is_no_one() -> None:
    states = CallStates()
    states.remember(CLIENT, ORIGIN, replace(CALL, input={"x": True}), KEPT)

    assert states.recall(CLIENT, ORIGIN, replace(CALL, input={"x": 1})) is None


def test_beyond_the_bound_of_entries_the_one_not_asked_for_longest_is_forgotten() -> None:
    states = CallStates(max_entries=3)
    for i in range(3):
        states.remember(CLIENT, ORIGIN, numbered(i), KEPT)
    states.recall(CLIENT, ORIGIN, numbered(0))
    states.remember(CLIENT, ORIGIN, numbered(3), KEPT)

    assert [states.recall(CLIENT, ORIGIN, numbered(i)) == KEPT for i in range(4)] == [
        True,
        False,
        True,
        True,
    ]
    assert len(states) == 3


def test_the_bound_of_bytes_is_never_passed() -> None:
    states = CallStates(max_bytes=10_000)
    for i in range(50):
        assert states.remember(CLIENT, ORIGIN, numbered(i), holding(i * 37 % 4000))
        assert states.size <= 10_000

    assert states.recall(CLIENT, ORIGIN, numbered(49)) == holding(49 * 37 % 4000)
    assert len(states) < 20


def test_an_entry_that_is_learned_again_counts_once() -> None:
    states = CallStates()
    states.remember(CLIENT, ORIGIN, CALL, holding(5000))
    states.remember(CLIENT, ORIGIN, CALL, holding(10))

    assert len(states) == 1
    assert states.size < 1000
    assert states.recall(CLIENT, ORIGIN, CALL) == holding(10)


@pytest.mark.parametrize(
    "states", [CallStates(max_entry=1000), CallStates(max_bytes=1000)], ids=["entry", "all"]
)
def test_what_is_too_large_is_refused_and_pushes_nothing_out(states: CallStates) -> None:
    states.remember(CLIENT, ORIGIN, CALL, holding(10))

    assert not states.remember(CLIENT, ORIGIN, numbered(2), holding(1001 - _OVERHEAD + 256))
    assert states.recall(CLIENT, ORIGIN, CALL) == holding(10)
    assert len(states) == 1


def deep(depth: int) -> Json:
    value: Json = 1
    for _ in range(depth):
        value = [value]
    return value


def test_arguments_nested_beyond_reason_are_not_remembered() -> None:
    states = CallStates()
    call = replace(CALL, input={"x": deep(100_000)})

    assert not states.remember(CLIENT, ORIGIN, call, KEPT)
    states.remember(CLIENT, ORIGIN, CALL, KEPT)
    assert states.recall(CLIENT, ORIGIN, call) is None
    nested = Kept(opaque=(Opaque("d", "extra_content", {"x": deep(100_000)}, ORIGIN),))
    assert not states.remember(CLIENT, ORIGIN, CALL, nested)


def test_ids_of_any_size_cost_the_same() -> None:
    states = CallStates()
    states.remember(CLIENT, ORIGIN, replace(CALL, id="i" * 1_000_000), holding(10))
    large = states.size
    states = CallStates()
    states.remember(CLIENT, ORIGIN, CALL, holding(10))

    assert states.size == large < MAX_BYTES


def test_the_keys_of_two_processes_differ() -> None:
    """Nobody who sees a key can tell the call, nor make one for another process."""
    one, other = CallStates(), CallStates()

    assert one._name(CLIENT, ORIGIN, CALL) == one._name(CLIENT, ORIGIN, CALL)
    assert one._name(CLIENT, ORIGIN, CALL) != other._name(CLIENT, ORIGIN, CALL)


class Guarded(OrderedDict[bytes, bytes]):
    """A table that sees whether its lock is held when it changes."""

    def __init__(self, lock: Any) -> None:
        super().__init__()
        self.lock = lock
        self.unguarded: list[str] = []

    def look(self, verb: str) -> None:
        if not self.lock.locked():
            self.unguarded.append(verb)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.look("set")
        super().__setitem__(key, value)

    def popitem(self, last: bool = True) -> tuple[bytes, bytes]:
        self.look("popitem")
        return super().popitem(last)

    def move_to_end(self, key: bytes, last: bool = True) -> None:
        self.look("move_to_end")
        super().move_to_end(key, last)


def test_the_table_changes_under_its_lock_alone() -> None:
    states = CallStates(max_entries=1)
    states._entries = table = Guarded(states._lock)
    for i in range(2):
        states.remember(CLIENT, ORIGIN, numbered(i), KEPT)
    states.recall(CLIENT, ORIGIN, numbered(1))

    assert table.unguarded == []
    table.move_to_end(next(iter(table)))
    assert table.unguarded == ["move_to_end"]


def test_threads_share_it() -> None:
    """Eight threads write and read one small table; the count of bytes is right at the end."""
    states, barrier = CallStates(max_entries=20, max_bytes=50_000), Barrier(8)
    wrong: list[object] = []

    def work(seed: int) -> None:
        barrier.wait()
        for i in range(200):
            call = numbered((i * 7 + seed) % 40)
            size = int(call.id.removeprefix("call_")) * 100
            states.remember(CLIENT, ORIGIN, call, holding(size))
            found = states.recall(CLIENT, ORIGIN, call)
            if found not in (None, holding(size)):
                wrong.append(found)

    threads = [Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
    assert states.size == sum(len(e) + _OVERHEAD for e in states._entries.values()) <= 50_000
    assert len(states) <= 20
