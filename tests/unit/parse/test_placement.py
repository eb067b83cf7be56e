# SPDX-License-Identifier: Apache-2.0
import pytest

from finesight.parse.answer import read_answer
from tests.support.replies import picture_record, reply, video_record

BOX = '{"bbox_2d": [1, 2, 3, 4]}'
TWO = (picture_record("one.png"), picture_record("folder/two.png", original=(2000, 1000)))


def placed(text, *media, **options):
    return [
        (box.media_index, box.placed_by)
        for box in read_answer(reply(text, *(media or TWO)), **options).boxes
    ]


def test_a_single_picture_needs_no_name():
    assert placed(f"Picture 7: {BOX}", picture_record()) == [(0, "only")]


@pytest.mark.parametrize(
    "text",
    [
        '{"bbox_2d": [1, 2, 3, 4], "image_id": 2}',
        '{"bbox_2d": [1, 2, 3, 4], "image": "Picture 2"}',
        '{"bbox_2d": [1, 2, 3, 4], "picture": "2"}',
        '{"bbox_2d": [1, 2, 3, 4], "image": "two.png"}',
        '{"bbox_2d": [1, 2, 3, 4], "image": "folder/two.png"}',
        '{"image_id": 2, "objects": [{"bbox_2d": [1, 2, 3, 4]}]}',
        '{"Picture 2": [{"bbox_2d": [1, 2, 3, 4]}]}',
        'Picture 1: {"bbox_2d": [1, 2, 3, 4], "image_id": 2}',
    ],
)
def test_a_name_in_the_object(text):
    assert placed(text) == [(1, "name")]


@pytest.mark.parametrize(
    "heading",
    [
        "Picture 2:",
        "In image 2 there is",
        "**Image #2**\n\n",
        "In the second picture I see\n```json\n",
        "图2：",
        "第2张图：",
        "Picture 1 shows nothing.\nPicture 2:",
        "2 boxes in Picture 2, none elsewhere:",
    ],
)
def test_a_heading(heading):
    assert placed(heading + BOX) == [(1, "heading")]


def test_a_heading_holds_until_the_next():
    text = f"Picture 2: {BOX}\nand {BOX}\nPicture 1: {BOX} Picture 2: {BOX}"
    assert placed(text) == [(1, "heading"), (1, "heading"), (0, "heading"), (1, "heading")]


@pytest.mark.parametrize(
    "text",
    [
        BOX,
        f"Picture 1 and Picture 2: {BOX}",
        f"{BOX} is in Picture 2",
        f"Picture 3: {BOX}",
        '{"bbox_2d": [1, 2, 3, 4], "image_id": 0}',
        '{"bbox_2d": [1, 2, 3, 4], "image_id": 7, "label": "x"}',
        'Picture: {"bbox_2d": [1, 2, 3, 4], "image_id": true}',
        f"Picture 12: {BOX}",
    ],
)
def test_no_guess(text):
    answer = read_answer(reply(text, *TWO))
    assert [(box.media_index, box.placed_by) for box in answer.boxes] == [(None, "")]
    assert "has no place" in answer.problems[0].message


def test_names_within_labels_are_no_headings():
    first = '{"bbox_2d": [1, 2, 3, 4], "label": "poster of Picture 1"}'
    assert placed(first + BOX) == [(None, ""), (None, "")]


def test_pictures_and_videos_are_counted_apart():
    media = (video_record(), picture_record("x.png"))
    assert placed(f"Picture 1: {BOX} Video 1: {BOX}", *media) == [(1, "heading"), (0, "heading")]


def test_pages_of_a_pdf_go_by_their_number():
    media = (picture_record("c.pdf", page=4), picture_record("c.pdf", page=5))
    assert placed('{"bbox_2d": [1, 2, 3, 4], "page": 6}', *media) == [(1, "name")]
    assert placed(f"Page 5: {BOX}", *media) == [(0, "heading")]


def test_the_caller_may_know():
    assert placed(BOX, media_index=-1) == [(1, "caller")]
    assert placed(f"Picture 1: {BOX}", media_index=1) == [(1, "caller")]


def test_without_media_nothing_is_placed():
    (box,) = read_answer(reply(BOX)).boxes
    assert box.media_index is None
