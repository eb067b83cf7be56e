# SPDX-License-Identifier: Apache-2.0
"""Data of charts: what is counted, its categories, series, values and ticks.

What is counted is split by its hash ("Rainfall" is in one split only), and so are words that serve as categories.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from finesight.data.builders.options import Range
from finesight.data.sources.words import WordLists
from finesight.data.split import Split, split_of

__all__ = ["CHART_NAMES", "Axis", "ChartData", "ChartKind", "draw_data"]

ChartKind = Literal["bar", "barh", "grouped", "line", "pie", "scatter"]
CHART_NAMES: dict[ChartKind, str] = {
    "bar": "bar chart", "barh": "horizontal bar chart", "grouped": "grouped bar chart", "line": "line chart",
    "pie": "pie chart", "scatter": "scatter plot",
}  # fmt: skip
HELDOUT_SHARE = 0.15

UNITS: dict[str, tuple[str, ...]] = {
    "thousand euros": ("Revenue", "Profit", "Costs", "Exports", "Donations", "Savings", "Tax income", "Budget"),
    "units": ("Sales", "Orders", "Bicycles sold", "Books sold", "Tickets sold", "Phones made", "Repairs", "Deliveries"),
    "people": ("Visitors", "Students", "New members", "Customers", "Patients", "Passengers", "Voters", "Volunteers",
               "Employees", "Applicants"),
    "tonnes": ("Wheat harvest", "Milk production", "Paper waste", "Steel output", "Apple harvest", "Fish catch"),
    "mm": ("Rainfall", "Snowfall"),
    "hours": ("Sunshine", "Working hours", "Screen time", "Sleep", "Travel time", "Training time"),
    "kWh": ("Energy use", "Solar power", "Wind power"),
    "litres": ("Water use", "Fuel consumption", "Juice sold", "Paint used"),
    "number": ("Page views", "Downloads", "Complaints", "Accidents", "Trees planted", "Goals scored", "Patents",
               "Flights", "Emails", "Calls", "Errors found", "Films watched", "Votes", "Births"),
    "points": ("Test results", "Customer rating", "Exam scores", "Air quality"),
}  # fmt: skip
"""Units with what is counted in them."""

SEQUENCES: dict[str, tuple[str, ...]] = {
    "month": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "quarter": ("Q1", "Q2", "Q3", "Q4"),
    "day": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    "week": tuple(f"W{number}" for number in range(1, 13)),
    "year": tuple(str(year) for year in range(1990, 2031)),
    "age group": ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+"),
}
"""Ordered categories; a chart shows neighbouring ones."""
SETS: dict[str, tuple[str, ...]] = {
    "country": ("France", "Japan", "Brazil", "Egypt", "Canada", "Kenya", "India", "Norway", "Peru", "Italy", "Spain",
                "Chile", "Poland", "Greece", "Mexico", "China", "Turkey", "Austria"),
    "city": ("London", "Paris", "Tokyo", "Lima", "Cairo", "Berlin", "Rome", "Oslo", "Boston", "Madrid", "Delhi",
             "Vienna", "Sydney", "Seoul", "Dublin", "Prague"),
    "product": ("Apples", "Bread", "Cheese", "Coffee", "Tea", "Milk", "Rice", "Eggs", "Pears", "Grapes", "Honey",
                "Pasta", "Butter", "Salt", "Sugar", "Juice"),
    "department": ("Sales", "Support", "Design", "Finance", "Legal", "Research", "Marketing", "Logistics"),
    "team": ("Red", "Blue", "Eagles", "Lions", "Sharks", "Tigers", "Wolves", "Bears", "Hawks", "Foxes"),
    "item": (),
}  # fmt: skip
"""Categories without an order; those of "item" are words of the word list."""
SERIES = (
    ("2019", "2020", "2021", "2022", "2023", "2024"), ("North", "South", "East", "West"), ("Plan", "Actual"),
    ("Online", "Shop", "Market"), ("Adults", "Children"), ("Model A", "Model B", "Model C"), ("Before", "After"),
    ("Group 1", "Group 2", "Group 3"), ("Men", "Women"), ("Morning", "Evening"), ("Import", "Export"),
)  # fmt: skip
STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000)


@dataclass(frozen=True, slots=True)
class Axis:
    """Ticks of a numeric axis from 0 on.

    Attributes:
        label: its title; empty if none is drawn.
        step: distance of two ticks.
        top: the last tick.
    """

    label: str
    step: int
    top: int

    def ticks(self) -> list[int]:
        """Every tick."""
        return list(range(0, self.top + 1, self.step))


@dataclass(frozen=True, slots=True)
class ChartData:
    """What one chart shows.

    Attributes:
        kind: kind of chart.
        title: its title.
        noun: what the categories are ("month"); "point" for a scatter plot.
        categories: names along the category axis, or of the slices; empty for a scatter plot.
        series: names of the series; a single one is not drawn unless it is a scatter plot's.
        values: one row per series, one value per category; for a scatter plot the vertical places.
        places: horizontal places of the points of a scatter plot, as `values`.
        y: the value axis; of a pie, whose values are per cent, it is not drawn.
        x: the horizontal axis of a scatter plot; of other charts only its label is used.
        is_labelled: whether each value is written at its mark.
        absent: a category that the chart does not show.
    """

    kind: ChartKind
    title: str
    noun: str
    categories: tuple[str, ...]
    series: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]
    places: tuple[tuple[int, ...], ...]
    y: Axis
    x: Axis
    is_labelled: bool
    absent: str

    def number(self, value: int) -> str:
        """A value as it is written in the chart."""
        return f"{value}%" if self.kind == "pie" else f"{value:,}"


def draw_data(
    rng: random.Random, kind: ChartKind, split: Split, words: WordLists, num_categories: Range
) -> ChartData:
    """Draw the data of a chart.

    Args:
        rng: random generator.
        kind: kind of chart.
        split: split of what is counted.
        words: word lists of that split.
        num_categories: fewest and most categories.
    """
    unit, thing = _counted(rng, split)
    noun, categories, absent = _categories(rng, kind, words, num_categories)
    series = _series(rng, kind)
    is_labelled = rng.random() < (0.7 if kind == "pie" else 0.45) and kind != "scatter"
    y = _axis(rng, unit if unit != "number" and rng.random() < 0.6 else thing)
    if rng.random() < 0.15:
        y = Axis("", y.step, y.top)
    x_label = noun.capitalize() if rng.random() < 0.4 else ""
    x = Axis(x_label, 1, 1)
    places: tuple[tuple[int, ...], ...] = ()
    if kind == "scatter":
        noun, categories, absent = "point", (), ""
        other = _counted(rng, split)[1]
        x = _axis(rng, other if other != thing else "Week")
        counts = [rng.randint(3, 8) for _ in series]
        places = tuple(_some(rng, x, count, False) for count in counts)
        values = tuple(_some(rng, y, count, False) for count in counts)
    elif kind == "pie":
        values = (_shares(rng, len(categories)),)
    else:
        values = tuple(_some(rng, y, len(categories), is_labelled) for _ in series)
    title = _title(rng, thing, noun, series)
    return ChartData(
        kind, title, noun, categories, series, values, places, y, x, is_labelled, absent
    )


def _counted(rng: random.Random, split: Split) -> tuple[str, str]:
    """Unit and name of what is counted."""
    pairs = [
        (unit, thing)
        for unit, things in UNITS.items()
        for thing in things
        if split_of(thing, HELDOUT_SHARE) == split
    ]
    return rng.choice(pairs)


def _categories(
    rng: random.Random, kind: ChartKind, words: WordLists, num_categories: Range
) -> tuple[str, tuple[str, ...], str]:
    """Noun, categories, and one more that is not shown."""
    low, high = num_categories
    is_ordered = kind == "line" or (kind in ("bar", "grouped") and rng.random() < 0.4)
    most = {"pie": 6, "grouped": 5}.get(kind, high)
    count = rng.randint(low, max(low, min(most, high)))
    noun = rng.choice([*SEQUENCES] if is_ordered else [*SETS])
    if noun == "item":
        names = list[str]()
        while len(names) <= count:
            word = words.word(rng, "en", 3, 9).capitalize()
            if word not in names:
                names.append(word)
    elif is_ordered:
        pool = SEQUENCES[noun]
        count = min(count, len(pool) - 1)
        start = rng.randint(0, len(pool) - count - 1)
        names = list(pool[start : start + count + 1])
    else:
        count = min(count, len(SETS[noun]) - 1)
        names = rng.sample(SETS[noun], count + 1)
    return noun, tuple(names[:count]), names[count]


def _series(rng: random.Random, kind: ChartKind) -> tuple[str, ...]:
    most = {"grouped": 3, "line": 3, "scatter": 3}.get(kind, 1)
    least = 2 if kind == "grouped" else 1
    pool = rng.choice(SERIES)
    count = min(rng.randint(least, most), len(pool))
    start = rng.randint(0, len(pool) - count)
    return pool[start : start + count]


def _axis(rng: random.Random, label: str) -> Axis:
    step = rng.choice(STEPS)
    return Axis(label, step, step * rng.randint(4, 8))


def _some(rng: random.Random, axis: Axis, count: int, is_fine: bool) -> tuple[int, ...]:
    """Values from a fifth of the axis up to its end: on a tick, half-way, or anywhere if `is_fine`."""
    least = max(axis.step, axis.top // 5)
    if is_fine and axis.step > 2:
        return tuple(rng.randint(least, axis.top) for _ in range(count))
    values = []
    for _ in range(count):
        value = rng.randint(1, axis.top // axis.step) * axis.step
        if rng.random() < 0.25 and value < axis.top:
            value += axis.step // 2
        values.append(max(value, axis.step))
    return tuple(values)


def _shares(rng: random.Random, count: int) -> tuple[int, ...]:
    """Whole per cents that add up to 100, each at least 5."""
    cuts = sorted(rng.sample(range(1, 100 - 4 * count), count - 1))
    edges = [0, *cuts, 100 - 4 * count]
    return tuple(end - start + 4 for start, end in pairwise(edges))


def _title(rng: random.Random, thing: str, noun: str, series: tuple[str, ...]) -> str:
    city, year = rng.choice(SETS["city"]), rng.randint(1990, 2030)
    forms = [
        f"{thing} in {city}",
        f"{thing} {year}",
        f"{city}: {thing.lower()}",
        f"{thing} in {city}, {year}",
        thing,
    ]
    if noun != "point":
        forms += [f"{thing} by {noun}", f"{thing} per {noun}"] * 2
    if len(series) == 2 and not series[0].isdigit():
        forms.append(f"{thing}: {series[0].lower()} and {series[1].lower()}")
    return rng.choice(forms)
