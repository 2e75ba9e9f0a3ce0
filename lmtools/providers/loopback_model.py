"""The built-in model: deterministic answers without a network, for trials and users' own tests.

Requests and events here are canonical, so that the real codecs run on both legs of whatever carries
them. What each model does stands in ``MODELS``. The same request always gets the same answer, ids
included.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from re import findall
from types import MappingProxyType

from ..codecs.text import dumps
from ..errors import api_error, code_for_status
from ..types import (
    MEDIA_CLASSES,
    CustomTool,
    Delta,
    End,
    Event,
    FunctionTool,
    Json,
    MediaPart,
    Message,
    ModelInfo,
    Opaque,
    Request,
    Start,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolResultPart,
    Usage,
)
from .estimate import estimate_text, estimate_tokens
from .schema_sample import sample

__all__ = ["CREATED", "MODELS", "MODEL_LIST", "WIRES", "Wire", "answer", "seed_of"]

#: Model names and what they do.
MODELS: Mapping[str, str] = MappingProxyType(
    {
        "echo": "repeats the last user text",
        "story": "tells a long story, word by word",
        "think": "thinks aloud, then repeats the last user text",
        "tools": "calls the first offered tools, then answers from their results",
        "slow": "counts to twenty, with a pause before each word",
        "cut": "breaks off in the middle of its answer",
        "error-400": "refuses the request",
        "error-429": "says that there were too many requests, with Retry-After",
        "error-500": "fails",
        "error-529": "says that it is overloaded",
    }
)
#: When every answer was made: one moment, so that answers do not differ. Unix seconds, 2025-01-01.
CREATED = 1_735_689_600
MODEL_LIST = tuple(
    ModelInfo(name, display_name=f"Loopback {name}", created=CREATED, owned_by="lmtools")
    for name in MODELS
)

_Callable = FunctionTool | CustomTool

#: At most so many deltas of text, however long it is.
_MAX_DELTAS = 512
_MAX_CALLS = 2
_RETRY_AFTER_S = 1
_RETRIED = frozenset({429, 503, 529})
_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)


@dataclass(frozen=True, slots=True)
class Wire:
    """How a server of one dialect spells its ids, and whether its thinking is signed."""

    id_prefix: str
    call_prefix: str
    request_id_header: str
    signed: bool = False


#: The dialects that the model can be served in.
WIRES: Mapping[str, Wire] = MappingProxyType(
    {
        "anthropic": Wire("msg_", "toolu_", "request-id", signed=True),
        "openai_chat": Wire("chatcmpl-", "call_", "x-request-id"),
    }
)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the model would say if nothing bounded it."""

    thinking: str = ""
    text: str = ""
    calls: tuple[tuple[_Callable, Json], ...] = ()


def seed_of(body: bytes) -> str:
    """Return what the ids of the answer to a body are made from: 16 hexadecimal digits."""
    return f"{zlib.crc32(body):08x}{zlib.adler32(body):08x}"


def answer(request: Request, seed: str, wire: str) -> list[Event]:
    """Return the events of the answer, from Start to End.

    ``seed`` makes the ids, ``wire`` is the dialect that they are spelled for. Raises an ApiError
    for the ``error-`` models (any status from 400 to 599) and for a model that does not exist.
    """
    _refuse(request.model)
    return _events(_plan(request), request, seed, wire)


def _refuse(model: str) -> None:
    if model in MODELS and not model.startswith("error-"):
        return
    status = model.removeprefix("error-")
    if status != model and len(status) == 3 and status.isdecimal() and "400" <= status <= "599":
        raise api_error(
            code_for_status(int(status)),
            f"the loopback model {model} always fails",
            status=int(status),
            retry_after=_RETRY_AFTER_S if int(status) in _RETRIED else None,
        )
    known = ", ".join(MODELS)
    raise api_error(
        "unsupported_model", f"model: loopback has no {model!r:.80}; it has {known}", status=404
    )


# What to say


def _plan(request: Request) -> _Plan:
    results = _last_results(request)
    calls = () if results else _calls(request)
    thinking = _thinking(request) if request.model == "think" else ""
    if calls:
        return _Plan(thinking, "I call a tool." if request.model == "tools" else "", calls)
    if request.output is not None and request.output.type == "json_schema":
        return _Plan(thinking, dumps(sample(request.output.schema)))
    text = _text(request, results)
    if request.output is not None and request.output.type == "json_object":
        text = dumps({request.model: text})
    return _Plan(thinking, text)


def _text(request: Request, results: Sequence[ToolResultPart]) -> str:
    match request.model:
        case "story" | "cut":
            return STORY
        case "slow":
            return _NUMBERS
        case "tools":
            return _from_results(results) if results else "There is no tool to call."
        case _:
            return _last_user_text(request) or "There is nothing to repeat."


def _last_user_text(request: Request) -> str:
    """Return the text of the last user message that has any, with a line for each medium in it."""
    for message in reversed(request.messages):
        if message.role != "user":
            continue
        media = [_media_line(part) for part in message.parts if isinstance(part, MEDIA_CLASSES)]  # type: ignore[arg-type]
        if message.text or media:
            return "\n".join([line for line in (message.text, *media) if line])
    return ""


def _media_line(part: MediaPart) -> str:
    kind = f"{part.type} {part.media_type}" if part.media_type else part.type
    try:
        return f"[{kind} {len(part.bytes)} bytes]"
    except ValueError:
        return f"[{kind} by reference]" if part.data is None else f"[{kind} not base64]"


def _last_results(request: Request) -> list[ToolResultPart]:
    """Return the tool results that the conversation ends with."""
    found: list[ToolResultPart] = []
    for message in reversed(request.messages):
        if message.role in ("system", "developer"):
            continue
        results = [part for part in message.parts if isinstance(part, ToolResultPart)]
        if not results:
            break
        found[:0] = results
    return found


def _from_results(results: Sequence[ToolResultPart]) -> str:
    lines = []
    for result in results:
        said = "failed with" if result.is_error else "answered"
        lines.append(f"The tool {said}: {Message('tool', result.content).text or 'nothing'}")
    return "\n".join(lines)


def _thinking(request: Request) -> str:
    reasoning = request.reasoning
    if reasoning is not None and reasoning.mode == "disabled":
        return ""
    if reasoning is not None and reasoning.effort == "none":
        return ""
    words = len(_last_user_text(request).split())
    return f"The user has sent {words} words. They ask for nothing else, so I repeat them."


# Which tools to call


def _calls(request: Request) -> tuple[tuple[_Callable, Json], ...]:
    """Return the calls of the answer: some for the model ``tools``, and where one is required."""
    choice = request.tool_choice
    mode = choice.mode if choice else None
    if mode == "none" or (request.model != "tools" and mode != "required"):
        return ()
    offered = [tool for tool in request.tools if isinstance(tool, _Callable)]
    most = _MAX_CALLS
    if choice and choice.allowed:
        names = {ref.name for ref in choice.allowed}
        offered = [tool for tool in offered if tool.name in names]
    if request.model != "tools" or (choice and (choice.forced or choice.parallel is False)):
        most = 1
    return tuple((tool, _input(tool)) for tool in offered[:most])


def _input(tool: _Callable) -> Json:
    if isinstance(tool, CustomTool):
        return "sample"
    value = sample(tool.parameters) if tool.parameters is not None else {}
    return value if isinstance(value, dict) else {}


# How to say it


def _events(plan: _Plan, request: Request, seed: str, wire: str) -> list[Event]:
    left = request.max_tokens if request.max_tokens is not None else 1 << 40
    thinking, left, whole = _cut_to(plan.thinking, left)
    text, stop = _cut_at_stop(plan.text, request.stop) if whole else ("", None)
    text, left, whole = _cut_to(text, left) if whole else ("", left, False)
    calls, whole = _fitting(plan.calls if whole and not stop else (), left, whole)
    deltas = _thinking_deltas(thinking, seed, wire) if thinking else []
    deltas += _text_deltas(text, bool(thinking)) if text or not (calls or thinking) else []
    for tool, arguments in calls:
        deltas += _call_deltas(tool, arguments, _next_index(deltas), seed, wire)
    thought = estimate_text(thinking)
    said = thought + estimate_text(text) + sum(_call_tokens(*call) for call in calls)
    read = estimate_tokens(request)
    start = Start(WIRES[wire].id_prefix + seed, request.model, CREATED, Usage(input_tokens=read))
    usage = Usage(read, said, read + said, reasoning_tokens=thought or None)
    return [start, *deltas, _end(whole, stop, bool(calls), usage)]


def _fitting(
    calls: Sequence[tuple[_Callable, Json]], left: int, whole: bool
) -> tuple[list[tuple[_Callable, str]], bool]:
    """Return the calls that fit, with their arguments as text, and whether that is all of them."""
    fitting: list[tuple[_Callable, str]] = []
    for tool, value in calls:
        arguments = value if isinstance(value, str) else dumps(value)
        left -= _call_tokens(tool, arguments)
        if left < 0:
            return fitting, False
        fitting.append((tool, arguments))
    return fitting, whole


def _call_tokens(tool: _Callable, arguments: str) -> int:
    return estimate_text(tool.name) + estimate_text(arguments)


def _end(whole: bool, stop: str | None, called: bool, usage: Usage) -> End:
    if not whole:
        return End("length", usage)
    if stop:
        return End("stop_sequence", usage, stop)
    return End("tool_call" if called else "stop", usage)


def _cut_to(text: str, tokens: int) -> tuple[str, int, bool]:
    """Return what of a text fits into so many tokens, the tokens left, and whether it is all."""
    needed = estimate_text(text)
    if needed <= tokens:
        return text, tokens - needed, True
    size = bisect_right(range(len(text)), tokens, key=lambda end: estimate_text(text[:end])) - 1
    return text[: max(size, 0)], 0, False


def _cut_at_stop(text: str, stops: Sequence[str]) -> tuple[str, str | None]:
    """Return the text before the first stop sequence in it, and which one that is."""
    found = [(text.find(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop


def _pieces(text: str) -> list[str]:
    """Split a text into words with the blanks after them, several each when there are many."""
    words = findall(r"\s*\S+\s*|\s+", text) or [""]
    size = -(-len(words) // _MAX_DELTAS)
    return ["".join(words[i : i + size]) for i in range(0, len(words), size)]


def _thinking_deltas(text: str, seed: str, wire: str) -> list[Delta]:
    deltas: list[Delta] = [ThinkingDelta(0, piece) for piece in _pieces(text)]
    if WIRES[wire].signed:
        state = Opaque(wire, "signature", {"signature": f"bG9vcGJhY2s{seed}"})
        deltas.append(ThinkingDelta(0, "", opaque=(state,)))
    return deltas


def _text_deltas(text: str, after_thinking: bool) -> list[Delta]:
    return [TextDelta(int(after_thinking), piece) for piece in _pieces(text)]


def _next_index(deltas: Sequence[Delta]) -> int:
    index = deltas[-1].part_index if deltas else None
    return 0 if index is None else index + 1


def _call_deltas(tool: _Callable, arguments: str, index: int, seed: str, wire: str) -> list[Delta]:
    """Return a call in three fragments: its name, then its arguments in two halves."""
    call_id = f"{WIRES[wire].call_prefix}{seed}_{index}"
    half = len(arguments) // 2
    first = ToolCallDelta(index, "", call_id, tool.name, tool.type, tool.namespace)
    halves = [part for part in (arguments[:half], arguments[half:]) if part]
    return [first, *(ToolCallDelta(index, part, kind=tool.type) for part in halves)]


STORY = """\
Once there was a small letter that wanted to travel. It was written on thin paper, in a careful \
hand, and it lay in a drawer together with a pencil, two stamps and a key that fitted no door.

"You will need an envelope," said the pencil, which had seen many letters leave. "And an address, \
and somebody who carries you to the box at the corner."

"I have an address," said the letter. "It stands at the top of me, with a date below it. I do not \
know whether the house is still there."

The drawer was opened in the morning. A hand took the letter, folded it twice, and put it into an \
envelope that smelled of glue. One of the stamps came along, proud of its picture of a bridge. The \
key stayed behind, and so did the pencil, who was too short by now to write another page.

In the box at the corner it was dark and full of voices. A bill talked about money, a postcard \
talked about the sea, and a parcel that did not quite fit complained about its corners. Then the \
floor opened, and everybody fell into a grey bag, and the bag was thrown into a van, and the van \
drove through rain for a whole night.

"Where do you go?" asked the postcard.

"To a house by a river," said the letter. "There is an apple tree in front of it, and a dog that \
barks at the postman, or there was one when I was thought of."

They were sorted by a machine with fast fingers and a red eye. The bill went left, the parcel went \
down, the postcard flew ahead with a laugh, and the letter was put on a train together with forty \
others that nobody had written by hand.

On the second day it reached the river. The house was there. The apple tree had lost a branch and \
grown two, and the dog was old and only lifted its head. The postman bent down, scratched it \
behind an ear, and pushed the letter through the door.

It lay on the floor for an hour and listened to a clock. Then there were steps, and glasses were \
looked for and found, and a knife went along the edge of the paper. Somebody read it standing, and \
then once more at the window, slowly, where the light was better.

"Well," said a voice at last, to the dog or to nobody, "it is about time that I answered."

And in another drawer a new pencil was sharpened.
"""
