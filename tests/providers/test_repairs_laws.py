"""What holds of repairs for any conversation: the target takes it, once is enough, nothing goes unseen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance import corpus, exchange, runner
from lmtools.codecs.base import Target
from lmtools.providers import open_backend, provider_named
from lmtools.providers.repairs import REPAIRS, Ledger, repair
from lmtools.types import (
    FunctionTool,
    ImagePart,
    Message,
    Reasoning,
    RefusalPart,
    Request,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolChoice,
    ToolResultPart,
)
from tests.fakes import anthropic_rules, openai_rules

CODECS = runner.codecs()
RULES = {
    "anthropic": anthropic_rules.RULES,
    "openai_chat": (*openai_rules.RULES, *openai_rules.VENDOR_RULES),
}
HEADERS = {
    "x-api-key": "k",
    "authorization": "Bearer sk-some-key",
    "anthropic-version": "2023-06-01",
    ":path": "/v1/messages",
}


def target(model: str) -> Target:
    provider = "anthropic" if model.startswith("claude") else "openai"
    return open_backend(provider_named(provider), need_key=False).target(model)


MODELS = ("claude-sonnet-4-5", "claude-opus-4-1", "claude-opus-4-6", "claude-opus-4-7")
TARGETS = [target(model) for model in (*MODELS, "gpt-4.1", "gpt-5-mini", "gpt-5.4")]
to_any_target = pytest.mark.parametrize("to", TARGETS, ids=[to.model for to in TARGETS])

# Real conversations

ASKED = [
    case
    for case in corpus.load()
    if case.kind == "request" and case.name.startswith(("captures", "recorded"))
]
#: A probe of what is refused, with the model's refusal beside it.
PROBE = "anthropic-unsigned-thinking-replay-probe"


@pytest.mark.parametrize("case", ASKED, ids=str)
@to_any_target
def test_of_what_real_clients_say_only_the_billing_line_is_left_out(
    case: corpus.Case, to: Target
) -> None:
    asked = exchange.parse_request(CODECS[case.dialect], case)
    _, ledger = repair(asked, to)
    about = {loss.path for loss in ledger.losses}

    if case.dialect == to.dialect:
        assert about <= ({"reasoning"} if PROBE in case.name else set())
    for loss in ledger.losses:
        # A turn that another model began, and sampling of an API that takes it beside thinking.
        assert "billing" in loss.reason or loss.path in ("reasoning", "temperature", "top_p")


# Any conversation

IDS = ("a", "b", "a_2", "b|1:x", "c" * 50)
texts = st.sampled_from(["", " ", "\n\t", "one", "two \n", "three"])
said = texts.map(TextPart)
calls = st.sampled_from(IDS).map(lambda name: ToolCallPart(name, "ls", {"k": 1}))
picture = ImagePart("image/png", data="aGk=")
results = st.builds(
    ToolResultPart,
    st.sampled_from(IDS),
    st.lists(st.one_of(said, st.just(picture)), max_size=2).map(tuple),
    st.sampled_from([None, True, False]),
)
thoughts = texts.map(ThinkingPart)
#: No model refuses without a word; white space it may.
refusals = texts.filter(bool).map(RefusalPart)


def turn(role: str, *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Message]:
    held = st.lists(st.one_of(*parts), max_size=4)
    return held.map(lambda parts: Message(role, tuple(parts)))


messages = st.one_of(
    turn("system", said),
    turn("developer", said),
    turn("user", said, results),
    turn("user", said, st.just(picture)),
    turn("assistant", said, calls, thoughts, refusals),
    turn("assistant", calls),
    turn("tool", results),
)
reasonings = st.one_of(
    st.none(),
    st.builds(
        Reasoning,
        st.sampled_from([None, "enabled", "adaptive", "disabled"]),
        st.sampled_from([None, "none", "low", "high"]),
        st.sampled_from([None, 0, 500, 1024, 2000, 5000]),
    ),
)
choices = st.sampled_from([None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("none")])
requests = st.builds(
    Request,
    st.just("m"),
    st.lists(messages, min_size=1, max_size=7).map(tuple),
    tools=st.just((FunctionTool("ls"),)),
    tool_choice=choices,
    max_tokens=st.sampled_from([None, 1, 1024, 1500, 4000]),
    temperature=st.sampled_from([None, 0.2, 1.0]),
    top_p=st.sampled_from([None, 0.5, 0.97]),
    top_k=st.sampled_from([None, 4]),
    stop=st.lists(st.sampled_from(["", "\n\n", "END"]), max_size=3).map(tuple),
    reasoning=reasonings,
)
#: An answer to go on with is said on purpose, and a newer model's refusal of it is heard.
LEFT = {"prefill gone"}


@to_any_target
@settings(max_examples=250, deadline=None, derandomize=True, database=None)
@given(request_=requests)
def test_any_conversation_becomes_one_that_the_target_takes(to: Target, request_: Request) -> None:
    repaired, _ = repair(request_, to)
    body = CODECS[to.dialect].render_request(repaired, to).body

    refused = {rule.name: rule.breach(body, HEADERS) for rule in RULES[to.dialect]}
    assert {name: b for name, b in refused.items() if b is not None and name not in LEFT} == {}


@to_any_target
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(request_=requests)
def test_what_is_repaired_needs_no_repair(to: Target, request_: Request) -> None:
    once, _ = repair(request_, to)
    twice, ledger = repair(once, to)

    assert ledger.losses == []
    assert twice is once


@to_any_target
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(request_=requests)
def test_a_request_without_loss_is_the_request_as_it_came(to: Target, request_: Request) -> None:
    """Only the order of results among themselves changes unseen: nothing is lost by it."""
    repaired, ledger = repair(request_, to)

    if not ledger.losses:
        assert sorted(map(repr, _parts(repaired))) == sorted(map(repr, _parts(request_)))
        assert replace(repaired, messages=()) == replace(request_, messages=())


@to_any_target
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(request_=requests)
def test_nothing_that_was_said_goes_unseen(to: Target, request_: Request) -> None:
    """Every text is in the repaired conversation, or a loss has its path, as it was asked."""
    marked, texts = _marked(request_)
    repaired, ledger = repair(marked, to)
    kept = repr(_parts(repaired))

    for path, text in texts.items():
        assert text in kept or any(_covers(loss.path, path) for loss in ledger.losses)


@to_any_target
@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(request_=requests)
def test_losses_of_what_was_repaired_have_their_place_in_what_was_asked(
    to: Target, request_: Request
) -> None:
    repaired, ledger = repair(request_, to)
    rendered = CODECS[to.dialect].render_request(repaired, to)
    places = {"messages"} | {path for path, _ in _placed(request_)}

    for loss in (*ledger.losses, *ledger.restate(rendered.losses, repaired)):
        if loss.path.startswith("messages"):
            assert any(_covers(place, loss.path) for place in places)


def _parts(request: Request) -> list[Any]:
    return [part for message in request.messages for part in message.parts]


def _placed(request: Request) -> list[tuple[str, Any]]:
    return [
        (f"messages[{i}].parts[{j}]" if j >= 0 else f"messages[{i}]", part)
        for i, message in enumerate(request.messages)
        for j, part in enumerate((None, *message.parts), -1)
    ]


def _covers(path: str, below: str) -> bool:
    return below == path or below.startswith((f"{path}.", f"{path}["))


def _marked(request: Request) -> tuple[Request, dict[str, str]]:
    """Return the request with a text of its own in each part, and the texts by their paths."""
    texts: dict[str, str] = {}
    turns = []
    for i, message in enumerate(request.messages):
        parts = []
        for j, part in enumerate(message.parts):
            text = f"<{i}:{j}>"
            if hasattr(part, "text") and not isinstance(part, ToolCallPart):
                part = replace(part, text=text if part.text.strip() else part.text)
            elif isinstance(part, ToolResultPart):
                part = replace(part, content=(TextPart(text), *part.content))
            else:
                part = replace(part)
            if text in repr(part):
                texts[f"messages[{i}].parts[{j}]"] = text
            parts.append(part)
        turns.append(replace(message, parts=tuple(parts)))
    return replace(request, messages=tuple(turns)), texts


# Each repair is needed

_ID = "c" * 50
_CALL, _ANSWER = ToolCallPart("a", "ls", {}), ToolResultPart("a", (TextPart("x"),))
_HI = Message.user("hi")
_THINK = Reasoning(effort="high")
#: What the target refuses without the repair of that name.
NEEDED: dict[str, tuple[str, Request]] = {
    "pair_results": ("gpt-4.1", Request("m", (_HI, Message.assistant(_CALL), _HI))),
    "drop_blanks": ("claude-sonnet-4-5", Request("m", (_HI, Message.user(["a", " "])))),
    "trim_prefill": ("claude-sonnet-4-5", Request("m", (_HI, Message.assistant("a ")))),
    "ask_for_answer": ("claude-sonnet-4-5", Request("m", (Message.system("a"),))),
    "fit_ids": (
        "claude-sonnet-4-5",
        Request("m", (_HI, *(Message.assistant(_CALL), Message.tool(_ANSWER)) * 2)),
    ),
    "prefer_forced_tool": (
        "claude-opus-4-6",
        Request("m", (_HI,), (FunctionTool("ls"),), ToolChoice("required"), reasoning=_THINK),
    ),
    "fit_budget": (
        "claude-sonnet-4-5",
        Request("m", (_HI,), max_tokens=2000, reasoning=Reasoning("enabled", budget=2000)),
    ),
    "drop_sampling": (
        "claude-sonnet-4-5",
        Request("m", (_HI,), temperature=0.2, reasoning=_THINK),
    ),
    "drop_blank_stops": ("claude-sonnet-4-5", Request("m", (_HI,), stop=("\n",))),
}
#: The billing line is refused by nobody, and no fake knows which turns began with thinking.
UNREFUSED = {"drop_billing", "stop_thinking_in_loop"}


def test_every_repair_is_one_of_these() -> None:
    assert {apply.__name__ for apply in REPAIRS} == NEEDED.keys() | UNREFUSED


@pytest.mark.parametrize("name", NEEDED)
def test_without_the_repair_the_request_is_refused(name: str) -> None:
    model, request = NEEDED[name]
    to = target(model)

    def refused(skipped: str) -> list[str]:
        ledger, changed = Ledger(request), request
        for apply in REPAIRS:
            if apply.__name__ != skipped:
                changed = apply(changed, to, ledger)
        body = CODECS[to.dialect].render_request(changed, to).body
        return [rule.name for rule in RULES[to.dialect] if rule.breach(body, HEADERS)]

    assert refused(name) != []
    assert refused("") == []
