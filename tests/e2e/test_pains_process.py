"""What users of such proxies complain about in the program itself, each complaint under its number."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lmtools
from lmtools.flags.provider import ProviderChoice
from lmtools.lmc.__main__ import main as lmc
from lmtools.transport import HttpRequest, HttpTransport, Proxies
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.pairs import ASK, PATHS
from tests.fakes.proxy import before, key_source, running
from tests.fakes.server import FakeServer, Reply, Seen, json_reply
from tests.fakes.soak import BOUND, WARM_UP, own_objects, soaking

PACKAGE = Path(lmtools.__file__).parent
WAIT_S = 30.0

# P13


@pytest.mark.parametrize(
    ("api", "provider", "model"),
    [(FakeAnthropic, "anthropic", "claude-haiku-4-5"), (FakeOpenAI, "openai", "gpt-4.1")],
    ids=["anthropic", "openai"],
)
def test_p13_a_proxy_holds_no_more_after_many_exchanges_than_after_some(
    api: type[FakeAPI], provider: str, model: str
) -> None:
    """Objects, files, threads and bytes, however exchanges end; nor what waits for the collector.

    What is remembered within a bound is full before the first look.
    """
    with api() as fake, soaking(fake, provider, model) as soak:
        soak.round(WARM_UP)
        some = soak.held()
        first = soak.statuses.total()
        soak.round(3 * BOUND)
        exchanges = soak.statuses.total() - first
        many = soak.held()

    assert set(soak.statuses) >= {200, 400, 404, 429, 502}
    # A memory that is emptied when it is full holds two things of a kind for each name.
    assert {k: n for k, n in many.more_than(some).items() if n > 2 * BOUND} == {}
    # Of each exchange that keeps its body, 1500 bytes; what fills and empties swings by 5000.
    assert many.bytes - some.bytes < 20 * exchanges


def test_p13_names_that_clients_choose_are_not_kept_for_ever() -> None:
    """Each may be a new one."""
    backend = ProviderChoice("anthropic", key=key_source()).open()
    for number in range(5_000):
        backend.target(f"claude-{number}")

    assert own_objects()["lmtools.codecs.base.Target"] < 2_500


def test_p13_no_cache_is_without_a_bound() -> None:
    """A cache that takes its keys from clients grows with them."""
    unbounded = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                unbounded += [
                    f"{path.relative_to(PACKAGE)}: {node.name}"
                    for decorator in node.decorator_list
                    if is_unbounded(decorator) and node.args.args
                ]

    # Its keys are the names of dialects.
    assert unbounded == ["codecs/__init__.py: codec_named"]


def is_unbounded(decorator: ast.expr) -> bool:
    said = ast.unparse(decorator)
    return said.endswith("cache") or "maxsize=None" in said or "lru_cache(None" in said


# P30

#: A proxy in a process of its own that says where it would reach out, until its first request.
WATCHED = """
import sys
reached = []
def hook(event, arguments):
    if event == "socket.getaddrinfo" and arguments[0] == "127.0.0.1":
        return  # The address to listen on; a number needs no look-up.
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request", "subprocess.Popen", "os.system"):
        reached.append(f"{event} {arguments[1:] if event.startswith('socket.connect') else arguments}")
sys.addaudithook(hook)
from lmtools.apiproxy import Options, Server
from lmtools.apiproxy.options import parse
server = Server(parse(sys.argv[1:], {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k", "ARGO_USER": "u"}))
server.start()
print(server.url, flush=True)
print(len(reached), *reached, sep="\\n", flush=True)
sys.stdin.readline()
print(len(reached), *reached, sep="\\n", flush=True)
server.close(0.0)
"""


@contextmanager
def watched(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a proxy under an audit hook; give it and its address."""
    program = subprocess.Popen(
        [sys.executable, "-c", WATCHED, *words, "-port", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PACKAGE.parent,
    )
    assert program.stdout is not None
    assert program.stdin is not None
    with program:
        try:
            yield program, program.stdout.readline().strip()
        finally:
            program.kill()


def reached(program: subprocess.Popen[str]) -> list[str]:
    assert program.stdout is not None
    return [program.stdout.readline().strip() for _ in range(int(program.stdout.readline()))]


@pytest.mark.parametrize("provider", ["anthropic", "openai", "argo", "loopback"])
def test_p30_nothing_is_asked_of_any_network_before_the_first_request(provider: str) -> None:
    """No list of prices, no tokenizer, no newer version: a start needs no route to anywhere."""
    more = ["-argo-user", "u"] if provider == "argo" else []
    with watched("-provider", provider, *more) as (program, url):
        assert url.startswith("http://127.0.0.1:")
        assert reached(program) == []
        for path in ("/", "/healthz", "/readyz"):
            assert ask(url, path)
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
        assert reached(program) == []


def ask(url: str, path: str) -> bytes:
    with HttpTransport(proxies=Proxies()) as transport:
        return transport.send(HttpRequest("GET", url + path)).read()


def test_p30_counting_tokens_needs_no_network_either(tmp_path: Path) -> None:
    """The built-in provider answers all that is asked of it in the process."""
    with watched("-provider", "loopback") as (program, url):
        assert reached(program) == []
        body = json.dumps({"model": "echo", "max_tokens": 9, "messages": ASK}).encode()
        kind = (("content-type", "application/json"),)
        with HttpTransport(proxies=Proxies()) as transport:
            for path in (*PATHS.values(), "/v1/messages/count_tokens"):
                said = HttpRequest("POST", url + path, kind, body)
                assert transport.send(said).status == 200
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
        assert reached(program) == []


# P31


@pytest.fixture
def walled(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    """An environment that sends everything to a proxy that refuses everything."""
    with FakeServer(lambda _: Reply(503, [], b"Connection closed")) as wall:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, wall.url)
            monkeypatch.setenv(name.upper(), wall.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield wall


@pytest.mark.parametrize("stream", [False, True])
def test_p31_an_upstream_on_this_machine_is_not_asked_through_a_proxy(
    walled: FakeServer, stream: bool
) -> None:
    with FakeOpenAI() as fake, before(fake) as proxy:
        body = {"model": "gpt-4.1", "max_tokens": 9, "messages": ASK, "stream": stream}
        statuses = [proxy.post(path, body).status for path in PATHS.values()]

    assert statuses == [200, 200]
    assert walled.seen == []


def test_p31_nor_is_localhost(walled: FakeServer) -> None:
    def answer(seen: Seen) -> Reply:
        return json_reply(200, {"object": "list", "data": []})

    with FakeServer(answer) as server:
        url = f"http://localhost:{server.port}/v1"
        with running(ProviderChoice("openai", url=url, key=key_source())) as proxy:
            assert proxy.ask("GET", "/v1/models").status == 200

    assert walled.seen == []


@pytest.mark.parametrize(
    ("environ", "hinted"),
    [
        ({}, False),
        ({"HTTP_PROXY": "http://proxy.example:3128"}, True),
        ({"https_proxy": "http://proxy.example:3128"}, False),
        ({"all_proxy": "http://proxy.example:3128"}, True),
        ({"HTTP_PROXY": "http://proxy.example:3128", "NO_PROXY": "localhost,127.0.0.1"}, False),
        ({"HTTP_PROXY": "http://proxy.example:3128", "no_proxy": "*"}, False),
    ],
)
def test_p31_clients_are_told_how_to_find_us(environ: dict[str, str], hinted: bool) -> None:
    """Theirs is the other half: most ask a proxy for 127.0.0.1 too."""
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    kept = {k: v for k, v in os.environ.items() if k.lower() not in names}
    with subprocess.Popen(
        [sys.executable, "-m", "lmtools.apiproxy", "-provider", "loopback", "-port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        cwd=PACKAGE.parent,
        env={**kept, **environ},
    ) as program:
        assert program.stderr is not None
        said = [program.stderr.readline() for _ in range(3)]
        program.terminate()
        said += program.stderr.readlines()

    assert said[0].startswith("apiproxy: serving loopback on http://127.0.0.1:")
    assert any("NO_PROXY=127.0.0.1" in line for line in said) is hinted


def test_p31_the_clients_program_goes_straight_too(
    walled: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    with FakeOpenAI() as fake:
        code = lmc(["-provider", "openai", "-provider-url", fake.url, "-list-models"])

    assert code == 0
    assert "gpt-4.1" in capsys.readouterr().out
    assert walled.seen == []
