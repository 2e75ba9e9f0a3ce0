"""L2 identity and L3 unknown keys, on whole bodies: requests, responses and errors."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from lmtools.codecs.base import Codec, Rendered

from .. import exchange, trees
from ..corpus import Case
from ..exchange import Codecs

KEY = "x_unknown_key"

#: How a new key may look: where it stands in its object, and the value made of its number.
_FORMS: tuple[tuple[str, bool, Callable[[int], Any]], ...] = (
    ("text, last", False, lambda n: f"unknown-{n}"),
    ("object, first", True, lambda n: {"number": n, "inner": [{"a": None}]}),
    ("null, last", False, lambda _: None),
)


def identity(case: Case, codecs: Codecs) -> Iterator[str]:
    """What was parsed renders as it came: same JSON, same order of keys, no loss."""
    yield from _same(case, codecs, case.request if case.kind == "request" else case.body)


def unknown_keys(case: Case, codecs: Codecs) -> Iterator[str]:
    """Identity still holds with a new key in every object, at every depth."""
    body = case.request if case.kind == "request" else case.body
    if not isinstance(body, dict):
        return
    for form, first, value in _FORMS:
        wire = planted(body, lambda n, value=value: (KEY, value(n)), first)  # type: ignore[misc]
        for problem in _same(case, codecs, wire):
            yield f"new key ({form}): {problem}"


def planted(value: Any, new: Callable[[int], tuple[str, Any]], first: bool = False) -> Any:
    """Return the tree with a new key in every object; ``new`` makes key and value from a running number."""
    count = iter(range(1_000_000))

    def plant(item: Any) -> Any:
        if isinstance(item, list):
            return [plant(child) for child in item]
        if not isinstance(item, dict):
            return item
        own = dict([new(next(count))])
        rest = {key: plant(child) for key, child in item.items()}
        return own | rest if first else rest | own

    return plant(value)


def _same(case: Case, codecs: Codecs, body: Any) -> Iterator[str]:
    codec = codecs[case.dialect]
    if case.kind == "error":
        yield from _same_error(case, codec, body)
        return
    rendered = _round_trip(case, codec, body)
    found = trees.first_difference(body, rendered.body)
    if found:
        yield found
    for loss in rendered.losses:
        yield f"{loss.path}: a loss on the way back to the same dialect ({loss.action})"
    if case.kind == "request":
        sent = {key.lower(): value for key, value in rendered.headers}
        for key, value in case.headers:
            if sent.get(key.lower()) != value:
                yield f"header {key}: {value!r} became {sent.get(key.lower())!r}"


def _round_trip(case: Case, codec: Codec, body: Any) -> Rendered:
    if case.kind == "request":
        request = exchange.parse_request(codec, case, body)
        return codec.render_request(request, exchange.target(case.dialect))
    response = exchange.parse_response(codec, case, body)
    return exchange.render_response(codec, case, response)


def error_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def _same_error(case: Case, codec: Codec, body: Any) -> Iterator[str]:
    error = codec.parse_error(case.status, case.headers, error_bytes(body))
    refusal = codec.render_error(error)
    if not isinstance(body, dict) or not isinstance(body.get("error"), dict):
        # Not the dialect's own form (a page of HTML, a gateway's JSON): the answer is in that form.
        told = refusal.body.get("error")
        if not isinstance(told, dict) or error.message not in told.get("message", ""):
            yield f"{body!r:.60} is answered with {refusal.body!r:.100}"
        return
    found = trees.first_difference(body, refusal.body)
    if found:
        yield found
    if case.status >= 400 and refusal.status != case.status:
        yield f"status: {case.status} became {refusal.status}"
