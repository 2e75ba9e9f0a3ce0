"""Token counts: what estimates learn, what is asked once, and how much is asked at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lmtools.apiproxy import counting
from lmtools.apiproxy.counting import (
    ENOUGH,
    KEPT_S,
    LEAST,
    LONGEST_MODEL,
    MAX_ASKED,
    MAX_COUNTS,
    MAX_MODELS,
    TokenCounts,
    body_key,
)
from lmtools.errors import AuthError, CancelledError, LMError

WAIT_S = 15.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def fails() -> int:
    raise AssertionError("nobody is to be asked")


# Estimates


def test_an_estimate_becomes_what_answers_made_of_it() -> None:
    counts = TokenCounts()
    assert counts.scale("m", 1000) == 1000
    counts.learn("m", 1000, 1300)

    assert counts.scale("m", 2000) == 2600
    assert counts.scale("other", 2000) == 2000


def test_one_odd_answer_moves_an_estimate_by_a_quarter_of_the_way() -> None:
    counts = TokenCounts()
    counts.learn("m", 1000, 1000)
    counts.learn("m", 1000, 2000)

    assert counts.scale("m", 1000) == 1250


@pytest.mark.parametrize(
    ("estimated", "tokens"), [(1000, None), (LEAST - 1, 500), (500, LEAST - 1), (0, 0)]
)
def test_answers_that_say_little_teach_nothing(estimated: int, tokens: int | None) -> None:
    counts = TokenCounts()
    counts.learn("m", estimated, tokens)

    assert counts.scale("m", 1000) == 1000


def test_answers_are_wanted_once_somebody_was_given_an_estimate_until_there_are_enough() -> None:
    counts = TokenCounts()
    assert not counts.wants("m")
    counts.learn("m", 1000, 1200)
    assert not counts.wants("m")
    counts.want("m")
    wanted = []
    for _ in range(ENOUGH):
        wanted.append(counts.wants("m"))
        counts.learn("m", 1000, 1200)

    assert wanted == [True] * (ENOUGH - 1) + [False]


def test_models_are_bounded_and_the_one_longest_unheard_of_goes_first() -> None:
    counts = TokenCounts()
    for i in range(MAX_MODELS + 1):
        counts.learn(f"m{i}", 1000, 2000)
        counts.learn("m1", 1000, 2000)

    assert counts.scale("m0", 1000) == 1000
    assert counts.scale("m1", 1000) == 2000


@pytest.mark.parametrize(("length", "kept"), [(LONGEST_MODEL, True), (LONGEST_MODEL + 1, False)])
def test_of_a_name_that_no_model_has_nothing_is_kept(length: int, kept: bool) -> None:
    """A client may send megabytes for a name, and another one each time."""
    counts, model = TokenCounts(), "m" * length
    counts.want(model)
    counts.learn(model, 1000, 2000)
    counts.give_up(model)

    assert counts.scale(model, 1000) == (2000 if kept else 1000)
    assert counts.wants(model) is kept
    assert counts.may_ask(model) is not kept


def test_many_threads_may_teach_and_ask_at_once() -> None:
    counts = TokenCounts()

    def work(seed: int) -> None:
        for i in range(300):
            counts.learn(f"m{i % 5}", 1000, 1000 + (seed + i) % 1000)
            counts.scale(f"m{i % 7}", 1000)
            counts.count(b"%d" % (i % 9), lambda: 5)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)

    assert all(1000 <= counts.scale(f"m{i}", 1000) <= 2000 for i in range(5))


# Counts


def test_equal_bodies_are_counted_once_a_minute() -> None:
    clock, asked = Clock(), []
    counts = TokenCounts(clock)

    def ask() -> int:
        asked.append(clock.seconds)
        return 7

    for later in (0.0, KEPT_S, 1.0):
        clock.seconds += later
        assert counts.count(b"k", ask) == 7

    assert asked == [100.0, 101.0 + KEPT_S]


def test_known_counts_are_bounded() -> None:
    counts = TokenCounts()
    for i in range(MAX_COUNTS + 1):
        counts.count(b"%d" % i, lambda: 1)

    assert counts.count(b"0", lambda: 2) == 2
    assert counts.count(b"2", fails) == 1


def test_only_so_many_are_asked_at_a_time() -> None:
    """Each question is asked while the one before waits for its answer."""
    counts = TokenCounts()
    got: list[int | None] = []

    def ask(depth: int) -> int:
        got.append(counts.count(b"%d" % depth, lambda: ask(depth + 1)))
        return depth

    counts.count(b"first", lambda: ask(1))

    assert got == [None, *reversed(range(2, MAX_ASKED + 1))]
    assert counts.count(b"fresh", lambda: 9) == 9


def together(
    ask: Callable[[], int], monkeypatch: pytest.MonkeyPatch, followers: int = 6
) -> list[Any]:
    """Return what askers of one body get, who all came while the first one waited."""
    counts, got, lock = TokenCounts(), [], threading.Lock()
    entered, go_on, waiting = threading.Event(), threading.Event(), threading.Semaphore(0)
    answer = counting._answer_to

    def follow(question: Any) -> int | None:
        waiting.release()
        return answer(question)

    def first() -> int:
        entered.set()
        assert go_on.wait(WAIT_S)
        return ask()

    def work(mine: Callable[[], int]) -> None:
        try:
            found: Any = counts.count(b"k", mine)
        except LMError as error:
            found = error
        with lock:
            got.append(found)

    monkeypatch.setattr(counting, "_answer_to", follow)
    threads = [threading.Thread(target=work, args=(first,))]
    threads[0].start()
    assert entered.wait(WAIT_S)
    threads += [threading.Thread(target=work, args=(fails,)) for _ in range(followers)]
    for thread in threads[1:]:
        thread.start()
    came = [waiting.acquire(timeout=WAIT_S) for _ in range(followers)]
    go_on.set()
    for thread in threads:
        thread.join(WAIT_S)
    assert all(came)
    return got


def test_askers_of_one_body_share_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    assert together(lambda: 42, monkeypatch) == [42] * 7


def test_a_refusal_is_heard_by_all_each_with_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask() -> int:
        raise AuthError("no", status=401)

    got = together(ask, monkeypatch)

    assert [(type(e), e.status, e.message) for e in got] == [(AuthError, 401, "no")] * 7
    assert len({id(error) for error in got}) == 7


def test_that_the_first_asker_left_is_no_error_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ask() -> int:
        raise CancelledError("left")

    got = together(ask, monkeypatch)

    assert sum(isinstance(found, CancelledError) for found in got) == 1
    assert got.count(None) == 6


def test_whoever_waits_too_long_for_anothers_question_gets_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "PATIENCE_S", 0.0)
    counts = TokenCounts()
    got: list[int | None] = []

    def ask() -> int:
        got.append(counts.count(b"k", fails))
        return 3

    assert counts.count(b"k", ask) == 3
    assert got == [None]


def test_a_question_that_failed_is_asked_again() -> None:
    counts = TokenCounts()

    def ask() -> int:
        raise LMError("down")

    with pytest.raises(LMError):
        counts.count(b"k", ask)
    assert counts.count(b"k", lambda: 5) == 5


def test_a_server_without_counts_is_left_alone_for_a_minute() -> None:
    clock = Clock()
    counts = TokenCounts(clock)
    assert counts.may_ask("m")
    counts.give_up("m")
    assert not counts.may_ask("m")
    assert counts.may_ask("other")
    clock.seconds += KEPT_S

    assert counts.may_ask("m")


def test_bodies_are_told_apart_by_their_bytes_and_headers() -> None:
    beta = (("anthropic-beta", "a"),)
    keys = {body_key(b"x", ()), body_key(b"y", ()), body_key(b"x", beta)}

    assert len(keys) == 3
    assert body_key(b"x", beta) in keys


def test_an_answer_would_teach_until_enough_have_taught() -> None:
    counts = TokenCounts()
    for _ in range(ENOUGH):
        assert counts.would_teach("m", LEAST)
        counts.learn("m", 1000, 1100)
    assert not counts.would_teach("m", LEAST)
    assert counts.would_teach("other", LEAST)
    assert not counts.would_teach("other", LEAST - 1)
