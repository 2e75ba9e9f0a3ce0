"""The form of the corpus: every own case says where it comes from, and names are unique."""

from __future__ import annotations

import importlib
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from conformance import corpus
from lmtools.codecs import DIALECTS

OWN = corpus.own()


def test_names_are_unique() -> None:
    repeated = [name for name, n in Counter(case.name for case in corpus.load()).items() if n > 1]

    assert repeated == []


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", ["request", "response", "stream", "error"])
def test_every_dialect_has_cases_of_every_kind(dialect: str, kind: str) -> None:
    assert sum(case.dialect == dialect and case.kind == kind for case in OWN) >= 20


def test_a_case_holds_what_its_kind_needs() -> None:
    for case in OWN:
        held = {
            "request": case.request,
            "response": case.body,
            "stream": case.stream,
            "error": case.status >= 400,
        }
        assert held[case.kind], case.name


@pytest.mark.parametrize("missing", ["name", "kind", "source"])
def test_a_case_without_name_kind_or_source_is_refused(missing: str, tmp_path: Path) -> None:
    case = {"name": "a", "kind": "request", "source": "test", "request": {}}
    del case[missing]
    (tmp_path / "anthropic").mkdir()
    (tmp_path / "anthropic" / "x.json").write_text(json.dumps({"cases": [case]}))

    with pytest.raises(ValueError, match="anthropic/x/"):
        corpus.own(tmp_path)


def test_every_sdk_type_that_a_source_names_exists() -> None:
    """A provenance that names nothing is no provenance."""
    for sdk in ("anthropic", "openai"):
        pytest.importorskip(
            sdk, reason=f"the {sdk} SDK is not installed: its type names go unchecked"
        )
    named = {case.source for case in OWN if re.fullmatch(r"(anthropic|openai)\.types\.[\w.]+", case.source)}  # fmt: skip
    assert len(named) > 60

    assert sorted(source for source in named if not _exists(source)) == []


def _exists(dotted: str) -> bool:
    parts = dotted.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ImportError:
            continue
        for name in parts[cut:]:
            known = getattr(found, "__annotations__", {})
            if name in known:
                return True
            if not hasattr(found, name):
                return False
            found = getattr(found, name)
        return True
    return False


def test_a_framing_changes_the_bytes_and_not_the_frames() -> None:
    item = {"frames": [{"type": "ping"}, {"type": "ping", "é": "☕"}]}
    plain = corpus.stream_bytes("anthropic", item, {})

    assert plain.endswith(b"\n\n")
    assert plain.count(b"event: ping\ndata: ") == 2
    framed = corpus.stream_bytes(
        "anthropic",
        item | {"framing": {"line_end": "\r\n", "bom": True, "no_last_blank": True}},
        {},
    )
    assert framed == b"\xef\xbb\xbf" + plain.removesuffix(b"\n\n").replace(b"\n", b"\r\n")
