"""Model lists and token counts.

::

    GET /v1/models          {"data": [{"type": "model", "id": "claude-...", "display_name": "...",
                             "created_at": "2026-04-14T00:00:00Z", "max_input_tokens": 1000000,
                             "max_tokens": 128000, ...}], "has_more": false, "first_id": ...,
                             "last_id": ...}
    POST /v1/messages/count_tokens   a request without its limit; {"input_tokens": 576}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from ...errors import ProtocolError, RequestError
from ...types import Json, JsonObject, ModelInfo, Request
from ..base import Incoming, Rendered, Target
from ..fields import Fields, restore
from .requests import parse_request, render_request
from .spelling import NAME, kept_key
from .usage import absent_keys

_MODEL_KEYS = ("type", "id", "display_name", "created_at", "max_input_tokens", "max_tokens")
#: What a count is made of; the API refuses a request's other fields there.
_COUNTED = (
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
)


def parse_models(body: Json) -> tuple[ModelInfo, ...]:
    """Return the models of one page of the list; ProtocolError for what is no list."""
    try:
        data = Fields(body, "").array("data")
        if data is None:
            raise RequestError("expected a list", path="data")
        return tuple(_parse_model(model, f"data[{i}]") for i, model in enumerate(data))
    except RequestError as error:
        raise ProtocolError(f"anthropic: not a model list: {error}") from error


def _parse_model(value: Json, path: str) -> ModelInfo:
    fields = Fields(value, path)
    notes = absent_keys(fields, ("lifecycle",))
    if fields.rest.get("type") == "model":
        del fields.rest["type"]
    id, name = fields.required_text("id"), fields.text("display_name")
    created = _seconds(fields.rest.get("created_at"))
    if created is not None:
        del fields.rest["created_at"]
    return ModelInfo(
        id,
        name,
        created,
        max_input_tokens=fields.integer("max_input_tokens"),
        max_output_tokens=fields.integer("max_tokens"),
        opaque=fields.kept(NAME, "model", _MODEL_KEYS, notes),
    )


def _seconds(value: Json) -> int | None:
    """Return the Unix time of a date as the list spells it; None for any other spelling."""
    try:
        seconds = int(datetime.fromisoformat(value).timestamp())
    except (TypeError, ValueError):
        return None
    return seconds if _date(seconds) == value else None


def _date(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def render_model(model: ModelInfo) -> JsonObject:
    out: JsonObject = {} if kept_key(model.opaque, "model", "type") else {"type": "model"}
    out["id"] = model.id
    out["display_name"] = model.id if model.display_name is None else model.display_name
    if model.created is not None:
        out["created_at"] = _date(model.created)
    elif not model.opaque:
        # Required by the SDK's type; the API itself gives this date where it knows none.
        out["created_at"] = _date(0)
    if not model.opaque:
        # Required too, and a model that is served is active.
        out["lifecycle"] = "active"
    if model.max_input_tokens is not None:
        out["max_input_tokens"] = model.max_input_tokens
    if model.max_output_tokens is not None:
        out["max_tokens"] = model.max_output_tokens
    return restore(out, model.opaque, NAME, "model")


def render_models(models: Sequence[ModelInfo], has_more: bool = False) -> JsonObject:
    data = [render_model(model) for model in models]
    return {
        "data": data,
        "has_more": has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def parse_count_request(wire: Incoming) -> Request:
    return parse_request(wire)


def render_count_request(request: Request, target: Target) -> Rendered:
    """Return the body that counts this request's input: what the model reads, and nothing else."""
    rendered = render_request(replace(request, stream=None), target)
    body = {key: rendered.body[key] for key in rendered.body if key in _COUNTED}
    # The limit is no part of a count, so its default is no loss.
    losses = tuple(loss for loss in rendered.losses if loss.path != "max_tokens")
    return Rendered(body, losses, headers=rendered.headers)


def parse_count_response(body: Json) -> int:
    try:
        tokens = Fields(body, "").integer("input_tokens")
    except RequestError as error:
        raise ProtocolError(f"anthropic: not a token count: {error}") from error
    if tokens is None or tokens < 0:
        raise ProtocolError("anthropic: not a token count: input_tokens is missing")
    return tokens


def render_count_response(tokens: int) -> JsonObject:
    return {"input_tokens": tokens}
