# SPDX-License-Identifier: Apache-2.0
"""Words on a screen that lists no elements, read from its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from finesight.apps.crop import ask_about, crop
from finesight.apps.document.read import PROMPTS
from finesight.conversation import Sampling
from finesight.geometry import Box, Point
from finesight.media.image import load_image
from finesight.parse.answer import Answer
from finesight.responder import Responder

__all__ = ["READ", "words_at"]

READ = PROMPTS["text"]
_REACH = ((120, 24), (400, 160))
"""Half the width and height of the crops, in pixels: one for the label itself, one for the text around it."""
_SHOWN_PIXELS = 512 * 28 * 28
_SAMPLING = Sampling(max_new_tokens=256)


def words_at(responder: Responder, screen: Path, point: Point) -> str:
    """Text at a point in the first line, and text around it in the second.

    Args:
        responder: reads the crops.
        screen: file of the screen.
        point: in pixels of the screen.
    """
    pixels = np.asarray(load_image(screen))
    crops = [
        crop(pixels, Box(point.x - wide, point.y - high, point.x + wide, point.y + high))
        for wide, high in _REACH
    ]
    found = ask_about(responder, crops, READ, _SAMPLING, min_pixels=_SHOWN_PIXELS)
    return "\n".join(_line(answer) for answer in found)


def _line(answer: Answer) -> str:
    return " ".join(answer.text.split())
