# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of episodes keep what is asked of every benchmark: won ones score full marks, those of others nothing."""

from __future__ import annotations

import pytest

from finesight.evals.core.registry import task, tasks
from finesight.evals.live.miniwob import read_pages
from tests.support.benchmark_copies import as_json, check_whole, jsonl


def miniwob(folder):
    (folder / "miniwob").mkdir(parents=True)
    for name in read_pages():
        (folder / "miniwob" / f"{name}.html").touch()


def osworld(folder):
    for number in range(6):
        content = {
            "id": f"t{number}",
            "instruction": f"Do {number}.",
            "evaluator": {"func": "check"},
        }
        as_json(folder / f"app{number % 2}" / f"t{number}.json", content)


def telephone(folder):
    rows = [{"task": f"Task{n % 3}", "instance": n, "goal": f"Do {n}."} for n in range(6)]
    jsonl(folder / "episodes.jsonl", rows)


COPIES = {
    "miniwob": (miniwob, 150),
    "osworld": (osworld, 6),
    "android_world": (telephone, 6),
    "mobile_miniwob": (telephone, 6),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_benchmark_of_episodes_measures_what_it_says(name, tmp_path):
    write, count = COPIES[name]
    write(tmp_path)
    assert len(check_whole(task(name), tmp_path, shuffled=0.0)) == count


def test_all_that_are_played_are_here():
    assert {name for name, each in tasks().items() if each.is_live} == set(COPIES)


def test_the_first_thirty_episodes_of_miniwob_are_thirty_pages(tmp_path):
    miniwob(tmp_path)
    found = list(task("miniwob").prompts[0].items(tmp_path, task("miniwob").budget))
    assert {item.tags["page"] for item in found[:30]} == set(read_pages())
    assert found[30].id == "click-test/1"
