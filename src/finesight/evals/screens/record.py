# SPDX-License-Identifier: Apache-2.0
"""A set of recorded screens on disk: `screens/NAME.png` and `elements.jsonl`, one line per element to click on.

The columns are those of ScreenSpot (file_name, instruction, bbox, data_type, data_source) with boxes as corners in
pixels, so that one way of reading serves all.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from PIL import Image

from finesight import files
from finesight.errors import EvalError
from finesight.geometry import Box

ELEMENTS_FILE = "elements.jsonl"
PICTURES = "images"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One element of a screen that an instruction means.

    Attributes:
        instruction: what to do, in words.
        box: where a click is right, in pixels of the picture.
        kind: whether the words stand in it.
    """

    instruction: str
    box: Box
    kind: Literal["text", "icon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One picture with what is asked on it.

    Attributes:
        name: unique in its set.
        source: of the page.
        picture: RGB.
        targets: at least one.
    """

    name: str
    source: str
    picture: Image.Image
    targets: tuple[Target, ...]


def write_set(screens: Iterable[Screen], folder: Path) -> int:
    """Write screens, whole or not at all; an older set in the folder is replaced.

    Elements stand in a drawn order, the same every time, so that any first part of them is of many screens.

    Args:
        screens: drawn as they are needed.
        folder: of the set.

    Returns:
        Number of elements.

    Raises:
        EvalError: there is no element, or the folder cannot be written to.
    """
    drawing = iter(screens)
    first = next(drawing, None)  # what is missing is said before a folder is made
    if first is None:
        raise EvalError(f"no page gave an element for {folder}")
    lines: list[str] = []
    with files.whole_folder(folder, error=EvalError) as draft:
        (draft / PICTURES).mkdir()
        for screen in chain((first,), drawing):
            file = f"{screen.name}.png"
            screen.picture.save(draft / PICTURES / file)
            lines += [_line(screen, target, file) for target in screen.targets]
        random.Random(0).shuffle(lines)
        (draft / ELEMENTS_FILE).write_text("".join(lines), encoding="utf-8")
    return len(lines)


def _line(screen: Screen, target: Target, file: str) -> str:
    box = target.box
    row = {
        "file_name": file,
        "instruction": target.instruction,
        "bbox": [round(value, 1) for value in (box.x1, box.y1, box.x2, box.y2)],
        "data_type": target.kind,
        "data_source": screen.source,
    }
    return json.dumps(row, ensure_ascii=False) + "\n"
