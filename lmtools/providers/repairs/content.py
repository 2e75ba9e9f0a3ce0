"""What a conversation may hold: no empty text, somebody to answer, no bill of another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ...codecs.base import Target
from ...types import (
    BuiltinCallPart,
    BuiltinResultPart,
    CitationPart,
    Message,
    OpaquePart,
    Part,
    RefusalPart,
    Request,
    TextPart,
    ThinkingPart,
    ToolResultPart,
    ToolsPart,
)
from .ledger import Ledger, with_messages, with_parts

_BILLING = "x-anthropic-billing-header:"
_SYSTEM = ("system", "developer")
_TEXTS = (TextPart, RefusalPart)
#: What a user says in whose place nothing stands.
CONTINUE = "[continue]"


def drop_billing(request: Request, target: Target, ledger: Ledger) -> Request:
    """Leave out Claude Code's billing line, which only Anthropic reads.

    It stands at the front of the system prompt and differs between entry points and versions, so
    that nothing behind it would be found in another server's prefix cache.
    """
    if target.dialect == "anthropic" or not any(map(_has_billing, request.messages)):
        return request
    messages = [
        message if not _has_billing(message) else _without_billing(message, ledger)
        for message in request.messages
    ]
    kept = tuple(message for message in messages if message is not None)
    return replace(request, messages=kept)


def _has_billing(message: Message) -> bool:
    return message.role in _SYSTEM and any(map(_is_billing, message.parts))


def _is_billing(part: Part) -> bool:
    return isinstance(part, TextPart) and part.text.startswith(_BILLING)


def _without_billing(message: Message, ledger: Ledger) -> Message | None:
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, TextPart) and part.text.startswith(_BILLING):
            ledger.lose_value(part, "dropped", "a billing line for Anthropic alone")
            text = _after_billing(part.text)
            if not text:
                continue
            part = ledger.change(part, text=text)
        parts.append(part)
    return ledger.change(message, parts=tuple(parts)) if parts else None


def _after_billing(text: str) -> str:
    lines = text.split("\n")
    billed = next((i for i, line in enumerate(lines) if not line.startswith(_BILLING)), len(lines))
    return "\n".join(lines[billed:])


def drop_blanks(request: Request, target: Target, ledger: Ledger) -> Request:
    """Leave out texts of nothing but white space, and messages that nothing is left of.

    The Messages API refuses both, and an answer that ends in thinking. A user's turn that was blank
    and stands last still asks for an answer.
    """
    if target.dialect != "anthropic":
        return request
    kept: list[Message] = []
    last = len(request.messages) - 1
    for i, message in enumerate(request.messages):
        parts = _without_blanks(message, ledger)
        if any(map(_is_said, parts)):
            kept.append(with_parts(message, parts, ledger))
        elif i == last and message.role in ("user", "tool"):
            ledger.lose_value(message, "defaulted", f"it is empty; sent as {CONTINUE}")
            kept.append(ledger.change(message, parts=(TextPart(CONTINUE),)))
        else:
            ledger.lose_value(message, "dropped", "it holds nothing that this target takes")
    return with_messages(request, kept)


def _without_blanks(message: Message, ledger: Ledger) -> tuple[Part, ...]:
    parts = list(_said_parts(message.parts, ledger))
    while message.role == "assistant" and parts and isinstance(parts[-1], ThinkingPart):
        ledger.lose_value(parts.pop(), "dropped", "an answer cannot end in thinking")
    return tuple(parts)


def _said_parts(parts: tuple[Part, ...], ledger: Ledger) -> Iterator[Part]:
    follows_blank = False
    for part in parts:
        follows_blank = _is_blank(part) or (follows_blank and isinstance(part, CitationPart))
        if follows_blank:
            ledger.lose_value(part, "dropped", "a text of white space alone")
        elif isinstance(part, ToolResultPart) and any(map(_is_blank, part.content)):
            yield _without_blank_content(part, ledger)
        else:
            yield part


def _without_blank_content(result: ToolResultPart, ledger: Ledger) -> ToolResultPart:
    for i, part in enumerate(result.content):
        if _is_blank(part):
            reason = "a text of white space alone"
            ledger.lose_value(result, "dropped", reason, f".content[{i}]")
    kept = tuple(part for part in result.content if not _is_blank(part))
    return ledger.change(result, content=kept)


def _is_blank(part: Part) -> bool:
    return isinstance(part, _TEXTS) and not part.text.strip()


def _is_said(part: Part) -> bool:
    """Tell whether something of a part reaches a server of the Messages API as a block."""
    match part:
        case CitationPart() | ToolsPart():
            return False
        case ThinkingPart():
            # Alone it is nothing: the last block of an answer must be another one.
            return False
        case OpaquePart():
            return part.content.dialect == "anthropic"
        case BuiltinCallPart() | BuiltinResultPart():
            return all(item.dialect == "anthropic" for item in part.opaque)
        case _:
            return True


def trim_prefill(request: Request, target: Target, ledger: Ledger) -> Request:
    """Leave out white space at the end of an answer that the model shall continue."""
    last = request.messages[-1] if request.messages else None
    if target.dialect != "anthropic" or last is None or last.role != "assistant":
        return request
    j = next((j for j in reversed(range(len(last.parts))) if _is_said(last.parts[j])), -1)
    part = last.parts[j] if j >= 0 else None
    if not isinstance(part, _TEXTS) or part.text == part.text.rstrip():
        return request
    ledger.lose_value(part, "substituted", "sent without the white space at its end")
    trimmed = ledger.change(part, text=part.text.rstrip())
    parts = (*last.parts[:j], trimmed, *last.parts[j + 1 :])
    return with_messages(request, (*request.messages[:-1], with_parts(last, parts, ledger)))


def ask_for_answer(request: Request, target: Target, ledger: Ledger) -> Request:
    """Add a user's turn to a conversation that has only system messages.

    A request without any message is left to the server's own words.
    """
    if target.dialect != "anthropic" or any(m.role not in _SYSTEM for m in request.messages):
        return request
    if ledger.asked_nothing:
        return request
    ledger.lose("messages", "defaulted", f"nobody asks anything; added a user's {CONTINUE}")
    messages = (*request.messages, Message.user(CONTINUE))
    return replace(request, messages=messages)
