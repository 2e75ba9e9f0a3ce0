"""The proxy: Anthropic Messages and OpenAI Chat Completions over any provider."""

from .options import Options
from .service import Server

__all__ = ["Options", "Server"]
