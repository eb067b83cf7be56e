# SPDX-License-Identifier: Apache-2.0
"""Boxes, points and masks of local copies, and correct answers as text.

The truth is in pixels of the original picture. Extractors map the coordinates of an answer to the original picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.metrics.boxes import are_finite
from finesight.geometry import Size


def corners(box: Sequence[float]) -> list[float]:
    """`[x, y, width, height]` as `[x1, y1, x2, y2]`.

    Raises:
        EvalError: the values are not four numbers.
    """
    x, y, width, height = numbers(box, 4)
    return [x, y, x + width, y + height]


def numbers(values: Any, count: int) -> list[float]:
    """The `count` numbers in a cell.

    Raises:
        EvalError: the cell holds something else, or NaN or infinity.
    """
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise EvalError(f"{values!r} are not {count} numbers")
    found = [float(value) for value in values]
    if not are_finite(found):
        raise EvalError(f"{found} are not {count} finite numbers")
    return found


def boxes_in_words(boxes: Sequence[Sequence[float]], label: str) -> str:
    """Boxes in the JSON that Qwen2.5-VL writes."""
    return _as_json("bbox_2d", boxes, label)


def points_in_words(points: Sequence[Sequence[float]], label: str) -> str:
    """Points in the JSON that Qwen2.5-VL writes."""
    return _as_json("point_2d", points, label)


def _as_json(key: str, places: Sequence[Sequence[float]], label: str) -> str:
    found = [{key: list(place), "label": label} for place in places]
    return f"```json\n{json.dumps(found, ensure_ascii=False)}\n```"


def size_of(picture: ImagePart) -> Size:
    """Size of a picture, from its file header.

    Raises:
        EvalError: it cannot be opened.
    """
    source = picture.source
    try:
        with Image.open(
            BytesIO(source) if isinstance(source, bytes) else Path(str(source))
        ) as image:
            return Size(*image.size)
    except OSError as error:
        raise EvalError(f"the size of a picture cannot be read: {error}") from error


def scaled(values: Sequence[float], size: Size) -> list[float]:
    """Alternating fractions of width and height as pixels."""
    return [value * (size.height if at % 2 else size.width) for at, value in enumerate(values)]


def run_lengths(mask: Path) -> dict[str, Any]:
    """`run_lengths_of` a mask stored as a picture, white inside.

    Raises:
        EvalError: it cannot be opened.
    """
    import numpy as np

    try:
        with Image.open(mask) as image:
            return run_lengths_of(np.asarray(image.convert("L")) > 127)
    except OSError as error:
        raise EvalError(f"the mask {mask.name} cannot be read: {error}") from error


def run_lengths_of(mask: Any) -> dict[str, Any]:
    """A mask `bool[H, W]` as its size and row-major run lengths, starting with a run of False.

    Raises:
        EvalError: the mask is not two-dimensional.
    """
    import numpy as np

    pixels = np.asarray(mask, dtype=bool)
    if pixels.ndim != 2:
        raise EvalError(f"a mask has {pixels.ndim} dimensions, not 2")
    flat = pixels.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    runs = np.diff(edges, prepend=0, append=flat.size)
    return {"height": pixels.shape[0], "width": pixels.shape[1], "runs": runs.tolist()}


def mask_of(lengths: dict[str, Any]) -> Any:
    """The mask `bool[H, W]` of `run_lengths`."""
    import numpy as np

    runs = np.asarray(lengths["runs"], dtype=int)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(lengths["height"], lengths["width"])


def points_inside(lengths: dict[str, Any], count: int) -> list[list[float]]:
    """Up to `count` points spread over the pixels of a mask."""
    import numpy as np

    rows, columns = np.nonzero(mask_of(lengths))
    if not len(rows):
        return []
    chosen = np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)
    return [[float(columns[at]), float(rows[at])] for at in chosen]
