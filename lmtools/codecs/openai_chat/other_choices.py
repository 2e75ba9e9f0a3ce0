"""Choices beside the first on their way to a Chat client: only this dialect knows them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...types import JsonObject


class OtherChoices:
    """Keeps the grammar of each: the role in its first delta, one finish reason, nothing after."""

    def __init__(self) -> None:
        #: By index, whether each has finished.
        self._finished: dict[Any, bool] = {}

    def kept(self, choices: Iterable[JsonObject]) -> list[JsonObject]:
        """Return what of a chunk's choices may go out."""
        found = []
        for choice in choices:
            index = choice.get("index")
            delta = {k: v for k, v in (choice.get("delta") or {}).items() if k != "role"}
            if index in self._finished:
                if self._finished[index]:
                    continue
            else:
                delta = {"role": "assistant", **delta}
            self._finished[index] = bool(choice.get("finish_reason"))
            found.append({**choice, "delta": delta})
        return found

    def ends(self) -> list[JsonObject]:
        """Return an end for each that has none."""
        open = [index for index, is_finished in self._finished.items() if not is_finished]
        return [{"index": index, "delta": {}, "finish_reason": "stop"} for index in open]
