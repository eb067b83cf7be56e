# SPDX-License-Identifier: Apache-2.0
"""Fashion-MNIST: a hundred product photographs of 28 x 28 pixels, enlarged, ten kinds to choose from."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Task
from finesight.evals.tasks.choice import multiple_choice
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.shared.questions import Question

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KINDS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
PER_KIND = 10
SIDE = 224
IMAGES, LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of bytes as MNIST keeps it: a head that says the shape, then the values.

    Raises:
        EvalError: the file holds something else.
    """
    import numpy as np

    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise EvalError(f"{path} cannot be read: {error}") from error
    if content[:3] != b"\0\0\x08":
        raise EvalError(f"{path} is no array of bytes in IDX form: it begins with {content[:4]!r}")
    ndim = content[3]
    shape = np.frombuffer(content, ">i4", ndim, offset=4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * ndim)
    if values.size != shape.prod():
        raise EvalError(f"{path} holds {values.size} values, its head says {shape.tolist()}")
    return values.reshape(shape.tolist())


def questions(folder: Path) -> Iterator[Question]:
    """Ten pictures of each kind of the test part, the same ones every time.

    Raises:
        EvalError: a file is not there or broken.
    """
    images, labels = (read_idx(copies.needed(folder, name)) for name in (IMAGES, LABELS))
    for place in copies.balanced(labels.tolist(), PER_KIND):
        kind = KINDS[labels[place]]
        yield multiple_choice.question(
            place,
            "Which product is shown?",
            KINDS,
            multiple_choice.letter_of_text(kind, KINDS),
            [ImagePart(source=copies.enlarged(images[place], SIDE))],
            tags={"kind": kind},
        )


def build(benchmark: Benchmark) -> Task:
    """Ten kinds to choose from; no judge is needed."""
    return multiple_choice.task(benchmark, questions, judge=None)


TASKS: Mapping[str, Build] = {"fashion_mnist": build}
