# SPDX-License-Identifier: Apache-2.0
"""Make pages upright and flat before they are read; places are mapped back to the page as it came.

Turned pages: a small copy is asked about in four turns, and the turn whose lines have the most probable tokens is
taken. Photographed sheets: the four corners are asked for as points, and the sheet is drawn as a rectangle. Pages with
a text layer are left as they are, because they are drawn upright by their file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import dist

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finesight.apps.crop import Crop, ask_about, crop
from finesight.apps.document.read import PROMPTS, PageImage, ReadOptions, has_ink, read_page
from finesight.apps.document.records import ReadPage, Route
from finesight.apps.document.turned import mapped_page, turned_box
from finesight.apps.scores import score_of
from finesight.conversation import Sampling
from finesight.errors import FinesightError
from finesight.geometry import Box, Point, Size
from finesight.parse.answer import Answer
from finesight.responder import Responder

__all__ = ["CORNERS_PROMPT", "read_upright"]

CORNERS_PROMPT = (
    "point to the four corners of the sheet of paper, output its coordinates in JSON format"
)
"""The official form of questions about points."""

_THUMBNAIL_PIXELS = 512 * 28 * 28
_THUMBNAIL_TOKENS = 96
_LEAST_GAIN = 0.1
"""By how much the mean probability of a turn must be above that of the page as it came."""
_LEAST_SHEET = 0.15
"""Share of a photograph below which four points are no sheet."""


def read_upright(page: PageImage, responder: Responder, options: ReadOptions) -> ReadPage:
    """Read a page after it was made flat and upright, as far as the options ask for it.

    Args:
        page: the page as it came; boxes of the result are in its pixels.
        responder: answers questions about pictures.
        options: how it is read.
    """
    if page.lines or not has_ink(page):
        return read_page(page, responder, options)
    whole = _size(page.pixels)
    flat, to_photo, problems = page, None, []
    if options.is_photo:
        corners, problem = _corners(page, responder)
        problems += [problem] if problem else []
        if corners:
            pixels, to_photo = _flattened(page.pixels, corners)
            flat = replace(page, pixels=pixels)
    turn = 0
    if options.upright:
        turn, problem = _turn(flat, responder, options)
        problems += [problem] if problem else []
    upright = replace(flat, pixels=np.ascontiguousarray(np.rot90(flat.pixels, turn)))
    size = _size(upright.pixels)

    def back(box: Box) -> Box:
        placed = turned_box(box, size, -turn)
        return to_photo(placed).clipped(whole)[0] if to_photo else placed

    read = read_page(upright, responder, options)
    placed = mapped_page(read, whole, back) if turn or to_photo else read
    return replace(placed, turn=turn, problems=(*read.problems, *problems))


def _turn(page: PageImage, responder: Responder, options: ReadOptions) -> tuple[int, str]:
    """Quarter turns, counter-clockwise, that make the page upright, and why it could not be decided."""
    turns = [np.ascontiguousarray(np.rot90(page.pixels, turn)) for turn in range(4)]
    route: Route = "text" if options.route == "text" else "spotting"
    sampling = Sampling(max_new_tokens=_THUMBNAIL_TOKENS, logprobs=0)
    try:
        answers = ask_about(
            responder,
            [_whole(pixels) for pixels in turns],
            PROMPTS[route],
            sampling,
            max_pixels=_THUMBNAIL_PIXELS,
        )
    except FinesightError as error:
        return 0, f"whether the page is upright could not be asked: {error.message}"
    if not any(answer.reply.logprobs for answer in answers):
        return 0, "the page was not turned: the answers have no log-probabilities"
    scores = [_probability(answer, route) for answer in answers]
    best = scores.index(max(scores))
    return (best if scores[best] > scores[0] + _LEAST_GAIN else 0), ""


def _probability(answer: Answer, route: str) -> float:
    """Mean probability of the text that was read; 0 if none was."""
    reply = answer.reply
    if route == "text":
        spans = [(0, len(reply.text))] if reply.text.strip() else []
    else:
        spans = []
        for one in answer.boxes:
            text = one.attributes.get("text_content", "")
            start = reply.text.find(text, one.span[0]) if isinstance(text, str) and text else -1
            if start >= 0:
                spans.append((start, start + len(str(text))))
    means = [score_of(reply, span).parts.get("mean", 0.0) for span in spans]
    return sum(means) / len(means) if means else 0.0


def _corners(page: PageImage, responder: Responder) -> tuple[list[Point], str]:
    """Corners of the sheet from the top left clockwise, or why there are none."""
    sampling = Sampling(max_new_tokens=256)
    try:
        (answer,) = ask_about(responder, [_whole(page.pixels)], CORNERS_PROMPT, sampling)
    except FinesightError as error:
        return [], f"the corners of the sheet could not be asked for: {error.message}"
    points = [one.original for one in answer.points if one.original is not None]
    if len(points) != 4:
        return [], f"the sheet was not straightened: {len(points)} corners were found, not 4"
    middle = Point(sum(one.x for one in points) / 4, sum(one.y for one in points) / 4)
    around = sorted(points, key=lambda one: np.arctan2(one.y - middle.y, one.x - middle.x))
    start = min(range(4), key=lambda index: around[index].x + around[index].y)
    ordered = [*around[start:], *around[:start]]
    share = _area(ordered) / _size(page.pixels).area
    if share < _LEAST_SHEET or not _is_convex(ordered):
        return [], f"the sheet was not straightened: its corners enclose {share:.0%} of the picture"
    return ordered, ""


def _flattened(
    pixels: NDArray[np.uint8], corners: Sequence[Point]
) -> tuple[NDArray[np.uint8], Callable[[Box], Box]]:
    """The sheet as a rectangle, and what maps its boxes to the photograph."""
    sides = [
        dist((first.x, first.y), (second.x, second.y))
        for first, second in zip(corners, [*corners[1:], corners[0]], strict=True)
    ]
    width, height = round(max(sides[0], sides[2])), round(max(sides[1], sides[3]))
    flat = [(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)]
    numbers = _perspective(flat, [(one.x, one.y) for one in corners])
    a, b, c, d, e, f, g, h = numbers
    image = Image.fromarray(pixels).transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        numbers,
        Image.Resampling.BICUBIC,
    )

    def to_photo(box: Box) -> Box:
        edges = [(x, y) for x in (box.x1, box.x2) for y in (box.y1, box.y2)]
        places = [
            ((a * x + b * y + c) / (g * x + h * y + 1), (d * x + e * y + f) / (g * x + h * y + 1))
            for x, y in edges
        ]
        columns, rows = zip(*places, strict=True)
        return Box(min(columns), min(rows), max(columns), max(rows))

    return np.asarray(image), to_photo


def _perspective(
    points: Sequence[tuple[float, float]], targets: Sequence[tuple[float, float]]
) -> list[float]:
    """The eight numbers of the perspective map that takes four points to their targets."""
    rows, values = [], []
    for (x, y), (u, v) in zip(points, targets, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    solution: list[float] = np.linalg.solve(np.array(rows), np.array(values)).tolist()
    return solution


def _area(corners: Sequence[Point]) -> float:
    pairs = zip(corners, [*corners[1:], corners[0]], strict=True)
    return abs(sum(one.x * two.y - two.x * one.y for one, two in pairs)) / 2


def _is_convex(corners: Sequence[Point]) -> bool:
    turns = []
    for index in range(4):
        one, two, three = (corners[(index + step) % 4] for step in range(3))
        turns.append((two.x - one.x) * (three.y - two.y) - (two.y - one.y) * (three.x - two.x))
    return min(turns) > 0 or max(turns) < 0


def _whole(pixels: NDArray[np.uint8]) -> Crop:
    size = _size(pixels)
    return crop(pixels, Box(0, 0, size.width, size.height))


def _size(pixels: NDArray[np.uint8]) -> Size:
    height, width = pixels.shape[:2]
    return Size(width, height)
