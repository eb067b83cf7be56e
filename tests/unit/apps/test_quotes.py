# SPDX-License-Identifier: Apache-2.0
"""Places of quotes: by the characters of a text layer, by the width of a block, with the right name of the match."""

from __future__ import annotations

import pytest

from finesight.apps.document.pages import find_pages, load
from finesight.apps.document.records import ReadBlock, ReadPage
from finesight.apps.quotes import find_quote
from finesight.geometry import Box, Size, iou
from finesight.parse.document import Block, Cell, Run
from tests.support.documents import Line, lines_below, write_pdf

LINE = Box(100, 50, 300, 70)


def page_of(*blocks: Block, number=1, source="a.png", layer=()) -> ReadPage:
    return ReadPage(
        source=source,
        index=number - 1,
        number=number,
        size=Size(600, 800),
        status="read",
        blocks=tuple(ReadBlock(block=block) for block in blocks),
        layer=layer,
    )


def line(text: str, box=LINE) -> Block:
    return Block(tag="p", runs=(Run(text),), box=box)


@pytest.mark.parametrize(
    ("quote", "text", "match", "found"),
    [
        ("Total 12.50", "Total 12.50", "exact", "Total 12.50"),
        ("Total  12.50", "Total\n12.50", "spaces", "Total\n12.50"),
        ("the agreement", "the agree-\nment ends", "spaces", "the agree-\nment"),
        ("合同 编号", "合同编号 12", "spaces", "合同编号"),
        ("TOTAL", "Total 12.50", "case", "Total"),
        ("seller's", "the Seller’s duty", "case", "Seller’s"),
        ("1234.50", "Total 1.234,50", "numeric", "1.234,50"),
        ("EUR 1,234.50", "Total 1 234,50", "numeric", "1 234,50"),
        ("Muller and Sons", "Müller and Sons GmbH", "fuzzy", "Müller and Sons"),
        ("paid within 30 deys", "paid within 30 days", "fuzzy", "paid within 30 days"),
    ],
)
def test_a_quote_is_found_by_the_best_match(quote, text, match, found):
    (place,) = find_quote(quote, [page_of(line(text))])
    assert (place.match, place.quote, place.page, place.source) == (match, found, 0, "model")


@pytest.mark.parametrize(
    ("quote", "text"),
    [
        ("12", "112 and 1.12 and 12.5 and A12"),
        ("art", "party"),
        ("", "text"),
        ("4711", "4712"),
        ("99.00", "98.00"),
        ("unicorn ranch", "the seller delivers goods"),
        ("payment within 30 days", "30 Main Street"),
        ("paid within 10 to 20 days", "paid within 10 to 30 days"),
    ],
)
def test_parts_of_words_and_numbers_are_no_quotes(quote, text):
    assert find_quote(quote, [page_of(line(text))]) == ()


def test_all_places_are_given_and_the_best_pages_come_first():
    pages = [
        page_of(line("TOTAL due")),
        page_of(line("Total due"), line("Total due", Box(0, 0, 50, 10)), number=2),
    ]
    found = find_quote("Total due", pages)
    assert [(one.page, one.match) for one in found] == [(1, "exact"), (1, "exact"), (0, "case")]
    assert [one.page for one in find_quote("Total due", pages, page=1)] == [0]


def test_files_are_counted_as_media():
    pages = [page_of(line("one")), page_of(line("two"), source="b.png")]
    assert find_quote("two", pages)[0].media == 1


def test_the_text_layer_gives_the_box_of_the_characters(tmp_path):
    lines = [Line("Total due: 1,234.50 EUR until May"), *lines_below(["other text"], top=200)]
    path = write_pdf(tmp_path / "a.pdf", [lines])
    image = load(find_pages([path])[0])
    (drawn, *_) = image.lines
    assert len(drawn.lefts) == len(drawn.text)
    page = page_of(layer=image.lines)
    (place,) = find_quote("1234.50", [page])
    assert (place.source, place.match) == ("pdf_text", "numeric")
    # The true edges: the columns of ink between the spaces around the number.
    rows = image.pixels[int(drawn.box.y1) : int(drawn.box.y2)].min(axis=(0, 2)) < 128
    ink = [column for column in range(len(rows)) if rows[column]]
    inside = [column for column in ink if place.box.x1 - 1 <= column <= place.box.x2 + 1]
    assert abs(place.box.x1 - inside[0]) < 4
    assert abs(place.box.x2 - inside[-1]) < 4
    assert not rows[int(place.box.x2) + 2 : int(place.box.x2) + 4].any()


def test_a_block_of_one_line_is_shared_by_width():
    (place,) = find_quote("12.50", [page_of(line("Total due 12.50"))])
    assert place.box.x2 == pytest.approx(300)
    assert 210 < place.box.x1 < 250
    assert (place.box.y1, place.box.y2) == (50, 70)


def test_a_paragraph_is_shared_by_lines():
    words = [f"word{number:02}" for number in range(40)]
    (place,) = find_quote("word39", [page_of(line(" ".join(words), Box(0, 0, 500, 100)))])
    assert place.box.y1 > 70
    assert place.box.y2 == pytest.approx(100)
    assert place.box.x1 > 300


def test_a_cell_has_the_box_of_its_row_and_column():
    rows = tuple(
        tuple(Cell(runs=(Run(text),)) for text in row)
        for row in (("Item", "Price"), ("Bolts", "3.20"), ("Nuts", "1.10"))
    )
    table = Block(tag="table", rows=rows, box=Box(0, 0, 200, 90))
    (place,) = find_quote("1.10", [page_of(table)])
    assert iou(place.box, Box(100, 60, 200, 90)) > 0.5


def test_a_block_without_a_place_gives_a_quote_without_a_box():
    (place,) = find_quote("words", [page_of(line("some words", None))])
    assert place.box is None
    assert place.match == "exact"
