"""Sending a request and reading its answer: over sockets, or from a function in a test."""

from .address import Origin, is_loopback, shown_url, split_url
from .base import MAX_BODY, BodySource, HttpRequest, HttpResponse, Timeouts, Transport, Watch
from .http import USER_AGENT, HttpTransport
from .mock import MockResponse, MockTransport
from .proxies import Proxies, Proxy

__all__ = [
    "MAX_BODY",
    "USER_AGENT",
    "BodySource",
    "HttpRequest",
    "HttpResponse",
    "HttpTransport",
    "MockResponse",
    "MockTransport",
    "Origin",
    "Proxies",
    "Proxy",
    "Timeouts",
    "Transport",
    "Watch",
    "is_loopback",
    "shown_url",
    "split_url",
]
