# SPDX-License-Identifier: Apache-2.0
"""Three photographs of VOC2011 with boxes of labelme's examples: every category is asked on every photograph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finesight.conversation import Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.places import ALL_BOXES
from finesight.evals.tasks.grounding import odinw, odinw13
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.shared.columns import find, reader
from finesight.evals.tasks.shared.questions import Broken, Question, prompt

FILES = (
    "instance_segmentation/data_dataset_coco/annotations.json",
    "data_dataset_coco/annotations.json",
    "annotations.json",
)


def questions(folder: Path) -> Iterator[Question | Broken]:
    """One question per photograph and category, also where there is none of it."""
    path = find(folder, *FILES)[0]
    make = odinw.question_maker("labelme", odinw.used_categories(path), one_per_category=True)
    yield from reader((path.name,), odinw.COLUMNS, make)(path.parent)


TASKS = (
    Task(
        name="labelme_voc",
        title="Boxes of labelme's examples on VOC2011",
        source="labelme 5.1.1, examples/instance_segmentation/data_dataset_coco",
        layout="examples/ of labelme, as scripts/fetch_real_data.py leaves it in labelme/: annotations.json in COCO's"
        " form below instance_segmentation/data_dataset_coco, its pictures in JPEGImages beside it",
        prompts=(
            prompt("paper", "the report's wording for detection", questions, odinw13.ask_paper),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(ALL_BOXES,),
        score=odinw13.score,
        aggregate=odinw13.aggregate,
        main="f1",
        notes=(
            f"{copies.NOT_PRINTED}: 12 boxes of six kinds on three photographs",
            "f1 at an overlap of a half over all boxes; map, beside it, swings with every box of so few",
            "these photographs are training pictures of many detectors",
        ),
    ),
)
