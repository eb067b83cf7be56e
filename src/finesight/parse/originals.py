# SPDX-License-Identifier: Apache-2.0
"""What the readers found, brought to the picture or video it belongs to: original pixels, true seconds."""

from __future__ import annotations

from finesight.conversation import MediaRecord
from finesight.geometry import Size
from finesight.parse.action import ToolCall, points_of, problems_of
from finesight.parse.answer_records import AnswerBox, AnswerCall, AnswerEvent, AnswerPoint
from finesight.parse.document import DocumentPage
from finesight.parse.placement import Placer
from finesight.parse.records import Findings, FoundBox, FoundEvent, FoundPoint, Problem, Span


class Originals:
    """Brings what was found to the media it belongs to.

    Args:
        media: what the conversation showed.
        text: the reply with its structured parts blanked out.
        spans: where those parts stand.
        forced: index of the media that all results belong to; None leaves it to the rule of
            `finesight.parse.placement`.
    """

    def __init__(
        self, media: tuple[MediaRecord, ...], text: str, spans: list[Span], forced: int | None
    ) -> None:
        self._media = media
        self._placer = Placer(media, text, blocks=spans, forced=forced)
        self.problems: list[Problem] = []

    def box(self, found: FoundBox) -> AnswerBox:
        """A box in original pixels."""
        placement = self._placer.place(found.media_name, found.span)
        self._note(found.span, f"box {found.label[:60]!r}", placement.reason)
        original, clipped = None, False
        if placement.media_index is not None:
            resize = self._media[placement.media_index].resize
            original, clipped = resize.to_original(found.box_resized)
        return AnswerBox(
            box_resized=found.box_resized,
            original=original,
            label=found.label,
            attributes=found.attributes,
            media_index=placement.media_index,
            placed_by=placement.placed_by,
            clipped=clipped,
            swapped=found.swapped,
            span=found.span,
        )

    def point(self, found: FoundPoint) -> AnswerPoint:
        """A point in original pixels."""
        placement = self._placer.place(found.media_name, found.span)
        self._note(found.span, f"point {found.label[:60]!r}", placement.reason)
        original, clipped = None, False
        if placement.media_index is not None:
            resize = self._media[placement.media_index].resize
            original, clipped = resize.point_to_original(found.point_resized)
        return AnswerPoint(
            point_resized=found.point_resized,
            original=original,
            label=found.label,
            attributes=found.attributes,
            media_index=placement.media_index,
            placed_by=placement.placed_by,
            clipped=clipped,
            span=found.span,
        )

    def event(self, found: FoundEvent) -> AnswerEvent:
        """An event in seconds of the source."""
        placement = self._placer.place(found.media_name, found.span, kind="video")
        index, placed_by, reason = placement.media_index, placement.placed_by, placement.reason
        source, clipped = None, False
        clock = None if index is None else self._media[index].clock
        if index is not None and clock is None:
            index, placed_by, reason = None, "", f"the clock of media {index} is not known"
        if clock is not None:
            start, start_moved = clock.to_source(found.model_start_seconds)
            end, end_moved = clock.to_source(found.model_end_seconds)
            source, clipped = (start, end), start_moved or end_moved
        self._note(found.span, f"event {found.label[:60]!r}", reason)
        return AnswerEvent(
            model_start_seconds=found.model_start_seconds,
            model_end_seconds=found.model_end_seconds,
            source_seconds=source,
            label=found.label,
            attributes=found.attributes,
            media_index=index,
            placed_by=placed_by,
            clipped=clipped,
            swapped=found.swapped,
            span=found.span,
        )

    def call(self, call: ToolCall) -> AnswerCall:
        """A tool call with its coordinates in original pixels."""
        self.problems.extend(problems_of(call))
        given = points_of(call)
        if not given:
            return AnswerCall(name=call.name, arguments=call.arguments, span=call.span)
        placement = self._placer.place("", call.span)
        self._note(call.span, f"tool call {call.name[:60]!r}", placement.reason)
        points, clipped = {}, False
        if placement.media_index is not None:
            resize = self._media[placement.media_index].resize
            for name, point_resized in given.items():
                points[name], moved = resize.point_to_original(point_resized)
                clipped |= moved
        return AnswerCall(
            name=call.name,
            arguments=call.arguments,
            points=points,
            media_index=placement.media_index,
            placed_by=placement.placed_by,
            clipped=clipped,
            span=call.span,
        )

    def page(self, page: DocumentPage | None) -> tuple[DocumentPage | None, int | None]:
        """A page with its boxes in original pixels too, and the index of its picture."""
        if page is None:
            return None, None
        self.problems.extend(page.problems)
        placement = self._placer.place("", page.span)
        self._note(page.span, "page", placement.reason)
        if placement.media_index is None:
            return page, None
        resize = self._media[placement.media_index].resize
        return page.to_original(resize), placement.media_index

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

    def fits_box(self, found: FoundBox) -> bool:
        """Whether a box that nothing calls one fits its picture; if not, a problem says so."""
        return self._fits(found, self._box_misfit(found))

    def _fits(self, found: FoundBox | FoundPoint | FoundEvent, misfit: str) -> bool:
        if misfit:
            what = f"numbers that nothing calls a box, a point or a time {misfit}"
            self.problems.append(Problem(found.span, what))
        return not misfit

    def _seen(self, found: FoundBox | FoundPoint) -> Size | None:
        index = self._placer.place(found.media_name, found.span).media_index
        return None if index is None else self._media[index].resize.resized

    def _box_misfit(self, found: FoundBox) -> str:
        size, box = self._seen(found), found.box_resized
        if size is None:
            return ""
        if box.clipped(size)[1]:
            return f"reach from {box.x1:g}, {box.y1:g} to {box.x2:g}, {box.y2:g} in {_pixels(size)}"
        return "" if min(box.width, box.height) >= 1 else "make a box thinner than a pixel"

    def _point_misfit(self, found: FoundPoint) -> str:
        size, point = self._seen(found), found.point_resized
        if size is None:
            return ""
        if point.clipped(size)[1]:
            return f"reach {point.x:g}, {point.y:g} in {_pixels(size)}"
        are_whole = point.x.is_integer() and point.y.is_integer()
        are_shares = max(point.x, point.y) <= 1 and not are_whole
        return "are shares of a picture, not pixels" if are_shares else ""

    def _event_misfit(self, found: FoundEvent) -> str:
        index = self._placer.place(found.media_name, found.span, kind="video").media_index
        clock = None if index is None else self._media[index].clock
        if found.model_end_seconds <= found.model_start_seconds:
            return "are no stretch of time"
        if clock is not None and clock.to_source(found.model_end_seconds)[1]:
            return f"reach {found.model_end_seconds:g} s, after the end of the video"
        return ""

    def _note(self, span: Span, what: str, reason: str) -> None:
        if reason:
            self.problems.append(Problem(span, f"{what} has no place: {reason}"))


def _pixels(size: Size) -> str:
    return f"{size.width} x {size.height} pixels"
