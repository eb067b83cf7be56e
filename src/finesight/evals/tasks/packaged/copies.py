# SPDX-License-Identifier: Apache-2.0
"""What tasks on real data out of package registries share: which rows are asked, and how small pictures are shown."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from finesight.errors import EvalError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FETCH = "fetch it with scripts/fetch_real_data.py"
NOT_PRINTED = "no number of this is in the report, nor elsewhere"


def balanced(labels: Sequence[int], per_label: int, *, seed: int = 0) -> list[int]:
    """Places of `per_label` rows of each label in a drawn order, so that any first part holds a mixture.

    Raises:
        EvalError: a label has fewer rows.
    """
    places: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(label, []).append(place)
    draw = random.Random(seed)
    chosen: list[int] = []
    for label, found in sorted(places.items()):
        if len(found) < per_label:
            raise EvalError(f"label {label} has {len(found)} rows, {per_label} are wanted")
        chosen += draw.sample(found, per_label)
    draw.shuffle(chosen)
    return chosen


def enlarged(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    """A small grey picture `uint8[H, W]` as a smooth one whose longer side is `side`."""
    image = Image.fromarray(pixels).convert("RGB")
    scale = side / max(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def needed(folder: Path, name: str) -> Path:
    """A file that a copy must have.

    Raises:
        EvalError: it is not there.
    """
    path = folder / name
    if not path.is_file():
        raise EvalError(f"{folder} has no {name}", hint=FETCH)
    return path
