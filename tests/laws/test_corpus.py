"""The laws L2 to L8 and L10 on every case of the corpus; ``python -m conformance`` prints the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance import corpus, runner
from conformance.laws import LAWS, Law
from lmtools.codecs import DIALECTS

CODECS = runner.codecs()
HELD = [(law, case) for law in LAWS for case in corpus.load() if law.applies(case)]


@pytest.mark.parametrize(("law", "case"), HELD, ids=[f"{law.name}-{case}" for law, case in HELD])
def test_the_corpus_keeps_the_law(law: Law, case: corpus.Case) -> None:
    failure = runner.check(law, case, CODECS)

    assert failure is None or "\n".join(failure.problems[:5]) == ""


def test_every_law_is_held_on_both_dialects() -> None:
    """A law without cases would be kept by any codec."""
    held = {(law.group, case.dialect) for law, case in HELD}

    for law in LAWS:
        for dialect in DIALECTS:
            assert (law.group, dialect) in held


def test_captured_and_recorded_traffic_is_among_the_cases(shared: Path) -> None:
    names = {case.name.partition("/")[0] for _, case in HELD}

    assert {"captures", "recorded"} <= names
