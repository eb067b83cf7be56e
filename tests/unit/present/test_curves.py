# SPDX-License-Identifier: Apache-2.0
"""Line charts."""

import re
from xml.etree import ElementTree

import pytest

from finesight.present.curves import curves_svg, ticks


@pytest.mark.parametrize(
    ("high", "expected"),
    [
        (4.7, [0, 1, 2, 3, 4, 5]),
        (0.6, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        (54, [0, 10, 20, 30, 40, 50, 60]),
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round_and_reach_the_end(high, expected):
    assert ticks(0, high) == pytest.approx(expected)


@pytest.mark.parametrize("high", [1e-6, 0.03, 7, 99.9, 12345])
def test_there_are_few_ticks_for_any_size(high):
    found = ticks(0, high)
    assert 2 <= len(found) <= 8
    assert found[-2] < high <= found[-1] * (1 + 1e-9)


def test_lines_go_through_their_points_and_names_are_escaped():
    svg = curves_svg(
        {"a < b": [(0, 4), (10, 0)], "c": [(10, 2)]}, x_label="step", mark_x=10, mark_label="kept"
    )
    root = ElementTree.fromstring(str(svg))
    texts = [each.text for each in root.iter() if each.text]
    assert {"a < b", "c", "step", "kept"} <= set(texts)
    line = next(
        each.get("d")
        for each in root.iter()
        if each.tag.endswith("path") and each.get("fill") == "none"
    )
    numbers = [float(value) for value in re.findall(r"[\d.]+", line)]
    assert numbers[0] < numbers[2]
    assert numbers[1] < numbers[3]  # 4 is drawn above 0


def test_a_single_point_at_zero_is_drawn():
    assert "<circle" in curves_svg({"a": [(0, 0)]}, x_label="step")
