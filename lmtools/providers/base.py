"""A provider is a row of data; a backend is a provider with an address and a credential.

``Backend`` answers what a client has to know before it sends: which dialect the model is served in,
the URL of an operation, the headers with the credential, and the ``Target`` for the codec.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ..codecs.base import Headers, Target
from ..errors import ConfigError
from ..secret import Secret
from ..types import Json, ModelInfo
from . import models

#: The version header that Anthropic's API asks of every request.
ANTHROPIC_VERSION = "2023-06-01"

# What the transport takes: names and addresses in ASCII, visible characters in paths.
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9A-Fa-f:.]+")
_PATH = re.compile(r"[\x21-\x7e]*")
# Targets that a backend keeps, and the longest name of a model that it keeps one for: names come
# from clients.
_MAX_TARGETS = 256
_LONGEST_KEPT = 256


@dataclass(frozen=True, slots=True)
class Provider:
    """One row of the provider table.

    ``base_url``      where its paths hang; None: the user must give an address
    ``wires``         (model prefix, dialect), first match wins; the last row has an empty prefix
    ``paths``         dialect -> operation (complete, count_tokens, models) -> path below the base
    ``auth``          dialect -> how the credential is sent: bearer, x-api-key or none
    ``suffixes``      ends of a user's address that name an endpoint instead of the base
    ``env_keys``      environment variables that may hold the key
    ``origin_class``  providers of one class honour each other's reasoning state
    ``real_models``   model names mean the vendors' models, so that facts follow from them
    ``parse_models``  reads the model list where it is not the dialect's own
    ``manners``       Target fields that hold for every model of this server
    ``compatible``    Target fields instead of ``manners`` at an address that the user gave
    """

    name: str
    title: str
    wires: tuple[tuple[str, str], ...]
    paths: Mapping[str, Mapping[str, str]]
    auth: Mapping[str, str]
    base_url: str | None = None
    suffixes: tuple[str, ...] = ()
    env_keys: tuple[str, ...] = ()
    key_required: bool = True
    default_model: str = ""
    origin_class: str = ""
    real_models: bool = True
    parse_models: Callable[[Json], tuple[ModelInfo, ...]] | None = None
    manners: Mapping[str, Any] = field(default_factory=dict)
    compatible: Mapping[str, Any] = field(default_factory=dict)

    def dialect(self, model: str) -> str:
        """Return the dialect in which this provider serves ``model``."""
        name = model.strip().lower()
        for prefix, dialect in self.wires:
            if name.startswith(prefix):
                return dialect
        raise ConfigError(f"{self.title} serves no model named {model!r}", provider=self.name)


@dataclass(frozen=True, slots=True)
class Backend:
    """A provider at an address, with a credential.

    Its repr shows neither key nor user information.
    """

    provider: Provider
    base_url: str
    secret: Secret | None = None
    custom: bool = False
    _targets: dict[str, tuple[Target, Target]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def dialect(self, model: str) -> str:
        return self.provider.dialect(model)

    def url(self, operation: str, dialect: str) -> str | None:
        """Return the URL of an operation, or None where the server has none."""
        path = self.provider.paths.get(dialect, {}).get(operation)
        return None if path is None else self.base_url + path

    def headers(self, dialect: str) -> Headers:
        """Return the headers of every request in that dialect, the credential among them."""
        found: list[tuple[str, str]] = []
        style = self.provider.auth.get(dialect, "none")
        if self.secret is not None and style == "bearer":
            found.append(("Authorization", f"Bearer {self.secret.reveal()}"))
        elif self.secret is not None and style == "x-api-key":
            found.append(("x-api-key", self.secret.reveal()))
        if dialect == "anthropic":
            found.append(("anthropic-version", ANTHROPIC_VERSION))
        return tuple(found)

    def origin(self, dialect: str) -> str:
        """Return whose reasoning state this is: dialect, class of providers, and a fingerprint.

        The fingerprint is 48 bits of a hash over host and credential: enough to tell two
        accounts apart, and not enough to find a key by.
        """
        key = self.secret.reveal() if self.secret else ""
        host = urlsplit(self.base_url).netloc
        mark = sha256(f"{host}\0{key}".encode()).hexdigest()[:12]
        return f"{dialect}:{self.provider.origin_class or self.provider.name}:{mark}"

    def target(self, model: str) -> Target:
        """Return what the codec must know of this server and model."""
        return self._kept_targets(model)[0]

    def target_as_sent(self, model: str) -> Target:
        """Return the target for a client of the target's own dialect; see ``as_sent``."""
        return self._kept_targets(model)[1]

    def _kept_targets(self, model: str) -> tuple[Target, Target]:
        """Return both targets. Making them takes as long as all else about a small request."""
        kept = self._targets.get(model)
        if kept is None:
            target = self._make_target(model)
            kept = target, as_sent(target)
            if len(self._targets) >= _MAX_TARGETS:
                self._targets.clear()
            if len(model) <= _LONGEST_KEPT:
                self._targets[model] = kept
        return kept

    def _make_target(self, model: str) -> Target:
        dialect = self.dialect(model)
        manners = self.provider.compatible if self.custom else self.provider.manners
        found: dict[str, Any] = dict(manners)
        if self.provider.real_models:
            found.update(models.facts(model, dialect))
        if dialect == "anthropic" and not found.get("default_max_tokens"):
            found["default_max_tokens"] = DEFAULT_MAX_TOKENS
        return Target(
            dialect=dialect,
            provider=self.provider.name,
            model=model,
            origin=self.origin(dialect),
            **found,
        )


#: What a dialect that requires a limit gets for a model nobody knows.
DEFAULT_MAX_TOKENS = 8_192


def as_sent(target: Target) -> Target:
    """Return the target for a client of the target's own dialect.

    Such a client knows the API that it speaks: what it says goes on as it was said, and a wrong
    request gets the server's own answer. What stays are the server's manners that no client can
    know behind a proxy: the name of the limits field and the roles it takes.
    """
    return replace(
        target,
        max_output_tokens=None,
        thinking=None,
        efforts=None,
        effort_map={},
        signs_calls=False,
        system="anywhere",
        stop=True,
        sampling=True,
        temperature_max=None,
        one_sampling_field=False,
        name_rule=None,
        id_rule=None,
        id_length=None,
        media=None,
    )


def open_backend(
    provider: Provider,
    base_url: str | None = None,
    secret: Secret | None = None,
    *,
    need_key: bool = True,
) -> Backend:
    """Return a backend; ConfigError says what is missing.

    ``base_url`` is a user's own address: such a server may need no key.
    """
    address = base_url or provider.base_url
    if not address:
        raise ConfigError(
            f"{provider.title} has no address of its own; give one with -provider-url",
            provider=provider.name,
        )
    if need_key and secret is None and provider.key_required and not base_url:
        raise ConfigError(
            f"{provider.title} needs a key: "
            f"give -api-key-file, or set {_either(provider.env_keys)}",
            provider=provider.name,
            env_keys=provider.env_keys,
        )
    return Backend(provider, read_base_url(address, provider.suffixes), secret, bool(base_url))


def _either(names: tuple[str, ...]) -> str:
    return " or ".join(names) if names else "it in the environment"


def read_base_url(address: str, suffixes: tuple[str, ...] = ()) -> str:
    """Return the base of an address: no endpoint at its end, no last slash.

    Raises ConfigError unless it is http or https with a host, in ASCII, as a request can carry it;
    and for what would end up in logs (user information) or get lost (a query, a fragment).
    """
    try:
        parts = urlsplit(address.strip())
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_ok = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_ok:
        raise ConfigError(
            f"address {_masked(address)!r}: expected http://host[:port]/path or https://...; "
            f"check -provider-url"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "the address holds a user name or password; give the key with -api-key-file instead"
        )
    _check_carried(parts, address)
    path = parts.path.rstrip("/")
    for suffix in suffixes:
        if path.endswith(suffix):
            path = path[: -len(suffix)].rstrip("/")
            break
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def _check_carried(parts: SplitResult, address: str) -> None:
    """Raise ConfigError for what a request made from the address would not or could not carry."""
    if parts.query or parts.fragment:
        raise ConfigError(
            "the address holds a query or a fragment, which requests would not carry; "
            "check -provider-url, and give a key with -api-key-file"
        )
    if _HOST.fullmatch(parts.hostname or "") is None or _PATH.fullmatch(parts.path) is None:
        raise ConfigError(
            f"address {_masked(address)!r}: a host name or path holds a character that a request "
            f"cannot carry; check -provider-url, and write xn-- names and %-escapes out"
        )


def _masked(address: str) -> str:
    """Return an address for a message, without what may stand before an ``@``."""
    return address.rpartition("@")[2][:200]
