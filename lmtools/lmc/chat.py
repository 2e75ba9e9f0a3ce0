"""One question and its answer: options to a request, events to what a person sees and an exit code.

Nothing here prints or sends: ``Screen`` is where an answer goes, and events come as arguments. A
whole answer is shown as its events too, so that ``-stream`` changes when something appears and not
what.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from ..errors import LMError
from ..types import (
    AudioDelta,
    BuiltinCallDelta,
    BuiltinCallPart,
    BuiltinResultPart,
    CitationDelta,
    CitationPart,
    End,
    Event,
    JsonObject,
    Message,
    OpaqueDelta,
    OpaquePart,
    OutputFormat,
    Part,
    PartDelta,
    PartEnd,
    Reasoning,
    RefusalDelta,
    RefusalPart,
    Request,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    ToolCallDelta,
    ToolCallPart,
    Usage,
)
from ..types.events import to_exception
from .options import Options

__all__ = ["JSON_PROMPT", "SYSTEM_PROMPT", "Answer", "Outcome", "Screen", "build_request"]

#: The system prompt of a run without ``-s``.
SYSTEM_PROMPT = "Answer correctly and to the point. Say so when you do not know."
#: What it says more with ``-json``. OpenAI refuses its JSON mode when no message names JSON, and
#: Anthropic has no such mode.
JSON_PROMPT = "Answer with one JSON object and nothing else."

#: What the API calls a schema; it has to have a name there.
_SCHEMA_NAME = "answer"

# Why an answer that ended is still no complete one: the exit code and what to say.
_ENDINGS = {
    "length": (3, "the answer reached its limit in tokens; -max-tokens sets a larger one"),
    "context_length": (3, "the answer filled the model's context; send a shorter prompt"),
    "pause": (3, "the provider paused the answer before its end; send the prompt again"),
    "tool_call": (3, "the model asked for a tool, and lmc offers none"),
    "refusal": (4, "the model refused to answer"),
    "content_filter": (4, "the provider's content filter stopped the answer"),
    "error": (1, "the provider says that it failed while it wrote the answer"),
}
# A stream that broke leaves a part of an answer; other errors in a stream are the provider's.
_CUT = frozenset({"truncated", "timeout"})


class Screen(Protocol):
    """Where an answer is shown. ``terminal.Terminal`` is one."""

    def answer(self, text: str) -> None: ...
    def reasoning(self, text: str) -> None: ...


class Outcome(NamedTuple):
    """How a run ended: its exit code, and what to say about it if the answer is not complete."""

    code: int
    reason: str = ""
    error: LMError | None = None


def build_request(
    options: Options, model: str, prompt: str, schema: JsonObject | None = None
) -> Request:
    """Return the request that the options describe."""
    system = _system(options)
    messages = [Message.system(system)] if system else []
    return Request(
        model,
        (*messages, Message.user(prompt)),
        stream=True if options.stream else None,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        reasoning=Reasoning(effort=options.effort) if options.effort else None,
        output=_output(options, schema),
    )


def _system(options: Options) -> str:
    if options.system is not None:
        return options.system
    return f"{SYSTEM_PROMPT} {JSON_PROMPT}" if options.json else SYSTEM_PROMPT


def _output(options: Options, schema: JsonObject | None) -> OutputFormat | None:
    if schema is not None:
        return OutputFormat("json_schema", schema=schema, name=_SCHEMA_NAME)
    return OutputFormat("json_object") if options.json else None


class Answer:
    """An answer while it is shown. Afterwards ``outcome`` judges it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._pieces: list[str] = []
        self._has_text = False
        self._refusal: list[str] = []
        self._last: End | StreamError | None = None
        self._citations: dict[str, None] = {}
        self.usage = Usage()
        self.model: str | None = None
        #: Kinds of content that the answer has and a terminal cannot show.
        self.unshown: dict[str, None] = {}

    @property
    def sources(self) -> list[str]:
        """The cited sources in the order of their first citation, each once."""
        return [f"[{number}] {line}" for number, line in enumerate(self._citations, start=1)]

    def show(self, events: Iterable[Event]) -> None:
        """Show what arrived together, neighbouring pieces of text as one."""
        for event in events:
            self._take(event)
        self._show_text()

    def _show_text(self) -> None:
        text = "".join(self._pieces)
        self._pieces.clear()
        if text:
            self._has_text = self._has_text or not text.isspace()
            self._screen.answer(text)

    def _show_reasoning(self, text: str) -> None:
        self._show_text()
        if text:
            self._screen.reasoning(text)

    def _take(self, event: Event) -> None:
        match event:
            case Start():
                self.model = event.model
                self.usage = event.usage
            case TextDelta():
                self._pieces.append(event.text)
            case ThinkingDelta():
                self._show_reasoning(event.text)
            case RefusalDelta():
                self._refusal.append(event.text)
            case CitationDelta():
                self._cite(event.citation)
            case PartDelta():
                self._take_part(event.part)
            case AudioDelta():
                self.unshown["audio"] = None
            case End():
                self.usage = self.usage.updated(event.usage)
                self._last = event
            case StreamError():
                self._last = event
            case ToolCallDelta() | BuiltinCallDelta() | PartEnd() | OpaqueDelta():
                pass  # calls show in how the answer ends; the rest has nothing to see

    def _take_part(self, part: Part) -> None:
        match part:
            case TextPart():
                self._pieces.append(part.text)
            case ThinkingPart():
                self._show_reasoning(part.text)
            case RefusalPart():
                self._refusal.append(part.text)
            case CitationPart():
                self._cite(part)
            case ToolCallPart() | BuiltinCallPart() | BuiltinResultPart() | OpaquePart():
                pass  # as their deltas
            case _:
                self.unshown[part.type] = None

    def _cite(self, citation: CitationPart) -> None:
        line = " ".join(filter(None, (citation.title, citation.url))) or citation.text
        if line:
            self._citations[line] = None

    def outcome(self) -> Outcome:
        """Judge the answer, whose last event has been shown."""
        match self._last:
            case StreamError() as error:
                return self._broken(error)
            case End(finish=finish) if finish in _ENDINGS:
                code, reason = _ENDINGS[finish]
            case _:
                code, reason = 0, ""
        if self._refusal:
            words = "".join(self._refusal).strip()
            return Outcome(4, f"{_ENDINGS['refusal'][1]}{f': {words}' if words else ''}")
        if code == 0 and not self._has_text:
            return Outcome(3, "the answer is empty; nothing says why")
        return Outcome(code, reason)

    def _broken(self, error: StreamError) -> Outcome:
        if error.code in _CUT:
            reason = f"the answer was cut: {error.message}"
            return Outcome(3, reason)
        return Outcome(1, error=to_exception(error))
