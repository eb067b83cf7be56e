# SPDX-License-Identifier: Apache-2.0
"""The data set of `--suite ocr-compare`: held-out text (original, scaled, rotated, joined into pages) and scans."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from PIL import Image

from finesight import files
from finesight.errors import EvalError
from finesight.evals.tasks.packaged.ocr_scans import SCANS

SIZES = {"half": 0.5, "as drawn": 1.0, "double": 2.0, "four times": 4.0}
TURNS = {"turned 90": 90, "turned 180": 180, "turned 270": 270}
"""Degrees counterclockwise."""
LINES_PER_PAGE = 12
PER_ROW = 12
"""Default number of pictures per language, and of each other row."""
_MARGIN = 14


@dataclass(frozen=True, slots=True)
class TextPicture:
    """A held-out picture of text.

    Attributes:
        id: of its record.
        image: the picture, RGB.
        text: gold transcription.
        language: of the text.
    """

    id: str
    image: Image.Image
    text: str
    language: str


@dataclass(frozen=True, slots=True)
class SetItem:
    """One item of the data set.

    Attributes:
        id: unique in the set.
        image: the picture.
        text: gold transcription.
        picture: name shared by all copies of one picture.
        tags: rows it belongs to.
    """

    id: str
    image: Image.Image
    text: str
    picture: str
    tags: dict[str, str]


def write_set(
    out: Path, texts: Iterable[TextPicture], real: Path | None, *, limit: int | None
) -> int:
    """Write the data set: `items.jsonl` and `pictures/`.

    Args:
        out: folder; replaced once the new set is complete.
        texts: pictures of held-out data sets.
        real: folder of real data, for its scans; None leaves them out.
        limit: pictures per language and of each other row; None takes `PER_ROW`.

    Returns:
        Number of items.

    Raises:
        EvalError: there is no text, or the folder cannot be written.
    """
    chosen = _in_turn(texts, limit or PER_ROW)
    scans = [] if real is None else list(_scans(real / "ocr_scans"))
    if not chosen and not scans:
        raise EvalError(
            f"there is no text to be read: 0 held-out pictures of text, and no scans in {real or 'no folder'}",
            hint="give held-out text data with --data, or real scans with --real",
        )
    with files.whole_folder(out, error=EvalError) as draft:
        (draft / "pictures").mkdir()
        lines: list[str] = []
        for number, item in enumerate(_items(chosen, limit or PER_ROW)):
            name = f"pictures/{number:05d}.png"
            item.image.save(draft / name)
            lines.append(_line(item.id, name, item.text, item.picture, item.tags))
        lines += scans
        (draft / "items.jsonl").write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _in_turn(texts: Iterable[TextPicture], per_language: int) -> list[TextPicture]:
    """Pictures of all languages, interleaved."""
    found: dict[str, list[TextPicture]] = {}
    for each in texts:
        kept = found.setdefault(each.language, [])
        if len(kept) < per_language:
            kept.append(each)
    longest = max(map(len, found.values()), default=0)
    return [kept[place] for place in range(longest) for kept in found.values() if place < len(kept)]


def _items(texts: Sequence[TextPicture], limit: int) -> Iterator[SetItem]:
    for place, each in enumerate(texts):
        tags = {"kind": "text", "language": each.language}
        if place < limit:
            tags |= {"resolution": "as drawn", "direction": "upright"}
        yield SetItem(each.id, each.image, each.text, each.id, tags)
        if place < limit:
            yield from _copies(each.id, each.image, each.text)
    for first in range(0, min(len(texts), limit * LINES_PER_PAGE), LINES_PER_PAGE):
        members = texts[first : first + LINES_PER_PAGE]
        if len(members) > 1:
            text = "\n".join(each.text for each in members)
            # the id depends on the members, because answers are stored by id
            name = f"page/{sha256(' '.join(each.id for each in members).encode()).hexdigest()[:12]}"
            yield SetItem(name, _page(members), text, name, {"kind": "long page"})


def _copies(name: str, image: Image.Image, text: str) -> Iterator[SetItem]:
    """Scaled and rotated copies of one picture, and one whose text is asked for as JSON."""
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


def _page(members: Sequence[TextPicture]) -> Image.Image:
    """Pictures one below the other on white."""
    height = sum(each.image.height + _MARGIN for each in members) + _MARGIN
    width = max(each.image.width for each in members) + 2 * _MARGIN
    page = Image.new("RGB", (width, height), "white")
    top = _MARGIN
    for each in members:
        page.paste(each.image, (_MARGIN, top))
        top += each.image.height + _MARGIN
    return page


def _scans(folder: Path) -> Iterator[str]:
    """Lines of real scans, referenced by path."""
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
