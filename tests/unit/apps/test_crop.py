# SPDX-License-Identifier: Apache-2.0
"""Places of answers about crops, in pixels of the whole picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.apps.crop import Crop, ask_about, crop, in_picture
from finesight.conversation import Sampling
from finesight.errors import LayoutError
from finesight.geometry import Box, Point, Size
from finesight.parse.answer import read_answer
from tests.support.app_responders import Oracle
from tests.support.replies import picture_record, reply

PICTURE = np.arange(400 * 600 * 3, dtype=np.uint32).astype(np.uint8).reshape(400, 600, 3)


def test_a_crop_has_the_pixels_of_its_box():
    found = crop(PICTURE, Box(10.4, 20.6, 99.2, 50.0))
    assert found.box == Box(10, 20, 100, 50)
    assert found.picture == Size(600, 400)
    assert found.is_whole
    np.testing.assert_array_equal(found.pixels, PICTURE[20:50, 10:100])


def test_a_margin_is_a_share_of_the_longer_side_and_ends_at_the_picture():
    found = crop(PICTURE, Box(100, 100, 200, 140), margin=0.1)
    assert found.box == Box(90, 90, 210, 150)
    at_the_edge = crop(PICTURE, Box(0, 380, 50, 400), margin=0.2)
    assert at_the_edge.box == Box(0, 370, 60, 400)
    assert not at_the_edge.is_whole


@pytest.mark.parametrize("box", [Box(700, 10, 800, 20), Box(10, 10, 10, 10), Box(50, 50, 40, 60)])
def test_a_box_without_a_pixel_is_refused(box):
    with pytest.raises(LayoutError, match="no pixel inside the picture of 600 x 400"):
        crop(PICTURE, box)


def test_boxes_and_points_of_an_answer_move_to_the_picture():
    """The worked example of the module: a crop at (100, 50), shown at twice its size."""
    part = Crop(PICTURE[50:150, 100:300], Box(100, 50, 300, 150), Size(600, 400))
    record = picture_record(original=(200, 100), resized=(400, 200))
    text = (
        '[{"bbox_2d": [20, 10, 60, 30], "label": "cat"}, {"point_2d": [100, 50], "label": "eye"}]'
    )
    answer = in_picture(read_answer(reply(text, record), media_index=0), part)
    assert [one.box for one in answer.boxes] == [Box(110, 55, 130, 65)]
    assert [one.point for one in answer.points] == [Point(150, 75)]
    assert answer.boxes[0].box_resized == Box(20, 10, 60, 30)


def test_blocks_of_a_page_move_with_their_children():
    part = Crop(PICTURE[50:150, 100:300], Box(100, 50, 300, 150), Size(600, 400))
    record = picture_record(original=(200, 100), resized=(400, 200))
    html = (
        '<html><body><div class="image" data-bbox="20 10 60 30"><img data-bbox="22 12 50 28"/></div>'
        '<p data-bbox="0 40 400 80">words</p></body></html>'
    )
    page = in_picture(read_answer(reply(html, record), media_index=0), part).document
    assert page is not None
    assert [block.box for block in page.walk()] == [
        Box(110, 55, 130, 65), Box(111, 56, 125, 64), Box(100, 70, 300, 90),
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    left=st.integers(0, 500),
    top=st.integers(0, 300),
    width=st.integers(30, 300),
    height=st.integers(30, 300),
    enlarge=st.booleans(),
)
def test_a_truth_comes_back_through_crop_and_resize(left, top, width, height, enlarge):
    """Within half of a pixel that the model sees, for crops of any size."""
    part = crop(PICTURE, Box(left, top, left + width, top + height))
    inner = Box(part.box.x1 + 3, part.box.y1 + 2, part.box.x2 - 5, part.box.y2 - 7)

    def answer(question):
        moved = Box(*(edge - corner for edge, corner in zip(
            (inner.x1, inner.y1, inner.x2, inner.y2), (part.box.x1, part.box.y1) * 2, strict=True,
        )))  # fmt: skip
        return question.boxes_json([(moved, "thing")])

    oracle = Oracle(answer)
    least = 200_000 if enlarge else None
    (found,) = ask_about(oracle, [part], "Where is the thing?", Sampling(), min_pixels=least)
    resize = oracle.asked[0].resizes[0]
    box = found.boxes[0].box
    assert abs(box.x1 - inner.x1) <= 0.51 * resize.scale_x
    assert abs(box.y2 - inner.y2) <= 0.51 * resize.scale_y


def test_each_crop_has_its_own_question_and_answer():
    parts = [crop(PICTURE, Box(0, 0, 60, 60)), crop(PICTURE, Box(100, 0, 160, 60))]
    oracle = Oracle(lambda question: question.boxes_json([(Box(10, 10, 20, 20), question.text)]))
    first, second = ask_about(oracle, parts, lambda index: f"number {index}", Sampling())
    assert (first.boxes[0].label, second.boxes[0].label) == ("number 0", "number 1")
    assert second.boxes[0].box.x1 - first.boxes[0].box.x1 == pytest.approx(100, abs=1)
