"""lmc's command line: words and environment -> ``Options``. No file is opened here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..flags import Flag, Program
from ..flags import parse as parse_words
from ..flags.provider import CONFLICTS, LOG_LEVEL, ProviderChoice, choose_provider, provider_flags
from ..providers import PROVIDERS, Provider

__all__ = ["EXIT_CODES", "Options", "parse", "program"]

#: What the program's exit codes mean, in every version.
EXIT_CODES = (
    (0, "the answer is complete"),
    (1, "failed"),
    (2, "wrong usage"),
    (3, "the answer is empty, cut or limited in length"),
    (4, "the model refused"),
    (5, "the limit of tool rounds was reached"),
    (130, "interrupted (SIGINT)"),
    (143, "terminated (SIGTERM)"),
)

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

# A filter in a pipe says nothing on stderr while all is well: "info" adds what an answer cost,
# "debug" what was sent where. What a request lost on its way to the provider is a warning.
_LOG_LEVEL = replace(LOG_LEVEL, default="warn")

# Argo's users are named in every request, whatever server the address leads to.
_KEY_REQUIRED_AT_URL = ("argo",)

# A list of models has no prompt, no sampling and no answer to shape.
_CHAT_ONLY = (
    "stream",
    "print-curl",
    "model",
    "s",
    "max-tokens",
    "temperature",
    "effort",
    "json",
    "json-schema",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What one run of lmc does.

    None leaves the choice to the provider, or for ``system`` to the program; an empty ``system`` is
    no system prompt. ``timeout`` is seconds for a whole answer, or for a stream to begin and for
    its silences; None for no limit. ``json_schema`` is a path as typed.
    """

    provider: ProviderChoice
    model: str | None = None
    system: str | None = None
    stream: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    effort: str | None = None
    json: bool = False
    json_schema: str | None = None
    print_curl: bool = False
    print_curl_keys: bool = False
    list_models: bool = False
    timeout: float | None = 600.0
    retries: int = 3
    log_level: str = "warn"


def program(providers: Iterable[str]) -> Program:
    """Return lmc's command line for the named providers."""
    codes = "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES)
    return Program(
        name="lmc",
        summary="Send the text on standard input to a model and print the answer.",
        usage="lmc [flags] < prompt",
        input="the prompt is read from standard input",
        flags=(*_chat_flags(), *provider_flags(providers), *_exchange_flags(), _LOG_LEVEL),
        conflicts=(
            *CONFLICTS,
            ("json", ("json-schema",)),
            ("list-models", _CHAT_ONLY),
        ),
        needs=(("print-curl-keys", "print-curl"),),
        epilog="A flag may be written -name value, -name=value or --name=value.\n\n"
        f"exit codes:\n{codes}",
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
    provider = choose_provider(
        parsed,
        environ,
        providers,
        # A list of models may be open to everybody, and a printed command names the key only.
        key_required=not (parsed.list_models or (parsed.print_curl and not parsed.print_curl_keys)),
        key_required_at_url=_KEY_REQUIRED_AT_URL,
    )
    return Options(
        provider=provider,
        model=parsed.model or None,
        system=parsed.s,
        stream=parsed.stream,
        max_tokens=parsed.max_tokens or None,
        temperature=parsed.temperature,
        effort=parsed.effort,
        json=parsed.json,
        json_schema=parsed.json_schema,
        print_curl=parsed.print_curl,
        print_curl_keys=parsed.print_curl_keys,
        list_models=parsed.list_models,
        timeout=parsed.timeout or None,
        retries=parsed.retries,
        log_level=parsed.log_level,
    )


def _chat_flags() -> tuple[Flag, ...]:
    group = "chat"
    return (
        Flag("model", "string", "model id; the provider's own choice if absent", group=group),
        Flag("s", "string", "system prompt; -s '' sends none", group=group),
        Flag("stream", "bool", "print the answer while it is written", group=group),
        Flag(
            "max-tokens",
            "int",
            "longest answer in tokens; 0 leaves it to the provider",
            default=0,
            minimum=0,
            group=group,
        ),
        Flag("temperature", "float", "spread of the answers", minimum=0, group=group),
        Flag(
            "effort",
            "choice",
            f"how much to reason: {', '.join(EFFORTS)}",
            choices=EFFORTS,
            metavar="WORD",
            group=group,
        ),
        Flag("json", "bool", "ask for an answer that is a JSON object", group=group),
        Flag("json-schema", "path", "ask for JSON that fits the schema in FILE", group=group),
        Flag(
            "print-curl", "bool", "print the request as a curl command, send nothing", group=group
        ),
        Flag("print-curl-keys", "bool", "show keys in -print-curl", group=group),
        Flag("list-models", "bool", "print the provider's models", group=group),
    )


def _exchange_flags() -> tuple[Flag, ...]:
    group = "exchange"
    return (
        Flag(
            "timeout",
            "duration",
            "longest wait for the whole answer, or with -stream for its start and in its silences; "
            "0 for no limit",
            default=600.0,
            minimum=0,
            group=group,
        ),
        Flag(
            "retries",
            "int",
            "further attempts after a failure that may pass",
            default=3,
            minimum=0,
            maximum=100,
            group=group,
        ),
    )
