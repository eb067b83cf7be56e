# SPDX-License-Identifier: Apache-2.0
"""The report card as files: JSON, an SVG chart, and an HTML page with right and wrong answers.

Rows that the model was not trained for are marked. `trained_on.json` beside the weights lists the rows it was trained
for: a JSON list of names and patterns such as `text_*`. Without the file, training is "not stated".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from markupsafe import Markup

from finesight import files
from finesight.errors import EvalError
from finesight.evals.suites.card_rows import NO_RATIO_NOTE, Example, RowScore
from finesight.present.marks import shortened
from finesight.present.page import (
    Facts,
    Figure,
    Gallery,
    Page,
    PagePart,
    Section,
    Table,
    TableRow,
    data_address,
    write_page,
)
from finesight.present.svg import drawing, element

TRAINED_FILE = "trained_on.json"
EXAMPLES_PER_ROW = 4
"""Right answers shown per row, and as many wrong ones."""

Trained = Literal["trained", "not trained", "not stated"]

_FOOTER = (
    "cer: character error rate, lower is better; perplexity_ratio: over the bare decoder, lower is better, 1 loses "
    "nothing; all others: higher is better. Beside each score is that of the same model on blank pictures. "
    f"{NO_RATIO_NOTE}. Examples are the first of their row."
)
_BAR, _GAP, _LABEL, _WIDTH = 12, 18, 250, 400
_LONGEST_TEXT = 600


@dataclass(frozen=True, slots=True)
class NoData:
    """A row that could not be scored.

    Attributes:
        row: its name.
        needs: missing data.
        how: how to get it.
    """

    row: str
    needs: str
    how: str


def read_trained(folder: Path) -> tuple[str, ...] | None:
    """Patterns of the rows that a model was trained for; None without the file.

    Args:
        folder: of the model.

    Raises:
        EvalError: `trained_on.json` is not a list of texts.
    """
    path = folder / TRAINED_FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvalError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise EvalError(
            f"{path} holds {found!r}"[:200], hint='write a list of rows: ["text_*", "count"]'
        )
    return tuple(found)


def trained_for(row: str, patterns: Sequence[str] | None) -> Trained:
    """Whether a model was trained for a row."""
    if patterns is None:
        return "not stated"
    return "trained" if any(fnmatchcase(row, each) for each in patterns) else "not trained"


def write_card(
    out: Path,
    content: Mapping[str, Any],
    rows: Sequence[RowScore],
    *,
    trained: Sequence[str] | None,
    no_data: Sequence[NoData] = (),
) -> None:
    """Write `card.json`, `card.svg` and `card.html`, each atomically.

    Args:
        out: folder; created if missing.
        content: of `card.json`.
        rows: of the card.
        trained: rows the model was trained for; None if not stated.
        no_data: rows that could not be scored.

    Raises:
        EvalError: the folder cannot be written to.
    """
    states = {row.row: trained_for(row.row, trained) for row in rows}
    bars = draw_rows(rows, states)
    page = _page(str(content["model"]), rows, states, bars, no_data)
    files.write_json(out / "card.json", content, error=EvalError, parents=True)
    files.write_text(out / "card.svg", f"{bars}\n", error=EvalError)
    write_page(out / "card.html", page, error=EvalError)


def draw_rows(rows: Sequence[RowScore], states: Mapping[str, Trained]) -> Markup:
    """SVG with two bars per row, for pictures and blank pictures; untrained rows are hatched and marked.

    Args:
        rows: of the card.
        states: by name of the row.
    """
    step = 2 * _BAR + _GAP
    height = step * len(rows) + 2 * _GAP
    title = "share right, 0 to 1: on pictures, and below it on blank ones"
    parts = [
        _hatch(),
        element("rect", {"width": "100%", "height": "100%", "fill": "#ffffff"}),
        element("text", {"x": _LABEL, "y": 13, "fill": "#5c6068"}, title),
    ]
    for number, row in enumerate(rows):
        parts += _bars(row, states[row.row], 2 * _GAP - 8 + number * step)
    width = _LABEL + _WIDTH + 60
    style = {"width": width, "height": height, "font-family": "sans-serif", "font-size": 12}
    return drawing((width, height), "share right by row", parts, style)


def _hatch() -> Markup:
    """The hatching of untrained rows."""
    line = {"x1": 0, "y1": 0, "x2": 0, "y2": 6, "stroke": "#9a4b00", "stroke-width": 2}
    tile = {"width": 6, "height": 6}
    units = {"patternUnits": "userSpaceOnUse", "patternTransform": "rotate(45)"}
    inner = (element("rect", {**tile, "fill": "#e8c48c"}), element("line", line))
    return element("defs", {}, element("pattern", {"id": "h", **tile, **units}, *inner))


def _bars(row: RowScore, state: Trained, top: int) -> list[Markup]:
    seen, blind = (min(1.0, max(0.0, value or 0.0)) for value in row.shares)
    mark = " (not trained)" if state == "not trained" else ""
    colour = "url(#h)" if state == "not trained" else "#2b6cb0"
    label = f"{row.row}{mark}, n={row.num_items}"
    ink = {"fill": "#1c1d20"}
    bar = {"x": _LABEL, "height": _BAR}
    end = _LABEL + seen * _WIDTH + 4
    return [
        element("text", {"x": _LABEL - 8, "y": top + _BAR + 3, "text-anchor": "end", **ink}, label),
        element("rect", {**bar, "y": top, "width": seen * _WIDTH, "fill": colour}),
        element("rect", {**bar, "y": top + _BAR, "width": blind * _WIDTH, "fill": "#b5b8bf"}),
        element("text", {"x": end, "y": top + _BAR - 2, **ink}, f"{seen:.3f}"),
    ]


def _page(
    model: str,
    rows: Sequence[RowScore],
    states: Mapping[str, Trained],
    bars: Markup,
    no_data: Sequence[NoData],
) -> Page:
    header = ("row", "measure", "score", "blank", "times blank", "n", "failed", "training")
    scores = tuple(
        TableRow(
            (
                *(row.row, row.measure, *row.numbers, str(row.num_items), str(row.num_failed)),
                states[row.row],
            )
        )
        for row in rows
    )
    absent = tuple(
        TableRow((row.row, f"no data: {row.needs} is not there", row.how)) for row in no_data
    )
    parts: list[PagePart] = [Figure(drawing=bars), Table("", header, scores, header[2:7])]
    if absent:
        parts.append(Table("No data", ("row", "what is missing", "what to do"), absent))
    sections = [Section("", tuple(parts))]
    for row in rows:
        galleries = tuple(
            Gallery(
                title, tuple(_figure(each) for each in row.examples if each.is_right is is_right)
            )
            for title, is_right in (("Right", True), ("Wrong", False))
        )
        untrained = states[row.row] == "not trained"
        warning = (Facts((), ("the model was never trained for this",)),) if untrained else ()
        sections.append(Section(row.row, (*warning, *galleries)))
    return Page(title=f"Report card: {model}", sections=sections, footer=_FOOTER)


def _figure(example: Example) -> Figure:
    texts = [("wanted", example.wanted), ("said", example.said), ("blind", example.blind)]
    return Figure(
        picture=data_address(example.picture, longest_side=480),
        alt=example.id,
        caption=_short(example.question),
        texts=tuple((lead, _short(text)) for lead, text in texts if text),
    )


def _short(text: str) -> str:
    return shortened(text, _LONGEST_TEXT)
