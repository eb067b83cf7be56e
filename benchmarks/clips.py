# SPDX-License-Identifier: Apache-2.0
"""Synthetic videos for benchmarks: brief motion in still clips, and a recording of an hour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

LONG_FPS = 25

_ENCODED_SECONDS = 10
"""Length of the part that is repeated in a long video; encoding takes 20 times as long as copying its packets."""


@dataclass(frozen=True)
class BurstClip:
    """A still clip with brief bursts of motion.

    Attributes:
        path: the file.
        seconds: its duration.
        bursts: `(start, end)` of each burst in seconds.
    """

    path: Path
    seconds: float
    bursts: tuple[tuple[float, float], ...]

    def hits(self, times: Sequence[float]) -> int:
        """Number of bursts that contain at least one of the given times."""
        return sum(any(start <= time < end for time in times) for start, end in self.bursts)


def write_burst_clip(
    path: Path, *, seconds: int, num_bursts: int, seed: int, fps: int = 30, noise: float = 0.0
) -> BurstClip:
    """Write a still clip in which a small block moves for 0.3 to 1 seconds at a time.

    Args:
        path: file to write.
        seconds: duration of the clip.
        num_bursts: number of bursts; 0 gives a still clip.
        seed: random seed of times, paths and picture.
        fps: frame rate.
        noise: standard deviation of simulated camera noise, in gray levels.
    """
    random = np.random.default_rng(seed)
    slot = seconds / max(num_bursts, 1)
    bursts = []
    for index in range(num_bursts):
        length = random.uniform(0.3, 1.0)
        start = index * slot + random.uniform(0.5, max(0.6, slot - length - 0.5))
        bursts.append((round(start * fps) / fps, round((start + length) * fps) / fps))
    width, height = 320, 180
    tiles = random.integers(40, 200, (height // 20, width // 20, 3)).astype(np.uint8)
    still: NDArray[np.uint8] = np.kron(tiles, np.ones((20, 20, 1), np.uint8))

    def frames() -> Iterator[NDArray[np.uint8]]:
        for index in range(seconds * fps):
            frame = still.copy()
            for number, (start, end) in enumerate(bursts):
                if start <= index / fps < end:
                    share = (index / fps - start) / (end - start)
                    left = int((width - 24) * share)
                    top = (number * 37) % (height - 24)
                    frame[top : top + 24, left : left + 24] = 255 if number % 2 else 0
            if noise:
                grain = random.normal(0, noise, (height, width, 1))
                frame = np.clip(frame + grain, 0, 255).astype(np.uint8)
            yield frame

    _encode(path, frames(), fps=fps, codec="libx264")
    return BurstClip(path, float(seconds), tuple(bursts))


def write_long_video(path: Path, *, seconds: int, width: int = 1920, height: int = 1080) -> None:
    """Write ten seconds (or less) of a moving bar, repeated for `seconds`.

    The encoded part is written repeatedly with shifted packet times. Demuxer and decoder treat the file like a long
    recording, and it is written within seconds.
    """
    part = path.with_name("part.mp4")
    taken = min(seconds, _ENCODED_SECONDS)
    _encode(part, _moving_bar(taken * LONG_FPS, width, height), fps=LONG_FPS, codec="mpeg4")
    with av.open(str(part)) as source, av.open(str(path), "w") as target:
        inner = source.streams.video[0]
        outer = target.add_stream_from_template(inner)
        base = Fraction(inner.time_base or Fraction(1, LONG_FPS))
        packets = [(item.pts, item.dts, item) for item in source.demux(inner) if item.size]
        for round_number in range(-(-seconds // taken)):
            moved = int(round_number * taken / base)
            for pts, dts, packet in packets:
                packet.pts, packet.dts = (pts or 0) + moved, (dts or 0) + moved
                packet.time_base = base
                packet.stream = outer
                target.mux(packet)


def _moving_bar(count: int, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    pixels = np.full((height, width, 3), 200, dtype=np.uint8)
    for index in range(count):
        left = index * 7 % (width - 16)
        pixels[:] = 200
        pixels[:, left : left + 16] = (index % 256, 40, 90)
        yield pixels


def _encode(path: Path, frames: Iterator[NDArray[np.uint8]], *, fps: int, codec: str) -> None:
    options = {"preset": "ultrafast", "crf": "18"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        stream = None
        for pixels in frames:
            if stream is None:
                stream = cast(VideoStream, container.add_stream(codec, rate=fps, options=options))
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if stream is not None:
            container.mux(stream.encode(None))
