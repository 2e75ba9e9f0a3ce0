"""lmc's command line, from words and environment to options; every refusal is one line."""

from __future__ import annotations

import dataclasses

import pytest

from lmtools.flags import InfoRequested, UsageError, help_text
from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.lmc.options import EXIT_CODES, Options, parse, program
from lmtools.providers import PROVIDERS
from lmtools.secret import Secret

LOOPBACK = ("-provider", "loopback")


def read(*words: str, **environ: str) -> Options:
    return parse(words, environ)


def refusal(*words: str, **environ: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*words, **environ)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_defaults_of_the_flags_are_those_of_the_options():
    assert read(*LOOPBACK) == Options(provider=ProviderChoice("loopback"))


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("-model", "echo"), "model", "echo"),
        (("-model", ""), "model", None),
        (("-s", "be brief"), "system", "be brief"),
        (("-s", ""), "system", ""),
        (("-s=",), "system", ""),
        (("-stream",), "stream", True),
        (("-max-tokens", "0x10"), "max_tokens", 16),
        (("-max-tokens", "0"), "max_tokens", None),
        (("-temperature", "0"), "temperature", 0.0),
        (("-temperature", "0.7"), "temperature", 0.7),
        (("-effort", " XHigh "), "effort", "xhigh"),
        (("-effort", ""), "effort", None),
        (("-json",), "json", True),
        (("-json-schema", "~/s.json"), "json_schema", "~/s.json"),
        (("-print-curl",), "print_curl", True),
        (("-list-models",), "list_models", True),
        (("-timeout", "1m30s"), "timeout", 90.0),
        (("-timeout", "0"), "timeout", None),
        (("-retries", "0"), "retries", 0),
        (("-log-level", "DEBUG"), "log_level", "debug"),
        (
            ("-loopback-wire", "anthropic"),
            "provider",
            ProviderChoice("loopback", loopback_wire="anthropic"),
        ),
    ],
)
def test_each_flag_sets_its_field_and_no_other(words, field, value):
    assert read(*LOOPBACK, *words) == dataclasses.replace(read(*LOOPBACK), **{field: value})


def test_keys_are_shown_in_curl_only_when_both_flags_say_so():
    options = read(*LOOPBACK, "-print-curl", "-print-curl-keys")

    assert options.print_curl_keys
    assert "-print-curl" in refusal(*LOOPBACK, "-print-curl-keys")


@pytest.mark.parametrize(
    ("words", "environ", "key"),
    [
        (("-argo-user", "me"), {}, KeySource("-argo-user", secret=Secret("me"))),
        ((), {"ARGO_USER": "me"}, KeySource("ARGO_USER", secret=Secret("me"))),
        (("-provider", "OPENAI", "-api-key-file", "k"), {}, KeySource("-api-key-file", path="k")),
        (
            ("-provider", "openai", "-provider-url", "http://h"),
            {"OPENAI_API_KEY": "k"},
            KeySource(),
        ),
        (("-list-models",), {}, KeySource()),
        (("-provider", "openai", "-list-models"), {}, KeySource()),
    ],
)
def test_where_the_key_comes_from(words, environ, key):
    assert read(*words, **environ).provider.key == key


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("-print-curl", "-print-curl-keys"),
        ("-provider", "openai"),
        ("-provider", "anthropic", "-argo-user", ""),
    ],
)
def test_a_run_that_sends_or_shows_a_key_needs_one(words):
    assert "needs a key" in refusal(*words)


def test_a_printed_command_needs_no_key():
    assert read("-print-curl").provider.key == KeySource()


def test_argo_needs_a_user_at_any_address():
    message = refusal("-provider-url", "http://h", ARGO_USER="me")

    assert "-argo-user NAME, or give -api-key-file FILE" in message
    assert "ARGO_USER" not in message
    assert read("-provider-url", "http://h", "-argo-user", "me").provider.url == "http://h"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("-json", "-json-schema", "s"), ("-json ", "-json-schema")),
        (("-argo-dev", "-argo-test"), ("-argo-dev", "-argo-test")),
        (("-list-models", "-stream"), ("-list-models", "-stream")),
        (("-list-models", "-print-curl"), ("-list-models", "-print-curl")),
        (("-list-models", "-s", "x"), ("-list-models", "-s ")),
        (("-list-models", "-temperature", "0"), ("-list-models", "-temperature")),
        (("-max-tokens", "-1"), ("-max-tokens", "0 or more")),
        (("-temperature", "-0.1"), ("-temperature", "0 or more")),
        (("-retries", "-1"), ("-retries", "0 to 100")),
        (("-timeout", "-1s"), ("-timeout", "0s or more")),
        (("-timeout", "10"), ("-timeout", "10s")),
        (("-effort", "hihg"), ("-effort", "none, minimal, low, medium, high, xhigh, max")),
        (("-log-level", "loud"), ("-log-level", "debug, info, warn, error")),
        (("-stream", "false"), ("-stream=false", "standard input")),
        (("Hello",), ("'Hello'", "standard input")),
        (("-strem",), ("unknown flag -strem", "-stream")),
    ],
)
def test_a_contradiction_or_bad_value_is_refused(words, parts):
    message = refusal(*LOOPBACK, *words)

    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "name",
    [
        "argo-legacy",
        "branch",
        "delete",
        "e",
        "log-dir",
        "max-tool-parallel",
        "max-tool-rounds",
        "no-session",
        "openai-responses",
        "resume",
        "sessions-dir",
        "show",
        "show-sessions",
        "skip-flock-check",
        "tool",
        "tool-auto-approve",
        "tool-blacklist",
        "tool-max-output-bytes",
        "tool-non-interactive",
        "tool-timeout",
        "tool-whitelist",
    ],
)
def test_a_flag_that_is_not_built_is_unknown(name):
    assert f"unknown flag -{name};" in refusal(*LOOPBACK, f"-{name}", "x")


def test_the_flags_are_exactly_those_that_work():
    names = "stream provider model s max-tokens temperature effort json json-schema print-curl "
    names += "print-curl-keys list-models api-key-file allow-insecure-key-file argo-user argo-dev "
    names += "argo-test provider-url timeout retries log-level loopback-wire"

    assert {flag.name for flag in program(PROVIDERS).flags} == set(names.split())


def test_help_names_every_flag_and_exit_code():
    with pytest.raises(InfoRequested) as caught:
        read("-help")

    assert caught.value.text == help_text(program(PROVIDERS))
    for flag in program(PROVIDERS).flags:
        assert f"  -{flag.name}" in caught.value.text
    for code, meaning in EXIT_CODES:
        assert f"  {code:<4} {meaning}\n" in caught.value.text + "\n"


def test_options_do_not_show_a_key():
    assert "planted" not in repr(read("-argo-user", "planted"))
