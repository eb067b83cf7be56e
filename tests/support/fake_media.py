# SPDX-License-Identifier: Apache-2.0
"""Media of which only the size exists, put in the place of the real readers by a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from finesight.config.processor import ProcessorConfig
from finesight.conversation import VideoPart
from finesight.geometry import Clock, Size
from finesight.media.sampling import smart_nframes
from tests.support.drawn_cases import DrawnCase


@dataclass(frozen=True)
class FakeClip:
    """Stands for `media.video.VideoClip`: evenly sampled, gray frames."""

    size: Size
    num_frames: int
    sample_fps: float
    notes: tuple[str, ...] = ()

    @property
    def clock(self) -> Clock:
        """The reference's clock: evenly spaced."""
        times = tuple(index / self.sample_fps for index in range(self.num_frames))
        return Clock(model_seconds=times, source_seconds=times)

    def frames(self) -> Iterator[np.ndarray]:
        """Frames with their number in every value."""
        for index in range(self.num_frames):
            yield np.full((self.size.height, self.size.width, 3), index % 256, dtype=np.uint8)


def use_sizes_of(monkeypatch, case: DrawnCase) -> None:
    """Let the processor see the media of a drawn case."""

    def open_video(part: VideoPart, config: ProcessorConfig, policy: None) -> FakeClip:
        video = case.videos[str(part.source)]
        count = smart_nframes(
            video.total_frames,
            video.source_fps,
            fps=config.fps if part.fps is None else float(part.fps),
            nframes=part.nframes,
            min_frames=config.min_frames if part.min_frames is None else part.min_frames,
            max_frames=part.max_frames,
        )
        fps = count / max(video.total_frames, 1e-6) * video.source_fps
        return FakeClip(Size(video.width, video.height), count, fps)

    fakes = {
        "open_video": open_video,
        "at_hand": lambda source, policy: source,
        "image_size": lambda source: Size(*case.images[source]),
        "picture_notes": lambda source, page: (),
        "source_name": str,
    }
    for name, fake in fakes.items():
        home = "media.video" if name == "open_video" else "processor.prepare"
        monkeypatch.setattr(f"finesight.{home}.{name}", fake)
