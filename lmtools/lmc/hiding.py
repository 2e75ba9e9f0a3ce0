"""A provider choice whose key is a mark, for requests that are printed instead of sent.

A mark is text that nobody's key, user name or header holds, so that whatever stands in its place
is the key and nothing else.
"""

from __future__ import annotations

from dataclasses import replace

from ..flags.provider import ProviderChoice
from ..keys import KeySource
from ..providers import provider_named
from ..secret import Secret

__all__ = ["KEY_MARK", "hide_key"]

KEY_MARK = "lmc-key-mark-b7d1e0c2"


def hide_key(choice: ProviderChoice) -> tuple[ProviderChoice, str]:
    """Return the choice with the mark for its key, and the variable that may hold the real one.

    The variable is empty, and the choice as it was, when no key would be sent. No file is read.
    """
    variable = _variable(choice)
    if not variable:
        return choice, ""
    return replace(choice, key=KeySource(variable, secret=Secret(KEY_MARK))), variable


def _variable(choice: ProviderChoice) -> str:
    row = provider_named(choice.name)
    if not choice.key.origin and (not row.key_required or choice.url is not None):
        return ""
    if choice.key.origin in row.env_keys:
        return choice.key.origin
    return row.env_keys[0] if row.env_keys else "API_KEY"
