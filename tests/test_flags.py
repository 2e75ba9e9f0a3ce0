"""The command line: Go's grammar for the words, one line for every mistake, argparse for the help."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest

from lmtools.flags import (
    Flag,
    InfoRequested,
    Parsed,
    Program,
    UsageError,
    argument_parser,
    help_text,
    nearest,
    parse,
    read_value,
    render_duration,
)

PROGRAM = Program(
    name="demo",
    summary="A program for these tests.",
    usage="demo [flags] < input",
    epilog="Exit codes:\n  0  done",
    input="the prompt comes on standard input",
    flags=(
        Flag("stream", "bool", "stream the answer"),
        Flag("verbose", "bool", "100 % of the log"),
        Flag("s", "string", "system text"),
        Flag("model", "string", "model id", default=""),
        Flag("port", "int", "port", default=8082, minimum=0, maximum=65535),
        Flag("count", "int", "any whole number", default=0),
        Flag("temperature", "float", "spread", minimum=0),
        Flag("timeout", "duration", "deadline", default=600.0, minimum=0),
        Flag("delay", "duration", "any duration", default=0.0),
        Flag("key-file", "path", "a file"),
        Flag("provider", "choice", "who", default="argo", choices=("argo", "openai")),
        Flag(
            "log-level",
            "choice",
            "what is logged",
            default="info",
            choices=("info", "warn"),
            aliases=(("warning", "warn"),),
        ),
        Flag("map", "repeat", "rules", metavar="A=B", group="rules"),
    ),
    conflicts=(("stream", ("map", "verbose")),),
    needs=(("s", "model"),),
)


def read(*words: str) -> Parsed:
    return parse(words, PROGRAM)


def refusal(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        read(*words)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (("-model", "gpt"), "model", "gpt"),
        (("--model", "gpt"), "model", "gpt"),
        (("-model=gpt",), "model", "gpt"),
        (("--model=gpt",), "model", "gpt"),
        (("-model=a=b",), "model", "a=b"),
        (("-model=",), "model", ""),
        (("-model", ""), "model", ""),
        (("-model", "-stream"), "model", "-stream"),
        (("-model", "--"), "model", "--"),
        (("-model", "a", "-model", "b"), "model", "b"),
        (("-model", "a", "--"), "model", "a"),
        (("-count", "-5"), "count", -5),
        (("-stream",), "stream", True),
        (("-stream", "-stream=false"), "stream", False),
        (("-map", "a=b", "-map", "c=d"), "map", ("a=b", "c=d")),
        ((), "map", ()),
        ((), "stream", False),
        ((), "s", None),
        ((), "port", 8082),
        ((), "timeout", 600.0),
        (("-key-file", ""), "key_file", None),
        (("-key-file", "~/a b"), "key_file", "~/a b"),
        (("-provider", "OpenAI "), "provider", "openai"),
        (("-provider", ""), "provider", "argo"),
        (("-log-level", "WARNING"), "log_level", "warn"),
    ],
)
def test_words_are_read_as_go_reads_them(words, name, value):
    assert getattr(read(*words), name) == value


@pytest.mark.parametrize("text", ["1", "t", "T", "true", "TRUE", "True"])
def test_the_words_for_true(text):
    assert read(f"-stream={text}").stream is True


@pytest.mark.parametrize("text", ["0", "f", "F", "false", "FALSE", "False"])
def test_the_words_for_false(text):
    assert read("-stream", f"-stream={text}").stream is False


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("+7", 7),
        ("0x1F", 31),
        ("-0x10", -16),
        ("0o17", 15),
        ("0b101", 5),
        ("1_000", 1000),
        ("0x_ff", 255),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
    ],
)
def test_whole_numbers_take_base_prefixes_and_underscores(text, value):
    assert read("-count", text).count == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        " 5",
        "5 ",
        "1__0",
        "_1",
        "1_",
        "0x",
        "0b2",
        "5s",
        "1.5",
        "1e3",
        "true",
        "\u0665",
        "9" * 5000,
        str(2**63),
    ],
)
def test_what_is_no_whole_number_is_refused(text):
    assert refusal("-count", text).startswith("-count: ")


def test_a_leading_zero_is_refused_with_the_octal_spelling():
    assert "0o10" in refusal("-count", "010")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("-0", 0.0),
        ("5s", 5.0),
        ("1m30s", 90.0),
        ("1.5h", 5400.0),
        ("500ms", 0.5),
        ("3ms", 0.003),
        ("100us", 1e-4),
        ("100\u00b5s", 1e-4),
        ("100\u03bcs", 1e-4),
        ("1ns", 1e-9),
        (".5s", 0.5),
        ("5.s", 5.0),
        ("1h1m1s1ms", 3661.001),
        ("+2s", 2.0),
        ("-2s", -2.0),
        ("1s1s", 2.0),
    ],
)
def test_durations_in_go_syntax_become_seconds(text, seconds):
    assert read("-delay", text).delay == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "1",
        "-1",
        "1.5",
        "1 s",
        "1d",
        "1s2",
        "one",
        "1e3s",
        ".s",
        "--1s",
        "300000000h",
        "9" * 500 + "h",
    ],
)
def test_what_is_no_duration_is_refused(text):
    assert "duration" in refusal("-delay", text)


@pytest.mark.parametrize(("text", "advice"), [("5", "5s"), ("-1.5", "-1.5s")])
def test_a_bare_number_is_told_the_missing_unit(text, advice):
    assert f"write {advice}" in refusal("-delay", text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (90.0, "1m30s"),
        (600.0, "10m"),
        (5400.0, "1h30m"),
        (0.5, "500ms"),
        (1e-6, "1us"),
        (2e-9, "2ns"),
        (-1.25, "-1.25s"),
        (0.0015, "1.5ms"),
    ],
)
def test_durations_render_in_go_syntax(seconds, text):
    assert render_duration(seconds) == text


def test_a_rendered_duration_reads_back_as_itself():
    flag = Flag("d", "duration", "any")
    source = random.Random(7)
    for nanoseconds in (source.randrange(10 ** source.randrange(1, 16)) for _ in range(300)):
        assert read_value(flag, render_duration(nanoseconds / 1e9)) == nanoseconds / 1e9


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("-port", "70000"), ("-port", "'70000'", "from 0 to 65535")),
        (("-port", "-1"), ("-port", "'-1'", "from 0 to 65535")),
        (("-timeout", "-1s"), ("-timeout", "'-1s'", "0s or more")),
        (("-temperature", "-0.5"), ("-temperature", "'-0.5'", "0 or more")),
        (("-temperature", "nan"), ("-temperature", "'nan'", "a number")),
        (("-temperature", "1e999"), ("-temperature", "a number")),
        (("-stream=yes",), ("-stream", "'yes'", "true or false")),
        (("-stream=",), ("-stream", "''", "true or false")),
        (("-provider", "opnai"), ("-provider", "'opnai'", "argo, openai")),
        (("-port",), ("-port", "missing", "from 0 to 65535")),
        (("-model",), ("-model", "missing", "text")),
        (("-map",), ("-map", "missing", "A=B")),
        (("-key-file",), ("-key-file", "missing", "path")),
        (("-key-file=a\0b",), ("-key-file", "path")),
        (("-model", "\udc80"), ("-model", "not UTF-8")),
    ],
)
def test_a_bad_or_missing_value_names_flag_value_and_what_is_allowed(words, parts):
    message = refusal(*words)

    for part in parts:
        assert part in message


def test_a_maximum_alone_is_named():
    with pytest.raises(UsageError, match="a number, at most 2"):
        read_value(Flag("x", "float", "bounded above", maximum=2), "3")


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("-modle", "x"), "-model?"),
        (("-prov", "x"), "-provider?"),
        (("--tiemout=5s",), "-timeout?"),
        (("-Stream",), "-stream?"),
        (("-key", "x"), "-key-file?"),
        (("-key-files", "x"), "-key-file?"),
        (("-hepl",), "-help?"),
        (("-argo-legacy",), "demo -h lists"),
        (("-" + "m" * 400,), "demo -h lists"),
    ],
)
def test_an_unknown_flag_names_the_near_ones(words, near):
    message = refusal(*words)

    assert message.startswith("unknown flag -")
    assert near in message


def test_an_unknown_flag_does_not_repeat_its_value():
    """What follows a mistyped -key-file may be a key."""
    assert "sk-123" not in refusal("-keyfil=sk-123")
    assert "sk-123" not in refusal("-keyfil", "sk-123")


@pytest.mark.parametrize(
    ("word", "names"), [("modle", ("model",)), ("xyz", ()), ("tes", ("test",)), ("m", ("s",))]
)
def test_nearest_allows_one_edit_for_three_letters(word, names):
    assert nearest(word, ("model", "test", "s")) == names


def test_nearest_gives_at_most_the_limit_best_first():
    assert nearest("port", ("part", "ports", "sort", "port-x"), limit=2) == (
        "part",
        "port-x",
    )


@pytest.mark.parametrize("words", [("-",), ("--", "x"), ("word",), ("-model", "m", "word"), ("",)])
def test_a_stray_word_is_an_error_that_says_where_input_goes(words):
    message = refusal(*words)

    assert "unexpected word" in message
    assert "standard input" in message


def test_a_stray_word_after_a_boolean_is_told_the_equals_sign():
    assert "-stream=false" in refusal("-stream", "false")


def test_a_stray_word_cannot_break_the_line_and_is_cut():
    message = refusal("a\nb\x1b[31m" + "x" * 1000)

    assert len(message) < 200
    assert message.isprintable()


@pytest.mark.parametrize("word", ["---port", "-=5", "--=5", "---"])
def test_bad_flag_syntax_is_refused(word):
    assert "is not a flag" in refusal(word)


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("-stream", "-map", "a=b"), ("-stream", "-map")),
        (("-verbose", "-stream"), ("-stream", "-verbose")),
        (("-s", "x"), ("-s ", "-model")),
        (("-s", "x", "-model", ""), ("-s ", "-model")),
    ],
)
def test_flags_that_do_not_go_together_are_refused(words, parts):
    message = refusal(*words)

    for part in parts:
        assert part in message


def test_a_flag_set_to_false_conflicts_with_nothing():
    assert read("-stream=false", "-verbose").verbose
    assert read("-s", "").s == ""


def test_given_tells_an_explicit_empty_value_from_an_absent_flag():
    parsed = read("-model", "", "--stream=false")

    assert parsed.given == {"model", "stream"}


def test_an_undeclared_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="colour"):
        _ = read().colour


def test_the_repr_of_the_values_shows_names_only():
    assert repr(read("-model", "sk-123")) == "Parsed(given=['model'])"


@pytest.mark.parametrize("words", [("-h",), ("-help",), ("--help",), ("-stream", "-h", "-bogus")])
def test_help_is_a_text_for_stdout(words):
    with pytest.raises(InfoRequested) as caught:
        read(*words)

    assert caught.value.text == help_text(PROGRAM)


def test_help_shows_every_flag_its_default_range_words_and_groups():
    text = help_text(PROGRAM)

    for flag in PROGRAM.flags:
        assert f"  -{flag.name}" in text
    for piece in ("demo [flags] < input", "(default 10m)", "(default 8082)", "100 % of the log"):
        assert piece in text
    for piece in ("argo|openai", "rules:\n  -map A=B", "(repeatable)", "Exit codes:\n  0  done"):
        assert piece in text


def test_help_is_the_same_in_every_terminal(monkeypatch):
    wide = help_text(PROGRAM)
    monkeypatch.setenv("COLUMNS", "40")

    assert help_text(PROGRAM) == wide
    assert max(map(len, wide.splitlines())) <= 96


def test_the_argparse_table_reads_plain_words_as_the_flags_do():
    """A second reader over the same rows: where Go and argparse agree, so do the two."""
    words = ["-stream", "-model", "gpt", "-port", "0x50", "-timeout", "1m30s", "-map", "a=b"]
    words += ["-map", "c=d", "-provider", "OpenAI", "-temperature", "0.5", "-log-level", "warning"]
    expected = parse([w for w in words if w != "-stream"], PROGRAM)

    namespace = argument_parser(PROGRAM).parse_args(words[1:])

    for flag in PROGRAM.flags:
        seen = getattr(namespace, flag.attribute)
        assert (tuple(seen) if flag.kind == "repeat" else seen) == getattr(expected, flag.attribute)


def test_names_are_not_abbreviated():
    assert "-model?" in refusal("-mod", "x")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("demo -prov", "-provider"),
        ("demo -provider o", "openai"),
        ("demo --provider a", "argo"),
        ("demo -model x", ""),
        ("demo -key-file flag_file", "flag_file.txt"),
        ("demo -he", "-help"),
    ],
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_flags_choices_and_files(line, offered, tmp_path):
    (tmp_path / "flag_file.txt").write_text("")
    with pytest.raises(InfoRequested) as caught:
        read("-completion", "bash")
    words = line.split()
    script = f"""{caught.value.text}
COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
_demo; echo "${{COMPREPLY[*]}}"
"""

    done = subprocess.run(
        ["bash", "-eu", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True
    )

    assert done.stdout.strip() == offered


def test_completion_for_an_unknown_shell_is_refused():
    assert "one of bash" in refusal("-completion", "fish")
