# SPDX-License-Identifier: Apache-2.0
"""Fields that vLLM adds to the chat-completions format: constraints, and options of all media of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from finesight.conversation import Conversation, Part, TextPart, VideoPart
from finesight.errors import ConfigError
from finesight.inputs import shown
from finesight.sampling import CONSTRAINTS

GUIDED = {
    "guided_json": "json_schema",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
}
"""vLLM's older field -> field of `Sampling`."""

_STRUCTURED = {
    "json": "json_schema",
    **{name: name for name in CONSTRAINTS if name != "json_schema"},
}
"""Key of `structured_outputs` -> field of `Sampling`."""

_MEDIA = {
    "fps": "fps",
    "nframes": "nframes",
    "num_frames": "nframes",
    "min_frames": "min_frames",
    "max_frames": "max_frames",
    "min_pixels": "min_pixels",
    "max_pixels": "max_pixels",
    "total_pixels": "total_pixels",
}
"""Key of `mm_processor_kwargs` -> field of `VideoPart`, and of `ImagePart` where that has one."""
_IMAGE_FIELDS = ("min_pixels", "max_pixels")


def constraint_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `Sampling` that `guided_*`, `structured_outputs` and `response_format` set.

    Args:
        given: fields of a request, without those that are null.

    Raises:
        ConfigError: one of them cannot be read, or several are given.
    """
    found: dict[str, tuple[str, Any]] = {}
    for name, field in GUIDED.items():
        if name in given:
            found[name] = (field, given[name])
    if "structured_outputs" in given:
        found["structured_outputs"] = _structured(given["structured_outputs"])
    if (schema := _schema(given.get("response_format"))) is not None:
        found["response_format"] = ("json_schema", schema)
    if len(found) > 1:
        raise ConfigError(
            f"{' and '.join(found)} are given, but an answer has one constraint",
            hint="give one of them",
        )
    return dict(found.values())


def _structured(wanted: Any) -> tuple[str, Any]:
    given = (
        {k: v for k, v in wanted.items() if v is not None} if isinstance(wanted, Mapping) else {}
    )
    if given == {"json_object": True}:
        return "json_schema", {"type": "object"}
    if len(given) != 1 or next(iter(given)) not in _STRUCTURED:
        raise ConfigError(
            f"structured_outputs is {shown(wanted)}",
            hint=f"give an object with one of {', '.join(_STRUCTURED)}, json_object",
        )
    name, value = next(iter(given.items()))
    return _STRUCTURED[name], value


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


def with_media_options(conversation: Conversation, wanted: Any) -> Conversation:
    """A conversation with the options of `mm_processor_kwargs`; what a part sets itself stays.

    Raises:
        ConfigError: an option is unknown, of another type, or no medium takes it.
    """
    options = _media_options(wanted)
    if not options:
        return conversation
    media = list(conversation.media())
    has_video = any(isinstance(part, VideoPart) for part in media)
    idle = [name for name in options if not media or (name not in _IMAGE_FIELDS and not has_video)]
    if idle:
        raise ConfigError(
            f"mm_processor_kwargs has {idle[0]}, but the request shows no "
            f"{'video' if media else 'picture or video'}",
            hint="leave it out",
        )
    messages = tuple(
        replace(message, parts=tuple(_with_options(part, options) for part in message.parts))
        for message in conversation.messages
    )
    return replace(conversation, messages=messages)


def _media_options(wanted: Any) -> dict[str, Any]:
    """Fields of `VideoPart` with their values."""
    if not isinstance(wanted, Mapping):
        raise ConfigError(f"mm_processor_kwargs is {shown(wanted)}", hint="it is an object")
    options: dict[str, Any] = {}
    for name, value in wanted.items():
        if value is None or (name == "do_sample_frames" and value is True):
            continue
        if name not in _MEDIA:
            raise ConfigError(
                f"mm_processor_kwargs has {name}={json.dumps(value)[:80]}, which is not supported",
                hint=f"known: {', '.join(_MEDIA)}, do_sample_frames: true",
            )
        # Some clients give one frame rate per video.
        values = value if name == "fps" and isinstance(value, list) else [value]
        if not values or any(each != values[0] for each in values):
            raise ConfigError(
                f"mm_processor_kwargs has fps={shown(value)}",
                hint="give it in the part of each video",
            )
        options[_MEDIA[name]] = values[0]
    return options


def _with_options(part: Part, options: Mapping[str, Any]) -> Part:
    if isinstance(part, TextPart):
        return part
    names = options if isinstance(part, VideoPart) else [n for n in options if n in _IMAGE_FIELDS]
    new = {name: options[name] for name in names if getattr(part, name) is None}
    if isinstance(part, VideoPart) and (part.fps is not None or part.nframes is not None):
        new = {name: value for name, value in new.items() if name not in ("fps", "nframes")}
    changed = replace(part, **new) if new else part
    changed.check()
    return changed
