"""``thinking`` and ``output_config``: how much the model thinks, and the form of its answer.

::

    "thinking": {"type": "enabled", "budget_tokens": 31999, "display": "summarized" | "omitted"}
    "thinking": {"type": "adaptive" | "disabled"} "output_config": {"effort": "low" | ... | "max",
    "format": {"type": "json_schema", "schema": {...}}}

The target's ``thinking`` forms decide what is said; without them everything goes as it is. A budget
must stay below ``max_tokens`` and be at least 1024, else the API answers 400.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...types import JsonObject, Opaque, OutputFormat, Reasoning, Request
from ..fields import Fields, report_foreign, restore
from .parts import Rendering
from .spelling import NAME, count, data_of

_MODES = ("enabled", "adaptive", "disabled")
_EFFORTS = ("low", "medium", "high", "xhigh", "max")
_THINKING_KEYS = ("type", "budget_tokens", "display")
_OUTPUT_KEYS = ("effort", "format")
_FORMAT_KEYS = ("type", "schema")
_DISPLAYS = {"summarized": "auto", "omitted": "none"}

MIN_BUDGET = 1024
#: Budgets that stand for effort words on models that know budgets only, and back.
_BUDGETS = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 31999,
}
_DEFAULT_EFFORT = "high"


def parse_reasoning(
    body: Fields,
) -> tuple[Reasoning | None, OutputFormat | None, tuple[Opaque, ...]]:
    """Take ``thinking`` and ``output_config``; also return what belongs to the request."""
    config = body.object("output_config")
    effort: str | None = None
    output: OutputFormat | None = None
    kept: tuple[Opaque, ...] = ()
    if config is not None:
        fields = Fields(config, body.at("output_config"))
        if fields.rest.get("effort") in _EFFORTS:
            effort = fields.text("effort")
        output = _parse_format(fields)
        # A mark when nothing is left, so that rendering tells {} from absent.
        notes = None if config else {"present": True}
        kept = fields.kept(NAME, "output_config", _OUTPUT_KEYS, notes)
    return _parse_thinking(body, effort), output, kept


def _parse_thinking(body: Fields, effort: str | None) -> Reasoning | None:
    thinking = body.object("thinking")
    if thinking is None:
        if effort is None:
            return None
        # Effort alone: another dialect's effort would ask for thinking too, this one does not.
        return Reasoning(effort=effort, opaque=(Opaque(NAME, "thinking", {"absent": True}),))
    fields = Fields(thinking, body.at("thinking"))
    mode = fields.text("type") if fields.rest.get("type") in _MODES else None
    budget = count(fields, "budget_tokens")
    shown = fields.rest.get("display")
    summary = _DISPLAYS.get(shown) if shown.__class__ is str else None
    if summary is not None:
        del fields.rest["display"]
    notes = None if mode else {"present": True}
    return Reasoning(
        mode, effort, budget, summary, fields.kept(NAME, "thinking", _THINKING_KEYS, notes)
    )


def _parse_format(config: Fields) -> OutputFormat | None:
    value = config.rest.get("format")
    if value.__class__ is not dict or value.get("type") != "json_schema":
        return None
    del config.rest["format"]
    fields = Fields(value, config.at("format"))
    del fields.rest["type"]
    schema = fields.object("schema")
    return OutputFormat("json_schema", schema, opaque=fields.kept(NAME, "format", _FORMAT_KEYS))


@dataclass(frozen=True, slots=True)
class Plan:
    """What goes out of a request's reasoning; None is not said."""

    mode: str | None = None
    budget: int | None = None
    effort: str | None = None


def plan_reasoning(request: Request, to: Rendering) -> Plan:
    """Return the target's way to say what is wanted; ``fit_budget`` sees to the limits."""
    wanted = request.reasoning
    if wanted is None:
        return Plan()
    mode, effort = wanted.mode, wanted.effort
    if effort == "none":
        mode, effort = mode or "disabled", None
    if mode is None and wanted.budget is not None:
        mode = "enabled"
    if to.target.thinking is None:
        plan = Plan(mode, wanted.budget, _effort_word(effort, to))
    else:
        if mode is None and effort is not None and not data_of(wanted.opaque, "thinking"):
            mode = "adaptive"
        plan = _fit_forms(mode, wanted.budget, effort, to.target.thinking, to)
    if plan.mode == "enabled" and plan.budget is None:
        to.lose("reasoning.budget", "defaulted", "the API requires a budget with enabled thinking")
        return Plan(plan.mode, _BUDGETS[effort or _DEFAULT_EFFORT], plan.effort)
    return plan


def _fit_forms(
    mode: str | None, budget: int | None, effort: str | None, forms: frozenset[str], to: Rendering
) -> Plan:
    if mode == "disabled":
        if "disabled" not in forms:
            mode = None
            if forms:
                to.lose("reasoning.mode", "dropped", "this model has no off switch for thinking")
    elif mode == "enabled" and "enabled" not in forms:
        mode, budget, effort = _without_budget(budget, effort, forms, to)
    elif mode == "adaptive" and "adaptive" not in forms:
        mode, budget = _without_adaptive(effort, forms, to)
    if effort is not None and "effort" not in forms:
        if mode != "enabled":
            to.lose("reasoning.effort", "dropped", "this model takes no effort word")
        effort = None
    return Plan(mode, budget, _effort_word(effort, to))


def _without_budget(
    budget: int | None, effort: str | None, forms: frozenset[str], to: Rendering
) -> tuple[str | None, int | None, str | None]:
    if "adaptive" not in forms:
        to.lose("reasoning", "dropped", "this model does not think on request")
        return None, None, effort
    to.lose("reasoning", "substituted", "this model decides by itself how much to think")
    if budget is not None and effort is None and "effort" in forms:
        effort = _nearest_effort(budget)
    return "adaptive", None, effort


def _without_adaptive(
    effort: str | None, forms: frozenset[str], to: Rendering
) -> tuple[str | None, int | None]:
    if "enabled" in forms:
        to.lose("reasoning", "substituted", "this model thinks within a budget only")
        return "enabled", _BUDGETS[effort or _DEFAULT_EFFORT]
    if "effort" not in forms or effort is None:
        to.lose("reasoning", "dropped", "this model does not think on request")
    return None, None


def _nearest_effort(budget: int) -> str:
    for word in _EFFORTS[:-1]:
        if budget <= _BUDGETS[word]:
            return word
    return "xhigh"


def _effort_word(effort: str | None, to: Rendering) -> str | None:
    if effort is None:
        return None
    taken = to.target.efforts
    if effort in (_EFFORTS if taken is None else taken):
        return effort
    nearest = to.target.effort_map.get(effort) or ("low" if effort == "minimal" else None)
    if nearest is None or (taken is not None and nearest not in taken):
        to.lose("reasoning.effort", "dropped", "this model takes no such effort word")
        return None
    to.lose("reasoning.effort", "substituted", f"sent as {nearest}, the nearest word it takes")
    return nearest


def fit_budget(plan: Plan, request: Request, max_tokens: int, to: Rendering) -> Plan:
    """Return the plan with its budget below ``max_tokens``.

    A budget that came with its limit goes as it is: the API's own refusal says more than a silent
    correction. One that we chose, or whose limit we changed, is made to fit.
    """
    if plan.mode != "enabled" or plan.budget is None or plan.budget < max_tokens:
        return plan
    given = request.reasoning.budget if request.reasoning else None
    if plan.budget == given and max_tokens == request.max_tokens:
        return plan
    if max_tokens <= MIN_BUDGET:
        to.lose("reasoning", "dropped", f"no budget of {MIN_BUDGET} fits below {max_tokens} tokens")
        return Plan(effort=plan.effort)
    to.lose("reasoning.budget", "clamped", f"must stay below max_tokens {max_tokens}")
    return Plan(plan.mode, max_tokens - 1, plan.effort)


def render_thinking(reasoning: Reasoning | None, plan: Plan, to: Rendering) -> JsonObject | None:
    """Return the ``thinking`` object, None when nothing is said."""
    if reasoning is None:
        return None
    report_foreign(reasoning.opaque, NAME, "reasoning", to.losses)
    notes = data_of(reasoning.opaque, "thinking")
    out: JsonObject = {}
    if plan.mode is not None:
        out["type"] = plan.mode
    if plan.budget is not None and plan.mode != "adaptive":
        out["budget_tokens"] = plan.budget
    if reasoning.summary is not None:
        _render_display(reasoning.summary, plan, out, notes, to)
    if not out and ("absent" in notes or not notes):
        return None
    return restore(out, reasoning.opaque, NAME, "thinking")


def _render_display(
    summary: str, plan: Plan, out: JsonObject, notes: JsonObject, to: Rendering
) -> None:
    if plan.mode not in ("enabled", "adaptive") and "present" not in notes:
        to.lose("reasoning.summary", "dropped", "nothing is shown where thinking is not asked for")
        return
    out["display"] = "omitted" if summary == "none" else "summarized"
    if summary not in ("none", "auto"):
        to.lose("reasoning.summary", "substituted", "anthropic shows a summary or nothing")


def render_output(request: Request, plan: Plan, to: Rendering) -> JsonObject | None:
    """Return the ``output_config`` object, None when nothing is said."""
    out: JsonObject = {}
    if plan.effort is not None:
        out["effort"] = plan.effort
    if request.output is not None:
        format = _render_format(request.output, to)
        if format is not None:
            out["format"] = format
    config = restore(out, request.opaque, NAME, "output_config")
    return config if config or data_of(request.opaque, "output_config") else None


def _render_format(output: OutputFormat, to: Rendering) -> JsonObject | None:
    report_foreign(output.opaque, NAME, "output", to.losses)
    for name in ("name", "description", "strict"):
        if getattr(output, name) is not None:
            to.lose(f"output.{name}", "dropped", "anthropic formats hold a schema alone")
    if output.type == "json_schema":
        out: JsonObject = {"type": "json_schema"}
        if output.schema is not None:
            out["schema"] = output.schema
        return restore(out, output.opaque, NAME, "format")
    if output.type == "json_object":
        reason = "anthropic has no free JSON mode; give a schema, or ask for JSON in the prompt"
        to.lose("output", "dropped", reason)
    return None
