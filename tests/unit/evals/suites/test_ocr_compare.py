# SPDX-License-Identifier: Apache-2.0
"""Systems side by side on one set, with scripted answers."""

from __future__ import annotations

import json

import pytest

from finesight.errors import EvalError
from finesight.evals.core import registry
from finesight.evals.core.responders import Baseline
from finesight.evals.core.run import run
from finesight.evals.core.self_check import stored_oracle
from finesight.evals.responders.replay import Replay
from finesight.evals.suites.ocr_compare import compare_rows, failings, tables
from finesight.evals.tasks.packaged.ocr_compare import lines_in
from tests.support.benchmark_copies import check_whole, jsonl, save

TASK = registry.task("ocr_compare")


@pytest.fixture
def copy(tmp_path):
    """Twelve pictures of text; the first also doubled and wanted as JSON."""
    folder = tmp_path / "set"
    rows = []

    def add(name, picture, **tags):
        text = f"line {picture}\nnext {picture * 7}"
        rows.append({"id": name, "image": "0.png", "text": text, "picture": picture, "tags": tags})

    for number in range(12):
        add(f"p{number}", number, kind="text", language="en" if number % 2 else "de")
    add("p0/double", 0, kind="other size", resolution="double")
    add("p0/json", 0, kind="json")
    save(folder / "0.png")
    jsonl(folder / "items.jsonl", rows)
    return folder


def answered(copy, out, responder):
    items = TASK.prompts[0].items(copy, TASK.budget)
    run(TASK, TASK.prompts[0], items, responder, folder=out, space="original")
    return out


def test_the_set_is_read_and_right_answers_are_right(copy):
    asked = check_whole(TASK, copy, shuffled=0.1, best=0.0)
    assert asked[0].tags == {"kind": "text", "language": "de"}
    assert asked[0].cluster == asked[13].cluster == "0"


def test_rows_hold_their_own_items_and_paired_differences(copy, tmp_path):
    runs = {
        "good": answered(copy, tmp_path / "a", Baseline("good", stored_oracle)),
        "bad": answered(copy, tmp_path / "b", Baseline("bad", lambda _: "nothing of it")),
    }
    rows = {each.row: each for each in compare_rows(runs)}
    assert {name: each.found.n for name, each in rows.items()} == {
        "all": 14,
        "kind text": 12,
        "kind other size": 1,
        "kind json": 1,
        "resolution double": 1,
        "language de": 6,
        "language en": 6,
    }
    whole = rows["all"]
    found = whole.found
    assert (whole.num_pictures, found.first) == (12, 0.0)
    assert found.difference == found.second > 0.5
    assert 0 < found.interval[0] <= found.difference <= found.interval[1]
    assert whole.says == "good reads better"
    assert rows["kind json"].says == "too few pictures: 1"
    (compared, _) = tables(list(rows.values()), [])
    cells = {row.cells[0]: row.cells[3] for row in compared.rows}
    assert cells["kind json"] == "+1.000 (no interval)"
    assert cells["all"].endswith("]")
    equal = {each.row: each for each in compare_rows({"one": runs["bad"], "two": runs["bad"]})}
    assert equal["all"].says == "no difference seen"


def test_how_a_system_fails(copy, tmp_path):
    stored = {f"p{n}": "x" for n in range(9)} | {"p9": " ", "p10": "ha ha", "p11": "cut"}
    reasons = {"p10": "repetition", "p11": "length"}
    responder = Replay("replay", {**stored, "p0/json": "not JSON"}, reasons)
    runs = {"one": answered(copy, tmp_path / "a", responder)}
    (found,) = failings(runs)
    counts = {"empty": 1, "loop": 1, "truncated": 1, "not_json": 1, "none": 1}
    assert found == {"system": "one", "n": 14, **counts}
    with pytest.raises(EvalError, match="nothing to compare: systems one"):
        compare_rows(runs)
    shown = tables([], [found])
    assert shown[1].rows[0].cells == ("one", "1", "1", "1", "1", "1", "14")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (json.dumps({"lines": ["a", "b"]}), "a\nb"),
        ('```json\n["a"]\n```', "a"),
        ('{"lines": [1]}', None),
        ('{"text": "a"}', None),
        ("a", None),
        ("", None),
        ("[" * 100_000, None),
    ],
)
def test_lines_of_json(text, lines):
    assert lines_in(text) == lines
