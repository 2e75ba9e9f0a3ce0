"""What the OpenAI Chat Completions API refuses, in its own words; each rule names its source.

A *compatible* server (vLLM, llama.cpp, a gateway) takes more: the rules marked ``vendor`` do not
hold there.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.fakes.server import Breach, Rule

Body = dict[str, Any]
Headers = Mapping[str, str]

_API = "https://platform.openai.com/docs/api-reference/chat/create"
_REASONING = "https://platform.openai.com/docs/guides/reasoning"
_LATEST = "https://platform.openai.com/docs/guides/latest-model"
_ISSUE = "https://github.com/{}/issues/{}"

TOP_LEVEL = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
MESSAGE_KEYS: Mapping[str, frozenset[str]] = {
    "user": frozenset({"role", "content", "name"}),
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "assistant": frozenset(
        {
            "role",
            "content",
            "name",
            "refusal",
            "audio",
            "tool_calls",
            "function_call",
            "annotations",
        }
    ),
    "tool": frozenset({"role", "content", "tool_call_id"}),
    "function": frozenset({"role", "content", "name"}),
}
ROLES = "'system', 'assistant', 'user', 'function', 'tool', and 'developer'"
#: What a user message may hold; the value's key has the type's name.
USER_PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")
_EFFORTS = "none", "minimal", "low", "medium", "high", "xhigh", "max"


def version(model: str) -> tuple[int, int] | None:
    found = re.match(r"gpt-?(\d+)(?:\.(\d+))?", model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def reasons(model: str) -> bool:
    """Tell whether a model is one of the reasoning models."""
    known = version(model)
    newer = known is not None and known >= (5, 0) and "chat" not in model
    return newer or re.match(r"o\d", model) is not None


def efforts(model: str) -> tuple[str, ...]:
    """Return the effort words that a reasoning model takes."""
    known = version(model)
    if known is None:
        return ("low", "medium", "high")
    if known == (5, 0):
        return ("minimal", "low", "medium", "high")
    words = ("none", "low", "medium", "high")
    return (*words, "xhigh") if known >= (5, 2) else words


def messages(body: Body) -> list[Body]:
    found = body.get("messages")
    return [m for m in found if isinstance(m, dict)] if isinstance(found, list) else []


def _calls(message: Body) -> list[Body]:
    found = message.get("tool_calls")
    return [c for c in found if isinstance(c, dict)] if isinstance(found, list) else []


def _parts(body: Body) -> Iterator[tuple[str, Body, Body]]:
    for i, message in enumerate(messages(body)):
        content = message.get("content")
        for j, part in enumerate(content if isinstance(content, list) else []):
            if isinstance(part, dict):
                yield f"messages[{i}].content[{j}]", message, part


def _unsupported(name: str) -> Breach:
    text = f"Unsupported parameter: '{name}' is not supported with this model."
    return Breach(text, name, "unsupported_parameter")


# Headers and top level


def check_key(body: Body, headers: Headers) -> Breach | None:
    given = headers.get("authorization", "")
    if not given.startswith("Bearer ") or len(given) < 8:
        text = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
        return Breach(text, status=401)
    if "refused" in given:
        text = "Incorrect API key provided: refused***. You can find your API key at https://platform.openai.com/account/api-keys."
        return Breach(text, None, "invalid_api_key", 401)
    return None


def check_model(body: Body, headers: Headers) -> Breach | None:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        return Breach("you must provide a model parameter")
    if re.match(r"claude|gemini|nope", model):
        text = f"The model `{model}` does not exist or you do not have access to it."
        return Breach(text, None, "model_not_found", 404)
    return None


def check_top_level(body: Body, headers: Headers) -> Breach | None:
    for name in body:
        if name not in TOP_LEVEL:
            return Breach(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return None


def check_stream_options(body: Body, headers: Headers) -> Breach | None:
    if body.get("stream_options") is not None and body.get("stream") is not True:
        text = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return Breach(text, "stream_options")
    return None


def check_both_limits(body: Body, headers: Headers) -> Breach | None:
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        return Breach(text, "max_tokens", "invalid_parameter_combination")
    return None


def check_limit(body: Body, headers: Headers) -> Breach | None:
    name = "max_completion_tokens" if "max_completion_tokens" in body else "max_tokens"
    given = body.get(name)
    if isinstance(given, int) and given < 1:
        text = f"Invalid '{name}': integer below minimum value. Expected a value >= 1, but got {given} instead."
        return Breach(text, name, "integer_below_min_value")
    known = version(str(body.get("model")))
    most = 128_000 if known is None or known >= (5, 0) else 32_768 if known >= (4, 1) else 16_384
    if isinstance(given, int) and given > most:
        text = f"max_tokens is too large: {given}. This model supports at most {most} completion tokens, whereas you provided {given}."
        return Breach(text, name, "invalid_value")
    return None


def check_max_tokens(body: Body, headers: Headers) -> Breach | None:
    if reasons(str(body.get("model"))) and body.get("max_tokens") is not None:
        text = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        return Breach(text, "max_tokens", "unsupported_parameter")
    return None


def _samples(body: Body) -> bool:
    """Newer models sample when they do not reason, which is their default from 5.1 on."""
    model = str(body.get("model"))
    known = version(model)
    quiet = body.get("reasoning_effort") in (None, "none")
    return not reasons(model) or (known is not None and known >= (5, 1) and quiet)


def check_temperature(body: Body, headers: Headers) -> Breach | None:
    given = body.get("temperature")
    if given is None:
        return None
    if not 0 <= given <= 2:
        word, bound, sign = ("above maximum", 2, "<=") if given > 2 else ("below minimum", 0, ">=")
        text = f"Invalid 'temperature': decimal {word} value. Expected a value {sign} {bound}, but got {given} instead."
        return Breach(
            text,
            "temperature",
            f"decimal_{word.replace(' maximum', '_max').replace(' minimum', '_min')}_value",
        )
    if not _samples(body) and given != 1:
        text = f"Unsupported value: 'temperature' does not support {given} with this model. Only the default (1) value is supported."
        return Breach(text, "temperature", "unsupported_value")
    return None


def check_top_p(body: Body, headers: Headers) -> Breach | None:
    given = body.get("top_p")
    return _unsupported("top_p") if given not in (None, 1) and not _samples(body) else None


def check_stop_supported(body: Body, headers: Headers) -> Breach | None:
    model = str(body.get("model"))
    return _unsupported("stop") if body.get("stop") is not None and reasons(model) else None


def check_stop(body: Body, headers: Headers) -> Breach | None:
    given = body.get("stop")
    if isinstance(given, list) and len(given) > 4:
        text = f"Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length {len(given)} instead."
        return Breach(text, "stop", "array_above_max_length")
    return None


def check_effort(body: Body, headers: Headers) -> Breach | None:
    given, model = body.get("reasoning_effort"), str(body.get("model"))
    if given is None:
        return None
    if not reasons(model):
        return Breach("Unrecognized request argument supplied: reasoning_effort")
    words = efforts(model)
    if given not in words:
        shown = ", ".join(f"'{w}'" for w in words[:-1]) + f", and '{words[-1]}'"
        text = f"Unsupported value: 'reasoning_effort' does not support '{given}' with this model. Supported values are: {shown}."
        return Breach(text, "reasoning_effort", "unsupported_value")
    return None


# Messages


def check_messages(body: Body, headers: Headers) -> Breach | None:
    given = body.get("messages")
    if given is None:
        return Breach(
            "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"
        )
    if given == []:
        text = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        return Breach(text, "messages", "empty_array")
    return None


def check_roles(body: Body, headers: Headers) -> Breach | None:
    for i, message in enumerate(messages(body)):
        if message.get("role") not in MESSAGE_KEYS:
            text = f"Invalid value: '{message.get('role')}'. Supported values are: {ROLES}."
            return Breach(text, f"messages[{i}].role", "invalid_value")
    return None


def check_message_keys(body: Body, headers: Headers) -> Breach | None:
    for i, message in enumerate(messages(body)):
        for name in message:
            if name not in MESSAGE_KEYS.get(str(message.get("role")), {name}):
                path = f"messages[{i}].{name}"
                return Breach(f"Unknown parameter: '{path}'.", path, "unknown_parameter")
    return None


def check_content(body: Body, headers: Headers) -> Breach | None:
    for i, message in enumerate(messages(body)):
        content = message.get("content")
        spoken = message.get("role") == "assistant" and (
            _calls(message) or message.get("function_call") or message.get("refusal")
        )
        if content is None and not spoken:
            return Breach(
                "Invalid value for 'content': expected a string, got null.",
                f"messages.[{i}].content",
            )
        if content == []:
            path = f"messages[{i}].content"
            text = f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
            return Breach(text, path, "empty_array")
    return None


def check_parts(body: Body, headers: Headers) -> Breach | None:
    for path, message, part in _parts(body):
        kind, role = part.get("type"), message.get("role")
        known = (
            USER_PARTS
            if role == "user"
            else ("text", "refusal")
            if role == "assistant"
            else ("text",)
        )
        if kind not in known:
            shown = " and ".join(f"'{k}'" for k in known)
            return Breach(
                f"Invalid value: '{kind}'. Supported values are: {shown}.", path, "invalid_value"
            )
        value = part.get(str(kind))
        if kind in ("text", "refusal") and not isinstance(value, str):
            return Breach(
                f"Missing required parameter: '{path}.{kind}'.",
                f"{path}.{kind}",
                "missing_required_parameter",
            )
        for name in part:
            if name not in ("type", kind, "prompt_cache_breakpoint"):
                return Breach(
                    f"Unknown parameter: '{path}.{name}'.", f"{path}.{name}", "unknown_parameter"
                )
    return None


def check_images(body: Body, headers: Headers) -> Breach | None:
    for path, _, part in _parts(body):
        if part.get("type") != "image_url":
            continue
        image = part.get("image_url")
        if not isinstance(image, dict):
            text = f"Invalid type for '{path}.image_url': expected an object, but got a string instead."
            return Breach(text, f"{path}.image_url", "invalid_type")
        url = image.get("url")
        if not isinstance(url, str) or not re.match(
            r"https?://|data:image/(png|jpe?g|gif|webp);base64,", url
        ):
            text = f"Invalid '{path}.image_url.url'. Expected a base64-encoded data URL with an image MIME type (e.g. 'data:image/png;base64,aW1nIGJ5dGVzIGhlcmU='), but got an unsupported value."
            return Breach(text, f"{path}.image_url.url", "invalid_value")
        if url.startswith("data:"):
            try:
                base64.b64decode(url.partition(",")[2], validate=True)
            except (binascii.Error, ValueError):
                return Breach(
                    "Invalid base64 image_url.", f"{path}.image_url.url", "invalid_base64"
                )
        if image.get("detail", "auto") not in ("auto", "low", "high", "original"):
            return Breach(
                f"Invalid value: '{image['detail']}'.", f"{path}.image_url.detail", "invalid_value"
            )
    return None


def check_results_asked(body: Body, headers: Headers) -> Breach | None:
    open_calls: set[Any] = set()
    for i, message in enumerate(messages(body)):
        if message.get("role") == "tool":
            if message.get("tool_call_id") not in open_calls:
                text = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'."
                return Breach(text, f"messages.[{i}].role")
        else:
            open_calls = {call.get("id") for call in _calls(message)}
    return None


def check_calls_answered(body: Body, headers: Headers) -> Breach | None:
    given = messages(body)
    for i, message in enumerate(given):
        ids = [call.get("id") for call in _calls(message)]
        if not ids:
            continue
        at = i + 1
        while at < len(given) and given[at].get("role") == "tool":
            ids = [call for call in ids if call != given[at].get("tool_call_id")]
            at += 1
        if ids:
            text = f"An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(map(str, ids))}"
            return Breach(text, f"messages.[{at}].role")
    return None


def check_calls(body: Body, headers: Headers) -> Breach | None:
    for i, message in enumerate(messages(body)):
        if message.get("tool_calls") == []:
            path = f"messages[{i}].tool_calls"
            text = f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
            return Breach(text, path, "empty_array")
        for j, call in enumerate(_calls(message)):
            path = f"messages[{i}].tool_calls[{j}]"
            inner = call.get("function") if call.get("type") == "function" else call.get("custom")
            if not isinstance(inner, dict):
                return Breach(
                    f"Missing required parameter: '{path}.type'.",
                    f"{path}.type",
                    "missing_required_parameter",
                )
            text = inner.get("arguments" if call.get("type") == "function" else "input")
            if not isinstance(text, str):
                return Breach(
                    f"Invalid type for '{path}.function.arguments': expected a string.",
                    f"{path}.function.arguments",
                    "invalid_type",
                )
            for name in call:
                if name not in ("id", "type", "function", "custom"):
                    return Breach(
                        f"Unknown parameter: '{path}.{name}'.",
                        f"{path}.{name}",
                        "unknown_parameter",
                    )
    return None


def check_ids(body: Body, headers: Headers) -> Breach | None:
    for i, message in enumerate(messages(body)):
        named = [
            (f"messages[{i}].tool_calls[{j}].id", call.get("id"))
            for j, call in enumerate(_calls(message))
        ]
        if message.get("role") == "tool":
            named.append((f"messages[{i}].tool_call_id", message.get("tool_call_id")))
        for path, call in named:
            if not isinstance(call, str) or not call:
                return Breach(
                    f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
                )
            if len(call) > 40:
                text = f"Invalid '{path}': string too long. Expected a string with maximum length 40, but got a string with length {len(call)} instead."
                return Breach(text, path, "string_above_max_length")
    return None


# Tools


def _tools(body: Body) -> list[Body]:
    found = body.get("tools")
    return [t for t in found if isinstance(t, dict)] if isinstance(found, list) else []


def check_empty_tools(body: Body, headers: Headers) -> Breach | None:
    if body.get("tools") == []:
        text = "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."
        return Breach(text, "tools", "empty_array")
    return None


def check_without_tools(body: Body, headers: Headers) -> Breach | None:
    for name in ("tool_choice", "parallel_tool_calls"):
        if body.get(name) is not None and not _tools(body):
            text = (
                f"Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified."
            )
            return Breach(text, name)
    return None


def check_tools(body: Body, headers: Headers) -> Breach | None:
    for i, tool in enumerate(_tools(body)):
        kind = tool.get("type")
        if kind not in ("function", "custom"):
            return Breach(
                f"Invalid value: '{kind}'. Supported values are: 'function' and 'custom'.",
                f"tools[{i}].type",
                "invalid_value",
            )
        for name in tool:
            if name not in ("type", kind):
                return Breach(
                    f"Unknown parameter: 'tools[{i}].{name}'.",
                    f"tools[{i}].{name}",
                    "unknown_parameter",
                )
    return None


def _named(body: Body) -> Iterator[tuple[str, Any]]:
    for i, tool in enumerate(_tools(body)):
        kind = str(tool.get("type"))
        inner = tool.get(kind)
        yield f"tools[{i}].{kind}.name", inner.get("name") if isinstance(inner, dict) else None
    for i, message in enumerate(messages(body)):
        for j, call in enumerate(_calls(message)):
            kind = str(call.get("type"))
            inner = call.get(kind)
            yield (
                f"messages[{i}].tool_calls[{j}].{kind}.name",
                inner.get("name") if isinstance(inner, dict) else None,
            )


def check_names(body: Body, headers: Headers) -> Breach | None:
    for path, name in _named(body):
        if not isinstance(name, str) or not name:
            return Breach(
                f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
            )
        if len(name) > 64:
            text = f"Invalid '{path}': string too long. Expected a string with maximum length 64, but got a string with length {len(name)} instead."
            return Breach(text, path, "string_above_max_length")
        if not re.fullmatch(r"[a-zA-Z0-9_-]+", name):
            text = f"Invalid '{path}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            return Breach(text, path, "invalid_value")
    return None


def check_parameters(body: Body, headers: Headers) -> Breach | None:
    for i, tool in enumerate(_tools(body)):
        function = tool.get("function")
        schema = function.get("parameters") if isinstance(function, dict) else None
        if isinstance(schema, dict) and schema and schema.get("type") != "object":
            text = f"Invalid schema for function '{function['name']}': schema must be a JSON Schema of 'type: \"object\"', got 'type: {json.dumps(schema.get('type'))}'."
            return Breach(text, f"tools[{i}].function.parameters", "invalid_function_parameters")
    return None


def check_tool_choice(body: Body, headers: Headers) -> Breach | None:
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        text = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        return Breach(text, "tool_choice", "invalid_value")
    if isinstance(choice, dict):
        kind = choice.get("type")
        if kind not in ("function", "custom", "allowed_tools"):
            return Breach(f"Invalid value: '{kind}'.", "tool_choice.type", "invalid_value")
        inner = choice.get(kind)
        if not isinstance(inner, dict):
            return Breach(
                f"Missing required parameter: 'tool_choice.{kind}'.",
                f"tool_choice.{kind}",
                "missing_required_parameter",
            )
        names = {(t.get(str(t.get("type"))) or {}).get("name") for t in _tools(body)}
        if kind != "allowed_tools" and inner.get("name") not in names:
            text = f"Invalid value for 'tool_choice': no function named '{inner.get('name')}' was specified in the 'tools' parameter."
            return Breach(text, "tool_choice")
    return None


def check_format(body: Body, headers: Headers) -> Breach | None:
    given = body.get("response_format")
    if not isinstance(given, dict):
        return None
    if given.get("type") not in ("text", "json_object", "json_schema"):
        text = f"Invalid value: '{given.get('type')}'. Supported values are: 'json_object', 'json_schema', and 'text'."
        return Breach(text, "response_format.type", "invalid_value")
    if given["type"] == "json_schema":
        inner = given.get("json_schema")
        path = "response_format.json_schema"
        if not isinstance(inner, dict):
            return Breach(
                f"Missing required parameter: '{path}'.", path, "missing_required_parameter"
            )
        name = inner.get("name")
        if not isinstance(name, str) or not name:
            return Breach(
                f"Missing required parameter: '{path}.name'.",
                f"{path}.name",
                "missing_required_parameter",
            )
        if not re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name):
            text = f"Invalid '{path}.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            return Breach(text, f"{path}.name", "invalid_value")
    return None


def check_json_word(body: Body, headers: Headers) -> Breach | None:
    given = body.get("response_format")
    asked = isinstance(given, dict) and given.get("type") == "json_object"
    if asked and "json" not in json.dumps(body.get("messages")).lower():
        text = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        return Breach(text, "messages")
    return None


def check_metadata(body: Body, headers: Headers) -> Breach | None:
    given = body.get("metadata")
    if isinstance(given, dict):
        for name, value in given.items():
            if not isinstance(value, str):
                text = f"Invalid type for 'metadata.{name}': expected a string, but got something else instead."
                return Breach(text, f"metadata.{name}", "invalid_type")
    return None


def check_logprobs(body: Body, headers: Headers) -> Breach | None:
    if body.get("top_logprobs") is not None and body.get("logprobs") is not True:
        text = "Invalid value for 'top_logprobs': 'top_logprobs' is only allowed when 'logprobs' is enabled."
        return Breach(text, "top_logprobs")
    return None


#: What every server of this wire refuses.
RULES: tuple[Rule, ...] = (
    Rule("key", "https://platform.openai.com/docs/guides/error-codes", check_key),
    Rule("model", "https://platform.openai.com/docs/guides/error-codes", check_model),
    Rule("stream_options", _API, check_stream_options),
    Rule("both limits", _API, check_both_limits),
    Rule("messages", _API, check_messages),
    Rule("roles", _API, check_roles),
    Rule("content", _API, check_content),
    Rule("parts", _API, check_parts),
    Rule("images", "https://platform.openai.com/docs/guides/images-vision", check_images),
    Rule("results asked", _ISSUE.format("simonw/llm", 937), check_results_asked),
    Rule("calls answered", _ISSUE.format("evalstate/fast-agent", 314), check_calls_answered),
    Rule("calls", _API, check_calls),
    Rule("ids", _API, check_ids),
    Rule("empty tools", "https://github.com/vllm-project/vllm/pull/39780", check_empty_tools),
    Rule("without tools", _ISSUE.format("vllm-project/vllm", 21052), check_without_tools),
    Rule("tools", _API, check_tools),
    Rule("names", _API, check_names),
    Rule(
        "parameters", "https://platform.openai.com/docs/guides/function-calling", check_parameters
    ),
    Rule("tool choice", _API, check_tool_choice),
    Rule("format", "https://platform.openai.com/docs/guides/structured-outputs", check_format),
)
#: What only the vendor's own service refuses.
VENDOR_RULES: tuple[Rule, ...] = (
    Rule("unknown field", _API, check_top_level),
    Rule(
        "message keys",
        'Argo\'s gateway: "Unknown parameter: messages[0].tool_calls"',
        check_message_keys,
    ),
    Rule("max_tokens", _ISSUE.format("anomalyco/opencode", 37964), check_max_tokens),
    Rule("limit", _API, check_limit),
    Rule("temperature", f"{_REASONING}; Argo's gateway, probed in May 2026", check_temperature),
    Rule("top_p", f"{_REASONING}; {_LATEST}", check_top_p),
    Rule("stop on reasoning models", _REASONING, check_stop_supported),
    Rule("stop", _API, check_stop),
    Rule("effort", _REASONING, check_effort),
    Rule(
        "json word", "https://platform.openai.com/docs/guides/structured-outputs", check_json_word
    ),
    Rule("metadata", _API, check_metadata),
    Rule("logprobs", _API, check_logprobs),
)
