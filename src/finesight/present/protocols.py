# SPDX-License-Identifier: Apache-2.0
"""The fields of an answer that are shown. `finesight.parse.answer.Answer` fits `AnswerLike`.

Protocols, because `parse` is a sibling and because a report may show what did not come from a
model, such as labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from finesight.conversation import FinishReason, MediaRecord, Usage
from finesight.geometry import Box, Point


class Placed(Protocol):
    """What boxes, points and events have in common."""

    @property
    def label(self) -> str:
        """What it shows."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Everything else that was said about it."""

    @property
    def media_index(self) -> int | None:
        """Index into the media; None if it is not known."""

    @property
    def clipped(self) -> bool:
        """Whether it had to be cut to its picture or clip."""


class BoxLike(Placed, Protocol):
    """A box."""

    @property
    def original(self) -> Box | None:
        """In original pixels; None if its picture is not known."""

    @property
    def box_resized(self) -> Box:
        """In pixels the model saw."""

    @property
    def swapped(self) -> bool:
        """Whether its corners had to be put in order."""


class PointLike(Placed, Protocol):
    """A point."""

    @property
    def original(self) -> Point | None:
        """In original pixels; None if its picture is not known."""

    @property
    def point_resized(self) -> Point:
        """In pixels the model saw."""


class EventLike(Placed, Protocol):
    """A stretch of a video."""

    @property
    def source_seconds(self) -> tuple[float, float] | None:
        """Start and end in the source; None if its video is not known."""

    @property
    def model_start_seconds(self) -> float:
        """Start on the clock the model saw."""

    @property
    def model_end_seconds(self) -> float:
        """End on the clock the model saw."""


class CallLike(Protocol):
    """A tool call."""

    @property
    def name(self) -> str:
        """The tool."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """As the model gave them."""

    @property
    def points(self) -> Mapping[str, Point]:
        """The coordinates among them, in original pixels."""

    @property
    def media_index(self) -> int | None:
        """The picture they belong to."""


class BlockLike(Protocol):
    """A block of a page."""

    @property
    def kind(self) -> str:
        """What it is."""

    @property
    def text(self) -> str:
        """Its text."""

    @property
    def box(self) -> Box | None:
        """In original pixels; None if the model gave none or the picture is not known."""

    @property
    def children(self) -> Sequence[BlockLike]:
        """Blocks within it."""


class PageLike(Protocol):
    """A page that a model read."""

    @property
    def blocks(self) -> Sequence[BlockLike]:
        """In reading order."""


class ProblemLike(Protocol):
    """Something that could not be read."""

    @property
    def message(self) -> str:
        """What is wrong."""


class AnswerLike(Protocol):
    """An answer with what was read from it."""

    @property
    def text(self) -> str:
        """What the model wrote."""

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ended."""

    @property
    def truncated(self) -> bool:
        """Whether it ends too early."""

    @property
    def usage(self) -> Usage:
        """Tokens counted."""

    @property
    def media(self) -> Sequence[MediaRecord]:
        """What was shown."""

    @property
    def boxes(self) -> Sequence[BoxLike]:
        """In reading order."""

    @property
    def points(self) -> Sequence[PointLike]:
        """In reading order."""

    @property
    def events(self) -> Sequence[EventLike]:
        """In reading order."""

    @property
    def tool_calls(self) -> Sequence[CallLike]:
        """In order."""

    @property
    def document(self) -> PageLike | None:
        """The page, if the answer is one."""

    @property
    def document_media_index(self) -> int | None:
        """The picture the page belongs to."""

    @property
    def problems(self) -> Sequence[ProblemLike]:
        """What could not be read."""
