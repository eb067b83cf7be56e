# SPDX-License-Identifier: Apache-2.0
"""A file of several pictures gives the page that is asked for; without, the first."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from finesight.api.sources import image_parts, pdf_parts
from finesight.errors import ConfigError, DecodeError, UnsupportedMedia
from finesight.geometry import Size
from finesight.media.image import image_size, load_image, num_pages, page_note
from finesight.media.pdf import load_page, page_size

COLOURS = ((200, 0, 0), (0, 200, 0), (0, 0, 200))
FORMATS = ["TIFF", "GIF", "WEBP", "PNG", "MPO", "AVIF"]


def several(format_name: str, sizes=((24, 16),) * 3) -> bytes:
    pages = [Image.new("RGB", size, colour) for size, colour in zip(sizes, COLOURS, strict=True)]
    stream = io.BytesIO()
    try:
        pages[0].save(stream, format_name, save_all=True, append_images=pages[1:])
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {format_name}")
    return stream.getvalue()


def strongest(image: Image.Image) -> int:
    """Which of red, green and blue a picture shows, as 0, 1 or 2."""
    pixel = image.getpixel((12, 8))
    return pixel.index(max(pixel))


@pytest.mark.parametrize("format_name", FORMATS)
def test_every_page_on_request(format_name):
    data = several(format_name)
    assert num_pages(data) == 3
    assert [strongest(load_image(data, page=page)) for page in range(3)] == [0, 1, 2]
    assert [strongest(load_page(data, page)) for page in (2, 0)] == [2, 0]  # as of a PDF
    assert page_size(data, 1) == image_size(data, page=1) == Size(24, 16)


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_first_is_shown_and_said(format_name):
    data = several(format_name)
    assert strongest(load_image(data)) == 0
    assert page_note(data).startswith("page 1 of 3 is shown")


def test_pages_of_several_sizes():
    data = several("TIFF", ((24, 16), (30, 20), (40, 30)))
    assert [image_size(data, page=page) for page in range(3)] == [
        Size(24, 16),
        Size(30, 20),
        Size(40, 30),
    ]
    assert load_image(data, page=2).size == (40, 30)


def test_one_picture_is_its_own_first_page():
    picture = Image.new("RGB", (24, 16), COLOURS[1])
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    for source in (picture, stream.getvalue()):
        assert num_pages(source) == 1
        assert page_note(source) == ""
        assert strongest(load_page(source, 0)) == 1
        with pytest.raises(UnsupportedMedia, match="has no page 1: it has 1 page, counted from 0"):
            load_page(source, 1)


@pytest.mark.parametrize("format_name", ["ICO", "PPM", "BMP", "DIB", "QOI", "JPEG2000", "JPEG"])
def test_formats_of_one_picture_have_a_first_page(tmp_path, format_name):
    path = tmp_path / "picture"
    Image.new("RGB", (32, 32), COLOURS[1]).save(path, format_name)
    (part,) = image_parts((path, "1"))
    assert strongest(load_page(path, part.page)) == 1
    assert page_size(path, 0) == Size(32, 32)
    with pytest.raises(ConfigError, match="page 2 of 1 does not exist") as caught:
        image_parts((path, "2"))
    assert "only PDF, TIFF and animations" in caught.value.hint
    with pytest.raises(DecodeError, match=r"is no PDF but a .* picture"):
        pdf_parts(path)


@pytest.mark.parametrize("page", [-1, 3, 99])
def test_a_page_that_is_not_there(page):
    with pytest.raises(UnsupportedMedia, match=f"has no page {page}: it has 3 pages"):
        load_image(several("TIFF"), page=page)


def test_an_open_picture_stays_where_it_was():
    image = Image.open(io.BytesIO(several("TIFF")))
    image.seek(1)
    assert strongest(load_image(image)) == 1
    assert page_note(image).startswith("page 2 of 3 is shown")
    assert strongest(load_image(image, page=2)) == 2
    assert image.tell() == 1


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about the directory
def test_a_broken_list_of_pages_does_not_lose_the_first():
    data = bytearray(several("TIFF"))
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    struct.pack_into("<I", data, directory + 2 + 12 * count, len(data) - 1)  # where the next lies
    broken = bytes(data)
    assert strongest(load_image(broken)) == 0
    assert page_note(broken).startswith("page 1 is shown; the pages of bytes")
    with pytest.raises(DecodeError, match="cannot be counted"):
        load_image(broken, page=1)
