"""The laws, in one table: which cases each is for, and the function that looks for breaches.

A law yields one line for each breach it finds, naming the path; a case without lines keeps the law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..corpus import Case
from ..exchange import Codecs
from . import bodies, facts, frames, ownership, passage, planting, streams, transcode

Check = Callable[[Case, Codecs], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Law:
    """``check`` looks at one case; ``lawful_only`` leaves out streams that a server sent against the grammar."""

    name: str
    title: str
    kinds: frozenset[str]
    check: Check
    lawful_only: bool = False

    @property
    def group(self) -> str:
        """The law of the design that this is a part of: ``L2`` for ``L2-stream``."""
        return self.name.partition("-")[0]

    def applies(self, case: Case) -> bool:
        if self.check is facts.facts and not case.expect:
            return False  # it would be kept by any codec
        return case.kind in self.kinds and (case.lawful or not self.lawful_only)


_BODIES = frozenset({"request", "response"})
_STREAM = frozenset({"stream"})

LAWS = (
    Law("facts", "content is what the case says", _BODIES | _STREAM | {"error"}, facts.facts),
    Law("L2", "identity of bodies", _BODIES | {"error"}, bodies.identity),
    Law("L2-stream", "a stream says the same again", _STREAM, streams.said_again),
    Law("L3", "unknown keys in bodies", _BODIES | {"error"}, bodies.unknown_keys),
    Law("L3-stream", "unknown keys in events", _STREAM, streams.unknown_keys, lawful_only=True),
    Law("L4", "chunking", _STREAM, streams.chunking),
    Law("L5", "stream = whole", frozenset({"response"}), streams.whole_streamed),
    Law("L5-pair", "captured stream = captured whole", frozenset({"pair"}), streams.parity),
    Law("L6", "transcode keeps what no loss names", _BODIES | _STREAM, transcode.transcode),
    Law("L7", "truncation", _STREAM, streams.truncation),
    Law("L8", "no silent loss", _BODIES, planting.no_silent_loss),
    Law("L8-stream", "no silent loss in streams", _STREAM, frames.no_silent_loss, lawful_only=True),
    Law("L9", "raw = codec", _BODIES | _STREAM, passage.raw_is_codec),
    Law("L10", "encoders keep the grammar", _STREAM, streams.grammar),
    Law("L10-wire", "the grammar accepts the wire", _STREAM, streams.recorded_grammar, lawful_only=True),
    Law("opaque", "emptied opaque data loses no content", _BODIES, ownership.emptied),
    Law("fields", "every field reaches the wire", _BODIES, ownership.every_field),
)  # fmt: skip

#: Laws of the design that the table does not run, and why.
ELSEWHERE = (("L1", "serde knows no dialect: tests/laws/test_l1_serde.py"),)
