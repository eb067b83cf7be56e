# SPDX-License-Identifier: Apache-2.0
"""Write recorded screens: `images/NAME.png`, and `elements.jsonl` with one line per element.

The columns are those of ScreenSpot (file_name, instruction, bbox, data_type, data_source), with boxes as corners in
pixels.
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
    """One element of a screen with its instruction.

    Attributes:
        instruction: as text.
        box: gold box, in pixels of the picture.
        kind: "text" if the element shows its name, otherwise "icon".
    """

    instruction: str
    box: Box
    kind: Literal["text", "icon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """One screenshot with its elements.

    Attributes:
        name: unique in its set.
        source: of the page.
        picture: screenshot, RGB.
        targets: at least one.
    """

    name: str
    source: str
    picture: Image.Image
    targets: tuple[Target, ...]


def write_set(screens: Iterable[Screen], folder: Path) -> int:
    """Write screens atomically; an older set in the folder is replaced.

    Elements are shuffled with a fixed seed, so that the first ones come from many screens.

    Args:
        screens: consumed lazily.
        folder: of the set.

    Returns:
        Number of elements.

    Raises:
        EvalError: there is no element, or the folder cannot be written to.
    """
    recording = iter(screens)
    first = next(recording, None)  # missing data is an error before the folder is created
    if first is None:
        raise EvalError(f"no page gave an element for {folder}")
    lines: list[str] = []
    with files.whole_folder(folder, error=EvalError) as draft:
        (draft / PICTURES).mkdir()
        for screen in chain((first,), recording):
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
