# SPDX-License-Identifier: Apache-2.0
"""Small grey pictures, enlarged: digits of scikit-learn, and Fashion-MNIST as multiple choice.

Both use a fixed selection of a hundred pictures, ten per class.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.extract.numbers import LAST_NUMBER
from finesight.evals.metrics.count import count_hit
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.packaged.copies import needed
from finesight.evals.tasks.shared.build import build, whole
from finesight.evals.tasks.shared.questions import Question, Wording, template

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PER_KIND = 10
SIDE = 224
DIGITS = "data/digits.csv.gz"
_COLUMNS, _INK = 8 * 8 + 1, 16
KINDS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def _digit_questions(folder: Path) -> Iterator[Question]:
    """Ten pictures of each digit, black on white."""
    import numpy as np

    path = needed(folder, DIGITS)
    try:
        table = np.loadtxt(gzip.decompress(path.read_bytes()).decode().splitlines(), delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise EvalError(f"{path} cannot be read: {error}") from error
    if table.ndim != 2 or table.shape[1] != _COLUMNS:
        raise EvalError(f"{path} has shape {table.shape}, expected rows of {_COLUMNS} values")
    labels = table[:, -1].astype(int).tolist()
    for place in balanced(labels, PER_KIND):
        ink = table[place, :-1].reshape(8, 8) / _INK
        pixels = (255 * (1 - ink)).round().astype(np.uint8)
        yield Question(
            id=str(place),
            text="Which digit is written in the image?",
            truth={"number": labels[place]},
            oracle=str(labels[place]),
            media=(ImagePart(source=_enlarged(pixels, SIDE)),),
            tags={"digit": str(labels[place])},
        )


def _score_digit(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    return {"correct": float(count_hit(parsed, truth["number"]))}


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """An array in MNIST's IDX format: a header with the shape, then bytes."""
    import numpy as np

    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise EvalError(f"{path} cannot be read: {error}") from error
    if content[:3] != b"\0\0\x08":
        raise EvalError(
            f"{path} is not an array of bytes in IDX format: it begins with {content[:4]!r}"
        )
    ndim = content[3]
    shape = np.frombuffer(content, ">i4", ndim, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * ndim)
    if values.size != shape.prod():
        raise EvalError(
            f"{path} holds {values.size} values, its header gives the shape {shape.tolist()}"
        )
    return values.reshape(shape.tolist())


def _product_questions(folder: Path) -> Iterator[Question]:
    """Ten pictures of each class of the test split."""
    images, labels = (_read_idx(needed(folder, name)) for name in (IMAGES, LABELS))
    for place in balanced(labels.tolist(), PER_KIND):
        kind = KINDS[labels[place]]
        yield multiple_choice.question(
            place,
            "Which product is shown?",
            KINDS,
            multiple_choice.letter_of_text(kind, KINDS),
            [ImagePart(source=_enlarged(images[place], SIDE))],
            tags={"kind": kind},
        )


def balanced(labels: Sequence[int], per_label: int, *, seed: int = 0) -> list[int]:
    """Indices of `per_label` rows of each label in random order, so that any prefix mixes the labels.

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


def _enlarged(pixels: NDArray[np.uint8], side: int) -> Image.Image:
    """A grey picture `uint8[H, W]`, resized so that its longer side is `side`."""
    image = Image.fromarray(pixels).convert("RGB")
    scale = side / max(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


DIGIT = Wording("number", "this project's wording", template("{text}\nAnswer with just the digit."))
TASKS: Mapping[str, Build] = {
    "digits": build(whole(_digit_questions), DIGIT, extractors=(LAST_NUMBER,), score=_score_digit),
    "fashion_mnist": multiple_choice.choice(whole(_product_questions), judge=None),
}
