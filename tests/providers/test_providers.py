"""Rows, addresses, credentials and targets."""

from __future__ import annotations

import json

import pytest

from lmtools.errors import ConfigError, ProtocolError
from lmtools.providers import (
    ARGO_HOSTS,
    PROVIDERS,
    as_sent,
    loopback,
    open_backend,
    provider_named,
    read_base_url,
)
from lmtools.providers.argo import parse_models
from lmtools.secret import Secret

KEY = Secret("sk-test-0123456789")


def backend(name, url=None, secret=KEY):
    return open_backend(provider_named(name), url, secret)


@pytest.mark.parametrize(
    ("provider", "model", "dialect", "url"),
    [
        ("anthropic", "claude-opus-4-7", "anthropic", "https://api.anthropic.com/v1/messages"),
        ("openai", "gpt-5", "openai_chat", "https://api.openai.com/v1/chat/completions"),
        ("argo", "claudeopus47", "anthropic", ARGO_HOSTS["prod"] + "/v1/messages"),
        ("argo", " ClaudeOpus47 ", "anthropic", ARGO_HOSTS["prod"] + "/v1/messages"),
        ("argo", "gpt5", "openai_chat", ARGO_HOSTS["prod"] + "/v1/chat/completions"),
        ("argo", "gemini25pro", "openai_chat", ARGO_HOSTS["prod"] + "/v1/chat/completions"),
    ],
)
def test_a_model_decides_dialect_and_url(provider, model, dialect, url):
    found = backend(provider)

    assert found.dialect(model) == dialect
    assert found.url("complete", dialect) == url


@pytest.mark.parametrize(
    ("provider", "model", "header"),
    [
        ("anthropic", "claude", ("x-api-key", "sk-test-0123456789")),
        ("openai", "gpt-5", ("Authorization", "Bearer sk-test-0123456789")),
        ("argo", "claudeopus47", ("x-api-key", "sk-test-0123456789")),
        ("argo", "gpt5", ("Authorization", "Bearer sk-test-0123456789")),
    ],
)
def test_the_credential_goes_where_the_dialect_wants_it(provider, model, header):
    found = backend(provider)

    assert header in found.headers(found.dialect(model))


def test_anthropics_version_is_sent_without_a_key_too():
    found = backend("anthropic", "http://127.0.0.1:9/v1", None)

    assert found.headers("anthropic") == (("anthropic-version", "2023-06-01"),)


@pytest.mark.parametrize(
    ("provider", "address", "base"),
    [
        ("openai", "http://h:8000/v1/chat/completions/", "http://h:8000/v1"),
        ("openai", "http://h:8000/v1", "http://h:8000/v1"),
        ("openai", " https://h/v1/ ", "https://h/v1"),
        ("anthropic", "https://h/v1/messages", "https://h/v1"),
        ("argo", ARGO_HOSTS["dev"] + "/api/v1/resource/chat/", ARGO_HOSTS["dev"]),
        ("argo", ARGO_HOSTS["dev"] + "/v1/messages/count_tokens", ARGO_HOSTS["dev"]),
        ("argo", ARGO_HOSTS["test"], ARGO_HOSTS["test"]),
        ("openai", "http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_endpoint_given_as_the_address_is_reduced_to_its_base(provider, address, base):
    assert read_base_url(address, PROVIDERS[provider].suffixes) == base


@pytest.mark.parametrize(
    "address",
    [
        "", "h:8000", "ftp://h/", "http://", "http://h:0/", "http://h:99999/", "http://[::1",
        "http://münchen/v1", "http://h/é", "http://a b/v1", "http://h/a b", "http://[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(ConfigError, match="-provider-url"):
        read_base_url(address)


@pytest.mark.parametrize("address", ["https://h/v1?key=secret-word", "https://h/v1#secret-word"])
def test_what_requests_would_not_carry_is_refused_without_being_repeated(address):
    """Dropped, it would be missed only by the server, whose refusal names another reason."""
    with pytest.raises(ConfigError, match="query or a fragment") as caught:
        read_base_url(address)

    assert "secret-word" not in str(caught.value)


def test_user_information_in_an_address_is_refused_without_being_repeated():
    with pytest.raises(ConfigError) as caught:
        read_base_url("https://user:secret-word@h/v1")

    assert "secret-word" not in str(caught.value)
    assert "-api-key-file" in str(caught.value)


def test_a_missing_key_names_the_flag_and_the_variables():
    with pytest.raises(ConfigError, match="-api-key-file.*ARGO_API_KEY or ARGO_USER") as caught:
        open_backend(provider_named("argo"))

    assert caught.value.env_keys == ("ARGO_API_KEY", "ARGO_USER")


def test_an_unknown_provider_is_answered_with_the_known_names():
    with pytest.raises(ConfigError, match="known: argo, anthropic, openai, loopback"):
        provider_named("antropic")


def test_a_backend_shows_no_key():
    assert "0123456789" not in repr(backend("openai"))


def test_origins_tell_hosts_and_credentials_apart_and_show_neither():
    one = backend("openai").origin("openai_chat")
    other_key = backend("openai", secret=Secret("sk-other")).origin("openai_chat")
    other_host = backend("openai", "http://127.0.0.1:1/v1").origin("openai_chat")

    assert len({one, other_key, other_host}) == 3
    assert one == backend("openai").origin("openai_chat")
    assert "sk-" not in one
    assert one.startswith("openai_chat:openai:")


def test_a_compatible_server_gets_the_older_names():
    """Servers that copy OpenAI's API know ``max_tokens`` and no developer role."""
    own, other = backend("openai"), backend("openai", "http://127.0.0.1:8000/v1")

    assert own.target("some-model").limits_field == "max_completion_tokens"
    assert other.target("some-model").limits_field == "max_tokens"
    assert own.target("some-model").developer
    assert not other.target("some-model").developer
    assert other.target("some-model").reasoning_field == "reasoning_content"


def test_a_known_model_on_a_compatible_server_keeps_its_own_limits_field():
    found = backend("openai", "http://127.0.0.1:8000/v1").target("gpt-5.1")

    assert found.limits_field == "max_completion_tokens"


def test_argo_never_gets_the_developer_role():
    """The gateway answers 400 to it, whatever the model."""
    for model in ("gpt5", "gpto3", "gemini25pro", "claudeopus47"):
        assert not backend("argo").target(model).developer


def test_a_dialect_that_requires_a_limit_always_has_a_default():
    for model in ("claude-opus-4-7", "claude-opus-9", "my-own-model"):
        assert backend("anthropic", "http://127.0.0.1:9").target(model).default_max_tokens


def test_a_client_of_the_same_dialect_is_taken_at_its_word():
    target = as_sent(backend("argo").target("gpt5"))

    assert target.limits_field == "max_completion_tokens"
    assert not target.developer
    assert target.sampling
    assert target.stop
    assert target.max_output_tokens is target.thinking is target.efforts is None
    assert target.system == "anywhere"


@pytest.mark.parametrize("wire", ["anthropic", "openai-chat", "openai"])
def test_loopback_takes_any_model_name_as_plain(wire):
    """A Claude's name on the loopback provider brings no limits of that Claude."""
    found = open_backend(loopback(wire))

    assert found.target("claude-opus-4-7").max_output_tokens is None


def test_an_unknown_loopback_wire_is_refused():
    with pytest.raises(ConfigError, match="loopback wire 'gemini'"):
        loopback("gemini")


# Argo's model list


def test_argos_recorded_list_is_read_under_the_ids_that_requests_name(shared):
    body = json.loads((shared / "captures/models-argo/captures/argo.response.json").read_text())
    found = parse_models(body)

    assert [m.id for m in found] == [row["internal_id"] for row in body["data"]]
    assert found[0].display_name == body["data"][0]["id"]


@pytest.mark.parametrize(
    "body",
    [["a", "b"], {"models": ["a", "b"]}, {"data": [{"id": "a"}, {"id": "B", "internal_id": "b"}]}],
)
def test_every_form_of_argos_list_is_read(body):
    assert [m.id for m in parse_models(body)] == ["a", "b"]


@pytest.mark.parametrize("body", [None, 7, {}, {"data": 7}, [7], [{"id": 7}], [{}]])
def test_a_list_that_is_none_names_what_came(body):
    with pytest.raises(ProtocolError, match="Argo's model list"):
        parse_models(body)


def test_a_backend_keeps_its_targets_but_not_without_bound():
    """Names of models come from clients: neither many nor long ones may fill the memory."""
    argo = backend("argo")
    first = argo.target("gpt5")
    assert argo.target("gpt5") is first
    assert argo.target_as_sent("gpt5") == as_sent(first)
    long = "gpt5" + "x" * 10_000
    assert argo.target(long) is not argo.target(long)

    for number in range(1000):
        argo.target(f"gpt5-{number}")
    assert len(argo._targets) <= 256
    assert argo.target("gpt5") == first
