# SPDX-License-Identifier: Apache-2.0
"""A document with every kind of block as DoclingDocument and as content list of MinerU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finesight.apps.document.docling import docling_json
from finesight.apps.document.mineru import content_list
from finesight.apps.evidence import Score
from finesight.geometry import Box
from finesight.parse.document import Block, Run
from tests.support.read_pages import block, book, page


def entry(text, *children):
    if children:
        return Block(tag="li", children=(Block(tag="p", runs=(Run(text),)), *children))
    return Block(tag="li", runs=(Run(text),))


def kinds():
    """A document of two pages."""
    nested = Block(tag="ul", children=(entry("inner"),))
    listed = replace(
        block(top=300).block, tag="ol", runs=(), children=(entry("first"), entry("second", nested))
    )
    caption = Block(tag="caption", runs=(Run("Table 1: ports"),))
    rows = [["Port", "Ships"], ["Åby", "3"]]
    chart = {"class": "chart"}
    drawing = replace(
        block(top=700, height=200).block,
        tag="div",
        runs=(),
        attributes={"class": "image"},
        children=(
            Block(tag="img", box=Box(100, 700, 900, 860)),
            Block(tag="p", runs=(Run("Figure 1"),)),
        ),
    )
    first = page(
        1,
        block("Ports", 100, tag="h1"),
        block("Ships", 200, tag="h2"),
        replace(block(), block=listed),
        replace(block("A line", 400), score=Score(0.9, "logprob"), in_source=0.5),
        block(top=500, rows=rows, height=60, children=(caption,)),
        replace(block(), block=drawing),
        block("E = mc^2", 950, tag="div", attributes={"class": "formula"}),
        block("x = 1", 1000, tag="pre"),
        block("CCO", 1050, tag="div", attributes={"class": "chemical formula", "format": "smile"}),
        block("X:1", 1100, tag="div", attributes={"class": "music sheet"}),
        block("A | 1", 1150, tag="div", attributes=chart),
        block("The last text that goes", 1300),
    )
    return book(first, page(2, block("on here.", 100)))


def test_docling_has_every_block_with_its_place():
    values = docling_json(kinds(), "book.pdf", {5: "figures/00001-1.png"})
    assert (values["schema_name"], values["version"]) == ("DoclingDocument", "1.10.0")
    labels = [one["label"] for one in values["texts"]]
    assert labels == [
        "title", "section_header", "list_item", "list_item", "list_item", "text", "caption",
        "caption", "formula", "code", "caption", "text",
    ]  # fmt: skip
    assert [one["label"] for one in values["pictures"]] == ["picture"] * 4
    assert values["pictures"][0]["image"]["uri"] == "figures/00001-1.png"
    assert values["pictures"][1]["meta"]["molecule"] == {"smi": "CCO"}
    text = values["texts"][-1]
    assert text["text"] == "The last text that goes on here."
    assert [one["page_no"] for one in text["prov"]] == [1, 2]
    assert text["prov"][0]["bbox"] == {
        "l": 100, "t": 1300, "r": 900, "b": 1330, "coord_origin": "TOPLEFT",
    }  # fmt: skip
    assert values["finesight"]["readings"]["#/texts/5"] == {
        "kind": "paragraph", "created_by": "model", "confidence": 0.9, "in_source": 0.5,
    }  # fmt: skip
    assert values["pages"]["2"]["size"] == {"width": 1000.0, "height": 1400.0}
    assert len(values["body"]["children"]) == 12


def test_references_of_docling_lead_to_nodes_and_back():
    values = docling_json(kinds(), "book.pdf")
    nodes = {
        node["self_ref"]: node
        for kind in ("texts", "groups", "tables", "pictures")
        for node in values[kind]
    }
    nodes["#/body"] = values["body"]
    for name, node in nodes.items():
        for child in node["children"]:
            assert nodes[child["$ref"]]["parent"] == {"$ref": name}
        for caption in node.get("captions", ()):
            assert caption["$ref"] in nodes


def test_merged_cells_have_offsets_in_the_grid():
    rows = [["Port", "Ships"], ["Åby", "3"]]
    one = block(top=500, rows=rows)
    cells = one.block.rows
    merged = (
        (replace(cells[0][0], rowspan=2), cells[0][1], cells[0][1]),
        (replace(cells[1][1], colspan=2),),
    )
    values = docling_json(book(page(1, replace(one, block=replace(one.block, rows=merged)))), "x")
    data = values["tables"][0]["data"]
    assert (data["num_rows"], data["num_cols"]) == (2, 3)
    last = data["table_cells"][-1]
    assert (last["start_row_offset_idx"], last["start_col_offset_idx"]) == (1, 1)
    assert last["end_col_offset_idx"] == 3


def test_the_content_list_is_flat_with_places_in_thousandths():
    entries = content_list(kinds(), {5: "figures/00001-1.png"})
    assert [one["type"] for one in entries] == [
        "text", "text", "list", "text", "table", "image", "equation", "code", "image", "image",
        "image", "text",
    ]  # fmt: skip
    assert [one.get("text_level") for one in entries[:2]] == [1, 2]
    assert entries[0]["bbox"] == [100, 71, 900, 93]
    assert entries[4]["table_caption"] == ["Table 1: ports"]
    assert "<th>Port</th>" in entries[4]["table_body"]
    assert entries[5]["img_path"] == "figures/00001-1.png"
    assert entries[5]["image_caption"] == ["Figure 1"]
    assert entries[6]["text"] == "$$\nE = mc^2\n$$"
    assert {one["page_idx"] for one in entries} == {0}


@pytest.mark.parametrize("number", range(3))
def test_heads_are_furniture(number):
    document = book(*(page(each, block("Report", 40), block("Text.", 300)) for each in (1, 2, 3)))
    nodes = docling_json(document, "x")["texts"]
    assert nodes[2 * number]["content_layer"] == "furniture"
    assert nodes[2 * number]["label"] == "page_header"
    assert content_list(document)[2 * number]["type"] == "header"
