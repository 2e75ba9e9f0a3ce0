"""What Claude Code's makers ask of a gateway, statement by statement, of the running proxy.

Each test's docstring begins with the place of its statement on the page that publishes the contract:
https://code.claude.com/docs/en/llm-gateway-protocol (read as of version 2.1.280). What the page calls
*forward unchanged* is held against an upstream that speaks the Messages API; what a gateway *may
consume*, and what it has to bridge, against one that speaks Chat.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lmtools.apiproxy import exchange
from lmtools.apiproxy.options import ModelRule
from lmtools.flags.provider import ProviderChoice
from tests import corpus
from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.base import FakeAPI
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.proxy import CLIENT_KEY, Answered, Proxy, before, events, key_source, running
from tests.fakes.scenario import BEFORE, Failure, Scenario, refusing
from tests.fakes.server import FakeServer, Gate, Reply

PAGE = "https://code.claude.com/docs/en/llm-gateway-protocol"
ANCHORS = {
    "#api-formats",
    "#foundry-and-claude-platform-on-aws",
    "#optional-endpoints-and-startup-traffic",
    "#streaming",
    "#format-mismatch-with-the-upstream",
    "#request-headers",
    "#gateway-hint-headers",
    "#forward-as-open-lists",
    "#response-headers",
    "#system-prompt-attribution-block",
    "#feature-pass-through",
    "#automatic-retry-and-error-forwarding",
    "#request-and-response",
}
PATH = "/v1/messages?beta=true"
JSON = ("Content-Type", "application/json")
WAIT_S = 15.0
MAPPED = {"model_map": (ModelRule(re.compile(""), "gpt-4.1"),)}
VERSION = {"anthropic-version": "2023-06-01"}
FLAGS = (
    "claude-code-20250219,context-1m-2025-08-07,interleaved-thinking-2025-05-14,"
    "context-management-2025-06-27,prompt-caching-scope-2026-01-05,"
    "mid-conversation-system-2026-04-07,advanced-tool-use-2025-11-20,effort-2025-11-24,"
    "structured-outputs-2025-12-15,extended-cache-ttl-2025-04-11"
)
HEADERS = {**VERSION, "anthropic-beta": FLAGS}
BILLING = "x-anthropic-billing-header: cc_version=2.1.197.78a; cc_entrypoint=cli;"
streamed = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


def body_of(**more: Any) -> dict[str, Any]:
    return {
        "model": "claude-opus-4-8",
        "max_tokens": 64_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}],
        **more,
    }


def spelled(body: dict[str, Any]) -> bytes:
    """Return a body in a spelling that nobody here writes, so that unchanged bytes show."""
    return json.dumps(body, ensure_ascii=False, separators=(" , ", " : ")).encode()


@contextmanager
def answering(reply: Reply, **options: Any) -> Iterator[tuple[FakeServer, Proxy]]:
    """Run a proxy before a server of the Messages API that answers these bytes."""
    with FakeServer(lambda _: reply) as server:
        choice = ProviderChoice("anthropic", url=server.url + "/v1", key=key_source())
        with running(choice, **options) as proxy:
            yield server, proxy


def over_messages(body: dict[str, Any], headers: dict[str, str] = HEADERS) -> FakeAnthropic:
    """Send a body to a strict upstream of its own dialect; return it after both have accepted."""
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        answered = proxy.post(PATH, spelled(body), headers)
        assert (answered.status, fake.refused) == (200, [])
    return fake


def over_chat(
    body: dict[str, Any], headers: dict[str, str] = HEADERS
) -> tuple[Answered, dict[str, Any]]:
    """Send a body to a strict upstream that speaks Chat; return the answer and what was sent."""
    with FakeOpenAI() as fake, before(fake, vendor=True, **MAPPED) as proxy:
        answered = proxy.post(PATH, body, headers)
        assert (answered.status, fake.refused) == (200, [])
    sent: dict[str, Any] = fake.asked[0].body
    return answered, sent


@pytest.fixture
def loopback() -> Iterator[Proxy]:
    with running(ProviderChoice("loopback")) as proxy:
        yield proxy


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(CLIENT_KEY + "\n")
    path.chmod(0o600)
    return str(path)


def test_each_test_here_names_its_statement() -> None:
    tree = ast.parse(Path(__file__).read_text())
    tests = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    places = {(ast.get_docstring(node) or "").partition(":")[0] for node in tests[1:]}

    assert places == ANCHORS


# Endpoints


def test_the_endpoints_of_the_messages_format_are_served(loopback: Proxy) -> None:
    """#api-formats: /v1/messages, and /v1/messages/count_tokens."""
    counted = body_of()
    del counted["max_tokens"]

    assert loopback.post("/v1/messages", body_of()).body["type"] == "message"
    assert loopback.post("/v1/messages/count_tokens", counted).body["input_tokens"] > 0


@pytest.mark.parametrize("path", [PATH, "/v1/messages/count_tokens?beta=true"])
def test_version_and_betas_go_on_as_they_are(path: str) -> None:
    """#api-formats: both headers of both endpoints are forwarded unchanged."""
    odd = FLAGS.replace(",", ", ") + ",not-yet-known-2031-01-01"
    body = body_of()
    if "count" in path:
        del body["max_tokens"]
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        assert proxy.post(path, body, {**VERSION, "anthropic-beta": odd}).status == 200

    sent = fake.seen[-1].headers
    assert (sent["anthropic-beta"], sent["anthropic-version"]) == (odd, "2023-06-01")


def test_a_workspace_goes_on() -> None:
    """#foundry-and-claude-platform-on-aws: that platform requires anthropic-workspace-id."""
    fake = over_messages(body_of(), {**HEADERS, "anthropic-workspace-id": "wrkspc_01"})

    assert fake.asked[0].headers["anthropic-workspace-id"] == "wrkspc_01"


def test_the_query_does_not_decide_the_route(loopback: Proxy) -> None:
    """#optional-endpoints-and-startup-traffic: requests go to /v1/messages?beta=true."""
    assert loopback.post("/v1/messages?beta=true", body_of()).status == 200
    assert loopback.post("/v1/messages?beta=true&x=%2F", body_of()).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/", 200),
        ("HEAD", "/api/hello", 404),
        ("GET", "/inference-profiles?type=SYSTEM_DEFINED", 404),
    ],
)
def test_traffic_at_the_start_is_answered_without_a_key(
    keys: str, method: str, path: str, status: int
) -> None:
    """#optional-endpoints-and-startup-traffic: probes may be rejected, and never hang."""
    with running(ProviderChoice("loopback"), client_key_file=keys) as proxy:
        answered = proxy.ask(method, path)

    assert answered.status == status
    assert method == "GET" or answered.raw == b""


def test_without_the_providers_count_there_is_an_estimate() -> None:
    """#optional-endpoints-and-startup-traffic: counting is optional; here it always has an answer."""
    body = body_of(tools=[{"name": "ls", "input_schema": {"type": "object"}}])
    del body["max_tokens"]
    with FakeOpenAI() as fake, before(fake, vendor=True, **MAPPED) as proxy:
        answered = proxy.post("/v1/messages/count_tokens?beta=true", body, HEADERS)

    assert (answered.status, fake.asked) == (200, [])
    assert answered.body["input_tokens"] > 0


# Streaming


@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
def test_events_reach_the_client_while_the_answer_is_under_way(
    wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """#streaming: whoever buffers a whole answer stalls the client."""
    # A ping would bring what is held.
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 3600.0)
    gate = Gate()
    fake: FakeAPI = FakeAnthropic() if wire == "anthropic" else FakeOpenAI()
    fake.play(Scenario(gates={4: gate}))
    with (
        fake,
        before(fake, vendor=True, **(MAPPED if wire == "openai_chat" else {})) as proxy,
        proxy.raw(request_bytes(body_of(stream=True))) as connection,
    ):
        seen = b""
        while b"Hello" not in seen:
            seen += connection.recv(65536)
        assert b"message_stop" not in seen
        gate.open()
        while b"message_stop" not in seen:
            seen += connection.recv(65536)
    gate.close()

    assert b"Content-Type: text/event-stream" in seen


def request_bytes(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def test_the_upstreams_pings_and_comments_go_on() -> None:
    """#streaming: every byte counts as life, so pings are neither stripped nor held back."""
    stream = (
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","type":"message","role":"assistant","content":[],'
        b'"model":"claude-opus-4-8","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        b'event: ping\ndata: {"type": "ping"}\n\n: still here\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        b'event: ping\ndata: {"type": "ping"}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\n\n'
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":2}}\n\n'
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )
    with answering(Reply(200, [("Content-Type", "text/event-stream")], [stream], 7)) as (_, proxy):
        assert proxy.post(PATH, body_of(stream=True), HEADERS).raw == stream


@pytest.mark.parametrize("at", [BEFORE, 4], ids=["before", "midway"])
def test_a_silent_upstream_of_another_dialect_is_pinged_for(
    at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """#streaming: where an upstream sends no pings, the gateway sends its own in the gaps."""
    monkeypatch.setattr(exchange, "PING_INTERVAL_S", 0.02)
    gate = Gate()
    with FakeOpenAI() as fake, before(fake, vendor=True, **MAPPED) as proxy:
        fake.play(Scenario(gates={at: gate}))
        with proxy.raw(request_bytes(body_of(stream=True))) as connection:
            seen = b""
            while seen.count(b"event: ping") < 2:
                seen += connection.recv(65536)
            gate.open()
            while b"message_stop" not in seen:
                seen += connection.recv(65536)
    gate.close()

    assert (b"Hello" in seen.partition(b"event: ping")[0]) is (at == 4)


@streamed
@pytest.mark.parametrize(
    "path", corpus.recorded_files("claude-code-*-first.json"), ids=lambda p: p.stem
)
def test_the_full_set_of_capabilities_is_bridged(path: Path, stream: bool) -> None:
    """#format-mismatch-with-the-upstream: the client sends all it has; the gateway bridges."""
    record = json.loads(path.read_text())
    headers = {k: v for k, v in record["headers"].items() if k.startswith("anthropic-")}
    answered, _ = over_chat({**record["body"], "stream": stream}, headers)

    if stream:
        assert events(answered.raw)[-1][0] == "message_stop"
    else:
        assert answered.body["type"] == "message"


# Request headers


@pytest.mark.parametrize(
    "names",
    [["Authorization"], ["X-Api-Key"], ["authorization", "x-api-key"], ["AUTHORIZATION"]],
    ids="+".join,
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_credential_comes_in_one_header_or_both(
    keys: str, names: list[str], method: str
) -> None:
    """#request-headers: Authorization, x-api-key, or both, in any case."""
    shown = {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY}
    headers = {name: shown[name.lower()] for name in names}
    with FakeAnthropic() as fake, before(fake, vendor=True, client_key_file=keys) as proxy:
        path = PATH if method == "POST" else "/v1/models?limit=1000"
        answered = proxy.ask(method, path, body_of() if method == "POST" else None, headers)

    assert answered.status == 200
    assert CLIENT_KEY not in str([dict(seen.headers) for seen in fake.seen])


@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
def test_who_asks_is_nobodys_business_upstream(wire: str) -> None:
    """#gateway-hint-headers: hints and the developers' own headers are taken, and stay here."""
    hints = {
        "x-claude-code-session-id": "00000000-0000-4000-8000-000000000000",
        "x-claude-code-agent-id": "a1",
        "x-claude-code-parent-agent-id": "a0",
        "x-claude-code-request-class": "main",
        "x-claude-code-prev-tool-durations": "Bash=742;mcp%3B=9",
        "x-team": "compilers",
    }
    fake: FakeAPI = FakeAnthropic() if wire == "anthropic" else FakeOpenAI()
    with fake, before(fake, vendor=True, **(MAPPED if wire == "openai_chat" else {})) as proxy:
        assert proxy.post(PATH, body_of(), {**HEADERS, **hints}).status == 200

    assert not hints.keys() & fake.asked[0].headers.keys()


@streamed
def test_what_a_later_release_adds_goes_on(stream: bool) -> None:
    """#forward-as-open-lists: new betas, new anthropic-* headers and new fields, unseen before."""
    body = spelled(body_of(stream=stream, not_yet_known={"a": [1.0]}))
    headers = {**VERSION, "anthropic-beta": "not-yet-known-2031-01-01", "Anthropic-Not-Yet": "on"}
    with answering(Reply(400, [JSON], b"{}")) as (server, proxy):
        proxy.post(PATH, body, headers)

    assert server.seen[0].raw == body
    assert server.seen[0].headers["anthropic-beta"] == headers["anthropic-beta"]
    assert server.seen[0].headers["anthropic-not-yet"] == "on"


@streamed
def test_they_go_on_through_the_codec_as_well(stream: bool) -> None:
    """#forward-as-open-lists: a body that cannot be passed as bytes keeps its fields and headers."""
    body = body_of(stream=stream, not_yet_known={"a": [1.0]})
    # A key that stands twice leaves a body to the codec.
    twice = b'{"max_tokens": 1, ' + spelled(body)[1:]
    headers = {**VERSION, "anthropic-beta": "not-yet-known-2031-01-01", "anthropic-not-yet": "on"}
    with answering(Reply(400, [JSON], b"{}")) as (server, proxy):
        proxy.post(PATH, twice, headers)

    assert server.seen[0].raw != twice
    assert server.seen[0].body == body
    assert headers.items() <= dict(server.seen[0].headers).items()


def test_new_headers_of_a_count_go_on_too() -> None:
    """#forward-as-open-lists: of every request to an upstream of that format."""
    body = body_of()
    del body["max_tokens"]
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        headers = {**HEADERS, "anthropic-not-yet": "on"}
        assert proxy.post("/v1/messages/count_tokens", body, headers).status == 200

    assert fake.seen[0].headers["anthropic-not-yet"] == "on"


# Response headers


@pytest.mark.parametrize("wire", ["anthropic", "openai_chat"])
def test_streams_are_event_streams(wire: str) -> None:
    """#response-headers: content-type."""
    fake: FakeAPI = FakeAnthropic() if wire == "anthropic" else FakeOpenAI()
    with fake, before(fake, vendor=True, **(MAPPED if wire == "openai_chat" else {})) as proxy:
        answered = proxy.post(PATH, body_of(stream=True), HEADERS)

    assert answered.headers["content-type"].partition(";")[0] == "text/event-stream"


TOO_FAST = b'{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}'


@streamed
@pytest.mark.parametrize(
    ("given", "seen"),
    [("7", "7"), ("7.2", "8"), ("Sat, 01 Nov 2025 12:00:30 GMT", "30")],
)
def test_the_wait_is_in_whole_seconds(given: str, seen: str, stream: bool) -> None:
    """#response-headers: retry-after as seconds, not as a date."""
    headers = [JSON, ("Date", "Sat, 01 Nov 2025 12:00:00 GMT"), ("Retry-After", given)]
    with answering(Reply(429, headers, TOO_FAST)) as (_, proxy):
        answered = proxy.post(PATH, body_of(stream=stream), HEADERS)

    assert (answered.status, answered.raw) == (429, TOO_FAST)
    assert answered.headers["retry-after"] == seen


@streamed
@pytest.mark.parametrize("told", ["true", "false"])
def test_the_upstreams_word_on_trying_again_goes_on(told: str, stream: bool) -> None:
    """#response-headers: x-should-retry."""
    with answering(Reply(529, [JSON, ("x-should-retry", told)], TOO_FAST)) as (_, proxy):
        answered = proxy.post(PATH, body_of(stream=stream), HEADERS)

    assert answered.headers["x-should-retry"] == told


@pytest.mark.parametrize("status", [200, 429])
def test_the_limits_of_a_plan_go_on(status: int) -> None:
    """#response-headers: anthropic-ratelimit-unified-* of every answer."""
    limits = {
        "anthropic-ratelimit-unified-status": "allowed",
        "anthropic-ratelimit-unified-reset": "1767225600",
    }
    message = b'{"id":"m","type":"message","role":"assistant","content":[],"model":"claude-opus-4-8","stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}'
    reply = Reply(status, [JSON, *limits.items()], message if status == 200 else TOO_FAST)
    with answering(reply) as (_, proxy):
        answered = proxy.post(PATH, body_of(), HEADERS)

    assert answered.status == status
    assert {name: answered.headers[name] for name in limits} == limits


# The attribution block

SYSTEM = [
    {"type": "text", "text": BILLING},
    {"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}},
]


@pytest.mark.parametrize("options", [{}, {"model_map": (ModelRule(re.compile(""), "claude-x"),)}])
def test_the_system_array_stays_as_it_is(options: dict[str, Any]) -> None:
    """#system-prompt-attribution-block: first, apart, and in its own words; no other way is it
    taken out upstream."""
    body = spelled(body_of(system=SYSTEM))
    with answering(Reply(400, [JSON], b"{}"), **options) as (server, proxy):
        proxy.post(PATH, body, HEADERS)

    assert server.seen[0].raw == body.replace(
        b"claude-opus-4-8", b"claude-x" if options else b"claude-opus-4-8"
    )


def test_another_upstream_does_not_see_the_block() -> None:
    """#system-prompt-attribution-block: elsewhere it would be part of the prompt, and change it."""
    said = []
    for mark in ("78a", "c0f"):
        system = [{**SYSTEM[0], "text": BILLING.replace("78a", mark)}, SYSTEM[1]]
        answered, sent = over_chat(body_of(system=system))
        said.append(sent)
        assert "messages[0].parts[0];dropped" in answered.headers["x-lmtools-loss"]

    assert said[0] == said[1]
    assert "billing" not in json.dumps(said[0])
    assert "You help." in json.dumps(said[0])


# Features

TOOL = {"name": "ls", "description": "List.", "input_schema": {"type": "object"}}
HOUR = {"type": "ephemeral", "ttl": "1h"}
#: feature: the fields of a body, the beta that goes with them, and where Chat loses them.
FEATURES: dict[str, tuple[dict[str, Any], str, str]] = {
    "adaptive reasoning": ({"thinking": {"type": "adaptive"}}, "", ""),
    "context management": (
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        "context-management-2025-06-27",
        "context_management",
    ),
    "extended context": ({}, "context-1m-2025-08-07", "headers.anthropic-beta"),
    "interleaved thinking": ({}, "interleaved-thinking-2025-05-14", "headers.anthropic-beta"),
    "strict tools": ({"tools": [{**TOOL, "strict": True}]}, "structured-outputs-2025-12-15", ""),
    "deferred tools": (
        {"tools": [{**TOOL, "defer_loading": True}]},
        "advanced-tool-use-2025-11-20",
        "defer_loading",
    ),
    "effort": ({"output_config": {"effort": "high"}}, "effort-2025-11-24", ""),
    "structured outputs": (
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {
                        "type": "object",
                        "properties": {"title": {"type": "string"}},
                        "required": ["title"],
                        "additionalProperties": False,
                    },
                }
            }
        },
        "structured-outputs-2025-12-15",
        "",
    ),
    "prompt caching": (
        {
            "system": [{"type": "text", "text": "s", "cache_control": HOUR}],
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a", "cache_control": HOUR}],
                },
                {
                    "role": "system",
                    "content": [
                        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}
                    ],
                },
            ],
        },
        "mid-conversation-system-2026-04-07,extended-cache-ttl-2025-04-11",
        "parts[0].cache",
    ),
}  # fmt: skip
feature = pytest.mark.parametrize("name", sorted(FEATURES))


@feature
def test_a_feature_goes_on_with_its_header(name: str) -> None:
    """#feature-pass-through: the pair travels together, field and beta as they are."""
    more, beta, _ = FEATURES[name]
    headers = {**VERSION, **({"anthropic-beta": beta} if beta else {})}
    fake = over_messages(body_of(**more), headers)

    assert fake.asked[0].raw == spelled(body_of(**more))
    assert fake.asked[0].headers.get("anthropic-beta", "") == beta


@streamed
@feature
def test_a_feature_is_bridged_or_named_as_lost(name: str, stream: bool) -> None:
    """#feature-pass-through: where both halves are absent together, it turns off quietly."""
    more, beta, lost = FEATURES[name]
    headers = {**VERSION, **({"anthropic-beta": beta} if beta else {})}
    answered, sent = over_chat(body_of(**more, stream=stream), headers)

    assert lost in answered.headers.get("x-lmtools-loss", "")
    assert not {"context_management", "output_config", "thinking", "cache_control"} & sent.keys()
    assert "anthropic" not in json.dumps(sent)


@feature
def test_a_feature_is_taken_by_the_built_in_model(name: str, loopback: Proxy) -> None:
    """#feature-pass-through: a gateway without any upstream refuses none of them either."""
    more, beta, _ = FEATURES[name]
    assert loopback.post(PATH, body_of(**more), {**VERSION, "anthropic-beta": beta}).status == 200


def test_a_field_without_its_beta_is_the_upstreams_to_refuse() -> None:
    """#feature-pass-through: half a pair is a 400, and nobody here makes it up."""
    body = body_of(context_management={"edits": []})
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        answered = proxy.post(PATH, body, VERSION)

    assert (answered.status, len(fake.asked)) == (400, 1)
    assert "Extra inputs are not permitted" in answered.error["message"]


def test_an_exact_count_is_the_upstreams() -> None:
    """#feature-pass-through: with the endpoint exposed, the number is the provider's own."""
    body = body_of()
    del body["max_tokens"]
    with FakeAnthropic() as fake, before(fake, vendor=True) as proxy:
        assert proxy.post("/v1/messages/count_tokens", body, HEADERS).body == {"input_tokens": 576}


# Errors

WORDINGS = [
    (400, "thinking: Input tag 'adaptive' found using 'type' does not match any of the expected tags"),
    (400, "messages.1.content.0: Invalid `signature` in `thinking` block"),
    (400, "messages.1.content.0: the block is bound to a different conversation"),
    (400, 'messages.2.role: role "system" is not supported in the middle of a conversation'),
    (400, "messages.1.content.0.cache_control: Extra inputs are not permitted"),
    (400, "context_management: Extra inputs are not permitted"),
    (400, "prompt is too long: 215000 tokens > 200000 maximum"),
    (400, "input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000"),
    (422, "tools.3: Input tag 'advisor_20260301' found using 'type' does not match"),
    (413, "Request exceeds the maximum size"),
    (401, "OAuth token has expired"),
    (529, "Overloaded"),
]  # fmt: skip
KINDS = {401: "authentication_error", 413: "request_too_large", 529: "overloaded_error"}


@streamed
@pytest.mark.parametrize("mapped", [False, True], ids=["as named", "mapped"])
@pytest.mark.parametrize(("status", "wording"), WORDINGS, ids=lambda v: str(v)[:24])
def test_an_error_goes_on_unmodified(status: int, wording: str, mapped: bool, stream: bool) -> None:
    """#automatic-retry-and-error-forwarding: recovery matches on the upstream's own wording.

    That holds for what is still refused after a remedy, too.
    """
    error = {"type": KINDS.get(status, "invalid_request_error"), "message": wording}
    said = json.dumps({"type": "error", "request_id": "req_1", "error": error}).encode()
    options = {"model_map": (ModelRule(re.compile(""), "claude-x"),)} if mapped else {}
    with answering(Reply(status, [JSON], said), **options) as (_, proxy):
        answered = proxy.post(PATH, body_of(stream=stream), HEADERS)

    assert (answered.status, answered.raw) == (status, said)


@streamed
@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9001 tokens.",
        "Your input exceeds the context window of this model.",
    ],
)
def test_another_upstreams_limit_is_said_in_words_that_recovery_knows(
    message: str, stream: bool
) -> None:
    """#automatic-retry-and-error-forwarding: in an envelope, the words alone bring compaction."""
    with FakeOpenAI() as fake, before(fake, vendor=True, **MAPPED) as proxy:
        fake.play(refusing(400, message=message))
        fake.error_body = lambda _: {  # type: ignore[method-assign]
            "error": {
                "message": message,
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        }
        answered = proxy.post(PATH, body_of(stream=stream), HEADERS)

    assert (answered.status, answered.error["type"]) == (400, "invalid_request_error")
    assert answered.error["message"] == f"prompt is too long: {message}"


@streamed
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_another_upstreams_error_keeps_its_status_and_words(status: int, stream: bool) -> None:
    """#automatic-retry-and-error-forwarding: the status is kept, the envelope is the client's."""
    with FakeOpenAI() as fake, before(fake, vendor=True, **MAPPED) as proxy:
        fake.play(Scenario(failure=Failure(status, "these very words", "3")))
        answered = proxy.post(PATH, body_of(stream=stream), HEADERS)

    assert (answered.status, answered.dialect) == (status, "anthropic")
    assert "these very words" in answered.error["message"]
    assert answered.headers["retry-after"] == "3"


# Model discovery


@pytest.mark.parametrize("name", ["authorization", "x-api-key"])
def test_discovery_finds_the_models_at_once(keys: str, name: str) -> None:
    """#request-and-response: GET /v1/models?limit=1000, either key header, no redirect."""
    key = {"authorization": f"Bearer {CLIENT_KEY}", "x-api-key": CLIENT_KEY}[name]
    with FakeAnthropic() as fake, before(fake, vendor=True, client_key_file=keys) as proxy:
        answered = proxy.ask("GET", "/v1/models?limit=1000", headers={name: key, **VERSION})

    assert answered.status == 200
    rows = answered.body["data"]
    assert [row["id"] for row in rows] == [
        "claude-haiku-4-5",
        "claude-opus-4-7",
        "claude-sonnet-4-6",
    ]
    assert [row["display_name"] for row in rows] == [
        "Claude Haiku 4 5",
        "Claude Opus 4 7",
        "Claude Sonnet 4 6",
    ]


@pytest.mark.parametrize(
    "headers", [{}, VERSION, {"x-api-key": "k"}], ids=["none", "version", "key"]
)
def test_each_entry_has_an_id_whoever_asks(headers: dict[str, str]) -> None:
    """#request-and-response: of each entry in data the client reads id and display_name."""
    with FakeOpenAI() as fake, before(fake, vendor=True) as proxy:
        answered = proxy.ask("GET", "/v1/models?limit=1000", headers=headers)

    assert {row["id"] for row in answered.body["data"]} == {"gpt-4.1", "gpt-5.4", "gpt-5-mini"}
