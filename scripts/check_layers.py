"""The dependency rule of lmtools/, checked on its source.

``python check_layers.py [PACKAGE_FOLDER]`` prints one line per breach and exits 1 when there is
one. What it holds:

* the layers: a module imports from lower lines of ``LAYERS``, never from a higher one nor from its
  own line;
* one dialect's codec never imports another's;
* the parts named in ``PURE`` know no clock, chance, operating system, log, socket or thread, not
  even through a module of ours that does;
* imports are of the standard library, or relative (a copy vendored under another name must work),
  never of the names that ``lmtools/__init__`` offers to users;
* imports stand at the top of a module;
* no comparison of a dialect with a name outside codecs/ and providers/;
* modules stay under 500 lines and functions within 50, one flat ``match`` aside.

``EXCEPTIONS`` names what is allowed against a rule, each with its reason.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

LAYERS = (
    ("errors", "secret", "version", "closing"),
    ("types", "retry", "remembered"),
    ("serde", "sse", "http1"),
    ("codecs",),
    ("providers", "transport", "keys"),
    ("call",),
    ("client", "loopback", "sessions", "tools", "state"),
    ("agent", "flags"),
    ("apiproxy", "lmc"),
)
LEVEL = {unit: level for level, line in enumerate(LAYERS) for unit in line}

DIALECTS = ("anthropic", "openai_chat", "openai_responses", "gemini", "argo_legacy")

PURE = (
    "errors",
    "secret",
    "version",
    "closing",
    "retry",
    "types",
    "serde",
    "sse",
    "http1",
    "codecs",
    "providers",
)

WORLD = frozenset(
    """
    _thread asyncio concurrent ctypes fcntl getpass glob http logging multiprocessing os pathlib
    platform queue random sched secrets select selectors shutil signal socket socketserver ssl
    subprocess tempfile threading time urllib.request uuid
    """.split()  # noqa: SIM905 - thirty quoted names are harder to read
)
WORLD_CALLS = frozenset(("open", "print", "input"))
CLOCK_METHODS = frozenset(("now", "utcnow", "today"))
DYNAMIC = frozenset(("import_module", "__import__"))

MODULE_LINES = 500
FUNCTION_LINES = 50


class Exceptions(NamedTuple):
    """What is allowed against a rule, each with its reason."""

    # (module, what it imports): why it is imported inside a function, with the figure.
    late_imports: Mapping[tuple[str, str], str] = {}
    # Modules inside a pure part that may touch the world.
    impure: Mapping[str, str] = {}
    # "module:function" of functions over 50 lines, or "module" of modules over 500.
    long: Mapping[str, str] = {}


NO_EXCEPTIONS = Exceptions()
EXCEPTIONS = Exceptions(
    late_imports={
        ("codecs", "importlib"): "a client of one dialect loads one codec: 5 to 10 ms each",
        ("lmc.__main__", "lmc.run"): "read under the signal handlers: an early Ctrl-C is quiet",
        ("apiproxy", "importlib"): "loaded on first use, after the program's signal handlers",
        ("apiproxy.__main__", "apiproxy.run"): "read under the signal handlers, as lmc's",
        (
            "lmc.run",
            "lmc.send",
        ): "codecs and transport, 30 to 40 ms: -h and flag mistakes do without",
        ("transport.http", "transport.tls"): "ssl: 5 to 10 ms and 3 MB; plain HTTP never needs it",
        ("transport.proxies", "urllib.request"): "20 to 40 ms, of use on macOS and Windows only",
    }
)


class Module(NamedTuple):
    """One source file. ``name`` is dotted, without the package's: ``codecs.gemini.stream``."""

    name: str
    path: str
    is_package: bool
    tree: ast.Module
    lines: int

    @property
    def unit(self) -> str:
        return self.name.partition(".")[0]

    @property
    def folder(self) -> list[str]:
        """Where the module's relative imports start."""
        parts = self.name.split(".") if self.name else []
        return parts if self.is_package else parts[:-1]


class Import(NamedTuple):
    """``target`` is dotted: relative to the package when ``inside``, else as Python knows it."""

    target: str
    line: int
    inside: bool
    late: bool


class Breach(NamedTuple):
    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def breaches(package: Path, exceptions: Exceptions = NO_EXCEPTIONS) -> list[Breach]:
    """Return every breach in the package's folder, in the order of its files."""
    try:
        modules = read_modules(package)
    except SyntaxError as error:
        return [Breach(str(error.filename), error.lineno or 0, f"is not Python: {error.msg}")]
    check = _Check(package.name, modules, exceptions)
    found = [breach for module in modules.values() for breach in check.module(module)]
    return found + [Breach(str(package), 0, what) for what in check.unused_exceptions()]


def read_modules(package: Path) -> dict[str, Module]:
    modules = [_read_module(package, path) for path in _sources(package)]
    return {module.name: module for module in modules}


def _sources(package: Path) -> list[Path]:
    return sorted(package.rglob("*.py"))


def _read_module(package: Path, path: Path) -> Module:
    parts = list(path.relative_to(package).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    source = path.read_text(encoding="utf-8")
    name = ".".join(parts[:-1] if is_package else parts)
    return Module(name, str(path), is_package, ast.parse(source, str(path)), source.count("\n"))


class _Check:
    def __init__(self, package: str, modules: Mapping[str, Module], exceptions: Exceptions) -> None:
        self.package = package
        self.modules = modules
        self.exceptions = exceptions
        self.used: set[object] = set()

    def module(self, module: Module) -> Iterator[Breach]:
        rules = (self.place, self.imports, self.purity, self.comparisons, self.sizes)
        for rule in rules:
            for line, what in rule(module):
                yield Breach(module.path, line, what)

    def unused_exceptions(self) -> Iterator[str]:
        """An exception that excuses nothing any more would excuse the next breach unseen."""
        for table in self.exceptions:
            for key in table:
                if key not in self.used:
                    yield f"the exception for {key} excuses nothing; take it out"

    def excused(self, table: Mapping[Any, str], key: object) -> bool:
        if key in table:
            self.used.add(key)
        return key in table

    def place(self, module: Module) -> Iterator[tuple[int, str]]:
        if module.name and module.unit not in LEVEL:
            yield 1, f"{module.unit} has no line in LAYERS"

    def imports(self, module: Module) -> Iterator[tuple[int, str]]:
        for found in self.imports_of(module):
            what = self._inside(module, found) if found.inside else self._outside(found)
            if what:
                yield found.line, what
            if found.late and not self.excused(
                self.exceptions.late_imports, (module.name, found.target)
            ):
                yield found.line, f"imports {found.target} inside a function"

    def _outside(self, found: Import) -> str | None:
        top = found.target.partition(".")[0]
        if top == self.package:
            return f"imports {found.target} by its absolute name; a vendored copy has another"
        if top not in sys.stdlib_module_names:
            return f"imports {found.target}, which is not in the standard library"
        return None

    def _inside(self, module: Module, found: Import) -> str | None:
        mine, other = module.unit, found.target.partition(".")[0]
        if not module.name:
            return None  # the public names may come from anywhere
        if found.target not in self.modules:
            return f"imports {found.target or 'a public name of the package'}, which is no module"
        if not other:
            return "imports the package's public names; import the module that has them"
        if mine != other and LEVEL.get(other, 0) >= LEVEL.get(mine, len(LAYERS)):
            where = "the same line" if LEVEL[other] == LEVEL.get(mine) else "a higher line"
            return f"{mine} imports {other}, which stands on {where} of LAYERS"
        return _sibling_dialect(module.name, found.target)

    def imports_of(self, module: Module) -> Iterator[Import]:
        for node, late in _with_depth(module.tree, in_function=False):
            match node:
                case ast.Import(names=names):
                    for alias in names:
                        yield Import(alias.name, node.lineno, inside=False, late=late)
                case ast.ImportFrom(module=target, level=0):
                    yield Import(target or "", node.lineno, inside=False, late=late)
                case ast.ImportFrom():
                    for name in self._resolve(module, node):
                        yield Import(name, node.lineno, inside=True, late=late)
                case ast.Call(func=func) if module.name and _last_name(func) in DYNAMIC:
                    yield Import("importlib", node.lineno, inside=False, late=True)
                case _:
                    pass

    def _resolve(self, module: Module, node: ast.ImportFrom) -> set[str]:
        """Return what ``from .a import b`` reads: the module ``a.b`` if it is one, else ``a``."""
        folder = module.folder
        if node.level - 1 > len(folder):
            return {"." * node.level + (node.module or "")}
        base = [*folder[: len(folder) - node.level + 1], *(node.module or "").split(".")]
        prefix = ".".join(filter(None, base))
        names = (f"{prefix}.{alias.name}".lstrip(".") for alias in node.names)
        return {name if name in self.modules else prefix for name in names}

    def is_pure(self, name: str) -> bool:
        return name.partition(".")[0] in PURE and name not in self.exceptions.impure

    def purity(self, module: Module) -> Iterator[tuple[int, str]]:
        if module.unit not in PURE or self.excused(self.exceptions.impure, module.name):
            return
        for found in self.imports_of(module):
            if not found.inside and _is_world(found.target):
                yield found.line, f"a pure module imports {found.target}"
            elif found.inside and found.target in self.modules and not self.is_pure(found.target):
                yield found.line, f"a pure module imports {found.target}, which is not pure"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _touches_world(node.func):
                yield node.lineno, f"a pure module calls {ast.unparse(node.func)}()"

    def comparisons(self, module: Module) -> Iterator[tuple[int, str]]:
        if module.unit in ("codecs", "providers"):
            return
        for node in ast.walk(module.tree):
            if _asks_which_dialect(node):
                yield node.lineno, "compares a dialect with a name; ask the codec or the Target"  # type: ignore[attr-defined]

    def sizes(self, module: Module) -> Iterator[tuple[int, str]]:
        if module.lines > MODULE_LINES and not self.excused(self.exceptions.long, module.name):
            yield 1, f"the module has {module.lines} lines; {MODULE_LINES} is the bound"
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            name = f"{module.name}:{node.name}"
            if lines <= FUNCTION_LINES or _is_flat_match(node):
                continue
            if not self.excused(self.exceptions.long, name):
                yield node.lineno, f"{name} has {lines} lines; {FUNCTION_LINES} is the bound"


def _with_depth(node: ast.AST, in_function: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(node):
        yield child, in_function
        deeper = in_function or isinstance(
            child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        yield from _with_depth(child, deeper)


def _sibling_dialect(mine: str, target: str) -> str | None:
    match target.split("."):
        case ["codecs", dialect, *_] if dialect in DIALECTS and mine.startswith("codecs."):
            if mine.split(".")[1] != dialect:
                return f"{mine} imports the codec of another dialect, {dialect}"
        case _:
            pass
    return None


def _is_world(target: str) -> bool:
    return target in WORLD or target.partition(".")[0] in WORLD


def _last_name(func: ast.expr) -> str:
    match func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _touches_world(func: ast.expr) -> bool:
    if isinstance(func, ast.Name):
        return func.id in WORLD_CALLS
    return isinstance(func, ast.Attribute) and func.attr in CLOCK_METHODS


def _asks_which_dialect(node: ast.AST) -> bool:
    match node:
        case ast.Compare(left=left, ops=[ast.Eq() | ast.NotEq()], comparators=[right]):
            pair = (left, right)
            return any(map(_is_dialect, pair)) and any(map(_is_constant, pair))
        case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[right]):
            return _is_dialect(left) and isinstance(right, ast.Tuple | ast.List | ast.Set)
        case ast.Match(subject=subject):
            return _is_dialect(subject)
        case _:
            return False


def _is_dialect(node: ast.expr) -> bool:
    return _last_name(node) == "dialect" or _last_name(node).endswith("_dialect")


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or _last_name(node).isupper()


def _is_flat_match(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    body = [node for node in function.body if not _is_docstring(node)]
    return len(body) <= 2 and any(isinstance(node, ast.Match) for node in body)


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def main(arguments: list[str]) -> int:
    package = Path(arguments[0] if arguments else Path(__file__).parents[1] / "lmtools")
    found = breaches(package, EXCEPTIONS)
    for breach in found:
        print(breach)
    print(f"check_layers: {len(_sources(package))} modules, {len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
