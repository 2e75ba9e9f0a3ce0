"""The assistant's message: what a history holds and what an answer brings are the same object.

Chat spreads one message over keys (``reasoning_content``, ``content``, ``annotations``,
``refusal``, ``audio``, ``tool_calls``, ``function_call``); canonically they are parts, in that
order.

Reasoning is no part of OpenAI's Chat. DeepSeek, vLLM, SGLang and LM Studio answer with
``reasoning_content``; OpenRouter, Groq and newer vLLM with ``reasoning``. Both are read, and the
note ``field`` on the part says which it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ...types import (
    AudioPart,
    CitationPart,
    Json,
    JsonObject,
    Opaque,
    OpaquePart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
)
from ..base import Loss, Losses
from ..fields import Fields, report_foreign
from ..names import WireNames
from ..places import FIRST, Place, put_back
from ..seal import STATE_KINDS, is_state, open_placed, seal
from .parts import REFUSAL, natural_spelling, take_content
from .tools import parse_call, parse_legacy_call, take_state
from .wire import DETAILS, NAME, Shape

_STATE_KINDS = STATE_KINDS | {"encrypted_content", "thought_signature", "sealed"}

REASONING_FIELDS = ("reasoning_content", "reasoning")

THINKING = Shape("thinking", ())
ANNOTATION = Shape("annotation", ("type", "url_citation"), {"type": "url_citation"})
URL_CITATION = Shape("url_citation", ("end_index", "start_index", "title", "url"))
AUDIO = Shape("audio", ("id", "expires_at", "data", "transcript"))


@dataclass(slots=True)
class Taken:
    """What was taken away from an assistant's message, and the notes on how it was spelled."""

    parts: list[Part] = field(default_factory=list)
    notes: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Minting:
    """Ids for calls that came without one. In a history (``stem`` None) such a call is an error."""

    stem: str | None = None
    legacy: str = "call_legacy"

    def call(self, index: int) -> str | None:
        return None if self.stem is None else f"{self.stem}{index}"


def call_stem(response_id: str | None) -> str:
    """Return the first part of minted call ids: the answer's id keeps those of two turns apart."""
    tail = "".join(filter(str.isalnum, (response_id or "")[-24:]))
    return f"call_{tail[-12:]}_" if tail else "call_"


def take_assistant(
    fields: Fields,
    names: WireNames,
    minting: Minting,
    *,
    answer: bool,
    origin: str | None = None,
) -> Taken:
    """Take everything canonical away from an assistant's message.

    ``origin`` is whose the reasoning state of an answer is; without one it stays where it is.
    """
    taken = Taken()
    _take_reasoning(fields, taken)
    thoughts = [] if answer else _take_sealed(fields, taken)
    if answer and origin is not None and fields.rest.get("reasoning_details"):
        _take_details(fields, taken, origin)
    if answer and (state := take_state(fields.rest, origin)):
        taken.parts.append(ThinkingPart("", opaque=state))
    content, spelling = take_content(fields)
    taken.parts.extend(content)
    _take_annotations(fields, taken, answer=answer)
    count = len(taken.parts)
    refusal = fields.text("refusal")
    if refusal is not None:
        taken.parts.append(RefusalPart(refusal))
    _take_audio(fields, taken, answer=answer)
    _take_calls(fields, taken, names, minting, origin if answer else None)
    natural = natural_spelling(content, "null" if answer or len(taken.parts) > count else "string")
    if answer and content:
        # OpenAI answers with one text; other servers' lists stay lists.
        natural = "string"
    if spelling != natural:
        taken.notes["content"] = spelling
    if thoughts:
        taken.parts = list(put_back(taken.parts, thoughts))
    return taken


def _take_reasoning(fields: Fields, taken: Taken) -> None:
    for name in REASONING_FIELDS:
        text = fields.rest.get(name)
        if text.__class__ is str and text:
            del fields.rest[name]
            taken.parts.append(thinking_part(text, name))
            return


def thinking_part(text: str, name: str) -> ThinkingPart:
    return ThinkingPart(text, opaque=(Opaque(NAME, "thinking", {"field": name}),))


def _take_sealed(fields: Fields, taken: Taken) -> list[tuple[Place, ThinkingPart]]:
    """Take state that was sealed for this client out of ``reasoning_details``.

    Each entry is one thinking part again. Where the plain reasoning says no more than these parts
    do, they stand for it and keep its field.
    """
    listed = fields.rest.get("reasoning_details")
    if listed.__class__ is not list:
        return []
    opened = [_opened(entry) for entry in listed]
    thoughts = [thought for thought in opened if thought is not None]
    if not thoughts:
        return []
    del fields.rest["reasoning_details"]
    left = [entry for entry, thought in zip(listed, opened, strict=True) if thought is None]
    if left:
        fields.rest["reasoning_details"] = left
    shown = taken.parts[0] if taken.parts else None
    texts = [part.text for _, part in thoughts if part.text]
    if not isinstance(shown, ThinkingPart) or shown.text != "\n".join(texts):
        return thoughts
    taken.parts.clear()
    field = shown.opaque
    return [
        (place, replace(part, opaque=(*part.opaque, *field)) if part.text else part)
        for place, part in thoughts
    ]


def _take_details(fields: Fields, taken: Taken, origin: str) -> None:
    details = fields.array("reasoning_details") or []
    shown = taken.parts.pop() if taken.parts else ThinkingPart("")
    taken.parts.append(replace(shown, opaque=(*shown.opaque, details_state(details, origin))))


def details_state(details: list[Json], origin: str) -> Opaque:
    return Opaque(NAME, DETAILS, {"details": details}, origin)


def own_details(opaque: tuple[Opaque, ...]) -> Opaque | None:
    """Return this dialect's own reasoning state, where it came back whole."""
    for item in opaque:
        if item.dialect == NAME and item.kind == DETAILS:
            return item if isinstance(item.data.get("details"), list) else None
    return None


def _opened(entry: Json) -> tuple[Place, ThinkingPart] | None:
    if entry.__class__ is not dict:
        return None
    found = open_placed(entry.get("signature")) or open_placed(entry.get("data"))
    if found is None:
        return None
    state, place = found
    text = entry.get("text")
    return place, ThinkingPart(text if isinstance(text, str) else "", opaque=(state,))


def foreign_state(opaque: tuple[Opaque, ...]) -> tuple[Opaque, ...]:
    """Return the state of other dialects' models that travels sealed."""
    return tuple(item for item in opaque if item.dialect != NAME and is_state(item))


def sealed_detail(text: str, state: Opaque, index: int, place: Place = FIRST) -> JsonObject:
    """Return the entry of ``reasoning_details`` that carries one state, in OpenRouter's shape."""
    sealed = seal(state, place)
    if not text:
        return {"type": "reasoning.encrypted", "data": sealed, "index": index}
    return {"type": "reasoning.text", "text": text, "signature": sealed, "index": index}


def _take_annotations(fields: Fields, taken: Taken, *, answer: bool) -> None:
    """Take annotations; an empty list stays, as one of the things an answer always says."""
    if not fields.rest.get("annotations"):
        return
    listed = fields.array("annotations") or ()
    path = fields.at("annotations")
    taken.parts.extend(parse_annotation(item, f"{path}[{i}]") for i, item in enumerate(listed))
    if not answer:
        taken.notes["annotations"] = True


def parse_annotation(value: Json, path: str) -> CitationPart:
    """Return a citation; an annotation of another type is one that says nothing canonical."""
    fields = Fields(value, path)
    definition = fields.rest.get("url_citation")
    if definition.__class__ is not dict:
        return CitationPart(opaque=(Opaque(NAME, "annotation", {"rest": value, "whole": True}),))
    del fields.rest["url_citation"]
    inner = Fields(definition, fields.at("url_citation"))
    start, end = take_count(inner, "start_index"), take_count(inner, "end_index")
    url, title = inner.text("url"), inner.text("title")
    opaque = (*ANNOTATION.keep(fields, value), *URL_CITATION.keep(inner, definition))
    return CitationPart(url, title, None, start, end, opaque=opaque)


def take_count(fields: Fields, key: str) -> int | None:
    """Take an integer that is not negative; anything else stays as it came."""
    value = fields.rest.get(key)
    if value.__class__ is not int or value < 0:
        return None
    del fields.rest[key]
    return value


def render_annotation(part: CitationPart, offset: int, end: int) -> JsonObject | None:
    """Return the annotation, or None for a source without address.

    ``offset`` and ``end`` say where in the content the cited text part stands; they are the
    indexes of a citation that has none (Anthropic cites whole blocks).
    """
    if ANNOTATION.note(part.opaque, "whole"):
        return ANNOTATION.rest(part.opaque)
    bare = URL_CITATION.rest(part.opaque)
    kept = bool(part.opaque) and any(item.dialect == NAME for item in part.opaque)
    if part.url is None and "url" not in bare and not kept:
        return None
    out: JsonObject = {"url": part.url, "title": part.title}
    out["start_index"] = offset if part.start is None else offset + part.start
    out["end_index"] = end if part.end is None else offset + part.end
    if kept:
        said = {
            "url": part.url,
            "title": part.title,
            "start_index": part.start,
            "end_index": part.end,
        }
        out = {key: value for key, value in out.items() if said[key] is not None}
    elif part.title is None:
        out["title"] = part.url
    return ANNOTATION.fill({"url_citation": URL_CITATION.fill(out, part.opaque)}, part.opaque)


def _take_audio(fields: Fields, taken: Taken, *, answer: bool) -> None:
    wire = fields.rest.get("audio")
    if wire.__class__ is not dict:
        return
    inner = Fields(wire, fields.at("audio"))
    if answer:
        data = inner.text("data")
        if data is None:
            return
        part = AudioPart(
            data=data, transcript=inner.text("transcript"), opaque=AUDIO.keep(inner, wire)
        )
    else:
        id = inner.text("id")
        if id is None:
            return
        part = AudioPart(file_id=id, opaque=AUDIO.keep(inner, wire))
    del fields.rest["audio"]
    taken.parts.append(part)


def _take_calls(
    fields: Fields, taken: Taken, names: WireNames, minting: Minting, origin: str | None
) -> None:
    listed = fields.array("tool_calls")
    if listed is not None and not listed:
        # OpenAI refuses an empty list; only this dialect's own server gets it back.
        taken.notes["empty"] = True
    path = fields.at("tool_calls")
    for i, item in enumerate(listed or ()):
        taken.parts.append(parse_call(item, f"{path}[{i}]", names, minting.call(i), origin))
    legacy = fields.object("function_call")
    if legacy is not None:
        path = fields.at("function_call")
        taken.parts.append(parse_legacy_call(legacy, path, names, minting.legacy))


def says_in_content(part: RefusalPart) -> bool:
    return bool(REFUSAL.note(part.opaque, "in") == "content")


def is_call(part: Part) -> bool:
    """Tell whether a part stands in ``tool_calls``: a call, of whatever type."""
    if isinstance(part, OpaquePart):
        return part.content.dialect == NAME and part.content.kind == "tool_call"
    return isinstance(part, ToolCallPart)


def report_opaque(part: Part, path: str, losses: Losses, carried: tuple[Opaque, ...] = ()) -> None:
    """Record the loss of another dialect's keys, and of signatures and other state beside them.

    ``carried`` is the state that travels sealed.
    """
    for item in part.opaque:
        if item in carried:
            continue
        if item.dialect != NAME and (item.origin is not None or item.kind in _STATE_KINDS):
            reason = f"{item.kind} belongs to {item.dialect}"
            # An empty signature is the place of one, and signs nothing.
            said = [key for key, value in item.data.items() if value != ""]
            losses += [Loss(f"{path}.{key}", "dropped", reason) for key in said]
    report_foreign(part.opaque, NAME, path, losses)


def thinking_field(part: ThinkingPart) -> str | None:
    """Return the field that the reasoning came in, when it came in this dialect."""
    name = THINKING.note(part.opaque, "field")
    return name if isinstance(name, str) else None


def text_spans(parts: tuple[Part, ...]) -> dict[int, tuple[int, int]]:
    """Return {index of a citation: (start, end) of its text in the joined text}."""
    spans: dict[int, tuple[int, int]] = {}
    start = end = 0
    for i, part in enumerate(parts):
        if isinstance(part, TextPart):
            start, end = end, end + len(part.text)
        elif isinstance(part, CitationPart):
            spans[i] = (start, end)
    return spans
