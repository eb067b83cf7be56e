# SPDX-License-Identifier: Apache-2.0
"""Counting ancient coins on a photograph of scikit-image: all 24, whole rows, and the first coins of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from PIL import Image

from finesight.conversation import ImagePart
from finesight.evals.core.benchmark import Build
from finesight.evals.extract.numbers import LAST_NUMBER
from finesight.evals.tasks.grounding import countbench
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.shared.build import build, whole
from finesight.evals.tasks.shared.questions import Question, Wording, template

QUESTION = "How many coins are there in the image?"
PER_ROW = 6
EDGES = (0, 83, 150, 225, 303)
"""Boundaries of the four rows of six coins, in pixels from the top."""
GAPS = (
    (74, 126, 186, 247, 301),
    (75, 128, 180, 236, 307),
    (71, 130, 182, 244, 306),
    (83, 140, 210, 272, 331),
)
"""Boundaries between the coins of each row, in pixels from the left."""


def cuts(width: int) -> Iterator[tuple[tuple[int, int, int, int], int]]:
    """Boxes that cut no coin of a picture of this width, each with its number of coins."""
    for first, last in combinations(range(len(EDGES)), 2):
        yield (0, EDGES[first], width, EDGES[last]), PER_ROW * (last - first)
    for row, gaps in enumerate(GAPS):
        for count, gap in enumerate(gaps[1:], 2):
            yield (0, EDGES[row], gap, EDGES[row + 1]), count


def _questions(folder: Path) -> Iterator[Question]:
    """One question per box, in an order that mixes small and large numbers."""
    with Image.open(copies.needed(folder, "coins.png")) as opened:
        picture = opened.convert("RGB")
    found = list(cuts(picture.width))
    step = 7  # coprime to the 26 boxes, so that each occurs once
    for place in range(len(found)):
        box, count = found[place * step % len(found)]
        yield Question(
            id="-".join(map(str, box)),
            text=QUESTION,
            truth={"number": count},
            oracle=str(count),
            media=(ImagePart(source=picture.crop(box)),),
            cluster="coins.png",
            tags={"number": str(count)},
        )


TASKS: Mapping[str, Build] = {
    "coins": build(
        whole(_questions),
        countbench.PLAIN,
        Wording("paper", "the detect-then-count prompt of the report", template(countbench.DETECT)),
        extractors=(LAST_NUMBER,),
        score=countbench.score,
        total=countbench.TOTAL,
    )
}
