# SPDX-License-Identifier: Apache-2.0
"""Pictures of every kind come out upright, RGB and on white; bad ones say what is wrong with them."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngImageFile

from finesight.errors import DecodeError, MediaTooLarge, UnsupportedMedia
from finesight.geometry import Size
from finesight.media.image import image_size, load_image, source_name

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def saved(image: Image.Image, format_name: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def pixel(image: Image.Image, x: int = 0, y: int = 0) -> tuple[int, int, int]:
    assert image.mode == "RGB"
    return image.getpixel((x, y))


@pytest.fixture
def flag() -> Image.Image:
    """12 x 6 pixels: red top left, green top right, blue below."""
    image = Image.new("RGB", (12, 6), BLUE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 5, 2), fill=RED)
    draw.rectangle((6, 0, 11, 2), fill=GREEN)
    return image


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "TIFF", "PPM", "WEBP", "JPEG2000", "QOI"])
def test_reads_a_format_without_loss(flag, format_name):
    options = {"lossless": True} if format_name == "WEBP" else {}
    try:
        data = saved(flag, format_name, **options)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {format_name}")
    assert np.array_equal(np.asarray(load_image(data)), np.asarray(flag))


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(format_name, orientation):
    upright = Image.new("RGB", (32, 16), BLUE)
    ImageDraw.Draw(upright).rectangle((0, 0, 15, 7), fill=RED)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, format_name, exif=exif)
    found = load_image(data)
    assert found.size == (32, 16)
    assert image_size(data) == Size(32, 16)
    red, blue = pixel(found, 4, 3), pixel(found, 26, 12)
    assert red[0] > 200 > 60 > red[2]
    assert blue[2] > 200 > 60 > blue[0]


def test_the_size_of_a_png_decodes_nothing(monkeypatch):
    """Its EXIF block may follow the pixels: 400 KB may be 60,000 x 60,000 pixels, which filled 3 GB."""
    exif = Image.Exif()
    exif[0x0112] = 6
    before = saved(Image.new("RGB", (32, 16)), "PNG", exif=exif)
    place, end = before.index(b"eXIf") - 4, before.index(b"IDAT") - 4
    after = before[:place] + before[end:-12] + before[place:end] + before[-12:]
    assert load_image(after).size == (16, 32)
    monkeypatch.setattr(PngImageFile, "load", lambda _: pytest.fail("pixels are decoded"))
    assert image_size(saved(Image.new("RGB", (32, 16)), "PNG")) == Size(32, 16)
    assert image_size(before) == image_size(after) == Size(16, 32)
    lazy = Image.open(io.BytesIO(after))
    assert image_size(lazy) == Size(16, 32)
    monkeypatch.undo()
    assert lazy.getpixel((0, 0)) == (0, 0, 0)  # it can still be decoded


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about the block
def test_a_broken_exif_block_does_not_lose_the_picture(flag):
    data = saved(flag, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff broken")
    assert load_image(data).size == (12, 6)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (Image.new("RGBA", (4, 4), (0, 0, 0, 0)), {}),
        (Image.new("LA", (4, 4), (0, 0)), {}),
        (Image.new("P", (4, 4), 0), {"transparency": 0}),
        (Image.new("L", (4, 4), 0), {"transparency": 0}),
        (Image.new("RGB", (4, 4), (1, 2, 3)), {"transparency": (1, 2, 3)}),
    ],
    ids=["RGBA", "LA", "P", "L", "RGB"],
)
def test_transparent_becomes_white(image, options):
    assert pixel(load_image(saved(image, "PNG", **options))) == (255, 255, 255)


def test_half_transparent_is_mixed_with_white():
    assert pixel(load_image(Image.new("RGBA", (2, 2), (0, 0, 0, 128)))) == (127, 127, 127)
    assert pixel(load_image(Image.new("La", (2, 2), (0, 0)))) == (255, 255, 255)


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "PPM"])
def test_16_bit_is_scaled_not_clipped(format_name):
    values = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    found = np.asarray(load_image(saved(Image.fromarray(values), format_name)))[..., 0]
    assert np.array_equal(found, np.rint(values / 257).astype(np.uint8))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0.0, 0.5, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, 100.0, 255.0]], np.float32), [0, 100, 255]),
        (np.array([[0.0, 257.0, 65535.0]], np.float32), [0, 1, 255]),
        (np.array([[-1.0, 0.0, 1.0]], np.float32), [0, 128, 255]),
        (np.array([[0.0, np.nan, 1.0]], np.float32), [0, 0, 255]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 25700, 65535]], np.int32), [0, 100, 255]),
        (np.array([[0, 501_000, 1_000_000]], np.int32), [0, 128, 255]),
        (np.array([[7, 7, 7]], np.int32), [7, 7, 7]),
    ],
    ids=["unit", "byte", "word", "signed", "nan", "int-byte", "int-word", "int-wide", "flat"],
)
def test_wide_gray_values_are_scaled(values, expected):
    found = np.asarray(load_image(Image.fromarray(values)))[0, :, 0]
    assert found.tolist() == expected


def test_cmyk_and_bilevel_and_palette():
    assert pixel(load_image(saved(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF"))) == (255,) * 3
    red = pixel(load_image(saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")))
    assert red[0] > 240 > 20 > red[1]
    assert pixel(load_image(saved(Image.new("1", (4, 4), 1), "PNG"))) == (255, 255, 255)
    assert pixel(load_image(Image.new("RGB", (4, 4), GREEN).convert("P"))) == GREEN


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_of_an_animation(format_name):
    first, second = Image.new("RGB", (9, 9), RED), Image.new("RGB", (9, 9), BLUE)
    data = saved(first, format_name, save_all=True, append_images=[second])
    red = pixel(load_image(data))
    assert red[0] > 250 > 10 > red[2]


def test_an_array_of_pixels_is_a_picture():
    pixels = np.zeros((3, 5, 3), np.uint8)
    assert load_image(pixels).size == (5, 3)
    assert image_size(pixels) == Size(5, 3)
    with pytest.raises(UnsupportedMedia, match=r"float32\[3, 5\] is no picture"):
        load_image(np.zeros((3, 5), np.float32))


def test_names(tmp_path):
    assert source_name(tmp_path / "a.png") == str(tmp_path / "a.png")
    assert source_name(b"1234") == "bytes (4)"
    assert source_name(Image.new("L", (3, 2))) == "picture in memory (3 x 2)"
    assert source_name((b"1", b"2")) == "list of 2 frames"
    assert source_name("data:image/png;base64,AAAA") == "data address (image/png;base64)"
    assert source_name("https://me:pw@a.org/b.png?key=secret") == "https://a.org/b.png"
    assert len(source_name("x" * 5000)) <= 160


# What is wrong with a picture


def test_empty_file(tmp_path):
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(DecodeError, match=r"empty\.png is empty \(0 bytes\)"):
        load_image(path)


@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6])
def test_truncated_file(tmp_path, format_name, share):
    grain = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    data = saved(Image.fromarray(grain), format_name)
    path = tmp_path / "cut.png"
    path.write_bytes(data[: max(20, int(len(data) * share))])
    with pytest.raises(DecodeError, match=r"cut\.png is a "):
        load_image(path)


def test_wrong_extension(tmp_path, flag):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(saved(flag, "PNG"))
    assert load_image(path).size == (12, 6)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"just some words, no picture\n", "text file"),
        (b"<!DOCTYPE html><html>not found</html>", "web page"),
        (b"%PDF-1.7 ...............", "PDF document"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "MP4 video"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "PostScript document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG drawing"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path, data, kind):
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    with pytest.raises(UnsupportedMedia, match=rf"photo\.png is no picture but a {kind}") as caught:
        load_image(path)
    assert caught.value.hint


def test_noise_is_no_picture():
    with pytest.raises(DecodeError, match="is no picture but a file that starts with 00 01 02"):
        load_image(bytes(range(40)))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_no_pixels(size):
    image = Image.new("RGB", size)
    with pytest.raises(UnsupportedMedia, match=rf"is {size[0]} x {size[1]} pixels"):
        load_image(image)
    with pytest.raises(UnsupportedMedia, match="both sides need at least 1"):
        image_size(image)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1)])
def test_sides_of_one_pixel_are_fine(size):
    assert load_image(saved(Image.new("RGB", size), "PNG")).size == size


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that claims `side` x `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("error")
def test_decompression_bomb():
    with pytest.raises(MediaTooLarge, match=r"40000 x 40000 = 1,600,000,000 pixels; at most"):
        load_image(bomb(40_000))
    with pytest.raises(MediaTooLarge, match="at most 100"):
        load_image(Image.new("L", (11, 10)), max_image_pixels=100)
    with pytest.raises(DecodeError, match="truncated or broken PNG"):  # large, but below the limit
        load_image(bomb(3_000))


def test_heif_without_the_package_for_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    data = b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + b"\0" * 20
    with pytest.raises(UnsupportedMedia, match="HEIF picture") as caught:
        load_image(data)
    assert "pip install pillow-heif" in caught.value.hint


@pytest.mark.filterwarnings("ignore")  # Pillow's own, about odd tags
def test_broken_bytes_never_end_in_another_error():
    """Flip bytes of small pictures: it loads, or it is one of our errors."""
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    for format_name in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "ICO", "QOI"):
        try:
            data = saved(image, format_name)
        except (KeyError, OSError):
            continue
        for _ in range(40):
            broken = bytearray(data)
            for place in random.integers(0, min(len(data), 300), 3):
                broken[place] = random.integers(0, 256)
            with contextlib.suppress(DecodeError, UnsupportedMedia, MediaTooLarge):
                load_image(bytes(broken), max_image_pixels=10_000)
