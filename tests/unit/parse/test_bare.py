# SPDX-License-Identifier: Apache-2.0
"""Numbers that nothing calls a box, a point or a time."""

import pytest

from finesight.evals.core.task import Answered, CoordinateFrame
from finesight.evals.extract.places import ALL_BOXES, ALL_POINTS, FIRST_BOX, FIRST_POINT
from finesight.geometry import Size
from finesight.parse.answer import read_answer
from tests.support.replies import picture_record, reply, video_record

SEEN = Size(504, 252)


def read(text, *media, **options):
    answer = read_answer(reply(text, *(media or (picture_record(),)), **options))
    boxes = [
        (box.box_resized.x1, box.box_resized.y1, box.box_resized.x2, box.box_resized.y2, box.label)
        for box in answer.boxes
    ]
    points = [(each.point_resized.x, each.point_resized.y, each.label) for each in answer.points]
    events = [(event.model_start_seconds, event.model_end_seconds) for event in answer.events]
    return boxes, points, events, [problem.message for problem in answer.problems]


@pytest.mark.parametrize(
    "text",
    [
        "[10, 20, 30, 40]",
        "[30, 40, 10, 20]",
        "```json\n[10, 20, 30, 40]\n```",
        "[[10, 20, 30, 40]]",
        "<answer>[10, 20, 30, 40]</answer>",
        "10, 20, 30, 40",
        "(10, 20), (30, 40)",
        "<bbox>10,20,30,40</bbox>",
        "<box>[[10, 20, 30, 40]]</box>",
        "cat: [10, 20, 30, 40]",
        "The cat is at [10.0, 20, 30, 40].",
        "\n10 , 20 ,30,40\n",
        '{"location": [10, 20, 30, 40]}',
    ],
)
def test_a_box_that_fits_is_taken(text):
    assert read(text) == ([(10, 20, 30, 40, "")], [], [], [])


@pytest.mark.parametrize(
    "text",
    [
        "(50, 60)",
        "[[50, 60]]",
        "```json\n[50, 60]\n```",
        "(50.0, 60)",
        "pyautogui.click(x=50, y=60)",
        "pyautogui.moveToSmooth(x=50.000000, y=60.000000)",
        "Tap( x: 50; Y: 60 )",
        '{"screen": {"center": {"x": 50, "y": 60}}}',
        '{"x": 50, "y": "60"}',
        '{"coordinate": [50, 60]}',
        '{"center": {"x": 50, "y": 60}}',
        '{"location": "50, 60"}',
        '{"points": [[50, 60]]}',
        "<Click>50 60</Click>",
        "<click>50 60</click>",
    ],
)
def test_a_point_that_fits_is_taken(text):
    assert read(text) == ([], [(50, 60, "")], [], [])


@pytest.mark.parametrize(
    ("text", "media", "where"),
    [
        ("It is at [10, 20, 30, 40].", picture_record(), "[10, 20, 30, 40]"),
        ("[30, 40, 10, 20]", picture_record(), "[30, 40, 10, 20]"),
        ("<answer>10, 20, 30, 40</answer>", picture_record(), "<answer>10, 20, 30, 40</answer>"),
        ("click(x=50, y=60) now", picture_record(), "x=50, y=60"),
        ('see {"x": 50, "y": 60}', picture_record(), '{"x": 50, "y": 60}'),
        ('at {"location": [10, 20, 30, 40]}', picture_record(), '{"location": [10, 20, 30, 40]}'),
        ("```\n[0.5, 1.0]\n```", video_record(), "[0.5, 1.0]"),
        ("a <ref>cat</ref><box>1 2 3 4</box>.", picture_record(), "<ref>cat</ref><box>1 2 3 4</"),
    ],
)
def test_where_a_result_stands(text, media, where):
    answer = read_answer(reply(text, media))
    (found,) = (*answer.boxes, *answer.points, *answer.events)
    assert text[slice(*found.span)] == where
    assert (found.label, found.attributes) == ("cat" if ">cat<" in text else "", {})


@pytest.mark.parametrize(
    ("text", "media", "swapped"),
    [
        ("[10, 20, 30, 40]", picture_record(), False),
        ("[30, 40, 10, 20]", picture_record(), True),
        ("[0.5, 1.0]", video_record(), False),
        ("[1.0, 0.5]", video_record(), True),
    ],
)
def test_turned_corners_and_ends_are_told(text, media, swapped):
    answer = read_answer(reply(text, media))
    (found,) = (*answer.boxes, *answer.events)
    assert found.swapped is swapped


@pytest.mark.parametrize("place", ['"location": [10, 20, 30, 40]', '"x": 5, "y": 6'])
def test_an_object_that_names_its_picture(place):
    media = (picture_record("a.png"), picture_record("b.png"))
    said = f'{{"image": "b.png", "label": "cat", "color": "red", {place}}}'
    answer = read_answer(reply(said, *media))
    (found,) = (*answer.boxes, *answer.points)
    assert (found.media_index, found.placed_by, found.label) == (1, "name", "cat")
    assert found.attributes["color"] == "red"


def test_tags_one_after_another():
    boxes, points, *_ = read(
        "<bbox>1 2 3 4</bbox>, <click>5 6</click>, <ref> a </ref><box>5 6 7 8</box>"
    )
    assert (boxes, points) == ([(1, 2, 3, 4, ""), (5, 6, 7, 8, "a")], [(5, 6, "")])


def test_labels_and_attributes_beside_the_numbers():
    boxes, *_ = read("<ref>cat</ref><box>[[10, 20, 30, 40], [1, 2, 3, 4]]</box>")
    assert boxes == [(10, 20, 30, 40, "cat"), (1, 2, 3, 4, "cat")]
    (point,) = read_answer(
        reply('{"x": 5, "y": 6, "label": 7, "color": "red"}', picture_record())
    ).points
    assert (point.label, point.attributes) == ("7", {"color": "red"})


def test_the_smallest_box_and_points_near_the_corner():
    assert read("[10, 20, 11, 21]")[0] == [(10, 20, 11, 21, "")]
    assert read("[10, 20, 10.5, 40]")[0] == []
    assert read("[10, 20, 30, 20.5]")[0] == []
    for x, y in ((0, 0), (0, 1), (1, 1), (1.5, 0.75), (50.5, 60)):
        assert read(f"({x}, {y})")[1] == [(x, y, "")]


def test_a_list_of_pairs_is_a_list_of_points():
    assert read("[(1, 2), (3, 4), (5, 6)]")[1] == [(1, 2, ""), (3, 4, ""), (5, 6, "")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[10, 20, 3000, 40]", "reach from 10, 20 to 3000, 40 in 504 x 252 pixels"),
        ("[-10, 20, 30, 40]", "reach from -10, 20 to 30, 40 in 504 x 252 pixels"),
        ("(50, 600)", "reach 50, 600 in 504 x 252 pixels"),
        ("[0.1, 0.2, 0.3, 0.4]", "make a box thinner than a pixel"),
        ("[0.25, 0.5]", "are shares of a picture, not pixels"),
        ("(0.5, 0.5)", "are shares of a picture, not pixels"),
        ("(0.25, 0.75)", "are shares of a picture, not pixels"),
        ("(1, 0.5)", "are shares of a picture, not pixels"),
        (
            "1, 2, 3, 4 and 5 are the numbers on the clock.",
            "read as a box only in a reply of such lines",
        ),
        ("2019,2020,2021,2022: the years", "reach from 2019, 2020 to 2021, 2022 in 504 x 252"),
        ("f(x=1, y=2) = 3", "nothing calls the numbers 1, 2 a box"),
        ("click(x=1, y=2) = 3", "nothing calls the numbers 1, 2 a box"),
        ("The points (1, 2), (3, 4) lie on the graph", "nothing calls the numbers 1, 2 a box"),
        ("```python\nx = [1, 2, 3, 4]\n```", "nothing calls the numbers 1, 2, 3, 4 a box"),
        ("about (12, 40) from the corner", "nothing calls the numbers 12, 40 a box"),
        ("x = 3, y = 5", "nothing calls the numbers 3, 5 a box"),
        ("500 400", "nothing calls the numbers 500, 400 a box"),
        ("10 20 30 40", "nothing calls the numbers 10, 20, 30, 40 a box"),
        ("<bbox>10, 20, 30</bbox>", "a tag contains 3 numbers, not two or four"),
        ('{"scores": [1, 2, 3, 4]}', "scores holds four numbers and is not known"),
        ('{"x": 1, "y": 2, "width": 3, "height": 4}', "a place and a size, not two corners"),
    ],
)
def test_what_is_not_taken_is_a_problem(text, message):
    boxes, points, events, problems = read(text)
    assert (boxes, points, events) == ([], [], [])
    assert len(problems) == 1
    assert message in problems[0]


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "so click(x=5, y=6",
            {"x=5, y=6": "the last numbers were cut before their end"},
        ),
        (
            '{"bbox_2d": [1, 2, 3, 4]} and (5, 6), (7, 8)',
            {"(5, 6), (7, 8)": "beside other results, nothing calls the numbers 5, 6, 7, 8 a box"},
        ),
        (
            'a {"scores": [1, 2, 3, 4]}',
            {
                '{"scores": [1, 2, 3, 4]}': "scores holds four numbers and is not known as the key of a box"
            },
        ),
        (
            'a {"x": 1, "y": 2, "w": 3}',
            {'{"x": 1, "y": 2, "w": 3}': "an object has a place and a size, not two corners"},
        ),
        (
            "a <bbox>1, 2, 3</bbox>",
            {"<bbox>1, 2, 3</": "a tag contains 3 numbers, not two or four"},
        ),
        (
            "a [10, 20, 3000, 40]",
            {
                "[10, 20, 3000, 40]": "numbers that nothing calls a box, a point or a time reach"
                " from 10, 20 to 3000, 40 in 504 x 252 pixels"
            },
        ),
        (
            "[0.1, 0.2, 0.3, 0.4]",
            {
                "[0.1, 0.2, 0.3, 0.4]": "numbers that nothing calls a box, a point or a time make a"
                " box thinner than a pixel"
            },
        ),
        (
            "[0.5, 0.25]",
            {
                "[0.5, 0.25]": "numbers that nothing calls a box, a point or a time are shares of a"
                " picture, not pixels"
            },
        ),
        (
            "```python\nclick(x=1, y=2)\n```",
            {"x=1, y=2": "nothing calls the numbers 1, 2 a box, a point or a time"},
        ),
        (
            "```python\nbox = (1, 2), (3, 4)\n```",
            {"(1, 2), (3, 4)": "nothing calls the numbers 1, 2, 3, 4 a box, a point or a time"},
        ),
    ],
)
def test_where_a_problem_stands(text, problems):
    answer = read_answer(reply(text, picture_record(), finish_reason="length"))
    found = {text[slice(*problem.span)]: problem.message for problem in answer.problems}
    assert found == problems


@pytest.mark.parametrize(
    "text", ['{"scores": [1, 2]}', '{"when": "1, 2, 3, 4"}', '{"n": 4}', "(5, 6", "[1, 2"]
)
def test_other_numbers_under_a_key_are_no_problem(text):
    assert read(text) == ([], [], [], [])


@pytest.mark.parametrize("text", ["1,234", "12,345,678", "There are 3.", "<box>a</box>", "", "[]"])
def test_ordinary_answers_are_no_problem(text):
    assert read(text) == ([], [], [], [])


def test_four_numbers_beside_a_proper_result_are_a_problem():
    boxes, points, _, problems = read('(5, 6) and {"bbox_2d": [1, 2, 3, 4]} and [5, 6, 7, 8]')
    assert (boxes, points) == ([(1, 2, 3, 4, "")], [])
    assert problems == ["beside other results, nothing calls the numbers 5, 6, 7, 8 a box"]


@pytest.mark.parametrize("said", ["[1, 2, 3, 4]", "(1, 2), (3, 4)", "(5, 6)", "nothing"])
def test_numbers_that_say_a_box_again_are_no_problem(said):
    boxes, _, _, problems = read(f'{{"bbox_2d": [1, 2, 3, 4]}}: {said}')
    assert (len(boxes), problems) == (1, [])


def test_a_label_within_a_place_is_kept():
    assert read('{"center": {"x": 5, "y": 6, "label": "cat"}}')[1] == [(5, 6, "cat")]


def test_where_nothing_was_shown_numbers_are_numbers():
    answer = read_answer(reply("[10, 20, 30, 40]"))
    assert (answer.boxes, answer.problems) == ((), ())


def test_a_stopped_answer_may_lack_digits():
    boxes, *_, problems = read("10, 20, 30, 40", finish_reason="length")
    assert boxes == []
    assert len(problems) == 1
    assert read("[10, 20, 30, 40]", finish_reason="length")[0] == [(10, 20, 30, 40, "")]
    text = "[10, 20, 300, 40] and [10, 20, 30, 4"
    assert read(text, finish_reason="length")[0] == [(10, 20, 300, 40, "")]


def test_a_stopped_call_may_lack_digits():
    _, points, _, problems = read("click(x=5, y=6", finish_reason="length")
    assert (points, problems) == ([], ["the last numbers were cut before their end"])
    assert read("click(x=5, y=6)\nclick(x=7, y=8", finish_reason="length")[1] == [(5, 6, "")]
    assert read("click(x=5, y=6)", finish_reason="length")[1] == [(5, 6, "")]


def test_two_pictures_need_a_name():
    media = (picture_record("a.png"), picture_record("b.png"))
    named = read_answer(reply("Picture 2: [10, 20, 30, 40]", *media))
    assert [box.media_index for box in named.boxes] == [1]
    (unnamed,) = read_answer(reply("[10, 20, 30, 40]", *media)).boxes
    assert unnamed.original is None
    (point,) = read_answer(reply("(50, 60)", *media)).points
    assert point.original is None
    videos = (video_record("a.mp4"), video_record("b.mp4"))
    (event,) = read_answer(reply("[0.5, 1.0]", *videos)).events
    assert event.media_index is None


@pytest.mark.parametrize("place", ['"x": 100, "y": 6', '"location": [1, 2, 100, 6]'])
def test_numbers_are_compared_with_the_picture_that_is_named(place):
    media = (picture_record("a.png"), picture_record("b.png", resized=(56, 56)))
    answer = read_answer(reply(f'{{"image": "b.png", {place}}}', *media))
    assert (answer.boxes, answer.points) == ((), ())
    (problem,) = answer.problems
    assert problem.message.endswith(" in 56 x 56 pixels")


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("[0.5, 1.0]", [(0.5, 1)]),
        ("[1.0, 0.5]", [(0.5, 1)]),
        ("[[0, 0.5], [1, 1.5]]", [(0, 0.5), (1, 1.5)]),
        ("(0.5, 1)", [(0.5, 1)]),
    ],
)
def test_pairs_of_a_video_are_times(text, events):
    assert read(text, video_record()) == ([], [], events, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 100]", "reach 100 s, after the end of the video"),
        ("[1, 1]", "are no time span"),
        ("It is [0.5, 1].", "nothing calls the numbers 0.5, 1 a box, a point or a time"),
    ],
)
def test_pairs_that_are_no_times_are_a_problem(text, message):
    *found, problems = read(text, video_record())
    assert found == [[], [], []]
    assert message in problems[0]


def test_a_pair_about_a_picture_and_a_video_may_be_either():
    *found, problems = read("[0, 1]", picture_record(), video_record())
    assert found == [[], [], []]
    assert len(problems) == 1


@pytest.mark.parametrize("extractor", [FIRST_BOX, ALL_BOXES, FIRST_POINT, ALL_POINTS])
@pytest.mark.parametrize(
    "text",
    [
        "[10, 20, 30, 40]", "(10, 20), (30, 40)", "10, 20, 30, 40", "10 20 30 40", "<bbox>1 2 3 4</bbox>",
        "<box>(10,20),(30,40)</box>", "(500, 500)", "[0.5,0.5]", "click(x=5, y=6)", "x: 5, y: 6",
        '{"x": 500, "y": 250}', '{"coordinate": [3, 4]}', "<point>5, 6</point>", "<click>5 6</click>",
        "500, 400", "500 400", "[(1, 2), (3, 4), (5, 6)]", "click at (5, 6), not at (7, 8)",
        '{"anything": [1, 2, 3, 4]}', "see [[1, 2, 3, 4], [5, 6, 7, 8]]",
    ],
)  # fmt: skip
def test_what_the_evaluation_reads_is_read_or_a_problem(extractor, text):
    scored = extractor.read(Answered(text, {}, (CoordinateFrame("original", SEEN, SEEN),)))
    boxes, points, _, problems = read(text)
    assert not scored or boxes or points or problems
