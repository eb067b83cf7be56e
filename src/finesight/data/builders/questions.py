# SPDX-License-Identifier: Apache-2.0
"""Wordings of the questions: the official prompts first, paraphrases beside them."""

from __future__ import annotations

import random

__all__ = ["choose"]

READ_TEXT = (
    "Read all the text in the image.",
    "Please output only the text content from the image without any additional descriptions or formatting.",
    "What does the text say?",
    "What is written in the image?",
    "Transcribe the text in the picture.",
    "请识别出图中所有的文字。",
    "Lies den ganzen Text im Bild.",
    "Lis tout le texte de l'image.",
    "Lee todo el texto de la imagen.",
)
READ_TEXT_WEIGHTS = (0.6, 0.08, 0.06, 0.06, 0.05, 0.05, 0.04, 0.03, 0.03)
"""The official wording rules: a small model should spend its capacity on reading, not on wordings."""


def choose(rng: random.Random, wordings: tuple[str, ...], weights: tuple[float, ...]) -> str:
    """Draw one wording."""
    return rng.choices(wordings, weights)[0]
