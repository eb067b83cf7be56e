# SPDX-License-Identifier: Apache-2.0
"""Videos given as a list of pictures: all frames are used, at the times or rate that the user gives."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from finesight.config.processor import ProcessorConfig
from finesight.conversation import VideoPart
from finesight.errors import ConfigError, DecodeError, MediaError, UnsupportedMedia
from finesight.geometry import Clock, Size
from finesight.media.clip import Pixels, VideoClip
from finesight.media.fetch import FetchPolicy
from finesight.media.image import image_size, load_image
from finesight.media.source import source_name

if TYPE_CHECKING:
    from finesight.conversation import MediaSource

_JPEG_ADDRESS = "data:video/jpeg;base64,"


def unpack_jpeg_address(part: VideoPart) -> VideoPart:
    """Turn `data:video/jpeg;base64,A,B,...` (vLLM's format for a clip) into a list of frames."""
    source = part.source
    if not isinstance(source, str) or not source.lower().startswith(_JPEG_ADDRESS):
        return part
    try:
        frames = tuple(
            base64.b64decode(piece, validate=True)
            for piece in source[len(_JPEG_ADDRESS) :].split(",")
        )
    except ValueError as error:  # of letters beyond ASCII it is a plain one
        raise DecodeError(f"{source_name(source)} is not valid base64: {error}") from error
    return replace(part, source=frames)


def open_frame_list(
    part: VideoPart, config: ProcessorConfig, policy: FetchPolicy | None
) -> VideoClip:
    """Clip of a list of pictures; the last is repeated up to a multiple of `frame_factor`.

    Raises:
        ConfigError: options that a list does not have, or decreasing times.
        MediaError: the first picture cannot be used. The others are checked when they are read.
    """
    assert isinstance(part.source, tuple)
    sources = part.source
    rate, notes = _rate(part, config)
    given = len(sources)
    indices = [*range(given), *[given - 1] * (-given % config.frame_factor)]
    if len(indices) > given:
        notes += (f"the last of {given} frames is shown {len(indices) - given + 1} times",)
    if part.timestamps is None:
        model = [index / rate for index in range(len(indices))]
        true = [index / rate for index in indices]
    else:
        true = [part.timestamps[index] for index in indices]
        model = [seconds - true[0] for seconds in true]
    return VideoClip(
        name=source_name(sources),
        size=_first_size(sources, policy),
        sample_fps=rate,
        clock=Clock(tuple(model), tuple(true)),
        indices=tuple(indices),
        source_fps=rate,
        total_frames=len(indices),
        notes=notes,
        _read=partial(_read, sources, policy),
    )


def _rate(part: VideoPart, config: ProcessorConfig) -> tuple[float, tuple[str, ...]]:
    """Frames per second of a list, and notes."""
    if part.min_frames is not None or part.max_frames is not None:
        raise ConfigError(
            "video is a list of frames and has min_frames or max_frames, which only a file takes"
        )
    if isinstance(part.fps, str):
        raise ConfigError('video is a list of frames and has fps="auto", which only a file takes')
    rate = part.sample_fps if part.sample_fps is not None else part.fps
    if part.timestamps is not None:
        if part.fps is not None:
            raise ConfigError("video has both timestamps and fps", hint="timestamps are enough")
        return _mean_rate(part.timestamps, config.fps), ()
    if rate is None:
        return config.fps, (f"no timestamps: frames taken as {config.fps:g} per second",)
    if part.fps not in (None, rate):
        raise ConfigError(
            f"video is a list of frames with fps={part.fps} and sample_fps={part.sample_fps}",
            hint="sample_fps alone says how the frames were taken",
        )
    return float(rate), ()


def _mean_rate(timestamps: tuple[float, ...], fallback: float) -> float:
    for index, (before, after) in enumerate(pairwise(timestamps)):
        if not before <= after:
            raise ConfigError(
                f"timestamps run backwards at frame {index + 1}: {before} s, then {after} s"
            )
    seconds = timestamps[-1] - timestamps[0]
    return (len(timestamps) - 1) / seconds if seconds > 0 else fallback


def _first_size(sources: tuple[MediaSource, ...], policy: FetchPolicy | None) -> Size:
    try:
        return image_size(sources[0], policy=policy)
    except MediaError as error:
        raise _in_frame(0, sources, error) from error


def _read(
    sources: tuple[MediaSource, ...], policy: FetchPolicy | None, indices: tuple[int, ...]
) -> Iterator[Pixels]:
    """Load pictures one by one."""
    first: tuple[int, int] | None = None
    wanted = sorted(set(indices))
    for index in wanted:
        try:
            image = load_image(sources[index], policy=policy)
        except MediaError as error:
            raise _in_frame(index, sources, error) from error
        first = first or image.size
        if image.size != first:
            raise UnsupportedMedia(
                f"frame {index} of {len(sources)} is {image.width} x {image.height} pixels, "
                f"frame {wanted[0]} is {first[0]} x {first[1]}",
                hint="bring all frames to one size first",
            )
        yield np.asarray(image)


def _in_frame(index: int, sources: tuple[MediaSource, ...], error: MediaError) -> MediaError:
    return type(error)(f"frame {index} of {len(sources)}: {error.message}", hint=error.hint)
