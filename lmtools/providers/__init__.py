"""Who speaks what where: provider rows, model facts, addresses, auth headers and targets."""

from .base import Backend, Provider, as_sent, open_backend, read_base_url
from .repairs import repair
from .table import ARGO_HOSTS, LOOPBACK_WIRES, PROVIDERS, loopback, provider_named

__all__ = [
    "ARGO_HOSTS",
    "LOOPBACK_WIRES",
    "PROVIDERS",
    "Backend",
    "Provider",
    "as_sent",
    "loopback",
    "open_backend",
    "provider_named",
    "read_base_url",
    "repair",
]
