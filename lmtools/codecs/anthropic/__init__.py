"""Anthropic's Messages API."""

from .errors import parse_error, render_error
from .requests import parse_request, render_request
from .responses import parse_response, render_response
from .spelling import NAME

__all__ = [
    "NAME",
    "parse_error",
    "parse_request",
    "parse_response",
    "render_error",
    "render_request",
    "render_response",
]
