"""A running proxy between a real SDK and a strict fake, in each pair of dialects.

The SDKs check every answer and event against their own models (``_strict_response_validation``),
which they do not do by default: a field that is missing or of the wrong type raises.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lmtools.apiproxy import Options, Server
from lmtools.apiproxy.log import Log
from lmtools.flags.provider import ProviderChoice
from lmtools.keys import KeySource
from lmtools.secret import Secret
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI

try:
    from tests.interop.sdk import AnthropicSDK, OpenAISDK
except ModuleNotFoundError:
    # A conftest cannot skip; each test module does, and names what to run.
    AnthropicSDK = OpenAISDK = None  # type: ignore[assignment,misc]

WIRES = ("anthropic", "openai_chat")
CLIENTS = ("anthropic", "openai")
#: What each wire's fake serves.
MODELS = {"anthropic": "claude-haiku-4-5", "openai_chat": "gpt-4.1"}


#: Whose failing asserts show their values, as those of test modules do.
ASSERTING = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in ("conftest", "matrix", "sdk")
)


def pytest_configure(config: pytest.Config) -> None:
    pytest.register_assert_rewrite(*(f"tests.interop.{name}" for name in ASSERTING))
    config.addinivalue_line("markers", "interop: runs the makers' own SDKs against the proxy")


class Bench:
    """Starts fakes and proxies, and ends them with the test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.log = io.StringIO()

    def fake(self, wire: str, *, compatible: bool = False) -> FakeAPI:
        fake = FakeAnthropic() if wire == "anthropic" else FakeOpenAI(compatible=compatible)
        return self._stack.enter_context(fake)

    def proxy(self, provider: ProviderChoice, **options: Any) -> Server:
        log = Log("debug", "text", self.log)
        chosen = Options(provider=provider, port=0, retries=0, **options)
        return self._stack.enter_context(Server(chosen, log=log))

    def before(self, fake: FakeAPI, **options: Any) -> Server:
        """Return a proxy whose provider is a fake."""
        name = "anthropic" if isinstance(fake, FakeAnthropic) else "openai"
        key = KeySource("the test", secret=Secret("sk-upstream-key-0001"))
        return self.proxy(ProviderChoice(name, url=fake.url, key=key), **options)

    def sdk(self, client: str, url: str) -> Any:
        return self._stack.enter_context(
            AnthropicSDK(url) if client == "anthropic" else OpenAISDK(url)
        )


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


class Cell:
    """One client dialect over one wire."""

    def __init__(self, bench: Bench, client: str, wire: str) -> None:
        self.client, self.wire = client, wire
        self.model = MODELS[wire]
        self.fake = bench.fake(wire)
        self.server = bench.before(self.fake)
        self.sdk: Any = bench.sdk(client, self.server.url)


@pytest.fixture(
    params=[(c, w) for c in CLIENTS for w in WIRES], ids=lambda p: f"{p[0]}-over-{p[1]}"
)
def cell(request: pytest.FixtureRequest, bench: Bench) -> Cell:
    return Cell(bench, *request.param)


@pytest.fixture(params=["whole", "stream", "async-whole", "async-stream"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)
