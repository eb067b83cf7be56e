# SPDX-License-Identifier: Apache-2.0
"""Point-Bench: point at what is asked for, in five kinds of requests, counting among them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Task
from finesight.evals.extract.places import ALL_POINTS
from finesight.evals.metrics.points import in_region, point_bench_binary, point_bench_count
from finesight.evals.tasks.grounding.places import (
    mask_of,
    points_in_words,
    points_inside,
    run_lengths,
)
from finesight.evals.tasks.shared.aggregates import average, joined
from finesight.evals.tasks.shared.columns import Row, find, picture, row_reader
from finesight.evals.tasks.shared.questions import Piece, Question, Wording, prompts


def question(row: Row, folder: Path) -> Question:
    """One row with its mask."""
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


def ask(asked: Question) -> list[Piece]:
    """The request, and the form of answer of Qwen's cookbook."""
    return [*asked.media, f"{asked.text}\nOutput the point coordinates in JSON format."]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Right by the rule of the kind, and the share of points that lie where they should."""
    mask = mask_of(truth["mask"])
    right = (
        point_bench_count(parsed, mask, truth["count"])
        if truth["is_count"]
        else point_bench_binary(parsed, mask)
    )
    inside = [in_region(point, mask) for point in parsed or ()]
    return {"correct": float(right), "inside": sum(inside) / len(inside) if inside else 0.0}


def build(benchmark: Benchmark) -> Task:
    """Points, asked for in the form of Qwen's cookbook."""
    wording = Wording("cookbook", "the form of Qwen2.5-VL's cookbook", ask)
    return benchmark.task(
        prompts(row_reader(benchmark, question), wording),
        (ALL_POINTS,),
        score,
        joined(average(by=benchmark.by), average("inside", name="share_inside")),
    )


TASKS: Mapping[str, Build] = {"point_bench": build}
