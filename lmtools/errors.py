"""The exception tree, its codes, which of them are worth a retry, and the HTTP status of each code.

::

    LMError
    ├── RequestError          invalid_request   the request cannot be built; ``path`` says where
    ├── ConfigError           not_configured    a key, address or option is missing; ``env_keys``
    ├── TransportError        transport         the provider was not reached, or the wire broke
    │   ├── ConnectError      connect           no connection: DNS, refused, TLS, proxy
    │   ├── DeadlineError     timeout           our own deadline passed (also ``TimeoutError``)
    │   ├── ProtocolError     protocol          bytes that are not HTTP, SSE or JSON
    │   ├── TruncatedError    truncated         the answer ended before its end marker
    │   └── CancelledError    cancelled         the caller closed the exchange
    └── ApiError              provider          the provider answered with an error
        ├── AuthError             auth              the key is missing or refused
        │   └── PermissionDeniedError permission    the key is known, the action is not allowed
        ├── BillingError          billing           no credit or quota left
        ├── RateLimitError        rate_limit        too many requests or tokens; ``retry_after``
        ├── InvalidRequestError   invalid_request   the provider refused the request's content
        │   ├── ContextLengthError    context_length    the prompt does not fit the model
        │   ├── UnsupportedModelError unsupported_model no such model here
        │   ├── NotFoundError         not_found         no such object or path
        │   ├── ConflictError         conflict          the object is in another state
        │   └── TooLargeError         too_large         the body is too large
        ├── ApiTimeoutError       api_timeout       the provider ran out of its own time
        └── ServerError           server            the provider failed
            └── OverloadedError       overloaded        the provider is too busy (Anthropic 529)

What a caller can do decides the class: fix the request, fix the set-up, or try again
(``error.retryable``).

A function that raises an error which it holds under a name of its own lets go of the name (``try:
raise error``, ``finally: del error``): error, traceback, frame and error would be a cycle, and keep
what the frame holds, request and connection, until the collector runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "CODES",
    "ApiError",
    "ApiTimeoutError",
    "AuthError",
    "BillingError",
    "CancelledError",
    "ConfigError",
    "ConflictError",
    "ConnectError",
    "ContextLengthError",
    "DeadlineError",
    "InvalidRequestError",
    "LMError",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "ProtocolError",
    "RateLimitError",
    "RequestError",
    "ServerError",
    "TooLargeError",
    "TransportError",
    "TruncatedError",
    "UnsupportedModelError",
    "api_error",
    "class_for_code",
    "code_for_status",
    "status_for_code",
]


class LMError(Exception):
    """Base of every error lmtools raises on purpose.

    ``code`` is the canonical word of the class; ``provider_code`` the provider's own, unchanged.
    ``retry_after`` is in seconds. ``partial`` is what had come of an answer that broke off (a
    ``types.Response``; its last tool call may be cut), ``answer_headers`` the headers of the answer
    that it was found in. ``str(error)`` never holds a key.
    """

    code = "error"
    retryable = False
    partial: Any = None
    answer_headers: tuple[tuple[str, str], ...] = ()

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        provider_code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.provider_code = provider_code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class RequestError(LMError):
    """The request is wrong in itself; nothing was sent. ``path`` is like ``messages[2].role``."""

    code = "invalid_request"

    def __init__(self, message: str, *, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class ConfigError(LMError):
    """Something the program needs was not given. ``env_keys`` name the variables that would do."""

    code = "not_configured"

    def __init__(
        self, message: str, *, provider: str | None = None, env_keys: Iterable[str] = ()
    ) -> None:
        super().__init__(message, provider=provider)
        self.env_keys = tuple(env_keys)


class TransportError(LMError):
    """The exchange broke before the provider's answer was whole."""

    code = "transport"
    retryable = True


class ConnectError(TransportError):
    """No connection was made: the name did not resolve, the port refused, TLS or a proxy failed."""

    code = "connect"


class DeadlineError(TransportError, TimeoutError):
    """One of our deadlines passed (connect, first byte, idle)."""

    code = "timeout"


class ProtocolError(TransportError):
    """The peer sent bytes that its protocol does not allow, or more than the bound."""

    code = "protocol"
    retryable = False


class TruncatedError(TransportError):
    """The answer ended before its end marker. It must never look like a short answer.

    ``partial`` holds what had come, when it came as a stream.
    """

    code = "truncated"


class CancelledError(TransportError):
    """The caller cancelled, or the client that asked has gone."""

    code = "cancelled"
    retryable = False


class ApiError(LMError):
    """The provider answered with an error.

    ``opaque`` holds what the provider's dialect says beyond the fields here (``types.Opaque``
    values); ``param`` the request's field that the provider blames; ``env_keys`` where a key could
    come from. ``answer`` is what it was read from: status, headers and body (with our key masked)
    of an HTTP answer of status 400 and above.
    """

    code = "provider"
    answer: tuple[int, tuple[tuple[str, str], ...], bytes] | None = None

    def __init__(
        self,
        message: str,
        *,
        provider: str | None = None,
        provider_code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        param: str | None = None,
        env_keys: Iterable[str] = (),
        opaque: tuple[object, ...] = (),
    ) -> None:
        super().__init__(
            message,
            provider=provider,
            provider_code=provider_code,
            status=status,
            request_id=request_id,
            retry_after=retry_after,
        )
        self.param = param
        self.env_keys = tuple(env_keys)
        self.opaque = opaque


class AuthError(ApiError):
    code = "auth"


class PermissionDeniedError(AuthError):
    code = "permission"


class BillingError(ApiError):
    code = "billing"


class RateLimitError(ApiError):
    code = "rate_limit"
    retryable = True


class InvalidRequestError(ApiError):
    code = "invalid_request"


class ContextLengthError(InvalidRequestError):
    code = "context_length"


class UnsupportedModelError(InvalidRequestError):
    code = "unsupported_model"


class NotFoundError(InvalidRequestError):
    code = "not_found"


class ConflictError(InvalidRequestError):
    code = "conflict"


class TooLargeError(InvalidRequestError):
    code = "too_large"


class ApiTimeoutError(ApiError):
    code = "api_timeout"
    retryable = True


class ServerError(ApiError):
    code = "server"
    retryable = True


class OverloadedError(ServerError):
    code = "overloaded"


_API_CLASSES: tuple[type[ApiError], ...] = (
    ApiError,
    AuthError,
    PermissionDeniedError,
    BillingError,
    RateLimitError,
    InvalidRequestError,
    ContextLengthError,
    UnsupportedModelError,
    NotFoundError,
    ConflictError,
    TooLargeError,
    ApiTimeoutError,
    ServerError,
    OverloadedError,
)
_BY_CODE: dict[str, type[ApiError]] = {cls.code: cls for cls in _API_CLASSES}

_TRANSPORT_CLASSES: tuple[type[TransportError], ...] = (
    TransportError,
    ConnectError,
    DeadlineError,
    ProtocolError,
    TruncatedError,
    CancelledError,
)
_RETRYABLE = frozenset(cls.code for cls in (*_API_CLASSES, *_TRANSPORT_CLASSES) if cls.retryable)

#: The HTTP status that stands for a code when a server has no better one (``status_for_code``).
_STATUS_OF_CODE: dict[str, int] = {
    "invalid_request": 400,
    "context_length": 400,
    "auth": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "unsupported_model": 404,
    "conflict": 409,
    "too_large": 413,
    "rate_limit": 429,
    "cancelled": 499,
    "provider": 502,
    "server": 500,
    "not_configured": 500,
    "transport": 502,
    "connect": 502,
    "protocol": 502,
    "truncated": 502,
    "timeout": 504,
    "api_timeout": 504,
    "overloaded": 529,
    "error": 500,
}
#: Every code an error or an error event may carry.
CODES = frozenset(_STATUS_OF_CODE)

_CODE_OF_STATUS: dict[int, str] = {
    401: "auth",
    402: "billing",
    403: "permission",
    404: "not_found",
    408: "api_timeout",
    409: "conflict",
    413: "too_large",
    429: "rate_limit",
    503: "overloaded",
    504: "api_timeout",
    529: "overloaded",
}


def class_for_code(code: str) -> type[ApiError]:
    """Return the ApiError class of a canonical code; ApiError itself for codes that have none."""
    return _BY_CODE.get(code, ApiError)


def code_for_status(status: int) -> str:
    """Return the canonical code that an HTTP status alone suggests."""
    known = _CODE_OF_STATUS.get(status)
    if known:
        return known
    if 400 <= status < 500:
        return "invalid_request"
    return "server" if status >= 500 else "provider"


def status_for_code(code: str) -> int:
    """Return the HTTP status a server answers with for a canonical code (500 when unknown)."""
    return _STATUS_OF_CODE.get(code, 500)


def api_error(code: str, message: str, *, status: int | None = None, **details: object) -> ApiError:
    """Return the ApiError of the class that ``code`` names, whatever the class.

    A code without an ApiError class of its own (``truncated``, ``timeout``) keeps its word, and
    with it whether a retry is worth it.
    """
    error = class_for_code(code)(message, status=status, **details)  # type: ignore[arg-type]
    if error.code != code and code in CODES:
        error.code = code
        error.retryable = code in _RETRYABLE
    return error
