# SPDX-License-Identifier: Apache-2.0
"""COCO: one JSON object with `images`, `annotations` and `categories`; boxes are `[x, y, width, height]`.

The whole file is in memory. Nothing is asked about a class of which a picture has a crowd region (`iscrowd`). Without
categories, annotations are captions; each of them is a record of its own.

Source: cocodataset.org, data format.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart
from finesight.data.formats.coordinates import floats
from finesight.data.formats.detection import Annotated, Thing, draft_of
from finesight.data.formats.draft import Draft, Turn
from finesight.data.formats.rows import Row, RowRefused
from finesight.errors import DataError

__all__ = ["is_coco", "read_file"]

_KEYS = ("images", "annotations")
_USED = frozenset({"id", "image_id", "category_id", "bbox", "area", "iscrowd"})
"""Keys of an annotation that are used; the area is that of the mask, which a box replaces."""
_OF_IMAGE = frozenset({"id", "file_name", "width", "height"})
_OF_CAPTION = frozenset({"id", "image_id", "caption"})


def is_coco(path: Path) -> bool:
    """Whether a JSON file looks like COCO: one object with its lists of pictures and annotations."""
    if path.suffix.lower() != ".json":
        return False
    with path.open("rb") as file:
        if not file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return False
    try:
        found = _load(path)
    except DataError:
        return False  # rows of JSON in a file named .json, or no JSON at all
    return isinstance(found, dict) and all(isinstance(found.get(key), list) for key in _KEYS)


def read_file(path: Path, question: str) -> Iterator[tuple[Row, Draft | RowRefused]]:
    """The draft of each picture or caption, or why it cannot be used.

    Args:
        path: of the file.
        question: of captions.

    Raises:
        DataError: the file is no COCO.
    """
    whole = _load(path)
    lists = isinstance(whole, dict) and [whole.get(key) for key in _KEYS] + [
        whole.get("categories", [])
    ]
    if not lists or not all(isinstance(each, list) for each in lists):
        raise DataError(f"{path} has no lists {', '.join(_KEYS)}", hint="is it COCO?")
    names = {
        key: str(entry["name"])
        for entry in whole.get("categories", ())
        if (key := _key(entry, "id")) is not None and "name" in entry
    }
    grouped: dict[Any, list[Any]] = defaultdict(list)
    for annotation in whole["annotations"]:
        grouped[_key(annotation, "image_id")].append(annotation)
    pictures = Counter(_key(image, "id") for image in whole["images"])
    for number, image in enumerate(whole["images"], 1):
        row = Row(f"{path.name}, row {number}", image)
        try:
            _check_image(image, pictures)
            if "categories" in whole:
                yield row, _draft(image, names, grouped)
            else:
                yield from ((row, draft) for draft in _captions(image, question, grouped))
        except RowRefused as refused:
            yield row, refused
    for key, lost in grouped.items():
        if pictures[key] > 1:
            continue  # these pictures are refused
        message = f"{len(lost)} annotations are of picture {key!r}, which is not listed"
        yield Row(f"{path.name}, annotations"), RowRefused("columns", message)


def _load(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read as JSON: {error}") from error


def _key(entry: Any, name: str) -> int | str | None:
    """An id; None if it is missing or no number or text."""
    value = entry.get(name) if isinstance(entry, dict) else None
    return value if isinstance(value, (int, str)) else None


def _check_image(image: Any, pictures: Counter[int | str | None]) -> None:
    """Without an id of its own, a picture has no annotations or those of another one."""
    if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
        raise RowRefused("columns", "the picture has no file_name")
    key = _key(image, "id")
    if key is None:
        found = image.get("id")
        raise RowRefused(
            "columns", f"the picture has the id {found!r:.40}, expected a number or a text"
        )
    if pictures[key] > 1:
        message = (
            f"{pictures[key]} pictures have the id {key!r}: their annotations cannot be told apart"
        )
        raise RowRefused("columns", message, hint="number the pictures anew when files are merged")


def _captions(image: Any, question: str, grouped: dict[Any, list[Any]]) -> list[Draft]:
    drafts = []
    for annotation in grouped.pop(image["id"], []):
        caption = annotation.get("caption")
        if not isinstance(caption, str):
            raise RowRefused("columns", "an annotation has no caption, and there are no categories")
        asked = Turn("user", [ImagePart(source=image["file_name"]), question])
        answer = Turn("assistant", [caption.strip()])
        drafts.append(
            Draft(turns=[asked, answer], ignored=_unused(image, [annotation], _OF_CAPTION))
        )
    if not drafts:
        raise RowRefused("columns", "the picture has no caption")
    return drafts


def _unused(image: Any, annotations: list[Any], used: frozenset[str]) -> list[str]:
    """Keys of a picture and its annotations that are not used."""
    of_annotations = {key for each in annotations for key in each} - used
    return [
        *(f"images.{key}" for key in sorted(image.keys() - _OF_IMAGE)),
        *(f"annotations.{key}" for key in sorted(of_annotations)),
    ]


def _draft(image: Any, names: Mapping[Any, str], grouped: dict[Any, list[Any]]) -> Draft:
    things: list[Thing] = []
    unsure: set[str] = set()
    annotations = grouped.pop(image["id"], [])
    for annotation in annotations:
        name = names.get(_key(annotation, "category_id"))
        if name is None:
            raise RowRefused(
                "columns", f"category {annotation.get('category_id')!r:.40} is not listed"
            )
        if annotation.get("iscrowd"):
            unsure.add(name)
            continue
        things.append(Thing(name, _corners(annotation.get("bbox"))))
    width, height = image.get("width"), image.get("height")
    size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    picture = Annotated(
        picture=image["file_name"],
        things=things,
        classes=list(names.values()),
        unsure=frozenset(unsure),
        size=size,
    )
    draft = draft_of(picture, image["file_name"])
    draft.ignored = _unused(image, annotations, _USED)
    return draft


def _corners(box: Any) -> tuple[float, float, float, float]:
    are_numbers = isinstance(box, list) and all(type(number) in (int, float) for number in box)
    if not are_numbers or len(box) != 4:
        raise RowRefused("box", f"bbox {box!s:.60} is no list of four numbers")
    x, y, width, height = floats(box)
    return x, y, x + width, y + height
