# SPDX-License-Identifier: Apache-2.0
"""easy-VQA: one drawn shape, and questions on its kind and its colour; drawn and asked by a program of others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from finesight.conversation import ImagePart, Sampling
from finesight.errors import EvalError
from finesight.evals.core.task import Task
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.tasks.packaged import copies
from finesight.evals.tasks.reading import open_questions
from finesight.evals.tasks.shared.aggregates import average
from finesight.evals.tasks.shared.questions import Question

NUM_QUESTIONS = 200
FILE = "test/questions.json"


def questions(folder: Path) -> Iterator[Question]:
    """Questions of the test part, one per picture at most, the same ones every time.

    Raises:
        EvalError: the questions are not there, or a row is none.
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


def is_same(said: str, gold: str) -> bool:
    """Whether an answer is the word wanted; case and a full stop aside."""
    return said.strip().rstrip(".").lower() == gold.lower()


TASKS = (
    Task(
        name="easy_vqa",
        title="easy-VQA, 200 of the test part",
        source="easy-vqa 1.0, github.com/vzhou842/easy-VQA",
        layout="test/questions.json and test/images/N.png, as scripts/fetch_real_data.py leaves them in easy_vqa/",
        prompts=open_questions.prompts(questions, open_questions.ONE_WORD),
        sampling=Sampling(max_new_tokens=32),
        extractors=(WHOLE_TEXT,),
        score=open_questions.best(is_same),
        aggregate=average("score", by=("answer",)),
        main="accuracy",
        chance=0.4,
        notes=(
            "numbers for this form are not in the report: one question on each of 200 pictures, drawn with seed 0",
            "chance is that of whoever knows whether a word or yes or no is wanted",
            "shapes and colours alone; this is no test of photographs",
        ),
    ),
)
