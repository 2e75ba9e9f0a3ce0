"""JSON text as values: what is refused is said for a reader who does not know this program."""

from __future__ import annotations

import pytest

from lmtools.errors import ProtocolError
from lmtools.types.json import loads


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("9" * 5000, "not JSON: a number has too many digits"),
        ("[" * 200_000, "not JSON: it is nested too deeply"),
        ("[NaN]", "not JSON: JSON has no NaN"),
    ],
    ids=["digits", "nesting", "nan"],
)
def test_a_refusal_is_in_our_words(text: str, said: str) -> None:
    """Python's own name its settings and its recursion."""
    with pytest.raises(ProtocolError) as caught:
        loads(text)

    assert str(caught.value) == said
