# SPDX-License-Identifier: Apache-2.0
"""Scanned pages of tesseract-ocr/test with their text, upright and turned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart, Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.chars import cer_capped, wer_capped
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.questions import Broken, Question, prompt

QUESTION = "Read all the text in the image."
SCANS = {
    "eurotext.tif": ("eurotext.txt", "upright"),
    "phototest.tif": ("phototest.gold.txt", "upright"),
    "phototest-rotated-180.png": ("phototest.gold.txt", "upside down"),
    "phototest-rotated-L.png": ("phototest.gold.txt", "turned left"),
    "phototest-rotated-R.png": ("phototest.gold.txt", "turned right"),
}
"""Picture -> file of its text, and how it is turned."""


def questions(folder: Path) -> Iterator[Question | Broken]:
    """One question per scan that is there.

    Raises:
        EvalError: the folder holds none of the scans.
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
            yield Broken(name, f"text {text_file} cannot be read: {error}")
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


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Errors by characters and by words, each 1 at most; runs of blanks and line ends count as one blank."""
    said, gold = (" ".join(str(text or "").split()) for text in (parsed, truth["text"]))
    return {"cer": cer_capped(said, gold), "wer": wer_capped(said, gold)}


TASKS = (
    Task(
        name="ocr_scans",
        title="Scans of tesseract-ocr/test",
        source="github.com/tesseract-ocr/test, Apache-2.0",
        layout="eurotext.tif with eurotext.txt; phototest.tif and phototest-rotated-180.png, -L.png, -R.png with"
        " phototest.gold.txt; those that are there are asked",
        prompts=(
            prompt(
                "read",
                "official wording of Qwen2.5-VL's OCR examples",
                questions,
                open_questions.ending(""),
            ),
            prompt(
                "only-text",
                "official wording of Qwen2.5-VL's OCR examples",
                questions,
                lambda question: [
                    *question.media,
                    "Please output only the text content from the image without any additional"
                    " descriptions or formatting.",
                ],
            ),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(WHOLE_TEXT,),
        score=score,
        aggregate=joined(
            average("cer", name="cer", by=("page", "turn"), failed=1.0),
            average("wer", name="wer", failed=1.0),
        ),
        main="cer",
        higher_is_better=False,
        notes=(
            "no number of this is in the report, nor elsewhere: five pictures of two pages",
            "mean over scans of edits over characters, at most 1 each; lower is better",
            "hebrew.png of the same project comes without its text and is not asked",
        ),
    ),
)
