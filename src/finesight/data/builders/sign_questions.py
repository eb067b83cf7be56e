# SPDX-License-Identifier: Apache-2.0
"""Questions about pieces of text in a picture: all of it, the piece at a place, boxes of rows, the box of one row.

The first question is always for all the text. Boxes are in the official form: a fenced JSON list with `bbox_2d` in
pixels of the picture, and `text_content`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from finesight.data.builders.scene_questions import SPOTTING, Turn, fenced, row_of
from finesight.data.builders.sign_layout import Layout
from finesight.errors import ConfigError

__all__ = ["Sign", "ask_signs"]

NO_TEXT = "The picture does not show any text."
PLACES: dict[Layout, tuple[str, ...]] = {
    "column": ("at the top", "at the bottom"),
    "row": ("on the left", "on the right"),
    "corners": ("at the top left", "at the top right", "at the bottom left", "at the bottom right"),
}
"""Names of places, in reading order: the first and the last piece, or all four."""
AT_PLACE = (
    "What is written {place}?",
    "What does the text {place} say?",
    "Read the text {place} of the image.",
)
FIND_TEXT = (
    'Locate the text "{text}", output its bbox coordinates using JSON format.',
    'Where does the image say "{text}"? Output the bbox coordinates in JSON format.',
)


@dataclass(frozen=True, slots=True)
class Sign:
    """One row of text.

    Attributes:
        piece: number of its piece.
        text: its characters.
        box: `(x1, y1, x2, y2)` in whole pixels.
    """

    piece: int
    text: str
    box: tuple[int, int, int, int]


def ask_signs(
    rng: random.Random, question: str, signs: Sequence[Sign], layout: Layout, absent: str
) -> list[Turn]:
    """One to four questions; the first is `question`, for all the text.

    Args:
        rng: random generator.
        question: asks for all the text.
        signs: rows in reading order; none gives answers that there is no text.
        layout: arrangement of the pieces.
        absent: a text that the picture does not show, unless by chance.
    """
    if not signs:
        place = rng.choice(AT_PLACE).format(place=rng.choice(PLACES[layout]))
        return [
            Turn(question, NO_TEXT, {"kind": "read"}),
            Turn(place, NO_TEXT, {"kind": "absent"}),
        ]
    turns = [Turn(question, "\n".join(sign.text for sign in signs), {"kind": "read"})]
    pieces = signs[-1].piece + 1
    if pieces > 1:
        turns += _at_places(rng, signs, layout)
    if len(signs) <= 4 and rng.random() < (0.4 if pieces > 1 else 0.12):
        rows = [row_of("bbox_2d", sign.box, "text_content", sign.text) for sign in signs]
        turns.append(Turn(rng.choice(SPOTTING), fenced(rows), {"kind": "spotting"}))
    if rng.random() < (0.35 if pieces > 1 else 0.1):
        turns.append(_find(rng, signs, absent))
    return turns


def _at_places(rng: random.Random, signs: Sequence[Sign], layout: Layout) -> list[Turn]:
    """One or two questions for the piece at a place."""
    pieces = signs[-1].piece + 1
    if layout == "corners" and pieces != 4:
        raise ConfigError(f"the layout 'corners' has {pieces} pieces, expected 4")
    numbers = range(4) if layout == "corners" else (0, pieces - 1)
    turns = []
    for name, number in rng.sample(
        list(zip(PLACES[layout], numbers, strict=True)), rng.randint(1, 2)
    ):
        answer = "\n".join(sign.text for sign in signs if sign.piece == number)
        turns.append(
            Turn(
                rng.choice(AT_PLACE).format(place=name),
                answer,
                {"kind": "read_place", "name": name},
            )
        )
    return turns  # fmt: skip


def _find(rng: random.Random, signs: Sequence[Sign], absent: str) -> Turn:
    """The boxes of the rows with one text; in a fifth of the draws of a text that is not there."""
    is_shown = any(absent.casefold() in sign.text.casefold() for sign in signs)
    text = absent if rng.random() < 0.2 and not is_shown else rng.choice(signs).text
    rows = [
        row_of("bbox_2d", sign.box, "text_content", sign.text)
        for sign in signs
        if sign.text == text
    ]
    question = rng.choice(FIND_TEXT).format(text=text)
    answer = fenced(rows) if rows else f'The picture does not show the text "{text}".'
    return Turn(question, answer, {"kind": "find_text", "name": text})
