# SPDX-License-Identifier: Apache-2.0
"""Report of a fine-tuning run: scores before and after, what was forgotten, the losses, and changed answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from finesight import files
from finesight.conversation import ImagePart
from finesight.errors import EvalError, MediaError
from finesight.evals.core.journal import Sample
from finesight.evals.core.run import RunResult
from finesight.evals.core.task import Item, Task
from finesight.evals.report.failures import open_image, shapes_in
from finesight.evals.suites import sanity
from finesight.evals.suites.held_back import MEASURES, SCORE
from finesight.geometry import Box, Point
from finesight.present.curves import Series, curves_svg
from finesight.present.marks import marks_from, shortened
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
    Text,
    data_address,
    write_page,
)

MOST_EXAMPLES = 8
"""Answers shown that got better, and the same number of those that got worse."""
ALLOWED_DROP = 2.0
"""Points of the sanity set that a run may lose without a warning."""
KNOWN = 10.0
"""A part of the sanity set counts if the model scored at least this many points before."""

_LONGEST_TEXT = 400
_LONGEST_SIDE = 420
_HEADER = ("part", "measure", "before", "after", "change", "95 % interval after", "n")
_NUMBERS = _HEADER[2:]
_FOOTER = (
    "Scores are points of 100, higher is better. Held-back records were not trained on, and none of them shares a "
    "picture with a record that was. Boxes are drawn in pixels of the original pictures."
)


@dataclass(frozen=True, slots=True)
class Row:
    """Score of one benchmark before and after, in points of 100.

    Attributes:
        name: of the benchmark.
        measure: what the score is.
        before: of the model before training.
        after: of the trained model.
        low: lower end of the 95 % interval of `after`.
        high: upper end.
        n: questions.
    """

    name: str
    measure: str
    before: float
    after: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, task: Task, before: RunResult, after: RunResult) -> Row:
        """That of a benchmark with two results."""
        assert before.result is not None
        assert after.result is not None
        low, high = after.result.interval
        return cls(
            name=task.name,
            measure={**sanity.MEASURES, **MEASURES}[task.name],
            before=round(100 * before.result.value, 2),
            after=round(100 * after.result.value, 2),
            low=round(100 * low, 2),
            high=round(100 * high, 2),
            n=after.result.n,
        )

    def cells(self) -> tuple[str, ...]:
        """The row as texts of a table."""
        change = f"{self.after - self.before:+.1f}"
        interval = f"{self.low:.1f} - {self.high:.1f}"
        return (
            *(self.name, self.measure, f"{self.before:.1f}", f"{self.after:.1f}", change),
            *(interval, str(self.n)),
        )


def forgotten(rows: Sequence[Row]) -> float | None:
    """Points lost on the sanity set: mean over the parts that the model knew; None if it knew none."""
    known = [row for row in rows if row.before >= KNOWN]
    return sum(row.before - row.after for row in known) / len(known) if known else None


def forgetting_text(rows: Sequence[Row]) -> tuple[str, bool]:
    """One sentence on what was forgotten, and whether it is a warning."""
    lost = forgotten(rows)
    if lost is None:
        return (
            f"forgetting is not measured: no part of the sanity set had {KNOWN:g} points before",
            False,
        )
    parts = ", ".join(
        f"{row.name} {row.before:.1f} -> {row.after:.1f}" for row in rows if row.before >= KNOWN
    )
    if lost > ALLOWED_DROP:
        return (
            f"THE MODEL HAS FORGOTTEN: the sanity set fell by {lost:.1f} points ({parts}); "
            "train for fewer epochs, at a lower rate, or with a larger --replay"
        ), True
    return f"forgetting: {max(lost, 0.0):.1f} points on the sanity set ({parts})", False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Two answers to one question.

    Attributes:
        item: the question.
        before: answer before training.
        after: answer of the trained model.
    """

    item: Item
    before: Sample
    after: Sample

    @property
    def change(self) -> float:
        """Score after, less that before, -1..1."""
        return self.after.parts.get(SCORE, 0.0) - self.before.parts.get(SCORE, 0.0)


def outcomes(items: Sequence[Item], before: RunResult, after: RunResult) -> list[Outcome]:
    """Pairs of answers, in the order of the items."""
    earlier = {sample.id: sample for sample in before.samples}
    later = {sample.id: sample for sample in after.samples}
    return [Outcome(item, earlier[item.id], later[item.id]) for item in items]


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuning:
    """Everything the report shows.

    Attributes:
        title: of the page.
        facts: model, data and run in a few words each.
        held_back: scores on held-back records; empty if none were held back.
        sanity: scores on the sanity set.
        changed: answers to the held-back questions.
        losses: by name, over steps.
        best_step: step of the weights that were kept; None for the last one.
        recipe: TOML of the run.
        dropped: rows of the data that were not used, by reason.
    """

    title: str
    facts: tuple[str, ...]
    held_back: Sequence[Row]
    sanity: Sequence[Row]
    changed: Sequence[Outcome]
    losses: Mapping[str, Series]
    best_step: int | None
    recipe: str
    dropped: Mapping[str, int] = field(default_factory=dict)

    def content(self) -> dict[str, Any]:
        """The report as plain JSON values, without pictures."""
        lost = forgotten(self.sanity)
        return {
            "title": self.title,
            "facts": list(self.facts),
            "held_back": [asdict(row) for row in self.held_back],
            "sanity": [asdict(row) for row in self.sanity],
            "forgotten_points": None if lost is None else round(lost, 2),
            "best_step": self.best_step,
            "losses": {name: [list(point) for point in one] for name, one in self.losses.items()},
            "dropped": dict(self.dropped),
            "answers": [
                {
                    "id": each.item.id,
                    "wanted": each.item.truth["answer"],
                    "before": each.before.text,
                    "after": each.after.text,
                    "change": round(each.change, 4),
                }
                for each in self.changed
            ],
        }


def write_fine_tuning(folder: Path, report: FineTuning) -> None:
    """Write `report.json` and `report.html`, each atomically.

    Raises:
        EvalError: the folder cannot be written to.
    """
    files.write_json(folder / "report.json", report.content(), error=EvalError)
    page = Page(title=report.title, sections=_sections(report), footer=_FOOTER)
    write_page(folder / "report.html", page, error=EvalError)


def _sections(report: FineTuning) -> Iterator[Section]:
    yield Section("", tuple(_summary(report)))
    if any(report.losses.values()):
        drawing = curves_svg(
            {name: one for name, one in report.losses.items() if one},
            x_label="step",
            mark_x=report.best_step,
            mark_label="kept weights",
        )
        yield Section("Losses", (Figure(drawing=drawing),))
    for title, chosen in (("Better", _better(report)), ("Worse", _worse(report))):
        if report.changed:
            shown = tuple(map(_figure, chosen[:MOST_EXAMPLES]))
            count = f"{len(chosen)} of {len(report.changed)} answers"
            more = f", the {len(shown)} that changed most" if len(shown) < len(chosen) else ""
            yield Section(f"{title}: {count}{more}", (Gallery("", shown),))
    yield Section("Recipe", (Text("TOML of this run", report.recipe, is_folded=True),))


def _summary(report: FineTuning) -> Iterator[PagePart]:
    yield Facts(report.facts)
    text, is_warning = forgetting_text(report.sanity)
    if is_warning:
        yield Notes((text,), is_warning=True)
    for title, rows in (("Held-back records", report.held_back), ("Sanity set", report.sanity)):
        if rows:
            yield Table(title, _HEADER, tuple(TableRow(row.cells()) for row in rows), _NUMBERS)
    if not is_warning:
        yield Notes((text,))
    if report.dropped:
        rows_of = tuple(TableRow((reason, str(count))) for reason, count in report.dropped.items())
        yield Table("Rows that were not used", ("reason", "rows"), rows_of, ("rows",))


def _better(report: FineTuning) -> list[Outcome]:
    found = sorted(report.changed, key=lambda each: -each.change)
    return [each for each in found if each.change > 0]


def _worse(report: FineTuning) -> list[Outcome]:
    found = sorted(report.changed, key=lambda each: each.change)
    return [each for each in found if each.change < 0]


def _figure(outcome: Outcome) -> Figure:
    texts = (
        ("wanted", str(outcome.item.truth["answer"])),
        ("before", _said(outcome.before)),
        ("after", _said(outcome.after)),
    )
    return Figure(
        picture=_picture(outcome),
        alt=outcome.item.id,
        caption=_short(outcome.before.question),
        texts=tuple((title, _short(text)) for title, text in texts),
    )


def _picture(outcome: Outcome) -> str:
    """The first picture with the boxes of the truth and both answers; empty without a picture."""
    parts = [each for each in outcome.item.conversation.media() if isinstance(each, ImagePart)]
    if not parts:
        return ""
    try:
        image = open_image(parts[0])
    except MediaError:
        return ""
    shapes: list[tuple[Box | Point, str]] = []
    if "boxes" in outcome.item.truth:
        named = (
            ("gold", outcome.item.truth["boxes"]),
            ("before", outcome.before.parsed),
            ("after", outcome.after.parsed),
        )
        shapes = [(shape, name) for name, value in named for shape in shapes_in(value)]
    if shapes:
        image = draw_marks(image, marks_from(shapes))
    return data_address(image, longest_side=_LONGEST_SIDE)


def _said(sample: Sample) -> str:
    if sample.text is None:
        return f"(no answer: {sample.message})"
    return sample.text or "(the answer is empty)"


def _short(text: str) -> str:
    return shortened(text, _LONGEST_TEXT)
