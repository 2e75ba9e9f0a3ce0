"""What a case says of its own content, which no law can know.

``expect`` may hold: ``finish`` and ``stop_sequence``; ``text``, ``thinking``, ``refusal`` (joined);
``calls`` as ``[id, name, input]``; ``parts`` (their types in order); ``usage`` (the counts that matter);
``code``, ``retry_after``, ``provider_code`` and ``request_id`` of an error; ``end``: the code of the StreamError
that a stream ends with. For a request: ``roles``, and ``fields`` (canonical fields by name).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lmtools.codecs.base import Codec
from lmtools.types import Request, Response, StreamError, response_from_events

from .. import exchange
from ..corpus import Case
from ..exchange import Codecs
from .bodies import error_bytes


def facts(case: Case, codecs: Codecs) -> Iterator[str]:
    """The content is what the case says."""
    seen = _seen(case, codecs[case.dialect])
    for name, wanted in case.expect.items():
        got = _narrowed(seen.get(name), wanted)
        if got != wanted:
            yield f"{name}: {got!r:.120} instead of {wanted!r:.120}"


def _narrowed(got: Any, wanted: Any) -> Any:
    """Return of an object only what the case speaks of."""
    if isinstance(got, dict) and isinstance(wanted, dict):
        return {key: value for key, value in got.items() if key in wanted}
    return got


def _seen(case: Case, codec: Codec) -> dict[str, Any]:
    if case.kind == "request":
        return _request_facts(exchange.parse_request(codec, case))
    if case.kind == "error":
        error = codec.parse_error(case.status, case.headers, error_bytes(case.body))
        return {name: getattr(error, name) for name in _ERROR_FACTS}
    if case.kind == "stream":
        return _stream_facts(case, codec)
    return _response_facts(exchange.parse_response(codec, case))


_ERROR_FACTS = ("code", "retry_after", "provider_code", "request_id", "param", "message", "status")


def _request_facts(request: Request) -> dict[str, Any]:
    names = [name for name in Request.__dataclass_fields__ if name not in ("messages", "opaque")]
    return {
        "roles": [message.role for message in request.messages],
        "parts": [[part.type for part in message.parts] for message in request.messages],
        "fields": {name: plain(getattr(request, name)) for name in names},
    }


def plain(value: Any) -> Any:
    """Return a canonical value as JSON-like data without opaque fields and Nones."""
    if hasattr(value, "__dataclass_fields__"):
        held = {n: getattr(value, n) for n in value.__dataclass_fields__ if n != "opaque"}
        return {name: plain(child) for name, child in held.items() if child not in (None, ())}
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def _response_facts(response: Response) -> dict[str, Any]:
    return {
        "finish": response.finish,
        "stop_sequence": response.stop_sequence,
        "text": response.text,
        "thinking": response.thinking,
        "refusal": response.refusal,
        "calls": [[call.id, call.name, call.input] for call in response.tool_calls],
        "parts": [part.type for part in response.message.parts],
        "citations": [plain(citation) for citation in response.citations],
        "usage": plain(response.usage),
    }


def _stream_facts(case: Case, codec: Codec) -> dict[str, Any]:
    events = exchange.decode(codec, [case.stream], exchange.asked(codec, case))
    last = events[-1]
    if isinstance(last, StreamError):
        return {"end": last.code, **{name: getattr(last, name, None) for name in _ERROR_FACTS}}
    return {"end": None, **_response_facts(response_from_events(events))}
