# SPDX-License-Identifier: Apache-2.0
"""Reading order from boxes."""

from __future__ import annotations

import random

import pytest

from finesight.apps.document.order import agreement, geometric_order
from finesight.geometry import Box


def column(left, right, tops, height=40):
    return [Box(left, top, right, top + height) for top in tops]


LAYOUTS = {
    "one column": column(100, 900, (100, 200, 300)),
    "title over two columns": [
        Box(100, 20, 900, 60),
        *column(100, 450, (100, 160, 230)),
        *column(550, 900, (100, 180, 300)),
    ],
    "three columns": [
        *column(0, 300, (0, 60)), *column(350, 640, (0, 90)), *column(700, 990, (10, 80)),
    ],
    "columns, wide figure, columns": [
        *column(100, 450, (100, 150)), *column(550, 900, (100, 150)), Box(100, 220, 900, 500),
        *column(100, 450, (520, 570)), *column(550, 900, (520, 570)),
    ],
    "neighbours overlap a little": [Box(0, 0, 900, 105), Box(0, 98, 900, 200), Box(0, 196, 900, 260)],
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_boxes_in_any_order_are_put_in_reading_order(name):
    boxes = LAYOUTS[name]
    for seed in range(5):
        shuffled = random.Random(seed).sample(range(len(boxes)), len(boxes))
        order = geometric_order([boxes[index] for index in shuffled])
        assert [shuffled[index] for index in order] == list(range(len(boxes)))


def test_the_right_column_is_first_from_right_to_left():
    boxes = [*column(100, 450, (100, 160)), *column(550, 900, (100, 160))]
    assert geometric_order(boxes, right_to_left=True) == [2, 3, 0, 1]


def test_agreement_is_the_share_of_pairs():
    assert agreement([0, 1, 2, 3]) == 1.0
    assert agreement([3, 2, 1, 0]) == 0.0
    assert agreement([1, 0, 2]) == pytest.approx(2 / 3)
    assert agreement([0]) is None
