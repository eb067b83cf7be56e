# SPDX-License-Identifier: Apache-2.0
"""A read document as a searchable PDF: pictures of the pages with the text, invisible, at the places of its blocks.

Every character has a code of its own in one font without glyphs, and a table from codes to Unicode: so text of any
script is found and copied, and no font is embedded. Needs pikepdf: the extra `documents`.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from finesight import files
from finesight.apps.document.headings import num_lines
from finesight.apps.document.order import is_right_to_left
from finesight.apps.document.pages import PageAddress, load
from finesight.apps.document.records import Document, ReadPage
from finesight.apps.document.turned import turned_page
from finesight.apps.extras import required
from finesight.errors import AppError, FinesightError
from finesight.geometry import Box
from finesight.media.pdf import DEFAULT_DPI
from finesight.parse.document import Block

if TYPE_CHECKING:
    import pikepdf

__all__ = ["write_searchable_pdf"]

_GLYPH_WIDTH = 0.5
"""Width of every character of the font without glyphs, in sizes of the font."""
_JPEG_QUALITY = 85
_MOST_RANGES = 100
"""Most entries of one section of a table of codes."""
_LEFT_TO_RIGHT = re.compile(
    r"[0-9A-Za-z\u00c0-\u024f\u0660-\u0669]+([.,:/%-]*[0-9A-Za-z\u00c0-\u024f\u0660-\u0669]+)*"
)


def write_searchable_pdf(
    path: Path,
    document: Document,
    addresses: Sequence[PageAddress],
    *,
    dpi: float | None = None,
    on_problem: Callable[[str], None] = lambda _: None,
) -> None:
    """Write the PDF; its pages are upright.

    Args:
        path: the PDF.
        document: the pages.
        addresses: where the pages are.
        dpi: resolution at which PDF pages were read; the size of pictures in points follows from it, too.
        on_problem: called with the reason for each page that cannot be drawn; it is left out.

    Raises:
        AppError: pikepdf is not installed, or the file cannot be written.
    """
    with required("pikepdf", "a searchable PDF"):
        import pikepdf
    codes = {char: number for number, char in enumerate(_characters(document), 1)}
    scale = 72 / (dpi or DEFAULT_DPI)
    with pikepdf.new() as pdf:
        font = pdf.make_indirect(_font(pdf, codes))
        for page, address in zip(document.pages, addresses, strict=True):
            try:
                pixels = load(address, dpi=dpi).pixels
            except FinesightError as error:
                on_problem(f"page {page.number} is not in the PDF: {error.message}")
                continue
            _add_page(pdf, Image.fromarray(pixels), page, codes, font, scale)
        with files.whole_file(path, error=AppError, parents=True) as draft:
            pdf.save(draft)


def _characters(document: Document) -> Iterator[str]:
    yield from dict.fromkeys(char for page in document.pages for char in f"{page.text} ")


def _font(pdf: pikepdf.Pdf, codes: Mapping[str, int]) -> pikepdf.Dictionary:
    from pikepdf import Array, Dictionary, Name, Stream, String

    descendant = Dictionary(
        Type=Name.Font,
        Subtype=Name.CIDFontType2,
        BaseFont=Name.GlyphLessFont,
        CIDSystemInfo=Dictionary(
            Registry=String("Adobe"), Ordering=String("Identity"), Supplement=0
        ),
        CIDToGIDMap=Name.Identity,
        DW=int(1000 * _GLYPH_WIDTH),
        FontDescriptor=pdf.make_indirect(
            Dictionary(
                Type=Name.FontDescriptor,
                FontName=Name.GlyphLessFont,
                Flags=5,
                FontBBox=Array([0, 0, int(1000 * _GLYPH_WIDTH), 1000]),
                ItalicAngle=0,
                Ascent=1000,
                Descent=0,
                CapHeight=1000,
                StemV=80,
            )
        ),
    )
    return Dictionary(
        Type=Name.Font,
        Subtype=Name.Type0,
        BaseFont=Name.GlyphLessFont,
        Encoding=Name("/Identity-H"),
        DescendantFonts=Array([pdf.make_indirect(descendant)]),
        ToUnicode=Stream(pdf, _to_unicode(codes)),
    )


def _to_unicode(codes: Mapping[str, int]) -> bytes:
    entries = [f"<{code:04x}> <{char.encode('utf-16-be').hex()}>" for char, code in codes.items()]
    sections = []
    for start in range(0, len(entries), _MOST_RANGES):
        part = entries[start : start + _MOST_RANGES]
        sections += [f"{len(part)} beginbfchar", *part, "endbfchar"]
    return "\n".join(
        (
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            "1 begincodespacerange\n<0000> <ffff>\nendcodespacerange",
            *sections,
            "endcmap CMapName currentdict /CMap defineresource pop end end",
        )
    ).encode("ascii")


def _add_page(
    pdf: pikepdf.Pdf,
    image: Image.Image,
    page: ReadPage,
    codes: Mapping[str, int],
    font: pikepdf.Object,
    scale: float,
) -> None:
    from pikepdf import Array, Dictionary, Name, Stream

    upright = turned_page(page, page.turn)
    image = image.rotate(90 * page.turn, expand=True)
    width, height = image.width * scale, image.height * scale
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=_JPEG_QUALITY)
    picture = Stream(
        pdf,
        content.getvalue(),
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=image.width,
        Height=image.height,
        ColorSpace=Name.DeviceRGB,
        BitsPerComponent=8,
        Filter=Name.DCTDecode,
    )
    drawn = [f"q {width:.2f} 0 0 {height:.2f} 0 0 cm /Im0 Do Q", "BT 3 Tr"]
    for number, one in enumerate(upright.blocks):
        top = number * image.height / len(upright.blocks)
        somewhere = Box(0, top, image.width, top + image.height / len(upright.blocks))
        drawn += _texts(one.block, somewhere, codes, height, scale)
    drawn.append("ET")
    resources = Dictionary(XObject=Dictionary(Im0=picture), Font=Dictionary(F0=font))
    pdf.add_blank_page(page_size=(width, height))
    added = pdf.pages[-1].obj
    added.Resources = resources
    added.Contents = Stream(pdf, "\n".join(drawn).encode("ascii"))
    added.MediaBox = Array([0, 0, round(width, 2), round(height, 2)])


def _texts(
    block: Block, somewhere: Box, codes: Mapping[str, int], height: float, scale: float
) -> Iterator[str]:
    """Operators that show the text of a block in its box, line by line; without a box, in one line `somewhere`."""
    if block.children and not block.rows and any(child.box for child in block.children):
        for child in block.children:
            yield from _texts(child, block.box or somewhere, codes, height, scale)
        return
    box = block.box or somewhere
    lines = _lines(block, num_lines(block.text, box) if block.box else 1)
    size = max(box.height * scale / max(len(lines), 1), 0.1)
    for number, line in enumerate(lines):
        shown = "".join(f"{codes[char]:04x}" for char in _from_left(line))
        natural = len(line) * _GLYPH_WIDTH * size
        stretch = 100 * max(box.width * scale, 0.1) / natural
        x, y = box.x1 * scale, height - box.y1 * scale - (number + 0.8) * size
        yield f"/F0 {size:.2f} Tf {stretch:.2f} Tz 1 0 0 1 {x:.2f} {y:.2f} Tm <{shown}> Tj"


def _lines(block: Block, count: int) -> list[str]:
    """About as many lines of a text as seem to be in its box; of a table, its rows."""
    text = block.text
    if block.rows or "\n" in text:
        return [" ".join(line.split()) for line in text.split("\n") if line.strip()]
    width = len(text) // count + 4 if count > 1 else len(text) + 1
    return textwrap.wrap(text, width, break_on_hyphens=False) if text.strip() else []


def _from_left(line: str) -> str:
    """Characters of a line in the order of their places, from left to right; only Arabic and Hebrew change."""
    if sum(map(is_right_to_left, line)) * 2 <= sum(char.isalpha() for char in line):
        return line
    return _LEFT_TO_RIGHT.sub(lambda found: found[0][::-1], line)[::-1]
