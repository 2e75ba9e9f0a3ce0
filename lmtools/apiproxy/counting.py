"""Input tokens of requests: counted by the provider where it can, estimated where it cannot.

An estimate learns: each answer says how many tokens its request really held, and what this comes to
beside the estimate is kept for the model and smoothed over answers.

Clients ask in storms (Claude Code sends dozens of counts at its start). So a count is asked of the
provider once for equal bodies, whether they come together or within a minute, and only a few
different ones are asked at a time; the others are estimated.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from ..codecs.base import Headers
from ..errors import LMError
from ..providers.estimate import scaled, smoothed

__all__ = ["TokenCounts", "body_key"]

#: Models of which something is known, and counts that are kept.
MAX_MODELS = 256
MAX_COUNTS = 512
#: Characters of a model's name. Of longer ones nothing is kept: clients make names up.
LONGEST_MODEL = 256
#: Seconds that a count is kept: as long as a client goes on asking for the same.
KEPT_S = 60.0
#: Counts that are asked of the provider at a time.
MAX_ASKED = 4
#: Seconds to wait for somebody else's count of the same body.
PATIENCE_S = 10.0
#: Answers after which a ratio is good enough, where each further one would cost a parse.
ENOUGH = 8
#: Tokens below which an answer teaches nothing: what frames a request outweighs what it says.
LEAST = 100


@dataclass(slots=True)
class _Model:
    """What is known of a model: true tokens for each estimated one (None before the first answer),
    how many answers said so, and until when its server is not asked, having no counts of it.
    """

    ratio: float | None = None
    answers: int = 0
    is_estimated: bool = False
    unable_until: float = 0.0


@dataclass(slots=True)
class _Question:
    """A count that was asked of the provider, and is waited for."""

    done: threading.Event = field(default_factory=threading.Event)
    tokens: int | None = None
    error: LMError | None = None


class TokenCounts:
    """What is known of token counts, for many threads. ``now`` returns seconds, never fewer."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._models: OrderedDict[str, _Model] = OrderedDict()
        self._counts: OrderedDict[bytes, tuple[float, int]] = OrderedDict()
        self._asked: dict[bytes, _Question] = {}

    # Estimates

    def scale(self, model: str, estimated: int) -> int:
        """Return an estimate as what earlier answers of the model make of it."""
        known = self._models.get(model)
        return estimated if known is None else scaled(estimated, known.ratio)

    def wants(self, model: str) -> bool:
        """Tell whether answers of a model shall teach: clients asked for estimates of it."""
        known = self._models.get(model)
        return known is not None and known.is_estimated and known.answers < ENOUGH

    def would_teach(self, model: str, tokens: int) -> bool:
        """Tell whether an answer to so many tokens teaches what too few have taught before."""
        known = self._models.get(model)
        return tokens >= LEAST and (known is None or known.answers < ENOUGH)

    def want(self, model: str) -> None:
        """Note that a client was given an estimate."""
        with self._lock:
            self._model(model).is_estimated = True

    def learn(self, model: str, estimated: int, tokens: int | None) -> None:
        """Take note of how many tokens a request really held; None teaches nothing."""
        if tokens is None or tokens < LEAST or estimated < LEAST:
            return
        with self._lock:
            known = self._model(model)
            known.ratio = smoothed(known.ratio, tokens / estimated)
            known.answers += 1

    def _model(self, model: str) -> _Model:
        if len(model) > LONGEST_MODEL:
            return _Model()
        known = self._models.setdefault(model, _Model())
        self._models.move_to_end(model)
        if len(self._models) > MAX_MODELS:
            self._models.popitem(last=False)
        return known

    # Counts

    def may_ask(self, model: str) -> bool:
        """Tell whether a server may have counts of a model, for all that is known."""
        known = self._models.get(model)
        return known is None or self._now() >= known.unable_until

    def give_up(self, model: str) -> None:
        """Note that a server has no counts of a model, for a minute."""
        with self._lock:
            self._model(model).unable_until = self._now() + KEPT_S

    def count(self, key: bytes, ask: Callable[[], int]) -> int | None:
        """Return the provider's count of the body with that key, known or asked for (``ask``).

        None where too many are being asked, or the asker of the same left. Raises what ``ask``
        raises.
        """
        with self._lock:
            known = self._known(key)
            if known is not None:
                return known
            question = self._asked.get(key)
            is_ours = question is None
            if question is None:
                if len(self._asked) >= MAX_ASKED:
                    return None
                question = self._asked[key] = _Question()
        return self._ask(key, question, ask) if is_ours else _answer_to(question)

    def _known(self, key: bytes) -> int | None:
        found = self._counts.get(key)
        if found is None or self._now() - found[0] > KEPT_S:
            return None
        return found[1]

    def _ask(self, key: bytes, question: _Question, ask: Callable[[], int]) -> int:
        try:
            question.tokens = ask()
        except LMError as error:
            # That its client left is nothing that others have to hear.
            # A copy: the traceback of the error itself holds this frame, and with it the question.
            question.error = None if error.code == "cancelled" else copy.copy(error)
            raise
        finally:
            with self._lock:
                del self._asked[key]
                if question.tokens is not None:
                    self._keep(key, question.tokens)
            question.done.set()
        return question.tokens

    def _keep(self, key: bytes, tokens: int) -> None:
        self._counts[key] = (self._now(), tokens)
        self._counts.move_to_end(key)
        if len(self._counts) > MAX_COUNTS:
            self._counts.popitem(last=False)


def _answer_to(question: _Question) -> int | None:
    """Wait for somebody else's question; None where it takes too long, or was given up."""
    question.done.wait(PATIENCE_S)
    if question.error is not None:
        # Each thread raises an error of its own, which it may complete.
        raise copy.copy(question.error)
    return question.tokens


def body_key(body: bytes, headers: Headers) -> bytes:
    """Return what tells one body from another, together with the headers that belong to it."""
    mark = sha256(repr(sorted(headers)).encode())
    mark.update(b"\0" + body)
    return mark.digest()
