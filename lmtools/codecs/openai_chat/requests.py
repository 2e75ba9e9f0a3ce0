"""Chat Completions request bodies to canonical requests."""

from __future__ import annotations

from ...errors import RequestError
from ...types import (
    EFFORTS,
    OUTPUT_FORMATS,
    Json,
    JsonObject,
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
)
from ..base import Incoming
from ..fields import Fields, wrong
from .messages import parse_messages
from .tools import parse_choice, parse_function, parse_tool
from .wire import Shape

REQUEST = Shape(
    "request",
    (
        "model",
        "messages",
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "parallel_tool_calls",
        "max_completion_tokens",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "stop",
        "n",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "verbosity",
        "response_format",
        "stream",
        "stream_options",
        "user",
        "safety_identifier",
        "metadata",
        "service_tier",
        "store",
        "prompt_cache_key",
        "prompt_cache_retention",
    ),
)
STREAM_OPTIONS = Shape("stream_options", ("include_usage",))
RESPONSE_FORMAT = Shape("response_format", ("type", "json_schema"))
JSON_SCHEMA = Shape("json_schema", ("name", "description", "schema", "strict"))

#: Anthropic's words for tiers: from a Chat client they mean nothing and stay as they are.
FOREIGN_TIERS = frozenset({"standard", "standard_only"})
#: OpenAI takes four stop sequences; other servers take more.
MOST_STOPS = 4


def parse_request(wire: Incoming) -> Request:
    """Return the canonical request; RequestError names the path of what is wrong."""
    fields = Fields(wire.body, "")
    try:
        return _Parser(fields, wire.body).parse()
    except (TypeError, ValueError) as error:
        # A number out of range (1e999 is infinite) is refused by the constructor of its value.
        raise RequestError(str(error), path="body") from None


class _Parser:
    def __init__(self, fields: Fields, wire: JsonObject) -> None:
        self._fields = fields
        self._wire = wire
        self._notes: JsonObject = {}

    def parse(self) -> Request:
        fields = self._fields
        model = fields.required_text("model")
        messages = fields.array("messages")
        if messages is None:
            raise fields.missing("messages", "a list")
        tools = self._tools()
        options = fields.object("stream_options")
        stream_options = Fields({} if options is None else options, "stream_options")
        include_usage = stream_options.boolean("include_usage")
        values: JsonObject = {
            "messages": parse_messages(messages, "messages"),
            "tools": tools,
            "tool_choice": self._tool_choice(tools),
            "include_usage": include_usage,
            "max_tokens": self._limit(),
            "stop": self._stop(),
            "reasoning": self._reasoning(),
            "output": self._output(),
            "user": self._user(),
            "service_tier": self._service_tier(),
        }
        values.update(self._scalars())
        opaque = REQUEST.keep(fields, self._wire, self._notes)
        if options is not None:
            notes = None if options else {"empty": True}
            opaque += STREAM_OPTIONS.keep(stream_options, options, notes)
        return Request(model, opaque=opaque, **values)

    def _scalars(self) -> JsonObject:
        fields = self._fields
        top_k = fields.integer("top_k")
        if top_k is not None:
            # vLLM, LM Studio, OpenRouter and others take it; OpenAI does not.
            self._notes["top_k"] = True
        return {
            "stream": fields.boolean("stream"),
            "temperature": fields.number("temperature"),
            "top_p": fields.number("top_p"),
            "top_k": top_k,
            "seed": fields.integer("seed"),
            "frequency_penalty": fields.number("frequency_penalty"),
            "presence_penalty": fields.number("presence_penalty"),
            "n": fields.integer("n"),
            "logprobs": fields.boolean("logprobs"),
            "top_logprobs": fields.integer("top_logprobs"),
            "verbosity": fields.text("verbosity"),
            "cache_key": fields.text("prompt_cache_key"),
            "cache_retention": fields.text("prompt_cache_retention"),
            "metadata": fields.object("metadata"),
            "store": fields.boolean("store"),
        }

    def _tools(self) -> tuple[Tool, ...]:
        listed = self._list("tools")
        tools: list[Tool] = [parse_tool(item, f"tools[{i}]") for i, item in enumerate(listed)]
        for i, item in enumerate(self._list("functions")):
            tools.append(parse_function(item, f"functions[{i}]", legacy=True))
        return tuple(tools)

    def _list(self, key: str) -> list[Json]:
        listed = self._fields.array(key)
        if listed is not None and not listed:
            self._notes.setdefault("empty", []).append(key)
        return listed or []

    def _tool_choice(self, tools: tuple[Tool, ...]) -> ToolChoice | None:
        """Without tools a choice says nothing to anybody else, and stays as it is."""
        fields = self._fields
        if not tools:
            return None
        parallel = fields.boolean("parallel_tool_calls")
        given = fields.rest.get("tool_choice")
        if given is None:
            given = self._legacy_choice()
        choice = parse_choice(given, parallel, fields.at("tool_choice"))
        if choice is not None:
            fields.rest.pop("tool_choice", None)
            return choice
        return parse_choice(None, parallel, "")

    def _legacy_choice(self) -> Json:
        """Return ``function_call`` in the words of ``tool_choice``."""
        given = self._fields.rest.get("function_call")
        if given in ("auto", "none"):
            self._notes["function_call"] = True
            del self._fields.rest["function_call"]
            return given
        if given.__class__ is dict and given.keys() == {"name"}:
            self._notes["function_call"] = True
            del self._fields.rest["function_call"]
            return {"type": "function", "function": given}
        return None

    def _limit(self) -> int | None:
        """Both names at once: the newer one counts, the older one stays as it is."""
        limit = self._fields.integer("max_completion_tokens")
        if limit is None:
            limit = self._fields.integer("max_tokens")
            if limit is not None:
                self._notes["limit"] = "max_tokens"
        return limit

    def _stop(self) -> tuple[str, ...]:
        fields = self._fields
        given = fields.any("stop")
        if given is None:
            return ()
        if given.__class__ is str:
            self._notes["stop"] = "string"
            return (given,)
        if given.__class__ is not list:
            raise wrong("stop", "a string or a list", given)
        for i, item in enumerate(given):
            if item.__class__ is not str:
                raise wrong(f"stop[{i}]", "a string", item)
        if not given:
            self._notes.setdefault("empty", []).append("stop")
        if len(given) > MOST_STOPS:
            self._notes["stop"] = "many"
        return tuple(given)

    def _reasoning(self) -> Reasoning | None:
        word = self._fields.rest.get("reasoning_effort")
        if word.__class__ is not str or word not in EFFORTS:
            return None
        return Reasoning(effort=self._fields.text("reasoning_effort"))

    def _output(self) -> OutputFormat | None:
        wire = self._fields.rest.get("response_format")
        if wire.__class__ is not dict or wire.get("type") not in OUTPUT_FORMATS:
            return None
        outer = Fields(wire, "response_format")
        type = outer.required_text("type")
        definition = outer.object("json_schema") if type == "json_schema" else None
        if definition is None:
            if type == "json_schema":
                raise outer.missing("json_schema", "an object")
            del self._fields.rest["response_format"]
            return OutputFormat(type, opaque=RESPONSE_FORMAT.keep(outer, wire))
        del self._fields.rest["response_format"]
        inner = Fields(definition, outer.at("json_schema"))
        name, description = inner.text("name"), inner.text("description")
        schema, strict = inner.object("schema"), inner.boolean("strict")
        notes = {"nameless": True} if name is None else None
        opaque = (
            *RESPONSE_FORMAT.keep(outer, wire),
            *JSON_SCHEMA.keep(inner, definition, notes),
        )
        return OutputFormat(type, schema, name, description, strict, opaque)

    def _user(self) -> str | None:
        user = self._fields.text("user")
        if user is None:
            user = self._fields.text("safety_identifier")
            if user is not None:
                self._notes["user"] = "safety_identifier"
        return user

    def _service_tier(self) -> str | None:
        if self._fields.rest.get("service_tier") in FOREIGN_TIERS:
            return None
        return self._fields.text("service_tier")
