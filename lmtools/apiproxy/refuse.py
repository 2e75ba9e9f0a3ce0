"""Errors as answers: every one in the JSON of the dialect that its reader speaks."""

from __future__ import annotations

from ..codecs import codec_named
from ..codecs.base import Codec, Headers
from ..codecs.text import dumps
from ..errors import ApiError, LMError, RequestError, api_error, code_for_status, status_for_code
from ..http1 import find
from ..types import StreamError, to_exception
from .inbound import Exchange


def as_api_error(error: LMError) -> ApiError:
    """Return any error as one that a codec can render; a provider's own goes as it is."""
    if isinstance(error, ApiError):
        return error
    return api_error(
        error.code,
        error.message,
        status=error.status or status_for_code(error.code),
        provider=error.provider,
        retry_after=error.retry_after,
        request_id=error.request_id,
        param=error.path or None if isinstance(error, RequestError) else None,
    )


def stream_refusal(event: StreamError, provider: str) -> ApiError:
    """Return the error that a stream began with as an exception, for a true status.

    What broke on the way has no class among the errors of providers; all others are its words.
    """
    error = to_exception(event)
    if type(error) is not ApiError or event.code == ApiError.code:
        error.provider = provider
    return error


def loggable(error: LMError) -> str:
    """Return an error for the log.

    A provider's own words stay out, since they may quote the prompt.
    """
    if isinstance(error, ApiError) and error.provider is not None:
        said = f" ({error.provider_code})" if error.provider_code else ""
        return f"{error.code}: {error.provider} answered {error.status or 'with an error'}{said}"
    return f"{error.code}: {error}"


def local_error(status: int, message: str) -> ApiError:
    """Return an error of the proxy's own with the code that its status suggests."""
    return api_error(code_for_status(status), message, status=status)


def send_refusal(http: Exchange, codec: Codec, error: ApiError, headers: Headers = ()) -> None:
    """Answer with an error in the codec's dialect."""
    refusal = codec.render_error(error)
    own = {name.lower() for name, _ in headers}
    rest = tuple((n, v) for n, v in refusal.headers if n.lower() not in own | {"content-type"})
    body = dumps(refusal.body).encode()
    http.respond(refusal.status, (("Content-Type", "application/json"), *headers, *rest), body)


def asker_dialect(path: str | None, headers: Headers) -> str:
    """Return the dialect of whoever asks for a path that both speak, or none.

    Anthropic's clients always send ``anthropic-version``; a request too broken to have a head is
    answered in OpenAI's form, which most tools read.
    """
    if path is not None and path.startswith("/v1/messages"):
        return "anthropic"
    if path is not None and path.startswith("/v1/chat/"):
        return "openai_chat"
    if find(headers, "anthropic-version") is not None:
        return "anthropic"
    if find(headers, "x-api-key") is not None and find(headers, "authorization") is None:
        return "anthropic"
    return "openai_chat"


def render_failure(path: str | None, status: int, message: str) -> tuple[Headers, bytes]:
    """Return headers and body of what the server itself refuses (``server.HttpServer``)."""
    refusal = codec_named(asker_dialect(path, ())).render_error(local_error(status, message))
    rest = tuple((n, v) for n, v in refusal.headers if n.lower() != "content-type")
    return (("Content-Type", "application/json"), *rest), dumps(refusal.body).encode()
