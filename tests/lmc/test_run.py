"""The contract of lmc's three streams and its exit code, in one process with streams of the test."""

from __future__ import annotations

import io
import json
import os
import signal

import pytest

from lmtools.errors import DeadlineError
from lmtools.lmc import send
from lmtools.lmc.__main__ import main
from lmtools.lmc.chat import SYSTEM_PROMPT
from lmtools.lmc.send import Deadline
from lmtools.lmc.terminal import Terminal
from tests.fakes.recorder import recorder, reply

WIRES = ("openai-chat", "anthropic")
STREAMS = ((), ("-stream",))


class Result:
    def __init__(self, words, stdin=b"Hello\n", stdout=None, **environ):
        out, err = stdout or io.BytesIO(), io.StringIO()
        if isinstance(stdin, str):
            stdin = stdin.encode()
        source = io.BytesIO(stdin) if isinstance(stdin, bytes) else stdin
        self.code = main(words, environ, Terminal(source, out, err))
        self.out = b"" if stdout else out.getvalue()
        self.err = err.getvalue()

    @property
    def line(self):
        """The one line on standard error."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("lmc: "), self.err
        return self.err.removeprefix("lmc: ").rstrip("\n")


def loopback(*words, stdin="Hello\n", **environ):
    return Result(("-provider", "loopback", *words), stdin, **environ)


@pytest.fixture(params=WIRES)
def wire(request):
    return request.param


@pytest.fixture(params=STREAMS, ids=("whole", "stream"))
def stream(request):
    return request.param


# Answers


def test_the_answer_is_all_that_standard_output_gets(wire, stream):
    result = loopback("-loopback-wire", wire, *stream, stdin="  Grüße, 🌍!\n\n")

    assert (result.code, result.out, result.err) == (0, "Grüße, 🌍!".encode(), "")


def test_reasoning_goes_to_standard_error(wire, stream):
    result = loopback("-loopback-wire", wire, "-model", "think", *stream)

    assert (result.code, result.out) == (0, b"Hello")
    assert result.err.startswith("[reasoning]\nThe user")
    assert result.err.endswith("\n[end of reasoning]\n")


def test_a_cut_answer_leaves_what_came_and_says_so(wire):
    result = loopback("-loopback-wire", wire, "-model", "cut", "-stream")

    assert result.code == 3
    assert result.out.startswith(b"Once there was")
    assert "the answer was cut" in result.line


def test_a_cut_whole_answer_prints_nothing(wire):
    result = loopback("-loopback-wire", wire, "-model", "cut")

    assert (result.code, result.out) == (3, b"")
    assert "try again" in result.line


def test_an_answer_limited_in_length_is_no_complete_one(wire, stream):
    result = loopback("-loopback-wire", wire, "-model", "story", "-max-tokens", "5", *stream)

    assert result.code == 3
    assert result.out
    assert "-max-tokens" in result.line


def test_an_error_of_the_provider_is_one_line(wire, stream):
    result = loopback("-loopback-wire", wire, "-model", "error-529", "-retries", "0", *stream)

    assert (result.code, result.out) == (1, b"")
    assert "(529)" in result.line
    assert "try again later" in result.line
    assert "req_" in result.line


def test_a_retry_is_told_before_the_wait(wire, monkeypatch):
    monkeypatch.setattr("lmtools.client.pause", lambda seconds, watch: None)
    result = loopback("-loopback-wire", wire, "-model", "error-429", "-retries", "2")

    lines = result.err.splitlines()
    assert [line.partition("; ")[2][:14] for line in lines[:2]] == [
        "attempt 1 of 2",
        "attempt 2 of 2",
    ]
    assert len(lines) == 3
    assert result.code == 1


def test_an_unknown_model_is_answered_with_where_the_models_are(wire):
    result = loopback("-loopback-wire", wire, "-model", "nope", "-stream")

    assert result.code == 1
    assert "-list-models" in result.line


def test_the_models_are_listed_in_order(wire):
    result = loopback("-loopback-wire", wire, "-list-models", stdin="")
    lines = result.out.decode().splitlines()

    assert (result.code, result.err) == (0, "")
    assert lines[0] == "Available loopback models:"
    assert lines[1:] == sorted(lines[1:])
    assert any(line.split()[0] == "echo" for line in lines[1:])


def test_a_schema_shapes_the_answer(tmp_path, wire):
    path = tmp_path / "s.json"
    path.write_text(
        '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}'
    )
    result = loopback("-loopback-wire", wire, "-json-schema", str(path))

    assert result.code == 0
    assert isinstance(json.loads(result.out)["a"], int)


# What the log says


def test_a_loss_is_a_warning_and_what_the_api_demands_is_none():
    quiet = loopback("-loopback-wire", "anthropic", "-effort", "high")
    loss = loopback("-loopback-wire", "anthropic", "-json")
    info = loopback("-loopback-wire", "anthropic", "-log-level", "info")

    assert quiet.err == ""
    assert loss.line.startswith("warn: output: ")
    assert "info: max_tokens: defaulted" in info.err
    assert loopback("-loopback-wire", "anthropic", "-json", "-log-level", "error").err == ""


def test_info_says_what_the_answer_cost(wire, stream):
    result = loopback("-loopback-wire", wire, "-log-level", "info", *stream)

    assert result.err.splitlines()[-1].startswith("lmc: info: echo: ")
    assert " input, " in result.err
    assert " output tokens, " in result.err


def test_debug_says_what_is_sent_where(wire):
    result = loopback("-loopback-wire", wire, "-log-level", "debug")

    assert "debug: POST http://loopback.invalid/v1/" in result.err
    assert "model=echo" in result.err


# Bad input: exit code 2, one line, nothing sent


@pytest.mark.parametrize(
    ("words", "stdin", "part"),
    [
        (("-strem",), "x", "unknown flag -strem; did you mean -stream?"),
        (("-tool",), "x", "unknown flag -tool;"),
        (("Hello",), "x", "unexpected word 'Hello'"),
        (("-stream", "false"), "x", "-stream=false"),
        (("-max-tokens", "many"), "x", "-max-tokens"),
        (("-provider", "opeani"), "x", "openai"),
        (("-json", "-json-schema", "s"), "x", "exclude each other"),
        (("-json-schema", "/nowhere/s.json"), "x", "No such file"),
        (("-provider", "openai"), "x", "provider openai needs a key"),
        (("-provider", "openai", "-api-key-file", "/nowhere/k"), "x", "No such file"),
        (("-provider", "openai", "-provider-url", "ftp://h"), "x", "-provider-url"),
        ((), "", "the prompt is empty"),
        ((), " \n\t ", "the prompt is empty"),
        ((), b"caf\xe9", "not UTF-8"),
        ((), b"a\0b", "NUL"),
        ((), b"x" * (10 * 1024 * 1024 + 1), "10 MiB"),
    ],
)
def test_bad_input_is_one_line_and_code_2(words, stdin, part):
    result = loopback(*words, stdin=stdin)

    assert (result.code, result.out) == (2, b"")
    assert part in result.line


def test_a_key_file_that_others_can_read_is_refused_with_the_line_that_mends_it(tmp_path):
    path = tmp_path / "key"
    path.write_text("sk-planted")
    path.chmod(0o644)
    result = Result(("-provider", "openai", "-api-key-file", str(path)))

    assert result.code == 2
    assert f"Run: chmod 600 '{path}'" in result.line
    assert "planted" not in result.err


def test_the_files_are_checked_before_the_prompt_is_awaited(tmp_path):
    class Untouched(io.BytesIO):
        def read(self, size=-1):
            raise AssertionError("standard input was read")

    words = ("-provider", "loopback", "-json-schema", str(tmp_path / "none"))

    assert Result(words, Untouched()).code == 2


def test_standard_input_that_cannot_be_read_is_said():
    class Folder(io.BytesIO):
        def read(self, size=-1):
            raise IsADirectoryError(21, "Is a directory")

    assert "standard input: Is a directory" in Result(("-provider", "loopback"), Folder()).line


@pytest.mark.parametrize("words", [("-h",), ("-help",), ("-stream", "--help")])
def test_help_is_what_standard_output_gets_with_code_0(words):
    result = Result(words, b"")

    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(b"usage: lmc [flags] < prompt\n")
    assert result.out.endswith(b"143  terminated (SIGTERM)\n")


# The network


def test_a_host_that_does_not_resolve_is_one_line():
    words = ("-provider", "openai", "-provider-url", "http://host.invalid/v1", "-retries", "0")
    result = Result(words)

    assert (result.code, result.out) == (1, b"")
    assert "host.invalid was not found" in result.line


def test_a_port_that_refuses_is_one_line(unused_port):
    words = ("-provider", "openai", "-provider-url", f"http://127.0.0.1:{unused_port}")
    result = Result((*words, "-retries", "0"))

    assert result.code == 1
    assert "Connection refused" in result.line


@pytest.fixture
def unused_port():
    with recorder(reply(200, {})) as server:
        return server.port


def chat(url, *words, key=None, **more):
    environ = {}
    words = ("-provider", "openai", "-provider-url", url, "-model", "m", "-retries", "0", *words)
    return Result(words, **environ, **more)


def frames(*chunks, done=True):
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join(lines + ["data: [DONE]\n\n"] * done).encode()


def chunk(finish=None, **delta):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    }


def streamed(*chunks, done=True):
    return reply(200, frames(*chunks, done=done), Content_Type="text/event-stream")


TEXT = {"role": "assistant", "content": "half"}


@pytest.mark.parametrize(
    ("answer", "code", "out", "part"),
    [
        (streamed(chunk(**TEXT), chunk("stop")), 0, b"half", ""),
        (streamed(chunk(**TEXT), done=False), 3, b"half", "the answer was cut"),
        (streamed(chunk(**TEXT), chunk("length")), 3, b"half", "-max-tokens"),
        (streamed(chunk("stop", role="assistant")), 3, b"", "empty"),
        (streamed(chunk(refusal="I won't"), chunk("stop")), 4, b"", "refused to answer: I won't"),
        (streamed(chunk(**TEXT), chunk("content_filter")), 4, b"half", "filter"),
        (
            streamed(chunk(**TEXT), {"error": {"message": "went wrong", "type": "server_error"}}),
            1,
            b"half",
            "went wrong",
        ),
        (reply(401, {"error": {"message": "bad key", "type": "auth"}}), 1, b"", "no key was sent"),
        (reply(200, b"<html>"), 1, b"", "-provider-url"),
        (reply(302, b"", Location="http://elsewhere.invalid/"), 1, b"", "redirect"),
        (reply(200, b'{"choices": 7}'), 1, b"", "choices"),
    ],
)
def test_what_a_server_does_decides_code_output_and_message(answer, code, out, part):
    with recorder(answer) as server:
        result = chat(server.url, "-stream")

    assert (result.code, result.out) == (code, out)
    assert part in (result.line if part else "")


def test_a_server_that_repeats_the_key_does_not_bring_it_to_the_terminal(tmp_path):
    path = tmp_path / "key"
    path.write_text("sk-planted-key\n")
    path.chmod(0o600)
    refusal = {"error": {"message": "Incorrect API key: sk-planted-key", "type": "auth"}}
    with recorder(reply(401, refusal)) as server:
        result = chat(server.url, "-api-key-file", str(path), "-log-level", "debug")

    assert server.seen[0].header("authorization") == "Bearer sk-planted-key"
    assert result.code == 1
    assert "planted" not in result.err
    assert f"the key came from -api-key-file {path}" in result.err


def test_the_request_is_what_the_flags_say():
    answer = streamed(chunk(**TEXT), chunk("stop"))
    with recorder(answer) as server:
        chat(server.url, "-stream", "-temperature", "0.5", "-max-tokens", "9")
    body = json.loads(server.seen[0].body)

    assert server.seen[0].path == "/chat/completions"
    assert body["messages"] == [
        {"role": "system", "content": SYSTEM_PROMPT},
        {"role": "user", "content": "Hello"},
    ]
    assert (body["stream"], body["temperature"], body["max_tokens"]) == (True, 0.5, 9)


# Limits of time


def test_a_whole_answer_has_one_deadline_over_all_its_waits():
    now = [100.0]
    deadline = Deadline(5.0, lambda: now[0])

    assert deadline.fileno() == -1
    assert deadline.tick(102.0) == 3.0
    with pytest.raises(DeadlineError, match="within 5s; give a longer -timeout"):
        deadline.tick(105.0)


@pytest.mark.parametrize(("words", "part"), [((), "within 50ms"), (("-stream",), "deadline")])
def test_an_answer_that_takes_too_long_is_given_up(words, part):
    result = loopback("-model", "slow", "-timeout", "50ms", *words)

    assert result.code == (3 if words else 1)
    assert part in result.line


# Signals and outputs that fail


@pytest.fixture
def _interruptible():
    """A test run in the background has SIGINT ignored."""
    before = [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGINT, signal.SIGTERM)]
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


class Killing(io.BytesIO):
    """Standard output at whose first bytes a signal comes."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, data):
        os.kill(os.getpid(), self.number)
        return super().write(data)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_ends_the_run_with_its_code(number, code, word):
    words = ("-provider", "loopback", "-stream", "-model", "story")
    result = Result(words, stdout=Killing(number))
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    assert (result.code, result.line) == (code, word)
    assert after == [signal.SIG_DFL, signal.SIG_DFL], "a second signal ends the program at once"


def test_signals_are_given_back_after_a_run():
    before = signal.getsignal(signal.SIGTERM)
    loopback()

    assert signal.getsignal(signal.SIGTERM) is before


def test_an_ignored_signal_stays_ignored():
    """``nohup`` and background jobs of a plain shell rely on it."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        result = Result(("-provider", "loopback"), stdout=Killing(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)

    assert result.code == 0


@pytest.mark.parametrize(
    ("error", "err"),
    [
        (BrokenPipeError(32, "Broken pipe"), ""),
        (OSError(28, "No space left"), "lmc: standard output: No space left\n"),
    ],
)
@pytest.mark.parametrize("words", [("-stream",), ("-h",), ("-list-models",), ("-print-curl",)])
def test_an_output_that_takes_nothing_is_a_failure(error, err, words):
    class Failing(io.BytesIO):
        def write(self, data):
            raise error

    result = Result(("-provider", "loopback", *words), stdout=Failing())

    assert (result.code, result.err) == (1, err)


def test_a_defect_is_one_line_without_its_text(monkeypatch):
    def broken(*arguments):
        raise KeyError("planted content")

    monkeypatch.setattr(send, "ask", broken)
    result = loopback()

    assert result.code == 1
    assert "unexpected KeyError at test_run.py" in result.line
    assert "planted" not in result.err


# Printed commands


def test_a_printed_command_needs_no_key_and_sends_nothing():
    result = Result(("-provider", "anthropic", "-print-curl"))

    assert result.code == 0
    assert b'-H "x-api-key: ${ANTHROPIC_API_KEY}"' in result.out
    assert "ANTHROPIC_API_KEY" in result.line


def test_a_printed_command_shows_no_key_unless_asked():
    words = ("-provider", "openai", "-print-curl")
    hidden = Result(words, OPENAI_API_KEY="sk-planted-key")
    open_ = Result((*words, "-print-curl-keys"), OPENAI_API_KEY="sk-planted-key")

    assert hidden.err == ""
    assert b'"Authorization: Bearer ${OPENAI_API_KEY}"' in hidden.out
    assert b"'Authorization: Bearer sk-planted-key'" in open_.out
    assert (
        hidden.out.replace(b'"', b"'")
        .replace(b"${OPENAI_API_KEY}", b"sk-planted-key")
        .split(b"@-")[0]
        == open_.out.split(b"@-")[0]
    )
