"""Anthropic's Messages API."""

from .encoder import stream_encoder
from .errors import parse_error, render_error
from .models import (
    parse_count_request,
    parse_count_response,
    parse_models,
    render_count_request,
    render_count_response,
    render_model,
    render_models,
)
from .requests import parse_request, render_request
from .responses import parse_response, render_response
from .spelling import NAME
from .stream import stream_decoder

__all__ = [
    "NAME",
    "parse_count_request",
    "parse_count_response",
    "parse_error",
    "parse_models",
    "parse_request",
    "parse_response",
    "render_count_request",
    "render_count_response",
    "render_error",
    "render_model",
    "render_models",
    "render_request",
    "render_response",
    "stream_decoder",
    "stream_encoder",
]
