"""The exchanges with a provider: an answer, its model list, and the request as a curl command.

Loaded after the flags are read and the prompt is checked, since it brings the whole client along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..client import LM, Call
from ..codecs.base import Loss
from ..errors import DeadlineError, LMError
from ..flags import render_duration
from ..flags.provider import ProviderChoice
from ..loopback import LoopbackTransport
from ..providers import Backend
from ..transport import Timeouts, shown_url
from ..types import ModelInfo, Request, events_from_response
from . import curl
from .chat import Answer, Outcome
from .hiding import KEY_MARK
from .options import Options
from .terminal import Terminal

__all__ = ["Clock", "Deadline", "ask", "curl_command", "list_models", "model_lines"]

#: Monotonic seconds.
Clock = Callable[[], float]

_LONGEST_CONNECT_S = 10.0


class Deadline:
    """A ``transport.Watch`` that ends the waits of an exchange when its time is over."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._end = clock() + seconds

    def fileno(self) -> int:
        return -1

    def readable(self) -> None:
        """Never called: there is no descriptor to watch."""

    def tick(self, now: float) -> float:
        """Return the seconds that are left. Raises DeadlineError."""
        left = self._end - now
        if left <= 0:
            took = render_duration(self._seconds)
            raise DeadlineError(
                f"no whole answer within {took}; give a longer -timeout, or -stream to see it grow"
            )
        return left


def ask(
    options: Options, backend: Backend, request: Request, terminal: Terminal, clock: Clock
) -> Outcome:
    """Send the request, show its answer, and judge it.

    Raises LMError when there is no answer, OutputError when it cannot be printed.
    """
    answer = Answer(terminal)
    started = clock()
    with _open(options, backend, terminal) as lm:
        call = lm.render(request)
        _note_call(call, terminal)
        if options.stream:
            _show_stream(lm, call, answer, terminal)
        else:
            _show_whole(lm, call, answer, _deadline(options, clock))
    terminal.end_answer()
    terminal.lines(answer.sources)
    for kind in answer.unshown:
        terminal.note("warn", f"the answer also holds {kind}, which a terminal cannot show")
    terminal.note("info", _cost(answer, request, clock() - started))
    return answer.outcome()


def list_models(
    options: Options, backend: Backend, terminal: Terminal, clock: Clock
) -> tuple[ModelInfo, ...]:
    """Return the provider's models, sorted by id. Raises LMError."""
    with _open(options, backend, terminal) as lm:
        found = lm.models(_deadline(options, clock))
    return tuple(sorted(found, key=lambda model: model.id))


def model_lines(title: str, models: tuple[ModelInfo, ...]) -> str:
    """Return a model list as text: a header, then a line for each."""
    lines = [f"Available {title} models:"]
    for model in models:
        name = model.display_name
        lines.append(f"  {model.id} ({name})" if name and name != model.id else f"  {model.id}")
    return "\n".join(lines)


def curl_command(
    options: Options, backend: Backend, request: Request, variable: str, terminal: Terminal
) -> str:
    """Return the request as a curl command, which reads a key that is a mark from ``variable``.

    Raises RequestError.
    """
    with _open(options, backend, terminal) as lm:
        call = lm.render(request)
    _note_losses(call.losses, terminal)
    if variable and variable != options.provider.key.origin:
        terminal.note(
            "warn", f"the key is left out: the command reads {variable} from its environment"
        )
    return curl.render(call.http, {KEY_MARK: variable} if variable else {})


def _open(options: Options, backend: Backend, terminal: Terminal) -> LM:

    def note_retry(error: LMError, attempt: int, wait: float) -> None:
        terminal.note(
            "warn", f"{error.message}; attempt {attempt} of {options.retries} in {wait:.1f} s"
        )

    return LM(
        backend,
        transport=_transport(options.provider),
        timeouts=_timeouts(options),
        retries=options.retries,
        on_retry=note_retry,
    )


def _timeouts(options: Options) -> Timeouts:
    """Return the limits of the single waits; a whole answer has a ``Deadline`` over all of them."""
    limit = options.timeout
    connect = _LONGEST_CONNECT_S if limit is None else min(limit, _LONGEST_CONNECT_S)
    silence = limit if options.stream else None
    return Timeouts(connect, silence, silence)


def _transport(choice: ProviderChoice) -> LoopbackTransport | None:
    """Return the transport to the built-in model, None for a provider on the network."""
    return LoopbackTransport(choice.loopback_wire) if choice.name == "loopback" else None


def _deadline(options: Options, clock: Clock) -> Deadline | None:
    return None if options.timeout is None else Deadline(options.timeout, clock)


def _show_stream(lm: LM, call: Call, answer: Answer, terminal: Terminal) -> None:
    with lm.open(call) as stream:
        for batch in stream.batches():
            answer.show(batch)
    _note_losses(tuple(stream.losses), terminal)


def _show_whole(lm: LM, call: Call, answer: Answer, deadline: Deadline | None) -> None:
    answer.show(events_from_response(lm.receive(call, deadline)))


def _note_call(call: Call, terminal: Terminal) -> None:
    terminal.note(
        "debug",
        f"{call.http.method} {shown_url(call.http.url)} model={call.request.model} "
        f"dialect={call.target.dialect} body={len(call.http.body)} bytes",
    )
    _note_losses(call.losses, terminal)


def _note_losses(losses: tuple[Loss, ...], terminal: Terminal) -> None:
    """Report what the provider will not get, or not as it was said.

    What an API demands and nobody gave (``defaulted``) is not the user's loss.
    """
    for loss in losses:
        terminal.note("info" if loss.action == "defaulted" else "warn", str(loss))


def _cost(answer: Answer, request: Request, seconds: float) -> str:
    counts: Mapping[str, int | None] = {
        "input": answer.usage.input_tokens,
        "output": answer.usage.output_tokens,
        "reasoning": answer.usage.reasoning_tokens,
    }
    known = ", ".join(f"{count} {name}" for name, count in counts.items() if count is not None)
    model = answer.model or request.model
    return f"{model}: {known or 'no'} tokens, {seconds:.2f} s"
