"""Samples satisfy their schemas, checked by a validator that shares no code with the sampler."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lmtools.providers.pattern_sample import sample_pattern
from lmtools.providers.schema_sample import sample

TYPES = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and v == int(v),
}


def faults(schema: Any, value: Any, root: Any = None) -> list[str]:
    """Return the keywords of a schema that a value breaks."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return [] if schema else ["false"]
    found = [] if "$ref" not in schema else faults(resolve(root, schema["$ref"]), value, root)
    for key, rule in schema.items():
        if key in CHECKS and not CHECKS[key](rule, value, schema, root):
            found.append(f"{key}: {rule!r:.60} refuses {value!r:.60}")
    return found


def resolve(root: Any, reference: str) -> Any:
    for step in reference.removeprefix("#").split("/")[1:]:
        root = root[step.replace("~1", "/").replace("~0", "~")]
    return root


def fits(schema: Any, value: Any, root: Any) -> bool:
    return not faults(schema, value, root)


def is_number(value: Any) -> bool:
    return TYPES["number"](value)


def extras_fit(rule: Any, value: Any, schema: Any, root: Any) -> bool:
    extra = set(value) - set(schema.get("properties", {})) if isinstance(value, dict) else set()
    return all(fits(rule, value[name], root) for name in extra)


CHECKS: dict[str, Any] = {
    "type": lambda r, v, s, _: any(TYPES[t](v) for t in ([r] if isinstance(r, str) else r)),
    "enum": lambda r, v, s, _: v in r,
    "const": lambda r, v, s, _: v == r,
    "properties": lambda r, v, s, root: (
        not isinstance(v, dict) or all(fits(r[k], v[k], root) for k in v if k in r)
    ),
    "required": lambda r, v, s, _: not isinstance(v, dict) or all(k in v for k in r),
    "additionalProperties": extras_fit,
    "minProperties": lambda r, v, s, _: not isinstance(v, dict) or len(v) >= r,
    "items": lambda r, v, s, root: (
        not isinstance(v, list) or all(fits(r, i, root) for i in v[len(s.get("prefixItems", ())) :])
    ),
    "prefixItems": lambda r, v, s, root: (
        not isinstance(v, list)
        or all(fits(rule, item, root) for rule, item in zip(r, v, strict=False))
    ),
    "minItems": lambda r, v, s, _: not isinstance(v, list) or len(v) >= r,
    "maxItems": lambda r, v, s, _: not isinstance(v, list) or len(v) <= r,
    "uniqueItems": lambda r, v, s, _: (
        not isinstance(v, list) or len({json.dumps(i) for i in v}) == len(v)
    ),
    "minLength": lambda r, v, s, _: not isinstance(v, str) or len(v) >= r,
    "maxLength": lambda r, v, s, _: not isinstance(v, str) or len(v) <= r,
    "pattern": lambda r, v, s, _: not isinstance(v, str) or re.search(r, v) is not None,
    "minimum": lambda r, v, s, _: (
        not is_number(v) or (v > r if s.get("exclusiveMinimum") is True else v >= r)
    ),
    "maximum": lambda r, v, s, _: (
        not is_number(v) or (v < r if s.get("exclusiveMaximum") is True else v <= r)
    ),
    "exclusiveMinimum": lambda r, v, s, _: r is True or not is_number(v) or v > r,
    "exclusiveMaximum": lambda r, v, s, _: r is True or not is_number(v) or v < r,
    "multipleOf": lambda r, v, s, _: not is_number(v) or abs(v / r - round(v / r)) < 1e-9,
    "allOf": lambda r, v, s, root: all(fits(part, v, root) for part in r),
    "anyOf": lambda r, v, s, root: any(fits(part, v, root) for part in r),
    "oneOf": lambda r, v, s, root: sum(fits(part, v, root) for part in r) == 1,
}

NUMBERS = [
    {},
    {"minimum": 3},
    {"maximum": -3},
    {"minimum": -10, "maximum": 10},
    {"minimum": 5, "maximum": 5},
    {"exclusiveMinimum": 1},
    {"exclusiveMinimum": 1, "exclusiveMaximum": 3},
    {"exclusiveMaximum": 1},
    {"exclusiveMaximum": -7},
    {"minimum": 1, "exclusiveMinimum": True},
    {"maximum": 1, "exclusiveMaximum": True},
    {"multipleOf": 5},
    {"multipleOf": 5, "minimum": 7},
    {"multipleOf": 5, "maximum": -7},
    {"multipleOf": 5, "exclusiveMinimum": 10, "maximum": 15},
    {"multipleOf": 5, "minimum": 10, "exclusiveMaximum": 15},
    {"multipleOf": 4, "exclusiveMaximum": 4},
    {"minimum": 2.5},
    {"minimum": -1e12, "maximum": -1e11},
]
FRACTIONS = [
    {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"minimum": 0.25, "maximum": 0.75},
    {"minimum": 1, "exclusiveMinimum": True, "maximum": 2},
    {"multipleOf": 0.25, "maximum": 0.5},
    {"multipleOf": 0.5, "exclusiveMinimum": 0.5},
]
STRINGS = [
    {},
    {"minLength": 20},
    {"maxLength": 3},
    {"minLength": 2, "maxLength": 2},
    {"maxLength": 0},
    {"enum": ["a", "b"]},
    {"const": "c"},
    {"pattern": "^[a-z]{3}-[0-9]+$"},
    {"pattern": "^[A-Z]+$", "minLength": 12},
    {"format": "no-such-format"},
]
SCHEMAS = [
    *({"type": kind, **rules} for rules in NUMBERS for kind in ("integer", "number")),
    *({"type": "number", **rules} for rules in FRACTIONS),
    *({"type": "string", **rules} for rules in STRINGS),
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["null", "string"]},
    {"type": ["null"]},
    {},
    True,
    {"enum": [None, 1]},
    {"type": "integer", "enum": ["a", 7]},
    {"type": "array"},
    {"type": "array", "items": {"type": "string"}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "uniqueItems": True},
    {"type": "array", "items": {"type": "integer", "maximum": 2}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "maxItems": 0, "items": {}},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
    {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "null"}, "minItems": 3},
    {"type": "array", "prefixItems": [{"type": "string"}], "items": False},
    {"type": "object"},
    {"type": "object", "properties": {"a": {"type": "string"}}},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a", "b"]},
    {"type": "object", "required": ["b"], "additionalProperties": {"type": "integer"}},
    {"type": "object", "minProperties": 2, "properties": {"a": {"type": "null"}}},
    {"type": "object", "minProperties": 2, "additionalProperties": {"type": "boolean"}},
    {"properties": {"a": {"type": "array", "items": {"type": "object", "required": ["x"]}}}, "required": ["a"]},
    {"items": {"minimum": 7}},
    {"minLength": 3},
    {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 9}]},
    {"anyOf": [{"type": "null"}]},
    {"anyOf": [False, {"type": "string"}]},
    {"type": "integer", "anyOf": [{"type": "string"}, {"minimum": 9}]},
    {"oneOf": [{"type": "string"}, {"type": "object"}]},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
    {"allOf": [{"minimum": 3}, {"minimum": 5}, {"maximum": 9}, {"maximum": 5}], "type": "integer"},
    {"allOf": [{"type": "number"}, {"type": "integer"}], "minimum": 2.5},
    {"allOf": [{"type": ["string", "null"]}, {"type": ["integer", "string"]}]},
    {"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]},
    {"allOf": [{"required": ["a"], "type": "object"}, {"required": ["a", "b"]}]},
    {
        "properties": {"a": {"type": "integer"}},
        "allOf": [{"properties": {"a": {"minimum": 4}}}],
        "required": ["a"],
    },
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "string", "minLength": 9}}},
    {
        "type": "object",
        "properties": {"n": {"$ref": "#/definitions/a~1b"}},
        "required": ["n"],
        "definitions": {"a/b": {"type": "integer"}},
    },
    {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            }
        },
        "$ref": "#/$defs/node",
    },
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: json.dumps(schema)[:70])
def test_a_sample_satisfies_its_schema(schema):
    assert faults(schema, sample(schema)) == []
    assert sample(schema) == sample(schema)


FORMATS = {
    "date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "date": r"\d{4}-\d\d-\d\d",
    "time": r"\d\d:\d\d:\d\dZ",
    "email": r"[^@ ]+@[^@ ]+\.[a-z]+",
    "uri": r"https://.+",
    "uuid": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "ipv4": r"(\d+\.){3}\d+",
    "ipv6": r"[0-9a-f:]+",
    "hostname": r"[a-z.]+",
    "byte": r"[A-Za-z0-9+/=]+",
}


@pytest.mark.parametrize(("form", "pattern"), FORMATS.items())
def test_a_sample_has_the_format_that_the_schema_names(form, pattern):
    assert re.fullmatch(pattern, sample({"type": "string", "format": form}))


PATTERNS = [
    r"^abc$",
    r"^\d{3}-\d{4}$",
    r"^[A-Za-z_][A-Za-z0-9_]*$",
    r"^(foo|bar)+$",
    r"^(?:a|b)?c$",
    r"^(?P<year>\d{4})-(?<month>x)$".replace("?<month>", "?P<month>"),
    r"^[^a-z]$",
    r"^[^\d\s]+$",
    r"^[\w.-]+@[\w-]+\.\w{2,}$",
    r"^#([0-9a-fA-F]{6})$",
    r"^\x41B\t\.$",
    r"^[]a]$",
    r"^a{2,4}?b{0}c*+$".replace("*+", "*"),
    r"^{a}$".replace("{a}", "[{]a[}]"),
    r"^(?=x)xy$",
    r"^(?!a)b\b$",
    r"^sk-[a-z]{2}(-[0-9])*$",
    r"^\S+\s\W\D$",
    r"^[-a]$",
    r"^[a-]$",
    r"^.$",
    r"",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_sample_matches_its_pattern(pattern):
    assert re.search(pattern, sample_pattern(pattern)) is not None


def test_a_sample_of_a_pattern_grows_where_the_pattern_allows_it():
    assert sample_pattern("^[a-z]+$", 20) == "a" * 20
    assert re.fullmatch("x(ab)*y{2,4}", sample_pattern("^x(ab)*y{2,4}$", 9))
    assert sample_pattern("^a{2,4}$", 9) == "aaaa"


HOSTILE = [
    "(" * 5_000,
    "((((a{256}){256}){256}){256}){256}",
    "a{99999999999999}",
    "[" * 1000,
    "[^" + "".join(map(chr, range(33, 256))),
    "a|" * 5_000,
    "\\",
    "(?",
    "(?P<",
    "(?<=a)b)c",
    "*+?{",
    "{2}",
    "a{x}b{3",
    r"\u12",
]


@pytest.mark.parametrize("pattern", HOSTILE, ids=lambda pattern: pattern[:20])
def test_a_hostile_pattern_gives_some_bounded_text(pattern):
    assert len(sample_pattern(pattern, 100_000)) <= 10_000


def test_schemas_that_fan_out_or_never_end_give_some_bounded_value():
    fan = {"$defs": {}, "$ref": "#/$defs/d0"}
    for i in range(40):
        part = {"$ref": f"#/$defs/d{i + 1}"}
        fan["$defs"][f"d{i}"] = {
            "type": "object",
            "required": ["a", "b"],
            "properties": {"a": part, "b": part},
        }
    for schema in (
        fan,
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {
            "type": "array",
            "minItems": 10**12,
            "items": {"type": "array", "minItems": 10**12, "items": {}},
        },
        {"type": "string", "minLength": 10**12},
        {"type": "object", "minProperties": 10**12},
    ):
        assert len(json.dumps(sample(schema))) < 1_000_000


@pytest.mark.parametrize(
    "schema",
    [
        None, 7, "x", [], False,
        {"type": 7}, {"type": ["object", 3]}, {"type": "nonsense"},
        {"properties": 3, "required": "a", "type": "object"}, {"required": [1, None]},
        {"items": 5, "minItems": "x", "type": "array"}, {"enum": "abc"}, {"enum": []},
        {"anyOf": {}, "allOf": 3, "oneOf": []}, {"anyOf": [3]}, {"$ref": 3}, {"$ref": "http://x/y"},
        {"$ref": "#/no/where"}, {"$ref": "#/enum/0", "enum": [5]}, {"$ref": "#/enum/9", "enum": [5]},
        {"minimum": "x", "maximum": None, "type": "number"}, {"multipleOf": 0, "type": "number"},
        {"multipleOf": -1, "type": "integer"}, {"minimum": 5, "maximum": 1, "type": "number"},
        {"minimum": 1e308, "type": "integer"}, {"minLength": -5, "maxLength": -7, "type": "string"},
        {"pattern": 3, "type": "string"}, {"format": 3, "type": "string"}, {"type": "object", "properties": {"a": 3}, "required": ["a"]},
        {"allOf": [{"minimum": "x"}, {"minimum": 3}, {"required": 3}, {"required": ["a"]}]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_schema_gives_some_value(schema):
    value = sample(schema)

    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_every_tool_that_real_clients_offer_gets_arguments_that_fit(shared: Path):
    schemas = []
    for path in sorted(shared.rglob("*.json")):
        if path.stat().st_size < 5_000_000:
            schemas += tool_schemas(read_json(path))
    assert schemas

    for schema in schemas:
        assert faults(schema, sample(schema)) == [], json.dumps(schema)[:500]


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def is_schema(value: Any) -> bool:
    return isinstance(value, dict) and str(value.get("type")).islower()


def tool_schemas(value: Any) -> list[Any]:
    """Return every tool's schema in a recorded body, at any depth; not Gemini's, in capitals."""
    found = []
    if isinstance(value, dict):
        for key, held in value.items():
            if key in ("input_schema", "parameters") and is_schema(held):
                found.append(held)
            else:
                found += tool_schemas(held)
    elif isinstance(value, list):
        for item in value:
            found += tool_schemas(item)
    return found
