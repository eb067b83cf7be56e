# SPDX-License-Identifier: Apache-2.0
"""OCR of the scans of `ocr_scans`, line by line: each picture is one line of a page.

The scans come without boxes, so their pages are cut by their rows of ink. The number of lines is that of the text. The
page is divided into as many equal strips between its first and last row of ink; each cut is the row with the least ink
within a third of a strip around the border of two strips. A line is cropped to its ink, with a white margin. Pages that
are turned are cut upright, and their lines are turned back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.rows import broken_item
from finesight.evals.core.task import Item
from finesight.evals.tasks.packaged.ocr_scans import READ, questions, scans
from finesight.evals.tasks.shared.questions import Question

INK = 128
"""Grey values below this are ink."""
MARGIN = 8
"""White pixels around a line."""
SEARCHED = 1 / 3
"""Part of a strip, above and below a border, in which its cut is searched."""
UPRIGHT = {
    "upside down": Image.Transpose.ROTATE_180,
    "turned left": Image.Transpose.ROTATE_270,
    "turned right": Image.Transpose.ROTATE_90,
}
"""How a page of this orientation is turned upright."""
BACK = {
    Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270,
    Image.Transpose.ROTATE_180: Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90,
}


def cut_lines(page: Image.Image, num_lines: int) -> list[Image.Image]:
    """The lines of an upright page with dark text on white, from top to bottom.

    Args:
        page: any mode.
        num_lines: lines on it; no strip of the page may be blank.

    Raises:
        EvalError: a strip has no ink, so the number of lines is wrong.
    """
    grey = page.convert("L")
    ink = np.asarray(grey) < INK
    per_row = ink.sum(axis=1)
    rows = np.flatnonzero(per_row)
    if not rows.size:
        raise EvalError(f"the page of {grey.width} x {grey.height} pixels is blank")
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    pitch = (bottom - top) / num_lines
    borders = [top + number * pitch for number in range(1, num_lines)]
    cuts = [top, *(_emptiest(per_row, border, pitch) for border in borders), bottom]
    lines = []
    for upper, lower in pairwise(cuts):
        box = Image.fromarray(ink[upper:lower]).getbbox()
        if box is None:
            raise EvalError(f"no ink between rows {upper} and {lower}, expected {num_lines} lines")
        line = grey.crop((box[0], upper + box[1], box[2], upper + box[3]))
        lines.append(ImageOps.expand(line, MARGIN, 255))
    return lines


def _emptiest(per_row: npt.NDArray[np.int64], border: float, pitch: float) -> int:
    """The row with the least ink near a border; of several, the nearest."""
    reach = pitch * SEARCHED
    near = range(int(border - reach), int(border + reach) + 1)
    return min(near, key=lambda row: (per_row[row], abs(row - border)))


def _lines(turns: Collection[str], folder: Path) -> Iterator[Question | Item]:
    """One question per line of the pages with these orientations."""
    for page in questions(folder):
        if not isinstance(page, Question):
            yield page
        elif page.tags["turn"] in turns:
            yield from _of_page(page)


def _of_page(page: Question) -> Iterator[Question | Item]:
    texts = [line for line in page.oracle.splitlines() if line.strip()]
    (media,) = page.media
    turned = UPRIGHT.get(page.tags["turn"])
    try:
        with Image.open(Path(str(media.source))) as opened:
            picture = opened if turned is None else opened.transpose(turned)
            cut = cut_lines(picture, len(texts))
    except (OSError, EvalError) as error:
        yield broken_item(page.id, f"the page cannot be cut into lines: {error}")
        return
    for number, (line, text) in enumerate(zip(cut, texts, strict=True), 1):
        shown = line if turned is None else line.transpose(BACK[turned])
        yield replace(
            page,
            id=f"{page.id}/{number}",
            truth={"text": text},
            oracle=text,
            media=(ImagePart(source=shown),),
        )


TASKS = {
    "scan_lines": scans(partial(_lines, ("upright",)), READ),
    "scan_lines_turned": scans(partial(_lines, tuple(UPRIGHT)), READ),
}
