# SPDX-License-Identifier: Apache-2.0
"""A thousand drawn answers per metric, scored here and by lmms-eval or VLMEvalKit: equal, or a listed difference."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.interop.compare import PYTHON, Worker, are_equal, case_of, findings_of
from tests.interop.comparisons import COMPARISONS
from tests.interop.differences import DIFFERENCES
from tests.interop.pairs import Pair

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def worker():
    if not PYTHON.exists():
        pytest.skip(f"no {PYTHON}: run scripts/harness-venv.sh with the interpreter of the tests")
    with Worker() as running:
        yield running


@pytest.fixture(scope="module")
def met():
    """Classes that drawn answers fell into, and the metrics that were compared."""
    return {"classes": Counter(), "metrics": set()}


@pytest.mark.parametrize("comparison", COMPARISONS, ids=lambda each: each.key)
def test_answers_score_the_same_or_differ_in_a_listed_way(worker, met, comparison):
    found = findings_of(worker, comparison, DIFFERENCES)
    met["metrics"].add(comparison.key)
    met["classes"].update(found.listed)
    shown = [
        f"{case.pair.kind}: {case.pair.answer[:200]!r} for {dict(case.pair.truth)}: ours"
        f" {case.ours!r}, theirs {case.theirs!r} {case.raised}"
        for case in found.unlisted[:5]
    ]
    assert not found.unlisted, f"{len(found.unlisted)} of {found.total}:\n" + "\n".join(shown)
    assert found.num_equal > 0


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda each: each.name)
def test_the_example_of_a_difference_is_one(worker, difference):
    answer, truth, ours, theirs = difference.example
    pair = Pair("example", answer, truth)
    about = [each for each in COMPARISONS if difference.is_about(each)]
    cases = [case_of(worker, comparison, pair) for comparison in about]
    assert any(are_equal(case.ours, ours) and are_equal(case.theirs, theirs) for case in cases), [
        (comparison.key, case.ours, case.theirs, case.raised)
        for comparison, case in zip(about, cases, strict=True)
    ]
    assert not are_equal(ours, theirs)


def test_every_listed_difference_occurs(met):
    """Runs after the comparisons, which are in this file; of some of them alone it says nothing."""
    if met["metrics"] != {each.key for each in COMPARISONS}:
        pytest.skip(f"{len(met['metrics'])} of {len(COMPARISONS)} metrics were compared")
    unseen = {each.name for each in DIFFERENCES} - set(met["classes"])
    assert not unseen


def test_names_of_differences_are_their_own():
    names = [each.name for each in DIFFERENCES]
    assert len(names) == len(set(names))
    assert {each.right for each in DIFFERENCES} <= {"ours", "theirs", "both", "neither"}
