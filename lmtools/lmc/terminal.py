"""lmc's three streams: the prompt comes from one, the answer goes to another, the rest elsewhere.

This is the only module of lmc that reads standard input and prints. Standard output gets the
answer's bytes and nothing of our own, except a last line break when it is a terminal. On standard
error, control characters are made visible, so that nothing a provider says can move the cursor.
"""

from __future__ import annotations

import os
import sys
from codecs import getincrementaldecoder
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO, TextIO

__all__ = ["LEVELS", "OutputClosedError", "OutputError", "Terminal", "one_line", "visible"]

LEVELS = ("debug", "info", "warn", "error")

#: Characters of a line on standard error; a provider's message may be a page of HTML.
MAX_LINE = 2000

# A shorter key is a user name, and may be a part of any word.
_SHORTEST_HIDDEN = 8

_KEPT_CONTROLS = "\t\n"
_CONTROLS = {
    code: f"\\x{code:02x}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in _KEPT_CONTROLS
}
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"


class OutputError(Exception):
    """Standard output takes no more; the text says why."""


class OutputClosedError(OutputError):
    """The reader of standard output has gone, as ``head`` does. Nobody is left to complain to."""


def visible(text: str) -> str:
    """Return the text with its control characters spelled out, tabs and line breaks aside."""
    return text.translate(_CONTROLS)


def one_line(text: str) -> str:
    """Return the text as one line of bounded length."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}..."


class Terminal:
    """The streams of one run. None stands for a stream that the caller of the program closed.

    ``level`` is the least important word of ``LEVELS`` that ``note`` prints. ``dim`` sets reasoning
    apart by the terminal's own means as well as by words.
    """

    def __init__(
        self,
        stdin: BinaryIO | None,
        stdout: BinaryIO | None,
        stderr: TextIO | None,
        *,
        dim: bool = False,
    ) -> None:
        self._in = stdin
        self._out = stdout
        self._err = stderr
        self._dim = dim
        self.level = "warn"
        self._hidden = ""
        self._out_is_tty = stdout is not None and stdout.isatty()
        self._out_open = False  # the terminal's last line on standard output has no end yet
        self._reasoning = False
        self._err_open = False
        # Halves of a surrogate pair may come in two pieces of a stream; alone they are no UTF-8.
        self._pairs = getincrementaldecoder("utf-16-le")("replace")

    @classmethod
    def of_process(cls, environ: Mapping[str, str]) -> Terminal:
        """Return the process's own streams, any of which its parent may have closed."""
        stdin = sys.stdin.buffer if sys.stdin is not None else None
        stdout = sys.stdout.buffer if sys.stdout is not None else None
        plain = environ.get("NO_COLOR") or environ.get("TERM", "dumb") == "dumb"
        dim = sys.stderr is not None and sys.stderr.isatty() and not plain
        return cls(stdin, stdout, sys.stderr, dim=dim)

    # Standard input

    def read(self, limit: int) -> bytes:
        """Return standard input up to ``limit`` bytes. Raises OSError.

        Waits for its end; at a terminal, says so first.
        """
        if self._in is None:
            return b""
        if self._in.isatty():
            self._error_line("lmc: type the prompt, and end it with Ctrl-D on a line of its own")
        return self._in.read(limit)

    # Standard output

    def answer(self, text: str) -> None:
        """Print a piece of the answer as it is, at once. Raises OutputError."""
        self._end_reasoning()
        text = self._pairs.decode(text.encode("utf-16-le", "surrogatepass"))
        self._write(text.encode())
        if text and self._out_is_tty:
            self._out_open = not text.endswith("\n")

    def end_answer(self) -> None:
        """End the answer's last line if a terminal shows it. Raises OutputError."""
        self._end_reasoning()
        rest = self._pairs.decode(b"", True)
        if rest:
            self._write(rest.encode())
        if self._out_open:
            self._out_open = False
            self._write(b"\n")

    def result(self, text: str) -> None:
        """Print something that is no answer, with a line break after it. Raises OutputError."""
        self._write(f"{text}\n".encode(errors="replace"))

    def _write(self, data: bytes) -> None:
        if self._out is None:
            raise OutputError("standard output is closed")
        try:
            self._out.write(data)
            self._out.flush()
        except OSError as error:
            _silence(self._out)
            self._out_open = False
            if isinstance(error, BrokenPipeError):
                raise OutputClosedError("standard output: its reader has gone") from error
            raise OutputError(f"standard output: {error.strerror or error}") from error

    # Standard error

    def hide(self, key: str) -> None:
        """Mask the key in every line from now on: a server may repeat what it was sent."""
        self._hidden = key if len(key) >= _SHORTEST_HIDDEN else ""

    def reasoning(self, text: str) -> None:
        """Print a piece of the model's reasoning, between two marks."""
        if not self._reasoning:
            self._error_line(f"{_DIM if self._dim else ''}[reasoning]")
            self._reasoning = True
        self._print(visible(text))
        if text:
            self._err_open = not text.endswith("\n")

    def note(self, level: str, text: str) -> None:
        """Print one line of the log."""
        if LEVELS.index(level) >= LEVELS.index(self.level):
            self._error_line(f"lmc: {level}: {self._one_line(text)}")

    def fail(self, text: str) -> None:
        """Print the one line that says why the run did not give a complete answer."""
        self._error_line(f"lmc: {self._one_line(text)}")

    def lines(self, lines: list[str]) -> None:
        """Print lines that belong to the answer but not into it, such as its sources."""
        for line in lines:
            self._error_line(self._one_line(line))

    def _one_line(self, text: str) -> str:
        return one_line(text.replace(self._hidden, "***") if self._hidden else text)

    def _end_reasoning(self) -> None:
        if not self._reasoning:
            return
        self._reasoning = False
        line_break = "\n" if self._err_open else ""
        self._err_open = False
        self._print(f"{line_break}[end of reasoning]{_PLAIN if self._dim else ''}\n")

    def _error_line(self, line: str) -> None:
        # A message after half a line of the answer would look like a part of it.
        with suppress(OutputError):
            self.end_answer()
        self._print(f"{line}\n")

    def _print(self, text: str) -> None:
        if self._err is None:
            return
        # There is no further place to say that standard error takes nothing.
        with suppress(OSError):
            self._err.write(text)
            self._err.flush()


def _silence(stream: BinaryIO) -> None:
    """Lead a stream that failed nowhere: the interpreter flushes it once more at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
