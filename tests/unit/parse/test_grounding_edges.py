# SPDX-License-Identifier: Apache-2.0
"""Places in tags, in the older notation and in lines: several, turned, and broken beside whole ones."""

from __future__ import annotations

import pytest

from finesight.parse.grounding import read_grounding


def boxes(text: str, **options):
    return [
        (box.box_resized.x1, box.box_resized.y1, box.box_resized.x2, box.box_resized.y2, box.label)
        for box in read_grounding(text, **options).boxes
    ]


def points(text: str):
    return [
        (point.point_resized.x, point.point_resized.y, point.label)
        for point in read_grounding(text).points
    ]


def complaints(text: str, **options):
    """What was said, and the stretch it was said of."""
    found = read_grounding(text, **options).problems
    return [(problem.message, text[slice(*problem.span)]) for problem in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<points x="1" y="2" alt="cat">cat</points>', [(1, 2, "cat")]),
        ('<point x="1" y="2" alt="cat"/>', [(1, 2, "cat")]),
        (
            '<points x1="1" y1="2" x2="3" y2="4" alt="cat">cats</points>',
            [(1, 2, "cat"), (3, 4, "cat")],
        ),
        ('<points y="2" x="1">a cat </points>', [(1, 2, "a cat")]),
        ('<point x="1" y="2">a</point> <point x="3" y="4">b</point>', [(1, 2, "a"), (3, 4, "b")]),
        ('<POINT X="1" Y="2">a</POINT>', [(1, 2, "a")]),
        ("no <b>point</b>", []),
    ],
)
def test_point_tags(text, found):
    assert points(text) == found
    assert complaints(text) == []


def test_a_broken_point_beside_whole_ones():
    text = '<points x1="1" y1="2" x2="a" y2="4" x3="5" y3="6" alt="cat">cat</points>'
    assert points(text) == [(1, 2, "cat"), (5, 6, "cat")]
    ((message, where),) = complaints(text)
    assert "x and a y" in message
    assert where == text
    assert points('<points x1="1" alt="cat">cat</points>') == []
    assert points('<points y1="1" alt="cat">cat</points>') == []


def test_what_else_a_tag_says_is_kept():
    (point,) = read_grounding('<points x="1" y="2" alt="cat" color="red">cat</points>').points
    assert point.attributes == {"color": "red"}


@pytest.mark.parametrize(
    "text", ['a <points x="1" y="2" alt="c', 'a <points x="1" y="2" alt="cat">ca']
)
def test_a_point_tag_that_was_cut(text):
    found = read_grounding(text)
    assert found.points == ()
    assert found.is_cut
    ((message, where),) = complaints(text)
    assert "is not closed" in message
    assert where == text[2:]


OLD = "<|object_ref_start|>{}<|object_ref_end|><|box_start|>{}<|box_end|>"


def test_the_older_notation():
    two = OLD.format("cat", "(1,2),(3,4)") + " and " + OLD.format(" dog ", "(5,6),(7,8)")
    assert boxes(two) == [(1, 2, 3, 4, "cat"), (5, 6, 7, 8, "dog")]
    assert boxes("<|box_start|>(1,2),(3,4)<|box_end|>") == [(1, 2, 3, 4, "")]
    twice = OLD.format("cat", "(1,2),(3,4)") + "<|box_start|>(5,6),(7,8)<|box_end|>"
    assert boxes(twice) == [(1, 2, 3, 4, "cat"), (5, 6, 7, 8, "cat")]


def test_turned_corners_are_put_in_order_and_told():
    (plain,) = read_grounding(OLD.format("cat", "(1,2),(3,4)")).boxes
    assert not plain.swapped
    for corners in ("(3,2),(1,4)", "(1,4),(3,2)"):
        (box,) = read_grounding(OLD.format("cat", corners)).boxes
        assert box.swapped
        assert (box.box_resized.x1, box.box_resized.y2) == (1, 4)
    for flat in ("(1,2),(1,4)", "(1,2),(3,2)"):  # no width, or no height: nothing is turned
        (box,) = read_grounding(OLD.format("cat", flat)).boxes
        assert not box.swapped


def test_a_quad_is_its_upright_box_and_keeps_its_corners():
    text = "<|quad_start|>(3,1),(9,2),(8,7),(2,6)<|quad_end|>"
    (box,) = read_grounding(text).boxes
    assert boxes(text) == [(2, 1, 9, 7, "")]
    assert box.attributes["polygon"] == [3, 1, 9, 2, 8, 7, 2, 6]
    assert not box.swapped
    assert text[slice(*box.span)] == text


def test_a_box_with_a_corner_too_few_and_one_that_was_cut():
    whole = OLD.format("cat", "(1,2),(3,4)")
    text = "<|box_start|>(1,2)<|box_end|> " + whole
    assert boxes(text) == [(1, 2, 3, 4, "cat")]
    ((message, where),) = complaints(text)
    assert "1 readable corners" in message
    assert where == "<|box_start|>(1,2)<|box_end|>"
    cut = whole + " <|box_start|>(1,2),(3"
    assert boxes(cut) == [(1, 2, 3, 4, "cat")]
    assert read_grounding(cut).is_cut
    ((message, where),) = complaints(cut)
    assert "cut" in message
    assert where == "<|box_start|>(1,2),(3"


def test_lines_of_boxes():
    text = "1,2,3,4 a cat\n9,6,7,8 dog\n"
    assert boxes(text) == [(1, 2, 3, 4, "a cat"), (7, 6, 9, 8, "dog")]
    first, second = read_grounding(text).boxes
    assert (first.swapped, second.swapped) == (False, True)
    assert text[slice(*second.span)].strip() == "9,6,7,8 dog"


def test_a_last_line_that_was_cut_is_left_out_alone():
    text = "1,2,3,4 a cat\n5,6,7,8 do"
    assert boxes(text, is_cut=True) == [(1, 2, 3, 4, "a cat")]
    ((message, where),) = complaints(text, is_cut=True)
    assert "cut" in message
    assert where.strip() == "5,6,7,8 do"
    assert len(boxes(text)) == 2


def test_results_come_in_reading_order():
    text = '5,6,7,8 dog\n{"bbox_2d": [1, 2, 3, 4], "label": "cat"}\n9,9,10,10 cow'
    assert [label for *_, label in boxes(text)] == ["dog", "cat", "cow"]
    mixed = '<point x="1" y="2">a</point> {"point_2d": [3, 4], "label": "b"} <point x="5" y="6">c</point>'
    assert [label for *_, label in points(mixed)] == ["a", "b", "c"]


def test_several_boxes_of_one_object():
    text = '{"bbox_2d": [[1, 2, 3, 4], [5, "x", 7, 8], [9, 9, 10, 10]], "label": "cat", "color": "red"}'
    assert boxes(text) == [(1, 2, 3, 4, "cat"), (9, 9, 10, 10, "cat")]
    ((message, _),) = complaints(text)
    assert "bbox_2d" in message
    assert "four numbers" in message
    assert all(box.attributes["color"] == "red" for box in read_grounding(text).boxes)


def test_several_points_of_one_object():
    text = '{"point_2d": [[1, 2], [3], [5, 6]], "label": "cat"}'
    assert points(text) == [(1, 2, "cat"), (5, 6, "cat")]
    ((message, where),) = complaints(text)
    assert "point_2d" in message
    assert "two numbers" in message
    assert where == text


def test_a_point_named_by_its_axes():
    assert points('{"point_2d": {"y": 2, "x": 1}, "label": "cat"}') == [(1, 2, "cat")]


def test_nothing_found_is_no_fault():
    assert complaints('{"bbox_2d": [], "label": "cat"}') == []
    assert boxes('{"bbox_2d": [], "label": "cat"}') == []


def test_a_cut_list_is_told_once_and_keeps_what_was_whole():
    text = '[{"bbox_2d": [1, 2, 3, 4], "label": "cat"}, {"bbox_2d": [5, 6'
    found = read_grounding(text)
    assert found.is_cut
    assert boxes(text) == [(1, 2, 3, 4, "cat")]
    ((message, _),) = complaints(text)
    assert "cut" in message


def test_a_second_list_that_is_whole_does_not_hide_the_first_that_was_broken():
    text = (
        '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "cat"}, {"bbox_2d": [5\n```\n```json\n[]\n```'
    )
    assert read_grounding(text).is_cut
