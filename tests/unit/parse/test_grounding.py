# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.geometry import Box, Point
from finesight.parse.grounding import read_grounding
from finesight.parse.json_block import blank


def corners(text, **options):
    return [
        (box.box_resized.x1, box.box_resized.y1, box.box_resized.x2, box.box_resized.y2, box.label)
        for box in read_grounding(text, **options).boxes
    ]


def places(text):
    return [(p.point_resized.x, p.point_resized.y, p.label) for p in read_grounding(text).points]


def messages(text, **options):
    return [problem.message for problem in read_grounding(text, **options).problems]


OFFICIAL = """```json
[
\t{"bbox_2d": [43, 571, 209, 753], "label": "cupcake with white frosting"},
\t{"bbox_2d": [99, 1, 120, 40], "label": "cake"}
]
```"""


def test_the_official_list():
    assert corners(OFFICIAL) == [
        (43, 571, 209, 753, "cupcake with white frosting"),
        (99, 1, 120, 40, "cake"),
    ]
    assert not read_grounding(OFFICIAL).is_cut


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox_2d": [1, 2, 3, 4], "label": "a"}',
        'It is here: {"bbox_2d": [1, 2, 3, 4], "label": "a"}.',
        "[{'bbox_2d': (1, 2, 3, 4), 'label': 'a',},]",
        '{"bbox_2d": "1, 2, 3, 4", "label": "a"}',
        '{"bbox_2d": {"x1": 1, "y1": 2, "x2": 3, "y2": 4}, "label": "a"}',
        '{"bbox_2d": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}, "label": "a"}',
        '{"bbox_2d": {"left": 1, "top": "2", "right": 3, "bottom": 4}, "label": "a"}',
        '{"bbox_2d": ["1", "2.0", 3, 4], "label": "a"}',
        '{"bbox_2d": [[1, 2], [3, 4]], "label": "a"}',
        '{"bbox_2d": [["1", "2"], ["3", "4"]], "label": "a"}',
        '{"bbox_2d": [[1, 2, 3, 4]], "label": "a"}',
        '{"bbox-2d": [1, 2, 3, 4], "label": "a"}',
        '{"box_2d": [1, 2, 3, 4], "label": "a"}',
        '{"boundingBox": [1, 2, 3, 4], "label": "a"}',
        '{"bounding_box": "[1, 2, 3, 4]", "label": "a"}',
        '{"boxes": [[1, 2, 3, 4]], "label": "a"}',
        '{"boxes": [{"bbox_2d": [1, 2, 3, 4], "label": "a"}]}',
        '{"x1": 1, "y1": 2, "x2": 3, "y2": 4, "label": "a"}',
        '{"x_min": "1", "y_min": "2", "x_max": "3", "y_max": "4", "label": "a"}',
        '{"bbox": [1.0, 2.0, 3.0, 4.0], "name": "a"}',
        '{"objects": {"found": [{"bbox_2d": [1, 2, 3, 4], "label": "a"}]}}',
        "1,2,3,4 a",
        "- 1, 2, 3, 4: a\n",
        "(1,2,3,4) a",
        "<|object_ref_start|>a<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>",
    ],
)
def test_every_form_of_one_box(text):
    assert corners(text) == [(1, 2, 3, 4, "a")]
    assert messages(text) == []


def test_several_blocks_and_forms_come_in_reading_order():
    text = '5,5,6,6 first\n```json\n[{"bbox_2d": [1,1,2,2]}]\n```\n\n```json\n{"bbox_2d": [3,3,4,4]}\n```'
    assert [box[0] for box in corners(text)] == [5, 1, 3]


def test_other_attributes_are_kept():
    text = '{"bbox_2d": [1,2,3,4], "label": "motorcyclist", "sub_label": "wearing helmet"}'
    (box,) = read_grounding(text).boxes
    assert box.attributes == {"sub_label": "wearing helmet"}


def test_spotted_text_is_label_and_attribute():
    text = '```json\n[{"bbox_2d": [125, 169, 754, 208], "text_content": "UNIHAKKA SDN BHD",},]\n```'
    (box,) = read_grounding(text).boxes
    assert box.label == "UNIHAKKA SDN BHD"
    assert box.attributes == {"text_content": "UNIHAKKA SDN BHD"}


def test_one_label_with_several_boxes():
    text = '{"bbox_2d": [[1, 2, 3, 4], [5, 6, 7, 8]], "label": "cake"}'
    assert corners(text) == [(1, 2, 3, 4, "cake"), (5, 6, 7, 8, "cake")]


@pytest.mark.parametrize(
    ("said", "label", "kept"),
    [
        ('"label": 7', "7", {}),
        ('"label": 3.5', "3.5", {}),
        ('"label": 12345678901234567890', "12345678901234567890", {}),
        ('"label": true', "true", {}),
        ('"label": ["cat", 7]', "cat, 7", {"label": ["cat", 7]}),
        ('"label": {"name": "cat"}', "", {"label": {"name": "cat"}}),
        ('"label": [["cat"]]', "", {"label": [["cat"]]}),
        ('"label": null, "text_content": 2024', "2024", {"text_content": 2024}),
        ('"category": 3', "3", {"category": 3}),
    ],
)
@pytest.mark.parametrize("place", ['"bbox_2d": [1, 2, 3, 4]', '"point_2d": [1, 2]'])
def test_a_label_that_is_no_text_is_not_lost(said, label, kept, place):
    found = read_grounding(f"[{{{place}, {said}}}]")
    (one,) = (*found.boxes, *found.points)
    assert (one.label, one.attributes) == (label, kept)


@pytest.mark.parametrize(
    "latex",
    [
        r"\frac{1}{2}",
        r"x \forall y",
        r"\beta + \bar{x}",
        r"\begin{cases} a \end{cases}",
        r"\binom{n}{k}",
        r"\underline{x}",
        r"\alpha",
    ],
)
def test_latex_in_a_label_stays_as_written(latex):
    text = f'[{{"bbox_2d": [1, 2, 3, 4], "label": "{latex}"}}]'
    assert corners(text) == [(1, 2, 3, 4, latex)]
    assert corners(text.replace("\\", "\\\\")) == [(1, 2, 3, 4, latex)]


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox_2d": [123.45678901234567890123, 2, 300, 4], "label": "a"}',
        '{"bbox_2d": "123.45678901234567890123, 2, 300, 4", "label": "a"}',
        "123.45678901234567890123,2,300,4 a",
        "<|object_ref_start|>a<|object_ref_end|>"
        "<|box_start|>(123.45678901234567890123,2),(300,4)<|box_end|>",
    ],
)
def test_long_decimals_are_read(text):
    assert corners(text) == [(123.45678901234567890123, 2, 300, 4, "a")]


@pytest.mark.parametrize(
    "text",
    [
        '{"quad_2d": [1, 2, 9, 3, 8, 7, 0, 6], "label": "a"}',
        '{"quad_2d": [[1, 2], [9, 3], [8, 7], [0, 6]], "label": "a"}',
        '{"bbox_2d": [[1, 2], [9, 3], [8, 7], [0, 6]], "label": "a"}',
    ],
)
def test_quads_in_json(text):
    (box,) = read_grounding(text).boxes
    assert (box.box_resized, box.label) == (Box(0, 2, 9, 7), "a")
    assert box.attributes == {"polygon": [1, 2, 9, 3, 8, 7, 0, 6]}


def test_an_object_under_the_key_of_a_box_is_read_once():
    text = (
        '{"bbox_2d": [{"x1": 1, "y1": 2, "x2": 3, "y2": 4}, {"x1": 5, "y1": 6, "x2": 7, "y2": 8}]}'
    )
    assert [box[0] for box in corners(text)] == [1, 5]
    assert messages(text) == []


def test_an_empty_list_says_none():
    found = read_grounding('```json\n[]\n``` {"bbox_2d": [], "label": "cat"}')
    assert found.boxes == ()
    assert found.problems == ()


def test_swapped_corners_are_put_in_order_and_flagged():
    (box,) = read_grounding('{"bbox_2d": [30, 4, 3, 40]}').boxes
    assert box.box_resized == Box(3, 4, 30, 40)
    assert box.swapped


@pytest.mark.parametrize(
    "value",
    ["[1, 2, 3]", "[1, 2, NaN, 4]", '"left"', "null", '[1, 2, "c", 4]', "[1, 2, true, 4]", "{}"],
)
def test_a_box_without_four_numbers_is_reported(value):
    text = f'[{{"bbox_2d": {value}, "label": "x"}}, {{"bbox_2d": [1, 2, 3, 4]}}]'
    assert corners(text) == [(1, 2, 3, 4, "")]
    assert any("not four numbers" in message for message in messages(text))


def test_the_word_box_is_no_box():
    text = '{"box": "a red box", "boxes": ["red", "blue"], "point": "the main point", "points": [3, 4]}'
    assert messages(text) == []
    assert corners(text) == []


def test_a_cut_object_is_left_out_even_if_its_numbers_are_there():
    text = '[{"bbox_2d": [1,2,3,4], "label": "a"}, {"bbox_2d": [5,6,7,8], "label": "so'
    found = read_grounding(text)
    assert [box.label for box in found.boxes] == ["a"]
    assert found.is_cut
    assert messages(text) == [f"JSON is cut at character {len(text)}"]


def test_a_line_at_the_end_of_a_cut_reply_is_not_trusted():
    text = "1,2,3,4 cat\n5,6,7,8 do"
    assert corners(text, is_cut=True) == [(1, 2, 3, 4, "cat")]
    assert messages(text, is_cut=True) == ["the last line was cut before its end"]
    assert len(corners(text)) == 2


@pytest.mark.parametrize("text", ["1,2,3,4", "1,2,3,4 5", "1, 2, 3, 4, 5, 6", "a 1,2,3,4 cat"])
def test_numbers_alone_are_no_box(text):
    assert corners(text) == []


def test_points_in_json():
    text = '[{"point_2d": [10, 20], "label": "pin"}, {"point_2d": [[1, 2], [3, 4]], "label": "b"}]'
    assert places(text) == [(10, 20, "pin"), (1, 2, "b"), (3, 4, "b")]


def test_a_list_of_points():
    assert places('{"points": [[1, 2], [3, 4], [5, 6]], "label": "a"}') == [
        (1, 2, "a"),
        (3, 4, "a"),
        (5, 6, "a"),
    ]


def test_points_in_xml():
    text = '```xml\n<points x1="12" y1="34" x2="56.5" y2="7" alt="rolling pin">rolling pin</points>\n```'
    assert places(text) == [(12, 34, "rolling pin"), (56.5, 7, "rolling pin")]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('<point x="1" y="2">a</point>', (1, 2, "a")),
        ("<points x1='1' y1='2' alt='a'/>", (1, 2, "a")),
        ("<points x1=1 y1=2>a</points>", (1, 2, "a")),
        ("<point>1 2</point>", (1, 2, "")),
        ('<points x1="1" y1="2" alt="5" disk">x</points>', (1, 2, "5")),
        ('<points x1="1" y1="2" alt="a &amp; b">x</points>', (1, 2, "a & b")),
    ],
)
def test_odd_points_in_xml(text, place):
    assert places(text) == [place]


@pytest.mark.parametrize(
    "text", ['<points x1="1" y1="2" alt="a">a', '<points x1="1" y1="2', "<points x1"]
)
def test_a_cut_points_tag_is_reported(text):
    found = read_grounding(text)
    assert found.points == ()
    assert found.is_cut
    assert messages(text) == ["a points tag is not closed"]


@pytest.mark.parametrize("inner", ['x1="1"', 'x1="a" y1="2"', 'y1="2"'])
def test_a_point_without_two_numbers_is_reported(inner):
    assert places(f"<points {inner}>a</points>") == []
    assert messages(f"<points {inner}>a</points>") == [
        "a points tag does not give an x and a y as numbers"
    ]


def test_a_box_and_a_point_in_one_object():
    found = read_grounding('{"bbox_2d": [1, 2, 5, 6], "point_2d": [3, 4], "label": "a"}')
    assert found.boxes[0].box_resized == Box(1, 2, 5, 6)
    assert found.points[0].point_resized == Point(3, 4)


def test_legacy_boxes_take_the_reference_before_them():
    text = (
        "<|object_ref_start|>the dogs<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>"
        "<|box_start|>(5,6),(7,8)<|box_end|> <|object_ref_start|>a cat<|object_ref_end|>"
        "<|box_start|>(9,9),(10,10)<|box_end|>"
    )
    assert [box[4] for box in corners(text)] == ["the dogs", "the dogs", "a cat"]


def test_a_quad_gives_its_upright_box_and_keeps_its_corners():
    (box,) = read_grounding("<|quad_start|>(1,2),(9,3),(8,7),(0,6)<|quad_end|>").boxes
    assert box.box_resized == Box(0, 2, 9, 7)
    assert box.attributes == {"polygon": [1, 2, 9, 3, 8, 7, 0, 6]}


@pytest.mark.parametrize(
    "text", ["<|box_start|>(1,2),(3", "<|box_start|>(1,2)<|box_end|>", "<|box_start|><|box_start|>"]
)
def test_a_broken_legacy_box_is_reported(text):
    assert corners(text) == []
    assert messages(text)


def test_blanking_keeps_offsets_and_lines():
    assert blank("ab\ncdef", [(1, 5), (4, 6)]) == "a \n   f"


@pytest.mark.parametrize(
    ("text", "label", "kept", "media_name"),
    [
        ('{"boxes": [{"x1": 1, "y1": 2, "x2": 30, "y2": 40, "label": "cat"}]}', "cat", {}, ""),
        ('{"boxes": [{"x1": 1, "y1": 2, "x2": 30, "y2": 40}], "label": "cat"}', "cat", {}, ""),
        (
            '{"box": {"left": 1, "top": 2, "right": 30, "bottom": 40, "label": "cat", "sure": 1}, "label": "x"}',
            "cat", {"sure": 1}, "",
        ),
        (
            '{"boxes": [{"x1": 1, "y1": 2, "x2": 30, "y2": 40, "label": "cat", "image": 2}]}',
            "cat", {"image": 2}, "Picture 2",
        ),
        ('{"point": {"x": 1, "y": 2, "label": "cat"}}', "cat", {}, ""),
    ],
)  # fmt: skip
def test_what_is_said_beside_named_coordinates_is_kept(text, label, kept, media_name):
    found = read_grounding(text)
    (one,) = (*found.boxes, *found.points)
    assert (one.label, one.attributes) == (label, kept)
    assert one.media_name.lower().replace("image", "picture") == media_name.lower()


def test_numbers_among_objects_are_reported():
    text = '[{"bbox_2d": [1, 2, 3, 4], "label": "cat"}, [50, 60, 70, 80]]'
    assert corners(text) == [(1, 2, 3, 4, "cat")]
    (message,) = messages(text)
    assert "[50, 60, 70, 80] is listed among objects" in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"bbox": [9, 9, 10, 10], "BBox": [1, 2, 3, 4]}', "'bbox' and 'BBox' are the same key"),
        ('{"bbox": [9, 9, 10, 10], "bbox": [1, 2, 3, 4]}', "key 'bbox' occurs twice"),
        ('{"bbox": [1, 2, 3, 4], "n": 1, "n": 1}', "key 'n' occurs twice"),
    ],
)
def test_of_equal_keys_the_last_counts_and_a_problem_says_so(text, message):
    assert corners(text) == [(1, 2, 3, 4, "")]
    assert message in messages(text)[0]


@pytest.mark.parametrize(
    "text",
    [
        "1, 2, 3, 4 and 5 are the numbers on the clock.",
        "10, 20, 30, 40 dollars",
        "Boxes of the shop:\n10, 20, 30, 40 dollars",
        "1, 2, 3, 4 cat\n9, 9, 3, 4 dog",
        "1,2,1,4 cat",
    ],
)
def test_prose_that_begins_with_numbers_is_no_box(text):
    assert corners(text) == []
    assert len(messages(text)) == 1


def test_lines_of_boxes_may_be_written_with_blanks():
    text = "```\n10, 20, 30, 40 a cat\n50, 60, 70, 80 a dog\n```"
    assert corners(text) == [(10, 20, 30, 40, "a cat"), (50, 60, 70, 80, "a dog")]
    assert corners(text.replace("```\n1", "```python\n1")) == []


def test_lines_are_no_boxes_without_a_picture():
    found = read_grounding("1,2,3,4 cat", shows_picture=False)
    assert (found.boxes, found.problems) == ((), ())
