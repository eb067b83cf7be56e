# SPDX-License-Identifier: Apache-2.0
"""Questions about screens, asked with the description of a tool.

The description contains the size of the resized screen, because coordinates of answers are pixels of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finesight.evals.core.task import Budget, Item
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.tasks.shared.questions import Piece, Question, Way, as_item, conversation
from finesight.geometry import Size
from finesight.processor.resize import smart_resize
from finesight.screen.history import call_in_words
from finesight.text.chat_template import DEFAULT_SYSTEM

COOKBOOK = "the agent cookbook of Qwen2.5-VL"
Tool = Callable[[Size], dict[str, Any]]
AskOnScreen = Callable[[Question, Size], Sequence[Piece]]
"""Gives the parts of the user's turn for a question and the resized screen."""


def seen_size(screen: Sequence[float], budget: Budget) -> Size:
    """Size of a screen `[width, height]` after Qwen2.5-VL's resizing."""
    width, height = (int(side) for side in screen)
    rows, columns = smart_resize(
        height, width, min_pixels=budget.min_pixels, max_pixels=budget.max_pixels
    )
    return Size(columns, rows)


@dataclass(frozen=True, slots=True)
class ToolWording(Way):
    """A prompt with a tool; the truth of its questions has `screen`, width and height of the original.

    Attributes:
        ask: gives the parts of the user's turn.
        tool: describes the tool for a resized screen.
    """

    ask: AskOnScreen
    tool: Tool

    def item(self, question: Question, budget: Budget) -> Item:
        """See `Way.item`."""
        size = seen_size(question.truth["screen"], budget)
        asked = conversation(self.ask(question, size), budget, system=DEFAULT_SYSTEM)
        return as_item(question, replace(asked, tools=(self.tool(size),)))


def click_in_words(box: Sequence[float]) -> str:
    """A tool call that clicks the centre of a box."""
    middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    return call_in_words("computer_use", {"action": "left_click", "coordinate": middle})


def ask_click(asked: Question, size: Size) -> list[Piece]:
    """Screen and instruction; the description of the tool is in the system turn."""
    del size
    return [*asked.media, asked.text]


POINT_REQUEST = (
    'Point to the element for "{text}" in the image, output its coordinates in JSON format.'
)
"""Asks for a point in JSON, without a tool."""


def score_click(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Whether the point is in the box or on its edge; an answer without a point is also counted as wrong format."""
    hit = parsed is not None and point_in_box(parsed, truth["box"])
    return {"hit": float(hit), "wrong_format": float(parsed is None)}
