# SPDX-License-Identifier: Apache-2.0
"""Pointing at everything a phrase means, by Molmo's rule on its own data.

The report's PointGrounding is the authors' own collection and was never published; this is the nearest open one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Task
from finesight.evals.extract.places import ALL_POINTS
from finesight.evals.metrics.points import pointing_f1
from finesight.evals.tasks.grounding.places import (
    mask_of,
    numbers,
    points_in_words,
    run_lengths_of,
    size_of,
)
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, picture, row_reader
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, prompts

NONE = "There are none."


def question(row: Row, folder: Path) -> Question:
    """One row; points are percent of width and height, masks cover the whole picture.

    Raises:
        EvalError: points and masks differ in number, or the picture is not there.
    """
    shown = picture(row.get("image") or f"{row['sha']}.jpg", folder, folder / "images")
    size = size_of(shown)
    points = [_pixels(point, size.width, size.height) for point in row["points"]]
    if len(points) != len(row["masks"]):
        raise EvalError(f"{len(points)} points and {len(row['masks'])} masks")
    return Question(
        id=str(row.get("id", row.where)),
        text=str(row["label"]),
        truth={"points": points, "masks": [run_lengths_of(mask) for mask in row["masks"]]},
        oracle=points_in_words(points, row["label"]) if points else NONE,
        media=(shown,),
        tags={"count": str(len(points)) if len(points) < 10 else "10 and more"},
    )


def _pixels(point: Any, width: int, height: int) -> list[float]:
    """A point in percent, as `{"x": .., "y": ..}` or as a pair."""
    pair = [point["x"], point["y"]] if isinstance(point, Mapping) else point
    x, y = numbers(pair, 2)
    return [x / 100 * width, y / 100 * height]


def ask_paper(asked: Question) -> list[Piece]:
    """This project's words; Qwen's cookbook shows the form of the answer, and no such question in English."""
    words = f"point to every {asked.text} in the image, output its coordinates in JSON format"
    return [*asked.media, words]


def ask_xml(asked: Question) -> list[Piece]:
    """The XML form of Qwen's cookbook."""
    form = "<points x y>object</points>"
    return [*asked.media, f"point to the {asked.text}, output its coordinates in XML format {form}"]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Precision, recall and F1; where nothing is meant, pointing at nothing is right, but silence is not."""
    masks = [mask_of(mask) for mask in truth["masks"]]
    precision, recall, f1 = pointing_f1(parsed, truth["points"], masks)
    return {"f1": f1, "precision": precision, "recall": recall}


WORDINGS = (
    Wording(
        "paper", "this project's wording, for the JSON form of the Qwen2.5-VL cookbook", ask_paper
    ),
    Wording("xml", "Qwen2.5-VL cookbook, XML form", ask_xml),
)


def build(benchmark: Benchmark) -> Task:
    """Points on the data of PixMo."""
    return benchmark.task(
        prompts(row_reader(benchmark, question), *WORDINGS),
        (ALL_POINTS,),
        score,
        joined(
            average("f1", name="f1", by=benchmark.by),
            average("precision", name="precision"),
            average("recall", name="recall"),
        ),
    )


TASKS: Mapping[str, Build] = {"point_grounding": build}
