"""The fenced blocks of a page: how they are read, marked and run.

Every block names its language:

===================  ===========================================================================
``sh``, ``bash``     run by bash, in a copy of the checkout made for the page
``console``          the lines after ``$`` are run, the others are what they must print; a line
                     ``...`` stands for any number of lines
``python``           run, in the same copy
``json``, ``toml``   must parse
``text``, ``http``   shown only, unless a mark says otherwise
===================  ===========================================================================

A mark is an HTML comment on the line above a block. There is none that skips a block:

``<!-- check: server 8082 -->``  runs the block in the background until the end of the page or the
                                 next server mark; the blocks after it start when the port answers
``<!-- check: output -->``       the block is what the block before it printed, ``...`` as above
``<!-- check: exit 2 -->``       the block ends with this status
``<!-- check: syntax -->``       for what needs a real key: the block must parse, and every flag it
                                 gives to lmc or apiproxy must be in that program's help
``<!-- check: needs NAME -->``   runs where the module (python) or program (sh) is installed, else
                                 as ``syntax``; ``--need NAME`` makes its absence a failure
``<!-- check: ci -->``           each line of the block is a step of .ci/run, which runs it
``<!-- help: lmc -->``           the block is that program's help; ``--update`` writes it there

When a server's port is taken, a free one stands in for it in all blocks of the page. The caller's
keys are not in the environment of a block, and its home folder is empty.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

BLOCK_SECONDS = 60.0
SERVER_READY_SECONDS = 20.0
SERVER_STOP_SECONDS = 10.0

SHELL = ("sh", "bash", "console")
SHOWN_ONLY = ("text", "http")
PROGRAMS = {"lmc": "lmtools.lmc", "apiproxy": "lmtools.apiproxy"}
FOREIGN_ENVIRONMENT = ("_API_KEY", "_AUTH_TOKEN", "_BASE_URL", "_PROXY")
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "*.egg-info", "__pycache__", ".*_cache")

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
MARK = re.compile(r"^ *<!-- *(?P<kind>check|help): *(?P<words>[^>]*?) *-->$")


class DocsError(Exception):
    """One thing wrong in one place; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. ``line`` is that of its first line of text, counted from 1."""

    page: Path
    line: int
    language: str
    text: str
    mark: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"

    def error(self, what: str) -> DocsError:
        return DocsError(f"{self.where}: {what}")


# --- reading pages --------------------------------------------------------------------------------


def read_blocks(page: Path) -> list[Block]:
    """Return the page's fenced blocks; raises DocsError for a fence or a mark that stands alone."""
    blocks: list[Block] = []
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    mark: tuple[str, ...] = ()
    for number, line in lines:
        if found := FENCE.match(line):
            text = _fenced_text(page, number, found, lines)
            language = found["info"].strip().partition(" ")[0]
            blocks.append(Block(page, number + 1, language, text, mark))
            mark = ()
        elif mark:
            raise DocsError(f"{page}:{number}: the mark above this line stands before no block")
        elif found := MARK.match(line):
            mark = (found["kind"], *found["words"].split())
    return blocks


def _fenced_text(
    page: Path, start: int, opening: re.Match[str], lines: Iterator[tuple[int, str]]
) -> str:
    kept: list[str] = []
    for _, line in lines:
        if line.strip() == opening["fence"]:
            return "".join(kept)
        kept.append(line.removeprefix(opening["indent"]) + "\n")
    raise DocsError(f"{page}:{start}: this block is never closed")


# --- running blocks -------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """One page's blocks in one copy of the checkout: what is running, and what was printed last."""

    root: Path
    folder: Path
    needed: Sequence[str] = ()
    ports: dict[str, str] = field(default_factory=dict)
    server: subprocess.Popen[bytes] | None = None
    printed: str | None = None
    notes: list[str] = field(default_factory=list)

    def block(self, block: Block) -> None:
        """Check one block, or raise DocsError."""
        if not block.language:
            raise block.error("the block names no language; plain text is ```text")
        kind, words = (block.mark[0], block.mark[1:]) if block.mark else ("check", ())
        if kind == "help":
            return  # check_help compares it
        action = words[0] if words else "run"
        check = ACTIONS.get(action)
        if check is None:
            raise block.error(f"no such mark: check: {' '.join(words)}")
        check(self, replace(block, text=self.with_ports(block.text)), words[1:])

    def with_ports(self, text: str) -> str:
        for shown, port in self.ports.items():
            text = re.sub(rf"\b{shown}\b", port, text)
        return text

    def run(self, block: Block, status: int = 0) -> None:
        match block.language:
            case "console":
                self.console(block)
            case "sh" | "bash" | "python":
                self.printed = self.execute(block, command(block), status)
            case "json":
                _parse(block, json.loads)
            case "toml":
                _parse(block, tomllib.loads)
            case language if language not in SHOWN_ONLY:
                raise block.error(f"{language!r} blocks are not checked; see check_docs.py")

    def execute(self, block: Block, words: Sequence[str], status: int = 0) -> str:
        """Run to the end and return standard output; the status and the deadline are checked."""
        with self.start(words, subprocess.PIPE) as process:
            try:
                out, err = process.communicate(timeout=BLOCK_SECONDS)
            except subprocess.TimeoutExpired:
                _stop(process)
                raise block.error(f"still running after {BLOCK_SECONDS:.0f} s") from None
        text = out.decode("utf-8", "replace")
        if process.returncode != status:
            said = err.decode("utf-8", "replace")
            raise block.error(f"exit status {process.returncode}, not {status}\n{text}{said}")
        return text

    def start(self, words: Sequence[str], output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            words,
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output if output == subprocess.PIPE else subprocess.STDOUT,
            start_new_session=True,
        )

    def console(self, block: Block) -> None:
        printed = []
        for typed, expected in console_steps(block):
            got = self.execute(block, ["bash", "-euo", "pipefail", "-c", typed + " 2>&1"])
            compare(block, expected, got)
            printed.append(got)
        self.printed = "".join(printed)

    def output(self, block: Block) -> None:
        if self.printed is None:
            raise block.error("output of what? no block before this one was run")
        compare(block, block.text, self.printed)

    def serve(self, block: Block, words: Sequence[str]) -> None:
        """Start the block in the background and wait until its port answers."""
        self.stop_server()
        (shown,) = words
        if is_taken(int(shown)):
            self.ports[shown] = str(free_port())
        port = self.ports.get(shown, shown)
        script = with_port(self.with_ports(block.text), shown, port)
        log = self.folder.parent / "server.log"
        with log.open("wb") as sink:
            self.server = self.start(["bash", "-euo", "pipefail", "-c", script], sink.fileno())
        if not self.wait_for(int(port)):
            raise block.error(f"no answer on port {port}\n{log.read_text(errors='replace')}")

    def wait_for(self, port: int) -> bool:
        deadline = time.monotonic() + SERVER_READY_SECONDS
        while time.monotonic() < deadline and self.server and self.server.poll() is None:
            if is_taken(port):
                return True
            time.sleep(0.05)
        return False

    def stop_server(self) -> None:
        if self.server is not None:
            _stop(self.server)
            self.server = None

    def syntax(self, block: Block) -> None:
        if block.language == "python":
            _parse(block, lambda text: compile(text, block.where, "exec"))
        elif block.language in SHELL:
            self.execute(block, ["bash", "-n", "-c", block.text])
            check_flags(block, self)
        else:
            raise block.error(f"{block.language} has no syntax check")
        self.printed = None

    def needs(self, block: Block, words: Sequence[str]) -> None:
        missing = [name for name in words if not is_installed(name, block.language)]
        if wanted := [name for name in missing if name in self.needed]:
            raise block.error(f"needs {', '.join(wanted)}, which is not installed")
        if missing:
            self.notes.append(f"{block.where}: syntax only, without {', '.join(missing)}")
            self.syntax(block)
        else:
            self.run(block)

    def ci(self, block: Block) -> None:
        steps = [line.strip() for line in (self.root / ".ci/run").read_text().splitlines()]
        for line in filter(None, block.text.splitlines()):
            if not any(step == line or step.endswith(f" {line}") for step in steps):
                raise block.error(f".ci/run does not run this line: {line}")


ACTIONS: dict[str, Callable[[Run, Block, Sequence[str]], None]] = {
    "run": lambda run, block, _: run.run(block),
    "exit": lambda run, block, words: run.run(block, status=int(words[0])),
    "server": Run.serve,
    "output": lambda run, block, _: run.output(block),
    "syntax": lambda run, block, _: run.syntax(block),
    "needs": Run.needs,
    "ci": lambda run, block, _: run.ci(block),
}


def command(block: Block) -> list[str]:
    """Return how to run the block; Python's traceback then shows the page and its line."""
    if block.language in SHELL:
        return ["bash", "-euo", "pipefail", "-c", block.text]
    script = (
        f"exec(compile({chr(10) * (block.line - 1) + block.text!r}, {str(block.page)!r}, 'exec'))"
    )
    return [sys.executable, "-c", script]


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.upper().endswith(FOREIGN_ENVIRONMENT)}
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return kept | {"HOME": str(home), "PATH": path, "COLUMNS": "80", "PYTHONPATH": str(folder)}


def console_steps(block: Block) -> list[tuple[str, str]]:
    """Return (command, what it must print) for each ``$`` line; a line ending in \\ goes on."""
    steps: list[tuple[str, str]] = []
    for line in block.text.splitlines(keepends=True):
        if line.startswith("$ "):
            steps.append((line[2:], ""))
        elif not steps:
            raise block.error("a console block starts with a line '$ command'")
        elif steps[-1][0].endswith("\\\n"):
            steps[-1] = (steps[-1][0] + line.removeprefix("> "), "")
        else:
            steps[-1] = (steps[-1][0], steps[-1][1] + line)
    return [(typed.rstrip("\n"), expected) for typed, expected in steps]


def compare(block: Block, expected: str, got: str) -> None:
    parts = [".*" if line == "..." else re.escape(line) for line in expected.strip().splitlines()]
    if not re.fullmatch("\n".join(parts), got.strip(), re.DOTALL):
        raise block.error(f"the page shows\n{expected.strip()}\nbut this came out:\n{got.strip()}")


def with_port(script: str, shown: str, port: str) -> str:
    """Name the port in the command when the shown one is only the program's default."""
    if shown == port or port in script:
        return script
    return re.sub(r"((?:-m lmtools\.|\b)apiproxy)\b", rf"\1 -port {port}", script, count=1)


def is_taken(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def is_installed(name: str, language: str) -> bool:
    if language == "python":
        return importlib.util.find_spec(name) is not None
    return shutil.which(name) is not None


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a block and what it started: they are one process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SERVER_STOP_SECONDS)
            return


def _parse(block: Block, parse: Callable[[str], object]) -> None:
    try:
        parse(block.text)
    except (ValueError, SyntaxError) as error:
        raise block.error(f"not {block.language}: {error}") from None


# --- the programs' own words --------------------------------------------------------------------


def help_text(root: Path, program: str) -> str:
    if program not in PROGRAMS:
        raise DocsError(f"help: {program}: no such program; one of {', '.join(PROGRAMS)}")
    done = subprocess.run(
        [sys.executable, "-m", PROGRAMS[program], "-h"],
        cwd=root,
        env=os.environ | {"COLUMNS": "80"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS,
        check=False,
    )
    text = done.stdout or done.stderr
    if not text.strip():
        raise DocsError(f"help: {program} -h printed nothing (exit status {done.returncode})")
    return text.rstrip() + "\n"


def check_flags(block: Block, run: Run) -> None:
    """Each flag that the block gives to one of our programs is a flag of that program."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for words in _our_commands(line):
            known = set(re.findall(r"(?<![\w-])--?([a-z][\w-]*)", help_text(run.root, words[0])))
            for word in words[1:]:
                flag = re.fullmatch(r"--?([a-z][\w-]*)(=.*)?", word)
                if flag and flag[1] not in known:
                    raise block.error(f"{words[0]} has no flag -{flag[1]}")


def _our_commands(line: str) -> Iterator[list[str]]:
    """Split a line at pipes and the like; yield the parts that start one of our programs."""
    lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    part: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set("|&;()<>"):
            for index, name in enumerate(part):
                program = name.removeprefix("lmtools.")
                if program in PROGRAMS and (
                    index == 0 or part[index - 1] == "-m" or "=" in part[0]
                ):
                    yield [program, *part[index + 1 :]]
            part = []
        else:
            part.append(word)


def run_blocks(root: Path, blocks: Sequence[Block], needed: Sequence[str]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="check-docs-") as folder:
        copy = Path(folder) / root.name
        if blocks:
            shutil.copytree(root, copy, ignore=NOT_COPIED)
        run = Run(root, copy, needed)
        try:
            for block in blocks:
                run.block(block)
        finally:
            run.stop_server()
        return run.notes
