"""Assembly: a stream's events make the answer, an answer makes the events that make it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from lmtools.errors import (
    ApiError,
    DeadlineError,
    LMError,
    OverloadedError,
    ProtocolError,
    RateLimitError,
    RequestError,
    TruncatedError,
)
from lmtools.types import (
    Assembler,
    AudioDelta,
    AudioPart,
    BuiltinCallDelta,
    BuiltinCallPart,
    BuiltinResultPart,
    CacheMark,
    CitationDelta,
    CitationPart,
    End,
    Event,
    ImagePart,
    Message,
    Opaque,
    OpaqueDelta,
    OpaquePart,
    PartDelta,
    PartEnd,
    RefusalDelta,
    RefusalPart,
    Response,
    Start,
    StreamError,
    TextDelta,
    TextPart,
    ThinkingDelta,
    ThinkingPart,
    TokenLogprob,
    ToolCallDelta,
    ToolCallPart,
    Usage,
    as_delta,
    events_from_response,
    merge_opaque,
    response_from_events,
    stream_error,
    to_exception,
)
from tests.generators import json_object, random_any_events, random_events, random_response

START, END = Start("r", "m"), End("stop")


def opaque(kind: str = "k", origin: str | None = None, **data: Any) -> Opaque:
    return Opaque("d", kind, data, origin)


def parts(*deltas: Event) -> tuple[Any, ...]:
    """Return the parts of an answer that streamed these deltas."""
    return response_from_events([START, *deltas, END]).message.parts


def test_events_of_an_answer_build_the_same_answer() -> None:
    """Over every kind of part, opaque data, logprobs and usage."""
    for seed in range(1500):
        response = random_response(Random(seed))

        assert response_from_events(events_from_response(response)) == response, f"seed {seed}"


def test_events_of_an_answer_obey_the_order_of_streams() -> None:
    """One start, first; one end, last; every part ends; indices count from zero without gaps."""
    for seed in range(300):
        events = list(events_from_response(random_response(Random(seed))))

        assert [type(event) for event in events if isinstance(event, Start | End)] == [Start, End]
        assert (type(events[0]), type(events[-1])) == (Start, End)
        ended = [event.part_index for event in events if isinstance(event, PartEnd)]
        assert ended == list(range(len(ended)))


def test_no_events_make_anything_but_an_answer_or_an_error_of_ours() -> None:
    """Also events in an order that no decoder keeps. The partial answer is always there."""
    for seed in range(2000):
        make = random_events if seed % 2 else random_any_events

        assert isinstance(answer_or_partial(make(Random(seed))), Response)


def answer_or_partial(events: list[Event]) -> Any:
    try:
        return response_from_events(events)
    except LMError as error:
        return error.partial


JOINED: list[tuple[list[Event], tuple[Any, ...]]] = [
    ([TextDelta(0, "Hel"), TextDelta(0, ""), TextDelta(0, "lo")], (TextPart("Hello"),)),
    ([TextDelta(0, "")], (TextPart(""),)),
    ([ThinkingDelta(0, "a"), ThinkingDelta(0, "b"), TextDelta(1, "c")], (ThinkingPart("ab"), TextPart("c"))),
    ([RefusalDelta(0, "I "), RefusalDelta(0, "won't")], (RefusalPart("I won't"),)),
    ([TextDelta(0, "a"), TextDelta(1, "b"), TextDelta(0, "c")], (TextPart("ac"), TextPart("b"))),
    ([TextDelta(0, "a"), ThinkingDelta(0, "t"), TextDelta(0, "b")], (TextPart("ab"), ThinkingPart("t"))),
    ([TextDelta(7, "a"), TextDelta(2, "b")], (TextPart("a"), TextPart("b"))),
    ([PartDelta(0, ImagePart(url="u")), PartEnd(0)], (ImagePart(url="u"),)),
    ([PartDelta(0, TextPart("a")), TextDelta(0, "b")], (TextPart("a"), TextPart("b"))),
    ([OpaqueDelta(opaque("ping")), TextDelta(0, "a")], (TextPart("a"),)),
    ([PartEnd(3)], ()),
    (
        [TextDelta(0, "a"), CitationDelta(0, CitationPart("u")), TextDelta(0, "b"), TextDelta(1, "c")],
        (TextPart("ab"), CitationPart("u"), TextPart("c")),
    ),
    ([CitationDelta(0, CitationPart("u")), TextDelta(1, "c")], (CitationPart("u"), TextPart("c"))),
    (
        [PartDelta(0, TextPart("a", CacheMark())), CitationDelta(0, CitationPart("u"))],
        (TextPart("a", CacheMark()), CitationPart("u")),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("deltas", "built"), JOINED)
def test_deltas_of_one_index_and_kind_make_one_part_in_order_of_appearance(
    deltas: list[Event], built: tuple[Any, ...]
) -> None:
    assert parts(*deltas) == built


CALLS: list[tuple[list[str], str, Any]] = [
    # fragments, kind, input
    (['{"a"', ': 1, "a":', " 2}"], "function", {"a": 2}),
    (["{}"], "function", {}),
    ([], "function", {}),
    (["", ""], "function", {}),
    (['{"cut": "sho'], "function", {}),
    (["[1]"], "function", {}),
    (["null"], "function", {}),
    (['{"a": NaN}'], "function", {}),
    (['{"a": 1}'], "builtin", {"a": 1}),
    (["*** Begin", " Patch"], "custom", "*** Begin Patch"),
    ([], "custom", ""),
]


@pytest.mark.parametrize(("fragments", "kind", "value"), CALLS)
def test_argument_text_is_kept_exactly_and_parsed(
    fragments: list[str], kind: str, value: Any
) -> None:
    """What is no JSON object leaves the input empty: nobody may run a call that was cut."""
    first = ToolCallDelta(0, "", "c1", "f", kind, "ns")
    rest = [ToolCallDelta(0, text) for text in fragments]

    assert parts(first, *rest) == (ToolCallPart("c1", "f", value, "".join(fragments), kind, "ns"),)


def test_interleaved_calls_stay_apart() -> None:
    calls = [ToolCallDelta(i, "", f"c{i}", f"f{i}") for i in (0, 1)]
    pieces = [ToolCallDelta(i, piece) for piece in ('{"a"', ":1}") for i in (0, 1)]

    first, second = parts(*calls, *pieces)

    assert (first.id, first.text, second.id, second.input) == ("c0", '{"a":1}', "c1", {"a": 1})


def test_the_first_id_and_name_that_say_something_stand() -> None:
    """Servers differ: some repeat both in every chunk, some send empty strings later."""
    deltas = [
        ToolCallDelta(4, "{", None, ""),
        ToolCallDelta(4, "}", "", "f"),
        ToolCallDelta(4, "", "late", "g"),
    ]

    assert parts(*deltas) == (ToolCallPart("late", "f", {}, "{}"),)
    assert parts(*deltas[:2]) == (ToolCallPart("call_4", "f", {}, "{}"),)


@pytest.mark.parametrize("delta", [ToolCallDelta(0, "{}", "c1"), BuiltinCallDelta(0, "{}", "c1")])
def test_a_call_whose_name_never_came_is_an_error_with_the_rest(delta: Event) -> None:
    with pytest.raises(ProtocolError, match="part 1 of the answer is a call without a name") as e:
        parts(TextDelta(1, "kept"), delta)

    assert e.value.partial.text == "kept"


BUILTIN: list[tuple[str, Any]] = [
    ("", None),
    ('{"query": "x"}', {"query": "x"}),
    ("null", None),
    ("[1, 2]", [1, 2]),
    ('{"cut', '{"cut'),
]


@pytest.mark.parametrize(("text", "value"), BUILTIN)
def test_the_input_of_a_providers_own_call_is_parsed_or_kept_as_text(text: str, value: Any) -> None:
    deltas = [BuiltinCallDelta(0, "", "b1", "web_search", "in_progress"), BuiltinCallDelta(0, text)]
    done = BuiltinCallDelta(0, status="completed")

    assert parts(*deltas) == (BuiltinCallPart("b1", "web_search", value, "in_progress"),)
    assert parts(*deltas, done) == (BuiltinCallPart("b1", "web_search", value, "completed"),)
    assert parts(BuiltinCallDelta(2, text, name="web_search"))[0].id == "call_2"


AUDIO: list[tuple[list[str], str]] = [
    ([], ""),
    (["aGVs", "bG8="], "aGVsbG8="),
    (["aG", "VsbG8="], "aGVsbG8="),
    (["aGU=", "bGxv"], "aGVsbG8="),
    (["aA==", "ZWw=", "bG8="], "aGVsbG8="),
    (["a===", "bbbb"], "a===bbbb"),
]


@pytest.mark.parametrize(("pieces", "data"), AUDIO)
def test_audio_is_joined_whether_its_pieces_are_padded_or_not(pieces: list[str], data: str) -> None:
    """OpenAI encodes each piece on its own; padding inside base64 text would cut it there."""
    deltas = [AudioDelta(0, media_type="audio/pcm"), *(AudioDelta(0, piece) for piece in pieces)]
    said = [AudioDelta(0, transcript="hel"), AudioDelta(0, transcript="lo")]

    assert parts(*deltas) == (AudioPart("audio/pcm", data),)
    assert parts(*deltas, *said) == (AudioPart("audio/pcm", data, transcript="hello"),)


ONE, TWO = TokenLogprob("a", -1), TokenLogprob("b", -2)


def test_logprobs_are_collected_over_text_and_refusal() -> None:
    response = response_from_events(
        [START, TextDelta(0, "a", (ONE,)), RefusalDelta(1, "b", (TWO,)), END]
    )

    assert response.logprobs == (ONE, TWO)
    assert response_from_events([START, TextDelta(0, "a"), END]).logprobs is None


def test_logprobs_on_an_empty_fragment_make_no_part() -> None:
    response = response_from_events([START, TextDelta(0, "", (ONE,)), END])

    assert (response.message.parts, response.logprobs) == ((), (ONE,))


def test_opaque_data_belongs_to_the_part_and_wire_data_to_the_frame() -> None:
    block, signature = opaque("block", rest={"x": 1}), opaque("signature", "o1", signature="s")
    deltas = [
        ThinkingDelta(0, "", opaque=(block,), wire=(opaque("pad"),)),
        ThinkingDelta(0, "hm", wire=(opaque("pad"),)),
        ThinkingDelta(0, "", opaque=(signature,)),
        PartEnd(0, opaque=(opaque("stop", rest={"y": 2}),), wire=(opaque("pad"),)),
    ]

    assert parts(*deltas) == (
        ThinkingPart("hm", opaque=(block, signature, opaque("stop", rest={"y": 2}))),
    )


def test_opaque_data_of_a_whole_part_grows_with_its_frames() -> None:
    part = OpaquePart(opaque("block"), opaque=(opaque(rest={"a": 1}),))
    deltas = [PartDelta(0, part, opaque=(opaque(rest={"b": 2}),)), PartEnd(0, (opaque("end"),))]

    assert parts(*deltas) == (
        OpaquePart(opaque("block"), opaque=(opaque(rest={"a": 1, "b": 2}), opaque("end"))),
    )


def test_opaque_data_without_a_part_stays_with_the_message() -> None:
    start = Start("r", "m", message_opaque=(opaque("message", rest={"a": 1}),))
    response = response_from_events([start, PartEnd(0, (opaque("end"),)), END])

    assert response.message.opaque == (opaque("message", rest={"a": 1}), opaque("end"))


MERGED: list[tuple[list[tuple[Opaque, ...]], tuple[Opaque, ...]]] = [
    ([], ()),
    ([(), ()], ()),
    ([(opaque(a=1), opaque(a=2)), ()], (opaque(a=1), opaque(a=2))),
    ([(opaque(a=1), opaque(a=2)), (opaque(a=3),)], (opaque(a=3), opaque(a=2))),
    ([(opaque(a=1),), (opaque("other", a=2),)], (opaque(a=1), opaque("other", a=2))),
    ([(opaque(a=1),), (opaque("k", "o", a=2),)], (opaque(a=1), opaque("k", "o", a=2))),
    ([(opaque(a=1, b=1),), (opaque(b=2, c=2),)], (opaque(a=1, b=2, c=2),)),
    ([(opaque(rest={"a": 1, "b": 1}),), (opaque(rest={"b": 2, "c": 2}),)], (opaque(rest={"a": 1, "b": 2, "c": 2}),)),
    ([(opaque(keys=["a", "b"]),), (opaque(keys=["c", "a"]),)], (opaque(keys=["a", "b", "c"]),)),
    ([(opaque(rest=1),), (opaque(rest={"a": 1}),), (opaque(rest={"b": 1}),)], (opaque(rest={"a": 1, "b": 1}),)),
    ([(opaque(signature="old"),), (opaque(signature="new"),)], (opaque(signature="new"),)),
]  # fmt: skip


@pytest.mark.parametrize(("groups", "merged"), MERGED)
def test_opaque_pieces_of_one_owner_become_one(
    groups: list[tuple[Opaque, ...]], merged: tuple[Opaque, ...]
) -> None:
    before = repr([[item.data for item in group] for group in groups])

    assert merge_opaque(groups) == merged
    assert repr([[item.data for item in group] for group in groups]) == before, "nothing changes"


def test_what_start_and_end_say_about_the_answer() -> None:
    start = Start("r", "m", 9, Usage(10, 1), "default", (opaque("start"),))
    end = End("stop_sequence", Usage(None, 5, 15), "END", "priority", (opaque("end"),))

    assert response_from_events([start, end]) == Response(
        "r",
        "m",
        Message("assistant", ()),
        "stop_sequence",
        Usage(10, 5, 15),
        9,
        "END",
        "priority",
        None,
        (opaque("start"), opaque("end")),
    )
    assert response_from_events([start, End()]).service_tier == "default"


def test_a_stream_that_names_no_model_has_the_callers() -> None:
    assert response_from_events([Start(), END], "asked").model == "asked"
    assert response_from_events([Start(model=""), END], "asked").model == ""


@pytest.mark.parametrize("count", range(4))
def test_a_stream_without_its_end_is_truncated_with_what_had_come(count: int) -> None:
    """A cut must never look like a short answer."""
    events = [START, TextDelta(0, "Hel"), TextDelta(0, "lo"), END]

    with pytest.raises(TruncatedError, match="before its end marker") as cut:
        response_from_events(events[:count], "m")

    assert cut.value.partial.text == ["", "", "Hel", "Hello"][count]
    assert cut.value.partial.finish is None
    assert cut.value.partial.model == "m"


ERRORS = [
    ("rate_limit", RateLimitError),
    ("overloaded", OverloadedError),
    ("timeout", ApiError),
    ("truncated", TruncatedError),
]


@pytest.mark.parametrize(("code", "cls"), ERRORS)
@pytest.mark.parametrize("events", [[], [START], [START, TextDelta(0, "Hel")]])
def test_an_error_event_raises_the_exception_of_its_code(
    events: list[Event], code: str, cls: type[LMError]
) -> None:
    """It may come without a start."""
    with pytest.raises(LMError) as failed:
        response_from_events([*events, StreamError(code, "sorry", status=529, request_id="q")], "m")

    error = failed.value
    assert (type(error), error.code, str(error)) == (cls, code, "sorry")
    assert (error.status, error.request_id) == (529, "q")
    assert error.partial.text == ("Hel" if len(events) == 2 else "")


BROKEN: list[tuple[list[Event], str]] = [
    ([TextDelta(0, "a")], "event 'text' before the start"),
    ([OpaqueDelta(opaque())], "event 'opaque' before the start"),
    ([END], "event 'end' before the start"),
    ([START, START], "the stream started twice"),
    ([START, END, TextDelta(0, "a")], "event 'text' after the end of the stream"),
    ([START, END, END], "event 'end' after the end of the stream"),
    ([StreamError("server", "m"), START], "event 'start' after the end of the stream"),
    ([StreamError("server", "m"), StreamError("server", "m")], "event 'error' after the end"),
]


@pytest.mark.parametrize(("events", "message"), BROKEN)
def test_an_order_that_no_stream_has_is_refused_at_its_event(
    events: list[Event], message: str
) -> None:
    assembler = Assembler()
    for event in events[:-1]:
        assembler.feed(event)

    with pytest.raises(ProtocolError, match=message) as refused:
        assembler.feed(events[-1])

    assert refused.value.partial is not None


def test_an_assembler_can_be_read_while_it_is_fed() -> None:
    assembler = Assembler()

    assert (assembler.done, assembler.partial("m").text) == (False, "")
    for event in (START, TextDelta(0, "Hel"), TextDelta(0, "lo")):
        assembler.feed(event)
    assert (assembler.done, assembler.partial().text) == (False, "Hello")
    assembler.feed(END)
    assert (assembler.done, assembler.response().text) == (True, "Hello")


DELTAS: list[tuple[Any, Callable[[int], Event]]] = [
    (TextPart(""), lambda i: TextDelta(i, "")),
    (TextPart("a", CacheMark()), lambda i: TextDelta(i, "a")),
    (ThinkingPart("t"), lambda i: ThinkingDelta(i, "t")),
    (RefusalPart("no"), lambda i: RefusalDelta(i, "no")),
    (ToolCallPart("c", "f", {"é": 1}), lambda i: ToolCallDelta(i, '{"é":1}', "c", "f")),
    (ToolCallPart("c", "f", {}, " {} "), lambda i: ToolCallDelta(i, " {} ", "c", "f")),
    (ToolCallPart("c", "f", "x", None, "custom", "n"), lambda i: ToolCallDelta(i, "x", "c", "f", "custom", "n")),
    (BuiltinCallPart("b", "w", {"q": 1}, "done"), lambda i: BuiltinCallDelta(i, '{"q":1}', "b", "w", "done")),
    (BuiltinCallPart("b", "w"), lambda i: BuiltinCallDelta(i, "", "b", "w")),
    (AudioPart("audio/wav", "AAAA", transcript="t"), lambda i: AudioDelta(i, "AAAA", "t", "audio/wav")),
]  # fmt: skip


@pytest.mark.parametrize(("part", "delta"), DELTAS)
def test_a_whole_part_can_be_taken_as_one_fragment(part: Any, delta: Callable[[int], Any]) -> None:
    mine, frame, wire = (opaque("mine"),), (opaque("frame"),), (opaque("wire"),)
    event = PartDelta(3, replace(part, opaque=mine), frame, wire)

    assert as_delta(event) == replace(delta(3), opaque=mine + frame, wire=wire)


@pytest.mark.parametrize(
    "part",
    [
        ThinkingPart("", opaque=(opaque("redacted", data="x"),)),
        ImagePart(url="u"),
        AudioPart(url="u"),
        CitationPart("u"),
        BuiltinResultPart("b", "w"),
        OpaquePart(opaque()),
    ],
)
def test_a_part_that_no_fragment_can_say_stays_whole(part: Any) -> None:
    event = PartDelta(0, part)

    assert as_delta(event) is event
    assert PartDelta(0, part) in list(
        events_from_response(Response(None, "m", Message("assistant", part)))
    )


def test_an_answer_goes_as_fragments_where_those_are_exact() -> None:
    call = ToolCallPart("c", "f", {"a": 1}, '{"a": 1}')
    usage = Usage(9, 5, 14, 2, 3, 1, 0, 4, (opaque("usage"),))
    answer = Message(
        "assistant", (TextPart("a"), CitationPart("u"), call, ToolCallPart("d", "f", {}))
    )

    assert list(events_from_response(Response("r", "m", answer, "tool_call", usage, logprobs=(ONE,)))) == [
        Start("r", "m", usage=Usage(9, cache_read_tokens=2, cache_write_tokens=3, input_audio_tokens=0)),
        TextDelta(0, "a", (ONE,)),
        CitationDelta(0, CitationPart("u")),
        PartEnd(0),
        ToolCallDelta(1, '{"a": 1}', "c", "f"),
        PartEnd(1),
        PartDelta(2, ToolCallPart("d", "f", {})),
        PartEnd(2),
        End("tool_call", usage),
    ]  # fmt: skip


def test_an_error_event_and_an_exception_say_the_same() -> None:
    held = opaque("error", rest={"a": 1})
    event = StreamError("rate_limit", "slow", "tpm", 429, "req", 1.5, "model", (held,))

    error = to_exception(event)

    assert (type(error), error.provider_code, error.retry_after) == (RateLimitError, "tpm", 1.5)
    assert stream_error(error) == event


def test_every_exception_of_ours_makes_an_error_event() -> None:
    assert stream_error(DeadlineError("idle")) == StreamError("timeout", "idle")
    assert stream_error(RequestError("is wrong", path="a.b")) == StreamError(
        "invalid_request", "a.b: is wrong", param="a.b"
    )
    assert stream_error(RequestError("is wrong")).param is None
    assert stream_error(ApiError("m", opaque=("not ours",))).opaque == ()


def test_generated_argument_text_survives_any_cut(rng: Random) -> None:
    """Fragments may cut an escape or a surrogate pair's two escapes; the text is joined first."""
    for _ in range(100):
        value = json_object(rng)
        (part,) = parts(*events_of_call(rng, value))

        assert part.input == value


def events_of_call(rng: Random, value: dict[str, Any]) -> list[Event]:
    text = json.dumps(value)
    cut = rng.randint(0, len(text))
    return [ToolCallDelta(0, text[:cut], "c", "f"), ToolCallDelta(0, text[cut:])]
