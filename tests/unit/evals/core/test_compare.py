# SPDX-License-Identifier: Apache-2.0
"""Comparisons against numbers that are known from elsewhere."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from finesight.errors import EvalError
from finesight.evals.core.compare import compare, compare_scored, mcnemar
from finesight.evals.core.responders import Baseline
from finesight.evals.core.run import run
from finesight.evals.core.task import Scored
from tests.support.toy_eval import PROMPT, TOY, group_hit, item


def scored(hits, **options):
    return [
        Scored(item=item(n, **options), parsed=hit, parts={"hit": float(hit)})
        for n, hit in enumerate(hits)
    ]


@pytest.mark.parametrize(
    ("lost", "gained", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (0, 5, 0.0625),  # 2 / 2**5
        (1, 9, 22 / 1024),  # 2 * (1 + 10) / 2**10
        (6, 16, 0.052479),  # agrees with R: binom.test(6, 22)
    ],
)
def test_mcnemar_is_the_exact_binomial_test(lost, gained, p_value):
    assert mcnemar(lost, gained) == pytest.approx(p_value, abs=1e-6)


def test_counts_and_differences():
    first, second = [1, 1, 0, 0, 0, 0, 1, 1], [1, 0, 1, 1, 1, 0, 1, 1]
    found = compare_scored(TOY, scored(first), scored(second), only=(0, 0))
    assert (found.first, found.second, found.difference) == (0.5, 0.75, 0.25)
    assert (found.lost, found.gained, found.p_value) == (1, 3, 0.625)
    assert found.interval[0] < 0.25 < found.interval[1]


def test_where_lower_is_better_a_unit_of_0_is_right():
    task = replace(TOY, higher_is_better=False)
    found = compare_scored(task, scored([1, 1, 0]), scored([0, 0, 1]), only=(0, 0))
    assert (found.lost, found.gained) == (1, 2)


def test_pairing_narrows_the_interval():
    """200 questions, the second run right on the same and on 20 more: surely better."""
    first = [int(n % 2 == 0) for n in range(200)]
    second = [hit or int(n % 20 == 1) for n, hit in enumerate(first)]
    found = compare_scored(TOY, scored(first), scored(second), only=(0, 0))
    assert found.difference == pytest.approx(0.05)
    assert found.interval[0] > 0.015
    # differences are 10 ones among 200: standard error sqrt(.05 * .95 / 200) = .0154
    assert found.interval == pytest.approx((0.02, 0.08), abs=0.012)


def test_groups_are_units():
    task = replace(TOY, aggregate=group_hit)
    options = {"group": "g"}
    first = [*scored([1, 1]), *scored([1, 0], **options)]
    second = [*scored([1, 1]), *scored([1, 1], **options)]
    found = compare_scored(task, first, second, only=(0, 0))
    assert (found.lost, found.gained) == (0, 1)


def test_any_metric_can_be_compared():
    def root(items):
        return {"accuracy": (sum(each.parts["hit"] for each in items) / len(items)) ** 0.5}

    task = replace(TOY, aggregate=root)
    hits = [int(n % 2 == 0) for n in range(60)]
    found = compare_scored(task, scored(hits), scored([1] * 60), only=(0, 0))
    assert (found.p_value, found.num_resamples) == (None, 200)
    assert found.difference == pytest.approx(1 - 0.5**0.5)
    assert found.interval[0] < found.difference < found.interval[1]


def test_items_that_are_not_common_are_counted(tmp_path):
    oracle = Baseline("oracle", lambda each: each.truth["answer"])
    for name, numbers in (("a", range(5)), ("b", range(2, 9)), ("c", range(20, 22))):
        run(TOY, PROMPT, map(item, numbers), oracle, folder=tmp_path / name, space="original")
    found = compare(tmp_path / "a", tmp_path / "b", TOY)
    assert (found.n, found.only_first, found.only_second) == (3, 2, 4)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    with pytest.raises(EvalError, match="share no item"):
        compare(tmp_path / "a", tmp_path / "c", TOY)
    with pytest.raises(EvalError, match="holds a run of 'toy', not of 'other'"):
        compare(tmp_path / "a", tmp_path / "b", replace(TOY, name="other"))


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(EvalError, match="scipy is not installed"):
        mcnemar(1, 2)
    assert mcnemar(0, 0) == 1.0
