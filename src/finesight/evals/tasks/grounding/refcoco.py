# SPDX-License-Identifier: Apache-2.0
"""RefCOCO, RefCOCO+ and RefCOCOg: find the one thing that a phrase means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.places import FIRST_BOX
from finesight.evals.metrics.boxes import iou
from finesight.evals.tasks.grounding.places import boxes_in_words, corners
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, picture, reader, split_files, texts
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

COLUMNS = {
    "id": ("question_id", "ref_id", "index", "id"),
    "image": ("image",),
    "phrases": ("answer", "sentences", "expressions", "caption"),
    "box": ("bbox", "solution"),
}
OPTIONAL = {"file": ("file_name", "image_path")}
THRESHOLD = 0.5
SPLITS = {
    ("refcoco", "RefCOCO", "RefCOCO"): {
        "val": "73.2 90.6 - 93.7 92.7 90.0 89.1",
        "testA": "72.9 93.2 - 95.6 94.6 92.5 91.7",
        "testB": "74.6 88.2 - 92.5 89.7 85.4 84.0",
    },
    ("refcoco_plus", "RefCOCO+", "RefCOCOplus"): {
        "val": "62.5 88.2 - 90.4 88.9 84.2 82.4",
        "testA": "63.9 89.0 - 94.7 92.2 89.1 88.0",
        "testB": "65.0 75.9 - 86.9 83.7 76.9 74.1",
    },
    ("refcocog", "RefCOCOg", "RefCOCOg"): {
        "val": "75.2 86.1 - 92.7 89.9 87.2 85.2",
        "test": "76.2 87.0 - 92.2 90.3 87.2 85.7",
    },
}


def question(row: Row, folder: Path) -> Sequence[Question]:
    """One question per phrase of a row."""
    box, shown = corners(row["box"]), picture(row["image"], folder, folder / "images")
    place = f"{row.get('file', row['id'])} {' '.join(f'{value:g}' for value in box)}"
    return [
        Question(
            id=f"{place} {phrase}",
            text=phrase.strip().rstrip("."),
            truth={"box": box},
            oracle=boxes_in_words([box], phrase),
            media=(shown,),
            cluster=str(row.get("file", row["id"])),
        )
        for phrase in dict.fromkeys(texts(row["phrases"]))
    ]


def ask_paper(asked: Question) -> list[Piece]:
    """The wording the authors gave on request."""
    words = f"Locate {asked.text} in this image and output the bbox coordinates in JSON format."
    return [*asked.media, words]


def ask_qwen3(asked: Question) -> list[Piece]:
    """The wording of the next model."""
    wish = f'Locate every object that matches the description "{asked.text}" in the image.'
    return [*asked.media, f"{wish} Report bbox coordinates in JSON format."]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Overlap of the first box, and whether it reaches a half; no box overlaps nothing."""
    overlap = iou(parsed, truth["box"]) if parsed else 0.0
    return {"hit": float(overlap >= THRESHOLD), "iou": overlap}


def _task(name: str, title: str, folder: str, split: str, published: str) -> Task:
    files = tuple(f"{folder}/{file}" for file in split_files(split))
    questions = reader((*files, *split_files(split)), COLUMNS, question, optional=OPTIONAL)
    return Task(
        name=f"{name}_{split.lower()}",
        title=f"{title} {split}",
        source="ReferItGame and RefCOCO, arXiv 1608.00272; RefCOCOg, arXiv 1511.02283",
        layout=f"the folder {folder} of lmms-lab with {split}-*.parquet, or those files themselves: question_id, image,"
        " answer (a list of phrases), bbox as x, y, width, height in pixels, file_name",
        prompts=(
            prompt("paper", "the authors of Qwen2.5-VL", questions, ask_paper),
            prompt("qwen3", "the authors of Qwen3-VL", questions, ask_qwen3),
        ),
        sampling=Sampling(max_new_tokens=256),
        extractors=(FIRST_BOX,),
        score=score,
        aggregate=joined(average("hit", name="acc@0.5"), average("iou", name="mean_iou")),
        main="acc@0.5",
        published=report_tables.row(report_tables.GROUNDING, published),
        notes=(
            "the first box of the answer counts, and an overlap of exactly a half is a hit",
            "every phrase is a question; a copy that repeats rows repeats questions, which are reported as repeated",
            "the prompt alone moves a 3B model by several points",
        ),
    )


TASKS = tuple(
    _task(*names, split, published)
    for names, splits in SPLITS.items()
    for split, published in splits.items()
)
