# SPDX-License-Identifier: Apache-2.0
"""Questions on charts that are drawn from tables of vega-datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from finesight.conversation import ImagePart
from finesight.errors import EvalError
from finesight.evals.core.benchmark import Build
from finesight.evals.extract.text import WHOLE_TEXT
from finesight.evals.metrics.extras import required
from finesight.evals.metrics.relaxed import relaxed_match
from finesight.evals.tasks.packaged.vega_tables import ChartTable, tables
from finesight.evals.tasks.reading.open_questions import ONE_WORD, short_answer
from finesight.evals.tasks.shared.build import build, whole
from finesight.evals.tasks.shared.questions import Question

_INCHES, _DPI = (6.4, 4.0), 100


def questions(folder: Path) -> Iterator[Question]:
    """Three questions per chart: a value, the largest, the smallest. Every second chart has labelled values.

    Raises:
        EvalError: a table is missing, two names have equal values, or matplotlib is not installed.
    """
    for number, table in enumerate(_mixed(tables(folder))):
        has_values = number % 2 == 0
        ordered = sorted(table.values, key=lambda name: table.values[name])
        if len(set(table.values.values())) != len(ordered):
            raise EvalError(f"chart {table.id} has two equal values: {dict(table.values)}")
        picture = ImagePart(source=drawn(table, has_values=has_values))
        asked = ordered[len(ordered) // 2]
        rows = (
            (
                "value",
                f"What is the {table.quantity} for {table.thing} {asked}?",
                _short(table.values[asked]),
            ),
            ("largest", f"Which {table.thing} has the largest {table.quantity}?", ordered[-1]),
            ("smallest", f"Which {table.thing} has the smallest {table.quantity}?", ordered[0]),
        )
        for kind, text, gold in rows:
            yield Question(
                id=f"{table.id} {kind}",
                text=text,
                truth={"golds": [gold], "is_number": kind == "value"},
                oracle=gold,
                media=(picture,),
                cluster=table.id,
                tags={"kind": kind, "values": "written" if has_values else "to be read off"},
            )


def _mixed(found: list[ChartTable]) -> list[ChartTable]:
    """Charts in an order in which adjacent charts are of different tables."""
    step = 5
    return [table for start in range(step) for table in found[start::step]]


def drawn(table: ChartTable, *, has_values: bool) -> bytes:
    """The chart as PNG.

    Args:
        table: names and values.
        has_values: write each value next to its mark.

    Raises:
        EvalError: matplotlib is not installed.
    """
    with required("matplotlib", "drawing charts of vega-datasets"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure: Any = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    names, values = list(table.values), list(table.values.values())
    if table.is_line:
        axes.plot(names, values, marker="o")
    else:
        axes.bar(names, values, width=0.6)
        axes.grid(axis="y", alpha=0.4)
        axes.set_axisbelow(True)
    if has_values:
        for name, value in table.values.items():
            axes.annotate(
                _short(value), (name, value), (0, 4), textcoords="offset points", ha="center"
            )
    axes.margins(y=0.15)  # room for values above the highest
    axes.set_title(table.title)
    data = BytesIO()
    FigureCanvasAgg(figure).print_png(data, metadata={"Software": None})  # type: ignore[no-untyped-call]  # matplotlib
    return data.getvalue()


def _short(value: float) -> str:
    return f"{value:.10g}"


def _score(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Whether a value is within five percent, or a name (also a year) is equal."""
    pred = str(parsed or "").strip().rstrip(".")
    is_right = relaxed_match if truth["is_number"] else _is_same
    return {"correct": float(bool(pred) and any(is_right(pred, gold) for gold in truth["golds"]))}


def _is_same(pred: str, gold: str) -> bool:
    return pred.lower() == gold.lower()


TASKS: Mapping[str, Build] = {
    "vega_charts": build(
        whole(questions), *short_answer(ONE_WORD), extractors=(WHOLE_TEXT,), score=_score
    )
}
