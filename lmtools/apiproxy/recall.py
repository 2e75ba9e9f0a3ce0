"""Reasoning state that a client may not hand back: kept from its answers, put into its requests.

Used where client and provider speak different dialects; between those of one dialect the client
gets the provider's own state, and what it sends is its own word. What a client does hand back
(sealed, see ``codecs.seal``) is what counts; the memory fills in where it hands back nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from operator import is_
from typing import Protocol, TypeVar

from ..codecs.base import Headers, Loss
from ..codecs.places import Place, put_back
from ..codecs.seal import is_state
from ..http1 import find
from ..providers.repairs import Ledger
from ..state.calls import Kept
from ..types import (
    Assembler,
    Event,
    Message,
    Opaque,
    Part,
    PartDelta,
    PartEnd,
    Request,
    Response,
    Start,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallDelta,
    ToolCallPart,
)

Call = TypeVar("Call", ToolCallPart, ToolCallDelta)

#: Characters of thoughts and calls that are held of one stream, each event as so many more. Longer
#: ones could not be remembered: an entry of ``state.calls`` has a mebibyte.
MAX_HEARD = 8 << 20
_EVENT = 128

_NOTHING = Kept()
_TOO_MUCH = Loss("message.parts", "dropped", "too much reasoning state of a call to remember")
_START = Start()
_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")


class CallMemory(Protocol):
    """What remembers; ``state.calls.CallStates`` in the proxy."""

    def remember(self, client: str, origin: str, call: ToolCallPart, kept: Kept) -> bool: ...
    def recall(self, client: str, origin: str, call: ToolCallPart) -> Kept | None: ...


def client_mark(headers: Headers) -> str:
    """Return what tells clients apart: a digest of the credential that they sent, asked or not."""
    sent = [find(headers, name) or "" for name in _KEY_HEADERS]
    return sha256("\0".join(sent).encode("utf-8", "surrogateescape")).hexdigest()


class Recall:
    """The memory as one exchange uses it: for its client, and for the provider it goes to."""

    def __init__(self, memory: CallMemory, client: str, origin: str) -> None:
        self._memory = memory
        self._client = client
        self._origin = origin
        # Thoughts and calls of a stream, put together only where state came with them.
        self._heard: list[Event] = []
        self._has_state = False
        self._room = MAX_HEARD
        self._characters = 0
        self._begun: set[tuple[int, str]] = set()
        self._places: list[int] = []
        self._restated: tuple[Ledger, Request] | None = None

    # Requests

    def restore(self, request: Request) -> Request:
        """Return the request with the state of its calls that did not come back."""
        ledger = Ledger(request)
        messages = tuple(self._restored(message, ledger) for message in request.messages)
        if all(map(is_, messages, request.messages)):
            return request
        restored = replace(request, messages=messages)
        self._restated = ledger, restored
        return restored

    def restate(self, losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
        """Return losses of the restored request under the paths of the request as it was asked."""
        if self._restated is None:
            return losses
        ledger, restored = self._restated
        return ledger.restate(losses, restored)

    def _restored(self, message: Message, ledger: Ledger) -> Message:
        if message.role != "assistant" or not any(map(_is_call, message.parts)):
            return message
        parts: list[Part] = []
        thoughts: list[tuple[Place, ThinkingPart]] = []
        calls = 0
        for part in message.parts:
            if isinstance(part, ToolCallPart):
                kept = self._memory.recall(self._client, self._origin, part) or _NOTHING
                thoughts += [(Place(at, calls), thought) for at, thought in kept.thoughts]
                if kept.opaque and not self._owns(part.opaque):
                    part = ledger.change(part, opaque=(*part.opaque, *kept.opaque))
                calls += 1
            parts.append(part)
        if not thoughts and all(map(is_, parts, message.parts)):
            return message
        if any(isinstance(part, ThinkingPart) and self._owns(part.opaque) for part in parts):
            thoughts = []
        restored = put_back(_without_copy(parts, thoughts), thoughts)
        same = len(restored) == len(message.parts) and all(map(is_, restored, message.parts))
        return message if same else ledger.change(message, parts=restored)

    def _owns(self, opaque: tuple[Opaque, ...]) -> bool:
        return any(is_state(item) and item.origin == self._origin for item in opaque)

    # Whole answers

    def keep(self, response: Response) -> tuple[Response, list[Loss]]:
        """Remember what an answer's calls brought; return what the client gets, and what is lost.

        The client's dialect has no place for what stands on a call: it is here.
        """
        places, characters = [], 0
        parts = response.message.parts
        for part in parts:
            places.append(characters)
            characters += len(part.text) if isinstance(part, TextPart) else 0
        losses = self._remember(zip(parts, places, strict=True))
        bare = tuple(_bare(part) if isinstance(part, ToolCallPart) else part for part in parts)
        if all(map(is_, bare, parts)):
            return response, losses
        return replace(response, message=replace(response.message, parts=bare)), losses

    # Streams

    def hear(self, event: Event) -> Event:
        """Take note of an event; return what the client gets of it."""
        match event:
            case TextDelta():
                self._characters += len(event.text)
            case PartDelta(part=TextPart(text=text)):
                self._characters += len(text)
            case PartDelta(part=ThinkingPart() | ToolCallPart()):
                self._places.append(self._characters)
                self._note(event, (*event.part.opaque, *event.opaque))
                if isinstance(event.part, ToolCallPart):
                    return replace(event, part=_bare(event.part))
            case ThinkingDelta() | ToolCallDelta():
                if (event.part_index, event.type) not in self._begun:
                    self._begun.add((event.part_index, event.type))
                    self._places.append(self._characters)
                self._note(event, event.opaque)
                if isinstance(event, ToolCallDelta) and event.opaque:
                    return _bare(event)
            case PartEnd():
                self._note(event, event.opaque)
        return event

    def _note(self, event: Event, opaque: tuple[Opaque, ...]) -> None:
        if opaque and any(map(is_state, opaque)):
            self._has_state = True
        self._room -= _EVENT + _size(event)
        if self._room >= 0:
            self._heard.append(event)
        else:
            self._heard.clear()

    def close(self) -> list[Loss]:
        """Remember what was heard, at the end of a whole stream; return what is lost."""
        if not self._has_state:
            return []
        if self._room < 0:
            return [_TOO_MUCH]
        whole = Assembler()
        for event in (_START, *self._heard):
            whole.feed(event)
        return self._remember(zip(whole.partial().message.parts, self._places, strict=True))

    def _remember(self, parts: Iterable[tuple[Part, int]]) -> list[Loss]:
        """Remember each call's state and the thoughts before it; the last has the rest as well."""
        waiting: list[tuple[int, ThinkingPart]] = []
        brought: list[tuple[ToolCallPart, list[tuple[int, ThinkingPart]]]] = []
        for part, place in parts:
            if isinstance(part, ThinkingPart) and any(map(is_state, part.opaque)):
                waiting.append((place, part))
            elif isinstance(part, ToolCallPart):
                brought.append((part, waiting))
                waiting = []
        if brought:
            brought[-1][1].extend(waiting)
        return [_TOO_MUCH for call, thoughts in brought if not self._remember_call(call, thoughts)]

    def _remember_call(self, call: ToolCallPart, thoughts: list[tuple[int, ThinkingPart]]) -> bool:
        kept = Kept(tuple(thoughts), tuple(item for item in call.opaque if is_state(item)))
        if kept == _NOTHING:
            return True
        return self._memory.remember(self._client, self._origin, call, kept)


def _size(event: Event) -> int:
    """Return the characters of a thought, of a call's arguments, and of the state with them."""
    said = event.part if isinstance(event, PartDelta) else event
    text = getattr(said, "text", None) or ""
    held = (value for item in getattr(said, "opaque", ()) for value in item.data.values())
    return len(text) + sum(len(value) for value in held if isinstance(value, str))


def _bare(call: Call) -> Call:
    """Return a call without the state on it."""
    left = tuple(item for item in call.opaque if not is_state(item))
    return call if len(left) == len(call.opaque) else replace(call, opaque=left)


def _is_call(part: Part) -> bool:
    return isinstance(part, ToolCallPart)


def _without_copy(parts: list[Part], thoughts: list[tuple[Place, ThinkingPart]]) -> list[Part]:
    """Return the parts without thinking that came back bare and says what the thoughts say."""
    bare = [part for part in parts if _is_bare(part)]
    shown = [part.text for part in bare if isinstance(part, ThinkingPart)]
    said = [thought.text for _, thought in thoughts if thought.text]
    if not thoughts or "\n".join(shown) != "\n".join(said):
        return parts
    return [part for part in parts if not _is_bare(part)]


def _is_bare(part: Part) -> bool:
    return isinstance(part, ThinkingPart) and not any(map(is_state, part.opaque))
