"""What is closed when its ``with`` block is left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """A base for what has ``close``: entering gives the object, leaving closes it.

    ``contextlib.closing`` would do the same around the object; as a base, it is the object itself
    that callers put after ``with``.
    """

    __slots__ = ()

    @abstractmethod
    def close(self) -> None:
        """Give up what is held; more than once does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
