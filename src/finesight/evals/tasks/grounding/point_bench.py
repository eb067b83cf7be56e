# SPDX-License-Identifier: Apache-2.0
"""Point-Bench: point at what is asked for, in five kinds of requests, counting among them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import Sampling
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
from finesight.evals.tasks.shared.columns import Row, find, picture, reader, same
from finesight.evals.tasks.shared.questions import Piece, Question, prompt

COLUMNS = same("image_filename", "mask_filename", "category", "user_input")
OPTIONAL = same("count", "id")


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


questions = reader(
    ("data.json", "*.json", "*/*.json", "*.jsonl", "*.parquet"),
    COLUMNS,
    question,
    optional=OPTIONAL,
    pictures=(),
)

TASKS = (
    Task(
        name="point_bench",
        title="Point-Bench",
        source="PointArena, arXiv 2505.09990",
        layout="data.json of PointArena/pointarena-data (image_filename, mask_filename, category, user_input, count),"
        " with images/ and masks/, each with a folder per category or none",
        prompts=(prompt("cookbook", "the form of Qwen2.5-VL's cookbook", questions, ask),),
        sampling=Sampling(max_new_tokens=1024),
        extractors=(ALL_POINTS,),
        score=score,
        aggregate=joined(average(by=("category",)), average("inside", name="share_inside")),
        main="accuracy",
        notes=(
            "no number of this model is in the report",
            "counting needs as many points as things, all inside; other kinds need the first point inside",
            "one harness prints the share of points inside, which is higher",
        ),
    ),
)
