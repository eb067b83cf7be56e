# SPDX-License-Identifier: Apache-2.0
"""Choose a font that has the glyphs of a label, and shorten labels to a width.

Pillow's default font covers ASCII. For other scripts the machine's font folders are searched,
well-known families first; a font has a glyph if it draws it differently from its missing-glyph
sign. If no font has all glyphs, the one that lacks the fewest is used.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_PREFERRED = (
    "dejavusans.",
    "notosans-regular",
    "notosanscjk",
    "notosanssc",
    "notosansjp",
    "notosans",
    "wqy-microhei",
    "wqy-zenhei",
    "droidsansfallback",
    "liberationsans-regular",
    "freesans.",
    "arialuni",
    "arial.",
    "msyh",
    "pingfang",
    "hiragino",
    "unifont",
)
_SUFFIXES = (".ttf", ".otf", ".ttc")
_MOST_TRIED = 64  # fonts opened for one label; a machine may have thousands
_PROBE_SIZE = 16
_NEVER_ASSIGNED = "\U0010fffe"  # no font has a glyph for it


def font_for(text: str, size: int) -> Font:
    """The font for a text.

    Args:
        text: one line.
        size: font size in pixels.
    """
    letters = frozenset(char for char in text if ord(char) > 126)
    path = _best_path(letters) if letters else _latin_path()
    if path is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(path, size)


def fitted(draw: ImageDraw.ImageDraw, label: str, font: Font, width: float) -> str:
    """The label, or its longest beginning with an ellipsis that fits a width in pixels."""
    label = label[:200]
    if draw.textlength(label, font=font) <= width:
        return label
    low, high = 1, len(label)
    while low < high:
        middle = (low + high + 1) // 2
        if draw.textlength(label[:middle].rstrip() + "…", font=font) <= width:
            low = middle
        else:
            high = middle - 1
    return label[:low].rstrip() + "…"


@lru_cache(maxsize=256)
def _best_path(letters: frozenset[str]) -> str | None:
    """The first font that has all letters, else the one that lacks the fewest."""
    best: str | None = None
    fewest = len(_missing(None, letters))
    for path in _font_paths()[:_MOST_TRIED]:
        if not fewest:
            break
        missing = len(_missing(path, letters))
        if missing < fewest:
            best, fewest = path, missing
    return best


@lru_cache(maxsize=1)
def _latin_path() -> str | None:
    """A well-known family if one is installed; None for Pillow's default font."""
    paths = _font_paths()
    first = paths[0] if paths else None
    return first if first and _rank(Path(first)) < len(_PREFERRED) else None


def _missing(path: str | None, letters: frozenset[str]) -> set[str]:
    """Letters without a glyph in a font; all of them if the font cannot be opened."""
    try:
        font = ImageFont.load_default(_PROBE_SIZE) if path is None else _probe(path)
        nothing = _picture(font, _NEVER_ASSIGNED)
        return {letter for letter in letters if _picture(font, letter) == nothing}
    except (OSError, ValueError):
        return set(letters)


@lru_cache(maxsize=_MOST_TRIED)
def _probe(path: str) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, _PROBE_SIZE, layout_engine=ImageFont.Layout.BASIC)


def _picture(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


@lru_cache(maxsize=1)
def _font_paths() -> tuple[str, ...]:
    """Font files of this machine, well-known families first."""
    found = [
        path
        for folder in _font_folders()
        if folder.is_dir()
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES
    ]
    return tuple(str(path) for path in sorted(found, key=lambda path: (_rank(path), str(path))))


def _rank(path: Path) -> int:
    name = path.name.lower()
    ranks = (rank for rank, start in enumerate(_PREFERRED) if name.startswith(start))
    return next(ranks, len(_PREFERRED))


def _font_folders() -> Iterator[Path]:
    home = Path.home()
    if sys.platform == "darwin":
        yield from (Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts")
    elif sys.platform == "win32":
        yield Path("C:/Windows/Fonts")
    else:
        yield from (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
        yield from (home / ".local/share/fonts", home / ".fonts")
