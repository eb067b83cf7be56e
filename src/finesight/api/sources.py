# SPDX-License-Identifier: Apache-2.0
"""Convert the arguments `images`, `videos` and `pdf` to parts of a message.

Each argument is one source or a list of sources. A pair of a file and its pages, `("scan.pdf", "1-3")`,
is one source. Without pages, a PDF gives all its pages and a picture file of several only its first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from finesight.conversation import ImagePart, Part, VideoPart
from finesight.errors import ConfigError
from finesight.inputs import plain, plain_list, read_if_open, shown

if TYPE_CHECKING:
    from finesight.conversation import MediaSource

    ImageSource: TypeAlias = MediaSource | ImagePart | tuple[MediaSource, "Pages"]
    VideoSource: TypeAlias = MediaSource | Sequence[MediaSource] | VideoPart
    PdfSource: TypeAlias = MediaSource | tuple[MediaSource, "Pages"]

Pages: TypeAlias = str | int | Sequence[int]
"""Pages of a file: numbers from 0, as in `ImagePart.page`, or a str counted from 1, such as "1-3,7"; "1-" is all."""

PAGES_TEXT = re.compile(r"[\d\s,-]+")
"""Characters of pages given as a str; any other str beside a file is a second file."""


def media_parts(
    images: ImageSource | Sequence[ImageSource],
    videos: VideoSource | Sequence[VideoSource],
    pdf: PdfSource | Sequence[PdfSource],
) -> list[Part]:
    """Pictures, then videos, then pages, as parts; each argument is one source or a list.

    Raises:
        MediaError: a file whose pages are asked for cannot be opened.
        ConfigError: a page is not there.
    """
    return [
        *(part for source in _sources(images) for part in image_parts(source)),
        *(video_part(source) for source in _videos(videos)),
        *(part for source in _sources(pdf) for part in pdf_parts(source)),
    ]


def image_parts(source: ImageSource) -> list[ImagePart]:
    """A picture, or the given pages of a picture file, each as a part.

    Args:
        source: a picture, or a pair of a file and its pages.

    Raises:
        MediaError: the pages of the file cannot be counted.
        ConfigError: a page is not there.
    """
    from finesight.media.image import num_pages

    file, pages = _with_pages(source)
    if pages is None:
        return [file if isinstance(file, ImagePart) else ImagePart(source=file)]
    if isinstance(file, ImagePart):
        raise ConfigError("pages are given beside an ImagePart", hint="set its `page` instead")
    file = read_if_open(file)
    count = num_pages(file)
    return [ImagePart(source=file, page=page) for page in page_numbers(pages, count)]


def video_part(source: VideoSource) -> VideoPart:
    """A video as a part; a sequence of pictures is a list of frames."""
    if isinstance(source, VideoPart):
        return source
    if isinstance(source, Sequence) and not isinstance(source, (str, bytes, bytearray)):
        return VideoPart(source=tuple(source))
    return VideoPart(source=source)


def pdf_parts(source: PdfSource) -> list[ImagePart]:
    """The pages of a PDF, each as a picture.

    Args:
        source: a PDF, which gives all pages, or a pair of a PDF and its pages.

    Raises:
        MediaError: the file is not a readable PDF.
        ConfigError: a page is not there.
    """
    from finesight.media.pdf import num_pages

    file, pages = _with_pages(source)
    file = read_if_open(file)
    count = num_pages(file)
    return [ImagePart(source=file, page=page) for page in page_numbers(pages, count)]


def page_numbers(pages: Pages | None, count: int) -> list[int]:
    """Page numbers from 0.

    Args:
        pages: numbers from 0, or a str counted from 1 such as "1-3,7" or "5-"; None is all.
        count: number of pages of the file.

    Raises:
        ConfigError: the str has another form, or a page does not exist.
    """
    if pages is None:
        return list(range(count))
    if isinstance(pages, str):
        return [n - 1 for piece in pages.split(",") for n in _page_range(piece, pages, count)]
    wanted = pages if isinstance(pages, range) else plain_list(plain(pages))
    numbers: list[int] = []
    for number in wanted if isinstance(wanted, (tuple, range)) else (wanted,):
        if isinstance(number, bool) or not isinstance(number, int):
            raise ConfigError(
                f"pages={shown(pages)} are not page numbers",
                hint='give numbers from 0, or a str counted from 1 such as "1-3,7"',
            )
        if not 0 <= number < count:
            raise _no_page(number + 1, count)
        numbers.append(number)
    if not numbers:
        raise ConfigError(f"pages={shown(pages)} is empty", hint="leave it out for all pages")
    return numbers


def _page_range(piece: str, pages: str, count: int) -> range:
    """A range of page numbers from 1, checked against the number of pages."""
    texts = [text.strip() for text in piece.split("-")]
    if len(texts) > 2 or not texts[0].isdecimal() or not (texts[-1].isdecimal() or not texts[-1]):
        raise ConfigError(f"pages {shown(pages)} is not of a form such as 1-3,7 or 5-")
    for text in texts:
        # The length is checked first: Python does not parse a number of several thousand digits.
        if text and (len(text.lstrip("0")) > len(str(count)) or not 1 <= int(text) <= count):
            raise _no_page(text, count)
    first, last = int(texts[0]), int(texts[-1] or count)
    if first > last:
        raise ConfigError(f"pages {shown(pages)} ends before it starts")
    return range(first, last + 1)


def _no_page(number: int | str, count: int) -> ConfigError:
    text = str(number)
    text = text if len(text) <= 20 else f"{text[:17]}..."
    there = f"there are pages 1 to {count}"
    if count == 1:
        there = "the file has one page; only PDF, TIFF and animations (GIF, PNG, WebP) have more"
    return ConfigError(
        f"page {text} of {count} does not exist (counted from 1)",
        hint=f"{there}; page numbers in Python count from 0",
    )


def _is_pair(value: Any) -> bool:
    """Whether a value is a pair of a file and its pages: the second entry can be read as page numbers."""
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    pages = plain(value[1])
    if isinstance(pages, str):
        return PAGES_TEXT.fullmatch(pages) is not None
    if pages is None or isinstance(pages, (int, float, range)):
        return True
    numbers = plain_list(pages)
    return isinstance(numbers, tuple) and all(isinstance(number, int) for number in numbers)


def _with_pages(source: Any) -> tuple[Any, Pages | None]:
    """A file and its pages; None if no pages are given."""
    return source if _is_pair(source) else (source, None)


def _sources(value: Any) -> list[Any]:
    """A list of the sources of `images` or `pdf`; a pair of a file and its pages is one source.

    Raises:
        ConfigError: the list is empty, such as a file search without results.
    """
    if isinstance(value, list) and not value:
        raise ConfigError("an empty list of pictures or PDFs", hint="leave it out, or give a file")
    return list(value) if isinstance(value, (list, tuple)) and not _is_pair(value) else [value]


def _videos(value: Any) -> list[Any]:
    """A list of the sources of `videos`; a tuple of frames is one source.

    Raises:
        ConfigError: the list is empty.
    """
    if isinstance(value, list) and not value:
        raise ConfigError("an empty list of videos", hint="leave it out, or give a file")
    return (
        list(value)
        if isinstance(value, list) or (isinstance(value, tuple) and not value)
        else [value]
    )
