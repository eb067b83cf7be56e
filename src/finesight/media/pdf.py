# SPDX-License-Identifier: Apache-2.0
"""Counts and renders the pages of a PDF with PDFium.

A page is rendered with its rotation, forms and annotations, on white.
A page that PDFium cannot open or repair is an error, not an empty page. Pages of
picture files (TIFF, animation) are opened by `media.image`.

PDFium is not thread-safe, so all calls share one lock. Use processes to render a large collection.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pypdfium2
from PIL import Image

from finesight.errors import DecodeError, MediaTooLarge, UnsupportedMedia
from finesight.geometry import Size
from finesight.media.image import MAX_IMAGE_PIXELS, image_size, load_image
from finesight.media.source import LocalSource, at_hand, how_to_give, kind_of, localize

if TYPE_CHECKING:
    from finesight.conversation import MediaSource
    from finesight.media.fetch import FetchPolicy

DEFAULT_DPI = 144.0
"""Default resolution: text of 8 points is then 16 pixels high."""

_POINTS_PER_INCH = 72.0
_WRONG_PASSWORD, _WRONG_SECURITY = 4, 5  # FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY
_pdfium_lock = threading.Lock()


def num_pages(source: MediaSource | LocalSource, *, policy: FetchPolicy | None = None) -> int:
    """Number of pages of a PDF; errors as in `load_page`."""
    with _open(source, policy) as (document, _):
        return len(document)


def page_size(
    source: MediaSource | LocalSource,
    page: int,
    *,
    dpi: float | None = None,
    max_image_pixels: int = MAX_IMAGE_PIXELS,
    policy: FetchPolicy | None = None,
) -> Size:
    """Size in pixels of the result of `load_page`, without rendering; same arguments and errors."""
    source = at_hand(source, policy=policy)
    if _is_picture(source):
        return image_size(source, page=page)
    with _open(source, policy) as (document, name):
        return _fit(document, page, name, dpi, max_image_pixels)[1]


def load_page(
    source: MediaSource | LocalSource,
    page: int,
    *,
    dpi: float | None = None,
    max_image_pixels: int = MAX_IMAGE_PIXELS,
    policy: FetchPolicy | None = None,
) -> Image.Image:
    """Render one page of a PDF, or open one page of a picture file with several.

    Args:
        source: path, bytes, open binary file, or a `data:`, `file:`, `http:` or `https:` address of a
            PDF; or a picture source of `load_image`.
        page: number of the page, counted from 0.
        dpi: pixels per inch of a PDF; None takes `DEFAULT_DPI`, or less where a very large page would
            exceed the limit. A picture has its own pixels.
        max_image_pixels: maximum width times height.
        policy: limits for addresses.

    Returns:
        An RGB picture.

    Raises:
        DecodeError: broken, or not a PDF.
        UnsupportedMedia: encrypted, or a missing page.
        MediaTooLarge: the page at this `dpi` has more pixels than allowed.
        MediaError: the source cannot be opened or fetched.
    """
    source = at_hand(source, policy=policy)
    if _is_picture(source):
        return load_image(source, page=page, max_image_pixels=max_image_pixels)
    with _open(source, policy) as (document, name):
        scale, _ = _fit(document, page, name, dpi, max_image_pixels)
        try:
            document.init_forms()  # must precede loading the page, or its fields stay empty
            picture: Image.Image = document[page].render(scale=scale).to_pil()
        except pypdfium2.PdfiumError as error:
            raise DecodeError(
                f"{name}, page {page + 1} (counted from 1), cannot be drawn: {error}"
            ) from error
        return picture.convert("RGB")


@contextmanager
def open_page(
    source: MediaSource | LocalSource, page: int, *, policy: FetchPolicy | None = None
) -> Iterator[pypdfium2.PdfPage]:
    """An open page of a PDF, for reading its text; no other thread uses PDFium within the block.

    Raises:
        MediaError: as `load_page`.
    """
    with _open(source, policy) as (document, name):
        _fit(document, page, name, None, MAX_IMAGE_PIXELS)
        opened = document[page]
        try:
            yield opened
        finally:
            opened.close()


def _is_picture(source: MediaSource | LocalSource) -> bool:
    """Whether a local source is a picture: pixels in memory, or a file of a known format."""
    return not isinstance(source, LocalSource) or "picture" in kind_of(source.head())


@contextmanager
def _open(
    source: MediaSource | LocalSource, policy: FetchPolicy | None
) -> Iterator[tuple[pypdfium2.PdfDocument, str]]:
    """An open document and its name; everything that touches PDFium happens inside."""
    if isinstance(source, Image.Image):
        raise UnsupportedMedia(
            "a picture in memory has no PDF pages", hint=how_to_give("picture in memory")
        )
    local = localize(source, policy=policy, kind="document")
    with _pdfium_lock:
        document = _open_document(local)
        try:
            yield document, local.name
        finally:
            document.close()


def _open_document(local: LocalSource) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(local.data)
    except pypdfium2.PdfiumError as error:
        raise _not_opened(local, error) from error


def _not_opened(local: LocalSource, error: pypdfium2.PdfiumError) -> Exception:
    if error.err_code in (_WRONG_PASSWORD, _WRONG_SECURITY):
        return UnsupportedMedia(
            f"{local.name} is encrypted and needs a password",
            hint="remove the password first, for example with: qpdf --decrypt in.pdf out.pdf",
        )
    kind = kind_of(local.head())
    if kind == "PDF document":
        return DecodeError(
            f"{local.name} is a broken PDF: {error}", hint="was it saved completely?"
        )
    return DecodeError(f"{local.name} is no PDF but a {kind}", hint=how_to_give(kind))


def _fit(
    document: pypdfium2.PdfDocument, page: int, name: str, dpi: float | None, max_pixels: int
) -> tuple[float, Size]:
    """Scale of rendering in pixels per point, and the resulting size."""
    if not 0 <= page < len(document):
        raise UnsupportedMedia(
            f"{name} has no page {page}: it has {len(document)} pages, counted from 0"
        )
    if dpi is not None and not 0 < dpi < math.inf:
        raise UnsupportedMedia(f"{name}: dpi={dpi} must be above 0 and finite")
    try:
        width, height = document.get_page_size(page)
    except pypdfium2.PdfiumError as error:
        raise DecodeError(
            f"{name}, page {page + 1} (counted from 1), is broken: {error}"
        ) from error
    if not (0 < width < math.inf and 0 < height < math.inf):
        raise DecodeError(
            f"{name}, page {page + 1} (counted from 1), has no area: {width:g} x {height:g} points"
        )
    scale = (dpi or DEFAULT_DPI) / _POINTS_PER_INCH
    size = Size(math.ceil(width * scale), math.ceil(height * scale))
    if size.area <= max_pixels:
        return scale, size
    # Each side may round up by one pixel, so the largest scale is taken a little smaller.
    largest = math.sqrt(max_pixels / (width * height)) * 0.999
    if dpi is not None:
        raise MediaTooLarge(
            f"{name}, page {page + 1} (counted from 1), at {dpi:g} dpi is {size.width} x {size.height} pixels; "
            f"at most {max_pixels:,} are drawn",
            hint=f"use at most {math.floor(largest * _POINTS_PER_INCH)} dpi",
        )
    size = Size(math.ceil(width * largest), math.ceil(height * largest))
    if size.area > max_pixels:
        raise MediaTooLarge(
            f"{name}, page {page + 1} (counted from 1), is {width:g} x {height:g} points: too long a strip"
        )
    return largest, size
