"""The pool of idle connections and the line before the slots, without a network."""

from __future__ import annotations

import os

from lmtools.transport import split_url
from lmtools.transport.pool import Pool, Route, _Place


class FakeConnection:
    def __init__(self, name: str) -> None:
        self.name = name
        self.idle_since = 0.0
        self.stale = False
        self.closed = False

    def is_stale(self) -> bool:
        return self.stale

    def close(self) -> None:
        self.closed = True


def route(url: str = "http://127.0.0.1:1") -> Route:
    origin, _ = split_url(url)
    return Route(origin, None, str(origin), origin.authority)


def test_the_last_connection_given_is_the_first_taken(clock):
    """The others may then expire, instead of all being kept half warm."""
    pool, one = Pool(10, 60.0, clock), route()
    connections = [FakeConnection(str(i)) for i in range(3)]
    for connection in connections:
        pool.give(one, connection)
    assert [pool.take(one) for _ in range(4)] == [*reversed(connections), None]


def test_a_connection_is_for_its_own_route(clock):
    pool = Pool(10, 60.0, clock)
    one, other = route("http://127.0.0.1:1"), route("http://127.0.0.1:2")
    pool.give(one, FakeConnection("one"))
    assert pool.take(other) is None
    assert pool.take(one).name == "one"


def test_a_connection_expires(clock):
    pool, one = Pool(10, 60.0, clock), route()
    old = FakeConnection("old")
    pool.give(one, old)
    clock.now += 59.9
    assert pool.take(one) is old
    pool.give(one, old)
    clock.now += 60
    assert pool.take(one) is None
    assert old.closed
    assert len(pool) == 0


def test_a_stale_connection_is_closed_and_the_next_one_taken(clock):
    pool, one = Pool(10, 60.0, clock), route()
    good, stale = FakeConnection("good"), FakeConnection("stale")
    pool.give(one, good)
    pool.give(one, stale)
    stale.stale = True
    assert pool.take(one) is good
    assert stale.closed


def test_a_full_pool_closes_what_it_is_given(clock):
    pool, one = Pool(2, 60.0, clock), route()
    connections = [FakeConnection(str(i)) for i in range(3)]
    for connection in connections:
        pool.give(one, connection)
    assert [connection.closed for connection in connections] == [False, False, True]
    assert len(pool) == 2


def test_what_expired_on_routes_that_nobody_asks_for_is_swept_out(clock):
    """The give that finds the pool full after a while makes room by itself."""
    pool = Pool(3, 60.0, clock)
    left, used = route("http://127.0.0.1:1"), route("http://127.0.0.1:2")
    old, middle = FakeConnection("old"), FakeConnection("middle")
    other = FakeConnection("other")
    pool.give(left, old)
    pool.give(used, other)
    clock.now += 30
    pool.give(left, middle)
    clock.now += 31
    new = FakeConnection("new")
    pool.give(used, new)
    assert (old.closed, other.closed, middle.closed, new.closed) == (True, True, False, False)
    assert len(pool) == 2
    assert pool.take(left) is middle
    assert pool.take(used) is new


def test_a_closed_pool_keeps_nothing(clock):
    pool, one = Pool(10, 60.0, clock), route()
    before, after = FakeConnection("before"), FakeConnection("after")
    pool.give(one, before)
    pool.close()
    pool.give(one, after)
    assert before.closed
    assert after.closed
    assert pool.take(one) is None


def test_a_place_in_line_is_closed_once_even_by_two(monkeypatch):
    """Whoever waits may be gone before its call returns; a second close could hit another's file."""
    place = _Place()
    closed = []
    close = os.close

    def close_and_leave(fd):
        closed.append(fd)
        close(fd)
        if len(closed) == 1:
            place.close()

    monkeypatch.setattr(os, "close", close_and_leave)
    place.call()
    assert len(closed) == len(set(closed)) == 2
