"""The proxy's command line: words and environment -> ``Options``. No file is opened here."""

from __future__ import annotations

import ipaddress
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..flags import Flag, Program, UsageError
from ..flags import parse as parse_words
from ..flags.provider import (
    CONFLICTS,
    DEFAULT_PROVIDER,
    LOG_LEVEL,
    ProviderChoice,
    choose_provider,
    provider_flags,
)
from ..providers import PROVIDERS, Provider

__all__ = ["ModelRule", "Options", "is_loopback", "map_model", "parse", "program"]

_MIB = 1024 * 1024


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches a bind address; of names, only localhost counts."""
    if host.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


@dataclass(frozen=True, slots=True)
class ModelRule:
    """One ``-model-map``: a model whose name the pattern finds is replaced as a whole."""

    pattern: re.Pattern[str]
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a proxy runs with; the defaults are those of the flags.

    Times are seconds, None for no deadline. Raises UsageError when it would serve other machines
    without asking for a key. ``port`` 0 is a free one; ``port_fallback`` takes a free one when
    ``port`` is in use.
    """

    provider: ProviderChoice = field(default_factory=lambda: ProviderChoice(DEFAULT_PROVIDER))
    host: str = "127.0.0.1"
    port: int = 8082
    port_fallback: bool = False
    model_map: tuple[ModelRule, ...] = ()
    strict: bool = False
    max_body_bytes: int = 64 * _MIB
    max_connections: int = 512
    client_key_file: str | None = None
    allow_insecure_key_file: bool = False
    allow_unauthenticated: bool = False
    connect_timeout: float | None = 10.0
    first_byte_timeout: float | None = 600.0
    idle_timeout: float | None = 300.0
    retries: int = 1
    log_level: str = "info"
    log_format: str = "text"

    def __post_init__(self) -> None:
        authenticated = self.client_key_file is not None or self.allow_unauthenticated
        if not authenticated and not is_loopback(self.host):
            raise UsageError(
                f"-host {self.host} lets other machines use the provider's key: give "
                f"-client-key-file FILE with the keys that clients must send, "
                f"or -allow-unauthenticated"
            )


_DEFAULTS = Options()


def program(providers: Iterable[str]) -> Program:
    """Return the proxy's command line for the named providers."""
    return Program(
        name="apiproxy",
        summary="Serve the Anthropic Messages and OpenAI Chat Completions APIs over one provider.",
        usage="apiproxy [flags]",
        flags=(*_server_flags(), *provider_flags(providers), *_exchange_flags(), *_log_flags()),
        conflicts=(*CONFLICTS, ("client-key-file", ("allow-unauthenticated",))),
        epilog="A flag may be written -name value, -name=value or --name=value.\n"
        "Exit codes: 0 ended on request, 1 failed, 2 wrong usage, 130 and 143 interrupted before "
        "it served.",
    )


def parse(
    words: Sequence[str],
    environ: Mapping[str, str],
    providers: Mapping[str, Provider] = PROVIDERS,
) -> Options:
    """Read the words after the program's name.

    Raises UsageError or InfoRequested.
    """
    parsed = parse_words(words, program(providers))
    if "client-key-file" in parsed.given and parsed.client_key_file is None:
        # An unset variable in a script must not open the door.
        raise UsageError("-client-key-file: the name of the file is empty; give one, or no flag")
    return Options(
        provider=choose_provider(parsed, environ, providers),
        host=_read_host(parsed.host),
        port=parsed.port,
        port_fallback=parsed.port_fallback,
        model_map=tuple(_read_rule(text) for text in parsed.model_map),
        strict=parsed.strict,
        max_body_bytes=parsed.max_request_body_size * _MIB,
        max_connections=parsed.max_connections,
        client_key_file=parsed.client_key_file,
        allow_insecure_key_file=parsed.allow_insecure_key_file,
        allow_unauthenticated=parsed.allow_unauthenticated,
        connect_timeout=parsed.connect_timeout or None,
        first_byte_timeout=parsed.first_byte_timeout or None,
        idle_timeout=parsed.idle_timeout or None,
        retries=parsed.retries,
        log_level=parsed.log_level,
        log_format=parsed.log_format,
    )


def map_model(rules: Iterable[ModelRule], model: str) -> str:
    """Return the provider's name for a model: the first rule that finds its pattern wins."""
    return next((rule.model for rule in rules if rule.pattern.search(model)), model)


def _server_flags() -> tuple[Flag, ...]:
    group = "server"
    return (
        Flag("host", "string", "address to listen on", default=_DEFAULTS.host, group=group),
        Flag(
            "port",
            "int",
            "port to listen on; 0 takes a free one",
            default=_DEFAULTS.port,
            minimum=0,
            maximum=65535,
            group=group,
        ),
        Flag("port-fallback", "bool", "take a free port when -port is in use", group=group),
        Flag(
            "client-key-file",
            "path",
            "file with one key a line; clients must send one of them",
            group=group,
        ),
        Flag(
            "allow-unauthenticated",
            "bool",
            "serve other machines without asking for a key",
            group=group,
        ),
        Flag(
            "max-request-body-size",
            "int",
            "largest request body in MB of 1048576 bytes",
            default=_DEFAULTS.max_body_bytes // _MIB,
            minimum=1,
            maximum=4096,
            group=group,
        ),
        Flag(
            "max-connections",
            "int",
            "clients served at once",
            default=_DEFAULTS.max_connections,
            minimum=1,
            maximum=65535,
            group=group,
        ),
    )


def _exchange_flags() -> tuple[Flag, ...]:
    group = "exchanges with the provider"
    deadlines = (
        ("connect-timeout", "longest wait for a connection; 0 for no limit", "connect_timeout"),
        ("first-byte-timeout", "longest wait for an answer to begin", "first_byte_timeout"),
        ("idle-timeout", "longest silence within an answer", "idle_timeout"),
    )
    return (
        Flag(
            "model-map",
            "repeat",
            "send requests whose model REGEX finds to MODEL; split at the last =; first match wins",
            metavar="REGEX=MODEL",
            group=group,
        ),
        Flag(
            "strict",
            "bool",
            "refuse requests that the provider cannot be told as they were asked",
            group=group,
        ),
        *(
            Flag(name, "duration", text, getattr(_DEFAULTS, attribute), minimum=0, group=group)
            for name, text, attribute in deadlines
        ),
        Flag(
            "retries",
            "int",
            "further attempts after a failure that may pass",
            default=_DEFAULTS.retries,
            minimum=0,
            maximum=100,
            group=group,
        ),
    )


def _log_flags() -> tuple[Flag, ...]:
    log_format = Flag(
        "log-format",
        "choice",
        "form of the log on standard error",
        default=_DEFAULTS.log_format,
        choices=("text", "json"),
        group=LOG_LEVEL.group,
    )
    return (LOG_LEVEL, log_format)


def _read_host(text: str) -> str:
    """Return an address or name to bind, an IPv6 address without its brackets."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        ipaddress.ip_address(host)
    except ValueError:
        if not re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})", host):
            raise UsageError(
                f"-host: {text[:60]!r} is not an address or a host name; "
                f"give one such as 127.0.0.1 or ::1 (the port goes to -port)"
            ) from None
    return host


def _read_rule(text: str) -> ModelRule:
    """Return one rule, split at the last ``=``: a pattern may hold one, as in ``(?=x)``."""
    pattern, equals, model = (part.strip() for part in text.rpartition("="))
    if not equals or not pattern or not model:
        raise UsageError(f"-model-map: {text[:60]!r} is not a rule; give REGEX=MODEL")
    return ModelRule(_compile(pattern, text), model)


def _compile(pattern: str, rule: str) -> re.Pattern[str]:
    """Compile a pattern, refusing what Python would read otherwise than meant: ``[[:alpha:]]``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(pattern)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise UsageError(
            f"-model-map: {rule[:60]!r}: the part before the last = is not a regular expression "
            f"({error})"
        ) from None
