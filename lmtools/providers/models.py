"""What is known about models by their names: limits, forms of thinking, manners.

Names come in several spellings: ``claude-opus-4-7-20260115``, ``anthropic.claude-opus-4-7``, Argo's
``claudeopus47``; ``gpt-5.1``, ``gpt51``, ``gpto3mini``. A family and a version are read from the
name, and facts follow from the version, so that the next model of a family starts with the manners
of the newest known one. A name of no known family gets no facts, and its requests go as they were
said.

Sources: Anthropic's model list (limits, thinking types and effort words per model), OpenAI's model
and reasoning pages and its error texts for refused effort words, and probes of the Argo gateway.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Version = tuple[int, int]

#: Target fields (``codecs.base.Target``) that a model's name decides.
Facts = dict[str, Any]

_CLAUDE = re.compile(
    r"claude[-_]?(?P<family>[a-z]+)[-_]?(?P<major>\d)(?:[-_.]?(?P<minor>\d))?(?!\d)"
    r"|claude[-_]?(?P<major3>\d)(?:[-_.]?(?P<minor3>\d))?[-_](?P<family3>[a-z]+)"
)
_GPT = re.compile(r"(?:^|[^a-z])gpt-?(?P<major>\d)(?:\.(?P<minor>\d+)|(?P<short>\d)(?!\d))?")
_O_SERIES = re.compile(r"(?:^|gpt|[^a-z0-9])o(?P<major>[1-9])(?!\d)")
_GEMINI = re.compile(r"gemini-?(?P<major>\d)(?:[.]?(?P<minor>\d))?")


@dataclass(frozen=True, slots=True)
class ModelName:
    """What a name says: maker's family word, version, and the whole name in lower case."""

    family: str
    version: Version
    name: str


def read_name(model: str) -> ModelName | None:
    """Return family and version, or None for a name of no known family."""
    name = model.strip().lower()
    if found := _CLAUDE.search(name):
        family = found["family"] or found["family3"]
        return ModelName(
            f"claude-{family}",
            _version(found["major"] or found["major3"], found["minor"] or found["minor3"]),
            name,
        )
    if found := _O_SERIES.search(name):
        return ModelName("openai-o", _version(found["major"], None), name)
    if found := _GPT.search(name):
        return ModelName("gpt", _version(found["major"], found["minor"] or found["short"]), name)
    if found := _GEMINI.search(name):
        return ModelName("gemini", _version(found["major"], found["minor"]), name)
    return None


def _version(major: str, minor: str | None) -> Version:
    return int(major), int(minor or 0)


def facts(model: str, dialect: str) -> Facts:
    """Return the Target fields that the model's name decides; empty for an unknown name.

    Facts are about a model in its maker's dialect. A server that speaks another one for it (a
    Claude behind a Chat endpoint) translates by rules that nobody here knows.
    """
    read = read_name(model)
    if read is None or (read.family.startswith("claude-") != (dialect == "anthropic")):
        return {}
    if read.family.startswith("claude-"):
        return _claude(read)
    if read.family in ("gpt", "openai-o"):
        return _openai(read)
    found: Facts = {"limits_field": "max_tokens", "efforts": _LOW_TO_HIGH, "thinking": _EFFORT}
    # From Gemini 3 on, a step of the current turn whose first call has no signature is answered
    # with 400 (ai.google.dev/gemini-api/docs/thought-signatures).
    return found | {"signs_calls": True} if read.version >= (3, 0) else found


# Claude

_LOW_TO_HIGH = frozenset({"low", "medium", "high"})
_EFFORT = frozenset({"effort"})
_CLAUDE_46 = frozenset({"low", "medium", "high", "max"})
_CLAUDE_47 = frozenset({"low", "medium", "high", "xhigh", "max"})
_BUDGET = frozenset({"enabled", "disabled"})
#: Families that answer 400 to ``thinking: {type: disabled}`` (AWS's page on adaptive thinking).
_ALWAYS_THINKING = frozenset({"claude-fable", "claude-mythos"})


def _claude(read: ModelName) -> Facts:
    version = read.version
    found: Facts = {"temperature_max": 1.0, "max_output_tokens": _claude_limit(read)}
    if version >= (4, 7):
        # From 4.7 on, sampling fields and budgets are answered with 400.
        found["sampling"] = False
        found["thinking"] = frozenset({"adaptive", "effort"})
        if read.family not in _ALWAYS_THINKING:
            found["thinking"] |= {"disabled"}
        found["efforts"] = _CLAUDE_47
    elif version >= (4, 6):
        found["thinking"] = _BUDGET | {"adaptive", "effort"}
        found["efforts"] = _CLAUDE_46
    elif version >= (3, 7):
        has_effort = read.family == "claude-opus" and version >= (4, 5)
        found["thinking"] = _BUDGET | _EFFORT if has_effort else _BUDGET
        found["efforts"] = _LOW_TO_HIGH if has_effort else frozenset()
    else:
        found["thinking"] = found["efforts"] = frozenset()
    found["one_sampling_field"] = version >= (4, 1)
    found["effort_map"] = _nearest(found["efforts"])
    found["default_max_tokens"] = min(found["max_output_tokens"] or 32_000, 32_000)
    return found


def _claude_limit(read: ModelName) -> int | None:
    """Return the largest output in tokens; None for models newer than the list."""
    family, version = read.family, read.version
    if version >= (5, 0):
        return None
    if version >= (4, 6):
        return 128_000
    if version >= (4, 5) or (family == "claude-sonnet" and version >= (3, 7)):
        return 64_000
    if version >= (4, 0):
        return 32_000
    return 8_192 if version >= (3, 5) else 4_096


# OpenAI

_GPT_LIMITS: tuple[tuple[Version, int], ...] = (
    ((5, 0), 128_000),
    ((4, 1), 32_768),
    ((4, 0), 16_384),
)


def _openai(read: ModelName) -> Facts:
    found: Facts = {"limits_field": "max_completion_tokens"}
    if read.family == "openai-o":
        found["max_output_tokens"] = 100_000
    else:
        limits = (limit for version, limit in _GPT_LIMITS if read.version >= version)
        found["max_output_tokens"] = next(limits, 4_096)
    efforts = _openai_efforts(read)
    if efforts is None:
        found["thinking"] = found["efforts"] = frozenset()
        return found
    # Reasoning models answer 400 to temperature, top_p and stop.
    found["sampling"] = found["stop"] = False
    found["thinking"] = _EFFORT | ({"disabled"} if "none" in efforts else set())
    found["efforts"] = efforts
    found["effort_map"] = _nearest(efforts)
    return found


def _openai_efforts(read: ModelName) -> frozenset[str] | None:
    """Return the effort words of a reasoning model; None for a model that does not reason."""
    name, version = read.name, read.version
    if read.family == "openai-o":
        return _LOW_TO_HIGH
    if version < (5, 0) or "chat" in name or "search" in name:
        return None
    if "pro" in name:
        return frozenset({"high"}) if version < (5, 2) else frozenset({"medium", "high", "xhigh"})
    if version == (5, 0):
        return _LOW_TO_HIGH | {"minimal"}
    words = _LOW_TO_HIGH | {"none"}
    if version >= (5, 2) or "codex-max" in name:
        words |= {"xhigh"}
    if version >= (5, 6):
        words |= {"max"}
    return words


# The nearest word, tried in this order, for each word that a model does not take.
_NEAREST: dict[str, tuple[str, ...]] = {
    "none": ("minimal", "low", "medium", "high"),
    "minimal": ("low", "none", "medium", "high"),
    "low": ("minimal", "medium", "high"),
    "medium": ("high", "low"),
    "high": ("xhigh", "medium"),
    "xhigh": ("high", "max", "medium"),
    "max": ("xhigh", "high", "medium"),
}


def _nearest(efforts: frozenset[str]) -> dict[str, str]:
    """Return, for each word that is not taken, the nearest that is."""
    found: dict[str, str] = {}
    for word, near in _NEAREST.items():
        if efforts and word not in efforts:
            taken = [other for other in near if other in efforts]
            if taken:
                found[word] = taken[0]
    return found
