"""What was learned once and helps the next time: bounded, and safe to share between threads."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """Values by key; beyond ``bound`` keys, the one that was not asked for longest is forgotten.

    Of one key, the ``each`` values that were learned last are kept.
    """

    def __init__(self, bound: int, each: int = 16) -> None:
        self._bound = bound
        self._each = each
        self._lock = Lock()
        self._known: OrderedDict[Key, tuple[Value, ...]] = OrderedDict()

    def find(self, key: Key) -> tuple[Value, ...]:
        """Return the values of a key in the order in which they were learned."""
        if not self._known:
            return ()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key, ())

    def learn(self, key: Key, value: Value) -> None:
        """Add a value to those of a key; a known one stays where it is."""
        with self._lock:
            known = self._known.pop(key, ())
            self._known[key] = known if value in known else (*known, value)[-self._each :]
            if len(self._known) > self._bound:
                self._known.popitem(last=False)
