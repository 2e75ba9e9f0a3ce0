"""The log: one line each, nothing forged, nothing leaked, never in the way."""

from __future__ import annotations

import io
import json
import sys
import threading

import pytest

from lmtools.apiproxy.log import MAX_VALUE, ExchangeEntry, Log, mask
from lmtools.errors import ConfigError

NOON = 1_740_830_400.25  # 2025-03-01T12:00:00.250Z


def written(act, level="debug", form="text") -> str:
    stream = io.StringIO()
    act(Log(level, form, stream, clock=lambda: NOON))
    return stream.getvalue()


def test_a_text_line_is_time_level_message_and_fields():
    line = written(
        lambda log: log.info("client left", client="::1", ms=12, ratio=0.5, ok=True, none=None)
    )

    assert line == "2025-03-01T12:00:00.250Z INFO client left client=::1 ms=12 ratio=0.5 ok=true\n"


def test_a_json_line_holds_the_same():
    line = written(lambda log: log.warning("too many", client="é", n=None, m=0), form="json")

    assert json.loads(line) == {
        "time": "2025-03-01T12:00:00.250Z",
        "level": "warn",
        "message": "too many",
        "client": "é",
        "m": 0,
    }


def test_each_line_has_its_own_time():
    """The text of a second is kept for the lines in it, and for no others."""
    stream, times = io.StringIO(), iter((NOON, NOON + 0.5, NOON + 1, NOON))
    log = Log("info", "text", stream, clock=lambda: next(times))

    for _ in range(4):
        log.info("x")

    shown = [line.split("T12:00:")[1].split()[0] for line in stream.getvalue().splitlines()]
    assert shown == ["00.250Z", "00.750Z", "01.250Z", "00.250Z"]


FORGERIES = [
    "/x\n2025-03-01T12:00:00.250Z ERROR forged",
    "/x\r\x1b[31mred",
    "a b=c",
    'quote " and \\ backslash',
    "\u2028line\u2029par\x85nel\x0b\x0c",
    "\u202eevil\u2066",
    "",
    "\ud800 half",
    "\U000e0041 tag",
]


@pytest.mark.parametrize("text", FORGERIES)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_a_client_sends_cannot_begin_a_line_or_hide_in_one(text, form):
    line = written(lambda log: log.info("exchange", path=text, status=200), form=form)

    assert len(line.splitlines()) == 1
    assert line.rstrip("\n").isprintable()
    line.encode()
    if form == "json":
        assert json.loads(line)["path"] == text
    else:
        _, _, shown = line.partition("path=")
        assert json.loads(shown.rpartition(" status=")[0]) == text


def test_a_message_with_controls_is_escaped_too():
    assert written(lambda log: log.info("a\nb")).count("\n") == 1


def test_levels_below_the_threshold_are_not_written():
    def act(log: Log) -> None:
        for write in (log.debug, log.info, log.warning, log.error):
            write("line")

    assert [line.split()[1] for line in written(act, "warn").splitlines()] == ["WARN", "ERROR"]
    assert len(written(act, "debug").splitlines()) == 4


@pytest.mark.parametrize(
    ("status", "level"),
    [(200, "INFO"), (404, "WARN"), (499, "WARN"), (529, "ERROR"), (None, "INFO")],
)
def test_an_exchange_is_one_line_at_the_level_of_its_status(status, level):
    entry = ExchangeEntry(
        request_id="req_1",
        method="POST",
        path="/v1/messages",
        client="anthropic",
        model="m",
        upstream_model="n",
        status=status,
        ms=7,
        losses=2,
    )

    line = written(lambda log: log.exchange(entry))

    assert line.split()[1] == level
    assert (
        "request_id=req_1 method=POST path=/v1/messages client=anthropic model=m upstream_model=n"
        in line
    )
    assert line.endswith("ms=7 losses=2\n")


def test_exchanges_below_the_threshold_are_not_written():
    assert written(lambda log: log.exchange(ExchangeEntry(status=200)), "warn") == ""


def test_a_stream_that_failed_behind_its_200_is_a_warning():
    entry = ExchangeEntry(status=200, error="truncated: mid-stream")

    assert " WARN exchange " in written(lambda log: log.exchange(entry), "warn")


SECRETS = [
    ("https://user:pass-word@host/v1", "https://***@host/v1"),
    ("/v1?key=abcdef&x=1", "/v1?key=***&x=1"),
    ("/v1?x=1&api_key=abcdef", "/v1?x=1&api_key=***"),
    ("/v1?ACCESS_TOKEN=abcdef", "/v1?ACCESS_TOKEN=***"),
    ("/v1?X-Amz-Signature=abcdef#x", "/v1?X-Amz-Signature=***#x"),
    ("Authorization: Bearer abcdef123456", "Authorization: Bearer ***"),
    ("Basic dXNlcjpwYXNz", "Basic ***"),
    ("Incorrect API key provided: sk-proj-abc_DEF-123.", "Incorrect API key provided: sk-***."),
    ("sk-ant-api03-abcdef", "sk-***"),
    ("AIzaSyA-1234567890_abc", "AIza***"),
    ("/v1/messages?x=1", "/v1/messages?x=1"),
    ("task-force is no key", "task-force is no key"),
]


@pytest.mark.parametrize(("text", "shown"), SECRETS)
def test_credentials_are_masked_wherever_they_stand(text, shown):
    assert mask(text) == shown
    for form in ("text", "json"):
        line = written(lambda log: log.error(text, error=text), form=form)
        assert "abcdef" not in line
        assert "pass-word" not in line


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("piece", ["?", "?key", ";a", "://a", "Bearer ", "sk-", "keytoken"])
def test_a_long_text_of_beginnings_takes_no_longer_than_another(piece):
    """In quadratic time, one request with such a model's name would stop the server for minutes."""
    text = piece * 100_000 + " @ ="

    assert mask(text).endswith("@ =")


@pytest.mark.parametrize("char", ["x", "é", "?"])
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_value_of_megabytes_is_cut(char, form):
    value = char * (MAX_VALUE + 1_000_000)
    line = written(lambda log: log.exchange(ExchangeEntry(path="/p", model=value)), form=form)

    assert f"{char * MAX_VALUE}... and 1000000 more characters" in line
    assert len(line) < MAX_VALUE + 200


def test_a_value_is_cut_behind_its_mask():
    """A part of a credential is no credential that a mask would know."""
    line = written(lambda log: log.info("m", said="x " * (MAX_VALUE // 2 - 4) + " sk-abcdef" * 9))

    assert "abc" not in line


@pytest.mark.parametrize("stream", [FullDisk(), "closed", "absent"])
def test_a_line_that_cannot_be_written_is_counted_and_forgotten(stream, monkeypatch):
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    elif stream == "absent":
        stream = None
        monkeypatch.setattr(sys, "stderr", None)
    log = Log(stream=stream)

    log.error("one")
    log.error("two")

    assert log.lost == 2


def test_without_a_stream_it_writes_to_stderr(capsys):
    Log().info("hello")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("INFO hello\n")


def test_lines_from_many_threads_do_not_mix():
    stream = io.StringIO()
    log = Log(stream=stream)

    def write(name: str) -> None:
        for _ in range(200):
            log.info("line", name=name * 50)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    names = {line.partition("name=")[2] for line in stream.getvalue().splitlines()}
    assert names == {name * 50 for name in "abcd"}


@pytest.mark.parametrize("options", [{"level": "loud"}, {"form": "xml"}])
def test_unknown_levels_and_forms_are_refused_with_the_known_ones(options):
    with pytest.raises(ConfigError, match="it is one of (debug, info|text, json)"):
        Log(**options)
