"""A request as a curl command."""

from __future__ import annotations

import pytest

from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.lmc.curl import render
from lmtools.lmc.hiding import KEY_MARK, hide_key
from lmtools.secret import Secret
from lmtools.transport import HttpRequest

URL = "http://h/v1/messages"


def post(body=b"{}", *headers, url=URL):
    return HttpRequest("POST", url, headers, body)


def test_the_command_says_method_headers_in_their_order_body_and_address():
    request = post(b'{"a":"it\'s $HOME `x`"}', ("B-Two", "2"), ("a-one", "it's $1"))

    assert render(request) == (
        "curl -X POST -H 'B-Two: 2' -H 'a-one: it'\"'\"'s $1' --data @- http://h/v1/messages"
        " <<'EOJ'\n"
        '{"a":"it\'s $HOME `x`"}\n'
        "EOJ"
    )


def test_a_stream_is_printed_as_it_comes():
    assert render(post(b"{}", ("Accept", "text/event-stream"))).startswith("curl -N -X POST")


def test_a_request_without_a_body_has_no_heredoc():
    request = HttpRequest("GET", "http://h/v1/models?a=1&b=2")

    assert render(request) == "curl -X GET 'http://h/v1/models?a=1&b=2'"


@pytest.mark.parametrize(
    ("body", "mark", "option"),
    [
        (b"EOJ", "EOJ_1", "--data"),
        (b"a\nEOJ\nEOJ_1\nb", "EOJ_2", "--data-binary"),
        (b"a\rb", "EOJ", "--data-binary"),
        (b"xEOJ", "EOJ", "--data"),
    ],
)
def test_no_line_of_the_body_ends_it_early_and_none_is_joined(body, mark, option):
    command = render(post(body))

    assert f"{option} @-" in command
    assert command.endswith(f"<<'{mark}'\n{body.decode()}\n{mark}")


def test_a_hidden_key_is_a_variable_and_what_stands_around_it_is_literal():
    request = post(b"{}", ("Authorization", f"Bearer {KEY_MARK}"), ("X-Odd", f'"$a`\\{KEY_MARK}'))
    command = render(request, {KEY_MARK: "OPENAI_API_KEY"})

    assert '-H "Authorization: Bearer ${OPENAI_API_KEY}"' in command
    assert r'-H "X-Odd: \"\$a\`\\${OPENAI_API_KEY}"' in command
    assert KEY_MARK not in command


@pytest.mark.parametrize(
    ("choice", "variable"),
    [
        (ProviderChoice("anthropic"), "ANTHROPIC_API_KEY"),
        (ProviderChoice("openai", key=KeySource("-api-key-file", path="k")), "OPENAI_API_KEY"),
        (ProviderChoice("argo", key=KeySource("ARGO_USER", secret=Secret("me"))), "ARGO_USER"),
        (ProviderChoice("argo", key=KeySource("-argo-user", secret=Secret("me"))), "ARGO_API_KEY"),
        (ProviderChoice("openai", url="http://h"), ""),
        (ProviderChoice("openai", url="http://h", key=KeySource("-api-key-file", path="k")), None),
        (ProviderChoice("loopback"), ""),
    ],
)
def test_a_key_that_would_be_sent_is_hidden_behind_its_variable(choice, variable):
    hidden, name = hide_key(choice)

    assert name == ("OPENAI_API_KEY" if variable is None else variable)
    assert (hidden.key.secret == Secret(KEY_MARK)) == bool(name)
    assert hidden.key.path is None
