# SPDX-License-Identifier: Apache-2.0
"""Pointing: Point-Bench, and PixMo points scored as in Molmo.

The report's PointGrounding was never published; PixMo is the most similar open data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.extract.places import ALL_POINTS
from finesight.evals.metrics.points import (
    in_region,
    point_bench_binary,
    point_bench_count,
    pointing_f1,
)
from finesight.evals.tasks.grounding.places import (
    mask_of,
    numbers,
    points_in_words,
    points_inside,
    run_lengths,
    run_lengths_of,
    size_of,
)
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import build, rows
from finesight.evals.tasks.shared.columns import Row, find, picture
from finesight.evals.tasks.shared.questions import Question, Wording, template


def _read_point_bench(row: Row, folder: Path) -> Question:
    below = [path.parent for path in find(folder, "*/*.json", "*.json", "*.parquet")[:1]]
    places = (
        folder,
        folder / "images",
        *(folder / part / row["category"] for part in ("images", "selected_images")),
    )
    masks = (
        folder / "masks",
        *(folder / part / row["category"] for part in ("masks", "selected_masks")),
    )
    mask = picture(row["mask_filename"], *masks, folder, *below).source
    lengths = run_lengths(Path(str(mask)))
    is_count = str(row["category"]).lower().startswith("count")
    count = int(row["count"] or 1) if row.get("count") is not None else 1
    inside = points_inside(lengths, count if is_count else 1)
    return Question(
        id=str(row.get("id", f"{row['category']}/{row['image_filename']}/{row['user_input']}")),
        text=str(row["user_input"]),
        truth={"mask": lengths, "count": count, "is_count": is_count},
        oracle=points_in_words(inside, "thing"),
        media=(picture(row["image_filename"], *places),),
        cluster=str(row["image_filename"]),
        tags={"category": str(row["category"])},
    )


def _score_point_bench(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Correct by the rule for counts or single points, and the share of points inside the mask."""
    mask = mask_of(truth["mask"])
    right = (
        point_bench_count(parsed, mask, truth["count"])
        if truth["is_count"]
        else point_bench_binary(parsed, mask)
    )
    inside = [in_region(point, mask) for point in parsed or ()]
    return {"correct": float(right), "inside": sum(inside) / len(inside) if inside else 0.0}


def _read_pixmo(row: Row, folder: Path) -> Question:
    """One row; points are in percent of width and height, masks have the size of the picture."""
    shown = picture(row.get("image") or f"{row['sha']}.jpg", folder, folder / "images")
    size = size_of(shown)
    points = [_pixels(point, size.width, size.height) for point in row["points"]]
    if len(points) != len(row["masks"]):
        raise EvalError(f"{len(points)} points and {len(row['masks'])} masks")
    return Question(
        id=str(row.get("id", row.where)),
        text=str(row["label"]),
        truth={"points": points, "masks": [run_lengths_of(mask) for mask in row["masks"]]},
        oracle=points_in_words(points, row["label"]) if points else "There are none.",
        media=(shown,),
        tags={"count": str(len(points)) if len(points) < 10 else "10 and more"},
    )


def _pixels(point: Any, width: int, height: int) -> list[float]:
    """A point `{"x": .., "y": ..}` or `[x, y]` in percent, as pixels."""
    pair = [point["x"], point["y"]] if isinstance(point, Mapping) else point
    x, y = numbers(pair, 2)
    return [x / 100 * width, y / 100 * height]


def _score_pixmo(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Precision, recall and F1; without gold points, an empty list is correct and an unreadable answer is wrong."""
    masks = [mask_of(mask) for mask in truth["masks"]]
    precision, recall, f1 = pointing_f1(parsed, truth["points"], masks)
    return {"f1": f1, "precision": precision, "recall": recall}


ask_cookbook = template("{text}\nOutput the point coordinates in JSON format.")
ask_every = template("point to every {text} in the image, output its coordinates in JSON format")
"""This project's wording; Qwen's cookbook shows the form of the answer, but no such question in English."""
ask_xml = template(
    "point to the {text}, output its coordinates in XML format <points x y>object</points>"
)
JSON_FORM = "this project's wording, for the JSON form of the Qwen2.5-VL cookbook"
TASKS: Mapping[str, Build] = {
    "point_bench": build(
        rows(_read_point_bench),
        Wording("cookbook", "the form of Qwen2.5-VL's cookbook", ask_cookbook),
        extractors=(ALL_POINTS,),
        score=_score_point_bench,
        total=means({"correct": "accuracy", "inside": "share_inside"}),
    ),
    "point_grounding": build(
        rows(_read_pixmo),
        Wording("paper", JSON_FORM, ask_every),
        Wording("xml", "Qwen2.5-VL cookbook, XML form", ask_xml),
        extractors=(ALL_POINTS,),
        score=_score_pixmo,
        total=means({"f1": "f1", "precision": "precision", "recall": "recall"}),
    ),
}
