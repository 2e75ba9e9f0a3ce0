"""What a log wants of a whole answer that nobody has to translate: its id and its counts.

Reading an answer through its codec, to throw nearly all of it away, is the dearest part of passing
a small one on. Nearly all answers have one usual shape; of any other, an error among them, nothing
is said here, and the codec judges it. What is said is what the codec would say.
"""

from __future__ import annotations

from typing import NamedTuple

from ..types import Json

__all__ = ["Heard", "hear_completion", "hear_message"]


class Heard(NamedTuple):
    """What the log wants of a whole answer. The input includes what came from a cache."""

    id: str
    input_tokens: int
    output_tokens: int


# Kinds of the values that a usual answer holds. Any other kind, and any other block, is the codec's
# matter, so that this list decides nothing.
_Kinds = dict[str, tuple[type, ...]]
_NULL = type(None)
_MESSAGE: _Kinds = {
    "id": (str,),
    "role": (str,),
    "model": (str,),
    "stop_reason": (str,),
    "stop_sequence": (str, _NULL),
}
_TEXT_BLOCK: _Kinds = {"type": (str,), "text": (str,)}
_CACHE_COUNTS = ("cache_creation_input_tokens", "cache_read_input_tokens")
_COMPLETION: _Kinds = {"id": (str,), "model": (str,), "created": (int,)}
_CHOICE: _Kinds = {"finish_reason": (str,), "logprobs": (_NULL,)}
_SAID: _Kinds = {"role": (str,), "content": (str,)}
#: What a usual assistant message may hold beside these, empty.
_UNSAID: dict[str, Json] = {"refusal": None, "annotations": []}


def _has(value: Json, kinds: _Kinds) -> bool:
    return value.__class__ is dict and all(
        value.get(key).__class__ in allowed for key, allowed in kinds.items()
    )


def hear_message(body: Json) -> Heard | None:
    """A message of plain texts, one of them not empty, with all its counts."""
    if not _has(body, _MESSAGE) or body.get("type") != "message" or "error" in body:
        return None
    blocks, usage = body.get("content"), body.get("usage")
    if blocks.__class__ is not list or usage.__class__ is not dict:
        return None
    if not all(_has(b, _TEXT_BLOCK) and len(b) == 2 and b["type"] == "text" for b in blocks):
        return None
    if not any(block["text"] for block in blocks):
        return None
    if usage.get("service_tier", "").__class__ is not str or "output_tokens_details" in usage:
        return None
    inputs = [usage.get("input_tokens"), *[usage.get(key, 0) for key in _CACHE_COUNTS]]
    return _heard(body["id"], inputs, usage.get("output_tokens"))


def hear_completion(body: Json) -> Heard | None:
    """One choice, with a text and nothing else, and both totals."""
    if not _has(body, _COMPLETION) or body.get("service_tier", "").__class__ is not str:
        return None
    choices, usage = body.get("choices"), body.get("usage")
    if choices.__class__ is not list or len(choices) != 1 or usage.__class__ is not dict:
        return None
    if not _has(choices[0], _CHOICE) or not _has(said := choices[0].get("message"), _SAID):
        return None
    if not said["content"]:
        return None
    if any(key not in _SAID and _UNSAID.get(key, key) != value for key, value in said.items()):
        return None
    return _heard(body["id"], [usage.get("prompt_tokens")], usage.get("completion_tokens"))


def _heard(id: str, inputs: list[Json], output: Json) -> Heard | None:
    """Counts are integers from 0 on, or nobody's to add up here."""
    is_usual = all(count.__class__ is int and count >= 0 for count in (*inputs, output))
    return Heard(id, sum(inputs), output) if is_usual else None
