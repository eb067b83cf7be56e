# SPDX-License-Identifier: Apache-2.0
"""COCO: one JSON object with `images`, `annotations` and `categories`; boxes are `[x, y, width, height]`.

The whole file is in memory. Nothing is asked about a class of which a picture has a crowd region (`iscrowd`).

Source: cocodataset.org, data format.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finesight.data.formats.detection import Annotated, Thing, draft_of
from finesight.data.formats.draft import Draft
from finesight.data.formats.rows import Row, RowRefused
from finesight.errors import DataError

__all__ = ["is_coco", "read_file"]

_KEYS = ("images", "annotations", "categories")


def is_coco(path: Path) -> bool:
    """Whether a JSON file looks like COCO: one object with the three lists of COCO."""
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


def read_file(path: Path) -> Iterator[tuple[Row, Draft | RowRefused]]:
    """The draft of each picture, or why it cannot be used.

    Raises:
        DataError: the file is no COCO.
    """
    whole = _load(path)
    if not isinstance(whole, dict) or not all(isinstance(whole.get(key), list) for key in _KEYS):
        raise DataError(f"{path} has no lists {', '.join(_KEYS)}", hint="is it COCO?")
    names = {
        key: str(entry["name"])
        for entry in whole["categories"]
        if (key := _key(entry, "id")) is not None and "name" in entry
    }
    grouped: dict[Any, list[Any]] = defaultdict(list)
    for annotation in whole["annotations"]:
        grouped[_key(annotation, "image_id")].append(annotation)
    for number, image in enumerate(whole["images"], 1):
        row = Row(f"{path.name}, row {number}", image)
        try:
            yield row, _draft(image, names, grouped)
        except RowRefused as refused:
            yield row, refused
    for key, lost in grouped.items():
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


def _draft(image: Any, names: Mapping[Any, str], grouped: dict[Any, list[Any]]) -> Draft:
    if not isinstance(image, dict) or not isinstance(image.get("file_name"), str):
        raise RowRefused("columns", "the picture has no file_name")
    things: list[Thing] = []
    unsure: set[str] = set()
    key = _key(image, "id")
    for annotation in grouped.pop(key, []) if key is not None else []:
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
    return draft_of(picture, image["file_name"])


def _corners(box: Any) -> tuple[float, float, float, float]:
    are_numbers = isinstance(box, list) and all(type(number) in (int, float) for number in box)
    if not are_numbers or len(box) != 4:
        raise RowRefused("box", f"bbox {box!s:.60} is no list of four numbers")
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height
