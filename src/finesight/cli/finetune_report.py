# SPDX-License-Identifier: Apache-2.0
"""Make and print the report of `finesight train sft`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.cli.eval_benchmark import print_table

if TYPE_CHECKING:
    from finesight.cli.finetune_data import Examples
    from finesight.evals.core.run import RunResult
    from finesight.evals.core.task import Task
    from finesight.evals.suites.fine_tuning import FineTuning, Outcome, Row
    from finesight.train.recipe import SftRecipe

Scores = tuple[Mapping[str, "RunResult"], Mapping[str, "RunResult"]]
"""Results before and after by name of the benchmark."""


def report_of(
    model: str,
    out: Path,
    examples: Examples,
    recipe: SftRecipe,
    tasks: Sequence[Task],
    scores: Scores,
) -> FineTuning:
    """Collect what the report shows from the files of a run.

    Args:
        model: name of the model before training.
        out: folder of the run.
        examples: the user's records.
        recipe: of the run.
        tasks: benchmarks of the held-back records and the sanity set.
        scores: their results.
    """
    from finesight.config.load import recipe_text
    from finesight.evals.suites.fine_tuning import FineTuning, Row, outcomes
    from finesight.evals.suites.held_back import KINDS
    from finesight.train.early_stop import read_best, read_history

    before, after = scores
    rows: dict[bool, list[Row]] = {True: [], False: []}
    changed: list[Outcome] = []
    for task in tasks:
        is_held_back = task.name in KINDS
        rows[is_held_back].append(Row.of(task, before[task.name], after[task.name]))
        if is_held_back:
            items = list(task.prompts[0].items(Path(), task.budget))
            changed += outcomes(items, before[task.name], after[task.name])
    best = read_best(out) if recipe.held_back else None
    log = read_log(out / "log.jsonl")
    return FineTuning(
        title=f"Fine-tuning of {model}",
        facts=_facts(examples, recipe, log),
        held_back=rows[True],
        sanity=rows[False],
        changed=changed,
        losses={
            "training loss": [
                (step, one["tokens"]) for step, one in log.items() if "tokens" in one
            ],
            "held-back loss": read_history(out) if recipe.held_back else [],
        },
        best_step=best.step if best else None,
        recipe=recipe_text(recipe),
        dropped=examples.dropped,
    )


def read_log(path: Path) -> dict[int, dict[str, float]]:
    """Values of a run's log by step; those that a resumed run wrote again replace the earlier ones."""
    found: dict[int, dict[str, float]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:  # the process was killed while it wrote this line
            continue
        found.setdefault(values.pop("step"), {}).update(values)
    return dict(sorted(found.items()))


def _facts(
    examples: Examples, recipe: SftRecipe, log: Mapping[int, Mapping[str, float]]
) -> tuple[str, ...]:
    seconds = max((one.get("seconds", 0.0) for one in log.values()), default=0.0)
    adapted = f"LoRA of rank {recipe.lora.rank}" if recipe.lora else "all weights of the decoder"
    return (
        f"{examples.num_train:,} records to train on",
        f"{examples.num_held_back:,} held back",
        adapted,
        f"{max(log, default=0):,} of {recipe.schedule.total_steps:,} steps",
        f"{seconds / 60:.1f} minutes of training",
    )


def print_report(report: FineTuning, out: Path) -> None:
    """Print scores, what was forgotten, and how to use the model."""
    from finesight.evals.suites.fine_tuning import forgetting_text

    header = ("part", "measure", "before", "after", "change", "95 % interval after", "n")
    rows = [*report.held_back, *report.sanity]
    print_table(header, [row.cells() for row in rows])
    text, is_warning = forgetting_text(report.sanity)
    sys.stderr.write(f"{'WARNING: ' if is_warning else ''}{text}\n")
    sys.stderr.write(f"report: {out / 'report.html'}\n")
    question = report.changed[0].before.question if report.changed else "QUESTION"
    sys.stdout.write(
        f"finesight ask --model {shlex.quote(str(out / 'model'))} {shlex.quote(question)} --image PICTURE\n"
    )
