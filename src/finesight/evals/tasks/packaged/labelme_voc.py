# SPDX-License-Identifier: Apache-2.0
"""Object detection on three photographs of VOC2011 with the boxes of labelme's examples, one question per category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Item
from finesight.evals.extract.places import ALL_BOXES
from finesight.evals.tasks.grounding import odinw13
from finesight.evals.tasks.shared.build import build
from finesight.evals.tasks.shared.columns import find, read_rows
from finesight.evals.tasks.shared.questions import Question, Wording


def _questions(benchmark: Benchmark, folder: Path) -> Iterator[Question | Item]:
    """One question per photograph and category, also for categories without a box."""
    path = find(folder, *benchmark.files)[0]
    make = odinw13.question_maker("labelme", path, one_per_category=True)
    yield from read_rows(benchmark, path.parent, make, files=(path.name,))


TASKS: Mapping[str, Build] = {
    "labelme_voc": build(
        _questions,
        Wording("paper", "the report's wording for detection", odinw13.ask_paper),
        extractors=(ALL_BOXES,),
        score=odinw13.score,
        aggregate=odinw13.aggregate,
    )
}
