"""What the fakes answer has the shape of recorded answers: the same keys, in the same order, event by event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.anthropic_api import FakeAnthropic
from tests.fakes.openai_api import FakeOpenAI
from tests.fakes.scenario import Call, Scenario

TEXT = "anthropic-messages-basic-text"
TOOL = "openai-tool-followup"
THINKING = "anthropic-opus47-adaptive-thinking-stream"
_CALLING = Scenario(text=(), calls=(Call("get_weather", ('{"location"', ': "x"}'), "a"),))

#: (recorded case, recorded target, fake, scenario)
STREAMS = [
    (TEXT, "anthropic", FakeAnthropic, Scenario()),
    (TOOL, "anthropic", FakeAnthropic, _CALLING),
    (THINKING, "anthropic", FakeAnthropic, Scenario(text=(), thinking=("a", "b"), finish="length")),
    (TEXT, "argo-anthropic", FakeAnthropic, Scenario(shape="argo")),
    (TEXT, "openai", FakeOpenAI, Scenario()),
    (TOOL, "openai", FakeOpenAI, _CALLING),
    (TEXT, "argo-openai", FakeOpenAI, Scenario(shape="argo")),
]
WHOLE = [row for row in STREAMS if row[0] != THINKING]


def data_of(stream: str) -> list[Any]:
    lines = [
        line.removeprefix("data: ") for line in stream.split("\n") if line.startswith("data: ")
    ]
    return [json.loads(line) if line.startswith("{") else line for line in lines]


def outline(value: Any, *, ordered: bool) -> Any:
    """Return the keys of a value at every depth, and the kinds of its leaves."""
    if isinstance(value, dict):
        rows = [(key, outline(value[key], ordered=ordered)) for key in value]
        # What a tool was given, and what Azure filtered, is content.
        rows = [(k, "content" if k in ("input", "content_filter_results") else o) for k, o in rows]
        return tuple(rows if ordered else sorted(rows, key=lambda row: row[0]))
    if isinstance(value, list):
        return [outline(item, ordered=ordered) for item in value[:1]]
    return "null" if value is None else "text" if isinstance(value, str) else "value"


@pytest.mark.parametrize(
    ("case", "target", "fake", "scenario"), STREAMS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_each_event_has_a_recorded_shape(
    shared: Path, case: str, target: str, fake: Any, scenario: Scenario
) -> None:
    path = shared / "captures" / case / "captures" / f"{target}-stream.stream.txt"
    recorded = [outline(data, ordered=True) for data in data_of(path.read_text())]
    body = {"model": "m", "stream": True}
    if target == "argo-openai":
        # The gateway was asked for usage.
        body["stream_options"] = {"include_usage": True}

    frames = b"".join(fake().frames(scenario, body, 1)).decode()

    for data in data_of(frames):
        assert outline(data, ordered=True) in recorded, data


@pytest.mark.parametrize(
    ("case", "target", "fake", "scenario"), WHOLE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_whole_answer_has_the_recorded_shape(
    shared: Path, case: str, target: str, fake: Any, scenario: Scenario
) -> None:
    """The recorder sorted keys, so their order is not compared."""
    path = shared / "captures" / case / "captures" / f"{target}.response.json"
    recorded = json.loads(path.read_text())

    made = json.loads(json.dumps(fake().message(scenario, {"model": "m"}, 1)))

    for body in (recorded, made):
        for choice in body.get("choices", []):
            choice.pop("logprobs", None)  # Left out where it is null, by some models.
    assert outline(made, ordered=False) == outline(recorded, ordered=False)
