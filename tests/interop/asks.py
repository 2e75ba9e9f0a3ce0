"""Requests and answers in no SDK's words: what a row of the matrix says and expects."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.interop.tap import Came


@dataclass(frozen=True)
class Image:
    """A picture: base64 ``data``, or an address."""

    data: str = ""
    media_type: str = "image/png"
    url: str = ""


@dataclass(frozen=True)
class Document:
    """A file: base64 ``data``."""

    data: str
    media_type: str = "application/pdf"
    name: str = "paper.pdf"


@dataclass(frozen=True)
class Called:
    """A tool call of the history that no SDK object stands for."""

    id: str
    name: str
    given: Any


@dataclass(frozen=True)
class Result:
    """What a tool gave back. ``to`` is the call's id."""

    to: str
    content: tuple[str | Image, ...]
    failed: bool = False


Part = str | Image | Document | Called | Result


@dataclass(frozen=True)
class Turn:
    """One turn. ``raw`` is an SDK's own object, handed back as it came, in place of ``parts``."""

    role: str
    parts: tuple[Part, ...] = ()
    raw: Any = None


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", parts)


@dataclass(frozen=True)
class Tool:
    name: str
    schema: dict[str, Any]


@dataclass(frozen=True)
class Ask:
    """One request. ``choice`` is auto, none, any or a tool's name; None is not said.

    No tools can also be said, as an empty list.
    """

    turns: tuple[Turn, ...] = (user("Hello"),)
    system: str = ""
    tools: tuple[Tool, ...] | None = None
    choice: str | None = None
    parallel: bool | None = None
    limit: int | None = None
    stop: tuple[str, ...] = ()
    schema: dict[str, Any] | None = None
    budget: int | None = None
    effort: str | None = None
    choices: int | None = None
    logprobs: int | None = None
    temperature: float | None = None
    model: str | None = None
    #: Whether a Chat stream is asked to count at its end.
    usage: bool = True


@dataclass
class Answer:
    """``turn`` hands the answer back; ``choices`` are the texts of all choices."""

    turn: Turn
    text: str = ""
    thinking: str = ""
    signature: str = ""
    refusal: str = ""
    calls: list[Called] = field(default_factory=list)
    #: stop, calls, length, filter, or the SDK's own word for what has no name here.
    finish: str = ""
    stop_sequence: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    model: str = ""
    id: str = ""
    choices: list[str] = field(default_factory=list)
    logprobs: list[tuple[str, float]] = field(default_factory=list)


@dataclass
class Failure:
    """What an SDK raised: its classes' names, and what it knows. ``kind`` is the error's own word."""

    types: set[str]
    message: str
    status: int | None
    kind: str | None
    code: str | None
    request_id: str | None
    retry_after: str | None


class Surface(Protocol):
    """One API of one SDK."""

    dialect: str
    error: type[Exception]

    def ask(self, way: str, ask: Ask, model: str) -> Answer: ...

    def watch(self, way: str, ask: Ask, model: str, into: list[str]) -> None:
        """Stream an answer, adding each piece of text as it comes."""

    def failure(self, error: Exception) -> Failure: ...

    def validate(self, came: Came, sent: set[str], *, full: bool) -> None:
        """Raise AssertionError for an answer that is not what the SDK's models say.

        ``sent`` are the keys that the provider sent of its own, which may be beside the models'.
        ``full``: what the API always sends has to be there.
        """
