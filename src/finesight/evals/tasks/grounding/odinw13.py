# SPDX-License-Identifier: Apache-2.0
"""ODinW-13: object detection in thirteen collections from the wild, by average precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finesight.conversation import Sampling
from finesight.evals.core.task import Budget, Scored, Task
from finesight.evals.extract.places import ALL_BOXES
from finesight.evals.metrics.detection import coco_average_precision, f1_at
from finesight.evals.tasks.grounding import odinw
from finesight.evals.tasks.shared import report_tables
from finesight.evals.tasks.shared.aggregates import mean
from finesight.evals.tasks.shared.questions import TOKEN_PIXELS, Piece, Question, prompt


def ask_paper(asked: Question) -> list[Piece]:
    """One category, in the words the authors gave."""
    return [
        *asked.media,
        f"Locate every {asked.text} in the image and output the coordinates in JSON format.",
    ]


def ask_qwen3(asked: Question) -> list[Piece]:
    """All categories at once, in the words of the next model."""
    wish = f"Locate every instance that belongs to the following categories: '{asked.text}'."
    return [*asked.media, f"{wish} Report bbox coordinates in JSON format."]


def said_boxes(parsed: Any, asked: Sequence[str]) -> list[tuple[str, list[float]]]:
    """Boxes said; where one category was asked for, every box is meant to be of it."""
    only = asked[0] if len(asked) == 1 else None
    return [(only or str(label), list(box)) for label, box in parsed or ()]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """F1 at an overlap of a half; saying nothing of nothing is right only where the answer says so."""
    said, there = said_boxes(parsed, truth["asked"]), truth["boxes"]
    return {"f1": f1_at([(said, there)]) if said or there else float(parsed is not None)}


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Average precision per collection, rounded to three digits as published, and the mean of collections."""
    collections: dict[str, dict[str, tuple[list[Any], list[Any]]]] = {}
    classes: dict[str, list[str]] = {}
    for one in scored:
        truth: Mapping[str, Any] = one.item.truth
        classes[truth["collection"]] = truth["classes"]
        pictures = collections.setdefault(truth["collection"], {})
        said, there = pictures.setdefault(one.item.group or one.item.id, ([], []))
        said += said_boxes(None if one.error else one.parsed, truth["asked"])
        there += [(label, box) for label, box in truth["boxes"]]
    metrics: dict[str, float] = {}
    for name, pictures in collections.items():
        precision = coco_average_precision(list(pictures.values()), classes=classes[name])
        metrics |= {f"{key}/{name}": round(value, 3) for key, value in precision.items()}
        metrics[f"f1/{name}"] = f1_at(list(pictures.values()))
    kinds = ("ap", "ap50", "ap75", "f1")
    return {
        "map" if kind == "ap" else kind: mean(metrics[f"{kind}/{name}"] for name in collections)
        for kind in kinds
    } | metrics


BY_CATEGORY = odinw.questions(one_per_category=True)
BY_PICTURE = odinw.questions(one_per_category=False)

TASKS = (
    Task(
        name="odinw13",
        title="ODinW-13",
        source="ODinW, arXiv 2204.08790; the thirteen collections and splits of mmdetection",
        layout="a folder per collection (AerialMaritimeDrone, Aquarium, CottontailRabbits, EgoHands,"
        " NorthAmericaMushrooms, Packages, PascalVOC, pistols, pothole, Raccoon, ShellfishOpenImages,"
        " thermalDogsAndPeople, VehiclesOpenImages), somewhere below it test/ or valid/ with"
        " annotations_without_background.json in COCO's form and the pictures (folder names from general knowledge)",
        prompts=(
            prompt("paper", "the authors: one question per category", BY_CATEGORY, ask_paper),
            prompt("qwen3", "Qwen3-VL: one question per picture", BY_PICTURE, ask_qwen3),
        ),
        budget=Budget(min_pixels=768 * TOKEN_PIXELS, max_pixels=12800 * TOKEN_PIXELS),
        sampling=Sampling(max_new_tokens=4096),
        extractors=(ALL_BOXES,),
        score=score,
        aggregate=aggregate,
        main="map",
        published=report_tables.row(report_tables.GROUNDING, "36.7 55.0 - 31.7 43.1 37.3 37.5"),
        notes=(
            "chat models give no confidences, so the order of boxes decides ties: it is the order of writing; f1 knows"
            " no order",
            "pictures without an answer stay in the truth and lower the recall",
            "the wording matters: others got 29.7 with one question per picture where 37.5 is published",
        ),
    ),
)
