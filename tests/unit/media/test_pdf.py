# SPDX-License-Identifier: Apache-2.0
"""Pages of a PDF: counted, drawn, bounded, and refused where they cannot be read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from finesight.errors import DecodeError, MediaError, MediaTooLarge, UnsupportedMedia
from finesight.media.pdf import DEFAULT_DPI, load_page, num_pages, page_size


def drawn(*sizes: tuple[float, float], content: bytes = b"", rotation: int = 0) -> bytes:
    """A PDF with one page per size in points, written by hand so that the bytes are known."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b""]
    kids = []
    for width, height in sizes:
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
        stream = len(objects)
        page = f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width} {height}]/Rotate {rotation}"
        objects.append(f"{page}/Contents {stream} 0 R/Resources<<>>>>".encode())
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>".encode()
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        start,
    )


RED_CORNER = b"1 0 0 rg 0 0 20 10 re f"  # 20 x 10 points at the lower left


def test_counts_pages(tmp_path):
    data = drawn((100, 50), (30, 40), (72, 72))
    path = tmp_path / "three.pdf"
    path.write_bytes(data)
    assert num_pages(data) == num_pages(path) == num_pages(f"file://{path}") == 3


def test_draws_a_page_at_a_resolution():
    data = drawn((100, 50), (72, 144), content=RED_CORNER)
    page = load_page(data, 1, dpi=72)
    assert page.mode == "RGB"
    assert page.size == (72, 144)
    assert page.getpixel((5, 140)) == (255, 0, 0)
    assert page.getpixel((60, 5)) == (255, 255, 255)
    assert load_page(data, 1, dpi=144).size == (144, 288)
    scale = DEFAULT_DPI / 72
    assert load_page(data, 0).size == (round(100 * scale), round(50 * scale))


@pytest.mark.parametrize(
    ("rotation", "size", "red"),
    [
        (0, (100, 50), (5, 45)),
        (90, (50, 100), (5, 5)),
        (180, (100, 50), (95, 5)),
        (270, (50, 100), (45, 95)),
    ],
)
def test_turned_pages(rotation, size, red):
    page = load_page(drawn((100, 50), content=RED_CORNER, rotation=rotation), 0, dpi=72)
    assert page.size == size
    assert page.getpixel(red) == (255, 0, 0)


@pytest.mark.parametrize("dpi", [None, 10.0, 72.0, 100.3, 300.0])
def test_size_is_known_before_drawing(dpi):
    data = drawn((101.3, 55.7), (33.3, 700.1))
    for page in range(2):
        size = page_size(data, page, dpi=dpi)
        assert load_page(data, page, dpi=dpi).size == (size.width, size.height)


def test_page_out_of_range():
    data = drawn((10, 10), (10, 10))
    for page in (2, -1, 99):
        with pytest.raises(UnsupportedMedia, match=rf"has no page {page}: it has 2 pages"):
            load_page(data, page)
    with pytest.raises(UnsupportedMedia, match="has no page 7"):
        page_size(data, 7)


def test_large_pages_are_bounded():
    data = drawn((14_400, 14_400))
    page = load_page(data, 0, max_image_pixels=10_000)
    assert 9_000 < page.width * page.height <= 10_000
    with pytest.raises(MediaTooLarge, match="28800 x 28800 pixels; at most") as caught:
        load_page(data, 0, dpi=144)
    dpi = int(caught.value.hint.split()[-2])
    assert page_size(data, 0, dpi=dpi).area <= 178_956_970
    with pytest.raises(MediaTooLarge, match="too long a strip"):
        load_page(drawn((14_400, 1)), 0, max_image_pixels=1)


@pytest.mark.parametrize("dpi", [0.0, -1.0, math.nan, math.inf])
def test_resolutions_that_are_none(dpi):
    with pytest.raises(UnsupportedMedia, match="must be above 0 and finite"):
        load_page(drawn((10, 10)), 0, dpi=dpi)


# An RC4-encrypted PDF of one empty page; its user password is "secret". The keys below were
# computed for this file and prove nothing but that a password is needed.
ENCRYPTED = (
    b"<</Filter/Standard/V 1/R 2/Length 40/P -4"
    b"/O<2055c756c72e1ad702608e8196acad447ad32d17cff583235f6dd15fed7dab67>"
    b"/U<00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff>>>"
)


def test_encrypted():
    data = drawn((10, 10)).replace(b"/Root 1 0 R", b"/Root 1 0 R/ID[<01><01>]/Encrypt " + ENCRYPTED)
    with pytest.raises(UnsupportedMedia, match="is encrypted and needs a password") as caught:
        num_pages(data)
    assert "qpdf --decrypt" in caught.value.hint


def test_broken(tmp_path):
    path = tmp_path / "cut.pdf"
    path.write_bytes(drawn((10, 10))[:60])
    with pytest.raises(DecodeError, match=r"cut\.pdf is a broken PDF"):
        load_page(path, 0)
    with pytest.raises(DecodeError, match="is no PDF but a text file"):
        num_pages(b"only some words and no PDF at all")
    with pytest.raises(DecodeError, match=r"is empty \(0 bytes\)"):
        num_pages(b"")
    with pytest.raises(MediaError, match="No such file"):
        num_pages(tmp_path / "nothing.pdf")
    with pytest.raises(UnsupportedMedia, match="a picture in memory has no PDF pages"):
        num_pages(Image.new("L", (1, 1)))


def test_a_document_without_pages():
    with pytest.raises(DecodeError, match="is a broken PDF"):
        num_pages(drawn())


def test_pages_of_several_threads():
    """PDFium itself would crash; here the calls wait for each other."""
    from concurrent.futures import ThreadPoolExecutor

    data = drawn((40, 40), content=RED_CORNER)
    with ThreadPoolExecutor(4) as threads:
        pages = list(threads.map(lambda _: np.asarray(load_page(data, 0)), range(12)))
    assert all(np.array_equal(page, pages[0]) for page in pages)
