"""The program around the proxy: what it prints where, and that printing never ends it."""

from __future__ import annotations

import errno
import io
import subprocess
import sys

import pytest

from lmtools.apiproxy.__main__ import main


def run(words: list[str], stdout: str) -> tuple[int, str]:
    """Run the program with its output led to a file; return exit code and standard error."""
    with open(stdout, "w") as file:
        done = subprocess.run(
            [sys.executable, "-m", "lmtools.apiproxy", *words],
            stdout=file,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
            timeout=60,
        )
    return done.returncode, done.stderr


def test_help_goes_to_standard_output(capsys):
    assert main(["-h"]) == 0
    assert capsys.readouterr().out.startswith("usage: apiproxy")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-prot", "80"], 2, "unknown flag -prot; did you mean -port?"),
        (["-provider", "loopback", "-client-key-file", "/nonexistent"], 1, "No such file"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_code(capsys, words, code, said):
    assert main(words) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_help_whose_reader_left_is_no_failure():
    """As in ``apiproxy -h | head -1``."""
    with subprocess.Popen(
        [sys.executable, "-m", "lmtools.apiproxy", "-h"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()

        assert program.stderr.read() == b""
        assert program.wait(60) == 0


def test_help_that_cannot_be_written_is_one_line():
    code, error = run(["-h"], "/dev/full")

    assert code == 1
    assert error == "apiproxy: standard output: No space left on device\n"


def test_a_full_standard_error_leaves_the_exit_code(monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stderr", Full())

    assert main(["-prot"]) == 2


def test_without_a_standard_error_nothing_goes_to_standard_output(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr", None)

    assert main(["-prot"]) == 2
    assert capsys.readouterr().out == ""
