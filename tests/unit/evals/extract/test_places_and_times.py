# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.evals.core.task import Answered, CoordinateFrame
from finesight.evals.extract.intervals import EVENT_INTERVAL, LMMS_INTERVAL
from finesight.evals.extract.places import ALL_BOXES, ALL_POINTS, FIRST_BOX, FIRST_POINT
from finesight.geometry import Size

ORIGINAL, RESIZED = Size(2000, 1000), Size(1000, 400)
AS_SEEN = (CoordinateFrame("original", ORIGINAL, ORIGINAL),)
CALL = '<tool_call>{"name": "computer_use", "arguments": {"action": "left_click", "coordinate": [5, 6]}}</tool_call>'
TWO = '```json\n[{"bbox_2d": [1, 2, 3, 4], "label": "cat"}, {"bbox_2d": [5, 6, 9, 8], "label": "dog"}]\n```'


def read(extractor, text, frames=AS_SEEN):
    return extractor.read(Answered(text, {}, frames))


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("(500, 500)", [500, 500]),
        ("[0.5,0.5]", [0.5, 0.5]),
        ("pyautogui.click(x=500, y=500)", [500, 500]),
        ('{"x": 500, "y": 250}', [500, 250]),
        ('{"coordinate": [3, 4]}', [3, 4]),
        ("<bbox>100 100 300 300</bbox>", [200, 200]),
        ("<box>(10,20),(30,40)</box>", [20, 30]),
        ("<|box_start|>(10,20),(30,40)<|box_end|>", [20, 30]),
        ("<point>5, 6</point>", [5, 6]),
        ("<click>5 6</click>", [5, 6]),
        (CALL, [5, 6]),
        (TWO, [2, 3]),
        ('{"point_2d": [7, 8], "label": "x"}', [7, 8]),
        ('<points x1="1" y1="2" x2="3" y2="4" alt="x">x</points>', [1, 2]),
        ("[10, 20, 30, 40]", [20, 30]),
        ("click at (5, 6), not at (7, 8)", [5, 6]),
        ("500, 400", [500, 400]),
        ("500 400", [500, 400]),
        ("I cannot say", None),
        ("", None),
    ],
)
def test_first_points(text, point):
    assert read(FIRST_POINT, text) == point


@pytest.mark.parametrize(
    ("space", "point"),
    [
        ("original", [500.0, 200.0]),
        ("resized", [1000.0, 500.0]),
        ("relative_1000", [1000.0, 200.0]),
        ("relative_1", [1_000_000.0, 200_000.0]),
    ],
)
def test_numbers_mean_what_the_sight_declares(space, point):
    frames = (CoordinateFrame(space, ORIGINAL, RESIZED),)
    assert read(FIRST_POINT, "(500, 200)", frames) == point
    assert read(ALL_POINTS, "(500, 200)", frames) == [point]
    x, y = point
    assert read(FIRST_BOX, "[500, 200, 1000, 400]", frames) == [x, y, 2 * x, 2 * y]


def test_shares_become_pixels():
    frames = (CoordinateFrame("relative_1", ORIGINAL, RESIZED),)
    assert read(FIRST_POINT, "[0.5,0.5]", frames) == [1000.0, 500.0]
    assert read(FIRST_POINT, "(1, 1)", frames) == [2000.0, 1000.0]
    frames = (CoordinateFrame("relative_1000", ORIGINAL, RESIZED),)
    assert read(FIRST_POINT, "(1, 1)", frames) == [2.0, 1.0]


LONG = "0.12345678901234567890123"


@pytest.mark.parametrize(
    "text",
    [
        *(f"({LONG}, {LONG})", f"[{LONG}, {LONG}]", f"{LONG} {LONG}", f"x={LONG}, y={LONG}"),
        *(f"<point>{LONG} {LONG}</point>", f'{{"x": {LONG}, "y": {LONG}}}'),
        *(f'{{"point_2d": [{LONG}, {LONG}]}}', f"pyautogui.click({LONG}, {LONG})"),
        f"({LONG}, {LONG}), ({LONG}, {LONG})",
    ],
)
def test_long_decimals_are_read(text):
    x, y = read(FIRST_POINT, text)
    assert (x, y) == (float(LONG), float(LONG))


def test_long_decimals_of_boxes_and_times_are_read():
    box = [float(LONG), 2.0, 3.0, 4.0 + float(LONG)]
    for text in (f"[{LONG}, 2, 3, 4{LONG[1:]}]", f"<box>{LONG} 2 3 4{LONG[1:]}</box>"):
        assert read(FIRST_BOX, text) == box
    for rule in (EVENT_INTERVAL, LMMS_INTERVAL):
        assert read(rule, f"[{LONG}, 8.123456789012] {LONG} - 8.123456789012") == [
            float(LONG),
            8.123456789012,
        ]


def test_without_a_picture_nothing_can_be_placed():
    for extractor in (FIRST_BOX, ALL_BOXES, FIRST_POINT, ALL_POINTS):
        assert read(extractor, TWO, ()) is None


@pytest.mark.parametrize(
    ("text", "boxes"),
    [
        (TWO, [["cat", [1, 2, 3, 4]], ["dog", [5, 6, 9, 8]]]),
        (TWO.replace("```", "")[4:60], [["cat", [1, 2, 3, 4]]]),
        ("[10, 20, 30, 40]", [["", [10, 20, 30, 40]]]),
        ("[30, 40, 10, 20]", [["", [10, 20, 30, 40]]]),
        ("(10, 20), (30, 40)", [["", [10, 20, 30, 40]]]),
        ("10, 20, 30, 40", [["", [10, 20, 30, 40]]]),
        ("<bbox>1 2 3 4</bbox> <bbox>5 6 7 8</bbox>", [["", [1, 2, 3, 4]], ["", [5, 6, 7, 8]]]),
        ("There are none.", []),
        ("[]", []),
        ("(5, 6)", None),
        ("I see it", None),
    ],
)
def test_all_boxes(text, boxes):
    assert read(ALL_BOXES, text) == boxes
    assert read(FIRST_BOX, text) == (boxes[0][1] if boxes else None)


def test_all_points():
    assert read(ALL_POINTS, TWO) == [[2, 3], [7, 7]]
    assert read(ALL_POINTS, "(1, 2) and (3, 4)") == [[1, 2], [3, 4]]
    assert read(ALL_POINTS, "[(1, 2), (3, 4), (5, 6)]") == [[1, 2], [3, 4], [5, 6]]
    assert read(ALL_POINTS, "[1, 2, 3, 4]") == [[2, 3]]
    assert read(FIRST_POINT, "(1, 2), (3, 4)") == [2, 3]  # corners, where one place is asked for
    assert read(ALL_POINTS, "There are no cats.") == []
    assert read(ALL_POINTS, "Yes") is None


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        ("The event happens in the 24.3 - 30.4 seconds.", [24.3, 30.4], [24.3, 30.4]),
        ("5 - 15", [5, 15], [5, 15]),
        ("0.0s to 5.0s", [0, 5], [0, 5]),
        ("From 00:12 to 00:20", [12, 20], [12, 20]),
        ("20 - 10", [10, 20], [10, 20]),
        ("", None, None),
        ("I do not know", None, None),
        ("The event starts at 4 and ends at 8.", [4, 8], None),
        ("The event starts at 4.\nIt ends at 8.", [4, 8], [4, 8]),
        ("00:04.50 - 00:08.25", [4.5, 8.25], [0, 4.5]),  # theirs knows no parts of a second
        ('{"start_time": "00:04.50", "end_time": "00:08.25"}', [4.5, 8.25], [4, 8]),
        ('```json\n[{"start": 4, "end": 8.5}]\n```', [4, 8.5], None),
        ("[4.0, 8.0]", [4, 8], None),
        ("between 4 and 8 seconds", [4, 8], None),
        ("from 1:02:03 to 1:02:05", [3723, 3725], [3723, 3725]),
        ("00:75 - 00:80", None, [75, 80]),
        ("The event happens in 12.9 – 27.8 seconds", [12.9, 27.8], [12.9, 27.8]),
        ("It starts at 00:15 and ends at 00:28", [15, 28], [15, 28]),
    ],
)
def test_stretches_of_time(text, ours, theirs):
    assert read(EVENT_INTERVAL, text) == ours
    assert read(LMMS_INTERVAL, text) == theirs
