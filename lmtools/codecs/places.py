"""Where thinking stood in an answer, and putting it back there.

An answer may think between its texts and calls. A client whose dialect says reasoning apart, or
none, hands the turn back without that order. A ``Place`` counts what stood before a thought, which
the client does hand back; the provider that signed the thoughts expects them in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..types import CitationPart, Part, TextPart, ThinkingPart, ToolCallPart


class Place(NamedTuple):
    """How many characters of text, and how many calls, stood before a thought."""

    characters: int
    calls: int


FIRST = Place(0, 0)


def after(place: Place, part: Part) -> Place:
    """Return the place behind a part that stands at ``place``."""
    length = len(part.text) if isinstance(part, TextPart) else 0
    return Place(place.characters + length, place.calls + isinstance(part, ToolCallPart))


def put_back(
    parts: Sequence[Part], thoughts: Iterable[tuple[Place, ThinkingPart]]
) -> tuple[Part, ...]:
    """Return ``parts`` with each thought where as much stands before it as its place says.

    Thoughts keep their order. A text in which one belongs is cut there, unless it is cited or
    carries more than its words; then the thought stands before it. One whose place is never
    reached, since the turn came back shorter, stands last before the next call or the end.
    """
    out: list[Part] = []
    waiting = list(thoughts)[::-1]
    characters = calls = 0
    for i, part in enumerate(parts):
        is_call, is_text = isinstance(part, ToolCallPart), isinstance(part, TextPart)
        begin, text = characters, part.text if isinstance(part, TextPart) else ""
        end = begin + len(text)
        can_cut = is_text and _is_plain(part, parts[i + 1 : i + 2])
        while waiting and not isinstance(part, CitationPart):
            place, thought = waiting[-1]
            is_due = is_call or place.characters < end or (place.characters == end and not is_text)
            if place.calls > calls or not is_due:
                break
            if can_cut and place.characters > characters:
                out.append(TextPart(text[characters - begin : place.characters - begin]))
                characters = place.characters
            out.append(thought)
            waiting.pop()
        out.append(TextPart(text[characters - begin :]) if characters > begin else part)
        characters, calls = end, calls + is_call
    return (*out, *(thought for _, thought in reversed(waiting)))


def _is_plain(part: Part, following: Sequence[Part]) -> bool:
    """Tell whether a text is no more than its words, which nobody counts places in."""
    is_cited = any(isinstance(after, CitationPart) for after in following)
    return part.cache is None and not part.opaque and not is_cited
