"""What a fake answers, in no API's words: each fake renders it in its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tests.fakes.server import Gate

#: The places of gates that hold back even the head of an answer, and the end of its body.
BEFORE = -1
AFTER = 1 << 30


@dataclass(frozen=True)
class Call:
    """A tool call. ``arguments`` is the JSON text, in the pieces in which it is streamed.

    ``id`` becomes part of an id in the API's own form; ``exact_id`` is the whole id.
    """

    name: str
    arguments: tuple[str, ...] = ("{}",)
    id: str = ""
    exact_id: str = ""

    @property
    def text(self) -> str:
        return "".join(self.arguments)


@dataclass(frozen=True)
class Counts:
    """Tokens. ``fresh`` were neither read from nor written to a cache."""

    fresh: int = 11
    cache_read: int = 0
    cache_write: int = 0
    output: int = 7
    reasoning: int = 0


@dataclass(frozen=True)
class Failure:
    """An error answer, or an error in the middle of a stream. ``raw`` is sent instead of JSON.

    ``kind`` and ``code`` are the API's own words, where those of the status are not meant.
    """

    status: int = 500
    message: str = "the fake failed as it was told"
    retry_after: str | None = None
    raw: bytes | None = None
    kind: str = ""
    code: str | None = None


@dataclass(frozen=True)
class Scenario:
    """An answer. Text and thinking are in the pieces in which they are streamed.

    ``fail_after`` and ``cut_after`` count frames, ``gates`` hold the answer before the frame of
    that number (``BEFORE``: before its head), ``write_size`` is bytes per write, ``split_at`` cuts
    the body into two writes. ``others`` are the texts of further choices, where they are asked for.
    ``shape`` is the vendor's, or ``argo`` for the gateway's rendering of it.
    """

    text: tuple[str, ...] = ("Hello", ", world!")
    thinking: tuple[str, ...] = ()
    #: What redacted thinking was made of; only Anthropic's API has it.
    redacted: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    finish: str = ""
    stop_sequence: str | None = None
    counts: Counts = field(default_factory=Counts)
    failure: Failure | None = None
    fail_after: int | None = None
    cut_after: int | None = None
    write_size: int | None = None
    split_at: int | None = None
    others: tuple[str, ...] = ()
    gates: Mapping[int, Gate] = field(default_factory=dict)
    shape: str = "vendor"
    forge: bool = False

    @property
    def said(self) -> str:
        return "".join(self.text)

    @property
    def thought(self) -> str:
        return "".join(self.thinking)

    @property
    def ending(self) -> str:
        """How it ends: stop, calls, length, stop_sequence, refusal or filter."""
        if self.finish:
            return self.finish
        if self.stop_sequence is not None:
            return "stop_sequence"
        return "calls" if self.calls else "refusal" if self.refusal else "stop"


HELLO = Scenario()
#: Everything that readers of lines, of UTF-16 and of bytes have cut in two.
AWKWARD = 'a\u2028b\u2029c\u0085d \U0001f469\u200d\U0001f469\u200d\U0001f467 \u00e9\u0301 \ud55c\uae00 \x7f "q" \\ \t\nline two'
UNICODE = Scenario(text=tuple(AWKWARD))
UNICODE_BYTES = replace(UNICODE, write_size=1)
ONE_TOOL = Scenario(
    text=(), calls=(Call("get_weather", ('{"location"', ': "Chi', 'cago"}'), "one"),)
)
PARALLEL_TOOLS = Scenario(
    text=("I look ", "both up."),
    calls=(
        Call("get_weather", ('{"location": ', '"Oslo"}'), "first"),
        Call("get_weather", ('{"location": ', '"Bergen \U0001f327"}'), "second"),
    ),
)
NO_ARGUMENTS = Scenario(text=(), calls=(Call("now", ("",), "bare"),))
THINKING = Scenario(
    thinking=("The user ", "asks \u2014 ", "I answer."),
    text=("It is 391.",),
    counts=Counts(reasoning=5),
)
THINKING_TOOL = Scenario(
    thinking=("I need ", "the weather."),
    text=(),
    calls=(Call("get_weather", ('{"location": "Oslo"}',), "t"),),
)
REDACTED_TOOL = Scenario(redacted="a secret thought", text=(), calls=THINKING_TOOL.calls)
REFUSAL = Scenario(text=(), refusal="I cannot help with that.")
LENGTH = Scenario(text=("This is cut",), finish="length")
STOPPED = Scenario(text=("one, two, ",), stop_sequence="three")
CACHED = Scenario(counts=Counts(fresh=3, cache_read=1200, cache_write=40, output=9))
EMPTY = Scenario(text=())
CUT_EARLY = Scenario(text=("some ", "words ", "that ", "stop"), cut_after=4)
FAILS_MIDWAY = Scenario(
    text=("some ", "words ", "that ", "stop"), fail_after=4, failure=Failure(529, "Overloaded")
)
FAILS_EARLY = Scenario(fail_after=0, failure=Failure(529, "Overloaded"))


def refusing(
    status: int, retry_after: str | None = None, message: str = "told to fail"
) -> Scenario:
    return Scenario(failure=Failure(status, message, retry_after))
