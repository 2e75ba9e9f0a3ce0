"""Chat's stream, read: chunks to events.

A chunk may say several things at once, or nothing. What differs between servers:

* Azure and Argo open with a chunk without choices: the start is the first chunk that has one.
* Usage comes before, with or after the finish reason, so the end waits for ``[DONE]`` or the end of
  input. Several servers never send ``[DONE]``: a finish reason makes the answer whole.
* Calls are told apart by index and by id. Servers leave out the index, repeat the id and the name
  in every chunk, send the id last, or send whole arguments at once. A call starts when both its id
  and its name are known; what comes earlier waits.
* ``[DONE]`` with no content and no reason before it ends no answer: it is a cut.
* A last frame that is no JSON is a cut. One in the middle is a breach of protocol; so the verdict
  on such a frame waits for what follows it.

Keys that nobody takes stay with the frame (``wire``): ``rest`` of the chunk, ``choice``, ``delta``
and ``logprobs`` of the objects in it. Those of a call belong to the call.
"""

from __future__ import annotations

from ...errors import ProtocolError, RequestError
from ...sse import SSEEvent
from ...types import (
    AudioDelta,
    CitationDelta,
    End,
    Event,
    Json,
    JsonObject,
    Opaque,
    OpaqueDelta,
    RefusalDelta,
    Request,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from ..base import Losses, Target
from ..custom_tools import custom_tools
from ..learned import Place, Repeats
from ..names import wire_names
from ..text import loads
from .assistant import REASONING_FIELDS, details_state, parse_annotation
from .calls import Calls, PartNumbers
from .counts import parse_logprobs, parse_usage
from .errors import error_in_chunk
from .responses import ID_PREFIX, audio_type
from .tools import take_state
from .wire import DETAILS, NAME, finish_of, finish_word

Wire = tuple[Opaque, ...]

#: OpenAI hides the length of each fragment by a string of any length at the top of the chunk.
_PADDING = "obfuscation"


_NOTHING = StreamError("truncated", "the stream ended with no content and no reason for its end")


def _delta(chunk: Json) -> JsonObject:
    (choice,) = chunk["choices"]
    delta: JsonObject = choice["delta"]
    return delta


def _arguments(chunk: Json) -> Json:
    (call,) = _delta(chunk)["tool_calls"]
    # Without an index the arguments themselves decide which call they belong to.
    return call["function"]["arguments"] if call["index"].__class__ is int else None


def _at(key: str) -> tuple[str, Place]:
    return key, lambda chunk: _delta(chunk)[key]


#: Where the text of an event stands. What the decoder remembers of such a chunk may not
#: depend on that text, since ``Repeats`` may read the next one.
_PLACES: dict[type, tuple[tuple[str, Place], ...]] = {
    TextDelta: (_at("content"),),
    ThinkingDelta: tuple(map(_at, REASONING_FIELDS)),
    ToolCallDelta: (("arguments", _arguments),),
}


def stream_decoder(request: Request, target: Target) -> Decoder:
    return Decoder(request, target)


class Decoder:
    """One answer's frames to events; see the module for the rules."""

    def __init__(self, request: Request, target: Target) -> None:
        self.losses: Losses = []
        self._request = request
        self._model = target.model or request.model
        self._done = False
        self._started = False
        self._broken: str | None = None
        self._id: str | None = None
        self._preamble: list[JsonObject] = []
        self._parts: dict[str, int] = {}
        self._numbers = PartNumbers()
        self._named_reasoning = False
        names, custom = wire_names(request, target), custom_tools(request)
        self._origin = target.origin
        self._details: list[Json] = []
        self._calls = Calls(names, custom, self._numbers.new, target.origin)
        self._several = (request.n or 1) > 1
        self._finished = False
        self._finish_word: Json = None
        self._stop_sequence: str | None = None
        self._usage: JsonObject | None = None
        self._tier: str | None = None
        self._finish_wire: Wire = ()
        self._usage_wire: Wire = ()
        self._repeats = Repeats(_PLACES, _PADDING)

    def decode(self, frame: SSEEvent) -> list[Event]:
        if self._done:
            return []
        again = self._repeats.event(frame)
        if again is not None:
            return [again]
        data = frame.data
        if not data or data.isspace():
            return []
        if self._broken is not None and not self._finished:
            return self._fail(StreamError("protocol", f"a frame of the stream is {self._broken}"))
        if data[0] != "{" and data.strip() == "[DONE]":
            return self._end()
        try:
            chunk = loads(data)
            if chunk.__class__ is not dict:
                raise ProtocolError("no JSON object")
        except ProtocolError as error:
            self._broken = str(error)
            return []
        if frame.event == "error" or chunk.get("error"):
            return self._error(chunk)
        try:
            events = self._chunk(chunk)
            if DETAILS not in data:
                # Reasoning state comes in fragments, of which two alike are two.
                self._repeats.learn(frame, events)
            return events
        except (RequestError, ProtocolError, TypeError, ValueError) as error:
            return self._fail(StreamError("protocol", f"malformed chunk: {error}"))

    def close(self) -> list[Event]:
        if self._done:
            return []
        if self._finished:
            return self._end()
        return self._fail(StreamError("truncated", "the stream ended before the answer was whole"))

    # The ends

    def _fail(self, error: StreamError) -> list[Event]:
        self._done = True
        return [error]

    def _error(self, chunk: JsonObject) -> list[Event]:
        error = error_in_chunk(chunk)
        if error is None:
            error = StreamError("provider", "the server gave an error event without an error")
        return self._fail(error)

    def _end(self) -> list[Event]:
        self._done = True
        if self._is_nothing():
            return self._fail(_NOTHING)
        events: list[Event] = [] if self._started else [self._start({}, ())]
        try:
            events += self._calls.flush()
        except ProtocolError as error:
            return self._fail(StreamError(error.code, error.message))
        if self._details:
            events.append(self._state())
        word = self._finish_word
        if word is None:
            # [DONE] without a reason: the server says that it is done, and no more.
            word = finish_word(None, called=self._calls.any, legacy=self._calls.legacy)
        finish = "stop_sequence" if self._stop_sequence is not None else finish_of(word)
        natural = finish_word(finish, called=self._calls.any, legacy=self._calls.legacy)
        opaque: Wire = ()
        if word != natural or self._stop_sequence is not None:
            opaque = (Opaque(NAME, "choice", {"finish": word}),)
        usage = Usage() if self._usage is None else parse_usage(self._usage, "usage")
        end = End(
            finish,
            usage,
            self._stop_sequence,
            self._tier,
            opaque,
            self._finish_wire + self._usage_wire,
        )
        return [*events, end]

    def _is_nothing(self) -> bool:
        """Tell whether neither content nor a reason came: a backend failed behind the server."""
        said = self._numbers.given or self._calls.any or self._details
        return not self._finished and not said

    # Chunks

    def _chunk(self, chunk: JsonObject) -> list[Event]:
        choices = chunk.pop("choices", None)
        head = (chunk.pop("id", None), chunk.pop("model", None), chunk.pop("created", None))
        chunk.pop("object", None)
        tier = chunk.pop("service_tier", None)
        if tier.__class__ is str:
            self._tier = tier
        usage = chunk.pop("usage", None)
        if usage.__class__ is dict:
            self._usage = usage
        if not choices:
            return self._bare_chunk(chunk, counted=usage.__class__ is dict)
        if choices.__class__ is not list:
            raise ProtocolError("choices is no list")
        choice, others = self._own_choice(choices)
        if others:
            chunk["choices"] = others
        started = self._started
        if choice is None:
            events: list[Event] = [OpaqueDelta(Opaque(NAME, "chunk", {"rest": chunk}))]
            return events if started else [self._start(_known(head), ()), *events]
        return self._choice(chunk, choice, None if started else _known(head))

    def _bare_chunk(self, chunk: JsonObject, *, counted: bool) -> list[Event]:
        """A chunk without choices: the usage, or a remark of the server."""
        if counted:
            if chunk:
                self._usage_wire = (Opaque(NAME, "usage_chunk", {"rest": chunk}),)
        elif not self._started:
            if _says(chunk):
                self._preamble.append(chunk)
        elif _says(chunk):
            return [OpaqueDelta(Opaque(NAME, "chunk", {"rest": chunk}))]
        return []

    def _own_choice(self, choices: list[Json]) -> tuple[JsonObject | None, list[JsonObject]]:
        """Return the choice that is the answer, and those that only this dialect knows."""
        own, others = None, []
        for choice in choices:
            if choice.__class__ is not dict:
                raise ProtocolError("a choice is no object")
            if not isinstance(choice.get("index"), (int, type(None))):
                raise ProtocolError("a choice's index is no number")
            if not isinstance(choice.get("delta"), (dict, type(None))):
                raise ProtocolError("delta is no object")
            if own is None and (not choice.get("index") or not self._several):
                own = choice
            else:
                others.append(choice)
        return own, others

    def _start(self, head: JsonObject, wire: Wire) -> Start:
        self._started = True
        id = head.get("id")
        self._id = id
        self._calls.name_after(id)
        opaque: Wire = ()
        if id is not None and not id.startswith(ID_PREFIX):
            opaque = (Opaque(NAME, "response", {"own_id": True}),)
        if self._preamble:
            wire += (Opaque(NAME, "preamble", {"chunks": self._preamble}),)
        return Start(
            id,
            head.get("model") or self._model,
            head.get("created"),
            service_tier=self._tier,
            opaque=opaque,
            wire=wire,
        )

    def _choice(
        self, chunk: JsonObject, choice: JsonObject, head: JsonObject | None
    ) -> list[Event]:
        choice.pop("index", None)
        # A server that does not stream may answer with one chunk that holds the whole message.
        delta = choice.pop("delta", None) or _taken(choice, "message", dict) or {}
        reason = choice.pop("finish_reason", None)
        logprobs = choice.pop("logprobs", None)
        tokens: tuple[TokenLogprob, ...] = ()
        if logprobs.__class__ is dict and logprobs.get("content"):
            tokens = parse_logprobs(logprobs.pop("content"), "choices[0].logprobs.content")
        start = None if head is None else self._start(head, ())
        events = self._said(delta, tokens)
        if reason:
            self._take_finish(reason, choice)
        wire = (*self._state_frame(delta), *_frame(chunk, choice, delta, logprobs))
        if start is not None:
            return [_with_wire(start, wire + start.wire), *events]
        return self._placed(events, wire, finished=bool(reason))

    def _placed(self, events: list[Event], wire: Wire, *, finished: bool) -> list[Event]:
        """Give what is left of the frame to one of its events, or to an event of its own."""
        if not wire:
            return events
        if events and not isinstance(events[0], OpaqueDelta):
            return [_with_wire(events[0], wire), *events[1:]]
        if finished and not self._finish_wire:
            self._finish_wire = wire
            return events
        told = (item for item in wire if any(_says(held) for held in item.data.values()))
        return [*map(OpaqueDelta, told), *events]

    def _take_finish(self, reason: Json, choice: JsonObject) -> None:
        self._finished = True
        self._finish_word = reason
        if reason == "stop" and choice.get("stop_reason").__class__ is str:
            # vLLM tells which stop string came.
            self._stop_sequence = choice.pop("stop_reason")

    # Deltas

    def _said(self, delta: JsonObject, tokens: tuple[TokenLogprob, ...]) -> list[Event]:
        """Take what a delta says, in the order in which it stands in a message."""
        events: list[Event] = []
        delta.pop("role", None)
        content = delta.pop("content", None)
        if delta:
            self._reasoning(delta, events)
            self._keep_details(delta)
            if state := take_state(delta, self._origin):
                events.append(ThinkingDelta(self._numbers.new(), "", state))
        if self._details and (content or "tool_calls" in delta):
            events.append(self._state())
        if content.__class__ is str:
            if content or tokens:
                events.append(TextDelta(self._part("text"), content, tokens))
                tokens = ()
        elif content is not None:
            self._content_list(content, events)
        if delta:
            self._rare(delta, events, tokens)
        elif tokens:
            events.append(TextDelta(self._part("text"), "", tokens))
        return events

    def _reasoning(self, delta: JsonObject, events: list[Event]) -> None:
        for name in REASONING_FIELDS:
            text = delta.get(name)
            if text.__class__ is not str or not text:
                continue
            del delta[name]
            opaque: Wire = ()
            if not self._named_reasoning:
                self._named_reasoning = True
                opaque = (Opaque(NAME, "thinking", {"field": name}),)
            events.append(ThinkingDelta(self._part("thinking"), text, opaque))
            return

    def _keep_details(self, delta: JsonObject) -> None:
        """Put reasoning state together; its fragments also stay with their frames."""
        listed = delta.get(DETAILS)
        if self._origin is None or listed.__class__ is not list:
            return
        for entry in listed:
            last = self._details[-1] if self._details else None
            if last is not None and _goes_on(last, entry):
                last.update((k, _joined(k, last.get(k), v)) for k, v in entry.items())
            else:
                self._details.append(dict(entry) if entry.__class__ is dict else entry)

    def _state_frame(self, delta: JsonObject) -> Wire:
        """Take reasoning state away from a frame: it says nothing that does not come with its part.

        A client of this dialect gets it where it stood.
        """
        if self._origin is None or delta.get(DETAILS).__class__ is not list:
            return ()
        return (Opaque(NAME, DETAILS, {"delta": {DETAILS: delta.pop(DETAILS)}}, self._origin),)

    def _state(self) -> ThinkingDelta:
        """Return the state that came since the last, before what follows its reasoning."""
        details, self._details = self._details, []
        state = details_state(details, self._origin or "")
        part = self._part("thinking")
        # Reasoning that comes after it is another thought, with a state of its own.
        del self._parts["thinking"]
        self._named_reasoning = False
        return ThinkingDelta(part, "", (state,))

    def _content_list(self, content: Json, events: list[Event]) -> None:
        """Mistral and others stream ``content`` as a list of parts."""
        for part in content if content.__class__ is list else ():
            if part.__class__ is not dict:
                raise ProtocolError("a content part is no object")
            if part.get("type") == "text" and part.get("text").__class__ is str:
                text = part.pop("text")
                del part["type"]
                opaque = (Opaque(NAME, "text", {"rest": part}),) if part else ()
                events.append(TextDelta(self._part("text"), text, opaque=opaque))
            else:
                events.append(OpaqueDelta(Opaque(NAME, "content_part", {"rest": part})))

    def _rare(
        self, delta: JsonObject, events: list[Event], tokens: tuple[TokenLogprob, ...]
    ) -> None:
        for item in _taken(delta, "annotations", list) or ():
            citation = parse_annotation(item, "choices[0].delta.annotations")
            events.append(CitationDelta(self._part("text"), citation))
        refusal = _taken(delta, "refusal", str)
        if refusal:
            events.append(RefusalDelta(self._part("refusal"), refusal, tokens))
        elif tokens:
            events.append(TextDelta(self._part("text"), "", tokens))
        audio = _taken(delta, "audio", dict)
        if audio is not None:
            events.append(self._audio(audio))
        for position, call in enumerate(_taken(delta, "tool_calls", list) or ()):
            events += self._calls.feed(call, position)
        legacy = _taken(delta, "function_call", dict)
        if legacy is not None:
            events += self._calls.feed_legacy(legacy)

    def _audio(self, audio: JsonObject) -> AudioDelta:
        data = _taken(audio, "data", str) or ""
        transcript = _taken(audio, "transcript", str) or ""
        opaque = (Opaque(NAME, "audio", {"rest": audio}),) if audio else ()
        kind = audio_type(self._request)
        return AudioDelta(self._part("audio"), data, transcript, kind, opaque)

    def _part(self, kind: str) -> int:
        index = self._parts.get(kind)
        if index is None:
            index = self._parts[kind] = self._numbers.new()
        return index


def _known(head: tuple[Json, Json, Json]) -> JsonObject:
    """Return what the first chunk says of the answer, empty words aside."""
    id, model, created = head
    return {
        "id": id if id.__class__ is str and id else None,
        "model": model if model.__class__ is str and model else None,
        "created": created if created.__class__ is int else None,
    }


def _taken(held: JsonObject, key: str, kind: type) -> Json:
    """Take a key away if it holds a value of that kind."""
    value = held.get(key)
    if value.__class__ is not kind:
        return None
    del held[key]
    return value


def _goes_on(last: Json, entry: Json) -> bool:
    """Tell whether an entry of ``reasoning_details`` is the next fragment of the one before."""
    if last.__class__ is not dict or entry.__class__ is not dict or "index" not in entry:
        return False
    return all(last.get(key) == entry.get(key) for key in ("type", "index"))


def _joined(key: str, before: Json, value: Json) -> Json:
    if key in ("text", "summary", "data") and isinstance(before, str) and isinstance(value, str):
        return before + value
    return before if value is None else value


def _says(held: JsonObject) -> bool:
    return any(value is not None for value in held.values())


def _frame(chunk: JsonObject, choice: JsonObject, delta: JsonObject, logprobs: Json) -> Wire:
    """Return what nobody took of a frame, as at most one Opaque."""
    data: JsonObject = {}
    if chunk:
        data["rest"] = chunk
    if choice:
        data["choice"] = choice
    if delta:
        data["delta"] = delta
    if logprobs:
        data["logprobs"] = logprobs if logprobs.__class__ is dict else {"logprobs": logprobs}
    return (Opaque(NAME, "chunk", data),) if data else ()


def _with_wire(event: Event, wire: Wire) -> Event:
    # The event was made here a moment ago and nobody else has seen it.
    object.__setattr__(event, "wire", wire)
    return event


__all__ = ["Decoder", "stream_decoder"]
