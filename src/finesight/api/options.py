# SPDX-License-Identifier: Apache-2.0
"""Options of a question, and their conversion to a conversation and a sampling.

`ask`, `locate`, `stream` and the command line share one table of options. An option without effect
(`fps` without a video), of a wrong type or out of range is an error. None is the same as leaving
the option out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, Literal, TypedDict, cast

from finesight.conversation import (
    Conversation,
    Message,
    Part,
    Sampling,
    TextPart,
    VideoPart,
)
from finesight.errors import ConfigError
from finesight.inputs import IMAGE_LIMITS, SAMPLING_LIMITS, VIDEO_LIMITS, Limits, plain, shown
from finesight.text.messages import conversation_from as read_conversation


class SamplingOptions(TypedDict, total=False):
    """Sampling options: the fields of `finesight.conversation.Sampling`, explained there.

    Defaults come from the checkpoint.
    """

    max_new_tokens: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    stop: str | Sequence[str]
    seed: int
    logprobs: int
    loop_guard: bool
    loop_retries: int
    json_schema: str | Mapping[str, Any]
    regex: str
    choice: str | Sequence[str]
    grammar: str


class AskOptions(SamplingOptions, total=False):
    """Options of a question, besides those of `SamplingOptions`.

    `min_pixels` and `max_pixels` are those of each `ImagePart` and `VideoPart`; `fps`, `nframes`, `start`, `end` (both
    in seconds) and `total_pixels` are those of each `VideoPart` in `finesight.conversation`, and are explained there.

    Attributes:
        system: system message; without it the released template's default.
        add_vision_id: write "Picture 1: " and the like before each picture and video.
        tools: functions the model may call, as OpenAI tool mappings.
        fit_tokens: shrink the media until the prompt has at most this many tokens.
        adapter: name of the LoRA adapter that answers; without it, the model alone does.
    """

    system: str
    add_vision_id: bool
    tools: Sequence[Mapping[str, Any]]
    fps: float | Literal["auto"]
    nframes: int
    start: float
    end: float
    min_pixels: int
    max_pixels: int
    total_pixels: int
    fit_tokens: int
    adapter: str


_VIDEO_FIELDS = {
    "fps": "fps",
    "nframes": "nframes",
    "start": "start_seconds",
    "end": "end_seconds",
    "min_pixels": "min_pixels",
    "max_pixels": "max_pixels",
    "total_pixels": "total_pixels",
}
_IMAGE_FIELDS = ("min_pixels", "max_pixels")
_ONLY_MEDIA = (*_IMAGE_FIELDS, "fit_tokens", "add_vision_id")
_ONLY_VIDEO = tuple(name for name in _VIDEO_FIELDS if name not in _IMAGE_FIELDS)
_SAMPLING_FIELDS = frozenset(entry.name for entry in fields(Sampling))
_LIMITS: Mapping[str, Limits] = {
    **SAMPLING_LIMITS,
    **{name: IMAGE_LIMITS[name] for name in _IMAGE_FIELDS},
    **{option: VIDEO_LIMITS[field_name] for option, field_name in _VIDEO_FIELDS.items()},
    "fit_tokens": Limits(least=1, most=2**31 - 1, is_whole=True),
}
_TYPES: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "system": (str, "a text"),
    "add_vision_id": (bool, "True or False"),
    "loop_guard": (bool, "True or False"),
    "tools": ((list, tuple), "a list of tools"),
    "stop": ((str, list, tuple), "a text or a list of texts"),
    "json_schema": ((str, Mapping), "a JSON Schema, as text or as a mapping"),
    "regex": (str, "a text"),
    "choice": ((str, list, tuple), "a list of texts"),
    "grammar": (str, "a text"),
    "adapter": (str, "the name of an adapter"),
}
_MEDIA_ARGUMENTS = ("images", "videos", "pdf")
_ELSEWHERE: Mapping[str, str] = {
    "all": "locate takes it as all_=True",
    "as": 'locate takes it as as_="point"',
    "schema": "json_schema takes a JSON Schema",
    "response_format": "json_schema takes a JSON Schema",
    "choices": "choice takes a list of texts",
    "stream": "model.stream(question, ...) gives an answer piece by piece",
    "model": 'finesight.load("NAME") chooses the model',
}
"""Hints for words that users try as options."""


def checked_options(options: AskOptions) -> AskOptions:
    """Options without those that are None; numbers are converted to Python's.

    Raises:
        ConfigError: an option is unknown (names similar ones), of another type, or out of range.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return cast("AskOptions", {name: _checked(name, value) for name, value in given.items()})


def _checked(name: str, value: Any) -> Any:
    label = f"the option {name}"
    if name in _LIMITS:
        value = _LIMITS[name].settled(value)
        if not (name == "fps" and isinstance(value, str) and value == "auto"):
            _LIMITS[name].check(label, value)
        return value
    if name not in _TYPES:
        raise _unknown(name)
    kind, expected = _TYPES[name]
    value = plain(value)
    if not isinstance(value, kind):
        raise ConfigError(f"{label}={shown(value)}; it must be {expected}")
    return value


def _unknown(name: str) -> ConfigError:
    known = AskOptions.__annotations__
    if name in ("page", "pages"):
        hint = 'give pages with their file: pdf=("scan.pdf", "1-3"), images=("scan.tif", "2-")'
        return ConfigError(f"unknown option {name!r}", hint=hint)
    if name in _ELSEWHERE:
        return ConfigError(f"unknown option {name!r}", hint=_ELSEWHERE[name])
    near = get_close_matches(name, (*known, *_MEDIA_ARGUMENTS), n=3)
    return ConfigError(
        f"unknown option {name!r}",
        hint=f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}",
    )


def sampling_from(options: AskOptions | SamplingOptions, defaults: Sampling) -> Sampling:
    """Sampling options over the checkpoint's defaults; other options are ignored.

    Raises:
        ConfigError: a value is out of range.
    """
    given = checked_options(cast("AskOptions", options)).items()
    sampling = replace(defaults, **{k: v for k, v in given if k in _SAMPLING_FIELDS})  # type: ignore[arg-type]  # checked above
    sampling.check()
    _check_draws(dict(given), sampling)
    return sampling


def _check_draws(given: Mapping[str, Any], sampling: Sampling) -> None:
    """Raise `ConfigError` for `top_p`, `top_k` or `min_p` with greedy decoding."""
    limited = [
        name for name in ("top_p", "top_k", "min_p") if given.get(name) not in (None, 1.0, 0)
    ]
    if limited and sampling.temperature == 0:
        raise ConfigError(
            f"the option {limited[0]}={given[limited[0]]} has no effect at temperature 0 (greedy decoding)",
            hint="give temperature above 0 as well",
        )


def sampling_of(
    sampling: Sampling | None, options: SamplingOptions, defaults: Sampling
) -> Sampling:
    """A sampling with options that override it, for conversations that contain their media.

    Raises:
        ConfigError: `sampling` is of another type, or an option is not a sampling option.
    """
    if sampling is not None and not isinstance(sampling, Sampling):
        raise ConfigError(
            f"sampling is a {type(sampling).__name__}",
            hint="give finesight.conversation.Sampling(...), or its values: max_new_tokens=64",
        )
    foreign = [name for name in options if name not in _SAMPLING_FIELDS]
    if foreign and foreign[0] in (*AskOptions.__annotations__, *_MEDIA_ARGUMENTS):
        raise ConfigError(
            f"the option {foreign[0]} cannot be combined with a conversation",
            hint="set it in the conversation, or use ask(question, ...), which takes it as an option",
        )
    return sampling_from(options, sampling or defaults)


def conversation_from(question: str, media: Sequence[Part], options: AskOptions) -> Conversation:
    """A conversation of an optional system message, then the media and the question as the user's turn.

    Raises:
        ConfigError: the question is not a str, or an option is wrong or has no effect.
    """
    if not isinstance(question, str):
        raise ConfigError(f"the question is a {type(question).__name__}", hint="give a str")
    options = checked_options(options)
    _check_effect(media, options)
    parts = (*(with_options(part, options) for part in media), TextPart(question))
    messages = [Message("user", parts)]
    if "system" in options:
        messages.insert(0, Message("system", (TextPart(options["system"]),)))
    return read_conversation(messages, options.get("tools", ()))


def _check_effect(media: Sequence[Part], options: AskOptions) -> None:
    has_video = any(isinstance(part, VideoPart) for part in media)
    idle = [name for name in _ONLY_VIDEO if name in options] if not has_video else []
    if not media:
        idle += [name for name in _ONLY_MEDIA if name in options]
    if idle:
        what = "video" if media else "picture or video"
        raise ConfigError(
            f"{', '.join(idle)} given without a {what}", hint=f"leave it out, or add a {what}"
        )


def with_options(part: Part, options: AskOptions) -> Part:
    """A part with the options of a question, unless it sets them itself."""
    if isinstance(part, TextPart):
        return part
    names = _VIDEO_FIELDS if isinstance(part, VideoPart) else {n: n for n in _IMAGE_FIELDS}
    given: dict[str, Any] = {
        field_name: options[option]  # type: ignore[literal-required]  # options of the table above
        for option, field_name in names.items()
        if option in options and getattr(part, field_name) is None
    }
    return replace(part, **given) if given else part
