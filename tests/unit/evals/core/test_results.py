# SPDX-License-Identifier: Apache-2.0
"""Results say how sure they are, against numbers worked out by hand, and are read back as they were written."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan, sqrt

import numpy as np
import pytest

from finesight.conversation import Sampling
from finesight.errors import EvalError
from finesight.evals.core.responders import Baseline
from finesight.evals.core.results import load_result, save_result
from finesight.evals.core.run import run
from finesight.evals.core.statistics import clustered_error, redrawn, spread, unit_values
from finesight.evals.core.task import Scored
from tests.support.toy_eval import PROMPT, TOY, group_hit, item


def scored(hits, **options):
    return [
        Scored(item=item(n, **options), parsed=hit, parts={"hit": float(hit)})
        for n, hit in enumerate(hits)
    ]


def right_if(wanted):
    return Baseline("some", lambda each: each.truth["answer"] if wanted(each) else "none")


def go(folder, responder, numbers=range(8), task=TOY, **options):
    items = [item(n, cluster=f"picture {n // 2}") for n in numbers]
    return run(task, PROMPT, items, responder, folder=folder, space="original", **options).result


def test_the_clustered_error_by_hand():
    # clusters of sums 2, 1, 0 and two items each: mean 1/2, residuals 1, 0, -1
    error = clustered_error(np.array([2.0, 1.0, 0.0]), np.array([2.0, 2.0, 2.0]))
    assert error == pytest.approx(sqrt(2 * 3 / 2) / 6)
    assert isnan(clustered_error(np.array([1.0]), np.array([2.0])))


def test_without_clusters_it_is_the_usual_error():
    hits = [1] * 30 + [0] * 70
    found = spread(TOY, scored(hits))
    assert found.standard_error == pytest.approx(sqrt(0.3 * 0.7 / 99), rel=1e-9)
    assert found.num_clusters == 100
    assert (found.low, found.high) == pytest.approx((0.21, 0.39), abs=0.02)


def test_shared_pictures_make_it_wider():
    hits = [int(n % 20 < 10) for n in range(100)]
    alone = spread(TOY, scored(hits))
    members = [
        Scored(item=item(n, cluster=str(n // 10)), parsed=hit, parts={"hit": float(hit)})
        for n, hit in enumerate(hits)
    ]
    together = spread(TOY, members)
    assert together.num_clusters == 10
    assert together.standard_error > 3 * alone.standard_error
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_metric_that_is_no_mean_is_resampled():
    def best(items):
        return {"accuracy": max(each.parts["hit"] for each in items)}

    task = replace(TOY, aggregate=best)
    assert unit_values(task, scored([1, 0, 0])) is None
    assert spread(task, scored([1, 0, 0])).num_resamples == 200


def test_a_cluster_drawn_twice_counts_as_two_groups():
    members = scored([1, 0], group="g")
    again = redrawn([members], [0, 0])
    assert [each.item.group for each in again] == ["g", "g", "g~2", "g~2"]
    assert len({each.item.id for each in again}) == 4
    task = replace(TOY, aggregate=group_hit)
    assert list(unit_values(task, again).values()) == [0.0, 0.0]


def test_a_result_holds_what_it_means(tmp_path):
    result = go(tmp_path, right_if(lambda each: each.id != "q3"))
    assert result.metrics == {"accuracy": 0.875}
    assert (result.n, result.num_clusters, result.parse_fail_rate) == (8, 4, 0.125)
    assert result.breakdown["kind"] == {
        "even": {"n": 4.0, "value": 1.0},
        "odd": {"n": 4.0, "value": 0.75},
    }
    assert result.interval[0] <= 0.875 <= result.interval[1]
    assert result.settings["sampling"]["temperature"] == 0.0
    assert result.settings["budget"]["max_pixels"] is None
    assert result.line().startswith("toy: accuracy 87.50 [")
    assert load_result(tmp_path) == result


def test_the_identity_is_that_of_the_questions_and_the_way_of_asking(tmp_path):
    first = go(tmp_path / "a", Baseline("c", lambda _: "1"))
    assert go(tmp_path / "b", Baseline("c", lambda _: "1")).identity == first.identity
    shorter = replace(TOY, sampling=Sampling(max_new_tokens=9))
    others = [
        go(tmp_path / "c", Baseline("c", lambda _: "1"), task=shorter),
        go(tmp_path / "d", Baseline("c", lambda _: "1"), numbers=range(9)),
        go(tmp_path / "e", Baseline("other", lambda _: "1")),
        go(tmp_path / "f", Baseline("c", lambda _: "1"), extractor=TOY.extractors[1]),
    ]
    assert first.identity not in {each.identity for each in others}


def test_a_result_of_another_schema_is_refused(tmp_path):
    result = go(tmp_path, Baseline("c", lambda _: "1"))
    path = tmp_path / "result.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "schema": 0}))
    with pytest.raises(EvalError, match="has schema 0, this version reads 1") as raised:
        load_result(tmp_path)
    assert "rescore" in raised.value.hint
    path.write_text(json.dumps({key: value for key, value in values.items() if key != "unit"}))
    with pytest.raises(EvalError, match=r"lacks \['unit'\]"):
        load_result(tmp_path)
    path.write_text("{")
    with pytest.raises(EvalError, match="is not JSON"):
        load_result(tmp_path)
    path.unlink()
    with pytest.raises(EvalError, match=r"holds no result\.json"):
        load_result(tmp_path)
    save_result(tmp_path, result)
    assert load_result(tmp_path) == result


def test_what_cannot_be_a_number_is_refused(tmp_path):
    with pytest.raises(EvalError, match="no item to score among 0 rows"):
        go(tmp_path / "a", Baseline("c", lambda _: "1"), numbers=())
    task = replace(TOY, main="anls")
    with pytest.raises(EvalError, match=r"quotes 'anls' but gives \['accuracy'\]"):
        run(
            task,
            PROMPT,
            [item(1)],
            Baseline("c", lambda _: "1"),
            folder=tmp_path / "b",
            space="original",
        )
