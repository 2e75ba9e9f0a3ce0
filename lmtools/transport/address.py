"""URLs taken apart: where to connect, what to ask for, and how to name it without its secrets."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ..errors import RequestError

__all__ = ["Origin", "is_address", "is_loopback", "shown_url", "split_url"]

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_][A-Za-z0-9._-]*)(?::([0-9]{0,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """``host`` is in lower case and without brackets; ``scheme`` is "http" or "https"."""

    scheme: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """host:port, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def authority(self) -> str:
        """The Host header: the address without a port that the scheme implies."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return self.address.rpartition(":")[0]
        return self.address

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def split_url(url: str) -> tuple[Origin, str]:
    """Return the origin and the request target (path and query). RequestError for a bad URL."""
    match = _URL.fullmatch(url)
    if match is None:
        raise RequestError("expected http:// or https:// and a host", path="url")
    scheme, authority, target = match[1].lower(), match[2], match[3]
    if "@" in authority:
        raise RequestError("credentials in a URL are not sent; use a header", path="url")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise RequestError(
            "the host is not a name or address in ASCII (write xn-- names out)", path="url"
        )
    port = int(parts[2]) if parts[2] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise RequestError(f"port {port} is not between 1 and 65535", path="url")
    origin = Origin(scheme, parts[1].strip("[]").lower(), port)
    return origin, target if target.startswith("/") else f"/{target}"


def shown_url(url: str) -> str:
    """Return the URL as errors and reprs may show it: queries and credentials can be keys."""
    shown, query, _ = url.partition("?")
    scheme, slashes, rest = shown.partition("://")
    authority, slash, path = rest.partition("/")
    host = authority.rpartition("@")[2]
    return f"{scheme}{slashes}{host}{slash}{path}{query and '?...'}"


def is_loopback(host: str) -> bool:
    """Tell whether the host is this machine by its name alone, without asking a name server."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def is_address(host: str) -> bool:
    """Tell whether the host is an IP address, which needs no look-up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
