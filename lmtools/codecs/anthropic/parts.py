"""Parts to content blocks, for requests and for answers. Parsing is in ``content``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...types import (
    AudioPart,
    BinaryPart,
    BuiltinCallPart,
    BuiltinResultPart,
    CitationPart,
    DocumentPart,
    ImagePart,
    Json,
    JsonObject,
    MediaPart,
    Opaque,
    OpaquePart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolsPart,
    VideoPart,
)
from ..arguments import format_arguments, parse_arguments
from ..base import Loss, Losses, Target
from ..custom_tools import wrap_input
from ..fields import report_foreign, restore
from ..names import WireNames, wire_id
from ..seal import PREFIX as SEALED
from ..seal import is_state, seal
from .content import CITATION_TYPES
from .media import render_source
from .spelling import NAME, REDACTED, SIGNATURE, data_of, kept_key, put, render_cache


@dataclass(slots=True)
class Rendering:
    """What renderers know beside the part. ``answer``: it goes to a client, not to the API."""

    target: Target = Target()
    names: WireNames = WireNames()
    answer: bool = False
    losses: Losses = field(default_factory=list)

    def lose(self, path: str, action: str, reason: str) -> None:
        self.losses.append(Loss(path, action, reason))

    def drop(self, path: str, reason: str) -> JsonObject | None:
        """Record that nothing goes out for a value, and return that nothing."""
        self.losses.append(Loss(path, "dropped", reason))
        return None

    def tool_name(self, name: str, namespace: str | None, path: str) -> str:
        """Return a tool's name as the target takes it."""
        wire = self.names.wire(name, namespace)
        if namespace is not None:
            self.lose(f"{path}.namespace", "substituted", f"the tool goes by the name {wire}")
        elif wire != name:
            self.lose(f"{path}.name", "substituted", f"the name is out of rule; sent as {wire}")
        return wire

    def call_id(self, id: str, path: str) -> str:
        wire = wire_id(id, self.target)
        if wire != id:
            self.lose(f"{path}.id", "substituted", f"the id is out of rule; sent as {wire}")
        return wire


def render_content(
    parts: Sequence[Part], spelled: Json, path: str, to: Rendering
) -> str | list[JsonObject]:
    """Return the blocks of parts; a string for one plain text, unless ``spelled`` is "list"."""
    blocks = render_blocks(parts, path, to)
    if spelled != "list" and len(blocks) == 1 and len(blocks[0]) == 2 and "text" in blocks[0]:
        text: str = blocks[0]["text"]
        return text
    return blocks


def render_blocks(parts: Sequence[Part], path: str, to: Rendering) -> list[JsonObject]:
    blocks: list[JsonObject] = []
    i = 0
    while i < len(parts):
        part, where = parts[i], f"{path}[{i}]"
        i += 1
        if isinstance(part, TextPart):
            cited = []
            while i < len(parts) and isinstance(citation := parts[i], CitationPart):
                cited.append(render_citation(citation, f"{path}[{i}]", to, part.text))
                i += 1
            blocks.append(_text(part, [c for c in cited if c is not None], where, to))
        else:
            block = render_block(part, where, to)
            if block is not None:
                blocks.append(block)
    return blocks


def render_block(part: Part, path: str, to: Rendering) -> JsonObject | None:
    """Return the block of one part, None when a loss says that there is none."""
    match part:
        case TextPart():
            return _text(part, [], path, to)
        case ThinkingPart():
            return _thinking(part, path, to)
        case RefusalPart():
            to.lose(path, "substituted", "anthropic has no refusal part; sent as text")
            return _finish({"type": "text", "text": part.text}, part, path, to)
        case CitationPart():
            return to.drop(path, "no text stands before it to carry it")
        case ImagePart() | DocumentPart() | AudioPart() | VideoPart() | BinaryPart():
            return _media(part, path, to)
        case ToolCallPart():
            return _tool_use(part, path, to)
        case ToolResultPart():
            return _tool_result(part, path, to)
        case ToolsPart():
            return to.drop(path, "anthropic takes tools at the top of the request only")
        case BuiltinCallPart():
            return _builtin_call(part, path, to)
        case BuiltinResultPart():
            return _builtin_result(part, path, to)
        case OpaquePart():
            return _opaque(part, path, to)


def _finish(out: JsonObject, part: Part, path: str, to: Rendering) -> JsonObject:
    """Add the cache mark and what the wire had beside; report what other dialects own."""
    if part.cache is not None:
        out["cache_control"] = render_cache(part.cache, f"{path}.cache", to.losses)
    if not part.opaque:
        return out
    report_foreign(part.opaque, NAME, path, to.losses)
    return restore(out, part.opaque, NAME, "block")


def _text(part: TextPart, cited: list[JsonObject], path: str, to: Rendering) -> JsonObject:
    out: JsonObject = {"type": "text", "text": part.text}
    put(out, "citations", cited, data_of(part.opaque, "block").get("empty", {}))
    return _finish(out, part, path, to)


def render_citation(
    part: CitationPart, path: str, to: Rendering, text: str = ""
) -> JsonObject | None:
    """Return a citation of ``text``.

    Requests carry only citations that came from this dialect: the API checks their indexes. A
    client gets the others in the form of a web search result, without the index that only the API
    can give.
    """
    report_foreign(part.opaque, NAME, path, to.losses)
    kind = data_of(part.opaque, "citation").get("type")
    if kind is None and not kept_key(part.opaque, "citation", "type"):
        return _foreign_citation(part, path, to, text)
    for name in ("start", "end"):
        if getattr(part, name) is not None:
            to.lose(f"{path}.{name}", "dropped", "anthropic gives no offsets into the answer")
    out: JsonObject = {} if kind is None else {"type": kind}
    url_key, title_key = CITATION_TYPES[kind] if kind else (None, "title")
    _set(out, "cited_text", part.text)
    if url_key:
        _set(out, url_key, part.url)
    _set(out, title_key, part.title)
    return restore(out, part.opaque, NAME, "citation")


def _set(out: JsonObject, key: str, value: Json) -> None:
    if value is not None:
        out[key] = value


def _foreign_citation(part: CitationPart, path: str, to: Rendering, text: str) -> JsonObject | None:
    if not to.answer:
        return to.drop(path, "the API takes back only citations that it made itself")
    to.lose(path, "emulated", "sent as a web search location without its encrypted index")
    passage = part.text if part.text is not None else text[part.start or 0 : part.end or 0]
    return {
        "type": "web_search_result_location",
        "cited_text": passage,
        "url": part.url or "",
        "title": part.title,
        "encrypted_index": "",
    }


def _thinking(part: ThinkingPart, path: str, to: Rendering) -> JsonObject | None:
    for state in part.opaque:
        if state.dialect == NAME and state.kind in (SIGNATURE, REDACTED):
            if not to.answer and state.origin not in (None, to.target.origin):
                return to.drop(path, "its signature belongs to another provider or key")
            # What was sealed and handed back may hold anything.
            value = state.data.get("data" if state.kind == REDACTED else "signature")
            if not isinstance(value, str) or (value.startswith(SEALED) and not to.answer):
                return to.drop(path, "its state is not what this API gives")
            if state.kind == REDACTED:
                return _finish({"type": "redacted_thinking", "data": value}, part, path, to)
            return _signed(part, value, path, to)
    carried = foreign_state(part.opaque) if to.answer else None
    if carried is not None:
        if part.text:
            return _signed(part, seal(carried), path, to)
        return _finish({"type": "redacted_thinking", "data": seal(carried)}, part, path, to)
    if "absent" in data_of(part.opaque, "block"):
        return _finish({"type": "thinking", "thinking": part.text}, part, path, to)
    if not to.answer:
        return to.drop(path, "thinking without a signature, which the API refuses")
    return _signed(part, "", path, to)


def foreign_state(opaque: tuple[Opaque, ...]) -> Opaque | None:
    """Return the state of another dialect's model, which a client gets sealed."""
    return next((item for item in opaque if item.dialect != NAME and is_state(item)), None)


def report_state(opaque: tuple[Opaque, ...], path: str, to: Rendering) -> None:
    """Record that a call's own state stays behind: a ``tool_use`` block holds none."""
    for item in opaque:
        if item.dialect != NAME and is_state(item):
            to.lose(f"{path}.{item.kind}", "dropped", f"it belongs to {item.dialect}")


def _signed(part: ThinkingPart, signature: str, path: str, to: Rendering) -> JsonObject:
    out = {"type": "thinking", "thinking": part.text, "signature": signature}
    return _finish(out, part, path, to)


def _media(part: MediaPart, path: str, to: Rendering) -> JsonObject:
    if to.target.media is not None and part.type not in to.target.media:
        return _placeholder(part, path, "this model takes none", to)
    match part:
        case ImagePart():
            if part.detail is not None:
                to.lose(f"{path}.detail", "dropped", "anthropic has no detail setting")
            out: JsonObject = {"type": "image", "source": render_source(part, path, to.losses)}
        case DocumentPart():
            out = {"type": "document", "source": render_source(part, path, to.losses)}
            _set(out, "title", part.name)
            _set(out, "context", part.context)
        case BinaryPart(media_type="application/pdf"):
            out = {"type": "document", "source": _pdf_source(part)}
            _set(out, "title", part.name)
        case AudioPart(transcript=str(transcript)):
            to.lose(path, "substituted", "anthropic has no audio; its transcript is sent as text")
            out = {"type": "text", "text": transcript}
        case _:
            return _placeholder(part, path, f"anthropic has no {part.type} part", to)
    return _finish(out, part, path, to)


def _pdf_source(part: BinaryPart) -> JsonObject:
    document = DocumentPart(part.media_type, part.data, part.url, part.file_id)
    return render_source(document, "", [])


def _placeholder(part: MediaPart, path: str, why: str, to: Rendering) -> JsonObject:
    """Stand in for media that cannot go: a message must not become empty, nor the gap unseen."""
    to.lose(path, "substituted", f"{why}; a text says that it was left out")
    return _finish({"type": "text", "text": f"[{part.type} left out: {why}]"}, part, path, to)


def _tool_use(part: ToolCallPart, path: str, to: Rendering) -> JsonObject:
    id = to.call_id(part.id, path)
    name = to.tool_name(part.name, part.namespace, path)
    out = {"type": "tool_use", "id": id, "name": name, "input": _input(part, path, to)}
    report_state(part.opaque, path, to)
    return _finish(out, part, path, to)


def _input(part: ToolCallPart, path: str, to: Rendering) -> JsonObject:
    if part.kind == "custom":
        to.lose(path, "emulated", "free text input travels as the string `input` of an object")
        return wrap_input(part.input if isinstance(part.input, str) else part.text or "")
    if isinstance(part.input, dict) and (part.input or parse_arguments(part.text or "")[1]):
        return part.input
    to.lose(f"{path}.input", "substituted", "the arguments are not a JSON object; sent as text")
    return {"raw_arguments": format_arguments(part.input, part.text)}


def _tool_result(part: ToolResultPart, path: str, to: Rendering) -> JsonObject:
    out: JsonObject = {"type": "tool_result", "tool_use_id": to.call_id(part.id, path)}
    for name in ("name", "namespace"):
        if getattr(part, name) is not None:
            to.lose(f"{path}.{name}", "dropped", "anthropic results give their call's id alone")
    spelled = data_of(part.opaque, "block").get("content")
    if part.content or spelled == "list":
        out["content"] = render_content(part.content, spelled, f"{path}.content", to)
    _set(out, "is_error", part.is_error)
    return _finish(out, part, path, to)


def _is_foreign(part: BuiltinCallPart | BuiltinResultPart) -> bool:
    return any(item.dialect != NAME for item in part.opaque)


def _builtin_call(part: BuiltinCallPart, path: str, to: Rendering) -> JsonObject | None:
    if _is_foreign(part):
        return to.drop(path, "another provider ran this call")
    if part.status is not None:
        to.lose(f"{path}.status", "dropped", "anthropic gives its own calls no status")
    kind = data_of(part.opaque, "block").get("type", "server_tool_use")
    out = {"type": kind, "id": part.id, "name": part.name}
    if part.input is not None:
        out["input"] = part.input
    elif not kept_key(part.opaque, "block", "input"):
        out["input"] = {}
    return _finish(out, part, path, to)


def _builtin_result(part: BuiltinResultPart, path: str, to: Rendering) -> JsonObject | None:
    if _is_foreign(part):
        return to.drop(path, "another provider ran this call")
    if part.status is not None:
        to.lose(f"{path}.status", "dropped", "anthropic gives its own results no status")
    out: JsonObject = {"type": f"{part.name}_tool_result", "tool_use_id": part.id}
    if part.sources:
        out["content"] = [
            _web_source(s, f"{path}.sources[{i}]", to) for i, s in enumerate(part.sources)
        ]
    return _finish(out, part, path, to)


def _web_source(source: CitationPart, path: str, to: Rendering) -> JsonObject:
    report_foreign(source.opaque, NAME, path, to.losses)
    for name in ("text", "start", "end"):
        if getattr(source, name) is not None:
            to.lose(f"{path}.{name}", "dropped", "anthropic search results hold url and title")
    out: JsonObject = {"type": "web_search_result"}
    _set(out, "url", source.url)
    _set(out, "title", source.title)
    return restore(out, source.opaque, NAME, "citation")


def _opaque(part: OpaquePart, path: str, to: Rendering) -> JsonObject | None:
    if part.content.dialect != NAME:
        return to.drop(path, f"only {part.content.dialect} knows this block")
    out: JsonObject = {}
    if part.cache is not None:
        out["cache_control"] = render_cache(part.cache, f"{path}.cache", to.losses)
    report_foreign(part.opaque, NAME, path, to.losses)
    return restore(out, (part.content,), NAME, part.content.kind)
