# SPDX-License-Identifier: Apache-2.0
"""Second questions about things that were found: about the crop of each, or about the picture with a box drawn in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PIL import Image

from finesight.apps.crop import crop
from finesight.apps.evidence import Found, Score
from finesight.apps.grounding.detect import Search
from finesight.apps.grounding.prompts import MARKED_PROMPT, PRESENT_PROMPT, bare, definite
from finesight.apps.grounding.records import Thing, corners
from finesight.apps.grounding.tile import CELL
from finesight.apps.yes_no import ask_yes_no
from finesight.conversation import Conversation, ImagePart, Message, TextPart
from finesight.geometry import Box
from finesight.responder import Responder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["check_crops", "choose", "is_present", "judged", "yes_no_about"]

MARGIN = 0.3
"""What the crop of a thing shows around it, as a share of its longer side."""
MOST_CANDIDATES = 8
"""Candidates for one phrase that are compared, best first."""
_RED = (255, 0, 0)


def yes_no_about(
    responder: Responder,
    pictures: Sequence[NDArray[np.uint8]],
    questions: Sequence[str],
    search: Search,
) -> list[Found[bool]]:
    """Ask a yes/no question about each picture, as large as a crop is shown.

    Args:
        responder: answers.
        pictures: uint8[H, W, 3] each.
        questions: one for each.
        search: its pixel budget; small pictures are enlarged to a sixteenth of its least area.
    """
    least = None if search.min_pixels is None else search.min_pixels // 16
    parts = (
        ImagePart(source=pixels, min_pixels=least, max_pixels=search.max_pixels)
        for pixels in pictures
    )
    asked = [
        Conversation((Message("user", (part, TextPart(question))),))
        for part, question in zip(parts, questions, strict=True)
    ]
    return ask_yes_no(responder, asked)


def check_crops(
    responder: Responder,
    pixels: NDArray[np.uint8],
    things: Sequence[Thing],
    search: Search,
    question: Callable[[Thing], str] = lambda thing: PRESENT_PROMPT.format(
        phrase=bare(thing.label)
    ),
) -> tuple[list[Thing], list[Thing]]:
    """Ask about the crop of each thing, with a margin around it, whether it is one.

    Args:
        responder: answers.
        pixels: uint8[H, W, 3], the picture.
        things: of one label.
        search: its pixel budget.
        question: about a thing.

    Returns:
        Those that are confirmed, with P(yes) as their score, and those that are denied. A thing whose question has no
        readable answer is kept, with a problem.
    """
    kept: list[Thing] = []
    denied: list[Thing] = []
    crops = [crop(pixels, _extent(thing), margin=MARGIN).pixels for thing in things]
    verdicts = yes_no_about(responder, crops, [question(thing) for thing in things], search)
    for thing, verdict in zip(things, verdicts, strict=True):
        (denied if verdict.value is False else kept).append(judged(thing, verdict))
    return kept, denied


def choose(
    responder: Responder,
    pixels: NDArray[np.uint8],
    things: Sequence[Thing],
    phrase: str,
    search: Search,
) -> tuple[list[Thing], list[Thing]]:
    """The one thing that a phrase describes, by a question about the picture with a red box around each candidate.

    The whole picture is shown, since a phrase may tell a relation ("left of the door").

    Returns:
        The chosen thing, or nothing if all are denied; and the others.
    """
    ranked = sorted(things, key=lambda one: -(one.score.value or 0.0))
    tried, others = ranked[:MOST_CANDIDATES], ranked[MOST_CANDIDATES:]
    question = MARKED_PROMPT.format(phrase=definite(phrase))
    marked = [marked_picture(pixels, _extent(thing), search.max_pixels) for thing in tried]
    verdicts = yes_no_about(responder, marked, [question] * len(marked), search)
    marked_things = [judged(thing, verdict) for thing, verdict in zip(tried, verdicts, strict=True)]
    # A confirmed one, then one without an answer, then a denied one; of equals the more probable.
    places = sorted(
        range(len(marked_things)),
        key=lambda index: (
            {True: 0, None: 1, False: 2}[verdicts[index].value],
            -(marked_things[index].score.value or 0.0),
        ),
    )
    rest = [
        _with_problem(marked_things[index], "another candidate fits better") for index in places[1:]
    ]
    rest += [_with_problem(one, f"more than {MOST_CANDIDATES} candidates") for one in others]
    best = marked_things[places[0]]
    return ([], [best, *rest]) if verdicts[places[0]].value is False else ([best], rest)


def is_present(
    responder: Responder, pixels: NDArray[np.uint8], phrase: str, search: Search
) -> Found[bool]:
    """Whether the whole picture shows a thing, by a yes/no question."""
    question = PRESENT_PROMPT.format(phrase=bare(phrase))
    return yes_no_about(responder, [pixels], [question], search)[0]


def marked_picture(pixels: NDArray[np.uint8], box: Box, max_pixels: int) -> NDArray[np.uint8]:
    """A copy of a picture with a red box around a place, shrunk to `max_pixels` if it is larger."""
    import numpy as np

    height, width = pixels.shape[:2]
    scale = min(1.0, (max_pixels / (height * width)) ** 0.5)
    copy = Image.fromarray(pixels)
    if scale < 1.0:
        copy = copy.resize((max(1, round(width * scale)), max(1, round(height * scale))))
    shown = np.array(copy.convert("RGB"))
    line = max(2, round(min(shown.shape[:2]) / 200))
    rows = (max(0, round(box.y1 * scale) - line), min(shown.shape[0], round(box.y2 * scale) + line))
    columns = (
        max(0, round(box.x1 * scale) - line),
        min(shown.shape[1], round(box.x2 * scale) + line),
    )
    for start, end in ((rows[0], rows[0] + line), (rows[1] - line, rows[1])):
        shown[start:end, columns[0] : columns[1]] = _RED
    for start, end in ((columns[0], columns[0] + line), (columns[1] - line, columns[1])):
        shown[rows[0] : rows[1], start:end] = _RED
    return shown


def _extent(thing: Thing) -> Box:
    """The box of a thing; of a point, a square of four visual tokens around it."""
    x1, y1, x2, y2 = corners(thing)
    more = 0.0 if thing.evidence.box else CELL * thing.step
    return Box(x1 - more, y1 - more, x2 + more, y2 + more)


def judged(thing: Thing, verdict: Found[bool]) -> Thing:
    """The thing with the outcome of its question."""
    if verdict.value is None:
        reason = "; ".join(verdict.problems)
        return _with_problem(thing, f"it could not be verified: {reason}")
    parts = {**thing.score.parts, **verdict.score.parts}
    judged = replace(thing, score=Score(verdict.score.value, "yes_no", parts))
    return judged if verdict.value else _with_problem(judged, "a question about it was answered no")


def _with_problem(thing: Thing, problem: str) -> Thing:
    return replace(thing, problems=(*thing.problems, problem))
