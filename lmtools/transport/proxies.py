"""Which proxy stands before an origin, by the environment's habits.

``http_proxy``, ``https_proxy``, ``all_proxy`` and ``no_proxy``, in lower case first, then in upper
case. A loopback address never goes through a proxy. macOS and Windows keep such settings elsewhere
too; ``urllib.request`` reads those when the environment names none.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from ..errors import ConfigError, RequestError
from .address import Origin, is_loopback, split_url

__all__ = ["Proxies", "Proxy"]

_PROXY_URL = re.compile(r"(?:([A-Za-z0-9+.-]+)://)?(?:([^/@]*)@)?([^/@]+)/?")
_SYSTEM_SETTINGS = frozenset(("darwin", "win32"))


@dataclass(frozen=True, slots=True)
class Proxy:
    """``authorization`` is the value of Proxy-Authorization; it goes to the proxy alone."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Proxies:
    """``urls`` maps "http", "https" and "all" to a proxy's URL; ``exempt`` is no_proxy's list."""

    urls: Mapping[str, str] = field(default_factory=dict, repr=False)
    exempt: str = ""

    def find(self, origin: Origin) -> Proxy | None:
        """Return the proxy to use. ConfigError when its URL is not one we can speak to."""
        if not self.urls or is_loopback(origin.host):
            return None
        scheme = origin.scheme if self.urls.get(origin.scheme) else "all"
        url = self.urls.get(scheme)
        if not url or _is_exempt(origin, self.exempt):
            return None
        return _parse(url, f"{scheme}_proxy")

    def is_asked_by_others(self, origin: Origin) -> bool:
        """Tell whether programs that do not spare loopback addresses ask a proxy for an origin."""
        url = self.urls.get(origin.scheme) or self.urls.get("all")
        return bool(url) and not _is_exempt(origin, self.exempt)


def from_environment(environ: Mapping[str, str], platform: str = sys.platform) -> Proxies:
    urls = {}
    for scheme in ("http", "https", "all"):
        url = environ.get(f"{scheme}_proxy")
        # A server that runs programs per request puts a client's "Proxy:" header into HTTP_PROXY.
        if url is None and not (scheme == "http" and "REQUEST_METHOD" in environ):
            url = environ.get(f"{scheme.upper()}_PROXY")
        if url:
            urls[scheme] = url
    exempt = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    if not urls and platform in _SYSTEM_SETTINGS:
        return _from_system(exempt)
    return Proxies(urls, exempt)


def _from_system(exempt: str) -> Proxies:
    # Imported here: http.client, email and ssl come with it, about 40 ms that Linux never needs.
    from urllib.request import getproxies

    found = getproxies()
    return Proxies(
        {scheme: url for scheme, url in found.items() if scheme in {"http", "https", "all"}},
        exempt or found.get("no", ""),
    )


def _parse(url: str, variable: str) -> Proxy:
    match = _PROXY_URL.fullmatch(url.strip())
    scheme = (match[1] or "http").lower() if match else ""
    if match is None or scheme != "http":
        kind = f"a {scheme} proxy" if scheme else "not a URL"
        raise ConfigError(
            f"{variable}: {kind}; only http://host:port is supported (unset it, or list the host "
            "in no_proxy)"
        )
    try:
        origin, _ = split_url(f"http://{match[3]}")
    except RequestError as error:
        problem = error.message.removeprefix("url: ")
        raise ConfigError(f"{variable}: {problem}") from error
    return Proxy(origin.host, origin.port, _authorization(match[2]))


def _authorization(userinfo: str | None) -> str | None:
    if not userinfo:
        return None
    user, _, password = userinfo.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _is_exempt(origin: Origin, exempt: str) -> bool:
    return any(_covers(entry.strip().lower(), origin) for entry in exempt.split(",") if entry)


def _covers(entry: str, origin: Origin) -> bool:
    """Tell whether one entry of no_proxy (name, .suffix, *.suffix, host:port, network) names it."""
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(origin.host, entry)
    name = entry.removeprefix("*").removeprefix(".")
    if name.count(":") == 1 or name.startswith("["):
        name, _, port = name.rpartition(":") if not name.endswith("]") else (name, "", "")
        if port and port != str(origin.port):
            return False
    name = name.strip("[]")
    return bool(name) and (origin.host == name or origin.host.endswith(f".{name}"))


def _in_network(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
