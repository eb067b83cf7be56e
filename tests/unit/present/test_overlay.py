# SPDX-License-Identifier: Apache-2.0
import pytest
from PIL import Image, ImageChops

from finesight.errors import FinesightError, LayoutError
from finesight.geometry import Box, Point
from finesight.parse.answer import read_answer
from finesight.present.marks import PALETTE, marks_from
from finesight.present.overlay import (
    MOST_LABELS,
    SMALLEST_LONG_SIDE,
    draw_answer,
    draw_marks,
    save_png,
)
from tests.support.replies import picture_record, reply


def grey(width, height, mode="RGB"):
    return Image.new("RGB", (width, height), (128, 128, 128)).convert(mode)


def changed(image, size):
    """The box of what was drawn."""
    plain = grey(*size).resize(image.size)
    return ImageChops.difference(image, plain).getbbox()


def test_the_picture_itself_is_left_alone():
    image = grey(800, 600)
    before = image.tobytes()
    draw_marks(image, marks_from([(Box(10, 10, 300, 200), "x")]))
    assert image.tobytes() == before


def test_a_box_is_drawn_where_it_is():
    image = draw_marks(grey(800, 600), marks_from([(Box(100, 200, 300, 400), "")]))
    assert image.size == (800, 600)
    for corner in ((100, 200), (299, 200), (100, 399), (299, 399)):
        assert image.getpixel(corner) == PALETTE[0]
    assert image.getpixel((200, 300)) == (128, 128, 128)
    assert image.getpixel((320, 300)) == (128, 128, 128)


def test_a_point_is_drawn_where_it_is():
    image = draw_marks(grey(800, 600), marks_from([(Point(400, 300), "")]))
    left, top, right, bottom = changed(image, (800, 600))
    assert (left + right) / 2 == pytest.approx(400, abs=2)
    assert (top + bottom) / 2 == pytest.approx(300, abs=2)


def test_small_pictures_are_enlarged_by_a_whole_factor():
    image = draw_marks(grey(100, 60), marks_from([(Box(10, 10, 50, 30), "")]))
    assert image.size == (600, 360)
    assert max(image.size) >= SMALLEST_LONG_SIDE
    assert image.getpixel((60, 60)) == PALETTE[0]


def test_lines_grow_with_the_picture():
    def line_width(side):
        image = draw_marks(
            grey(side, side), marks_from([(Box(side / 4, side / 4, side, side), "")])
        )
        row = [image.getpixel((x, side // 2)) for x in range(side // 8, side // 2)]
        return row.count(PALETTE[0])

    assert line_width(4000) >= 5 * line_width(600) / 1.5


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_every_mode_of_picture(mode):
    image = Image.new(mode, (64, 48))
    assert draw_marks(image, marks_from([(Box(1, 1, 20, 20), "x")])).mode == "RGB"


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3000, 15), (28, 28), (640, 480)])
@pytest.mark.parametrize(
    "label",
    [
        "a",
        "a very long label " * 20,
        "猫とねこ",
        "кот",
        "قط",
        "עברית",
        "\U0001f600",
        "ก",
        "\ufffd",
        "x́",
    ],
)
def test_labels_of_any_script_stay_inside(size, label):
    width, height = size
    shapes = [(Box(0, 0, width, height), label), (Point(width, height), label)]
    image = draw_marks(grey(*size), marks_from(shapes))
    assert image.width % width == 0
    assert changed(image, size) is not None


def test_a_label_is_written_near_its_box():
    image = draw_marks(grey(800, 600), marks_from([(Box(300, 300, 400, 400), "label")]))
    left, top, right, bottom = changed(image, (800, 600))
    assert left >= 290
    assert 260 <= top < 298
    assert right <= 410
    assert bottom <= 410


def test_labels_make_room_for_each_other():
    """Two boxes in one place: both grounds are seen, in their own colours."""
    shapes = [(Box(300, 300, 500, 500), "one"), (Box(300, 300, 500, 500), "two")]
    image = draw_marks(grey(800, 600), marks_from(shapes))
    above = image.crop((300, 270, 340, 298)).getcolors(10_000)
    below = image.crop((300, 504, 340, 530)).getcolors(10_000)
    assert PALETTE[0] in [colour for _, colour in above]
    assert PALETTE[1] in [colour for _, colour in below]


def test_a_point_is_not_hidden_by_a_label():
    shapes = [(Point(400, 300), "one"), (Point(412, 300), "two")]
    image = draw_marks(grey(800, 600), marks_from(shapes))
    assert image.getpixel((400, 300)) == (255, 255, 255)
    assert image.getpixel((412, 300)) == (255, 255, 255)


def test_many_marks_are_numbered():
    shapes = [(Box(x, 10, x + 5, 20), "a long label") for x in range(0, 700, 10)]
    assert len(shapes) > MOST_LABELS
    draw_marks(grey(800, 600), marks_from(shapes))


def test_an_answer_is_drawn_on_its_picture():
    text = 'Picture 2: {"bbox_2d": [0, 0, 252, 126], "label": "a"}'
    answer = read_answer(reply(text, picture_record(), picture_record()))
    first = draw_answer(grey(1000, 500), answer, media_index=0)
    second = draw_answer(grey(1000, 500), answer, media_index=1)
    assert changed(first, (1000, 500)) is None
    assert second.getpixel((499, 249)) == PALETTE[0]


def test_a_picture_of_another_size_is_refused():
    answer = read_answer(reply('{"bbox_2d": [0, 0, 9, 9]}', picture_record("turned.jpg")))
    with pytest.raises(LayoutError, match=r"500 x 1000 .* original is 1000 x 500 \(turned.jpg\)"):
        draw_answer(grey(500, 1000), answer)


def test_a_picture_is_written_whole_or_not_at_all(tmp_path):
    save_png(grey(10, 10), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (10, 10)
    with pytest.raises(FinesightError, match="cannot be written"):
        save_png(grey(10, 10), tmp_path / "missing" / "a.png")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
