"""Every law is seen to go red for the bug that it is for, and the runner reports what is red."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance import __main__ as program
from conformance import corpus, exchange, runner
from conformance.laws import LAWS, passage
from lmtools.apiproxy import raw
from lmtools.codecs.base import Incoming, Rendered
from lmtools.codecs.splice import splice
from lmtools.errors import RequestError
from lmtools.sse import SSEEvent
from lmtools.types import CitationDelta, End, StreamError, TextPart, ThinkingDelta, ToolCallPart

CODECS = runner.codecs()
CASES = {case.name: case for case in corpus.own()}
LAW = {law.name: law for law in LAWS}


def broken(dialect: str, **functions: Any) -> exchange.Codecs:
    """Return the codecs with some functions of one of them replaced."""
    module = CODECS[dialect]
    names = [n for n in dir(module) if not n.startswith("_")]
    codec = SimpleNamespace(**{n: getattr(module, n) for n in names} | functions)
    return {**CODECS, dialect: codec}  # type: ignore[dict-item]


def rendering(
    dialect: str, function: str, edit: Callable[[dict[str, Any]], None]
) -> exchange.Codecs:
    """Return codecs of which one render function edits its body, and says nothing of it."""
    original = getattr(CODECS[dialect], function)

    def render(*arguments: Any) -> Rendered:
        rendered = original(*arguments)
        body = json.loads(json.dumps(rendered.body))
        edit(body)
        return replace(rendered, body=body)

    return broken(dialect, **{function: render})


def parsing(dialect: str, function: str, edit: Callable[[Any], Any]) -> exchange.Codecs:
    """Return codecs of which one parse function gets the wire changed by ``edit``."""
    original = getattr(CODECS[dialect], function)

    def parse(wire: Any, *rest: Any) -> Any:
        if isinstance(wire, Incoming):
            return original(replace(wire, body=edit(wire.body)), *rest)
        return original(edit(wire), *rest)

    return broken(dialect, **{function: parse})


class Through:
    """A decoder or an encoder that behaves as another, apart from what a subclass changes."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    @property
    def losses(self) -> Any:
        return self.inner.losses

    def decode(self, frame: SSEEvent) -> Any:
        return self.inner.decode(frame)

    def encode(self, event: Any) -> bytes:
        return self.inner.encode(event)  # type: ignore[no-any-return]

    def close(self) -> Any:
        return self.inner.close()


def streaming(dialect: str, function: str, wrapper: type[Through]) -> exchange.Codecs:
    original = getattr(CODECS[dialect], function)
    return broken(dialect, **{function: lambda *arguments: wrapper(original(*arguments))})


def without(*keys: str) -> Callable[[Any], Any]:
    """Return an edit that takes keys away at every depth, as a list of known fields does."""

    def edit(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: edit(v) for k, v in value.items() if not k.startswith(keys)}
        return [edit(item) for item in value] if isinstance(value, list) else value

    return edit


def sort_keys(body: dict[str, Any]) -> None:
    ordered = dict(sorted(body.items()))
    body.clear()
    body.update(ordered)


def dropping(event_class: type) -> type[Through]:
    class Dropping(Through):
        def encode(self, event: Any) -> bytes:
            return b"" if isinstance(event, event_class) else self.inner.encode(event)

    return Dropping


class SwallowsTruncation(Through):
    """Takes a lost connection for the end of the answer."""

    def close(self) -> Any:
        closing = self.inner.close()
        return [End("stop") if isinstance(event, StreamError) else event for event in closing]


class RaisesOnHalfAFrame(Through):
    def decode(self, frame: SSEEvent) -> Any:
        json.loads(frame.data)
        return self.inner.decode(frame)


class EndsTwice(Through):
    def close(self) -> Any:
        return [*self.inner.close(), End("stop")]


class KnowsItsKeys(Through):
    """Decodes only what it has a list of."""

    def decode(self, frame: SSEEvent) -> Any:
        if frame.data.startswith("{"):
            known = without("x_unknown")(json.loads(frame.data))
            frame = SSEEvent(frame.event, json.dumps(known))
        return self.inner.decode(frame)


class ForgetsUsage(Through):
    def decode(self, frame: SSEEvent) -> Any:
        if frame.data.startswith("{"):
            data = {k: v for k, v in json.loads(frame.data).items() if k != "usage"}
            frame = SSEEvent(frame.event, json.dumps(data | {"usage": {"output_tokens": 7}}))
        return self.inner.decode(frame)


class NeverStops(Through):
    def close(self) -> bytes:
        return b""

    def encode(self, event: Any) -> bytes:
        return b"" if isinstance(event, (End, StreamError)) else self.inner.encode(event)


class RepeatsItself(Through):
    def encode(self, event: Any) -> bytes:
        out: bytes = self.inner.encode(event)
        return out + out


class SaysNoLoss(Through):
    losses: tuple[()] = ()


def edited_answer(edit: Callable[[Any], Any]) -> exchange.Codecs:
    original = CODECS["anthropic"].parse_response
    return broken("anthropic", parse_response=lambda *a: edit(original(*a)))


def other_id(response: Any) -> Any:
    parts = tuple(
        replace(p, id="call_new") if isinstance(p, ToolCallPart) else p
        for p in response.message.parts
    )
    return replace(response, message=replace(response.message, parts=parts))


def silent(dialect: str) -> exchange.Codecs:
    """Return codecs of which one tells of no loss."""
    original = CODECS[dialect].render_request
    return broken(dialect, render_request=lambda *a: replace(original(*a), losses=()))


def system_first(dialect: str) -> exchange.Codecs:
    """Return codecs of which one puts system text first, wherever it stood."""
    original = CODECS[dialect].render_request

    def render(request: Any, target: Any) -> Rendered:
        ordered = sorted(request.messages, key=lambda message: message.role != "system")
        return original(replace(request, messages=tuple(ordered)), target)

    return broken(dialect, render_request=render)


def stale_note(dialect: str) -> exchange.Codecs:
    """Return codecs of which one sends the temperature that it once parsed."""
    return rendering(dialect, "render_request", lambda body: body.update(temperature=0.5))


def content_in_opaque(dialect: str) -> exchange.Codecs:
    """Return codecs of which one renders text only where it finds its own notes."""
    original = CODECS[dialect].render_request

    def render(request: Any, target: Any) -> Rendered:
        if not any(message.opaque for message in request.messages):
            emptied = [replace(m, parts=(TextPart("?"),)) for m in request.messages]
            request = replace(request, messages=tuple(emptied))
        return original(request, target)

    return broken(dialect, render_request=render)


def pop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def edit(body: dict[str, Any]) -> None:
        inner: Any = body
        for step in path[:-1]:
            inner = inner[step]
        inner.pop(path[-1], None)

    return edit


#: (law, case, codecs with one planted bug, words of the report)
PLANTED: list[tuple[str, str, exchange.Codecs, str]] = [
    ("facts", "anthropic/answers/max-tokens", edited_answer(lambda r: replace(r, finish="stop")), "finish"),
    ("facts", "openai_chat/streams/text", streaming("openai_chat", "stream_decoder", SwallowsTruncation), ""),
    ("L2", "anthropic/fields/zeroes", rendering("anthropic", "render_request", pop("stream")), "stream: False is gone"),
    ("L2", "anthropic/fields/all", rendering("anthropic", "render_request", sort_keys), "key order"),
    ("L2", "openai_chat/messages/roles", rendering("openai_chat", "render_request", lambda b: b["messages"][0].update(role="user")), "'developer' became 'user'"),
    ("L2", "openai_chat/answers/text", rendering("openai_chat", "render_response", pop("system_fingerprint")), "system_fingerprint"),
    ("L2", "anthropic/fields/all", broken("anthropic", render_request=lambda *a: replace(CODECS["anthropic"].render_request(*a), headers=())), "header anthropic-beta"),
    ("L2", "anthropic/errors/overloaded", broken("anthropic", render_error=lambda e: replace(CODECS["anthropic"].render_error(e), status=500)), "status: 529 became 500"),
    ("L2-stream", "anthropic/streams/thinking", streaming("anthropic", "stream_encoder", dropping(ThinkingDelta)), "message.parts[0]"),
    ("L3", "anthropic/tools/tool-everything", parsing("anthropic", "parse_request", without("x_unknown")), "x_unknown_key"),
    ("L3", "openai_chat/answers/logprobs", parsing("openai_chat", "parse_response", without("x_unknown")), "x_unknown_key"),
    ("L3-stream", "openai_chat/streams/tool-call", streaming("openai_chat", "stream_decoder", KnowsItsKeys), "is gone"),
    ("L3-stream", "anthropic/streams/tool-use", streaming("anthropic", "stream_decoder", KnowsItsKeys), "is gone"),
    ("L5", "anthropic/citations/page-location", streaming("anthropic", "stream_encoder", dropping(CitationDelta)), "message.parts"),
    ("L6", "openai_chat/fields/stop-string", rendering("anthropic", "render_request", pop("stop_sequences")), "stop"),
    ("L6", "openai_chat/messages/system-in-the-middle", system_first("anthropic"), "messages[1].parts[0]: the text part"),
    ("L6", "openai_chat/tools/parallel", rendering("anthropic", "render_request", lambda b: b["messages"][2]["content"].reverse()), "the tool_result part is gone"),
    ("L6", "anthropic/answers/tool-use", broken("openai_chat", render_response=lambda r, *a: CODECS["openai_chat"].render_response(other_id(r), *a)), "message.parts[1].id"),
    ("L6", "anthropic/streams/text", streaming("openai_chat", "stream_encoder", NeverStops), "raised TruncatedError"),
    ("L7", "anthropic/streams/text", streaming("anthropic", "stream_decoder", SwallowsTruncation), "finished before the end marker"),
    ("L7", "openai_chat/streams/text", streaming("openai_chat", "stream_decoder", SwallowsTruncation), "finished before the end marker"),
    ("L7", "openai_chat/streams/tool-call", streaming("openai_chat", "stream_decoder", RaisesOnHalfAFrame), "raised JSONDecodeError"),
    ("L7", "anthropic/streams/text", streaming("anthropic", "stream_decoder", EndsTwice), "more than one end"),
    ("L8", "anthropic/fields/request-cache", silent("openai_chat"), "neither in the target nor named"),
    ("L8", "openai_chat/fields/all", silent("anthropic"), "neither in the target nor named"),
    ("L8", "openai_chat/fields/all", parsing("openai_chat", "parse_request", without("seed")), "seed"),
    ("L8-stream", "openai_chat/streams/text", streaming("anthropic", "stream_encoder", SaysNoLoss), "system_fingerprint is neither"),
    ("L8-stream", "anthropic/streams/refusal", streaming("openai_chat", "stream_encoder", SaysNoLoss), "stop_details.category is neither"),
    ("L8-stream", "anthropic/streams/thinking", streaming("openai_chat", "stream_encoder", dropping(ThinkingDelta)), "delta.thinking is neither"),
    ("L9", "anthropic/fields/all", rendering("anthropic", "render_request", sort_keys), "sent raw, unlike the codec"),
    ("L9", "openai_chat/answers/text", rendering("openai_chat", "render_response", pop("system_fingerprint")), "answered raw, unlike the codec"),
    ("L10", "anthropic/streams/text", streaming("anthropic", "stream_encoder", NeverStops), "ends with message_stop"),
    ("L10", "openai_chat/streams/text", streaming("openai_chat", "stream_encoder", NeverStops), "ends with [DONE]"),
    ("L10", "openai_chat/streams/text", streaming("anthropic", "stream_encoder", RepeatsItself), "as anthropic, whole"),
    ("opaque", "openai_chat/fields/stop-string", content_in_opaque("openai_chat"), "messages[0]"),
    ("fields", "anthropic/fields/all", stale_note("anthropic"), "temperature"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("law", "case", "codecs", "words"), PLANTED, ids=lambda value: str(value)[:40]
)
def test_a_law_goes_red_for_its_planted_bug(
    law: str, case: str, codecs: exchange.Codecs, words: str
) -> None:
    """The same case is green with the codecs as they are."""
    assert runner.check(LAW[law], CASES[case], CODECS) is None
    if not words:
        return

    failure = runner.check(LAW[law], CASES[case], codecs)

    assert failure is not None
    assert words in "\n".join(failure.problems)


def test_chunking_goes_red_for_a_reader_that_takes_every_chunk_for_whole_frames(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = CASES["anthropic/broken-streams/multi-byte"]
    assert runner.check(LAW["L4"], case, CODECS) is None

    class TakesChunksForFrames:
        def feed(self, chunk: bytes) -> list[SSEEvent]:
            blocks = chunk.decode("utf-8", "replace").split("\n\n")
            return [SSEEvent(None, block) for block in blocks if block]

        def close(self) -> list[SSEEvent]:
            return []

    monkeypatch.setattr(exchange, "SSEDecoder", TakesChunksForFrames)

    failure = runner.check(LAW["L4"], case, CODECS)

    assert failure is not None
    assert any("split at byte" in problem for problem in failure.problems)


#: (case, what of the passage is replaced, by what, words of the report)
PASSAGE_BUGS: list[tuple[str, str, Callable[..., Any], str]] = [
    ("anthropic/fields/all", "raw.splice", lambda text, edits: json.dumps(json.loads(text)), "sent raw, unlike"),
    ("openai_chat/fields/all", "raw.splice", lambda text, edits: splice(json.dumps(json.loads(text)), []), "sent raw, unlike"),
    ("openai_chat/answers/text", "passage.rename_answer", lambda body, model: json.dumps({**json.loads(body), "model": model}, indent=2).encode(), "more than the model's value"),
    ("anthropic/answers/text", "passage.rename_answer", lambda body, model: body, "model"),
    ("anthropic/streams/text", "passage.Renamer.rename", lambda self, block: block, "model"),
    ("openai_chat/streams/text", "passage.Renamer.rename", lambda self, block: block.replace(b"Hello", b"Bye"), "differs"),
    ("anthropic/streams/text", "passage.EventBytes.feed", lambda self, chunk: chunk, "an event is cut"),
]  # fmt: skip
PLACES = {"raw": raw, "passage": passage}


@pytest.mark.parametrize(("case", "place", "bug", "words"), PASSAGE_BUGS, ids=lambda v: str(v)[:30])
def test_l9_goes_red_for_a_bug_of_the_fast_path(
    case: str, place: str, bug: Callable[..., Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, *path = place.split(".")
    owner: Any = PLACES[module]
    for name in path[:-1]:
        owner = getattr(owner, name)
    monkeypatch.setattr(owner, path[-1], bug)

    failure = runner.check(LAW["L9"], CASES[case], CODECS)

    assert failure is not None
    assert words in "\n".join(failure.problems)


def test_l9_goes_red_when_a_listener_is_spared_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf = replace(passage.passage_named("anthropic"), is_plain=lambda block: b"delta" in block)
    monkeypatch.setattr(passage, "passage_named", lambda _: deaf)

    failure = runner.check(LAW["L9"], CASES["anthropic/streams/text"], CODECS)

    assert failure is not None
    assert "a listener hears" in failure.problems[0]


def test_parity_goes_red_when_the_stream_loses_what_the_whole_answer_has() -> None:
    body = CASES["anthropic/answers/text"].body
    stream = CASES["anthropic/streams/text"].stream
    case = corpus.Case("pair", "anthropic", "pair", "test", body=body, stream=stream)
    assert runner.check(LAW["L5-pair"], case, CODECS) is None

    other = replace(case, body=CASES["anthropic/answers/thinking"].body)
    failure = runner.check(LAW["L5-pair"], other, CODECS)

    assert failure is not None
    assert "parts" in failure.problems[0]


def test_a_stream_against_the_grammar_is_red_when_it_counts_as_lawful() -> None:
    unlawful = CASES["anthropic/broken-streams/no-block-stop"]
    assert not LAW["L10-wire"].applies(unlawful)

    failure = runner.check(LAW["L10-wire"], replace(unlawful, lawful=True), CODECS)

    assert failure is not None
    assert "follows the last content_block_stop" in failure.problems[0]


def test_whatever_a_codec_raises_is_a_breach_with_its_place() -> None:
    def explode(*_: Any) -> Any:
        raise RequestError("boom", path="messages")

    failure = runner.check(LAW["L2"], CASES["anthropic/system/string"], broken("anthropic", parse_request=explode))  # fmt: skip

    assert failure is not None
    assert failure.problems[0].startswith("raised RequestError: messages: boom (test_runner.py:")


def test_the_program_is_green_on_the_corpus_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["-case", "anthropic/system/", "-law", "L2"]) == 0

    out = capsys.readouterr().out
    assert "L2 " in out
    assert "RED" not in out
    assert "not run: L1" in out


def test_the_program_exits_1_and_names_case_and_path_of_what_is_red(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bug = rendering("anthropic", "render_request", pop("max_tokens"))
    monkeypatch.setattr(runner, "codecs", lambda: bug)

    assert program.main(["-case", "anthropic/system/string", "-law", "L2"]) == 1

    out = capsys.readouterr().out
    assert "L2 anthropic/system/string: max_tokens: 1024 is gone" in out
    assert "1/1 RED" in out


def test_v_lists_every_difference_and_without_it_the_first_stands_with_a_count(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bug = streaming("anthropic", "stream_decoder", SwallowsTruncation)
    monkeypatch.setattr(runner, "codecs", lambda: bug)
    selection = ["-case", "anthropic/streams/empty-answer", "-law", "L7"]

    program.main(selection)
    short = capsys.readouterr().out
    program.main([*selection, "-v"])
    long = capsys.readouterr().out

    assert short.count("finished before the end marker") == 1
    assert "more (-v)" in short
    assert long.count("finished before the end marker") > 50


@pytest.mark.parametrize("arguments", [["-law", "L99"], ["-case", "no such case"]])
def test_a_selection_of_nothing_is_wrong_usage_and_not_a_pass(arguments: list[str]) -> None:
    assert program.main(arguments) == 2


def test_an_unknown_law_beside_a_known_one_is_wrong_usage() -> None:
    assert program.main(["-law", "L2", "-law", "L99", "-case", "anthropic/system/string"]) == 2


def test_absent_shared_data_is_named_and_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(corpus, "SHARED", tmp_path / "nowhere")

    assert corpus.captures() == []
    assert corpus.recorded() == []
    assert [line.partition(":")[0].rpartition("/")[2] for line in corpus.absent()] == [
        "captures",
        "recorded",
    ]
