"""Remedies: what to send instead, after one specific refusal.

A refusal is read once (``diagnose``), and what it teaches is a value that can be kept for the next
request (``Remedy``). ``treat`` applies such values to a request as it was asked and to its target,
before repairs; what that costs is recorded where it happens, by the codec that leaves a field or a
part out, and here for the header of a beta.

Each refusal is known by its exact words, and only where it can be helped. Anything else is the
caller's to hear.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..codecs.base import Loss, Target
from ..errors import ApiError
from ..types import JsonObject, Message, Opaque, Request, ThinkingPart

__all__ = ["LIMITS_FIELD", "Remedy", "diagnose", "treat"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a refusal taught. ``word`` is a field's name where the remedy is about one.

    ``lasts`` tells that it holds for the model, and not just for the one conversation.
    """

    name: str
    word: str = ""
    lasts: bool = True


LIMITS_FIELD = "limits field"
_STATE = Remedy("thinking history", lasts=False)
_ADAPTIVE = Remedy("adaptive thinking")
_ONE_SAMPLING_FIELD = Remedy("one sampling field")
_FIELD = "field"

_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_LIMIT_NAMED = re.compile(r"\bmax_(?:completion_)?tokens\b")

#: Fields that a request can go without. Of others a refusal is final.
_OPTIONAL = {
    "anthropic": frozenset({"context_management", "temperature", "top_p", "top_k"}),
    "openai_chat": frozenset({"temperature", "top_p", "stop"}),
}
#: Fields that go with a beta, and how the beta's name in ``anthropic-beta`` begins.
_BETAS = {"context_management": "context-management-"}

_NOT_TAKEN_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
#: How servers say that they do not take a field: OpenAI's and Azure's, pydantic's as Anthropic and
#: vLLM have it, Anthropic's for fields that a model gave up.
_NOT_TAKEN = re.compile(
    r"unsupported (?:parameter|value)|not supported|unrecognized request argument"
    r"|unknown (?:parameter|name)|extra inputs are not permitted|is deprecated for this model"
    r"|extra fields not permitted",
    re.IGNORECASE,
)
#: ``temperature: Extra inputs...``, ```temperature` is deprecated...``, ``parameter: 'top_p' is``
_FIELD_NAMED = re.compile(r"(?:unsupported (?:parameter|value): ?)?\W*(\w+)\b", re.IGNORECASE)
_SIGNATURE = re.compile(r"invalid `?signature`? in `?thinking`? block", re.IGNORECASE)
_BOTH_SAMPLED = re.compile(r"`?temperature`? and `?top_p`? cannot both be specified")
_BUDGET_REFUSED = re.compile(r"thinking\.type\.enabled\W* is not supported")


def diagnose(error: ApiError, request: Request, target: Target) -> Remedy | None:
    """Return what helps against a refusal; None where nothing does, or nobody knows.

    ``request`` and ``target`` are those that were refused.
    """
    if error.status not in (400, 422):
        return None
    if target.dialect == "anthropic":
        found = _diagnose_anthropic(error.message)
        if found is not None:
            return found
    else:
        limits = _diagnose_limits(error, request, target)
        if limits is not None:
            return limits
    field = _refused_field(error)
    optional = _OPTIONAL.get(target.dialect, frozenset())
    if field in optional and field not in target.refuses:
        return Remedy(_FIELD, field)
    return None


def _diagnose_anthropic(message: str) -> Remedy | None:
    if _SIGNATURE.search(message):
        return _STATE
    if _BUDGET_REFUSED.search(message):
        return _ADAPTIVE
    return _ONE_SAMPLING_FIELD if _BOTH_SAMPLED.search(message) else None


def _diagnose_limits(error: ApiError, request: Request, target: Target) -> Remedy | None:
    """Return the limits field's other name, where the one that was sent is refused as a name."""
    if request.max_tokens is None or not _says_not_taken(error):
        return None
    named = _LIMIT_NAMED.search(error.message)
    blamed = error.param or (named[0] if named else "")
    # A server that refuses either name says something else than it seems to.
    if blamed not in _LIMITS or target.limits_field == _LIMITS[blamed]:
        return None
    return Remedy(LIMITS_FIELD, _LIMITS[blamed])


def _says_not_taken(error: ApiError) -> bool:
    code = error.provider_code
    return code in _NOT_TAKEN_CODES or _NOT_TAKEN.search(error.message) is not None


def _refused_field(error: ApiError) -> str:
    """Return the top-level field that is refused as such; empty for a refusal of another kind."""
    if not _says_not_taken(error):
        return ""
    named = _FIELD_NAMED.match(error.message)
    return error.param or (named[1] if named else "")


def treat(
    request: Request, target: Target, remedies: Iterable[Remedy]
) -> tuple[Request, Target, tuple[Loss, ...]]:
    """Return request and target with remedies applied, and what was lost beside the codec's own."""
    losses: tuple[Loss, ...] = ()
    for remedy in remedies:
        if remedy.name == LIMITS_FIELD:
            target = replace(target, limits_field=remedy.word)
        elif remedy == _STATE:
            request = _without_state(request)
        elif remedy == _ADAPTIVE:
            target = _adaptive(target)
        elif remedy == _ONE_SAMPLING_FIELD:
            target = replace(target, one_sampling_field=True)
        else:
            target = replace(target, refuses=target.refuses | {remedy.word})
            request, lost = _without_beta(request, remedy.word)
            losses += lost
    return request, target, losses


def _adaptive(target: Target) -> Target:
    """Return a target on which the model decides how much it thinks, up to an effort."""
    forms = (target.thinking or frozenset({"disabled"})) - {"enabled"}
    return replace(target, thinking=forms | {"adaptive", "effort"}, efforts=target.efforts or None)


def _without_state(request: Request) -> Request:
    """Return the request with thinking that belongs to nobody: a codec leaves it out, and says so.

    Parts keep their places, so that losses name those of the request as it was asked.
    """
    return replace(request, messages=tuple(map(_without_signatures, request.messages)))


def _without_signatures(message: Message) -> Message:
    if not any(isinstance(part, ThinkingPart) and part.opaque for part in message.parts):
        return message
    bare = (
        replace(part, opaque=()) if isinstance(part, ThinkingPart) else part
        for part in message.parts
    )
    return replace(message, parts=tuple(bare))


def _without_beta(request: Request, field: str) -> tuple[Request, tuple[Loss, ...]]:
    """Return the request without the beta that ``field`` belongs to: one is nothing without the
    other."""
    start = _BETAS.get(field)
    if start is None:
        return request, ()
    opaque = tuple(
        Opaque(item.dialect, item.kind, _fewer_betas(item.data, start), item.origin)
        if item.dialect == "anthropic" and item.kind == "headers"
        else item
        for item in request.opaque
    )
    if opaque == request.opaque:
        return request, ()
    reason = f"the server refuses {field}, which it asks for"
    return replace(request, opaque=opaque), (Loss("headers.anthropic-beta", "dropped", reason),)


def _fewer_betas(headers: JsonObject, start: str) -> JsonObject:
    names = [name.strip() for name in str(headers.get("anthropic-beta", "")).split(",")]
    kept = [name for name in names if name and not name.startswith(start)]
    others = {name: value for name, value in headers.items() if name != "anthropic-beta"}
    return {**others, "anthropic-beta": ",".join(kept)} if kept else others
