# SPDX-License-Identifier: Apache-2.0
"""Clicks on the element that an instruction describes: ScreenSpot, v2 and Pro, and recorded web pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from finesight.evals.core.benchmark import Benchmark, Build
from finesight.evals.extract.places import FIRST_POINT
from finesight.evals.tasks.grounding.places import corners, numbers, scaled, size_of
from finesight.evals.tasks.screens.screen_questions import (
    COOKBOOK,
    POINT_REQUEST,
    ToolWording,
    ask_click,
    click_in_words,
    score_click,
)
from finesight.evals.tasks.shared.aggregates import means
from finesight.evals.tasks.shared.build import benchmark_rows, build
from finesight.evals.tasks.shared.columns import Row, picture
from finesight.evals.tasks.shared.questions import Question, Wording, say
from finesight.geometry import Size
from finesight.screen.tools import computer_use

_PLATFORMS = {
    **dict.fromkeys(("ios", "android", "mobile"), "mobile"),
    **dict.fromkeys(("windows", "macos", "desktop"), "desktop"),
}


def _groups(row: Row) -> dict[str, str]:
    """Text or icon, the platform, and both together."""
    platform = _PLATFORMS.get(str(row["data_source"]).lower(), "web")
    kind = str(row["data_type"])
    return {"kind": kind, "platform": platform, "group": f"{platform} {kind}"}


def _programs(row: Row) -> dict[str, str]:
    """Text or icon, platform, group and application."""
    names = ("platform", "group", "application")
    return {"kind": str(row["ui_type"]), **{name: str(row[name]) for name in names}}


def _sources(row: Row) -> dict[str, str]:
    """The kind of the element, and its page."""
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
    """A benchmark of clicks; see `_read_row`."""
    return build(
        benchmark_rows(partial(_read_row, box_of=box_of, tags_of=tags_of)),
        ToolWording("cookbook", COOKBOOK, ask_click, computer_use),
        Wording("point", "a plain wish for a point", say(POINT_REQUEST)),
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
