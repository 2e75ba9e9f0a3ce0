"""What a codec is: the protocols, and the values that cross between codecs and the rest.

A dialect is a wire language. Its codec is a module with pure functions in pairs::

    request    parse_request  (server)     render_request  (client)
    response   parse_response (client)     render_response (server)
    stream     stream_decoder (client)     stream_encoder  (server)
    error      parse_error    (client)     render_error    (server)

Every proxied exchange is: parse (client's dialect), canonical, render (backend's dialect), and
back. The canonical request is the only memory: response-side functions get the request as the
client sent it, before its model was mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Protocol

from ..errors import ApiError
from ..sse import SSEEvent
from ..types import Event, Json, JsonObject, ModelInfo, Request, Response
from ..types.value import value_class

#: Header pairs in wire order.
Headers = tuple[tuple[str, str], ...]

#: The words of ``Loss.action``.
ACTIONS = frozenset({"dropped", "clamped", "substituted", "emulated", "defaulted"})


@value_class(frozen=True, slots=True)
class Loss:
    """One thing that the target cannot say as the source said it.

    ``path`` is the canonical path (``messages[2].parts[0].cache``), with the dialect's own key as
    its last step for opaque data (``messages[2].parts[0].citations``). Recorded at the line where
    it happens.
    """

    path: str
    action: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.action}: {self.reason}"


#: Where a codec writes its losses.
Losses = list[Loss]


@value_class(frozen=True, slots=True)
class Incoming:
    """A request as it came over the wire.

    ``headers`` hold only what the server's allow-list lets in.
    """

    body: Json
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Headers = ()


@value_class(frozen=True, slots=True)
class Rendered:
    """A body with its losses, and the path suffix and headers that belong to it."""

    body: JsonObject
    losses: tuple[Loss, ...] = ()
    path: str = ""
    headers: Headers = ()


@value_class(frozen=True, slots=True)
class Refusal:
    """An error in a dialect's own form."""

    status: int
    headers: Headers
    body: JsonObject


@value_class(frozen=True, slots=True)
class Stamp:
    """What the shell gives an answer: id, time (Unix seconds), the client-visible model, an
    estimate, and whether it was said in another dialect.

    Further ids are made from ``id`` and an index. ``input_tokens`` is for dialects that must give a
    number before the provider has. ``foreign`` answers get what their reader requires, where their
    provider said nothing; one of the reader's own dialect is written as it was said.
    """

    id: str
    created: int
    model: str
    input_tokens: int = 0
    foreign: bool = False


#: The forms in which a target takes thinking: ``enabled`` with a budget, ``adaptive``, ``disabled``
#: (an explicit off switch), ``effort`` (a graded word).
THINKING_FORMS = frozenset({"enabled", "adaptive", "disabled", "effort"})


@value_class(frozen=True, slots=True)
class Target:
    """What the receiving side takes. Data made by ``providers``; codecs read it, and hold no model
    table.

    The defaults describe a server of the dialect that takes everything as sent, which is what the
    identity law renders for.

    ``default_max_tokens``   sent when the request has no limit and the dialect requires one
    ``max_output_tokens``    larger limits are clamped to it; None is unknown
    ``limits_field``         the name of the limits field (Chat: max_tokens, max_completion_tokens);
                             None keeps the request's spelling, else the dialect's default
    ``thinking``             the forms it takes (``THINKING_FORMS``); None: not known, all as sent
    ``efforts``              the effort words it takes; None: not known
    ``effort_map``           words it does not take, and the nearest it does
    ``reasoning_field``      Chat: where thinking goes back in assistant messages; None: nowhere
    ``signs_calls``          Chat: its models want the signature on the first call of each step back
    ``system``               where system messages may stand: anywhere, first (a leading run), none
    ``developer``            it knows the role ``developer``
    ``stop``                 it knows stop sequences
    ``sampling``             it takes temperature, top_p and top_k
    ``temperature_max``      larger temperatures are clamped to it
    ``one_sampling_field``   it refuses temperature together with top_p
    ``name_rule``/``id_rule``  regular expressions for tool names and call ids; None: any
    ``id_length``            longest call id; None: any
    ``stream_usage``         Chat: ask for usage in every stream (``stream_options.include_usage``)
    ``media``                kinds of media parts it takes; None: whatever its dialect can say
    ``refuses``              body fields that it answers 400 to, by the dialect's own name
    ``framing``              how its streams are framed: sse, json_array or text
    """

    dialect: str = ""
    provider: str = ""
    model: str = ""
    origin: str | None = None
    default_max_tokens: int | None = None
    max_output_tokens: int | None = None
    limits_field: str | None = None
    thinking: frozenset[str] | None = None
    efforts: frozenset[str] | None = None
    effort_map: Mapping[str, str] = field(default_factory=dict)
    reasoning_field: str | None = None
    signs_calls: bool = False
    system: str = "anywhere"
    developer: bool = True
    stop: bool = True
    sampling: bool = True
    temperature_max: float | None = None
    one_sampling_field: bool = False
    name_rule: str | None = None
    id_rule: str | None = None
    id_length: int | None = None
    stream_usage: bool = False
    media: frozenset[str] | None = None
    refuses: frozenset[str] = frozenset()
    framing: str = "sse"


class StreamDecoder(Protocol):
    """Upstream frames to events. ``close`` is called at the end of input, and ends every stream."""

    @property
    def losses(self) -> Losses: ...
    def decode(self, frame: SSEEvent) -> list[Event]: ...
    def close(self) -> list[Event]: ...


class StreamEncoder(Protocol):
    """Events to the client's bytes. ``ping`` keeps a silent stream alive; ``close`` ends it."""

    @property
    def losses(self) -> Losses: ...
    def encode(self, event: Event) -> bytes: ...
    def ping(self) -> bytes: ...
    def close(self) -> bytes: ...


class Codec(Protocol):
    """One dialect. A module is a codec; ``codecs/__init__.py`` lets the type checker see that."""

    @property
    def NAME(self) -> str: ...
    def parse_request(self, wire: Incoming) -> Request: ...
    def render_request(self, request: Request, target: Target) -> Rendered: ...
    def parse_response(self, body: Json, request: Request, target: Target) -> Response: ...
    def render_response(self, response: Response, request: Request, stamp: Stamp) -> Rendered: ...
    def stream_decoder(self, request: Request, target: Target) -> StreamDecoder: ...
    def stream_encoder(self, request: Request, stamp: Stamp) -> StreamEncoder: ...
    def parse_error(self, status: int, headers: Headers, body: bytes) -> ApiError: ...
    def render_error(self, error: ApiError) -> Refusal: ...
    def parse_models(self, body: Json) -> tuple[ModelInfo, ...]: ...
    def render_models(self, models: tuple[ModelInfo, ...]) -> JsonObject: ...
    def render_model(self, model: ModelInfo) -> JsonObject: ...


class CountCodec(Protocol):
    """A dialect with an endpoint that counts the input tokens of a request."""

    @property
    def NAME(self) -> str: ...
    def parse_count_request(self, wire: Incoming) -> Request: ...
    def render_count_request(self, request: Request, target: Target) -> Rendered: ...
    def parse_count_response(self, body: Json) -> int: ...
    def render_count_response(self, tokens: int) -> JsonObject: ...
