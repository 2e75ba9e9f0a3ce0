"""Random canonical values for the laws: every type, every field, from one ``random.Random``.

The same seed gives the same values. What they hold is what makes codecs fail: empty and astral
text, quotes and line ends, falsy values that are said, JSON whose key order matters, argument text
that is no JSON. The values obey the types, not a conversation: a result may have no call. The
sizes are small, so that a law can run on hundreds.

``random_request``, ``random_response`` and ``random_events`` take ``dialects``: the owners of the
opaque data that they hold; none gives values without opaque data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from lmtools.errors import CODES
from lmtools.types import (
    EFFORTS,
    FINISH_REASONS,
    OUTPUT_FORMATS,
    REASONING_MODES,
    ROLES,
    TOOL_CHOICE_MODES,
    TOOL_KINDS,
    USAGE_COUNTS,
    AudioDelta,
    AudioPart,
    BinaryPart,
    BuiltinCallDelta,
    BuiltinCallPart,
    BuiltinResultPart,
    BuiltinTool,
    CacheMark,
    CitationDelta,
    CitationPart,
    CustomTool,
    DocumentPart,
    End,
    Event,
    FunctionTool,
    ImagePart,
    Json,
    JsonObject,
    Message,
    ModelInfo,
    Opaque,
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
    Response,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    TokenLogprob,
    Tool,
    ToolCallDelta,
    ToolCallPart,
    ToolChoice,
    ToolRef,
    ToolResultPart,
    ToolsPart,
    Usage,
    VideoPart,
)
from lmtools.types.json import dumps

DIALECTS = ("anthropic", "openai_chat", "gemini")
TEXTS = (
    "",
    " ",
    "a",
    "Hello, world.",
    'quote " back\\slash / tab\t nl\n cr\r nul\x00',
    "déjà vu",
    "日本語テキスト",
    "\U0001f9d1\u200d\U0001f680 astral",
    "\u2028 line separator",
    "data: not an event\n\n",
    "{'not': json",
    "0",
    "null",
)
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
BASE64 = ("", "AAAA", "aGVsbG8=", "/+8=")


def maybe(rng: Random, make: Callable[[Random], Any], odds: float = 0.3) -> Any:
    """Return a value, or None."""
    return make(rng) if rng.random() < odds else None


def some(
    rng: Random, make: Callable[[Random], Any], most: int = 3, least: int = 0
) -> tuple[Any, ...]:
    return tuple(make(rng) for _ in range(rng.randint(least, most)))


def text(rng: Random) -> str:
    return rng.choice(TEXTS)


def word(rng: Random) -> str:
    return rng.choice(WORDS)


def flag(rng: Random) -> bool:
    return rng.random() < 0.5


def count(rng: Random) -> int:
    return rng.choice((0, 1, 7, 4096, 2**53))


def number(rng: Random) -> float:
    return rng.choice((0, 1, 0.0, 0.5, 0.1, -2.0, 1e-9, 12345.678))


def identifier(rng: Random) -> str:
    return f"{word(rng)}_{rng.randrange(10_000)}"


def pick(words: Any) -> Callable[[Random], Any]:
    """Return a maker that chooses among words, whatever the order of their set."""
    listed = sorted(words)
    return lambda rng: rng.choice(listed)


def json_value(rng: Random, depth: int = 2) -> Json:
    makers: list[Callable[[], Json]] = [
        lambda: None,
        lambda: flag(rng),
        lambda: count(rng),
        lambda: number(rng),
        lambda: text(rng),
    ]
    if depth:
        makers.append(lambda: [json_value(rng, depth - 1) for _ in range(rng.randint(0, 3))])
        makers.append(lambda: json_object(rng, depth - 1))
    return rng.choice(makers)()


def json_object(rng: Random, depth: int = 2) -> JsonObject:
    keys = rng.sample((*WORDS, "10", "2024", "", "ключ"), rng.randint(0, 3))
    return {key: json_value(rng, depth) for key in keys}


class Values:
    """Makers of every canonical type over one ``random.Random``. ``dialects`` own the opaque data."""

    def __init__(self, rng: Random, dialects: tuple[str, ...] = DIALECTS) -> None:
        self.rng = rng
        self.dialects = dialects

    def one_opaque(self) -> Opaque:
        rng = self.rng
        data: JsonObject = {"rest": json_object(rng)}
        if flag(rng):
            data["keys"] = [*data["rest"], "text"]
        if flag(rng):
            data[word(rng)] = json_value(rng)
        owner = rng.choice(self.dialects)
        return Opaque(owner, identifier(rng), data, maybe(rng, identifier))

    def opaque(self) -> tuple[Opaque, ...]:
        if not self.dialects or self.rng.random() < 0.7:
            return ()
        return tuple(self.one_opaque() for _ in range(self.rng.randint(1, 2)))

    def mark(self) -> CacheMark:
        return CacheMark(maybe(self.rng, pick(("5m", "1h"))), self.opaque())

    def cache(self) -> CacheMark | None:
        return self.mark() if self.rng.random() < 0.15 else None

    def notes(self) -> dict[str, Any]:
        """What every part and tool may carry."""
        return {"cache": self.cache(), "opaque": self.opaque()}

    # Parts

    def text_part(self) -> TextPart:
        return TextPart(text(self.rng), **self.notes())

    def thinking(self) -> ThinkingPart:
        return ThinkingPart(text(self.rng), **self.notes())

    def refusal(self) -> RefusalPart:
        return RefusalPart(text(self.rng), **self.notes())

    def citation(self) -> CitationPart:
        rng = self.rng
        said = {name: maybe(rng, text, 0.6) for name in ("url", "title", "text")}
        places = {name: maybe(rng, count) for name in ("start", "end")}
        return CitationPart(**said, **places, **self.notes())

    def source(self) -> dict[str, Any]:
        """What every media part has: one of data, url and file_id, and the notes."""
        rng = self.rng
        kinds = {
            "data": lambda: rng.choice(BASE64),
            "url": lambda: f"https://example.org/{word(rng)}",
            "file_id": lambda: identifier(rng),
        }
        name = rng.choice(list(kinds))
        media_type = maybe(rng, pick(("image/png", "text/plain", "application/pdf")), 0.7)
        return {name: kinds[name](), "media_type": media_type, **self.notes()}

    def image(self) -> ImagePart:
        return ImagePart(**self.source(), detail=maybe(self.rng, pick(("low", "high", "auto"))))

    def audio(self) -> AudioPart:
        return AudioPart(**self.source(), transcript=maybe(self.rng, text))

    def video(self) -> VideoPart:
        return VideoPart(**self.source())

    def document(self) -> DocumentPart:
        name, context = maybe(self.rng, text), maybe(self.rng, text)
        return DocumentPart(**self.source(), name=name, context=context)

    def binary(self) -> BinaryPart:
        return BinaryPart(**self.source(), name=maybe(self.rng, text))

    def tool_call(self) -> ToolCallPart:
        """A call as an upstream gives it: with the argument text, without, broken, or custom."""
        rng = self.rng
        given = json_object(rng)
        words = text(rng)
        shapes: tuple[tuple[str, Json, str | None], ...] = (
            ("function", given, None),
            ("function", given, dumps(given)),
            ("function", given, json.dumps(given, indent=1)),
            ("function", {}, ""),
            ("function", {}, '{"cut": "sho'),
            ("function", {}, "[1]"),
            ("custom", words, None),
            ("custom", words, words),
            ("builtin", given, dumps(given)),
        )
        kind, value, exact = rng.choice(shapes)
        namespace = maybe(rng, identifier, 0.1)
        return ToolCallPart(
            identifier(rng), identifier(rng), value, exact, kind, namespace, **self.notes()
        )

    def tool_result(self, depth: int = 1) -> ToolResultPart:
        rng = self.rng
        makers = [self.text_part, self.image, self.document, self.citation]
        if depth:
            makers.append(lambda: self.tool_result(depth - 1))  # type: ignore[arg-type,return-value]
        content = tuple(rng.choice(makers)() for _ in range(rng.randint(0, 2)))
        return ToolResultPart(
            identifier(rng),
            content,  # type: ignore[arg-type]
            is_error=maybe(rng, flag),
            name=maybe(rng, identifier),
            kind=rng.choice(sorted(TOOL_KINDS)),
            namespace=maybe(rng, identifier, 0.1),
            **self.notes(),
        )

    def tools_part(self) -> ToolsPart:
        return ToolsPart(self.tools(), **self.notes())

    def builtin_call(self) -> BuiltinCallPart:
        rng = self.rng
        status = maybe(rng, pick(("completed", "in_progress")))
        return BuiltinCallPart(
            identifier(rng), identifier(rng), json_value(rng), status, **self.notes()
        )

    def builtin_result(self) -> BuiltinResultPart:
        sources = tuple(self.citation() for _ in range(self.rng.randint(0, 2)))
        status = maybe(self.rng, pick(("completed", "failed")))
        return BuiltinResultPart(
            identifier(self.rng), identifier(self.rng), sources, status, **self.notes()
        )

    def opaque_part(self) -> OpaquePart | TextPart:
        """A block of one dialect; text where no dialect may own anything."""
        if not self.dialects:
            return self.text_part()
        return OpaquePart(self.one_opaque(), **self.notes())

    def part(self) -> Part:
        """A part of any kind."""
        return self.rng.choice(
            (
                *(self.text_part, self.thinking, self.refusal, self.citation),
                *(self.image, self.audio, self.video, self.document, self.binary),
                *(self.tool_call, self.tool_result, self.tools_part),
                *(self.builtin_call, self.builtin_result, self.opaque_part),
            )
        )()

    def answer_part(self) -> Part:
        """A part of the kinds that a model answers with, common ones more often."""
        return self.rng.choice(
            (
                *(self.text_part, self.text_part, self.thinking, self.tool_call, self.tool_call),
                *(self.refusal, self.citation, self.image, self.audio, self.document),
                *(self.builtin_call, self.builtin_result, self.opaque_part),
            )
        )()

    # Tools

    def tool(self) -> Tool:
        rng = self.rng
        name, said = identifier(rng), {"description": maybe(rng, text), **self.notes()}
        space = maybe(rng, identifier, 0.1)
        kind = rng.randrange(5)
        if kind == 0:
            return BuiltinTool(name, cache=said["cache"], opaque=said["opaque"])
        if kind == 1:
            return CustomTool(name, format=maybe(rng, json_object), namespace=space, **said)
        if kind == 2:
            return FunctionTool(name, **said)
        parameters = maybe(rng, json_object, 0.8)
        strict = maybe(rng, flag)
        return FunctionTool(name, parameters=parameters, strict=strict, namespace=space, **said)

    def tools(self) -> tuple[Tool, ...]:
        return tuple(self.tool() for _ in range(self.rng.randint(0, 3)))

    def tool_ref(self) -> ToolRef:
        rng = self.rng
        kind = rng.choice(sorted(TOOL_KINDS))
        return ToolRef(identifier(rng), kind, maybe(rng, identifier, 0.1))

    def tool_choice(self) -> ToolChoice:
        rng = self.rng
        allowed = tuple(self.tool_ref() for _ in range(rng.randint(0, 2)))
        mode = maybe(rng, pick(TOOL_CHOICE_MODES), 0.8)
        return ToolChoice(mode, allowed, maybe(rng, flag), self.opaque())

    # Requests

    def message(self) -> Message:
        rng = self.rng
        parts = tuple(self.part() for _ in range(rng.randint(0, 3)))
        return Message(rng.choice(sorted(ROLES)), parts, maybe(rng, identifier, 0.1), self.opaque())

    def reasoning(self) -> Reasoning:
        rng = self.rng
        return Reasoning(
            maybe(rng, pick(REASONING_MODES)),
            maybe(rng, pick(EFFORTS)),
            maybe(rng, count),
            maybe(rng, pick(("auto", "none", "detailed"))),
            self.opaque(),
        )

    def output(self) -> OutputFormat:
        rng = self.rng
        return OutputFormat(
            rng.choice(sorted(OUTPUT_FORMATS)),
            maybe(rng, json_object),
            maybe(rng, identifier),
            maybe(rng, text),
            maybe(rng, flag),
            self.opaque(),
        )

    def request(self) -> Request:
        rng = self.rng
        bools = {n: maybe(rng, flag) for n in ("stream", "include_usage", "logprobs", "store")}
        ints = {n: maybe(rng, count) for n in ("max_tokens", "top_k", "seed", "n", "top_logprobs")}
        floats = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
        words = ("verbosity", "cache_key", "cache_retention", "user", "service_tier")
        return Request(
            identifier(rng),
            tuple(self.message() for _ in range(rng.randint(0, 4))),
            self.tools(),
            self.tool_choice() if flag(rng) else None,
            **bools,
            **ints,
            **{name: maybe(rng, number) for name in floats},
            **{name: maybe(rng, word) for name in words},
            stop=some(rng, text, 2),
            reasoning=self.reasoning() if flag(rng) else None,
            output=self.output() if flag(rng) else None,
            cache=self.cache(),
            metadata=maybe(rng, json_object),
            previous_response_id=maybe(rng, identifier, 0.1),
            extensions={name: json_object(rng) for name in self.dialects if rng.random() < 0.1},
            opaque=self.opaque(),
        )

    # Responses

    def usage(self) -> Usage:
        counts = {name: maybe(self.rng, count, 0.6) for name in USAGE_COUNTS}
        return Usage(**counts, opaque=self.opaque())

    def logprob(self, top: int = 2) -> TokenLogprob:
        rng = self.rng
        raw = maybe(rng, lambda r: tuple(r.randrange(256) for _ in range(r.randint(0, 3))), 0.6)
        others = tuple(self.logprob(0) for _ in range(rng.randint(0, top)))
        return TokenLogprob(text(rng), number(rng), raw, others, self.opaque())

    def logprobs(self) -> tuple[TokenLogprob, ...]:
        return tuple(self.logprob() for _ in range(self.rng.randint(1, 3)))

    def answer(self) -> Message:
        """What a model may answer: an assistant's message without a name."""
        parts = tuple(self.answer_part() for _ in range(self.rng.randint(0, 4)))
        return Message("assistant", parts, opaque=self.opaque())

    def response(self) -> Response:
        rng = self.rng
        return Response(
            maybe(rng, identifier, 0.9),
            identifier(rng),
            self.answer(),
            maybe(rng, pick(FINISH_REASONS), 0.9),
            self.usage(),
            maybe(rng, count, 0.8),
            maybe(rng, text, 0.2),
            maybe(rng, word, 0.2),
            self.logprobs() if rng.random() < 0.2 else None,
            self.opaque(),
        )

    def model(self) -> ModelInfo:
        rng = self.rng
        return ModelInfo(
            identifier(rng),
            maybe(rng, text),
            maybe(rng, count),
            maybe(rng, word),
            maybe(rng, count),
            maybe(rng, count),
            self.opaque(),
        )

    # Events

    def frame(self) -> dict[str, Any]:
        """What every delta may carry."""
        return {"opaque": self.opaque(), "wire": self.opaque()}

    def start(self) -> Start:
        rng = self.rng
        return Start(
            maybe(rng, identifier, 0.9),
            maybe(rng, identifier, 0.9),
            maybe(rng, count),
            self.usage(),
            maybe(rng, word, 0.2),
            **self.frame(),
            message_opaque=self.opaque(),
        )

    def end(self) -> End:
        rng = self.rng
        said = {"stop_sequence": maybe(rng, text, 0.2), "service_tier": maybe(rng, word, 0.2)}
        return End(maybe(rng, pick(FINISH_REASONS), 0.9), self.usage(), **said, **self.frame())

    def error(self) -> StreamError:
        rng = self.rng
        return StreamError(
            rng.choice(sorted(CODES)),
            text(rng),
            maybe(rng, word),
            maybe(rng, pick((400, 401, 429, 500, 529))),
            maybe(rng, identifier),
            maybe(rng, pick((0, 0.5, 30))),
            maybe(rng, word),
            **self.frame(),
        )

    def delta(self, index: int) -> Event:
        """A delta of any kind for the part with that index."""
        rng, frame = self.rng, self.frame()
        logprobs = self.logprobs() if rng.random() < 0.1 else ()
        makers: list[Callable[[], Event]] = [
            lambda: TextDelta(index, text(rng), logprobs, **frame),
            lambda: ThinkingDelta(index, text(rng), **frame),
            lambda: RefusalDelta(index, text(rng), logprobs, **frame),
            lambda: self.call_delta(index),
            lambda: self.builtin_delta(index),
            lambda: AudioDelta(index, rng.choice(BASE64), text(rng), maybe(rng, word), **frame),
            lambda: CitationDelta(index, self.citation(), **frame),
            lambda: PartDelta(index, self.answer_part(), **frame),
            lambda: PartEnd(index, **frame),
        ]
        if self.dialects:
            makers.append(lambda: OpaqueDelta(self.one_opaque(), rng.choice((None, index))))
        return rng.choice(makers)()

    def call_delta(self, index: int) -> ToolCallDelta:
        rng = self.rng
        ids = {"id": maybe(rng, identifier, 0.5), "name": maybe(rng, identifier, 0.5)}
        kind = rng.choice(("function", "function", "custom"))
        return ToolCallDelta(index, text(rng), **ids, kind=kind, **self.frame())

    def builtin_delta(self, index: int) -> BuiltinCallDelta:
        rng = self.rng
        ids = {"id": maybe(rng, identifier, 0.5), "name": maybe(rng, identifier, 0.5)}
        return BuiltinCallDelta(index, text(rng), **ids, status=maybe(rng, word), **self.frame())

    def events(self) -> list[Event]:
        """Events in the order that decoders keep: one start, deltas, one end or error, last.

        Parts have their own index in order of first appearance and one kind each; some interleave.
        An error may stand alone.
        """
        rng = self.rng
        if rng.random() < 0.05:
            return [self.error()]
        waiting = [self.part_events(index) for index in range(rng.randint(0, 4))]
        started: list[list[Event]] = []
        deltas: list[Event] = []
        while waiting or started:
            if waiting and (not started or rng.random() < 0.3):
                started.append(waiting.pop(0))
                source = started[-1]
            else:
                source = rng.choice(started)
            deltas.append(source.pop(0))
            started = [rest for rest in started if rest]
        last: Event = self.end() if rng.random() < 0.9 else self.error()
        return [self.start(), *deltas, last]

    def part_events(self, index: int) -> list[Event]:
        """The deltas of one part, at least one."""
        rng = self.rng
        more = rng.randint(0, 3)
        kind = rng.randrange(6)
        if kind == 0:
            return [PartDelta(index, self.answer_part(), **self.frame())]
        if kind == 1:
            events: list[Event] = [ThinkingDelta(index, text(rng), **self.frame())]
            events += [ThinkingDelta(index, text(rng)) for _ in range(more)]
        elif kind == 2:
            events = [ToolCallDelta(index, "", identifier(rng), identifier(rng), **self.frame())]
            exact = dumps(json_object(rng))
            events += [ToolCallDelta(index, piece) for piece in split(rng, exact)]
        elif kind == 3:
            events = [BuiltinCallDelta(index, "", identifier(rng), identifier(rng))]
            events += [BuiltinCallDelta(index, p) for p in split(rng, dumps(json_object(rng)))]
        else:
            logprobs = self.logprobs() if rng.random() < 0.1 else ()
            events = [TextDelta(index, text(rng), logprobs, **self.frame())]
            events += [TextDelta(index, text(rng)) for _ in range(more)]
            events += [CitationDelta(index, self.citation()) for _ in range(rng.randint(0, 1))]
        return [*events, PartEnd(index)] if flag(rng) else events

    def any_events(self) -> list[Event]:
        """Events in any order at all, breaches of the order included: what L10 feeds an encoder."""
        rng = self.rng
        makers: list[Callable[[], Event]] = [self.start, self.end, self.error]
        makers += [lambda: self.delta(rng.randint(0, 4))] * 9
        return [rng.choice(makers)() for _ in range(rng.randint(0, 8))]


def split(rng: Random, whole: str) -> list[str]:
    """Return ``whole`` cut at random places."""
    cuts = sorted(rng.choices(range(len(whole) + 1), k=rng.randint(0, 3)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def random_request(rng: Random, dialects: tuple[str, ...] = DIALECTS) -> Request:
    return Values(rng, dialects).request()


def random_response(rng: Random, dialects: tuple[str, ...] = DIALECTS) -> Response:
    return Values(rng, dialects).response()


def random_events(rng: Random, dialects: tuple[str, ...] = DIALECTS) -> list[Event]:
    """Events in a legal order; ``random_any_events`` breaks the order too."""
    return Values(rng, dialects).events()


def random_any_events(rng: Random, dialects: tuple[str, ...] = DIALECTS) -> list[Event]:
    return Values(rng, dialects).any_events()
