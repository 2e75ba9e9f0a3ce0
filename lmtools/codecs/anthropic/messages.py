"""Where messages stand: the top-level ``system``, roles, and results that must share one turn.

The API knows the roles user and assistant, and system with a beta. Tool results stand in user
messages, all results of one turn in one: consecutive canonical ``tool`` messages become one
message.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...types import Json, JsonObject, Message, Request, ToolResultPart, find_opaque
from ..fields import report_foreign, restore
from .parts import Rendering, render_blocks, render_content
from .spelling import NAME, data_of, kept_key

_SYSTEM_ROLES = ("system", "developer")
#: The beta with which the API takes system messages inside the conversation.
_SYSTEM_BETA = "mid-conversation-system"

#: A message with its index in the canonical request, for paths.
Placed = tuple[int, Message]


def split_system(request: Request, to: Rendering) -> tuple[Json, list[Placed]]:
    """Return the value of ``system`` (None: nothing) and the messages that are left."""
    placed = list(enumerate(request.messages))
    count = 0
    if to.target.system != "none":
        while count < len(placed) and _belongs_on_top(placed[count][1], request, to):
            count += 1
    head, rest = placed[:count], placed[count:]
    has_system = _has_system(request)
    for i, message in head:
        _report_message(message, f"messages[{i}]", to)
        _report_role(message, f"messages[{i}]", has_system, to)
        for key in data_of(message.opaque, "message").get("rest", {}):
            to.lose(f"messages[{i}].{key}", "dropped", "the top-level system has no place for it")
    if len(head) == 1:
        message = head[0][1]
        spelled = data_of(message.opaque, "message").get("content")
        content = render_content(message.parts, spelled, "messages[0].parts", to)
        return None if content == [] else content, rest
    blocks = [b for i, m in head for b in render_blocks(m.parts, f"messages[{i}].parts", to)]
    return blocks or None, rest


def _belongs_on_top(message: Message, request: Request, to: Rendering) -> bool:
    if message.role not in _SYSTEM_ROLES:
        return False
    return "inline" not in data_of(message.opaque, "message") or not _takes_system(request, to)


def _takes_system(request: Request, to: Rendering) -> bool:
    """Tell whether system messages may stand inside the conversation."""
    if to.target.system == "anywhere":
        return True
    headers = find_opaque(request.opaque, NAME, "headers") or {}
    return to.target.system == "first" and _SYSTEM_BETA in headers.get("anthropic-beta", "")


def _has_system(request: Request) -> bool:
    return any(message.role == "system" for message in request.messages)


def _report_role(message: Message, path: str, has_system: bool, to: Rendering) -> None:
    """Report a developer message among system ones: nothing tells them apart any more."""
    if message.role == "developer" and has_system:
        to.lose(f"{path}.role", "substituted", "anthropic has no developer role; sent as system")


def _report_message(message: Message, path: str, to: Rendering) -> None:
    if message.name is not None:
        to.lose(f"{path}.name", "dropped", "anthropic messages have no name")
    report_foreign(message.opaque, NAME, path, to.losses)


def render_messages(request: Request, placed: Sequence[Placed], to: Rendering) -> list[JsonObject]:
    out: list[JsonObject] = []
    turn: Message | None = None
    has_system = _has_system(request)
    for i, message in placed:
        path = f"messages[{i}]"
        _report_message(message, path, to)
        if turn is not None and _shares_turn(turn, message):
            out[-1]["content"] += render_blocks(message.parts, f"{path}.parts", to)
            continue
        turn = message if _holds_results(message) else None
        role = _role(message, path, request, to)
        if role == "system":
            _report_role(message, path, has_system, to)
        out.append(_render_message(message, path, role, to))
    return out


def _holds_results(message: Message) -> bool:
    if message.role == "tool":
        return True
    return message.role == "user" and any(isinstance(p, ToolResultPart) for p in message.parts)


def _shares_turn(turn: Message, message: Message) -> bool:
    """Tell whether the results of ``message`` belong into one user message with those of ``turn``.

    Two user messages of this dialect stay two, as they came.
    """
    return _holds_results(message) and "tool" in (turn.role, message.role)


def _role(message: Message, path: str, request: Request, to: Rendering) -> str:
    """Return the role on the wire."""
    if message.role == "tool":
        return "user"
    if message.role not in _SYSTEM_ROLES:
        return message.role
    if _takes_system(request, to):
        return "system"
    reason = "this target takes a system message at the start only; sent as user"
    to.lose(f"{path}.role", "substituted", reason)
    return "user"


def _render_message(message: Message, path: str, role: str, to: Rendering) -> JsonObject:
    content: Json
    if _holds_results(message):
        content = render_blocks(message.parts, f"{path}.parts", to)
    else:
        spelled = data_of(message.opaque, "message").get("content")
        content = render_content(message.parts, spelled, f"{path}.parts", to)
    out: JsonObject = {}
    if role != "user" or not kept_key(message.opaque, "message", "role"):
        out["role"] = role
    out["content"] = content
    return restore(out, message.opaque, NAME, "message")
