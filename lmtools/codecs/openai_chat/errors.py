"""Errors of Chat servers, both ways.

OpenAI says ``{"error": {message, type, param, code}}``. vLLM, LM Studio, Ollama, LiteLLM, FastAPI
and gateways in front of them say the same in other forms (a string, ``detail``, ``message`` at the
top, a list, a page of HTML). All are read; what is no error object is rendered as one, since client
libraries look for ``error.message``. Structured words decide the canonical code; the text of the
message decides last, and never against a 429 or a failure of the server.
"""

from __future__ import annotations

import re

from ...errors import (
    CODES,
    ApiError,
    LMError,
    ProtocolError,
    api_error,
    code_for_status,
    status_for_code,
)
from ...types import Json, JsonObject, Opaque, StreamError, find_opaque
from ..base import Headers, Refusal
from ..error_headers import request_id, retry_after, retry_after_value
from ..fields import Fields
from ..text import dumps, loads
from ..wrapped_error import WrappedError, unwrap
from .wire import NAME, Shape

ERROR = Shape(
    "error",
    ("message", "type", "param", "code"),
    {"type": None, "param": None, "code": None},
)
ERROR_BODY = Shape("error_body", ("error",))

#: ``code`` and ``type`` words that decide. OpenAI's error guide; vLLM, LiteLLM, OpenRouter,
#: llama.cpp and Google's compatible endpoint for those that OpenAI does not have.
_CODES = {
    "context_length_exceeded": "context_length",
    "exceed_context_size_error": "context_length",
    "model_not_found": "unsupported_model",
    "model_not_available": "unsupported_model",
    "unsupported_model": "unsupported_model",
    "deployment_not_found": "unsupported_model",
    "DeploymentNotFound": "unsupported_model",
    "invalid_api_key": "auth",
    "account_deactivated": "auth",
    "authentication_error": "auth",
    "AuthenticationError": "auth",
    "UNAUTHENTICATED": "auth",
    "permission_error": "permission",
    "permission_denied": "permission",
    "PermissionDeniedError": "permission",
    "PERMISSION_DENIED": "permission",
    "unsupported_country_region_territory": "permission",
    "access_terminated": "permission",
    "insufficient_quota": "billing",
    "credit_balance_exhausted": "billing",
    "organization_spend_limit_exceeded": "billing",
    "organization_usage_limit_exceeded": "billing",
    "project_spend_limit_exceeded": "billing",
    "billing_hard_limit_reached": "billing",
    "billing_not_active": "billing",
    "billing_error": "billing",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "RateLimitError": "rate_limit",
    "too_many_requests": "rate_limit",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "tokens": "rate_limit",
    "requests": "rate_limit",
    "server_is_overloaded": "overloaded",
    "overloaded": "overloaded",
    "engine_overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "no_capacity": "overloaded",
    "UNAVAILABLE": "overloaded",
    "timeout": "api_timeout",
    "timeout_error": "api_timeout",
    "request_timeout": "api_timeout",
    "DEADLINE_EXCEEDED": "api_timeout",
    "not_found_error": "not_found",
    "NotFoundError": "not_found",
    "NOT_FOUND": "not_found",
    "request_too_large": "too_large",
    "payload_too_large": "too_large",
    "conflict_error": "conflict",
}
#: Words that say only whose fault it is; the status knows more.
_VAGUE = {
    "invalid_request_error": "invalid_request",
    "BadRequestError": "invalid_request",
    "INVALID_ARGUMENT": "invalid_request",
    # With 429 one's own rate, with 503 everybody's.
    "slow_down": "overloaded",
    "service_unavailable_error": "overloaded",
    "server_error": "server",
    "api_error": "server",
    "InternalServerError": "server",
    "INTERNAL": "server",
    "content_filter": "invalid_request",
    "content_policy_violation": "invalid_request",
}
#: canonical code -> (type, code) as OpenAI words them.
_WORDS: dict[str, tuple[str, str | None]] = {
    "invalid_request": ("invalid_request_error", None),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "unsupported_model": ("invalid_request_error", "model_not_found"),
    "not_found": ("invalid_request_error", "not_found"),
    "conflict": ("invalid_request_error", "conflict"),
    "too_large": ("invalid_request_error", "request_too_large"),
    "auth": ("invalid_request_error", "invalid_api_key"),
    "permission": ("permission_error", "permission_denied"),
    "billing": ("insufficient_quota", "insufficient_quota"),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "overloaded": ("server_error", "overloaded"),
    "server": ("server_error", None),
}
_TOO_LONG = re.compile(
    r"context[ _](?:length|window|size)|maximum context|prompt is too long|too many tokens"
    r"|input is too long|reduce the length",
    re.I,
)
_NO_MODEL = re.compile(
    r"\bmodel\b.{0,200}?(?:not found|(?:does )?not exist|not supported|unsupported|not available"
    r"|unknown)|(?:unknown|no such|invalid) model",
    re.I | re.S,
)
_BAD_KEY = re.compile(r"api[ _]key (?:not valid|is invalid)|(?:incorrect|invalid) api[ _]key", re.I)
_NAMELESS = frozenset({"invalid_request", "not_found"})
_TAGS = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^>]*>", re.I | re.S)
_LONGEST_TEXT = 500
#: How much of a page, and of a message, is searched: they come from outside.
_LONGEST_PAGE = 8_000
_LONGEST_SEARCH = 2_000


def parse_error(status: int, headers: Headers, body: bytes) -> ApiError:
    """Return the error of a refusal, whatever its body is: JSON in any form, a page, nothing."""
    text = body.decode("utf-8", "replace")
    try:
        value = loads(text)
    except ProtocolError:
        value = None
    found = _read(value, status, headers)
    if found is None:
        message = value if isinstance(value, str) else _plain(text)
        message = message[:_LONGEST_TEXT] or f"the server answered {status} without a word"
        found = _error(_code((), status, message), message, status, headers)
    return _with_status(found)


def _plain(text: str) -> str:
    """Return the words of a body that is no JSON: a page without its tags and line breaks."""
    return " ".join(_TAGS.sub(" ", text[:_LONGEST_PAGE]).split())


def error_in_body(body: Json) -> ApiError | None:
    """Return the error that came where an answer was expected (status 200), or None."""
    error = _read(body, None, ())
    return error and _with_status(error)


def _with_status(error: ApiError) -> ApiError:
    if error.status is None:
        error.status = status_for_code(error.code)
    return error


def error_in_chunk(body: Json) -> StreamError | None:
    """Return the error that a stream's frame holds, or None for a frame of any other kind."""
    error = _read(body, None, ())
    if error is None:
        return None
    opaque = tuple(item for item in error.opaque if isinstance(item, Opaque))
    return StreamError(
        error.code,
        error.message,
        provider_code=error.provider_code,
        status=error.status,
        request_id=error.request_id,
        param=error.param,
        opaque=opaque,
    )


def _read(value: Json, status: int | None, headers: Headers) -> ApiError | None:
    is_listed = isinstance(value, list) and len(value) == 1
    if is_listed:
        # Google's compatible endpoint wraps its error in a list.
        value = value[0]
    if not isinstance(value, dict):
        return None
    inner = value.get("error")
    if isinstance(inner, dict) and value.get("type") == "error":
        # Anthropic's form, from a gateway that passes on what it got.
        rest = {key: held for key, held in value.items() if key != "type"}
        return _read_object(inner, rest, status, headers, own_form=False)
    if isinstance(inner, dict):
        own_form = not is_listed and isinstance(inner.get("message"), str)
        return _read_object(inner, value, status, headers, own_form=own_form)
    if isinstance(inner, str) and inner:
        return _read_text(inner, "error", value, status, headers)
    if isinstance(value.get("message"), str):
        return _read_object(value, {"error": value}, status, headers, own_form=False)
    detail = value.get("detail")
    if isinstance(detail, dict):
        return _read_object(detail, {"error": detail}, status, headers, own_form=False)
    if detail:
        message = detail if isinstance(detail, str) else _details(detail)
        return _read_text(message, "detail", value, status, headers)
    return None


def _read_text(
    message: str, key: str, body: JsonObject, status: int | None, headers: Headers
) -> ApiError:
    """Read an error that is a text under ``key``, as if it stood in an error object."""
    inner = {"message": message[:_LONGEST_TEXT]}
    beside = {k: value for k, value in body.items() if k != key}
    return _read_object(inner, {"error": inner, **beside}, status, headers, own_form=False)


def _details(detail: Json) -> str:
    """Return FastAPI's list of what is wrong (``[{loc, msg, type}]``) as one line."""
    lines = []
    for item in detail if isinstance(detail, list) else ():
        if isinstance(item, dict) and isinstance(item.get("msg"), str):
            place = item.get("loc")
            where = ".".join(str(step) for step in place) if isinstance(place, list) else ""
            lines.append(f"{where}: {item['msg']}" if where else item["msg"])
    return "; ".join(lines) or dumps(detail)


def _read_object(
    inner: JsonObject,
    envelope: JsonObject,
    status: int | None,
    headers: Headers,
    *,
    own_form: bool = True,
) -> ApiError:
    """Read an error object and the body around it, which has OpenAI's form by now.

    In a body of another form no key was left out on purpose: a client gets all of OpenAI's.
    """
    message = inner.get("message")
    if not isinstance(message, str):
        message = dumps(inner)[:_LONGEST_TEXT]
    wrapped = unwrap(message)
    if wrapped is not None:
        return _read_wrapped(wrapped, status, headers)
    local = _local(inner, envelope)
    if local is not None:
        return _error(local, message, status, headers)
    words = tuple(_word(inner.get(key)) for key in ("code", "type", "status"))
    status = status if status is not None and status >= 400 else _status_in(inner) or status
    param = inner.get("param")
    code = _code(words, status, message)
    if not own_form:
        empty = {"message": message, "type": None, "param": None, "code": None}
        inner = {**empty, **inner, "message": message}
    return _error(
        code,
        message,
        status,
        headers,
        provider_code=words[0] or words[1] or words[2],
        param=param if isinstance(param, str) else None,
        request_id=request_id(headers) or _word(envelope.get("request_id")),
        opaque=_kept(inner, envelope),
    )


def _kept(inner: JsonObject, envelope: JsonObject) -> tuple[Opaque, ...]:
    """Keep what the error's fields do not say, so that the same body can be made of them again."""
    fields, outer = Fields(inner, "error"), Fields(envelope, "")
    del outer.rest["error"]
    notes: JsonObject = {}
    for key in ("message", "param", "code"):
        if isinstance(inner.get(key), str):
            del fields.rest[key]
    notes["unsaid"] = [
        k for k in ("message", "param", "code") if k in fields.rest or k not in inner
    ]
    return (*ERROR.keep(fields, inner, notes), *ERROR_BODY.keep(outer, envelope))


def _read_wrapped(wrapped: WrappedError, status: int | None, headers: Headers) -> ApiError:
    """The gateway's own status and words are of the wrapping; a 4xx inside is the true one."""
    if status is None or status < 400 or (status >= 500 and wrapped.status < 500):
        status = wrapped.status
    inner = {
        "message": wrapped.message,
        "type": wrapped.type,
        "param": wrapped.param,
        "code": wrapped.code,
    }
    envelope: JsonObject = {"error": inner}
    if wrapped.request_id is not None:
        envelope["request_id"] = wrapped.request_id
    return _read_object(inner, envelope, status, headers)


def _local(inner: JsonObject, envelope: JsonObject) -> str | None:
    """Return the code of an error that another lmtools made: one that no provider words."""
    code = inner.get("code")
    if inner.get("type") != "server_error" or not isinstance(code, str) or code in _WORDS:
        return None
    plain = len(envelope) == 1 and not inner.get("param")
    return code if plain and code in CODES and inner.keys() <= set(ERROR.keys) else None


def _error(
    code: str, message: str, status: int | None, headers: Headers, **details: object
) -> ApiError:
    if status is not None and status < 400:
        status = None
    details.setdefault("request_id", request_id(headers))
    return api_error(code, message, status=status, retry_after=retry_after(headers), **details)


def _word(value: Json) -> str | None:
    """Return a code word; vLLM and OpenRouter give numbers, which are statuses."""
    if isinstance(value, str) and value:
        return value
    return str(value) if value.__class__ is int else None


def _status_in(inner: JsonObject) -> int | None:
    """Return the HTTP status that an error object gives as its code: ``"code": 502``."""
    value = inner.get("code")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if value.__class__ is int and 400 <= value < 600 else None


def _code(words: tuple[str | None, ...], status: int | None, message: str) -> str:
    """Return the canonical code: decisive words, then the status, then vague words and the text."""
    by_status = code_for_status(status) if status is not None and status >= 400 else None
    known = [_CODES[word] for word in words if word in _CODES]
    code = known[0] if known else by_status
    if code is None:
        vague = [_VAGUE[word] for word in words if word in _VAGUE]
        code = vague[0] if vague else "provider"
    if code not in _NAMELESS:
        return code
    message = message[:_LONGEST_SEARCH]
    if _TOO_LONG.search(message):
        return "context_length"
    if _BAD_KEY.search(message):
        return "auth"
    return "unsupported_model" if _NO_MODEL.search(message) else code


def render_error(error: LMError) -> Refusal:
    """Return any error in this dialect's form."""
    status = error.status
    if status is None or not 400 <= status < 600:
        status = status_for_code(error.code)
    headers: list[tuple[str, str]] = []
    if error.retry_after is not None:
        headers.append(("retry-after", retry_after_value(error.retry_after)))
    if error.request_id:
        headers.append(("x-request-id", error.request_id))
    opaque = tuple(o for o in getattr(error, "opaque", ()) if isinstance(o, Opaque))
    param = getattr(error, "param", None) or getattr(error, "path", None)
    body = _body(error.code, error.message, error.provider_code, param, opaque)
    return Refusal(status, tuple(headers), body)


def render_error_chunk(error: StreamError) -> JsonObject:
    return _body(error.code, error.message, error.provider_code, error.param, error.opaque)


def _body(
    code: str,
    message: str,
    provider_code: str | None,
    param: str | None,
    opaque: tuple[Opaque, ...],
) -> JsonObject:
    own = find_opaque(opaque, NAME, "error")
    type, word = _WORDS.get(code, ("server_error", code))
    if own is None:
        inner = {"message": message, "type": type, "param": param, "code": word}
        return {"error": inner}
    # The upstream spoke this dialect: its words go as they came, its silences too.
    said = {"message": message, "param": param, "code": provider_code}
    inner = {key: value for key, value in said.items() if key not in own["unsaid"]}
    return ERROR_BODY.fill({"error": ERROR.fill(inner, opaque)}, opaque)
