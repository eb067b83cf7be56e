# SPDX-License-Identifier: Apache-2.0
"""Opens a video file or a list of frames, and samples its frames.

`open_video` selects the frames, with their times, size and notes for the
user. `VideoClip.frames()` then decodes only those, one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import VideoPart
from finesight.errors import DecodeError, UnsupportedMedia
from finesight.geometry import Clock, Size
from finesight.media.change import scan_changes
from finesight.media.clip import Pixels, VideoClip
from finesight.media.decode import changed_sizes, decode_frames
from finesight.media.fetch import FetchPolicy
from finesight.media.frame_list import open_frame_list, unpack_jpeg_address
from finesight.media.pixels import FrameConverter, upright_size
from finesight.media.sampling import (
    adaptive_indices,
    frame_indices,
    frame_range,
    no_frame_between,
    smart_nframes,
    timed_indices,
)
from finesight.media.source import LocalSource, localize, source_name
from finesight.media.timeline import Timeline, read_timeline

__all__ = ["VideoClip", "open_video"]


def open_video(
    part: VideoPart, config: ProcessorConfig, *, policy: FetchPolicy | None = None
) -> VideoClip:
    """Open a video and select its frames.

    Args:
        part: a video file or a list of frames, and how to sample it.
        config: defaults for options that `part` does not set.
        policy: limits for addresses.

    Returns:
        The clip; its number of frames is a multiple of `config.frame_factor`.

    Raises:
        ConfigError: options that contradict each other.
        DecodeError: broken, truncated, or empty.
        UnsupportedMedia: no video stream, no frame in the requested part, or more frames requested than
            exist.
        MediaError: the source cannot be opened or fetched.
    """
    part = unpack_jpeg_address(part)
    part.check()
    if isinstance(part.source, tuple):
        return open_frame_list(part, config, policy)
    if isinstance(part.source, Image):
        raise UnsupportedMedia(
            f"{source_name(part.source)} is no video",
            hint="give a tuple of pictures, or an image",
        )
    return _open_file(part, config, localize(part.source, policy=policy, kind="video"))


def _open_file(part: VideoPart, config: ProcessorConfig, local: LocalSource) -> VideoClip:
    timeline = read_timeline(local)
    first, last, notes = _clip_range(part, timeline, local.name)
    first_frame = next(decode_frames(local, timeline, [first]))
    stored = Size(first_frame.width, first_frame.height)
    plan = _choose(part, config, timeline, (first, last), local, stored)
    times = timeline.times()[list(plan.indices)]
    # The reference's clock for evenly sampled frames, the true one for all others.
    model = np.arange(len(times)) / plan.sample_fps if plan.is_even else times - times[0]
    return VideoClip(
        name=local.name,
        size=upright_size(first_frame),
        sample_fps=plan.sample_fps,
        clock=Clock(tuple(model.tolist()), tuple(times.tolist())),
        indices=plan.indices,
        source_fps=timeline.fps,
        total_frames=last - first + 1,
        notes=(
            *_restart_notes(timeline),
            *_size_notes(local, timeline, (first, last), stored),
            *notes,
            *plan.notes,
        ),
        _read=partial(_read_file, local, timeline, stored),
    )


def _read_file(
    local: LocalSource, timeline: Timeline, stored: Size, indices: tuple[int, ...]
) -> Iterator[Pixels]:
    convert = FrameConverter(stored)
    for frame in decode_frames(local, timeline, sorted(set(indices))):
        yield convert(frame)


def _clip_range(part: VideoPart, timeline: Timeline, name: str) -> tuple[int, int, tuple[str, ...]]:
    """First and last frame of the requested part, and notes."""
    start, end = part.start_seconds, part.end_seconds
    times = timeline.times()
    broken = timeline.missing_from_seconds
    if broken is not None and (end is None or end > broken):
        raise DecodeError(
            f"{name} is cut short: it ends at {broken:.2f} s, earlier than its header says",
            hint=f"download it again, or set end_seconds={math.floor(broken * 10) / 10:g}",
        )
    duration = float(times[-1]) + timeline.step_seconds
    notes = []
    if end is not None and end > duration + timeline.step_seconds:
        notes.append(f"the clip was asked up to {end:g} s; the video ends at {duration:.2f} s")
    if start is None and end is None:
        return 0, timeline.num_frames - 1, ()
    offset = float(times[0])
    if timeline.is_constant and offset < timeline.step_seconds / 2:
        first, last = frame_range(
            timeline.num_frames, timeline.fps, start_seconds=start, end_seconds=end
        )
        return first, last, tuple(notes)
    # By true time; the tolerance covers times that were rounded to milliseconds.
    slack = float(timeline.time_base) / 2
    first = int(np.searchsorted(times, (start or 0.0) - slack))
    last = timeline.num_frames - 1
    if end is not None:
        last = int(np.searchsorted(times, end + slack, side="right")) - 1
    if first > last:
        raise no_frame_between(start, end, duration)
    return first, last, tuple(notes)


def _restart_notes(timeline: Timeline) -> tuple[str, ...]:
    if not len(timeline.restarts):
        return ()
    first = float(timeline.seconds(timeline.restarts)[0])
    return (
        f"{len(timeline.restarts) + 1} recordings are joined in the file, the second from "
        f"{first:.2f} s on; its clock starts anew there, and times are counted on",
    )


def _size_notes(
    local: LocalSource, timeline: Timeline, span: tuple[int, int], stored: Size
) -> tuple[str, ...]:
    """A note if frames of another size are scaled to that of the first sampled one."""
    first, last = (int(timeline.pts[place]) for place in span)
    changed = [each for each in changed_sizes(local, timeline) if first < each[0] <= last]
    sizes = [stored, *(size for _, size in changed)]
    new = [each for before, each in zip(sizes, changed, strict=False) if each[1] != before]
    if not new:
        return ()
    pts, size = new[0]
    second = float(timeline.seconds(np.array([pts]))[0])
    times = "once" if len(new) == 1 else f"{len(new)} times"
    return (
        f"the frames change their size {times}: from {second:.2f} s on they are {size.width} x {size.height};"
        f" all are scaled to {stored.width} x {stored.height}, the size of the first frame shown",
    )


@dataclass(frozen=True)
class _Plan:
    """Sampled frames and their clock."""

    indices: tuple[int, ...]
    sample_fps: float
    is_even: bool
    notes: tuple[str, ...] = ()


def _choose(
    part: VideoPart,
    config: ProcessorConfig,
    timeline: Timeline,
    span: tuple[int, int],
    local: LocalSource,
    stored: Size,
) -> _Plan:
    """Sample frames of a file between two frames, both included."""
    first, last = span
    total = last - first + 1
    if total < config.frame_factor:
        note = f"the clip has {total} frame, shown {config.frame_factor} times"
        return _Plan((first,) * config.frame_factor, config.fps, True, (note,))
    count = _num_frames(part, config, total, timeline.fps, local.name)
    times = timeline.times()[first : last + 1]
    if part.fps == "auto":
        change, note = scan_changes(local, timeline, first, last, stored)
        chosen = adaptive_indices(
            times.tolist(),
            change.tolist(),
            budget=count,
            minimum=part.min_frames or config.min_frames,
            most_per_second=2 * config.fps,
        )
        chosen += chosen[-1:] * (-len(chosen) % config.frame_factor)
        rate = len(chosen) / (total * timeline.step_seconds)
        indices = tuple(first + index for index in chosen)
        return _Plan(indices, rate, False, (note,) if note else ())
    rate = count / max(total, 1e-6) * timeline.fps  # bit-identical to qwen-vl-utils
    if timeline.is_constant:
        return _Plan(tuple(frame_indices(first, last, count)), rate, True)
    indices = tuple(first + index for index in timed_indices(times.tolist(), count))
    return _Plan(indices, rate, False, (_variable_note(times),))


def _num_frames(
    part: VideoPart, config: ProcessorConfig, total: int, source_fps: float, name: str
) -> int:
    """Number of frames to sample of `total`."""
    fps = config.fps if part.fps is None or isinstance(part.fps, str) else part.fps
    try:
        return smart_nframes(
            total,
            source_fps,
            fps=fps,
            nframes=part.nframes,
            min_frames=config.min_frames if part.min_frames is None else part.min_frames,
            max_frames=min(config.max_frames, total)
            if part.max_frames is None
            else part.max_frames,
            frame_factor=config.frame_factor,
        )
    except UnsupportedMedia as error:
        raise UnsupportedMedia(f"{name}: {error.message}", hint=error.hint) from error


def _variable_note(times: NDArray[np.float64]) -> str:
    widest = int(np.argmax(np.diff(times)))
    return (
        "variable frame rate: frames were chosen by their true times; the longest time without a "
        f"frame is {times[widest]:.2f} to {times[widest + 1]:.2f} s"
    )
