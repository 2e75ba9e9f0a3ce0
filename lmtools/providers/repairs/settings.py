"""Settings that each target takes, and not together.

The Messages API refuses thinking beside a tool that must be called, thinking within a budget in the
middle of a turn that began without it, most sampling beside thinking,
budgets under 1024 tokens or not below the limit, and stop sequences of white space.
"""

from __future__ import annotations

from dataclasses import replace

from ...codecs.base import Target
from ...types import Message, Reasoning, Request, ThinkingPart, ToolCallPart, ToolResultPart
from .ledger import Ledger

#: Tokens; the Messages API refuses a smaller budget.
_LEAST_BUDGET = 1024
#: The Messages API refuses a smaller ``top_p`` beside thinking.
_LEAST_TOP_P = 0.95
#: Kinds of Opaque with which thinking may go back.
_STATES = frozenset({"signature", "redacted"})
_ON = frozenset({"enabled", "adaptive"})


def thinks(request: Request, target: Target) -> bool:
    """Tell whether the request, sent to this target, switches thinking on."""
    wanted, forms = request.reasoning, target.thinking
    if target.dialect != "anthropic" or wanted is None or (forms is not None and not forms & _ON):
        return False
    if wanted.mode is not None:
        return wanted.mode in _ON
    if wanted.effort == "none":
        return False
    if wanted.budget is not None:
        return True
    # An effort asks for thinking, but not in this dialect's own words, where it stands alone.
    own = any(item.dialect == target.dialect for item in wanted.opaque)
    return wanted.effort is not None and forms is not None and not own


def _without_thinking(reasoning: Reasoning, target: Target) -> Reasoning:
    graded = target.thinking is not None and "effort" in target.thinking
    return Reasoning("disabled", reasoning.effort if graded else None)


def prefer_forced_tool(request: Request, target: Target, ledger: Ledger) -> Request:
    """Switch thinking off where a tool must be called: the call is what the client waits for."""
    choice = request.tool_choice
    if choice is None or choice.mode != "required" or not thinks(request, target):
        return request
    assert request.reasoning is not None
    ledger.lose("reasoning", "dropped", "this API does not think when a tool must be called")
    return replace(request, reasoning=_without_thinking(request.reasoning, target))


def stop_thinking_in_loop(request: Request, target: Target, ledger: Ledger) -> Request:
    """Ask for no budgeted thinking in a tool loop that began without thinking.

    The API expects the calls of the turn that goes on behind a thinking block that it signed; those
    of another model, or told through a dialect that carries no signatures, have none. Where the
    model decides by itself, it may think without.
    """
    wanted, forms = request.reasoning, target.thinking
    if wanted is None or not thinks(request, target) or not _is_budgeted(wanted, forms):
        return request
    if not _loops_without_thinking(request.messages, target):
        return request
    reason = "the calls of this turn came without thinking that the API could go on from"
    if forms is not None and "adaptive" in forms:
        ledger.lose("reasoning", "substituted", f"{reason}; the model decides how much it thinks")
        return replace(request, reasoning=replace(wanted, mode="adaptive", budget=None))
    ledger.lose("reasoning", "dropped", reason)
    return replace(request, reasoning=_without_thinking(wanted, target))


def _is_budgeted(reasoning: Reasoning, forms: frozenset[str] | None) -> bool:
    """Tell whether thinking that is asked for goes out as ``enabled``."""
    if forms is not None and not forms >= _ON:
        return "enabled" in forms
    return reasoning.mode == "enabled" or (reasoning.mode is None and reasoning.budget is not None)


def _loops_without_thinking(messages: tuple[Message, ...], target: Target) -> bool:
    """Tell whether the conversation ends with results of calls that no thinking stands before."""
    for message in reversed(messages):
        if message.role == "assistant":
            has_calls = any(isinstance(part, ToolCallPart) for part in message.parts)
            return has_calls and not _begins_with_thinking(message, target)
        has_results = any(isinstance(part, ToolResultPart) for part in message.parts)
        if message.role in ("user", "tool") and not has_results:
            return False
    return False


def _begins_with_thinking(message: Message, target: Target) -> bool:
    first = message.parts[0]
    return isinstance(first, ThinkingPart) and any(
        state.kind in _STATES and state.origin in (None, target.origin)
        for state in first.opaque
        if state.dialect == target.dialect
    )


def fit_budget(request: Request, target: Target, ledger: Ledger) -> Request:
    """Let a thinking budget stand between its least value and ``max_tokens``, or nowhere."""
    wanted, limit = request.reasoning, request.max_tokens
    if target.dialect != "anthropic" or wanted is None or wanted.budget is None:
        return request
    if not thinks(request, target):
        ledger.lose("reasoning.budget", "dropped", "thinking is off")
        return replace(request, reasoning=replace(wanted, budget=None))
    if limit is not None and limit <= _LEAST_BUDGET:
        ledger.lose("reasoning", "dropped", f"no budget of {_LEAST_BUDGET} fits below {limit}")
        return replace(request, reasoning=_without_thinking(wanted, target))
    budget = max(wanted.budget, _LEAST_BUDGET)
    if limit is not None:
        budget = min(budget, limit - 1)
    if budget == wanted.budget:
        return request
    ledger.lose("reasoning.budget", "clamped", f"sent as {budget}")
    return replace(request, reasoning=replace(wanted, budget=budget))


def drop_sampling(request: Request, target: Target, ledger: Ledger) -> Request:
    """Leave out the sampling that a thinking model does not take."""
    if not target.sampling or not thinks(request, target):
        return request
    refused = {
        "temperature": request.temperature not in (None, 1),
        "top_p": request.top_p is not None and request.top_p < _LEAST_TOP_P,
        "top_k": request.top_k is not None,
    }
    gone = [name for name, is_refused in refused.items() if is_refused]
    for name in gone:
        ledger.lose(name, "dropped", "the model takes its own beside thinking")
    return replace(request, **dict.fromkeys(gone)) if gone else request  # type: ignore[arg-type]


def drop_blank_stops(request: Request, target: Target, ledger: Ledger) -> Request:
    """Leave out empty stop sequences, and those of white space where they are refused."""
    blank = [not (stop.strip() if target.dialect == "anthropic" else stop) for stop in request.stop]
    if not target.stop or not any(blank):
        return request
    for i in (i for i, is_blank in enumerate(blank) if is_blank):
        ledger.lose(f"stop[{i}]", "dropped", "a stop sequence of white space is refused")
    kept = tuple(s for s, is_blank in zip(request.stop, blank, strict=True) if not is_blank)
    return replace(request, stop=kept)
