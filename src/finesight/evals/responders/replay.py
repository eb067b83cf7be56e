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
"""What files of stored outputs call an item's id, its raw answer, why it ended, and what was shown; the best name
first."""

_TOKEN_PIXELS = 28 * 28


@dataclass(frozen=True, slots=True)
class Replay:
    """Answers that were given before; pictures need not be there.

    Attributes:
        name: see `ItemResponder`.
        stored: raw answer by item id.
        reasons: how answers ended, where that is known; the others count as ended by themselves.
        declares_resize: numbers in the answers are pixels that the model saw. Where the outputs do not say how large a
            picture was then, that follows from its file and the pixels that its item is given.
        sizes: original and resized size of each picture by item id, where the outputs say them.
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
            declares_resize: numbers in the answers are pixels that the model saw.

        Raises:
            ConfigError: a folder of anything else.
            EvalError: there is no such file, a row is broken, or an id occurs twice.
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
            if row["text"] is not None:  # a run notes its failed items so
                stored[item_id] = str(row["text"])
            if row.get("reason") in get_args(FinishReason):
                reasons[item_id] = cast("FinishReason", row["reason"])
            if declares_resize and (said := _said_sizes(row.get("media"), row.where)):
                sizes[item_id] = said
        return cls(f"replay of {path.name}", stored, reasons, declares_resize, sizes)

    def answer(self, item: Item, sampling: Sampling) -> Reply:
        """The stored output of the item."""
        del sampling
        if item.id not in self.stored:
            raise EvalError(f"item {item.id} has no stored output; there are {len(self.stored)}")
        media = _shown(item, self.sizes.get(item.id, ())) if self.declares_resize else ()
        return canned(self.stored[item.id], self.reasons.get(item.id, "stop"), media)


def file_of_answers(path: Path) -> Path:
    """The file itself, or the samples of a run's folder: other folders may hold questions of any benchmark.

    Raises:
        ConfigError: a folder without samples.
        EvalError: there is nothing at this path.
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


def _said_sizes(media: Any, where: str) -> tuple[Resize, ...]:
    """Sizes of pictures as `samples.jsonl` or `finesight ask --json` has them; none unless all are there.

    Raises:
        EvalError: a value is no size of a picture.
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


def _size(said: Any, field: str) -> Size | None:
    """Width and height as a pair or under their names; None where nothing is said."""
    if said is None:
        return None
    sides = said
    if isinstance(said, dict) and said.keys() == {"width", "height"}:
        sides = [said["width"], said["height"]]
    is_pair = isinstance(sides, list) and len(sides) == 2
    if not is_pair or not all(
        type(side) in (int, float) and side % 1 == 0 < side for side in sides
    ):
        raise EvalError(
            f"{field} is {json.dumps(said, ensure_ascii=False, default=str)[:80]}, which is no size of a picture",
            hint='write whole pixels from 1 on, as [width, height] or {"width": ..., "height": ...};'
            " leave both sizes out if they are not known",
        )
    return Size(int(sides[0]), int(sides[1]))


def _shown(item: Item, said: Sequence[Resize]) -> tuple[MediaRecord, ...]:
    """The pictures of an item with the size a model saw; none at all where a size cannot be known."""
    parts = tuple(item.conversation.media())
    pictures = [part for part in parts if isinstance(part, ImagePart)]
    if len(pictures) != len(parts):
        return ()  # nothing is placed on videos
    try:
        sizes = said if len(said) == len(pictures) else [_fitted(part) for part in pictures]
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
    """What a model with Qwen2.5-VL's processor makes of a picture.

    Raises:
        MediaError: the file is not there or no picture, or it is a page, whose size is not known until it is drawn.
    """
    if part.page is not None:
        raise MediaError("the size of a page is not known")
    return fit_image(image_size(part.source), part, ProcessorConfig())
