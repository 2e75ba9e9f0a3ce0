"""The program around the proxy: what it prints where, and that printing never ends it."""

from __future__ import annotations

import errno
import io
import signal
import subprocess
import sys

import pytest

from lmtools.apiproxy.__main__ import main
from lmtools.apiproxy.run import _proxy_hint


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


EARLY = """
import os, runpy, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "lmtools.apiproxy.options":
            os.kill(os.getpid(), signal.{name})

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupts())
sys.argv = ["apiproxy", "-provider", "loopback", "-port", "0"]
runpy.run_module("lmtools.apiproxy", run_name="__main__")
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_the_program_loads_ends_it_without_a_word(name: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY.format(name=name)],
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_a_program_that_calls_main_keeps_its_own_handlers():
    before = signal.getsignal(signal.SIGINT)

    main(["-h"])

    assert signal.getsignal(signal.SIGINT) is before


def test_clients_are_told_what_to_set_where_a_proxy_is_in_their_way():
    url, proxy = "http://127.0.0.1:8082", {"http_proxy": "http://proxy.example:3128"}

    assert _proxy_hint(url, {}) is None
    assert _proxy_hint(url, {**proxy, "no_proxy": "127.0.0.1"}) is None
    assert "NO_PROXY=127.0.0.1 " in (_proxy_hint(url, proxy) or "")
    assert "proxy.example" not in (_proxy_hint(url, proxy) or "")
