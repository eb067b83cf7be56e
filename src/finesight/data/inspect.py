# SPDX-License-Identifier: Apache-2.0
"""Show samples of a data set with their truth on one self-contained HTML page.

Pictures are embedded; boxes and character centres are vector marks that can be switched off. Every shard is first
checked against its checksum. The page has no script and loads no other file.
"""

from __future__ import annotations

import base64
import random
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from finesight.conversation import ImagePart, Message, VideoPart
from finesight.data.record import Record, Truth, text_of
from finesight.data.shards import ShardSet
from finesight.data.stored import as_png
from finesight.present.page import Figure, Gallery, Page, Section, Table, TableRow, render_page
from finesight.present.svg import drawing, element

__all__ = ["sheet"]

_ZOOM = 2
_MARK = "#e00040"


def sheet(folder: Path, *, num_samples: int = 60, seed: int = 0) -> tuple[str, int]:
    """The page.

    Args:
        folder: a data set.
        num_samples: largest number of samples.
        seed: seed of the choice of samples.

    Returns:
        HTML, and the number of samples shown.

    Raises:
        DataError: the folder has no shard.
        ShardCorrupt: a shard does not match its index.
        RecordInvalid: a shown record breaks the schema.
    """
    shards = ShardSet(folder)
    for shard in shards.shards:
        shard.verify()
    chosen = sorted(random.Random(seed).sample(range(len(shards)), min(num_samples, len(shards))))
    records = [shards[index] for index in chosen]
    for record in records:
        record.check()
    title = f"{folder.name}: {len(shards)} records in {len(shards.shards)} shards"
    parts = (_summary(records), Gallery("", tuple(map(_figure, records)), width_rem=32))
    page = Page(
        title=title,
        sections=(Section("", parts),),
        marks_switch="boxes and character centres",
    )
    return render_page(page), len(records)


def _summary(records: list[Record]) -> Table:
    """Number of shown samples by value of each key of `meta`."""
    rows = []
    for key in ("stage", "kind", "language", "direction", "split"):
        counts = Counter(str(record.meta[key]) for record in records if key in record.meta)
        if counts:
            text = ", ".join(f"{value} {number}" for value, number in counts.most_common(12))
            rows.append(TableRow((key, text)))
    return Table("", ("key", "records"), tuple(rows))


def _figure(record: Record) -> Figure:
    shown = {key: value for key, value in record.meta.items() if key not in ("tasks", "sources")}
    media = list(record.conversation.media())
    truth = record.truth or (Truth(),) * len(media)
    drawn = [_media(part, known) for part, known in zip(media, truth, strict=True)]
    return Figure(
        drawing=Markup("").join(drawn) if drawn else None,
        caption=f"{record.id} {shown}",
        texts=tuple(map(_message, record.conversation.messages)),
    )


def _message(message: Message) -> tuple[str, str]:
    """Role, and text with tool calls."""
    calls = [str(dict(call)) for call in message.tool_calls]
    return message.role, "\n".join((text_of(message), *calls))


def _media(part: ImagePart | VideoPart, truth: Truth) -> Markup:
    """A picture with its truth, the frames of a video given as pictures, or the size of a video file."""
    sources = part.source if isinstance(part.source, tuple) else (part.source,)
    pictures = [_picture(each, truth) for each in sources if isinstance(each, np.ndarray)]
    if pictures:
        return Markup("").join(pictures)
    size = sum(len(each) for each in sources if isinstance(each, bytes))
    text = element("text", {"x": 4, "y": 16, "font-size": 12}, f"a video of {size:,} bytes")
    return drawing((240, 24), "a video file", (text,), {"width": 240})


def _picture(pixels: npt.NDArray[np.uint8], truth: Truth) -> Markup:
    """The picture with its truth drawn over it."""
    height, width = pixels.shape[:2]
    zoom = _ZOOM if width * _ZOOM <= 540 else 1
    image = {
        "href": f"data:image/png;base64,{base64.b64encode(as_png(pixels)).decode()}",
        "width": width,
        "height": height,
        "style": "image-rendering: pixelated",
    }
    parts = (element("image", image), _marks(truth))
    return drawing((width, height), "picture with its truth", parts, {"width": width * zoom})


def _marks(truth: Truth) -> Markup:
    marks = []
    for thing in truth.objects or ():
        x1, y1, x2, y2 = thing.box
        line = {"fill": "none", "stroke": _MARK}
        marks += [
            element("rect", {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, **line}),
            element("text", {"x": x1, "y": max(8, y1 - 2), "fill": _MARK}, thing.name),
        ]
    for glyph in truth.glyphs or ():
        dot = {"cx": glyph.x, "cy": glyph.y, "r": 1, "fill": _MARK}
        marks.append(element("circle", dot, element("title", {}, glyph.char)))
    return element("g", {"class": "marks", "font-size": 7}, *marks)
