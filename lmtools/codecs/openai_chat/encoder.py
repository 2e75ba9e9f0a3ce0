"""Chat's stream, written: events to chunks, for a client of this dialect.

The order is OpenAI's: a chunk with the role, chunks with content, one with the finish reason, one
with the usage if the client asked for it (and then ``usage: null`` in all others), ``[DONE]``. An
error is a frame with an ``error`` object, and the last one. Whatever events come, in whatever
order, the bytes keep to that: a call waits for its id and its name, nothing follows an end, and an
end that never comes is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...sse import encode_comment
from ...types import (
    NOT_REPORTED,
    AudioDelta,
    BuiltinCallDelta,
    CitationDelta,
    CitationPart,
    End,
    Event,
    JsonObject,
    Opaque,
    OpaqueDelta,
    PartDelta,
    PartEnd,
    RefusalDelta,
    Request,
    Start,
    StreamError,
    TextDelta,
    ThinkingDelta,
    ThinkingPart,
    TokenLogprob,
    ToolCallDelta,
    as_delta,
    find_opaque,
)
from ..base import Loss, Losses, Stamp
from ..fields import held_keys
from ..places import FIRST, Place
from ..text import dumps, quoted_between
from .assistant import THINKING, call_stem, foreign_state, render_annotation, sealed_detail
from .counts import render_logprobs, render_usage
from .errors import render_error_chunk
from .other_choices import OtherChoices
from .parts import TEXT
from .responses import ANSWER, CHOICE, RESPONSE, answer_id, audio_type, rendered_tier
from .sent_calls import Sent, SentCalls
from .tools import EXTRA, extra_state, is_legacy
from .wire import (
    FINISH_LOSSES,
    NAME,
    as_chunk_choice,
    finish_of,
    finish_word,
    said_beside,
    said_finish,
)

_DONE = "data: [DONE]\n\n"
_OBJECT = "chat.completion.chunk"
_CUT = StreamError("truncated", "the stream ended before the answer was whole")


def stream_encoder(request: Request, stamp: Stamp) -> Encoder:
    return Encoder(request, stamp)


class Encoder:
    """One answer's events to the client's bytes."""

    def __init__(self, request: Request, stamp: Stamp) -> None:
        self.losses: Losses = []
        self._stamp = stamp
        self._asked = request.include_usage is True
        self._started = self._done = False
        self._start = Start()
        self._fields: JsonObject = {}
        self._delta_head = self._head = self._call_head = self._tail = ""
        self._reported: set[str] = set()
        self._paths: dict[tuple[str, int], str] = {}
        self._kinds: set[str] = set()
        self._places = 0
        self._reasoning = "reasoning_content"
        self._audio_type = audio_type(request)
        #: Thinking parts that hold state of another dialect: their text, that state, their place.
        self._thoughts: dict[int, tuple[list[str], dict[str, Opaque], Place]] = {}
        self._has_thought = False
        self._details = 0
        self._length = 0
        self._offsets: dict[int, int] = {}
        self._citations: list[tuple[int, CitationPart, str]] = []
        self._others = OtherChoices()
        stem = call_stem(stamp.id)
        self._calls = SentCalls(stem, self.losses, legacy=is_legacy(request))

    def encode(self, event: Event) -> bytes:
        if self._done:
            return b""
        if (
            event.__class__ is TextDelta
            and event.part_index in self._offsets
            and not (event.wire or event.opaque or event.logprobs)
        ):
            # Most events of most streams: one text fragment, and nothing beside it.
            self._length += len(event.text)
            return quoted_between(self._head, event.text, self._tail) if event.text else b""
        frames: list[str] = []
        if not self._started and event.__class__ not in _OPENING:
            frames += self._open(Start())
        wire = getattr(event, "wire", ())
        if wire:
            self._report(wire, "")
        frames += _HANDLERS[event.__class__](self, event)
        return "".join(frames).encode()

    def ping(self) -> bytes:
        return b"" if self._done else encode_comment("ping")

    def close(self) -> bytes:
        """End a stream whose events ended without an end: to the client that is a failure."""
        return self.encode(_CUT)

    # Frames

    def _frame(self, choices: list[JsonObject], rest: JsonObject, usage: Any = None) -> str:
        out = {**self._fields, **{k: v for k, v in rest.items() if k not in self._fields}}
        out["choices"] = [*choices, *self._others.kept(rest.get("choices", ()))]
        if usage is not None or self._asked:
            out["usage"] = usage
        return f"data: {dumps(out)}\n\n"

    def _chunk(
        self,
        delta: JsonObject,
        held: JsonObject,
        finish: str | None = None,
        logprobs: JsonObject | None = None,
        choice: JsonObject | None = None,
    ) -> str:
        """Return one frame: what is said now, and ``held``, what the upstream's said beside it."""
        said: JsonObject = {"index": 0, "delta": {**held.get("delta", {}), **delta}}
        if logprobs is not None or "logprobs" in held:
            said["logprobs"] = {**(logprobs or {}), **held.get("logprobs", {})}
        said.update(choice or {})
        said.update((k, v) for k, v in held.get("choice", {}).items() if k not in said)
        said["finish_reason"] = finish
        return self._frame([said], held.get("rest", {}))

    # Losses

    def _lose(self, path: str, action: str, reason: str) -> None:
        self.losses.append(Loss(path, action, reason))

    def _report(self, opaque: tuple[Opaque, ...], path: str) -> None:
        """Record what another dialect owns: each key once, and each kind without keys."""
        for item in opaque:
            if item.dialect == NAME:
                continue
            keys = tuple(held_keys(item.data))
            for key in keys:
                where = f"{path}.{key}" if path else key
                self._lose_once(f"{where}.{item.dialect}", where, item, "this")
            if not keys and path and item.data.keys() - {"keys", "absent", "rest"}:
                self._lose_once(f"{path}.{item.dialect}.{item.kind}", path, item, item.kind)

    def _lose_once(self, mark: str, path: str, item: Opaque, said: str) -> None:
        if mark not in self._reported:
            self._reported.add(mark)
            self._lose(path, "dropped", f"only {item.dialect} says {said}")

    def _path(self, kind: str, part: int) -> str:
        """Return where a part stands; the second of a kind is joined to the first."""
        path = self._paths.get((kind, part))
        if path is None:
            path = self._paths[kind, part] = f"message.parts[{self._places}]"
            self._places += 1
            if kind in self._kinds and kind not in ("tool_call", "thinking"):
                self._lose(path, "substituted", f"Chat has one {kind}; joined")
            self._kinds.add(kind)
        return path

    # The start

    def _on_start(self, event: Start) -> list[str]:
        if self._started:
            return []
        self._report(event.opaque, "")
        self._report(event.message_opaque, "message")
        return self._open(event)

    def _open(self, start: Start) -> list[str]:
        """Send the role, and before it what the upstream said before its own."""
        self._started, self._start = True, start
        own = RESPONSE.note(start.opaque, "own_id") is True
        self._fields = {
            "id": answer_id(start.id, self._stamp, own),
            "object": _OBJECT,
            "created": self._stamp.created if start.created is None else start.created,
            "model": self._stamp.model or start.model or "",
        }
        tier = rendered_tier(start.service_tier, self.losses)
        if tier is not None:
            self._fields["service_tier"] = tier
        self._set_template()
        preamble = find_opaque(start.wire, NAME, "preamble") or {}
        frames = [self._frame([], chunk) for chunk in preamble.get("chunks", ())]
        return [*frames, self._role(start)]

    def _set_template(self) -> None:
        fields = dumps(self._fields)[:-1]
        usage = ',"usage":null' if self._asked else ""
        delta = f'data: {fields},"choices":[{{"index":0,"delta":{{'
        self._delta_head = delta
        self._head = f'{delta}"content":'
        self._call_head = f'{delta}"tool_calls":[{{"index":'
        self._tail = f'}},"finish_reason":null}}]{usage}}}\n\n'

    def _role(self, start: Start) -> str:
        delta: JsonObject = {"role": "assistant", "content": ""}
        for key, value in ANSWER.rest(start.message_opaque).items():
            if value is not None:
                delta.setdefault(key, value)
        held = dict(said_beside(start.wire))
        # A whole answer that is streamed: what it said beside its fields goes with the role.
        beside = dict(RESPONSE.rest(start.opaque))
        if others := beside.get("choices"):
            beside["choices"] = [
                as_chunk_choice(choice, at)
                for at, choice in enumerate(others, start=1)
                if isinstance(choice, dict)
            ]
        if beside:
            held["rest"] = {**beside, **held.get("rest", {})}
        return self._chunk(delta, held)

    # Content

    def _on_text(self, event: TextDelta) -> list[str]:
        if not event.text and not (event.wire or event.opaque or event.logprobs):
            return []
        if event.text or event.opaque:
            self._report(event.opaque, self._path("text", event.part_index))
            self._offsets.setdefault(event.part_index, self._length)
        self._length += len(event.text)
        delta: JsonObject = {"content": event.text} if event.text else {}
        part = TEXT.rest(event.opaque)
        if part:
            delta["content"] = [{"type": "text", "text": event.text, **part}]
        return [self._chunk(delta, _held(event), logprobs=self._logprobs(event.logprobs))]

    def _logprobs(self, tokens: tuple[TokenLogprob, ...]) -> JsonObject | None:
        if not tokens:
            return None
        return {"content": render_logprobs(tokens, "logprobs", self.losses), "refusal": None}

    def _on_thinking(self, event: ThinkingDelta) -> list[str]:
        thought = self._thoughts.get(event.part_index)
        if thought is None:
            thought = [], {}, Place(self._length, self._calls.count)
            self._thoughts[event.part_index] = thought
        texts, states, _ = thought
        begins = bool(event.text) and not any(texts)
        texts.append(event.text)
        first = ("thinking", event.part_index) not in self._paths
        if event.text and not (first or begins or event.wire or event.opaque):
            return [f"{self._delta_head}{dumps(self._reasoning)}:{dumps(event.text)}{self._tail}"]
        path = self._path("thinking", event.part_index)
        carried = foreign_state(event.opaque)
        # A later state of a kind replaces an earlier one, as it does in an assembled answer.
        states.update((item.kind, item) for item in carried)
        self._report(tuple(item for item in event.opaque if item not in carried), path)
        name = THINKING.note(event.opaque, "field")
        if isinstance(name, str):
            self._reasoning = name
        extra = extra_state(event.opaque)
        if not event.text and not event.wire and extra is None:
            return []
        text = event.text
        if begins and self._has_thought:
            self._lose(path, "substituted", "Chat has one thinking; joined")
            text = f"\n{text}"
        self._has_thought = self._has_thought or begins
        delta: JsonObject = {} if extra is None else {EXTRA: extra.data[EXTRA]}
        return [self._chunk({self._reasoning: text} if text else delta, _held(event))]

    def _on_refusal(self, event: RefusalDelta) -> list[str]:
        self._report(event.opaque, self._path("refusal", event.part_index))
        if not event.text and not event.wire and not event.logprobs:
            return []
        delta = {"refusal": event.text} if event.text else {}
        return [self._chunk(delta, _held(event), logprobs=self._logprobs(event.logprobs))]

    def _on_audio(self, event: AudioDelta) -> list[str]:
        first = "audio" not in self._kinds
        path = self._path("audio", event.part_index)
        self._report(event.opaque, path)
        if first and event.media_type not in (None, self._audio_type):
            reason = "Chat answers sound in the format that was asked"
            self._lose(f"{path}.media_type", "dropped", reason)
        audio = dict((find_opaque(event.opaque, NAME, "audio") or {}).get("rest", {}))
        if first:
            audio.setdefault("id", f"audio_{self._stamp.id}")
        if event.data:
            audio["data"] = event.data
        if event.transcript:
            audio["transcript"] = event.transcript
        return [self._chunk({"audio": audio}, _held(event))] if audio or event.wire else []

    # Citations

    def _on_citation(self, event: CitationDelta) -> list[str]:
        path = f"message.parts[{self._places}]"
        self._places += 1
        self._report((*event.opaque, *event.citation.opaque), path)
        own = any(item.dialect == NAME for item in event.citation.opaque)
        if own or (event.citation.start is not None and event.citation.end is not None):
            return self._annotation(event.part_index, event.citation, path, _held(event))
        # Where the cited text ends is known when it has ended.
        self._citations.append((event.part_index, event.citation, path))
        return []

    def _annotation(
        self, part: int, citation: CitationPart, path: str, held: JsonObject
    ) -> list[str]:
        offset = self._offsets.get(part, 0)
        annotation = render_annotation(citation, offset, self._length)
        if annotation is None:
            self._lose(path, "dropped", "Chat cites addresses only")
            return []
        return [self._chunk({"annotations": [annotation]}, held)]

    def _flush_citations(self) -> list[str]:
        frames = []
        waiting, self._citations = self._citations, []
        for part, citation, path in waiting:
            self._lose(path, "substituted", "Chat cites by address and place")
            frames += self._annotation(part, citation, path, {})
        return frames

    # Calls

    def _on_call(self, event: ToolCallDelta) -> list[str]:
        call = self._calls.get(event.part_index)
        if (
            call is not None
            and call.index is not None
            and call.kind == "function"
            and event.text
            and not (event.wire or event.opaque)
        ):
            call.said = True
            arguments = f'{call.index},"function":{{"arguments":{dumps(event.text)}}}}}]'
            return [f"{self._call_head}{arguments}{self._tail}"]
        path = self._path("tool_call", event.part_index)
        self._report(event.opaque, path)
        return self._call_frames(self._calls.feed(event, path))

    def _call_frames(self, sent: list[Sent]) -> list[str]:
        return [self._chunk(delta, _held(event)) for delta, event in sent]

    # What Chat has no words for

    def _on_part(self, event: PartDelta) -> list[str]:
        delta = as_delta(event)
        if event.part.cache is not None:
            self._lose(f"message.parts[{self._places}].cache", "dropped", "answers have no marks")
        if isinstance(event.part, ThinkingPart) and foreign_state(event.part.opaque):
            # Hidden reasoning: no text to show, and a state to hand back.
            thought = (*event.part.opaque, *event.opaque)
            delta = ThinkingDelta(event.part_index, "", thought, event.wire)
        if not isinstance(delta, PartDelta):
            return _HANDLERS[delta.__class__](self, delta)
        if isinstance(event.part, CitationPart):
            return self._on_citation(CitationDelta(event.part_index, event.part, event.opaque))
        path = self._path(event.part.type, event.part_index)
        self._lose(path, "dropped", f"a Chat stream has no {event.part.type} of this kind")
        return [self._chunk({}, _held(event))] if _held(event) else []

    def _on_builtin(self, event: BuiltinCallDelta) -> list[str]:
        known = ("builtin_call", event.part_index) in self._paths
        path = self._path("builtin_call", event.part_index)
        if not known:
            self._lose(path, "dropped", "a Chat stream has no calls of the provider's own")
        return [self._chunk({}, _held(event))] if _held(event) else []

    def _on_part_end(self, event: PartEnd) -> list[str]:
        self._report(event.opaque, "message")
        return [*self._flush_thought(event.part_index), *self._flush_citations()]

    def _flush_thought(self, part: int) -> list[str]:
        """Send the state of a thinking part that is whole, with the text that it signs."""
        texts, states, place = self._thoughts.pop(part, ((), {}, FIRST))
        frames = []
        for state in states.values():
            detail = sealed_detail("".join(texts), state, self._details, place)
            frames.append(self._chunk({"reasoning_details": [detail]}, {}))
            self._details += 1
        return frames

    def _on_opaque(self, event: OpaqueDelta) -> list[str]:
        item = event.content
        if item.dialect != NAME:
            if item.kind == "ping":
                return [": ping\n\n"]
            self._report((item,), f"events.{item.kind}")
            return []
        if item.kind == "content_part":
            return [self._chunk({"content": [item.data["rest"]]}, {})]
        if item.data.keys() - {"rest"}:
            return [self._chunk({}, item.data)]
        return [self._frame([], item.data.get("rest", {}))]

    # The ends

    def _on_end(self, event: End) -> list[str]:
        self._report(event.opaque, "")
        frames = [frame for part in tuple(self._thoughts) for frame in self._flush_thought(part)]
        frames += [*self._flush_citations(), *self._call_frames(self._calls.flush())]
        tier = rendered_tier(event.service_tier, self.losses)
        if tier is not None:
            self._fields["service_tier"] = tier
        choice = {k: v for k, v in CHOICE.rest(self._start.opaque).items() if k != "index"}
        finish = self._finish(event)
        if finish is not None and event.stop_sequence is not None and self._says_sequence(event):
            choice = {**choice, "stop_reason": event.stop_sequence}
        frames.append(self._chunk({}, _held(event), finish, choice=choice))
        frames += [self._frame([choice], {}) for choice in self._others.ends()]
        usage = self._start.usage.updated(event.usage)
        if self._asked and usage != NOT_REPORTED:
            held = find_opaque(event.wire, NAME, "usage_chunk") or {}
            counts = render_usage(usage, self._stamp, self.losses)
            frames.append(self._frame([], held.get("rest", {}), counts))
        self._done = True
        return [*frames, _DONE]

    def _noted(self, event: End) -> JsonObject | None:
        """Return the upstream's note on its finish reason: a whole answer's stands at the start."""
        note = find_opaque(event.opaque, NAME, "choice")
        return note or find_opaque(self._start.opaque, NAME, "choice")

    def _says_sequence(self, event: End) -> bool:
        return said_finish(self._noted(event), event.finish) is not None

    def _finish(self, event: End) -> str:
        """Return the finish reason; the stream needs one, whatever the upstream left out."""
        said = said_finish(self._noted(event), event.finish)
        if said is not None and said[0]:
            return said[0]
        if event.finish in FINISH_LOSSES:
            self._lose("finish", "substituted", FINISH_LOSSES[event.finish])
        if event.stop_sequence is not None:
            self._lose("stop_sequence", "dropped", FINISH_LOSSES["stop_sequence"])
        calls = self._calls
        word = finish_word(event.finish, called=calls.any, legacy=calls.legacy)
        if finish_of(word) != event.finish and event.finish not in FINISH_LOSSES:
            self._lose("finish", "substituted", f"an answer of these parts ends with {word}")
        return word

    def _on_error(self, event: StreamError) -> list[str]:
        self._done = True
        self._report(event.opaque, "error")
        chunk = render_error_chunk(event)
        text, said = dumps(chunk), chunk["error"]
        code, words = event.provider_code, (str(said.get("code")), str(said.get("type")))
        if code is not None and code not in words:
            self._lose("error.provider_code", "substituted", f"sent as {words[0]}")
        if event.request_id is not None and event.request_id not in text:
            self._lose("error.request_id", "dropped", "an error in a Chat stream has no request id")
        return [f"data: {text}\n\n"]


def _held(event: Any) -> JsonObject:
    """Return what the upstream's frame said beside its event."""
    return said_beside(event.wire) if event.wire else {}


_OPENING = (Start, StreamError)
_HANDLERS: dict[type, Callable[[Encoder, Any], list[str]]] = {
    Start: Encoder._on_start,
    TextDelta: Encoder._on_text,
    ThinkingDelta: Encoder._on_thinking,
    RefusalDelta: Encoder._on_refusal,
    ToolCallDelta: Encoder._on_call,
    BuiltinCallDelta: Encoder._on_builtin,
    AudioDelta: Encoder._on_audio,
    CitationDelta: Encoder._on_citation,
    PartDelta: Encoder._on_part,
    PartEnd: Encoder._on_part_end,
    OpaqueDelta: Encoder._on_opaque,
    End: Encoder._on_end,
    StreamError: Encoder._on_error,
}
