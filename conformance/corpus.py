"""The cases: own ones from ``cases/``, captured answers and recorded requests from the shared folder.

An own file holds ``{"about": ..., "cases": [...]}``. Every case has a ``name``, a ``kind`` (request, response,
stream, error, pair) and a ``source``: the SDK type, documentation page or capture that says that the wire looks
like this. A stream is ``frames`` (JSON events, each merged over the file's or case's ``base``; a string is
sent as it stands, ``[DONE]`` for one) with an optional ``framing``, or ``text``: its lines, joined with LF.
``expect`` states facts of the content that no law can know (``laws.facts``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
SHARED = Path(__file__).parents[2] / "shared"
KINDS = ("request", "response", "stream", "error", "pair")

#: The target words of the captures, by dialect. The others speak dialects without a codec yet.
_TARGETS = {
    "anthropic": "anthropic",
    "argo-anthropic": "anthropic",
    "openai": "openai_chat",
    "argo-openai": "openai_chat",
}
_INGRESS = {"anthropic": "anthropic", "openai": "openai_chat"}
_PATHS = {"/v1/messages": "anthropic", "/v1/chat/completions": "openai_chat"}


@dataclass(frozen=True, slots=True)
class Case:
    """One exchange, or one side of it.

    ``request`` is the body of a request case, and what a response or stream answers where that matters;
    ``body`` is a response or an error body (text when it is not JSON); ``stream`` the bytes of a stream.
    """

    name: str
    dialect: str
    kind: str
    source: str
    request: dict[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None
    status: int = 200
    stream: bytes = b""
    expect: dict[str, Any] = field(default_factory=dict)
    lawful: bool = True

    def __str__(self) -> str:
        return self.name


def load() -> list[Case]:
    """Return every case there is, own ones first."""
    return [*own(), *captures(), *recorded()]


def absent() -> list[str]:
    """Return what the corpus would hold but does not, one line each."""
    missing = [
        f"{SHARED / name}: absent, so its cases did not run"
        for name in ("captures", "recorded")
        if not (SHARED / name).is_dir()
    ]
    return [*missing, *_without_codec()]


def _without_codec() -> list[str]:
    skipped = sum(1 for path in _files("recorded", "*.json") if _dialect_of_record(path) is None)
    streams = [p for p in _files("captures", "*/captures/*.*") if _target(p) not in _TARGETS]
    lines = []
    if skipped:
        lines.append(f"recorded: {skipped} requests are in dialects without a codec")
    if streams:
        lines.append(f"captures: {len(streams)} files are of targets without a codec")
    return lines


def own(folder: Path = CASES) -> list[Case]:
    """Return the cases written here; ValueError names a case that breaks the form of the files."""
    return [case for path in sorted(folder.glob("*/*.json")) for case in _own_file(path)]


def _own_file(path: Path) -> Iterator[Case]:
    held = json.loads(path.read_text("utf-8"))
    for item in held["cases"]:
        name = f"{path.parent.name}/{path.stem}/{item.get('name')}"
        if not item.get("name") or item.get("kind") not in KINDS or not item.get("source"):
            raise ValueError(f"{name}: a case needs a name, a source and a kind of {KINDS}")
        yield Case(
            name=name,
            dialect=path.parent.name,
            kind=item["kind"],
            source=item["source"],
            request=item.get("request"),
            headers=tuple((k, v) for k, v in item.get("headers", {}).items()),
            body=item.get("body"),
            status=item.get("status", 200),
            stream=stream_bytes(path.parent.name, item, held.get("base", {})),
            expect=item.get("expect", {}),
            lawful=item.get("lawful", True),
        )


def stream_bytes(dialect: str, item: dict[str, Any], base: dict[str, Any]) -> bytes:
    """Return the bytes of a stream case as its ``framing`` has them."""
    if "text" in item:
        return "\n".join(item["text"]).encode()
    framing = item.get("framing", {})
    blocks = [_frame(dialect, f, {**base, **item.get("base", {})}) for f in item.get("frames", ())]
    blocks = [f"{': hello' if framing.get('comments') else ''}\n{b}".lstrip("\n") for b in blocks]
    text = "\n\n".join(blocks) + ("" if framing.get("no_last_blank") else "\n\n")
    text = text.replace("\n", framing.get("line_end", "\n"))
    return (b"\xef\xbb\xbf" if framing.get("bom") else b"") + text.encode() if blocks else b""


def _frame(dialect: str, frame: Any, base: dict[str, Any]) -> str:
    if isinstance(frame, str):
        return f"data: {frame}"
    data = json.dumps({**base, **frame}, ensure_ascii=False, separators=(",", ":"))
    return f"event: {frame['type']}\ndata: {data}" if dialect == "anthropic" else f"data: {data}"


def _files(folder: str, pattern: str) -> list[Path]:
    return sorted((SHARED / folder).glob(pattern))


def _target(path: Path) -> str:
    return path.name.partition(".")[0].removesuffix("-stream")


def captures() -> list[Case]:
    """Return the captured requests, answers and streams of the dialects that have a codec."""
    return [case for path in _files("captures", "*/case.json") for case in _captured(path.parent)]


def _captured(folder: Path) -> Iterator[Case]:
    about = json.loads((folder / "case.json").read_text("utf-8"))
    dialect = _INGRESS.get(about.get("ingress_family", ""))
    ingress = folder / "ingress.json"
    if dialect and ingress.is_file():
        body = json.loads(ingress.read_text("utf-8"))
        yield Case(f"captures/{folder.name}/ingress", dialect, "request", "capture", body)
    if not {"request", "response", "stream"} & set(about["kinds"]):
        return  # model lists, token counts and stateful steps are no conversation bodies
    for path in sorted((folder / "captures").glob("*.response.json")):
        if _target(path) in _TARGETS:
            yield _answer(folder, path)
    for path in sorted((folder / "captures").glob("*.stream.txt")):
        if _target(path) in _TARGETS:
            yield from _streamed(folder, path)


def _answer(folder: Path, path: Path) -> Case:
    body = json.loads(path.read_text("utf-8"))
    name = f"captures/{folder.name}/{_target(path)}"
    dialect = _TARGETS[_target(path)]
    if "error" in body:
        return Case(name, dialect, "error", "capture", body=body, status=_status(path))
    return Case(name, dialect, "response", "capture", body=body)


def _status(path: Path) -> int:
    meta = path.with_name(path.name.replace(".response.json", ".meta.json"))
    return int(json.loads(meta.read_text("utf-8"))["status_code"])


def _streamed(folder: Path, path: Path) -> Iterator[Case]:
    target = _target(path)
    name = f"captures/{folder.name}/{target}-stream"
    data = path.read_bytes()
    # A stream without its meta file was made by hand by those who recorded the others.
    lawful = path.with_name(f"{target}-stream.meta.json").is_file()
    yield Case(name, _TARGETS[target], "stream", "capture", stream=data, lawful=lawful)
    whole = path.with_name(f"{target}.response.json")
    if whole.is_file():
        body = json.loads(whole.read_text("utf-8"))
        yield Case(name + "-pair", _TARGETS[target], "pair", "capture", body=body, stream=data)


def recorded() -> list[Case]:
    """Return the recorded requests of real clients in the dialects that have a codec."""
    return [case for path in _files("recorded", "*.json") for case in _record(path)]


def _dialect_of_record(path: Path) -> str | None:
    return _PATHS.get(json.loads(path.read_text("utf-8"))["path"])


def _record(path: Path) -> Iterator[Case]:
    held = json.loads(path.read_text("utf-8"))
    dialect = _PATHS.get(held["path"])
    if dialect is None:
        return
    allowed = ("anthropic-beta", "anthropic-version")
    headers = tuple((k, v) for k, v in held["headers"].items() if k.lower() in allowed)
    yield Case(f"recorded/{path.stem}", dialect, "request", "recorded", held["body"], headers)
