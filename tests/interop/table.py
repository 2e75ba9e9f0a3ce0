"""What a row of the matrix is, and its columns.

A further API joins as a face of its SDK (``cell.SURFACES``), a wire with its fake (``wires.WIRES``), and
columns here; rows then say which of the new cells cannot be, or lose something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.interop.cell import Cell

WAYS = ("whole", "stream", "async-whole", "async-stream")


@dataclass(frozen=True)
class Column:
    """A client's API over a provider's wire. ``path`` is raw or codec: how the body travels."""

    client: str
    wire: str
    path: str

    @property
    def id(self) -> str:
        return f"{self.client}-over-{self.wire}" + ("" if self.is_foreign else f"-{self.path}")

    @property
    def is_foreign(self) -> bool:
        return self.client not in (self.wire, _CLIENT_OF[self.wire])


#: The client whose own API a wire is.
_CLIENT_OF = {"anthropic": "anthropic", "openai_chat": "openai"}

COLUMNS = (
    Column("anthropic", "anthropic", "raw"),
    Column("anthropic", "anthropic", "codec"),
    Column("anthropic", "openai_chat", "codec"),
    Column("openai", "anthropic", "codec"),
    Column("openai", "openai_chat", "raw"),
    Column("openai", "openai_chat", "codec"),
)


@dataclass(frozen=True)
class Where:
    """Cells by what they are; None is any."""

    client: str | None = None
    wire: str | None = None
    stream: bool | None = None
    path: str | None = None
    foreign: bool | None = None

    def holds(self, column: Column, way: str) -> bool:
        wanted = (
            (self.client, column.client),
            (self.wire, column.wire),
            (self.stream, way.endswith("stream")),
            (self.path, column.path),
            (self.foreign, column.is_foreign),
        )
        return all(said in (None, is_) for said, is_ in wanted)


@dataclass(frozen=True)
class No:
    """Cells that cannot be. ``why`` is what the provider's documentation says, ``source`` where."""

    where: Where
    why: str
    source: str


@dataclass(frozen=True)
class Less:
    """Cells where something is lost. ``loss`` begins what ``x-lmtools-loss`` says; the row asserts the rest.

    An empty ``loss`` is one of the answer, which no header can announce.
    """

    where: Where
    loss: str
    what: str


@dataclass(frozen=True)
class Row:
    """One thing that people do. ``run`` asks, and asserts what came and what reached the provider.

    ``compatible``: the Chat server is not OpenAI's own. ``patient``: it takes long and does little,
    so all its cells run beside everything else. ``gateway``: the provider's answers lack keys that
    its API's maker always sends, and are passed on without them. ``options`` are the proxy's, given
    the provider's model.
    """

    group: str
    name: str
    run: Callable[[Cell], None]
    no: Sequence[No] = ()
    less: Sequence[Less] = ()
    compatible: bool = False
    patient: bool = False
    gateway: bool = False
    options: Callable[[str], dict[str, Any]] | None = None

    def impossible(self, column: Column, way: str) -> No | None:
        return next((no for no in self.no if no.where.holds(column, way)), None)

    def lost(self, column: Column, way: str) -> list[Less]:
        return [less for less in self.less if less.where.holds(column, way)]


@dataclass
class Group:
    """Rows of one subject; ``row`` adds one."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def row(
        self,
        name: str,
        no: Sequence[No] = (),
        less: Sequence[Less] = (),
        **more: Any,
    ) -> Callable[[Callable[[Cell], None]], Callable[[Cell], None]]:
        def add(run: Callable[[Cell], None]) -> Callable[[Cell], None]:
            self.rows.append(Row(self.title, name, run, no, less, **more))
            return run

        return add


def cells(rows: Sequence[Row]) -> Iterator[tuple[Row, Column, str]]:
    """Yield every cell that is possible."""
    for row in rows:
        for column in COLUMNS:
            for way in WAYS:
                if row.impossible(column, way) is None:
                    yield row, column, way
