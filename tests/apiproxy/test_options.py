"""The proxy's command line, from words and environment to options; every refusal is one line."""

from __future__ import annotations

import dataclasses

import pytest

from lmtools.apiproxy.options import ModelRule, Options, is_loopback, map_model, parse, program
from lmtools.errors import ConfigError
from lmtools.flags import InfoRequested, UsageError, help_text
from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.providers import LOOPBACK_WIRES, PROVIDERS
from lmtools.secret import Secret

LOOPBACK = ("-provider", "loopback")


def read(*words: str, **environ: str) -> Options:
    return parse(words, environ)


def refusal(*words: str, **environ: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*words, **environ)
    message = str(caught.value)
    assert "\n" not in message
    assert "planted" not in message
    return message


def test_the_defaults_of_the_flags_are_those_of_the_options():
    assert read(*LOOPBACK) == Options(provider=ProviderChoice("loopback"))


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (("-host", "::1"), "host", "::1"),
        (("-host", "[::1]"), "host", "::1"),
        (("-host", "localhost"), "host", "localhost"),
        (("-port", "0"), "port", 0),
        (("-port", "65535"), "port", 65535),
        (("-port-fallback",), "port_fallback", True),
        (("-max-request-body-size", "1"), "max_body_bytes", 1_048_576),
        (("-max-connections", "3"), "max_connections", 3),
        (("-client-key-file", "k"), "client_key_file", "k"),
        (("-allow-insecure-key-file",), "allow_insecure_key_file", True),
        (("-allow-unauthenticated",), "allow_unauthenticated", True),
        (("-connect-timeout", "1s"), "connect_timeout", 1.0),
        (("-connect-timeout", "0"), "connect_timeout", None),
        (("-first-byte-timeout", "1m30s"), "first_byte_timeout", 90.0),
        (("-first-byte-timeout=0s",), "first_byte_timeout", None),
        (("-idle-timeout", "15s"), "idle_timeout", 15.0),
        (("-idle-timeout", "0"), "idle_timeout", None),
        (("-retries", "0"), "retries", 0),
        (("-log-level", "WARNING"), "log_level", "warn"),
        (("-log-format", "JSON"), "log_format", "json"),
    ],
)
def test_each_flag_sets_its_field_and_no_other(words, field, value):
    assert read(*LOOPBACK, *words) == dataclasses.replace(read(*LOOPBACK), **{field: value})


@pytest.mark.parametrize(
    ("words", "choice"),
    [
        (
            ("-argo-user", "me"),
            ProviderChoice("argo", key=KeySource("-argo-user", secret=Secret("me"))),
        ),
        (
            ("-argo-user", "me", "-argo-dev"),
            ProviderChoice(
                "argo", key=KeySource("-argo-user", secret=Secret("me")), argo_host="dev"
            ),
        ),
        (
            ("-api-key-file", "k", "-argo-test", "-argo-user", "me"),
            ProviderChoice("argo", key=KeySource("-api-key-file", path="k"), argo_host="test"),
        ),
        (
            ("-provider", "OpenAI", "-api-key-file", "k", "-allow-insecure-key-file"),
            ProviderChoice("openai", key=KeySource("-api-key-file", path="k", allow_insecure=True)),
        ),
        (
            ("-provider", "openai", "-provider-url", "http://127.0.0.1:9/v1/models"),
            ProviderChoice("openai", url="http://127.0.0.1:9/v1/models"),
        ),
        (("-provider-url", "https://h/argoapi"), ProviderChoice("argo", url="https://h/argoapi")),
        (
            ("-provider", "anthropic", "-provider-url", "http://[::1]:1234/v1/messages"),
            ProviderChoice("anthropic", url="http://[::1]:1234/v1/messages"),
        ),
        (
            ("-provider", "loopback", "-loopback-wire", "anthropic"),
            ProviderChoice("loopback", loopback_wire="anthropic"),
        ),
        (
            ("-provider", "loopback", "-api-key-file", "k"),
            ProviderChoice("loopback", key=KeySource("-api-key-file", path="k")),
        ),
    ],
)
def test_the_provider_is_what_the_flags_name(words, choice):
    assert read(*words).provider == choice


@pytest.mark.parametrize(
    ("provider", "environ", "origin"),
    [
        ("openai", {"OPENAI_API_KEY": " k\n"}, "OPENAI_API_KEY"),
        ("anthropic", {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "other"}, "ANTHROPIC_API_KEY"),
        ("argo", {"ARGO_USER": "me", "ARGO_API_KEY": "k"}, "ARGO_API_KEY"),
        ("argo", {"ARGO_USER": "k", "ARGO_API_KEY": " "}, "ARGO_USER"),
    ],
)
def test_a_key_comes_from_the_environment_of_the_provider(provider, environ, origin):
    assert read("-provider", provider, **environ).provider.key == KeySource(
        origin, secret=Secret("k" if origin != "ARGO_USER" else environ["ARGO_USER"])
    )


def test_a_flag_wins_over_the_environment():
    options = read("-provider", "openai", "-api-key-file", "k", OPENAI_API_KEY="planted")

    assert options.provider.key == KeySource("-api-key-file", path="k")


def test_a_key_of_the_environment_does_not_go_to_another_address():
    options = read("-provider", "openai", "-provider-url", "http://h/v1", OPENAI_API_KEY="planted")

    assert options.provider.key == KeySource()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ((), ("argo", "-argo-user", "-api-key-file", "ARGO_API_KEY", "ARGO_USER")),
        (("-argo-user", " "), ("-argo-user",)),
        (("-provider", "openai"), ("openai", "-api-key-file", "OPENAI_API_KEY")),
        (("-provider", "anthropic", "-api-key-file", ""), ("ANTHROPIC_API_KEY",)),
    ],
)
def test_a_missing_key_names_every_way_to_give_one(words, parts):
    message = refusal(*words)

    assert "needs a key" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("words", "base_url"),
    [
        ((), "https://apps.inside.anl.gov/argoapi"),
        (("-argo-dev",), "https://apps-dev.inside.anl.gov/argoapi"),
        (("-argo-test",), "https://apps-test.inside.anl.gov/argoapi"),
        (("-provider-url", "http://h:1/argoapi/v1/messages/"), "http://h:1/argoapi"),
    ],
)
def test_the_choice_opens_as_a_provider_at_its_address_with_its_key(words, base_url):
    backend = read("-argo-user", "me", *words).provider.open()

    assert backend.base_url == base_url
    assert backend.secret == Secret("me")


@pytest.mark.parametrize("word", ["anthropic", "openai-chat", "openai"])
def test_loopback_opens_on_the_wire_that_its_flag_names(word):
    backend = read(*LOOPBACK, "-loopback-wire", word).provider.open()

    assert backend.dialect("echo") == LOOPBACK_WIRES[word]


def test_opening_reads_the_key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("k\n")
    path.chmod(0o644)
    words = ("-provider", "openai", "-api-key-file", str(path))

    with pytest.raises(ConfigError, match="chmod 600"):
        read(*words).provider.open()
    assert read(*words, "-allow-insecure-key-file").provider.open().secret == Secret("k")


def test_a_missing_key_names_its_variables_to_programs():
    with pytest.raises(UsageError) as caught:
        read("-provider", "openai")

    assert caught.value.env_keys == ("OPENAI_API_KEY",)
    assert caught.value.provider == "openai"


@pytest.mark.parametrize(
    ("words", "environ", "parts"),
    [
        (
            ("-provider", "openai"),
            {"OPENAI_API_KEY": "planted x"},
            ("OPENAI_API_KEY", "whitespace"),
        ),
        (("-argo-user", "planted\x1b"), {}, ("-argo-user", "control")),
        (("-argo-user", "me", "-argo-dev", "-argo-test"), {}, ("-argo-dev", "-argo-test")),
        (("-argo-dev", "-provider-url", "http://h"), {}, ("-provider-url", "-argo-dev")),
        ((*LOOPBACK, "-argo-dev"), {}, ("-argo-dev", "-provider argo", "loopback")),
        (("-provider", "openai", "-argo-user", "me"), {}, ("-argo-user", "-provider argo")),
        (("-argo-user", "me", "-loopback-wire", "anthropic"), {}, ("-provider loopback",)),
        ((*LOOPBACK, "-provider-url", "http://h"), {}, ("-provider-url", "loopback")),
        ((*LOOPBACK, "-port", "65536"), {}, ("-port", "0 to 65535")),
        ((*LOOPBACK, "-port", "-1"), {}, ("-port", "0 to 65535")),
        ((*LOOPBACK, "-max-request-body-size", "0"), {}, ("1 to 4096",)),
        ((*LOOPBACK, "-max-connections", "0"), {}, ("-max-connections",)),
        ((*LOOPBACK, "-retries", "-1"), {}, ("-retries", "0 to 100")),
        ((*LOOPBACK, "-idle-timeout", "5"), {}, ("-idle-timeout", "5s")),
        ((*LOOPBACK, "-idle-timeout", "-5s"), {}, ("-idle-timeout", "0s or more")),
        ((*LOOPBACK, "-log-level", "loud"), {}, ("-log-level", "debug, info, warn, error")),
        ((*LOOPBACK, "-log-format", "xml"), {}, ("-log-format", "text, json")),
        ((*LOOPBACK, "serve"), {}, ("unexpected word",)),
        (("-provider", "opnai"), {}, ("argo, anthropic, openai, loopback",)),
        (
            (*LOOPBACK, "-client-key-file", "k", "-allow-unauthenticated"),
            {},
            ("-client-key-file", "-allow-unauthenticated"),
        ),
    ],
)
def test_a_contradiction_or_bad_value_is_refused(words, environ, parts):
    message = refusal(*words, **environ)

    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    "url",
    [
        "h",
        "/v1",
        "ftp://h",
        "http://",
        "https://:80",
        "http://h:0",
        "http://h:port",
        "http://h:99999",
        "http://[::1",
        "http://h/a b",
        "http://h/\x7f",
        "http://h/\nx",
        "http://me:planted@h",
        "http://planted@h:port",
    ],
)
def test_a_bad_address_is_refused_without_repeating_a_key_in_it(url):
    assert refusal("-provider", "openai", "-provider-url", url).startswith("-provider-url: ")


@pytest.mark.parametrize("host", ["", "a b", "host:80", "http://h", "[::1]:80", "-h", "a\nb"])
def test_a_bad_host_is_refused(host):
    assert refusal(*LOOPBACK, f"-host={host}").startswith("-host: ")


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.7", "box.example", "127.1", "::ffff:10.0.0.7"]
)
def test_other_machines_are_served_only_with_client_keys_or_on_demand(host):
    message = refusal(*LOOPBACK, "-host", host)

    assert "-client-key-file" in message
    assert "-allow-unauthenticated" in message
    assert read(*LOOPBACK, "-host", host, "-client-key-file", "k").host == host
    assert read(*LOOPBACK, "-host", host, "-allow-unauthenticated").host == host


def test_a_client_key_file_without_a_name_does_not_open_the_door():
    """``-client-key-file "$KEYS"`` with an unset variable asks for keys, and has none."""
    assert "-client-key-file" in refusal(*LOOPBACK, "-client-key-file", "")


def test_options_made_by_a_program_are_held_to_the_same_rule():
    with pytest.raises(UsageError, match="-client-key-file"):
        Options(host="0.0.0.0")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("LOCALHOST", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost.example", False),
        ("128.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_addresses(host, loopback):
    assert is_loopback(host) is loopback


def test_model_rules_are_tried_in_order_and_replace_the_whole_name():
    rules = read(
        *LOOPBACK,
        "-model-map",
        "^gpt-4o$=gpt5",
        "-model-map",
        " mini = gpt5mini ",
        "-model-map",
        "^claude-.*=x",
    ).model_map

    assert [rule.model for rule in rules] == ["gpt5", "gpt5mini", "x"]
    assert map_model(rules, "gpt-4o") == "gpt5"
    assert map_model(rules, "gpt-4o-mini") == "gpt5mini"
    assert map_model(rules, "claude-mini") == "gpt5mini"
    assert map_model(rules, "o3") == "o3"


def test_a_rule_is_split_at_its_last_equals_sign():
    (rule,) = read(*LOOPBACK, "-model-map", "^gpt(?=-5)=big").model_map

    assert isinstance(rule, ModelRule)
    assert rule.pattern.pattern == "^gpt(?=-5)"
    assert rule.model == "big"


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("gpt", "REGEX=MODEL"),
        ("=m", "REGEX=MODEL"),
        ("a=", "REGEX=MODEL"),
        (" = ", "REGEX=MODEL"),
        ("", "REGEX=MODEL"),
        ("(=m", "regular expression"),
        ("[[:alpha:]]=m", "regular expression"),
        ("^a(?=b)", "regular expression"),
        ("a{99999999999999999999}=m", "regular expression"),
    ],
)
def test_a_bad_rule_is_refused(rule, reason):
    message = refusal(*LOOPBACK, "-model-map", rule)

    assert message.startswith("-model-map: ")
    assert reason in message


@pytest.mark.parametrize("name", ["sessions-dir", "argo-legacy", "no-color", "timeout", "s"])
def test_a_flag_that_is_not_built_is_unknown(name):
    assert f"unknown flag -{name}" in refusal(*LOOPBACK, f"-{name}", "x")


def test_help_names_every_flag_and_the_exit_codes():
    with pytest.raises(InfoRequested) as caught:
        read("-h")

    assert caught.value.text == help_text(program(PROVIDERS))
    for flag in program(PROVIDERS).flags:
        assert f"  -{flag.name}" in caught.value.text
    assert "(default 8082)" in caught.value.text
    assert "2 wrong usage" in caught.value.text


def test_options_do_not_show_a_key():
    assert "planted" not in repr(read("-argo-user", "planted"))
