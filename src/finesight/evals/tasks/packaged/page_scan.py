# SPDX-License-Identifier: Apache-2.0
"""A photographed page of scikit-image with its text, read off it by eye: unevenly lit, and curved at its edge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from PIL import Image

from finesight.conversation import ImagePart
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.tasks.packaged import copies, ocr_scans
from finesight.evals.tasks.shared.questions import Question, prompts

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


def build(benchmark: Benchmark) -> Task:
    """Asked and scored as the scans."""
    return benchmark.task(
        prompts(questions, ocr_scans.READ),
        (WHOLE_TEXT,),
        ocr_scans.score,
        ocr_scans.total(by=benchmark.by),
    )


TASKS: Mapping[str, Build] = {"page_scan": build}
