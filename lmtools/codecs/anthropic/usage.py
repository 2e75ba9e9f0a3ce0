"""Token counts and stop reasons, shared by whole answers and streams.

::

    {"input_tokens": 10, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
     "output_tokens": 19, "output_tokens_details": {"thinking_tokens": 5}, "service_tier":
     "standard", "cache_creation": {...}, "server_tool_use": {...}, "inference_geo": "global",
     "iterations": [...]}

The API counts cached input apart; the canonical input includes it, so parsing adds and rendering
subtracts. The last line stays in the Opaque of kind ``usage``. Keys that an answer lacked although
the codec always writes them are noted as ``absent``; who gave no numbers at all gets an estimate
and zeros.
"""

from __future__ import annotations

from ...types import Json, JsonObject, Opaque, Usage
from ..fields import Fields, report_foreign, restore
from .parts import Rendering
from .spelling import NAME, count, data_of, kept_key

_COUNTS = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
)
#: What an answer always has beside its counts, and the end of a stream has not; null where unknown.
_NULLABLE = ("cache_creation", "inference_geo", "service_tier")
_USAGE_KEYS = (*_COUNTS, "output_tokens_details", *_NULLABLE)
_DETAILS = "output_tokens_details"
_NOTHING = Usage()
#: Counts that a stream gives again and again; what its end leaves open, an earlier frame said.
CARRIED_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")

#: OpenAI's words for the tier that served, and the nearest of Anthropic's; None: nothing near.
_TIERS: dict[str, str | None] = {"default": "standard", "auto": None, "flex": None, "scale": None}

_FINISH_OF_WORD = {
    "end_turn": "stop",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_call",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_length",
    # A beta: the provider stopped after it summed up the conversation, which is to be sent again.
    "compaction": "pause",
}
_WORD_OF_FINISH = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_call": "tool_use",
    "pause": "pause_turn",
    "refusal": "refusal",
    "context_length": "model_context_window_exceeded",
    "content_filter": "refusal",
    "error": "end_turn",
}


def absent_keys(fields: Fields, keys: tuple[str, ...]) -> JsonObject:
    """Return the note of the keys that a wire object lacks; look before anything is taken."""
    absent = [key for key in keys if key not in fields.rest]
    return {"absent": absent} if absent else {}


def parse_usage(value: Json, path: str, *, at_end: bool = False) -> tuple[Usage, str | None]:
    """Return the counts, and the tier that served the request.

    ``at_end``: they are those of a ``message_delta``.
    """
    fields = Fields(value, path)
    notes = absent_keys(fields, _COUNTS if at_end else (*_COUNTS, *_NULLABLE))
    plain, write, read, output = (count(fields, key) for key in _COUNTS)
    details = fields.object(_DETAILS)
    reasoning: int | None = None
    kept: tuple[Opaque, ...] = ()
    if details is not None:
        inner = Fields(details, fields.at(_DETAILS))
        reasoning = count(inner, "thinking_tokens")
        present = None if reasoning is not None else {"present": True}
        kept = inner.kept(NAME, _DETAILS, ("thinking_tokens",), present)
    tier = fields.text("service_tier")
    usage = Usage(
        input_tokens=None if plain is None else plain + (read or 0) + (write or 0),
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=reasoning,
        opaque=(*fields.kept(NAME, "usage", _USAGE_KEYS, notes), *kept),
    )
    return usage, tier


def add_cached(input_tokens: int | None, usage: Usage, before: Usage) -> int | None:
    """Return the input with the cache counts that only the stream's start gave."""
    if input_tokens is None:
        return None
    for name in ("cache_read_tokens", "cache_write_tokens"):
        if getattr(usage, name) is None:
            input_tokens += getattr(before, name) or 0
    return input_tokens


def _plain(usage: Usage, before: Usage) -> int | None:
    """Return the input without what the cache served and stored."""
    if usage.input_tokens is None:
        return None
    cached = (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    return max(usage.input_tokens - cached - (add_cached(0, usage, before) or 0), 0)


def render_usage(
    usage: Usage, tier: str | None, estimate: int, to: Rendering, before: Usage | None = None
) -> JsonObject:
    """Return the counts; ``estimate`` stands for input tokens that nobody counted.

    ``before`` is what the start of a stream said, when this is the usage of its end.
    """
    at_end, before = before is not None, before or _NOTHING
    absent = data_of(usage.opaque, "usage").get("absent", ())
    plain = _plain(usage, before)
    values = (plain, usage.cache_write_tokens, usage.cache_read_tokens, usage.output_tokens)
    out: JsonObject = {}
    guessed = []
    for key, value in zip(_COUNTS, values, strict=True):
        if value is not None:
            out[key] = value
        elif key not in absent and not kept_key(usage.opaque, "usage", key):
            out[key] = estimate if key == "input_tokens" else 0
            guessed.append(key)
    if guessed and not any(loss.path == "usage" for loss in to.losses):
        to.lose("usage", "defaulted", f"not reported, sent as an estimate: {', '.join(guessed)}")
    if usage.reasoning_tokens is not None or data_of(usage.opaque, _DETAILS):
        out[_DETAILS] = _render_details(usage)
    _render_tier(tier, out, to)
    for key in () if at_end else _NULLABLE:
        if key not in absent and not kept_key(usage.opaque, "usage", key):
            out.setdefault(key, None)
    _report_unsaid(usage, to)
    return restore(out, usage.opaque, NAME, "usage")


def _render_details(usage: Usage) -> JsonObject:
    given = usage.reasoning_tokens
    details: JsonObject = {} if given is None else {"thinking_tokens": given}
    return restore(details, usage.opaque, NAME, _DETAILS)


def _render_tier(tier: str | None, out: JsonObject, to: Rendering) -> None:
    near = None if tier is None else _TIERS.get(tier, tier)
    if near is not None:
        out["service_tier"] = near
    if near != tier:
        to.lose(
            "service_tier", "substituted" if near else "dropped", "not one of Anthropic's tiers"
        )


def _report_unsaid(usage: Usage, to: Rendering) -> None:
    total = usage.total_tokens
    if total is not None and total != (usage.input_tokens or 0) + (usage.output_tokens or 0):
        to.lose("usage.total_tokens", "dropped", "anthropic gives no total")
    for name in ("input_audio_tokens", "output_audio_tokens"):
        if getattr(usage, name):
            to.lose(f"usage.{name}", "dropped", "anthropic does not count audio")
    report_foreign(usage.opaque, NAME, "usage", to.losses)


def parse_stop_reason(fields: Fields, has_calls: bool) -> tuple[str | None, JsonObject]:
    """Take ``stop_reason``; return the canonical word, and the note of a known word that it hides.

    A word of tomorrow stays in the rest, and is a plain stop to everybody else.
    """
    word = fields.rest.get("stop_reason")
    if word is None:
        fields.rest.pop("stop_reason", None)
        return None, {"stop_reason": None}
    if word.__class__ is str and word not in _FINISH_OF_WORD:
        return "stop", {}
    fields.text("stop_reason")
    finish = _FINISH_OF_WORD[word]
    is_plain = _WORD_OF_FINISH[finish] == word and not (has_calls and finish == "stop")
    return finish, {} if is_plain else {"stop_reason": word}


def render_stop_reason(
    finish: str | None, opaque: tuple[Opaque, ...], kind: str, has_calls: bool, to: Rendering
) -> str | None:
    """Return the stop reason: None only for an answer of this dialect that had none.

    Calls are always announced, whatever the upstream's last word was.
    """
    data = data_of(opaque, kind)
    if "stop_reason" in data:
        word: str | None = data["stop_reason"]
        if finish == (None if word is None else _FINISH_OF_WORD[word]):
            return word
    if finish == "stop" and kept_key(opaque, kind, "stop_reason"):
        unknown: str = data["rest"]["stop_reason"]
        return unknown
    if has_calls and finish in (None, "stop"):
        action = "defaulted" if finish is None else "substituted"
        to.lose("finish", action, "the answer holds calls; sent as tool_use")
        return "tool_use"
    if finish is None:
        to.lose("finish", "defaulted", "not reported; sent as end_turn")
        return "end_turn"
    if finish in ("content_filter", "error"):
        to.lose("finish", "substituted", f"anthropic has no stop reason for {finish}")
    return _WORD_OF_FINISH[finish]
