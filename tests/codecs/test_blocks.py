from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from lmtools.codecs.blocks import CLOSE, DELTA, OPEN, Action, Balance, Framing
from lmtools.types import (
    BuiltinCallDelta,
    CitationDelta,
    CitationPart,
    Delta,
    Opaque,
    OpaqueDelta,
    OpaquePart,
    PartDelta,
    PartEnd,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)

NOTE = OpaqueDelta(Opaque("x", "note", {}), 0)
WHOLE = OpaquePart(Opaque("x", "block", {}))


def run(events: Iterable[Delta]) -> list[Action]:
    framing = Framing()
    actions = [action for event in events for action in framing.feed(event)]
    return actions + framing.finish()


def shown(actions: Iterable[Action]) -> str:
    """Return actions as a line: ``<0 a`` opens block 0 with text a, ``b`` adds, ``>`` closes."""
    words = []
    for verb, index, event in actions:
        said = getattr(event, "text", type(event).__name__) if event is not None else ""
        words.append({OPEN: f"<{index} {said}", DELTA: said, CLOSE: ">"}[verb])
    return " ".join(words)


def call(at: int, text: str, kind: str = "function") -> ToolCallDelta:
    return ToolCallDelta(at, text, kind=kind)


TEXT, THINK, BUILTIN = TextDelta, ThinkingDelta, BuiltinCallDelta
ORDERS = [
    ("nothing", [], ""),
    ("one part", [TEXT(0, "a"), TEXT(0, "b"), PartEnd(0)], "<0 a b >"),
    ("the end closes", [TEXT(0, "a")], "<0 a >"),
    (
        "text makes way for text",
        [THINK(0, "a"), TEXT(1, "b"), THINK(0, "c")],
        "<0 a > <1 b > <2 c >",
    ),
    ("a call in turn", [TEXT(0, "a"), call(1, "{}"), TEXT(2, "b")], "<0 a > <1 {} > <2 b >"),
    (
        "text waits for an open call",
        [call(0, '{"a"'), TEXT(1, "x"), call(0, ":1}"), TEXT(1, "y")],
        '<0 {"a" :1} > <1 x y >',
    ),
    (
        "calls that interleave",
        [call(0, "{"), call(1, "["), call(0, "}"), call(1, "]"), call(2, "{}")],
        "<0 { } > <1 [ ] > <2 {} >",
    ),
    (
        "a part end frees the next call",
        [call(0, ""), call(1, "{"), PartEnd(0), call(1, "}")],
        "<0  > <1 { } >",
    ),
    (
        "a part may end while it waits",
        [call(0, "{"), call(1, "{"), PartEnd(1), call(2, "{"), PartEnd(0), call(2, "}")],
        "<0 { > <1 { > <2 { } >",
    ),
    (
        "parts that wait keep their order",
        [call(0, "{"), call(2, "{}"), TEXT(1, "x"), call(3, "{"), call(0, "}"), TEXT(4, "y")],
        "<0 { } > <1 {} > <2 x > <3 { > <4 y >",
    ),
    (
        "free text is not complete by its brackets",
        [call(0, "{}", "custom"), TEXT(1, "x"), call(0, "more", "custom")],
        "<0 {} more > <1 x >",
    ),
    (
        "blanks after a complete call",
        [call(0, "{}"), TEXT(1, "x"), call(0, " \n")],
        "<0 {} > <1 x >",
    ),
    ("a built-in call", [BUILTIN(0, "{"), TEXT(1, "x"), BUILTIN(0, "}")], "<0 { } > <1 x >"),
    ("one index, two kinds", [TEXT(0, "a"), call(0, "{}"), PartEnd(0)], "<0 a > <1 {} >"),
    ("whole parts", [PartDelta(0, WHOLE), TEXT(1, "x")], "<0 PartDelta > <1 x >"),
    ("whole parts twice", [PartDelta(0, WHOLE)] * 2, "<0 PartDelta > <1 PartDelta >"),
    (
        "whole parts that wait",
        [call(0, "{"), PartDelta(1, WHOLE), PartDelta(1, WHOLE), call(0, "}")],
        "<0 { } > <1 PartDelta > <2 PartDelta >",
    ),
    (
        "a citation belongs to its text",
        [TEXT(0, "a"), CitationDelta(0, CitationPart("u")), TEXT(0, "b")],
        "<0 a CitationDelta b >",
    ),
    ("a note in its part", [TEXT(0, "a"), NOTE, PartEnd(0)], "<0 a OpaqueDelta >"),
    (
        "a note of a part that waits",
        [call(1, "{"), call(0, "{}"), NOTE, call(1, "}")],
        "<0 { } > <1 {} OpaqueDelta >",
    ),
    ("a note of no part", [NOTE, TEXT(1, "a")], "<0 a >"),
    ("the end of no part", [PartEnd(7), TEXT(0, "a"), PartEnd(7)], "<0 a >"),
]


@pytest.mark.parametrize(("events", "line"), [o[1:] for o in ORDERS], ids=[o[0] for o in ORDERS])
def test_deltas_become_blocks_one_after_the_other(events, line):
    assert shown(run(events)) == line


def test_text_is_never_held_back_by_text():
    framing = Framing()

    for i in range(10):
        (*_, last) = framing.feed(TextDelta(i % 2, str(i)))
        assert last[2] == TextDelta(i % 2, str(i))


def test_a_part_end_closes_with_what_it_carries():
    end = PartEnd(0, wire=(Opaque("x", "frame", {}),))

    assert run([TextDelta(0, "a"), end])[-1] == (CLOSE, 0, end)
    assert run([call(1, "{"), call(0, "{"), end])[-1] == (CLOSE, 1, end)


@pytest.mark.parametrize(
    ("events", "lost"),
    [
        ([call(0, "{}"), TextDelta(1, "x"), call(0, "{}")], 1),
        ([call(0, "{}"), PartEnd(0), call(0, " ")], 0),
        ([call(0, "{}"), PartEnd(0), call(0, ",")], 1),
        ([NOTE], 1),
    ],
)
def test_what_comes_too_late_for_its_block_is_counted(events, lost):
    framing = Framing()
    for event in events:
        framing.feed(event)

    assert framing.lost == lost


BALANCED = [
    ('{"a": [1, {"b": "}"}]}', True),
    ('{"a": "\\"}"}', True),
    ('{"a": "\\\\"}', True),
    ("[]", True),
    ("", False),
    ("1", False),
    ('"{}"', False),
    ('{"a": "}', False),
    ('{"a": [}', False),
    ('{"a": "\\', False),
]


@pytest.mark.parametrize(("text", "balanced"), BALANCED)
def test_brackets_are_balanced_however_the_text_is_split(text, balanced):
    for cut in range(len(text) + 1):
        balance = Balance()
        first = balance.feed(text[:cut])
        assert (balance.feed(text[cut:]) if text[cut:] else first) == balanced
        assert balance.feed("") == balanced


def random_delta(rng: random.Random) -> Delta:
    at, text = rng.randrange(4), rng.choice(["{", "}", "{}", "a", '"', "\\", "", " "])
    return rng.choice(
        [
            TextDelta(at, text),
            ThinkingDelta(at, text),
            call(at, text),
            call(at, text, "custom"),
            BuiltinCallDelta(at, text),
            PartDelta(at, WHOLE),
            CitationDelta(at, CitationPart("u")),
            PartEnd(at),
            OpaqueDelta(Opaque("x", "note", {}), at),
        ]
    )


def test_any_sequence_gives_blocks_one_at_a_time_with_indexes_that_count_up(rng):
    for _ in range(2000):
        events = [random_delta(rng) for _ in range(rng.randrange(25))]
        is_open, count = False, 0
        for verb, index, event in run(events):
            if verb == OPEN:
                assert not is_open
                assert index == count
                assert event is not None
                is_open, count = True, count + 1
            else:
                assert is_open
                assert index == count - 1
                is_open = verb == DELTA
        assert not is_open


def test_any_sequence_keeps_every_word_in_the_order_of_its_part(rng):
    for _ in range(2000):
        events = [random_delta(rng) for _ in range(rng.randrange(25))]
        framing = Framing()
        actions = [action for event in events for action in framing.feed(event)]
        actions += framing.finish()
        placed = [event for verb, _, event in actions if verb != CLOSE]
        for cls in (TextDelta, ThinkingDelta, CitationDelta, PartDelta):
            for at in range(4):
                said = [e for e in events if isinstance(e, cls) and e.part_index == at]
                assert [e for e in placed if isinstance(e, cls) and e.part_index == at] == said
        missing = [
            e for e in events if not isinstance(e, PartEnd) and not any(e is p for p in placed)
        ]
        blank = [e for e in missing if not getattr(e, "text", "x").strip()]
        assert len(missing) - len(blank) == framing.lost


def test_many_calls_that_interleave_cost_no_more_actions_than_deltas():
    """A delta that waits is stored once and placed once."""
    calls = 200
    framing = Framing()
    actions = 0
    for text in ("{", '"a"', ":1", "}"):
        for at in range(calls):
            actions += len(framing.feed(call(at, text)))
    actions += len(framing.finish())

    # Each call: one open, three deltas, one close.
    assert actions == calls * 5
