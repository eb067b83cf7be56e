# SPDX-License-Identifier: Apache-2.0
"""One HTML file that shows questions, answers, and everything that was done to get them.

Self-contained: pictures are embedded, nothing is fetched, no script runs. Text of the model is
shown, never interpreted.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup
from PIL import Image

from finesight.conversation import MediaRecord
from finesight.errors import FinesightError
from finesight.parse.answer import Answer
from finesight.present.marks import clock_text, marks_of, one_line, spans_of
from finesight.present.overlay import draft_of, draw_answer
from finesight.present.report_page import PAGE, STYLE
from finesight.present.report_tables import Table, tables_of
from finesight.present.timeline import timeline_svg

LONGEST_SIDE = 1600
"""Of an embedded picture; a larger one is scaled down after the marks are drawn."""

_FINE_REASONS = ("stop", "tool_calls")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEntry:
    """One question and its answer.

    Attributes:
        question: as it was asked.
        answer: with what was read from it.
        pictures: per index of the answer's media, what to show: the original picture, or a contact
            sheet of a video. Marks are drawn on a picture's copy; media that are not listed show
            their facts only.
        timings: seconds per stage, in the order to show.
    """

    question: str
    answer: Answer
    pictures: Mapping[int, Image.Image] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Media:
    title: str
    source: str
    facts: tuple[str, ...]
    notes: tuple[str, ...]
    picture: Markup
    alt: str
    timeline: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    question: str
    text: str
    finish_reason: str
    is_warning: bool
    truncated: bool
    facts: tuple[str, ...]
    media: tuple[_Media, ...]
    tables: tuple[Table, ...]
    problems: tuple[str, ...]


def write_report(
    path: Path, entries: Iterable[ReportEntry], *, title: str = "finesight report"
) -> None:
    """Write the report whole or not at all.

    Raises:
        LayoutError: a picture has another size than the one its answer speaks of.
        FinesightError: the place cannot be written.
    """
    page = render_report(entries, title=title)
    draft = draft_of(path)
    try:
        draft.write_text(page, encoding="utf-8", errors="replace")
        draft.replace(path)
    except OSError as error:
        raise FinesightError(
            f"report {path} cannot be written: {error.strerror or error}",
            hint="name a file in a folder that exists and that you may write to",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def render_report(entries: Iterable[ReportEntry], *, title: str = "finesight report") -> str:
    """The report as one HTML page; entries are used one by one, so that not all pictures are held at once."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    shown = [_entry(entry) for entry in entries]
    return environment.from_string(PAGE).render(title=title, style=Markup(STYLE), entries=shown)


def _entry(entry: ReportEntry) -> _Entry:
    answer = entry.answer
    usage = answer.usage
    facts = [
        f"{usage.prompt_tokens:,} prompt tokens, {usage.visual_tokens:,} of them visual",
        f"{usage.completion_tokens:,} answer tokens",
    ]
    if usage.cached_tokens:
        facts.append(f"{usage.cached_tokens:,} from the cache")
    facts += [f"{name}: {seconds:.2f} s" for name, seconds in entry.timings.items()]
    return _Entry(
        question=entry.question,
        text=answer.text,
        finish_reason=answer.finish_reason,
        is_warning=answer.finish_reason not in _FINE_REASONS,
        truncated=answer.truncated,
        facts=tuple(facts),
        media=tuple(
            _media(answer, index, entry.pictures.get(index)) for index in range(len(answer.media))
        ),
        tables=tables_of(answer),
        problems=tuple(one_line(problem.message) for problem in answer.problems),
    )


def _media(answer: Answer, index: int, picture: Image.Image | None) -> _Media:
    record = answer.media[index]
    marks = marks_of(answer, media_index=index) if record.kind == "image" else ()
    spans = spans_of(answer, media_index=index)
    embedded = Markup()
    if picture is not None:
        is_image = record.kind == "image"
        embedded = data_address(
            draw_answer(picture, answer, media_index=index) if is_image else picture
        )
    timeline = Markup()
    if spans and record.clock is not None:
        times = record.clock.source_seconds
        svg = timeline_svg(spans, start_seconds=times[0], end_seconds=times[-1])
        timeline = Markup(svg)  # timeline_svg escapes its labels
    return _Media(
        title=f"{'Picture' if record.kind == 'image' else 'Video'} {_ordinal(answer, index)}",
        source=record.source,
        facts=_media_facts(record),
        notes=record.notes,
        picture=embedded,
        alt=f"{record.source} with {len(marks)} marks" if marks else record.source,
        timeline=timeline,
    )


def _ordinal(answer: Answer, index: int) -> int:
    """Which picture or which video it is, counted from 1 as the prompt counts them."""
    kind = answer.media[index].kind
    return sum(1 for record in answer.media[: index + 1] if record.kind == kind)


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
        times = record.clock.source_seconds
        stretch = f"{clock_text(times[0])} – {clock_text(times[-1])}"
        facts.append(f"{len(times)} frames, {stretch}")
    return tuple(facts)


def data_address(image: Image.Image, *, longest_side: int = LONGEST_SIDE) -> Markup:
    """A picture as a data address; JPEG, or PNG where that is smaller (drawings, screens)."""
    shown = image.convert("RGB")
    if max(shown.size) > longest_side:
        shown.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    best, kind = b"", ""
    for name, options in (("jpeg", {"quality": 88}), ("png", {"optimize": True})):
        buffer = io.BytesIO()
        shown.save(buffer, format=name, **options)
        if not best or buffer.tell() < len(best):
            best, kind = buffer.getvalue(), name
    return Markup(f"data:image/{kind};base64,{base64.b64encode(best).decode('ascii')}")
