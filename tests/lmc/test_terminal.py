"""What goes to which stream, byte for byte."""

from __future__ import annotations

import io
import os

import pytest

from lmtools.lmc.terminal import (
    MAX_LINE,
    OutputClosedError,
    OutputError,
    Terminal,
    one_line,
    visible,
)


class Tty(io.BytesIO):
    def isatty(self):
        return True


class Broken(io.RawIOBase):
    """A stream that fails to write."""

    def __init__(self, error):
        self.error = error

    def write(self, data):
        raise self.error


class Case:
    def __init__(self, stdin=b"", *, tty=False, dim=False):
        self.out = Tty() if tty else io.BytesIO()
        self.err = io.StringIO()
        source = Tty(stdin) if tty else io.BytesIO(stdin)
        self.terminal = Terminal(source, self.out, self.err, dim=dim)

    @property
    def streams(self):
        return self.out.getvalue(), self.err.getvalue()


def test_an_answer_reaches_a_pipe_exactly_as_it_came():
    case = Case()
    for piece in ("a\x1b[31m", "\r\n", "é"):
        case.terminal.answer(piece)
    case.terminal.end_answer()

    assert case.streams == ("a\x1b[31m\r\né".encode(), "")


@pytest.mark.parametrize(("text", "out"), [("a", b"a\n"), ("a\n", b"a\n"), ("", b"")])
def test_a_terminal_gets_the_last_line_break(text, out):
    case = Case(tty=True)
    case.terminal.answer(text)
    case.terminal.end_answer()
    case.terminal.end_answer()

    assert case.streams == (out, "")


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83c\udf0d"], "🌍"),
        (["\ud83c", "\udf0d!"], "🌍!"),
        (["a\ud83c", "b"], "a\ufffdb"),
        (["a\ud83c"], "a\ufffd"),
        (["\udf0d"], "\ufffd"),
    ],
)
def test_halves_of_a_character_are_joined_and_lone_ones_replaced(pieces, text):
    case = Case()
    for piece in pieces:
        case.terminal.answer(piece)
    case.terminal.end_answer()

    assert case.out.getvalue().decode() == text


def test_reasoning_stands_between_marks_on_standard_error():
    case = Case()
    case.terminal.reasoning("one\n")
    case.terminal.reasoning("two\x07")
    case.terminal.answer("answer")
    case.terminal.end_answer()

    assert case.streams == (b"answer", "[reasoning]\none\ntwo\\x07\n[end of reasoning]\n")


def test_reasoning_is_dim_where_that_can_be_seen():
    case = Case(dim=True)
    case.terminal.reasoning("hm\n")
    case.terminal.fail("it broke")

    assert case.err.getvalue() == (
        "\x1b[2m[reasoning]\nhm\n[end of reasoning]\x1b[0m\nlmc: it broke\n"
    )


def test_a_message_begins_a_line_of_its_own_on_a_terminal():
    case = Case(tty=True)
    case.terminal.answer("half")
    case.terminal.fail("the answer was cut")

    assert case.streams == (b"half\n", "lmc: the answer was cut\n")


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warn", "error"]),
        ("info", ["info", "warn", "error"]),
        ("warn", ["warn", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_log_level_decides_which_notes_are_printed(level, seen):
    case = Case()
    case.terminal.level = level
    for word in ("debug", "info", "warn", "error"):
        case.terminal.note(word, "text")

    assert case.err.getvalue() == "".join(f"lmc: {word}: text\n" for word in seen)


def test_a_message_is_one_line_of_bounded_length_without_control_characters():
    assert one_line(" a\r\n b\tc \x1b]0;t\x07 \x9b") == "a b c \\x1b]0;t\\x07 \\x9b"
    assert one_line("x" * 9999) == "x" * MAX_LINE + "..."
    assert visible("a\tb\n\x00") == "a\tb\n\\x00"


def test_a_key_is_masked_in_every_line():
    case = Case()
    case.terminal.level = "debug"
    case.terminal.hide("sk-planted-key")
    case.terminal.fail("refused sk-planted-key")
    case.terminal.note("debug", "sent sk-planted-key")
    case.terminal.lines(["cites sk-planted-key"])

    assert "planted" not in case.err.getvalue()
    assert case.err.getvalue().count("***") == 3


def test_a_user_name_is_no_key_and_breaks_no_words():
    case = Case()
    case.terminal.hide("me")
    case.terminal.fail("the name")

    assert case.err.getvalue() == "lmc: the name\n"


def test_a_terminal_is_told_that_a_prompt_is_awaited():
    case = Case(b"Hi\n", tty=True)

    assert case.terminal.read(100) == b"Hi\n"
    assert case.err.getvalue().count("\n") == 1
    assert "Ctrl-D" in case.err.getvalue()


def test_a_pipe_is_read_without_a_word():
    case = Case(b"Hi")

    assert case.terminal.read(1) == b"H"
    assert case.streams == (b"", "")


def test_streams_that_were_closed_are_no_crash():
    terminal = Terminal(None, None, None)
    terminal.reasoning("hm")
    terminal.fail("nobody hears")

    assert terminal.read(10) == b""
    with pytest.raises(OutputError, match="closed"):
        terminal.answer("x")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BrokenPipeError(32, "Broken pipe"), OutputClosedError),
        (OSError(28, "No space left on device"), OutputError),
    ],
)
def test_an_output_that_takes_nothing_is_said(error, kind):
    terminal = Terminal(None, Broken(error), io.StringIO())

    with pytest.raises(kind) as caught:
        terminal.answer("x")

    assert type(caught.value) is kind


def test_a_broken_pipe_is_led_nowhere_so_that_the_interpreter_can_flush_it():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as out:
        terminal = Terminal(None, out, None)
        with pytest.raises(OutputClosedError):
            terminal.answer("x")
        out.flush()


def test_standard_error_that_takes_nothing_is_no_failure():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    terminal = Terminal(None, io.BytesIO(), Full())
    terminal.fail("nobody hears")
    terminal.answer("x")

    assert terminal._out.getvalue() == b"x"
