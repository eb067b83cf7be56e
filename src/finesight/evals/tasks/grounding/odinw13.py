# SPDX-License-Identifier: Apache-2.0
"""ODinW-13: object detection in thirteen collections from the wild, by average precision.

Annotations are in COCO format, one folder for each collection.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Scored, Task
from finesight.evals.extract.places import ALL_BOXES
from finesight.evals.metrics.detection import coco_average_precision, f1_at
from finesight.evals.tasks.grounding.places import boxes_in_words
from finesight.evals.tasks.shared.aggregates import mean
from finesight.evals.tasks.shared.columns import Row, find, picture, row_reader
from finesight.evals.tasks.shared.questions import (
    Broken,
    Question,
    Read,
    Wording,
    prompts,
    say,
)

COLLECTIONS = (
    *("AerialMaritimeDrone", "Aquarium", "CottontailRabbits", "EgoHands", "NorthAmericaMushrooms"),
    *("Packages", "PascalVOC", "pistols", "pothole", "Raccoon", "ShellfishOpenImages"),
    *("thermalDogsAndPeople", "VehiclesOpenImages"),
)
ANNOTATIONS = ("annotations_without_background.json", "*annotations*.json")


def annotation_file(collection: str, folder: Path) -> Path | None:
    """The annotations of the test split, or of validation where there is no other; None without the collection."""
    root = next((p for p in folder.iterdir() if p.name.lower() == collection.lower()), None)
    if root is None:
        return None
    splits = [f"**/{split}/{name}" for split in ("test", "valid", "val") for name in ANNOTATIONS]
    return find(root, *splits, "**/test_*.json", "**/val*.json")[0]


def questions(benchmark: Benchmark, *, one_per_category: bool) -> Read:
    """Reads all collections that are there: one question per picture and category, or one per picture."""

    def read(folder: Path) -> Iterator[Question | Broken]:
        found = (
            {name: annotation_file(name, folder) for name in COLLECTIONS} if folder.is_dir() else {}
        )
        if not any(found.values()):
            find(folder, *COLLECTIONS)
        for collection, path in found.items():
            if path is not None:
                make = question_maker(collection, path, one_per_category=one_per_category)
                yield from row_reader(benchmark, make, files=(path.name,))(path.parent)

    return read


def used_categories(path: Path) -> tuple[str, ...]:
    """Names of the categories that have a box, in the order of the file; the rest are headings of its tool.

    Raises:
        EvalError: the file is no JSON of COCO's form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        used = {each["category_id"] for each in content["annotations"]}
        return tuple(each["name"] for each in content["categories"] if each["id"] in used)
    except (ValueError, KeyError, TypeError) as error:
        raise EvalError(f"{path} holds no annotations in COCO's form: {error}") from error


def question_maker(
    collection: str, path: Path, *, one_per_category: bool
) -> Callable[[Row, Path], Sequence[Question]]:
    """A function that turns a picture with its objects into questions.

    Args:
        collection: what ids begin with.
        path: the annotations, which say what categories there are.
        one_per_category: one question for each of them, or one for all.
    """
    names = used_categories(path)

    def make(row: Row, folder: Path) -> Sequence[Question]:
        shown = picture(row["image"], folder)
        groups = [(name,) for name in names] if one_per_category else [names]
        identity = f"{collection}/{row['file']}"
        return [
            Question(
                id=f"{identity}/{'+'.join(asked)}",
                text=", ".join(asked),
                truth=_truth(row["objects"], collection, asked, names),
                oracle=_right_words(row["objects"], asked),
                media=(shown,),
                group=identity,
                cluster=identity,
                tags={"collection": collection},
            )
            for asked in groups
        ]

    return make


def _truth(
    objects: Sequence[Mapping[str, Any]],
    collection: str,
    asked: Sequence[str],
    names: Sequence[str],
) -> dict[str, Any]:
    boxes = [[each["category"], each["box"]] for each in objects if each["category"] in asked]
    return {"boxes": boxes, "asked": list(asked), "classes": list(names), "collection": collection}


def _right_words(objects: Sequence[Mapping[str, Any]], asked: Sequence[str]) -> str:
    parts = [
        boxes_in_words([each["box"]], each["category"]).strip("`json\n[]")
        for each in objects
        if each["category"] in asked
    ]
    return f"```json\n[{', '.join(parts)}]\n```" if parts else "There are none."


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


ask_paper = say("Locate every {text} in the image and output the coordinates in JSON format.")
"""One category, in the words the authors gave."""
ask_qwen3 = say(
    "Locate every instance that belongs to the following categories: '{text}'. Report bbox coordinates in JSON format."
)
"""All categories at once, in the words of the next model."""


def build(benchmark: Benchmark) -> Task:
    """One question per category, as the authors ask, or one per picture."""
    by_category = questions(benchmark, one_per_category=True)
    by_picture = questions(benchmark, one_per_category=False)
    return benchmark.task(
        (
            *prompts(
                by_category,
                Wording("paper", "the authors: one question per category", ask_paper),
            ),
            *prompts(by_picture, Wording("qwen3", "Qwen3-VL: one question per picture", ask_qwen3)),
        ),
        (ALL_BOXES,),
        score,
        aggregate,
    )


TASKS: Mapping[str, Build] = {"odinw13": build}
