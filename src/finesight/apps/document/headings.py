# SPDX-License-Identifier: Apache-2.0
"""Levels of headings over a document, since a model chooses them page by page.

A number decides first: "2.1.3" is one level below "2.1". Other headings take their level from the height of their
lines, in groups of similar height over all pages. A document with headings on one page keeps the levels of the model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

from finesight.apps.document.records import ReadPage
from finesight.geometry import Box

__all__ = ["heading_levels", "num_lines"]

_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,2}){0,5})\.?\s+\S")
_SIMILAR = 0.87
"""Heights whose ratio is above this are one group."""
_LOWEST = 6


@dataclass(frozen=True, slots=True)
class _Heading:
    """A heading: its place, the depth of its number (0 without one), and the height of a line in pages."""

    place: tuple[int, int]
    depth: int
    height: float


def heading_levels(pages: Sequence[ReadPage]) -> dict[tuple[int, int], int]:
    """Level of each heading, 1 to 6, by the index of its page and of its block.

    Args:
        pages: of a document, in order.
    """
    found = list(_headings(pages))
    if len({heading.place[0] for heading in found}) < 2:
        return {}
    groups = _groups(found)
    base = _level_above(found, groups)
    levels = _levels_of_groups(found, groups, base)
    return {
        heading.place: min(
            heading.depth + base if heading.depth else levels[groups[heading.place]], _LOWEST
        )
        for heading in found
    }


def num_lines(text: str, box: Box) -> int:
    """Estimated number of lines of a text in its box, from the usual shape of letters."""
    wide = sum(1 for char in text if char >= "\u2e80")
    width = 0.5 * (len(text) - wide) + wide  # in heights of a line
    return max(1, round(sqrt(width * box.height / box.width))) if box.width > 0 else 1


def _headings(pages: Sequence[ReadPage]) -> list[_Heading]:
    found = []
    for number, page in enumerate(pages):
        for index, one in enumerate(page.blocks):
            if one.role != "body" or one.block.kind != "heading" or one.box is None:
                continue
            match = _NUMBERED.match(one.block.text)
            depth = match[1].count(".") + 1 if match else 0
            height = one.box.height / num_lines(one.block.text, one.box) / page.size.height
            found.append(_Heading((number, index), depth, height))
    return found


def _groups(found: Sequence[_Heading]) -> dict[tuple[int, int], int]:
    """Group of each heading; 0 has the tallest lines."""
    tallest = sorted(found, key=lambda heading: -heading.height)
    groups, group = {tallest[0].place: 0}, 0
    for taller, heading in pairwise(tallest):
        group += heading.height < _SIMILAR * taller.height
        groups[heading.place] = group
    return groups


def _level_above(found: Sequence[_Heading], groups: Mapping[tuple[int, int], int]) -> int:
    """Number of groups of titles above the headings with a number of depth 1."""
    first = [groups[heading.place] for heading in found if heading.depth == 1]
    return Counter(first).most_common(1)[0][0] if first else 0


def _levels_of_groups(
    found: Sequence[_Heading], groups: Mapping[tuple[int, int], int], base: int
) -> list[int]:
    """Level of each group: that of its numbered headings, else one below the group with taller lines."""
    levels: list[int] = []
    for group in range(max(groups.values()) + 1):
        numbered = Counter(
            heading.depth + base
            for heading in found
            if heading.depth and groups[heading.place] == group
        )
        below = (max(levels) if levels else 0) + 1
        levels.append(numbered.most_common(1)[0][0] if numbered else below)
    return levels
