"""Repairs: what a conversation said for one API needs before another one takes it.

A repair is a pure function of a request and the target that it goes to. ``repair`` runs all of
them when a request did not come in the target's own dialect. What a client says in that dialect
goes on as it was said: the client knows the API that it speaks, and a server's own refusal says
more than a correction behind its back. A request that a program constructed has come in no dialect,
and is repaired.

What a target takes already is not touched: a second run changes nothing, and of a legal
conversation neither does the first. Losses name the paths of the request as it was asked.
"""

from __future__ import annotations

from collections.abc import Callable

from ...codecs.base import Target
from ...types import Request
from .calls import fit_ids, pair_results
from .content import ask_for_answer, drop_billing, drop_blanks, trim_prefill
from .ledger import Ledger
from .settings import (
    drop_blank_stops,
    drop_sampling,
    fit_budget,
    prefer_forced_tool,
    stop_thinking_in_loop,
)

__all__ = ["REPAIRS", "Ledger", "repair"]

Repair = Callable[[Request, Target, Ledger], Request]

#: In this order. Pairing comes first: what a stray result becomes is content like any other, and a
#: message that was emptied of its results may go. Ids are fitted when each result stands behind its
#: call. Thinking may be switched off, and then its budget and the sampling need no repair.
REPAIRS: tuple[Repair, ...] = (
    pair_results,
    drop_billing,
    drop_blanks,
    trim_prefill,
    ask_for_answer,
    fit_ids,
    prefer_forced_tool,
    stop_thinking_in_loop,
    fit_budget,
    drop_sampling,
    drop_blank_stops,
)


def repair(
    request: Request, target: Target, ledger: Ledger | None = None
) -> tuple[Request, Ledger]:
    """Return the request as the target takes it, and the ledger of what that cost.

    ``ledger`` is that of an earlier change, if there was one. It also restates losses of the
    repaired request under the paths of the asked one.
    """
    ledger = ledger or Ledger(request)
    for apply in REPAIRS:
        request = apply(request, target, ledger)
    return request, ledger
