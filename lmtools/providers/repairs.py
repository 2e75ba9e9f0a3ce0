"""What a foreign wire refuses in an otherwise good request, made right before it is rendered.

A client's conversation follows the rules of the API that it speaks. Another API may refuse what
that one takes: an empty text, a call that was interrupted before its result, a system message and
nothing else. Each repair here is the smallest change that the target takes, and a loss says that it
was made. None is applied where client and target speak the same dialect: such a client gets the
server's own answer.

Sources, the words of the refusals. Anthropic: "text content blocks must be non-empty", "each stop
sequence must contain non-whitespace", "`tool_use` ids were found without `tool_result` blocks",
"final assistant content cannot end with trailing whitespace", "Expected `thinking` ... but found
`tool_use`", "Thinking may not be enabled when tool_choice forces tool use". OpenAI: "tool_call_ids
did not have response messages", "messages with role 'tool' must be a response to a preceding
message with 'tool_calls'".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ..codecs.base import Loss, Losses, Target
from ..types import (
    Message,
    Opaque,
    OpaquePart,
    Part,
    Reasoning,
    Request,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)

#: A message with its index in the request as it came, for the paths of losses; None: made here.
Placed = tuple[int | None, Message]
Repair = Callable[[list[Placed], Losses], list[Placed]]

_ANTHROPIC = "anthropic"
#: Kinds of Opaque that let thinking go back.
_STATES = ("signature", "redacted")
_SYSTEM_ROLES = ("system", "developer")
_BILLING = "x-anthropic-billing-header:"
_INTERRUPTED = "[no result: the call was interrupted]"


def repair(request: Request, target: Target) -> tuple[Request, Losses]:
    """Return the request as the target takes it, and what was changed."""
    losses: Losses = []
    placed: list[Placed] = list(enumerate(request.messages))
    for step in _steps(target):
        placed = step(placed, losses)
    messages = tuple(message for _, message in placed)
    stop, reasoning = request.stop, request.reasoning
    if target.dialect == _ANTHROPIC:
        stop = _without_blank_stops(stop, losses)
        reasoning = _fitted_reasoning(request, messages, target, losses)
    if messages == request.messages and stop == request.stop and reasoning is request.reasoning:
        return request, losses
    return replace(request, messages=messages, stop=stop, reasoning=reasoning), losses


def _steps(target: Target) -> tuple[Repair, ...]:
    if target.dialect == _ANTHROPIC:
        return (_pair_calls, _leave_out_blanks, _trim_last, _give_user_turn)
    return (_leave_out_billing, _pair_calls)


# Calls and results


def _pair_calls(placed: list[Placed], losses: Losses) -> list[Placed]:
    """Give each call one result, right behind it, and each result its call."""
    out: list[Placed] = []
    i = 0
    while i < len(placed):
        head = placed[i]
        end = i + 1
        while end < len(placed) and placed[end][1].role != "assistant":
            end += 1
        if head[1].role == "assistant":
            out.append(head)
            out += _answered(head, placed[i + 1 : end], losses)
        else:
            out += _answered(None, placed[i:end], losses)
        i = end
    return out


def _answered(caller: Placed | None, turn: list[Placed], losses: Losses) -> list[Placed]:
    """Return the messages between two of the assistant's, with the results that are due."""
    open_calls = _calls(caller)
    calls = dict(open_calls)
    kept = [(i, _due_results(i, message, calls, losses)) for i, message in turn]
    left = [(i, message) for i, message in kept if message is not None]
    if caller is not None and calls:
        losses += [
            Loss(path, "emulated", "the call has no result; one that says so is sent")
            for path, _ in calls.values()
        ]
        missing = tuple(_missing(part) for _, part in calls.values())
        left.insert(0, (None, Message("tool", missing)))
    if not open_calls or not any(_holds_results(message) for _, message in left):
        return left
    return _results_first(left, losses)


def _calls(caller: Placed | None) -> dict[str, tuple[str, ToolCallPart]]:
    if caller is None:
        return {}
    i, message = caller
    return {
        part.id: (f"messages[{i}].parts[{j}]", part)
        for j, part in enumerate(message.parts)
        if isinstance(part, ToolCallPart)
    }


def _missing(call: ToolCallPart) -> ToolResultPart:
    text = (TextPart(_INTERRUPTED),)
    return ToolResultPart(call.id, text, is_error=True, kind=call.kind, namespace=call.namespace)


def _due_results(
    i: int | None,
    message: Message,
    calls: dict[str, tuple[str, ToolCallPart]],
    losses: Losses,
) -> Message | None:
    """Take what ``message`` answers off ``calls``; None when nothing of the message is left."""
    if not _holds_results(message):
        return message
    parts: list[Part] = []
    for j, part in enumerate(message.parts):
        if isinstance(part, ToolResultPart) and calls.pop(part.id, None) is None:
            reason = "a result without a call, or the second of one call"
            losses.append(Loss(f"messages[{i}].parts[{j}]", "dropped", reason))
        else:
            parts.append(part)
    return _with_parts(message, parts) if parts else None


def _results_first(left: list[Placed], losses: Losses) -> list[Placed]:
    first = [item for item in left if _holds_results(item[1])]
    then = [item for item in left if not _holds_results(item[1])]
    if [*first, *then] == left:
        return left
    moved = next(i for (i, _), item in zip(left, first, strict=False) if (i, _) != item)
    losses.append(Loss(f"messages[{moved}]", "substituted", "sent behind the results of the turn"))
    return [*first, *then]


def _holds_results(message: Message) -> bool:
    return any(isinstance(part, ToolResultPart) for part in message.parts)


# Blank texts


def _leave_out_blanks(placed: list[Placed], losses: Losses) -> list[Placed]:
    out: list[Placed] = []
    for i, message in placed:
        parts = [
            _without_blanks(part, f"messages[{i}].parts[{j}]", losses)
            for j, part in enumerate(message.parts)
        ]
        left = [part for part in parts if part is not None]
        if any(_says_something(part) for part in left):
            out.append((i, _with_parts(message, left)))
        else:
            losses.append(Loss(f"messages[{i}]", "dropped", "it says nothing, and is refused"))
    return out


def _without_blanks(part: Part, path: str, losses: Losses) -> Part | None:
    if isinstance(part, TextPart) and not part.text.strip():
        losses.append(Loss(path, "dropped", "a blank text, which anthropic refuses"))
        return None
    if not isinstance(part, ToolResultPart):
        return part
    content = tuple(p for p in part.content if not (isinstance(p, TextPart) and not p.text.strip()))
    if len(content) == len(part.content) or len(part.content) == 1:
        return part
    losses.append(Loss(f"{path}.content", "dropped", "a blank text, which anthropic refuses"))
    return replace(part, content=content)


def _says_something(part: Part) -> bool:
    """Tell whether a part has a block of its own: thinking has one with its signature only."""
    if isinstance(part, ThinkingPart):
        return bool(_states(part))
    return not isinstance(part, OpaquePart) or part.content.dialect == _ANTHROPIC


def _states(part: ThinkingPart) -> list[Opaque]:
    """Return the signatures of Anthropic's that a part has."""
    return [o for o in part.opaque if o.dialect == _ANTHROPIC and o.kind in _STATES]


def _with_parts(message: Message, parts: Iterable[Part]) -> Message:
    found = tuple(parts)
    return message if found == message.parts else replace(message, parts=found)


def _trim_last(placed: list[Placed], losses: Losses) -> list[Placed]:
    """Trim the answer that the model is to go on with."""
    if not placed or placed[-1][1].role != "assistant":
        return placed
    i, message = placed[-1]
    last = message.parts[-1]
    if not isinstance(last, TextPart) or last.text == last.text.rstrip():
        return placed
    path = f"messages[{i}].parts[{len(message.parts) - 1}]"
    losses.append(Loss(path, "substituted", "an answer to go on with cannot end with spaces"))
    trimmed = replace(last, text=last.text.rstrip())
    return [*placed[:-1], (i, replace(message, parts=(*message.parts[:-1], trimmed)))]


def _without_blank_stops(stop: tuple[str, ...], losses: Losses) -> tuple[str, ...]:
    kept = tuple(text for text in stop if text.strip())
    if len(kept) < len(stop):
        reason = "anthropic takes no stop sequence of spaces and line ends alone"
        losses.append(Loss("stop", "dropped", reason))
    return kept


# Who speaks


def _give_user_turn(placed: list[Placed], losses: Losses) -> list[Placed]:
    """Send the last system message as the user's where nobody else says anything."""
    if not placed or any(message.role not in _SYSTEM_ROLES for _, message in placed):
        return placed
    i, message = placed[-1]
    reason = "anthropic wants a message beside the system's; sent as the user's"
    losses.append(Loss(f"messages[{i}].role", "substituted", reason))
    return [*placed[:-1], (i, replace(message, role="user"))]


def _leave_out_billing(placed: list[Placed], losses: Losses) -> list[Placed]:
    """Leave out Claude Code's billing line: it means nothing elsewhere, and changes from run to
    run, so that no prefix cache would hold.
    """
    out: list[Placed] = []
    for i, message in placed:
        if message.role in _SYSTEM_ROLES:
            bills = [isinstance(p, TextPart) and p.text.startswith(_BILLING) for p in message.parts]
            for j in (j for j, is_bill in enumerate(bills) if is_bill):
                reason = "a line for Anthropic's billing"
                losses.append(Loss(f"messages[{i}].parts[{j}]", "dropped", reason))
            if bills and all(bills):
                continue
            pairs = zip(message.parts, bills, strict=True)
            message = _with_parts(message, [part for part, is_bill in pairs if not is_bill])
        out.append((i, message))
    return out


# Thinking


def _fitted_reasoning(
    request: Request, messages: tuple[Message, ...], target: Target, losses: Losses
) -> Reasoning | None:
    """Return the reasoning without the thinking that the API refuses here.

    A forced tool excludes thinking of both forms (the documentation of late excepts the adaptive
    one in one place and not in another). Manual thinking is also refused in a tool loop whose call
    came without thinking: from another model, or through a dialect that carries no signatures.
    """
    reasoning, forms = request.reasoning, target.thinking or frozenset()
    if reasoning is None or not _is_thinking(reasoning, forms):
        return reasoning
    choice = request.tool_choice
    if choice is not None and choice.mode == "required" and request.tools:
        losses.append(Loss("reasoning", "dropped", "a forced tool excludes thinking"))
    elif _is_manual(reasoning, forms) and _loops_without_thinking(messages, target):
        reason = "the calls of this turn came without thinking that this API could go on from"
        if "adaptive" in forms:
            losses.append(Loss("reasoning", "substituted", f"{reason}; sent as adaptive"))
            return replace(reasoning, mode="adaptive", budget=None)
        losses.append(Loss("reasoning", "dropped", reason))
    else:
        return reasoning
    effort = reasoning.effort if "effort" in forms else None
    return replace(reasoning, mode="disabled", budget=None, effort=effort, summary=None)


def _is_thinking(reasoning: Reasoning, forms: frozenset[str]) -> bool:
    is_off = reasoning.mode == "disabled" or reasoning.effort == "none"
    return not is_off and bool(forms & {"enabled", "adaptive"})


def _is_manual(reasoning: Reasoning, forms: frozenset[str]) -> bool:
    if "enabled" not in forms or "adaptive" not in forms:
        return "enabled" in forms
    return reasoning.mode == "enabled" or (reasoning.mode is None and reasoning.budget is not None)


def _loops_without_thinking(messages: tuple[Message, ...], target: Target) -> bool:
    """Tell whether the conversation ends with results of calls that no thinking came before."""
    for message in reversed(messages):
        if message.role == "assistant":
            has_calls = any(isinstance(part, ToolCallPart) for part in message.parts)
            return has_calls and not _begins_with_thinking(message, target)
        if not _holds_results(message) and message.role not in _SYSTEM_ROLES:
            return False
    return False


def _begins_with_thinking(message: Message, target: Target) -> bool:
    first = message.parts[0]
    return isinstance(first, ThinkingPart) and any(
        item.origin in (None, target.origin) for item in _states(first)
    )
