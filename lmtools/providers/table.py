"""The provider table: who speaks what where.

Argo's paths, hosts and headers are those that its gateway was seen to answer on; the others are the
vendors' documented ones.
"""

from __future__ import annotations

from ..errors import ConfigError
from . import argo
from .base import Provider

_CHAT_PATHS = {"complete": "/chat/completions", "models": "/models"}
_MESSAGES_PATHS = {
    "complete": "/messages",
    "count_tokens": "/messages/count_tokens",
    "models": "/models",
}

ANTHROPIC = Provider(
    name="anthropic",
    title="Anthropic",
    base_url="https://api.anthropic.com/v1",
    suffixes=("/messages/count_tokens", "/messages", "/models"),
    wires=(("", "anthropic"),),
    paths={"anthropic": _MESSAGES_PATHS},
    auth={"anthropic": "x-api-key"},
    env_keys=("ANTHROPIC_API_KEY",),
    default_model="claude-sonnet-4-6",
    origin_class="anthropic",
    # A system message inside the conversation needs a beta that only the client can ask for.
    manners={
        "system": "first",
        "name_rule": r"^[a-zA-Z0-9_-]{1,128}$",
        "id_rule": r"^[a-zA-Z0-9_-]+$",
    },
    compatible={
        "system": "first",
        "name_rule": r"^[a-zA-Z0-9_-]{1,128}$",
        "id_rule": r"^[a-zA-Z0-9_-]+$",
    },
)

OPENAI = Provider(
    name="openai",
    title="OpenAI",
    base_url="https://api.openai.com/v1",
    suffixes=("/chat/completions", "/responses", "/embeddings", "/models"),
    wires=(("", "openai_chat"),),
    paths={"openai_chat": _CHAT_PATHS},
    auth={"openai_chat": "bearer"},
    env_keys=("OPENAI_API_KEY",),
    default_model="gpt-5.4",
    origin_class="openai",
    manners={
        "limits_field": "max_completion_tokens",
        "stream_usage": True,
        "name_rule": r"^[a-zA-Z0-9_-]{1,64}$",
        "id_length": 40,
    },
    # A compatible server (vLLM, llama.cpp, SGLang, a gateway): the older names, and reasoning
    # handed back where such servers give it.
    compatible={
        "limits_field": "max_tokens",
        "stream_usage": True,
        "developer": False,
        "reasoning_field": "reasoning_content",
        # Of a server that nobody described, only the three old words are sure.
        "effort_map": {"minimal": "low", "xhigh": "high", "max": "high"},
        "name_rule": r"^[a-zA-Z0-9_-]{1,64}$",
        "refuses": frozenset({"custom_tools"}),
    },
)

_ARGO_MANNERS = {
    # The gateway takes an unknown role for a malformed tool call and answers 400.
    "developer": False,
    "system": "first",
    "stream_usage": True,
    "limits_field": "max_tokens",
    "name_rule": r"^[a-zA-Z0-9_-]{1,64}$",
    "refuses": frozenset({"custom_tools"}),
}

ARGO = Provider(
    name="argo",
    title="Argo",
    base_url="https://apps.inside.anl.gov/argoapi",
    suffixes=(
        "/api/v1/chat/completions",
        "/api/v1/messages/count_tokens",
        "/api/v1/messages",
        "/api/v1/resource/streamchat",
        "/api/v1/resource/chat",
        "/api/v1/resource/embed",
        "/api/v1/resource",
        "/api/v1/models",
        "/api/v1",
        "/v1/chat/completions",
        "/v1/messages/count_tokens",
        "/v1/messages",
        "/v1/models",
        "/v1",
    ),
    wires=(("claude", "anthropic"), ("", "openai_chat")),
    paths={
        "anthropic": {
            "complete": "/v1/messages",
            "count_tokens": "/v1/messages/count_tokens",
            "models": "/api/v1/models/",
        },
        "openai_chat": {"complete": "/v1/chat/completions", "models": "/api/v1/models/"},
    },
    auth={"anthropic": "x-api-key", "openai_chat": "bearer"},
    env_keys=("ARGO_API_KEY", "ARGO_USER"),
    default_model="gpt5",
    origin_class="argo",
    parse_models=argo.parse_models,
    manners=_ARGO_MANNERS,
    compatible=_ARGO_MANNERS,
)

#: Argo's other hosts, by the flag that names them.
ARGO_HOSTS = {
    "prod": "https://apps.inside.anl.gov/argoapi",
    "dev": "https://apps-dev.inside.anl.gov/argoapi",
    "test": "https://apps-test.inside.anl.gov/argoapi",
}

#: The wires on which ``loopback`` can be served, by the word of ``-loopback-wire``.
LOOPBACK_WIRES = {"anthropic": "anthropic", "openai-chat": "openai_chat", "openai": "openai_chat"}


def loopback(wire: str) -> Provider:
    """Return the built-in provider's row, served in the dialect that ``-loopback-wire`` names."""
    dialect = LOOPBACK_WIRES.get(wire)
    if dialect is None:
        raise ConfigError(f"loopback wire {wire!r} is none of {', '.join(LOOPBACK_WIRES)}")
    return Provider(
        name="loopback",
        title="loopback",
        base_url="http://loopback.invalid/v1",
        wires=(("", dialect),),
        paths={"anthropic": _MESSAGES_PATHS, "openai_chat": _CHAT_PATHS},
        auth={},
        key_required=False,
        default_model="echo",
        origin_class="loopback",
        real_models=False,
        manners={
            "stream_usage": True,
            "reasoning_field": "reasoning_content",
        },
    )


#: Every provider that a flag can name, in the order that messages list them.
PROVIDERS: dict[str, Provider] = {
    row.name: row for row in (ARGO, ANTHROPIC, OPENAI, loopback("openai-chat"))
}


def provider_named(name: str) -> Provider:
    """Return the row of a provider; ConfigError lists the names and the nearest one."""
    row = PROVIDERS.get(name.strip().lower())
    if row is not None:
        return row
    raise ConfigError(f"no provider {name!r}; known: {', '.join(PROVIDERS)}")
