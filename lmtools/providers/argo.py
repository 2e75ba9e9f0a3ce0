"""Argo's own model list, which is neither OpenAI's nor Anthropic's."""

from __future__ import annotations

from ..codecs.fields import shown
from ..errors import ProtocolError
from ..types import Json, ModelInfo


def parse_models(body: Json) -> tuple[ModelInfo, ...]:
    """Return the models of an Argo list, under the ids that its chat endpoints take.

    Three forms are served: a bare list of names, ``{"models": [...]}`` and ``{"data": [...]}``,
    with strings or objects inside. ``internal_id`` is what a request must name; ``id`` is then the
    label.
    """
    rows = body
    if isinstance(body, dict):
        rows = body.get("data") if body.get("data") is not None else body.get("models")
    if not isinstance(rows, list):
        raise ProtocolError(f"Argo's model list: expected a list, got {shown(rows)}")
    return tuple(_parse_row(row, i) for i, row in enumerate(rows))


def _parse_row(row: Json, index: int) -> ModelInfo:
    if isinstance(row, str):
        return ModelInfo(row, owned_by="argo")
    if not isinstance(row, dict):
        raise ProtocolError(f"Argo's model list: [{index}]: expected an object, got {shown(row)}")
    label = row.get("id")
    name = row.get("internal_id") or label
    if not isinstance(name, str):
        raise ProtocolError(
            f"Argo's model list: [{index}].id: expected a string, got {shown(name)}"
        )
    title = row.get("model_name") or row.get("name") or label
    created, owner = row.get("created"), row.get("owned_by")
    return ModelInfo(
        name,
        display_name=title if isinstance(title, str) and title != name else None,
        created=created if isinstance(created, int) else None,
        owned_by=owner if isinstance(owner, str) else "argo",
    )
