# SPDX-License-Identifier: Apache-2.0
"""Questions about screens: shown with a tool to act by, whose description names the size of the screen.

The size named is the one the model sees after fitting to its grid, because the coordinates it says are meant there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finesight.evals.core.rows import broken_item
from finesight.evals.core.task import Budget, Item, Prompt
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.tasks.shared.aggregates import Aggregate, average
from finesight.evals.tasks.shared.questions import (
    Broken,
    Piece,
    Question,
    Read,
    as_item,
    conversation,
)
from finesight.geometry import Size
from finesight.processor.resize import smart_resize
from finesight.screen.history import call_in_words
from finesight.text.chat_template import DEFAULT_SYSTEM

COOKBOOK = "the agent cookbook of Qwen2.5-VL"
Tool = Callable[[Size], dict[str, Any]]
AskOnScreen = Callable[[Question, Size], Sequence[Piece]]
"""Parts of the user's turn; the size is that of the screen as the model sees it."""


def seen_size(screen: Sequence[float], budget: Budget) -> Size:
    """The size at which a model with Qwen2.5-VL's grid sees a screen of this width and height."""
    width, height = (int(side) for side in screen)
    rows, columns = smart_resize(
        height, width, min_pixels=budget.min_pixels, max_pixels=budget.max_pixels
    )
    return Size(columns, rows)


def tool_prompt(name: str, source: str, read: Read, ask: AskOnScreen, tool: Tool) -> Prompt:
    """A `Prompt` that offers a tool; the truth of its questions has `screen`, width and height of the original."""

    def items(folder: Path, budget: Budget) -> Iterator[Item]:
        for question in read(folder):
            if isinstance(question, Broken):
                yield broken_item(question.where, question.reason)
                continue
            size = seen_size(question.truth["screen"], budget)
            asked = conversation(ask(question, size), budget, system=DEFAULT_SYSTEM)
            yield as_item(question, replace(asked, tools=(tool(size),)))

    return Prompt(name, source, items)


def click_in_words(box: Sequence[float]) -> str:
    """A click on the middle of a box."""
    middle = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2]
    return call_in_words("computer_use", {"action": "left_click", "coordinate": middle})


def ask_click(asked: Question, size: Size) -> list[Piece]:
    """Screen and instruction; the tool says the rest."""
    del size
    return [*asked.media, asked.text]


def ask_point(asked: Question) -> list[Piece]:
    """Screen and a wish for a point in JSON, without a tool."""
    return [*asked.media, point_wish(asked.text)]


def point_wish(text: str) -> str:
    """The wish itself."""
    return f'Point to the element for "{text}" in the image, output its coordinates in JSON format.'


def score_click(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """The point lies in the box or on its edge; an answer without a point is wrong and counted apart."""
    hit = parsed is not None and point_in_box(parsed, truth["box"])
    return {"hit": float(hit), "wrong_format": float(parsed is None)}


def click_accuracy(by: Sequence[str]) -> Aggregate:
    """Share of clicks that hit, over samples and broken down; and the share without a point."""
    hits, unread = average("hit", by=by), average("wrong_format", name="wrong_format")
    return lambda scored: {**hits(scored), **unread(scored)}
