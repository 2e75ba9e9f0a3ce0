"""Bodies and streams that no client and no server should send, made from those that they do send.

Each case takes a few values of a real body and puts something else there: another type, a null,
nothing, a copy, a number beyond every range, half a character. Whatever comes out is one of the
errors that the contract names, or a value that every dialect and every target can say again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from conformance import corpus
from lmtools.codecs import anthropic, openai_chat
from lmtools.codecs.base import Incoming, Stamp, Target
from lmtools.codecs.text import dumps, loads
from lmtools.errors import ApiError, ProtocolError, RequestError
from lmtools.providers import PROVIDERS, as_sent, open_backend, repair
from lmtools.secret import Secret
from lmtools.sse import SSEDecoder, SSEEvent
from lmtools.types import End, Request, StreamError

CODECS: dict[str, Any] = {"anthropic": anthropic, "openai_chat": openai_chat}
STAMP = Stamp("0123456789abcdef01234567", 1_800_000_000, "shown-model", 7)

#: What takes the place of a value. The word must not come back in any message.
SECRET = "s3cr3t-content"
WRONG: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    7,
    2**70,
    1e308,
    0.5,
    "",
    " ",
    SECRET,
    "\ud800",
    "text",
    "tool_result",
    [],
    {},
    [[]],
    [None],
    [7],
    [SECRET],
    {"": None},
    {"type": SECRET},
    {"type": {"type": []}},
    {"type": [SECRET]},
    {"type": 7},
    {"x": [{"y": [SECRET]}]},
)

MODELS = (
    "claude-opus-4-7", "claude-sonnet-4-6", "claude-sonnet-4-5", "claude-3-5-haiku-20241022",
    "gpt-5", "gpt-5.1", "gpt-5.4-pro", "gpt-4.1", "o3", "gpto3mini", "gemini25pro",
    "claudeopus47", "claudesonnet45", "a-model-that-nobody-knows",
)  # fmt: skip


def _nested(depth: int) -> Any:
    value: Any = SECRET
    for i in range(depth):
        value = [value] if i % 2 else {"type": "text", "content": value}
    return value


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Return (container, key) of every value, in order."""
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        found.append((value, key))
        _places(item, found)
    return found


def mutated(text: str, rng: random.Random) -> Any:
    """Return the body with one to three changes."""
    body = json.loads(text)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = _places(body, [])
        if not places:
            return rng.choice(WRONG)
        container, key = rng.choice(places)
        match rng.randrange(6):
            case 0:
                del container[key]
            case 1:
                other, place = rng.choice(places)
                held = other[place] if place in _keys(other) else None
                container[key] = _copy(held)
            case 2 if isinstance(container, list):
                container.append(_copy(container[key]))
            case 3 if isinstance(container, dict):
                container[rng.choice(("type", "id", "cache_control", "x"))] = _copy(
                    rng.choice(WRONG)
                )
            case 4:
                container[key] = _nested(rng.choice((1, 5, 60)))
            case _:
                container[key] = _copy(rng.choice(WRONG))
    return body


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _keys(container: Any) -> Any:
    return container if isinstance(container, dict) else range(len(container))


def _targets() -> list[Target]:
    found = [Target(dialect=name) for name in CODECS]
    for provider in PROVIDERS.values():
        address = provider.base_url or "http://127.0.0.1:1/v1"
        for url in (None, address):
            backend = open_backend(provider, url, Secret("a-key"), need_key=False)
            for model in MODELS:
                target = backend.target(model)
                found += [target, as_sent(target)]
    return found


TARGETS = _targets()


def _cases(kind: str, most: int) -> list[corpus.Case]:
    """Return cases of a kind, the large ones aside: their parts stand in the small ones too."""
    return [c for c in corpus.load() if c.kind in (kind, "pair") and len(str(c.body)) < most]


def _check_words(error: Exception) -> None:
    assert SECRET not in str(error), f"tells content: {error}"
    assert len(str(error)) < 400


def _check_path(error: RequestError) -> None:
    assert error.path, f"names no path: {error}"


def _request_of(case: corpus.Case) -> Request:
    try:
        return CODECS[case.dialect].parse_request(Incoming(case.request))
    except (RequestError, TypeError):
        return Request("m", ())


# The checks, each of one mutated value


def check_request(dialect: str, body: Any, rng: random.Random, targets: int = 3) -> None:
    codec = CODECS[dialect]
    try:
        request = codec.parse_request(Incoming(body))
    except RequestError as error:
        _check_words(error)
        _check_path(error)
        return
    for target in rng.sample(TARGETS, targets):
        taken = request if rng.randrange(2) else repair(request, target)[0]
        rendered = CODECS[target.dialect].render_request(taken, target)
        dumps(rendered.body).encode()
        assert all(SECRET not in loss.path.split(".")[0] for loss in rendered.losses)


def check_response(case: corpus.Case, body: Any) -> None:
    codec, request = CODECS[case.dialect], _request_of(case)
    try:
        response = codec.parse_response(body, request, Target(dialect=case.dialect))
    except ProtocolError as error:
        _check_words(error)
        return
    except ApiError:
        return
    for other in CODECS.values():
        dumps(other.render_response(response, request, STAMP).body).encode()


def check_stream(case: corpus.Case, frames: list[SSEEvent]) -> None:
    codec, request = CODECS[case.dialect], _request_of(case)
    decoder = codec.stream_decoder(request, Target(dialect=case.dialect))
    events = [event for frame in frames for event in decoder.decode(frame)]
    events += decoder.close()
    last = events[-1]
    assert isinstance(last, End | StreamError)
    assert not any(isinstance(event, End | StreamError) for event in events[:-1])
    if isinstance(last, StreamError) and last.code == "protocol":
        assert SECRET not in last.message
    for other in CODECS.values():
        encoder = other.stream_encoder(request, STAMP)
        out = b"".join([*(encoder.encode(event) for event in events), encoder.close()])
        assert out.decode()


def check_error(case: corpus.Case, body: Any) -> None:
    error = CODECS[case.dialect].parse_error(case.status, (), dumps(body).encode())
    for other in CODECS.values():
        dumps(other.render_error(error).body).encode()


# The tests


def _mutants(kind: str, count: int, seed: int) -> Iterator[tuple[corpus.Case, Any, random.Random]]:
    rng = random.Random(seed)
    cases = _cases(kind, 20_000)
    texts = {c.name: json.dumps(c.request if kind == "request" else c.body) for c in cases}
    for _ in range(count):
        case = rng.choice(cases)
        yield case, mutated(texts[case.name], rng), rng


def test_a_broken_request_is_refused_with_its_path_or_can_be_said_to_every_target():
    for case, body, rng in _mutants("request", 1500, 1):
        check_request(case.dialect, body, rng)


def test_a_broken_answer_is_a_protocol_error_or_can_be_said_in_every_dialect():
    for case, body, _ in _mutants("response", 1200, 2):
        check_response(case, body)


def test_a_broken_error_body_is_still_an_error():
    for case, body, _ in _mutants("error", 500, 3):
        check_error(case, body)


def frames_of(case: corpus.Case) -> list[SSEEvent]:
    decoder = SSEDecoder()
    return [*decoder.feed(case.stream), *decoder.close()]


def broken_frames(frames: list[SSEEvent], rng: random.Random) -> list[SSEEvent]:
    """Return the frames with one of them changed, doubled, moved or gone."""
    out = list(frames)
    place = rng.randrange(len(out))
    match rng.randrange(6):
        case 0:
            del out[place]
        case 1:
            out.insert(rng.randrange(len(out)), out[place])
        case _:
            frame = out[place]
            try:
                body = mutated(frame.data, rng)
            except ValueError:
                return out
            out[place] = SSEEvent(frame.event, dumps(body))
    return out


def test_a_broken_stream_ends_in_one_end_or_one_error():
    rng = random.Random(4)
    cases = [c for c in _cases("stream", 20_000) if 0 < len(c.stream) < 8_000]
    frames = {case.name: frames_of(case) for case in cases}
    for _ in range(1200):
        case = rng.choice(cases)
        if frames[case.name]:
            check_stream(case, broken_frames(frames[case.name], rng))


@pytest.mark.parametrize("dialect", CODECS)
@pytest.mark.parametrize(
    "text", ['{"a":1e400}', "[" * 5000, '{"a":' * 3000, "9" * 5000, '"\\ud800"', "nul", ""]
)
def test_text_that_json_cannot_hold_is_an_error_of_the_answer(dialect, text):
    codec = CODECS[dialect]
    assert codec.parse_error(500, (), text.encode("utf-8", "surrogatepass")).status == 500
    decoder = codec.stream_decoder(Request("m", ()), Target(dialect=dialect))
    events = [*decoder.decode(SSEEvent(None, text)), *decoder.close()]
    assert isinstance(events[-1], StreamError)


@pytest.mark.parametrize("dialect", CODECS)
def test_nesting_as_deep_as_the_parser_allows_is_passed_on_or_refused(dialect):
    """Deep values lie in opaque data, schemas and arguments, which nobody walks but the encoder."""
    for depth in (50, 150, 400, 800):
        deep = loads('{"a":' * depth + "1" + "}" * depth)
        body = {
            "model": "m",
            "max_tokens": 9,
            "metadata": None,
            "x": deep,
            "messages": [{"role": "user", "content": "hi", "x": deep}],
            "tools": [],
        }
        check_request(dialect, body, random.Random(depth))
