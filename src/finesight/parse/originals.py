# SPDX-License-Identifier: Apache-2.0
"""Places what the readers found: the picture or video it belongs to, original pixels, source seconds."""

from __future__ import annotations

from dataclasses import replace

from finesight.conversation import MediaRecord
from finesight.geometry import Resize, Size
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
        text: the reply with its structured parts blanked out.
        spans: where those parts are.
        forced: index of the media that all results belong to; None leaves it to the rule of
            `finesight.parse.placement`.
    """

    def __init__(
        self, media: tuple[MediaRecord, ...], text: str, spans: list[Span], forced: int | None
    ) -> None:
        self._media = media
        self._placer = Placer(media, text, blocks=spans, forced=forced)
        self.problems: list[Problem] = []

    def box(self, box: AnswerBox) -> AnswerBox:
        """A box with its place in original pixels."""
        placement, resize = self._picture(box.media_name, box.span, f"box {box.label[:60]!r}")
        original, clipped = resize.to_original(box.box_resized) if resize else (None, False)
        return replace(
            box,
            original=original,
            media_index=placement.media_index,
            placed_by=placement.placed_by,
            clipped=clipped,
        )

    def point(self, point: AnswerPoint) -> AnswerPoint:
        """A point with its place in original pixels."""
        placement, resize = self._picture(
            point.media_name, point.span, f"point {point.label[:60]!r}"
        )
        original, clipped = (
            resize.point_to_original(point.point_resized) if resize else (None, False)
        )
        return replace(
            point,
            original=original,
            media_index=placement.media_index,
            placed_by=placement.placed_by,
            clipped=clipped,
        )

    def event(self, event: AnswerEvent) -> AnswerEvent:
        """An event with its seconds of the source."""
        placement = self._placer.place(event.media_name, event.span, kind="video")
        index = placement.media_index
        clock = None if index is None else self._media[index].clock
        if index is not None and clock is None:
            placement = Placement(None, reason=f"the clock of media {index} is not known")
        self._note(event.span, f"event {event.label[:60]!r}", placement.reason)
        source, clipped = None, False
        if clock is not None:
            start, start_moved = clock.to_source(event.model_start_seconds)
            end, end_moved = clock.to_source(event.model_end_seconds)
            source, clipped = (start, end), start_moved or end_moved
        return replace(
            event,
            source_seconds=source,
            media_index=placement.media_index,
            placed_by=placement.placed_by,
            clipped=clipped,
        )

    def call(self, call: AnswerCall) -> AnswerCall:
        """A tool call with its coordinates in original pixels."""
        self.problems.extend(problems_of(call))
        given = points_of(call)
        if not given:
            return call
        placement, resize = self._picture("", call.span, f"tool call {call.name[:60]!r}")
        placed = {name: resize.point_to_original(each) for name, each in given.items() if resize}
        return replace(
            call,
            points={name: point for name, (point, _) in placed.items()},
            media_index=placement.media_index,
            placed_by=placement.placed_by,
            clipped=any(moved for _, moved in placed.values()),
        )

    def page(self, page: DocumentPage | None) -> tuple[DocumentPage | None, int | None]:
        """A page with its boxes in original pixels too, and the index of its picture."""
        if page is None:
            return None, None
        self.problems.extend(page.problems)
        placement, resize = self._picture("", page.span, "page")
        return page if resize is None else page.to_original(resize), placement.media_index

    def fitting(self, found: Findings) -> Findings:
        """Numbers that name no kind, less those that do not fit what was shown.

        These become problems: numbers outside the picture are no pixels of it.
        """
        return Findings(
            boxes=tuple(each for each in found.boxes if self.fits_box(each)),
            points=tuple(
                each for each in found.points if self._fits(each, self._point_misfit(each))
            ),
            events=tuple(
                each for each in found.events if self._fits(each, self._event_misfit(each))
            ),
            problems=found.problems,
        )

    def fits_box(self, found: AnswerBox) -> bool:
        """Whether a box that nothing calls one fits its picture; if not, a problem says so."""
        return self._fits(found, self._box_misfit(found))

    def _fits(self, found: AnswerBox | AnswerPoint | AnswerEvent, misfit: str) -> bool:
        if misfit:
            what = f"numbers that nothing calls a box, a point or a time {misfit}"
            self.problems.append(Problem(found.span, what))
        return not misfit

    def _seen(self, found: AnswerBox | AnswerPoint) -> Size | None:
        index = self._placer.place(found.media_name, found.span).media_index
        return None if index is None else self._media[index].resize.resized

    def _box_misfit(self, found: AnswerBox) -> str:
        size, box = self._seen(found), found.box_resized
        if size is None:
            return ""
        if box.clipped(size)[1]:
            return f"reach from {box.x1:g}, {box.y1:g} to {box.x2:g}, {box.y2:g} in {_pixels(size)}"
        return "" if min(box.width, box.height) >= 1 else "make a box thinner than a pixel"

    def _point_misfit(self, found: AnswerPoint) -> str:
        size, point = self._seen(found), found.point_resized
        if size is None:
            return ""
        if point.clipped(size)[1]:
            return f"reach {point.x:g}, {point.y:g} in {_pixels(size)}"
        are_whole = point.x.is_integer() and point.y.is_integer()
        are_shares = max(point.x, point.y) <= 1 and not are_whole
        return "are shares of a picture, not pixels" if are_shares else ""

    def _event_misfit(self, found: AnswerEvent) -> str:
        index = self._placer.place(found.media_name, found.span, kind="video").media_index
        clock = None if index is None else self._media[index].clock
        if found.model_end_seconds <= found.model_start_seconds:
            return "are no stretch of time"
        if clock is not None and clock.to_source(found.model_end_seconds)[1]:
            return f"reach {found.model_end_seconds:g} s, after the end of the video"
        return ""

    def _picture(self, name: str, span: Span, what: str) -> tuple[Placement, Resize | None]:
        """The picture of a result and how it was resized; a problem where it is not known."""
        placement = self._placer.place(name, span)
        self._note(span, what, placement.reason)
        index = placement.media_index
        return placement, None if index is None else self._media[index].resize

    def _note(self, span: Span, what: str, reason: str) -> None:
        if reason:
            self.problems.append(Problem(span, f"{what} has no place: {reason}"))


def _pixels(size: Size) -> str:
    return f"{size.width} x {size.height} pixels"
