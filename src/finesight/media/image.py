# SPDX-License-Identifier: Apache-2.0
"""Opens one picture from any source as upright RGB.

Converted here: EXIF orientation, transparency (on white), gray values
of more than 8 bits (scaled, not cut off), CMYK, palettes, bilevel pictures. A
file that holds several pictures (pages of a TIFF, frames of an animation) shows the first, or the
requested page. The size is checked before any pixel is decoded. The list of formats is fixed,
because Pillow would pass PostScript files to Ghostscript.

Colour profiles are not applied, as in the reference.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from finesight.errors import DecodeError, MediaTooLarge, UnsupportedMedia
from finesight.geometry import Size
from finesight.inputs import ArrayLike
from finesight.media.array import picture_of_array
from finesight.media.levels import assumed_range, is_deep, states_white, stored_bits, to_rgb
from finesight.media.refused import BROKEN, header_refused, pixels_refused, prepare_heif
from finesight.media.source import LocalSource, kind_of, localize, source_name

if TYPE_CHECKING:
    from finesight.conversation import MediaSource
    from finesight.media.fetch import FetchPolicy

__all__ = [
    "MAX_IMAGE_PIXELS",
    "image_size",
    "load_image",
    "num_pages",
    "page_note",
    "picture_notes",
    "range_note",
    "source_name",
]

MAX_IMAGE_PIXELS = 178_956_970
"""Default limit in pixels: Pillow's limit for decompression bombs."""

_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "ICO", "QOI", "DIB"),
    "HEIF",
)
_ORIENTATION_TAG = 0x0112
_PNG_METADATA = (b"IHDR", b"eXIf", b"iTXt", b"tEXt", b"zTXt")
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


@runtime_checkable
class _HoldsSeveral(Protocol):
    """A Pillow picture of a format for several pictures; others have no count."""

    @property
    def n_frames(self) -> int:
        """Number of pictures in the file."""
        ...


def load_image(
    source: MediaSource | LocalSource,
    *,
    page: int | None = None,
    max_image_pixels: int = MAX_IMAGE_PIXELS,
    policy: FetchPolicy | None = None,
) -> Image.Image:
    """Open a picture.

    Args:
        source: path, bytes, open binary file, Pillow image, `uint8[H, W, 3]` (also gray or with
            alpha), or a `data:`, `file:`, `http:` or `https:` address.
        page: which of several pictures in the file, counted from 0; None takes the first.
        max_image_pixels: maximum width times height.
        policy: limits for addresses.

    Returns:
        An RGB picture, upright, without transparency.

    Raises:
        DecodeError: empty, truncated or broken, or not a picture.
        UnsupportedMedia: no pixels, a missing page, or another format.
        MediaTooLarge: more pixels than `max_image_pixels`.
        MediaError: the source cannot be opened or fetched.
    """
    with _opened(source, page, policy) as (image, name):
        return _finish(image, name, max_image_pixels)


def image_size(
    source: MediaSource | LocalSource,
    *,
    page: int | None = None,
    policy: FetchPolicy | None = None,
) -> Size:
    """Size of the upright picture, read from its header; errors as in `load_image`."""
    with _opened(source, page, policy) as (image, name):
        width, height = image.size
        if width < 1 or height < 1:
            raise _no_pixels(name, width, height)
        # Pillow rotates a TIFF itself, and gives the size after that.
        is_sideways = _turn_of(image) in _SIDEWAYS and image.format != "TIFF"
        return Size(height, width) if is_sideways else Size(width, height)


def num_pages(source: MediaSource | LocalSource, *, policy: FetchPolicy | None = None) -> int:
    """Number of pictures in a file: pages of a TIFF, frames of an animation; else 1.

    Errors as in `load_image`.
    """
    with _opened(source, None, policy) as (image, name):
        return _count_pages(image, name)


def page_note(source: MediaSource | LocalSource, *, policy: FetchPolicy | None = None) -> str:
    """Note for a file of several pictures of which none was selected; empty for a single picture."""
    with _opened(source, None, policy) as (image, name):
        shown = image.tell() + 1
        try:
            count = _count_pages(image, name)
        except DecodeError as error:
            return f"page {shown} is shown; {error.message}"
    if count == 1:
        return ""
    return f'page {shown} of {count} is shown; --pages 1-{count}, or images=(file, "1-{count}") in Python, shows others'


def range_note(source: MediaSource | LocalSource, *, page: int | None = None) -> str:
    """Note for a picture whose file does not specify the value of white; empty if it does.

    Pixels are decoded only if the header does not specify it. A page of a PDF has no note. Errors as in `load_image`.
    """
    if isinstance(source, LocalSource) and "picture" not in kind_of(source.head()):
        return ""
    with _opened(source, page, None) as (image, name):
        if not is_deep(image) or states_white(image):
            return ""
        return assumed_range(image, _decode(image, name, MAX_IMAGE_PIXELS))


def picture_notes(source: MediaSource | LocalSource, *, page: int | None = None) -> tuple[str, ...]:
    """`page_note` if no page was selected, and `range_note`; errors as in `load_image`."""
    found = (page_note(source) if page is None else "", range_note(source, page=page))
    return tuple(filter(None, found))


@contextmanager
def _opened(
    source: MediaSource | LocalSource, page: int | None, policy: FetchPolicy | None
) -> Iterator[tuple[Image.Image, str]]:
    """A picture at the wanted page, its pixels not yet decoded, and its name."""
    name = source_name(source)
    with ExitStack() as stack:
        if isinstance(source, ArrayLike):
            image = picture_of_array(source)
        elif isinstance(source, Image.Image):
            image = source
            stack.callback(_seek, image, image.tell())  # the caller's picture keeps its page
        else:
            local = localize(source, policy=policy)
            image = _identify(stack.enter_context(local.open()), name)
        if page is not None:
            _turn_to(image, page, name)
        yield image, name


def _seek(image: Image.Image, page: int) -> None:
    with suppress(*BROKEN):
        image.seek(page)


def _count_pages(image: Image.Image, name: str) -> int:
    try:
        return image.n_frames if isinstance(image, _HoldsSeveral) else 1
    except BROKEN as error:
        raise DecodeError(f"the pages of {name} cannot be counted: {error}") from error


def _turn_to(image: Image.Image, page: int, name: str) -> None:
    count = _count_pages(image, name)
    if not 0 <= page < count:
        pages = "1 page" if count == 1 else f"{count} pages"
        raise UnsupportedMedia(f"{name} has no page {page}: it has {pages}, counted from 0")
    try:
        image.seek(page)
    except Image.DecompressionBombError as error:
        raise _bomb(name, str(error)) from error
    except BROKEN as error:
        raise DecodeError(
            f"{name}, page {page + 1} (counted from 1), is broken: {error}"
        ) from error


def _identify(stream: BinaryIO, name: str) -> Image.Image:
    """Read the header; pixels come later."""
    head = stream.read(32)
    kind = kind_of(head)
    if kind == "HEIF picture":
        prepare_heif(name)
    Image.init()
    refusal: Exception | None = None
    for format_name in _FORMATS:
        factory, accept = Image.OPEN.get(format_name, (None, None))
        if factory is None or not _accepts(accept, head):
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except Image.DecompressionBombError as error:
            raise _bomb(name, str(error)) from error
        except BROKEN as error:  # another format may read it, such as DIB for some BMP files
            refusal = refusal or error
    raise header_refused(name, stream, refusal) from refusal


def _accepts(accept: Callable[[bytes], Any] | None, head: bytes) -> bool:
    """Whether a format accepts the first bytes; some formats read beyond the end of a tiny file."""
    try:
        return accept is None or accept(head[:16]) is True
    except BROKEN:
        return False


def _bomb(name: str, detail: str) -> MediaTooLarge:
    return MediaTooLarge(
        f"{name} is too large: {detail}", hint="shrink it first, or raise max_image_pixels"
    )


def _finish(image: Image.Image, name: str, max_image_pixels: int) -> Image.Image:
    """Check the size, decode, and bring to upright RGB."""
    bits = _decode(image, name, max_image_pixels)
    try:
        turn = _turn_of(image)
        upright = to_rgb(image, bits)
        return upright if turn is None else upright.transpose(turn)
    except BROKEN as error:
        raise pixels_refused(name, image.format or image.mode, error) from error


def _decode(image: Image.Image, name: str, max_image_pixels: int) -> int:
    """Check the size and load the pixels; bits per sample in the file."""
    width, height = image.size
    if width < 1 or height < 1:
        raise _no_pixels(name, width, height)
    if width * height > max_image_pixels:
        pixels = f"{width} x {height} = {width * height:,} pixels; at most {max_image_pixels:,}"
        raise _bomb(name, pixels)
    try:
        bits = stored_bits(image)
        image.load()
    except Image.DecompressionBombError as error:
        raise _bomb(name, str(error)) from error
    except BROKEN as error:
        raise pixels_refused(name, image.format or image.mode, error) from error
    return bits


def _no_pixels(name: str, width: int, height: int) -> UnsupportedMedia:
    return UnsupportedMedia(f"{name} is {width} x {height} pixels; both sides need at least 1")


def _turn_of(image: Image.Image) -> Image.Transpose | None:
    """The transposition that makes a picture upright. An EXIF block that cannot be read is ignored."""
    try:
        return _UPRIGHT.get(_exif_of(image).get(_ORIENTATION_TAG, 1))
    except BROKEN:
        return None


def _exif_of(image: Image.Image) -> Image.Exif:
    """The EXIF block, without decoding pixels; of a PNG Pillow would decode them, as the block may follow them."""
    if not isinstance(image, PngImageFile) or image.fp is None or "exif" in image.info:
        return image.getexif()
    # The method of the base class decodes nothing.
    return Image.Image.getexif(PngImageFile(io.BytesIO(_without_pixels(image.fp))))


def _without_pixels(stream: IO[bytes]) -> bytes:
    """A PNG without pixels, with the header and all metadata of the first picture of another one."""
    place, has_pixels = stream.tell(), False
    stream.seek(0)
    kept = [stream.read(8)]
    while len(start := stream.read(8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        has_pixels |= kind == b"IDAT"
        if has_pixels and kind == b"fcTL":  # the next frame of an animation
            break
        if kind in _PNG_METADATA:
            kept.append(start + stream.read(length + 4))
        else:
            stream.seek(length + 4, os.SEEK_CUR)
    stream.seek(place)
    return b"".join(kept) + struct.pack(">I4s", 0, b"IDAT")
