# SPDX-License-Identifier: Apache-2.0
"""Names and values of small charts, from tables of vega-datasets."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finesight.errors import EvalError
from finesight.evals.tasks.packaged.copies import needed

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartTable:
    """The content of one chart.

    Attributes:
        id: unique among the charts.
        title: above the chart.
        quantity: noun for the values in questions.
        thing: noun for the names in questions.
        values: by name, in the order of the chart; no two are equal.
        is_line: a line chart instead of a bar chart.
    """

    id: str
    title: str
    quantity: str
    thing: str
    values: Mapping[str, float]
    is_line: bool = False


def tables(folder: Path) -> list[ChartTable]:
    """All charts.

    Raises:
        EvalError: a table is missing or invalid.
    """
    makers: tuple[tuple[str, Callable[[Rows], Iterator[ChartTable]]], ...] = (
        ("iowa-electricity.csv", _electricity),
        ("seattle-weather.csv", _weather),
        ("stocks.csv", _stocks),
        ("us-employment.csv", _employment),
        ("cars.json", _cars),
        ("barley.json", _barley),
        ("wheat.json", _wheat),
    )
    found: list[ChartTable] = []
    for name, make in makers:
        path = needed(folder, name)
        try:
            found += make(_rows(path))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise EvalError(f"{path} is not the table expected: {error!r}") from error
    return found


def _rows(path: Path) -> Rows:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return list(json.loads(text))
    return list(csv.DictReader(text.splitlines()))


def _electricity(rows: Rows) -> Iterator[ChartTable]:
    for year in ("2001", "2005", "2009", "2013", "2017"):
        here = [row for row in rows if row["year"].startswith(year)]
        yield ChartTable(
            id=f"electricity {year}",
            title=f"Net generation of electricity in Iowa, {year} (GWh)",
            quantity="net generation",
            thing="source",
            values={row["source"]: float(row["net_generation"]) for row in here},
        )


def _counts(values: Iterable[str]) -> dict[str, float]:
    return {name: float(count) for name, count in sorted(Counter(values).items())}


def _weather(rows: Rows) -> Iterator[ChartTable]:
    for year in ("2012", "2013", "2014", "2015"):
        values = _counts(row["weather"] for row in rows if row["date"].startswith(year))
        if len(set(values.values())) == len(values):
            yield ChartTable(
                id=f"weather {year}",
                title=f"Days by weather in Seattle, {year}",
                quantity="number of days",
                thing="weather",
                values=values,
            )


def _stocks(rows: Rows) -> Iterator[ChartTable]:
    for symbol in ("MSFT", "AMZN", "IBM", "AAPL"):
        here = [row for row in rows if row["symbol"] == symbol and row["date"].startswith("Jan 1")]
        yield ChartTable(
            id=f"stocks {symbol}",
            title=f"Price of {symbol} in January (US dollars)",
            quantity="price",
            thing="year",
            values={row["date"].split()[-1]: float(row["price"]) for row in here},
            is_line=True,
        )


def _employment(rows: Rows) -> Iterator[ChartTable]:
    for sector in ("construction", "manufacturing", "information"):
        here = [row for row in rows if row["month"].endswith("-01-01")]
        values = {row["month"][:4]: float(row[sector]) for row in here}
        yield ChartTable(
            id=f"employment {sector}",
            title=f"Employees in {sector} in the United States, January (thousands)",
            quantity="number of employees",
            thing="year",
            values=dict(list(values.items())[:8]),
            is_line=True,
        )


def _cars(rows: Rows) -> Iterator[ChartTable]:
    yield ChartTable(
        id="cars origin",
        title="Car models by origin",
        quantity="number of models",
        thing="origin",
        values=_counts(row["Origin"] for row in rows),
    )
    powers: dict[str, list[float]] = {}
    for row in rows:
        if row["Horsepower"] is not None:
            powers.setdefault(str(row["Cylinders"]), []).append(float(row["Horsepower"]))
    yield ChartTable(
        id="cars power",
        title="Mean horsepower of car models by number of cylinders",
        quantity="mean horsepower",
        thing="number of cylinders",
        values={name: round(sum(p) / len(p), 1) for name, p in sorted(powers.items())},
    )


def _barley(rows: Rows) -> Iterator[ChartTable]:
    for variety in ("Manchuria", "Trebi", "Velvet"):
        here = [row for row in rows if row["variety"] == variety and row["year"] == 1931]
        yield ChartTable(
            id=f"barley {variety}",
            title=f"Yield of barley, variety {variety}, 1931 (bushels per acre)",
            quantity="yield",
            thing="site",
            values={row["site"]: round(float(row["yield"]), 1) for row in here},
        )


def _wheat(rows: Rows) -> Iterator[ChartTable]:
    here = [row for row in rows if 1565 <= int(row["year"]) <= 1600]
    yield ChartTable(
        id="wheat",
        title="Price of a quarter of wheat in England (shillings)",
        quantity="price",
        thing="year",
        values={str(row["year"]): float(row["wheat"]) for row in here},
    )
