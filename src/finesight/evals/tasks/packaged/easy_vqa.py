# SPDX-License-Identifier: Apache-2.0
"""easy-VQA: a picture of one shape, and questions about its kind and colour."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.reading.open_questions import ACCURACY, ONE_WORD, best, short_answer
from finesight.evals.tasks.shared.build import build, whole
from finesight.evals.tasks.shared.questions import Question

NUM_QUESTIONS = 200
FILE = "test/questions.json"


def questions(folder: Path) -> Iterator[Question]:
    """A fixed random selection of the test split, at most one question per picture.

    Raises:
        EvalError: the file of questions is missing or invalid.
    """
    path = copies.needed(folder, FILE)
    by_picture: dict[int, list[tuple[str, str]]] = {}
    try:
        for text, answer, number in json.loads(path.read_text(encoding="utf-8")):
            by_picture.setdefault(number, []).append((text, answer))
    except (OSError, ValueError, TypeError) as error:
        raise EvalError(
            f"{path} does not hold rows of question, answer, picture: {error}"
        ) from error
    draw = random.Random(0)
    chosen = draw.sample(sorted(by_picture), min(NUM_QUESTIONS, len(by_picture)))
    for number in chosen:
        text, answer = draw.choice(by_picture[number])
        yield Question(
            id=str(number),
            text=text[0].upper() + text[1:],
            truth={"golds": [answer]},
            oracle=answer,
            media=(ImagePart(source=path.parent / "images" / f"{number}.png"),),
            tags={"answer": "yes or no" if answer in ("yes", "no") else "word"},
        )


def _is_same(pred: str, gold: str) -> bool:
    """Whether an answer equals the gold word, ignoring case and a full stop."""
    return pred.strip().rstrip(".").lower() == gold.lower()


TASKS: Mapping[str, Build] = {
    "easy_vqa": build(
        whole(questions),
        *short_answer(ONE_WORD),
        extractors=(WHOLE_TEXT,),
        score=best(_is_same),
        total=ACCURACY,
    )
}
