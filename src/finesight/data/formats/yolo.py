# SPDX-License-Identifier: Apache-2.0
"""YOLO: a folder with `data.yaml`, `images/` and `labels/`.

A label file has a line for each object: its class, then centre and size of its box, or the corners of a polygon, all in
shares of the sides. Key points after a box (`kpt_shape` in `data.yaml`) are not read. A picture without a label file
has no objects. Pictures listed under `train` are read.

Source: Ultralytics, docs/en/datasets/detect/index.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from finesight.data.formats.detection import Annotated, Thing, draft_of
from finesight.data.formats.draft import Draft
from finesight.data.formats.rows import Row, RowRefused
from finesight.errors import ConfigError

__all__ = ["config_of", "read_folder"]

_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_PICTURES = frozenset(
    (".avif", ".bmp", ".heic", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
)


def config_of(path: Path) -> Path | None:
    """The file `data.yaml` of a folder, or the path itself if it is such a file."""
    if path.suffix.lower() in (".yaml", ".yml"):
        return path
    return next((path / name for name in _NAMES if (path / name).is_file()), None)


def read_folder(config: Path, notes: dict[str, int]) -> Iterator[tuple[Row, Draft | RowRefused]]:
    """The draft of each picture under `train`, or why it cannot be used.

    Args:
        config: the file `data.yaml`.
        notes: gets the parts of the data set that are not read.

    Raises:
        ConfigError: it cannot be read, names no pictures, or none of them has a label file.
    """
    settings = _settings(config)
    names = settings["names"]
    root = _root(config, settings)
    pictures = list(_pictures(root, settings["train"], config))
    if not pictures:
        raise ConfigError(
            f"{config}: train is {settings['train']!r}, where there is no picture",
            hint=f"it is looked up in {root}",
        )
    if not any(_labels_of(picture).exists() for picture in pictures):
        raise ConfigError(
            f"{config}: none of the {len(pictures)} pictures under train has a label file",
            hint=f"that of {pictures[0].name} is looked up as {_labels_of(pictures[0])}",
        )
    num_points = _num_points(config, settings)
    for part in ("val", "test"):
        if settings.get(part):
            number = sum(1 for _ in _pictures(root, settings[part], config))
            notes[f"pictures under {part} of {config.name}, which are not read"] = number
    for picture in pictures:
        row = Row(str(picture.relative_to(root)) if picture.is_relative_to(root) else str(picture))
        try:
            things = [*_things(_labels_of(picture), names, num_points)]
            annotated = Annotated(
                picture=str(picture.absolute()),
                things=things,
                classes=list(names.values()),
                frame="norm1",
            )
            yield row, draft_of(annotated, picture.name)
        except RowRefused as refused:
            yield row, refused


def _settings(config: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(config.read_bytes())
    except (OSError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{config} cannot be read: {error}") from error
    if not isinstance(found, dict) or "names" not in found or "train" not in found:
        raise ConfigError(f"{config} has no names or no train", hint="is it a data set of YOLO?")
    names = found["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(isinstance(key, int) for key in names):
        raise ConfigError(f"{config}: names are {names!s:.60}, expected a list")
    return {**found, "names": {key: str(name) for key, name in names.items()}}


def _num_points(config: Path, settings: Mapping[str, Any]) -> int:
    """Numbers of key points after each box."""
    shape = settings.get("kpt_shape", [0, 0])
    if not isinstance(shape, list) or [type(number) for number in shape] != [int, int]:
        raise ConfigError(f"{config}: kpt_shape is {shape!s:.60}, expected two whole numbers")
    return math.prod(shape)


def _root(config: Path, settings: Mapping[str, Any]) -> Path:
    """The folder of the data set; `path` may be of another machine."""
    given = config.parent / str(settings.get("path") or "")
    return given if given.is_dir() else config.parent


def _pictures(root: Path, train: Any, config: Path) -> Iterator[Path]:
    for entry in train if isinstance(train, list) else [train]:
        # Exports write ../train/images beside data.yaml.
        places = (
            root / str(entry),
            root / str(entry).removeprefix("../"),
            config.parent / str(entry),
        )
        place = next((place for place in places if place.exists()), places[0])
        if place.is_dir():
            yield from sorted(file for file in place.rglob("*") if file.suffix.lower() in _PICTURES)
        elif place.suffix == ".txt" and place.is_file():
            for line in place.read_text(encoding="utf-8").splitlines():
                if line.strip():
                    yield place.parent / line.strip()


def _labels_of(picture: Path) -> Path:
    """The label file of a picture: the last folder `images` of its path becomes `labels`."""
    parts = list(picture.with_suffix(".txt").parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts)


def _things(labels: Path, names: Mapping[int, str], num_points: int) -> Iterator[Thing]:
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines() if labels.exists() else []
    except (OSError, ValueError) as error:
        raise RowRefused("unreadable", f"{labels.name} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{labels.name}, line {number}"
        try:
            kind, *values = (float(word) for word in line.split())
        except ValueError as error:
            raise RowRefused("box", f"{where}: {error}") from error
        name = names.get(int(kind)) if kind.is_integer() else None
        if name is None:
            raise RowRefused("columns", f"{where}: class {kind:g} has no name in data.yaml")
        yield Thing(name, _box(values, num_points, where))


def _box(values: list[float], num_points: int, where: str) -> tuple[float, float, float, float]:
    if len(values) == 4 + num_points:
        x, y, width, height = values[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if num_points or len(values) < 6 or len(values) % 2:
        expected = (
            f"4 and {num_points} of key points" if num_points else "4, or 6 and more in pairs"
        )
        raise RowRefused("box", f"{where}: {len(values)} numbers, expected {expected}")
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)
