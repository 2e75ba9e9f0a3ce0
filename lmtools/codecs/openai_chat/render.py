"""Canonical requests to Chat Completions request bodies, as one target takes them."""

from __future__ import annotations

from ...types import (
    EFFORTS,
    BuiltinTool,
    JsonObject,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
    ToolsPart,
)
from ..base import Loss, Losses, Rendered, Target
from ..fields import report_foreign, report_headers
from ..names import WireNames, wire_names
from .conversation import ConversationRenderer
from .requests import (
    FOREIGN_TIERS,
    JSON_SCHEMA,
    MOST_STOPS,
    REQUEST,
    RESPONSE_FORMAT,
    STREAM_OPTIONS,
)
from .tools import CUSTOM_TOOLS, TOOL, render_choice, render_tool
from .wire import NAME

#: What a thinking budget in tokens comes to as an effort; more is xhigh.
_BUDGET_EFFORTS = ((2_048, "low"), (8_192, "medium"), (24_576, "high"))
_SCHEMA_NAME = "response"

#: Body fields by the canonical path that a loss of them names.
_PATHS = {
    "max_completion_tokens": "max_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "output",
    "parallel_tool_calls": "tool_choice.parallel",
    "function_call": "tool_choice",
    "functions": "tools",
    "stream_options": "include_usage",
    "safety_identifier": "user",
    "prompt_cache_key": "cache_key",
    "prompt_cache_retention": "cache_retention",
}
_PLAIN = (
    ("seed", "seed"),
    ("frequency_penalty", "frequency_penalty"),
    ("presence_penalty", "presence_penalty"),
    ("n", "n"),
    ("logprobs", "logprobs"),
    ("top_logprobs", "top_logprobs"),
    ("verbosity", "verbosity"),
    ("metadata", "metadata"),
    ("store", "store"),
    ("prompt_cache_key", "cache_key"),
    ("prompt_cache_retention", "cache_retention"),
    ("stream", "stream"),
)


def render_request(request: Request, target: Target) -> Rendered:
    """Return the body for this target, with everything that it cannot say as losses."""
    losses: Losses = []
    body = _Renderer(request, target, losses).render()
    return Rendered(body, tuple(losses))


class _Renderer:
    def __init__(self, request: Request, target: Target, losses: Losses) -> None:
        self._request = request
        self._target = target
        self._losses = losses
        self._names: WireNames = wire_names(request, target)
        self._wrap = CUSTOM_TOOLS in target.refuses
        self._body: JsonObject = {}

    def _lose(self, path: str, action: str, reason: str) -> None:
        self._losses.append(Loss(path, action, reason))

    def render(self) -> JsonObject:
        request, body = self._request, self._body
        self._report()
        body["model"] = self._target.model or request.model
        conversation = ConversationRenderer(self._target, self._names, self._losses)
        body["messages"] = conversation.render(request.messages)
        self._tools()
        self._limit()
        self._sampling()
        self._stop()
        self._reasoning()
        self._output()
        self._stream_options()
        self._identity()
        for key, name in _PLAIN:
            value = getattr(request, name)
            if value is not None:
                body[key] = value
        return self._finished()

    def _report(self) -> None:
        request = self._request
        report_foreign(request.opaque, NAME, "", self._losses)
        report_headers(request.opaque, NAME, self._losses)
        if request.cache is not None:
            self._lose("cache", "dropped", "Chat servers cache prefixes by themselves")
        if request.previous_response_id is not None:
            self._lose("previous_response_id", "dropped", "Chat keeps no responses")

    def _finished(self) -> JsonObject:
        body = REQUEST.fill(self._body, self._request.opaque)
        limits = self._target.limits_field
        if limits is not None:
            for key in ("max_tokens", "max_completion_tokens"):
                if key != limits and key in body:
                    del body[key]
        for key in self._target.refuses & body.keys():
            del body[key]
            path = _PATHS.get(key, key)
            self._lose(path, "dropped", f"the server refuses {key}")
        for name in (NAME, self._target.provider):
            extension = self._request.extensions.get(name)
            if isinstance(extension, dict):
                body.update(extension)
        return body

    # Tools

    def _tools(self) -> None:
        tools, functions, dropped = [], [], False
        for path, tool in self._offered():
            rendered = render_tool(tool, path, self._names, self._losses, wrap=self._wrap)
            if rendered is None:
                dropped = True
            elif TOOL.note(tool.opaque, "legacy"):
                functions.append(rendered)
            else:
                tools.append(rendered)
        empty = REQUEST.note(self._request.opaque, "empty") or ()
        for key, listed in (("tools", tools), ("functions", functions)):
            # Whoever sent an empty list gets it back; every other server would answer 400.
            if listed or (key in empty and not self._target.provider):
                self._body[key] = listed
        choice = self._request.tool_choice
        if choice is not None:
            report_foreign(choice.opaque, NAME, "tool_choice", self._losses)
            self._choice(choice, offered=bool(tools or functions), dropped=dropped)

    def _offered(self) -> list[tuple[str, Tool]]:
        found = [(f"tools[{i}]", tool) for i, tool in enumerate(self._request.tools)]
        for i, message in enumerate(self._request.messages):
            for j, part in enumerate(message.parts):
                if isinstance(part, ToolsPart):
                    path = f"messages[{i}].parts[{j}]"
                    self._lose(path, "substituted", "Chat offers tools at the top only")
                    found += [(f"{path}.tools[{k}]", tool) for k, tool in enumerate(part.tools)]
        return found

    def _choice(self, choice: ToolChoice, *, offered: bool, dropped: bool) -> None:
        if not offered:
            self._lose("tool_choice", "dropped", "no tool is left to choose from")
            return
        if dropped:
            choice = self._without_dropped(choice)
        rendered = render_choice(choice, self._names, wrap=self._wrap)
        if rendered is not None and REQUEST.note(self._request.opaque, "function_call"):
            named = rendered if isinstance(rendered, str) else rendered.get("function", "auto")
            self._body["function_call"] = named
        elif rendered is not None:
            self._body["tool_choice"] = rendered
        if choice.parallel is not None:
            self._body["parallel_tool_calls"] = choice.parallel

    def _without_dropped(self, choice: ToolChoice) -> ToolChoice:
        """Take builtin tools that could not be offered out of the choice."""
        gone = {tool.name for _, tool in self._offered_builtins()}
        allowed = tuple(r for r in choice.allowed if r.kind != "builtin" and r.name not in gone)
        if len(allowed) == len(choice.allowed):
            return choice
        self._lose("tool_choice.allowed", "dropped", "it names a tool that Chat does not have")
        mode = choice.mode if allowed else "auto"
        return ToolChoice(mode, allowed, choice.parallel, choice.opaque)

    def _offered_builtins(self) -> list[tuple[int, BuiltinTool]]:
        return [(i, t) for i, t in enumerate(self._request.tools) if isinstance(t, BuiltinTool)]

    # Limits and sampling

    def _limit(self) -> None:
        limit, most = self._request.max_tokens, self._target.max_output_tokens
        if limit is None:
            limit = self._target.default_max_tokens
            if limit is None:
                return
            self._lose("max_tokens", "defaulted", f"the server wants a limit; sent {limit}")
        if most is not None and limit > most:
            self._lose("max_tokens", "clamped", f"the model gives at most {most} tokens")
            limit = most
        said = REQUEST.note(self._request.opaque, "limit")
        self._body[self._target.limits_field or said or "max_completion_tokens"] = limit

    def _sampling(self) -> None:
        request, target = self._request, self._target
        for name in ("temperature", "top_p", "top_k"):
            value = getattr(request, name)
            if value is None:
                continue
            if not target.sampling:
                self._lose(name, "dropped", "the model takes no sampling fields")
            elif name == "top_k" and not REQUEST.note(request.opaque, "top_k"):
                self._lose(name, "dropped", "Chat has no top_k")
            elif name == "top_p" and target.one_sampling_field and "temperature" in self._body:
                self._lose(name, "dropped", "the server refuses it beside temperature")
            else:
                self._body[name] = value
        most, given = target.temperature_max, self._body.get("temperature")
        if most is not None and given is not None and given > most:
            self._lose("temperature", "clamped", f"the server takes at most {most}")
            self._body["temperature"] = most

    def _stop(self) -> None:
        stop, spelling = self._request.stop, REQUEST.note(self._request.opaque, "stop")
        if stop and not self._target.stop:
            self._lose("stop", "dropped", "the server takes no stop sequences")
        elif len(stop) > MOST_STOPS and spelling != "many":
            self._lose("stop", "clamped", f"Chat takes {MOST_STOPS} stop sequences")
            self._body["stop"] = list(stop[:MOST_STOPS])
        elif len(stop) == 1 and spelling == "string":
            self._body["stop"] = stop[0]
        elif stop or "stop" in (REQUEST.note(self._request.opaque, "empty") or ()):
            self._body["stop"] = list(stop)

    # Reasoning

    def _reasoning(self) -> None:
        reasoning = self._request.reasoning
        if reasoning is None:
            return
        report_foreign(reasoning.opaque, NAME, "reasoning", self._losses)
        if reasoning.summary is not None:
            self._lose("reasoning.summary", "dropped", "Chat gives no summaries")
        word = self._effort(reasoning)
        if word is not None:
            self._body["reasoning_effort"] = word

    def _effort(self, reasoning: Reasoning) -> str | None:
        """Return the effort word to send, from what is said: effort, switch or budget."""
        if reasoning.effort is not None:
            if reasoning.mode is not None:
                self._lose("reasoning.mode", "substituted", "Chat says it by the effort")
            if reasoning.budget is not None:
                self._lose("reasoning.budget", "dropped", "Chat says it by the effort")
            return self._known_effort(reasoning.effort, "reasoning.effort")
        if reasoning.mode == "disabled":
            return self._off()
        if reasoning.budget is not None:
            return self._budget_effort(reasoning.budget)
        if reasoning.mode is not None:
            self._lose("reasoning.mode", "dropped", "Chat has effort words only; none was given")
        return None

    def _takes_effort(self) -> bool:
        forms, efforts = self._target.thinking, self._target.efforts
        return (forms is None or "effort" in forms) and (efforts is None or bool(efforts))

    def _off(self) -> str | None:
        if self._takes_effort() and "none" in (self._target.efforts or ()):
            self._lose("reasoning.mode", "substituted", "thinking off is effort none")
            return "none"
        self._lose("reasoning.mode", "dropped", "the model's thinking cannot be switched off")
        return None

    def _budget_effort(self, budget: int) -> str | None:
        if not self._takes_effort():
            self._lose("reasoning", "dropped", "the model takes no effort")
            return None
        word = next((word for most, word in _BUDGET_EFFORTS if budget <= most), "xhigh")
        if self._target.efforts is None and word == "xhigh":
            # Of a server that nobody described, only the three old words are sure.
            word = "high"
        word = self._mapped(word)
        self._lose("reasoning", "substituted", f"Chat has no budgets; about effort {word}")
        return word

    def _known_effort(self, word: str, path: str) -> str | None:
        if not self._takes_effort():
            self._lose(path, "dropped", "the model takes no effort")
            return None
        mapped = self._mapped(word)
        if mapped != word:
            self._lose(path, "substituted", f"the model does not know {word}; sent {mapped}")
        return mapped

    def _mapped(self, word: str) -> str:
        """Return the word, or the nearest that the model knows."""
        efforts, near = self._target.efforts, self._target.effort_map
        if efforts is None:
            return near.get(word, word)
        return word if word in efforts else near.get(word) or _nearest(word, efforts)

    # The rest

    def _output(self) -> None:
        output = self._request.output
        if output is None:
            return
        report_foreign(output.opaque, NAME, "output", self._losses)
        out: JsonObject = {"type": output.type}
        if output.type == "json_schema":
            given = {
                "name": output.name or self._schema_name(),
                "description": output.description,
                "schema": output.schema,
                "strict": output.strict,
            }
            inner = {key: value for key, value in given.items() if value is not None}
            out["json_schema"] = JSON_SCHEMA.fill(inner, output.opaque)
        self._body["response_format"] = RESPONSE_FORMAT.fill(out, output.opaque)

    def _schema_name(self) -> str | None:
        output = self._request.output
        if output is not None and JSON_SCHEMA.note(output.opaque, "nameless"):
            return output.name
        self._lose("output.name", "defaulted", f"Chat wants a name; sent {_SCHEMA_NAME!r}")
        return _SCHEMA_NAME

    def _stream_options(self) -> None:
        request = self._request
        asked = request.include_usage
        if asked is None and self._target.stream_usage and request.stream:
            asked = True
        out: JsonObject = {} if asked is None else {"include_usage": asked}
        options = STREAM_OPTIONS.fill(out, request.opaque)
        if options or STREAM_OPTIONS.note(request.opaque, "empty"):
            self._body["stream_options"] = options

    def _identity(self) -> None:
        """Who asks, and on which terms."""
        request = self._request
        if request.user is not None:
            self._body[REQUEST.note(request.opaque, "user") or "user"] = request.user
        tier = request.service_tier
        if tier in FOREIGN_TIERS:
            self._lose("service_tier", "substituted", f"Chat says default for {tier}")
            tier = "default"
        if tier is not None:
            self._body["service_tier"] = tier


def _nearest(word: str, efforts: frozenset[str]) -> str:
    """Return the next lower word the model takes, else its lowest; none is nobody's neighbour."""
    known = [effort for effort in EFFORTS if effort in efforts and effort != "none"]
    lower = [effort for effort in known if EFFORTS.index(effort) < EFFORTS.index(word)]
    return lower[-1] if lower else (known or ["none"])[0]
