"""What becomes of each leaf of the corpus: its canonical place, and what each dialect makes of it.

Each leaf of each own case gets the values that law L8 plants. Where the parsed value then differs
is the leaf's canonical place, where a rendered body differs is the field it is mapped to, and the
losses that cover the canonical place say the rest. Nothing here knows a field of a dialect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

from conformance import canonical, exchange, trees
from conformance.corpus import Case
from conformance.exchange import Codecs
from conformance.laws import planting
from conformance.laws.transcode import SATISFIED
from conformance.trees import Path, shown
from lmtools.codecs.base import Codec, Incoming, Loss, Rendered
from lmtools.errors import LMError
from lmtools.sse import SSEEvent
from lmtools.types import Event, Opaque, OpaqueDelta, Request

KINDS = ("request", "response", "stream")

#: Frames and events of a stream, and headers, stand under a key: all are trees, as bodies are.
FRAMES = "events"
HEADERS = "headers"

OWN_NOTE = "the server's own"
SATISFIED_NOTE = "done without a field"
SILENT_NOTE = "no field, no loss"
NOTES = (OWN_NOTE, SATISFIED_NOTE, SILENT_NOTE)

#: What a word of a field looks like; other texts are content.
_WORD = re.compile(r"[a-z][a-z0-9_/]*")

_OPAQUE_FIELDS = canonical.OPAQUE_FIELDS | {"message_opaque"}


@dataclass(frozen=True, slots=True)
class Step:
    """One key of a path. ``label`` is the kind (``type`` or ``role``) of what stands there."""

    name: str
    label: str = ""
    listed: bool = False

    def __str__(self) -> str:
        if self.listed:
            return f"{self.name}[{self.label}]"
        return f"{self.name}({self.label})" if self.label else self.name


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a tree. ``word`` is what stands there, where each side has words of its own."""

    steps: tuple[Step, ...]
    word: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a target makes of a leaf: where it lands, ``action: reason`` of losses, or a note."""

    places: tuple[Place, ...] = ()
    losses: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """One leaf of one case. ``wire`` without steps: a loss that no leaf is the cause of."""

    kind: str
    wire: Place
    canonical: tuple[Place, ...]
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A rendering. ``since`` has, for each loss of a stream, the event at which it came up."""

    tree: Any
    losses: tuple[Loss, ...]
    since: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Passed:
    """A body's canonical value, and its rendering to each dialect."""

    value: Any
    sent: Mapping[str, _Sent]


_Passage = Callable[[Any], _Passed]
#: New values of a leaf, each with the text to look for (None: see what differs).
_Try = tuple[Any, str | None]
#: The texts that the corpus has at a place: what to try where an unknown text says nothing.
_Words = Mapping[tuple[str, tuple[str, ...]], Iterable[str]]


def traces(cases: Iterable[Case], dialect: str, codecs: Codecs) -> Iterator[Trace]:
    """Yield what becomes of each leaf of the dialect's requests, responses and lawful streams."""
    chosen = [c for c in cases if c.dialect == dialect and c.kind in KINDS and c.lawful]
    words = _words(chosen)
    for case in chosen:
        yield from _traced(case, codecs, words)


# --- passing bodies through


def _body(case: Case) -> Any:
    if case.kind == "stream":
        return {FRAMES: [_frame_json(frame) for frame in exchange.frames_of([case.stream])]}
    body = case.request if case.kind == "request" else case.body
    return {**body, HEADERS: dict(case.headers)} if case.headers and body else body


def _frame_json(frame: SSEEvent) -> Any:
    try:
        return json.loads(frame.data)
    except ValueError:
        return frame.data


def _words(cases: Iterable[Case]) -> _Words:
    found: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for case in cases:
        for path, leaf in trees.leaves(_body(case)):
            if isinstance(leaf, str):
                found.setdefault((case.kind, _names(path)), {})[leaf] = None
    return found


def _names(path: Path) -> tuple[str, ...]:
    return tuple(step for step in path if isinstance(step, str))


def _passage(case: Case, codecs: Codecs) -> _Passage:
    codec = codecs[case.dialect]
    if case.kind == "request":
        return lambda tree: _pass_request(tree, codec, codecs)
    asked = exchange.asked(codec, case)
    if case.kind == "response":
        return lambda tree: _pass_response(tree, codec, codecs, asked)
    names = [frame.event for frame in exchange.frames_of([case.stream])]
    return lambda tree: _pass_stream(tree, codec, codecs, asked, names)


def _pass_request(tree: Any, codec: Codec, codecs: Codecs) -> _Passed:
    headers = tuple(tree.get(HEADERS, {}).items())
    body = {key: value for key, value in tree.items() if key != HEADERS}
    request = codec.parse_request(Incoming(body, headers=headers))
    rendered = {n: c.render_request(request, exchange.target(n)) for n, c in codecs.items()}
    return _Passed(request, {name: _sent(r) for name, r in rendered.items()})


def _pass_response(tree: Any, codec: Codec, codecs: Codecs, asked: Request) -> _Passed:
    response = codec.parse_response(tree, asked, exchange.target(codec.NAME))
    stamp = exchange.stamp("model")
    rendered = {n: c.render_response(response, asked, stamp) for n, c in codecs.items()}
    return _Passed(response, {name: _sent(r) for name, r in rendered.items()})


def _sent(rendered: Rendered) -> _Sent:
    headers = {HEADERS: dict(rendered.headers)} if rendered.headers else {}
    return _Sent({**rendered.body, **headers}, rendered.losses)


def _pass_stream(
    tree: Any, codec: Codec, codecs: Codecs, asked: Request, names: Sequence[str | None]
) -> _Passed:
    texts = [item if isinstance(item, str) else json.dumps(item) for item in tree[FRAMES]]
    frames = [SSEEvent(name, text) for name, text in zip(names, texts, strict=True)]
    events = exchange.decode_frames(codec, frames, asked)
    sent = {name: _encoded(other, events, asked) for name, other in codecs.items()}
    return _Passed({FRAMES: tuple(events)}, sent)


def _encoded(codec: Codec, events: Sequence[Event], asked: Request) -> _Sent:
    encoder = codec.stream_encoder(asked, exchange.stamp("model"))
    out, since = b"", list[int]()
    for number, event in enumerate(events):
        out += encoder.encode(event)
        since += [number] * (len(encoder.losses) - len(since))
    out += encoder.close()
    since += [len(events) - 1] * (len(encoder.losses) - len(since))
    frames = [_frame_json(frame) for frame in exchange.frames_of([out])]
    return _Sent({FRAMES: frames}, tuple(encoder.losses), tuple(since))


# --- changing a leaf


@dataclass(frozen=True, slots=True)
class _Change:
    """What differs when a leaf is changed. ``token`` is the text to look for; None: any difference.

    ``paths`` are canonical: of fields (``in_field``), or where none differs, of opaque data.
    """

    leaf: Any
    token: str | None
    before: _Passed
    after: _Passed
    paths: tuple[Path, ...]
    in_field: bool
    #: The other texts of the body: what stands beside a word, and is no word of its field.
    others: Collection[str]

    @property
    def says_token(self) -> bool:
        """Whether a text is carried as it is; false where only some words are known."""
        texts = (_reach(self.after.value, path) for path in self.paths)
        return self.token is not None and any(_holds(text, self.token) for text in texts)

    @property
    def worded(self) -> bool:
        """Whether the leaf is one of the words that its field knows, in canonical values too."""
        return isinstance(self.leaf, str) and self.in_field and not self.says_token


def _traced(case: Case, codecs: Codecs, words: _Words) -> Iterator[Trace]:
    body, passage = _body(case), _passage(case, codecs)
    plain = passage(body)
    unnamed = {dialect: list(sent.losses) for dialect, sent in plain.sent.items()}
    for number, (path, leaf) in enumerate(trees.leaves(body)):
        if leaf is None or _is_label(body, path):
            continue
        tries = _tries(leaf, number, words.get((case.kind, _names(path)), ()))
        change = _telling(passage, plain, body, path, tries)
        if change:
            outcomes = {
                name: _outcome(case.kind, case.dialect, name, path, change) for name in codecs
            }
            yield Trace(case.kind, _wire(body, path, change), _at_home(change), outcomes)
            for dialect, losses in unnamed.items():
                named = _losses(plain, dialect, path, change.paths)
                unnamed[dialect] = [loss for loss in losses if loss not in named]
    for dialect, losses in unnamed.items():
        for loss in losses:
            if case.kind != "stream" or loss.action == "defaulted":
                yield _leafless(case.kind, dialect, loss)


def _is_label(body: Any, path: Path) -> bool:
    """Tell whether the leaf is the kind of an item in a list, which paths show in brackets."""
    labels = path[-1] in ("type", "role") and len(path) > 1 and isinstance(path[-2], int)
    return labels and len(trees.at(body, path[:-1])) > 1


def _tries(leaf: Any, number: int, others: Iterable[str]) -> Iterator[_Try]:
    yield from reversed([*planting.plants(leaf, number)])
    if isinstance(leaf, str):
        yield from ((word, None) for word in others if word != leaf)


def _telling(
    passage: _Passage, plain: _Passed, body: Any, path: Path, tries: Iterable[_Try]
) -> _Change | None:
    """Return the change that tells most, or None where none tells what the leaf says.

    Best shows in a canonical field and in each target: some words change nothing beside others.
    """
    best: tuple[int, _Change | None] = (-1, None)
    for new, token in tries:
        try:
            passed = passage(trees.replaced(body, path, new))
        except (LMError, ValueError):  # refused by the codec or the types
            continue
        change = _change(plain, passed, body, path, token)
        if _tells(change, path) and (score := _score(change)) > best[0]:
            best = score, change
        if best[0] == _MOST:
            break
    return best[1]


def _tells(change: _Change, path: Path) -> bool:
    """Tell whether the change says what the leaf says: kinds and indices are structure."""
    before, after = change.before.value, change.after.value
    framing = len(path) == 2 or path[-1] == "type"
    if path[0] == FRAMES and (framing or _outline(before) != _outline(after)):
        return False
    if not change.paths or any(p[-1] == "part_index" for p in change.paths):
        return False
    was_there = any(_reach(before, p) is not None for p in change.paths)
    return change.in_field or was_there or path[-1] not in ("type", "role")


def _outline(value: Any) -> list[str]:
    return [event.type for event in value[FRAMES]]


def _score(change: _Change) -> int:
    sent = change.before.sent
    seen = all(
        _differing(s.tree, change.after.sent[n].tree, None) or s.losses for n, s in sent.items()
    )
    return (2 if change.in_field else 0) + (1 if seen else 0)


#: A change that shows in a canonical field, and in every target.
_MOST = 3


def _change(plain: _Passed, passed: _Passed, body: Any, path: Path, token: str | None) -> _Change:
    """A text that is not carried is a word; the texts beside it are not its words."""
    leaf = trees.at(body, path)
    paths = _differing(plain.value, passed.value, token)
    held = [p for p in paths if not any(_is_opaque(v, p) for v in (plain.value, passed.value))]
    others = {text for p, text in trees.leaves(body) if p != path and isinstance(text, str)}
    carried = any(token and _holds(_reach(passed.value, p), token) for p in paths)
    if isinstance(leaf, str) and not carried:
        held = [p for p in held if _is_word(_reach(plain.value, p), others)]
    return _Change(leaf, token, plain, passed, tuple(held or paths), bool(held), others)


def _is_word(value: Any, others: Collection[str]) -> bool:
    if isinstance(value, str):
        return value not in others and bool(_WORD.fullmatch(value))
    return isinstance(value, bool)


def _differing(before: Any, after: Any, token: str | None) -> list[Path]:
    """Return where two values or bodies differ; with a token, where it stands."""
    old, new = dict(canonical.leaves(before)), dict(canonical.leaves(after))
    held = [path for path, leaf in new.items() if token and _holds(leaf, token)]
    if held:
        return held
    changed = [path for path in {**old, **new} if repr(old.get(path)) != repr(new.get(path))]
    return [path for path in changed if not _is_box(before, path) and not _is_box(after, path)]


def _holds(leaf: Any, token: str) -> bool:
    return isinstance(leaf, str) and (token in leaf or token in planting._decoded(leaf))


def _is_box(tree: Any, path: Path) -> bool:
    """Tell whether the path is a label of opaque data, or the order of its keys."""
    owners = (_reach(tree, path[:end]) for end in range(len(path)))
    ends = next((path[n] for n, owner in enumerate(owners) if isinstance(owner, Opaque)), None)
    return ends in ("dialect", "kind") or (ends == "data" and "keys" in path[-2:-1])


def _is_opaque(tree: Any, path: Path) -> bool:
    return any(isinstance(_reach(tree, path[:end]), Opaque) for end in range(1, len(path)))


def _reach(tree: Any, path: Path) -> Any:
    """Return what stands at the path; None where it leads nowhere."""
    for step in path:
        if isinstance(step, int):
            inside = isinstance(tree, (list, tuple)) and step < len(tree)
            tree = tree[step] if inside else None
        else:
            tree = tree.get(step) if isinstance(tree, dict) else getattr(tree, step, None)
    return tree


# --- what came of it


def _wire(body: Any, path: Path, change: _Change) -> Place:
    return Place(labelled(body, path, objects=True), change.leaf if change.worded else "")


def _at_home(change: _Change) -> tuple[Place, ...]:
    before, after = change.before.value, change.after.value
    paths = [p for p in change.paths if not change.worded or _reach(before, p) is not None]
    return tuple(_place(before, after, path, change) for path in paths)


def _place(before: Any, after: Any, path: Path, change: _Change) -> Place:
    """Return the place, with its word before the change where words are matched."""
    word = _reach(before, path)
    steps = labelled(before if word is not None else after, path)
    return Place(steps, str(word) if change.worded and isinstance(word, (str, bool)) else "")


def _outcome(kind: str, home: str, dialect: str, wire: Path, change: _Change) -> Outcome:
    before, after = change.before.sent[dialect], change.after.sent[dialect]
    losses = _losses(change.before, dialect, wire, change.paths)
    if not losses and not change.worded:
        losses = _losses(change.after, dialect, wire, change.paths)
    paths = _differing(before.tree, after.tree, change.token)
    if change.says_token:
        paths = [p for p in paths if _holds(_reach(after.tree, p), change.token or "")]
    elif change.worded:
        paths = [p for p in paths if _is_word(_reach(before.tree, p), change.others)]
    if not paths and change.worded and _reach(before.tree, wire) == change.leaf:
        paths = [wire] if dialect == home else []
    if kind == "stream" and paths:  # the part goes on; what is dropped is something else in it
        losses = [loss for loss in losses if loss.action != "dropped"]
    places = tuple(_place(before.tree, after.tree, path, change) for path in paths)
    said = tuple(f"{loss.action}: {loss.reason}" for loss in _outermost(losses))
    if change.token:
        said = tuple(text.replace(change.token, "...") for text in said)
    return Outcome(places, said, "" if places or losses else _note(kind, dialect, wire, change))


def _outermost(losses: Sequence[Loss]) -> list[Loss]:
    """Return the losses without those of things inside what is dropped as a whole."""
    dropped = [loss.path for loss in losses if loss.action == "dropped"]
    return [
        loss
        for loss in losses
        if not any(loss.path.startswith((f"{p}.", f"{p}[")) for p in dropped)
    ]


def _note(kind: str, dialect: str, wire: Path, change: _Change) -> str:
    if (kind == "response" and shown(wire) in planting.OWN) or (
        kind == "stream" and wire[-1] in planting.OWN
    ):
        return OWN_NOTE
    satisfied = SATISFIED.get(dialect, frozenset())
    return SATISFIED_NOTE if any(shown(p) in satisfied for p in change.paths) else SILENT_NOTE


def _losses(passed: _Passed, dialect: str, wire: Path, paths: Iterable[Path]) -> list[Loss]:
    """Return the losses that name one of the canonical places; a default is for what is absent."""
    sent = passed.sent[dialect]
    if sent.since is not None:
        return _stream_losses(passed, dialect, paths)
    places = [shown(path) for path in paths]
    if wire[0] == HEADERS:
        places.append(shown(wire).lower())
    given = [loss for loss in sent.losses if _is_of_leaf(loss)]
    return [loss for loss in given if any(canonical.covered(p, [loss]) for p in places)]


def _is_of_leaf(loss: Loss) -> bool:
    return loss.action != "defaulted"


def _stream_losses(passed: _Passed, dialect: str, paths: Iterable[Path]) -> list[Loss]:
    """A loss in a stream names its field, or else it came up at the event, or names its part."""
    sent = passed.sent[dialect]
    given = [
        pair for pair in zip(sent.since or (), sent.losses, strict=True) if _is_of_leaf(pair[1])
    ]
    named, at_event, of_part = list[Loss](), list[Loss](), list[Loss]()
    for path in paths:
        event, inner = _reach(passed.value, path[:2]), shown(path[2:])
        part = f"message.parts[{getattr(event, 'part_index', None)}]"
        whole = isinstance(event, OpaqueDelta)
        for number, loss in given:
            if any(canonical.covered(p, [loss]) for p in (inner, f"error.{inner}")):
                named.append(loss)
            elif number == path[1] and (
                whole or loss.path.startswith(("message.parts[", "opaque"))
            ):
                at_event.append(loss)
            elif loss.path == part:
                of_part.append(loss)
    return [*dict.fromkeys(named or at_event or of_part)]


def _leafless(kind: str, dialect: str, loss: Loss) -> Trace:
    names = [part.partition("[") for part in loss.path.split(".")]
    steps = tuple(Step(name, listed=bool(bracket)) for name, bracket, _ in names)
    outcome = Outcome(losses=(f"{loss.action}: {loss.reason}",))
    return Trace(kind, Place(()), (Place(steps),), {dialect: outcome})


# --- places


def labelled(tree: Any, path: Path, *, objects: bool = False) -> tuple[Step, ...]:
    """Return the path in steps, up to opaque data; ``objects``: with kinds outside of lists too."""
    steps: list[Step] = []
    for number, name in enumerate(path):
        if isinstance(name, int):
            steps[-1] = Step(steps[-1].name, _label(_reach(tree, path[: number + 1])), listed=True)
        elif name in _OPAQUE_FIELDS and is_dataclass(_reach(tree, path[:number])):
            return (*steps, Step("opaque"))
        elif isinstance(_reach(tree, path[: number + 1]), Opaque):
            break
        elif name != "planted":
            inner = _reach(tree, path[: number + 1]) if objects else None
            steps.append(Step(name, _label(inner) if number + 1 < len(path) else ""))
    return tuple(steps)


def _label(item: Any) -> str:
    for name in ("type", "role"):
        label = item.get(name) if isinstance(item, dict) else getattr(item, name, None)
        if isinstance(label, str):
            return label
    return ""
