# SPDX-License-Identifier: Apache-2.0
"""OCR of scanned pages of tesseract-ocr/test, upright and rotated, and of a photographed page of scikit-image.

The photograph was transcribed by hand; it is unevenly lit, and curved at its edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.core.rows import broken_item
from finesight.evals.core.task import Item
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.chars import cer_capped, wer_capped
from finesight.evals.tasks.packaged.copies import needed
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import build, whole
from finesight.evals.tasks.shared.questions import Question, Read, Wording, template

QUESTION = "Read all the text in the image."
SCANS = {
    "eurotext.tif": ("eurotext.txt", "upright"),
    "phototest.tif": ("phototest.gold.txt", "upright"),
    "phototest-rotated-180.png": ("phototest.gold.txt", "upside down"),
    "phototest-rotated-L.png": ("phototest.gold.txt", "turned left"),
    "phototest-rotated-R.png": ("phototest.gold.txt", "turned right"),
}
"""Picture -> file of its text, and its orientation."""
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
"""Part of the page -> its box in pixels of page.png, and its text. Below 148 a line is cut off."""


def questions(folder: Path) -> Iterator[Question | Item]:
    """One question per scan in the folder.

    Raises:
        EvalError: there is none.
    """
    found = [name for name in SCANS if (folder / name).is_file()]
    if not found:
        raise EvalError(
            f"{folder} holds none of {', '.join(SCANS)}",
            hint="give the folder with the scans of tesseract-ocr/test; nothing is downloaded",
        )
    for name in found:
        text_file, turn = SCANS[name]
        try:
            text = (folder / text_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            yield broken_item(name, f"text {text_file} cannot be read: {error}")
            continue
        page = text_file.partition(".")[0]
        yield Question(
            id=name,
            text=QUESTION,
            truth={"text": text.strip()},
            oracle=text,
            media=(ImagePart(source=folder / name),),
            cluster=page,
            tags={"page": page, "turn": turn},
        )


def _page_questions(folder: Path) -> Iterator[Question]:
    with Image.open(needed(folder, "page.png")) as opened:
        page = opened.convert("RGB")
    for name, (box, text) in PARTS.items():
        yield Question(
            id=name,
            text=QUESTION,
            truth={"text": text},
            oracle=text,
            media=(ImagePart(source=page.crop(box)),),
            cluster="page.png",
            tags={"part": name},
        )


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Character and word error rates, at most 1; whitespace is normalised to single blanks."""
    pred, gold = (" ".join(str(text or "").split()) for text in (parsed, truth["text"]))
    return {"cer": cer_capped(pred, gold), "wer": wer_capped(pred, gold)}


TOTAL = means({"cer": "cer", "wer": "wer"}, failed=1.0)
ONLY_TEXT = "Please output only the text content from the image without any additional descriptions or formatting."
OFFICIAL = "official wording of Qwen2.5-VL's OCR examples"
READ = Wording("read", OFFICIAL, template())


def scans(read: Read, *wordings: Wording) -> Build:
    """A benchmark of these questions with these prompts."""
    return build(whole(read), *wordings, extractors=(WHOLE_TEXT,), score=_score, total=TOTAL)


TASKS: Mapping[str, Build] = {
    "ocr_scans": scans(questions, READ, Wording("only-text", OFFICIAL, template(ONLY_TEXT))),
    "page_scan": scans(_page_questions, READ),
}
