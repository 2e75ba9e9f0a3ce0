"""L8 no silent loss: whatever stands in any leaf of a body is in the target, or a loss names its path.

Each leaf in turn gets a value that is found nowhere else. A text is looked for in the target's
body and headers, also inside base64. A number or a boolean may be summed, mapped or clamped on
its way, so it is changed instead, and the target must change with it. If neither, every canonical
place at which the change shows must be named by a loss.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

from lmtools.codecs.base import Incoming, Loss, Rendered
from lmtools.errors import RequestError

from .. import canonical, exchange, trees
from ..corpus import Case
from ..exchange import Codecs
from ..trees import shown
from .transcode import SATISFIED

#: Alphanumeric and a multiple of four long, so that it is base64 as well.
_PLANT = "plant{:07d}"

#: A body's parse to canonical, and the rendering of that to the other dialect.
_Passage = Callable[[Any], tuple[Any, Rendered]]

#: Leaves of a response that are the server's own (id, time, model alias) or the frame of the body.
OWN = frozenset({"id", "created", "model", "object", "type", "role", "choices[0].index", "choices[0].message.role"})  # fmt: skip


def no_silent_loss(case: Case, codecs: Codecs) -> Iterator[str]:
    """A value planted in each leaf is in the target, or a loss covers its canonical path."""
    for other in codecs:
        if other != case.dialect:
            for problem in _lost_in(case, codecs, other):
                yield f"to {other}: {problem}"
            if case.kind == "request":
                yield from _lost_headers(case, codecs, other)


def _passage(case: Case, codecs: Codecs, other: str) -> _Passage:
    codec = codecs[case.dialect]
    if case.kind == "request":

        def pass_request(body: Any) -> tuple[Any, Rendered]:
            request = exchange.parse_request(codec, case, body)
            return request, codecs[other].render_request(request, exchange.target(other))

        return pass_request
    asked = exchange.asked(codec, case)

    def pass_response(body: Any) -> tuple[Any, Rendered]:
        response = codec.parse_response(body, asked, exchange.target(case.dialect))
        stamp = exchange.stamp("model")
        return response, codecs[other].render_response(response, asked, stamp)

    return pass_response


def _lost_in(case: Case, codecs: Codecs, other: str) -> Iterator[str]:
    body = case.request if case.kind == "request" else case.body
    passage = _passage(case, codecs, other)
    plain = passage(body)
    own = OWN if case.kind == "response" else frozenset()
    for number, (path, leaf) in enumerate(trees.leaves(body)):
        if leaf is None or shown(path) in own:
            continue
        for new, token in plants(leaf, number):
            problem = _lost(passage, trees.replaced(body, path, new), token, plain, other)
            if problem:
                yield f"{shown(path)} = {new!r:.60}: {problem}"


def plants(leaf: Any, number: int) -> Iterator[tuple[Any, str | None]]:
    """Yield new values for a leaf, each with the text to look for (None: see whether the target changes)."""
    if isinstance(leaf, bool):
        yield not leaf, None
    elif isinstance(leaf, (int, float)):
        yield leaf + 1, None
    elif isinstance(leaf, str):
        token = _PLANT.format(number)
        yield _styled(leaf, token), token
        inner = _json_object(leaf)
        if inner:
            yield json.dumps({**inner, "planted": token}), token


def _styled(leaf: str, token: str) -> str:
    """Return the token in the form of the leaf: a data URL, a URL, a media type, or plain."""
    if leaf.startswith("data:") and "," in leaf:
        return leaf[: leaf.index(",") + 1] + token
    if "://" in leaf[:12]:
        return f"{leaf.partition('://')[0]}://{token}.example/"
    head, slash, tail = leaf.partition("/")
    if slash and head in ("image", "audio", "video", "application", "text") and " " not in tail:
        return f"{head}/{token}"
    return token


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _lost(
    passage: _Passage, body: Any, token: str | None, plain: tuple[Any, Rendered], other: str
) -> str | None:
    """Return how the change was lost silently, or None. A refusal that names the path is not silent."""
    try:
        value, rendered = passage(body)
    except RequestError:
        return None
    if token is not None and _holds(rendered, token):
        return None
    if token is None and rendered.body != plain[1].body:
        return None
    places = places_of(value, token) if token else _changes(plain[0], value)
    if not places:
        return "the parser drops it"
    losses = (*rendered.losses, *plain[1].losses)
    enough = any if token else all
    if enough(_accounted(place, losses, other) for place in places):
        return None
    shown_places = ", ".join(canonical.squeezed(place) for place in places)
    return f"{shown_places} is neither in the target nor named by a loss"


def _accounted(place: str, losses: tuple[Loss, ...], other: str) -> bool:
    return canonical.covered(place, losses) or place in SATISFIED.get(other, ())


def places_of(value: Any, token: str) -> list[str]:
    """Return where the canonical value holds the token."""
    held = ((path, leaf) for path, leaf in canonical.leaves(value) if isinstance(leaf, str))
    return [shown(path) for path, leaf in held if token in leaf or token in _decoded(leaf)]


def _changes(before: Any, after: Any) -> list[str]:
    """Return where two canonical values differ, the labels of opaque boxes aside."""
    found = canonical.differences(before, after, opaque=True)
    return [path for path in found if not path.endswith(("].dialect", "].kind"))]


def _holds(rendered: Rendered, token: str) -> bool:
    if token in json.dumps(rendered.body) or any(token in value for _, value in rendered.headers):
        return True
    texts = (leaf for _, leaf in trees.leaves(rendered.body) if isinstance(leaf, str))
    return any(token in _decoded(text) for text in texts)


def _decoded(text: str) -> str:
    """Return what a base64 text or a data URL holds; nothing when it is neither."""
    payload = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return b64decode(payload, validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


def _lost_headers(case: Case, codecs: Codecs, other: str) -> Iterator[str]:
    """A header that travels with a request names itself in a loss when it cannot travel on."""
    codec = codecs[case.dialect]
    for name, value in case.headers:
        wire = Incoming(case.request, headers=((name, value),))
        rendered = codecs[other].render_request(codec.parse_request(wire), exchange.target(other))
        kept = any(key.lower() == name.lower() for key, _ in rendered.headers)
        named = canonical.covered(f"headers.{name.lower()}", rendered.losses)
        if not kept and not named and name.lower() != "anthropic-version":
            yield f"to {other}: header {name} is neither sent nor named by a loss"
