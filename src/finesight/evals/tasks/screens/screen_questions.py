# SPDX-License-Identifier: Apache-2.0
"""Questions about screens, asked with the description of a tool.

The description names the size of the screen after resizing, because the coordinates of an answer are pixels of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from finesight.evals.core.task import Budget, Item
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.tasks.shared.questions import Piece, Question, as_item, conversation
from finesight.geometry import Size
from finesight.screen.history import call_in_words
from finesight.text.chat_template import DEFAULT_SYSTEM

COOKBOOK = "the agent cookbook of Qwen2.5-VL"
Tool = Callable[[Size], dict[str, Any]]
AskOnScreen = Callable[[Question, Size], Sequence[Piece]]
"""Parts of the user's turn; the size is that of the screen as the model sees it."""


@dataclass(frozen=True, slots=True)
class ToolWording:
    """A way to ask that offers a tool; the truth of its questions has `screen`, width and height of the original.

    Attributes:
        name: of the prompt.
        source: where its words come from.
        ask: puts a question into words.
        tool: describes the tool on a screen of the size that the model sees.
    """

    name: str
    source: str
    ask: AskOnScreen
    tool: Tool

    def item(self, question: Question, budget: Budget) -> Item:
        """The question as it is asked within a budget."""
        size = budget.seen_size(*question.truth["screen"])
        asked = conversation(self.ask(question, size), budget, system=DEFAULT_SYSTEM)
        return as_item(question, replace(asked, tools=(self.tool(size),)))


def click_in_words(box: Sequence[float]) -> str:
    """A click on the middle of a box."""
    middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    return call_in_words("computer_use", {"action": "left_click", "coordinate": middle})


def ask_click(asked: Question, size: Size) -> list[Piece]:
    """Screen and instruction; the tool says the rest."""
    del size
    return [*asked.media, asked.text]


def score_click(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The point lies in the box or on its edge; an answer without a point is wrong and counted apart."""
    hit = parsed is not None and point_in_box(parsed, truth["box"])
    return {"hit": float(hit), "wrong_format": float(parsed is None)}
