# SPDX-License-Identifier: Apache-2.0
"""Build the task of a benchmark from functions that read, ask, extract and score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.judgement import JudgeRule
from finesight.evals.core.task import Aggregate, Extractor, Item, Score, Task
from finesight.evals.tasks.shared.aggregates import Total, average
from finesight.evals.tasks.shared.columns import Row, read_rows
from finesight.evals.tasks.shared.questions import Question, Read, Way, prompts

Reader = Callable[[Benchmark, Path], Iterable[Question | Item]]
"""Reads the questions of a benchmark from the folder of a local copy."""


def build(
    read: Reader,
    *ways: Way,
    extractors: tuple[Extractor, ...],
    score: Score,
    total: Total = average,
    aggregate: Aggregate | None = None,
    judge: JudgeRule | None = None,
) -> Build:
    """A function that builds the task.

    Args:
        read: reads the copy; see `rows`, `benchmark_rows` and `whole`.
        ways: prompts, the default first.
        extractors: the default first.
        score: parts of the score of one item.
        total: aggregates the scores, broken down by the tags in the benchmark's `by`.
        aggregate: replaces `total` for benchmarks that choose their own tags.
        judge: rule for judging by a language model.
    """

    def made(benchmark: Benchmark) -> Task:
        asked = prompts(partial(read, benchmark), *ways)
        added = aggregate or total(by=benchmark.by)
        return benchmark.task(asked, extractors, score, added, judge=judge)

    return made


def rows(make: Callable[[Row, Path], Question | Sequence[Question]]) -> Reader:
    """Reads row by row with a function of the row and the folder."""
    return lambda benchmark, folder: read_rows(benchmark, folder, make)


def benchmark_rows(make: Callable[[Row, Path, Benchmark], Question]) -> Reader:
    """Reads row by row with a function of the row, the folder and the benchmark."""
    return lambda benchmark, folder: read_rows(
        benchmark, folder, lambda row, below: make(row, below, benchmark)
    )


def whole(read: Read) -> Reader:
    """Reads with a function of the folder alone."""
    return lambda benchmark, folder: read(folder)
