"""Options to a request, and events to what is shown and how the run is judged."""

from __future__ import annotations

import pytest

from lmtools.errors import OverloadedError
from lmtools.flags.provider import ProviderChoice
from lmtools.lmc.chat import JSON_PROMPT, SYSTEM_PROMPT, Answer, Outcome, build_request
from lmtools.lmc.options import EXIT_CODES, Options
from lmtools.types import (
    FINISH_REASONS,
    AudioDelta,
    BuiltinCallDelta,
    CitationDelta,
    CitationPart,
    End,
    ImagePart,
    Message,
    Opaque,
    OpaqueDelta,
    OutputFormat,
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

LOOPBACK = ProviderChoice("loopback")
SCHEMA = {"type": "object"}


class Screen:
    """Remembers what was shown, in order."""

    def __init__(self):
        self.shown = []

    def answer(self, text):
        self.shown.append(("answer", text))

    def reasoning(self, text):
        self.shown.append(("reasoning", text))


def shown(*batches):
    """Return what a screen got from these batches of events, and the answer."""
    screen = Screen()
    answer = Answer(screen)
    for batch in batches:
        answer.show(batch)
    return screen.shown, answer


def judged(*events):
    return shown(events)[1].outcome()


def request(**fields):
    return build_request(Options(provider=LOOPBACK, **fields), "m", "Hi", None)


@pytest.mark.parametrize(
    ("fields", "field", "value"),
    [
        ({"stream": True}, "stream", True),
        ({"max_tokens": 7}, "max_tokens", 7),
        ({"temperature": 0.0}, "temperature", 0.0),
        ({"effort": "xhigh"}, "reasoning", Reasoning(effort="xhigh")),
        ({"effort": "none"}, "reasoning", Reasoning(effort="none")),
        ({"system": ""}, "messages", (Message.user("Hi"),)),
        ({"system": "Be brief"}, "messages", (Message.system("Be brief"), Message.user("Hi"))),
    ],
)
def test_each_option_says_one_thing_in_the_request(fields, field, value):
    plain = Request("m", (Message.system(SYSTEM_PROMPT), Message.user("Hi")))

    assert request() == plain
    assert getattr(request(**fields), field) == value
    assert [n for n in plain.__slots__ if getattr(request(**fields), n) != getattr(plain, n)] == [
        field
    ]


def test_json_mode_is_asked_for_in_the_default_prompt_too():
    """OpenAI answers 400 to its JSON mode when no message has the word."""
    made = request(json=True)

    assert made.output == OutputFormat("json_object")
    assert made.messages[0] == Message.system(f"{SYSTEM_PROMPT} {JSON_PROMPT}")
    assert request(json=True, system="Mine").messages[0] == Message.system("Mine")
    assert request(json=True, system="").messages == (Message.user("Hi"),)


def test_a_schema_shapes_the_output():
    made = build_request(Options(provider=LOOPBACK, json_schema="f"), "m", "Hi", SCHEMA)

    assert made.output == OutputFormat("json_schema", schema=SCHEMA, name="answer")


def test_text_and_reasoning_are_shown_in_their_order_and_text_that_came_together_as_one():
    seen, answer = shown(
        [Start("id", "m"), ThinkingDelta(0, "hm"), TextDelta(1, "a"), TextDelta(1, "b")],
        [TextDelta(1, "c"), ThinkingDelta(2, ""), ThinkingDelta(2, "so"), TextDelta(3, "d")],
        [End("stop")],
    )

    assert seen == [
        ("reasoning", "hm"),
        ("answer", "ab"),
        ("answer", "c"),
        ("reasoning", "so"),
        ("answer", "d"),
    ]
    assert answer.outcome() == Outcome(0)


def test_what_has_nothing_to_see_shows_nothing():
    opaque = Opaque("d", "k", {})
    seen, answer = shown(
        [
            Start(),
            ThinkingDelta(0, "", opaque=(opaque,)),
            BuiltinCallDelta(1, "{}", "id", "web_search"),
            PartDelta(2, ThinkingPart("")),
            OpaqueDelta(opaque),
            PartEnd(2),
            TextDelta(3, "x"),
            End("stop"),
        ]
    )

    assert seen == [("answer", "x")]
    assert not answer.unshown
    assert answer.outcome().code == 0


def test_content_that_cannot_be_shown_is_named():
    _, answer = shown([AudioDelta(0, "AA=="), PartDelta(1, ImagePart(url="http://h/i.png"))])

    assert list(answer.unshown) == ["audio", "image"]


def test_sources_are_listed_once_each_in_their_order():
    book = CitationPart(title="Book", url="http://b")
    events = [book, CitationPart(text="a passage"), book, CitationPart(url="http://c")]
    _, answer = shown([CitationDelta(0, citation) for citation in events])
    _, whole = shown([PartDelta(0, book), PartDelta(1, CitationPart())])

    assert answer.sources == ["[1] Book http://b", "[2] a passage", "[3] http://c"]
    assert whole.sources == ["[1] Book http://b"]


def test_the_usage_of_the_end_completes_that_of_the_start():
    _, answer = shown(
        [Start(model="m2", usage=Usage(input_tokens=3)), End("stop", Usage(output_tokens=4))]
    )

    assert (answer.model, answer.usage) == ("m2", Usage(3, 4))


@pytest.mark.parametrize(
    ("finish", "code"),
    [
        (None, 0),
        ("stop", 0),
        ("stop_sequence", 0),
        ("length", 3),
        ("context_length", 3),
        ("pause", 3),
        ("tool_call", 3),
        ("refusal", 4),
        ("content_filter", 4),
        ("error", 1),
    ],
)
def test_how_an_answer_ended_decides_the_exit_code(finish, code):
    outcome = judged(TextDelta(0, "x"), End(finish))

    assert outcome.code == code
    assert bool(outcome.reason) == (code != 0)


def test_every_way_to_end_and_every_code_is_known():
    """A new finish reason must not be taken for a complete answer by accident."""
    complete = {"stop", "stop_sequence"}
    codes = {judged(TextDelta(0, "x"), End(finish)).code for finish in FINISH_REASONS}

    assert {f for f in FINISH_REASONS if judged(TextDelta(0, "x"), End(f)).code == 0} == complete
    assert codes <= {code for code, _ in EXIT_CODES}


@pytest.mark.parametrize(
    "events",
    [
        (End("stop"),),
        (TextDelta(0, " \n"), End("stop")),
        (ThinkingDelta(0, "long thoughts"), End("stop")),
        (ToolCallDelta(0, "{}", "id", "f"), End("tool_call")),
        (End(None),),
    ],
)
def test_an_answer_without_text_is_no_success(events):
    assert judged(*events).code == 3


def test_words_of_refusal_count_whatever_the_finish_reason_says():
    outcome = judged(RefusalDelta(0, "I "), RefusalDelta(0, "won't"), End("stop"))

    assert outcome == Outcome(4, "the model refused to answer: I won't")


def test_a_cut_stream_is_no_short_answer():
    outcome = judged(TextDelta(0, "half"), StreamError("truncated", "connection closed"))

    assert outcome == Outcome(3, "the answer was cut: connection closed")


def test_an_error_of_the_provider_in_a_stream_is_a_failure():
    outcome = judged(TextDelta(0, "half"), StreamError("overloaded", "busy", request_id="r1"))

    assert outcome.code == 1
    assert isinstance(outcome.error, OverloadedError)
    assert outcome.error.request_id == "r1"


def test_parts_that_come_whole_are_shown_as_their_pieces_are():
    seen, answer = shown(
        [
            PartDelta(0, ThinkingPart("hm")),
            PartDelta(1, TextPart("whole")),
            PartDelta(2, RefusalPart("no")),
            PartDelta(3, ToolCallPart("id", "f", {})),
            End("stop"),
        ]
    )

    assert seen == [("reasoning", "hm"), ("answer", "whole")]
    assert answer.outcome() == Outcome(4, "the model refused to answer: no")
