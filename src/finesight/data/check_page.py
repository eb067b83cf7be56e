# SPDX-License-Identifier: Apache-2.0
"""The report of `finesight data check` as one HTML page: problems, lengths, and samples with their loss mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from finesight.data.check_samples import Run, Shown, ShownMedia
from finesight.data.checking import CheckReport, Lengths
from finesight.present.marks import marks_from
from finesight.present.overlay import draw_marks
from finesight.present.page import (
    Facts,
    Figure,
    Gallery,
    Notes,
    Page,
    PagePart,
    Section,
    Table,
    TableRow,
    data_address,
    render_page,
)
from finesight.present.svg import element

__all__ = ["check_page", "numbered_lengths"]

_MOST_PROBLEMS = 500
_STYLES = {
    "target": "background: #bfe8c4; color: #10300f",
    "control": "color: #7a6ff0",
    "media": "background: #d9dade; color: #1c1d20",
    "context": "",
}
_BOX = (
    "white-space: pre-wrap; overflow-wrap: anywhere; font: .9rem/1.5 var(--mono); padding: .75rem; "
    "border: 1px solid var(--line); border-radius: 6px; max-height: 28rem; overflow: auto"
)
LEGEND = "Green: learned tokens. Plain: prompt. Violet: control tokens. Gray: visual tokens."


def check_page(report: CheckReport) -> str:
    """The page as HTML."""
    return render_page(
        Page(
            title=f"{report.path.name}: {report.num_records:,} rows can be used, {report.num_refused:,} cannot",
            sections=(_summary(report), *_problems(report), *map(_sample, report.samples)),
        )
    )


def numbered_lengths(report: CheckReport) -> list[tuple[str, tuple[str, ...]]]:
    """Rows of the table of lengths: name; least, median, 90 %, largest, sum."""
    rows: list[tuple[str, Lengths | None]] = [
        ("tokens of a sample", report.tokens),
        ("visual tokens of a sample", report.visual_tokens),
    ]
    return [
        (
            name,
            tuple(f"{number:,}" for number in (of.least, of.median, of.p90, of.largest, of.total)),
        )
        for name, of in rows
        if of is not None
    ]


def _summary(report: CheckReport) -> Section:
    facts = tuple(f"{name}: {number:,}" for name, number in report.counts.items() if number)
    columns = ("least", "median", "90 %", "largest", "sum")
    rows = tuple(TableRow((name, *numbers)) for name, numbers in numbered_lengths(report))
    parts: list[PagePart] = [Notes(report.notes), Facts(facts)]
    if rows:
        parts.append(Table("Lengths", ("", *columns), rows, numbers=columns))
    return Section("Summary", tuple(parts))


def _problems(report: CheckReport) -> Iterator[Section]:
    if not report.problems:
        return
    counts = tuple(TableRow((name, f"{n:,}")) for name, n in report.reasons.most_common())
    rows = tuple(
        TableRow((one.place, one.reason, one.message, one.hint))
        for one in report.problems[:_MOST_PROBLEMS]
    )
    title = f"the first {_MOST_PROBLEMS}" if report.num_refused > _MOST_PROBLEMS else "each row"
    parts = (
        Table("by reason", ("reason", "rows"), counts, numbers=("rows",)),
        Table(title, ("row", "reason", "what", "hint"), rows),
    )
    yield Section("Rows that cannot be used", parts)


def _sample(sample: Shown) -> Section:
    learned = sum(run.num_tokens for run in sample.runs if run.is_target)
    total = sum(run.num_tokens for run in sample.runs)
    parts: list[PagePart] = []
    if sample.media:
        parts.append(Gallery("", tuple(map(_picture, sample.media)), width_rem=30))
    parts.append(Figure(drawing=_text(sample.runs), caption=LEGEND))
    if sample.rejected:
        parts.append(Figure(drawing=_text(sample.rejected), caption="The worse answer."))
    return Section(
        sample.place, tuple(parts), source=f"{total:,} tokens, {learned:,} of them learned"
    )


def _picture(item: ShownMedia) -> Figure:
    image = item.image
    if item.places:
        shapes = ((shape, str(number)) for number, shape in item.places)
        image = draw_marks(image, marks_from(shapes))
    width, height = item.image.size
    caption = (
        f"resized from {item.original.width} x {item.original.height} to {width} x {height}, "
        f"{item.num_tokens:,} visual tokens"
    )
    return Figure(picture=data_address(image), alt=caption, caption=caption)


def _text(runs: Sequence[Run]) -> Markup:
    """The tokens in the colours of their kind."""
    spans = []
    for run in runs:
        style = _STYLES["target"] if run.is_target and run.kind != "media" else _STYLES[run.kind]
        text = f" {run.text} " if run.kind == "media" else run.text
        spans.append(element("span", {"style": style, "title": f"{run.num_tokens} tokens"}, text))
    return element("div", {"style": _BOX, "dir": "auto"}, *spans)
