# SPDX-License-Identifier: Apache-2.0
"""Time of the evaluation harness besides the model's: per item of a run, and rescoring stored answers."""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks.comparison import Comparison
from finesight.conversation import Conversation, Reply, Sampling, Usage

_NUM_ITEMS = 3040
"""The size of MATH-Vision."""
_NUM_PICTURES = 300
_ITEM_SECONDS = 0.005
_RESCORE_SECONDS = 5.0
_ANSWERS = (
    "The angle is 40 degrees, so the answer is \\boxed{40}.",
    "We get \\boxed{\\frac{3}{4}} of the area.",
    "Comparing the drawings leaves only one. \\boxed{B}",
    "\\boxed{2\\sqrt{2}} cm",
    "It cannot be told from the picture.",
)


@dataclass(frozen=True, slots=True)
class _InstantResponder:
    """Returns fixed answers without delay, so that only the harness takes time."""

    answers: cycle[str]

    def respond(self, conversations: Sequence[Conversation], _sampling: Sampling) -> list[Reply]:
        return [
            Reply(
                text=next(self.answers),
                token_ids=(),
                finish_reason="stop",
                usage=Usage(100, 64, 20),
            )
            for _ in conversations
        ]


def bench_harness(*, num_items: int = _NUM_ITEMS) -> list[Comparison]:
    """Run a benchmark of MATH-Vision's size over pictures on disk with instant answers, then rescore the answers."""
    from finesight.evals.core import registry
    from finesight.evals.core.rescore import rescore
    from finesight.evals.core.run import run
    from finesight.evals.responders.model import FromModel

    task = registry.task("mathvision")
    with tempfile.TemporaryDirectory(prefix="finesight-bench-") as folder:
        copy, out = Path(folder) / "copy", Path(folder) / "run"
        _write_copy(copy, num_items)
        responder = FromModel(_InstantResponder(cycle(_ANSWERS)), "instant", declares_resize=False)
        items = task.prompts[0].items(copy, task.budget)
        started = time.perf_counter()
        run(task, task.prompts[0], items, responder, folder=out, space="original")
        per_item = (time.perf_counter() - started) / num_items
        started = time.perf_counter()
        result = rescore(out, task)
        again = time.perf_counter() - started
    note = f"{result.value:.0%} of them right"
    return [
        Comparison("seconds of the harness per item", per_item, _ITEM_SECONDS, 1.0, at_least=False),
        Comparison(
            f"seconds of scoring {num_items:,} stored answers again",
            again,
            _RESCORE_SECONDS,
            1.0,
            at_least=False,
            note=note,
        ),
    ]


def _write_copy(folder: Path, num_items: int) -> None:
    """Write a data set in MATH-Vision's layout: 300 pictures of typical size, alternating options and free answers."""
    from PIL import Image

    draw = random.Random(0)
    (folder / "images").mkdir(parents=True)
    for number in range(min(_NUM_PICTURES, num_items)):
        picture = Image.effect_noise((320, 240), 40 + number % 60)
        picture.save(folder / "images" / f"{number}.jpg", quality=90)
    with (folder / "test.jsonl").open("w", encoding="utf-8") as lines:
        for number in range(num_items):
            row = {
                "id": str(number + 1),
                "question": f"How large is the part of drawing {number}?\n<image1>",
                "options": ["A", "B", "C", "D", "E"] if number % 2 else [],
                "answer": "B" if number % 2 else "40",
                "image": f"images/{number % _NUM_PICTURES}.jpg",
                "level": draw.randint(1, 5),
                "subject": draw.choice(["algebra", "counting", "metric geometry - area"]),
            }
            lines.write(json.dumps(row) + "\n")
