"""Errors of the Messages API, both ways.

::

    {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id":
    "req_..."}

The same object is the body of a refusal, an event in a stream, and now and then the body of an
answer with status 200. The type word decides; texts are looked at last, and only to tell apart what
the API gives one word to (a prompt that is too long, a model that does not exist).
"""

from __future__ import annotations

import re

from ...errors import (
    ApiError,
    ProtocolError,
    RequestError,
    api_error,
    code_for_status,
    status_for_code,
)
from ...types import Json, JsonObject, Opaque, StreamError
from ..base import Headers, Refusal
from ..error_headers import request_id, retry_after, retry_after_value
from ..fields import Fields, restore
from ..text import loads
from ..wrapped_error import unwrap
from .spelling import NAME, data_of

#: type word -> (canonical code, HTTP status). Source: the SDK's error classes and the API's error
#: page.
ERROR_TYPES: dict[str, tuple[str, int]] = {
    "invalid_request_error": ("invalid_request", 400),
    "authentication_error": ("auth", 401),
    "billing_error": ("billing", 402),
    "permission_error": ("permission", 403),
    "not_found_error": ("not_found", 404),
    "conflict_error": ("conflict", 409),
    "request_too_large": ("too_large", 413),
    "rate_limit_error": ("rate_limit", 429),
    "api_error": ("server", 500),
    "timeout_error": ("api_timeout", 504),
    "overloaded_error": ("overloaded", 529),
}
#: canonical code -> type word, for errors that other dialects or we ourselves made.
_TYPE_OF_CODE = {code: word for word, (code, _) in ERROR_TYPES.items()} | {
    "context_length": "invalid_request_error",
    "unsupported_model": "not_found_error",
    "timeout": "timeout_error",
}
_CLIENT_CODES = frozenset({"invalid_request", "not_found", "too_large"})
_TOO_LONG = re.compile(r"prompt is too long|exceed(?:s|ed)? context limit|context window", re.I)
_LONG_PROMPT = "prompt is too long"
_NO_MODEL = re.compile(r"^model: |model .*(?:not found|does not exist|not supported)", re.I)
_NO_CREDIT = re.compile(r"credit balance is too low", re.I)
_BODY_KEYS = ("type", "error", "request_id")
_LONGEST_MESSAGE = 500
_TAGS = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^>]*>", re.I | re.S)


def parse_error(status: int, headers: Headers, body: bytes) -> ApiError:
    """Return the error of a refusal, whatever its body is: JSON, an HTML page, nothing."""
    text = body.decode("utf-8", "replace")
    try:
        value = loads(text)
        found = error_in_body(value, status, headers)
        if found is None:
            found = error_in_body(_of_another_form(value), status, headers)
    except ProtocolError:
        found = None
    if found is not None:
        return found
    message = plain_message(text) or f"the server answered {status} without a word"
    return api_error(
        code_for_status(status),
        message,
        status=status,
        request_id=request_id(headers),
        retry_after=retry_after(headers),
    )


def _of_another_form(value: Json) -> Json:
    """Return what gateways say in forms of their own as an error object; None for other JSON."""
    if value.__class__ is list and len(value) == 1:
        value = value[0]
    if value.__class__ is not dict:
        return None
    for said in (value.get("error"), value.get("message"), value.get("detail")):
        if said.__class__ is dict and said:
            return {"error": said}
        if said.__class__ is str and said:
            return {"error": {"message": said}}
    return None


def plain_message(text: str) -> str:
    """Return the words of a body that is not JSON: tags and line breaks gone, and not too long."""
    words = " ".join(_TAGS.sub(" ", text[:20_000]).split())
    return words[:_LONGEST_MESSAGE]


def error_in_body(body: Json, status: int | None = None, headers: Headers = ()) -> ApiError | None:
    """Return the error that a JSON body holds, None when it is none."""
    if body.__class__ is not dict or (body.get("type") != "error" and not body.get("error")):
        return None
    fields = Fields(body, "")
    # Where no header says the id either, who sends the error on may add their own.
    notes = {"absent": ["request_id"]} if "request_id" not in body and request_id(headers) else None
    is_own_form = fields.rest.get("type") == "error"
    if is_own_form:
        del fields.rest["type"]
    word, message, detail = _error_object(fields, is_own_form)
    wrapped = unwrap(message)
    if wrapped is not None:
        message = wrapped.message
        if wrapped.type in ERROR_TYPES:
            word = wrapped.type
        if status is None or status < 400 or (status >= 500 and wrapped.status < 500):
            # The gateway's own status is of the wrapping; a 4xx inside is the true one.
            status = wrapped.status
    code = _code(word, status, message)
    try:
        id = fields.text("request_id")
    except RequestError:
        id = None
    if status is None or status < 400:
        status = ERROR_TYPES[word][1] if word in ERROR_TYPES else status_for_code(code)
    return api_error(
        code,
        message,
        status=status,
        provider_code=word,
        request_id=id or (wrapped and wrapped.request_id) or request_id(headers),
        retry_after=retry_after(headers),
        opaque=(*fields.kept(NAME, "error_body", _BODY_KEYS, notes), *detail),
    )


def _error_object(fields: Fields, is_own_form: bool) -> tuple[str | None, str, tuple[Opaque, ...]]:
    """Take ``error``; return its type word, its message, and what else it holds."""
    value = fields.rest.pop("error", None)
    if value.__class__ is str:
        return None, value[:_LONGEST_MESSAGE], ()
    if value.__class__ is not dict:
        return None, "the server gave an error without a message", ()
    inner = Fields(value, "error")
    message = inner.rest.get("message")
    word: str | None = None
    if inner.rest.get("type").__class__ is str:
        word = inner.rest.pop("type")
    if message.__class__ is str:
        del inner.rest["message"]
    else:
        message = "the server gave an error without a message"
    # A word that is in no table is noted, so that rendering knows it for this dialect's own.
    is_new = is_own_form and word is not None and word not in ERROR_TYPES
    notes = {"type": word} if is_new else None
    return word, message, inner.kept(NAME, "error", ("type", "message"), notes)


def _code(word: str | None, status: int | None, message: str) -> str:
    if word in ERROR_TYPES:
        code = ERROR_TYPES[word][0]
    else:
        code = "provider" if status is None else code_for_status(status)
    if code not in _CLIENT_CODES:
        return code
    if _TOO_LONG.search(message):
        return "context_length"
    if _NO_CREDIT.search(message):
        return "billing"
    return "unsupported_model" if code == "not_found" and _NO_MODEL.search(message) else code


def parse_error_event(body: Json) -> StreamError:
    """Return the error of a stream's ``error`` event."""
    error = error_in_body(body)
    if error is None and body.__class__ is dict and body.get("message").__class__ is str:
        # Its name says that it is one; its form is another server's.
        error = error_in_body({"error": body})
    if error is None:
        return StreamError("provider", "the server gave an error event without an error")
    opaque = tuple(item for item in error.opaque if isinstance(item, Opaque))
    return StreamError(
        error.code,
        error.message,
        provider_code=error.provider_code,
        status=error.status,
        request_id=error.request_id,
        opaque=opaque,
    )


def render_error(error: ApiError) -> Refusal:
    opaque = tuple(item for item in error.opaque if isinstance(item, Opaque))
    word = _type_word(error.code, error.provider_code, opaque)
    status = error.status if error.status is not None and 400 <= error.status < 600 else None
    headers: list[tuple[str, str]] = []
    if error.retry_after is not None:
        headers.append(("retry-after", retry_after_value(error.retry_after)))
    if error.request_id:
        headers.append(("request-id", error.request_id))
    message = _message(word, error.code, error.provider_code, error.message)
    body = error_body(word, message, error.request_id, opaque)
    return Refusal(status or status_for_code(error.code), tuple(headers), body)


def render_error_event(error: StreamError) -> JsonObject:
    word = _type_word(error.code, error.provider_code, error.opaque)
    message = _message(word, error.code, error.provider_code, error.message)
    return error_body(word, message, error.request_id, error.opaque)


def _message(word: str, code: str, provider_code: str | None, message: str) -> str:
    """Return the message; of a prompt that another provider finds too long, in this API's words.

    One type word stands for every bad request, so clients know this one by its wording alone:
    Claude Code then shortens the conversation, where any other error ends it
    (code.claude.com/docs/en/llm-gateway-protocol#automatic-retry-and-error-forwarding).
    """
    is_foreign = code == "context_length" and provider_code != word
    return f"{_LONG_PROMPT}: {message}" if is_foreign and not _says_so(message) else message


def _says_so(message: str) -> bool:
    return _LONG_PROMPT in message.lower()


def _type_word(code: str, provider_code: str | None, opaque: tuple[Opaque, ...]) -> str:
    """Return the type word: the provider's own where it is one of this dialect's."""
    if provider_code is not None and data_of(opaque, "error").get("type") == provider_code:
        return provider_code
    if provider_code in ERROR_TYPES and _may_mean(ERROR_TYPES[provider_code][0], code):
        return provider_code
    return _TYPE_OF_CODE.get(code, "api_error")


def _may_mean(word_code: str, code: str) -> bool:
    """Tell whether a type word of this API stands for a code (``_code``).

    OpenAI says ``invalid_request_error`` too, and with it of a conflict or of a wrong key.
    """
    if word_code == code:
        return True
    if word_code == "not_found" and code == "unsupported_model":
        return True
    return word_code in _CLIENT_CODES and code in ("context_length", "billing")


def error_body(
    word: str, message: str, request_id: str | None, opaque: tuple[Opaque, ...]
) -> JsonObject:
    inner = restore({"type": word, "message": message}, opaque, NAME, "error")
    out: JsonObject = {"type": "error", "error": inner}
    kept = data_of(opaque, "error_body")
    if request_id is not None and "absent" not in kept and "request_id" not in kept.get("rest", {}):
        out["request_id"] = request_id
    return restore(out, opaque, NAME, "error_body")
