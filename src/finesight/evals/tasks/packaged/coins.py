# SPDX-License-Identifier: Apache-2.0
"""Ancient coins on one photograph of scikit-image, counted: all 24, whole rows, and beginnings of rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from PIL import Image

from finesight.conversation import ImagePart, Sampling
from finesight.evals.core.task import Task
from finesight.evals.extract.numbers import LAST_NUMBER
from finesight.evals.tasks.grounding import countbench
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.questions import Question, prompt

QUESTION = "How many coins are there in the image?"
PER_ROW = 6
EDGES = (0, 83, 150, 225, 303)
"""Between the rows, in pixels from above; each of the four holds six coins."""
GAPS = (
    (74, 126, 186, 247, 301),
    (75, 128, 180, 236, 307),
    (71, 130, 182, 244, 306),
    (83, 140, 210, 272, 331),
)
"""Per row, between its coins, in pixels from the left."""


def cuts(width: int) -> Iterator[tuple[tuple[int, int, int, int], int]]:
    """Boxes of the picture that cut no coin, and how many coins each shows.

    Args:
        width: of the picture.
    """
    for first, last in combinations(range(len(EDGES)), 2):
        yield (0, EDGES[first], width, EDGES[last]), PER_ROW * (last - first)
    for row, gaps in enumerate(GAPS):
        for count, gap in enumerate(gaps[1:], 2):
            yield (0, EDGES[row], gap, EDGES[row + 1]), count


def questions(folder: Path) -> Iterator[Question]:
    """One question per cut, in an order that mixes small and large numbers.

    Raises:
        EvalError: the picture is not there.
    """
    with Image.open(copies.needed(folder, "coins.png")) as opened:
        picture = opened.convert("RGB")
    found = list(cuts(picture.width))
    step = 7  # has no divisor in common with the 26 cuts: every cut comes once
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


TASKS = (
    Task(
        name="coins",
        title="Coins of scikit-image",
        source="scikit-image 0.26, skimage/data/coins.png: Greek coins from Pompeii",
        layout="coins.png of scikit-image: its data folder, as scripts/fetch_real_data.py leaves it in skimage/",
        prompts=(
            prompt("plain", "the number alone, as lmms-eval asks", questions, countbench.ask_plain),
            prompt(
                "paper",
                "the detect-then-count prompt of the report",
                questions,
                countbench.ask_paper,
            ),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(LAST_NUMBER,),
        score=countbench.score,
        aggregate=joined(
            average(by=("number",)), average("near", name="within_one"), countbench.mean_error
        ),
        main="accuracy",
        chance=0.16,
        notes=(
            f"{copies.NOT_PRINTED}: 26 cuts of one photograph, counted by eye",
            "whoever always says 6 is right on four cuts, the most that one number gives",
        ),
    ),
)
