# SPDX-License-Identifier: Apache-2.0
"""Requests of OpenAI's responses format, as the side that answers reads them.

Nothing is stored between requests. So a field that needs an earlier response is an error, `store` is false where a
request leaves it out, and a client sends the whole conversation each time. Nothing is ignored silently; see
`finesight.remote.chat_request`, whose additions (`top_k`, `seed`, `stop` and others) are read here too.

Source: OpenAI API reference, "Create a model response".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from finesight.conversation import Conversation, Sampling
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.remote.chat_request import (
    LABELS,
    ChatRequest,
    call_grammar,
    logprobs_of,
    refuse_unknown,
    sampling_numbers,
    tools_of,
)
from finesight.remote.dialects import with_media_options
from finesight.remote.documents import OpenFile, any_file
from finesight.remote.response_items import messages_of
from finesight.text.messages import conversation_from

_SAMPLING = {
    "max_output_tokens": "max_new_tokens",
    **{
        name: name
        for name in (
            *("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed"),
            *("presence_penalty", "frequency_penalty"),
        )
    },
}
"""Field of a request -> field of `Sampling`."""

FIELDS = (
    *("model", "input", "instructions", "tools", "tool_choice", "text", "stop", "stream"),
    *("parallel_tool_calls", "stream_options", "include", "top_logprobs", "mm_processor_kwargs"),
    *_SAMPLING,
)
"""Fields that are honoured."""

_LABELS = (*LABELS, "prompt_cache_options")

_STORED: Mapping[str, tuple[Any, ...]] = {
    "store": (False,),
    "background": (False,),
    "previous_response_id": (),
    "conversation": (),
    "prompt": (),
}
"""Fields that need stored responses, each with the values that ask for nothing."""

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    **_STORED,
    "reasoning": ({}, {"effort": "none"}),
    "truncation": ("disabled",),
    "service_tier": ("auto", "default"),
    "max_tool_calls": (),
    "context_management": ([],),
    "moderation": (),
}
"""Fields that cannot be honoured, each with the values that ask for nothing."""

_LOGPROBS = "message.output_text.logprobs"
_INCLUDED = (_LOGPROBS, "reasoning.encrypted_content")
"""Values of `include`; there is never a reasoning to include."""

_TOOL_KEYS = ("type", "name", "description", "parameters", "strict")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRequest:
    """A request for a response.

    Attributes:
        chat: what is asked.
        echoed: fields of the request that the response repeats.
    """

    chat: ChatRequest
    echoed: Mapping[str, Any]


def read_response_request(
    body: Any, defaults: Sampling, *, open_file: OpenFile = any_file
) -> ResponseRequest:
    """Read the body of a request.

    Args:
        body: plain JSON.
        defaults: sampling of the checkpoint, for values that the body leaves out.
        open_file: opens PDFs that are given by an address.

    Raises:
        ConfigError: a field is unknown, of another type, out of range or cannot be honoured; names the field.
        MediaError: a PDF cannot be opened.
    """
    if not isinstance(body, Mapping):
        raise ConfigError(f"body is {shown(body)}", hint='it is an object with "input"')
    given = {name: value for name, value in body.items() if value is not None}
    _refuse(given)
    if "input" not in given:
        raise ConfigError("input is missing", hint="give a text, or a list of items")
    for name in ("model", "instructions"):
        if not isinstance(given.get(name, ""), str):
            raise ConfigError(f"{name} is {shown(given[name])}", hint="it is a string")
    tools, choice = _tools(given)
    called, is_forced = tools_of({"tools": tools, "tool_choice": choice})
    messages = messages_of(given["input"], given.get("instructions"), open_file)
    conversation = conversation_from(messages, called)
    if "mm_processor_kwargs" in given:
        conversation = with_media_options(conversation, given["mm_processor_kwargs"])
    return ResponseRequest(
        chat=ChatRequest(
            model=given.get("model"),
            conversation=conversation,
            sampling=_sampling(given, conversation, defaults, is_forced=is_forced),
            streams=_streams(given),
        ),
        echoed=_echoed(given),
    )


def _refuse(given: dict[str, Any]) -> None:
    """Raise `ConfigError` for fields that are unknown or cannot be honoured."""
    for name, allowed in _STORED.items():
        if name in given and given[name] not in allowed:
            raise ConfigError(
                f"{name} is {shown(given[name])}, but responses are not stored",
                hint="give false" if allowed else "send the whole conversation as input",
            )
    if isinstance(reasoning := given.get("reasoning"), Mapping):
        given["reasoning"] = {name: value for name, value in reasoning.items() if value is not None}
    refuse_unknown(given, (*FIELDS, *_LABELS), _WITHOUT_EFFECT)


def _tools(given: Mapping[str, Any]) -> tuple[list[dict[str, Any]], Any]:
    """The tools in the form of chat completions, which is that of the prompt, and which of them may be called."""
    tools, choice = given.get("tools", []), given.get("tool_choice", "auto")
    if not isinstance(tools, list):
        raise ConfigError(f"tools is {shown(tools)}", hint="it is a list of tools")
    found = [_tool(tool, number) for number, tool in enumerate(tools)]
    if not isinstance(choice, Mapping) or choice.get("type") != "allowed_tools":
        return found, choice
    allowed = choice.get("tools")
    names = [
        each.get("name")
        for each in (allowed if isinstance(allowed, list) else ())
        if _is_function(each)
    ]
    chosen = [tool for tool in found if tool["function"]["name"] in names]
    if not isinstance(allowed, list) or not allowed or len(chosen) != len(allowed):
        raise ConfigError(
            f"tool_choice allows {shown(allowed)}",
            hint="give a list of functions that are among the tools",
        )
    return chosen, choice.get("mode", "auto")


def _is_function(tool: Any) -> bool:
    return isinstance(tool, Mapping) and tool.get("type") == "function"


def _tool(tool: Any, number: int) -> dict[str, Any]:
    if not _is_function(tool):
        raise ConfigError(
            f"tool {number} is {shown(tool)}",
            hint='a tool is {"type": "function", "name": ..., "parameters": ...}',
        )
    function = {name: value for name, value in tool.items() if value is not None}
    if unknown := [name for name in function if name not in _TOOL_KEYS]:
        raise ConfigError(
            f"tool {number} has {shown(unknown[0])}", hint=f"known: {', '.join(_TOOL_KEYS)}"
        )
    # Arguments follow their schema wherever a call is required, whatever `strict` is.
    shown_to_model = {name: function[name] for name in _TOOL_KEYS[1:-1] if name in function}
    return {"type": "function", "function": shown_to_model}


def _sampling(
    given: Mapping[str, Any], conversation: Conversation, defaults: Sampling, *, is_forced: bool
) -> Sampling:
    values = sampling_numbers(given, _SAMPLING)
    if "stop" in given:
        values["stop"] = given["stop"]
    if (schema := _schema(given.get("text", {}))) is not None:
        values["json_schema"] = schema
    grammar = call_grammar(
        given, conversation.tools, is_forced=is_forced, is_text_free=schema is None
    )
    if grammar is not None:
        values["grammar"] = grammar
    sampling = replace(defaults, logprobs=_logprobs(given, conversation), **values)
    sampling.check()
    return sampling


def _schema(text: Any) -> Mapping[str, Any] | None:
    """The JSON Schema of `text.format`; None for text."""
    fields = {k: v for k, v in text.items() if v is not None} if isinstance(text, Mapping) else None
    if fields is None or fields.keys() - {"format"}:
        raise ConfigError(f"text is {shown(text)}", hint='give {"format": ...}')
    wanted = fields.get("format", {"type": "text"})
    if wanted == {"type": "text"}:
        return None
    if wanted == {"type": "json_object"}:
        return {"type": "object"}
    is_schema = isinstance(wanted, Mapping) and wanted.get("type") == "json_schema"
    if not is_schema or not isinstance(wanted.get("schema"), Mapping):
        raise ConfigError(
            f"text.format is {shown(wanted)}",
            hint='give {"type": "text"}, {"type": "json_object"}, or '
            '{"type": "json_schema", "name": ..., "schema": {...}}',
        )
    schema: Mapping[str, Any] = wanted["schema"]
    return schema


def _logprobs(given: Mapping[str, Any], conversation: Conversation) -> int | None:
    included = given.get("include", [])
    if not isinstance(included, list) or any(each not in _INCLUDED for each in included):
        raise ConfigError(
            f"include is {shown(included)}", hint=f"known: {', '.join(_INCLUDED)}, in a list"
        )
    wanted = {name: given[name] for name in ("top_logprobs",) if name in given}
    logprobs = logprobs_of({"logprobs": _LOGPROBS in included or bool(wanted), **wanted})
    if logprobs is not None and conversation.tools:
        raise ConfigError(
            "log-probabilities are asked for, but the answer may call tools, which are not text",
            hint="use /v1/chat/completions, which gives those of the whole answer",
        )
    return logprobs


def _streams(given: Mapping[str, Any]) -> bool:
    streams, options = given.get("stream", False), given.get("stream_options", {})
    if not isinstance(streams, bool):
        raise ConfigError(f"stream is {shown(streams)}", hint="it is true or false")
    # `include_obfuscation` pads events; it changes nothing of the answer.
    if not isinstance(options, Mapping) or options.keys() - {"include_obfuscation"}:
        raise ConfigError(f"stream_options is {shown(options)}", hint="leave it out")
    return streams


def _echoed(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the request that the response repeats, with the values of those that are left out."""
    metadata = given.get("metadata", {})
    if not isinstance(metadata, Mapping):
        raise ConfigError(f"metadata is {shown(metadata)}", hint="it is an object of strings")
    return {
        "instructions": given.get("instructions"),
        "max_output_tokens": given.get("max_output_tokens"),
        "metadata": metadata,
        "parallel_tool_calls": given.get("parallel_tool_calls", True),
        "text": {"format": {"type": "text"}, **given.get("text", {})},
        "tool_choice": given.get("tool_choice", "auto"),
        "tools": given.get("tools", []),
        "top_logprobs": given.get("top_logprobs", 0),
        **{name: given.get(name) for name in ("user", "safety_identifier", "prompt_cache_key")},
    }
