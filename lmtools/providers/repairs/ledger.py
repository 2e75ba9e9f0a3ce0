"""Losses of repairs, under the paths of the request as it was asked.

Repairs follow one another, and each may move what the next one reports. A value is therefore found
by its identity: canonical values are frozen and shared, and the asked request, which holds them
all, outlives the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import is_
from typing import Any, TypeVar

from ...codecs.base import Loss, Losses
from ...types import Message, Part, Request

_Value = TypeVar("_Value", bound="Message | Part")
#: The path of what no client asked.
_NOWHERE = "messages"
_PLACE = re.compile(r"messages\[(\d+)\](?:\.parts\[(\d+)\])?")


class Ledger:
    def __init__(self, asked: Request) -> None:
        self.losses: Losses = []
        self._asked = asked
        self._paths: dict[int, str] | None = None
        # What stands in for an asked value, kept alive so that its identity stays its own.
        self._stands_in: list[Any] = []

    @property
    def asked_nothing(self) -> bool:
        """Tell whether the asked request has no message at all."""
        return not self._asked.messages

    def lose(self, path: str, action: str, reason: str) -> None:
        self.losses.append(Loss(path, action, reason))

    def lose_value(self, value: Message | Part, action: str, reason: str, below: str = "") -> None:
        """Record a loss of a message or a part, or of what stands at ``below`` in it."""
        self.lose(self.path(value) + below, action, reason)

    def path(self, value: Message | Part) -> str:
        """Return where a message or part stood; ``messages`` for one that a repair made."""
        return self._known().get(id(value), _NOWHERE)

    def change(self, value: _Value, **fields: Any) -> _Value:
        """Return a message or part with other fields, known under the path of the old one."""
        changed = replace(value, **fields)
        self._stands_in.append(changed)
        self._known()[id(changed)] = self.path(value)
        return changed

    def restate(self, losses: Iterable[Loss], repaired: Request) -> tuple[Loss, ...]:
        """Return losses of the repaired request under the paths of the asked one."""
        if repaired.messages is self._asked.messages:
            return tuple(losses)
        return tuple(replace(loss, path=self._restated(loss.path, repaired)) for loss in losses)

    def _restated(self, path: str, repaired: Request) -> str:
        place = _PLACE.match(path)
        if place is None:
            return path
        message = repaired.messages[int(place[1])]
        if place[2] is None:
            return self.path(message) + path[place.end() :]
        known = self.path(message.parts[int(place[2])])
        # What a repair added stood nowhere; its message may have.
        return known + path[place.end() :] if known != _NOWHERE else self.path(message)

    def _known(self) -> dict[int, str]:
        if self._paths is None:
            self._paths = {}
            for i, message in enumerate(self._asked.messages):
                self._note(message, f"messages[{i}]")
        return self._paths

    def _note(self, message: Message, path: str) -> None:
        assert self._paths is not None
        self._paths.setdefault(id(message), path)
        for j, part in enumerate(message.parts):
            self._paths.setdefault(id(part), f"{path}.parts[{j}]")


def same(some: Sequence[object], others: Sequence[object]) -> bool:
    """Tell whether both hold the same objects."""
    return len(some) == len(others) and all(map(is_, some, others))


def with_messages(request: Request, messages: Sequence[Message]) -> Request:
    """Return the request with these messages; itself where they are its own."""
    if same(messages, request.messages):
        return request
    return replace(request, messages=tuple(messages))


def with_parts(message: Message, parts: Sequence[Part], ledger: Ledger) -> Message:
    """Return the message with these parts; itself where they are its own."""
    if same(parts, message.parts):
        return message
    return ledger.change(message, parts=tuple(parts))
