# SPDX-License-Identifier: Apache-2.0
"""Scores of a model before and after fine-tuning: held-back examples and the sanity set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.eval_answerer import LocalModel
from finesight.cli.eval_benchmark import Bars
from finesight.cli.model_choice import ModelChoice
from finesight.errors import EvalError

if TYPE_CHECKING:
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Task
    from finesight.evals.responders.model import FromModel

BATCH = 16
"""Answers decoded together."""


def responder(model: str, device: str) -> FromModel:
    """The loaded model, which answers several questions together."""
    return LocalModel(ModelChoice(name=model, device=device), batch=BATCH).responder()


def score(tasks: Sequence[Task], model: FromModel, folder: Path) -> dict[str, RunResult]:
    """Answers and scores of each benchmark, by its name; stored answers of an earlier start are kept.

    Args:
        tasks: of the held-back examples and the sanity set.
        model: that answers.
        folder: of the answers.

    Raises:
        EvalError: the folder holds answers of another model or other settings, or no question was answered.
    """
    from finesight.evals.core.run import run

    found = {}
    with Bars() as bars:
        for task in tasks:
            items = list(task.prompts[0].items(Path(), task.budget))
            tell = partial(bars, task.name, total=len(items))
            found[task.name] = run(
                task,
                task.prompts[0],
                items,
                model,
                folder=folder / task.name,
                space="resized",
                batch=BATCH,
                retry_errors=True,
                on_progress=tell,
            )
            _refuse_unanswered(task.name, found[task.name])
    return found


def _refuse_unanswered(name: str, done: RunResult) -> None:
    """Raise if no question was answered: a score of 0 would blame the model."""
    if all(sample.text is None for sample in done.samples):
        first = done.samples[0]
        raise EvalError(
            f"none of {len(done.samples)} questions of {name} was answered; the first: {first.message}",
            hint="fix that, then repeat the command: it asks them again",
        )
