# SPDX-License-Identifier: Apache-2.0
"""Tasks of benchmarks: most are one call of `build` with their functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.judgement import JudgeRule
from finesight.evals.core.task import Aggregate, Extractor, Score, Task
from finesight.evals.tasks.shared.aggregates import Total, average
from finesight.evals.tasks.shared.columns import Row, row_reader
from finesight.evals.tasks.shared.questions import Question, Read, Way, prompts

Reader = Callable[[Benchmark], Read]
"""Reads the copies of a benchmark."""


def build(
    read: Reader,
    *ways: Way,
    extractors: tuple[Extractor, ...],
    score: Score,
    total: Total = average,
    aggregate: Aggregate | None = None,
    judge: JudgeRule | None = None,
) -> Build:
    """A function that makes the task.

    Args:
        read: `rows` of a copy, the `whole` of it, or a function of the benchmark.
        ways: to ask, the default first.
        extractors: ways to read an answer, the default first.
        score: parts of the score of one item.
        total: adds up the scores, broken down by the tags that the benchmark names.
        aggregate: adds up the scores instead, with tags of its own.
        judge: how a language model may judge.
    """

    def made(benchmark: Benchmark) -> Task:
        asked = prompts(read(benchmark), *ways)
        added = aggregate or total(by=benchmark.by)
        return benchmark.task(asked, extractors, score, added, judge=judge)

    return made


def rows(make: Callable[[Row, Path], Question | Sequence[Question]]) -> Reader:
    """Reads row by row, with a function that needs nothing but the row and the folder of the copy."""
    return lambda benchmark: row_reader(benchmark, make)


def benchmark_rows(make: Callable[[Row, Path, Benchmark], Question]) -> Reader:
    """Reads row by row, with a function that also asks what is said of the benchmark."""
    return lambda benchmark: row_reader(benchmark, lambda row, folder: make(row, folder, benchmark))


def whole(read: Read) -> Reader:
    """Reads with a function that knows the files of the copy itself."""
    return lambda benchmark: read
