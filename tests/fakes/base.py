"""What the fakes of all APIs share: a script of answers, rules, and what was refused."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from tests.fakes.scenario import AFTER, BEFORE, HELLO, Failure, Scenario
from tests.fakes.server import (
    CUT,
    Breach,
    FakeServer,
    Gate,
    Piece,
    Reply,
    Rule,
    Seen,
    first_breach,
    json_reply,
)


class FakeAPI:
    """An upstream that validates what it is sent, and then answers what it was told.

    ``play`` queues scenarios, one for each accepted request; when none is left, ``default`` is
    played. ``refused`` names the rules that requests broke, with the message that was answered.
    """

    rules: Sequence[Rule] = ()
    #: Where completions are asked for.
    path = ""

    def __init__(self, default: Scenario = HELLO) -> None:
        self.default = default
        self.refused: list[tuple[str, str]] = []
        #: Every JSON value that was sent: whole bodies, events, errors.
        self.sent: list[Any] = []
        self._script: deque[Scenario] = deque()
        self._server = FakeServer(self._answer)
        self._count = 0

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The base address that a client of this API is given."""
        return self._server.url + "/v1"

    @property
    def seen(self) -> list[Seen]:
        return self._server.seen

    @property
    def asked(self) -> list[Seen]:
        """The requests for completions, in order."""
        return [seen for seen in self.seen if seen.path.partition("?")[0] == self.path]

    @property
    def left(self) -> Any:
        return self._server.left

    def play(self, *scenarios: Scenario) -> None:
        self._script.extend(scenarios)

    def next_number(self) -> int:
        """Number the answers, so that ids differ and are the same at every run."""
        self._count += 1
        return self._count

    # Answering

    def _answer(self, seen: Seen) -> Reply:
        path = seen.path.partition("?")[0]
        if seen.method == "GET" and path.startswith("/v1/models"):
            return self.list_models(path.removeprefix("/v1/models").strip("/"))
        if seen.method != "POST" or path not in (self.path, *self.side_paths):
            return self.refuse(Breach("Not Found", status=404, kind="not_found_error"))
        body = seen.body
        if not isinstance(body, dict):
            return self.refuse(Breach("The request body is not valid JSON"))
        broken = first_breach(self.rules, body, {**seen.headers, ":path": path})
        if broken is not None:
            rule, breach = broken
            self.refused.append((rule.name, breach.message))
            return self.refuse(breach)
        if path in self.side_paths:
            return self.answer_aside(path, body)
        scenario = self._script.popleft() if self._script else self.default
        return self._perform(scenario, body)

    side_paths: tuple[str, ...] = ()

    def _perform(self, scenario: Scenario, body: dict[str, Any]) -> Reply:
        failure = scenario.failure
        if failure is not None and (scenario.fail_after is None or not body.get("stream")):
            headers = list(self.id_headers(self.next_number()))
            if failure.retry_after is not None:
                headers.append(("retry-after", failure.retry_after))
            if failure.raw is not None:
                return Reply(failure.status, [("Content-Type", "text/html"), *headers], failure.raw)
            return json_reply(failure.status, self._failed(failure), headers)
        number = self.next_number()
        if not body.get("stream"):
            return self._whole(scenario, body, number)
        kind = ("Content-Type", "text/event-stream; charset=utf-8")
        frames = self.frames(scenario, body, number)
        self.sent += [found for frame in frames if (found := _data(frame)) is not None]
        pieces = _pieces(scenario, frames, self._failing)
        headers = [kind, *self.id_headers(number)]
        return Reply(200, headers, pieces, scenario.write_size, scenario.gates.get(BEFORE))

    def _failed(self, failure: Failure) -> Any:
        breach = Breach(failure.message, status=failure.status, code=failure.code)
        found = self.error_body(replace(breach, kind=failure.kind) if failure.kind else breach)
        self.sent.append(found)
        return found

    def _failing(self, failure: Failure) -> bytes:
        self._failed(failure)
        breach = Breach(failure.message, status=failure.status, code=failure.code)
        return self.failing_frame(replace(breach, kind=failure.kind) if failure.kind else breach)

    def whole_bytes(self, scenario: Scenario, body: dict[str, Any], number: int) -> bytes:
        """Return the body of a whole answer as it is sent."""
        return compact(self.message(scenario, body, number)).encode()

    def _whole(self, scenario: Scenario, body: dict[str, Any], number: int) -> Reply:
        message = self.message(scenario, body, number)
        self.sent.append(message)
        reply = json_reply(200, message, self.id_headers(number))
        assert isinstance(reply.body, bytes)
        if scenario.cut_after is not None:
            reply.body = [reply.body[: len(reply.body) // 2], CUT]
        elif scenario.gates:
            reply.body = [*(g for at, g in scenario.gates.items() if at >= 0), reply.body]
            reply.before = scenario.gates.get(BEFORE)
        elif scenario.split_at is not None:
            reply.body = list(_halves(reply.body, scenario.split_at))
        elif scenario.write_size:
            reply.body, reply.write_size = [reply.body], scenario.write_size
        return reply

    def refuse(self, breach: Breach) -> Reply:
        headers = self.id_headers(self.next_number())
        body = self.error_body(breach)
        self.sent.append(body)
        return json_reply(breach.status, body, headers)

    # What each API says in its own way

    def id_headers(self, number: int) -> Sequence[tuple[str, str]]:
        raise NotImplementedError

    def error_body(self, breach: Breach) -> Any:
        raise NotImplementedError

    def failing_frame(self, breach: Breach) -> bytes:
        raise NotImplementedError

    def message(self, scenario: Scenario, body: dict[str, Any], number: int) -> Any:
        raise NotImplementedError

    def frames(self, scenario: Scenario, body: dict[str, Any], number: int) -> list[bytes]:
        raise NotImplementedError

    def list_models(self, name: str) -> Reply:
        raise NotImplementedError

    def answer_aside(self, path: str, body: dict[str, Any]) -> Reply:
        raise NotImplementedError


def _pieces(scenario: Scenario, frames: list[bytes], failing: Any) -> list[Piece]:
    """Put gates, the failure and the cut between frames."""
    if scenario.split_at is not None:
        return list(_halves(b"".join(frames), scenario.split_at))
    pieces: list[Piece] = []
    for at, frame in enumerate(frames):
        gate: Gate | None = scenario.gates.get(at)
        if gate is not None:
            pieces.append(gate)
        if scenario.fail_after == at and scenario.failure is not None:
            pieces.append(failing(scenario.failure))
            return pieces
        if scenario.cut_after == at:
            return [*pieces, CUT]
        pieces.append(frame)
    last = scenario.gates.get(AFTER)
    return [*pieces, last] if last is not None else pieces


def _halves(body: bytes, at: int) -> tuple[bytes, bytes]:
    return body[:at], body[at:]


def _data(frame: bytes) -> Any:
    """Return the JSON of a frame, or None."""
    _, _, text = frame.partition(b"data: ")
    return json.loads(text) if text.startswith(b"{") else None


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def spaced(value: Mapping[str, Any]) -> str:
    """Return JSON as Python writes it by default: what the Argo gateway sends."""
    return json.dumps(value, ensure_ascii=False)
