"""Proxies of the environment: which one, when none, and what is said to it."""

from __future__ import annotations

import ssl
import urllib.request

import pytest

from lmtools.errors import ConfigError, ConnectError, ProtocolError
from lmtools.http1 import find
from lmtools.transport import HttpRequest, Proxies, Proxy, split_url
from lmtools.transport.proxies import from_environment

HTTP = "http://api.example"
HTTPS = "https://api.example"

CHOSEN = [
    ({}, HTTP, None),
    ({"http_proxy": "http://p:1"}, HTTP, ("p", 1)),
    ({"http_proxy": "http://p:1"}, HTTPS, None),
    ({"HTTP_PROXY": "http://p:1"}, HTTP, ("p", 1)),
    ({"https_proxy": "http://p:1/"}, HTTPS, ("p", 1)),
    ({"HTTPS_PROXY": "p:1"}, HTTPS, ("p", 1)),
    ({"https_proxy": "http://p"}, HTTPS, ("p", 80)),
    ({"https_proxy": "http://[::1]:3128"}, HTTPS, ("::1", 3128)),
    ({"all_proxy": "http://p:1"}, HTTPS, ("p", 1)),
    ({"ALL_PROXY": "http://p:1"}, HTTP, ("p", 1)),
    ({"all_proxy": "http://a:1", "https_proxy": "http://p:2"}, HTTPS, ("p", 2)),
    ({"http_proxy": "http://low:1", "HTTP_PROXY": "http://up:1"}, HTTP, ("low", 1)),
    ({"http_proxy": "", "HTTP_PROXY": "http://up:1"}, HTTP, None),
    ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, HTTP, None),
    ({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, HTTP, ("p", 1)),
    ({"HTTPS_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, HTTPS, ("p", 1)),
    ({"http_proxy": "http://p:1"}, "http://localhost:8080", None),
    ({"http_proxy": "http://p:1"}, "http://me.localhost", None),
    ({"http_proxy": "http://p:1"}, "http://127.0.0.1:1", None),
    ({"http_proxy": "http://p:1"}, "http://127.9.9.9", None),
    ({"https_proxy": "http://p:1"}, "https://[::1]", None),
    ({"http_proxy": "http://p:1"}, "http://128.0.0.1", ("p", 1)),
]


@pytest.mark.parametrize(("environ", "url", "chosen"), CHOSEN)
def test_the_environment_chooses_the_proxy(environ, url, chosen):
    proxy = from_environment(environ, platform="linux").find(split_url(url)[0])
    assert (proxy and (proxy.host, proxy.port)) == chosen


EXEMPT = [
    ("", "http://api.example", False),
    ("*", "http://api.example", True),
    ("api.example", "http://api.example", True),
    ("API.Example", "http://api.EXAMPLE", True),
    ("example", "http://api.example", True),
    (".example", "http://api.example", True),
    ("*.example", "http://api.example", True),
    (".api.example", "http://api.example", True),
    ("pi.example", "http://api.example", False),
    ("other, api.example ,", "http://api.example", True),
    ("api.example:80", "http://api.example", True),
    ("api.example:81", "http://api.example", False),
    ("api.example:81", "http://api.example:81", True),
    ("10.0.0.0/8", "http://10.1.2.3", True),
    ("10.0.0.0/8", "http://11.1.2.3", False),
    ("10.0.0.0/8", "http://api.example", False),
    ("10.0.0.0/x", "http://10.1.2.3", False),
    ("fd00::/8", "http://[fd00::1]", True),
    ("fd00::1", "http://[fd00::1]", True),
    ("[fd00::1]", "http://[fd00::1]", True),
    ("[fd00::1]:80", "http://[fd00::1]", True),
    ("[fd00::1]:81", "http://[fd00::1]", False),
    (".", "http://api.example", False),
    (" , ", "http://api.example", False),
]


@pytest.mark.parametrize(("exempt", "url", "direct"), EXEMPT)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy_lists_what_is_reached_directly(name, exempt, url, direct):
    environ = {"http_proxy": "http://p:1", name: exempt}
    proxy = from_environment(environ, platform="linux").find(split_url(url)[0])
    assert (proxy is None) is direct


@pytest.mark.parametrize(
    "url",
    ["socks5://p:1", "https://p:1", "http://", "http://p:1/path", "http://p:99999", "http://a b"],
)
def test_a_proxy_we_cannot_speak_to_is_a_configuration_error(url):
    with pytest.raises(ConfigError, match="https_proxy: (.* only http://|port|the host)"):
        from_environment({"https_proxy": url}, platform="linux").find(split_url(HTTPS)[0])


def test_credentials_are_decoded_and_hidden():
    proxies = from_environment({"https_proxy": "http://me:s%40cret@p:1"}, platform="linux")
    proxy = proxies.find(split_url(HTTPS)[0])
    assert proxy == Proxy("p", 1, "Basic bWU6c0BjcmV0")
    assert "cret" not in repr(proxies)
    assert "bWU6" not in repr(proxy)


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"http_proxy": "http://p:1"}, True),
        ({"https_proxy": "http://p:1"}, False),
        ({"all_proxy": "http://p:1"}, True),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.1"}, False),
        ({"http_proxy": "http://p:1", "no_proxy": "127.0.0.0/8"}, False),
        ({"http_proxy": "http://p:1", "no_proxy": "localhost"}, True),
    ],
)
def test_others_ask_a_proxy_for_this_machine_too(environ, asked):
    origin = split_url("http://127.0.0.1:8082")[0]
    proxies = from_environment(environ)

    assert proxies.is_asked_by_others(origin) is asked
    assert proxies.find(origin) is None


def test_a_bad_proxy_url_does_not_show_its_credentials():
    with pytest.raises(ConfigError) as caught:
        Proxies({"https": "socks5://me:secret@p:1"}).find(split_url(HTTPS)[0])
    assert "secret" not in str(caught.value)


def test_other_systems_are_asked_when_the_environment_is_silent(monkeypatch):
    settings = {"https": "http://system:1", "ftp": "http://other:1", "no": "x.example"}
    monkeypatch.setattr(urllib.request, "getproxies", lambda: settings)
    assert from_environment({}, platform="linux") == Proxies()
    assert from_environment({}, platform="darwin") == Proxies(
        {"https": "http://system:1"}, "x.example"
    )
    environ = {"http_proxy": "http://p:1"}
    assert from_environment(environ, platform="win32") == Proxies({"http": "http://p:1"})


# On the wire


def proxied(server, credentials=""):
    url = f"http://{credentials}127.0.0.1:{server.port}"
    return Proxies({"http": url, "https": url})


def test_http_goes_through_a_proxy_in_absolute_form(serve, make_transport):
    seen = []

    def script(peer):
        for _ in range(2):
            seen.append(peer.request()[0])
            peer.answer()

    server = serve(script)
    transport = make_transport(proxies=proxied(server, "me:pw@"))
    for _ in range(2):
        assert transport.send(HttpRequest("GET", f"{HTTP}:8080/x?y")).read() == b"ok"
    assert [head.target for head in seen] == ["http://api.example:8080/x?y"] * 2
    assert find(seen[0].headers, "host") == "api.example:8080"
    assert find(seen[0].headers, "proxy-authorization") == "Basic bWU6cHc="
    assert server.accepted == 1


def test_a_loopback_address_is_asked_directly(serve, make_transport):
    seen = []

    def script(peer):
        seen.append(peer.request()[0])
        peer.answer()

    proxy, server = serve(lambda peer: None), serve(script)
    transport = make_transport(proxies=proxied(proxy, "me:pw@"))
    transport.send(HttpRequest("GET", f"{server.url}/x")).read()
    assert (seen[0].target, proxy.accepted) == ("/x", 0)
    assert find(seen[0].headers, "proxy-authorization") is None


def test_https_goes_through_a_tunnel_and_only_the_proxy_gets_its_credentials(
    serve, make_transport, identity
):
    seen = []

    def script(peer):
        seen.append(peer.request()[0])
        peer.send(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
        try:
            peer.start_tls(identity.context())
        except ssl.SSLError:
            return
        while (found := peer.read_request()) is not None:
            seen.append(found[0])
            peer.answer()

    server = serve(script)
    context = ssl.create_default_context(cafile=identity.certificate)
    context.check_hostname = False
    transport = make_transport(proxies=proxied(server, "me:pw@"), ssl_context=context)
    request = HttpRequest("GET", f"{HTTPS}/x", headers=(("Authorization", "key"),))
    for _ in range(2):
        assert transport.send(request).read() == b"ok"
    connect, first, second = seen
    assert (connect.method, connect.target) == ("CONNECT", "api.example:443")
    assert find(connect.headers, "host") == "api.example:443"
    assert find(connect.headers, "proxy-authorization") == "Basic bWU6cHc="
    assert find(connect.headers, "authorization") is None
    assert (first.target, second.target) == ("/x", "/x")
    assert find(first.headers, "proxy-authorization") is None
    assert find(first.headers, "authorization") == "key"
    assert server.accepted == 1


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", ConnectError, "407.*user:password"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ConnectError, "403 Forbidden"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://x/\r\n\r\n", ConnectError, "301"),
        (b"", ConnectError, "without an answer"),
        (b"HTTP/1.1 200", ConnectError, "inside the head"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ProtocolError, "before we spoke"),
        (b"SSH-2.0\r\n", ProtocolError, "not HTTP"),
    ],
)
def test_a_tunnel_that_is_refused_is_named(serve, make_transport, answer, error, message):
    def script(peer):
        peer.request()
        peer.send(answer)

    transport = make_transport(proxies=proxied(serve(script)))
    with pytest.raises(error, match=message):
        transport.send(HttpRequest("GET", HTTPS))
    assert transport.active == 0


def test_a_proxy_that_is_not_there_is_named(make_transport):
    transport = make_transport(proxies=Proxies({"https": "http://127.0.0.1:1"}))
    with pytest.raises(
        ConnectError, match=r"https://api\.example: cannot connect to port 1 of 127"
    ):
        transport.send(HttpRequest("GET", HTTPS))
