# SPDX-License-Identifier: Apache-2.0
"""Found things in the formats of other programs: COCO, YOLO, Label Studio, FiftyOne and Pascal VOC.

| name | files | box |
|---|---|---|
| coco | `coco.json` with images, annotations and categories | x, y, width, height in pixels |
| coco-results | `coco-results.json`, the list that an evaluation by pycocotools takes | the same, with a score |
| yolo | `labels/NAME.txt` and `data.yaml`, for pictures in `images/` | middle, width, height as shares |
| label-studio | `label-studio.json`, tasks with predictions | x, y, width, height in percent |
| fiftyone | `fiftyone.json`, samples with arguments of `fiftyone.Detection` | x, y, width, height as shares |
| voc | `voc/NAME.xml` | pixels from 1, both corners inside |

Ids of COCO count from 1, in the order of the pictures and of the phrases. A thing without a score has none in the file;
COCO results need one, so such things are refused. Points are refused but in Label Studio.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from xml.etree import ElementTree

import yaml

from finesight import files
from finesight.apps.grounding.findings import Inspected
from finesight.apps.grounding.records import Located, Thing
from finesight.errors import AppError
from finesight.geometry import Box

__all__ = [
    "FORMATS",
    "Format",
    "coco",
    "coco_results",
    "fiftyone",
    "label_studio",
    "stems",
    "voc",
    "write",
    "yolo",
]

Format = Literal["coco", "coco-results", "yolo", "label-studio", "fiftyone", "voc"]
FORMATS: tuple[Format, ...] = get_args(Format)


def classes_of(pictures: Sequence[Located]) -> list[str]:
    """The phrases of all pictures, each once, in order; their index is the class of a box."""
    return list(dict.fromkeys(one.phrase for picture in pictures for one in picture.sought))


def coco(pictures: Sequence[Located]) -> dict[str, Any]:
    """A data set of COCO; annotations have a `score` where it is known."""
    names = classes_of(pictures)
    annotations: list[dict[str, Any]] = []
    for image_id, thing in _rows(pictures):
        box = _box(thing)
        annotation = {
            "id": len(annotations) + 1,
            "image_id": image_id,
            "category_id": names.index(thing.label) + 1,
            "bbox": _corner_and_size(box),
            "area": round(box.area, 2),
            "iscrowd": 0,
        }
        if thing.score.value is not None:
            annotation["score"] = thing.score.value
        annotations.append(annotation)
    return {
        "images": [
            {
                "id": image_id,
                "file_name": picture.source,
                "width": picture.size.width,
                "height": picture.size.height,
            }
            for image_id, picture in enumerate(pictures, 1)
        ],
        "annotations": annotations,
        "categories": [{"id": place, "name": name} for place, name in enumerate(names, 1)],
    }


def coco_results(pictures: Sequence[Located]) -> list[dict[str, Any]]:
    """The list of results of COCO.

    Raises:
        AppError: a thing has no score.
    """
    names = classes_of(pictures)
    results = []
    for image_id, thing in _rows(pictures):
        if thing.score.value is None:
            raise AppError(
                f"a {thing.label[:60]!r} has no score, and COCO results need one",
                hint="write coco instead, or ask a model that reports probabilities",
            )
        results.append(
            {
                "image_id": image_id,
                "category_id": names.index(thing.label) + 1,
                "bbox": _corner_and_size(_box(thing)),
                "score": thing.score.value,
            }
        )
    return results


def yolo(picture: Located, names: Sequence[str], *, with_scores: bool = False) -> str:
    """The label file of one picture.

    Args:
        picture: what was found.
        names: of the classes; the index of a name is its number.
        with_scores: add the score to `class cx cy w h`, as a prediction has it; a data set for training must not have
            it.
    """
    lines = []
    for thing in picture.things:
        x, y, width, height = _shares(_box(thing), picture)
        values = [x + width / 2, y + height / 2, width, height]
        if with_scores and thing.score.value is not None:
            values.append(thing.score.value)
        lines.append(
            " ".join([str(names.index(thing.label)), *(f"{value:.6f}" for value in values)])
        )
    return "".join(f"{line}\n" for line in lines)


def label_studio(pictures: Sequence[Located], *, model_version: str = "finesight") -> list[Any]:
    """Tasks of Label Studio with predictions, for a labelling interface with an image named "image"."""
    return [
        {
            "data": {"image": picture.source},
            "predictions": [
                {
                    "model_version": model_version,
                    "score": _mean_score(picture),
                    "result": [
                        _region(f"r{place}", thing, picture)
                        for place, thing in enumerate(picture.things, 1)
                    ],
                }
            ],
        }
        for picture in pictures
    ]


def fiftyone(pictures: Sequence[Located]) -> list[dict[str, Any]]:
    """Samples with the keyword arguments of `fiftyone.Detection`, in the field "predictions"."""
    return [
        {
            "filepath": picture.source,
            "predictions": [
                {
                    "label": thing.label,
                    "bounding_box": list(_shares(_box(thing), picture)),
                    "confidence": thing.score.value,
                }
                for thing in picture.things
            ],
        }
        for picture in pictures
    ]


def voc(picture: Located) -> str:
    """The annotation of one picture in the format of Pascal VOC, whose pixels count from 1."""
    root = ElementTree.Element("annotation")
    path = Path(picture.source)
    _child(root, "folder", path.parent.name)
    _child(root, "filename", path.name)
    size = ElementTree.SubElement(root, "size")
    for name, value in (
        ("width", picture.size.width),
        ("height", picture.size.height),
        ("depth", 3),
    ):
        _child(size, name, value)
    _child(root, "segmented", 0)
    for thing in picture.things:
        entry = ElementTree.SubElement(root, "object")
        for tag, text in (("name", thing.label), ("pose", "Unspecified"), ("difficult", "0")):
            _child(entry, tag, text)
        _child(entry, "truncated", int(thing.evidence.clipped or thing.is_cut))
        box, place = _box(thing), ElementTree.SubElement(entry, "bndbox")
        left, top = round(box.x1 + 1), round(box.y1 + 1)
        edges = (left, top, max(round(box.x2), left), max(round(box.y2), top))
        for tag, edge in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True):
            _child(place, tag, edge)
        if thing.score.value is not None:
            _child(entry, "score", f"{thing.score.value:.4f}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def write(pictures: Sequence[Located], folder: Path, formats: Sequence[Format]) -> list[Path]:
    """Write the files of each format into a folder, which is made.

    Args:
        pictures: what was found.
        folder: of the files.
        formats: names of `FORMATS`.

    Raises:
        AppError: a file cannot be written, or a format cannot hold what was found.
    """
    written: list[Path] = []
    for name in dict.fromkeys(formats):
        for path, text in _FILES[name](pictures).items():
            files.write_text(folder / path, text, error=AppError, parents=True)
            written.append(folder / path)
    return written


def _yolo_files(pictures: Sequence[Located]) -> dict[str, str]:
    names = classes_of(pictures)
    folders = dict.fromkeys(("train", "val"), "images")  # where the pictures have to be put
    about = {"path": ".", **folders, "names": dict(enumerate(names))}
    names_of_files = stems(pictures)
    found = {
        f"labels/{stem}.txt": yolo(picture, names)
        for stem, picture in zip(names_of_files, pictures, strict=True)
    }
    return {**found, "data.yaml": yaml.safe_dump(about, allow_unicode=True, sort_keys=False)}


def _voc_files(pictures: Sequence[Located]) -> dict[str, str]:
    names_of_files = stems(pictures)
    return {f"voc/{stem}.xml": voc(one) for stem, one in zip(names_of_files, pictures, strict=True)}


def _json_file(
    name: str, make: Callable[[Sequence[Located]], Any]
) -> Callable[..., dict[str, str]]:
    return lambda pictures: {
        name: json.dumps(make(pictures), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    }


_FILES: Mapping[Format, Callable[[Sequence[Located]], dict[str, str]]] = {
    "coco": _json_file("coco.json", coco),
    "coco-results": _json_file("coco-results.json", coco_results),
    "yolo": _yolo_files,
    "label-studio": _json_file("label-studio.json", label_studio),
    "fiftyone": _json_file("fiftyone.json", fiftyone),
    "voc": _voc_files,
}


def stems(pictures: Sequence[Located | Inspected]) -> list[str]:
    """Names of files, one for each picture: that of the picture, with a number if it occurs again."""
    found: dict[str, None] = {}
    numbers: dict[str, int] = {}  # the last one of each name: many pictures may have one name
    for picture in pictures:
        page = "" if picture.page is None else f"-page{picture.page + 1}"
        tried = stem = f"{Path(picture.source).stem or 'picture'}{page}"
        while tried in found:
            numbers[stem] = numbers.get(stem, 1) + 1
            tried = f"{stem}-{numbers[stem]}"
        found[tried] = None
    return list(found)


def _rows(pictures: Sequence[Located]) -> list[tuple[int, Thing]]:
    return [(place, thing) for place, one in enumerate(pictures, 1) for thing in one.things]


def _box(thing: Thing) -> Box:
    if thing.evidence.box is None:
        raise AppError(
            f"a {thing.label[:60]!r} is a point, and this format has only boxes",
            hint="locate boxes, or write label-studio",
        )
    return thing.evidence.box


def _corner_and_size(box: Box) -> list[float]:
    return [round(value, 2) for value in (box.x1, box.y1, box.width, box.height)]


def _shares(box: Box, picture: Located) -> tuple[float, float, float, float]:
    width, height = picture.size.width, picture.size.height
    return box.x1 / width, box.y1 / height, box.width / width, box.height / height


def _region(region_id: str, thing: Thing, picture: Located) -> dict[str, Any]:
    region: dict[str, Any] = {
        "id": region_id,
        "from_name": "label",
        "to_name": "image",
        "original_width": picture.size.width,
        "original_height": picture.size.height,
        "image_rotation": 0,
    }
    if thing.score.value is not None:
        region["score"] = thing.score.value
    if thing.evidence.box is None:
        x = 100 * thing.center.x / picture.size.width
        y = 100 * thing.center.y / picture.size.height
        value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [thing.label]}
        return {**region, "type": "keypointlabels", "value": value}
    x, y, width, height = (100 * share for share in _shares(thing.evidence.box, picture))
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    return {
        **region,
        "type": "rectanglelabels",
        "value": {**value, "rectanglelabels": [thing.label]},
    }


def _mean_score(picture: Located) -> float | None:
    values = [one.score.value for one in picture.things if one.score.value is not None]
    return sum(values) / len(values) if values else None


def _child(parent: ElementTree.Element, name: str, value: object) -> None:
    ElementTree.SubElement(parent, name).text = str(value)
