"""``scripts/check_docs`` runs what a page shows, and fails where the page is wrong."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts import doc_blocks
from scripts.check_docs import main

LMC = """
import sys
if "-h" in sys.argv:
    print("usage: lmc [-stream] [-model NAME]")
else:
    print("answer to", sys.stdin.read().strip())
"""

# Serves until it is ended; says "up" and the port it was given.
APIPROXY = """
import socket, sys
if "-h" in sys.argv:
    print("usage: apiproxy [-port N] [-provider NAME]")
    raise SystemExit
port = int(sys.argv[sys.argv.index("-port") + 1]) if "-port" in sys.argv else 8082
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        client = server.accept()[0]
        client.sendall(b"up %d" % port)
        client.close()
"""

Check = Callable[..., tuple[int, str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with two small programs under the names that pages use."""
    root = tmp_path / "project"
    for name, source in (("lmc", LMC), ("apiproxy", APIPROXY)):
        (root / "lmtools" / name).mkdir(parents=True)
        (root / "lmtools" / name / "__init__.py").write_text("")
        (root / "lmtools" / name / "__main__.py").write_text(source)
    (root / "lmtools" / "__init__.py").write_text("")
    (root / ".ci").mkdir()
    (root / ".ci" / "run").write_text("set -e\nstep scripts/test\n")
    (root / "docs").mkdir()
    return root


@pytest.fixture
def check(project: Path, capfd: pytest.CaptureFixture[str]) -> Check:
    """Return a function that checks a page's text: (exit status, what was said)."""

    def check_text(text: str, name: str = "README.md", *options: str) -> tuple[int, str]:
        page = project / name
        page.write_text(text, encoding="utf-8")
        status = main(["--root", str(project), *options])
        said = capfd.readouterr()
        return status, said.out + said.err

    return check_text


def block(language: str, text: str, mark: str = "") -> str:
    above = f"<!-- {mark} -->\n" if mark else ""
    return f"{above}```{language}\n{text}\n```\n"


GOOD = {
    "shell": block("sh", "echo one\necho two | grep two"),
    "what a block leaves, the next finds": block("sh", "echo 5 > five") + block("python", "assert int(open('five').read()) == 5"),
    "python": block("python", "import lmtools\nassert lmtools.__file__"),
    "a console": block("console", "$ echo a\na\n$ printf '1\\n2\\n3\\n'\n1\n...\n3"),
    "a console's long line": block("console", "$ echo a \\\n> b\na b"),
    "output": block("sh", "printf 'a\\nb\\nc\\n'") + block("text", "a\n...", "check: output"),
    "an exit status": block("sh", "exit 2", "check: exit 2"),
    "json": block("json", '{"a": [1]}'),
    "toml": block("toml", "a = 1"),
    "text": block("text", "anything (here"),
    "a real key": block("sh", "export K=sk-real\npython3 -m lmtools.lmc -model x -stream < f | head", "check: syntax"),
    "python with a real key": block("python", "import nothing_here", "check: syntax"),
    "a missing module": block("python", "import nothing_here", "check: needs nothing_here"),
    "a missing program": block("sh", "nothing-here --flag", "check: needs nothing-here"),
    "a present module": block("python", "import json", "check: needs json"),
    "a step of CI": block("sh", "scripts/test", "check: ci"),
    "help": block("text", "usage: lmc [-stream] [-model NAME]", "help: lmc"),
    "an indented block": "1. do\n\n   ```sh\n   echo hi\n   ```\n",
    "a link": "[here](docs/) [there](#a-b) [far](https://example.com/x)\n\n# A `b`\n",
    "a link shown as code": "`[x](nowhere.md)`\n" + block("text", "[x](nowhere.md)"),
}  # fmt: skip

BAD = {
    "a failing command": (block("sh", "echo one\nfalse\necho two"), r"README.md:2: exit status 1"),
    "a failing part of a pipe": (block("sh", "false | cat"), "exit status 1"),
    "an unset variable": (block("sh", "echo $NOT_SET_ANYWHERE"), "exit status"),
    "a failing python": (block("python", "x = 1\nassert x == 2"), r'README.md", line 3'),
    "a wrong console": (block("console", "$ echo a\nb"), "the page shows\nb\nbut this came out:\na"),
    "a console without a command": (block("console", "a"), "starts with a line"),
    "a wrong output": (block("sh", "echo a") + block("text", "b", "check: output"), "README.md:6: the page shows"),
    "output of nothing": (block("text", "b", "check: output"), "output of what"),
    "a wrong exit status": (block("sh", "exit 3", "check: exit 2"), "exit status 3, not 2"),
    "not json": (block("json", "{'a': 1}"), "not json"),
    "not toml": (block("toml", "a = "), "not toml"),
    "no language": (block("", "x"), "names no language"),
    "an unknown language": (block("ruby", "x"), "'ruby' blocks are not checked"),
    "a skipped block": (block("sh", "false", "check: skip no time"), "no such mark"),
    "a mark alone": ("<!-- check: ci -->\n\n```sh\nx\n```\n", "stands before no block"),
    "an open block": ("```sh\necho\n", "never closed"),
    "a shell error beside a real key": (block("sh", "if true", "check: syntax"), "exit status"),
    "an unknown flag beside a real key": (
        block("sh", "echo hi | KEY=1 python3 -m lmtools.lmc -model x \\\n  -strem", "check: syntax"),
        "lmc has no flag -strem",
    ),
    "an unknown flag of the installed program": (
        block("sh", "apiproxy -prt=1", "check: syntax"),
        "apiproxy has no flag -prt",
    ),
    "a python error beside a real key": (block("python", "x = (", "check: syntax"), "not python"),
    "a step CI has not": (block("sh", "scripts/test\nscripts/other", "check: ci"), "scripts/other"),
    "an old help": (block("text", "usage: lmc [-old]", "help: lmc"), "not what lmc -h prints"),
    "help of nothing": (block("text", "usage", "help: vi"), "no such program"),
    "a server that ends": (block("sh", "exit 0", "check: server 8082"), "no answer on port"),
    "a dead link": ("[here](docs/gone.md)", "README.md:1: the link docs/gone.md"),
    "a dead heading": ("# A\n[here](#b)", "no heading #b"),
    "a link out of the checkout": ("[here](../..)", "leads to no file here"),
}  # fmt: skip


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_a_page_that_holds_passes(check: Check, text: str) -> None:
    status, said = check(text)

    assert status == 0, said
    assert "0 pages with errors" in said


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD.keys())
def test_a_planted_mistake_is_found(check: Check, text: str, expected: str) -> None:
    status, said = check(text)

    assert status == 1
    assert re.search(expected, said), said


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    """A listening socket: its port answers, and nothing else can have it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


ASK = "import socket\nprint(socket.create_connection(('127.0.0.1', PORT)).recv(9).decode())"


@pytest.mark.parametrize("flags", ["-port {shown}", "-provider loopback"])
def test_a_server_on_a_taken_port_moves_with_all_that_use_it(
    check: Check, taken: socket.socket, flags: str
) -> None:
    """The README's port may be in use on the machine that checks it."""
    shown = str(taken.getsockname()[1])
    start = f"python3 -m lmtools.apiproxy {flags.format(shown=shown)}"
    text = block("sh", start, f"check: server {shown}")
    text += block("python", ASK.replace("PORT", shown))
    text += block("text", f"up {shown}", "check: output")

    status, said = check(text)

    assert status == 0, said


def test_the_server_is_stopped_with_its_page(check: Check, project: Path) -> None:
    port = doc_blocks.free_port()

    status, said = check(
        block("sh", f"python3 -m lmtools.apiproxy -port {port}", f"check: server {port}")
    )

    assert status == 0, said
    assert not doc_blocks.is_taken(port)


def test_a_block_that_never_ends_is_ended(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doc_blocks, "BLOCK_SECONDS", 0.2)

    status, said = check(block("sh", "sleep 60"))

    assert status == 1
    assert "still running" in said


def test_a_needed_module_that_is_missing_fails(check: Check) -> None:
    """The interop run has the SDKs, so there their examples must run."""
    text = block("python", "import nothing_here", "check: needs nothing_here")

    assert check(text, "README.md", "--need", "nothing_here")[0] == 1


def test_keys_of_the_caller_do_not_reach_a_block(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-caller")

    status, said = check(block("sh", 'test -z "${ANTHROPIC_API_KEY:-}"\ntest -z "$(ls -A ~)"'))

    assert status == 0, said


def test_blocks_write_into_a_copy(check: Check, project: Path) -> None:
    check(block("sh", "echo x > left-over"))

    assert not (project / "left-over").exists()


def test_update_writes_every_help_of_a_page(check: Check, project: Path) -> None:
    text = block("text", "a\nb", "help: lmc") + "between\n" + block("text", "", "help: apiproxy")

    check(text, "README.md", "--update")
    written = (project / "README.md").read_text()

    assert written == (
        block("text", "usage: lmc [-stream] [-model NAME]", "help: lmc")
        + "between\n"
        + block("text", "usage: apiproxy [-port N] [-provider NAME]", "help: apiproxy")
    )
    assert check(written)[0] == 0


RULES = {
    "twice": ("**R1** a\n\n**R1** b\n", "R1 comes after R1"),
    "out of order": ("**R2** a\n\n**R1** b\n", "R1 comes after R2"),
    "held by nothing": ("**R1** a\n\nHeld by `tests/gone.py`.\n", "names tests/gone.py"),
}


@pytest.mark.parametrize(("text", "expected"), RULES.values(), ids=RULES.keys())
def test_a_rule_is_numbered_once_and_held_by_something(
    check: Check, text: str, expected: str
) -> None:
    status, said = check(text, "docs/rules.md")

    assert status == 1
    assert expected in said


def test_rules_in_order_pass(check: Check) -> None:
    status, said = check("**R1** a\n\n**R3** b, in `lmtools/lmc/__main__.py`\n", "docs/rules.md")

    assert status == 0, said
