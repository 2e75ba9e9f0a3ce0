"""What the Anthropic Messages API refuses, in its own words.

Each rule names where the refusal was seen or is documented. Captures are those of the shared
folder beside the checkout.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.server import Breach, Rule

Body = dict[str, Any]
Headers = Mapping[str, str]

_API = "https://platform.claude.com/docs/en/api/messages"
_ERRORS = "https://platform.claude.com/docs/en/api/errors"
_THINKING = "https://platform.claude.com/docs/en/build-with-claude/extended-thinking"
_ADAPTIVE = "https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking"
_CACHING = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"
_VISION = "https://platform.claude.com/docs/en/build-with-claude/vision"
_CLIENTS = "recorded requests of Claude Code 2.1.197"
_PROBE = "Argo's Vertex back end, probed in May 2026"

#: Model prefix (longest first wins) to the largest output, the thinking forms, and sampling.
MODELS: tuple[tuple[str, int, frozenset[str], bool], ...] = (
    ("claude-opus-4-8", 128_000, frozenset({"adaptive", "disabled"}), False),
    ("claude-opus-4-7", 128_000, frozenset({"adaptive", "disabled"}), False),
    ("claude-opus-4-6", 128_000, frozenset({"enabled", "adaptive", "disabled"}), True),
    ("claude-sonnet-4-6", 128_000, frozenset({"enabled", "adaptive", "disabled"}), True),
    ("claude-opus-4-5", 64_000, frozenset({"enabled", "disabled"}), True),
    ("claude-opus-4", 32_000, frozenset({"enabled", "disabled"}), True),
    ("claude-", 64_000, frozenset({"enabled", "disabled"}), True),
)

TOP_LEVEL = frozenset(
    [
        "cache_control",
        "container",
        "diagnostics",
        "inference_geo",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
        "workspace_id",
    ]
)
COUNT_TOP_LEVEL = frozenset(
    [
        "cache_control",
        "messages",
        "model",
        "output_config",
        "speed",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "user_profile_id",
        "workspace_id",
    ]
)
#: Fields that exist only with a beta header whose name begins so.
BETA_FIELDS = {"context_management": "context-management-", "mcp_servers": "mcp-client-"}
#: The last one is what the SDK sends from 2.11 on.
VERSIONS = ("2023-01-01", "2023-06-01", "2026-10-21")
SYSTEM_ROLE_BETA = "mid-conversation-system-"

BLOCK_KEYS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control", "transformations"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "tool_use": frozenset(
        {"type", "id", "name", "input", "cache_control", "caller", "toolset_name"}
    ),
    "tool_result": frozenset(
        {"type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"}
    ),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
#: Blocks of tools that the API runs itself, and others whose keys are not checked.
OTHER_BLOCKS = re.compile(
    r"server_tool_use|search_result|container_upload|\w+_tool_result|tool_reference"
)
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MAX_CACHE_MARKS = 4
_KEY = b"the fake's own"


def sign(thinking: str) -> str:
    """Return the fake's signature of a thinking text: base64, as long as a real one's shortest."""
    mark = hmac.new(_KEY, thinking.encode(), hashlib.sha512).digest()
    return base64.b64encode(b"\x12\xdc\x07" + mark + mark).decode()


def redacted(text: str) -> str:
    return sign("redacted " + text)


def facts(model: str) -> tuple[int, frozenset[str], bool]:
    for prefix, limit, forms, sampling in MODELS:
        if model.startswith(prefix):
            return limit, forms, sampling
    return 64_000, frozenset({"enabled", "adaptive", "disabled"}), True


def betas(headers: Headers) -> list[str]:
    return [word.strip() for word in headers.get("anthropic-beta", "").split(",") if word.strip()]


def _has_beta(headers: Headers, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in betas(headers))


# Walking


def messages(body: Body) -> list[Body]:
    found = body.get("messages")
    return [m for m in found if isinstance(m, dict)] if isinstance(found, list) else []


def blocks(message: Body) -> list[Body]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [b for b in content if isinstance(b, dict)] if isinstance(content, list) else []


def each_block(body: Body) -> Iterator[tuple[str, Body, Body]]:
    """Yield (path, message, block) of every block, those inside tool results too."""
    for i, message in enumerate(messages(body)):
        for j, block in enumerate(blocks(message)):
            path = f"messages.{i}.content.{j}"
            yield path, message, block
            inner = block.get("content")
            if block.get("type") == "tool_result" and isinstance(inner, list):
                for k, part in enumerate(inner):
                    if isinstance(part, dict):
                        yield f"{path}.tool_result.content.{k}", message, part


def _system_blocks(body: Body) -> list[Body]:
    system = body.get("system")
    return [b for b in system if isinstance(b, dict)] if isinstance(system, list) else []


# Headers and top level


def check_key(body: Body, headers: Headers) -> Breach | None:
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    key = headers.get("x-api-key") or bearer
    if not key:
        return Breach("x-api-key header is required", status=401, kind="authentication_error")
    if "refused" in key:
        return Breach("invalid x-api-key", status=401, kind="authentication_error")
    return None


def check_version(body: Body, headers: Headers) -> str | None:
    version = headers.get("anthropic-version")
    if version is None:
        return "anthropic-version: header is required"
    if version not in VERSIONS:
        return f'anthropic-version: "{version}" is not a valid version. Use one of the following supported versions: {", ".join(VERSIONS)}'
    return None


def check_model(body: Body, headers: Headers) -> Breach | None:
    model = body.get("model")
    if not isinstance(model, str):
        return Breach(
            "model: Field required" if model is None else "model: Input should be a valid string"
        )
    if not model.startswith("claude-"):
        return Breach(f"model: {model}", status=404, kind="not_found_error")
    return None


def check_top_level(body: Body, headers: Headers) -> str | None:
    counting = headers.get(":path", "").startswith("/v1/messages/count_tokens")
    known = COUNT_TOP_LEVEL if counting else TOP_LEVEL
    for name in body:
        if name in BETA_FIELDS and _has_beta(headers, BETA_FIELDS[name]):
            continue
        if name not in known:
            return f"{name}: Extra inputs are not permitted"
    return None


def check_metadata(body: Body, headers: Headers) -> str | None:
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        for name in metadata:
            if name != "user_id":
                return f"metadata.{name}: Extra inputs are not permitted"
    return None


def check_max_tokens(body: Body, headers: Headers) -> str | None:
    if headers.get(":path", "").startswith("/v1/messages/count_tokens"):
        return None
    given = body.get("max_tokens")
    if given is None:
        return "max_tokens: Field required"
    if not isinstance(given, int) or isinstance(given, bool):
        return "max_tokens: Input should be a valid integer"
    if given < 1:
        return "max_tokens: must be greater than or equal to 1"
    return None


def check_max_tokens_limit(body: Body, headers: Headers) -> str | None:
    given, model = body.get("max_tokens"), body.get("model")
    if isinstance(given, int) and isinstance(model, str):
        limit, _, _ = facts(model)
        if given > limit:
            return f"max_tokens: {given} > {limit}, which is the maximum allowed number of output tokens for {model}"
    return None


def check_temperature(body: Body, headers: Headers) -> str | None:
    given = body.get("temperature")
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return "temperature: Input should be a valid number"
    if given > 1:
        return "temperature: range: 0..1"
    return "temperature: Input should be greater than or equal to 0" if given < 0 else None


def check_sampling_pair(body: Body, headers: Headers) -> str | None:
    newer = re.match(r"claude-(opus-4-[1-9]|sonnet-4-[5-9]|haiku-4-[5-9])", str(body.get("model")))
    if newer and body.get("temperature") is not None and body.get("top_p") is not None:
        return "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    return None


def check_sampling_gone(body: Body, headers: Headers) -> str | None:
    _, _, sampling = facts(str(body.get("model")))
    for name in ("temperature", "top_p", "top_k"):
        if not sampling and body.get(name) is not None:
            return f"`{name}` is deprecated for this model."
    return None


# Thinking


def _thinking(body: Body) -> Body:
    found = body.get("thinking")
    return found if isinstance(found, dict) else {}


def check_thinking_form(body: Body, headers: Headers) -> str | None:
    kind = _thinking(body).get("type")
    _, forms, _ = facts(str(body.get("model")))
    if kind is None or kind in forms:
        return None
    if kind == "enabled":
        return '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
    tags = ", ".join(f"'{form}'" for form in sorted(forms))
    return f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"


def check_budget_least(body: Body, headers: Headers) -> str | None:
    thinking = _thinking(body)
    if thinking.get("type") != "enabled":
        if "budget_tokens" in thinking:
            return f"thinking.{thinking.get('type')}.budget_tokens: Extra inputs are not permitted"
        return None
    budget = thinking.get("budget_tokens")
    if budget is None:
        return "thinking.enabled.budget_tokens: Field required"
    if not isinstance(budget, int) or budget < 1024:
        return "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
    return None


def check_budget_most(body: Body, headers: Headers) -> str | None:
    budget, limit = _thinking(body).get("budget_tokens"), body.get("max_tokens")
    interleaved = _has_beta(headers, "interleaved-thinking-") and body.get("tools")
    if isinstance(budget, int) and isinstance(limit, int) and budget >= limit and not interleaved:
        return f"`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at {_THINKING}#max-tokens-and-context-window-size"
    return None


def _thinks(body: Body) -> bool:
    return _thinking(body).get("type") in ("enabled", "adaptive")


def check_forced_tool(body: Body, headers: Headers) -> str | None:
    choice = body.get("tool_choice")
    forced = isinstance(choice, dict) and choice.get("type") in ("any", "tool")
    return (
        "Thinking may not be enabled when tool_choice forces tool use."
        if forced and _thinks(body)
        else None
    )


def check_thinking_temperature(body: Body, headers: Headers) -> str | None:
    given = body.get("temperature")
    if _thinks(body) and given is not None and given != 1:
        return f"`temperature` may only be set to 1 when thinking is enabled or in adaptive mode. Please consult our documentation at {_THINKING}#important-considerations-when-using-extended-thinking"
    return None


def check_thinking_top_p(body: Body, headers: Headers) -> str | None:
    given = body.get("top_p")
    if _thinks(body) and isinstance(given, (int, float)) and given < 0.95:
        return "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled or in adaptive mode."
    if _thinks(body) and body.get("top_k") is not None:
        return "`top_k` must be unset when thinking is enabled or in adaptive mode."
    return None


def check_signature(body: Body, headers: Headers) -> str | None:
    for path, message, block in each_block(body):
        if block.get("type") == "redacted_thinking":
            data = block.get("data")
            if not isinstance(data, str) or not data:
                return f"{path}.redacted_thinking.data: Field required"
        if block.get("type") != "thinking":
            continue
        if message.get("role") != "assistant":
            return f"{path}: `thinking` blocks may only be in `assistant` messages"
        signature = block.get("signature")
        if signature is None:
            return f"{path}.thinking.signature: Field required"
        if not isinstance(signature, str) or (
            not _scrubbed(signature) and signature != sign(str(block.get("thinking")))
        ):
            return f"{path}: Invalid `signature` in `thinking` block"
    return None


def _scrubbed(signature: str) -> bool:
    """Recorded requests hold the length of a signature in its place."""
    return re.fullmatch(r"<\d+ characters>", signature) is not None


def check_thinking_last(body: Body, headers: Headers) -> str | None:
    for i, message in enumerate(messages(body)):
        held = blocks(message)
        if message.get("role") == "assistant" and held:
            kind = held[-1].get("type")
            if kind in ("thinking", "redacted_thinking"):
                return f"messages.{i}: The final block in an assistant message cannot be `{kind}`."
    return None


# Messages


def check_messages(body: Body, headers: Headers) -> str | None:
    given = body.get("messages")
    if given is None:
        return "messages: Field required"
    if not isinstance(given, list):
        return "messages: Input should be a valid array"
    return "messages: at least one message is required" if not given else None


def check_message_keys(body: Body, headers: Headers) -> str | None:
    for i, message in enumerate(messages(body)):
        for name in message:
            if name not in ("role", "content"):
                return f"messages.{i}.{name}: Extra inputs are not permitted"
        if not isinstance(message.get("content"), (str, list)):
            return f"messages.{i}.content: Input should be a valid array"
    return None


def check_roles(body: Body, headers: Headers) -> str | None:
    for i, message in enumerate(messages(body)):
        role = message.get("role")
        if role == "system":
            # The SDK that sends the newest version has the role in its types, without a beta.
            newest = headers.get("anthropic-version") == VERSIONS[-1]
            if not newest and not _has_beta(headers, SYSTEM_ROLE_BETA):
                return 'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input message role.'
            if i == 0:
                return f"messages.{i}: use the top-level 'system' parameter for the initial system prompt"
        elif role not in ("user", "assistant"):
            return f'messages: Unexpected role "{role}". Allowed roles are "user" or "assistant"'
    return None


def check_empty_text(body: Body, headers: Headers) -> str | None:
    for _, message, block in each_block(body):
        if (
            block.get("type") == "text"
            and block.get("text") == ""
            and isinstance(message["content"], list)
        ):
            return "messages: text content blocks must be non-empty"
    for block in _system_blocks(body):
        if block.get("text") == "":
            return "system: text content blocks must be non-empty"
    return None


def check_blank_text(body: Body, headers: Headers) -> str | None:
    for _, _, block in each_block(body):
        text = block.get("text")
        if block.get("type") == "text" and isinstance(text, str) and text and not text.strip():
            return "messages: text content blocks must contain non-whitespace text"
    return None


def check_empty_message(body: Body, headers: Headers) -> str | None:
    given = messages(body)
    for i, message in enumerate(given):
        last = i == len(given) - 1 and message.get("role") == "assistant"
        if not last and message.get("content") in ("", []):
            return f"messages.{i}: all messages must have non-empty content except for the optional final assistant message"
    return None


def check_prefill(body: Body, headers: Headers) -> str | None:
    given = messages(body)
    if given and given[-1].get("role") == "assistant":
        held = blocks(given[-1])
        if (
            held
            and held[-1].get("type") == "text"
            and str(held[-1].get("text")).rstrip() != held[-1].get("text")
        ):
            return "messages: final assistant content cannot end with trailing whitespace"
    return None


def check_prefill_gone(body: Body, headers: Headers) -> str | None:
    given = [m for m in messages(body) if m.get("role") != "system"]
    newer = re.match(r"claude-(opus|sonnet)-4-[6-9]", str(body.get("model")))
    if newer and given and given[-1].get("role") == "assistant":
        return "This model does not support assistant message prefill. The conversation must end with a user message."
    return None


def check_block_keys(body: Body, headers: Headers) -> str | None:
    for path, _, block in each_block(body):
        kind = block.get("type")
        known = BLOCK_KEYS.get(str(kind))
        if known is None:
            if not isinstance(kind, str) or not OTHER_BLOCKS.fullmatch(kind):
                tags = ", ".join(f"'{tag}'" for tag in BLOCK_KEYS)
                return f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
            continue
        for name in block:
            if name not in known:
                return f"{path}.{kind}.{name}: Extra inputs are not permitted"
    return None


def check_calls_answered(body: Body, headers: Headers) -> str | None:
    given = [m for m in messages(body) if m.get("role") != "system"]
    for i, message in enumerate(given):
        if message.get("role") != "assistant" or i == len(given) - 1:
            continue
        results = {
            b.get("tool_use_id") for b in blocks(given[i + 1]) if b.get("type") == "tool_result"
        }
        left = [
            str(b.get("id"))
            for b in blocks(message)
            if b.get("type") == "tool_use" and b.get("id") not in results
        ]
        if left:
            return f"messages.{i}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(left)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    return None


def check_results_asked(body: Body, headers: Headers) -> str | None:
    given = [m for m in messages(body) if m.get("role") != "system"]
    for i, message in enumerate(given):
        before = blocks(given[i - 1]) if i and given[i - 1].get("role") == "assistant" else []
        calls = {b.get("id") for b in before if b.get("type") == "tool_use"}
        for j, block in enumerate(blocks(message)):
            if block.get("type") == "tool_result" and block.get("tool_use_id") not in calls:
                return f"messages.{i}.content.{j}: unexpected `tool_use_id` found in `tool_result` blocks: {block.get('tool_use_id')}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
    return None


def check_results_first(body: Body, headers: Headers) -> str | None:
    for i, message in enumerate(messages(body)):
        late: list[str] = []
        other = False
        for block in blocks(message):
            if block.get("type") != "tool_result":
                other = True
            elif other:
                late.append(str(block.get("tool_use_id")))
        if late:
            return f"messages.{i - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(late)}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    return None


def check_ids(body: Body, headers: Headers) -> str | None:
    seen: set[str] = set()
    for path, _, block in each_block(body):
        if block.get("type") != "tool_use":
            continue
        call = block.get("id")
        if not isinstance(call, str) or not re.fullmatch(r"[a-zA-Z0-9_-]+", call):
            return f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        if call in seen:
            return "messages: `tool_use` ids must be unique"
        seen.add(call)
        if not isinstance(block.get("input"), dict):
            return f"{path}.tool_use.input: Input should be a valid dictionary"
    return None


def check_media(body: Body, headers: Headers) -> str | None:
    for path, _, block in each_block(body):
        source = block.get("source")
        if block.get("type") not in ("image", "document") or not isinstance(source, dict):
            continue
        where = f"{path}.{block['type']}.source"
        if source.get("type") == "url" and not str(source.get("url")).startswith("https://"):
            return "Only HTTPS URLs are supported."
        if source.get("type") != "base64":
            continue
        if block["type"] == "image" and source.get("media_type") not in IMAGE_TYPES:
            return (
                f"{where}.base64.media_type: Input should be "
                + ", ".join(f"'{t}'" for t in IMAGE_TYPES[:-1])
                + f" or '{IMAGE_TYPES[-1]}'"
            )
        try:
            base64.b64decode(str(source.get("data")), validate=True)
        except (binascii.Error, ValueError):
            return f"{where}.base64: invalid base64 data"
    return None


# Tools


def _tools(body: Body) -> list[Body]:
    found = body.get("tools")
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []


def check_tools(body: Body, headers: Headers) -> str | None:
    names: set[str] = set()
    for i, tool in enumerate(_tools(body)):
        if tool.get("type") not in (None, "custom"):
            continue
        name = tool.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name):
            return f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if name in names:
            return "tools: Tool names must be unique."
        names.add(name)
        schema = tool.get("input_schema")
        if not isinstance(schema, dict):
            return f"tools.{i}.custom.input_schema: Field required"
        if schema.get("type") != "object":
            return f"tools.{i}.custom.input_schema.type: Input should be 'object'"
    return None


TOOL_KEYS = frozenset(
    [
        "allowed_callers",
        "cache_control",
        "defer_loading",
        "description",
        "eager_input_streaming",
        "input_examples",
        "input_schema",
        "name",
        "strict",
        "type",
    ]
)


def check_tool_keys(body: Body, headers: Headers) -> str | None:
    for i, tool in enumerate(_tools(body)):
        if tool.get("type") in (None, "custom"):
            for name in tool:
                if name not in TOOL_KEYS:
                    return f"tools.{i}.custom.{name}: Extra inputs are not permitted"
    return None


def check_tool_choice(body: Body, headers: Headers) -> str | None:
    choice = body.get("tool_choice")
    if choice is None:
        return None
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if kind not in ("auto", "any", "tool", "none"):
        return f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'"
    allowed = (
        {"type"}
        | ({"name"} if kind == "tool" else set())
        | ({"disable_parallel_tool_use"} if kind != "none" else set())
    )
    for name in choice:
        if name not in allowed:
            return f"tool_choice.{kind}.{name}: Extra inputs are not permitted"
    if not _tools(body):
        return "tool_choice may only be specified while providing tools."
    if kind == "tool" and choice.get("name") not in {t.get("name") for t in _tools(body)}:
        return f"Tool '{choice.get('name')}' not found in provided tools"
    return None


def check_cache_marks(body: Body, headers: Headers) -> str | None:
    marked = [b for _, _, b in each_block(body)] + _system_blocks(body) + _tools(body) + [body]
    count = sum(isinstance(b.get("cache_control"), dict) for b in marked)
    if count > _MAX_CACHE_MARKS:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {count}."
    return None


def check_cache_order(body: Body, headers: Headers) -> str | None:
    short = False
    for block in [*_tools(body), *_system_blocks(body), *(b for _, _, b in each_block(body))]:
        mark = block.get("cache_control")
        if not isinstance(mark, dict):
            continue
        if mark.get("type") != "ephemeral" or mark.get("ttl") not in (None, "5m", "1h"):
            return f"cache_control: {json.dumps(mark)} is not an ephemeral mark of 5m or 1h"
        if mark.get("ttl") == "1h" and short:
            return (
                "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block."
            )
        short = short or mark.get("ttl") != "1h"
    return None


def check_effort(body: Body, headers: Headers) -> str | None:
    config = body.get("output_config")
    effort = config.get("effort") if isinstance(config, dict) else None
    words = ("low", "medium", "high", "xhigh", "max")
    if effort is not None and effort not in words:
        return "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"
    return None


def check_stop_sequences(body: Body, headers: Headers) -> str | None:
    stops = body.get("stop_sequences")
    if stops is None:
        return None
    if not isinstance(stops, list):
        return "stop_sequences: Input should be a valid array"
    if any(not isinstance(s, str) or not s.strip() for s in stops):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    return None


_ISSUE = "https://github.com/{}/issues/{}"

RULES: tuple[Rule, ...] = (
    Rule("key", _ERRORS, check_key),
    Rule("version", "https://platform.claude.com/docs/en/api/versioning", check_version),
    Rule("model", _API, check_model),
    Rule("unknown field", _ISSUE.format("anthropics/claude-code", 21612), check_top_level),
    Rule("metadata", "proxies seen to send metadata.stream_options; " + _API, check_metadata),
    Rule("max_tokens", f"{_API}; {_PROBE}", check_max_tokens),
    Rule(
        "max_tokens limit",
        "https://platform.claude.com/docs/en/about-claude/models/overview",
        check_max_tokens_limit,
    ),
    Rule("temperature", _API, check_temperature),
    Rule("sampling pair", _PROBE, check_sampling_pair),
    Rule("sampling gone", _PROBE, check_sampling_gone),
    Rule("thinking form", f"{_ADAPTIVE}; {_PROBE}", check_thinking_form),
    Rule("budget least", _THINKING, check_budget_least),
    Rule("budget most", f"{_THINKING}; {_PROBE}", check_budget_most),
    Rule("forced tool", _ISSUE.format("mastra-ai/mastra", 7507), check_forced_tool),
    Rule("thinking temperature", _THINKING, check_thinking_temperature),
    Rule("thinking top_p", _THINKING, check_thinking_top_p),
    Rule("messages", _API, check_messages),
    Rule("message keys", _API, check_message_keys),
    Rule("roles", f"{_API}; {_CLIENTS} (with the beta)", check_roles),
    Rule("empty text", _ISSUE.format("BerriAI/litellm", 25848), check_empty_text),
    Rule("blank text", _ERRORS, check_blank_text),
    Rule("empty message", _ISSUE.format("musistudio/claude-code-router", 4), check_empty_message),
    Rule("prefill", _API, check_prefill),
    Rule(
        "prefill gone",
        "https://platform.claude.com/docs/en/about-claude/models/whats-new-claude-4-6",
        check_prefill_gone,
    ),
    Rule("block keys", _API, check_block_keys),
    Rule("signature", "capture anthropic-unsigned-thinking-replay-probe", check_signature),
    Rule("thinking last", _THINKING, check_thinking_last),
    Rule("ids", _ISSUE.format("vercel/ai", 5171), check_ids),
    Rule("calls answered", _ISSUE.format("anthropics/claude-code", 8210), check_calls_answered),
    Rule("results asked", _ISSUE.format("anthropics/claude-code", 13460), check_results_asked),
    Rule(
        "results first",
        "https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use",
        check_results_first,
    ),
    Rule("media", _VISION, check_media),
    Rule("tools", _API, check_tools),
    Rule("tool keys", _API, check_tool_keys),
    Rule("tool choice", _API, check_tool_choice),
    Rule("cache marks", _CACHING, check_cache_marks),
    Rule("cache order", _CACHING, check_cache_order),
    Rule("effort", _PROBE, check_effort),
    Rule("stop sequences", _API, check_stop_sequences),
)
