"""Stop sequences, enforced on the answers of servers that know none.

A filter turns events into events. Text is held back only as long as a stop string may still begin
in it, so that a stream flows as it did. The string that is whole first ends the answer, before it;
of two that are whole at once, the longer. That makes the end the same for every division of the
text into deltas. Only text is looked at: never thinking, never the arguments of a call. A string
does not reach from one part into the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..codecs.base import Loss
from ..types import End, Event, OpaqueDelta, Request, Response, TextDelta, TextPart, TokenLogprob

__all__ = ["MAX_STOPS", "MAX_STOP_LENGTH", "StopFilter", "cut_response", "enforce_stops"]

#: Bounds of what is enforced, so that the search costs next to nothing whatever a client sends.
MAX_STOPS = 64
MAX_STOP_LENGTH = 1000


def enforce_stops(
    request: Request, losses: tuple[Loss, ...]
) -> tuple[tuple[str, ...], tuple[Loss, ...]]:
    """Return the strings to enforce, and the losses of what was rendered of a request as asked.

    All are enforced where the server was not told of all of them. The loss of ``stop``, or of a
    string of it, becomes ``emulated`` then.
    """
    lost = {"stop", *(f"stop[{i}]" for i, stop in enumerate(request.stop) if stop)}
    if not any(_is_lost(loss, lost) for loss in losses):
        return (), losses
    stops = tuple(stop for stop in request.stop if stop)
    if not stops or len(stops) > MAX_STOPS or max(map(len, stops)) > MAX_STOP_LENGTH:
        return (), losses
    reason = "the answer is cut here at the first of them"
    return stops, tuple(
        Loss(loss.path, "emulated", f"{loss.reason}; {reason}") if _is_lost(loss, lost) else loss
        for loss in losses
    )


def _is_lost(loss: Loss, paths: set[str]) -> bool:
    return loss.path in paths and loss.action in ("dropped", "clamped")


class StopFilter:
    """Ends a stream at the first of ``stops``. ``is_cut`` tells that it did.

    After that nothing more is to be read: what the server still says belongs to nobody.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self.is_cut = False
        self._stops = stops
        # Deltas of one part whose text may belong to a stop string, the first one perhaps halved.
        self._held: list[TextDelta] = []

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """Return what of the events may go on, with what was held before them."""
        passed: list[Event] = []
        for event in events:
            if self.is_cut:
                break
            if isinstance(event, TextDelta):
                self._take(event, passed)
            else:
                # What only accompanies the text of the part (a ping) does not end it.
                if not isinstance(event, OpaqueDelta):
                    self._release(passed)
                passed.append(event)
        return passed

    def _take(self, delta: TextDelta, passed: list[Event]) -> None:
        if self._held and self._held[0].part_index != delta.part_index:
            self._release(passed)
        self._held.append(delta)
        text = "".join([held.text for held in self._held])
        found = find_stop(text, self._stops)
        if found is None:
            self._pass_on(len(text) - count_held(text, self._stops), passed)
            return
        start, stop = found
        self._pass_on(start, passed)
        self._held = []
        self.is_cut = True
        passed.append(End("stop_sequence", stop_sequence=stop))

    def _pass_on(self, length: int, passed: list[Event]) -> None:
        """Let the first ``length`` characters go; deltas behind them stay as they came."""
        while self._held and len(self._held[0].text) <= length:
            delta = self._held.pop(0)
            length -= len(delta.text)
            passed.append(delta)
        if length:
            before, self._held[0] = split(self._held[0], length)
            passed.append(before)

    def _release(self, passed: list[Event]) -> None:
        passed += self._held
        self._held = []


def find_stop(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Return where the stop string begins that is whole first, and the string; None for none."""
    ends = [(start + len(stop), start, stop) for stop in stops if (start := text.find(stop)) >= 0]
    if not ends:
        return None
    _, start, stop = min(ends)
    return start, stop


def count_held(text: str, stops: Sequence[str]) -> int:
    """Return the length of the longest end of ``text`` with which a stop string begins."""
    return max(_count_begun(text, stop) for stop in stops)


def _count_begun(text: str, stop: str) -> int:
    start = text.find(stop[0], max(0, len(text) - len(stop) + 1))
    while start >= 0 and not stop.startswith(text[start:]):
        start = text.find(stop[0], start + 1)
    return len(text) - start if start >= 0 else 0


def split(delta: TextDelta, length: int) -> tuple[TextDelta, TextDelta]:
    """Return a delta in two, the first with ``length`` characters and all that comes with it."""
    tokens = _count_tokens(delta.logprobs, length)
    before = replace(delta, text=delta.text[:length], logprobs=delta.logprobs[:tokens])
    after = TextDelta(delta.part_index, delta.text[length:], delta.logprobs[tokens:])
    return before, after


def _count_tokens(logprobs: Sequence[TokenLogprob], length: int) -> int:
    """Return how many tokens end within ``length`` characters of their text."""
    for count, token in enumerate(logprobs):
        length -= len(token.token)
        if length < 0:
            return count
    return len(logprobs)


def cut_response(response: Response, stops: Sequence[str]) -> Response:
    """Return a whole answer as the filter would have ended its stream.

    The usage stays: it is what was generated, and paid for.
    """
    parts = response.message.parts
    for i, part in enumerate(parts):
        found = find_stop(part.text, stops) if isinstance(part, TextPart) else None
        if found is None or not isinstance(part, TextPart):
            continue
        start, stop = found
        kept = (*parts[:i], replace(part, text=part.text[:start])) if start else parts[:i]
        message = replace(response.message, parts=kept)
        return replace(
            response,
            message=message,
            finish="stop_sequence",
            stop_sequence=stop,
            logprobs=_cut_logprobs(response.logprobs, len(message.text)),
        )
    return response


def _cut_logprobs(
    logprobs: tuple[TokenLogprob, ...] | None, length: int
) -> tuple[TokenLogprob, ...] | None:
    return None if logprobs is None else logprobs[: _count_tokens(logprobs, length)] or None
