# SPDX-License-Identifier: Apache-2.0
"""One line of `finesight chat`: text, with pictures, videos and PDFs given by their paths.

Terminals paste the path of a dropped file in quotes, with escaped spaces or as a `file:` address. A path is taken for
a medium if the file exists and its first bytes are those of a picture, a video or a PDF.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from finesight.conversation import Part, TextPart, VideoPart
from finesight.errors import FinesightError, UnsupportedMedia
from finesight.media.source import LocalSource, how_to_give, kind_of, localize

if TYPE_CHECKING:
    from finesight.api.options import AskOptions

_SHELL_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|\\.|[^\s'"\\])+""")
"""A word as a shell reads it: quotes, and spaces after a backslash, are part of it."""
_PLAIN_WORD = re.compile(r"\S+")
_QUOTING = re.compile(r"""'([^']*)'|"([^"]*)"|\\(.)""")
_AFTER_WORD = ",.;:!?)"
_ADDRESS = re.compile(r"(?:data|https?):", re.IGNORECASE)
_FILE_ADDRESS = re.compile(r"file:", re.IGNORECASE)
_MEDIA_PATH = re.compile(
    r"(?:file:|~?/|\.\.?/).*\."
    r"(?:jpe?g|png|webp|gif|tiff?|bmp|avif|hei[cf]|pdf|mp4|m4v|mov|mkv|webm|avi)",
    re.IGNORECASE,
)
"""A path, even of a file that does not exist."""
_VIDEO_ADDRESS = re.compile(r"[^?#]*\.(?:mp4|m4v|mov|mkv|webm|avi)(?:[?#]|$)", re.IGNORECASE)
_PDF_ADDRESS = re.compile(r"[^?#]*\.pdf(?:[?#]|$)", re.IGNORECASE)


def read_parts(line: str, options: AskOptions) -> list[Part]:
    """Text and media of a line, in the order of the line; each path is replaced by its medium.

    Args:
        line: what was typed or pasted.
        options: `min_pixels`, `fps` and so on, for the media.

    Raises:
        MediaError: a path of a picture, video or PDF does not exist, or a PDF cannot be read.
    """
    line = line.strip()
    if (source := _medium(line)) is not None:
        return media_parts(source, options)
    parts: list[Part] = []
    text_start = 0
    for start, end, source in _media(line):
        parts += _text(line[text_start:start])
        parts += media_parts(source, options)
        text_start = end
    parts += _text(line[text_start:])
    return parts


def media_parts(
    source: LocalSource | str, options: AskOptions, *, pages: str | None = None
) -> list[Part]:
    """A picture or video, or the pages of a PDF.

    Args:
        source: a local file, or an address.
        options: `min_pixels`, `fps` and so on.
        pages: of a PDF or a picture file, counted from 1, such as "1-3".

    Raises:
        MediaError: it is none of the three, or its pages cannot be counted.
        ConfigError: a page does not exist.
    """
    from finesight.api.options import with_options
    from finesight.api.sources import image_parts, pdf_parts

    kind = _kind(source)
    name = source if isinstance(source, str) else str(source.data)
    if kind == "video":
        if pages is not None:
            raise UnsupportedMedia(f"{name} is a video, which has no pages")
        return [with_options(VideoPart(source=name), options)]
    parts_of = pdf_parts if kind == "PDF" else image_parts
    parts = parts_of(name if pages is None else (name, pages))
    return [with_options(part, options) for part in parts]


def local_file(word: str) -> LocalSource:
    """The file of a path or `file:` address, with its absolute path.

    Raises:
        MediaError: there is no such file.
    """
    source = localize(str(Path(word).expanduser()) if word.startswith("~/") else word)
    assert isinstance(source.data, Path)
    return replace(source, data=source.data.absolute())


def unquoted(word: str) -> str:
    """A word without the quotes and backslashes of a shell."""
    return _QUOTING.sub(lambda found: found[1] or found[2] or found[3] or "", word)


def is_address(word: str) -> bool:
    """Whether it is a `data:`, `http:` or `https:` address."""
    return _ADDRESS.match(word) is not None


def _kind(source: LocalSource | str) -> str:
    """One of "picture", "video" and "PDF"; of an address by its suffix."""
    if isinstance(source, str):
        if _VIDEO_ADDRESS.match(source):
            return "video"
        return "PDF" if _PDF_ADDRESS.match(source) else "picture"
    kind = kind_of(source.head())
    if kind == "PDF document":
        return "PDF"
    if not how_to_give(kind):
        raise UnsupportedMedia(f"{source.name} is a {kind}, not a picture, video or PDF")
    return "video" if "video" in kind else "picture"


def _media(line: str) -> Iterator[tuple[int, int, LocalSource]]:
    """Start, end and file of each path in a line."""
    place = 0
    while (plain := _PLAIN_WORD.search(line, place)) is not None:
        start, place = plain.span()
        for word, end in _candidates(line, plain).items():
            source = _medium(word)
            if source is not None:
                yield start, end, source
                place = end
                break
        else:
            shell = _SHELL_WORD.match(line, start)
            word = unquoted(shell[0] if shell else plain[0])
            if _MEDIA_PATH.fullmatch(word.rstrip(_AFTER_WORD)):
                local_file(word.rstrip(_AFTER_WORD))  # raises the error of a missing file


def _candidates(line: str, plain: re.Match[str]) -> dict[str, int]:
    """Paths that may start with a word, each once, and where they end; the likeliest first."""
    found: dict[str, int] = {}
    for end in _ends(line, plain):
        word = line[plain.start() : end]
        for path in (unquoted(word), word):
            found.setdefault(path, end)
    return found


def _ends(line: str, plain: re.Match[str]) -> Iterator[int]:
    """Where a path that starts with a word may end: as a shell reads it, at the space, or before punctuation."""
    start = plain.start()
    shell = _SHELL_WORD.match(line, start)
    for end in (shell.end() if shell else plain.end(), plain.end()):
        yield end
        yield start + len(line[start:end].rstrip(_AFTER_WORD))


def _medium(word: str) -> LocalSource | None:
    """The file with this path, if it exists and is a picture, a video or a PDF."""
    if not word or is_address(word):
        return None
    if not _FILE_ADDRESS.match(word) and not _exists(word):
        return None  # most words are no files, and the error of a missing one takes long to make
    try:
        source = local_file(word)
        _kind(source)
    except FinesightError:
        return None
    return source


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path) if path.startswith("~/") else path)  # noqa: PTH110, PTH111  # faster than Path


def _text(text: str) -> list[TextPart]:
    return [TextPart(text.strip())] if text.strip() else []
