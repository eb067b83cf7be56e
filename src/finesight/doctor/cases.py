# SPDX-License-Identifier: Apache-2.0
"""Test conversations of `finesight doctor`: odd sizes, several pictures, video, text alone.

Pictures are noise from a fixed seed: all patches differ, so that rows in different orders can be
matched, and no error is hidden by a uniform area.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from finesight.conversation import Conversation, ImagePart, Message, Part, TextPart, VideoPart


def check_conversations() -> dict[str, Conversation]:
    """Conversations by name, small enough for the largest model."""
    return {
        "text alone": _ask(TextPart("How many days has a leap year?")),
        "odd picture": _ask(_picture(0, 203, 99), TextPart("What is this?")),
        "many windows": _ask(_picture(1, 394, 310), TextPart("Read all the text in the image.")),
        "narrow picture": _ask(_picture(2, 30, 600), TextPart("What is this?")),
        "three pictures": _ask(
            *(_picture(3, 61, 140), TextPart("and"), _picture(4, 113, 113)),
            *(_picture(5, 300, 57), TextPart("Compare them.")),
        ),
        "video": _ask(_video(6, 6, 330, 61, sample_fps=1.5), TextPart("What happens?")),
        "picture and video": _ask(
            _picture(7, 90, 150), _video(8, 3, 60, 60, sample_fps=4.0), TextPart("When?")
        ),
    }


def _ask(*parts: Part) -> Conversation:
    return Conversation((Message("user", parts),))


def _picture(seed: int, width: int, height: int) -> ImagePart:
    return ImagePart(source=_noise(np.random.default_rng(seed), width, height))


def _video(seed: int, num_frames: int, width: int, height: int, *, sample_fps: float) -> VideoPart:
    """A list of noise frames whose width exceeds its length in positions.

    Text after a video starts after the largest position of time, row or column. transformers 5
    ignores the time positions, so the videos here are too short for that to matter.
    """
    rng = np.random.default_rng(seed)
    frames = tuple(_noise(rng, width, height) for _ in range(num_frames))
    return VideoPart(
        source=frames, sample_fps=sample_fps, min_pixels=4 * 28 * 28, max_pixels=16 * 28 * 28
    )


def _noise(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
