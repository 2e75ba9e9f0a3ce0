"""Calls and their results: every call answered, at once, under an id that the target takes.

Both APIs refuse a conversation in which a call is not followed by its result, or a result stands
without its call: what an interrupt, a compaction or a message in between leaves behind.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby

from ...codecs.base import Target
from ...codecs.names import wire_id
from ...types import MEDIA_CLASSES, Message, Part, Request, TextPart, ToolCallPart, ToolResultPart
from .ledger import Ledger, same, with_messages, with_parts

#: Answers a call that nothing in the conversation answers.
NO_RESULT = "[No result: the call was interrupted.]"
#: Stands before the content of a result whose call is not in the conversation.
STRAY_RESULT = "[Result of a tool call that is no longer in this conversation:]"

#: (index of a message, index of a part in it).
_Key = tuple[int, int]
#: A part and the index of the message it came from; -1 for a part that a repair made, None for the
#: nothing in an empty message.
_Placed = tuple[int, Part | None]


def pair_results(request: Request, target: Target, ledger: Ledger) -> Request:
    """Let the results of a turn stand first after it, all together, in the order of its calls."""
    if _is_paired(request.messages):
        return request
    answers, strays = _match(request.messages)
    placed = _in_order(request.messages, answers, strays, target, ledger)
    messages = _one_turn(_grouped(placed, request.messages, ledger), ledger)
    return with_messages(request, messages)


def _is_paired(messages: tuple[Message, ...]) -> bool:
    """Tell whether nothing is to be done, as in nearly every conversation.

    It only spares the work: what it does not see through is looked at in full.
    """
    waiting: list[str] = []
    for message in messages:
        if waiting and (message.role == "assistant" or not message.parts):
            return False
        for part in message.parts:
            if isinstance(part, ToolResultPart):
                if message.role == "assistant" or not waiting or waiting.pop() != part.id:
                    return False
            elif waiting:
                return False
        if waiting and message.role == "user":
            return False
        if message.role == "assistant":
            waiting = [part.id for part in message.parts if isinstance(part, ToolCallPart)][::-1]
    return not waiting


def _match(messages: tuple[Message, ...]) -> tuple[dict[_Key, _Key | None], set[_Key]]:
    """Return each call with its result, and the results that answer no call.

    Ids may come again in a later turn (some clients count from zero in each): a result belongs to
    the latest turn that used its id, and within that turn to the first call still without one.
    """
    answers: dict[_Key, _Key | None] = {}
    strays: set[_Key] = set()
    waiting: dict[str, deque[_Key]] = {}
    for i, message in enumerate(messages):
        for j, part in enumerate(message.parts):
            if isinstance(part, ToolCallPart) and message.role == "assistant":
                answers[i, j] = None
                calls = waiting.get(part.id)
                if not calls or calls[0][0] != i:
                    calls = waiting[part.id] = deque()
                calls.append((i, j))
            elif isinstance(part, ToolResultPart):
                calls = waiting.get(part.id)
                if calls:
                    answers[calls.popleft()] = i, j
                else:
                    strays.add((i, j))
    return answers, strays


def _in_order(
    messages: tuple[Message, ...],
    answers: dict[_Key, _Key | None],
    strays: set[_Key],
    target: Target,
    ledger: Ledger,
) -> Iterator[_Placed]:
    """Yield every part, results right after the message of their calls."""
    used = set(answers.values())
    furthest: _Key = (-1, -1)
    for i, message in enumerate(messages):
        if not message.parts:
            yield i, None
        overtaken = False
        for j, part in enumerate(message.parts):
            if (i, j) in used:
                continue
            overtaken = overtaken or (i, j) < furthest
            if (i, j) in strays:
                ledger.lose_value(part, "substituted", "a result without its call; sent as text")
                yield from ((i, shown) for shown in _as_text(part))
            else:
                yield i, part
        if overtaken:
            ledger.lose_value(message, "substituted", "moved behind the results of the calls")
        for j, part in enumerate(message.parts):
            if (i, j) in answers:
                found = answers[i, j]
                furthest = max(furthest, found or furthest)
                if found is None:
                    yield -1, _no_result(part, target, ledger)
                else:
                    yield found[0], messages[found[0]].parts[found[1]]


def _no_result(call: Part, target: Target, ledger: Ledger) -> ToolResultPart:
    assert isinstance(call, ToolCallPart)
    ledger.lose_value(call, "defaulted", "a call without its result; a placeholder answers it")
    said = (TextPart(NO_RESULT),)
    failed = True if target.dialect == "anthropic" else None
    return ToolResultPart(call.id, said, failed, kind=call.kind, namespace=call.namespace)


def _as_text(result: Part) -> Iterator[Part]:
    assert isinstance(result, ToolResultPart)
    yield TextPart(STRAY_RESULT)
    for part in result.content:
        if isinstance(part, (TextPart, *MEDIA_CLASSES)):
            yield part


def _grouped(
    placed: Iterable[_Placed], messages: tuple[Message, ...], ledger: Ledger
) -> Iterator[Message]:
    """Yield messages again: neighbours that came from one stay in one."""

    def speaker(item: _Placed) -> tuple[int, str]:
        i, part = item
        role = messages[i].role if i >= 0 else "tool"
        if isinstance(part, ToolResultPart) and role != "user":
            role = "tool"
        return i, role

    for (i, role), group in groupby(placed, speaker):
        parts = tuple(part for _, part in group if part is not None)
        if i < 0:
            yield Message("tool", parts)
            continue
        message = messages[i]
        if role == "tool" and not _answers(parts):
            role = "user" if parts else role
        if role == message.role and same(parts, message.parts):
            yield message
        else:
            yield ledger.change(message, role=role, parts=parts)


def _answers(parts: tuple[Part, ...]) -> bool:
    return any(isinstance(part, ToolResultPart) for part in parts)


def _one_turn(messages: Iterable[Message], ledger: Ledger) -> list[Message]:
    """Return messages in which the results of one turn can be told to be one turn.

    Two user messages stay two in a dialect that keeps results there; consecutive ``tool``
    messages are one turn in every dialect.
    """
    found = list(messages)
    for i in range(len(found) - 1):
        one, other = found[i], found[i + 1]
        if one.role == other.role == "user" and _answers(one.parts) and _answers(other.parts):
            found[i] = ledger.change(one, role="tool")
    return found


def fit_ids(request: Request, target: Target, ledger: Ledger) -> Request:
    """Give each call an id that the target takes and no other call has, and its result the same.

    Anthropic wants ids that are unique in the conversation; elsewhere they are in their turn. An id
    depends on what stands before it alone, so that a conversation that grows keeps its beginning.
    """
    ids = _Ids(target, ledger)
    return with_messages(request, [ids.message(message) for message in request.messages])


class _Ids:
    def __init__(self, target: Target, ledger: Ledger) -> None:
        self._target = target
        self._ledger = ledger
        self._taken: set[str] = set()
        self._uses: dict[str, int] = {}
        self._waiting: dict[str, deque[str]] = {}

    def message(self, message: Message) -> Message:
        if message.role == "assistant":
            self._waiting = {}
            if self._target.dialect != "anthropic":
                self._taken, self._uses = set(), {}
        parts = tuple(map(self._part, message.parts))
        return with_parts(message, parts, self._ledger)

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCallPart):
            id = self._free(part.id)
            self._waiting.setdefault(part.id, deque()).append(id)
            if id != part.id:
                self._ledger.lose_value(part, "substituted", f"sent as {id}", ".id")
        elif isinstance(part, ToolResultPart):
            waiting = self._waiting.get(part.id)
            id = waiting.popleft() if waiting else part.id
        else:
            return part
        return part if id == part.id else self._ledger.change(part, id=id)

    def _free(self, id: str) -> str:
        found = wire_id(id, self._target)
        uses = self._uses.get(id, 0)
        while uses or found in self._taken:
            uses += 1
            found = wire_id(f"{id}_{uses}", self._target)
            if found not in self._taken:
                break
        self._uses[id] = max(uses, 1)
        self._taken.add(found)
        return found
