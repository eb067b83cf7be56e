# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.parse.coordinates import (
    described_groups,
    groups,
    loose_places,
    numbers_of,
    place_key,
)


@pytest.mark.parametrize(
    "value",
    [
        [1, 2, 3, 4],
        ["1", "2", "3", "4"],
        "1, 2, 3, 4",
        "[1 2 3 4]",
        [[1, 2], [3, 4]],
        ["1", 2.0, 3, "4."],
        {"x1": 1, "y1": 2, "x2": 3, "y2": 4},
        {"X-Min": 1, "Y-Min": 2, "X-Max": 3, "Y-Max": 4},
        {"left": 1, "top": 2, "right": 3, "bottom": 4},
    ],
)
def test_four_numbers(value):
    assert numbers_of(value, 4) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        "",
        "here",
        "1, 2, 3",
        [],
        {},
        [1, 2, 3, None],
        [1, 2, 3, True],
        [1, 2, 3, "4px"],
        [[1, 2], 3, 4],
        [[1, 2], [3]],
        [1, 2, 3, [4]],
        [1, 2, 3, 4, "x"],
        ["1, 2", "3, 4"],
        [{"x": 1, "y": 2}, {"x": 3, "y": 4}],
        {"x1": 1, "y1": 2, "x2": 3},
        {"left": 1, "top": 2, "right": 3, "y2": 4},
    ],
)
def test_what_is_no_four_numbers(value):
    assert numbers_of(value, 4) is None


@pytest.mark.parametrize(
    "value", [[[1, 2]], [1], {"left": 1, "top": 2, "right": 3, "bottom": 4}, {"x1": 1, "y1": 2}]
)
def test_what_is_no_two_numbers(value):
    assert numbers_of(value, 2) is None


def test_quads_have_no_names():
    assert numbers_of({"x": 1, "y": 2}, 8) is None
    assert list(groups([{"x": 1, "y": 2}, [1, 2, 3, 4, 5, 6, 7, 8]], 8)) == [
        None,
        [1, 2, 3, 4, 5, 6, 7, 8],
    ]


@pytest.mark.parametrize(
    ("value", "count", "numbers", "said"),
    [
        ({"x": 1, "y": 2, "left": 3}, 2, [1, 2], {"left": 3}),
        (
            {"Left": 1, "top": 2, "right": 3, "bottom": 4, "label": "a"},
            4,
            [1, 2, 3, 4],
            {"label": "a"},
        ),
        ({"x1": 1, "y1": 2, "x2": 3, "y2": 4, "x": 5}, 4, [1, 2, 3, 4], {"x": 5}),
        ([1, 2], 2, [1, 2], {}),
    ],
)
def test_what_stands_beside_the_names_of_coordinates(value, count, numbers, said):
    assert list(described_groups(value, count)) == [(numbers, said)]


BOX = {"bbox": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ([BOX, [5, 6, 7, 8], [9, 9], "1, 2"], [[5, 6, 7, 8], [9, 9], "1, 2"]),
        ([BOX, "cat", [1, 2, 3], {"x": 1, "y": 2}, 7, None], []),
        ([{"x1": 1, "y1": 2, "x2": 3, "y2": 4}, [5, 6]], [[5, 6]]),
        ([{"a": 1}, [5, 6]], []),
        ([[5, 6], [7, 8]], []),
        ({"objects": [BOX, [5, 6]]}, [[5, 6]]),
        ([[BOX, [5, 6]]], [[5, 6]]),
        ([{"parts": [BOX, [7, 8]]}], [[7, 8]]),
    ],
)
def test_numbers_among_objects(value, found):
    assert list(loose_places(value)) == found


def test_an_enormous_whole_number_is_a_float():
    assert numbers_of([10**307, 1], 2) == [1e307, 1]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ([{"x": 1, "y": 2}, [3, "b"]], [[1, 2], None]),
        ([], []),
        ([[]], [None]),
        ("b", [None]),
        ([{"point_2d": [1, 2]}], []),
        ([{"bbox": "1, 2, 3, 4"}], []),
        ([{"points": [[1, 2]]}], []),
        ([{"points": 5, "x": 1, "y": 2}], [[1, 2]]),
    ],
)
def test_one_group_or_several(value, expected):
    assert list(groups(value, 2)) == expected


@pytest.mark.parametrize("key", ["bbox_2d", "bbox-2d", "BBox2D", "bbox 2d"])
def test_keys_are_compared_by_their_words(key):
    assert place_key({"label": "a", key: [1, 2, 3, 4]}, ("bbox2d",), 4) == key


@pytest.mark.parametrize("value", [5, "1, 2", {"x": 1, "y": 2}, [], ["a"]])
def test_points_that_are_a_score(value):
    assert place_key({"points": value}, ("points",), 2) is None
