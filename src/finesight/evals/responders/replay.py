# SPDX-License-Identifier: Apache-2.0
"""Stored outputs as a source of answers, found by the id of the item."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

from finesight.config.processor import ProcessorConfig
from finesight.conversation import FinishReason, ImagePart, MediaRecord, Reply, Sampling
from finesight.errors import ConfigError, EvalError, MediaError
from finesight.evals.core.responders import canned
from finesight.evals.core.rows import rows
from finesight.evals.core.task import Item
from finesight.geometry import Resize, Size
from finesight.media.image import image_size
from finesight.media.source import source_name
from finesight.processor.resize import fit_image

STORED_COLUMNS = {
    "id": ("id", "pid", "question_id", "sample_id", "index", "_key"),
    "text": ("text", "response", "prediction", "output", "model_answer", "answer"),
    "reason": ("finish_reason",),
    "media": ("media",),
}
"""Column -> its names in files of stored outputs, preferred first."""

_TOKEN_PIXELS = 28 * 28


@dataclass(frozen=True, slots=True)
class Replay:
    """Stored answers; pictures need not exist.

    Attributes:
        name: see `ItemResponder`.
        stored: raw answer by item id.
        reasons: finish reasons by item id, where known; "stop" for the others.
        declares_resize: coordinates in the answers are resized pixels. A resized size that is not stored is computed
            from the file and the pixel limits of the item.
        sizes: original and resized size of each picture by item id, where stored.
    """

    reads_media: ClassVar[bool] = False

    name: str
    stored: Mapping[str, str]
    reasons: Mapping[str, FinishReason] = field(default_factory=dict)
    declares_resize: bool = False
    sizes: Mapping[str, tuple[Resize, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, *, declares_resize: bool = False) -> Replay:
        """Read stored outputs: JSON, JSONL, TSV, CSV or parquet; `samples.jsonl` of a run is one of them.

        Args:
            path: the file, or the folder of a run.
            declares_resize: coordinates in the answers are resized pixels.

        Raises:
            ConfigError: the folder is not that of a run.
            EvalError: the file does not exist, a row is broken, or an id occurs twice.
        """
        path = file_of_answers(path)
        stored: dict[str, str] = {}
        reasons: dict[str, FinishReason] = {}
        sizes: dict[str, tuple[Resize, ...]] = {}
        optional = {name: STORED_COLUMNS[name] for name in ("text", "reason", "media")}
        for row in rows(path, columns={"id": STORED_COLUMNS["id"]}, optional=optional):
            if row.error is not None or "text" not in row.values:
                lacks = f"no column for the answer, such as {', '.join(optional['text'][:3])}"
                raise EvalError(f"{row.where}: {row.error or lacks}")
            item_id = str(row["id"])
            if item_id in stored:
                raise EvalError(f"{row.where}: a second output for item {item_id!r}")
            if row["text"] is not None:  # None: an item that failed in a run
                stored[item_id] = str(row["text"])
            if row.get("reason") in get_args(FinishReason):
                reasons[item_id] = cast("FinishReason", row["reason"])
            if declares_resize and (stated := _stored_sizes(row.get("media"), row.where)):
                sizes[item_id] = stated
        return cls(f"replay of {path.name}", stored, reasons, declares_resize, sizes)

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The stored output of the item."""
        del sampling
        if item.id not in self.stored:
            raise EvalError(f"item {item.id} has no stored output; there are {len(self.stored)}")
        media = _records(item, self.sizes.get(item.id, ())) if self.declares_resize else ()
        return canned(self.stored[item.id], self.reasons.get(item.id, "stop"), media)


def file_of_answers(path: Path) -> Path:
    """The file itself, or `samples.jsonl` of a run's folder.

    Raises:
        ConfigError: a folder without `samples.jsonl`.
        EvalError: the path does not exist.
    """
    if not path.exists():
        raise EvalError(
            f"there is no file {path}",
            hint="give the file of stored answers, or the folder of a run",
        )
    if not path.is_dir():
        return path
    samples = path / "samples.jsonl"
    if not samples.is_file():
        raise ConfigError(
            f"{path} is a folder without samples.jsonl; stored answers are one file",
            hint="give the file of answers itself, or the folder that `finesight eval run --out` made",
        )
    return samples


def _stored_sizes(media: Any, where: str) -> tuple[Resize, ...]:
    """Sizes of pictures in the form of `samples.jsonl` or `finesight ask --json`; empty unless all are present.

    Raises:
        EvalError: a value is not a size.
    """
    if isinstance(media, dict):
        raise EvalError(
            f"{where}: media holds one object, not a list", hint="write it in brackets: [{...}]"
        )
    sizes: list[Resize | None] = []
    for number, each in enumerate(media if isinstance(media, list) else []):
        if isinstance(each, dict) and each.get("kind", "image") == "image":
            original, resized = (
                _size(each.get(name), f"{where}: media[{number}].{name}")
                for name in ("original", "resized")
            )
            sizes.append(Resize(original, resized) if original and resized else None)
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == len(sizes) else ()


def _size(value: Any, field: str) -> Size | None:
    """A size from a pair or from an object with width and height; None for None."""
    if value is None:
        return None
    sides = value
    if isinstance(value, dict) and value.keys() == {"width", "height"}:
        sides = [value["width"], value["height"]]
    is_pair = isinstance(sides, list) and len(sides) == 2
    if not is_pair or not all(
        type(side) in (int, float) and side % 1 == 0 < side for side in sides
    ):
        raise EvalError(
            f"{field} is {json.dumps(value, ensure_ascii=False, default=str)[:80]}, which is not a size",
            hint='write whole pixels from 1 on, as [width, height] or {"width": ..., "height": ...};'
            " leave both sizes out if they are not known",
        )
    return Size(int(sides[0]), int(sides[1]))


def _records(item: Item, stored: Sequence[Resize]) -> tuple[MediaRecord, ...]:
    """Records of the pictures of an item with their resized sizes; empty if a size is unknown."""
    parts = tuple(item.conversation.media())
    pictures = [part for part in parts if isinstance(part, ImagePart)]
    if len(pictures) != len(parts):
        return ()  # coordinates on videos are not mapped
    try:
        sizes = stored if len(stored) == len(pictures) else [_fitted(part) for part in pictures]
    except MediaError:
        return ()
    return tuple(
        MediaRecord(
            kind="image",
            source=source_name(part.source),
            resize=size,
            visual_tokens=size.resized.area // _TOKEN_PIXELS,
        )
        for part, size in zip(pictures, sizes, strict=True)
    )


def _fitted(part: ImagePart) -> Resize:
    """Original and resized size of a picture with Qwen2.5-VL's processor.

    Raises:
        MediaError: the file is missing or not a picture, or it is a PDF page, whose size is unknown.
    """
    if part.page is not None:
        raise MediaError("the size of a page is not known")
    return fit_image(image_size(part.source), part, ProcessorConfig())
