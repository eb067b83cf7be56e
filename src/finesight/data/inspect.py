# SPDX-License-Identifier: Apache-2.0
"""Look at a data set: one self-contained HTML page of samples with their truth drawn over them.

Pictures are embedded, boxes and character centres are vector marks on top that can be switched off, and every shard is
checked against its checksum first. The page runs no script and loads nothing.
"""

from __future__ import annotations

import base64
import html
import random
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from finesight.conversation import ImagePart, Message, VideoPart
from finesight.data.record import Record, Truth, text_of
from finesight.data.shards import ShardSet
from finesight.data.stored import as_png

__all__ = ["sheet"]

ZOOM = 2
STYLE = """
:root { color-scheme: light dark }
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5rem; max-width: 1500px }
main { display: flex; flex-wrap: wrap; gap: 14px; align-items: flex-start }
figure { margin: 0; padding: 8px; border: 1px solid #8886; border-radius: 6px; max-width: 560px }
figure .pic { position: relative; background: #888; line-height: 0; width: fit-content }
figure img { image-rendering: pixelated; display: block }
figure svg { position: absolute; inset: 0 }
figcaption { margin-top: 6px; overflow-wrap: anywhere }
pre { white-space: pre-wrap; margin: 2px 0 8px; max-height: 12rem; overflow: auto }
.meta, .q { opacity: .7 } .meta { font-size: 12px }
rect { fill: none; stroke: #e00040 } circle { fill: #e00040 } text { font-size: 7px; fill: #e00040 }
#marks:not(:checked) ~ main svg { display: none }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: 2px 12px 2px 0; text-align: left }
"""


def sheet(folder: Path, *, num_samples: int = 60, seed: int = 0) -> tuple[str, int]:
    """The page.

    Args:
        folder: a data set.
        num_samples: most samples shown.
        seed: which samples.

    Returns:
        HTML, and the number of samples shown.

    Raises:
        DataError: the folder holds no data set.
        ShardCorrupt: a shard does not fit its index.
        RecordInvalid: a shown record breaks the schema.
    """
    shards = ShardSet(folder)
    for shard in shards.shards:
        shard.verify()
    chosen = sorted(random.Random(seed).sample(range(len(shards)), min(num_samples, len(shards))))
    records = [shards[index] for index in chosen]
    for record in records:
        record.check()
    body = "\n".join(_figure(record) for record in records)
    title = html.escape(f"{folder.name}: {len(shards)} records in {len(shards.shards)} shards")
    page = (
        f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        f"style-src 'unsafe-inline'\"><style>{STYLE}</style><h1>{title}</h1>{_summary(records)}"
        '<input type="checkbox" id="marks" checked> <label for="marks">boxes and character centres</label>'
        f"<main>{body}</main></html>\n"
    )
    return page, len(records)


def _summary(records: list[Record]) -> str:
    """Counts of the shown samples by what their meta says."""
    rows = []
    for key in ("stage", "kind", "language", "direction", "split"):
        counts = Counter(str(record.meta[key]) for record in records if key in record.meta)
        if counts:
            text = ", ".join(f"{value} {number}" for value, number in counts.most_common(12))
            rows.append(f"<tr><th>{key}</th><td>{html.escape(text)}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _figure(record: Record) -> str:
    said = "".join(map(_message, record.conversation.messages))
    shown = {key: value for key, value in record.meta.items() if key not in ("tasks", "sources")}
    media = list(record.conversation.media())
    truth = record.truth or (Truth(),) * len(media)
    top = "".join(_media(part, known) for part, known in zip(media, truth, strict=True))
    return (
        f'<figure>{top}<figcaption>{said}<div class="meta">{html.escape(f"{record.id} {shown}")}</div></figcaption>'
        "</figure>"
    )


def _message(message: Message) -> str:
    """Answers as they are written, everything else dimmed."""
    text = html.escape(text_of(message))
    calls = "".join(f"<pre>{html.escape(str(dict(call)))}</pre>" for call in message.tool_calls)
    if message.role == "assistant":
        return f"<pre>{text}</pre>{calls}"
    return f'<div class="q">{text}</div>'


def _media(part: ImagePart | VideoPart, truth: Truth) -> str:
    """A picture with its truth, the frames of a video that is given as pictures, or a line about a file."""
    sources = part.source if isinstance(part.source, tuple) else (part.source,)
    pictures = [_picture(each, truth) for each in sources if isinstance(each, np.ndarray)]
    if pictures:
        return "".join(pictures)
    size = sum(len(each) for each in sources if isinstance(each, bytes))
    return f"<p>a video of {size:,} bytes</p>"


def _picture(pixels: npt.NDArray[np.uint8], truth: Truth) -> str:
    height, width = pixels.shape[:2]
    zoom = ZOOM if width * ZOOM <= 540 else 1
    return (
        f'<div class="pic"><img alt="" width="{width * zoom}" height="{height * zoom}" '
        f'src="data:image/png;base64,{base64.b64encode(as_png(pixels)).decode()}">'
        f"{_marks(truth, (width, height), zoom)}</div>"
    )


def _marks(truth: Truth, size: tuple[int, int], zoom: int) -> str:
    width, height = size
    boxes = "".join(
        f'<rect x="{x1}" y="{y1}" width="{x2 - x1}" height="{y2 - y1}"/>'
        f'<text x="{x1}" y="{max(8, y1 - 2)}">{html.escape(thing.name)}</text>'
        for thing in truth.objects or ()
        for x1, y1, x2, y2 in (thing.box,)
    )
    dots = "".join(
        f'<circle cx="{glyph.x:.1f}" cy="{glyph.y:.1f}" r="1"><title>{html.escape(glyph.char)}</title></circle>'
        for glyph in truth.glyphs or ()
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width * zoom}" height="{height * zoom}">'
        f"{boxes}{dots}</svg>"
    )
