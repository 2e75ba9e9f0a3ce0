"""What a provider says about a model that it serves."""

from __future__ import annotations

from . import check
from .opaque import Opaque, opaque_field
from .value import value_class


@value_class(frozen=True, slots=True)
class ModelInfo:
    """One row of a model list. ``created`` is in Unix seconds; limits are in tokens."""

    id: str
    display_name: str | None = None
    created: int | None = None
    owned_by: str | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    opaque: tuple[Opaque, ...] = ()

    def __post_init__(self) -> None:
        check.text(self, "id")
        check.maybe_text(self, "display_name")
        check.maybe_int(self, "created")
        check.maybe_text(self, "owned_by")
        check.maybe_int(self, "max_input_tokens")
        check.maybe_int(self, "max_output_tokens")
        opaque_field(self)
