# SPDX-License-Identifier: Apache-2.0
"""Finds changes in a video from thumbnails, for `fps="auto"`.

A few frames per second are decoded as thumbnails. Each is compared with the last *changed*
thumbnail, not with the previous one, so that slow changes add up and noise does not. The
measure is the mean of the values that differ most, which detects a small object that moves in a large
still picture.

Decoding an hour of high definition takes minutes. If a clip has more than a fixed number of pixels, only key
frames are decoded, and the groups between them with the most encoded bytes, since the encoder spends
bytes on changes. In such a clip, with constant noise, a small short movement between two key frames can be
missed.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from finesight.geometry import Size
from finesight.media.decode import decode_frames
from finesight.media.pixels import Thumbnailer
from finesight.media.source import LocalSource
from finesight.media.timeline import Timeline

SCAN_FPS = 8.0
"""Thumbnails per second: two or three within the shortest event."""

MAX_SCAN_PIXELS = 20_000_000_000
"""Maximum pixels to decode per clip: about five minutes of 1080p at 30 frames per second."""

MAX_THUMBNAILS = 30_000
"""Maximum thumbnails per clip: about 200 MB of memory. A very long clip has a lower rate."""

_MOST_CHANGED = 4
_NOISE_MULTIPLE = 3.0
_LEAST_DIFFERENCE, _MOST_DIFFERENCE = 6.0, 24.0  # levels of 0..255 that count as a change
_BUSY_SECONDS = 0.25
_STILL_BYTES = 64.0  # bytes of a frame without change; avoids ratios to 0 bytes


def scan_changes(
    local: LocalSource, timeline: Timeline, first: int, last: int, stored: Size
) -> tuple[NDArray[np.float64], str]:
    """Difference of each frame of a clip to the last changed one.

    Args:
        local: the video file.
        timeline: its timeline.
        first: first frame of the clip.
        last: last frame of the clip, included.
        stored: size of the frames as stored.

    Returns:
        `float64[last - first + 1]`: 0 without a noticeable change, 1 and more with one;
        and a note if only parts of the clip were decoded, else an empty string.

    Raises:
        DecodeError: a decoded frame is broken.
    """
    times = timeline.times()[first : last + 1]
    seen = _every(times, max(1.0 / SCAN_FPS, float(times[-1] - times[0]) / MAX_THUMBNAILS))
    note = ""
    most_frames = MAX_SCAN_PIXELS // stored.area
    if len(times) > most_frames:
        worth = _frames_to_decode(timeline, first, last, most_frames)
        note = (
            f"{int(worth.sum()):,} of {len(times):,} frames were looked at for changes: key frames, "
            "and where the file holds most data"
        )
        keys = np.flatnonzero(np.isin(timeline.pts[first : last + 1], timeline.key_pts))
        seen = np.union1d(seen, keys)
        seen = seen[worth[seen]]
    change = np.zeros(len(times))
    change[seen] = _changes(_thumbnails(local, timeline, seen + first, stored))
    return change, note


def _frames_to_decode(
    timeline: Timeline, first: int, last: int, most_frames: int
) -> NDArray[np.bool_]:
    """Frames to decode if not all can be: `bool[last - first + 1]`.

    At most half of the frames are key frames, evenly thinned if necessary; the rest are complete groups
    from key frame to key frame, those with the most bytes first. The first group is decoded whatever its length.
    """
    pts = timeline.pts[first : last + 1]
    times = timeline.times()[first : last + 1]
    is_key = np.isin(pts, timeline.key_pts)
    keys = np.flatnonzero(is_key)
    worth = np.zeros(len(pts), dtype=bool)
    most_keys = most_frames if is_key.all() else most_frames // 2
    worth[keys[:: -(-len(keys) // max(most_keys, 1))]] = True
    group = np.searchsorted(timeline.key_pts, pts, side="right")
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    lengths = np.diff(starts, append=len(pts))
    busy = np.maximum.reduceat(
        _relative_bytes(timeline.num_bytes[first : last + 1].astype(np.float64), is_key, times),
        starts,
    )
    left = most_frames - int(worth.sum())
    for rank, number in enumerate(np.argsort(-busy, kind="stable")):
        if (rank == 0 or lengths[number] <= left) and lengths[number] > 1:
            worth[starts[number] : starts[number] + lengths[number]] = True
            left -= int(lengths[number])
    return worth


def _every(times: NDArray[np.float64], spacing: float) -> NDArray[np.int64]:
    """Indices of frames at least `spacing` seconds apart, the first included."""
    slots = np.floor((times - times[0]) / spacing + 1e-6)
    return np.unique(slots, return_index=True)[1].astype(np.int64)


def _thumbnails(
    local: LocalSource, timeline: Timeline, indices: NDArray[np.int64], stored: Size
) -> NDArray[np.uint8]:
    """`uint8[n, h, w, 3]` thumbnails of frames."""
    thumbnail = Thumbnailer(stored)
    wanted = [int(index) for index in indices]
    frames = decode_frames(local, timeline, wanted, is_thumbnail=True)
    return np.stack([thumbnail(frame) for frame in frames])


def _changes(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mark each thumbnail that differs enough from the last marked one."""
    change = np.zeros(len(pictures))
    if len(pictures) < 2:
        return change
    steps = [_difference(before, after) for before, after in pairwise(pictures)]
    noise = float(np.percentile(steps, 25))
    enough = float(np.clip(_NOISE_MULTIPLE * noise, _LEAST_DIFFERENCE, _MOST_DIFFERENCE))
    last_changed = pictures[0]
    for index, picture in enumerate(pictures):
        difference = _difference(last_changed, picture)
        if difference >= enough:
            change[index] = difference / enough
            last_changed = picture
    return change


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean difference of the values that differ most, in levels of 0..255."""
    values = np.abs(first.astype(np.int16) - second.astype(np.int16)).ravel()
    most = min(_MOST_CHANGED, len(values))
    return float(np.partition(values, len(values) - most)[-most:].mean())


def _relative_bytes(
    sizes: NDArray[np.float64], is_key: NDArray[np.bool_], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Encoded bytes around each frame, relative to the usual number.

    Key frames are left out: they are always large. The mean over a short time evens out
    P and B frames, which differ in size even without changes.
    """
    totals = np.cumsum(np.concatenate([[0.0], np.where(is_key, 0.0, sizes)]))
    counts = np.cumsum(np.concatenate([[0.0], ~is_key]))
    left = np.searchsorted(times, times - _BUSY_SECONDS / 2, side="left")
    right = np.searchsorted(times, times + _BUSY_SECONDS / 2, side="right")
    around = (totals[right] - totals[left]) / np.maximum(counts[right] - counts[left], 1.0)
    usual = float(np.median(around))
    ratio: NDArray[np.float64] = (around + _STILL_BYTES) / (usual + _STILL_BYTES)
    return ratio
