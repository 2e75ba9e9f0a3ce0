"""The list of models: ``{"object": "list", "data": [...]}``."""

from __future__ import annotations

from ...errors import ProtocolError, RequestError
from ...types import Json, JsonObject, ModelInfo
from ..fields import Fields, wrong
from .assistant import take_count
from .wire import Shape

MODEL = Shape("model", ("id", "object", "created", "owned_by"), {"object": "model"})
#: Where servers say how much fits: vLLM, OpenRouter, LM Studio.
_WINDOWS = ("max_model_len", "context_length", "max_context_length")


def parse_models(body: Json) -> tuple[ModelInfo, ...]:
    """Return the models of a list; ProtocolError for anything else. A bare list is read as well."""
    listed = body.get("data") if isinstance(body, dict) else body
    try:
        if listed.__class__ is not list:
            raise wrong("data", "a list", listed)
        return tuple(_parse(item, f"data[{i}]") for i, item in enumerate(listed))
    except RequestError as error:
        raise ProtocolError(f"malformed list of models: {error}") from error


def _parse(value: Json, path: str) -> ModelInfo:
    fields = Fields(value, path)
    id = fields.required_text("id")
    window = next((value[k] for k in _WINDOWS if value.get(k).__class__ is int), None)
    owner = fields.rest.get("owned_by")
    if isinstance(owner, str):
        del fields.rest["owned_by"]
    return ModelInfo(
        id,
        created=take_count(fields, "created"),
        owned_by=owner if isinstance(owner, str) else None,
        max_input_tokens=window,
        opaque=MODEL.keep(fields, value),
    )


def render_models(models: tuple[ModelInfo, ...]) -> JsonObject:
    return {"object": "list", "data": [render_model(model) for model in models]}


def render_model(model: ModelInfo) -> JsonObject:
    """Return one model; ``created`` and ``owned_by`` are required: 0 and "" at worst."""
    rest = MODEL.rest(model.opaque)
    out: JsonObject = {"id": model.id}
    if model.created is not None or "created" not in rest:
        out["created"] = model.created or 0
    if model.owned_by is not None or "owned_by" not in rest:
        out["owned_by"] = model.owned_by or ""
    return MODEL.fill(out, model.opaque)
