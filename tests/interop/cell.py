"""One cell: an SDK, a proxy and a strict fake, and what each of them saw."""

from __future__ import annotations

import json
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import pytest

from conformance.automata import breach
from lmtools.apiproxy import raw
from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.secret import Secret
from lmtools.sse import SSEEvent
from tests.fakes.proxy import VENDORS, Rerouted, running
from tests.fakes.scenario import Scenario
from tests.interop.anthropic_sdk import AnthropicMessages
from tests.interop.asks import Answer, Ask, Failure, Result, Surface, Turn
from tests.interop.openai_sdk import OpenAIChat
from tests.interop.table import Column, Row
from tests.interop.tap import CLIENT_KEY, Came
from tests.interop.wires import WIRES, Heard

#: The provider's keys: the second one marks a provider whose clients' bodies all go through the codec.
RAW_KEY, CODEC_KEY = "sk-upstream-SENTINEL-raw", "sk-upstream-SENTINEL-codec"
SURFACES: dict[str, Any] = {"anthropic": AnthropicMessages, "openai": OpenAIChat}


def results(answer: Answer, *texts: str) -> Turn:
    """Return the turn with the results of an answer's calls."""
    pairs = zip(answer.calls, texts, strict=True)
    return Turn("user", tuple(Result(call.id, (text,)) for call, text in pairs))


class Cell:
    """What a row's function gets. Every answer that comes is validated, and so is every event."""

    def __init__(self, row: Row, column: Column, way: str) -> None:
        self.row, self.column, self.way = row, column, way
        self.client, self.is_stream = column.client, way.endswith("stream")
        self.is_raw = column.path == "raw"
        self.wire = WIRES[column.wire]
        self._stack = ExitStack()
        self._checked = 0
        self._lost: list[str] = []

    def __enter__(self) -> Self:
        fake = self.wire.compatible if self.row.compatible else self.wire.fake
        self.fake = self._stack.enter_context(fake())
        surface: Any = SURFACES[self.client](self._proxy())
        self.sdk: Surface = self._stack.enter_context(surface)
        self._tap = surface.tap
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _proxy(self) -> str:
        """Start a proxy whose provider is the fake, at the vendor's own address unless it is not one."""
        name = self.wire.provider
        secret = Secret(CODEC_KEY if self.column.path == "codec" else RAW_KEY)
        key = KeySource("the test", secret=secret)
        if self.row.compatible:
            choice, transport = ProviderChoice(name, url=self.fake.url, key=key), None
        else:
            choice, transport = ProviderChoice(name, key=key), Rerouted(VENDORS[name], self.fake)
            self._stack.callback(transport.close)
        options = self.row.options(self.wire.model) if self.row.options else {}
        return self._stack.enter_context(running(choice, transport, **options)).url

    def run(self) -> None:
        """Run the row, and hold what was lost against what it says is lost."""
        self.row.run(self)
        assert self.fake.refused == []
        for seen in self.fake.seen:
            given = {seen.headers.get("x-api-key"), seen.headers.get("authorization")}
            assert CLIENT_KEY not in str(given), "the client's own key went on"
        expected = tuple(less.loss for less in self.row.lost(self.column, self.way) if less.loss)
        for loss in expected:
            assert any(said.startswith(loss) for said in self._lost), (loss, self._lost)
        # What the provider requires and nobody said changes nothing that was asked.
        surplus = [s for s in self._lost if not s.startswith(expected) and "defaulted" not in s]
        assert not surplus, f"lost, and the row does not say so: {surplus}"

    def play(self, *scenarios: Scenario) -> None:
        self.fake.play(*scenarios)

    # Asking

    def ask(self, ask: Ask | None = None, **more: Any) -> Answer:
        try:
            return self.sdk.ask(self.way, ask or Ask(**more), self.wire.model)
        finally:
            self._check()

    def fails(self, ask: Ask | None = None, **more: Any) -> Failure:
        with pytest.raises(self.sdk.error) as caught:
            self.ask(ask, **more)
        return self.sdk.failure(caught.value)

    def refused(self, ask: Ask | None = None, **more: Any) -> Failure:
        """Expect the provider's own refusal, which the row is about."""
        found = self.fails(ask, **more)
        assert len(self.fake.refused) == 1
        self.fake.refused.clear()
        return found

    def breaks(self, ask: Ask | None = None, **more: Any) -> tuple[str, Failure]:
        """Stream until the SDK raises; return the text until then, and the error."""
        pieces: list[str] = []
        try:
            with pytest.raises(self.sdk.error) as caught:
                self.sdk.watch(self.way, ask or Ask(**more), self.wire.model, pieces)
        finally:
            self._check()
        return "".join(pieces), self.sdk.failure(caught.value)

    def _check(self) -> None:
        """Validate what came since the last time."""
        sent = self._sent_keys()
        for came in self._tap.came[self._checked :]:
            self.sdk.validate(came, sent, full=self.column.is_foreign or not self.row.gateway)
            assert came.headers["request-id"] == came.headers["x-request-id"]
            if came.is_stream:
                wrong = breach(self.sdk.dialect, [SSEEvent(*frame) for frame in came.frames])
                assert wrong is None, f"{wrong} in {came.raw.decode()}"
            self._lost += came.losses
        self._checked = len(self._tap.came)

    def _sent_keys(self) -> set[str]:
        """Return the keys that the provider sent, where it speaks the client's dialect."""
        if self.column.is_foreign:
            return set()
        return set(_keys(self.fake.sent))

    @property
    def last(self) -> Came:
        """The last answer as it came."""
        found: Came = self._tap.came[-1]
        return found

    # What reached the provider

    @property
    def bodies(self) -> list[Any]:
        """What the fake was sent, after making sure that it refused nothing."""
        assert self.fake.refused == []
        return [seen.body for seen in self.fake.asked]

    @property
    def heard(self) -> Heard:
        """The last request, as the provider understands it."""
        return self.wire.hear(self.bodies[-1])


def _keys(values: list[Any]) -> Any:
    for value in values:
        if isinstance(value, dict):
            yield from value
            yield from _keys(list(value.values()))
        elif isinstance(value, list):
            yield from _keys(value)


_look = raw.look


def look(body: bytes, dialect: str, backend: Any, *more: Any) -> Any:
    """Leave bodies to the codec where the key says so, as happens to those that do not fit."""
    found = _look(body, dialect, backend, *more)
    if isinstance(found, raw.Passing) and backend.secret.reveal() == CODEC_KEY:
        return raw.Left(raw.Reason.ODD_STREAM, json.loads(body))
    return found
