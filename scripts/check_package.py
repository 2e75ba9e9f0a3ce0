"""The package works in each form in which people take it, and holds what it must.

``scripts/check_package`` builds the wheel and tries ``lmc`` installed from it, in a copy vendored
under another name, and in a zipapp; each in a folder of its own, away from the checkout.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipapp
import zipfile
from collections.abc import Iterator, Sequence
from email.message import Message
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROMPT = "hello, package"
ENTRY_POINTS = ("lmc = lmtools.lmc.__main__:main", "apiproxy = lmtools.apiproxy.__main__:main")


class Broken(Exception):
    """What is wrong with which form of the package."""


def run(words: Sequence[str | Path], folder: Path, text: str = "") -> str:
    done = subprocess.run(
        [*map(str, words)], cwd=folder, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Broken(f"{' '.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def build_wheel(folder: Path) -> Path:
    # From a copy: setuptools leaves build/ and *.egg-info beside its sources.
    ignored = shutil.ignore_patterns(".git", ".venv*", "build", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, folder / "source", ignore=ignored)
    words = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)]
    run([sys.executable, *words], folder)
    return next(folder.glob("lmtools-*.whl"))


def faults_of(wheel: Path) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (about,) = (name.rpartition("/")[0] for name in names if name.endswith("/METADATA"))
        metadata: Message = Parser().parsestr(archive.read(f"{about}/METADATA").decode())
        entries = archive.read(f"{about}/entry_points.txt").decode()
    if "lmtools/py.typed" not in names:
        yield "no py.typed: type checkers would ignore the annotations"
    for source in (ROOT / "lmtools").rglob("*.py"):
        if source.relative_to(ROOT).as_posix() not in names:
            yield f"no {source.relative_to(ROOT)}"
    for requirement in metadata.get_all("Requires-Dist", []):
        if "extra ==" not in requirement:
            yield f"a runtime dependency: {requirement}"
    yield from (f"no entry point {entry}" for entry in ENTRY_POINTS if entry not in entries)


def try_installed(folder: Path, wheel: Path) -> None:
    words = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder / "site"),
        str(wheel),
    ]
    run([sys.executable, *words], folder)
    ask([folder / "site/bin/lmc"], folder / "site")


def try_vendored(folder: Path) -> None:
    shutil.copytree(ROOT / "lmtools", folder / "program/_vendor/llm")
    ask([sys.executable, "-m", "program._vendor.llm.lmc"], folder)


def try_zipapp(folder: Path) -> None:
    shutil.copytree(ROOT / "lmtools", folder / "app/lmtools")
    # Not create_archive's main=: what it writes drops the exit status.
    start = "import sys\nfrom lmtools.lmc.__main__ import main\n\nsys.exit(main())\n"
    (folder / "app/__main__.py").write_text(start, encoding="utf-8")
    zipapp.create_archive(folder / "app", folder / "lmc.pyz")
    ask([sys.executable, folder / "lmc.pyz"], folder)


def ask(program: Sequence[str | Path], folder: Path) -> None:
    words = ["env", f"PYTHONPATH={folder}", *program, "-provider", "loopback"]
    if PROMPT not in run(words, folder, PROMPT):
        raise Broken(f"{' '.join(map(str, words))}: the answer does not repeat the prompt")


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="check-package-") as name:
        folder = Path(name)
        try:
            wheel = build_wheel(folder)
            if faults := list(faults_of(wheel)):
                raise Broken(f"{wheel.name}: " + "; ".join(faults))
            try_installed(folder, wheel)
            try_vendored(folder)
            try_zipapp(folder)
        except Broken as error:
            print(f"check_package: {error}", file=sys.stderr)
            return 1
    print("check_package: the wheel is whole; lmc answers installed, vendored and as a zipapp")
    return 0


if __name__ == "__main__":
    sys.exit(main())
