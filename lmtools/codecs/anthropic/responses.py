"""Whole answers of the Messages API, both ways.

::

    {"id": "msg_...", "type": "message", "role": "assistant", "model": "claude-...",
     "content": [blocks], "stop_reason": "end_turn", "stop_sequence": null, "stop_details": null,
     "usage": {...}}

Every one of these keys goes to a client, null or not: its SDK reads them without asking. What else
an answer holds (``container``, ``context_management`` ...) stays in the response's Opaque of kind
``message``. The API says no time of creation; a foreign one is not carried.
"""

from __future__ import annotations

from ...errors import ProtocolError, RequestError
from ...types import Json, JsonObject, Message, Opaque, Request, Response, ToolCallPart, Usage
from ..base import Loss, Rendered, Stamp, Target
from ..custom_tools import custom_tools
from ..fields import Fields, report_foreign, restore
from ..names import wire_names
from .content import parse_blocks
from .errors import error_in_body
from .parts import Rendering, render_blocks
from .spelling import NAME, Reading, data_of, kept_key
from .usage import absent_keys, parse_stop_reason, parse_usage, render_stop_reason, render_usage

MESSAGE_KEYS = (
    "id",
    "type",
    "role",
    "model",
    "content",
    "stop_reason",
    "stop_sequence",
    "stop_details",
    "usage",
)
#: Keys that an answer may lack and a client still finds; an answer that lacked them is given as it
#: was.
NULLABLE_KEYS = ("stop_reason", "stop_sequence", "stop_details", "usage")
ID_PREFIX = "msg_"


def reading_for(request: Request, target: Target) -> Reading:
    """Return what parsing an answer to ``request`` needs to know."""
    return Reading(target.origin, wire_names(request, target), custom_tools(request), answer=True)


def parse_response(body: Json, request: Request, target: Target) -> Response:
    """Return the answer; the ApiError of an error body, ProtocolError for what is no answer."""
    error = error_in_body(body)
    if error is not None:
        try:
            raise error
        finally:
            del error  # Its traceback holds this frame.
    try:
        return _parse(Fields(body, ""), request, target)
    except RequestError as error:
        raise ProtocolError(f"anthropic: not an answer: {error}") from error


def _parse(fields: Fields, request: Request, target: Target) -> Response:
    notes = absent_keys(fields, NULLABLE_KEYS)
    take_constants(fields)
    id, model = fields.text("id"), fields.text("model")
    content = fields.array("content")
    if content is None:
        raise fields.missing("content", "a list of blocks")
    parts = parse_blocks(content, "content", reading_for(request, target))
    has_calls = any(isinstance(part, ToolCallPart) for part in parts)
    finish, stop_note = parse_stop_reason(fields, has_calls)
    stop_sequence = fields.text("stop_sequence")
    take_nulls(fields)
    usage, tier = Usage(), None
    counts = fields.object("usage")
    if counts is not None:
        usage, tier = parse_usage(counts, "usage")
    return Response(
        id=id,
        model=request.model if model is None else model,
        message=Message("assistant", tuple(parts)),
        finish=finish,
        usage=usage,
        stop_sequence=stop_sequence,
        service_tier=tier,
        opaque=fields.kept(NAME, "message", MESSAGE_KEYS, notes | stop_note),
    )


def take_constants(fields: Fields) -> None:
    """Take the words that every message holds."""
    if fields.rest.get("type") == "message":
        del fields.rest["type"]
    if fields.rest.get("role") == "assistant":
        del fields.rest["role"]


def take_nulls(fields: Fields) -> None:
    """Take the nulls that the codec writes by itself."""
    for key in ("stop_sequence", "stop_details"):
        if fields.rest.get(key, "") is None:
            del fields.rest[key]


#: Clients take a message without a block for one that is broken. Nothing can stand in an empty one.
NO_CONTENT = Loss("message.parts", "defaulted", "the provider answered nothing; sent an empty text")


def render_response(response: Response, request: Request, stamp: Stamp) -> Rendered:
    to = Rendering(answer=True)
    content = render_blocks(response.message.parts, "message.parts", to)
    has_calls = any(isinstance(part, ToolCallPart) for part in response.message.parts)
    opaque = response.opaque
    out = message_head(response.id, stamp)
    if not content and stamp.foreign:
        to.losses.append(NO_CONTENT)
        content = [{"type": "text", "text": ""}]
    out["content"] = content
    out["stop_reason"] = render_stop_reason(
        response.finish, opaque, _kind_of_end(opaque), has_calls, to
    )
    out["stop_sequence"] = response.stop_sequence
    out["stop_details"] = None
    out["usage"] = _usage(response, stamp, to)
    _report_unsaid(response, to)
    return Rendered(
        restore_message(out, opaque, ("message", "end", "message_delta")), tuple(to.losses)
    )


def _usage(response: Response, stamp: Stamp, to: Rendering) -> JsonObject | None:
    is_absent = "usage" in data_of(response.opaque, "message").get("absent", ())
    if is_absent and response.usage == Usage():
        return None
    return render_usage(response.usage, response.service_tier, stamp.input_tokens, to)


def _kind_of_end(opaque: tuple[Opaque, ...]) -> str:
    """An answer assembled from a stream keeps what hides its stop reason in the end's data."""
    return "end" if data_of(opaque, "end") else "message"


def message_head(id: str | None, stamp: Stamp) -> JsonObject:
    """Return the first keys of a message: an id of ours is kept, the client's model shown."""
    own = id if id is not None and id.startswith(ID_PREFIX) else stamp.id
    if not own.startswith(ID_PREFIX):
        own = ID_PREFIX + own
    return {"id": own, "type": "message", "role": "assistant", "model": stamp.model}


def restore_message(
    out: JsonObject, opaque: tuple[Opaque, ...], kinds: tuple[str, ...]
) -> JsonObject:
    """Return a message as the wire had it: without the keys it lacked, with those nobody took."""
    if not any(item.dialect == NAME for item in opaque):
        return out
    absent = data_of(opaque, kinds[0]).get("absent", ())
    for key in tuple(out):
        is_unsaid = key in absent and not out[key]
        # The stop reason was looked up already; the rest may hold one that the finish has
        # overruled.
        is_kept = key != "stop_reason" and any(kept_key(opaque, kind, key) for kind in kinds)
        if is_unsaid or is_kept:
            del out[key]
    for kind in kinds:
        out = restore(out, opaque, NAME, kind)
    return out


def _report_unsaid(response: Response, to: Rendering) -> None:
    if response.logprobs is not None:
        to.lose("logprobs", "dropped", "anthropic gives no token probabilities")
    report_foreign(response.message.opaque, NAME, "message", to.losses)
    report_foreign(response.opaque, NAME, "", to.losses)
