# SPDX-License-Identifier: Apache-2.0
"""Find where a video changes, cheaply, for `fps="auto"`.

A few frames per second are decoded as thumbnails. Each is compared with the last one that was
*noted*, not with the one before: slow changes add up until they are noted, and noise does not. The
measure is the mean of the few values that differ most, so a small object moving in a large still
picture is noticed.

Decoding an hour of high definition takes minutes. Of a clip with more pixels than a fixed amount,
all key frames are looked at, and of the groups between them those in which the encoder spent most
bytes: it spends them where the picture changes.

In such a long clip, under steady noise, a small short movement between two key frames can be
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
"""Thumbnails per second: two or three within the shortest burst one would call an event."""

MAX_SCAN_PIXELS = 20_000_000_000
"""Most pixels decoded to look through a clip: some five minutes of 1080p at 30 frames per second."""

MAX_THUMBNAILS = 30_000
"""Most thumbnails of one clip: some 200 MB of memory. A very long clip is looked at less often."""

_MOST_CHANGED = 4
_NOISE_MULTIPLE = 3.0
_LEAST_DIFFERENCE, _MOST_DIFFERENCE = 6.0, 24.0  # levels of 0..255 that count as a change
_BUSY_SECONDS = 0.25
_STILL_BYTES = 64.0  # bytes of a frame without change; a ratio to 0 bytes means nothing


def scan_changes(
    local: LocalSource, timeline: Timeline, first: int, last: int, stored: Size
) -> tuple[NDArray[np.float64], str]:
    """How much each frame of a clip differs from the last noted one.

    Args:
        local: the video file.
        timeline: its timeline.
        first: first frame of the clip.
        last: last frame of the clip, included.
        stored: size of the frames as stored.

    Returns:
        `float64[last - first + 1]`: 0 where nothing noticeable changed, 1 and more where it did;
        and a note if only parts of the clip were looked at, else an empty one.

    Raises:
        DecodeError: a frame that was looked at is broken.
    """
    times = timeline.times()[first : last + 1]
    seen = _every(times, max(1.0 / SCAN_FPS, float(times[-1] - times[0]) / MAX_THUMBNAILS))
    note = ""
    most_frames = MAX_SCAN_PIXELS // stored.area
    if len(times) > most_frames:
        worth = _worth_looking(timeline, first, last, most_frames)
        note = (
            f"{int(worth.sum()):,} of {len(times):,} frames were looked at for changes: key frames, "
            "and where the file holds most data"
        )
        keys = np.flatnonzero(np.isin(timeline.pts[first : last + 1], timeline.key_pts))
        seen = np.union1d(seen, keys)
        seen = seen[worth[seen]]
    change = np.zeros(len(times))
    change[seen] = _noted(_thumbnails(local, timeline, seen + first, stored))
    return change, note


def _worth_looking(
    timeline: Timeline, first: int, last: int, most_frames: int
) -> NDArray[np.bool_]:
    """Which frames to decode when not all can be: `bool[last - first + 1]`.

    Half of the frames may be key frames, evenly thinned if they are more; the rest are whole groups
    from key frame to key frame, busiest first. The busiest one is taken however long it is: no
    frame of it is cheaper to have.
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
        _busy(timeline.num_bytes[first : last + 1].astype(np.float64), is_key, times), starts
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


def _noted(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Walk through the thumbnails and note each that differs enough from the last noted one."""
    change = np.zeros(len(pictures))
    if len(pictures) < 2:
        return change
    steps = [_difference(before, after) for before, after in pairwise(pictures)]
    noise = float(np.percentile(steps, 25))
    enough = float(np.clip(_NOISE_MULTIPLE * noise, _LEAST_DIFFERENCE, _MOST_DIFFERENCE))
    noted = pictures[0]
    for index, picture in enumerate(pictures):
        difference = _difference(noted, picture)
        if difference >= enough:
            change[index] = difference / enough
            noted = picture
    return change


def _difference(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Mean difference of the values that differ most, in levels of 0..255."""
    values = np.abs(first.astype(np.int16) - second.astype(np.int16)).ravel()
    most = min(_MOST_CHANGED, len(values))
    return float(np.partition(values, len(values) - most)[-most:].mean())


def _busy(
    sizes: NDArray[np.float64], is_key: NDArray[np.bool_], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How many times more bytes than usual the encoder spent around each frame.

    Key frames are left out: they are large whatever happens. The mean over a short while evens out
    P and B frames, which differ in size even where nothing happens.
    """
    totals = np.cumsum(np.concatenate([[0.0], np.where(is_key, 0.0, sizes)]))
    counts = np.cumsum(np.concatenate([[0.0], ~is_key]))
    left = np.searchsorted(times, times - _BUSY_SECONDS / 2, side="left")
    right = np.searchsorted(times, times + _BUSY_SECONDS / 2, side="right")
    around = (totals[right] - totals[left]) / np.maximum(counts[right] - counts[left], 1.0)
    usual = float(np.median(around))
    ratio: NDArray[np.float64] = (around + _STILL_BYTES) / (usual + _STILL_BYTES)
    return ratio
