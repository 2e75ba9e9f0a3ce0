"""One toolkit for LLM APIs: canonical types, one codec per wire dialect, transports, clients."""

__version__ = "0.1.0"
