"""The one full check of what a library user constructs."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.errors import RequestError
from lmtools.types import (
    MAX_DEPTH,
    CacheMark,
    FunctionTool,
    Message,
    Opaque,
    OutputFormat,
    Request,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    check_json,
    check_request,
)

HI = (Message.user("hi"),)


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def calling(value: Any) -> Request:
    return Request("m", (Message.assistant(ToolCallPart("c", "f", value)),))


INPUT = "messages[0].parts[0].input"
REFUSED: list[tuple[Request, str, str]] = [
    (Request("", HI), "model", "is empty; name a model"),
    (Request("m", ()), "messages", "is empty; give at least one message"),
    (Request("m\ud800", HI), "model", "character 1 is a lone surrogate"),
    (Request("m", HI, stop=("ok", "\udfff")), "stop[1]", "character 0 is a lone surrogate"),
    (
        Request("m", (*HI, Message.tool({"c": ["a", "\ud800"]}))),
        "messages[1].parts[0].content[1].text",
        "character 0 is a lone surrogate",
    ),
    (calling((1, 2)), INPUT, "expected JSON, got tuple"),
    (calling({"a": {1}}), f"{INPUT}.a", "expected JSON, got set"),
    (calling({"a": [0, b""]}), f"{INPUT}.a[1]", "expected JSON, got bytes"),
    (calling({"a": {7: 1}}), f"{INPUT}.a", "object keys are strings, got 7"),
    (calling({"\ud800": 1}), INPUT, "character 0 is a lone surrogate"),
    (calling(float("nan")), INPUT, "JSON has no nan; use null or a finite number"),
    (calling([float("inf")]), f"{INPUT}[0]", "JSON has no inf; use null or a finite number"),
    (calling(TextPart("a")), INPUT, "expected JSON, got TextPart"),
    (calling(nested(MAX_DEPTH + 1)), INPUT + "[0]" * (MAX_DEPTH + 1), "nested deeper than 200 levels"),
    (
        Request("m", HI, tools=(FunctionTool("f", parameters={"type": ("object",)}),)),
        "tools[0].parameters.type",
        "expected JSON, got tuple",
    ),
    (Request("m", HI, output=OutputFormat(schema={"a": ...})), "output.schema.a", "expected JSON, got ellipsis"),
    (Request("m", HI, cache=CacheMark(opaque=Opaque("d", "k", {"a": {1}}))), "cache.opaque[0].data.a", "expected JSON, got set"),
    (Request("m", HI, extensions={"openai": {"a": (1,)}}), "extensions.openai.a", "expected JSON, got tuple"),
    (Request("m", HI, metadata={"a": object}), "metadata.a", "expected JSON, got type"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "path", "message"), REFUSED, ids=[r[2] for r in REFUSED])
def test_what_no_wire_can_carry_is_refused_by_its_path(
    request_: Request, path: str, message: str
) -> None:
    with pytest.raises(RequestError) as refused:
        check_request(request_)

    assert refused.value.path == path
    assert str(refused.value) == f"{path}: {message}"


def test_a_legal_request_passes() -> None:
    value = {"a": [None, True, 0, 1.5, "x", {}], "\U0001f9d1": nested(MAX_DEPTH - 2)}
    result = ToolResultPart("c", (TextPart("ok"),), is_error=False)

    check_request(
        Request(
            "m",
            (Message.assistant(ToolCallPart("c", "f", value)), Message.tool(result)),
            tools=(FunctionTool("f", parameters=None),),
            temperature=0.5,
            stop=("END",),
            metadata=value,
        )
    )


def test_a_subclass_of_a_json_type_is_not_json() -> None:
    """Its own methods would decide how it is written."""

    class Odd(dict[str, Any]):
        pass

    with pytest.raises(RequestError, match="a: expected JSON, got Odd"):
        check_json({"a": Odd()}, "")
