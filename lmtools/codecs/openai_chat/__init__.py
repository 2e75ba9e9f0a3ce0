"""OpenAI's Chat Completions, and the many servers that speak it."""

from .decoder import stream_decoder
from .encoder import stream_encoder
from .errors import parse_error, render_error
from .models import parse_models, render_model, render_models
from .render import render_request
from .requests import parse_request
from .responses import parse_response, render_response
from .wire import NAME

__all__ = [
    "NAME",
    "parse_error",
    "parse_models",
    "parse_request",
    "parse_response",
    "render_error",
    "render_model",
    "render_models",
    "render_request",
    "render_response",
    "stream_decoder",
    "stream_encoder",
]
