# SPDX-License-Identifier: Apache-2.0
"""Frame sampling: arithmetic on counts, rates and times, no pixels.

There are three rules:

- evenly by index, as qwen-vl-utils does it (`smart_nframes`, `frame_indices`), for a constant rate;
- evenly by time (`timed_indices`), for a variable rate, where equal steps in index are not equal steps in time;
- where the picture changes (`adaptive_indices`), for `fps="auto"`.

Source: qwen-vl-utils 0.0.14 for the first rule. It computes indices in float32 with `torch.linspace`,
whose rounding decides between neighbouring frames, so the same arithmetic is written out here
without torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from finesight.errors import UnsupportedMedia

CLUSTER_GAP_SECONDS = 1.0
"""Changes closer together than this belong to one event."""

STILL_GAP_SECONDS = 5.0
"""Where the budget allows, no gap between frames of a changing clip is longer than this."""


def smart_nframes(
    total_frames: int,
    source_fps: float,
    *,
    fps: float = 2.0,
    nframes: int | None = None,
    min_frames: int = 4,
    max_frames: int | None = None,
    frame_factor: int = 2,
) -> int:
    """Number of frames to sample from a clip, by the rules of qwen-vl-utils.

    Args:
        total_frames: frames of the clip.
        source_fps: their rate.
        fps: wanted rate; unused when `nframes` is given.
        nframes: wanted number of frames.
        min_frames: least number when `fps` decides.
        max_frames: largest number when `fps` decides; None takes 768 or the whole clip,
            whichever is less.
        frame_factor: the number is a multiple of this.

    Returns:
        A multiple of `frame_factor`, at most `total_frames`.

    Raises:
        UnsupportedMedia: no such multiple lies between `frame_factor` and `total_frames`.
    """
    if nframes is not None:
        count = round(nframes / frame_factor) * frame_factor
    else:
        least = math.ceil(min_frames / frame_factor) * frame_factor
        limit = min(768, total_frames) if max_frames is None else max_frames
        most = math.floor(limit / frame_factor) * frame_factor
        wanted = total_frames / source_fps * fps
        count = math.floor(min(min(max(wanted, least), most), total_frames) / frame_factor)
        count *= frame_factor
    if not frame_factor <= count <= total_frames:
        asked = f"nframes={nframes}" if nframes is not None else f"fps={fps:g}"
        raise UnsupportedMedia(
            f"{asked} gives {count} frames; between {frame_factor} and {total_frames} are possible",
            hint="ask for fewer frames" if count > total_frames else "ask for more frames",
        )
    return count


def frame_range(
    total_frames: int,
    source_fps: float,
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> tuple[int, int]:
    """First and last frame of the part between two times, both included, by the rules of qwen-vl-utils.

    Args:
        total_frames: frames of the whole video.
        source_fps: their constant rate.
        start_seconds: start of the part; None is the first frame.
        end_seconds: end of the part; None is the last frame.

    Raises:
        UnsupportedMedia: no frame lies between the two times.
    """
    duration = total_frames / source_fps
    first, last = 0, total_frames - 1
    if start_seconds is not None:
        first = math.ceil(max(0.0, min(start_seconds, duration)) * source_fps)
    if end_seconds is not None:
        last = min(last, math.floor(max(0.0, min(end_seconds, duration)) * source_fps))
    if first > last:
        raise no_frame_between(start_seconds, end_seconds, duration)
    return first, last


def no_frame_between(
    start_seconds: float | None, end_seconds: float | None, duration: float
) -> UnsupportedMedia:
    """The error for a part of a video in which no frame begins."""
    end = "its end" if end_seconds is None else f"{end_seconds:g} s"
    return UnsupportedMedia(
        f"no frame begins between {start_seconds or 0:g} s and {end}; the video lasts {duration:.2f} s",
        hint="choose start and end inside the video, further apart",
    )


def frame_indices(first: int, last: int, count: int) -> list[int]:
    """`count` indices from `first` to `last`, both included: `torch.linspace(...).round()`, bit for bit.

    torch computes from both ends in float32 with a fused multiply-add. A float64 ramp gives
    another frame in about one of 150 clips. A product of two float32 numbers is exact in float64,
    which makes a float64 sum rounded once to float32 the fused operation. If nearly every frame
    of a long video is sampled, an index can occur twice, in both.
    """
    if count == 1:
        return [first]
    step = np.float32(np.float32(last - first) / np.float32(count - 1)).astype(np.float64)
    index = np.arange(count)
    from_first = first + step * index
    from_last = last - step * (count - 1 - index)
    ramp = np.where(index < count // 2, from_first, from_last).astype(np.float32)
    return [int(value) for value in np.rint(ramp)]


def timed_indices(times: Sequence[float], count: int) -> list[int]:
    """`count` different frames whose times are as evenly spread as the clip allows.

    Args:
        times: time of each frame in seconds, increasing.
        count: number of frames wanted, at most `len(times)`.

    Returns:
        Increasing indices; first and last frame are among them.
    """
    clock = np.asarray(times, dtype=np.float64)
    chosen: list[int] = []
    for number, wanted in enumerate(np.linspace(clock[0], clock[-1], count)):
        lowest = chosen[-1] + 1 if chosen else 0
        highest = len(clock) - (count - number)  # leaves one frame for each of the remaining times
        chosen.append(min(max(_nearest(clock, float(wanted)), lowest), highest))
    return chosen


def adaptive_indices(
    times: Sequence[float],
    change: Sequence[float],
    *,
    budget: int,
    minimum: int,
    most_per_second: float,
) -> list[int]:
    """Frames for `fps="auto"`: many where the picture changes, few where it does not.

    First, `minimum` frames cover the clip evenly. Then each event (changes in close
    succession) gets one frame before any gets two; the remaining frames are divided in
    proportion to the amount of change. Last, long gaps of a changing clip get a
    frame. A clip without change has `minimum` frames.

    Args:
        times: time of each frame in seconds, increasing.
        change: difference of each frame to the last changed one; 0 is not noticeable.
        budget: maximum number of frames.
        minimum: frames of a clip in which nothing changes.
        most_per_second: maximum frames per second of an event.

    Returns:
        Increasing indices, at most `budget` and at least `min(minimum, len(times))` of them.
    """
    clock = np.asarray(times, dtype=np.float64)
    budget = min(budget, len(clock))
    events = _events(clock, np.asarray(change, dtype=np.float64), most_per_second)
    cover = min(minimum, budget, max(2, budget - len(events)))
    chosen = set(timed_indices(times, cover))
    for event, share in zip(events, _shares(events, budget - len(chosen)), strict=True):
        chosen.update(_spread(event, share))
    _fill_gaps(
        chosen, clock, min(minimum, budget), 0.0
    )  # an event may be at a frame already chosen
    if events:
        _fill_gaps(chosen, clock, budget, STILL_GAP_SECONDS)
    if len(chosen) % 2 and len(chosen) < budget:  # an even number completes the last frame pair
        _fill_gaps(chosen, clock, len(chosen) + 1, 0.0)
    return sorted(chosen)


def _events(
    clock: NDArray[np.float64], change: NDArray[np.float64], most_per_second: float
) -> list[list[int]]:
    """Changed frames, thinned to a rate and grouped into events."""
    events: list[list[int]] = []
    spacing = 1.0 / most_per_second - 1e-6
    for index in np.flatnonzero(change > 0):
        gap = clock[index] - clock[events[-1][-1]] if events else math.inf
        if gap > CLUSTER_GAP_SECONDS:
            events.append([int(index)])
        elif gap >= spacing:
            events[-1].append(int(index))
    return events


def _shares(events: Sequence[Sequence[int]], frames: int) -> list[int]:
    """Number of frames of each event, at most `frames` in total."""
    if len(events) > frames:  # fewer frames than events: pick evenly spaced events
        picked = {round(place) for place in np.linspace(0, len(events) - 1, max(frames, 0))}
        return [int(number in picked) for number in range(len(events))]
    wanted = [len(event) for event in events]
    spare = frames - len(events)
    extra = sum(wanted) - len(events)
    if extra <= spare:
        return wanted
    exact = [(size - 1) * spare / extra for size in wanted]
    shares = [1 + math.floor(part) for part in exact]
    by_remainder = sorted(range(len(events)), key=lambda number: exact[number] % 1, reverse=True)
    for number in by_remainder[: frames - sum(shares)]:
        shares[number] += 1
    return shares


def _spread(event: Sequence[int], share: int) -> list[int]:
    """`share` frames of an event; a single one lies before its middle, as the last frame already shows the result."""
    if share == 1:
        return [event[(len(event) - 1) // 2]]
    return [event[round(place)] for place in np.linspace(0, len(event) - 1, share)]


def _fill_gaps(
    chosen: set[int], clock: NDArray[np.float64], limit: int, longest_seconds: float
) -> None:
    """Add the middle of the longest gap, until none is longer than allowed or the limit is reached."""
    while len(chosen) < limit:
        ranks = np.array(sorted(chosen))
        open_gaps = np.diff(ranks) > 1
        lengths = np.where(open_gaps, np.diff(clock[ranks]), 0.0)
        widest = int(np.argmax(lengths))
        if not open_gaps.any() or lengths[widest] <= longest_seconds:
            return
        left, right = ranks[widest], ranks[widest + 1]
        middle = _nearest(clock, float(clock[left] + clock[right]) / 2)
        chosen.add(int(min(max(middle, left + 1), right - 1)))


def _nearest(clock: NDArray[np.float64], wanted: float) -> int:
    """Index of the time nearest to `wanted`, the earlier of two equally near."""
    right = int(np.clip(np.searchsorted(clock, wanted), 1, max(len(clock) - 1, 1)))
    if len(clock) == 1:
        return 0
    return right - 1 if wanted - clock[right - 1] <= clock[right] - wanted else right
