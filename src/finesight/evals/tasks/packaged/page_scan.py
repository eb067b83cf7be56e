# SPDX-License-Identifier: Apache-2.0
"""A photographed page of scikit-image with its text, read off it by eye: unevenly lit, and curved at its edge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from finesight.conversation import ImagePart, Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.tasks.packaged import copies, ocr_scans
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.questions import Question, prompt

HEADING = "Region-based segmentation"
LINES = (
    "Let us first determine markers of the coins and the",
    "background. These markers are pixels that we can label",
    "unambiguously as either object or background. Here,",
    "the markers are found at the two extreme parts of the",
    "histogram of grey values:",
)
PARTS = {
    "heading": ((0, 6, 384, 36), HEADING),
    "paragraph": ((0, 44, 384, 140), "\n".join(LINES)),
    "both": ((0, 0, 384, 148), "\n".join((HEADING, *LINES))),
}
"""Part of the page -> its box in pixels of page.png, and its text. Below 148 a line is cut off: it is never shown."""


def questions(folder: Path) -> Iterator[Question]:
    """One question per part of the page.

    Raises:
        EvalError: the page is not there.
    """
    with Image.open(copies.needed(folder, "page.png")) as opened:
        page = opened.convert("RGB")
    for name, (box, text) in PARTS.items():
        yield Question(
            id=name,
            text=ocr_scans.QUESTION,
            truth={"text": text},
            oracle=text,
            media=(ImagePart(source=page.crop(box)),),
            cluster="page.png",
            tags={"part": name},
        )


TASKS = (
    Task(
        name="page_scan",
        title="Photographed page of scikit-image",
        source="scikit-image 0.26, skimage/data/page.png",
        layout="page.png of scikit-image: its data folder, as scripts/fetch_real_data.py leaves it in skimage/",
        prompts=(
            prompt(
                "read",
                "official wording of Qwen2.5-VL's OCR examples",
                questions,
                open_questions.ending(""),
            ),
        ),
        sampling=Sampling(max_new_tokens=512),
        extractors=(WHOLE_TEXT,),
        score=ocr_scans.score,
        aggregate=joined(
            average("cer", name="cer", by=("part",), failed=1.0),
            average("wer", name="wer", failed=1.0),
        ),
        main="cer",
        higher_is_better=False,
        notes=(
            f"{copies.NOT_PRINTED}: three cuts of one page, read by eye",
            "mean over cuts of edits over characters, at most 1 each; lower is better",
            "text.png beside it shows handwritten formulas without an agreed transcription and is not asked",
        ),
    ),
)
