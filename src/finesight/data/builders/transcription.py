# SPDX-License-Identifier: Apache-2.0
"""Records of text pictures: one question for the text, its transcription, the character positions."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from finesight.data.record import Glyph, Record, Truth

__all__ = ["draw_question", "transcription"]

QUESTIONS: dict[str, float] = {
    "Read all the text in the image.": 0.6,
    "Please output only the text content from the image without any additional descriptions or formatting.": 0.08,
    "What does the text say?": 0.06,
    "What is written in the image?": 0.06,
    "Transcribe the text in the picture.": 0.05,
    "请识别出图中所有的文字。": 0.05,
    "Lies den ganzen Text im Bild.": 0.04,
    "Lis tout le texte de l'image.": 0.03,
    "Lee todo el texto de la imagen.": 0.03,
}
"""Wordings with their weights. The official prompt dominates: a small model should spend its capacity on reading."""


def draw_question(rng: random.Random) -> str:
    """A question for all the text of a picture."""
    return rng.choices(list(QUESTIONS), list(QUESTIONS.values()))[0]


def transcription(
    rng: random.Random,
    *,
    record_id: str,
    image: npt.NDArray[np.uint8],
    rows: Sequence[str],
    glyphs: tuple[Glyph, ...],
    meta: Mapping[str, Any],
) -> Record:
    """A record of a text picture, `uint8[H, W, 3]`, with its rows from top to bottom; `glyphs` are in its pixels."""
    question = draw_question(rng)
    return Record.of_picture(
        id=record_id,
        image=image,
        turns=((question, "\n".join(rows)),),
        truth=Truth(glyphs=glyphs),
        allows=("move", "invert"),
        meta=meta,
    )
