# SPDX-License-Identifier: Apache-2.0
"""RefCOCO, RefCOCO+ and RefCOCOg: the box of the object that a phrase describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Build
from finesight.evals.extract.places import FIRST_BOX
from finesight.evals.metrics.boxes import iou
from finesight.evals.tasks.grounding.places import boxes_in_words, corners
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, picture, texts
from finesight.evals.tasks.shared.questions import Question, Wording, template

THRESHOLD = 0.5


def _question(row: Row, folder: Path) -> Sequence[Question]:
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


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """IoU of the first box, 0 without a box, and whether it reaches the threshold."""
    overlap = iou(parsed, truth["box"]) if parsed else 0.0
    return {"hit": float(overlap >= THRESHOLD), "iou": overlap}


ask_paper = template("Locate {text} in this image and output the bbox coordinates in JSON format.")
ask_qwen3 = template(
    'Locate every object that matches the description "{text}" in the image. Report bbox coordinates in JSON format.'
)
REFCOCO = build(
    rows(_question),
    Wording("paper", "the authors of Qwen2.5-VL", ask_paper),
    Wording("qwen3", "the authors of Qwen3-VL", ask_qwen3),
    extractors=(FIRST_BOX,),
    score=_score,
    total=means({"hit": "acc@0.5", "iou": "mean_iou"}),
)
TASKS: Mapping[str, Build] = dict.fromkeys(
    (
        *("refcoco_val", "refcoco_testa", "refcoco_testb"),
        *("refcoco_plus_val", "refcoco_plus_testa", "refcoco_plus_testb"),
        *("refcocog_val", "refcocog_test"),
    ),
    REFCOCO,
)
