# SPDX-License-Identifier: Apache-2.0
"""Questions about a chart with short answers.

A value is asked only if it can be read: it is written at its mark, or its mark ends within a pixel of a tick.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from finesight.data.builders.chart_data import CHART_NAMES, ChartData
from finesight.data.record import SceneObject

__all__ = ["ChartPlan", "ask_chart"]

TITLE = (
    "What is the title of the chart?",
    "What is the chart's title?",
    "Read the title of this chart.",
)
KIND = ("What kind of chart is this?", "Which type of chart is shown?", "What type of chart is it?")
VALUE = (
    "What is the value of {}?",
    "What value does {} have?",
    "Read the value of {}.",
    "How much is {}?",
)
MOST = ("Which {noun} has the highest value{where}?", "Which {noun} is the highest{where}?")
LEAST = ("Which {noun} has the lowest value{where}?", "Which {noun} is the lowest{where}?")
COMPARE = ("Which is higher, {} or {}?", "Which has the larger value, {} or {}?")
IS_HIGHER = ("Is {} higher than {}?", "Is the value of {} greater than that of {}?")
MORE = ("How much higher is {} than {}?", "What is the difference between {} and {}?")
COLOUR = ("What colour is {}?", "Which colour stands for {}?", "What is the colour of {}?")
TABLE = (
    "Write the data of the chart as a Markdown table.",
    "Convert this chart to a Markdown table.",
    "Give the table of the chart in Markdown.",
)
AXIS = ("What does the {} axis show?", "What is the label of the {} axis?")
LOCATE = (
    "Locate the bar of {}, output its bbox coordinates using JSON format.",
    "Locate the bar of {}, report the bbox coordinates in JSON format.",
)
MAX_TABLE_CELLS = 16


@dataclass(frozen=True, slots=True)
class ChartPlan:
    """What can be asked about a drawn chart.

    Attributes:
        data: its data.
        colours: names of the colours of its series, or slices.
        bars: boxes of its bars, series by series.
        pixels_per_unit: length of a unit of the value axis, in pixels; 0 for a pie.
    """

    data: ChartData
    colours: tuple[str, ...]
    bars: tuple[SceneObject, ...]
    pixels_per_unit: float

    def read(self, series: int, category: int) -> str | None:
        """The value as it can be read from the chart; None if it cannot."""
        value = self.data.values[series][category]
        if self.data.is_labelled:
            return self.data.number(value)
        if self.data.kind == "pie":
            return None
        tick = round(value / self.data.y.step) * self.data.y.step
        is_near = abs(value - tick) * self.pixels_per_unit <= 1
        return self.data.number(tick) if is_near else None

    def are_apart(self, one: int, other: int) -> bool:
        """Whether two values can be told apart: 4 pixels, or 5 per cent of a pie."""
        if self.data.is_labelled:
            return one != other
        return abs(one - other) * (self.pixels_per_unit or 0.8) >= 4

    def name(self, series: int, category: int) -> str:
        """What a value belongs to, as questions name it."""
        name = self.data.categories[category]
        return f"{name} ({self.data.series[series]})" if len(self.data.series) > 1 else name


_Turn = tuple[str, str]


def ask_chart(
    rng: random.Random, plan: ChartPlan, num_turns: int, absent_share: float
) -> list[_Turn]:
    """Draw up to `num_turns` different questions.

    Args:
        rng: random generator.
        plan: the chart.
        num_turns: largest number of questions.
        absent_share: share of questions about a category that is not shown.

    Returns:
        Questions with their answers; at least one.
    """
    turns: dict[
        tuple[str, str], _Turn
    ] = {}  # the same kind and answer: the same question in other words
    kinds, weights = [kind for kind, _ in _KINDS], [weight for _, weight in _KINDS]
    for _ in range(5 * num_turns):
        if len(turns) == num_turns:
            break
        is_absent = plan.data.absent and rng.random() < absent_share
        make = _absent if is_absent else rng.choices(kinds, weights)[0]
        turn = make(rng, plan)
        if turn:
            turns.setdefault((make.__name__, turn[1]), turn)
    return list(turns.values()) or [_kind(rng, plan)]


def _title(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    return rng.choice(TITLE), plan.data.title


def _kind(rng: random.Random, plan: ChartPlan) -> _Turn:
    return rng.choice(KIND), CHART_NAMES[plan.data.kind]


def _value(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    if not plan.data.categories:
        return None
    series, category = _any(rng, plan)
    answer = plan.read(series, category)
    return (rng.choice(VALUE).format(plan.name(series, category)), answer) if answer else None


def _extreme(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    data = plan.data
    if not data.categories:
        return None
    series = rng.randrange(len(data.series))
    row, is_most = data.values[series], rng.random() < 0.6
    first, second, *_ = sorted(range(len(row)), key=lambda index: row[index], reverse=is_most)
    if not plan.are_apart(row[first], row[second]):
        return None
    where = f" in {data.series[series]}" if len(data.series) > 1 else ""
    return (
        rng.choice(MOST if is_most else LEAST).format(noun=data.noun, where=where),
        data.categories[first],
    )


def _count(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    data = plan.data
    if data.kind in ("line", "scatter") or (data.kind == "grouped" and rng.random() < 0.5):
        what, number = "lines" if data.kind == "line" else "series", len(data.series)
    else:
        what, number = "slices" if data.kind == "pie" else "bars", sum(map(len, data.values))
    return rng.choice(
        (f"How many {what} are there?", f"How many {what} does the chart show?")
    ), str(number)


def _compare(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    data = plan.data
    if len(data.categories) < 2:
        return None
    series = rng.randrange(len(data.series))
    one, other = rng.sample(range(len(data.categories)), 2)
    names = plan.name(series, one), plan.name(series, other)
    first, second = data.values[series][one], data.values[series][other]
    if not plan.are_apart(first, second):
        return None
    if rng.random() < 0.5:
        return rng.choice(COMPARE).format(*names), names[0] if first > second else names[1]
    return rng.choice(IS_HIGHER).format(*names), "Yes" if first > second else "No"


def _difference(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    data = plan.data
    if len(data.categories) < 2:
        return None
    series = rng.randrange(len(data.series))
    row = data.values[series]
    one, other = rng.sample(range(len(data.categories)), 2)
    high, low = (one, other) if row[one] > row[other] else (other, one)
    if row[high] == row[low] or not (plan.read(series, high) and plan.read(series, low)):
        return None
    difference = row[high] - row[low]
    if not data.is_labelled:  # what is read are ticks
        difference = round(row[high] / data.y.step) * data.y.step
        difference -= round(row[low] / data.y.step) * data.y.step
    names = plan.name(series, high), plan.name(series, low)
    return rng.choice(MORE).format(*names), data.number(difference)


def _colour(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    data = plan.data
    if data.kind in ("bar", "barh") or (data.kind == "line" and len(data.series) == 1):
        what = "line" if data.kind == "line" else "bars"
        verb = "is" if what == "line" else "are"
        return f"What colour {verb} the {what}?", plan.colours[0]
    names = data.categories if data.kind == "pie" else data.series
    index = rng.randrange(len(names))
    return rng.choice(COLOUR).format(names[index]), plan.colours[index]


def _table(_rng: random.Random, plan: ChartPlan) -> _Turn | None:
    """A table with one row per category; only if every value can be read."""
    data = plan.data
    rows = [
        [plan.read(series, category) for series in range(len(data.series))]
        for category in range(len(data.categories))
    ]
    num_cells = sum(map(len, rows))
    if not 0 < num_cells <= MAX_TABLE_CELLS or any(None in row for row in rows):
        return None
    heads = data.series if len(data.series) > 1 else (data.y.label if data.kind != "pie" else "",)
    lines = [
        [data.noun.capitalize(), *(head or "Value" for head in heads)],
        ["---"] * (1 + len(heads)),
        *([name, *map(str, row)] for name, row in zip(data.categories, rows, strict=True)),
    ]
    return _rng.choice(TABLE), "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _axis(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    data = plan.data
    if data.kind == "pie":
        return None
    name = rng.choice("xy")
    is_value = (name == "x") == (data.kind == "barh")
    label = data.y.label if is_value else data.x.label
    return rng.choice(AXIS).format(name), label or f"The {name} axis has no label."


def _locate(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    if not plan.bars:
        return None
    series, category = _any(rng, plan)
    name = plan.name(series, category)
    box = plan.bars[series * len(plan.data.categories) + category].box
    row = json.dumps({"bbox_2d": box, "label": name}, ensure_ascii=False)
    return rng.choice(LOCATE).format(name), f"```json\n[\n\t{row}\n]\n```"


def _absent(rng: random.Random, plan: ChartPlan) -> _Turn | None:
    return rng.choice(VALUE).format(
        plan.data.absent
    ), f"The chart does not show {plan.data.absent}."


def _any(rng: random.Random, plan: ChartPlan) -> tuple[int, int]:
    return rng.randrange(len(plan.data.series)), rng.randrange(len(plan.data.categories))


_KINDS: Sequence[tuple[Callable[[random.Random, ChartPlan], _Turn | None], float]] = (
    (_title, 0.12),
    (_kind, 0.07),
    (_value, 0.30),
    (_extreme, 0.14),
    (_count, 0.08),
    (_compare, 0.10),
    (_difference, 0.05),
    (_colour, 0.08),
    (_table, 0.05),
    (_axis, 0.07),
    (_locate, 0.05),
)
