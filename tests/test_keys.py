"""Key files and secrets: read once, refused when others could use them, never shown by accident."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import shlex
import socket
import subprocess
import traceback

import pytest

from lmtools import keys
from lmtools.errors import ConfigError
from lmtools.keys import KeySource, load_key, load_keys
from lmtools.secret import MAX_SECRET_LENGTH, Secret

KEY = "sk-planted-0123456789"


@pytest.fixture
def key_file(tmp_path):
    """A function that writes a key file and returns its path."""

    def write(content: bytes | str = KEY, mode: int = 0o600, name: str = "key") -> str:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return str(path)

    return write


def refusal(path: str, load=load_key, **options) -> str:
    """Return the message of a refused file, having looked for the key everywhere in the error."""
    with pytest.raises(ConfigError) as caught:
        load(path, **options)
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert "planted" not in repr(caught.value.__context__)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "content", [KEY, f"{KEY}\n", f"  {KEY} \r\n\n", f"\ufeff{KEY}\n", f"\t{KEY}"]
)
def test_a_key_is_trimmed(key_file, content):
    assert load_key(key_file(content)).reveal() == KEY


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "empty"),
        (" \n\t\n", "empty"),
        ("planted one", "whitespace"),
        ("planted\none", "line break"),
        ("planted\u00a0one", "whitespace"),
        ("planted\x00one", "control"),
        ("planted\x1bone", "control"),
        ("planted\x7fone", "control"),
        ("planted\u2019one", "ASCII"),
        (b"planted\xff", "ASCII"),
        ("planted" * (MAX_SECRET_LENGTH // 7 + 1), "longer than"),
        ("planted" * 10_000, "larger than"),
    ],
)
def test_what_is_not_one_key_is_refused_without_showing_it(key_file, content, reason):
    path = key_file(content)

    message = refusal(path)

    assert reason in message
    assert path in message


def test_the_longest_key_is_accepted(key_file):
    assert len(load_key(key_file("x" * MAX_SECRET_LENGTH)).reveal()) == MAX_SECRET_LENGTH


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777])
def test_a_file_that_others_can_use_is_refused_with_the_command_that_mends_it(key_file, mode):
    path = key_file(mode=mode)

    message = refusal(path)

    assert f"chmod 600 '{path}'" in message
    assert f"{mode:04o}" in message
    assert "-allow-insecure-key-file" in message


@pytest.mark.parametrize("name", ["a key", "it's", "$(touch x)", "-rf"])
def test_the_printed_command_mends_the_file_whatever_its_name(key_file, name):
    path = key_file(mode=0o644, name=name)
    message = refusal(path)
    command = message[message.index("chmod") : message.index(" (or give")]

    subprocess.run(["sh", "-c", command], check=True)

    assert shlex.split(command) == ["chmod", "600", path]
    assert load_key(path).reveal() == KEY


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_the_user_alone_is_accepted(key_file, mode):
    assert load_key(key_file(mode=mode)).reveal() == KEY


def test_allow_insecure_accepts_a_readable_file(key_file):
    assert load_key(key_file(mode=0o644), allow_insecure=True).reveal() == KEY


def test_a_file_of_another_user_is_refused_unless_allowed(key_file, monkeypatch):
    """Its owner could put another key in it."""
    path = key_file()
    if os.geteuid() == 0:
        os.chown(path, 4242, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4243)

    assert "belongs to user id" in refusal(path)
    assert load_key(path, allow_insecure=True).reveal() == KEY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own a file as root")
def test_a_file_of_root_is_accepted(key_file, monkeypatch):
    path = key_file()
    monkeypatch.setattr(os, "geteuid", lambda: 4243)

    assert load_key(path).reveal() == KEY


def test_a_missing_file_is_named(tmp_path):
    message = refusal(str(tmp_path / "none"))

    assert "none'" in message
    assert "No such file" in message


@pytest.mark.parametrize("make", ["directory", "pipe", "socket", "device"])
def test_only_a_regular_file_is_read(make, tmp_path):
    """A pipe without a writer must not hang the program either."""
    path = str(tmp_path / "k")
    match make:
        case "directory":
            os.mkdir(path, 0o700)
        case "pipe":
            os.mkfifo(path, 0o600)
        case "socket":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(path)
        case "device":
            path = "/dev/null"

    for allow_insecure in (False, True):
        message = refusal(path, allow_insecure=allow_insecure)
        assert "not a regular file" in message or "No such device" in message


def test_the_file_that_was_checked_is_the_one_that_is_read(key_file, monkeypatch):
    """Swapping the file between the check and the read changes nothing: both use one descriptor."""
    path = key_file()
    check = keys._check

    def check_then_swap(*arguments):
        check(*arguments)
        os.replace(key_file("sk-other", mode=0o644, name="other"), path)

    monkeypatch.setattr(keys, "_check", check_then_swap)

    assert load_key(path).reveal() == KEY


def test_the_file_that_was_opened_is_the_one_that_is_checked(key_file, monkeypatch):
    """A proper file put in the place of an insecure one after it was opened hides nothing."""
    path = key_file(mode=0o644)
    proper = key_file("sk-other", name="proper")
    open_file = os.open

    def open_then_swap(*arguments, **options):
        descriptor = open_file(*arguments, **options)
        os.replace(proper, path)
        return descriptor

    monkeypatch.setattr(os, "open", open_then_swap)

    assert "chmod 600" in refusal(path)


def test_the_home_folder_is_expanded(key_file, monkeypatch, tmp_path):
    path = key_file(mode=0o644)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert f"chmod 600 '{path}'" in refusal("~/key")
    os.chmod(path, 0o600)
    assert load_key("~/key").reveal() == KEY


def test_a_path_with_control_characters_stays_on_one_line():
    assert "\\n" in refusal("no\nsuch")


def test_a_path_with_nul_is_refused():
    assert "\\x00" in refusal("no\0such")


def test_a_file_of_keys_gives_one_a_line(key_file):
    path = key_file(f"# team a\n{KEY}\r\n\n  second \n{KEY}\n")

    assert [key.reveal() for key in load_keys(path)] == [KEY, "second"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no key"),
        ("# none\n\n", "no key"),
        ("one\nplanted two\n", "line 2"),
        (b"\xff", "line 1"),
    ],
)
def test_a_bad_file_of_keys_is_refused_with_the_line(key_file, content, reason):
    assert reason in refusal(key_file(content), load_keys)


def test_a_file_of_keys_is_checked_like_a_key_file(key_file):
    path = key_file(mode=0o644)

    assert "chmod 600" in refusal(path, load_keys)
    assert load_keys(path, allow_insecure=True) == (Secret(KEY),)


def test_a_key_source_loads_its_file_or_gives_its_value(key_file):
    path = key_file(mode=0o644)

    assert KeySource("-api-key-file", path, allow_insecure=True).load() == Secret(KEY)
    assert "chmod" in refusal(path, lambda path: KeySource("-api-key-file", path).load())
    assert KeySource("-argo-user", secret=Secret("me")).load() == Secret("me")
    assert KeySource().load() is None


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{:>40}".format,
        "{!r}".format,
        lambda secret: f"{secret}{secret!s:5}",
        lambda secret: "%r" % [secret],
        lambda secret: repr({secret: secret}),
        lambda secret: repr(KeySource("-argo-user", secret=secret)),
        lambda secret: logging.LogRecord("n", 20, "", 0, "%s", (secret,), None).getMessage(),
    ],
)
def test_a_secret_is_never_shown(show):
    assert "planted" not in show(Secret(KEY))
    assert "hidden" in show(Secret(KEY))


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps])
def test_a_secret_is_not_copied_out(take):
    with pytest.raises(TypeError) as caught:
        take(Secret(KEY))
    assert "planted" not in str(caught.value)


def test_a_secret_has_no_attributes_to_dump():
    with pytest.raises(TypeError):
        vars(Secret(KEY))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("abc", "abc", True), ("abc", " abc\n", True), ("abc", "abd", False), ("abc", "abcd", False)],
)
def test_secrets_compare_by_their_keys(one, other, same):
    assert (Secret(one) == Secret(other)) is same
    assert len({Secret(one), Secret(other)}) == (1 if same else 2)


def test_a_secret_is_not_equal_to_its_text():
    assert Secret(KEY) != KEY


def test_a_key_is_masked_in_words_that_repeat_it_and_a_short_one_left():
    """A key of a few characters is a user name, and may be a part of any word."""
    assert Secret("sk-0123456789").mask_in("bad key sk-0123456789.") == "bad key ***."
    assert Secret("me").mask_in("some message") == "some message"
