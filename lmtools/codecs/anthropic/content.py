"""Content blocks and parts, both ways.

One block is one part, except that a text block's ``citations`` become CitationParts after its
TextPart. What the provider ran itself are BuiltinCallPart (``server_tool_use``, ``mcp_tool_use``)
and BuiltinResultPart (every ``*_tool_result``); blocks with no canonical form (``search_result``,
``container_upload``, ``tool_reference``, ``compaction``, types of tomorrow) are OpaqueParts in
their places. What nobody took stays in the part's Opaque of kind ``block``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...types import (
    BuiltinCallPart,
    BuiltinResultPart,
    CitationPart,
    DocumentPart,
    ImagePart,
    Json,
    JsonObject,
    Opaque,
    OpaquePart,
    Part,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from ..custom_tools import unwrap_input
from ..fields import Fields, wrong
from ..seal import open as open_seal
from .media import parse_source
from .spelling import NAME, REDACTED, SIGNATURE, Reading, parse_cache, take_empty
from .usual import parse_usual

TEXT_KEYS = ("type", "text", "citations", "cache_control")
THINKING_KEYS = ("type", "thinking", "signature", "cache_control")
REDACTED_KEYS = ("type", "data", "cache_control")
MEDIA_KEYS = ("type", "source", "title", "context", "cache_control")
TOOL_USE_KEYS = ("type", "id", "name", "input", "cache_control")
TOOL_RESULT_KEYS = ("type", "tool_use_id", "content", "is_error", "cache_control")
BUILTIN_RESULT_KEYS = ("type", "tool_use_id", "content", "cache_control")

#: Where each citation type holds the canonical url and title.
CITATION_TYPES: dict[str, tuple[str | None, str]] = {
    "char_location": (None, "document_title"),
    "page_location": (None, "document_title"),
    "content_block_location": (None, "document_title"),
    "web_search_result_location": ("url", "title"),
    "search_result_location": ("source", "title"),
}
#: The order in which the API sends a citation's canonical keys.
CITATION_KEYS = ("type", "cited_text", "url", "source", "title", "document_title")


def parse_content(value: Json, path: str, reading: Reading) -> tuple[list[Part], JsonObject]:
    """Return the parts of a string or a list of blocks, and the note that tells which it was."""
    if value.__class__ is str:
        return [TextPart(value)], {}
    if value.__class__ is not list:
        raise wrong(path, "a string or a list of blocks", value)
    parts = parse_blocks(value, path, reading)
    is_plain = len(value) == 1 and len(value[0]) == 2 and value[0].get("type") == "text"
    return parts, {"content": "list"} if is_plain else {}


def parse_blocks(blocks: list[Json], path: str, reading: Reading) -> list[Part]:
    parts: list[Part] = []
    for i, block in enumerate(blocks):
        usual = parse_usual(block, reading) if block.__class__ is dict else None
        if usual is not None:
            parts.append(usual)
        else:
            parts.extend(parse_block(block, f"{path}[{i}]", reading))
    return parts


def parse_block(block: Json, path: str, reading: Reading) -> list[Part]:
    fields = Fields(block, path)
    kind = fields.rest.get("type")
    if kind.__class__ is not str:
        raise wrong(fields.at("type"), "a string", kind)
    parser = _PARSERS.get(kind)
    if parser is not None:
        return parser(fields, reading)
    if kind.endswith("_tool_result"):
        return [_builtin_result(fields, kind)]
    return [_opaque(fields)]


def _opaque(fields: Fields) -> OpaquePart:
    cache = parse_cache(fields)
    return OpaquePart(fields.kept(NAME, "block", ())[0], cache)


def _text(fields: Fields, reading: Reading) -> list[Part]:
    del fields.rest["type"]
    text = fields.required_text("text")
    empty = take_empty(fields, {"citations": list})
    citations = fields.array("citations") or []
    where = fields.at("citations")
    cited = [parse_citation(c, f"{where}[{i}]") for i, c in enumerate(citations)]
    cache = parse_cache(fields)
    notes = {"empty": empty} if empty else None
    return [TextPart(text, cache, fields.kept(NAME, "block", TEXT_KEYS, notes)), *cited]


def parse_citation(value: Json, path: str) -> CitationPart:
    fields = Fields(value, path)
    kind = fields.rest.get("type")
    known = CITATION_TYPES.get(kind) if kind.__class__ is str else None
    if known is None:
        # A location of tomorrow: its type stays in the rest, its words are taken if they are there.
        return CitationPart(
            text=fields.text("cited_text"), opaque=fields.kept(NAME, "citation", CITATION_KEYS)
        )
    del fields.rest["type"]
    url_key, title_key = known
    return CitationPart(
        url=fields.text(url_key) if url_key else None,
        title=fields.text(title_key),
        text=fields.text("cited_text"),
        opaque=fields.kept(NAME, "citation", CITATION_KEYS, {"type": kind}),
    )


def _thinking(fields: Fields, reading: Reading) -> list[Part]:
    del fields.rest["type"]
    # Clients that drop empty strings send thinking blocks without the text; the API wants it back.
    text = fields.text("thinking") or ""
    signature = fields.text("signature")
    notes = {"absent": ["signature"]} if signature is None else None
    cache = parse_cache(fields)
    opaque = fields.kept(NAME, "block", THINKING_KEYS, notes)
    if signature is not None:
        # A client of ours may hand back what was sealed for it; an API seals nothing.
        sealed = None if reading.answer else open_seal(signature)
        opaque = (sealed or signature_state(signature, reading.origin), *opaque)
    return [ThinkingPart(text, cache, opaque)]


def signature_state(signature: str, origin: str | None) -> Opaque:
    return Opaque(NAME, SIGNATURE, {"signature": signature}, origin)


def _redacted_thinking(fields: Fields, reading: Reading) -> list[Part]:
    del fields.rest["type"]
    data = fields.required_text("data")
    sealed = None if reading.answer else open_seal(data)
    state = sealed or Opaque(NAME, REDACTED, {"data": data}, reading.origin)
    cache = parse_cache(fields)
    return [ThinkingPart("", cache, (state, *fields.kept(NAME, "block", REDACTED_KEYS)))]


def _image(fields: Fields, reading: Reading) -> list[Part]:
    found = parse_source(fields)
    if found is None:
        return [_opaque(fields)]
    del fields.rest["type"]
    media, source = found
    cache = parse_cache(fields)
    opaque = (*source, *fields.kept(NAME, "block", MEDIA_KEYS))
    return [ImagePart(**media, cache=cache, opaque=opaque)]


def _document(fields: Fields, reading: Reading) -> list[Part]:
    found = parse_source(fields)
    if found is None:
        return [_opaque(fields)]
    del fields.rest["type"]
    media, source = found
    name, context = fields.text("title"), fields.text("context")
    cache = parse_cache(fields)
    opaque = (*source, *fields.kept(NAME, "block", MEDIA_KEYS))
    return [DocumentPart(**media, name=name, context=context, cache=cache, opaque=opaque)]


def _tool_use(fields: Fields, reading: Reading) -> list[Part]:
    del fields.rest["type"]
    key = reading.names.canonical(fields.required_text("name"))
    namespace, name = key
    id = fields.text("id")
    if id is None:
        if not reading.answer:
            raise fields.missing("id", "a string")
        id = f"call_{fields.path.rpartition('[')[2].rstrip(']')}"
    input: Any = fields.object("input")
    if input is None:
        input = {}
    cache = parse_cache(fields)
    opaque = fields.kept(NAME, "block", TOOL_USE_KEYS)
    kind = "function"
    if key in reading.custom:
        kind, input = "custom", unwrap_input(input)
    return [ToolCallPart(id, name, input, None, kind, namespace, cache, opaque)]


def _tool_result(fields: Fields, reading: Reading) -> list[Part]:
    del fields.rest["type"]
    id = fields.required_text("tool_use_id")
    content = fields.rest.get("content")
    parts: list[Part] = []
    notes: JsonObject = {}
    if content is not None:
        del fields.rest["content"]
        parts, notes = _inner_content(content, fields.at("content"), reading)
    is_error = fields.boolean("is_error")
    cache = parse_cache(fields)
    opaque = fields.kept(NAME, "block", TOOL_RESULT_KEYS, notes)
    return [ToolResultPart(id, tuple(parts), is_error, cache=cache, opaque=opaque)]


def _inner_content(value: Json, path: str, reading: Reading) -> tuple[list[Part], JsonObject]:
    if value == []:
        return [], {"content": "list"}
    if value.__class__ is list:
        for i, block in enumerate(value):
            # Results do not nest in the API; a hostile body must not nest them a thousand deep.
            if block.__class__ is dict and block.get("type") == "tool_result":
                where = f"{path}[{i}].type"
                raise wrong(where, "a block that may stand in a tool result", "tool_result")
    return parse_content(value, path, reading)


def _builtin_call(fields: Fields, reading: Reading) -> list[Part]:
    kind = fields.rest.pop("type")
    id, name = fields.required_text("id"), fields.required_text("name")
    input = fields.object("input")
    cache = parse_cache(fields)
    notes = {"type": kind} if kind != "server_tool_use" else None
    opaque = fields.kept(NAME, "block", TOOL_USE_KEYS, notes)
    return [BuiltinCallPart(id, name, input, cache=cache, opaque=opaque)]


def _builtin_result(fields: Fields, kind: str) -> BuiltinResultPart:
    del fields.rest["type"]
    id = fields.required_text("tool_use_id")
    sources = _web_sources(fields) if kind == "web_search_tool_result" else ()
    cache = parse_cache(fields)
    opaque = fields.kept(NAME, "block", BUILTIN_RESULT_KEYS)
    name = kind.removesuffix("_tool_result")
    return BuiltinResultPart(id, name, sources, cache=cache, opaque=opaque)


def _web_sources(fields: Fields) -> tuple[CitationPart, ...]:
    """Take the results of a web search, if each is one; an error object stays in the rest."""
    content = fields.rest.get("content")
    if content.__class__ is not list or not content:
        return ()
    if any(c.__class__ is not dict or c.get("type") != "web_search_result" for c in content):
        return ()
    del fields.rest["content"]
    where = fields.at("content")
    return tuple(_web_source(Fields(c, f"{where}[{i}]")) for i, c in enumerate(content))


def _web_source(fields: Fields) -> CitationPart:
    del fields.rest["type"]
    url, title = fields.text("url"), fields.text("title")
    return CitationPart(url, title, opaque=fields.kept(NAME, "citation", ("type", "url", "title")))


_PARSERS: dict[str, Callable[[Fields, Reading], list[Part]]] = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "image": _image,
    "document": _document,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "server_tool_use": _builtin_call,
    "mcp_tool_use": _builtin_call,
}
