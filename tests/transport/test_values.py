"""Addresses, and what requests and answers show of themselves."""

from __future__ import annotations

import pytest

import lmtools.transport as transport_package
from lmtools.errors import RequestError
from lmtools.transport import (
    HttpRequest,
    MockResponse,
    MockTransport,
    Origin,
    Transport,
    is_loopback,
    shown_url,
    split_url,
)

URLS = [
    ("http://a", Origin("http", "a", 80), "/", "a", "http://a"),
    ("https://a/", Origin("https", "a", 443), "/", "a", "https://a"),
    ("HTTP://A.Example:8080/X?y=Z#f", Origin("http", "a.example", 8080), "/X?y=Z",
     "a.example:8080", "http://a.example:8080"),
    ("https://a:443/x", Origin("https", "a", 443), "/x", "a", "https://a"),
    ("http://a:443", Origin("http", "a", 443), "/", "a:443", "http://a:443"),
    ("http://a:", Origin("http", "a", 80), "/", "a", "http://a"),
    ("http://a?x=1", Origin("http", "a", 80), "/?x=1", "a", "http://a"),
    ("http://[::1]:80/", Origin("http", "::1", 80), "/", "[::1]", "http://[::1]"),
    ("https://[FD00::1]:1234/", Origin("https", "fd00::1", 1234), "/", "[fd00::1]:1234",
     "https://[fd00::1]:1234"),
    ("http://under_score.example/", Origin("http", "under_score.example", 80), "/",
     "under_score.example", "http://under_score.example"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "origin", "target", "host", "shown"), URLS)
def test_a_url_is_an_origin_and_a_target(url, origin, target, host, shown):
    assert split_url(url) == (origin, target)
    assert origin.authority == host
    assert str(origin) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a",
        "ftp://a/",
        "file:///etc/passwd",
        "//a/",
        "http:///x",
        "http://",
        "http://user:pw@a/",
        "http://a:0/",
        "http://a:65536/",
        "http://a:123456/",
        "http://a:x/",
        "http://a b/",
        "http://é/",
        "http://.a/",
        "http://[::1/",
        "http://a\\b/",
        " http://a/",
        "http://a\n/",
    ],
)
def test_what_is_no_url_is_refused_without_repeating_it(url):
    with pytest.raises(RequestError) as caught:
        split_url(url)
    assert caught.value.path == "url"
    assert "pw" not in str(caught.value)


def test_credentials_in_a_url_are_refused_by_name():
    with pytest.raises(RequestError, match="credentials in a URL are not sent"):
        split_url("http://user:pw@a/")


SHOWN = [
    ("https://a/v1/x", "https://a/v1/x"),
    ("https://a/v1/x?key=secret", "https://a/v1/x?..."),
    ("https://user:secret@a/x", "https://a/x"),
    ("https://user:se/cret@a/x", "https://user:se/cret@a/x"),
    ("nonsense", "nonsense"),
    ("", ""),
]


@pytest.mark.parametrize(("url", "shown"), SHOWN)
def test_a_url_is_shown_without_its_secrets(url, shown):
    assert shown_url(url) == shown


LOOPBACK = [
    ("localhost", True),
    ("x.localhost", True),
    ("127.0.0.1", True),
    ("127.255.0.1", True),
    ("::1", True),
    ("10.0.0.1", False),
    ("localhost.example", False),
    ("api.example", False),
]


@pytest.mark.parametrize(("host", "is_one"), LOOPBACK)
def test_loopback_is_told_by_the_name_alone(host, is_one):
    assert is_loopback(host) is is_one


def test_reprs_show_neither_keys_nor_bodies():
    request = HttpRequest(
        "POST", "https://a/x?key=secret1", (("Authorization", "Bearer secret2"),), b"secret3"
    )
    response = MockTransport(lambda _: MockResponse(200, b"secret4", {"X": "secret5"})).send(
        request
    )
    for shown in (repr(request), str(request), repr(response), str(response)):
        assert "secret" not in shown
        assert "https://a/x?..." in shown
    assert "Authorization" in repr(request)
    assert "7 bytes" in repr(request)


def test_the_public_names_are_what_can_be_imported():
    for name in transport_package.__all__:
        assert getattr(transport_package, name) is not None


def test_both_transports_are_transports():
    def take(transport: Transport) -> Transport:
        return transport

    real, mock = transport_package.HttpTransport(), MockTransport(lambda request: MockResponse())
    assert take(real) is real
    assert take(mock) is mock
    real.close()
