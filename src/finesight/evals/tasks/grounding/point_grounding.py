# SPDX-License-Identifier: Apache-2.0
"""Pointing at everything a phrase means, by Molmo's rule on its own data.

The report's PointGrounding is the authors' own collection and was never published; this is the nearest open one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
from finesight.errors import EvalError
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
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, picture, reader, split_files
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

COLUMNS = {"label": ("label",), "points": ("points",), "masks": ("masks",)}
OPTIONAL = {"image": ("image", "image_path"), "sha": ("image_sha256",), "id": ("id", "index")}
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


questions = reader(
    split_files("test", "train", "data"), COLUMNS, question, optional=OPTIONAL, pictures=()
)

TASKS = (
    Task(
        name="point_grounding",
        title="PixMo points, a stand-in for PointGrounding",
        source="Molmo and PixMo, arXiv 2409.17146",
        layout="the parquet files of allenai/pixmo-points-eval: label, points (x and y in percent), masks (one grid of"
        " truth values per point), image_sha256; pictures as images/{image_sha256}.jpg; names from general knowledge",
        prompts=(
            prompt(
                "paper",
                "this project's wording, for the JSON form of the Qwen2.5-VL cookbook",
                questions,
                ask_paper,
            ),
            prompt("xml", "Qwen2.5-VL cookbook, XML form", questions, ask_xml),
        ),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(ALL_POINTS,),
        score=score,
        aggregate=joined(
            average("f1", name="f1", by=("count",)),
            average("precision", name="precision"),
            average("recall", name="recall"),
        ),
        main="f1",
        published=report_tables.row(report_tables.GROUNDING, "- - 69.2 - 67.5 67.3 58.3"),
        notes=(
            "published numbers are of a collection that was never published: they are no target for this one",
        ),
    ),
)
