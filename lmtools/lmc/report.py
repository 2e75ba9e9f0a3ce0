"""What to say about an error, and the exit code: what failed, where, and what to do next."""

from __future__ import annotations

from ..errors import (
    ApiError,
    AuthError,
    BillingError,
    ConfigError,
    ConnectError,
    ContextLengthError,
    DeadlineError,
    LMError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    RequestError,
    ServerError,
    TooLargeError,
    TransportError,
    TruncatedError,
    UnsupportedModelError,
)
from ..flags.provider import ProviderChoice
from ..providers import provider_named

__all__ = ["describe", "exit_code"]

# The first class that fits decides; the exit codes are explained in ``options.EXIT_CODES``.
_EXIT_CODES: tuple[tuple[type[LMError], int], ...] = (
    (ConfigError, 2),
    (RequestError, 2),
    (TruncatedError, 3),
    (LMError, 1),
)

# What to do next, by what the provider or the network said; the first class that fits.
_NEXT: tuple[tuple[type[LMError], str], ...] = (
    (BillingError, "check the account's credit or quota"),
    (ContextLengthError, "send a shorter prompt"),
    (UnsupportedModelError, "-list-models shows what there is"),
    (NotFoundError, "check -model and -provider-url; -list-models shows the models"),
    (TooLargeError, "send a shorter prompt"),
    (ServerError, "try again later; -retries sets how often that is done at once"),
    (ConnectError, "check the address and the network"),
    (DeadlineError, "try again, or give a longer -timeout"),
    (TruncatedError, "try again"),
    (ProtocolError, "check that the address is that of an LLM API"),
    (TransportError, "try again, and check the address if it stays so"),
)


def exit_code(error: LMError) -> int:
    """Return the exit code that an error ends the program with."""
    return next(code for kind, code in _EXIT_CODES if isinstance(error, kind))


def describe(error: LMError, choice: ProviderChoice | None = None) -> str:
    """Return one sentence or two for a person. ``choice`` is the provider that was asked."""
    said = _said(error, choice)
    advice = _advice(error, choice)
    number = f" (request {error.request_id})" if error.request_id else ""
    if not advice or _advises(error):
        return f"{said}{number}"
    return f"{said.rstrip('.; ')}; {advice}{number}"


def _advises(error: LMError) -> bool:
    """Return whether an error of our own says already what to do next."""
    said = error.message.lower()
    return not isinstance(error, ApiError) and any(word in said for word in ("check ", "give "))


def _said(error: LMError, choice: ProviderChoice | None) -> str:
    if choice is None or not isinstance(error, ApiError):
        return error.message
    title = provider_named(choice.name).title
    status = f" ({error.status})" if error.status else ""
    match error:
        case PermissionDeniedError():
            what = "does not allow it"
        case AuthError():
            what = "refused the key"
        case _:
            what = "answered with an error"
    return f"{title} {what}{status}: {error.message}"


def _advice(error: LMError, choice: ProviderChoice | None) -> str:
    if isinstance(error, AuthError) and choice is not None:
        return _key_advice(choice)
    if isinstance(error, RateLimitError):
        wait = error.retry_after
        return "try again later" if wait is None else f"try again in {wait:.0f} s"
    return next((text for kind, text in _NEXT if isinstance(error, kind)), "")


def _key_advice(choice: ProviderChoice) -> str:
    """Return where the refused key came from, or where one could."""
    key = choice.key
    if key.path is not None:
        return f"the key came from {key.origin} {key.path}"
    if key.origin:
        return f"the key came from {key.origin}"
    variables = provider_named(choice.name).env_keys if choice.url is None else ()
    ways = " or ".join(("give -api-key-file FILE", *(f"set {name}" for name in variables)))
    return f"no key was sent: {ways}"
