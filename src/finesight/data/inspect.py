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

from finesight.data.record import Record, encode_record
from finesight.data.shards import ShardSet

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
    turns = "".join(
        f'<div class="q">{html.escape(question)}</div><pre>{html.escape(answer)}</pre>'
        for question, answer in record.turns
    )
    shown = {key: value for key, value in record.meta.items() if key not in ("tasks", "sources")}
    top = f"<pre>{html.escape(record.context)}</pre>" if record.context else ""
    if record.image is not None:
        top = _picture(record) + top
    return (
        f'<figure>{top}<figcaption>{turns}<div class="meta">{html.escape(f"{record.id} {shown}")}</div></figcaption>'
        "</figure>"
    )


def _picture(record: Record) -> str:
    png, _ = encode_record(record)
    height, width = record.pixels.shape[:2]
    zoom = ZOOM if width * ZOOM <= 540 else 1
    return (
        f'<div class="pic"><img alt="" width="{width * zoom}" height="{height * zoom}" '
        f'src="data:image/png;base64,{base64.b64encode(png).decode()}">{_marks(record, zoom)}</div>'
    )


def _marks(record: Record, zoom: int) -> str:
    height, width = record.pixels.shape[:2]
    boxes = "".join(
        f'<rect x="{x1}" y="{y1}" width="{x2 - x1}" height="{y2 - y1}"/>'
        f'<text x="{x1}" y="{max(8, y1 - 2)}">{html.escape(thing.name)}</text>'
        for thing in record.objects
        for x1, y1, x2, y2 in (thing.box,)
    )
    dots = "".join(
        f'<circle cx="{glyph.x:.1f}" cy="{glyph.y:.1f}" r="1"><title>{html.escape(glyph.char)}</title></circle>'
        for glyph in record.glyphs
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width * zoom}" height="{height * zoom}">'
        f"{boxes}{dots}</svg>"
    )
