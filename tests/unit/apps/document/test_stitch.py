# SPDX-License-Identifier: Apache-2.0
"""Pages joined to a document: heads and feet, paragraphs and tables that go on, levels of headings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finesight.apps.document.html import document_html, document_json
from finesight.apps.document.markdown import block_markdown, document_markdown
from finesight.apps.document.records import Document, ReadBlock
from finesight.apps.document.stitch import items_of, stitched
from finesight.parse.document import Block, Cell, Run
from tests.support.read_pages import block, book, page

FULL = "The harbour was closed by ice in February, and the"


def texts(document):
    return [item.block.text for item in items_of(document) if item.role == "body"]


# ------------------------------------------------------------------------------------------------ heads and feet


def with_head(number, *blocks, head="Annual report", foot="Page {}"):
    return page(number, block(head, 40), *blocks, block(foot.format(number), 1340))


def test_lines_on_three_pages_are_heads_and_feet():
    document = book(*(with_head(number, block(f"Text {number}.", 300)) for number in range(1, 4)))
    roles = [[one.role for one in each.blocks] for each in document.pages]
    assert roles == [["page_header", "body", "page_footer"]] * 3
    assert texts(document) == ["Text 1.", "Text 2.", "Text 3."]
    written = document_markdown(document)
    assert "Annual report" not in written
    assert "Page 1" not in written
    blocks = document_json(document)["pages"][2]["blocks"]
    assert (blocks[0]["text"], blocks[0]["role"]) == ("Annual report", "page_header")
    assert document_html(document).count('data-role="page_footer"') == 3


def test_lines_on_two_pages_are_text():
    document = book(*(with_head(number, block(f"Text {number}.", 300)) for number in (1, 2)))
    assert all(one.role == "body" for _, one in document.blocks())


def test_heads_of_left_and_right_pages_are_found_and_a_misread_letter_does_no_harm():
    heads = ["The harbour office", "Chapter on ice", "The harbour 0ffice", "Chapter on ice"] * 2
    document = book(
        *(
            with_head(number, block("Text.", 300), head=head, foot="{} of 8")
            for number, head in enumerate(heads, 1)
        )
    )
    assert [each.blocks[0].role for each in document.pages] == ["page_header"] * 8
    assert [each.blocks[-1].role for each in document.pages] == ["page_footer"] * 8


def test_numbered_headings_and_captions_at_the_same_height_are_text():
    """Their numbers do not grow with the pages, or they are headings."""
    document = book(
        *(
            page(
                number, block(f"Chapter {number}", 50, tag="h1"), block(f"Table {number * 2}", 1330)
            )
            for number in range(1, 5)
        )
    )
    assert all(one.role == "body" for _, one in document.blocks())


def test_equal_lines_at_other_heights_are_text():
    document = book(*(page(number, block("Note", 40 + 40 * number)) for number in range(1, 4)))
    assert all(one.role == "body" for _, one in document.blocks())


# -------------------------------------------------------------------------------------------- paragraphs go on


def test_a_paragraph_goes_on_after_heads_and_figures():
    first = page(
        1, block("A report.", 200), block(FULL, 900), block(tag="img", top=1000, height=200)
    )
    second = page(2, block("lighthouse stood alone.", 200), block("Another one.", 300))
    document = book(first, second)
    assert texts(document)[:2] == ["A report.", f"{FULL} lighthouse stood alone."]
    item = items_of(document)[1]
    assert [piece.page.number for piece in item.pieces] == [1, 2]
    assert document_markdown(document).count("lighthouse stood alone") == 1
    assert 'data-pages="1 2"' in document_html(document)


@pytest.mark.parametrize(
    ("tail", "head"),
    [
        ("It was closed.", "and opened again."),  # the end of a sentence
        (FULL, "Ships waited."),  # the start of a sentence
        ("It was closed:", "two ships."),
    ],
)
def test_other_paragraphs_stay_apart(tail, head):
    assert texts(book(page(1, block(tail)), page(2, block(head)))) == [tail, head]


def test_a_heading_is_not_continued():
    document = book(page(1, block("Harbours of the", tag="h2")), page(2, block("north are small.")))
    assert len(texts(document)) == 2


def test_a_split_word_is_joined_if_the_document_has_it():
    start, end = "Every ship of the har-", "bour waited"
    known = book(page(1, block("The harbour."), block(start, 900)), page(2, block(end)))
    assert texts(known)[-1] == "Every ship of the harbour waited"
    compound = book(page(1, block("A ship that is well-", 900)), page(2, block("known waited")))
    assert texts(compound)[-1] == "A ship that is well-known waited"


def test_chinese_goes_on_without_a_space():
    document = book(page(1, block("港口在二月份因为结冰", 900)), page(2, block("关闭了九天。")))
    assert texts(document) == ["港口在二月份因为结冰关闭了九天。"]


def test_pages_of_other_files_are_not_joined():
    other = replace(page(2, block("lighthouse stood alone.")), source="other.pdf")
    assert len(texts(book(page(1, block(FULL)), other))) == 2


def test_lines_of_a_page_become_paragraphs():
    lines = ["The harbour was closed by ice", "in February, and no ship came", "for nine days."]
    blocks = [
        block(text, 200 + 36 * index, right=900 - (index == 2) * 500)
        for index, text in enumerate(lines)
    ]
    apart = block("Ships waited.", 400)
    document = book(page(1, *blocks, apart, route="spotting"))
    assert texts(document) == [" ".join(lines), "Ships waited."]
    assert [one.continues for one in document.pages[0].blocks] == [False, True, True, False]
    assert len(texts(book(page(1, *blocks, apart)))) == 4, "blocks of HTML are paragraphs already"


# ------------------------------------------------------------------------------------------------ tables go on


HEADER = ["Port", "Ships"]


def table(top, rows, **more):
    return block(top=top, rows=rows, height=30 * len(rows), **more)


def test_a_table_over_three_pages_is_one_table():
    rows = [[f"Port {number}", str(number)] for number in range(9)]
    parts = [[HEADER, *rows[start : start + 3]] for start in (0, 3, 6)]
    document = book(
        with_head(1, block("Ports.", 300), table(900, parts[0])),
        with_head(2, table(100, parts[1])),
        with_head(3, table(100, parts[2]), block("End.", 800)),
    )
    tables = [item for item in items_of(document) if item.block.rows]
    assert len(tables) == 1
    assert [[cell.text for cell in row] for row in tables[0].block.rows] == [HEADER, *rows]
    assert document_markdown(document).count("| Port | Ships |") == 1
    assert [piece.page.number for piece in tables[0].pieces] == [1, 2, 3]


def test_a_continued_table_without_a_header_keeps_all_rows():
    document = book(page(1, table(900, [HEADER, ["A", "1"]])), page(2, table(100, [["B", "2"]])))
    (item,) = items_of(document)
    assert [row[0].text for row in item.block.rows] == ["Port", "A", "B"]


@pytest.mark.parametrize(
    "second",
    [
        (table(100, [["B", "2", "3"]]),),  # other columns
        (table(100, [["B", "2"]], left=200),),  # another place
        (block("Table 2"), table(200, [HEADER, ["B", "2"]])),  # a caption between
    ],
)
def test_other_tables_stay_apart(second):
    document = book(page(1, table(900, [HEADER, ["A", "1"]])), page(2, *second))
    assert sum(bool(item.block.rows) for item in items_of(document)) == 2


# --------------------------------------------------------------------------------------------- levels of headings


def levels(document):
    return {one.block.text: one.block.level for _, one in document.blocks() if one.block.level}


def test_numbers_of_headings_decide_their_levels():
    first = page(1, block("1 Ports", tag="h1"), block("1.1 Northern ports", 200, tag="h1"))
    second = page(2, block("1.1.1 Ice", tag="h2"), block("2 Ships", 200, tag="h4"))
    assert levels(book(first, second)) == {
        "1 Ports": 1, "1.1 Northern ports": 2, "1.1.1 Ice": 3, "2 Ships": 1,
    }  # fmt: skip


def test_heights_decide_where_there_are_no_numbers():
    first = page(
        1,
        block("Ports and ships of the northern coast", tag="h1", height=60),
        block("1. Ports of the north and their seasons", 200, tag="h1", height=40),
    )
    second = page(
        2,
        block("Ships of the north and of the islands", tag="h1", height=39),
        block("Small ships that came in the summer", 200, tag="h1", height=28),
    )
    assert list(levels(book(first, second)).values()) == [1, 2, 2, 3]


def test_a_single_page_keeps_the_levels_of_the_model():
    document = book(page(1, block("Ports", tag="h3", height=60), block("Ships", 300, tag="h1")))
    assert levels(document) == {"Ports": 3, "Ships": 1}


# ------------------------------------------------------------------------------------------------- reading order


def columns():
    left = [block(f"Left {number}.", 200 + 100 * number, right=450) for number in range(4)]
    right = [block(f"Right {number}.", 200 + 100 * number, left=550) for number in range(4)]
    return left, right


def test_rows_across_columns_are_out_of_order_and_can_be_put_in_order():
    left, right = columns()
    mixed = [one for pair in zip(left, right, strict=True) for one in pair]
    wrong = replace(page(1, block("Title", 100), *mixed), invented=(2,))
    document = book(wrong)
    assert document.pages[0].is_out_of_order
    assert texts(document)[1:3] == ["Left 0.", "Right 0."]
    ordered = book(wrong, order="geometry")
    names = [one.block.text for one in (*left, *right)]
    assert texts(ordered) == ["Title", *names]
    (invented,) = ordered.pages[0].invented
    assert ordered.pages[0].blocks[invented].block.text == "Right 0."
    assert not book(page(1, block("Title", 100), *left, *right)).pages[0].is_out_of_order


def test_a_second_stitching_changes_nothing():
    left, right = columns()
    document = book(with_head(1, *left), with_head(2, *right), with_head(3, block(FULL)))
    assert stitched(document) == document
    assert stitched(Document(())) == Document(())


@pytest.mark.parametrize(
    ("one", "written"),
    [
        (Block(tag="h2", runs=(Run("1. Scope"),)), "## 1\\. Scope"),
        (Block(tag="h1", runs=(Run("Annual\nReport"),)), "# Annual Report"),
        (Block(tag="p", runs=(Run("2) is a number\n- no entry"),)), "2\\) is a number\n\\- no entry"),
        (Block(tag="pre", runs=(Run("a\n```\nb"),)), "````\na\n```\nb\n````"),
        (Block(tag="p", runs=(Run("a`b", ("code",)),)), "`` a`b ``"),
        (
            Block(tag="table", rows=((Cell(runs=(Run("a|b", ("code",)),)),),)),
            "| `a\\|b` |\n| --- |",
        ),
        (
            Block(tag="blockquote", children=(Block(tag="p", runs=(Run("a"),)), Block(tag="p", runs=(Run("b"),)))),
            "> a\n>\n> b",
        ),
    ],
)  # fmt: skip
def test_markdown_of_a_block(one, written):
    assert block_markdown(ReadBlock(block=one)) == written
