"""What a model's name says."""

from __future__ import annotations

import pytest

from lmtools.providers.models import facts, read_name

NAMES = [
    ("claude-opus-4-7", "claude-opus", (4, 7)),
    ("claude-opus-4-20250514", "claude-opus", (4, 0)),
    ("claude-opus-4-8", "claude-opus", (4, 8)),
    ("claudeopus47", "claude-opus", (4, 7)),
    ("claudesonnet4", "claude-sonnet", (4, 0)),
    ("claudesonnet35v2", "claude-sonnet", (3, 5)),
    ("claude-3-5-haiku-20241022", "claude-haiku", (3, 5)),
    ("claude-3-7-sonnet-latest", "claude-sonnet", (3, 7)),
    ("claude-3-opus-20240229", "claude-opus", (3, 0)),
    ("anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus", (4, 1)),
    ("claude-opus-5-5", "claude-opus", (5, 5)),
    ("gpt-5", "gpt", (5, 0)),
    ("gpt-5-2025-08-07", "gpt", (5, 0)),
    ("gpt-5.1-2025-11-13", "gpt", (5, 1)),
    ("gpt51", "gpt", (5, 1)),
    ("gpt5mini", "gpt", (5, 0)),
    ("openai/gpt-5.2", "gpt", (5, 2)),
    ("gpt-4o-mini", "gpt", (4, 0)),
    ("gpt-4-0613", "gpt", (4, 0)),
    ("gpt-4.1-nano", "gpt", (4, 1)),
    ("gpt-3.5-turbo", "gpt", (3, 5)),
    ("o3-mini", "openai-o", (3, 0)),
    ("gpto4mini", "openai-o", (4, 0)),
    ("gemini25pro", "gemini", (2, 5)),
    ("gemini-3-pro", "gemini", (3, 0)),
]
STRANGERS = [
    "echo",
    "gpt-oss-120b",
    "llama-3.3-70b",
    "qwen3-coder",
    "foo3",
    "",
    "claude",
    "o",
    "gpt",
]


@pytest.mark.parametrize(("model", "family", "version"), NAMES)
def test_family_and_version_are_read_from_every_spelling(model, family, version):
    read = read_name(model)

    assert read is not None
    assert (read.family, read.version) == (family, version)


@pytest.mark.parametrize("model", STRANGERS)
def test_a_name_of_no_known_family_has_no_facts(model):
    assert read_name(model) is None
    assert facts(model, "openai_chat") == {}


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-opus-4-7", 128_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-opus-4-6", 128_000),
        ("claude-opus-4-5-20251101", 64_000),
        ("claude-haiku-4-5-20251001", 64_000),
        ("claude-sonnet-4-5-20250929", 64_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-sonnet-4-20250514", 64_000),
    ],
)
def test_output_limits_are_those_of_anthropics_model_list(model, limit):
    """The figures are ``max_tokens`` of a recorded ``GET /v1/models``."""
    assert facts(model, "anthropic")["max_output_tokens"] == limit


def test_the_recorded_model_list_agrees_with_the_facts(shared):
    """Limits, thinking types and effort words of every listed model, as Anthropic gives them."""
    import json

    path = shared / "captures/models-anthropic/captures/anthropic.response.json"
    listed = json.loads(path.read_text())["data"]

    assert listed
    for model in listed:
        known = facts(model["id"], "anthropic")
        said = model["capabilities"]
        assert known["max_output_tokens"] == model["max_tokens"], model["id"]
        for form in ("enabled", "adaptive"):
            supported = said["thinking"]["types"][form]["supported"]
            assert (form in known["thinking"]) == supported, (model["id"], form)
        for word in ("low", "medium", "high", "max"):
            supported = said["effort"][word]["supported"]
            assert (word in known["efforts"]) == supported, (model["id"], word)


def test_a_model_newer_than_the_list_is_not_clamped():
    assert facts("claude-opus-6", "anthropic")["max_output_tokens"] is None
    assert facts("claude-opus-6", "anthropic")["thinking"] == {"adaptive", "disabled", "effort"}


@pytest.mark.parametrize("model", ["claude-opus-4-7", "claudeopus47", "gpt-5", "gpto3"])
def test_models_that_refuse_sampling_fields_are_not_sent_any(model):
    dialect = "anthropic" if "claude" in model else "openai_chat"

    assert facts(model, dialect)["sampling"] is False


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("o3", {"low", "medium", "high"}),
        ("gpt-5", {"minimal", "low", "medium", "high"}),
        ("gpt-5.1", {"none", "low", "medium", "high"}),
        ("gpt-5.1-codex-max", {"none", "low", "medium", "high", "xhigh"}),
        ("gpt-5.2", {"none", "low", "medium", "high", "xhigh"}),
        ("gpt-5.6-sol", {"none", "low", "medium", "high", "xhigh", "max"}),
        ("gpt-5-pro", {"high"}),
        ("gpt-5.2-pro", {"medium", "high", "xhigh"}),
        ("gpt-5-chat-latest", set()),
        ("gpt-4.1", set()),
    ],
)
def test_effort_words_follow_the_model(model, words):
    assert facts(model, "openai_chat")["efforts"] == words


@pytest.mark.parametrize("model", ["gpt-5", "gpt-5.1", "gpt-5-pro", "o3", "gpt-5.6", "gpt-5.2"])
def test_every_effort_word_has_a_nearest_word_that_the_model_takes(model):
    known = facts(model, "openai_chat")
    words = {"none", "minimal", "low", "medium", "high", "xhigh", "max"}

    for word in words - known["efforts"]:
        assert known["effort_map"][word] in known["efforts"]


def test_facts_hold_only_in_the_makers_own_dialect():
    """A Claude behind a Chat endpoint is translated by rules that nobody here knows."""
    assert facts("claude-opus-4-7", "openai_chat") == {}
    assert facts("gpt-5", "anthropic") == {}


@pytest.mark.parametrize(
    ("model", "has_switch"),
    [("claude-fable-5-1", False), ("claude-mythos-5", False), ("claude-opus-4-7", True)],
)
def test_thinking_is_switched_off_only_where_there_is_a_switch(model, has_switch):
    assert ("disabled" in facts(model, "anthropic")["thinking"]) is has_switch
