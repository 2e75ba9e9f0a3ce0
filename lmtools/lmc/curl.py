"""A request as a ``curl`` command that sends the same method, address, headers and body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from shlex import quote

from ..http1 import Headers
from ..transport import HttpRequest

__all__ = ["render"]


def render(request: HttpRequest, hidden: Mapping[str, str] | None = None) -> str:
    """Return the command, without a line break at its end.

    ``hidden`` maps the text of a key to the shell variable that is written in its place in headers.
    The body stands in a quoted heredoc, so that the shell changes nothing in it, and must be UTF-8.
    """
    words = ["curl", *_buffering(request.headers), "-X", request.method]
    for name, value in request.headers:
        words += ["-H", _header(f"{name}: {value}", hidden or {})]
    if not request.body:
        return " ".join((*words, quote(request.url)))
    body = request.body.decode()
    mark = _delimiter(body)
    words += [_data_option(body), "@-", quote(request.url), f"<<'{mark}'"]
    return f"{' '.join(words)}\n{body}\n{mark}"


def _buffering(headers: Headers) -> tuple[str, ...]:
    """Return the option that lets curl print a stream as it comes."""
    wanted = {name.lower(): value for name, value in headers}.get("accept")
    return ("-N",) if wanted == "text/event-stream" else ()


def _header(line: str, hidden: Mapping[str, str]) -> str:
    """Return a header as one shell word, a hidden key in it as a variable."""
    for key, variable in hidden.items():
        before, found, after = line.partition(key)
        if found:
            return f'"{_in_double_quotes(before)}${{{variable}}}{_in_double_quotes(after)}"'
    return quote(line)


def _in_double_quotes(text: str) -> str:
    for special in ("\\", '"', "$", "`"):
        text = text.replace(special, f"\\{special}")
    return text


def _data_option(body: str) -> str:
    """Return the option that sends the heredoc as the body.

    A heredoc ends with a line break that the body does not have. ``--data`` drops every line break
    of what it reads, which is right for a body that has none, as compact JSON; ``--data-binary``
    drops nothing.
    """
    return "--data-binary" if "\n" in body or "\r" in body else "--data"


def _delimiter(body: str) -> str:
    """Return a word that is no line of the body."""
    lines = frozenset(body.split("\n"))
    return next(word for word in _delimiters() if word not in lines)


def _delimiters() -> Iterator[str]:
    yield "EOJ"
    number = 0
    while True:
        number += 1
        yield f"EOJ_{number}"
