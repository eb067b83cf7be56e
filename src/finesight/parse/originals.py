# SPDX-License-Identifier: Apache-2.0
"""Places results: finds their picture or video and maps them to original pixels and source seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from finesight.conversation import MediaRecord
from finesight.geometry import Clock, Resize, Size
from finesight.parse.action import points_of, problems_of
from finesight.parse.document import DocumentPage
from finesight.parse.placement import Placement, Placer
from finesight.parse.records import (
    AnswerBox,
    AnswerCall,
    AnswerEvent,
    AnswerPoint,
    Findings,
    Problem,
    Span,
)


class Originals:
    """Places the records of one reply.

    Args:
        media: what the conversation showed.
        text: the reply, with all structures that were read replaced by blanks.
        spans: where those structures are.
        forced: index of the media that all results belong to; None leaves it to the rule of
            `finesight.parse.placement`.

    Attributes:
        problems: results that could not be placed or do not fit.
    """

    def __init__(
        self, media: Sequence[MediaRecord], text: str, spans: Sequence[Span], forced: int | None
    ) -> None:
        self._media = media
        self._placer = Placer(media, text, blocks=spans, forced=forced)
        self.problems: list[Problem] = []

    def placed(self, found: Findings) -> Findings:
        """All results with their place in the original; unmarked ones that do not fit become problems."""
        return replace(
            found,
            boxes=tuple(self._box(box) for box in found.boxes if self._fits(box)),
            points=tuple(self._point(point) for point in found.points if self._fits(point)),
            events=tuple(self._event(event) for event in found.events if self._fits(event)),
            calls=tuple(self._call(call) for call in found.calls),
        )

    def page(self, page: DocumentPage | None) -> tuple[DocumentPage | None, int | None]:
        """A page with its boxes in original pixels too, and the index of its picture."""
        if page is None:
            return None, None
        self.problems.extend(page.problems)
        placement, resize = self._picture("", page.span, "page")
        return page if resize is None else page.to_original(resize), placement.media_index

    def _box(self, box: AnswerBox) -> AnswerBox:
        placement, resize = self._picture(box.media_name, box.span, f"box {box.label[:60]!r}")
        original, clipped = resize.to_original(box.box_resized) if resize else (None, False)
        return _with_placement(replace(box, original=original, clipped=clipped), placement)

    def _point(self, point: AnswerPoint) -> AnswerPoint:
        what = f"point {point.label[:60]!r}"
        placement, resize = self._picture(point.media_name, point.span, what)
        place = point.point_resized
        original, clipped = resize.point_to_original(place) if resize else (None, False)
        return _with_placement(replace(point, original=original, clipped=clipped), placement)

    def _event(self, event: AnswerEvent) -> AnswerEvent:
        placement = self._placer.place(event.media_name, event.span, kind="video")
        clock = self._clock(placement)
        if clock is None and placement.media_index is not None:
            placement = Placement(
                None, reason=f"the clock of media {placement.media_index} is not known"
            )
        self._report_unplaced(event.span, f"event {event.label[:60]!r}", placement)
        if clock is not None:
            start, start_moved = clock.to_source(event.model_start_seconds)
            end, end_moved = clock.to_source(event.model_end_seconds)
            event = replace(event, source_seconds=(start, end), clipped=start_moved or end_moved)
        return _with_placement(event, placement)

    def _call(self, call: AnswerCall) -> AnswerCall:
        self.problems.extend(problems_of(call))
        given = points_of(call)
        if not given:
            return call
        placement, resize = self._picture("", call.span, f"tool call {call.name[:60]!r}")
        placed = {name: resize.point_to_original(each) for name, each in given.items() if resize}
        points = {name: point for name, (point, _) in placed.items()}
        clipped = any(moved for _, moved in placed.values())
        return _with_placement(replace(call, points=points, clipped=clipped), placement)

    def _fits(self, found: AnswerBox | AnswerPoint | AnswerEvent) -> bool:
        """False, with a problem, for an unmarked result that does not fit the picture or video."""
        if not found.is_unmarked:
            return True
        if isinstance(found, AnswerEvent):
            placement = self._placer.place(found.media_name, found.span, kind="video")
            misfit = _event_misfit(found, self._clock(placement))
        else:
            index = self._placer.place(found.media_name, found.span).media_index
            size = None if index is None else self._media[index].resize.resized
            misfit = "" if size is None else _place_misfit(found, size)
        if misfit:
            what = f"numbers that nothing calls a box, a point or a time {misfit}"
            self.problems.append(Problem(found.span, what))
        return not misfit

    def _clock(self, placement: Placement) -> Clock | None:
        index = placement.media_index
        return None if index is None else self._media[index].clock

    def _picture(self, name: str, span: Span, what: str) -> tuple[Placement, Resize | None]:
        """The picture of a result and its resize; a problem where the picture is not known."""
        placement = self._placer.place(name, span)
        self._report_unplaced(span, what, placement)
        index = placement.media_index
        return placement, None if index is None else self._media[index].resize

    def _report_unplaced(self, span: Span, what: str, placement: Placement) -> None:
        if placement.reason:
            self.problems.append(Problem(span, f"{what} has no place: {placement.reason}"))


_Item = TypeVar("_Item", AnswerBox, AnswerPoint, AnswerEvent, AnswerCall)


def _with_placement(item: _Item, placement: Placement) -> _Item:
    return replace(item, media_index=placement.media_index, placed_by=placement.placed_by)


def _place_misfit(found: AnswerBox | AnswerPoint, size: Size) -> str:
    """Why numbers cannot be pixels of a picture of this size; empty if they can."""
    pixels = f"{size.width} x {size.height} pixels"
    if isinstance(found, AnswerBox):
        box = found.box_resized
        if box.clipped(size)[1]:
            return f"reach from {box.x1:g}, {box.y1:g} to {box.x2:g}, {box.y2:g} in {pixels}"
        return "" if min(box.width, box.height) >= 1 else "make a box thinner than a pixel"
    point = found.point_resized
    if point.clipped(size)[1]:
        return f"reach {point.x:g}, {point.y:g} in {pixels}"
    are_whole = point.x.is_integer() and point.y.is_integer()
    are_fractions = max(point.x, point.y) <= 1 and not are_whole
    return "are shares of a picture, not pixels" if are_fractions else ""


def _event_misfit(found: AnswerEvent, clock: Clock | None) -> str:
    """Why two numbers cannot be an event of a video with this clock; empty if they can."""
    if found.model_end_seconds <= found.model_start_seconds:
        return "are no time span"
    if clock is not None and clock.to_source(found.model_end_seconds)[1]:
        return f"reach {found.model_end_seconds:g} s, after the end of the video"
    return ""
