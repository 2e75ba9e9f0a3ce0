"""The raw passage: which bodies go on as they came, where client and provider speak one dialect.

A body that goes through a codec comes out with the same meaning and another spelling, and providers
key their prompt caches by what they are sent. So where both sides speak one dialect, and nothing
has to see the content, the client's bytes go on (``passing``). Of the request, only the model's
name and the name of the limits field change, in their places.

What does not fit is left to the codec (``Reason``), never passed on in hope.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from ..codecs.base import Target
from ..codecs.passage import Passage, passage_named
from ..codecs.splice import Edit, Member, members, splice
from ..codecs.text import dumps
from ..errors import ProtocolError
from ..providers import Backend
from ..providers.remedies import Remedy, renamed, touches
from ..types import Json, JsonObject

__all__ = ["Left", "Passing", "Reason", "look"]


class Reason(Enum):
    """Why a body is left to the codec: the whole list."""

    NOT_PLAIN_JSON = "the body is not an object in strict JSON and UTF-8"
    DUPLICATE_KEYS = "a key stands twice at the top: readers disagree which one counts"
    NO_MODEL = "it names no model"
    ODD_STREAM = "stream is neither a boolean nor absent"
    OTHER_DIALECT = "the provider speaks another dialect for this model"
    OTHER_FRAMING = "the provider's streams are no event streams"
    DEVELOPER = "a message has the role developer, which the server does not know"
    REFUSED_FIELD = "the server refuses a field of it"
    STOP = "stop sequences must be enforced here: the server does not know them"
    NO_LIMIT = "the dialect requires a limit, and it has none"
    ODD_LIMIT = "the limits field has another name at the server, and cannot just be renamed"
    EMPTY_LIST = "it has an empty list that servers refuse"
    SEALED = "it holds reasoning that was sealed here for a client of another dialect"
    REMEDY = "the server refused the like of it for this model, and takes it otherwise"


#: What reasoning begins with that went through a client of another dialect.
_SEAL = '"lmt1.'


@dataclass(frozen=True, slots=True)
class Passing:
    """A body that may go on. ``model`` is the client's word, ``sent_model`` the provider's."""

    passage: Passage
    target: Target
    model: str
    sent_model: str
    stream: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """Why a body may not, and the body as it was read; None where it could not be."""

    reason: Reason
    body: JsonObject | None = None


def _nothing(_: Target, __: str) -> tuple[Remedy, ...]:
    return ()


def look(
    body: bytes,
    dialect: str,
    backend: Backend,
    sent_as: Callable[[str], str],
    taught: Callable[[Target, str], tuple[Remedy, ...]] = _nothing,
    betas: str = "",
) -> Passing | Left:
    """Tell whether a client's body may go on as it is, with its edits made.

    ``sent_as`` maps the client's name of a model to the provider's; ``taught`` returns what
    refusals taught of a model (``LM.taught``); ``betas`` is the client's ``anthropic-beta``.
    ConfigError where the provider does not serve the model.
    """
    try:
        text = body.decode()
        found = members(text)
    except (UnicodeDecodeError, ProtocolError):
        return Left(Reason.NOT_PLAIN_JSON)
    held = {member.key: member for member in found}
    values = {member.key: member.value for member in found}
    model = values.get("model")
    if not isinstance(model, str) or not model:
        return Left(Reason.NO_MODEL, values)
    sent_model = sent_as(model)
    target = backend.target_as_sent(sent_model)
    if target.dialect != dialect:
        return Left(Reason.OTHER_DIALECT, values)
    passage = passage_named(dialect)
    reason = Reason.DUPLICATE_KEYS if len(held) < len(found) else None
    for remedy in taught(target, dialect):
        target = renamed(target, remedy)
        if touches(remedy, values, betas):
            reason = reason or Reason.REMEDY
    reason = reason or reason_to_leave(text, values, passage, target)
    if reason is not None:
        return Left(reason, values)
    edits = _edits(held, passage, target)
    edited = splice(text, edits).encode() if edits else body
    stream = values.get("stream") is True
    return Passing(passage, target, model, sent_model, stream, edited)


def reason_to_leave(
    text: str, values: JsonObject, passage: Passage, target: Target
) -> Reason | None:
    """Return the first reason why a body of the target's dialect may not go on as it is."""
    limits = [name for name in passage.limits if values.get(name) is not None]
    named = [name for name in passage.limits if name in values]
    renamed = target.limits_field is not None and named not in ([], [target.limits_field])
    checks = (
        (not isinstance(values.get("stream"), bool | None), Reason.ODD_STREAM),
        (target.framing != "sse", Reason.OTHER_FRAMING),
        (not target.developer and _has_developer(values.get("messages")), Reason.DEVELOPER),
        (bool(target.refuses & (values.keys() | passage.uses(values))), Reason.REFUSED_FIELD),
        (not target.stop and values.get(passage.stops) is not None, Reason.STOP),
        (target.default_max_tokens is not None and not limits, Reason.NO_LIMIT),
        (renamed and (len(named) > 1 or not limits), Reason.ODD_LIMIT),
        (any(values.get(name) == [] for name in passage.not_empty), Reason.EMPTY_LIST),
        (_SEAL in text, Reason.SEALED),
    )
    return next((reason for holds, reason in checks if holds), None)


def _has_developer(messages: Json) -> bool:
    return isinstance(messages, list) and any(
        isinstance(message, dict) and message.get("role") == "developer" for message in messages
    )


def _edits(held: dict[str, Member], passage: Passage, target: Target) -> list[Edit]:
    edits = []
    model = held["model"]
    if model.value != target.model:
        edits.append(Edit(model.start, model.end, dumps(target.model)))
    for name in passage.limits:
        if name in held and target.limits_field not in (None, name):
            key = held[name]
            edits.append(Edit(key.key_start, key.key_end, dumps(target.limits_field)))
    return edits
