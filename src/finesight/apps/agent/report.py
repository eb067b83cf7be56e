# SPDX-License-Identifier: Apache-2.0
"""Report of a run as one HTML page: each screen with the step drawn on it, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from finesight.apps.agent.records import Run, Step
from finesight.errors import AppError
from finesight.geometry import Box, Point, Size
from finesight.present.marks import marks_from, one_line
from finesight.present.overlay import draw_marks
from finesight.present.page import (
    Facts,
    Figure,
    Notes,
    Page,
    PagePart,
    Section,
    Text,
    data_address,
    write_page,
)

__all__ = ["drawn", "write_run"]

_FOOTER = (
    "Claimed is what the model says; verified is what the program found. Points are pixels of the screen. Contents of"
    " private fields and secrets are painted over."
)
_VERDICTS = {
    "changed": "the screen changed",
    "elsewhere": "something else on the screen changed",
    "unchanged": "nothing changed",
    "error": "not performed",
}


def write_run(path: Path, run: Run, screens: Path) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        run: the run.
        screens: folder of its screens.

    Raises:
        AppError: it cannot be written.
    """
    sections = _sections(run, screens)
    page = Page(title=run.goal or "agent", sections=sections, footer=_FOOTER)
    write_page(path, page, error=AppError, parents=True)


def drawn(
    screen: Image.Image, act: Mapping[str, Any], element: Mapping[str, Any] | None
) -> Image.Image:
    """A screen with a step and its control drawn on it."""
    shapes: list[tuple[Box | Point, str]] = []
    if element is not None:
        box, _ = Box(*element["box"]).clipped(_size(screen))
        if box.area > 0:
            shapes.append((box, ""))
    for name in ("point", "point2"):
        if name in act:
            shapes.append((Point(*act[name]), str(act["kind"])))
    return draw_marks(screen, marks_from(shapes)) if shapes else screen


def _sections(run: Run, screens: Path) -> Iterator[Section]:
    yield Section("Result", tuple(_result(run)))
    for step in run.steps:
        yield Section(_title(step), tuple(_parts(step, screens)))
    last = next((step.after for step in reversed(run.steps) if step.after), "")
    if last:
        yield Section(
            "At the end", (_figure(screens / f"{last}.png", "the last screen", {}, None),)
        )


def _title(step: Step) -> str:
    element = step.element or {}
    named = f" on {element['role']} {one_line(element['name'])!r}" if element.get("name") else ""
    return f"Step {step.n}: {step.words or step.problem}{named}"


def _result(run: Run) -> Iterator[PagePart]:
    verified = {True: "done", False: "not done", None: "not checked"}[run.verified.value]
    facts = [f"end: {run.end}", f"claimed: {run.claimed or 'nothing'}", f"verified: {verified}"]
    yield Facts((*facts, f"{len(run.steps)} steps"), (run.problem,) if run.problem else ())
    if run.answer:
        yield Text("Answer", run.answer)
    if run.verified.details:
        yield Notes(run.verified.details, f"Checked by {run.verified.how}")
    if run.notes:
        yield Notes(run.notes, "Notes of the model")


def _parts(step: Step, screens: Path) -> Iterator[PagePart]:
    gate, effect = step.gate or {}, step.effect or {}
    facts = [f"{step.seconds:.1f} s", f"{step.tokens:,} tokens"]
    if gate:
        facts.insert(0, f"risk: {gate['level']}{gate['kind'] and ', ' + gate['kind']}")
    if effect:
        facts.insert(0, _VERDICTS[effect["verdict"]])
    if step.regrounded:
        facts.append("the point is that of a second question about a crop")
    warnings = [step.problem] if step.problem else []
    if gate and gate["by"] != "rule":
        facts.append(f"allowed by: {gate['by']}" if gate["allowed"] else "refused")
    yield Facts(tuple(facts), tuple(warnings))
    yield _figure(screens / f"{step.before}.png", step.place, step.act or {}, step.element)
    if step.warnings:
        yield Notes(step.warnings, "Text on the screen that tries to give orders", is_warning=True)
    if step.remarks:
        yield Notes(step.remarks, "The model was told")
    yield Text("Answer of the model", "\n\n".join(step.replies), is_folded=True)


def _figure(
    path: Path, caption: str, act: Mapping[str, Any], element: Mapping[str, Any] | None
) -> Figure:
    if not path.is_file():
        return Figure(caption=f"the picture {path.name} is missing")
    with Image.open(path) as screen:
        shown = drawn(screen.convert("RGB"), act, element)
    return Figure(picture=data_address(shown), alt="screen", caption=caption)


def _size(screen: Image.Image) -> Size:
    return Size(*screen.size)
