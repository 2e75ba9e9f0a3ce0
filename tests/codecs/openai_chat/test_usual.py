"""Messages of a usual form are parsed by one look, to what the whole parser gives."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from lmtools.codecs import openai_chat
from lmtools.codecs.base import Incoming
from lmtools.codecs.openai_chat import usual
from lmtools.errors import RequestError

CALLED = {"name": "ls", "arguments": '{"path":"."}'}
CALL = {"id": "c1", "type": "function", "function": CALLED}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "a b"}

USUAL: list[Any] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hi"},
    {"role": "system", "content": "Hi"},
    {"role": "developer", "content": "Hi"},
    CALLING,
    {**CALLING, "content": "Now:"},
    {**CALLING, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
    *(
        {**CALLING, "tool_calls": [{**CALL, "function": {**CALLED, "arguments": text}}]}
        for text in ("", " ", "{}", "[1]", "{", '{"a": 1 }')
    ),
    RESULT,
    {"role": "tool", "content": "a b", "tool_call_id": "c1"},
]
OTHERS: list[Any] = [
    *({"role": role, "content": "Hi"} for role in ("tool", "critic", "function", None, 1, [])),
    *({"role": "user", "content": content} for content in ("", None, [], 1, {})),
    *({"role": "assistant", "content": content} for content in ("", None, [])),
    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
    {"content": "Hi", "role": "user"},
    {"role": "user", "content": "Hi", "name": "x"},
    {**CALLING, "role": "user"},
    {**CALLING, "content": ""},
    {**CALLING, "content": 1},
    {**CALLING, "refusal": None},
    *({**CALLING, "tool_calls": calls} for calls in (None, [], {}, [None], [CALL, 1])),
    *(
        {**CALLING, "tool_calls": [{**CALL, **other}]}
        for other in (
            {"id": ""},
            {"id": None},
            {"id": 1},
            {"type": "custom"},
            {"type": None},
            {"function": None},
            {"function": {"name": "ls"}},
            {"function": {"arguments": "{}", "name": "ls"}},
            {"function": {**CALLED, "name": None}},
            {"function": {**CALLED, "name": ""}},
            {"function": {**CALLED, "arguments": None}},
            {"function": {**CALLED, "arguments": {"a": 1}}},
            {"function": {**CALLED, "more": 1}},
            {"index": 0},
            {"extra_content": {"google": {"thought_signature": "s"}}},
        )
    ),
    *({**RESULT, "content": content} for content in ("", None, [], 1)),
    *({**RESULT, "tool_call_id": id} for id in ("", None, 1)),
    {**RESULT, "role": "function"},
    {**RESULT, "name": "ls"},
    "text",
    None,
]


def outcome(messages: list[Any]) -> Any:
    try:
        return openai_chat.parse_request(Incoming({"model": "m", "messages": messages}))
    except RequestError as error:
        return str(error)


@pytest.mark.parametrize("message", [*USUAL, *OTHERS], ids=repr)
def test_a_message_gives_the_same_with_and_without_the_usual_forms(
    message: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = outcome([message])
    monkeypatch.setattr(usual, "_FORMS", {})
    assert quick == outcome([message])


@pytest.mark.parametrize("message", USUAL, ids=repr)
def test_usual_forms_are_what_they_are_for(message: Any) -> None:
    assert usual.parse_usual(message) is not None


def test_in_any_order_of_keys_a_message_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for message in (USUAL[0], CALLING, RESULT):
        for keys in itertools.permutations(message):
            ordered = [{key: message[key] for key in keys}]
            quick = outcome(ordered)
            with monkeypatch.context() as patch:
                patch.setattr(usual, "_FORMS", {})
                assert quick == outcome(ordered)


def test_functions_of_before_tools_stay_apart_from_usual_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = {"role": "assistant", "content": None, "function_call": CALLED}
    answered = {"role": "function", "name": "ls", "content": "a"}
    messages = [asked, answered, CALLING, RESULT, asked, answered]
    quick = outcome(messages)
    monkeypatch.setattr(usual, "_FORMS", {})
    assert quick == outcome(messages)
