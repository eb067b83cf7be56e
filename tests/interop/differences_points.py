# SPDX-License-Identifier: Apache-2.0
"""Differences in Point-Bench and in the first ScreenSpot."""

from __future__ import annotations

import re
from typing import Any

from tests.interop.compare import Case, Difference, are_equal
from tests.interop.draws_points import SIDE, mask
from tests.interop.ours import average_precision_read
from tests.interop.pairs import Pair

_POINTING = ("lmms_pointbench", "lmms_pointbench_share")


def _one_cup(count: int = 1) -> dict[str, Any]:
    size = [SIDE, SIDE]
    return {"mask": mask(100, 100, 140, 120), "count": count, "is_count": True, "size": size}


def _says(pattern: str) -> Any:
    return lambda case: re.search(pattern, case.pair.answer) is not None


def _is_cut_off(case: Case) -> bool:
    return "point_2d" in case.pair.answer and case.pair.answer.rstrip()[-1] not in "]`"


def _is_reversed(case: Case) -> bool:
    """Whether our value is theirs when the boxes are taken from the last to the first."""
    objects = [line.strip(" ,[]`\n") for line in re.findall(r"\{[^{}]*\}", case.pair.answer)]
    pair = Pair("reversed", f"[{', '.join(reversed(objects))}]", case.pair.truth)
    return are_equal(average_precision_read(pair), case.theirs)


_CATS = [["cat", [10, 10, 60, 60]], ["cat", [100, 100, 150, 150]]]

POINTS = (
    Difference(
        name="points with decimals",
        rules=_POINTING,
        holds=_says(r"\d\.\d"),
        example=("[(0.12, 0.11)]", _one_cup(), 0.0, 1.0),
        right="ours",
        why="For lmms-eval a number with decimals is a share of the picture, any other a thousandth. What they mean is"
        " declared before the run here, so half a pixel is half a pixel.",
    ),
    Difference(
        name="points in other words",
        rules=_POINTING,
        holds=lambda case: _says('bbox_2d|"x"')(case) and case.theirs == 0.0,
        example=('[{"x": 120, "y": 110}]', _one_cup(), 1.0, 0.0),
        right="ours",
        why="lmms-eval reads pairs in brackets only. A point with named numbers is a point here, and a box stands for"
        " its middle.",
    ),
    Difference(
        name="a point that was cut off",
        rules=_POINTING,
        holds=_is_cut_off,
        example=(
            '[{"point_2d": [120, 110], "label": "cup"}, {"point_2d": [130, 110], "la',
            _one_cup(2),
            0.0,
            1.0,
        ),
        right="both",
        why="The last object of an answer that reached its limit may be broken off within its label. lmms-eval counts"
        " the point if its bracket is closed, here the object counts only if its members can be read.",
    ),
    Difference(
        name="clicks that are no call",
        rules=("kit_screenspot",),
        holds=lambda case: "x=" not in case.pair.answer and case.ours == 1.0 and case.theirs == 0.0,
        example=("(30, 40)", {"box": [10, 10, 60, 60], "size": [640, 480]}, 1.0, 0.0),
        right="ours",
        why="VLMEvalKit asks for `pyautogui.click(x=..., y=...)` and takes any other answer for a click on the top left"
        " corner. Here every form in which a model says one point is read.",
    ),
    Difference(
        name="boxes from the last to the first",
        rules=("lmms_odinw13_read",),
        holds=_is_reversed,
        example=(
            '[{"bbox_2d": [10, 10, 60, 60], "label": "cat"},'
            ' {"bbox_2d": [500, 500, 600, 600], "label": "cat"}]',
            {"names": ["cat", "dog"], "gold": _CATS, "size": [SIDE, SIDE]},
            0.504950495049505,
            0.2524752475247525,
        ),
        right="ours",
        why="Boxes of no confidence rank in the order in which they were said. lmms-eval takes a list apart from its"
        " end, so that the last box said ranks first.",
    ),
)
