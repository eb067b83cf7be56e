# SPDX-License-Identifier: Apache-2.0
"""Rescore stored answers with another extractor or a corrected one, without model and data.

Shards of a run are joined into one journal.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from finesight.evals.core.journal import journal_name, read_samples, write_samples
from finesight.evals.core.results import Result, save_result, summarise, versions
from finesight.evals.core.scoring import rescored
from finesight.evals.core.settings import read_settings
from finesight.evals.core.task import Extractor, Space, Task


def rescore(folder: Path, task: Task, extractor: Extractor | None = None) -> Result:
    """Parse and score every stored answer of a run again, and write its result.

    Raw answers are kept; parsed answers and scores are replaced.

    Args:
        folder: of a run.
        task: the benchmark it ran.
        extractor: parses answers; None takes the task's first.

    Raises:
        EvalError: the folder holds no run, one of another benchmark, or one with missing shards.
    """
    settings = read_settings(folder, task)
    rule = extractor or task.extractors[0]
    space = cast("Space", settings["space"])
    samples = [rescored(task, rule, sample, space) for sample in read_samples(folder)]
    result = summarise(task, samples, rule, {**settings, "versions": versions()})
    whole = folder / journal_name((0, 1))
    write_samples(whole, samples)
    for shard in folder.glob("samples-*.jsonl"):
        shard.unlink()  # its samples are in the joined journal
    save_result(folder, result)
    return result
