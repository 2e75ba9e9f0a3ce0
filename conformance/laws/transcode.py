"""L6 transcode: A -> canonical -> B -> canonical keeps what no loss names.

The projection is the list of losses itself: a value may differ only at a path that a loss names. What
may differ without a loss is spelling, and stands here in full:

* parts of consecutive messages of one role may move between those messages: Anthropic holds all
  leading system messages in one field, and parallel tool results in one user message;
* tool results stand first in their turn and belong to nobody's role: Anthropic has them in user
  messages, Chat in messages of their own;
* the exact argument text of a call, where it says no more than its input (``canonical.normal``);
* an empty text part says nothing: Chat has ``content: ""`` beside calls, Anthropic refuses it;
* ids and times of answers are the server's own;
* what is asked for and happens anyway: ``SATISFIED`` fields and ``_USUAL`` values;
* two words for the same thing: ``plain_words`` and ``plain_answer`` make them one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from lmtools.codecs.base import Incoming, Loss
from lmtools.types import (
    FunctionTool,
    Message,
    OutputFormat,
    Part,
    Request,
    Response,
    StreamError,
    TextPart,
    Tool,
    ToolResultPart,
    response_from_events,
)

from .. import canonical, exchange
from ..corpus import Case
from ..exchange import Codecs
from .streams import model_of

#: Values of request fields that ask for what happens anyway, in every dialect.
_USUAL: tuple[tuple[str, Any], ...] = (
    ("n", 1),
    ("logprobs", False),
    ("top_logprobs", 0),
    ("frequency_penalty", 0),
    ("presence_penalty", 0),
    ("store", False),
    ("user", ""),
    ("metadata", {}),
    ("output", OutputFormat("text")),
)
#: Request fields that a dialect fulfils without a field of its own.
SATISFIED = {"anthropic": frozenset({"include_usage"})}
#: How many parts a loss may bring in: media that cannot stay where it is gets a text that says whence.
_INVENTED = {"emulated": 2, "substituted": 2, "defaulted": 1}


def transcode(case: Case, codecs: Codecs) -> Iterator[str]:
    """Into each other dialect and back to canonical, all is as it was or a loss names it."""
    compare = {"request": _requests, "response": _responses, "stream": _streams}[case.kind]
    for other in codecs:
        if other != case.dialect:
            for problem in compare(case, codecs, other):
                yield f"to {other}: {problem}"


def _requests(case: Case, codecs: Codecs, other: str) -> Iterator[str]:
    before = exchange.parse_request(codecs[case.dialect], case)
    rendered = codecs[other].render_request(before, exchange.target(other))
    wire = Incoming(rendered.body, headers=rendered.headers)
    after = codecs[other].parse_request(wire)
    yield from differing_requests(before, after, rendered.losses, SATISFIED.get(other, frozenset()))


def differing_requests(
    before: Request,
    after: Request,
    losses: Sequence[Loss],
    satisfied: frozenset[str] = frozenset(),
) -> Iterator[str]:
    """Yield what differs between two canonical requests and is named by no loss."""
    before, after = plain_words(canonical.normal(before)), plain_words(canonical.normal(after))
    for field in fields(Request):
        if field.name in {"messages", "tools", "opaque", "extensions", *satisfied}:
            continue
        one, two = getattr(before, field.name), getattr(after, field.name)
        for path in canonical.differences(one, two, field.name):
            if not canonical.excused(path, losses):
                yield f"{path}: differs, and no loss names it"
    yield from _differing_tools(before.tools, after.tools, losses)
    yield from _differing_turns(turns(before.messages), turns(after.messages), losses)


def plain_words(request: Request) -> Request:
    """Return the request with one word for what two words say."""
    for name, usual in _USUAL:
        if canonical.bare(getattr(request, name)) == usual:
            request = canonical.changed(request, (name,), None)
    choice, reasoning = request.tool_choice, request.reasoning
    if choice is not None and choice.mode is None:
        request = replace(request, tool_choice=replace(choice, mode="auto"))
    if reasoning is not None and reasoning.effort == "none":
        request = replace(request, reasoning=replace(reasoning, mode="disabled", effort=None))
    return replace(
        request,
        tools=tuple(_plain_tool(tool) for tool in request.tools),
        messages=tuple(
            replace(m, parts=tuple(_plain_result(part) for part in m.parts))
            for m in request.messages
        ),
    )


def _plain_tool(tool: Tool) -> Tool:
    """A function without a schema takes an object without properties."""
    if isinstance(tool, FunctionTool) and tool.parameters in (None, {"type": "object"}):
        return replace(tool, parameters={"type": "object", "properties": {}})
    return tool


def _plain_result(part: Part) -> Part:
    """A result that is said to be no error is like one without the flag."""
    if isinstance(part, ToolResultPart) and part.is_error is False:
        return replace(part, is_error=None)
    return part


def _differing_tools(
    before: Sequence[Tool], after: Sequence[Tool], losses: Sequence[Loss]
) -> Iterator[str]:
    place = 0
    for i, tool in enumerate(before):
        path = f"tools[{i}]"
        if any(loss.path == path and loss.action == "dropped" for loss in losses):
            continue
        if place == len(after):
            yield f"{path}: the tool {tool.name!r} is gone, and no loss names it"
            return
        for where in canonical.differences(tool, after[place], path):
            if not canonical.excused(where, losses):
                yield f"{where}: differs, and no loss names it"
        place += 1


def _responses(case: Case, codecs: Codecs, other: str) -> Iterator[str]:
    before = exchange.parse_response(codecs[case.dialect], case)
    request = exchange.asked(codecs[case.dialect], case)
    stamp = exchange.stamp(before.model)
    rendered = codecs[other].render_response(before, request, stamp)
    after = codecs[other].parse_response(rendered.body, request, exchange.target(other))
    yield from differing_responses(before, after, rendered.losses)


def _streams(case: Case, codecs: Codecs, other: str) -> Iterator[str]:
    request = exchange.asked(codecs[case.dialect], case)
    events = exchange.decode(codecs[case.dialect], [case.stream], request)
    asking = replace(request, include_usage=exchange.has_usage(case))
    out, losses = exchange.encode(codecs[other], events, asking, model_of(events))
    back = exchange.decode(codecs[other], [out], request)
    if isinstance(events[-1], StreamError):
        yield from _differing_errors(events[-1], back[-1])
        return
    before = response_from_events(events, model_of(events))
    after = response_from_events(back)
    yield from differing_responses(before, after, losses)


def _differing_errors(before: StreamError, after: Any) -> Iterator[str]:
    if not isinstance(after, StreamError):
        yield f"an error {before.code} became {after.type}"
    elif before.message not in after.message:
        yield f"the error's words {before.message!r:.80} became {after.message!r:.80}"


def differing_responses(before: Response, after: Response, losses: Sequence[Loss]) -> Iterator[str]:
    """Yield what differs between two answers and is named by no loss; ids and times aside."""
    before, after = plain_answer(canonical.normal(before)), plain_answer(canonical.normal(after))
    for field in fields(Response):
        if field.name in ("id", "created", "message", "opaque"):
            continue
        one, two = getattr(before, field.name), getattr(after, field.name)
        for path in canonical.differences(one, two, field.name):
            if not canonical.excused(path, losses):
                yield f"{path}: {_at(one, path)!r:.60} became {_at(two, path)!r:.60}, and no loss names it"
    yield from _differing_turns(
        _answer_turns(_joined(before.message, losses)), _answer_turns(after.message), losses
    )


def _joined(message: Message, losses: Sequence[Loss]) -> Message:
    """Return the message with those texts joined to the first one that a loss says were joined."""
    said = {loss.path for loss in losses if loss.action == "substituted"}
    parts: list[Part] = []
    first: int | None = None
    for i, part in enumerate(message.parts):
        if isinstance(part, TextPart) and first is None:
            first = i
        elif isinstance(part, TextPart) and f"message.parts[{i}]" in said:
            held = parts[first or 0]
            parts[first or 0] = TextPart(getattr(held, "text", "") + part.text)
            part = TextPart("")  # keeps the numbers of the parts behind it
        parts.append(part)
    return replace(message, parts=tuple(parts))


def _answer_turns(message: Message) -> list[_Turn]:
    return [
        _Turn("message", "message.role", *_role_and_part(message, p), None, f"message.parts[{i}]")
        for i, p in enumerate(message.parts)
        if not _empty(p)
    ]


def plain_answer(response: Response) -> Response:
    """Return the answer with one word for what two words say.

    A total that is the sum says no more than its parts; an answer with calls ends for their sake, also
    where a server calls that a stop.
    """
    usage, finish = response.usage, response.finish
    counts = (usage.input_tokens, usage.output_tokens)
    if None not in counts and usage.total_tokens == sum(count or 0 for count in counts):
        usage = replace(usage, total_tokens=None)
    if finish == "stop" and response.tool_calls:
        finish = "tool_call"
    return replace(response, usage=usage, finish=finish)


def _at(value: Any, path: str) -> Any:
    """Return the value that a one-field path names, for the message."""
    name = path.rpartition(".")[2]
    return getattr(value, name, value)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One part of a conversation, where it stands and who says it."""

    message: str
    role_path: str
    role: str
    part: Part
    name: str | None
    path: str


def _role_and_part(message: Message, part: Part) -> tuple[str, Part]:
    return ("tool" if isinstance(part, ToolResultPart) else message.role), part


def _empty(part: Part) -> bool:
    return isinstance(part, TextPart) and not part.text and part.cache is None


def turns(messages: Sequence[Message]) -> list[_Turn]:
    """Return the parts of a conversation in order, the results of each message first."""
    found = []
    for i, message in enumerate(messages):
        path = f"messages[{i}]"
        numbered = [(j, part) for j, part in enumerate(message.parts) if not _empty(part)]
        numbered.sort(key=lambda pair: not isinstance(pair[1], ToolResultPart))
        for j, part in numbered:
            role, part = _role_and_part(message, part)
            found.append(
                _Turn(path, f"{path}.role", role, part, message.name, f"{path}.parts[{j}]")
            )
    return found


def _differing_turns(
    before: list[_Turn], after: list[_Turn], losses: Sequence[Loss]
) -> Iterator[str]:
    """Match what must be kept with what came, in order; what came beyond that needs a loss too."""
    place = 0
    spare = sum(_INVENTED.get(loss.action, 0) for loss in losses)
    for turn in before:
        if canonical.excused(turn.path, losses):
            spare += 1
            continue
        found = next((i for i in range(place, len(after)) if _same(turn, after[i], losses)), None)
        if found is None:
            yield f"{turn.path}: {_why(turn, after[place:], losses)}"
        else:
            spare -= found - place
            place = found + 1
    if len(after) - place > spare:
        yield f"{after[-1].path}: a part that was not there, and no loss tells of it"


def _unlike(turn: _Turn, other: _Turn, losses: Sequence[Loss]) -> Iterator[str]:
    """Yield the paths at which two turns differ and no loss allows it."""
    if turn.role != other.role and not canonical.excused(turn.role_path, losses):
        yield turn.role_path
    if turn.name != other.name and not canonical.excused(f"{turn.message}.name", losses):
        yield f"{turn.message}.name"
    for path in canonical.differences(turn.part, other.part, turn.path):
        if not canonical.excused(path, losses):
            yield path


def _same(turn: _Turn, other: _Turn, losses: Sequence[Loss]) -> bool:
    return next(_unlike(turn, other, losses), None) is None


def _why(turn: _Turn, rest: list[_Turn], losses: Sequence[Loss]) -> str:
    if not rest:
        return f"the {turn.part.type} part is gone, and no loss names it"
    paths = ", ".join(_unlike(turn, rest[0], losses))
    return f"the {turn.part.type} part is gone or changed ({paths}), and no loss names it"
