# SPDX-License-Identifier: Apache-2.0
"""Conversations as JSON of the OpenAI chat-completions format, and responses as a `Reply`.

The format has no video: a video is sent as its frames, each after a text with its time. Pictures are sent as base64
data URLs, so that the endpoint fetches nothing. Notes about a picture are in its `MediaRecord`; if the endpoint decides
on the size, there is no record, and the notes are Python warnings.

Source: OpenAI API reference, "Create chat completion"; `top_k`, `min_p` and `repetition_penalty` are additions of
vLLM and SGLang and are sent only if they are set.
"""

from __future__ import annotations

import base64
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import (
    Conversation,
    FinishReason,
    ImagePart,
    MediaRecord,
    Part,
    Reply,
    Sampling,
    TextPart,
    TokenLogprob,
    Usage,
    VideoPart,
)
from finesight.errors import ConfigError, RemoteError
from finesight.geometry import Resize, Size
from finesight.media.image import load_image, picture_notes
from finesight.media.pdf import load_page
from finesight.media.source import LocalSource, at_hand, source_name
from finesight.media.video import open_video
from finesight.text.chat_template import dump_json
from finesight.text.special_tokens import TOOL_CALL, TOOL_CALL_END

Fit = Callable[[Size, ImagePart], Size]
"""Returns the size at which a picture is sent, such that the endpoint does not resize it again."""

_TYPES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG", "image/png"), (b"GIF8", "image/gif"))
_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}


@dataclass(slots=True)
class Payload:
    """A request and the records of its pictures.

    Attributes:
        body: plain JSON.
        media: a record per picture if `fit` resized them; otherwise empty.
    """

    body: dict[str, Any]
    media: list[MediaRecord] = field(default_factory=list)


def payload_of(
    model: str,
    conversation: Conversation,
    sampling: Sampling,
    *,
    fit: Fit | None,
    config: ProcessorConfig,
) -> Payload:
    """The request for one answer.

    Raises:
        MediaError: a picture or video cannot be read.
        ConfigError: an option is not part of the format.
    """
    _check_supported(sampling)
    payload = Payload({"model": model})
    messages = []
    for message in conversation.messages:
        content = [piece for part in message.parts for piece in _pieces(part, payload, fit, config)]
        if message.tool_calls:
            raise ConfigError("tool calls of earlier turns are not sent to endpoints")
        only_text = [piece["text"] for piece in content if piece["type"] == "text"]
        plain = "".join(only_text) if len(only_text) == len(content) else content
        messages.append({"role": message.role, "content": plain})
    payload.body |= {"messages": messages, **_options(sampling)}
    if conversation.tools:
        payload.body["tools"] = [dict(tool) for tool in conversation.tools]
    return payload


def reply_of(content: bytes, payload: Payload, *, where: str) -> Reply:
    """The reply in the body of a response; tool calls stand in its text, as the model wrote them.

    Raises:
        RemoteError: the body is not a chat completion; quotes its beginning.
    """
    try:
        values = json.loads(content)
        choice = values["choices"][0]
        message = choice["message"]
        text = message.get("content") or ""
        usage = values.get("usage") or {}
        counts = Usage(
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            visual_tokens=0,
            completion_tokens=int(usage.get("completion_tokens") or 0),
        )
        reason = _REASONS.get(str(choice.get("finish_reason") or "stop"))
        if not isinstance(text, str):
            raise TypeError(f"content is a {type(text).__name__}")
        logprobs = _logprobs((choice.get("logprobs") or {}).get("content") or [], text)
        if calls := [_written(each["function"]) for each in message.get("tool_calls") or ()]:
            text, logprobs = "\n".join([*([text] if text else []), *calls]), ()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise RemoteError(
            f"the response of {where} is not a chat completion: {content[:120]!r} ({error})",
            hint="the URL must be that of an OpenAI-compatible API, such as http://host:8000/v1",
        ) from error
    if reason is None:
        raise RemoteError(
            f"{where} ended the answer with {choice['finish_reason']!r}: {text[:120]!r}"
        )
    return Reply(
        text=text,
        token_ids=(),
        finish_reason=reason,
        usage=counts,
        media=tuple(payload.media),
        logprobs=logprobs,
    )


def _written(function: Mapping[str, Any]) -> str:
    """A tool call that the endpoint has taken out of the answer, as the model wrote it."""
    arguments = function["arguments"]
    with suppress(ValueError):
        arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    call = dump_json({"name": function["name"], "arguments": arguments})
    return f"{TOOL_CALL}\n{call}\n{TOOL_CALL_END}"


def _logprobs(entries: Sequence[Mapping[str, Any]], text: str) -> tuple[TokenLogprob, ...]:
    """Log-probabilities of the tokens of an answer, whose ids are not known and are -1.

    Nothing if the tokens do not make up the text, as with tokens that are parts of a character: their places in the
    text are then not known.
    """
    found, start = [], 0
    for entry in entries:
        token = str(entry["token"])
        if not text.startswith(token, start):
            break  # an end token, or parts of a character
        end = start + len(token)
        top = tuple(
            (-1, str(other["token"]), float(other["logprob"]))
            for other in entry.get("top_logprobs") or []
        )
        logprob = float(entry["logprob"])
        found.append(
            TokenLogprob(token_id=-1, text=token, logprob=logprob, top=top, span=(start, end))
        )
        start = end
    return tuple(found) if start == len(text) else ()


def _check_supported(sampling: Sampling) -> None:
    """Raise `ConfigError` for options that an endpoint has not, or whose effect would not be the same."""
    if sampling.constraint is not None or sampling.loop_retries:
        name = sampling.constraint or "loop_retries"
        raise ConfigError(
            f"{name} is not sent to endpoints", hint="leave it out, or use a model on this machine"
        )


def _options(sampling: Sampling) -> dict[str, Any]:
    """Sampling parameters in the format's names; neutral values are left out."""
    options: dict[str, Any] = {
        "max_tokens": sampling.max_new_tokens,
        "temperature": sampling.temperature,
    }
    if sampling.top_p < 1:
        options["top_p"] = sampling.top_p
    if sampling.top_k:
        options["top_k"] = sampling.top_k
    if sampling.min_p:
        options["min_p"] = sampling.min_p
    if sampling.repetition_penalty != 1:
        options["repetition_penalty"] = sampling.repetition_penalty
    if sampling.presence_penalty:
        options["presence_penalty"] = sampling.presence_penalty
    if sampling.frequency_penalty:
        options["frequency_penalty"] = sampling.frequency_penalty
    if sampling.stop:
        options["stop"] = list(sampling.stop)
    if sampling.seed is not None:
        options["seed"] = sampling.seed
    if sampling.logprobs is not None:
        options["logprobs"] = True
        if sampling.logprobs:
            options["top_logprobs"] = sampling.logprobs
    return options


def _pieces(
    part: Part, payload: Payload, fit: Fit | None, config: ProcessorConfig
) -> Iterator[dict[str, Any]]:
    if isinstance(part, TextPart):
        yield {"type": "text", "text": part.text}
    elif isinstance(part, ImagePart):
        piece = _picture_piece(_picture_url(part, payload, fit))
        if part.detail is not None and fit is None:
            piece["image_url"]["detail"] = part.detail
        yield piece
    else:
        yield from _video_pieces(part, config)


def _picture_piece(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _picture_url(part: ImagePart, payload: Payload, fit: Fit | None) -> str:
    source = at_hand(part.source)
    if fit is None and part.page is None and isinstance(source, LocalSource):
        with source.open() as stream:
            content = stream.read()
        kind = next((kind for head, kind in _TYPES if content.startswith(head)), None)
        if kind is not None:
            return _data_url(kind, content)
    is_page = part.page is not None
    notes = picture_notes(source, page=part.page)
    image = load_page(part.source, part.page or 0) if is_page else load_image(part.source)
    if fit is not None:
        original = Size(image.width, image.height)
        resized = fit(original, part)
        image = image.resize((resized.width, resized.height), Image.Resampling.BICUBIC)
        record = MediaRecord(
            kind="image",
            source=source_name(part.source),
            page=part.page,
            resize=Resize(original, resized),
            visual_tokens=resized.area // 28**2,
            notes=notes,
        )
        payload.media.append(record)
    else:
        _warn(part, notes)
    buffer = io.BytesIO()
    image.save(buffer, format="png", compress_level=1)
    return _data_url("image/png", buffer.getvalue())


def _warn(part: ImagePart | VideoPart, notes: Sequence[str]) -> None:
    for note in notes:
        warnings.warn(f"{source_name(part.source)}: {note}", stacklevel=2)


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _video_pieces(part: VideoPart, config: ProcessorConfig) -> Iterator[dict[str, Any]]:
    """Frames of a video, each after a text with its time in seconds."""
    clip = open_video(part, config)
    _warn(part, clip.notes)
    for second, pixels in zip(clip.clock.model_seconds, clip.frames(), strict=True):
        yield {"type": "text", "text": f"<{second:.1f} seconds>"}
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="jpeg", quality=90)
        yield _picture_piece(_data_url("image/jpeg", buffer.getvalue()))
