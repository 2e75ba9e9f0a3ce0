"""Key files: read once, bounded, and refused when somebody else could read or replace them.

The file is opened first and examined through the open descriptor, so that what was checked is what
is read. POSIX only: ownership and mode bits are what the check is about.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from .errors import ConfigError
from .secret import MAX_SECRET_LENGTH, Secret

__all__ = ["MAX_KEY_FILE_BYTES", "KeySource", "load_key", "load_keys"]

#: Bytes of a file with one key; a file of client keys may hold 64 times as much.
MAX_KEY_FILE_BYTES = MAX_SECRET_LENGTH + 1024
_MAX_KEYS_FILE_BYTES = 64 * MAX_KEY_FILE_BYTES

# A key file that is a pipe must not hang the program, nor a terminal become its controlling one.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a provider's key comes from: a file still to be read, a value at hand, or nowhere.

    ``origin`` is the flag or variable that named it, for messages; empty when there is no key.
    """

    origin: str = ""
    path: str | None = None
    secret: Secret | None = None
    allow_insecure: bool = False

    def load(self) -> Secret | None:
        """Return the key, reading its file if it has one. Raises ConfigError as ``load_key``."""
        if self.path is not None:
            return load_key(self.path, allow_insecure=self.allow_insecure)
        return self.secret


def load_key(path: str, allow_insecure: bool = False) -> Secret:
    """Return the one key that a file holds, surrounding whitespace trimmed, ``~`` expanded.

    Raises ConfigError, whose message never holds a byte of the file, when the file cannot be read,
    is not a regular file, is too large or is not one key; and, unless ``allow_insecure``, when
    group or others can use it or when it belongs to neither the user nor root.
    """
    text = _read(path, MAX_KEY_FILE_BYTES, allow_insecure)
    try:
        return Secret(text)
    except ValueError as error:
        raise ConfigError(f"key file {_quoted(path)}: {error}") from None


def load_keys(path: str, allow_insecure: bool = False) -> tuple[Secret, ...]:
    """Return the keys of a file with one a line, in order, repeated ones once.

    Blank lines and lines that start with ``#`` are skipped. Raises ConfigError as ``load_key``,
    naming the line, and when the file holds no key at all.
    """
    keys: dict[Secret, None] = {}
    lines = _read(path, _MAX_KEYS_FILE_BYTES, allow_insecure).split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            keys[Secret(line)] = None
        except ValueError as error:
            raise ConfigError(f"key file {_quoted(path)}, line {number}: {error}") from None
    if not keys:
        raise ConfigError(f"key file {_quoted(path)}: it holds no key; write one a line")
    return tuple(keys)


def _read(path: str, limit: int, allow_insecure: bool) -> str:
    """Return a checked file's text; bytes that are not UTF-8 become a character no key holds.

    (An error of the decoder would carry the file's content along.)
    """
    try:
        data = _read_checked(path, limit + 1, allow_insecure)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(f"key file {_quoted(path)}: {reason}") from error
    if len(data) > limit:
        raise ConfigError(f"key file {_quoted(path)}: larger than {limit} bytes, so not a key file")
    return data.decode("utf-8-sig", "replace")


def _read_checked(path: str, size: int, allow_insecure: bool) -> bytes:
    """Return at most ``size`` bytes of a file that passed the checks. Raises OSError too."""
    if "\0" in path:
        raise ConfigError(f"key file {_quoted(path)}: a path cannot hold NUL")
    descriptor = os.open(os.path.expanduser(path), _OPEN_FLAGS)
    try:
        _check(path, os.fstat(descriptor), allow_insecure)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(size)
    finally:
        os.close(descriptor)


def _check(path: str, status: os.stat_result, allow_insecure: bool) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"key file {_quoted(path)}: it is not a regular file")
    if allow_insecure:
        return
    if status.st_uid not in (0, os.geteuid()):
        raise ConfigError(
            f"key file {_quoted(path)}: it belongs to user id {status.st_uid}, neither you nor "
            f"root. Make a copy of your own, or give -allow-insecure-key-file"
        )
    if status.st_mode & 0o077:
        raise ConfigError(
            f"key file {_quoted(path)}: group or others can use it (mode "
            f"{stat.S_IMODE(status.st_mode):04o}). Run: chmod 600 {_quoted(_shell_path(path))} "
            f"(or give -allow-insecure-key-file)"
        )


def _shell_path(path: str) -> str:
    """Return a path that means the same between quotes, where a shell expands no ``~``."""
    return os.path.expanduser(path)


def _quoted(path: str) -> str:
    """Return a path in shell quotes, on one line whatever it holds."""
    if not path.isprintable():
        return ascii(path)
    return "'" + path.replace("'", "'\"'\"'") + "'"
