# SPDX-License-Identifier: Apache-2.0
"""Reading the thirteen collections of ODinW: annotations in COCO's form, each collection in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.tasks.grounding.places import boxes_in_words
from finesight.evals.tasks.shared.columns import Row, find, picture, reader
from finesight.evals.tasks.shared.questions import Broken, Question, Read

COLLECTIONS = (
    *("AerialMaritimeDrone", "Aquarium", "CottontailRabbits", "EgoHands", "NorthAmericaMushrooms"),
    *("Packages", "PascalVOC", "pistols", "pothole", "Raccoon", "ShellfishOpenImages"),
    *("thermalDogsAndPeople", "VehiclesOpenImages"),
)
ANNOTATIONS = ("annotations_without_background.json", "*annotations*.json")
COLUMNS = {"image": ("image",), "objects": ("objects",), "file": ("file_name",)}


def annotation_file(collection: str, folder: Path) -> Path | None:
    """The annotations of the test split, or of validation where there is no other; None without the collection."""
    root = next((p for p in folder.iterdir() if p.name.lower() == collection.lower()), None)
    if root is None:
        return None
    splits = [f"**/{split}/{name}" for split in ("test", "valid", "val") for name in ANNOTATIONS]
    return find(root, *splits, "**/test_*.json", "**/val*.json")[0]


def questions(*, one_per_category: bool) -> Read:
    """Reads all collections that are there: one question per picture and category, or one per picture."""

    def read(folder: Path) -> Iterator[Question | Broken]:
        found = (
            {name: annotation_file(name, folder) for name in COLLECTIONS} if folder.is_dir() else {}
        )
        if not any(found.values()):
            find(folder, *COLLECTIONS)
        for collection, path in found.items():
            if path is not None:
                names = used_categories(path)
                make = question_maker(collection, names, one_per_category=one_per_category)
                yield from reader((path.name,), COLUMNS, make)(path.parent)

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
    collection: str, names: tuple[str, ...], *, one_per_category: bool
) -> Callable[[Row, Path], Sequence[Question]]:
    """A function that turns a picture with its objects into questions.

    Args:
        collection: what ids begin with.
        names: categories to ask for.
        one_per_category: one question for each of them, or one for all.
    """

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
