# SPDX-License-Identifier: Apache-2.0
import json
import os
from pathlib import Path

import pytest

from finesight.evals.metrics.tables import MAX_NODES, teds

REAL = os.environ.get("FINESIGHT_REAL_DATA")
FIRST_EIGHT = (1.0, 0.6755, 1.0, 0.9864, 0.9298, 0.9959, 0.9946, 0.8539)


def table(*rows: str) -> str:
    lines = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<html><body><table>{lines}</table></body></html>"


def cells(*texts: str, tag: str = "td") -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for text in texts)


GOLD = table(cells("a", "b"), cells("c", "d"))


@pytest.mark.parametrize(
    ("said", "score"),
    [
        (GOLD, 1.0),
        (table(cells("a", "b"), cells("c", "x")), 0.8333),
        (table(cells("a", "b")), 0.5),
        (table(cells("a", "b"), cells("c")), 0.8333),
        (table('<td colspan="2">a</td>', cells("c", "d")), 0.6667),
        (table(cells("a", "b", tag="th"), cells("c", "d")), 0.6667),
        (table(cells("abcd")), 0.2083),
    ],
)
def test_two_by_two(said, score):
    assert teds(said, GOLD) == pytest.approx(score, abs=5e-5)


def test_structure_alone():
    assert teds(table(cells("a", "b"), cells("c", "x")), GOLD, structure_only=True) == 1.0
    assert teds(table(cells("a", "b")), GOLD, structure_only=True) == 0.5


def test_a_bare_table_is_a_table():
    bare = "<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>"
    assert teds(bare, GOLD) == 1.0
    assert teds(GOLD, bare) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "no table",
        "<table",
        "\0",
        "\ud800<table>",
        "<div><table></table></div>",
        "<" * 50_000,
    ],
)
def test_what_holds_no_table_scores_nothing(text):
    assert teds(text, GOLD) <= 0.34
    assert teds(GOLD, text) <= 0.34


def test_spans_that_are_no_numbers_count_as_one():
    said = table('<td colspan="two">a</td><td rowspan="-1">b</td>', cells("c", "d"))
    assert teds(said, GOLD) == 1.0


def test_tables_within_tables_do_not_go_below_nothing():
    assert teds("<table>" * 5000, GOLD) == 0.0


def test_inline_tags_make_other_edits_look_small():
    assert teds("<table><tr><td>" + "<b>" * 200, GOLD) > 0.9


def test_endless_tables_score_nothing():
    assert teds("<table>" + "<tr><td>a</td></tr>" * MAX_NODES, GOLD) == 0.0


def test_inline_tags_are_tokens_and_nodes():
    bold, plain = table(cells("<b>a</b>")), table(cells("a"))
    assert teds(bold, bold) == 1.0
    assert teds(bold, plain) == pytest.approx(1 - (2 / 3) / 3)  # two of three tokens; tr, td, b


@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="FINESIGHT_REAL_DATA names no folder")
def test_the_sample_of_pubtabnet():
    folder = Path(REAL) / "pubtabnet"
    gold = json.loads((folder / "sample_gt.json").read_text())
    pred = json.loads((folder / "sample_pred.json").read_text())
    scores = [teds(pred.get(name, ""), row["html"]) for name, row in gold.items()]
    assert [round(score, 4) for score in scores[:8]] == list(FIRST_EIGHT)
    assert sum(scores) / len(scores) == pytest.approx(0.8997, abs=5e-5)
