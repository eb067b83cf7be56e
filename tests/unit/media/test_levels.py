# SPDX-License-Identifier: Apache-2.0
"""Stored values of every depth come out at the brightness they stand for; files are written here bit by bit."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart
from finesight.errors import DecodeError, UnsupportedMedia
from finesight.media import image as image_module
from finesight.media.image import image_size, load_image, range_note
from finesight.processor.prepare import measure_image, prepare_image
from tests.support.model_cases import small_config

SIDE = 8
BLACK_IS_ZERO, WHITE_IS_ZERO = 1, 0
UNSIGNED, SIGNED, FLOAT = 1, 2, 3


def tiff(
    values: bytes,
    bits: int,
    *,
    photometric=BLACK_IS_ZERO,
    sample_format=UNSIGNED,
    order="<",
    more=(),
):
    """An uncompressed gray TIFF of one strip, `SIDE` x `SIDE` pixels."""
    tags = {
        256: (4, SIDE), 257: (4, SIDE), 258: (3, bits), 259: (3, 1), 262: (3, photometric), 273: (4, 0),
        277: (3, 1), 278: (4, SIDE), 279: (4, len(values)), 339: (3, sample_format), **dict(more),
    }  # fmt: skip
    tags[273] = (4, 8 + 2 + 12 * len(tags) + 4)
    body = struct.pack(f"{order}H", len(tags))
    for number, (kind, value) in sorted(tags.items()):
        packed = (
            struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
        )
        body += struct.pack(f"{order}HHI", number, kind, 1) + packed
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}I", 8) + body + struct.pack(f"{order}I", 0) + values


def png(bits: int, color: int, row: bytes, key: bytes = b"") -> bytes:
    """A PNG whose rows are all alike; `key` is the value named as transparent."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, color, 0, 0, 0)
    transparent = chunk(b"tRNS", key) if key else b""
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + row) * SIDE))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + transparent + pixels + chunk(b"IEND", b"")
    )


def gray(data: bytes) -> int:
    pixels = np.asarray(load_image(data))
    assert pixels.shape == (SIDE, SIDE, 3)
    assert (pixels == pixels[0, 0, 0]).all()
    return int(pixels[0, 0, 0])


def repeated(pattern: str, value: float) -> bytes:
    return struct.pack(pattern, value) * SIDE**2


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("value", "level"), [(0, 0), (16384, 64), (65535, 255)])
def test_16_bits_from_black_to_white(order, value, level):
    assert gray(tiff(repeated(f"{order}H", value), 16, order=order)) == level


@pytest.mark.parametrize(("value", "level"), [(0, 255), (16384, 191), (65535, 0)])
def test_16_bits_from_white_to_black(value, level):
    assert gray(tiff(repeated("<H", value), 16, photometric=WHITE_IS_ZERO)) == level


@pytest.mark.parametrize(
    ("bits", "values", "level"),
    [(1, b"\0" * 8, 255), (4, b"\0" * 32, 255), (8, bytes(64), 255), (8, b"\xff" * 64, 0)],
)
def test_shallow_files_from_white_to_black(bits, values, level):
    assert gray(tiff(values, bits, photometric=WHITE_IS_ZERO)) == level


@pytest.mark.parametrize(
    ("pair", "level"),  # two values of 12 bits in three bytes
    [(b"\0\0\0", 0), (b"\x7f\xf7\xff", 127), (b"\xff\xff\xff", 255)],
)
def test_12_bits_reach_white_at_their_own_largest_value(pair, level):
    assert gray(tiff(pair * (SIDE**2 // 2), 12)) == level


def test_floats_from_white_to_black():
    data = tiff(repeated("<f", 0.25), 32, photometric=WHITE_IS_ZERO, sample_format=FLOAT)
    assert gray(data) == 191


def test_32_bits_without_sign_beyond_half_of_their_range():
    half = struct.pack("<I", 3_000_000_000) * (SIDE**2 // 2)
    pixels = np.asarray(load_image(tiff(struct.pack("<I", 0) * (SIDE**2 // 2) + half, 32)))
    assert pixels[0, 0, 0] == 0
    assert pixels[-1, 0, 0] == 255


def deep(kind: str, values, **more) -> bytes:
    """A TIFF of 32 bits: `f` floats, `i` with sign, `I` without."""
    formats = {"f": FLOAT, "i": SIGNED, "I": UNSIGNED}
    data = np.asarray(values, f"<{'u4' if kind == 'I' else kind + '4'}").tobytes()
    return tiff(data, 32, sample_format=formats[kind], **more)


RAMP = np.arange(SIDE**2) / (SIDE**2 - 1)


@pytest.mark.parametrize(
    ("kind", "values", "odd", "full"),
    [
        *(("f", RAMP, 1.002, 1), ("f", RAMP, 3000.0, 1), ("f", RAMP, -9999.0, 1)),
        *(("f", RAMP * 1.05 - 0.02, 1.0, 1), ("f", RAMP * 0.3 + 0.1, -0.001, 1)),
        *(("f", RAMP * 255, 256.5, 255), ("f", RAMP * 60_000, 70_000, 65_535)),
        *(
            ("i", RAMP * 198, 300, 255),
            ("I", RAMP * 198, 2**32 - 1, 255),
            ("i", RAMP * 198, -1, 255),
        ),
        *(("i", RAMP * 1023, 5000, 1023), ("i", RAMP * 4095, -1, 4095)),
        *(("I", RAMP * 3500, 2**32 - 1, 4095), ("f", RAMP * 16_383, 9e9, 16_383)),
        *(("i", RAMP * 65_535, 70_000, 65_535), ("f", RAMP, np.nan, 1), ("f", RAMP, np.inf, 1)),
    ],
)
def test_one_odd_value_does_not_decide_the_range(kind, values, odd, full):
    values = np.array(values).astype({"f": "f4", "i": "i4", "I": "u4"}[kind])
    expected = np.clip(np.rint(values.astype("f4") * (255 / full)), 0, 255)
    values[20] = odd
    data = deep(kind, values)
    pixels = np.asarray(load_image(data))[..., 0].ravel()
    others = np.arange(SIDE**2) != 20
    assert (abs(pixels[others] - expected[others]) <= 1).all()
    if np.isfinite(odd):
        assert pixels[20] == (0 if odd < 0 else 255)
    assert f": 0 to {full:g} is taken for the full range" in range_note(data)
    assert image_size(data).width == SIDE


@pytest.mark.parametrize(
    ("kind", "values", "low", "high"),
    [("f", RAMP * 2 - 1, -1, 1), ("f", RAMP * 0.1 - 0.05, -0.05, 0.05), ("I", RAMP * 3e9, 0, 3e9)],
)
def test_values_of_no_usual_range_go_from_the_least_to_the_largest(kind, values, low, high):
    pixels = np.asarray(load_image(deep(kind, values)))[..., 0].ravel()
    assert (pixels[0], pixels[-1]) == (0, 255)
    assert 120 <= pixels[SIDE**2 // 2] <= 135
    assert "is taken for the full range; 2 of 64 values lie outside" in range_note(
        deep(kind, values)
    )


def test_the_range_is_noted_only_where_it_is_assumed(monkeypatch):
    data = deep("f", RAMP)
    vision, config = small_config().vision, ProcessorConfig()
    for part in (ImagePart(source=data), ImagePart(source=data, page=0)):
        for record in (
            prepare_image(part, vision, config).record,
            measure_image(part, vision, config),
        ):
            (note, *_) = record.notes
            assert note.endswith(": 0 to 1 is taken for the full range")
    stated = (
        tiff(repeated("<H", 999), 16),
        tiff(bytes(64), 8),
        png(16, 0, b"\x03\xe8" * 8),
        png(8, 2, b"\1\2\3" * 8),
        Image.new("I;16", (8, 8), 300),
        np.zeros((8, 8, 3), np.uint8),
    )
    with monkeypatch.context() as patched:  # they are decoded once, to be shown
        patched.setattr(image_module, "_decode", lambda *_: pytest.fail("pixels are decoded"))
        assert [range_note(source) for source in stated] == [""] * len(stated)
    assert "0 to 255 is taken" in range_note(Image.new("I", (8, 8), 200))
    assert "0 to 1 is taken" in range_note(Image.new("F", (1, 1), 0.5))


def test_orientation_of_a_deep_picture_does_not_lose_its_depth():
    values = struct.pack("<H", 0xFFF) * (SIDE**2)
    turned = tiff(values, 16, photometric=WHITE_IS_ZERO, more=[(274, (3, 6))])
    assert gray(turned) == 255 - round(0xFFF / 257)
    assert image_size(turned).width == SIDE


@pytest.mark.parametrize(
    ("bits", "color", "row", "key"),
    [
        (1, 0, b"\xff", b"\0\1"),
        (2, 0, b"\x55" * 2, b"\0\1"),
        (4, 0, b"\x33" * 4, b"\0\3"),
        (8, 0, b"\x09" * 8, b"\0\x09"),
        (16, 0, b"\x03\xe8" * 8, b"\x03\xe8"),
        (8, 2, b"\1\2\3" * 8, b"\0\1\0\2\0\3"),
        (16, 2, b"\x12\x34\x56\x78\x9a\xbc" * 8, b"\x12\x34\x56\x78\x9a\xbc"),
    ],
)
def test_the_transparent_value_of_a_png_shows_white(bits, color, row, key):
    assert gray(png(bits, color, row, key)) == 255
    assert load_image(png(bits, color, row)).getpixel((0, 0)) != (255, 255, 255) or bits == 1


def test_other_values_than_the_transparent_one_stay():
    assert gray(png(16, 0, b"\x03\xe8" * 8, b"\x03\xe9")) == 4
    assert gray(png(4, 0, b"\x33" * 4, b"\0\x0f")) == 3 * 17
    colour = load_image(png(16, 2, b"\0\xc8\0\xc8\0\xc8" * 8, b"\x80\0\x80\0\x80\0"))
    assert colour.getpixel((0, 0)) == (0, 0, 0)


def test_the_callers_picture_is_not_changed():
    mine = Image.open(io.BytesIO(png(4, 0, b"\x33" * 4, b"\0\3")))
    assert load_image(mine).getpixel((0, 0)) == (255, 255, 255)
    assert mine.info["transparency"] == 3


@pytest.mark.parametrize(
    "data",
    [
        tiff(bytes(256), 32, photometric=WHITE_IS_ZERO),
        tiff(np.full(SIDE**2, 0.5, np.float16).tobytes(), 16, sample_format=FLOAT),
        tiff(bytes(512), 64, sample_format=FLOAT),
        tiff(bytes(80), 10),
        tiff(bytes(64), 8, more=[(259, (3, 34_892))]),
    ],
    ids=["32 bits from white", "16-bit float", "64-bit float", "10 bits", "a compression"],
)
def test_a_whole_tiff_of_an_unknown_kind_is_not_called_broken(data):
    with pytest.raises(
        UnsupportedMedia, match="is a TIFF picture of a kind not read: bits per"
    ) as caught:
        load_image(data)
    assert "broken" not in str(caught.value)
    assert "convert it" in caught.value.hint
    with pytest.raises(DecodeError, match="is a broken TIFF picture"):
        load_image(data[:-9])


def test_a_jpeg_of_12_bits_is_not_called_broken():
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    data[data.index(b"\xff\xc0") + 4] = 12  # bits per sample in the frame header
    with pytest.raises(
        UnsupportedMedia, match="JPEG picture of a kind not read: cannot handle 12-bit"
    ):
        load_image(bytes(data))


@pytest.mark.parametrize(
    "data", [b"x", b"OK", b"404", b"\xff\xd8\xff", b"BM", b"\0\0\1", b"II*\0", b"GIF8"]
)
def test_files_of_a_few_bytes(data):
    with pytest.raises((DecodeError, UnsupportedMedia)):
        load_image(data)
    with pytest.raises((DecodeError, UnsupportedMedia)):
        image_size(data)
