# SPDX-License-Identifier: Apache-2.0
"""Tables of a report: each thing with the number and the colour it has in the picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from finesight.geometry import Box, Point
from finesight.parse.answer import Answer
from finesight.parse.records import AnswerItem
from finesight.present.marks import Mark, TimeSpan, clock_text, ink_on, marks_of, one_line, spans_of

_LAST_COLUMNS = ("as the model wrote it", "flags", "more")
_LONGEST_TEXT = 400
"""Characters of one cell; the answer itself stands above in full."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; `is_number` sets it in figures of one width."""

    text: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One thing; number and colours are those of its mark, empty if it is not drawn."""

    cells: tuple[Cell, ...]
    number: int = 0
    colour: str = ""
    ink: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A titled table; with `has_numbers` its first column shows the marks."""

    title: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]
    has_numbers: bool = True


def tables_of(answer: Answer) -> tuple[Table, ...]:
    """The tables of an answer that have rows."""
    tables = (_boxes(answer), _points(answer), _events(answer), _calls(answer))
    return tuple(table for table in tables if table.rows)


def _boxes(answer: Answer) -> Table:
    marks = _marks(answer)
    rows = []
    for box in answer.boxes:
        mark = next(marks[box.media_index], None) if box.media_index in marks else None
        cells = (
            Cell(_short(box.label)),
            Cell(_corners(box.original), is_number=True),
            Cell(_corners(box.box_resized), is_number=True),
            Cell(_flags(box, is_swapped=box.swapped)),
            Cell(_attributes(box)),
        )
        rows.append(_row(cells, mark))
    return _table("Boxes", ("label", "x1, y1, x2, y2", *_LAST_COLUMNS), rows)


def _points(answer: Answer) -> Table:
    marks = _marks(answer)
    for box in answer.boxes:  # boxes are numbered first
        if box.media_index in marks:
            next(marks[box.media_index], None)
    rows = []
    for point in answer.points:
        mark = next(marks[point.media_index], None) if point.media_index in marks else None
        cells = (
            Cell(_short(point.label)),
            Cell(_place(point.original), is_number=True),
            Cell(_place(point.point_resized), is_number=True),
            Cell(_flags(point)),
            Cell(_attributes(point)),
        )
        rows.append(_row(cells, mark))
    return _table("Points", ("label", "x, y", *_LAST_COLUMNS), rows)


def _events(answer: Answer) -> Table:
    spans = {index: iter(spans_of(answer, media_index=index)) for index in range(len(answer.media))}
    rows = []
    for event in answer.events:
        span = None if event.media_index is None else next(spans[event.media_index], None)
        true = event.source_seconds
        written = (event.model_start_seconds, event.model_end_seconds)
        cells = (
            Cell(_short(event.label)),
            Cell("not known" if true is None else _stretch(true), is_number=True),
            Cell(_stretch(written), is_number=True),
            Cell(_flags(event)),
            Cell(_attributes(event)),
        )
        rows.append(_row(cells, span))
    return _table("Events", ("event", "in the source", *_LAST_COLUMNS), rows)


def _calls(answer: Answer) -> Table:
    rows = [
        Row(
            (
                Cell(_short(call.name)),
                Cell(_short(json.dumps(dict(call.arguments), ensure_ascii=False))),
                Cell("; ".join(_place(point) for point in call.points.values()), is_number=True),
            )
        )
        for call in answer.tool_calls
    ]
    header = ("tool", "arguments", "x, y in the original")
    return Table("Tool calls", header, tuple(rows), has_numbers=False)


def _table(title: str, header: Sequence[str], rows: Sequence[Row]) -> Table:
    """A table with marks, without the columns in which nothing stands."""
    used = [place for place in range(len(header)) if any(row.cells[place].text for row in rows)]
    kept = tuple(replace(row, cells=tuple(row.cells[place] for place in used)) for row in rows)
    return Table(title, ("", *(header[place] for place in used)), kept)


def _marks(answer: Answer) -> dict[int | None, Iterator[Mark]]:
    return {index: iter(marks_of(answer, media_index=index)) for index in range(len(answer.media))}


def _row(cells: tuple[Cell, ...], mark: Mark | TimeSpan | None) -> Row:
    if mark is None:
        return Row(cells)
    colour, ink = (
        "#{:02x}{:02x}{:02x}".format(*value) for value in (mark.colour, ink_on(mark.colour))
    )
    return Row(cells, mark.number, colour, ink)


def _flags(thing: AnswerItem, *, is_swapped: bool = False) -> str:
    flags = ["clipped"] if thing.clipped else []
    flags += ["corners swapped"] if is_swapped else []
    flags += ["picture not known"] if thing.media_index is None else []
    return ", ".join(flags)


def _attributes(thing: AnswerItem) -> str:
    """What else was said; the label is not repeated."""
    kept = {key: value for key, value in thing.attributes.items() if value != thing.label}
    return _short(json.dumps(kept, ensure_ascii=False)) if kept else ""


def _corners(box: Box | None) -> str:
    return "not known" if box is None else _numbers((box.x1, box.y1, box.x2, box.y2))


def _place(point: Point | None) -> str:
    return "not known" if point is None else _numbers((point.x, point.y))


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.1f}".removesuffix(".0") for value in values)


def _stretch(seconds: tuple[float, float]) -> str:
    return f"{clock_text(seconds[0])} – {clock_text(seconds[1])}"


def _short(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _LONGEST_TEXT else line[: _LONGEST_TEXT - 1] + "…"
