"""Canonical JSON: every canonical value as JSON, and back exactly.

The field list is the dataclass itself: a field's annotation says its shape, so a field that is
added to a type is written and read without a second list. The rules:

1. ``from_json(cls, to_json(value)) == value``, and the bytes of a value never vary: keys stand in
   the order of the fields, ``type`` first where the class has a type tag.
2. A field without a default is always written, empty or not. One with a default is left out when
   it holds it. None is absent; False and 0 are said. ``FunctionTool.parameters`` is always written,
   since its default is a value and not an absence.
3. JSON that belongs to somebody else (``Opaque.data``, tool inputs, schemas, metadata, extensions)
   is embedded untouched and shared by reference.
4. Reading refuses unknown keys, unknown type tags and wrong types with a RequestError that names
   the path and never the content (a word that a closed list lacks aside, cut to 60 characters).
   This is our own format: a key that this version does not know was written by a newer one, and
   reading it without that key would lose it for good at the next write. A newer version leaves a
   new field out while it holds its default, so files stay readable both ways until it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, NamedTuple, TypeVar

from .errors import ProtocolError, RequestError
from .types import (
    EVENT_CLASSES,
    PART_CLASSES,
    TOOL_CLASSES,
    CacheMark,
    CitationPart,
    Event,
    Json,
    JsonObject,
    Message,
    ModelInfo,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Response,
    TokenLogprob,
    Tool,
    ToolChoice,
    ToolRef,
    Usage,
)
from .types.json import dumps, loads

__all__ = [
    "event_from_json",
    "from_bytes",
    "from_json",
    "message_from_json",
    "part_from_json",
    "request_from_json",
    "response_from_json",
    "to_bytes",
    "to_json",
    "tool_from_json",
]

T = TypeVar("T")


def to_json(value: Any) -> JsonObject:
    """Return the canonical JSON of a canonical value; TypeError for anything else."""
    out: JsonObject = {}
    for row in _rows(type(value)):
        held = getattr(value, row.name)
        if row.always or held != row.default:
            out[row.name] = held if held is None else row.shape.write(held)
    return out


def from_json(cls: type[T], data: Json, path: str = "") -> T:
    """Return the value of class ``cls`` that ``data`` (from our own JSON parser) says.

    RequestError names the place, under ``path``, of the first thing that is wrong.
    """
    try:
        return _read(cls, data, path)
    except RecursionError:
        raise RequestError("nested too deeply", path=path) from None


def to_bytes(value: Any) -> bytes:
    """Return the canonical bytes of a canonical value: compact UTF-8 without a line end."""
    return dumps(to_json(value)).encode()


def from_bytes(cls: type[T], data: bytes) -> T:
    """Return the value of class ``cls`` in ``data``; ProtocolError when that is not JSON at all."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(f"not JSON: byte {error.start} is not UTF-8") from None
    return from_json(cls, loads(text))


def request_from_json(data: Json, path: str = "") -> Request:
    return from_json(Request, data, path)


def response_from_json(data: Json, path: str = "") -> Response:
    return from_json(Response, data, path)


def message_from_json(data: Json, path: str = "") -> Message:
    return from_json(Message, data, path)


def part_from_json(data: Json, path: str = "") -> Part:
    """Return the part that ``type`` names."""
    part: Part = from_json(_tagged(_PARTS, data, path), data, path)
    return part


def tool_from_json(data: Json, path: str = "") -> Tool:
    """Return the tool that ``type`` names."""
    tool: Tool = from_json(_tagged(_TOOLS, data, path), data, path)
    return tool


def event_from_json(data: Json, path: str = "") -> Event:
    """Return the stream event that ``type`` names."""
    event: Event = from_json(_tagged(_EVENTS, data, path), data, path)
    return event


class _Shape(NamedTuple):
    """How a field that is not None is written and read. ``read`` gets the path for its errors."""

    write: Callable[[Any], Json]
    read: Callable[[Json, str], Any]


class _Row(NamedTuple):
    """One field of a class. ``always``: written whatever it holds, and required on reading."""

    name: str
    shape: _Shape
    maybe: bool
    always: bool
    default: Any


def _as_is(value: Json) -> Json:
    return value


def _trusted(value: Json, path: str) -> Json:
    return value


def _scalar(wanted: str, *kinds: type) -> _Shape:
    def read(value: Json, path: str) -> Json:
        if value.__class__ not in kinds:
            raise _wrong(path, wanted, value)
        return value

    return _Shape(_as_is, read)


def _value(cls: type) -> _Shape:
    return _Shape(to_json, lambda data, path: _read(cls, data, path))


def _union(classes: dict[str, type]) -> _Shape:
    def read(data: Json, path: str) -> Any:
        return _read(_tagged(classes, data, path), data, path)

    return _Shape(to_json, read)


def _tuple(item: _Shape) -> _Shape:
    def write(values: tuple[Any, ...]) -> Json:
        return [item.write(value) for value in values]

    def read(data: Json, path: str) -> tuple[Any, ...]:
        if data.__class__ is not list:
            raise _wrong(path, "a list", data)
        return tuple([item.read(value, f"{path}[{i}]") for i, value in enumerate(data)])

    return _Shape(write, read)


def _tags(classes: tuple[type, ...]) -> dict[str, type]:
    return {cls.type: cls for cls in classes}  # type: ignore[attr-defined]


_PARTS = _tags(PART_CLASSES)
_TOOLS = _tags(TOOL_CLASSES)
_EVENTS = _tags(EVENT_CLASSES)
_TAGS = {cls: tag for union in (_PARTS, _TOOLS, _EVENTS) for tag, cls in union.items()}

#: The annotations of fields, without ``| None`` (``_row``) and ``tuple[..., ...]`` (``_shape``).
_SHAPES: dict[str, _Shape] = {
    "str": _scalar("a string", str),
    "int": _scalar("an integer", int),
    "float": _scalar("a number", int, float),
    "bool": _scalar("a boolean", bool),
    "Json": _Shape(_as_is, _trusted),
    "JsonObject": _scalar("an object", dict),
    "Part": _union(_PARTS),
    "Tool": _union(_TOOLS),
}
_NESTED = (
    CacheMark,
    CitationPart,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    TokenLogprob,
    ToolChoice,
    ToolRef,
    Usage,
)
_SHAPES |= {cls.__name__: _value(cls) for cls in _NESTED}
_WHOLE = frozenset({*PART_CLASSES, *TOOL_CLASSES, *EVENT_CLASSES, *_NESTED})
_WHOLE |= {Request, Response, ModelInfo}


def _shape(annotation: str) -> _Shape:
    """Return the shape of an annotation such as ``str``, ``tuple[Part, ...]`` or ``Json``."""
    if annotation.startswith("tuple["):
        return _tuple(_shape(annotation.removeprefix("tuple[").removesuffix(", ...]")))
    return _SHAPES[annotation]


#: Filled as classes are first met, so that importing this module does not pay for all of them.
_ROWS: dict[type, tuple[_Row, ...]] = {}


def _rows(cls: type[Any]) -> tuple[_Row, ...]:
    """Return the fields of a canonical class, the type tag first."""
    rows = _ROWS.get(cls)
    if rows is None:
        rows = _ROWS[cls] = _make_rows(cls)
    return rows


def _make_rows(cls: type[Any]) -> tuple[_Row, ...]:
    if cls not in _WHOLE:
        raise TypeError(f"{cls.__name__} is not a canonical type")
    tag = (_Row("type", _SHAPES["str"], maybe=False, always=True, default=None),)
    return (tag if cls in _TAGS else ()) + tuple(_row(field) for field in fields(cls))


def _row(field: Field[Any]) -> _Row:
    annotation: str = field.type  # type: ignore[assignment]
    bare = annotation.removesuffix(" | None")
    maybe = bare != annotation or bare == "Json"
    if field.default_factory is not MISSING:
        # An empty factory value (extensions) is an absence; a schema is not.
        default = field.default_factory()
        return _Row(field.name, _shape(bare), maybe, bool(default), default)
    return _Row(field.name, _shape(bare), maybe, field.default is MISSING, field.default)


def _read(cls: type[T], data: Json, path: str) -> T:
    if data.__class__ is not dict:
        raise _wrong(path, "an object", data)
    rows = _rows(cls)
    given: dict[str, Any] = {}
    for row in rows:
        if row.name in data:
            given[row.name] = _read_field(row, data[row.name], _at(path, row.name))
        elif row.always:
            raise RequestError(f"expected {cls.__name__}.{row.name}, got nothing", path=path)
    if len(given) != len(data):
        raise _unknown(cls, set(data) - set(given), path)
    return _construct(cls, given, path)


def _read_field(row: _Row, value: Json, path: str) -> Any:
    if value is None and row.maybe:
        return None
    return row.shape.read(value, path)


def _construct(cls: type[T], given: dict[str, Any], path: str) -> T:
    tag = _TAGS.get(cls)
    if tag and given.pop("type") != tag:
        raise RequestError(f"expected the type {tag!r}", path=_at(path, "type"))
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:
        raise RequestError(str(error), path=path) from None


def _tagged(classes: dict[str, type], data: Json, path: str) -> type[Any]:
    """Return the class that an object's ``type`` names."""
    if data.__class__ is not dict:
        raise _wrong(path, "an object", data)
    tag = data.get("type")
    if tag.__class__ is not str:
        raise _wrong(_at(path, "type"), "a string", tag)
    if tag not in classes:
        raise RequestError(f"expected one of {', '.join(classes)}", path=_at(path, "type"))
    return classes[tag]


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


_KINDS = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


def _wrong(path: str, wanted: str, value: Json) -> RequestError:
    got = _KINDS.get(value.__class__, "a number")
    return RequestError(f"expected {wanted}, got {got}", path=path)


def _unknown(cls: type, names: set[str], path: str) -> RequestError:
    first = min(names)[:60]
    return RequestError(
        f"{cls.__name__} has no such field; written by a newer version?", path=_at(path, first)
    )
