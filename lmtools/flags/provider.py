"""The rows and rules that both programs share: which provider, at which address, with which key.

A key comes from ``-api-key-file``, else ``-argo-user``, else the provider's environment variables.
Those variables are for the provider's own address: with ``-provider-url`` they are not used, so
that a key reaches a server it was not made for only when somebody says so with a flag.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..errors import ConfigError
from ..keys import KeySource
from ..providers import (
    ARGO_HOSTS,
    Backend,
    Provider,
    loopback,
    open_backend,
    provider_named,
    read_base_url,
)
from ..secret import Secret
from .declare import Flag, UsageError
from .words import Parsed

__all__ = [
    "CONFLICTS",
    "DEFAULT_PROVIDER",
    "LOG_LEVEL",
    "ProviderChoice",
    "choose_provider",
    "provider_flags",
]

DEFAULT_PROVIDER = "argo"
DEFAULT_LOOPBACK_WIRE = "openai-chat"

LOG_LEVEL = Flag(
    "log-level",
    "choice",
    "least important messages that are logged",
    default="info",
    choices=("debug", "info", "warn", "error"),
    aliases=(("warning", "warn"),),
    group="logging",
)

CONFLICTS = (
    ("argo-dev", ("argo-test",)),
    ("provider-url", ("argo-dev", "argo-test")),
)

#: Flags that only one provider knows. (``-api-key-file`` is taken, and checked, by every provider.)
_ONLY_FOR = {
    "argo-user": "argo",
    "argo-dev": "argo",
    "argo-test": "argo",
    "loopback-wire": "loopback",
}
#: Providers inside the program.
_WITHOUT_ADDRESS = ("loopback",)


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """A provider as chosen on a command line. ``url`` is None for the provider's own address."""

    name: str
    url: str | None = None
    key: KeySource = field(default_factory=KeySource)
    argo_host: str = "prod"
    loopback_wire: str = DEFAULT_LOOPBACK_WIRE

    def open(self) -> Backend:
        """Return the provider at its address with its key, whose file is read now.

        Raises ConfigError, as ``keys.load_key`` does for the file.
        """
        row = loopback(self.loopback_wire) if self.name == "loopback" else provider_named(self.name)
        if self.name == "argo":
            row = replace(row, base_url=ARGO_HOSTS[self.argo_host])
        # Whether a key is needed was decided with the flags (-list-models may do without).
        return open_backend(row, self.url, self.key.load(), need_key=False)


def provider_flags(providers: Iterable[str]) -> tuple[Flag, ...]:
    """Return the rows that choose among the named providers."""
    group = "provider and credentials"
    return (
        Flag(
            "provider",
            "choice",
            "who answers",
            default=DEFAULT_PROVIDER,
            choices=tuple(providers),
            group=group,
        ),
        Flag("provider-url", "string", "address of another server", metavar="URL", group=group),
        Flag("api-key-file", "path", "file that holds the provider's key", group=group),
        Flag(
            "allow-insecure-key-file",
            "bool",
            "take key files that group or others can use",
            group=group,
        ),
        Flag("argo-user", "string", "Argo user name or key", metavar="NAME", group=group),
        Flag("argo-dev", "bool", "use Argo's development host", group=group),
        Flag("argo-test", "bool", "use Argo's test host", group=group),
        Flag(
            "loopback-wire",
            "choice",
            "the dialect that the built-in loopback provider speaks",
            default=DEFAULT_LOOPBACK_WIRE,
            choices=("anthropic", "openai-chat"),
            aliases=(("openai", "openai-chat"), ("openai_chat", "openai-chat")),
            group=group,
        ),
    )


def choose_provider(
    parsed: Parsed,
    environ: Mapping[str, str],
    providers: Mapping[str, Provider],
    *,
    key_required: bool = True,
    key_required_at_url: Collection[str] = (),
) -> ProviderChoice:
    """Return what the flags of ``provider_flags`` and the environment choose.

    ``-provider-url`` makes a key optional, except for the providers in ``key_required_at_url``.
    Raises UsageError.
    """
    row = providers[parsed.provider]
    _check_provider_flags(parsed, row.name)
    url = _read_url(parsed.provider_url) if parsed.provider_url else None
    variables = row.env_keys if url is None else ()
    key = _choose_key(parsed, environ, variables)
    optional = url is not None and row.name not in key_required_at_url
    if not key.origin and key_required and row.key_required and not optional:
        raise _missing_key(row.name, variables)
    host = "dev" if parsed.argo_dev else "test" if parsed.argo_test else "prod"
    return ProviderChoice(row.name, url, key, host, parsed.loopback_wire)


def _check_provider_flags(parsed: Parsed, provider: str) -> None:
    """Refuse flags that the chosen provider would ignore."""
    for name, only in _ONLY_FOR.items():
        if name in parsed.given and getattr(parsed, name.replace("-", "_")) and provider != only:
            raise UsageError(
                f"-{name} is for -provider {only} only, and the provider is {provider}"
            )
    if parsed.provider_url and provider in _WITHOUT_ADDRESS:
        raise UsageError(
            f"-provider-url has no meaning with -provider {provider}: it has no address"
        )


def _read_url(text: str) -> str:
    """Return a checked address as typed. A name or password in it is never repeated."""
    if not text.isprintable() or any(char.isspace() for char in text):
        raise UsageError("-provider-url: the address holds a blank or a control character")
    try:
        read_base_url(text)
    except ConfigError as error:
        raise UsageError(f"-provider-url: {error}") from None
    return text


def _choose_key(parsed: Parsed, environ: Mapping[str, str], variables: Iterable[str]) -> KeySource:
    if parsed.api_key_file:
        insecure: bool = parsed.allow_insecure_key_file
        return KeySource("-api-key-file", path=parsed.api_key_file, allow_insecure=insecure)
    candidates = [("-argo-user", parsed.argo_user or "")]
    candidates += [(name, environ.get(name, "")) for name in variables]
    for origin, text in candidates:
        if text.strip():
            return KeySource(origin, secret=_secret(origin, text))
    return KeySource()


def _secret(origin: str, text: str) -> Secret:
    try:
        return Secret(text)
    except ValueError as error:
        raise UsageError(f"{origin}: {error}") from None


def _missing_key(provider: str, variables: Sequence[str]) -> UsageError:
    ways = ["give -api-key-file FILE"]
    if provider == _ONLY_FOR["argo-user"]:
        ways.insert(0, "give -argo-user NAME")
    ways += [f"set {name}" for name in variables]
    return UsageError(
        f"provider {provider} needs a key: {', or '.join(ways)}",
        provider=provider,
        env_keys=variables,
    )
