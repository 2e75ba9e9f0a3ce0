"""What users write: message constructors, the answers' short cuts, media, and what repr shows."""

from __future__ import annotations

from typing import Any

import pytest

from lmtools.types import (
    AudioPart,
    BinaryPart,
    CitationPart,
    DocumentPart,
    ImagePart,
    Message,
    Opaque,
    RefusalPart,
    Request,
    Response,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    Usage,
    VideoPart,
    as_parts,
)

IMAGE = ImagePart("image/png", data="aGVsbG8=")
HI = TextPart("hi")


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("hi", (HI,)),
        ("", (TextPart(""),)),
        (IMAGE, (IMAGE,)),
        (["hi", IMAGE], (HI, IMAGE)),
        ((HI,), (HI,)),
        ([], ()),
    ],
)
def test_a_message_takes_a_string_a_part_or_a_sequence_of_both(
    role: str, content: Any, parts: tuple[Any, ...]
) -> None:
    assert getattr(Message, role)(content) == Message(role, parts)
    assert as_parts(content) == parts


def test_a_tool_message_takes_results_by_call_id_in_order() -> None:
    message = Message.tool({"c2": "two", "c1": [IMAGE, "one"]})

    assert message.role == "tool"
    assert message.parts == (
        ToolResultPart("c2", (TextPart("two"),)),
        ToolResultPart("c1", (IMAGE, TextPart("one"))),
    )


def test_a_tool_message_takes_result_parts() -> None:
    one, two = ToolResultPart("a", (HI,), is_error=True), ToolResultPart("b", ())

    assert Message.tool(one).parts == (one,)
    assert Message.tool([one, two]).parts == (one, two)


PARTS = (
    ThinkingPart("first "),
    TextPart("Hel"),
    CitationPart("https://a"),
    TextPart("lo"),
    ThinkingPart("then"),
    ToolCallPart("c1", "ls", {}),
    IMAGE,
    ToolCallPart("c2", "ls", {}),
)


def test_the_short_cuts_of_an_answer_collect_its_parts() -> None:
    response = Response("r", "m", Message("assistant", PARTS))

    assert response.text == response.message.text == "Hello"
    assert response.thinking == "first then"
    assert [call.id for call in response.tool_calls] == ["c1", "c2"]
    assert response.citations == (CitationPart("https://a"),)
    assert response.refusal is None


def test_the_short_cuts_of_an_empty_answer_are_empty() -> None:
    response = Response(None, "m", Message("assistant", ()))

    assert (response.text, response.thinking) == ("", "")
    assert (response.tool_calls, response.citations, response.refusal) == ((), (), None)


def test_the_words_of_refusal_are_joined_and_an_empty_refusal_is_one() -> None:
    answer = Message("assistant", (RefusalPart("I "), RefusalPart("won't")))

    assert Response("r", "m", answer).refusal == "I won't"
    assert Response("r", "m", Message("assistant", (RefusalPart(""),))).refusal == ""


MEDIA = [ImagePart, AudioPart, VideoPart, DocumentPart, BinaryPart]


@pytest.mark.parametrize("cls", MEDIA)
def test_media_decode_their_payload_on_demand(cls: Any) -> None:
    assert cls(data="aGVsbG8=").bytes == b"hello"
    assert cls(data="").bytes == b""


@pytest.mark.parametrize("cls", MEDIA)
@pytest.mark.parametrize("source", [{"url": "https://h/a"}, {"file_id": "f1"}])
def test_a_reference_has_no_bytes(cls: Any, source: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{cls.__name__} holds no data, only a reference"):
        _ = cls(**source).bytes


@pytest.mark.parametrize("data", ["a", "a===", "aGVs\nbG8=", "data:image/png;base64,aGVsbG8="])
def test_what_is_not_base64_is_refused_when_it_is_decoded(data: str) -> None:
    """Constructors do not read payloads: they may be megabytes that only pass through."""
    with pytest.raises(ValueError, match=r"ImagePart\.data is not base64"):
        _ = ImagePart(data=data).bytes


REPRS = [
    (ImagePart("image/png", data="A" * 5000), "ImagePart('image/png', data=<5000 characters>)"),
    (VideoPart(url="https://h/" + "v" * 5000), "VideoPart(None, url='https://h/" + "v" * 69 + ")"),
    (DocumentPart("text/plain", file_id="f1"), "DocumentPart('text/plain', file_id='f1')"),
    (Opaque("anthropic", "signature", {"signature": "SECRET"}), "Opaque('anthropic', 'signature', <1 keys>)"),
    (Opaque("a", "k", {}, "here"), "Opaque('a', 'k', <0 keys>, origin='here')"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), REPRS)
def test_a_repr_abbreviates_payloads(value: Any, shown: str) -> None:
    assert repr(value) == shown


def test_opaque_data_never_shows_in_the_repr_of_what_holds_it() -> None:
    """It holds thinking signatures and encrypted state; a repr ends up in logs."""
    held = Opaque("d", "k", {"state": "SECRET"})
    request = Request(
        "m", [Message("user", [TextPart("hi", opaque=held)], opaque=held)], opaque=held
    )

    assert "SECRET" not in repr(request)
    assert "TextPart(text='hi'" in repr(request)


def test_a_later_report_of_usage_wins_where_it_says_something() -> None:
    start = Usage(input_tokens=10, output_tokens=1, cache_read_tokens=3)
    end = Usage(output_tokens=0, total_tokens=10)

    assert start.updated(end) == Usage(10, 0, 10, 3)
    assert start.updated(Usage()) is start
    assert Usage().updated(end) == end


def test_the_opaque_data_of_two_usage_reports_is_merged() -> None:
    first, later = (
        Opaque("d", "usage", {"rest": {"a": 1}}),
        Opaque("d", "usage", {"rest": {"b": 2}}),
    )

    merged = Usage(opaque=first).updated(Usage(opaque=later))

    assert merged.opaque == (Opaque("d", "usage", {"rest": {"a": 1, "b": 2}}),)
