"""Remedies: what to send instead, after one specific refusal.

A refusal is read once (``diagnose``), and what it teaches is a value that can be kept for the next
request (``Remedy``). ``treat`` applies such values to a request as it was asked and to its target,
before repairs; what that costs is recorded where it happens, by the codec that leaves a field or a
part out, and in the ledger for what is left out here. ``touches`` tells of a body that nobody
parsed whether a remedy would change it.

Each refusal is known by its exact words, and only where it can be helped. Anything else is the
caller's to hear.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from ..codecs.base import Target
from ..errors import ApiError
from ..types import JsonObject, Message, Opaque, Part, Request, ThinkingPart
from .repairs import Ledger
from .repairs.content import drop_blanks
from .repairs.ledger import with_messages

__all__ = ["LIMITS_FIELD", "Remedy", "diagnose", "may_help", "renamed", "touches", "treat"]


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a refusal taught.

    ``word``   a field's name, or the names of betas, where the remedy is about them
    ``marks``  which reasoning was refused: digests of its signatures
    ``lasts``  it holds for the model, and not just for the one request
    """

    name: str
    word: str = ""
    marks: frozenset[str] = frozenset()
    lasts: bool = True


LIMITS_FIELD = "limits field"
_STATE = "thinking history"
_UNSIGNED = Remedy("unsigned thinking")
_ADAPTIVE = Remedy("adaptive thinking")
_BLANKS = Remedy("blank texts")
_ONE_SAMPLING_FIELD = Remedy("one sampling field")
_BETA = "beta"
_FIELD = "field"

#: Signatures that one remedy holds. A conversation of more thinking blocks is none of today's.
_MAX_MARKS = 2048

_LIMITS = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_LIMIT_NAMED = re.compile(r"\bmax_(?:completion_)?tokens\b")

#: Fields that a request can go without. Of others a refusal is final.
_OPTIONAL = {
    "anthropic": frozenset({"context_management", "temperature", "top_p", "top_k"}),
    "openai_chat": frozenset({"temperature", "top_p", "stop"}),
}
#: Fields that go with a beta, and how the beta's name in ``anthropic-beta`` begins.
_BETAS = {"context_management": "context-management-"}

#: What helps a client of the server's own dialect too. Such a client knows the API that it speaks
#: and hears its refusals; what it cannot know is which server, model and key stand behind a proxy:
#: what they call the limit, how the model thinks, whose signatures the history holds, which betas
#: there are; nor that an answer it had was empty, and is refused as history.
_FOR_ALL = frozenset({LIMITS_FIELD, _STATE, _UNSIGNED.name, _ADAPTIVE.name, _BLANKS.name, _BETA})

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
_NO_SIGNATURE = re.compile(r"\bthinking\.signature: field required", re.IGNORECASE)
#: Refused as an empty text, as one of white space, and as a message without any content.
_BLANK = re.compile(
    r"text content blocks must (?:be non-empty|contain non-whitespace text)"
    r"|must have non-empty content"
)
_BETA_REFUSED = re.compile(
    r"unexpected value\(s\) (.{1,500}?) for the `anthropic-beta` header", re.I
)
_QUOTED = re.compile(r"`([A-Za-z0-9_.-]{1,100})`")
_BOTH_SAMPLED = re.compile(r"`?temperature`? and `?top_p`? cannot both be specified")
_BUDGET_REFUSED = re.compile(r"thinking\.type\.enabled\W* is not supported")


def diagnose(error: ApiError, request: Request, target: Target) -> Remedy | None:
    """Return what helps against a refusal; None where nothing does, or nobody knows.

    ``request`` and ``target`` are those that were refused.
    """
    if error.status not in (400, 422):
        return None
    if target.dialect == "anthropic":
        found = _diagnose_anthropic(error.message, request)
        if found is not None:
            return found
    else:
        limits = _diagnose_limits(error, request, target)
        if limits is not None:
            return limits
    field = _refused_field(error)
    optional = _OPTIONAL.get(target.dialect, frozenset())
    if field in optional and field not in target.refuses:
        # Without its beta the field was the asker's own mistake, and says nothing of the server.
        return Remedy(_FIELD, field, lasts=field not in _BETAS or _has_beta(request, field))
    return None


def may_help(remedy: Remedy, target: Target, said_in: str | None) -> bool:
    """Tell whether a remedy is for a caller that speaks ``said_in``; None: for no dialect."""
    if said_in != target.dialect or remedy.name in _FOR_ALL:
        return True
    return remedy.name == _FIELD and remedy.word in _BETAS and remedy.lasts


def _diagnose_anthropic(message: str, request: Request) -> Remedy | None:
    if _SIGNATURE.search(message):
        return Remedy(_STATE, marks=_marks(request))
    if betas := _BETA_REFUSED.search(message):
        named = _QUOTED.findall(betas[1])
        return Remedy(_BETA, ",".join(named)) if named else None
    known = (
        (_NO_SIGNATURE, _UNSIGNED),
        (_BUDGET_REFUSED, _ADAPTIVE),
        (_BOTH_SAMPLED, _ONE_SAMPLING_FIELD),
        (_BLANK, _BLANKS),
    )
    return next((remedy for words, remedy in known if words.search(message)), None)


def _marks(request: Request) -> frozenset[str]:
    """Return the marks of the reasoning that a request hands back."""
    found = (
        _mark(state)
        for message in request.messages
        for part in message.parts
        if isinstance(part, ThinkingPart)
        for state in _states(part)
    )
    return frozenset(mark for _, mark in zip(range(_MAX_MARKS), found, strict=False))


def _states(part: ThinkingPart) -> Iterator[str]:
    """Yield the signature of a thinking block, or the data of a redacted one."""
    for item in part.opaque:
        state = item.data.get(_STATE_KEYS.get(item.kind, ""))
        if item.dialect == "anthropic" and isinstance(state, str):
            yield state


#: Kinds of the dialect's own data on a ThinkingPart, and the key of each.
_STATE_KEYS = {"signature": "signature", "redacted": "data"}


def _mark(state: str) -> str:
    return sha256(state.encode("utf-8", "surrogatepass")).hexdigest()[:16]


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


# Treating


def treat(
    request: Request, target: Target, remedies: Iterable[Remedy], ledger: Ledger
) -> tuple[Request, Target]:
    """Return request and target with remedies applied.

    The ledger gets what was lost beside the codec's own losses.
    """
    for remedy in remedies:
        target = renamed(target, remedy)
        if remedy.name == LIMITS_FIELD:
            continue
        if remedy.name == _STATE:
            request = _without_state(request, ledger, remedy.marks)
        elif remedy == _UNSIGNED:
            request = _without_state(request, ledger, None)
        elif remedy == _ADAPTIVE:
            target = _adaptive(target)
        elif remedy == _BLANKS:
            request = drop_blanks(request, target, ledger)
        elif remedy == _ONE_SAMPLING_FIELD:
            target = replace(target, one_sampling_field=True)
        else:
            request, target = _without_fields(request, target, remedy, ledger)
    return request, target


def renamed(target: Target, remedy: Remedy) -> Target:
    """Return the target with the name of the limits field that a remedy teaches, if it does."""
    if remedy.name != LIMITS_FIELD:
        return target
    return replace(target, limits_field=remedy.word)


def _adaptive(target: Target) -> Target:
    """Return a target on which the model decides how much it thinks, up to an effort."""
    forms = (target.thinking or frozenset({"disabled"})) - {"enabled"}
    return replace(target, thinking=forms | {"adaptive", "effort"}, efforts=target.efforts or None)


def _without_state(request: Request, ledger: Ledger, marks: frozenset[str] | None) -> Request:
    """Return the request with thinking that belongs to nobody: a codec leaves it out, and says so.

    ``marks`` names the thinking that was refused; None is all without a signature. A message that
    held nothing else is left out here.
    """
    kept: list[Message] = []
    for message in request.messages:
        refused = [part for part in message.parts if _is_refused(part, marks)]
        if refused and len(refused) == len(message.parts):
            ledger.lose_value(message, "dropped", "thinking that the server refuses, and no more")
        elif refused:
            gone = {id(part) for part in refused}
            parts = (ledger.change(p, opaque=()) if id(p) in gone else p for p in message.parts)
            kept.append(ledger.change(message, parts=tuple(parts)))
        else:
            kept.append(message)
    return with_messages(request, kept)


def _is_refused(part: Part, marks: frozenset[str] | None) -> bool:
    if not isinstance(part, ThinkingPart):
        return False
    states = [state for state in _states(part) if state]
    if marks is None:
        return not states and all(item.dialect == "anthropic" for item in part.opaque)
    return any(_mark(state) in marks for state in states) or (not states and _mark("") in marks)


def _without_fields(
    request: Request, target: Target, remedy: Remedy, ledger: Ledger
) -> tuple[Request, Target]:
    """Return both without a field, and its beta; or without betas, and their fields.

    One is nothing without the other.
    """
    if remedy.name == _FIELD:
        fields = {remedy.word}
        betas = tuple(_BETAS[field] for field in fields & _BETAS.keys())
    else:
        betas = tuple(remedy.word.split(","))
        fields = {
            field
            for field, start in _BETAS.items()
            if any(beta.startswith(start) for beta in betas)
        }
    target = replace(target, refuses=target.refuses | fields)
    return (_without_betas(request, betas, ledger) if betas else request), target


def _without_betas(request: Request, betas: tuple[str, ...], ledger: Ledger) -> Request:
    opaque = tuple(
        Opaque(item.dialect, item.kind, _fewer_betas(item.data, betas), item.origin)
        if _are_headers(item)
        else item
        for item in request.opaque
    )
    if opaque == request.opaque:
        return request
    gone = ", ".join(betas)
    ledger.lose("headers.anthropic-beta", "dropped", f"the server refuses what {gone} asks for")
    return replace(request, opaque=opaque)


def _are_headers(item: Opaque) -> bool:
    return item.dialect == "anthropic" and item.kind == "headers"


def _has_beta(request: Request, field: str) -> bool:
    named = (str(i.data.get(_HEADER, "")) for i in request.opaque if _are_headers(i))
    return any(name.startswith(_BETAS[field]) for names in named for name in _names(names))


_HEADER = "anthropic-beta"


def _names(header: str) -> list[str]:
    return [name for part in header.split(",") if (name := part.strip())]


def _fewer_betas(headers: JsonObject, betas: tuple[str, ...]) -> JsonObject:
    """Return the headers without betas: see ``_is_one_of``."""
    kept = [name for name in _names(str(headers.get(_HEADER, ""))) if not _is_one_of(name, betas)]
    others = {name: value for name, value in headers.items() if name != _HEADER}
    return {**others, _HEADER: ",".join(kept)} if kept else others


def _is_one_of(name: str, betas: tuple[str, ...]) -> bool:
    """Tell whether a beta is one of those named, or a release of one: its name without a date."""
    return name in betas or name.startswith(tuple(beta for beta in betas if beta.endswith("-")))


# Bodies that nobody parsed


def touches(remedy: Remedy, body: JsonObject, betas: str = "") -> bool:
    """Tell whether a remedy changes a body of the server's own dialect.

    ``betas`` is the request's ``anthropic-beta``. The name of the limits field changes nothing that
    needs a codec, and counts as untouched.
    """
    if remedy.name == _BETA:
        refused = tuple(remedy.word.split(","))
        return any(_is_one_of(name, refused) for name in _names(betas))
    if remedy.name == _STATE:
        return any(_mark(str(_wire_state(b) or "")) in remedy.marks for b in _thinking_blocks(body))
    if remedy == _UNSIGNED:
        return any(not _wire_state(block) for block in _thinking_blocks(body))
    if remedy == _ADAPTIVE:
        thinking = body.get("thinking")
        return isinstance(thinking, dict) and thinking.get("type") == "enabled"
    if remedy == _BLANKS:
        return any(_is_blank(content) for content in _contents(body))
    if remedy == _ONE_SAMPLING_FIELD:
        return {"temperature", "top_p"} <= body.keys()
    return remedy.name == _FIELD and remedy.word in body


def _contents(body: JsonObject) -> Iterator[Any]:
    """Yield the system prompt's blocks, and the content of each message."""
    system = body.get("system")
    yield system if isinstance(system, list) else True
    messages = body.get("messages")
    for message in messages if isinstance(messages, list) else ():
        yield message.get("content") if isinstance(message, dict) else True


def _blocks(content: Any) -> Iterator[JsonObject]:
    if isinstance(content, list):
        yield from (block for block in content if isinstance(block, dict))


def _thinking_blocks(body: JsonObject) -> Iterator[JsonObject]:
    for content in _contents(body):
        for block in _blocks(content):
            if block.get("type") in ("thinking", "redacted_thinking"):
                yield block


def _wire_state(block: JsonObject) -> Any:
    return block.get("signature" if block["type"] == "thinking" else "data")


def _is_blank(content: Any) -> bool:
    """Tell of a message's content, or a block of it, that it is refused as saying nothing."""
    if isinstance(content, str):
        return not content.strip()
    return content == [] or any(
        _is_blank(block.get("text", True)) or _is_blank(_inner(block)) for block in _blocks(content)
    )


def _inner(block: JsonObject) -> Any:
    """Return the blocks of a tool's result: it may be empty, and a block in it may not."""
    content = block.get("content") if block.get("type") == "tool_result" else None
    return content if isinstance(content, list) and content else True
