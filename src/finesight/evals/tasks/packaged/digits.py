# SPDX-License-Identifier: Apache-2.0
"""Handwritten digits of scikit-learn: a hundred pictures of 8 x 8 pixels, enlarged, and read."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart, Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.extract.numbers import LAST_NUMBER
from finesight.evals.metrics.count import count_hit
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.questions import Question, prompt

QUESTION = "Which digit is written in the image?"
FILE = "data/digits.csv.gz"
PER_DIGIT = 10
SIDE = 224
_COLUMNS, _INK = 8 * 8 + 1, 16


def questions(folder: Path) -> Iterator[Question]:
    """Ten pictures of each digit, the same ones every time; ink is black.

    Raises:
        EvalError: the table is not there or broken.
    """
    import numpy as np

    path = copies.needed(folder, FILE)
    try:
        table = np.loadtxt(gzip.decompress(path.read_bytes()).decode().splitlines(), delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise EvalError(f"{path} cannot be read: {error}") from error
    if table.ndim != 2 or table.shape[1] != _COLUMNS:
        raise EvalError(f"{path} has shape {table.shape}, expected rows of {_COLUMNS} values")
    labels = table[:, -1].astype(int).tolist()
    for place in copies.balanced(labels, PER_DIGIT):
        ink = table[place, :-1].reshape(8, 8) / _INK
        pixels = (255 * (1 - ink)).round().astype(np.uint8)
        yield Question(
            id=str(place),
            text=QUESTION,
            truth={"number": labels[place]},
            oracle=str(labels[place]),
            media=(ImagePart(source=copies.enlarged(pixels, SIDE)),),
            tags={"digit": str(labels[place])},
        )


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The last number said is the digit."""
    return {"correct": float(count_hit(parsed, truth["number"]))}


TASKS = (
    Task(
        name="digits",
        title="Digits of scikit-learn, 100 of them",
        source="Optical Recognition of Handwritten Digits, UCI; scikit-learn",
        layout="data/digits.csv.gz of sklearn/datasets, as scripts/fetch_real_data.py leaves it in sklearn/",
        prompts=(
            prompt(
                "number",
                "this project's wording",
                questions,
                open_questions.ending("Answer with just the digit."),
            ),
        ),
        sampling=Sampling(max_new_tokens=32),
        extractors=(LAST_NUMBER,),
        score=score,
        aggregate=average(by=("digit",)),
        main="accuracy",
        chance=0.1,
        notes=(
            f"{copies.NOT_PRINTED}: ten pictures of each digit, drawn with seed 0, enlarged to 224",
        ),
    ),
)
