"""A value that satisfies a JSON Schema, the same at every call.

For the loopback provider, whose answers must fit the tools and output forms that it is asked for.
The value is the smallest that says something: required properties only, the first alternative, the
first enum value. Schemas come from clients, so depth, number of nodes and lengths are bounded; a
schema beyond the bounds gets a value that does not satisfy it. Not looked at: ``not``, ``if``,
``dependentSchemas``, ``contains``, and whether another branch of ``oneOf`` accepts the value too.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import Any

from ..types import Json
from .pattern_sample import sample_pattern

__all__ = ["sample"]

_MAX_DEPTH = 48
_MAX_NODES = 5_000
_MAX_LENGTH = 10_000

#: RFC 3339, 5321, 3986 and 9562 forms by JSON Schema's names.
_FORMATS = {
    "date-time": "2025-01-01T00:00:00Z",
    "date": "2025-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "user@example.com",
    "idn-email": "user@example.com",
    "hostname": "example.com",
    "idn-hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "iri": "https://example.com/",
    "uri-reference": "/path",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/path",
    "regex": ".*",
    "byte": "c2FtcGxl",
}
_KEYWORD_TYPES = (
    ("object", ("properties", "required", "additionalProperties", "minProperties")),
    ("array", ("items", "prefixItems", "minItems", "maxItems", "uniqueItems")),
    ("string", ("minLength", "maxLength", "pattern", "format")),
    ("number", ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")),
)

_Schema = Mapping[str, Any]


def sample(schema: Json, name: str = "sample") -> Json:
    """Return a value for ``schema``; ``name`` is the text of strings that may hold any."""
    return _Sampler(schema).value(schema, name, 0)


class _Sampler:
    """The root is where ``$ref`` points into; ``nodes`` bounds schemas that fan out."""

    def __init__(self, root: Json) -> None:
        self.root = root
        self.nodes = 0

    def value(self, schema: Json, name: str, depth: int, turn: int = 0) -> Json:
        """``turn`` asks for another value of the same schema (items that must differ)."""
        self.nodes += 1
        if depth > _MAX_DEPTH or self.nodes > _MAX_NODES:
            return None
        rules = self.flat(schema, depth)
        if "const" in rules:
            return rules["const"]
        kind = _type_of(rules)
        if isinstance(rules.get("enum"), list) and rules["enum"]:
            return _choose(rules["enum"], kind, turn)
        match kind:
            case "object":
                return self.object(rules, depth)
            case "array":
                return self.array(rules, name, depth)
            case "integer" | "number":
                return _number(rules, kind == "integer", turn)
            case "boolean":
                return turn == 0
            case "null":
                return None
            case _:
                return _string(rules, name, turn)

    # Schemas to one set of rules

    def flat(self, schema: Json, depth: int) -> dict[str, Any]:
        """Return the schema with references, ``allOf`` and the first alternatives merged in."""
        rules: dict[str, Any] = {}
        self._merge(rules, schema, depth)
        return rules

    def _merge(self, rules: dict[str, Any], schema: Json, depth: int) -> None:
        self.nodes += 1
        if not isinstance(schema, dict) or depth > _MAX_DEPTH or self.nodes > _MAX_NODES:
            return
        for key, value in schema.items():
            if key not in ("$ref", "allOf", "anyOf", "oneOf"):
                _add_rule(rules, key, value)
        if isinstance(schema.get("$ref"), str):
            self._merge(rules, self.resolve(schema["$ref"]), depth + 1)
        for part in _list(schema.get("allOf")):
            self._merge(rules, part, depth + 1)
        for key in ("anyOf", "oneOf"):
            if branches := _list(schema.get(key)):
                self._merge(rules, _best_branch(branches, rules), depth + 1)

    def resolve(self, reference: str) -> Json:
        """Return what a reference into the root schema points at; True (anything) when nothing."""
        if not reference.startswith("#"):
            return True
        found = self.root
        for step in reference[1:].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and step in found:
                found = found[step]
            elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
                found = found[int(step)]
            else:
                return True
        return found

    # Values

    def object(self, rules: _Schema, depth: int) -> dict[str, Json]:
        properties = _dict(rules.get("properties"))
        other = rules.get("additionalProperties")
        names = [name for name in _list(rules.get("required")) if isinstance(name, str)]
        least = min(_int(rules.get("minProperties"), 0), _MAX_LENGTH)
        spare = [name for name in properties if name not in names]
        spare += [f"key{i}" for i in range(1, least + 1)]
        names += spare[: max(0, least - len(names))]
        return {name: self.value(properties.get(name, other), name, depth + 1) for name in names}

    def array(self, rules: _Schema, name: str, depth: int) -> list[Json]:
        first = _list(rules.get("prefixItems"))
        items = rules.get("items")
        if isinstance(items, list):  # what prefixItems was before draft 2020-12
            first, items = items, rules.get("additionalItems")
        usual = 0 if items is None or items is False else 1
        wanted = max(_int(rules.get("minItems"), usual), len(first))
        wanted = min(wanted, _int(rules.get("maxItems"), _MAX_LENGTH), _MAX_LENGTH)
        unique = rules.get("uniqueItems") is True
        out: list[Json] = []
        for i in range(wanted):
            if self.nodes > _MAX_NODES:
                break
            rule = first[i] if i < len(first) else items
            out.append(self.value(rule, name, depth + 1, i if unique else 0))
        return out


def _add_rule(rules: dict[str, Any], key: str, value: Any) -> None:
    """Add one keyword to those that hold already, so that both hold."""
    held = rules.get(key)
    if held is None:
        rules[key] = value
    elif key == "properties":
        merged = dict(_dict(held))
        for name, schema in _dict(value).items():
            merged[name] = {"allOf": [merged[name], schema]} if name in merged else schema
        rules[key] = merged
    elif key == "required":
        rules[key] = _list(held) + [name for name in _list(value) if name not in _list(held)]
    elif key == "enum":
        rules[key] = [item for item in _list(held) if item in _list(value)] or held
    elif key == "type":
        rules[key] = _common_types(held, value)
    elif key in ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"):
        rules[key] = max(_float(held, value), _float(value, held))
    elif key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems"):
        rules[key] = min(_float(held, value), _float(value, held))


def _common_types(held: Any, value: Any) -> Any:
    first, second = _as_list(held), _as_list(value)
    common = [kind for kind in first if kind in second]
    if not common and "integer" in first + second and "number" in first + second:
        common = ["integer"]
    return common or held


def _best_branch(branches: list[Json], rules: _Schema) -> Json:
    """Return the first alternative that can hold beside ``rules``, null only when there is none."""
    wanted = _as_list(rules.get("type"))
    for branch in branches:
        kinds = _as_list(branch.get("type")) if isinstance(branch, dict) else []
        fits = not wanted or not kinds or any(kind in wanted for kind in kinds)
        if branch is not False and fits and kinds != ["null"]:
            return branch
    return branches[0]


def _type_of(rules: _Schema) -> str:
    kinds = [kind for kind in _as_list(rules.get("type")) if isinstance(kind, str)]
    for kind in kinds:
        if kind != "null":
            return kind
    if kinds:
        return "null"
    for kind, keywords in _KEYWORD_TYPES:
        if any(keyword in rules for keyword in keywords):
            return kind
    return "string" if "enum" not in rules else ""


_CLASSES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


def _choose(words: list[Json], kind: str, turn: int) -> Json:
    """Return one of an enum, of the schema's type where it has one."""
    classes = _CLASSES.get(kind)
    fitting = [word for word in words if classes is None or word.__class__ in classes] or words
    return fitting[turn % len(fitting)]


def _string(rules: _Schema, name: str, turn: int) -> str:
    pattern = rules.get("pattern")
    most = _int(rules.get("maxLength"), _MAX_LENGTH)
    least = min(_int(rules.get("minLength"), 0), _MAX_LENGTH)
    if isinstance(pattern, str):
        return sample_pattern(pattern, least)
    text = _FORMATS.get(str(rules.get("format")), name) + (str(turn + 1) if turn else "")
    return (text + "x" * (least - len(text)))[: max(most, 0)]


_ENDLESS = 1e300


def _number(rules: _Schema, whole: bool, turn: int) -> int | float:
    """Return the number nearest to 1 within the bounds, ``turn`` steps further on."""
    low, high = _bounds(rules, whole)
    step = _float(rules.get("multipleOf"), 0.0)
    if step > 0:
        value = _multiple(max(step, 1.0) if whole else step, low, high, turn)
    else:
        value = min(max(1.0, low), high)
        value = value + turn if value + turn <= high else value - turn
    if _is_outside(rules, value):
        value = _off_the_bound(value, step, low, high)
    return int(value) if value == floor(value) else value


def _multiple(step: float, low: float, high: float, turn: int) -> float:
    count = max(1, ceil(low / step)) if low > 0 else min(1, floor(high / step))
    return (count + turn) * step if (count + turn) * step <= high else (count - turn) * step


def _is_outside(rules: _Schema, value: float) -> bool:
    """Tell whether a number stands on a bound that is exclusive (draft 4: a true beside it)."""
    over, under = rules.get("exclusiveMinimum"), rules.get("exclusiveMaximum")
    on_low = value == (rules.get("minimum") if over is True else over)
    return on_low or value == (rules.get("maximum") if under is True else under)


def _off_the_bound(value: float, step: float, low: float, high: float) -> float:
    if step > 0:
        return value + step if value == low else value - step
    if low != -_ENDLESS and high != _ENDLESS:
        return (low + high) / 2
    return value + 1 if value == low else value - 1


def _bounds(rules: _Schema, whole: bool) -> tuple[float, float]:
    low, high = _float(rules.get("minimum"), -_ENDLESS), _float(rules.get("maximum"), _ENDLESS)
    over, under = rules.get("exclusiveMinimum"), rules.get("exclusiveMaximum")
    # Draft 4 has them as booleans beside minimum and maximum.
    over = low if over is True else _float(over, -_ENDLESS)
    under = high if under is True else _float(under, _ENDLESS)
    if whole:
        low, high = max(ceil(low), floor(over) + 1), min(floor(high), ceil(under) - 1)
        return float(low), float(high)
    return max(low, over), min(high, under)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _int(value: Any, default: int) -> int:
    return int(_float(value, default))


def _float(value: Any, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _ENDLESS:
        return default
    return value
