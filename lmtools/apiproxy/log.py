"""The server's log: one line per exchange, and events, as text or as JSON, to stderr.

Text is ``time level message key=value ...``; JSON is one object a line with the same keys. A value
that is not plain is quoted with its control characters escaped, so that nothing a client sends can
begin a line of its own. Known forms of credentials are masked in every value; headers and bodies
are no fields at all.

This is not ``logging``: that costs 10 ms at start, and nothing here needs handlers or hierarchies.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TextIO

from ..errors import ConfigError

__all__ = ["FORMS", "LEVELS", "ExchangeEntry", "Log", "mask"]

LEVELS = ("debug", "info", "warn", "error")
FORMS = ("text", "json")

#: What a field may hold. None fields are left out.
Value = str | int | float | bool | None

_PLAIN_CHARS = r"A-Za-z0-9_./:@,+*()\[\]-"
_PLAIN = re.compile(rf"[{_PLAIN_CHARS}]+")
_ALL_PLAIN = re.compile(rf"[{_PLAIN_CHARS}]++(?: [{_PLAIN_CHARS}]++)*+")
_MASKED = "***"
#: Characters of a value that are shown: clients may send megabytes for a model's name.
MAX_VALUE = 4096
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
# What every mask needs to apply: most values have none of it, and one search is a fifth of five.
_SUSPECT = re.compile(r"[=@]|sk-|AIza|[Bb](?:earer|asic)\s|B(?:EARER|ASIC)\s")
# What of that a plain text can hold.
_PLAIN_SUSPECTS = ("@", "sk-", "AIza")
_MASKS = (
    # https://user:password@host
    (re.compile(r"(://)[^/\s@\"]+@"), rf"\1{_MASKED}@"),
    # ?key=..., &access_token=... (A name stops where another begins: else a text of nothing but
    # such beginnings takes quadratic time.)
    (
        re.compile(
            r"([?&;][^=?&;\s\"]*(?:key|token|secret|password|passwd|auth|sig|signature|credential)=)"
            r"[^&;\s\"#]+",
            re.IGNORECASE,
        ),
        rf"\1{_MASKED}",
    ),
    (
        re.compile(r"\b((?:[Bb]earer|[Bb]asic|BEARER|BASIC)\s+)[A-Za-z0-9._~+/=-]{6,}"),
        rf"\1{_MASKED}",
    ),
    # Keys of Anthropic, OpenAI and compatible servers, and of Google.
    (re.compile(r"\bsk-[A-Za-z0-9_*-]{6,}"), f"sk-{_MASKED}"),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{10,}"), f"AIza{_MASKED}"),
)


@dataclass(slots=True)
class ExchangeEntry:
    """What one exchange leaves in the log; None is left out.

    ``path`` may carry its query (keys in it are masked). ``ms`` is the whole exchange, ``first_ms``
    the time to its first byte. ``empty`` is true of an answer that ended well and said nothing.
    ``error`` is a code and message, never a body.
    """

    request_id: str | None = None
    method: str | None = None
    path: str | None = None
    client: str | None = None
    provider: str | None = None
    model: str | None = None
    upstream_model: str | None = None
    stream: bool | None = None
    status: int | None = None
    ms: int | None = None
    first_ms: int | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    empty: bool | None = None
    losses: int | None = None
    upstream_id: str | None = None
    error: str | None = None


_ENTRY_FIELDS = tuple(item.name for item in fields(ExchangeEntry))
_entry_values = attrgetter(*_ENTRY_FIELDS)


class Log:
    """Writes lines, whole and one after the other, from any thread.

    A line that cannot be written is counted in ``lost`` and forgotten: a full disk or a closed
    terminal must not fail a request. Raises ConfigError for an unknown level or form.
    """

    def __init__(
        self,
        level: str = "info",
        form: str = "text",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if level not in LEVELS:
            raise ConfigError(f"log level {level!r}: it is one of {', '.join(LEVELS)}")
        if form not in FORMS:
            raise ConfigError(f"log form {form!r}: it is one of {', '.join(FORMS)}")
        self.lost = 0
        self._threshold = LEVELS.index(level)
        self._render = _render_json if form == "json" else _render_text
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()

    def shows(self, level: str) -> bool:
        return LEVELS.index(level) >= self._threshold

    def debug(self, message: str, **values: Value) -> None:
        self.write("debug", message, values.items())

    def info(self, message: str, **values: Value) -> None:
        self.write("info", message, values.items())

    def warning(self, message: str, **values: Value) -> None:
        self.write("warn", message, values.items())

    def error(self, message: str, **values: Value) -> None:
        self.write("error", message, values.items())

    def exchange(self, entry: ExchangeEntry) -> None:
        """Write the line of an exchange: a warning from status 400 on, an error from 500 on.

        A stream that failed behind its 200 is a warning too.
        """
        status = entry.status or 0
        failed = status >= 400 or entry.error is not None
        level = "error" if status >= 500 else "warn" if failed else "info"
        if self.shows(level):
            named = zip(_ENTRY_FIELDS, _entry_values(entry), strict=True)
            self.write(level, "exchange", named)

    def write(self, level: str, message: str, values: Iterable[tuple[str, Value]] = ()) -> None:
        if not self.shows(level):
            return
        held: list[tuple[str, Value]] = [pair for pair in values if pair[1] is not None]
        plain = _are_plain(held)
        if not plain:
            held = [(name, _masked(value)) for name, value in held]
        line = self._render(_timestamp(self._clock()), level, mask(message), held, plain)
        with self._lock:
            try:
                stream = self._stream or sys.stderr
                stream.write(line)
                stream.flush()
            except (OSError, ValueError, AttributeError):
                # Closed, full, or no stderr at all (a service without one has None there).
                self.lost += 1


def mask(text: str) -> str:
    """Return text with the credentials in it masked: URL userinfo, query keys, known key forms."""
    if _SUSPECT.search(text):
        for pattern, shown in _MASKS:
            text = pattern.sub(shown, text)
    return text


def _masked(value: Value) -> Value:
    if not isinstance(value, str):
        return value
    shown = mask(value)
    more = len(shown) - MAX_VALUE
    return shown if more <= 0 else f"{shown[:MAX_VALUE]}... and {more} more characters"


def _are_plain(values: list[tuple[str, Value]]) -> bool:
    """Tell whether no text among the values needs a mask or quotes, with one look at all of them.

    So it is in nearly every line of an exchange, and a look at each text is half of its cost.
    """
    texts = [value for _, value in values if isinstance(value, str)]
    joined = " ".join(texts)
    # A text with a blank in it would pass for two.
    if (
        len(joined) > MAX_VALUE
        or _ALL_PLAIN.fullmatch(joined) is None
        or joined.count(" ") != len(texts) - 1
    ):
        return False
    return not any(mark in joined for mark in _PLAIN_SUSPECTS)


def _render_text(
    time: str, level: str, message: str, values: list[tuple[str, Value]], plain: bool
) -> str:
    head = f"{time} {level.upper()} {message if message.isprintable() else _quoted(message)}"
    shown = [
        f" {name}={value}"
        if (plain and value.__class__ is str) or value.__class__ is int
        else f" {name}={_shown(value)}"
        for name, value in values
    ]
    return f"{head}{''.join(shown)}\n"


def _render_json(
    time: str, level: str, message: str, values: list[tuple[str, Value]], _plain: bool
) -> str:
    return _json_text({"time": time, "level": level, "message": message, **dict(values)}) + "\n"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else _quoted(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _quoted(text: str) -> str:
    return _json_text(text)


def _json_text(value: object) -> str:
    """Return JSON on one line: no controls, no line ends, no marks that turn the reading order."""
    text = _encode(value)
    return text if text.isprintable() else _escape_unprintable(text)


def _escape_unprintable(text: str) -> str:
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    point = ord(char)
    if point < 0x10000:
        return f"\\u{point:04x}"
    high, low = divmod(point - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


_last_second = (-1, "")


def _timestamp(now: float) -> str:
    """Return UTC with milliseconds, as RFC 3339 writes it; the text of a second is made once."""
    global _last_second  # noqa: PLW0603 - a pair that is replaced whole needs no lock
    seconds = int(now)
    second, text = _last_second
    if second != seconds:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _last_second = (seconds, text)
    return f"{text}.{int((now - seconds) * 1000):03}Z"
