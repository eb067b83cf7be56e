# SPDX-License-Identifier: Apache-2.0
"""The sampled frames of a video: their clocks and indices, and how to decode them.

Two clocks (see `finesight.geometry.Clock`): the model's clock of an evenly sampled file is the
reference's, `i / sample_fps`, which runs a little fast on short clips because it counts the last
frame's duration as shown; `source_seconds` are always the true presentation times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from finesight.geometry import Clock, Size

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class VideoClip:
    """The frames of one video that are shown to the model.

    Attributes:
        name: of the source, for messages.
        size: of every frame, upright, before any resizing.
        sample_fps: frames per second on the model's clock.
        clock: both times of every frame.
        indices: their indices in the source, in presentation order; a repeated frame
            occurs twice.
        source_fps: rate of the source.
        total_frames: frames of the part of the source that was sampled.
        notes: information for the user: a variable rate, a repeated frame, a clamped end.
    """

    name: str
    size: Size
    sample_fps: float
    clock: Clock
    indices: tuple[int, ...]
    source_fps: float
    total_frames: float
    notes: tuple[str, ...] = ()
    _read: Callable[[tuple[int, ...]], Iterator[Pixels]] = field(repr=False)

    @property
    def num_frames(self) -> int:
        """Number of frames, always a multiple of `frame_factor`."""
        return len(self.indices)

    def only(self, places: Sequence[int]) -> VideoClip:
        """The clip with some of its frames only, for display; `sample_fps` does not change.

        Args:
            places: positions of these frames in the clip, from 0, increasing.
        """
        model, true = self.clock.model_seconds, self.clock.source_seconds
        return replace(
            self,
            indices=tuple(self.indices[place] for place in places),
            clock=Clock(tuple(model[p] for p in places), tuple(true[p] for p in places)),
        )

    def frames(self) -> Iterator[Pixels]:
        """Decode the frames in order, one at a time.

        Yields:
            `uint8[height, width, 3]` in RGB.

        Raises:
            DecodeError: a frame is broken; the message has file and time.
        """
        previous, pixels = -1, None
        source = self._read(self.indices)
        for index in self.indices:
            if index != previous or pixels is None:
                pixels = next(source)
            previous = index
            yield pixels
