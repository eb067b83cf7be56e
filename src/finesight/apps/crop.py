# SPDX-License-Identifier: Apache-2.0
"""Ask about parts of a picture, with answers in pixels of the whole picture.

A crop has its own resize when the model sees it: coordinates of an answer go from the model's pixels to those of the
crop by that resize, and from there to the picture by the corner of the crop.

Worked example: a crop of (100, 50, 300, 150) is shown at twice its size, and the answer has a box (20, 10, 60, 30) in
the model's pixels. It is (10, 5, 30, 15) in the crop and (110, 55, 130, 65) in the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import TYPE_CHECKING

from finesight.conversation import Conversation, ImagePart, Message, Sampling, TextPart
from finesight.errors import ConfigError, LayoutError
from finesight.geometry import Box, Point, Size
from finesight.parse.answer import Answer, read_answer
from finesight.parse.document import Block
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Crop", "ask_about", "crop", "in_picture"]


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture.

    Attributes:
        pixels: uint8[h, w, 3], the part.
        box: its place in the picture, in whole pixels.
        picture: size of the whole picture.
        is_whole: whether the wanted part was inside the picture; False if a side was cut off.
    """

    pixels: NDArray[np.uint8]
    box: Box
    picture: Size
    is_whole: bool = True

    def point(self, point: Point) -> Point:
        """A point of the crop, in pixels of the picture."""
        return Point(point.x + self.box.x1, point.y + self.box.y1)

    def to_picture(self, box: Box) -> Box:
        """A box of the crop, in pixels of the picture."""
        left, top = self.box.x1, self.box.y1
        return Box(box.x1 + left, box.y1 + top, box.x2 + left, box.y2 + top)


def crop(pixels: NDArray[np.uint8], box: Box, *, margin: float = 0.0) -> Crop:
    """Cut a part out of a picture.

    Args:
        pixels: uint8[H, W, 3], the picture.
        box: the part, in pixels of the picture; its edges are rounded outwards.
        margin: what is added on each side, as a share of the longer side of the box.

    Raises:
        LayoutError: the part has no pixel inside the picture.
    """
    height, width = pixels.shape[:2]
    more = margin * max(box.width, box.height)
    wanted = Box(
        floor(box.x1 - more), floor(box.y1 - more), ceil(box.x2 + more), ceil(box.y2 + more)
    )
    inside, is_cut = wanted.clipped(Size(width, height))
    if inside.area <= 0:
        raise LayoutError(
            f"the part ({box.x1:g}, {box.y1:g}, {box.x2:g}, {box.y2:g}) has no pixel inside the picture of "
            f"{width} x {height}",
            hint="boxes are x1, y1, x2, y2 in pixels of the original picture",
        )
    rows, columns = slice(int(inside.y1), int(inside.y2)), slice(int(inside.x1), int(inside.x2))
    return Crop(pixels[rows, columns], inside, Size(width, height), not is_cut)


def ask_about(
    responder: Responder,
    crops: Sequence[Crop],
    question: str | Callable[[int], str],
    sampling: Sampling,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> list[Answer]:
    """Ask a question about each crop, all at once.

    Args:
        responder: answers the questions.
        crops: parts of pictures.
        question: one for all, or the question of each index.
        sampling: of all answers.
        min_pixels: least area at which a crop is shown; a small crop is enlarged.
        max_pixels: largest area at which a crop is shown.

    Returns:
        One answer for each crop, with boxes and points in pixels of the whole picture.

    Raises:
        ConfigError: the replies do not have the size at which the model saw the picture.
    """
    asked = [
        Conversation(
            (
                Message(
                    "user",
                    (
                        ImagePart(source=one.pixels, min_pixels=min_pixels, max_pixels=max_pixels),
                        TextPart(question if isinstance(question, str) else question(index)),
                    ),
                ),
            )
        )
        for index, one in enumerate(crops)
    ]
    replies = responder.respond(asked, sampling)
    if any(not reply.media for reply in replies):
        raise ConfigError(
            "the replies do not have the size at which the picture was seen, so that places cannot be mapped back",
            hint="give the endpoint a function `fit`, which decides on that size",
        )
    return [
        in_picture(read_answer(reply, media_index=0), one)
        for reply, one in zip(replies, crops, strict=True)
    ]


def in_picture(answer: Answer, crop: Crop) -> Answer:
    """The answer about a crop, with all places in pixels of the whole picture.

    Only `original` of boxes and points and `box` of blocks change; the pixels that the model saw stay.
    """
    page = answer.document
    return replace(
        answer,
        boxes=tuple(
            replace(one, original=crop.to_picture(one.original)) if one.original else one
            for one in answer.boxes
        ),
        points=tuple(
            replace(one, original=crop.point(one.original)) if one.original else one
            for one in answer.points
        ),
        document=page
        and replace(page, blocks=tuple(_block_in_picture(block, crop) for block in page.blocks)),
    )


def _block_in_picture(block: Block, crop: Crop) -> Block:
    return replace(
        block,
        box=block.box and crop.to_picture(block.box),
        children=tuple(_block_in_picture(child, crop) for child in block.children),
    )
