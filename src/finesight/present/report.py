# SPDX-License-Identifier: Apache-2.0
"""Report of questions and answers as one HTML page, with media, coordinates, token counts and times."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from finesight.conversation import MediaRecord
from finesight.geometry import Box, Point
from finesight.parse.answer import Answer
from finesight.parse.records import AnswerBox, AnswerEvent, AnswerPoint
from finesight.present.marks import (
    Mark,
    TimeSpan,
    clock_text,
    marks_of,
    one_line,
    shortened,
    spans_of,
)
from finesight.present.overlay import draw_answer
from finesight.present.page import (
    Facts,
    Figure,
    Notes,
    Page,
    PagePart,
    Section,
    Table,
    TableRow,
    Text,
    data_address,
    render_page,
    write_page,
)
from finesight.present.timeline import timeline_svg

FOOTER = "Coordinates are pixels of the original pictures; times are seconds of the source."

_WRITTEN = "as the model wrote it"
_NUMBERS = ("x1, y1, x2, y2", "x, y", "in the source", _WRITTEN, "x, y in the original")
_NORMAL_FINISH = ("stop", "tool_calls")
_LONGEST_CELL = 400
"""Characters of one cell; the report shows the whole answer above the tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEntry:
    """One question and its answer.

    Attributes:
        question: the question.
        answer: the parsed answer.
        pictures: by media index, the original picture or the contact sheet of a video. Marks are
            drawn on a copy of the picture; of other media only the facts are shown.
        timings: seconds of each stage, in display order.
    """

    question: str
    answer: Answer
    pictures: Mapping[int, Image.Image] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)


def write_report(
    path: Path,
    entries: Iterable[ReportEntry],
    *,
    title: str = "finesight report",
    parents: bool = False,
) -> None:
    """Write the report atomically; `parents` creates its folder if missing.

    Raises:
        LayoutError: a picture's size differs from the original size in its answer.
        FinesightError: the file cannot be written.
    """
    write_page(path, _page(entries, title), parents=parents)


def render_report(entries: Iterable[ReportEntry], *, title: str = "finesight report") -> str:
    """The report as HTML."""
    return render_page(_page(entries, title))


def _page(entries: Iterable[ReportEntry], title: str) -> Page:
    return Page(title=title, sections=map(_section, entries), footer=FOOTER)


def _section(entry: ReportEntry) -> Section:
    answer = entry.answer
    parts: list[PagePart] = [Text("", answer.text or "(the answer is empty)"), _facts(entry)]
    for index in range(len(answer.media)):
        parts += _media(answer, index, entry.pictures.get(index))
    parts += tables_of(answer)
    if answer.problems:
        problems = tuple(one_line(problem.message) for problem in answer.problems)
        parts.append(Notes(problems, "Not read", is_warning=True))
    return Section(entry.question, tuple(parts))


def _facts(entry: ReportEntry) -> Facts:
    answer, usage = entry.answer, entry.answer.usage
    facts = [
        f"{usage.prompt_tokens:,} prompt tokens, {usage.visual_tokens:,} of them visual",
        f"{usage.completion_tokens:,} answer tokens",
    ]
    if usage.cached_tokens:
        facts.append(f"{usage.cached_tokens:,} from the cache")
    if usage.drafted_tokens:
        facts.append(f"{usage.accepted_tokens:,} of {usage.drafted_tokens:,} guessed tokens right")
    facts += [f"{name}: {seconds:.2f} s" for name, seconds in entry.timings.items()]
    warnings = ["truncated"] if answer.truncated else []
    finish = f"finish: {answer.finish_reason}"
    if answer.finish_reason in _NORMAL_FINISH:
        facts.insert(0, finish)
    else:
        warnings.insert(0, finish)
    return Facts(tuple(facts), tuple(warnings))


def _media(answer: Answer, index: int, picture: Image.Image | None) -> Iterator[PagePart]:
    record = answer.media[index]
    is_image = record.kind == "image"
    marks = marks_of(answer, media_index=index) if is_image else ()
    if picture is not None and is_image:
        picture = draw_answer(picture, answer, media_index=index)
    spans = spans_of(answer, media_index=index)
    # numbered from 1 among media of its kind, as in the prompt
    number = sum(1 for each in answer.media[: index + 1] if each.kind == record.kind)
    yield Figure(
        title=f"{'Picture' if is_image else 'Video'} {number}",
        picture="" if picture is None else data_address(picture),
        drawing=timeline_svg(spans, *_ends(record)) if spans else None,
        alt=f"{record.source} with {len(marks)} marks" if marks else record.source,
        caption=record.source,
    )
    yield Facts(_media_facts(record))
    if record.notes:
        yield Notes(record.notes)


def _ends(record: MediaRecord) -> tuple[float, float]:
    assert record.clock is not None, "an event is placed by the clock of its video"
    return record.clock.source_seconds[0], record.clock.source_seconds[-1]


def _media_facts(record: MediaRecord) -> tuple[str, ...]:
    original, resized = record.resize.original, record.resize.resized
    facts = [
        f"original {original.width} × {original.height}",
        f"model saw {resized.width} × {resized.height}",
        f"{record.visual_tokens:,} visual tokens",
    ]
    if record.page is not None:
        facts.insert(0, f"page {record.page + 1}")
    if record.sample_fps is not None:
        facts.append(f"{record.sample_fps:.3g} frames per second")
    if record.clock is not None:
        facts.append(f"{len(record.clock.source_seconds)} frames, {_stretch(_ends(record))}")
    return tuple(facts)


def tables_of(answer: Answer) -> list[Table]:
    """The non-empty tables of an answer; rows with a mark show its number and colour."""
    marks = _marks(answer)

    def row(item: AnswerBox | AnswerPoint | AnswerEvent, original: str, written: str) -> TableRow:
        cells = (_short(item.label), original, written, _flags(item), _attributes(item))
        return TableRow(cells, marks.get(id(item)))

    boxes = [row(each, _place(each.original), _place(each.box_resized)) for each in answer.boxes]
    points = [
        row(each, _place(each.original), _place(each.point_resized)) for each in answer.points
    ]
    events = [
        row(
            each,
            _stretch(each.source_seconds),
            _stretch((each.model_start_seconds, each.model_end_seconds)),
        )
        for each in answer.events
    ]
    calls = [
        TableRow(
            (
                _short(call.name),
                _short(json.dumps(dict(call.arguments), ensure_ascii=False)),
                "; ".join(map(_place, call.points.values())),
            )
        )
        for call in answer.tool_calls
    ]
    last = (_WRITTEN, "flags", "more")
    tables = (
        _table("Boxes", ("label", "x1, y1, x2, y2", *last), boxes),
        _table("Points", ("label", "x, y", *last), points),
        _table("Events", ("event", "in the source", *last), events),
        _table("Tool calls", ("tool", "arguments", "x, y in the original"), calls),
    )
    return [table for table in tables if table.rows]


def _marks(answer: Answer) -> dict[int, Mark | TimeSpan]:
    """Marks of boxes, points and events by `id` of the record."""
    found: dict[int, Mark | TimeSpan] = {}
    for index in range(len(answer.media)):
        # marks are in the order of the records; then follow tool calls and page blocks, which have no row
        placed = [id(each) for each in (*answer.boxes, *answer.points) if each.media_index == index]
        found.update(zip(placed, marks_of(answer, media_index=index), strict=False))
        events = [id(each) for each in answer.events if each.media_index == index]
        found.update(zip(events, spans_of(answer, media_index=index), strict=True))
    return found


def _table(title: str, header: Sequence[str], rows: Sequence[TableRow]) -> Table:
    """A table without empty columns."""
    used = [place for place in range(len(header)) if any(row.cells[place] for row in rows)]
    kept = tuple(TableRow(tuple(row.cells[place] for place in used), row.mark) for row in rows)
    return Table(title, tuple(header[place] for place in used), kept, _NUMBERS)


def _flags(item: AnswerBox | AnswerPoint | AnswerEvent) -> str:
    flags = ["clipped"] if item.clipped else []
    flags += ["corners swapped"] if isinstance(item, AnswerBox) and item.swapped else []
    flags += ["picture not known"] if item.media_index is None else []
    return ", ".join(flags)


def _attributes(item: AnswerBox | AnswerPoint | AnswerEvent) -> str:
    """Other attributes as JSON; the label is not repeated."""
    kept = {key: value for key, value in item.attributes.items() if value != item.label}
    return _short(json.dumps(kept, ensure_ascii=False)) if kept else ""


def _place(place: Box | Point | None) -> str:
    if place is None:
        return "not known"
    values: tuple[float, ...]
    if isinstance(place, Box):
        values = (place.x1, place.y1, place.x2, place.y2)
    else:
        values = (place.x, place.y)
    return ", ".join(f"{value:.1f}".removesuffix(".0") for value in values)


def _stretch(seconds: tuple[float, float] | None) -> str:
    if seconds is None:
        return "not known"
    return f"{clock_text(seconds[0])} – {clock_text(seconds[1])}"


def _short(text: str) -> str:
    return shortened(one_line(text), _LONGEST_CELL)
