"""Whether JSON is what an SDK's models say it is, in full.

By default the SDKs build their objects without looking, and even their strict mode coerces. Here a
model is validated without coercion, a key that it does not know needs a reason, and a key that may
be null still has to be there where the API always sends it (``Always``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

#: Model name to keys that are always there, null or not.
Always = Mapping[str, frozenset[str]]


def check(adapter: TypeAdapter[Any], text: str, always: Always, allowed: set[str]) -> Any:
    """Return the validated value of JSON ``text``; AssertionError says what is wrong and where."""
    try:
        value = adapter.validate_json(text, strict=True)
    except ValidationError as error:
        raise AssertionError(f"not what the SDK's models say: {error}\nin {text[:2000]}") from error
    wrong = [
        line
        for path, model in _models(value, type(value).__name__)
        for line in _wrong(path, model, always, allowed)
    ]
    assert not wrong, f"{'; '.join(wrong)}\nin {text[:2000]}"
    return value


def _wrong(path: str, model: BaseModel, always: Always, allowed: set[str]) -> Iterator[str]:
    for name in always.get(type(model).__name__, ()):
        if name not in model.model_fields_set:
            yield f"{path}.{name} is not there, and always is at the API"
    for name in model.model_extra or {}:
        if name not in allowed:
            yield f"{path}.{name} is unknown to the SDK, and the provider did not send it"


def _models(value: Any, path: str) -> Iterator[tuple[str, BaseModel]]:
    """Yield every model within a value, with its path."""
    if isinstance(value, BaseModel):
        yield path, value
        for name in type(value).model_fields:
            yield from _models(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _models(item, f"{path}[{i}]")
