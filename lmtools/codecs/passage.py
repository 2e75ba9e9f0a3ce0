"""What whoever forwards a dialect's bytes has to know of them, where no codec reads them.

A body that a client wrote in a provider's own dialect needs no codec: it goes on as it came. What
is still to be found in it, and in the answer, is data here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import ConfigError, ProtocolError
from ..types import Json, JsonObject
from .hearing import Heard, hear_completion, hear_message
from .splice import Edit, find, members, splice
from .text import dumps

__all__ = [
    "EventBytes",
    "Passage",
    "Renamer",
    "around",
    "passage_named",
    "rename_answer",
    "split_events",
]


@dataclass(frozen=True, slots=True)
class Passage:
    """Facts of one dialect.

    ``headers``       of a request that belong to its meaning, in lower case
    ``families``      how the names of such headers begin, where new ones come with new features
    ``limits``        names of the field that bounds the answer
    ``needs_limit``   a body without any of them is refused
    ``stops``         the field that holds stop sequences
    ``not_empty``     lists that servers refuse when they are empty
    ``uses``          what of ``Target.refuses`` a body has in it, its top-level keys aside
    ``model``         where an event of a stream names the model
    ``opening``       only events that hold these bytes name it; None: each does
    ``is_odd``        tells of a stream's first events that the dialect's own clients choke on them,
                      so that the codec has to write the stream anew
    ``is_plain``      tells of whole events' bytes that each is a piece of content and nothing else:
                      no start of the answer or of a call, no end, no error, no count of tokens
    ``ends``          finds in whole events that an answer is at its end, good or bad, where nothing
                      else in them can be read
    ``hear``          what the log wants of a whole answer in the usual shape; None for any other,
                      which only the codec can judge
    """

    headers: frozenset[str]
    families: tuple[str, ...]
    limits: tuple[str, ...]
    needs_limit: bool
    stops: str
    not_empty: frozenset[str]
    uses: Callable[[JsonObject], frozenset[str]]
    model: tuple[str, ...]
    opening: bytes | None
    is_odd: Callable[[bytes], bool]
    is_plain: Callable[[bytes], bool]
    ends: re.Pattern[bytes]
    hear: Callable[[Json], Heard | None]


#: Inside a JSON text a quote has a backslash before it, so this is a key with its value.
_ERROR_TYPE = re.compile(rb'"type" ?: ?"error"')


def _plain_messages(block: bytes) -> bool:
    """JSON escapes line ends, so these bytes with one at their end are the name of an event."""
    deltas = block.count(b"event: content_block_delta\n")
    return (
        0 < deltas == block.count(b"\n\n")
        and b"\r" not in block
        # Of two words for an event, clients go by either one.
        and _ERROR_TYPE.search(block) is None
    )


def _plain_chunks(block: bytes) -> bool:
    """Inside a JSON text a quote has a backslash before it, so these bytes are keys.

    A call that begins (it has a name) is no more than content, and still has to be heard: fragments
    of its arguments that are heard later would be those of a call without a name.
    """
    unfinished = block.count(b'"finish_reason":null') + block.count(b'"finish_reason": null')
    return (
        0 < unfinished == block.count(b"\n\n") == block.count(b'"finish_reason"')
        and b"\r" not in block
        and b"[DONE]" not in block
        and b'"error"' not in block
        and b'"name"' not in block
        and b'"usage":{' not in block
        and b'"usage": {' not in block
    )


def _is_never_odd(_: bytes) -> bool:
    return False


_NAMELESS = re.compile(rb'"object" ?: ?""')


def _opens_nameless(block: bytes) -> bool:
    """Azure, and gateways to it, open with a report on the prompt: a chunk with nothing filled in.

    OpenAI's client, where it checks what it reads, refuses the empty ``object``.
    """
    return _NAMELESS.search(block) is not None


def _uses_nothing(_: JsonObject) -> frozenset[str]:
    return frozenset()


#: ``openai_chat.tools.CUSTOM_TOOLS``, without an import of that package for all dialects.
_CUSTOM_TOOLS = frozenset({"custom_tools"})


def _uses_custom_tools(body: JsonObject) -> frozenset[str]:
    """Custom tools are offered at the top, and called in messages."""
    lists = [body.get("tools")]
    messages = body.get("messages")
    if isinstance(messages, list):
        lists += [m.get("tool_calls") for m in messages if isinstance(m, dict)]
    found = (item for listed in lists if isinstance(listed, list) for item in listed)
    has_custom = any(isinstance(item, dict) and item.get("type") == "custom" for item in found)
    return _CUSTOM_TOOLS if has_custom else frozenset()


_PASSAGES = {
    "anthropic": Passage(
        headers=frozenset(),
        # An open list, by code.claude.com/docs/en/llm-gateway-protocol#forward-as-open-lists.
        families=("anthropic-",),
        limits=("max_tokens",),
        needs_limit=True,
        stops="stop_sequences",
        not_empty=frozenset(),
        uses=_uses_nothing,
        model=("message", "model"),
        opening=b"message_start",
        is_odd=_is_never_odd,
        is_plain=_plain_messages,
        ends=re.compile(rb'"type" ?: ?"(?:message_stop|error)"'),
        hear=hear_message,
    ),
    "openai_chat": Passage(
        headers=frozenset({"openai-beta"}),
        families=(),
        limits=("max_tokens", "max_completion_tokens"),
        needs_limit=False,
        stops="stop",
        # OpenAI: "[] is too short - 'tools'".
        not_empty=frozenset({"tools", "functions"}),
        uses=_uses_custom_tools,
        model=("model",),
        opening=None,
        is_odd=_opens_nameless,
        is_plain=_plain_chunks,
        ends=re.compile(rb'"finish_reason" ?: ?"|data: ?\[DONE\]|"error" ?: ?[{"]'),
        hear=hear_completion,
    ),
}


def passage_named(dialect: str) -> Passage:
    """Return the facts of a dialect; ConfigError for a name that is none."""
    try:
        return _PASSAGES[dialect]
    except KeyError:
        raise ConfigError(f"no dialect {dialect!r}; known: {', '.join(_PASSAGES)}") from None


# A line may end with CR, LF or both; a blank line ends an event. (LF, then CR alone, is left out:
# with it, half of a CRLF would be taken for a line end of its own.)
_BLANK = re.compile(rb"\r\n\r\n|\n\n|\n\r\n|\r\r\n?")
_EVENT = re.compile(rb".*?(?:" + _BLANK.pattern + rb")", re.DOTALL)
_DATA = re.compile(rb"(?:\A|[\r\n])data: ?([^\r\n]*)")
#: Bytes of one event; an image in one is less.
_MAX_EVENT = 64 << 20


class EventBytes:
    """A stream's bytes in, whole events' bytes out: nothing is changed, and no event is cut."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """Return the events that ``chunk`` completes, b"" for none.

        ProtocolError for an event beyond 64 MiB.
        """
        rest = self._rest
        if not rest and chunk.endswith(b"\n\n"):
            return chunk
        # A boundary is four bytes at most, and three of them may have come before.
        searched = max(len(rest) - 3, 0)
        rest += chunk
        end = _last_boundary(rest, searched)
        if not end and len(rest) > _MAX_EVENT:
            raise ProtocolError(f"event stream: an event of more than {_MAX_EVENT} bytes")
        whole = bytes(rest[:end])
        del rest[:end]
        return whole

    def close(self) -> bytes:
        """Return a last event that lacks only its blank line, which it gets; b"" for a cut one."""
        rest = bytes(self._rest)
        self._rest.clear()
        data = b"\n".join(_DATA.findall(rest))
        return rest + b"\n\n" if _is_whole(data) else b""


# A stream opens and ends with about as many events: names, empty parts and pings; reasons, counts
# and marks.
_ENDS = 6


def around(block: bytes) -> tuple[bytes, bytes, bytes]:
    """Return whole events as the first ones, those between, and the last ones.

    There are none between where they are few, or where their lines do not end with LF.
    """
    start, stop = 0, len(block) - 2
    for _ in range(_ENDS):
        start = block.find(b"\n\n", start) + 2
        stop = block.rfind(b"\n\n", 0, stop)
        if start < 2 or stop < start:
            return block, b"", b""
    stop += 2
    return block[:start], block[start:stop], block[stop:]


def split_events(block: bytes) -> list[bytes]:
    """Return the events of a block of whole events, comments as well."""
    return [found[0] for found in _EVENT.finditer(block)]


def _last_boundary(data: bytearray, start: int) -> int:
    """Return the place behind the last blank line, 0 when there is none after ``start``."""
    if b"\r" not in data:
        at = data.rfind(b"\n\n", start)
        return at + 2 if at >= 0 else 0
    end = 0
    for found in _BLANK.finditer(data, start):
        end = found.end()
    return end


def _is_whole(data: bytes) -> bool:
    if data.strip() == b"[DONE]":
        return True
    try:
        members(data.decode())
    except (ProtocolError, UnicodeDecodeError):
        return False
    return True


class Renamer:
    """Puts the client's name of the model into the events of a stream, and changes nothing else.

    Chunks of one answer begin alike up to the model's name, so what was found in one is looked for
    in the next ones first.
    """

    def __init__(self, passage: Passage, model: str) -> None:
        self._path = passage.model
        self._opening = passage.opening
        self._text = dumps(model)
        self._over = False
        self._old = self._new = b""

    def rename(self, block: bytes) -> bytes:
        """Return whole events with the name in them."""
        if self._over:
            return block
        if self._old and self._is_alike(block):
            return block.replace(self._old, self._new)
        out, end = [], 0
        for found in _EVENT.finditer(block):
            out.append(self._renamed(found[0]))
            end = found.end()
        return b"".join(out) + block[end:]

    def _is_alike(self, block: bytes) -> bool:
        return block.count(self._old) == block.count(b"\n\n") == block.count(b'"model"')

    def _renamed(self, event: bytes) -> bytes:
        if self._opening is not None:
            if self._over or self._opening not in event:
                return event
            self._over = True
        data = _DATA.search(event)
        if data is None or not data[1].startswith(b"{"):
            return event
        try:
            text = data[1].decode()
            edits = [
                Edit(member.start, member.end, self._text)
                for member in find(text, self._path)
                if isinstance(member.value, str)
            ]
        except (ProtocolError, UnicodeDecodeError):
            return event  # Not for us to judge: the client gets what the server said.
        start = data.start(1)
        if len(edits) == 1:
            self._learn(event[:start], text, edits[0])
        return event[:start] + splice(text, edits).encode() + event[data.end(1) :]

    def _learn(self, head: bytes, text: str, edit: Edit) -> None:
        before = head + text[: edit.start].encode()
        self._old = before + text[edit.start : edit.end].encode()
        self._new = before + edit.text.encode()


def rename_answer(body: bytes, model: str) -> bytes:
    """Return a whole answer under the client's name of the model, which stands at its top.

    A body that cannot be read so strictly (control characters in a text) stays as it is.
    """
    try:
        text = body.decode()
        found = find(text, ("model",))
    except (ProtocolError, UnicodeDecodeError):
        return body
    name = dumps(model)
    edits = [Edit(m.start, m.end, name) for m in found if isinstance(m.value, str)]
    return splice(text, edits).encode()
