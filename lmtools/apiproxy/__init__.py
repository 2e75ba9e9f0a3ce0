"""The proxy: Anthropic Messages and OpenAI Chat Completions over any provider.

The two names are loaded on first use: the program sets its signal handlers before anything heavy.
"""

from importlib import import_module

# The name that type checkers take for true, without an import of ``typing``.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Options
    from .service import Server

__all__ = ["Options", "Server"]

_HOME = {"Options": "options", "Server": "service"}


def __getattr__(name: str) -> object:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value
