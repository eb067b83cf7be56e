# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.geometry import Box, Point
from finesight.parse.answer import read_answer
from finesight.present.marks import (
    PALETTE,
    clock_text,
    colours_of,
    ink_on,
    marks_of,
    one_line,
    spans_of,
)
from tests.support.replies import picture_record, reply, video_record


def contrast(one, two):
    def luminance(colour):
        shares = [value / 255 for value in colour]
        linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", PALETTE)
def test_labels_can_be_read_on_every_colour(colour):
    assert contrast(colour, ink_on(colour)) >= 4.5


def test_equal_labels_share_a_colour_and_nameless_things_do_not():
    dog, cat, dog_again, nameless, other = colours_of(["dog", "cat", "dog", "", ""])
    assert dog == dog_again != cat
    assert len({dog, cat, nameless, other}) == 4


def test_everything_of_one_picture_is_marked():
    text = (
        'Picture 2: [{"bbox_2d": [0, 0, 252, 126], "label": "a"}] {"point_2d": [252, 126]} '
        'Picture 1: {"bbox_2d": [1, 1, 2, 2], "label": "elsewhere"}'
        '<tool_call>{"name": "t", "arguments": {"action": "click", "coordinate": [0, 0]}}</tool_call>'
    )
    answer = read_answer(reply(text, picture_record(), picture_record()))
    marks = marks_of(answer, media_index=1)
    assert [(mark.shape, mark.label, mark.number) for mark in marks] == [
        (Box(0, 0, 500, 250), "a", 1),
        (Point(500, 250), "", 2),
    ]
    assert [mark.label for mark in marks_of(answer)] == ["elsewhere", "click"]


def test_page_blocks_are_marked_with_their_kind():
    text = '<html><body><div class="music sheet" data-bbox="0 0 9 9"><img data-bbox="1 1 2 2"/></div></body></html>'
    answer = read_answer(reply(text, picture_record()))
    assert [mark.label for mark in marks_of(answer)] == ["music sheet", "figure"]


def test_events_of_one_video():
    text = '{"start_time": "00:00.50", "end_time": "00:01.00", "description": "a\\nb"}'
    answer = read_answer(reply(text, video_record()))
    (span,) = spans_of(answer, media_index=0)
    assert (span.start_seconds, span.end_seconds, span.label) == (10.4, 11.5, "a b")
    assert spans_of(answer, media_index=1) == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n\tb", "a b"),
        ("a\x00\x1b[31mb", "a[31mb"),
        ("\u202eevil\u2066", "evil"),
        ("\ud800x", "x"),
        ("  猫 é ", "猫 é"),
        ("", ""),
    ],
)
def test_labels_become_one_drawable_line(text, line):
    assert one_line(text) == line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00.00"),
        (61.5, "01:01.50"),
        (59.999, "01:00.00"),
        (3723.04, "1:02:03.04"),
        (-1, "00:00.00"),
    ],
)
def test_clock(seconds, text):
    assert clock_text(seconds) == text
