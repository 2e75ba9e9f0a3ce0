"""Chat Completions answers: the upstream's to canonical, and canonical to what a client expects.

The first choice is the answer. ``choices[1:]`` (a request with ``n``) belong to this dialect alone.
"""

from __future__ import annotations

from ...errors import ProtocolError, RequestError
from ...types import (
    NOT_REPORTED,
    AudioPart,
    CitationPart,
    Json,
    JsonObject,
    Message,
    Opaque,
    OpaquePart,
    Part,
    RefusalPart,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    TokenLogprob,
    ToolCallPart,
    Usage,
)
from .. import media
from ..base import Loss, Losses, Rendered, Stamp, Target
from ..custom_tools import custom_tools
from ..fields import Fields, report_foreign
from ..names import WireNames, wire_names
from ..places import FIRST, after
from .assistant import (
    AUDIO,
    Minting,
    call_stem,
    foreign_state,
    is_call,
    own_details,
    render_annotation,
    report_opaque,
    sealed_detail,
    take_assistant,
    text_spans,
    thinking_field,
)
from .counts import parse_logprobs, parse_usage, render_logprobs, render_usage
from .errors import error_in_body
from .parts import PartRenderer, spelled_content
from .requests import REQUEST
from .tools import EXTRA, as_custom, extra_state, is_legacy, render_call, render_called, says_legacy
from .wire import FINISH_LOSSES, NAME, Shape, finish_of, finish_word, said_finish

ID_PREFIX = "chatcmpl-"

RESPONSE = Shape(
    "response",
    ("id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint"),
    {"object": "chat.completion"},
)
CHOICE = Shape(
    "choice", ("index", "message", "logprobs", "finish_reason"), {"index": 0, "logprobs": None}
)
LOGPROBS = Shape("logprobs", ("content", "refusal"), {"refusal": None})
ANSWER = Shape(
    "message",
    (
        "role",
        "content",
        "reasoning_content",
        "reasoning",
        "reasoning_details",
        "refusal",
        "annotations",
        "audio",
        "function_call",
        "tool_calls",
    ),
    {"role": "assistant", "refusal": None, "annotations": []},
)
_NAMES = WireNames()


def parse_response(body: Json, request: Request, target: Target) -> Response:
    """Return the answer; ApiError for an error in a body, ProtocolError names what is malformed."""
    if body.__class__ is list or (body.__class__ is dict and not body.get("choices")):
        error = error_in_body(body)
        if error is not None:
            try:
                raise error
            finally:
                del error  # Its traceback holds this frame.
    try:
        return _parse(body, request, target)
    except RequestError as error:
        raise ProtocolError(f"malformed answer: {error}") from error
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"malformed answer: {error}") from error


def _parse(body: Json, request: Request, target: Target) -> Response:
    fields = Fields(body, "")
    choices = fields.array("choices")
    if not choices:
        raise fields.missing("choices", "a list with a choice in it")
    id = fields.text("id")
    notes: JsonObject = {}
    if id is not None and not id.startswith(ID_PREFIX):
        notes["own_id"] = True
    place = _own_place(choices)
    if choices[1:]:
        fields.rest["choices"] = [*choices[:place], *choices[place + 1 :]]
        if place:
            notes["place"] = place
    stem = call_stem(id)
    minting = Minting(stem, f"{stem}0")
    names = wire_names(request, target)
    choice = _Choice(choices[place], request, minting, names, target.origin)
    usage = _take_usage(fields)
    model, created = fields.text("model"), fields.integer("created")
    tier = fields.text("service_tier")
    opaque = (*RESPONSE.keep(fields, body, notes), *choice.opaque)
    return Response(
        id,
        target.model or request.model if model is None else model,
        choice.message,
        choice.finish,
        usage,
        created,
        choice.stop_sequence,
        tier,
        choice.logprobs,
        opaque,
    )


def _own_place(choices: list[Json]) -> int:
    """Return which choice is the answer: the one with index 0, wherever it stands."""
    indexes = [choice.get("index") if choice.__class__ is dict else None for choice in choices]
    return indexes.index(0) if 0 in indexes else 0


def _take_usage(fields: Fields) -> Usage:
    wire = fields.rest.get("usage")
    if wire.__class__ is not dict:
        return NOT_REPORTED
    del fields.rest["usage"]
    return parse_usage(wire, "usage")


class _Choice:
    """The first choice, parsed."""

    def __init__(
        self,
        wire: Json,
        request: Request,
        minting: Minting,
        names: WireNames,
        origin: str | None,
    ) -> None:
        fields = Fields(wire, "choices[0]")
        self._notes: JsonObject = {}
        self.message = self._message(fields.any("message"), request, minting, names, origin)
        self.logprobs: tuple[TokenLogprob, ...] | None = None
        kept: tuple[Opaque, ...] = ()
        logprobs = fields.rest.get("logprobs")
        if logprobs.__class__ is dict and logprobs.get("content").__class__ is list:
            del fields.rest["logprobs"]
            inner = Fields(logprobs, fields.at("logprobs"))
            listed = inner.array("content") or []
            self.logprobs = parse_logprobs(listed, inner.at("content"))
            kept = LOGPROBS.keep(inner, logprobs)
        self.finish, self.stop_sequence = self._finish(fields)
        self.opaque = (*CHOICE.keep(fields, wire, self._notes), *kept)

    def _message(
        self,
        wire: Json,
        request: Request,
        minting: Minting,
        names: WireNames,
        origin: str | None,
    ) -> Message:
        fields = Fields(wire, "choices[0].message")
        taken = take_assistant(fields, names, minting, answer=True, origin=origin)
        custom = custom_tools(request)
        parts = tuple(_with_format(as_custom(p, custom), request) for p in taken.parts)
        return Message("assistant", parts, opaque=ANSWER.keep(fields, wire, taken.notes))

    def _finish(self, fields: Fields) -> tuple[str | None, str | None]:
        word = fields.rest.pop("finish_reason", None)
        finish, sequence = finish_of(word), None
        if finish == "stop" and isinstance(fields.rest.get("stop_reason"), str):
            # vLLM tells which stop string came.
            finish, sequence = "stop_sequence", fields.text("stop_reason")
        calls = [part for part in self.message.parts if is_call(part)]
        legacy = any(isinstance(part, ToolCallPart) and says_legacy(part) for part in calls)
        natural = finish_word(finish, called=bool(calls), legacy=legacy)
        if word != natural or sequence is not None:
            self._notes["finish"] = word
        return finish, sequence


def _with_format(part: Part, request: Request) -> Part:
    """Give spoken audio the media type that the request asked for."""
    if not isinstance(part, AudioPart) or part.data is None:
        return part
    return AudioPart(audio_type(request), part.data, transcript=part.transcript, opaque=part.opaque)


def audio_type(request: Request) -> str | None:
    """Return the media type of the answer's audio: the request's ``audio.format``."""
    wanted = REQUEST.rest(request.opaque).get("audio")
    word = wanted.get("format") if isinstance(wanted, dict) else None
    return media.audio_media_type(word) if isinstance(word, str) else None


def render_response(response: Response, request: Request, stamp: Stamp) -> Rendered:
    """Return a ``chat.completion`` for the client that sent ``request``."""
    losses: Losses = []
    report_foreign(response.opaque, NAME, "", losses)
    message = _AnswerRenderer(response, request, stamp, losses).render()
    choice: JsonObject = {"message": message}
    if response.logprobs is not None:
        content = render_logprobs(response.logprobs, "logprobs", losses)
        choice["logprobs"] = LOGPROBS.fill({"content": content}, response.opaque)
    choice["finish_reason"] = _finish(response, request, message, choice, losses)
    out: JsonObject = {
        "id": answer_id(response.id, stamp, RESPONSE.note(response.opaque, "own_id") is True),
        "created": stamp.created if response.created is None else response.created,
        "model": stamp.model or response.model,
        "choices": _among_others(CHOICE.fill(choice, response.opaque), response),
    }
    if response.usage != NOT_REPORTED:
        out["usage"] = render_usage(response.usage, stamp, losses)
    tier = rendered_tier(response.service_tier, losses)
    if tier is not None:
        out["service_tier"] = tier
    return Rendered(RESPONSE.fill(out, response.opaque), tuple(losses))


def answer_id(id: str | None, stamp: Stamp, own: bool) -> str:
    """Keep the upstream's id where it is one of this dialect, else give the stamp's."""
    if id and (own or id.startswith(ID_PREFIX)):
        return id
    return stamp.id if stamp.id.startswith(ID_PREFIX) else f"{ID_PREFIX}{stamp.id}"


def rendered_tier(tier: str | None, losses: Losses) -> str | None:
    if tier != "standard":
        return tier
    losses.append(Loss("service_tier", "substituted", "Chat says default for standard"))
    return "default"


def _among_others(choice: JsonObject, response: Response) -> list[JsonObject]:
    others: list[JsonObject] = list(RESPONSE.rest(response.opaque).get("choices", ()))
    others.insert(RESPONSE.note(response.opaque, "place") or 0, choice)
    return others


def _finish(
    response: Response, request: Request, message: JsonObject, choice: JsonObject, losses: Losses
) -> str | None:
    note = next((o.data for o in response.opaque if o.kind == "choice" and o.dialect == NAME), None)
    said = said_finish(note, response.finish)
    if said is not None:
        if response.stop_sequence is not None:
            choice["stop_reason"] = response.stop_sequence
        return said[0]
    if response.finish in FINISH_LOSSES:
        losses.append(Loss("finish", "substituted", FINISH_LOSSES[response.finish]))
    if response.stop_sequence is not None:
        losses.append(Loss("stop_sequence", "dropped", FINISH_LOSSES["stop_sequence"]))
    legacy = message.get("function_call") is not None
    called = legacy or bool(message.get("tool_calls"))
    word = finish_word(response.finish, called=called, legacy=legacy)
    if finish_of(word) != response.finish and response.finish not in FINISH_LOSSES:
        losses.append(Loss("finish", "substituted", f"an answer of these parts ends with {word}"))
    return word


class _AnswerRenderer:
    """The message of an answer: parts to the keys of ``choices[0].message``."""

    def __init__(self, response: Response, request: Request, stamp: Stamp, losses: Losses) -> None:
        self._message = response.message
        self._legacy = is_legacy(request)
        self._audio_type = audio_type(request)
        self._stamp = stamp
        self._losses = losses
        self._parts = PartRenderer(Target(), losses)
        self._out: JsonObject = {}
        self._content: list[JsonObject] = []
        self._spans = text_spans(response.message.parts)
        #: What of the answer's text and calls stands before the part at hand.
        self._place = FIRST

    def _lose(self, path: str, action: str, reason: str) -> None:
        self._losses.append(Loss(path, action, reason))

    def render(self) -> JsonObject:
        message = self._message
        report_foreign(message.opaque, NAME, "message", self._losses)
        if message.role != "assistant":
            self._lose("message.role", "substituted", "an answer is the assistant's")
        if message.name is not None:
            self._lose("message.name", "dropped", "an answer has no name")
        for i, part in enumerate(message.parts):
            self._part(part, i, f"message.parts[{i}]")
            self._place = after(self._place, part)
        spelling = ANSWER.note(message.opaque, "content")
        if spelling == "list" or not self._joinable():
            spelled_content(self._out, self._content, "list", "null")
        else:
            text = "".join(part["text"] for part in self._content)
            joined = [{"type": "text", "text": text}] if self._content else []
            spelled_content(self._out, joined, spelling, "null")
        if ANSWER.note(message.opaque, "empty") and "tool_calls" not in self._out:
            self._out["tool_calls"] = []
        return ANSWER.fill(self._out, message.opaque)

    def _joinable(self) -> bool:
        return all(list(part) == ["type", "text"] for part in self._content)

    def _part(self, part: Part, index: int, path: str) -> None:
        out = self._out
        match part:
            case ThinkingPart():
                self._thinking(part, path)
            case TextPart():
                self._text(part, path)
            case CitationPart():
                self._citation(part, index, path)
            case RefusalPart():
                self._unmarked(part, path)
                out["refusal"] = out.get("refusal", "") + part.text
            case AudioPart():
                self._unmarked(part, path)
                self._audio(part, path)
            case ToolCallPart():
                self._call(part, path)
            case OpaquePart() if is_call(part):
                out.setdefault("tool_calls", []).append(part.content.data["rest"])
            case OpaquePart() if part.content.dialect == NAME:
                self._content.append(part.content.data["rest"])
            case _:
                self._lose(path, "dropped", f"a Chat answer has no {part.type}")

    def _unmarked(self, part: Part, path: str, carried: tuple[Opaque, ...] = ()) -> None:
        report_opaque(part, path, self._losses, carried)
        if part.cache is not None:
            self._lose(f"{path}.cache", "dropped", "an answer has no cache marks")

    def _thinking(self, part: ThinkingPart, path: str) -> None:
        carried = foreign_state(part.opaque)
        own = own_details(part.opaque)
        if own is not None:
            self._out.setdefault("reasoning_details", []).extend(own.data["details"])
        for state in carried:
            details = self._out.setdefault("reasoning_details", [])
            details.append(sealed_detail(part.text, state, len(details), self._place))
        extra = extra_state(part.opaque)
        if extra is not None:
            self._out[EXTRA] = extra.data[EXTRA]
        if not part.text:
            if not carried and own is None and extra is None:
                self._lose(path, "dropped", "Chat has no hidden reasoning")
            return
        self._unmarked(part, path, carried)
        name, out = thinking_field(part) or "reasoning_content", self._out
        if name in out:
            self._lose(path, "substituted", "Chat has one reasoning text; joined")
        out[name] = f"{out[name]}\n{part.text}" if name in out else part.text

    def _text(self, part: TextPart, path: str) -> None:
        rendered = self._parts.render(part, path)
        if rendered is None:
            return
        if self._content and ANSWER.note(self._message.opaque, "content") != "list":
            self._lose(path, "substituted", "Chat has one text; joined")
        if "tool_calls" in self._out or "function_call" in self._out:
            self._lose(path, "substituted", "Chat says all text before the calls")
        self._content.append(rendered)

    def _citation(self, part: CitationPart, index: int, path: str) -> None:
        start, end = self._spans[index]
        if ANSWER.note(self._message.opaque, "content") == "list":
            # The upstream did not join its texts, and counted in whatever it counted in.
            start = 0
        rendered = render_annotation(part, start, end)
        self._unmarked(part, path)
        if rendered is None:
            self._lose(path, "dropped", "Chat cites addresses only")
            return
        if part.text is not None:
            self._lose(f"{path}.text", "dropped", "Chat does not quote what it cites")
        own = any(item.dialect == NAME for item in part.opaque)
        if start or (None in (part.start, part.end) and not own):
            self._lose(f"{path}.start", "substituted", "Chat counts in the whole text")
            self._lose(f"{path}.end", "substituted", "Chat counts in the whole text")
        self._out.setdefault("annotations", []).append(rendered)

    def _audio(self, part: AudioPart, path: str) -> None:
        if part.data is None or "audio" in self._out:
            self._lose(path, "dropped", "a Chat answer holds one audio, as data")
            return
        if part.media_type not in (None, self._audio_type):
            self._lose(
                f"{path}.media_type", "dropped", "Chat answers sound in the format that was asked"
            )
        out: JsonObject = {"data": part.data, "transcript": part.transcript or ""}
        rest = AUDIO.rest(part.opaque)
        if "id" not in rest:
            out["id"] = f"audio_{self._stamp.id}"
        if "expires_at" not in rest:
            out["expires_at"] = self._stamp.created
        self._out["audio"] = AUDIO.fill(out, part.opaque)

    def _call(self, part: ToolCallPart, path: str) -> None:
        self._unmarked(part, path)
        if part.namespace is not None:
            self._lose(f"{path}.namespace", "dropped", "Chat has no namespaces")
        if says_legacy(part) or (self._legacy and "function_call" not in self._out):
            self._out["function_call"] = render_called(part, _NAMES)
            return
        call = render_call(part, part.id, _NAMES, extra_state(part.opaque))
        self._out.setdefault("tool_calls", []).append(call)
