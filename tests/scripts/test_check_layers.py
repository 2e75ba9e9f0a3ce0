"""``scripts/check_layers`` finds every kind of breach, and finds none in the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.check_layers import LAYERS, Exceptions, breaches, main

REPOSITORY = Path(__file__).parents[2]

Plant = Callable[..., Path]

# One module per unit, so that any of them can be imported.
CLEAN = {f"{unit}/__init__.py": "" for line in LAYERS for unit in line} | {
    "__init__.py": "",
    "codecs/anthropic/__init__.py": "",
    "codecs/openai_chat/__init__.py": "",
    "codecs/openai_chat/stream.py": "",
    "codecs/base.py": "",
    "transport/pool.py": "import socket\n",
}


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Return a function that lays out a package, the clean one with the given files changed."""

    def plant_files(files: dict[str, str]) -> Path:
        package = tmp_path / "lmtools"
        for name, source in (CLEAN | files).items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / name).write_text(source, encoding="utf-8")
        return package

    return plant_files


BREACHES = {
    "a higher line": (
        "errors/x.py",
        "from .. import types",
        "errors imports types, which stands on a higher line",
    ),
    "a name out of a higher line": (
        "sse/x.py",
        "from ..codecs.base import Codec",
        "sse imports codecs",
    ),
    "its own line": ("serde/x.py", "from ..http1 import Headers", "on the same line"),
    "the same line, higher up": ("client/x.py", "from ..state import Store", "on the same line"),
    "a program by the library": ("agent/x.py", "from ..lmc import main", "agent imports lmc"),
    "types only": (
        "types/x.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..codecs import base",
        "types imports codecs",
    ),
    "another dialect": (
        "codecs/anthropic/x.py",
        "from ..openai_chat import stream",
        "another dialect",
    ),
    "another dialect, whole": (
        "codecs/anthropic/x.py",
        "from .. import openai_chat",
        "another dialect",
    ),
    "a dialect by the base": (
        "codecs/blocks.py",
        "from .openai_chat.stream import Decoder",
        "another dialect",
    ),
    "a clock": ("codecs/anthropic/x.py", "import time", "a pure module imports time"),
    "a clock by name": ("types/x.py", "from time import monotonic", "a pure module imports time"),
    "chance": ("serde/x.py", "import random", "imports random"),
    "secrets": ("codecs/seal.py", "import secrets", "imports secrets"),
    "the system": ("sse/x.py", "import os.path", "imports os.path"),
    "a log": ("codecs/base.py", "import logging", "imports logging"),
    "a socket": ("http1/x.py", "import socket", "imports socket"),
    "a thread": ("errors/x.py", "from threading import Lock", "imports threading"),
    "the network, under a pure name": (
        "types/x.py",
        "import urllib.request",
        "imports urllib.request",
    ),
    "today": (
        "types/x.py",
        "import datetime\nx = datetime.datetime.now(datetime.UTC)",
        "calls datetime",
    ),
    "a file": ("serde/x.py", "text = open('x').read()", "calls open()"),
    "a third party": ("lmc/x.py", "import requests", "not in the standard library"),
    "a third party's part": (
        "lmc/x.py",
        "from yaml.nodes import Node",
        "not in the standard library",
    ),
    "itself by name": ("lmc/x.py", "from lmtools.errors import LMError", "absolute name"),
    "the public names": ("lmc/x.py", "from .. import LM", "the package's public names"),
    "a module that is not there": ("lmc/x.py", "from .gone import x", "which is no module"),
    "out of the package": ("lmc/x.py", "from ... import x", "which is no module"),
    "an import in a function": (
        "lmc/x.py",
        "def f():\n    import json",
        "imports json inside a function",
    ),
    "an import in a method": (
        "lmc/x.py",
        "class A:\n    def f(self):\n        if self:\n            from ..errors import LMError",
        "imports errors inside a function",
    ),
    "a dynamic import": (
        "lmc/x.py",
        "import importlib\nx = importlib.import_module('json')",
        "imports importlib inside a function",
    ),
    "a dialect's name": (
        "apiproxy/x.py",
        "def f(t):\n    return t.dialect == 'gemini'",
        "compares a dialect",
    ),
    "a dialect's name, constant first": (
        "client/x.py",
        "f = lambda d: GEMINI != d.dialect",
        "compares a dialect",
    ),
    "some dialects": (
        "client/x.py",
        "f = lambda dialect: dialect in ('a', 'b')",
        "compares a dialect",
    ),
    "a match on the dialect": (
        "client/x.py",
        "def f(client_dialect):\n    match client_dialect:\n        case 'a': ...",
        "compares a dialect",
    ),
    "a long module": ("lmc/x.py", "\n" * 501, "501 lines"),
    "a long function": ("lmc/x.py", "def f():\n" + "    x = 1\n" * 50, "lmc.x:f has 51 lines"),
    "what no Python reads": ("lmc/x.py", "def f(:\n", "is not Python"),
    "a unit nobody placed": ("utils/__init__.py", "", "utils has no line in LAYERS"),
}


@pytest.mark.parametrize(("file", "source", "expected"), BREACHES.values(), ids=BREACHES.keys())
def test_a_planted_breach_is_found_where_it_stands(
    plant: Plant, file: str, source: str, expected: str
) -> None:
    found = breaches(plant({file: source}))

    assert any(expected in breach.what for breach in found), found
    assert {Path(breach.path).name for breach in found} == {Path(file).name}


def test_what_is_allowed_is_not_a_breach(plant: Plant) -> None:
    """The rules forbid what they say and no more."""
    package = plant(
        {
            "__init__.py": "import importlib\ndef __getattr__(n):\n    return importlib.import_module(n)",
            "codecs/__init__.py": "from . import anthropic, openai_chat",
            "codecs/anthropic/x.py": "import json\nfrom ... import errors\nfrom .. import base\nfrom . import y",
            "codecs/anthropic/y.py": "def f(d):\n    return d.dialect == 'anthropic'",
            "transport/x.py": "import socket, time\nfrom ..http1 import Headers\nfrom .pool import Pool",
            "client/x.py": "def f(a, b):\n    return a.dialect == b.dialect",
            "lmc/x.py": "def f(x):\n    match x:\n" + "        case 1: ...\n" * 60,
        }
    )

    assert breaches(package) == []


def test_a_pure_module_may_not_reach_the_world_through_one_that_does(plant: Plant) -> None:
    package = plant(
        {"providers/keys.py": "import os\n", "providers/rows.py": "from .keys import read\n"}
    )

    found = breaches(package, Exceptions(impure={"providers.keys": "reads key files"}))

    assert [breach.what for breach in found] == [
        "a pure module imports providers.keys, which is not pure"
    ]


def test_an_exception_excuses_its_own_case_only(plant: Plant) -> None:
    late = "def f():\n    import ssl\n"
    package = plant({"transport/a.py": late, "transport/b.py": late})

    found = breaches(package, Exceptions(late_imports={("transport.a", "ssl"): "12 ms"}))

    assert [Path(breach.path).name for breach in found] == ["b.py"]


def test_an_exception_that_excuses_nothing_is_itself_a_breach(plant: Plant) -> None:
    """Left behind, it would hide the next breach of its name."""
    exceptions = Exceptions(
        late_imports={("transport.a", "ssl"): "12 ms"}, long={"lmc.x:f": "a table"}
    )

    found = breaches(plant({}), exceptions)

    assert len(found) == 2
    assert all("excuses nothing" in breach.what for breach in found)


def test_the_command_prints_the_place_and_fails(
    plant: Plant, capsys: pytest.CaptureFixture[str]
) -> None:
    package = plant({"errors/x.py": "\nimport os\n"})

    assert main([str(package)]) == 1
    assert f"{package}/errors/x.py:2: a pure module imports os" in capsys.readouterr().out


def test_the_package_keeps_the_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0, capsys.readouterr().out
