# SPDX-License-Identifier: Apache-2.0
"""Requests of the OpenAI chat-completions format, as the side that answers reads them.

`finesight.remote.payload` is the other side, which asks. Nothing is ignored silently: a field that cannot be honoured
is an error with its name, unless its value asks for nothing (`store: false`, `audio: null`). Fields that
only label a request are listed in `LABELS`.

Values that a request leaves out come from the checkpoint, not from the OpenAI API: the temperature is then often 0.
`top_k`, `min_p`, `repetition_penalty`, `guided_json` and the like, `structured_outputs` and `mm_processor_kwargs` are
additions of vLLM.

Source: OpenAI API reference, "Create chat completion"; vLLM, "OpenAI-Compatible Server".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from finesight.conversation import Conversation, Sampling
from finesight.errors import ConfigError
from finesight.inputs import SAMPLING_LIMITS, Limits, shown
from finesight.remote.dialects import GUIDED, constraint_fields, with_media_options
from finesight.remote.documents import OpenFile, any_file, with_pages
from finesight.text.messages import conversation_from

LABELS = ("user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention")
"""Fields that do not change an answer."""

_SAMPLING = {
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
}
"""Field of a request -> field of `Sampling`."""

_OTHERS = (
    *("model", "messages", "n", "stop", "logprobs", "top_logprobs", "tools", "tool_choice"),
    "parallel_tool_calls",
    *("response_format", "structured_outputs", "mm_processor_kwargs", "stream", "stream_options"),
    *GUIDED,
)

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
    "functions": (),
    "function_call": ("none",),
}
"""Fields that cannot be honoured, each with the values that ask for nothing."""

FIELDS = (*_OTHERS, *_SAMPLING)
"""Fields that are honoured."""

_CHOICES = Limits(least=1, most=128, is_whole=True)
TOP_LOGPROBS = SAMPLING_LIMITS["logprobs"]
_LONGEST_NAME = 100
"""Characters of an unknown field that are compared with the known ones."""
_SEEDS = 2**64
"""Number of seeds; the seed of a further choice continues at 0 after the largest one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request for one or several answers to the same conversation.

    Attributes:
        model: name of the model it asks for; None if it names none.
        conversation: the messages and tools.
        sampling: sampling parameters.
        num_choices: number of answers.
        streams: whether the answer is sent piece by piece.
        includes_usage: whether a stream ends with the token counts.
    """

    model: str | None
    conversation: Conversation
    sampling: Sampling
    num_choices: int = 1
    streams: bool = False
    includes_usage: bool = False

    @property
    def is_greedy(self) -> bool:
        """Whether all of its choices, and those of equal requests, are the same."""
        return self.sampling.temperature == 0

    def samplings(self) -> list[Sampling]:
        """Sampling of each answer to compute: one at temperature 0, else one a choice, with seeds that count up."""
        seed = self.sampling.seed
        if self.is_greedy or seed is None:
            return [self.sampling] * (1 if self.is_greedy else self.num_choices)
        return [
            replace(self.sampling, seed=(seed + choice) % _SEEDS)
            for choice in range(self.num_choices)
        ]


def read_request(body: Any, defaults: Sampling, *, open_file: OpenFile = any_file) -> ChatRequest:
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
        raise ConfigError(f"body is {shown(body)}", hint='it is an object with "messages"')
    given = {name: value for name, value in body.items() if value is not None}
    refuse_unknown(given, (*FIELDS, *LABELS), _WITHOUT_EFFECT)
    if "messages" not in given:
        raise ConfigError("messages is missing", hint="give the list of messages")
    model = given.get("model")
    if model is not None and not isinstance(model, str):
        raise ConfigError(f"model is {shown(model)}", hint="it is the name of the model")
    tools, is_forced = tools_of(given)
    conversation = conversation_from(with_pages(given["messages"], open_file), tools)
    if "mm_processor_kwargs" in given:
        conversation = with_media_options(conversation, given["mm_processor_kwargs"])
    num_choices = _CHOICES.settled(given.get("n", 1))
    _CHOICES.check("n", num_choices)
    streams, includes_usage = _stream(given)
    return ChatRequest(
        model=model,
        conversation=conversation,
        sampling=_sampling(given, defaults, tools, is_forced=is_forced),
        num_choices=num_choices,
        streams=streams,
        includes_usage=includes_usage,
    )


def refuse_unknown(
    given: Mapping[str, Any], known: Sequence[str], without_effect: Mapping[str, tuple[Any, ...]]
) -> None:
    """Raise `ConfigError` for fields that are unknown or cannot be honoured.

    Args:
        given: fields of a request, without those that are null.
        known: fields that are honoured.
        without_effect: fields that cannot be honoured, each with the values that ask for nothing.
    """
    for name, value in given.items():
        if name not in known and name not in without_effect:
            near = get_close_matches(name[:_LONGEST_NAME], (*known, *without_effect), n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "leave it out"
            raise ConfigError(f"unknown field {shown(name)}", hint=hint)
        if name in without_effect and value not in without_effect[name]:
            allowed = ", ".join(json.dumps(each) for each in without_effect[name])
            raise ConfigError(
                f"{name} is {shown(value)}, which is not supported",
                hint=f"leave it out{allowed and f', or give {allowed}'}",
            )


def _stream(given: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether the answer is streamed, and whether the stream ends with the usage."""
    streams, options = given.get("stream", False), given.get("stream_options")
    if not isinstance(streams, bool):
        raise ConfigError(f"stream is {shown(streams)}", hint="it is true or false")
    if options is None:
        return streams, False
    if not streams:
        raise ConfigError("stream_options is given, but the answer is not streamed")
    wanted = dict(options) if isinstance(options, Mapping) else None
    if wanted is not None:
        wanted.pop("include_obfuscation", None)  # pads chunks; changes nothing of the answer
    usage = False if wanted is None else wanted.pop("include_usage", False)
    if wanted is None or wanted or not isinstance(usage, bool):
        raise ConfigError(
            f"stream_options is {shown(options)}", hint='give {"include_usage": true}'
        )
    return streams, usage


def tools_of(given: Mapping[str, Any]) -> tuple[Sequence[Mapping[str, Any]], bool]:
    """The tools that are shown to the model, and whether the answer has to call one of them.

    Raises:
        ConfigError: `tools` or `tool_choice` cannot be read, or names no given tool.
    """
    tools, choice = given.get("tools", []), given.get("tool_choice", "auto")
    if not isinstance(tools, list):
        raise ConfigError(f"tools is {shown(tools)}", hint="it is a list of tools")
    if choice in ("auto", "none"):
        return ([] if choice == "none" else tools), False
    name = choice.get("function", choice).get("name") if _names_function(choice) else None
    if choice != "required" and not isinstance(name, str):
        raise ConfigError(
            f"tool_choice is {shown(choice)}, which is not supported",
            hint='give auto, none, required or {"type": "function", "function": {"name": ...}}',
        )
    if not tools:
        raise ConfigError(f"tool_choice is {shown(choice)}, but no tools are given")
    if choice == "required":
        return tools, True
    named = [tool for tool in tools if _name_of(tool) == name]
    if not named:
        known = ", ".join(str(_name_of(tool)) for tool in tools)
        raise ConfigError(f"tool_choice names {shown(name)}", hint=f"the tools are {known[:200]}")
    return named, True


def call_grammar(
    given: Mapping[str, Any],
    tools: Sequence[Mapping[str, Any]],
    *,
    is_forced: bool,
    is_text_free: bool,
) -> str | None:
    """The ready grammar of an answer that has to call a tool, or may call only one; None if there is none.

    Args:
        given: fields of a request, without those that are null.
        tools: tools that are shown to the model.
        is_forced: whether a call is required.
        is_text_free: whether nothing constrains the text; a constraint does not allow calls.

    Raises:
        ConfigError: `parallel_tool_calls` is neither true nor false.
    """
    is_parallel = given.get("parallel_tool_calls", True)
    if not isinstance(is_parallel, bool):
        raise ConfigError(
            f"parallel_tool_calls is {shown(is_parallel)}", hint="it is true or false"
        )
    if is_forced:
        return "tool_calls" if is_parallel else "tool_call"
    return "text_or_tool_call" if tools and is_text_free and not is_parallel else None


def _names_function(choice: Any) -> bool:
    is_object = isinstance(choice, Mapping) and choice.get("type") == "function"
    return is_object and isinstance(choice.get("function", choice), Mapping)


def _name_of(tool: Any) -> Any:
    function = tool.get("function", tool) if isinstance(tool, Mapping) else None
    return function.get("name") if isinstance(function, Mapping) else None


def sampling_numbers(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The numbers of `Sampling` that a request sets.

    Args:
        given: fields of a request, without those that are null.
        names: field of a request -> field of `Sampling`.

    Raises:
        ConfigError: a number is out of range, or two fields contradict each other.
    """
    values: dict[str, Any] = {}
    for name, field in names.items():
        if name not in given:
            continue
        value = SAMPLING_LIMITS[field].settled(given[name])
        value = 0 if name == "top_k" and value == -1 else value  # vLLM's way to keep all tokens
        SAMPLING_LIMITS[field].check(name, value)
        if values.setdefault(field, value) != value:
            raise ConfigError(
                f"max_tokens={values[field]} and max_completion_tokens={value} differ",
                hint="give one of them",
            )
    return values


def _sampling(
    given: Mapping[str, Any],
    defaults: Sampling,
    tools: Sequence[Mapping[str, Any]],
    *,
    is_forced: bool,
) -> Sampling:
    values = sampling_numbers(given, _SAMPLING)
    if "stop" in given:
        values["stop"] = given["stop"]
    constraint = constraint_fields(given)
    grammar = call_grammar(given, tools, is_forced=is_forced, is_text_free=not constraint)
    values |= constraint if grammar is None else {**constraint, "grammar": grammar}
    sampling = replace(defaults, logprobs=logprobs_of(given), **values)
    sampling.check()
    return sampling


def logprobs_of(given: Mapping[str, Any]) -> int | None:
    """Number of alternatives per token that `logprobs` and `top_logprobs` ask for; None without log-probabilities.

    Raises:
        ConfigError: one of them cannot be read, or only the second is given.
    """
    wanted, count = given.get("logprobs", False), given.get("top_logprobs")
    if not isinstance(wanted, bool):
        raise ConfigError(f"logprobs is {shown(wanted)}", hint="it is true or false")
    count = TOP_LOGPROBS.settled(count)
    TOP_LOGPROBS.check("top_logprobs", count)
    if count and not wanted:
        raise ConfigError(f"top_logprobs={count} without logprobs", hint="set logprobs to true")
    return (count or 0) if wanted else None
