"""The frames of one content block: start, deltas, stop.

::

    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}
    {"type": "content_block_stop", "index": 0}

A start holds every key that clients append to (``text``, ``thinking``, ``signature``, ``input``),
empty: the official stream helpers fail without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...sse import encode_event
from ...types import (
    AudioDelta,
    BuiltinCallDelta,
    CitationDelta,
    JsonObject,
    Opaque,
    OpaqueDelta,
    PartDelta,
    PartEnd,
    RefusalDelta,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from ..base import Stamp
from ..fields import restore
from ..seal import seal
from ..text import dumps, loads, quoted_between
from .parts import Rendering, foreign_state, render_block, render_citation, report_state
from .spelling import NAME, REDACTED, SIGNATURE, data_of, put

#: What stands behind the text of a delta.
_TAIL = "}}\n\n"

Report = Callable[[Iterable[Opaque], str], None]
#: Deltas that a block is built from; a PartDelta is its whole block.
Part = (
    TextDelta
    | ThinkingDelta
    | RefusalDelta
    | ToolCallDelta
    | BuiltinCallDelta
    | AudioDelta
    | CitationDelta
)


def frame(body: JsonObject, wire: tuple[Opaque, ...] = ()) -> bytes:
    """Return one event, with what its frame held on the wire beside."""
    if wire:
        body = {**data_of(wire, "frame").get("rest", {}), **body}
    return encode_event(dumps(body), body["type"])


def _is_inline(wire: tuple[Opaque, ...]) -> bool:
    """Tell whether the block's start already held what its first delta says."""
    return bool(data_of(wire, "frame").get("inline"))


class BlockWriter:
    """Frames of the open block; ``open`` begins the next one.

    ``has_calls`` tells whether any block was a call that the client must run.
    """

    def __init__(self, to: Rendering, stamp: Stamp, report: Report) -> None:
        self.has_calls = False
        self._to = to
        self._stamp = stamp
        self._report = report
        self._said: set[str] = set()
        self._index = -1
        self._text_head = ""
        self._thinking_head = ""
        self._json_head = ""
        self._texts: list[str] = []
        self._cited = 0
        self._held = b""
        self._is_custom = False
        self._is_begun = False

    def path(self, part_index: int) -> str:
        """Return a part's path in the whole answer, where citations are parts after their text."""
        return f"message.parts[{part_index + self._cited}]"

    def _lose(self, path: str, action: str, reason: str) -> None:
        """Record a loss once, however many deltas it happens to."""
        if path not in self._said:
            self._said.add(path)
            self._to.lose(path, action, reason)

    def open(self, index: int, event: Part | PartDelta) -> bytes:
        self._index = index
        head = f'event: content_block_delta\ndata: {{"type":"content_block_delta","index":{index},'
        self._text_head = f'{head}"delta":{{"type":"text_delta","text":'
        self._thinking_head = f'{head}"delta":{{"type":"thinking_delta","thinking":'
        self._json_head = f'{head}"delta":{{"type":"input_json_delta","partial_json":'
        self._texts = []
        self._held = b""
        self._is_custom = self._is_begun = False
        match event:
            case PartDelta():
                return self._whole(event)
            case ThinkingDelta():
                return self._open_thinking(event)
            case ToolCallDelta():
                return self._open_call(event)
            case BuiltinCallDelta():
                return self._open_builtin(event)
            case _:
                return self._open_text(event)

    def _start(self, block: JsonObject, wire: tuple[Opaque, ...]) -> bytes:
        body = {"type": "content_block_start", "index": self._index, "content_block": block}
        return frame(body, wire)

    def _open_text(self, event: Part) -> bytes:
        """Begin a text block, also for what only text can say: refusals and spoken words."""
        block: JsonObject = {"type": "text", "text": ""}
        self._report(event.opaque, "message.parts")
        if not isinstance(event, TextDelta):
            return self._start(block, ()) + self.delta(event)
        is_inline = _is_inline(event.wire)
        if is_inline:
            block["text"] = event.text
        put(block, "citations", None, data_of(event.opaque, "block").get("empty", {}))
        block = restore(block, event.opaque, NAME, "block")
        starts_alone = is_inline or not event.text
        if starts_alone:
            return self._start(block, event.wire)
        return self._start(block, ()) + self.delta(event)

    def _open_thinking(self, event: ThinkingDelta) -> bytes:
        self._report(event.opaque, "message.parts")
        redacted = data_of(event.opaque, REDACTED)
        if redacted:
            block = {"type": "redacted_thinking", "data": redacted["data"]}
            return self._start(restore(block, event.opaque, NAME, "block"), event.wire)
        carried = foreign_state(event.opaque)
        if carried is not None and not event.text:
            return self._start({"type": "redacted_thinking", "data": seal(carried)}, ())
        is_inline = _is_inline(event.wire)
        signature = data_of(event.opaque, SIGNATURE).get("signature", "")
        block = {
            "type": "thinking",
            "thinking": event.text if is_inline else "",
            "signature": signature if is_inline else "",
        }
        if not block["signature"] and "absent" in data_of(event.opaque, "block"):
            del block["signature"]
        block = restore(block, event.opaque, NAME, "block")
        starts_alone = is_inline or not (event.text or signature)
        if starts_alone:
            return self._start(block, event.wire)
        return self._start(block, ()) + self.delta(event)

    def _open_call(self, event: ToolCallDelta) -> bytes:
        self.has_calls = True
        self._report(event.opaque, "message.parts")
        report_state(event.opaque, self.path(event.part_index), self._to)
        if event.namespace is not None:
            self._lose(
                f"{self.path(event.part_index)}.namespace",
                "dropped",
                "anthropic has no tool namespaces",
            )
        self._is_custom = event.kind == "custom"
        if self._is_custom:
            self._lose(
                self.path(event.part_index),
                "emulated",
                "free text input travels as the string `input` of an object",
            )
        id = event.id if event.id is not None else f"toolu_{self._stamp.id}_{self._index}"
        if not event.name:
            path = f"{self.path(event.part_index)}.name"
            self._lose(path, "defaulted", "the API requires a name; sent as unnamed")
        return self._open_json(
            event, {"type": "tool_use", "id": id, "name": event.name or "unnamed"}
        )

    def _open_builtin(self, event: BuiltinCallDelta) -> bytes:
        kind = data_of(event.opaque, "block").get("type", "server_tool_use")
        id = event.id if event.id is not None else f"srvtoolu_{self._stamp.id}_{self._index}"
        return self._open_json(event, {"type": kind, "id": id, "name": event.name or "unnamed"})

    def _open_json(self, event: ToolCallDelta | BuiltinCallDelta, block: JsonObject) -> bytes:
        is_inline = _is_inline(event.wire)
        block["input"] = loads(event.text) if is_inline else {}
        block = restore(block, event.opaque, NAME, "block")
        starts_alone = is_inline or not event.text
        if starts_alone:
            return self._start(block, event.wire)
        return self._start(block, ()) + self.delta(event)

    def _whole(self, event: PartDelta) -> bytes:
        frames = data_of(event.wire, "frames").get("frames")
        if frames:
            return b"".join(frame({**body, "index": self._index}) for body in frames)
        # Its losses are known already: whoever asked whether the part has a block recorded them.
        block = render_block(event.part, "", Rendering(answer=True))
        return self._start(block or {}, event.wire)

    def text(self, text: str) -> bytes:
        """Return the frame of one text delta and nothing else."""
        self._texts.append(text)
        return quoted_between(self._text_head, text, _TAIL)

    def thought(self, text: str) -> bytes:
        """Return the frame of one thinking delta and nothing else."""
        return quoted_between(self._thinking_head, text, _TAIL)

    def arguments(self, text: str) -> bytes:
        """Return the frame of one fragment of a call's input and nothing else."""
        return self._input(text, ())

    def delta(self, event: Part | OpaqueDelta) -> bytes:
        match event:
            case TextDelta() | RefusalDelta():
                return self._words(event)
            case AudioDelta():
                reason = "anthropic has no audio; its transcript is sent as text"
                self._lose(self.path(event.part_index), "substituted", reason)
                said = {"type": "text_delta", "text": event.transcript}
                return self._delta(said, event.wire) if event.transcript else b""
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallDelta():
                return self._input(event.text, event.wire)
            case BuiltinCallDelta():
                return self._json(event.text, event.wire)
            case CitationDelta():
                return self._citation(event)
            case _:
                return self._opaque(event)

    def _words(self, event: TextDelta | RefusalDelta) -> bytes:
        if event.logprobs:
            self._lose("logprobs", "dropped", "anthropic gives no token probabilities")
        if isinstance(event, RefusalDelta):
            reason = "anthropic has no refusal part; sent as text"
            self._lose(self.path(event.part_index), "substituted", reason)
        self._texts.append(event.text)
        return self._delta({"type": "text_delta", "text": event.text}, event.wire)

    def _delta(self, delta: JsonObject, wire: tuple[Opaque, ...]) -> bytes:
        if wire:
            self._report(wire, "")
            delta = {**delta, **data_of(wire, "delta").get("rest", {})}
        body = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return frame(body, wire)

    def _thinking(self, event: ThinkingDelta) -> bytes:
        signature = data_of(event.opaque, SIGNATURE).get("signature")
        carried = foreign_state(event.opaque) if event.opaque else None
        if carried is not None:
            signature = seal(carried)
        if signature is None:
            if not event.wire:
                return self.thought(event.text)
            return self._delta({"type": "thinking_delta", "thinking": event.text}, event.wire)
        shown = b""
        wire = event.wire
        if event.text:
            shown, wire = self._delta({"type": "thinking_delta", "thinking": event.text}, wire), ()
        if signature or data_of(wire, "signature_frame"):
            self._held += self._delta({"type": "signature_delta", "signature": signature}, wire)
        return shown

    def _input(self, text: str, wire: tuple[Opaque, ...]) -> bytes:
        if not self._is_custom:
            return self._json(text, wire)
        if not text:
            return b""
        opening = "" if self._is_begun else '{"input":"'
        self._is_begun = True
        return self._json(opening + dumps(text)[1:-1], wire)

    def _json(self, text: str, wire: tuple[Opaque, ...]) -> bytes:
        if wire:
            return self._delta({"type": "input_json_delta", "partial_json": text}, wire)
        return quoted_between(self._json_head, text, _TAIL)

    def _citation(self, event: CitationDelta) -> bytes:
        path = self.path(event.part_index + 1)
        self._cited += 1
        citation = render_citation(event.citation, path, self._to, "".join(self._texts))
        delta = {"type": "citations_delta", "citation": citation}
        return b"" if citation is None else self._delta(delta, event.wire)

    def _opaque(self, event: OpaqueDelta) -> bytes:
        content = event.content
        if content.dialect != NAME or content.kind != "delta":
            self._report((content,), "message.parts")
            self._lose(
                f"message.parts.{content.kind}",
                "dropped",
                f"only {content.dialect} knows this delta",
            )
            return b""
        body = {"index": self._index, "delta": content.data["delta"]}
        return frame({**content.data.get("rest", {}), "type": "content_block_delta", **body})

    def close(self, event: PartEnd | None) -> bytes:
        frames = self._held
        if self._is_custom:
            frames += self._json('"}' if self._is_begun else '{"input":""}', ())
        wire = () if event is None else event.wire
        self._report(wire, "")
        return frames + frame({"type": "content_block_stop", "index": self._index}, wire)
