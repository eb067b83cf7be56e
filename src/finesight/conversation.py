# SPDX-License-Identifier: Apache-2.0
"""Conversations, sampling and replies, and the protocols by which the rest of the code reaches a model.

A conversation is a tuple of messages, a message a tuple of parts in reading order. Pictures and videos are parts
like text; there is no separate list of media. `finesight.text.messages` reads the dictionaries of
qwen-vl-utils and of the OpenAI chat format into these records.

Code above the engine uses a model only through the protocols of `finesight.responder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias

from finesight.errors import ConfigError
from finesight.geometry import Clock, Resize
from finesight.inputs import (
    IMAGE_LIMITS,
    VIDEO_LIMITS,
    check_numbers,
    check_pixel_budget,
    check_resized_pair,
    check_timestamps,
    plain_list,
    rank,
    read_if_open,
    settle_numbers,
)
from finesight.sampling import Sampling as Sampling

if TYPE_CHECKING:
    from PIL.Image import Image

    from finesight.inputs import ArrayLike

    MediaSource: TypeAlias = str | bytes | Path | Image | BinaryIO | ArrayLike
    """A path, raw bytes, an open binary file, a Pillow image, an array of pixels (numpy or torch),
    or a `data:`, `file:`, `http:` or `https:` address."""

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "repetition", "tool_calls", "cancelled"]
LOW_DETAIL_PIXELS = 512 * 512
"""OpenAI's `detail: "low"`: the picture is shown at 512 x 512."""


@dataclass(frozen=True, slots=True)
class TextPart:
    """A run of text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """One picture, or one page when `page` is set: of a PDF, or of a picture file that holds several.

    An open file is read at once.

    Attributes:
        source: path, bytes, open binary file, Pillow image, array or address.
        page: page of a PDF or TIFF or frame of an animation, counted from 0; None takes the first picture.
        min_pixels: least area after resizing, in pixels; None takes the processor's.
        max_pixels: largest area after resizing, in pixels; None takes the processor's.
        resized_height: wanted height in pixels, rounded to a multiple of 28; needs `resized_width` too.
        resized_width: wanted width in pixels.
        detail: "low" takes at most `LOW_DETAIL_PIXELS`, and never more than without it.
    """

    source: MediaSource
    page: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    resized_height: int | None = None
    resized_width: int | None = None
    detail: Literal["low"] | None = None

    def __post_init__(self) -> None:
        settle_numbers(self, IMAGE_LIMITS)
        object.__setattr__(self, "source", read_if_open(self.source))

    def check(self) -> None:
        """Raise `ConfigError` on numbers out of range and on contradicting options."""
        check_numbers("picture", self, IMAGE_LIMITS)
        if self.detail not in (None, "low"):
            raise ConfigError(f"picture has detail={self.detail!r}", hint='it is "low" or None')
        check_resized_pair(self.resized_height, self.resized_width)
        check_pixel_budget(self.min_pixels, self.max_pixels)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPart:
    """One video: a file, or a list of frames.

    An open file is read at once; a list or an array `uint8[F, H, W, 3]` becomes a tuple of frames.
    Frames without `timestamps`, `sample_fps` or `fps` have the processor's rate, with a note in the record.

    Attributes:
        source: path, bytes, open binary file or address of a video file, or a frame list: a tuple or
            list of picture sources, or an array `uint8[F, H, W, 3]`.
        fps: frames per second to sample; "auto" samples more where the picture changes; None takes the processor's.
        nframes: number of frames to sample; excludes `fps`.
        min_frames: least number of frames when `fps` decides.
        max_frames: largest number of frames when `fps` decides.
        start_seconds: start of the clip in the file, in seconds.
        end_seconds: end of the clip in the file, in seconds.
        timestamps: true time of each frame of a frame list, in seconds, not decreasing.
        sample_fps: frames per second of a frame list without timestamps.
        min_pixels: least area of a frame after resizing, in pixels.
        max_pixels: largest area of a frame after resizing, in pixels.
        total_pixels: largest area of all frames together, in pixels.
        resized_height: wanted height of a frame in pixels; needs `resized_width` too.
        resized_width: wanted width of a frame in pixels.
    """

    source: MediaSource | tuple[MediaSource, ...]
    fps: float | Literal["auto"] | None = None
    nframes: int | None = None
    min_frames: int | None = None
    max_frames: int | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    timestamps: tuple[float, ...] | None = None
    sample_fps: float | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None
    total_pixels: int | None = None
    resized_height: int | None = None
    resized_width: int | None = None

    @property
    def is_frame_list(self) -> bool:
        """Whether the source is a sequence of pictures instead of a file."""
        return isinstance(self.source, tuple)

    def __post_init__(self) -> None:
        settle_numbers(self, VIDEO_LIMITS)
        object.__setattr__(self, "timestamps", plain_list(self.timestamps))
        object.__setattr__(self, "source", _video_source(self.source))

    def check(self) -> None:
        """Raise `ConfigError` on numbers out of range and on contradicting options."""
        is_named = isinstance(self.fps, str)
        if is_named and self.fps != "auto":
            raise ConfigError(f"video has fps={self.fps!r}", hint='fps is a number or "auto"')
        numbers = {name: limit for name, limit in VIDEO_LIMITS.items() if name != "fps"}
        check_numbers("video", self, numbers if is_named else VIDEO_LIMITS)
        if self.fps is not None and self.nframes is not None:
            raise ConfigError(
                f"video has both fps={self.fps} and nframes={self.nframes}",
                hint="give one of the two, not both",
            )
        start, end = self.start_seconds, self.end_seconds
        if start is not None and end is not None and end <= start:
            raise ConfigError(f"video ends at {end} s, not after its start at {start} s")
        _check_frame_list(self)
        check_resized_pair(self.resized_height, self.resized_width)
        check_pixel_budget(self.min_pixels, self.max_pixels)


def _video_source(source: Any) -> Any:
    """A frame list as a tuple, an open file as bytes; anything else unchanged."""
    if isinstance(source, (list, tuple)) or rank(source) == 4:
        return tuple(read_if_open(frame) for frame in source)
    return read_if_open(source)


def _check_frame_list(part: VideoPart) -> None:
    """Check options that only a frame list has, and options that it does not have."""
    if not isinstance(part.source, tuple):
        for name in ("timestamps", "sample_fps"):
            if getattr(part, name) is not None:
                raise ConfigError(f"video has {name}, which only a list of frames takes")
        return
    if not part.source:
        raise ConfigError("video is an empty list of frames")
    if part.timestamps is not None and part.sample_fps is not None:
        raise ConfigError(
            "video has both timestamps and sample_fps", hint="timestamps alone are enough"
        )
    if part.timestamps is not None:
        check_timestamps(part.timestamps, num_frames=len(part.source))
    for name in ("nframes", "start_seconds", "end_seconds"):
        if getattr(part, name) is not None:
            raise ConfigError(f"video is a list of frames and has {name}, which only a file takes")


Part = TextPart | ImagePart | VideoPart


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    Attributes:
        role: author of the turn.
        parts: text and media, in reading order.
        tool_calls: calls of an assistant turn, each a mapping with `name` and `arguments`.
        is_target: whether an assistant turn is a training target.
    """

    role: Role
    parts: tuple[Part, ...]
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    is_target: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """The input of a model.

    Attributes:
        messages: turns in order.
        tools: function signatures the model may call, as OpenAI tool mappings.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()

    def media(self) -> Iterator[ImagePart | VideoPart]:
        """All pictures and videos in order of appearance."""
        for message in self.messages:
            for part in message.parts:
                if not isinstance(part, TextPart):
                    yield part


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRecord:
    """Resize and clock of one picture or video, which map coordinates and times of answers back to it.

    Attributes:
        kind: "image" or "video".
        source: its name: a path, an address, or "bytes" and the like.
        page: the requested page of a PDF or picture file, counted from 0; else None.
        resize: original and resized size.
        visual_tokens: number of tokens it took.
        clock: both clocks of a video; None for a picture.
        sample_fps: frames per second on the model's clock; None for a picture.
        notes: information for the user: a repeated frame, colliding time positions, a capped frame count, the
            first of several pages.
    """

    kind: Literal["image", "video"]
    source: str
    resize: Resize
    visual_tokens: int
    page: int | None = None
    clock: Clock | None = None
    sample_fps: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one reply.

    Attributes:
        prompt_tokens: tokens of the prompt, visual tokens included.
        visual_tokens: visual tokens of its media.
        completion_tokens: tokens of the answer.
        cached_tokens: prompt tokens that an earlier request had computed.
        drafted_tokens: tokens of the answer that were guessed and checked.
        accepted_tokens: guesses that were right.
    """

    prompt_tokens: int
    visual_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log-probability of one token of the answer, with the best alternatives at its place.

    Attributes:
        token_id: the chosen token.
        text: its text.
        logprob: natural logarithm of its probability before temperature and truncation.
        top: `(token_id, text, logprob)` of the best tokens, best first.
        span: characters `(start, end)` of the reply's text that it covers, wholly or in part; empty for tokens
            without text. Tokens that share a character of several bytes all cover it.
    """

    token_id: int
    text: str
    logprob: float
    top: tuple[tuple[int, str, float], ...] = ()
    span: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer of a model.

    Attributes:
        text: the answer without stop strings and end tokens.
        token_ids: tokens of the answer, the end token included if one came.
        finish_reason: why the answer ended.
        usage: token counts.
        media: one record per picture or video of the conversation, in order of appearance.
        logprobs: per token, if requested.
        notes: information for the user: an answer that was cut inside its grammar, or continued after a repetition.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    usage: Usage
    media: tuple[MediaRecord, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = field(default=())
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """A piece of a streamed answer.

    Attributes:
        text: new text, complete characters only and never part of a stop string; may be empty.
        num_tokens: tokens of the answer so far.
        reply: the finished reply, on the last event only.
        withdrawn: number of characters at the end of the text so far that the answer lost, because it went back to
            before a repetition (`Sampling.loop_retries`); `text` comes after what is left.
        logprobs: log-probabilities of the tokens since the event before, if requested; their text may come with a
            later event.
    """

    text: str
    num_tokens: int
    reply: Reply | None = None
    withdrawn: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
