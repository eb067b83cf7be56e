# SPDX-License-Identifier: Apache-2.0
"""Clicks on an element that an instruction names: ScreenSpot, v2 and Pro, and recorded web pages."""

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
from finesight.screen.history import POINT_REQUEST
from finesight.screen.tools import computer_use

_PLATFORMS = {
    **dict.fromkeys(("ios", "android", "mobile"), "mobile"),
    **dict.fromkeys(("windows", "macos", "desktop"), "desktop"),
}


def groups(row: Row) -> dict[str, str]:
    """Text or icon, the platform, and both together."""
    platform = _PLATFORMS.get(str(row["data_source"]).lower(), "web")
    kind = str(row["data_type"])
    return {"kind": kind, "platform": platform, "group": f"{platform} {kind}"}


def programs(row: Row) -> dict[str, str]:
    """Text or icon, and where it was seen."""
    names = ("platform", "group", "application")
    return {"kind": str(row["ui_type"]), **{name: str(row[name]) for name in names}}


def sources(row: Row) -> dict[str, str]:
    """The kind of the element, and the page it is of."""
    return {"kind": str(row["data_type"]), "source": str(row["data_source"])}


def in_pixels(cell: Any, size: Size) -> list[float]:
    """Corners in pixels."""
    del size
    return numbers(cell, 4)


def in_shares(cell: Any, size: Size) -> list[float]:
    """Corners in shares of width and height."""
    return scaled(numbers(cell, 4), size)


def with_size(cell: Any, size: Size) -> list[float]:
    """A corner with width and height, in pixels."""
    del size
    return corners(cell)


def read_row(
    row: Row,
    folder: Path,
    benchmark: Benchmark,
    *,
    box_of: Callable[[Any, Size], list[float]],
    tags_of: Callable[[Row], dict[str, str]],
) -> Question:
    """A row with `file_name`, `instruction` and `bbox`; `image` may be there.

    Args:
        row: the row.
        folder: of the copy.
        benchmark: says where pictures lie.
        box_of: reads the box, whatever it is counted in.
        tags_of: what the row is broken down by.
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


def clicks(
    box_of: Callable[[Any, Size], list[float]], tags_of: Callable[[Row], dict[str, str]]
) -> Build:
    """A benchmark of clicks; see `read_row`."""
    return build(
        benchmark_rows(partial(read_row, box_of=box_of, tags_of=tags_of)),
        ToolWording("cookbook", COOKBOOK, ask_click, computer_use),
        Wording("point", "a plain wish for a point", say(POINT_REQUEST)),
        extractors=(FIRST_POINT,),
        score=score_click,
        total=means({"hit": "accuracy", "wrong_format": "wrong_format"}),
    )


TASKS: Mapping[str, Build] = {
    "miniwob_screens": clicks(in_pixels, sources),
    "screenspot": clicks(in_shares, groups),
    "screenspot_pro": clicks(in_pixels, programs),
    "screenspot_v2": clicks(with_size, groups),
    "web_pages": clicks(in_pixels, sources),
}
