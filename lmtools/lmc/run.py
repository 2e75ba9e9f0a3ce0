"""One run: flags, files, prompt, exchange, exit code.

Everything the user gave is read and checked before anything is sent.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from os.path import basename

from ..errors import LMError
from ..flags import InfoRequested, UsageError
from ..flags.provider import ProviderChoice
from ..providers import Backend
from ..types import Request
from .chat import Outcome, build_request
from .hiding import hide_key
from .options import Options, parse
from .prompt import MAX_PROMPT, load_schema, parse_prompt
from .report import describe, exit_code
from .terminal import OutputClosedError, OutputError, Terminal

__all__ = ["run"]


def run(words: Sequence[str], environ: Mapping[str, str], terminal: Terminal) -> int:
    """Do what the words say and return the exit code; every failure is one line on stderr."""
    try:
        return _run(words, environ, terminal)
    except OutputClosedError:
        return 1
    except OutputError as error:
        terminal.fail(str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - the top of the program
        terminal.fail(_defect(error))
        return 1


def _run(words: Sequence[str], environ: Mapping[str, str], terminal: Terminal) -> int:
    choice = None
    try:
        options = parse(words, environ)
        choice = options.provider
        terminal.level = options.log_level
        outcome = _work(options, terminal)
    except InfoRequested as request:
        terminal.result(request.text.removesuffix("\n"))
        return 0
    except LMError as error:
        outcome = Outcome(exit_code(error), error=error)
    return _end(outcome, choice, terminal)


def _end(outcome: Outcome, choice: ProviderChoice | None, terminal: Terminal) -> int:
    reason = describe(outcome.error, choice) if outcome.error else outcome.reason
    if reason:
        terminal.fail(reason)
    return outcome.code


def _work(options: Options, terminal: Terminal) -> Outcome:
    schema = None if options.json_schema is None else load_schema(options.json_schema)
    backend, variable = _open(options, terminal)
    request = None
    if not options.list_models:
        model = options.model or backend.provider.default_model
        request = build_request(options, model, _read_prompt(terminal), schema)
    return _exchange(options, backend, request, variable, terminal)


def _open(options: Options, terminal: Terminal) -> tuple[Backend, str]:
    """Return the backend, and the variable that stands for its key if that is a mark only."""
    choice, variable = options.provider, ""
    if options.print_curl and not options.print_curl_keys:
        choice, variable = hide_key(choice)
    backend = choice.open()
    if backend.secret is not None:
        terminal.hide(backend.secret.reveal())
    return backend, variable


def _read_prompt(terminal: Terminal) -> str:
    try:
        data = terminal.read(MAX_PROMPT + 1)
    except OSError as error:
        raise UsageError(f"cannot read standard input: {error.strerror or error}") from error
    return parse_prompt(data)


def _exchange(
    options: Options,
    backend: Backend,
    request: Request | None,
    variable: str,
    terminal: Terminal,
) -> Outcome:
    # The client brings codecs and transport: help and mistakes in flags are answered without them.
    from . import send

    if request is None:
        models = send.list_models(options, backend, terminal, time.monotonic)
        terminal.result(send.model_lines(backend.provider.title, models))
        return Outcome(0)
    if options.print_curl:
        terminal.result(send.curl_command(options, backend, request, variable, terminal))
        return Outcome(0)
    return send.ask(options, backend, request, terminal, time.monotonic)


def _defect(error: Exception) -> str:
    """Return where an unexpected error came from. Its text is left out: it may hold anything."""
    place, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f"{basename(code.co_filename)}:{trace.tb_lineno} ({code.co_name})"
        trace = trace.tb_next
    return f"unexpected {type(error).__name__} at {place}; this is a defect of lmtools"
