# SPDX-License-Identifier: Apache-2.0
"""Requests of Ollama's API, as the side that answers reads them: `/api/chat`, `/api/generate` and `/api/embed`.

Nothing is ignored silently: a field or an option that cannot be honoured is an error with its name, unless its value
asks for nothing. Values that a request leaves out come from the checkpoint, not from Ollama: the temperature is then
often 0, and an answer has at most as many tokens as the checkpoint says.

Source: Ollama, "API".
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finesight.conversation import Conversation, Sampling
from finesight.errors import ConfigError
from finesight.inputs import Limits, shown
from finesight.remote.chat_request import (
    ChatRequest,
    logprobs_of,
    refuse_unknown,
    sampling_numbers,
    tools_of,
)
from finesight.text.messages import conversation_from

_SAMPLING = {
    "num_predict": "max_new_tokens",
    "repeat_penalty": "repetition_penalty",
    **{
        name: name
        for name in (
            *("temperature", "top_p", "top_k", "min_p", "seed"),
            *("presence_penalty", "frequency_penalty"),
        )
    },
}
"""Option -> field of `Sampling`."""

_OPTIONS = (*_SAMPLING, "stop", "num_ctx")

_OPTIONS_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "repeat_last_n": (-1,),  # penalties count all tokens
    "num_keep": (),
    "tfs_z": (1,),
    "typical_p": (1,),
    "mirostat": (0,),
    "mirostat_tau": (),
    "mirostat_eta": (),
    "penalize_newline": (True,),
    **dict.fromkeys(
        (
            *("numa", "num_batch", "num_gpu", "main_gpu", "low_vram", "f16_kv", "logits_all"),
            *("vocab_only", "use_mmap", "use_mlock", "embedding_only", "num_thread"),
        ),
        (),  # decided by the command line of the server
    ),
}
"""Options that cannot be honoured, each with the values that ask for nothing."""

COMMON = ("model", "stream", "format", "options", "keep_alive", "logprobs", "top_logprobs")
CHAT = (*COMMON, "messages", "tools")
"""Fields of `/api/chat` that are honoured."""
GENERATE = (*COMMON, "prompt", "images", "system", "raw")
"""Fields of `/api/generate` that are honoured."""
EMBED = ("model", "input", "options", "keep_alive", "dimensions")
"""Fields of `/api/embed` that are honoured."""

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "think": (False,),
    "truncate": (False,),
    "shift": (False,),
}
_GENERATE_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    **_WITHOUT_EFFECT,
    "suffix": ("",),
    "template": ("",),
    "context": ([],),
}

_CONTEXT = Limits(least=1, most=2**31 - 1, is_whole=True)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_LONGEST_SECONDS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class OllamaRequest:
    """A request for an answer.

    Attributes:
        chat: what is asked; without messages if `raw_prompt` is given.
        raw_prompt: text that is continued as it is, without chat template; None uses the messages.
    """

    chat: ChatRequest
    raw_prompt: str | None = None


def is_load_only(body: Any) -> bool:
    """Whether a request asks for no answer, but only that its model is loaded, or unloaded."""
    return isinstance(body, Mapping) and not any(
        body.get(name) for name in ("messages", "prompt", "images")
    )


def keep_seconds(body: Any) -> float | None:
    """Time in seconds after which an unused model is unloaded; infinite for never, None if a request says nothing.

    `keep_alive` is a number of seconds or a text such as "5m" or "1h30m"; anything below 0 is never.

    Raises:
        ConfigError: it is something else.
    """
    given = body.get("keep_alive") if isinstance(body, Mapping) else None
    if given is None:
        return None
    seconds = _seconds(given)
    if seconds is None or math.isnan(seconds):
        raise ConfigError(
            f"keep_alive is {shown(given)}",
            hint='give a number of seconds, or a text such as "5m"; -1 is for ever',
        )
    return math.inf if seconds < 0 else min(seconds, _LONGEST_SECONDS)


def _seconds(given: Any) -> float | None:
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return float(min(given, _LONGEST_SECONDS))
    if not isinstance(given, str):
        return None
    text = given.removeprefix("-")
    parts = _DURATION.findall(text)
    if "".join(number + unit for number, unit in parts) == text and parts:
        seconds = sum(float(number) * float(_UNITS[unit]) for number, unit in parts)
    elif text.isdecimal():
        seconds = float(text)
    else:
        return None
    return -seconds if given.startswith("-") else seconds


def read_chat(body: Any, defaults: Sampling, context: int) -> OllamaRequest:
    """Read the body of a request to `/api/chat`.

    Args:
        body: plain JSON.
        defaults: sampling of the checkpoint, for values that the body leaves out.
        context: largest number of tokens of a prompt with its answer.

    Raises:
        ConfigError: a field is unknown, of another type, out of range or cannot be honoured; names the field.
    """
    given = _given(body, CHAT, _WITHOUT_EFFECT)
    messages = given.get("messages", [])
    if not isinstance(messages, list):
        raise ConfigError(f"messages is {shown(messages)}", hint="it is a list of messages")
    tools, _ = tools_of({"tools": given.get("tools", [])})
    conversation = conversation_from(
        [_message(each, f"message {number}") for number, each in enumerate(messages)], tools
    )
    return OllamaRequest(chat=_chat(given, conversation, defaults, context))


def read_generate(body: Any, defaults: Sampling, context: int) -> OllamaRequest:
    """Read the body of a request to `/api/generate`; arguments and errors as in `read_chat`."""
    given = _given(body, GENERATE, _GENERATE_WITHOUT_EFFECT)
    for name in ("prompt", "system"):
        if not isinstance(given.get(name, ""), str):
            raise ConfigError(f"{name} is {shown(given[name])}", hint="it is a string")
    prompt, system = given.get("prompt", ""), given.get("system", "")
    is_raw = given.get("raw", False)
    if not isinstance(is_raw, bool):
        raise ConfigError(f"raw is {shown(is_raw)}", hint="it is true or false")
    if is_raw:
        if given.get("images") or system:
            name = "images" if given.get("images") else "system"
            raise ConfigError(f"{name} is given with raw", hint="a raw prompt is only text")
        conversation = Conversation(messages=())
        chat = _chat(given, conversation, defaults, context)
        return OllamaRequest(chat=chat, raw_prompt=prompt)
    question = {"role": "user", "content": prompt, "images": given.get("images", [])}
    messages = [{"role": "system", "content": system}] if system else []
    conversation = conversation_from([*messages, _message(question, "the prompt")])
    return OllamaRequest(chat=_chat(given, conversation, defaults, context))


def read_embed(body: Any, context: int) -> list[str]:
    """The texts of a request to `/api/embed`; its `input` is a text or a list of texts.

    Raises:
        ConfigError: a field is unknown, of another type, or has no effect on a vector.
    """
    given = _given(body, EMBED, {"truncate": (False,)})
    options = given.get("options", {})
    _check_options(options, context)
    if others := [name for name in options if name != "num_ctx" and options[name] is not None]:
        raise ConfigError(f"option {others[0]} has no effect on a vector", hint="leave it out")
    texts = given.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(
            f"input is {shown(given.get('input'))}", hint="give a text or a list of texts"
        )
    return texts


def _given(
    body: Any, known: Sequence[str], without_effect: Mapping[str, tuple[Any, ...]]
) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        raise ConfigError(f"body is {shown(body)}", hint="it is an object")
    given = {name: value for name, value in body.items() if value is not None}
    refuse_unknown(given, known, without_effect)
    return given


def _message(message: Any, where: str) -> Any:
    """A message in the form of chat completions: its pictures come before its text."""
    if not isinstance(message, Mapping):
        return message
    fields = {name: value for name, value in message.items() if value not in (None, "")}
    if "tool_name" in fields:
        fields["name"] = fields.pop("tool_name")
    images, text = fields.pop("images", []), fields.get("content", "")
    if not isinstance(images, list):
        raise ConfigError(f"{where}: images is {shown(images)}", hint="it is a list of base64")
    if not isinstance(text, str):
        raise ConfigError(
            f"{where}: content is {shown(text)}", hint="it is a text; pictures go into images"
        )
    parts: list[dict[str, Any]] = [
        {"type": "image", "image": _picture(image, f"{where}, image {number}")}
        for number, image in enumerate(images)
    ]
    if images:
        fields["content"] = [*parts, {"type": "text", "text": text}] if text else parts
    return fields


def _picture(image: Any, where: str) -> bytes | str:
    """The file of a picture; some clients send a `data:` address instead of base64."""
    if not isinstance(image, str) or not image:
        raise ConfigError(f"{where} is {shown(image)}", hint="it is a file in base64")
    if image.startswith("data:"):
        return image
    try:
        return base64.b64decode(image, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{where} is no base64: {error}", hint="send the file itself") from error


def _chat(
    given: Mapping[str, Any], conversation: Conversation, defaults: Sampling, context: int
) -> ChatRequest:
    streams, model = given.get("stream", True), given.get("model")
    if not isinstance(streams, bool):
        raise ConfigError(f"stream is {shown(streams)}", hint="it is true or false")
    options = given.get("options", {})
    values = _check_options(options, context)
    if (schema := _schema(given.get("format", ""))) is not None:
        values["json_schema"] = schema
    sampling = replace(defaults, logprobs=logprobs_of(given), **values)
    sampling.check()
    return ChatRequest(model=model, conversation=conversation, sampling=sampling, streams=streams)


def _check_options(options: Any, context: int) -> dict[str, Any]:
    """The fields of `Sampling` that the options set."""
    if not isinstance(options, Mapping):
        raise ConfigError(f"options is {shown(options)}", hint="it is an object")
    given = {name: value for name, value in options.items() if value is not None}
    refuse_unknown(given, _OPTIONS, _OPTIONS_WITHOUT_EFFECT)
    size = _CONTEXT.settled(given.get("num_ctx", context))
    _CONTEXT.check("num_ctx", size)
    if size > context:
        raise ConfigError(f"num_ctx is {size:,}; the model's context is {context:,} tokens")
    if given.get("num_predict") in (-1, -2):
        raise ConfigError(
            f"num_predict is {given['num_predict']}, an answer without a limit",
            hint="give the largest number of tokens",
        )
    values = sampling_numbers(given, _SAMPLING)
    if "stop" in given:
        values["stop"] = given["stop"]
    return values


def _schema(wanted: Any) -> Mapping[str, Any] | None:
    """The JSON Schema of `format`; None for text."""
    if wanted == "":
        return None
    if wanted == "json":
        return {"type": "object"}
    if not isinstance(wanted, Mapping):
        raise ConfigError(f"format is {shown(wanted)}", hint='give "json" or a JSON Schema')
    return wanted
