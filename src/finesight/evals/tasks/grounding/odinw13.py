# SPDX-License-Identifier: Apache-2.0
"""ODinW-13: object detection in thirteen collections, scored by average precision.

Each collection is a folder with annotations in COCO format.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Item, Scored, Task
from finesight.evals.extract.places import ALL_BOXES
from finesight.evals.metrics.detection import coco_average_precision, f1_at
from finesight.evals.tasks.grounding.places import boxes_in_words
from finesight.evals.tasks.shared.aggregates import mean
from finesight.evals.tasks.shared.columns import Row, find, picture, read_rows
from finesight.evals.tasks.shared.questions import Question, Wording, prompts, template

COLLECTIONS = (
    *("AerialMaritimeDrone", "Aquarium", "CottontailRabbits", "EgoHands", "NorthAmericaMushrooms"),
    *("Packages", "PascalVOC", "pistols", "pothole", "Raccoon", "ShellfishOpenImages"),
    *("thermalDogsAndPeople", "VehiclesOpenImages"),
)
ANNOTATIONS = ("annotations_without_background.json", "*annotations*.json")


def _annotation_file(collection: str, folder: Path) -> Path | None:
    """Annotations of the test split, else of the validation split; None if the collection is missing."""
    root = next((p for p in folder.iterdir() if p.name.lower() == collection.lower()), None)
    if root is None:
        return None
    splits = [f"**/{split}/{name}" for split in ("test", "valid", "val") for name in ANNOTATIONS]
    return find(root, *splits, "**/test_*.json", "**/val*.json")[0]


def _read_collections(
    benchmark: Benchmark, folder: Path, *, one_per_category: bool
) -> Iterator[Question | Item]:
    """Questions of all collections of a copy: one per picture and category, or one per picture."""
    found = (
        {name: _annotation_file(name, folder) for name in COLLECTIONS} if folder.is_dir() else {}
    )
    if not any(found.values()):
        find(folder, *COLLECTIONS)
    for collection, path in found.items():
        if path is not None:
            make = question_maker(collection, path, one_per_category=one_per_category)
            yield from read_rows(benchmark, path.parent, make, files=(path.name,))


def _used_categories(path: Path) -> tuple[str, ...]:
    """Names of the categories that have a box, in the order of the file; the others are supercategories."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        used = {each["category_id"] for each in content["annotations"]}
        return tuple(each["name"] for each in content["categories"] if each["id"] in used)
    except (ValueError, KeyError, TypeError) as error:
        raise EvalError(f"{path} holds no annotations in COCO's format: {error}") from error


def question_maker(
    collection: str, path: Path, *, one_per_category: bool
) -> Callable[[Row, Path], Sequence[Question]]:
    """A function that turns a row (a picture with its objects) into questions.

    Args:
        collection: prefix of ids.
        path: file of annotations, which contains the categories.
        one_per_category: one question per category, or one for all categories.
    """
    names = _used_categories(path)

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
    """Predicted boxes; if one category was asked for, every box gets it as label."""
    only = asked[0] if len(asked) == 1 else None
    return [(only or str(label), list(box)) for label, box in parsed or ()]


def score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """F1 at IoU 0.5; without gold boxes, 1 for an answer that denies them and 0 for an unreadable one."""
    pred, gold = said_boxes(parsed, truth["asked"]), truth["boxes"]
    return {"f1": f1_at([(pred, gold)]) if pred or gold else float(parsed is not None)}


def aggregate(scored: Sequence[Scored]) -> dict[str, float]:
    """Average precision per collection, rounded to three digits as published, and the mean over collections."""
    collections: dict[str, dict[str, tuple[list[Any], list[Any]]]] = {}
    classes: dict[str, list[str]] = {}
    for one in scored:
        truth: Mapping[str, Any] = one.item.truth
        classes[truth["collection"]] = truth["classes"]
        pictures = collections.setdefault(truth["collection"], {})
        pred, gold = pictures.setdefault(one.item.group or one.item.id, ([], []))
        pred += said_boxes(None if one.error else one.parsed, truth["asked"])
        gold += [(label, box) for label, box in truth["boxes"]]
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


ask_paper = template("Locate every {text} in the image and output the coordinates in JSON format.")
"""One category per question, in the authors' words."""
ask_qwen3 = template(
    "Locate every instance that belongs to the following categories: '{text}'. Report bbox coordinates in JSON format."
)
"""All categories in one question, in the words of Qwen3-VL."""


def _build(benchmark: Benchmark) -> Task:
    """The task with one question per category, as the authors ask, or one per picture."""
    paper = Wording("paper", "the authors: one question per category", ask_paper)
    qwen3 = Wording("qwen3", "Qwen3-VL: one question per picture", ask_qwen3)
    by_category = partial(_read_collections, benchmark, one_per_category=True)
    by_picture = partial(_read_collections, benchmark, one_per_category=False)
    asked = (*prompts(by_category, paper), *prompts(by_picture, qwen3))
    return benchmark.task(asked, (ALL_BOXES,), score, aggregate)


TASKS: Mapping[str, Build] = {"odinw13": _build}
