from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from lmtools.codecs.anthropic.content import parse_blocks
from lmtools.codecs.anthropic.parts import Rendering, render_block, render_blocks
from lmtools.codecs.anthropic.spelling import REQUEST, Reading
from lmtools.codecs.base import Target
from lmtools.codecs.names import WireNames
from lmtools.codecs.text import dumps
from lmtools.errors import RequestError
from lmtools.types import (
    AudioPart,
    BinaryPart,
    BuiltinCallPart,
    BuiltinResultPart,
    CacheMark,
    CitationPart,
    DocumentPart,
    ImagePart,
    Opaque,
    OpaquePart,
    Part,
    RefusalPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
    ToolsPart,
    VideoPart,
)
from tests.codecs.anthropic.wire import plant, said

FOREIGN = Opaque("other", "part", {"rest": {"odd": 1}})


def parse(*blocks: Any, reading: Reading = REQUEST) -> list[Part]:
    return parse_blocks(list(blocks), "content", reading)


def render(*parts: Part, **how: Any) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    to = Rendering(**how)
    return render_blocks(parts, "parts", to), said(to.losses)


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


def signed(signature: str, origin: str | None = None) -> Opaque:
    return Opaque("anthropic", "signature", {"signature": signature}, origin)


#: Blocks whose canonical part is exactly this one, with nothing kept beside.
SAME = [
    ({"type": "text", "text": "hi"}, TextPart("hi")),
    (
        {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "5m"}},
        TextPart("hi", CacheMark("5m")),
    ),
    (
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        ThinkingPart("hm", opaque=(signed("s"),)),
    ),
    (
        {"type": "redacted_thinking", "data": "d"},
        ThinkingPart("", opaque=(Opaque("anthropic", "redacted", {"data": "d"}),)),
    ),
    (
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        ImagePart("image/png", "AA=="),
    ),
    ({"type": "image", "source": {"type": "url", "url": "u"}}, ImagePart(url="u")),
    ({"type": "image", "source": {"type": "file", "file_id": "f"}}, ImagePart(file_id="f")),
    (
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            "title": "t",
            "context": "c",
        },
        DocumentPart("application/pdf", "AA==", name="t", context="c"),
    ),
    (
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "grün"},
        },
        DocumentPart("text/plain", b64("grün")),
    ),
    (
        {"type": "tool_use", "id": "t", "name": "ls", "input": {"a": 1}},
        ToolCallPart("t", "ls", {"a": 1}),
    ),
    ({"type": "tool_result", "tool_use_id": "t"}, ToolResultPart("t", ())),
    (
        {"type": "tool_result", "tool_use_id": "t", "content": "ok", "is_error": False},
        ToolResultPart("t", (TextPart("ok"),), False),
    ),
    (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        BuiltinCallPart("s", "web_search", {"query": "q"}),
    ),
    (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": [{"type": "web_search_result", "url": "u", "title": "t"}],
        },
        BuiltinResultPart("s", "web_search", (CitationPart("u", "t"),)),
    ),
]


@pytest.mark.parametrize(("block", "part"), SAME, ids=lambda case: str(case)[:50])
def test_block_and_part_are_the_same_thing(block, part):
    assert parse(block) == [part]
    assert render(part) == ([block], [])


LOCATIONS = [
    {
        "type": "char_location",
        "cited_text": "c",
        "document_index": 0,
        "document_title": "d",
        "start_char_index": 1,
        "end_char_index": 2,
        "file_id": None,
    },
    {
        "type": "page_location",
        "cited_text": "c",
        "document_index": 0,
        "document_title": None,
        "start_page_number": 1,
        "end_page_number": 2,
    },
    {
        "type": "content_block_location",
        "cited_text": "c",
        "document_index": 0,
        "document_title": "d",
        "start_block_index": 1,
        "end_block_index": 2,
    },
    {
        "type": "web_search_result_location",
        "cited_text": "c",
        "encrypted_index": "e",
        "title": "t",
        "url": "u",
    },
    {
        "type": "search_result_location",
        "cited_text": "c",
        "search_result_index": 0,
        "source": "u",
        "start_block_index": 0,
        "end_block_index": 1,
        "title": "t",
    },
    {"type": "place_of_tomorrow", "cited_text": "c", "url": "u"},
    {"type": "char_location"},
]

#: Further blocks that must come back as they are: what has no canonical form, nulls, orders, empties.
KEPT = [
    {"type": "text", "text": "x", "citations": LOCATIONS},
    {"type": "text", "text": "x", "citations": [], "cache_control": {"type": "ephemeral"}},
    {"type": "text", "text": "x", "citations": None},
    {"citations": LOCATIONS[:1], "text": "x", "type": "text"},
    {"type": "thinking", "thinking": "hm", "signature": ""},
    {"type": "thinking", "thinking": "hm"},
    {"type": "thinking", "thinking": "hm", "signature": None},
    {"type": "redacted_thinking", "data": ""},
    {"type": "image", "source": {"data": "AA==", "media_type": "image/png", "type": "base64"}},
    {"type": "image", "source": {"type": "base64", "data": "AA=="}},
    {
        "type": "image",
        "source": {"type": "tomorrow", "x": 1},
        "cache_control": {"type": "ephemeral"},
    },
    {"type": "image", "source": {"type": "url"}},
    {"type": "image", "source": {"type": "file"}},
    {"type": "image", "source": {"type": "base64"}},
    {"type": "image", "source": {"type": ["list"]}},
    {"type": "image", "source": None},
    {"type": "image", "source": {"type": "url", "url": "u"}, "transformations": {"a": 1}},
    {"type": "document", "source": {"type": "text", "data": "no media type"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/markdown", "data": "# x"}},
    {"type": "document", "source": {"type": "text", "media_type": None, "data": "x"}},
    {"type": "document", "source": {"type": "text"}},
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "\ud800"}},
    {"type": "document", "source": {"type": "content", "content": "whole"}},
    {"type": "document", "source": {"type": "content", "content": []}},
    {"type": "document", "source": {"type": "content", "content": 7}},
    {
        "type": "document",
        "source": {
            "type": "content",
            "content": [{"type": "text", "text": "a\nb"}, {"type": "text", "text": ""}],
        },
        "citations": {"enabled": True},
    },
    {
        "type": "document",
        "source": {
            "type": "content",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image", "source": {"type": "url", "url": "u"}},
            ],
        },
    },
    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": 7}]}},
    {"type": "tool_use", "id": "t", "name": "ls", "input": {}, "caller": {"type": "direct"}},
    {"type": "tool_result", "tool_use_id": "t", "content": []},
    {"type": "tool_result", "tool_use_id": "t", "content": ""},
    {"type": "tool_result", "tool_use_id": "t", "content": None},
    {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "url", "url": "u"}},
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
            {"type": "search_result", "source": "s", "title": "t", "content": []},
            {"type": "tool_reference", "tool_name": "ls"},
        ],
        "is_error": True,
    },
    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}]},
    {"type": "mcp_tool_use", "id": "m", "name": "x", "server_name": "s", "input": {}},
    {"type": "server_tool_use", "id": "s", "name": "web_search", "input": None},
    {"type": "mcp_tool_result", "tool_use_id": "m", "is_error": False, "content": []},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": {"type": "web_search_tool_result_error", "error_code": "unavailable"},
    },
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
    {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "other"}]},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "s",
        "content": [
            {
                "type": "web_search_result",
                "url": "u",
                "title": "t",
                "encrypted_content": "e",
                "page_age": None,
            }
        ],
    },
    {
        "type": "code_execution_tool_result",
        "tool_use_id": "s",
        "content": {"type": "code_execution_result", "stdout": "1", "return_code": 0},
    },
    {"type": "search_result", "source": "s", "title": "t", "content": [], "citations": {}},
    {"type": "container_upload", "file_id": "f", "cache_control": {"type": "ephemeral"}},
    {"type": "compaction", "content": "summary"},
    {"type": "block_of_tomorrow", "content": [1, None]},
]


@pytest.mark.parametrize("block", [block for block, _ in SAME] + KEPT, ids=lambda b: dumps(b)[:70])
@pytest.mark.parametrize("change", [lambda block: block, plant], ids=["as-sent", "new-keys"])
def test_a_block_comes_out_as_it_went_in(block, change):
    block = change(block)

    rendered, losses = render(*parse(block))

    assert [dumps(held) for held in rendered] == [dumps(block)]
    assert [loss for loss in losses if loss[1] != "defaulted"] == []


def test_citations_say_url_title_and_text_where_the_wire_does():
    text, *cited = parse({"type": "text", "text": "x", "citations": LOCATIONS})

    assert text == TextPart("x")
    assert [(c.url, c.title, c.text) for c in cited] == [
        (None, "d", "c"),
        (None, None, "c"),
        (None, "d", "c"),
        ("u", "t", "c"),
        ("u", "t", "c"),
        (None, None, "c"),
        (None, None, None),
    ]


def test_blocks_without_a_canonical_form_are_kept_whole_in_their_places():
    kinds = ["search_result", "container_upload", "compaction", "tool_reference", "tomorrow"]

    parts = parse({"type": "text", "text": "a"}, *({"type": kind, "x": 1} for kind in kinds))

    assert [type(part) for part in parts] == [TextPart] + [OpaquePart] * 5


def test_documents_of_text_blocks_are_one_text_for_everybody_else():
    (part,) = parse(KEPT[25])

    assert isinstance(part, DocumentPart)
    assert (part.media_type, part.bytes) == ("text/plain", b"a\nb\n")


def test_a_document_whose_text_was_changed_is_not_cut_as_before():
    (part,) = parse(KEPT[25])
    assert isinstance(part, DocumentPart)

    changed = DocumentPart("text/plain", b64("all new"), opaque=part.opaque)

    assert render(changed)[0][0]["source"] == {
        "type": "text",
        "media_type": "text/plain",
        "data": "all new",
    }


def test_results_do_not_nest():
    nested = {"type": "tool_result", "tool_use_id": "b", "content": "x"}

    with pytest.raises(RequestError, match=r"content\[0\].content\[0\].type"):
        parse({"type": "tool_result", "tool_use_id": "a", "content": [nested]})


WRONG = [
    ({"type": "tool_use", "name": "x", "input": {}}, "content[0].id: expected a string"),
    (
        {"type": "tool_use", "id": "t", "name": "x", "input": 7},
        "content[0].input: expected an object",
    ),
    ({"type": "tool_use", "id": "t", "input": {}}, "content[0].name: expected a string"),
    ({"type": "tool_result", "content": "x"}, "content[0].tool_use_id: expected a string"),
    ({"type": "redacted_thinking"}, "content[0].data: expected a string"),
    (
        {"type": "text", "text": "x", "citations": [7]},
        "content[0].citations[0]: expected an object",
    ),
    ({"type": "server_tool_use", "name": "x"}, "content[0].id: expected a string"),
    (7, "content[0]: expected an object"),
]


@pytest.mark.parametrize(("block", "message"), WRONG)
def test_a_wrong_block_is_refused_by_its_path(block, message):
    with pytest.raises(RequestError) as caught:
        parse(block)

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("origin", [None, "here"])
def test_thinking_state_goes_back_to_its_origin(origin):
    part = ThinkingPart("hm", opaque=(signed("s", origin),))

    blocks, losses = render(part, target=Target(origin="here"))

    assert blocks == [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    assert losses == []


def test_thinking_state_goes_to_nobody_but_its_origin():
    part = ThinkingPart("hm", opaque=(signed("s", "there"),))

    assert render(part, target=Target(origin="here")) == ([], [("parts[0]", "dropped")])


def test_parsed_thinking_carries_the_origin_it_was_given():
    (part,) = parse(
        {"type": "redacted_thinking", "data": "d"}, reading=Reading(origin="here", answer=True)
    )

    assert part.opaque[0].origin == "here"


def test_thinking_without_state_is_dropped_and_never_becomes_text():
    parts = (ThinkingPart("secret"), TextPart("shown"))

    assert render(*parts) == ([{"type": "text", "text": "shown"}], [("parts[0]", "dropped")])


def test_a_client_is_shown_thinking_that_nobody_signed():
    blocks, losses = render(ThinkingPart("hm"), answer=True)

    assert blocks == [{"type": "thinking", "thinking": "hm", "signature": ""}]
    assert losses == []


FOREIGN_PARTS = [
    (RefusalPart("no"), {"type": "text", "text": "no"}, [("parts[0]", "substituted")]),
    (
        TextPart("x", opaque=(FOREIGN,)),
        {"type": "text", "text": "x"},
        [("parts[0].odd", "dropped")],
    ),
    (
        ImagePart("image/png", "AA==", detail="low"),
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        [("parts[0].detail", "dropped")],
    ),
    (
        ImagePart(data=b64encode(b"\x89PNG\r\n\x1a\n123").decode()),
        {
            "type": "image",
            "source": {
                "type": "base64",
                "media_type": "image/png",
                "data": b64encode(b"\x89PNG\r\n\x1a\n123").decode(),
            },
        },
        [("parts[0].media_type", "defaulted")],
    ),
    (
        DocumentPart("text/markdown", b64("# x")),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# x"}},
        [("parts[0].media_type", "substituted")],
    ),
    (
        DocumentPart("text/plain", "not base64!"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "text/plain", "data": "not base64!"},
        },
        [],
    ),
    (
        BinaryPart("application/pdf", "AA==", name="a.pdf"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            "title": "a.pdf",
        },
        [],
    ),
    (
        AudioPart("audio/wav", "AA==", transcript="said"),
        {"type": "text", "text": "said"},
        [("parts[0]", "substituted")],
    ),
    (
        AudioPart("audio/wav", "AA=="),
        {"type": "text", "text": "[audio left out: anthropic has no audio part]"},
        [("parts[0]", "substituted")],
    ),
    (
        VideoPart("video/mp4", url="u"),
        {"type": "text", "text": "[video left out: anthropic has no video part]"},
        [("parts[0]", "substituted")],
    ),
    (ToolsPart(()), None, [("parts[0]", "dropped")]),
    (CitationPart("u"), None, [("parts[0]", "dropped")]),
    (OpaquePart(Opaque("other", "block", {})), None, [("parts[0]", "dropped")]),
    (BuiltinCallPart("i", "n", opaque=(FOREIGN,)), None, [("parts[0]", "dropped")]),
    (BuiltinResultPart("i", "n", opaque=(FOREIGN,)), None, [("parts[0]", "dropped")]),
    (
        BuiltinCallPart("i", "n", status="done"),
        {"type": "server_tool_use", "id": "i", "name": "n", "input": {}},
        [("parts[0].status", "dropped")],
    ),
    (
        BuiltinResultPart("i", "web_search", (CitationPart("u", text="t", start=1),), "done"),
        {
            "type": "web_search_tool_result",
            "tool_use_id": "i",
            "content": [{"type": "web_search_result", "url": "u"}],
        },
        [
            ("parts[0].status", "dropped"),
            ("parts[0].sources[0].text", "dropped"),
            ("parts[0].sources[0].start", "dropped"),
        ],
    ),
    (
        ToolResultPart("t", (), name="ls", namespace="fs"),
        {"type": "tool_result", "tool_use_id": "t"},
        [("parts[0].name", "dropped"), ("parts[0].namespace", "dropped")],
    ),
    (
        ToolCallPart("t", "x", "free", kind="custom"),
        {"type": "tool_use", "id": "t", "name": "x", "input": {"input": "free"}},
        [("parts[0]", "emulated")],
    ),
    (
        ToolCallPart("t", "x", {}, text="free", kind="custom"),
        {"type": "tool_use", "id": "t", "name": "x", "input": {"input": "free"}},
        [("parts[0]", "emulated")],
    ),
    (
        ToolCallPart("t", "x", {}, text=""),
        {"type": "tool_use", "id": "t", "name": "x", "input": {}},
        [],
    ),
    (
        ToolCallPart("t", "x", {}, text=" {} "),
        {"type": "tool_use", "id": "t", "name": "x", "input": {}},
        [],
    ),
    (
        ToolCallPart("t", "x", {"a": 1}, text='{"a": 1}'),
        {"type": "tool_use", "id": "t", "name": "x", "input": {"a": 1}},
        [],
    ),
    (
        ToolCallPart("t", "x", {}, text="{broken"),
        {"type": "tool_use", "id": "t", "name": "x", "input": {"raw_arguments": "{broken"}},
        [("parts[0].input", "substituted")],
    ),
    (
        ToolCallPart("t", "x", [1]),
        {"type": "tool_use", "id": "t", "name": "x", "input": {"raw_arguments": "[1]"}},
        [("parts[0].input", "substituted")],
    ),
]


@pytest.mark.parametrize(("part", "block", "losses"), FOREIGN_PARTS, ids=lambda c: str(c)[:40])
def test_what_anthropic_cannot_say_is_said_otherwise_and_recorded(part, block, losses):
    assert render(part) == ([] if block is None else [block], losses)


def test_media_that_the_target_does_not_take_leave_a_visible_gap():
    blocks, losses = render(
        ImagePart("image/png", "AA==", cache=CacheMark()),
        target=Target(media=frozenset({"document"})),
    )

    assert blocks == [
        {
            "type": "text",
            "text": "[image left out: this model takes none]",
            "cache_control": {"type": "ephemeral"},
        }
    ]
    assert losses == [("parts[0]", "substituted")]


def test_names_and_ids_out_of_rule_are_changed_alike_in_call_and_result():
    names = WireNames({("fs", "ls"): "fs__ls", (None, "a.b"): "a_b_1"}, {})
    target = Target(id_rule="^[a-z]+$", id_length=20)
    parts = (
        ToolCallPart("call:1", "ls", {}, namespace="fs"),
        ToolResultPart("call:1", ()),
        ToolCallPart("ok", "a.b", {}),
    )

    blocks, losses = render(*parts, target=target, names=names)

    assert [blocks[0]["name"], blocks[2]["name"]] == ["fs__ls", "a_b_1"]
    assert blocks[0]["id"] == blocks[1]["tool_use_id"] != "call:1"
    assert losses == [
        ("parts[0].id", "substituted"),
        ("parts[0].namespace", "substituted"),
        ("parts[1].id", "substituted"),
        ("parts[2].name", "substituted"),
    ]


def test_foreign_citations_are_shown_to_clients_and_kept_from_the_api():
    parts = (TextPart("the answer"), CitationPart("u", "t", start=4, end=10))

    assert render(*parts) == ([{"type": "text", "text": "the answer"}], [("parts[1]", "dropped")])
    blocks, losses = render(*parts, answer=True)
    assert blocks[0]["citations"] == [
        {
            "type": "web_search_result_location",
            "cited_text": "answer",
            "url": "u",
            "title": "t",
            "encrypted_index": "",
        }
    ]
    assert losses == [("parts[1]", "emulated")]


def test_offsets_of_a_citation_of_ours_are_a_loss():
    (_, cited) = parse({"type": "text", "text": "x", "citations": LOCATIONS[3:4]})
    assert isinstance(cited, CitationPart)
    part = CitationPart(cited.url, cited.title, cited.text, 1, 2, opaque=cited.opaque)

    blocks, losses = render(TextPart("x"), part)

    assert blocks[0]["citations"] == LOCATIONS[3:4]
    assert losses == [("parts[1].start", "dropped"), ("parts[1].end", "dropped")]


def test_a_call_of_an_offered_custom_tool_comes_back_as_its_text():
    names = WireNames({}, {"fs__edit": ("fs", "edit")})
    reading = Reading(names=names, custom=frozenset({("fs", "edit")}), answer=True)

    (part,) = parse(
        {"type": "tool_use", "id": "t", "name": "fs__edit", "input": {"input": "text"}},
        reading=reading,
    )

    assert part == ToolCallPart("t", "edit", "text", kind="custom", namespace="fs")


def test_a_call_without_an_id_gets_one_from_its_place():
    block = {"type": "tool_use", "name": "ls", "input": {}}

    parts = parse(block, block, reading=Reading(answer=True))

    assert [part.id for part in parts] == ["call_0", "call_1"]


@pytest.mark.parametrize("input", [{}, {"input": None}], ids=["absent", "null"])
def test_a_call_without_input_has_an_empty_one(input):
    (part,) = parse({"type": "tool_use", "id": "t", "name": "ls", **input})

    assert part.input == {}
    assert render(part)[0][0]["input"] == {}


def test_a_text_alone_is_a_block_too():
    assert render_block(TextPart("x"), "part", Rendering()) == {"type": "text", "text": "x"}
