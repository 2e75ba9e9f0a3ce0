"""Usage and log probabilities, which whole answers and streams say alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...types import Json, JsonObject, Opaque, TokenLogprob, Usage
from ..base import Loss, Losses, Stamp
from ..fields import Fields, report_foreign
from .assistant import take_count
from .wire import NAME, Shape

USAGE = Shape(
    "usage",
    (
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    ),
)
INPUT_DETAILS = Shape(
    "prompt_tokens_details", ("cached_tokens", "cache_write_tokens", "audio_tokens")
)
OUTPUT_DETAILS = Shape("completion_tokens_details", ("reasoning_tokens", "audio_tokens"))
LOGPROB = Shape(
    "logprob",
    ("token", "logprob", "bytes", "top_logprobs"),
    {"bytes": None, "top_logprobs": []},
)

_COUNTS = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "total_tokens": "total_tokens",
}
_INPUT_COUNTS = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "audio_tokens": "input_audio_tokens",
}
_OUTPUT_COUNTS = {"reasoning_tokens": "reasoning_tokens", "audio_tokens": "output_audio_tokens"}
#: Where DeepSeek and Moonshot put the count of cached tokens: beside the totals.
_CACHE_READS = ("prompt_cache_hit_tokens", "cached_tokens")


class _Part(NamedTuple):
    key: str
    shape: Shape
    names: Mapping[str, str]


_DETAILS = (
    _Part("prompt_tokens_details", INPUT_DETAILS, _INPUT_COUNTS),
    _Part("completion_tokens_details", OUTPUT_DETAILS, _OUTPUT_COUNTS),
)


def parse_usage(wire: Json, path: str) -> Usage:
    """Return the counts; what is no count stays as it came, since no answer fails by its bill."""
    fields = Fields(wire, path)
    counts: dict[str, int | None] = {}
    kept: list[Opaque] = []
    notes: JsonObject = {}
    _take(fields, _COUNTS, counts)
    for key, shape, names in _DETAILS:
        details = fields.rest.get(key)
        if details.__class__ is dict:
            del fields.rest[key]
            inner = Fields(details, fields.at(key))
            _take(inner, names, counts)
            notes.setdefault("details", []).append(key)
            kept += shape.keep(inner, details)
    if counts.get("cache_read_tokens") is None:
        for key in _CACHE_READS:
            count = take_count(fields, key)
            if count is not None:
                counts["cache_read_tokens"], notes["cache_read"] = count, key
                break
    if notes.get("details") == [part.key for part in _DETAILS]:
        del notes["details"]
    else:
        notes.setdefault("details", [])
    absent = [key for key in _COUNTS if key not in wire]
    if absent:
        notes["absent"] = absent
    return Usage(**counts, opaque=(*USAGE.keep(fields, wire, notes), *kept))


def _take(fields: Fields, names: Mapping[str, str], counts: dict[str, int | None]) -> None:
    """Take every count that is one, as ``take_count`` does."""
    rest = fields.rest
    for key, name in names.items():
        value = rest.get(key)
        if value.__class__ is int and value >= 0:
            counts[name] = value
            del rest[key]


def render_usage(
    usage: Usage, stamp: Stamp, losses: Losses, *, estimated: bool = False
) -> JsonObject:
    """Return ``usage``, with the estimate for a count that nobody reported.

    The three totals are required; a detail that was not reported is not there. ``estimated`` tells
    that the loss is recorded already.
    """
    report_foreign(usage.opaque, NAME, "usage", losses)
    absent = USAGE.note(usage.opaque, "absent") or ()
    out = {
        key: getattr(usage, name)
        for key, name in _COUNTS.items()
        if key not in absent or getattr(usage, name) is not None
    }
    if None in (out.get("prompt_tokens", 0), out.get("completion_tokens", 0)) and not estimated:
        losses.append(Loss("usage", "defaulted", "not reported; Chat wants numbers"))
    if out.get("prompt_tokens", 0) is None:
        out["prompt_tokens"] = stamp.input_tokens
    if out.get("completion_tokens", 0) is None:
        out["completion_tokens"] = 0
    if out.get("total_tokens", 0) is None:
        out["total_tokens"] = out.get("prompt_tokens", 0) + out.get("completion_tokens", 0)
    _render_details(usage, out)
    return USAGE.fill(out, usage.opaque)


def _render_details(usage: Usage, out: JsonObject) -> None:
    elsewhere = USAGE.note(usage.opaque, "cache_read")
    if elsewhere and usage.cache_read_tokens is not None:
        out[elsewhere] = usage.cache_read_tokens
    said = USAGE.note(usage.opaque, "details")
    for key, shape, names in _DETAILS:
        details = {
            wire: getattr(usage, name)
            for wire, name in names.items()
            if getattr(usage, name) is not None and not (elsewhere and name == "cache_read_tokens")
        }
        if details or said is None or key in said:
            out[key] = shape.fill(details, usage.opaque)


def parse_logprobs(wire: list[Json], path: str) -> tuple[TokenLogprob, ...]:
    return tuple(_parse_logprob(item, f"{path}[{i}]") for i, item in enumerate(wire))


def _parse_logprob(wire: Json, path: str) -> TokenLogprob:
    fields = Fields(wire, path)
    token, logprob = fields.required_text("token"), fields.number("logprob")
    if logprob is None:
        raise fields.missing("logprob", "a number")
    bytes = fields.array("bytes")
    top = fields.array("top_logprobs") or []
    if "top_logprobs" in wire and wire["top_logprobs"] == []:
        fields.rest["top_logprobs"] = []
    return TokenLogprob(
        token,
        logprob,
        None if bytes is None else tuple(bytes),
        parse_logprobs(top, fields.at("top_logprobs")),
        LOGPROB.keep(fields, wire),
    )


def render_logprobs(
    logprobs: tuple[TokenLogprob, ...], path: str, losses: Losses
) -> list[JsonObject]:
    return [_render_logprob(item, f"{path}[{i}]", losses) for i, item in enumerate(logprobs)]


def _render_logprob(item: TokenLogprob, path: str, losses: Losses) -> JsonObject:
    report_foreign(item.opaque, NAME, path, losses)
    out: JsonObject = {"token": item.token, "logprob": item.logprob}
    if item.bytes is not None:
        out["bytes"] = list(item.bytes)
    if item.top:
        out["top_logprobs"] = [
            # An alternative has none of its own.
            {key: value for key, value in one.items() if key != "top_logprobs" or value}
            for one in render_logprobs(item.top, f"{path}.top", losses)
        ]
    return LOGPROB.fill(out, item.opaque)
