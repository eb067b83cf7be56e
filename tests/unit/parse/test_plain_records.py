# SPDX-License-Identifier: Apache-2.0
"""Results as plain JSON types: every name and every value, as a program reads them."""

from __future__ import annotations

import pytest

from finesight.errors import ParseError
from finesight.geometry import Box, Point, Resize, Size
from finesight.parse.document import Block, Cell, DocumentPage, Run
from finesight.parse.document_render import bbox_text, render_html
from finesight.parse.records import AnswerBox, AnswerCall, AnswerEvent, AnswerPoint

PLACED = {"label": "cat", "attributes": {"color": "red"}, "media_index": 1, "placed_by": "name"}
UNPLACED = {"label": "", "attributes": {}, "media_index": None, "placed_by": ""}


def test_a_box():
    placed = AnswerBox(
        box_resized=Box(1, 2, 3, 4),
        original=Box(10, 20, 30, 40),
        clipped=True,
        swapped=True,
        **PLACED,
    )
    assert placed.to_dict() == PLACED | {
        "box": [10, 20, 30, 40],
        "box_resized": [1, 2, 3, 4],
        "clipped": True,
        "swapped": True,
    }
    assert AnswerBox(box_resized=Box(1, 2, 3, 4)).to_dict() == UNPLACED | {
        "box": None,
        "box_resized": [1, 2, 3, 4],
        "clipped": False,
        "swapped": False,
    }


def test_a_point():
    placed = AnswerPoint(point_resized=Point(1, 2), original=Point(10, 20), clipped=True, **PLACED)
    assert placed.to_dict() == PLACED | {
        "point": [10, 20],
        "point_resized": [1, 2],
        "clipped": True,
    }
    assert AnswerPoint(point_resized=Point(1, 2)).to_dict() == UNPLACED | {
        "point": None,
        "point_resized": [1, 2],
        "clipped": False,
    }


def test_an_event():
    placed = AnswerEvent(
        model_start_seconds=1.0,
        model_end_seconds=2.0,
        source_seconds=(61.0, 62.5),
        clipped=True,
        swapped=True,
        **PLACED,
    )
    assert placed.to_dict() == PLACED | {
        "start_seconds": 61.0,
        "end_seconds": 62.5,
        "model_start_seconds": 1.0,
        "model_end_seconds": 2.0,
        "clipped": True,
        "swapped": True,
    }
    assert (placed.start_seconds, placed.end_seconds) == (61.0, 62.5)
    assert AnswerEvent(model_start_seconds=1.0, model_end_seconds=2.0).to_dict() == UNPLACED | {
        "start_seconds": None,
        "end_seconds": None,
        "model_start_seconds": 1.0,
        "model_end_seconds": 2.0,
        "clipped": False,
        "swapped": False,
    }


def test_a_call():
    call = AnswerCall(
        name="click",
        arguments={"coordinate": [1, 2], "button": "left"},
        points={"coordinate": Point(10, 20)},
        media_index=0,
        placed_by="only",
        clipped=True,
    )
    assert call.to_dict() == {
        "name": "click",
        "arguments": {"coordinate": [1, 2], "button": "left"},
        "points": {"coordinate": [10, 20]},
        "media_index": 0,
        "placed_by": "only",
        "clipped": True,
    }


@pytest.mark.parametrize(
    ("record", "name", "kind"),
    [
        (AnswerBox(box_resized=Box(1, 2, 3, 4), label="cat", span=(7, 9)), "box", "box"),
        (AnswerPoint(point_resized=Point(1, 2), label="cat", span=(7, 9)), "point", "point"),
        (
            AnswerEvent(model_start_seconds=1, model_end_seconds=2, label="cat", span=(7, 9)),
            "end_seconds",
            "event",
        ),
    ],
)
def test_what_has_no_place_says_so_and_what_to_do(record, name, kind):
    with pytest.raises(
        ParseError, match=f"which picture or video the {kind} 'cat' at character 7 is in"
    ) as found:
        getattr(record, name)
    assert "media_index" in found.value.hint


# ---------------------------------------------------------------------------------------------------- pages

TABLE = Block(
    tag="table",
    rows=(
        (Cell(runs=(Run("a"),), is_header=True, colspan=2),),
        (Cell(runs=(Run("b"),), rowspan=3),),
    ),
    box_resized=Box(10, 20, 30, 40),
)
PAGE = DocumentPage(
    blocks=(
        Block(tag="h2", runs=(Run("Ti"), Run("tle", ("bold",))), box_resized=Box(0, 0, 100, 10)),
        Block(tag="ul", children=(Block(tag="li", runs=(Run("one"),), is_cut=True),)),
        TABLE,
    ),
    is_cut=True,
)
RESIZE = Resize(original=Size(1000, 300), resized=Size(100, 100))


def test_a_page():
    plain = {
        "variant": "",
        "level": 0,
        "text": "",
        "box": None,
        "box_resized": None,
        "clipped": False,
        "is_cut": False,
    }
    assert PAGE.to_dict() == {
        "text": "Title\n\none\n\na\nb",
        "is_cut": True,
        "blocks": [
            plain
            | {
                "kind": "heading",
                "level": 2,
                "text": "Title",
                "box_resized": [0, 0, 100, 10],
            },
            plain
            | {
                "kind": "list",
                "children": [plain | {"kind": "list_item", "text": "one", "is_cut": True}],
            },
            plain
            | {
                "kind": "table",
                "box_resized": [10, 20, 30, 40],
                "rows": [
                    [{"text": "a", "is_header": True, "colspan": 2, "rowspan": 1}],
                    [{"text": "b", "is_header": False, "colspan": 1, "rowspan": 3}],
                ],
            },
        ],
    }


def test_a_page_in_original_pixels():
    blocks = PAGE.to_original(RESIZE).to_dict()["blocks"]
    assert [block["box"] for block in blocks] == [[0, 0, 1000, 30], None, [100, 60, 300, 120]]
    assert [block["clipped"] for block in blocks] == [False, False, False]
    beyond = DocumentPage(blocks=(Block(tag="p", box_resized=Box(0, 0, 101, 50)),))
    (block,) = beyond.to_original(RESIZE).to_dict()["blocks"]
    assert (block["box"], block["clipped"]) == ([0, 0, 1000, 150], True)


@pytest.mark.parametrize(
    ("name", "kind", "variant"),
    [
        ("image", "image", ""),
        ("image caption", "image", "caption"),
        ("image_caption", "image", "caption"),
        ("Chart", "chart", ""),
        ("formula-handwritten", "formula", "handwritten"),
        ("music.sheet", "music_sheet", ""),
        ("chemical_formula  ocr", "chemical_formula", "ocr"),
        (" image ", "image", ""),
        ("something", "group", ""),
        ("", "group", ""),
    ],
)
def test_kinds_by_class(name, kind, variant):
    block = Block(tag="div", attributes={"class": name})
    assert (block.kind, block.variant) == (kind, variant)


def test_a_page_is_written():
    assert render_html(PAGE) == "\n".join(
        [
            "<html><body>",
            '<h2 data-bbox="0 0 100 10">Ti<b>tle</b></h2>',
            "<ul>",
            "<li>one</li>",
            "</ul>",
            '<table data-bbox="10 20 30 40">',
            '<tr><th colspan="2">a</th></tr>',
            '<tr><td rowspan="3">b</td></tr>',
            "</table>",
            "</body></html>",
        ]
    )
    assert render_html(DocumentPage(), fenced=True) == "```html\n<html><body>\n</body></html>\n```"


def test_line_breaks_are_written_as_tags_except_where_they_are_kept():
    lines = (Run("a\nb"),)
    rows = ((Cell(runs=lines), Cell(runs=(Run("c"),))),)
    page = DocumentPage(
        blocks=(
            Block(tag="p", runs=lines),
            Block(tag="pre", runs=lines),
            Block(tag="table", rows=rows),
        )
    )
    assert render_html(page).split("\n", 1)[1] == (
        "<p>a<br/>b</p>\n<pre>a\nb</pre>\n<table>\n<tr><td>a<br/>b</td><td>c</td></tr>\n</table>\n"
        "</body></html>"
    )


def test_numbers_of_boxes_are_written_short():
    assert bbox_text(Box(1, 2.0, 3.5, -4)) == "1 2 3.5 -4"
