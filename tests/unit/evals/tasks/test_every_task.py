# SPDX-License-Identifier: Apache-2.0
"""What every benchmark says about itself."""

from __future__ import annotations

import re

import pytest

from finesight.evals.core.registry import tasks
from finesight.evals.core.task import Task

EVERY = list(tasks().values())
NOT_PRINTED = re.compile(r"not in the report|no number of this|numbers for this form")


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)
def test_a_task_says_what_it_is(task: Task):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", task.name)
    assert task.title
    assert len(task.source) > 10
    assert len(task.layout) > 40
    assert task.notes
    assert task.published or any(NOT_PRINTED.search(note) for note in task.notes)
    assert all(isinstance(value, float) for value in task.published.values())
    assert task.prompts
    assert len({each.name for each in task.prompts}) == len(task.prompts)
    assert all(each.source for each in task.prompts)
    assert task.extractors
    assert len({each.name for each in task.extractors}) == len(task.extractors)
    assert task.chance is None or 0 < task.chance <= 1
    task.sampling.check()


def test_there_are_all_of_them():
    names = {each.name for each in EVERY}
    assert len(names) == len(EVERY)
    assert len(names) >= 56
    wanted = "mathvision mathvista mmmu docvqa chartqa refcoco_val odinw13 video_mme screenspot_pro"
    assert set(wanted.split()) <= names


@pytest.mark.parametrize("task", EVERY, ids=lambda task: task.name)
def test_the_quoted_metric_is_there_even_for_nothing(task: Task):
    metrics = task.aggregate([])
    assert task.main in metrics or "/macro/" in task.main
