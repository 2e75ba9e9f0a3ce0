"""lmc as a user starts it: a process, real pipes, signals and exit codes."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.recorder import recorder, reply

ROOT = Path(__file__).parents[2]
LMC = (sys.executable, "-m", "lmtools.lmc")
WIRES = ("openai-chat", "anthropic")
#: Seconds after which a process that should have ended is a failure.
PATIENCE_S = 30


def lmc(*words, stdin=b"Hello\n", **environ):
    """Run lmc to its end."""
    return subprocess.run(
        [*LMC, *words],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        env={**os.environ, **environ},
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture(autouse=True)
def _interruptible():
    """Children inherit an ignored SIGINT, and a test run in the background has one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def start():
    """A function that starts lmc; what still runs at the end of the test is killed."""
    started = []

    def begin(*words, **streams):
        started.append(begin_process(*words, **streams))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def begin_process(*words, **streams):
    return subprocess.Popen(
        [*LMC, *words],
        cwd=ROOT,
        **{
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **streams,
        },
    )


def ended(process, stdin=None):
    """Give the process its input; return what is left of both outputs, and the exit code."""
    out, err = process.communicate(stdin, timeout=PATIENCE_S)
    return out, err, process.returncode


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", [(), ("-stream",)], ids=("whole", "stream"))
def test_a_piped_prompt_is_answered(wire, stream):
    done = lmc("-provider", "loopback", "-loopback-wire", wire, *stream)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"Hello", b"")


def test_the_console_script_has_an_entry_point():
    code = "import sys; from lmtools.lmc.__main__ import main; sys.exit(main(['-h']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)

    assert done.returncode == 0
    assert done.stdout.startswith(b"usage: lmc")


@pytest.mark.parametrize(
    ("words", "stdin", "code", "part"),
    [
        (("-provider", "loopback", "-strem"), b"x", 2, b"did you mean -stream?"),
        (("-provider", "loopback", "word"), b"x", 2, b"unexpected word"),
        (("-provider", "loopback"), b"", 2, b"empty"),
        (("-provider", "loopback"), b"\xff", 2, b"not UTF-8"),
        (("-provider", "openai"), b"x", 2, b"needs a key"),
        (("-provider", "openai", "-api-key-file", "."), b"x", 2, b"not a regular file"),
        (
            ("-provider", "openai", "-provider-url", "http://h.invalid", "-retries", "0"),
            b"x",
            1,
            b"h.invalid was not found",
        ),
        (("-provider", "loopback", "-model", "error-400"), b"x", 1, b"(400)"),
        (("-provider", "loopback", "-model", "cut", "-stream"), b"x", 3, b"cut"),
    ],
)
def test_what_is_wrong_is_one_line_and_the_exit_code(words, stdin, code, part):
    done = lmc(*words, stdin=stdin)

    assert done.returncode == code
    assert done.stderr.startswith(b"lmc: ")
    assert done.stderr.count(b"\n") == 1
    assert part in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_traceback(closed):
    command = f'exec "$0" -m lmtools.lmc -provider loopback {closed}'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable],
        cwd=ROOT,
        input=b"Hello",
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )

    assert done.returncode == {"<&-": 2, ">&-": 1, "2>&-": 0}[closed]
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("stream", [(), ("-stream",)], ids=("whole", "stream"))
def test_a_reader_that_left_is_a_quiet_failure(stream, start):
    """As in ``lmc ... | head``: no traceback, and none at the interpreter's last flush either."""
    reading, writing = os.pipe()
    os.close(reading)
    words = ("-provider", "loopback", "-model", "story", *stream)
    with os.fdopen(writing, "wb") as out:
        process = start(*words, stdout=out)
        _, err, code = ended(process, b"x")

    assert (code, err) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said(start):
    with open("/dev/full", "wb") as out:
        _, err, code = ended(start("-provider", "loopback", stdout=out), b"x")

    assert (code, err) == (1, b"lmc: standard output: No space left on device\n")


# Signals

SIGNALS = [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"terminated")]


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_a_signal_in_the_middle_of_a_stream_leaves_what_came(number, code, word, start):
    process = start("-provider", "loopback", "-model", "slow", "-stream")
    process.stdin.write(b"x")
    process.stdin.close()
    process.stdin = None
    first = process.stdout.read(4)
    process.send_signal(number)
    out, err, returned = ended(process)

    assert (returned, err) == (code, b"lmc: " + word + b"\n")
    assert b"one two three four".startswith((first + out)[:18])
    assert b"twenty" not in out


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_a_signal_while_the_prompt_is_awaited_ends_the_run(number, code, word, start):
    """At a terminal, so that the line on standard error tells that the wait has begun."""
    controller, terminal = pty.openpty()
    process = start("-provider", "loopback", stdin=terminal)
    hint = process.stderr.readline()
    process.send_signal(number)
    out, err, returned = ended(process)
    os.close(terminal)
    os.close(controller)

    assert b"Ctrl-D" in hint
    assert (returned, out, err) == (code, b"", b"lmc: " + word + b"\n")


@pytest.mark.parametrize("stream", [(), ("-stream",)], ids=("whole", "stream"))
@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_a_signal_while_an_answer_is_awaited_closes_the_connection(
    number, code, word, stream, start
):
    process = None

    def wait_for_the_client_to_leave(handler):
        process.send_signal(number)
        # An end of input: the client closed its side without an answer.
        if not handler.rfile.read(1):
            server.left.set()
        handler.close_connection = True

    with recorder(wait_for_the_client_to_leave) as server:
        words = ("-provider", "openai", "-provider-url", server.url, "-retries", "0")
        process = start(*words, *stream)
        out, err, returned = ended(process, b"x")

        assert server.left.wait(PATIENCE_S)
    assert (returned, out, err) == (code, b"", b"lmc: " + word + b"\n")


def test_a_terminal_gets_a_last_line_break(start):
    controller, terminal = pty.openpty()
    process = start("-provider", "loopback", stdout=terminal)
    os.close(terminal)
    _, err, code = ended(process, b"Hello")
    shown = os.read(controller, 100)
    os.close(controller)

    assert (code, err, shown) == (0, b"", b"Hello\r\n")


@pytest.mark.parametrize(
    ("environ", "dim"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
def test_reasoning_is_dim_at_a_terminal_that_can_show_it(start, environ, dim):
    controller, terminal = pty.openpty()
    process = start(
        "-provider", "loopback", "-model", "think", stderr=terminal, env={**os.environ, **environ}
    )
    os.close(terminal)
    out, _, code = ended(process, b"Hello")
    shown = os.read(controller, 1000)
    os.close(controller)

    assert (code, out) == (0, b"Hello")
    assert shown.startswith(b"\x1b[2m[reasoning]" if dim else b"[reasoning]")
    assert shown.endswith(b"[end of reasoning]\x1b[0m\r\n" if dim else b"[end of reasoning]\r\n")


# Printed commands

ANSWER = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
    ],
}
#: What each HTTP client says of itself and its connection; it says nothing about the request.
OWN_HEADERS = {"host", "accept-encoding", "connection", "content-length"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("keys", [(), ("-print-curl-keys",)], ids=("hidden", "shown"))
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_printed_command_sends_the_same_request(tmp_path, provider, keys):
    """The bytes of the body, and every header, from a real curl and from lmc itself."""
    prompt = 'it\'s "$HOME" `x` \\n\nEOJ\nGrüße 🌍 \u2028'.encode()
    key = tmp_path / "key"
    key.write_text("sk-planted-$key\"'`\\\n")
    key.chmod(0o600)
    with recorder(reply(200, ANSWER)) as server:
        words = ["-provider", provider, "-provider-url", server.url, "-api-key-file", str(key)]
        words += ["-model", "m", "-temperature", "0.5", "-s", "say $1", "-retries", "0"]
        lmc(*words, stdin=prompt)
        printed = lmc(*words, "-print-curl", *keys, stdin=prompt)
        assert len(server.seen) == 1, "-print-curl sends nothing"
        assert (b"planted" in printed.stdout) == bool(keys)
        variable = f"{provider.upper()}_API_KEY"
        environ = {**os.environ, variable: key.read_text().strip(), "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            ["sh", "-c", printed.stdout.decode()],
            env=environ,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    sent, curled = server.seen

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ANSWER
    assert (curled.method, curled.path) == (sent.method, sent.path)
    assert curled.body == sent.body
    assert headers_of(curled) == headers_of(sent)
    assert "planted" in json.dumps(headers_of(sent))


def headers_of(seen):
    return sorted((n.lower(), v) for n, v in seen.headers if n.lower() not in OWN_HEADERS)
