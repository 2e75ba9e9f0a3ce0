"""Requests of the Messages API, both ways.

Top-level ``system`` is a leading system message of the canonical request. Everything that no field
below takes (``context_management``, ``container``, ``mcp_servers``, ``inference_geo``, ``speed``
...) stays in the request's Opaque of kind ``body``, and goes back out in its place.
"""

from __future__ import annotations

from typing import Any

from ...errors import RequestError
from ...types import Json, JsonObject, Message, Opaque, Request, Tool, find_opaque
from ..base import Headers, Incoming, Rendered, Target
from ..fields import Fields, report_foreign, report_headers, restore, wrong
from ..names import wire_names
from .content import parse_content
from .messages import render_messages, split_system
from .parts import Rendering
from .reasoning import (
    Plan,
    fit_budget,
    parse_reasoning,
    plan_reasoning,
    render_output,
    render_thinking,
)
from .spelling import NAME, REQUEST, data_of, parse_cache, put, render_cache, take_empty
from .tools import parse_tool, parse_tool_choice, render_tool_choice, render_tools

#: The order of a body that this codec makes: what prefix caches cover comes in their order.
_BODY_KEYS = (
    "model",
    "max_tokens",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "service_tier",
    "metadata",
    "thinking",
    "output_config",
    "tool_choice",
    "cache_control",
    "tools",
    "system",
    "messages",
)
#: Headers that carry meaning: versions, betas, and whatever a later release says in the same way.
_HEADERS = "anthropic-"
_ROLES = ("user", "assistant", "system")
_USUAL_KEYS = ("role", "content")
_USUAL_ROLES = ("user", "assistant")

#: Sent when neither the request nor the target has a limit; every Claude model takes it.
DEFAULT_MAX_TOKENS = 4096

#: OpenAI's words for ``service_tier``, and the nearest word here; None: nothing near.
_TIERS: dict[str, str | None] = {
    "default": "standard_only",
    "standard": "standard_only",
    "priority": "auto",
    "flex": None,
    "scale": None,
}
#: Fields whose empty value says nothing, and is kept as it came.
_MAY_BE_EMPTY: dict[str, type] = {
    "system": list,
    "tools": list,
    "stop_sequences": list,
    "metadata": dict,
}
#: Which canonical fields a body field carries, for losses.
_CANONICAL = {
    "stop_sequences": "stop",
    "thinking": "reasoning",
    "output_config": "reasoning",
    "cache_control": "cache",
    "metadata": "user",
    "system": "messages",
}


def parse_request(wire: Incoming) -> Request:
    """Return the canonical request; RequestError names the path of what is wrong."""
    try:
        return _parse(wire)
    except (ValueError, OverflowError) as error:
        # JSON numbers beyond what a float holds.
        raise RequestError(str(error)) from error


def _parse(wire: Incoming) -> Request:
    body = Fields(wire.body, "")
    model = body.required_text("model")
    empty = take_empty(body, _MAY_BE_EMPTY)
    system = _parse_system(body)
    messages = _parse_messages(body, bool(system))
    reasoning, output, config = parse_reasoning(body)
    user, metadata = _parse_metadata(body)
    choice = body.object("tool_choice")
    fields: dict[str, Any] = {
        "tools": _parse_tools(body),
        "tool_choice": None if choice is None else parse_tool_choice(choice, "tool_choice"),
        "stream": body.boolean("stream"),
        "max_tokens": body.integer("max_tokens"),
        "temperature": body.number("temperature"),
        "top_p": body.number("top_p"),
        "top_k": body.integer("top_k"),
        "stop": _parse_stop(body),
        "service_tier": body.text("service_tier"),
        "cache": parse_cache(body),
    }
    kept = body.kept(NAME, "body", _BODY_KEYS, {"empty": empty} if empty else None)
    return Request(
        model,
        (*system, *messages),
        reasoning=reasoning,
        output=output,
        user=user,
        opaque=(*kept, *config, *metadata, *_parse_headers(wire.headers)),
        **fields,
    )


def _parse_system(body: Fields) -> tuple[Message, ...]:
    value = body.rest.get("system")
    if value is None:
        return ()
    del body.rest["system"]
    parts, notes = parse_content(value, "system", REQUEST)
    opaque = (Opaque(NAME, "message", notes),) if notes else ()
    return (Message("system", tuple(parts), opaque=opaque),)


def _parse_messages(body: Fields, has_system: bool) -> list[Message]:
    values = body.array("messages")
    if values is None:
        raise body.missing("messages", "a list")
    messages: list[Message] = []
    is_leading = True
    for i, value in enumerate(values):
        message = _parse_message(value, f"messages[{i}]", is_leading)
        is_leading = is_leading and message.role == "system"
        messages.append(message)
    return messages


def _parse_message(value: Json, path: str, is_leading: bool) -> Message:
    if value.__class__ is dict and tuple(value) == _USUAL_KEYS and value["role"] in _USUAL_ROLES:
        # As nearly all are: nothing is left over, and the role is what it says.
        parts, notes = parse_content(value["content"], f"{path}.content", REQUEST)
        opaque = (Opaque(NAME, "message", notes),) if notes else ()
        return Message(value["role"], tuple(parts), opaque=opaque)
    fields = Fields(value, path)
    word = fields.required_text("role")
    role = word if word in _ROLES else "user"
    content = fields.any("content")
    if content is None:
        raise fields.missing("content", "a string or a list of blocks")
    parts, notes = parse_content(content, fields.at("content"), REQUEST)
    if role != word:
        # No such role today; kept, so that the API can judge it.
        fields.rest["role"] = word
    if role == "system" and is_leading:
        notes["inline"] = True
    return Message(
        role, tuple(parts), opaque=fields.kept(NAME, "message", ("role", "content"), notes)
    )


def _parse_tools(body: Fields) -> tuple[Tool, ...]:
    tools = body.array("tools") or []
    return tuple(parse_tool(tool, f"tools[{i}]") for i, tool in enumerate(tools))


def _parse_stop(body: Fields) -> tuple[str, ...]:
    stop = body.array("stop_sequences") or []
    for i, text in enumerate(stop):
        if text.__class__ is not str:
            raise wrong(f"stop_sequences[{i}]", "a string", text)
    return tuple(stop)


def _parse_metadata(body: Fields) -> tuple[str | None, tuple[Opaque, ...]]:
    metadata = body.object("metadata")
    if metadata is None:
        return None, ()
    fields = Fields(metadata, "metadata")
    return fields.text("user_id"), fields.kept(NAME, "metadata", ("user_id",))


def _parse_headers(headers: Headers) -> tuple[Opaque, ...]:
    kept = {name.lower(): value for name, value in headers if name.lower().startswith(_HEADERS)}
    return (Opaque(NAME, "headers", kept),) if kept else ()


def render_request(request: Request, target: Target) -> Rendered:
    to = Rendering(target, wire_names(request, target))
    plan = plan_reasoning(request, to)
    max_tokens = _limit(request, plan, to)
    body: JsonObject = {"model": target.model or request.model, "max_tokens": max_tokens}
    plan = fit_budget(plan, request, max_tokens, to)
    _render_scalars(request, body, to)
    _render_config(request, plan, body, to)
    _render_conversation(request, body, to)
    _report_unsaid(request, to)
    return _finish(request, body, to)


def _limit(request: Request, plan: Plan, to: Rendering) -> int:
    """Return ``max_tokens``, which the API requires."""
    largest = to.target.max_output_tokens
    limit = request.max_tokens
    if limit is None:
        limit = to.target.default_max_tokens or DEFAULT_MAX_TOKENS
        if plan.mode == "enabled" and plan.budget is not None:
            # The limit covers the reasoning too; without room the answer would be cut before it
            # began.
            limit = max(limit, plan.budget + DEFAULT_MAX_TOKENS)
        limit = limit if largest is None else min(limit, largest)
        to.lose("max_tokens", "defaulted", f"anthropic requires a limit; sent {limit}")
    elif largest is not None and limit > largest:
        to.lose("max_tokens", "clamped", f"{limit} is above the model's {largest}")
        limit = largest
    return limit


def _render_scalars(request: Request, body: JsonObject, to: Rendering) -> None:
    empty = data_of(request.opaque, "body").get("empty", {})
    if request.stream is not None:
        body["stream"] = request.stream
    _render_sampling(request, body, to)
    if request.stop and not to.target.stop:
        to.lose("stop", "dropped", "this server knows no stop sequences")
    else:
        put(body, "stop_sequences", list(request.stop), empty)
    _render_tier(request.service_tier, body, to)
    user = {} if request.user is None else {"user_id": request.user}
    put(body, "metadata", restore(user, request.opaque, NAME, "metadata"), empty)


def _render_sampling(request: Request, body: JsonObject, to: Rendering) -> None:
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(request, name)
        if value is None:
            continue
        largest = to.target.temperature_max
        if not to.target.sampling:
            to.lose(name, "dropped", "this model takes no sampling fields")
        elif name == "top_p" and to.target.one_sampling_field and "temperature" in body:
            to.lose(name, "dropped", "this model takes temperature or top_p, not both")
        elif name == "temperature" and largest is not None and value > largest:
            to.lose(name, "clamped", f"{value} is above the model's {largest}")
            body[name] = largest
        else:
            body[name] = value


def _render_tier(tier: str | None, body: JsonObject, to: Rendering) -> None:
    if tier is None:
        return
    near = _TIERS.get(tier, tier)
    if near is None:
        to.lose("service_tier", "dropped", f"anthropic has no tier like {tier}")
        return
    if near != tier:
        to.lose("service_tier", "substituted", f"{tier} is sent as {near}")
    body["service_tier"] = near


def _render_config(request: Request, plan: Plan, body: JsonObject, to: Rendering) -> None:
    thinking = render_thinking(request.reasoning, plan, to)
    if thinking is not None:
        body["thinking"] = thinking
    output = render_output(request, plan, to)
    if output is not None:
        body["output_config"] = output
    if request.tool_choice is not None:
        choice = render_tool_choice(request.tool_choice, to)
        if choice is not None:
            body["tool_choice"] = choice
    if request.cache is not None:
        body["cache_control"] = render_cache(request.cache, "cache", to.losses)


def _render_conversation(request: Request, body: JsonObject, to: Rendering) -> None:
    empty = data_of(request.opaque, "body").get("empty", {})
    put(body, "tools", render_tools(request.tools, to), empty)
    head, rest = split_system(request, to)
    if head is not None:
        body["system"] = head
    elif "system" in empty:
        body["system"] = empty["system"]
    body["messages"] = render_messages(request, rest, to)


#: Fields that Anthropic has no word for, with the values that say nothing anyway.
_UNSAID: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("seed", ()),
    ("frequency_penalty", (0,)),
    ("presence_penalty", (0,)),
    ("logprobs", (False,)),
    ("top_logprobs", ()),
    ("verbosity", ()),
    ("cache_key", ()),
    ("cache_retention", ()),
    ("metadata", ()),
    ("store", (False,)),
    ("previous_response_id", ()),
)


def _report_unsaid(request: Request, to: Rendering) -> None:
    for name, silent in _UNSAID:
        value = getattr(request, name)
        if value is not None and value not in silent:
            to.lose(name, "dropped", "anthropic has no such field")
    if request.n is not None and request.n != 1:
        to.lose("n", "clamped", "anthropic gives one answer")
    report_foreign(request.opaque, NAME, "", to.losses)
    report_headers(request.opaque, NAME, to.losses)


def _finish(request: Request, body: JsonObject, to: Rendering) -> Rendered:
    for name in to.target.refuses & body.keys():
        del body[name]
        to.lose(_CANONICAL.get(name, name), "dropped", f"this server refuses {name}")
    out = restore(body, request.opaque, NAME, "body")
    for name in to.target.refuses & out.keys():
        del out[name]
        to.lose(name, "dropped", f"this server refuses {name}")
    for key in (NAME, to.target.provider):
        extra = request.extensions.get(key) if key else None
        if isinstance(extra, dict):
            out = {**out, **extra}
    headers = find_opaque(request.opaque, NAME, "headers") or {}
    return Rendered(out, tuple(to.losses), headers=tuple(headers.items()))
