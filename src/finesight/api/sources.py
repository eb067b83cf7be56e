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
from finesight.inputs import plain, plain_list, read_if_open
from finesight.media.pages import Pages, page_numbers

if TYPE_CHECKING:
    from finesight.conversation import MediaSource

    ImageSource: TypeAlias = MediaSource | ImagePart | tuple[MediaSource, "Pages"]
    VideoSource: TypeAlias = MediaSource | Sequence[MediaSource] | VideoPart
    PdfSource: TypeAlias = MediaSource | tuple[MediaSource, "Pages"]

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
