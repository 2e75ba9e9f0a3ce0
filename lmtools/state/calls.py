"""Reasoning state by tool call, for clients that keep no more of a call than its id.

A provider that signs its reasoning wants it back with the results of the calls that followed from
it. Most clients of the Chat API hand a call back as id, name and arguments, and no client of the
Messages API has a place for state on a call.

Who may read whose: an entry is found under a keyed digest of the client's mark, the origin, and the
whole call (id, name, arguments). Ids are not unique (``call_1``), so a call that differs in
anything is another call, and nothing is given back for it. State never goes to a client: whoever
repeats another one's call, word for word and with the same mark, makes the provider that gave the
state read it again, and no more.

In memory, lost at the end of the process, bounded in entries and bytes; the entry that was not
asked for longest goes first. Entries are held as their canonical bytes, so that the bound is exact.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from ..errors import RequestError
from ..serde import from_json, part_from_json, to_json
from ..types import Json, Opaque, ThinkingPart, ToolCallPart
from ..types.json import dumps, loads

#: Calls. A long session of a coding agent makes a few hundred.
MAX_ENTRIES = 10_000
#: Bytes of all entries.
MAX_BYTES = 64 << 20
#: Bytes of one entry: the state of one answer has kilobytes.
MAX_ENTRY = 1 << 20

#: What an entry costs beside its bytes: key, object heads, its place in the table.
_OVERHEAD = 256


@dataclass(frozen=True, slots=True)
class Kept:
    """What one call brought.

    ``thoughts`` stood before it and after the call before that, each with the number of characters
    of text that stood before it in the answer; ``opaque`` is the state on the call itself.
    """

    thoughts: tuple[tuple[int, ThinkingPart], ...] = ()
    opaque: tuple[Opaque, ...] = ()


class CallStates:
    """A table of what calls brought, safe to share between threads."""

    def __init__(
        self,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        max_entry: int = MAX_ENTRY,
    ) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_entry = min(max_entry, max_bytes - _OVERHEAD)
        self._key = os.urandom(32)
        self._lock = Lock()
        self._entries: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes held, never more than ``max_bytes``."""
        return self._bytes

    def remember(self, client: str, origin: str, call: ToolCallPart, kept: Kept) -> bool:
        """Keep what a call brought; False when it is too large."""
        try:
            entry, name = _write(kept), self._name(client, origin, call)
        except (RequestError, ValueError, RecursionError):
            return False
        if len(entry) > self._max_entry:
            return False
        with self._lock:
            self._drop(self._entries.pop(name, None))
            self._entries[name] = entry
            self._bytes += len(entry) + _OVERHEAD
            while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
                self._drop(self._entries.popitem(last=False)[1])
        return True

    def recall(self, client: str, origin: str, call: ToolCallPart) -> Kept | None:
        """Return what this very call brought, or None."""
        if not self._entries:
            return None
        try:
            name = self._name(client, origin, call)
        except (ValueError, RecursionError):
            return None
        with self._lock:
            entry = self._entries.get(name)
            if entry is not None:
                self._entries.move_to_end(name)
        return None if entry is None else _read(entry)

    def _drop(self, entry: bytes | None) -> None:
        if entry is not None:
            self._bytes -= len(entry) + _OVERHEAD

    def _name(self, client: str, origin: str, call: ToolCallPart) -> bytes:
        said = [client, origin, call.id, call.name, _plain(call.input)]
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=32).digest()


def _plain(value: Json) -> Json:
    """Return JSON in which one number has one form: some clients write 1 for 1.0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(held) for key, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, list) else value


def _write(kept: Kept) -> bytes:
    thoughts = [[characters, to_json(part)] for characters, part in kept.thoughts]
    return dumps([thoughts, [to_json(item) for item in kept.opaque]]).encode()


def _read(entry: bytes) -> Kept:
    thoughts, opaque = loads(entry.decode())
    parts = ((characters, part_from_json(part)) for characters, part in thoughts)
    return Kept(
        tuple((characters, part) for characters, part in parts if isinstance(part, ThinkingPart)),
        tuple(from_json(Opaque, item) for item in opaque),
    )
