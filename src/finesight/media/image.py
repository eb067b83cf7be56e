# SPDX-License-Identifier: Apache-2.0
"""Open one picture from any source as the upright RGB picture that a viewer would show.

What is undone here, once, so that nobody downstream meets it: EXIF orientation, transparency (on
white), 16-bit and floating point values (scaled, not cut off), CMYK, palettes, bilevel pictures,
animations (their first frame). The size is checked before any pixel is decoded. Formats are a
closed list: Pillow would also hand PostScript files to Ghostscript.

Trade-off: colour profiles are not applied, as the reference does not apply them.
"""

from __future__ import annotations

import importlib
import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finesight.errors import DecodeError, MediaTooLarge, UnsupportedMedia
from finesight.geometry import Size
from finesight.media.source import kind_of, localize, source_name

if TYPE_CHECKING:
    from finesight.conversation import MediaSource
    from finesight.media.fetch import FetchPolicy

__all__ = ["MAX_IMAGE_PIXELS", "image_size", "load_image", "source_name"]

MAX_IMAGE_PIXELS = 178_956_970
"""Largest picture taken by default, in pixels: where Pillow speaks of a decompression bomb."""

_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "ICO", "QOI", "DIB"),
    "HEIF",
)
_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))
# What Pillow's decoders raise on broken bytes; none of them is documented, all were met.
_BROKEN = (
    *(OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, AttributeError),
    *(EOFError, OverflowError, struct.error, zlib.error, RuntimeError, AssertionError),
)


def load_image(
    source: MediaSource,
    *,
    max_image_pixels: int = MAX_IMAGE_PIXELS,
    policy: FetchPolicy | None = None,
) -> Image.Image:
    """Open a picture.

    Args:
        source: path, bytes, Pillow image, `uint8[H, W, 3]`, or a `data:`, `file:`, `http:` or
            `https:` address.
        max_image_pixels: largest width times height that is taken.
        policy: limits for addresses.

    Returns:
        An RGB picture, upright, without transparency.

    Raises:
        DecodeError: empty, truncated or broken, or not a picture.
        UnsupportedMedia: no pixels, or a format we do not read.
        MediaTooLarge: more pixels than `max_image_pixels`.
        MediaError: the source cannot be opened or fetched.
    """
    name = source_name(source)
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    if isinstance(source, Image.Image):
        return _finish(source, name, max_image_pixels)
    local = localize(source, policy=policy)
    with local.open() as stream:
        return _finish(_identify(stream, name), name, max_image_pixels)


def image_size(source: MediaSource, *, policy: FetchPolicy | None = None) -> Size:
    """Size of the upright picture, read from its header; errors as in `load_image`."""
    name = source_name(source)
    if isinstance(source, np.ndarray):
        source = _from_array(source)
    if isinstance(source, Image.Image):
        return _upright_size(source, name)
    local = localize(source, policy=policy)
    with local.open() as stream:
        return _upright_size(_identify(stream, name), name)


def _upright_size(image: Image.Image, name: str) -> Size:
    width, height = image.size
    if width < 1 or height < 1:
        raise _no_pixels(name, width, height)
    # Pillow turns a TIFF by itself, and states the size it will then have.
    is_sideways = _turn_of(image) in _SIDEWAYS and image.format != "TIFF"
    return Size(height, width) if is_sideways else Size(width, height)


def _from_array(array: NDArray[np.generic]) -> Image.Image:
    """A picture from decoded pixels, as frames of a video often come."""
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise UnsupportedMedia(
            f"an array of {array.dtype}{list(array.shape)} is no picture",
            hint="give uint8[height, width, 3] in RGB",
        )
    return Image.fromarray(array)


def _identify(stream: BinaryIO, name: str) -> Image.Image:
    """Read the header; pixels come later."""
    head = stream.read(32)
    kind = kind_of(head)
    if kind == "HEIF picture":
        _prepare_heif(name)
    Image.init()
    for format_name in _FORMATS:
        factory, accept = Image.OPEN.get(format_name, (None, None))
        if factory is None or (accept is not None and accept(head[:16]) is not True):
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except Image.DecompressionBombError as error:
            raise _bomb(name, str(error)) from error
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # the next format may know it, as with a BMP that is a DIB
        except _BROKEN as error:
            raise DecodeError(f"{name} is a broken {kind}: {error}", hint=_SAVE_AGAIN) from error
    raise _not_a_picture(name, kind, head)


_SAVE_AGAIN = "open it in a viewer and save it again"


def _not_a_picture(name: str, kind: str, head: bytes) -> DecodeError | UnsupportedMedia:
    if "picture" in kind and "HEIF" not in kind:
        return DecodeError(
            f"{name} is a broken {kind}, its header cannot be read", hint=_SAVE_AGAIN
        )
    if "video" in kind:
        return UnsupportedMedia(f"{name} is no picture but a {kind}", hint="give it as a video")
    if kind == "PDF document":
        return UnsupportedMedia(f"{name} is no picture but a {kind}", hint="say which page to read")
    if kind.startswith("file") or not head:
        return DecodeError(f"{name} is no picture but a {kind}")
    return UnsupportedMedia(f"{name} is no picture but a {kind}", hint="convert it to PNG or JPEG")


def _prepare_heif(name: str) -> None:
    """Let Pillow read HEIF, if the package for it is there."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        raise UnsupportedMedia(
            f"{name} is a HEIF picture, and the package pillow-heif is not installed",
            hint="pip install pillow-heif, or convert the picture to JPEG",
        ) from error


def _bomb(name: str, detail: str) -> MediaTooLarge:
    return MediaTooLarge(
        f"{name} is too large: {detail}", hint="shrink it first, or raise max_image_pixels"
    )


def _finish(image: Image.Image, name: str, max_image_pixels: int) -> Image.Image:
    """Check the size, decode, and bring to upright RGB."""
    width, height = image.size
    if width < 1 or height < 1:
        raise _no_pixels(name, width, height)
    if width * height > max_image_pixels:
        pixels = f"{width} x {height} = {width * height:,} pixels; at most {max_image_pixels:,}"
        raise _bomb(name, pixels)
    try:
        image.load()
        return _to_rgb(_upright(image))
    except Image.DecompressionBombError as error:
        raise _bomb(name, str(error)) from error
    except _BROKEN as error:
        what = image.format or image.mode
        raise DecodeError(
            f"{name} is a truncated or broken {what} picture: {error}", hint=_SAVE_AGAIN
        ) from error


def _no_pixels(name: str, width: int, height: int) -> UnsupportedMedia:
    return UnsupportedMedia(f"{name} is {width} x {height} pixels; both sides need at least 1")


def _upright(image: Image.Image) -> Image.Image:
    turn = _turn_of(image)
    return image if turn is None else image.transpose(turn)


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    """What brings a picture upright. An EXIF block that cannot be read asks for nothing."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:
        return None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_bytes(np.asarray(image), image.format)).convert("RGB")
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGB", image.size, (255, 255, 255))
    white.paste(image, mask=image.getchannel("A"))
    return white


def _to_bytes(values: NDArray[np.generic], format_name: str | None) -> NDArray[np.uint8]:
    """Scale gray values of more than 8 bits to 0..255.

    16-bit files say their range themselves. For wider integers and floats it is read off the
    values: 0..1 (floats only), 0..255 or 0..65535 where they fit, else from the least to the
    largest.
    """
    gray = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(gray.min()), float(gray.max())
    is_float = np.issubdtype(values.dtype, np.floating)
    if values.dtype.itemsize == 2 or format_name in ("PPM", "PNG"):
        low, high = 0.0, (1.0 if is_float else 65535.0)
    elif low >= 0:
        limits = (1.0, 255.0, 65535.0) if is_float else (255.0, 65535.0)
        fitting = [limit for limit in limits if high <= limit]
        low, high = (0.0, fitting[0]) if fitting else (low, high)
    scaled = (gray - low) * (255.0 / ((high - low) or 1.0))
    eight_bits: NDArray[np.uint8] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    return eight_bits
