# SPDX-License-Identifier: Apache-2.0
"""Requests and responses of the OpenAI chat-completions format, as the side that answers reads and writes them.

`finesight.remote.payload` is the other side, which asks. Nothing is ignored silently: a field that cannot be honoured
is an error with its name, unless its value asks for nothing (`stream: false`, `frequency_penalty: 0`). Fields that
only label a request are listed in `LABELS`.

Values that a request leaves out come from the checkpoint, not from the OpenAI API: the temperature is then often 0.
`top_k` and `repetition_penalty` are additions of vLLM and SGLang.

Source: OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from finesight.conversation import Conversation, Reply, Sampling, TokenLogprob
from finesight.errors import ConfigError, FinesightError, MediaError, PromptTooLong, QueueFull
from finesight.inputs import SAMPLING_LIMITS, Limits, shown
from finesight.parse.action import read_tool_calls
from finesight.parse.answer import media_dict
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
    "response_format",
)

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "stream": (False,),
    "stream_options": (),
    "logit_bias": ({},),
    "parallel_tool_calls": (True,),
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

_CHOICES = Limits(least=1, most=128, is_whole=True)
_TOP_LOGPROBS = SAMPLING_LIMITS["logprobs"]
_LEAST_LOGPROB = -9999.0
"""Stands for minus infinity in the OpenAI API."""
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
    """

    model: str | None
    conversation: Conversation
    sampling: Sampling
    num_choices: int = 1

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


def read_request(body: Any, defaults: Sampling) -> ChatRequest:
    """Read the body of a request.

    Args:
        body: plain JSON.
        defaults: sampling of the checkpoint, for values that the body leaves out.

    Raises:
        ConfigError: a field is unknown, of another type, out of range or cannot be honoured; names the field.
    """
    if not isinstance(body, Mapping):
        raise ConfigError(f"body is {shown(body)}", hint='it is an object with "messages"')
    given = {name: value for name, value in body.items() if value is not None}
    _refuse_unknown(given)
    if "messages" not in given:
        raise ConfigError("messages is missing", hint="give the list of messages")
    model = given.get("model")
    if model is not None and not isinstance(model, str):
        raise ConfigError(f"model is {shown(model)}", hint="it is the name of the model")
    conversation = conversation_from(given["messages"], _tools(given))
    num_choices = _CHOICES.settled(given.get("n", 1))
    _CHOICES.check("n", num_choices)
    return ChatRequest(
        model=model,
        conversation=conversation,
        sampling=_sampling(given, defaults),
        num_choices=num_choices,
    )


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for fields that are unknown or cannot be honoured."""
    known = (*_OTHERS, *_SAMPLING, *_WITHOUT_EFFECT, *LABELS)
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "leave it out"
            raise ConfigError(f"unknown field {shown(name)}", hint=hint)
        if name in _WITHOUT_EFFECT and value not in _WITHOUT_EFFECT[name]:
            allowed = ", ".join(json.dumps(each) for each in _WITHOUT_EFFECT[name])
            raise ConfigError(
                f"{name} is {shown(value)}, which is not supported",
                hint=f"leave it out{allowed and f', or give {allowed}'}",
            )


def _tools(given: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The tools that are shown to the model."""
    tools, choice = given.get("tools", []), given.get("tool_choice", "auto")
    if not isinstance(tools, list):
        raise ConfigError(f"tools is {shown(tools)}", hint="it is a list of tools")
    if choice not in ("auto", "none"):
        raise ConfigError(
            f"tool_choice is {shown(choice)}, which is not supported", hint="give auto or none"
        )
    return [] if choice == "none" else tools


def _sampling(given: Mapping[str, Any], defaults: Sampling) -> Sampling:
    values: dict[str, Any] = {}
    for name, field in _SAMPLING.items():
        if name not in given:
            continue
        value = SAMPLING_LIMITS[field].settled(given[name])
        SAMPLING_LIMITS[field].check(name, value)
        if values.setdefault(field, value) != value:
            raise ConfigError(
                f"max_tokens={values[field]} and max_completion_tokens={value} differ",
                hint="give one of them",
            )
    if "stop" in given:
        values["stop"] = given["stop"]
    if (schema := _schema(given.get("response_format"))) is not None:
        values["json_schema"] = schema
    sampling = replace(defaults, logprobs=_logprobs(given), **values)
    sampling.check()
    return sampling


def _schema(wanted: Any) -> Mapping[str, Any] | None:
    """The JSON Schema of a `response_format`; None for text."""
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if wanted is None or wanted == {"type": "text"}:
        return None
    if wanted == {"type": "json_object"}:
        return {"type": "object"}
    described = wanted.get("json_schema") if kind == "json_schema" else None
    if not isinstance(described, dict) or not isinstance(described.get("schema"), dict):
        raise ConfigError(
            f"response_format is {shown(wanted)}",
            hint='give {"type": "text"}, {"type": "json_object"}, or '
            '{"type": "json_schema", "json_schema": {"name": ..., "schema": {...}}}',
        )
    schema: Mapping[str, Any] = described["schema"]
    return schema


def _logprobs(given: Mapping[str, Any]) -> int | None:
    """Number of alternatives per token; None without log-probabilities."""
    wanted, count = given.get("logprobs", False), given.get("top_logprobs")
    if not isinstance(wanted, bool):
        raise ConfigError(f"logprobs is {shown(wanted)}", hint="it is true or false")
    count = _TOP_LOGPROBS.settled(count)
    _TOP_LOGPROBS.check("top_logprobs", count)
    if count and not wanted:
        raise ConfigError(f"top_logprobs={count} without logprobs", hint="set logprobs to true")
    return (count or 0) if wanted else None


def completion(
    request: ChatRequest, replies: Sequence[Reply], *, model: str, response_id: str, created: int
) -> dict[str, Any]:
    """The `chat.completion` object of a request.

    Besides the fields of the OpenAI API: `stop_reason` is "repetition" if the loop guard ended a choice, and `media`
    has the sizes of each picture and video as the model saw it, which coordinates in the text refer to.

    Args:
        request: the request.
        replies: one for each of its `samplings`.
        model: name of the model.
        response_id: id of the response.
        created: time of the response, in seconds since 1970.
    """
    copies = list(replies) * (request.num_choices if request.is_greedy else 1)
    first = replies[0]
    completion_tokens = sum(reply.usage.completion_tokens for reply in copies)
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [
            _choice(index, reply, request, response_id) for index, reply in enumerate(copies)
        ],
        "usage": {
            "prompt_tokens": first.usage.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": first.usage.prompt_tokens + completion_tokens,
            "prompt_tokens_details": {
                "cached_tokens": first.usage.cached_tokens,
                "visual_tokens": first.usage.visual_tokens,
            },
            "completion_tokens_details": {
                "accepted_prediction_tokens": sum(each.usage.accepted_tokens for each in copies),
                "rejected_prediction_tokens": sum(
                    each.usage.drafted_tokens - each.usage.accepted_tokens for each in copies
                ),
            },
        },
        "media": [media_dict(record) for record in first.media],
    }


def _choice(index: int, reply: Reply, request: ChatRequest, response_id: str) -> dict[str, Any]:
    """One answer; a choice that the loop guard ended was cut, which the API calls "length"."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text, "refusal": None}
    calls = read_tool_calls(reply.text).calls if request.conversation.tools else ()
    if calls:
        content = reply.text
        for call in reversed(calls):
            content = content[: call.span[0]] + content[call.span[1] :]
        message["content"] = content.strip() or None
        message["tool_calls"] = [
            {
                "id": f"call_{response_id}_{index}_{number}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for number, call in enumerate(calls)
        ]
    is_loop = reply.finish_reason == "repetition"
    return {
        "index": index,
        "message": message,
        "logprobs": _logprob_content(reply.logprobs)
        if request.sampling.logprobs is not None
        else None,
        "finish_reason": "length" if is_loop else reply.finish_reason,
        "stop_reason": "repetition" if is_loop else None,
    }


def _logprob_content(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {
        "content": [
            _token(each.text, each.logprob)
            | {"top_logprobs": [_token(text, value) for _, text, value in each.top]}
            for each in entries
        ],
        "refusal": None,
    }


def _token(text: str, logprob: float) -> dict[str, Any]:
    """A token with its bytes, which are null if they are part of a character."""
    is_whole = "\ufffd" not in text
    return {
        "token": text,
        "logprob": max(logprob, _LEAST_LOGPROB),
        "bytes": [*text.encode()] if is_whole else None,
    }


def status_of(error: FinesightError) -> int:
    """HTTP status of an error: 400 for an unusable request, 429 for a full queue, 500 for a failed answer."""
    if isinstance(error, QueueFull):
        return 429
    return 400 if isinstance(error, (ConfigError, MediaError, PromptTooLong)) else 500


def error_body(error: FinesightError) -> dict[str, Any]:
    """The body of a response with an error."""
    kind = "server_error" if status_of(error) == 500 else "invalid_request_error"
    code = type(error).__name__
    return {"error": {"message": str(error), "type": kind, "param": None, "code": code}}
