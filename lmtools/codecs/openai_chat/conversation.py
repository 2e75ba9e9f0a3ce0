"""Canonical messages to Chat's.

What Chat cannot say in place is moved, never lost in silence: tool results that stand in a user's
turn become ``tool`` messages before the rest of that turn; media inside results follow in a user
message after the last result of the run, since no other message may stand between a call and its
results.
"""

from __future__ import annotations

from ...types import (
    MEDIA_CLASSES,
    AudioPart,
    CitationPart,
    JsonObject,
    Message,
    Opaque,
    OpaquePart,
    Part,
    RefusalPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolsPart,
)
from ..base import Loss, Losses, Target
from ..fields import report_foreign
from ..names import WireNames, wire_id
from ..seal import is_state
from .assistant import (
    AUDIO,
    is_call,
    own_details,
    render_annotation,
    report_opaque,
    says_in_content,
    thinking_field,
)
from .messages import MESSAGE
from .parts import PartRenderer, spelled_content
from .tools import (
    CALL,
    CUSTOM_TOOLS,
    EXTRA,
    extra_state,
    render_call,
    render_called,
    says_legacy,
    wrapped_call,
)
from .wire import DETAILS, NAME

#: Stands before the text of a failed result: Chat's tool messages have no error flag.
ERROR_PREFIX = "[the tool failed] "
_SEE_BELOW = "[The result holds media; they follow in the next user message.]"


class ConversationRenderer:
    def __init__(self, target: Target, names: WireNames, losses: Losses) -> None:
        self._target = target
        self._names = names
        self._losses = losses
        self._parts = PartRenderer(target, losses)
        self._out: list[JsonObject] = []
        self._media: list[JsonObject] = []
        self._leading = True

    def render(self, messages: tuple[Message, ...]) -> list[JsonObject]:
        for i, message in enumerate(messages):
            self._message(message, f"messages[{i}]")
        self._flush()
        if self._target.signs_calls:
            self._report_unsigned(messages)
        return self._out

    def _report_unsigned(self, messages: tuple[Message, ...]) -> None:
        """Record the steps of the current turn whose signature did not come back.

        Google documents a placeholder for the parts of its own API, and none for this one; so
        nothing stands in its place.
        """
        for i in range(len(messages) - 1, -1, -1):
            message = messages[i]
            if message.role == "user" and not any(map(_is_result, message.parts)):
                return
            calls = [j for j, part in enumerate(message.parts) if isinstance(part, ToolCallPart)]
            if calls and not self._is_signed(message.parts[calls[0]]):
                reason = "the model wants the signature on its call back, and none came"
                self._lose(f"messages[{i}].parts[{calls[0]}].{EXTRA}", "dropped", reason)

    def _is_signed(self, call: Part) -> bool:
        state = extra_state(call.opaque)
        own = state is not None and state.origin == self._target.origin
        return own or bool(CALL.rest(call.opaque).get(EXTRA))

    def _lose(self, path: str, action: str, reason: str) -> None:
        self._losses.append(Loss(path, action, reason))

    def _message(self, message: Message, path: str) -> None:
        report_foreign(message.opaque, NAME, path, self._losses)
        results = [i for i, part in enumerate(message.parts) if isinstance(part, ToolResultPart)]
        self._leading = self._leading and message.role in ("system", "developer")
        if message.role == "assistant":
            self._flush()
            self._out.append(self._assistant(message, path))
        elif results:
            self._turn_with_results(message, path, results)
        elif not message.parts or not all(isinstance(p, ToolsPart) for p in message.parts):
            self._plain(message, path)

    # Turns of the user, system and developer

    def _plain(self, message: Message, path: str) -> None:
        role = self._role(message, path)
        if role != "user":
            self._flush()
        rendered, self._media = self._media, []
        rendered.extend(self._contents(message.parts, path))
        self._out.append(self._finished(role, rendered, message))

    def _role(self, message: Message, path: str) -> str:
        role = message.role
        if role == "user":
            said: str = MESSAGE.rest(message.opaque).get("role", role)
            return said
        if role == "tool":
            self._lose(f"{path}.role", "substituted", "a tool message without a result")
            return "user"
        where = self._target.system
        if where == "none" or (where == "first" and not self._leading):
            reason = "the server takes system messages at the start only"
            if where == "none":
                reason = "the server takes no system messages"
            self._lose(f"{path}.role", "substituted", f"{reason}; sent as a user message")
            return "user"
        if role == "developer" and not self._target.developer:
            self._lose(f"{path}.role", "substituted", "the server knows system, not developer")
            return "system"
        return role

    def _contents(self, parts: tuple[Part, ...], path: str) -> list[JsonObject]:
        found = []
        for i, part in enumerate(parts):
            if isinstance(part, (ToolResultPart, ToolsPart)):
                continue
            rendered = self._parts.render(part, f"{path}.parts[{i}]")
            if rendered is not None:
                found.append(rendered)
        return found

    def _finished(self, role: str, rendered: list[JsonObject], message: Message) -> JsonObject:
        out: JsonObject = {"role": role}
        spelled_content(out, rendered, MESSAGE.note(message.opaque, "content"))
        if message.name is not None:
            out["name"] = message.name
        return MESSAGE.fill(out, message.opaque)

    def _flush(self) -> None:
        """Send the media of the results before, as a user's message of their own."""
        if self._media:
            self._out.append({"role": "user", "content": self._media})
            self._media = []

    # Results

    def _turn_with_results(self, message: Message, path: str, results: list[int]) -> None:
        for i in results:
            self._result(message, i, f"{path}.parts[{i}]", first=i == results[0])
        if len(results) == len(message.parts):
            return
        if not isinstance(message.parts[0], ToolResultPart):
            self._lose(
                f"{path}.parts", "substituted", "Chat wants results before the rest of a turn"
            )
        rendered, self._media = self._media, []
        rendered.extend(self._contents(message.parts, path))
        if rendered:
            out: JsonObject = {"role": "user"}
            spelled_content(out, rendered)
            self._out.append(out)

    def _result(self, message: Message, index: int, path: str, *, first: bool) -> None:
        part = message.parts[index]
        assert isinstance(part, ToolResultPart)
        report_foreign(part.opaque, NAME, path, self._losses)
        if part.cache is not None:
            self._lose(f"{path}.cache", "dropped", "Chat servers cache prefixes by themselves")
        if part.namespace is not None:
            self._lose(f"{path}.namespace", "dropped", "a Chat result is known by its call's id")
        # The keys kept of a wire message belong to its only result.
        opaque = message.opaque if first and message.role == "tool" else ()
        legacy = MESSAGE.note(opaque, "function") == part.id
        out: JsonObject = {"role": "function" if legacy else "tool"}
        spelling = MESSAGE.note(opaque, "content")
        rendered = self._result_contents(part, path, in_place=spelling == "list")
        if part.is_error:
            self._lose(
                f"{path}.is_error", "emulated", f"Chat has no flag; {ERROR_PREFIX!r} says it"
            )
            _prefix(rendered)
        spelled_content(out, rendered, spelling)
        if part.name is not None:
            out["name"] = part.name
        if not legacy:
            out["tool_call_id"] = wire_id(part.id, self._target)
        self._out.append(MESSAGE.fill(out, opaque))

    def _result_contents(
        self, part: ToolResultPart, path: str, *, in_place: bool
    ) -> list[JsonObject]:
        found: list[JsonObject] = []
        moved: list[JsonObject] = []
        for i, inner in enumerate(part.content):
            where = f"{path}.content[{i}]"
            rendered = self._parts.render(inner, where)
            if rendered is None:
                continue
            if in_place or rendered["type"] == "text" or not isinstance(inner, MEDIA_CLASSES):
                found.append(rendered)
            else:
                reason = "tool messages hold text only; it follows in a user message"
                self._lose(where, "substituted", reason)
                moved.append(rendered)
        if moved:
            label = {"type": "text", "text": f"Media of the result of call {part.id}:"}
            self._media += [label, *moved]
            found = found or [{"type": "text", "text": _SEE_BELOW}]
        return found

    # The assistant's turns

    def _assistant(self, message: Message, path: str) -> JsonObject:
        out: JsonObject = {"role": "assistant"}
        content: list[JsonObject] = []
        for i, part in enumerate(message.parts):
            self._assistant_part(part, f"{path}.parts[{i}]", out, content, message)
        return self._assistant_finished(message, out, content)

    def _assistant_part(
        self,
        part: Part,
        path: str,
        out: JsonObject,
        content: list[JsonObject],
        message: Message,
    ) -> None:
        match part:
            case ThinkingPart():
                self._thinking(part, path, out)
            case CitationPart():
                self._citation(part, path, out, message)
            case RefusalPart() if not says_in_content(part):
                self._unmarked(part, path)
                out["refusal"] = out.get("refusal", "") + part.text
            case AudioPart() if part.file_id is not None or AUDIO.rest(part.opaque).get("id"):
                self._unmarked(part, path)
                out["audio"] = _audio(part)
            case ToolCallPart():
                self._call(part, path, out)
            case OpaquePart() if is_call(part):
                out.setdefault("tool_calls", []).append(part.content.data["rest"])
            case _:
                rendered = self._parts.render(part, path)
                if rendered is not None:
                    content.append(rendered)
                    if "tool_calls" in out:
                        self._lose(path, "substituted", "Chat says all content before the calls")

    def _unmarked(self, part: Part, path: str) -> None:
        """Account for what a part carries where Chat has no object of its own for it."""
        report_opaque(part, path, self._losses)
        if part.cache is not None:
            self._lose(f"{path}.cache", "dropped", "Chat servers cache prefixes by themselves")

    def _thinking(self, part: ThinkingPart, path: str, out: JsonObject) -> None:
        sent = self._details(part, out)
        name = self._target.reasoning_field or thinking_field(part)
        if sent and (name is None or not part.text):
            # What it shows stands in the details as well.
            return
        if name is None or not part.text:
            self._lose(path, "dropped", "the server takes no reasoning back")
            return
        if not sent and any(item.dialect == NAME and is_state(item) for item in part.opaque):
            self._lose(f"{path}.{DETAILS}", "dropped", "it belongs to another provider or key")
        self._unmarked(part, path)
        out[name] = f"{out[name]}\n{part.text}" if name in out else part.text

    def _details(self, part: ThinkingPart, out: JsonObject) -> bool:
        """Give reasoning state back to whom it came from; tell whether there was any."""
        own, extra = own_details(part.opaque), extra_state(part.opaque)
        if own is not None and own.origin == self._target.origin:
            out.setdefault("reasoning_details", []).extend(own.data["details"])
            return True
        if extra is not None and extra.origin == self._target.origin:
            out[EXTRA] = extra.data[EXTRA]
            return True
        return False

    def _citation(self, part: CitationPart, path: str, out: JsonObject, message: Message) -> None:
        rendered = None
        if MESSAGE.note(message.opaque, "annotations"):
            rendered = render_annotation(part, 0, 0)
        if rendered is None:
            self._lose(path, "dropped", "Chat takes no citations back")
        else:
            out.setdefault("annotations", []).append(rendered)

    def _call(self, part: ToolCallPart, path: str, out: JsonObject) -> None:
        self._unmarked(part, path)
        if part.namespace is not None:
            self._lose(f"{path}.namespace", "emulated", "Chat has none; it is in the name")
        if says_legacy(part):
            out["function_call"] = render_called(part, self._names)
            return
        if part.kind == "custom" and CUSTOM_TOOLS in self._target.refuses:
            self._lose(path, "emulated", "the server has no custom tools; sent as a function call")
            part = wrapped_call(part)
        id = wire_id(part.id, self._target)
        state = self._call_state(part, path)
        out.setdefault("tool_calls", []).append(render_call(part, id, self._names, state))

    def _call_state(self, part: ToolCallPart, path: str) -> Opaque | None:
        """Return the state of a call for whom it belongs to."""
        state = extra_state(part.opaque)
        if state is None or state.origin == self._target.origin:
            return state
        self._lose(f"{path}.{EXTRA}", "dropped", "it belongs to another provider or key")
        return None

    def _assistant_finished(
        self, message: Message, out: JsonObject, content: list[JsonObject]
    ) -> JsonObject:
        beside = any(key in out for key in ("tool_calls", "function_call", "refusal", "audio"))
        spelling = MESSAGE.note(message.opaque, "content")
        spelled_content(out, content, spelling, "null" if beside else "string")
        if message.name is not None:
            out["name"] = message.name
        empty = MESSAGE.note(message.opaque, "empty") and not self._target.provider
        if empty and "tool_calls" not in out:
            out["tool_calls"] = []
        return MESSAGE.fill(out, message.opaque)


def _is_result(part: Part) -> bool:
    return isinstance(part, ToolResultPart)


def _audio(part: AudioPart) -> JsonObject:
    """A history names audio by its id alone; the rest of the answer's object stays behind."""
    if part.file_id is not None:
        return AUDIO.fill({"id": part.file_id}, part.opaque)
    return {"id": AUDIO.rest(part.opaque)["id"]}


def _prefix(rendered: list[JsonObject]) -> None:
    if rendered and rendered[0]["type"] == "text":
        rendered[0] = {**rendered[0], "text": ERROR_PREFIX + rendered[0]["text"]}
    else:
        rendered.insert(0, {"type": "text", "text": ERROR_PREFIX.rstrip()})
