# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from finesight.config.load import read_recipe
from finesight.data.build import BuildConfig
from finesight.data.builders.chart_data import CHART_NAMES, Axis, ChartData, draw_data
from finesight.data.builders.chart_questions import ChartPlan, ask_chart
from finesight.data.builders.charts import Charts, ChartsConfig
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import WordLists

RECIPES = Path(__file__).parents[3] / "recipes" / "small"


@pytest.fixture(scope="module")
def made(assets) -> Charts:
    catalogue = FontCatalogue.read(assets / "fonts.json")
    config = ChartsConfig(difficulty=0.0)
    return Charts(config, catalogue, WordLists.read(assets, "train"))


@pytest.fixture(scope="module")
def drawn(made):
    return [made.record(f"r{seed}", seed) for seed in range(40)]


def test_records_are_valid_and_repeatable(made, drawn):
    for record in drawn:
        record.check()
        height, width = record.picture.shape[:2]
        assert height % 28 == width % 28 == 0
    again = made.record("r7", 7)
    assert np.array_equal(again.picture, drawn[7].picture)
    assert (again.turns, again.truth) == (drawn[7].turns, drawn[7].truth)


def test_every_kind_is_drawn(drawn):
    assert {record.meta["kind"] for record in drawn} == set(CHART_NAMES)


def test_characters_are_where_their_ink_is(drawn):
    """In a cell of 14 pixels around each character of a light chart, some pixel differs from its surroundings."""
    checked = 0
    for record in drawn:
        for glyph in record.truth[0].glyphs:
            x, y = round(glyph.x), round(glyph.y)
            cell = record.picture[max(0, y - 7) : y + 7, max(0, x - 5) : x + 5].astype(int)
            checked += 1
            assert np.ptp(cell.sum(axis=2)) > 60, (record.id, glyph)
    assert checked > 1000


def test_titles_are_among_the_characters(drawn):
    for record in drawn:
        text = "".join(glyph.char for glyph in record.truth[0].glyphs)
        for question, answer in record.turns:
            if "title" in question:
                assert answer.replace(" ", "") in text


def test_boxes_of_bars_are_filled(drawn):
    """The middle of each bar has the colour of the bars of its series, which differs from the paper."""
    checked = 0
    for record in drawn:
        if record.meta["kind"] not in ("bar", "barh"):
            continue
        middles = set()
        for thing in record.truth[0].objects:
            x1, y1, x2, y2 = thing.box
            middles.add(tuple(record.picture[(y1 + y2) // 2, (x1 + x2) // 2].tolist()))
            checked += 1
        assert len(middles) == 1
        assert middles.pop() != tuple(record.picture[1, 1].tolist())
    assert checked > 30


def a_plan(**changes) -> ChartPlan:
    data = ChartData(
        kind="bar",
        title="Rainfall",
        noun="month",
        categories=("Jan", "Feb", "Mar"),
        series=("2020",),
        values=((10, 25, 30),),
        places=(),
        y=Axis("mm", 10, 40),
        x=Axis("", 1, 1),
        is_labelled=False,
        absent="Apr",
    )
    return ChartPlan(replace(data, **changes), ("blue",), (), 4.0)


def answers(plan: ChartPlan, absent_share: float = 0.0) -> dict[str, str]:
    rng = random.Random(0)
    return dict(turn for _ in range(300) for turn in ask_chart(rng, plan, 3, absent_share))


def test_only_values_that_can_be_read_are_asked():
    bare, written = answers(a_plan()), answers(a_plan(is_labelled=True))
    assert bare["What is the value of Jan?"] == "10"
    assert "What is the value of Feb?" not in bare
    assert written["What is the value of Feb?"] == "25"
    assert bare["What is the difference between Mar and Jan?"] == "20"
    assert "What is the difference between Mar and Feb?" not in bare
    assert not any("Markdown" in question for question in bare)
    table = written["Write the data of the chart as a Markdown table."]
    assert table == "| Month | mm |\n| --- | --- |\n| Jan | 10 |\n| Feb | 25 |\n| Mar | 30 |"


def test_answers_of_a_known_chart():
    told = answers(a_plan())
    assert told["Which month is the highest?"] == "Mar"
    assert told["Which month has the lowest value?"] == "Jan"
    assert told["Which is higher, Jan or Feb?"] == "Feb"
    assert told["Is Jan higher than Feb?"] == "No"
    assert told["How many bars are there?"] == "3"
    assert told["What colour are the bars?"] == "blue"
    assert told["What kind of chart is this?"] == "bar chart"
    assert told["What does the y axis show?"] == "mm"
    assert told["What does the x axis show?"] == "The x axis has no label."


def test_what_is_not_shown_is_said_so():
    asked = answers(a_plan(), absent_share=1.0)
    assert set(asked.values()) == {"The chart does not show Apr."}


def test_about_one_question_in_twenty_has_no_answer(made):
    plan = a_plan(is_labelled=True)
    rng = random.Random(1)
    turns = [turn for _ in range(500) for turn in ask_chart(rng, plan, 5, 0.05)]
    share = sum("does not show" in answer for _, answer in turns) / len(turns)
    assert 0.02 < share < 0.09


def test_located_bars_are_those_of_the_truth(drawn):
    found = Counter()
    for record in drawn:
        for _, answer in record.turns:
            if match := re.search(r'"bbox_2d": (\[.*?\])', answer):
                boxes = [list(thing.box) for thing in record.truth[0].objects]
                assert json.loads(match[1]) in boxes
                found[record.meta["kind"]] += 1
    assert found


def test_shares_of_a_pie_add_up(words):
    for seed in range(50):
        data = draw_data(random.Random(seed), "pie", "train", words, (3, 8))
        assert sum(data.values[0]) == 100
        assert min(data.values[0]) >= 5


def test_titles_are_split(words):
    things = {
        split: {
            draw_data(random.Random(seed), "bar", split, words, (3, 4)).y.label
            for seed in range(600)
        }
        for split in ("train", "heldout")
    }
    from finesight.data.builders.chart_data import UNITS

    counted = {thing for group in UNITS.values() for thing in group}
    train, heldout = things["train"] & counted, things["heldout"] & counted
    assert train
    assert heldout
    assert not train & heldout


@pytest.mark.parametrize(
    ("options", "named"),
    [({"width": (281, 500)}, "width"), ({"kinds": {}}, "kinds"), ({"kinds": {"radar": 1.0}}, "kinds"),
     ({"turns": (0, 2)}, "turns"), ({"colour": 3}, "colour")],
)  # fmt: skip
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValidationError, match=named):
        ChartsConfig(**options)


@pytest.mark.parametrize("name", ["data_charts", "heldout_charts"])
def test_the_recipes_read(name):
    (part,) = read_recipe(RECIPES / f"{name}.toml", BuildConfig).parts
    assert part.options.split == ("heldout" if name.startswith("heldout") else "train")


@pytest.mark.parametrize(
    "options",
    [{"categories": (1, 3)}, {"categories": (3, 40)}, {"kinds": {"bar": math.inf}}],
)
def test_charts_that_cannot_be_drawn_are_refused(options):
    with pytest.raises(ValidationError, match=r"expected 2 to 9|finite"):
        ChartsConfig(**options)
