# SPDX-License-Identifier: Apache-2.0
"""Clicks on the element that an instruction describes: ScreenSpot, v2 and Pro, and recorded web pages.

`ToolWording` asks with the description of a tool. The description contains the size of the resized screen, because
coordinates of answers are pixels of that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.core.task import Budget, Item
from finesight.evals.extract.places import FIRST_POINT
from finesight.evals.metrics.boxes import point_in_box
from finesight.evals.tasks.grounding.places import corners, numbers, scaled, size_of
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import benchmark_rows, build
from finesight.evals.tasks.shared.columns import Row, picture
from finesight.evals.tasks.shared.questions import (
    Piece,
    Question,
    Way,
    Wording,
    as_item,
    conversation,
    template,
)
from finesight.geometry import Size
from finesight.screen.history import POINT_REQUEST, call_in_words
from finesight.screen.tools import computer_use
from finesight.text.chat_template import DEFAULT_SYSTEM

COOKBOOK = "the agent cookbook of Qwen2.5-VL"
Tool = Callable[[Size], dict[str, Any]]
AskOnScreen = Callable[[Question, Size], Sequence[Piece]]
"""Gives the parts of the user's turn for a question and the resized screen."""
_PLATFORMS = {
    **dict.fromkeys(("ios", "android", "mobile"), "mobile"),
    **dict.fromkeys(("windows", "macos", "desktop"), "desktop"),
}


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
        size = budget.seen_size(*question.truth["screen"])
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


def score_click(parsed: Any, truth: Mapping[str, Any]) -> dict[str, float]:
    """Whether the point is in the box or on its edge; an answer without a point is also counted as wrong format."""
    hit = parsed is not None and point_in_box(parsed, truth["box"])
    return {"hit": float(hit), "wrong_format": float(parsed is None)}


def _groups(row: Row) -> dict[str, str]:
    platform = _PLATFORMS.get(str(row["data_source"]).lower(), "web")
    kind = str(row["data_type"])
    return {"kind": kind, "platform": platform, "group": f"{platform} {kind}"}


def _programs(row: Row) -> dict[str, str]:
    names = ("platform", "group", "application")
    return {"kind": str(row["ui_type"]), **{name: str(row[name]) for name in names}}


def _sources(row: Row) -> dict[str, str]:
    return {"kind": str(row["data_type"]), "source": str(row["data_source"])}


def _in_pixels(cell: Any, size: Size) -> list[float]:
    """A box given as corners in pixels."""
    del size
    return numbers(cell, 4)


def _in_shares(cell: Any, size: Size) -> list[float]:
    """A box given as corners in fractions of width and height."""
    return scaled(numbers(cell, 4), size)


def _with_size(cell: Any, size: Size) -> list[float]:
    """A box given as its upper left corner, width and height in pixels."""
    del size
    return corners(cell)


def _read_row(
    row: Row,
    folder: Path,
    benchmark: Benchmark,
    *,
    box_of: Callable[[Any, Size], list[float]],
    tags_of: Callable[[Row], dict[str, str]],
) -> Question:
    """A row with `file_name`, `instruction` and `bbox`; `image` is optional.

    `box_of` reads the box of a cell on a screen of a size; `tags_of` gives the tags of a row.
    """
    places = [folder / name for name in benchmark.folders]
    shown = picture(row.get("image") or row["file_name"], *places)
    size = size_of(shown)
    box = box_of(row["bbox"], size)
    return Question(
        id=f"{row['file_name']} {' '.join(f'{value:g}' for value in box)} {row['instruction']}",
        text=str(row["instruction"]),
        truth={"box": box, "screen": [size.width, size.height]},
        oracle=click_in_words(box),
        media=(shown,),
        cluster=str(row["file_name"]),
        tags=tags_of(row),
    )


def _clicks(
    box_of: Callable[[Any, Size], list[float]], tags_of: Callable[[Row], dict[str, str]]
) -> Build:
    return build(
        benchmark_rows(partial(_read_row, box_of=box_of, tags_of=tags_of)),
        ToolWording("cookbook", COOKBOOK, ask_click, computer_use),
        Wording("point", "a plain wish for a point", template(POINT_REQUEST)),
        extractors=(FIRST_POINT,),
        score=score_click,
        total=means({"hit": "accuracy", "wrong_format": "wrong_format"}),
    )


TASKS: Mapping[str, Build] = {
    "miniwob_screens": _clicks(_in_pixels, _sources),
    "screenspot": _clicks(_in_shares, _groups),
    "screenspot_pro": _clicks(_in_pixels, _programs),
    "screenspot_v2": _clicks(_with_size, _groups),
    "web_pages": _clicks(_in_pixels, _sources),
}
