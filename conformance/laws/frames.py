"""L8 of streams: a text in any leaf of any event is in the other dialect's stream, or a loss names it.

A text is planted in one leaf of one event after the other; of events that have the same leaves, in the
first and the second. It may come out anywhere in the stream of the
other dialect; otherwise a loss covers its place in the assembled answer or, for what only the event
holds, names its key or an object around it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lmtools.codecs import seal
from lmtools.codecs.base import Codec, Loss
from lmtools.sse import SSEEvent
from lmtools.types import Event, OpaqueDelta, Request, StreamError, response_from_events

from .. import canonical, exchange, trees
from ..corpus import Case
from ..exchange import Codecs
from ..trees import shown
from .planting import places_of, plants

#: What the server says of itself, and the words that frame the events.
OWN = frozenset({"id", "created", "model", "object", "type", "role"})


def no_silent_loss(case: Case, codecs: Codecs) -> Iterator[str]:
    """A text planted in each leaf of each event is in the target's stream, or a loss names it."""
    codec = codecs[case.dialect]
    request = exchange.asked(codec, case)
    frames = exchange.frames_of([case.stream])
    for at, path, token, frame in _planted(frames):
        events = _decoded(codec, [*frames[:at], frame, *frames[at + 1 :]], request)
        if isinstance(events[-1], StreamError):
            continue
        for other in codecs:
            if other != case.dialect:
                out, losses = exchange.encode(codecs[other], events, request, "model")
                if not (_holds(out, token) or _named(path, token, events, losses)):
                    yield f"to {other}: event {at}: {shown(path)} is neither there nor named"


def _decoded(codec: Codec, frames: list[SSEEvent], request: Request) -> list[Event]:
    """Return the events of a server whose reasoning state has an owner, so that it can travel."""
    decoder = codec.stream_decoder(request, replace(exchange.target(codec.NAME), origin="owner"))
    events = [event for frame in frames for event in decoder.decode(frame)]
    return [*events, *decoder.close()]


def _holds(out: bytes, token: str) -> bool:
    """Tell whether a stream holds a text, be it in reasoning state that is sealed in it."""
    if token in out.decode():
        return True
    sealed = (seal.open(found) for found in re.findall(r"lmt1[.][\w-]+", out.decode()))
    return any(token in json.dumps(state.data) for state in sealed if state is not None)


def _planted(frames: list[SSEEvent]) -> Iterator[tuple[int, trees.Path, str, SSEEvent]]:
    """Yield (number of the event, path of the leaf, text, event with the text in it)."""
    forms: Counter[tuple[trees.Path, ...]] = Counter()
    for at, frame in enumerate(frames):
        data = _parsed(frame)
        form = tuple(path for path, _ in trees.leaves(data))
        forms[form] += 1
        for number, (path, leaf) in enumerate(trees.leaves(data) if forms[form] <= 2 else ()):
            if not isinstance(leaf, str) or OWN & set(path[-1:]):
                continue
            for new, token in plants(leaf, number):
                assert token is not None
                yield (
                    at,
                    path,
                    token,
                    frame._replace(data=json.dumps(trees.replaced(data, path, new))),
                )


def _parsed(frame: SSEEvent) -> Any:
    try:
        return json.loads(frame.data)
    except ValueError:
        return {}


def _named(path: trees.Path, token: str, events: list[Event], losses: list[Loss]) -> bool:
    keys = {step for step in path if isinstance(step, str)}
    if any(loss.path.rpartition(".")[2].partition("[")[0] in keys for loss in losses):
        return True
    if any(_has(event, token) for event in events if isinstance(event, OpaqueDelta)):
        # A whole event that nobody else knows is named by its kind.
        return any(loss.path.startswith("events.") for loss in losses)
    found = places_of(response_from_events(events), token)
    if not found and path[-1:] == ("signature",):
        return True  # The next signature of the block took its place.
    return any(canonical.covered(place, losses) for place in found)


def _has(event: Event, token: str) -> bool:
    return any(isinstance(leaf, str) and token in leaf for _, leaf in canonical.leaves(event))
