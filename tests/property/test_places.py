# SPDX-License-Identifier: Apache-2.0
"""Places written for a resize come back to original pixels; texts of users pass unchanged."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from finesight.conversation import Message, TextPart
from finesight.data.places import Place, escaped, mark, written
from finesight.geometry import Box, Point, Resize, Size
from finesight.processor.resize import smart_resize

PIECES = st.text(max_size=12) | st.sampled_from(
    ["{{place:", "{{place:0}}", "literal}}", "{{place:literal}}", "{", "{{pla", "0}}", ".1}}"]
)


@st.composite
def resizes(draw) -> Resize:
    """The resize of a picture of any size and budget."""
    height = draw(st.integers(1, 5000))
    width = draw(st.integers(-(-height // 150), min(5000, height * 150)))
    most = draw(st.integers(28 * 28 * 4, 28 * 28 * 2000))
    new_height, new_width = smart_resize(height, width, 28, 28 * 28, most)
    return Resize(Size(width, height), Size(new_width, new_height))


@given(resize=resizes(), data=st.data())
def test_a_box_comes_back_within_half_a_resized_pixel(resize, data):
    width, height = resize.original.width, resize.original.height
    xs = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    ys = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    box = Box(xs[0], ys[0], xs[1], ys[1])
    numbers = Place("box", 0, (box.x1, box.y1, box.x2, box.y2)).resized(resize)
    assert all(isinstance(number, int) for number in numbers)
    back, clipped = resize.to_original(Box(*numbers))
    assert not clipped
    allowed_x, allowed_y = resize.scale_x / 2 * (1 + 1e-9), resize.scale_y / 2 * (1 + 1e-9)
    assert max(abs(back.x1 - box.x1), abs(back.x2 - box.x2)) <= allowed_x
    assert max(abs(back.y1 - box.y1), abs(back.y2 - box.y2)) <= allowed_y
    point, _ = resize.point_to_original(Point(*Place("point", 0, (box.x1, box.y1)).resized(resize)))
    assert abs(point.x - box.x1) <= allowed_x
    assert abs(point.y - box.y1) <= allowed_y


@given(pieces=st.lists(PIECES, max_size=6))
def test_texts_between_marks_pass_unchanged(pieces):
    resize = Resize(Size(56, 56), Size(56, 56))
    places = (Place("box", 0, (1, 2, 3, 4)), Place("point", 0, (5, 6)))
    marks = [(mark(0), "1, 2, 3, 4"), (mark(1), "5, 6"), (mark(0, 2), "3")]
    text = "".join(escaped(piece) + marks[n % 3][0] for n, piece in enumerate(pieces))
    expected = "".join(piece + marks[n % 3][1] for n, piece in enumerate(pieces))
    (message,) = written([Message("user", (TextPart(text),))], places, [resize])
    assert message.parts[0].text == expected
