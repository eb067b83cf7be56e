# SPDX-License-Identifier: Apache-2.0
"""Boxes and points of answers, in pixels of the original picture.

The coordinate frame of the first picture declares the unit of numbers: pixels of the resized or the original picture,
thousandths or fractions. Coordinates are not clipped. Corners in the wrong order are swapped.

The first of these forms that occurs is read: tool calls, the formats of Qwen2.5-VL, JSON with `x` and `y`, tags such as
`<bbox>`, `x=500, y=500`, numbers in brackets. Where a point is wanted, a box gives its centre.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeAlias

from finesight.evals.core.task import Answered, Extractor
from finesight.parse.action import points_of, read_tool_calls
from finesight.parse.bare import (
    BARE_FOUR,
    BARE_TWO,
    CORNERS,
    FOUR,
    NAMED,
    TWO,
    Group,
    find_groups,
    find_in_objects,
    find_tagged,
)
from finesight.parse.grounding import read_grounding
from finesight.parse.json_block import find_blocks
from finesight.parse.records import ordered

LONGEST_READ = 6000
"""Characters of an answer that are read: about a hundred labelled boxes."""

Found: TypeAlias = tuple[str, tuple[float, ...]]
"""A label, possibly empty, and two numbers of a point or four of a box."""

_DENIAL = re.compile(r"\b(?:no|none|not|nothing)\b|\[\s{0,8}\]|n't\b|没有", re.IGNORECASE)


def _first_box(answered: Answered) -> list[float] | None:
    found = _in_original(answered, _boxes)
    return found[0][1] if found else None


def _all_boxes(answered: Answered) -> list[list[object]] | None:
    found = _in_original(answered, _boxes)
    return None if found is None else [[label, numbers] for label, numbers in found]


def _first_point(answered: Answered) -> list[float] | None:
    found = _in_original(answered, lambda text: _points(text, FOUR, CORNERS))
    return _middle(found[0][1]) if found else None


def _all_points(answered: Answered) -> list[list[float]] | None:
    # several pairs are points, not corners
    found = _in_original(answered, lambda text: _points(text, FOUR))
    return None if found is None else [_middle(numbers) for _, numbers in found]


def _in_original(
    answered: Answered, read: Callable[[str], list[Found]]
) -> list[tuple[str, list[float]]] | None:
    """Labels and coordinates in original pixels; without any, [] for an answer with a denial, else None."""
    if not answered.frames:
        return None
    text = answered.text[:LONGEST_READ]
    found = read(text)
    if not found:
        return [] if _DENIAL.search(text) else None
    scale_x, scale_y = answered.frames[0].scales()
    return [
        (label, [value * (scale_y if at % 2 else scale_x) for at, value in enumerate(numbers)])
        for label, numbers in found
    ]


def _middle(numbers: Sequence[float]) -> list[float]:
    if len(numbers) == 2:
        return list(numbers)
    x1, y1, x2, y2 = numbers
    return [(x1 + x2) / 2, (y1 + y2) / 2]


def _boxes(text: str) -> list[Found]:
    found: list[Found] = [
        (
            box.label,
            (box.box_resized.x1, box.box_resized.y1, box.box_resized.x2, box.box_resized.y2),
        )
        for box in read_grounding(text).boxes
    ]
    return found or _tagged(text, 4) or _found(find_groups(text, FOUR, CORNERS, BARE_FOUR))


def _points(text: str, *boxes: re.Pattern[str]) -> list[Found]:
    """Points or boxes in the first form that occurs; `boxes` are the patterns of bare boxes."""
    called: list[Found] = [
        ("", (point.x, point.y))
        for call in read_tool_calls(text).calls
        for point in list(points_of(call).values())[:1]
    ]
    if called:
        return called
    blocks = find_blocks(text)
    grounding = read_grounding(text, blocks=blocks)
    placed: list[tuple[int, Found]] = [
        *((p.span[0], (p.label, (p.point_resized.x, p.point_resized.y))) for p in grounding.points),
        *(
            (b.span[0], (b.label, (b.box_resized.center.x, b.box_resized.center.y)))
            for b in grounding.boxes
        ),
    ]
    if placed:
        return [found for _, found in sorted(placed, key=lambda each: each[0])]
    return (
        [("", tuple(numbers)) for _, numbers, _, _ in find_in_objects(blocks)]
        or _tagged(text, 2, 4)
        or _found(find_groups(text, NAMED, *boxes, TWO, BARE_FOUR, BARE_TWO))
    )


def _tagged(text: str, *counts: int) -> list[Found]:
    """Groups of numbers in tags, with one of these counts."""
    return _found([group for group in find_tagged(text) if len(group.numbers) in counts])


def _found(groups: Sequence[Group]) -> list[Found]:
    return [(group.label, _in_order(group.numbers)) for group in groups]


def _in_order(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) != 4:
        return numbers
    box, _ = ordered(numbers)
    return box.x1, box.y1, box.x2, box.y2


FIRST_BOX = Extractor("first-box", "3", _first_box, is_placed=True)
"""`[x1, y1, x2, y2]` of the first box; None without one."""
ALL_BOXES = Extractor("all-boxes", "3", _all_boxes, is_placed=True)
"""`[label, [x1, y1, x2, y2]]` of every box in order; empty if the answer denies that there is one."""
FIRST_POINT = Extractor("first-point", "3", _first_point, is_placed=True)
"""`[x, y]` of the first point or centre of the first box; None without one."""
ALL_POINTS = Extractor("all-points", "4", _all_points, is_placed=True)
"""`[x, y]` of every point or centre in order; empty if the answer denies that there is one."""
