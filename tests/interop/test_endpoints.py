"""What the SDKs ask for beside answers: models, and counts of tokens."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

pytest.importorskip("anthropic", reason="needs the anthropic SDK: run scripts/interop")
pytest.importorskip("openai", reason="needs the openai SDK: run scripts/interop")

from tests.fakes.base import FakeAPI
from tests.fakes.proxy import before
from tests.interop.cell import SURFACES
from tests.interop.wires import WIRES

pytestmark = pytest.mark.interop

ASK = [{"role": "user", "content": "Hello"}]


def client_of(stack: ExitStack, name: str, wire: str) -> tuple[Any, FakeAPI]:
    """Return an SDK's client of a proxy before a fake."""
    fake = stack.enter_context(WIRES[wire].fake())
    sdk = stack.enter_context(SURFACES[name](stack.enter_context(before(fake)).url))
    return sdk.client, fake


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", SURFACES)
def test_models_are_listed_and_found(stack: ExitStack, name: str, wire: str) -> None:
    client, _ = client_of(stack, name, wire)

    names = [model.id for model in client.models.list()]

    assert WIRES[wire].model in names
    assert client.models.retrieve(names[0]).id == names[0]
    with pytest.raises(SURFACES[name].error, match="no-such-model"):
        client.models.retrieve("no-such-model")


def test_the_provider_counts_tokens(stack: ExitStack) -> None:
    client, fake = client_of(stack, "anthropic", "anthropic")
    tools = [{"name": "ls", "input_schema": {"type": "object"}}]

    counted = client.messages.count_tokens(model="claude-haiku-4-5", messages=ASK, tools=tools)

    assert counted.input_tokens == 576
    assert fake.refused == []


def test_tokens_are_estimated_where_the_provider_counts_none(stack: ExitStack) -> None:
    client, fake = client_of(stack, "anthropic", "openai_chat")

    small = client.messages.count_tokens(model="gpt-4.1", messages=ASK)
    large = client.messages.count_tokens(model="gpt-4.1", messages=ASK, system="Be brief. " * 9)

    assert 0 < small.input_tokens < large.input_tokens
    assert fake.seen == []
