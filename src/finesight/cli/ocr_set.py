# SPDX-License-Identifier: Apache-2.0
"""The pictures of `--suite ocr-compare`: held-out text as it is, smaller, larger, turned, in pages, and real scans."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.data.record import Record
from finesight.data.shards import ShardSet
from finesight.errors import EvalError
from finesight.evals.tasks.packaged.ocr_scans import SCANS

SIZES = {"half": 0.5, "as drawn": 1.0, "double": 2.0, "four times": 4.0}
TURNS = {"turned 90": 90, "turned 180": 180, "turned 270": 270}
"""Degrees counterclockwise."""
LINES_PER_PAGE = 12
PER_ROW = 12
"""Pictures per language, and of each other row, unless a limit says otherwise."""
_MARGIN = 14


@dataclass(frozen=True, slots=True)
class SetItem:
    """One picture to be read.

    Attributes:
        id: unique in the set.
        image: the picture.
        text: what stands in it.
        picture: shared by all copies of one picture.
        tags: rows it counts in.
    """

    id: str
    image: Image.Image
    text: str
    picture: str
    tags: dict[str, str]


def write_set(out: Path, folders: Sequence[Path], real: Path | None, *, limit: int | None) -> int:
    """Make the set: `items.jsonl` and `pictures/`.

    Args:
        out: folder; what is in it is replaced once the new set is whole.
        folders: held-out data sets; records that are no text are passed over.
        real: folder of real data, for its scans; None leaves them out.
        limit: pictures per language and of each other row; None takes `PER_ROW`.

    Returns:
        Number of items.

    Raises:
        EvalError: a record is not held out, or there is nothing to read.
    """
    texts = _records(folders, limit or PER_ROW)
    scans = [] if real is None else list(_scans(real / "ocr_scans"))
    if not texts and not scans:
        raise EvalError(
            f"there is no text to be read in {', '.join(map(str, folders)) or 'no folder'}",
            hint="give held-out text data with --data, or real scans with --real",
        )
    draft = out.with_name(f".{out.name}.part")
    shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
    try:
        (draft / "pictures").mkdir(parents=True)
        lines: list[str] = []
        for number, item in enumerate(_items(texts, limit or PER_ROW)):
            name = f"pictures/{number:05d}.png"
            item.image.save(draft / name)
            lines.append(_line(item.id, name, item.text, item.picture, item.tags))
        lines += scans
        (draft / "items.jsonl").write_text("".join(lines), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return len(lines)


def _records(folders: Sequence[Path], per_language: int) -> list[Record]:
    """Text records, the languages in turn, so that any beginning of the list holds all of them."""
    found: dict[str, list[Record]] = {}
    for folder in folders:
        for record in ShardSet(folder):
            if record.meta["split"] != "heldout":
                raise EvalError(
                    f"record {record.id} in {folder} is of split {record.meta['split']!r}, not heldout"
                )
            if record.family == "text" and not record.meta.get("direction", 0):
                kept = found.setdefault(str(record.meta["language"]), [])
                if len(kept) < per_language:
                    kept.append(record)
    longest = max(map(len, found.values()), default=0)
    return [kept[place] for place in range(longest) for kept in found.values() if place < len(kept)]


def _items(records: Sequence[Record], limit: int) -> Iterator[SetItem]:
    for place, record in enumerate(records):
        image, text = Image.fromarray(record.pixels), record.turns[0][1]
        tags = {"kind": "text", "language": str(record.meta["language"])}
        if place < limit:
            tags |= {"resolution": "as drawn", "direction": "upright"}
        yield SetItem(record.id, image, text, record.id, tags)
        if place < limit:
            yield from _copies(record.id, image, text)
    for first in range(0, min(len(records), limit * LINES_PER_PAGE), LINES_PER_PAGE):
        members = records[first : first + LINES_PER_PAGE]
        if len(members) > 1:
            text = "\n".join(record.turns[0][1] for record in members)
            # other members make another page, whose answers must not be taken for this one's
            name = f"page/{sha256(' '.join(record.id for record in members).encode()).hexdigest()[:12]}"
            yield SetItem(name, _page(members), text, name, {"kind": "long page"})


def _copies(name: str, image: Image.Image, text: str) -> Iterator[SetItem]:
    """One picture in other sizes, in other directions, and asked for as JSON."""
    for size, factor in SIZES.items():
        if factor != 1.0:
            sides = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
            scaled = image.resize(sides, Image.Resampling.LANCZOS)
            tags = {"kind": "other size", "resolution": size}
            yield SetItem(f"{name}/{size}", scaled, text, name, tags)
    for turn, degrees in TURNS.items():
        tags = {"kind": "turned", "direction": turn}
        turned = image.rotate(degrees, expand=True)
        yield SetItem(f"{name}/{turn}", turned, text, name, tags)
    yield SetItem(f"{name}/json", image, text, name, {"kind": "json"})


def _page(members: Sequence[Record]) -> Image.Image:
    """Pictures under each other on white."""
    heights = [record.pixels.shape[0] + _MARGIN for record in members]
    width = max(record.pixels.shape[1] for record in members) + 2 * _MARGIN
    page = Image.new("RGB", (width, sum(heights) + _MARGIN), "white")
    top = _MARGIN
    for record, height in zip(members, heights, strict=True):
        page.paste(Image.fromarray(record.pixels), (_MARGIN, top))
        top += height
    return page


def _scans(folder: Path) -> Iterator[str]:
    """Real scans where they are, not copied."""
    for name, (text_file, turn) in SCANS.items():
        if (folder / name).is_file() and (folder / text_file).is_file():
            text = (folder / text_file).read_text(encoding="utf-8").strip()
            page = text_file.partition(".")[0]
            kind = "scan" if turn == "upright" else "scan, turned"
            path = str((folder / name).resolve())
            yield _line(f"scan/{name}", path, text, f"scan/{page}", {"kind": kind})


def _line(name: str, image: str, text: str, picture: str, tags: dict[str, str]) -> str:
    values: dict[str, Any] = {"id": name, "image": image, "text": text, "picture": picture}
    return json.dumps({**values, "tags": tags}, ensure_ascii=False) + "\n"
