# SPDX-License-Identifier: Apache-2.0
"""Pages as models write them: what is open, what is nested wrongly, what is cut, and what is said about it."""

from __future__ import annotations

import pytest

from finesight.parse.document import Block, DocumentPage, Run
from finesight.parse.document_html import read_document
from finesight.parse.document_render import render_html


def page(body: str) -> DocumentPage:
    found = read_document(f"<html><body>{body}</body></html>")
    assert found is not None
    assert not found.is_cut
    return found


def outline(blocks) -> list:
    """Each block as its tag and its text, children or rows of cells."""
    return [
        (
            block.tag,
            [[cell.text for cell in row] for row in block.rows]
            or outline(block.children)
            or block.text,
        )
        for block in blocks
    ]


def read(body: str) -> list:
    return outline(page(body).blocks)


@pytest.mark.parametrize(
    ("body", "blocks"),
    [
        ("<p>a</p><p>b</p>", [("p", "a"), ("p", "b")]),
        ("<p>a<p>b", [("p", "a"), ("p", "b")]),
        ("<h1>a<p>b</p>", [("h1", "a"), ("p", "b")]),
        ("<p>a<b>b<p>c", [("p", "ab"), ("p", "c")]),
        ("<p>a</b>c</p>", [("p", "ac")]),
        ("<p>a</div>b</p>", [("p", "ab")]),
        ("<div>a<p>b</p>c</div>", [("div", [("", "a"), ("p", "b"), ("", "c")])]),
        ("<div><p>a</div>b", [("div", [("p", "a")]), ("", "b")]),
        ("<div><div>a</div>b</div>", [("div", [("div", "a"), ("", "b")])]),
        ("a<p>b</p>c", [("", "a"), ("p", "b"), ("", "c")]),
        ("<ul><li>a<li>b</ul>", [("ul", [("li", "a"), ("li", "b")])]),
        ("<ul><li>a</li>b<li>c</ul>", [("ul", [("li", "a"), ("", "b"), ("li", "c")])]),
        (
            "<ul><li>a<ul><li>b</ul><li>c</ul>",
            [("ul", [("li", [("", "a"), ("ul", [("li", "b")])]), ("li", "c")])],
        ),
        (
            "<ol><li>a<ol><li>b</ol><li>c</ol>",
            [("ol", [("li", [("", "a"), ("ol", [("li", "b")])]), ("li", "c")])],
        ),
        ("<ul><li>a<b>x<li>b</ul>", [("ul", [("li", "ax"), ("li", "b")])]),
        ("<p>a<span>b</span><a>c</a></p>", [("p", "abc")]),
        ("<p>a<foo>b</foo></p>", [("p", "a<foo>b</foo>")]),
        ("<p>a &lt;b&gt; &amp;</p>", [("p", "a <b> &")]),
        ("<p>a<br>b<br/>c</p>", [("p", "a\nb\nc")]),
        ("<p> a \n  b </p>", [("p", "a b")]),
        ("<p></p><p/>", [("p", ""), ("p", "")]),
        ("<img/><img>", [("img", ""), ("img", "")]),
        ("<p>a</p></img>", [("p", "a")]),
        ("<p>a <!-- b --> c</p>", [("p", "a c")]),
        ("<title>t</title><p>a</p>", [("p", "a")]),
        ("<TITLE>t</Title><p>a</p>", [("p", "a")]),
        ("<pre>a\n  b</pre>", [("pre", "a\n  b")]),
        ("<p>a\n  b</p>", [("p", "a b")]),
    ],
)
def test_blocks(body, blocks):
    assert read(body) == blocks


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ("<tr><td>a</td><td>b</td></tr><tr><td>c</td></tr>", [["a", "b"], ["c"]]),
        ("<tr><td>a<td>b<tr><td>c", [["a", "b"], ["c"]]),
        ("<td>a<td>b", [["a", "b"]]),  # a row that was not opened
        ("<th>a</th><tr><td>b</td></tr>", [["a"], ["b"]]),
        ("<thead><tr><th>a</th></tr></thead><tbody><tr><td>b</td></tr></tbody>", [["a"], ["b"]]),
        ("<tr><td><p>a</p><p>b</p></td><td>c</td></tr>", [["a\nb", "c"]]),
        ("<tr><td>a</p></td><td>b</td></tr>", [["a", "b"]]),
        ("<tr><td>a</div></ul>b</td></tr>", [["a\nb"]]),
        ("<tr><td>a<b>b</td><td>c</td></tr>", [["ab", "c"]]),
        ("<tr><td>a</span>b</td><td>c</td></tr>", [["ab", "c"]]),
        ("<tr><td>a</tr><tr><td>b</tr>", [["a"], ["b"]]),
        ("<tr></tr><tr><td>a</td></tr>", [[], ["a"]]),
        ("<tr><td> a \n b </td></tr>", [["a b"]]),
        (
            "<tr><td>a<table><tr><td>x</td><td>y</td></tr></table>b</td><td>c</td></tr>",
            [["a\nx\ny\nb", "c"]],
        ),
    ],
)
def test_tables(body, rows):
    ((tag, found),) = read(f"<table>{body}</table>")
    assert tag == "table"
    assert [[" ".join(cell.split()) for cell in row] for row in found] == [
        [" ".join(cell.split()) for cell in row] for row in rows
    ]


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ("<title>t</title><p>a</p>", []),
        ("<table><tr><td><img></td></tr></table>", ["a picture within a table cell was left out"]),
        (
            "<table><tr><td><table><tr><td>a</td></tr></table></td></tr></table>",
            ["a table within a table cell was flattened"],
        ),
    ],
)
def test_what_is_said_of_a_page(body, messages):
    assert [problem.message for problem in page(body).problems] == messages


def test_a_cell_after_its_table_means_nothing():
    assert read("<table><tr><td>a</td></tr></table><td>b</td>") == [("table", [["a"]]), ("", "b")]
    assert read("<p>a</td>b</p>") == [("p", "ab")]


def test_a_list_beside_a_table_within_a_list():
    found = read("<ul><li>a<table><tr><td>b</td></tr></table><li>c</ul>")
    assert found == [("ul", [("li", [("", "a"), ("table", [["b"]])]), ("li", "c")])]


@pytest.mark.parametrize(
    ("body", "said", "where"),
    [
        ("<table><tr><td><img></td></tr></table>", "a picture within a table cell", "<img>"),
        (
            "<table><tr><td><table><tr><td>a</td></tr></table></td></tr></table>",
            "a table within a table cell",
            "<table>",
        ),
        ("<script>x()</script><p>a</p>", "<script> was left out", "<script>x()"),
        ("<svg><path/></svg><p>a</p>", "<svg> was left out", "<svg><path/>"),
        (
            '<p data-bbox="1 2 3">a</p>',
            "data-bbox is '1 2 3', not four numbers",
            '<p data-bbox="1 2 3">',
        ),
        ('<p data-bbox="9 2 3 4">a</p>', "corners", '<p data-bbox="9 2 3 4">'),
        ('<table><tr><td colspan="0">a</td></tr></table>', "colspan is '0'; 1 is used", ""),
        ('<table><tr><td rowspan="x">a</td></tr></table>', "rowspan is 'x'; 1 is used", ""),
    ],
)
def test_what_is_left_out_is_reported_with_its_place(body, said, where):
    text = f"<html><body>{body}</body></html>"
    found = read_document(text)
    (problem,) = found.problems
    assert said in problem.message
    start, end = problem.span
    assert text[start:end].endswith(where)
    assert "x()" not in found.text


def test_boxes_and_polygons():
    body = (
        '<p data-bbox="1 2 3 4">a</p><p data-polygon="5 6 1 2 3 9">b</p>'
        '<p data-polygon="1 2 3 4">c</p><p data-polygon="1 2 3 4 5 6 7">d</p><img data-bbox="1,2,3,4"/>'
    )
    boxes = [
        block.box_resized
        and (block.box_resized.x1, block.box_resized.y1, block.box_resized.x2, block.box_resized.y2)
        for block in page(body).blocks
    ]
    assert boxes == [(1, 2, 3, 4), (1, 2, 5, 9), None, None, (1, 2, 3, 4)]


def test_a_style_sheet_belongs_to_the_next_block():
    first, second, third = page("<style>s {}</style><p>a</p><p>b</p><STYLE/><p>c</p>").blocks
    assert (first.style, second.style, third.style) == ("s {}", "", "")


@pytest.mark.parametrize(
    ("text", "blocks", "is_cut"),
    [
        ("<html><body><p>a</p><p>b", [("p", "a"), ("p", "b")], True),
        ("<html><body><p>a</p>", [("p", "a")], True),
        ("<html><body><p>a</p></body>", [("p", "a")], False),
        ("<html><body><p>a</p></html></body> later", [("p", "a")], False),
        ("<html><body><p>a</p>b", [("p", "a"), ("", "b")], True),
        ("<html><body><p>a</p><p data-bb", [("p", "a")], True),
        ("<html><body><p>a</p><!-- b", [("p", "a")], True),
        ("<html><body><p>a</p></body><!-- b", [("p", "a")], False),
        ("<html><body><p>a</p></body><b", [("p", "a")], False),
        ("```html\n<p>a</p>\n```\nlater", [("p", "a")], False),
        ("```html\n<p>a</p>\nb\n```", [("p", "a"), ("", "b")], False),
        ("```html\n<p>a", [("p", "a")], True),
        ("```html\n<p>a</p>", [("p", "a")], False),
        ("```HTML\n<p>a</p>\n```", [("p", "a")], False),
        ('before <p data-bbox="1 2 3 4">a</p> later', [("p", "a")], False),
        ('<p data-bbox="1 2 3 4">a</p> later <p', [("p", "a"), ("", "later")], True),
        ("<html><body><p>a<b>b", [("p", "ab")], True),
        ("<html><body><script>x", [], True),
    ],
)
def test_where_a_page_ends(text, blocks, is_cut):
    found = read_document(text)
    assert (outline(found.blocks), found.is_cut) == (blocks, is_cut)


def test_only_the_block_that_was_open_is_cut():
    found = read_document("<html><body><p>a</p><ul><li>b</li><li>c")
    assert [block.is_cut for block in found.walk()] == [False, True, False, True]


def test_the_stretch_of_a_page():
    text = "before <html><body><p>a</p></body></html> later"
    start, end = read_document(text).span
    assert text[start:end] == "<html><body><p>a</p></body></html>"
    text = 'before <p data-bbox="1 2 3 4">a</p> later'
    start, end = read_document(text).span
    assert text[start:end] == '<p data-bbox="1 2 3 4">a</p>'
    assert read_document("no page at all") is None
    assert read_document("a <p>without</p> a box") is None


def test_marks_of_a_run():
    (block,) = page("<p>a<b>b<i>c</i></b>d<sup>2</sup><del>e</del></p>").blocks
    assert block.runs == (
        Run("a"),
        Run("b", ("bold",)),
        Run("c", ("bold", "italic")),
        Run("d"),
        Run("2", ("superscript",)),
        Run("e", ("strike",)),
    )
    (table,) = page("<b><table><tr><td>a<i>b</i></td></tr></table></b>").blocks
    assert table.rows[0][0].runs == (Run("a"), Run("b", ("italic",)))


def test_blanks_between_runs_go_to_the_plainer_one():
    (block,) = page("<p>a <b> b </b> c<i> d</i></p>").blocks
    assert block.runs == (Run("a "), Run("b", ("bold",)), Run(" c "), Run("d", ("italic",)))
    (block,) = page("<p><b>a</b> <i>b</i></p>").blocks
    assert block.runs == (Run("a ", ("bold",)), Run("b", ("italic",)))


def deepest(block: Block) -> int:
    return 1 + max(map(deepest, block.children), default=0)


@pytest.mark.parametrize(("depth", "levels"), [(10, 10), (62, 62), (63, 63), (64, 64), (200, 64)])
def test_what_is_nested_too_deeply_keeps_its_text(depth, levels):
    """A page and 63 elements within each other; a deeper one stands beside its text."""
    found = page("<div>" * depth + "a" + "</div>" * depth)
    assert found.text == "a"
    assert max(map(deepest, found.blocks)) == levels


def test_what_is_written_reads_back():
    source = page(
        '<h1 data-bbox="1 2 3 4">A &amp; "B"</h1>\n<p>a<br/>b <b>c</b></p>\n<img data-bbox="0 0 9 9"/>\n'
        'loose &lt;text&gt;\n<table>\n<caption>d</caption>\n<tr><td colspan="2" rowspan="3">e</td></tr>\n</table>'
    )
    written = render_html(source)
    assert '<h1 data-bbox="1 2 3 4">A &amp; "B"</h1>' in written
    assert '<img data-bbox="0 0 9 9"/>' in written
    assert "\nloose &lt;text&gt;\n" in written
    assert '<td colspan="2" rowspan="3">e</td>' in written
    again = read_document(written)
    assert again.blocks == source.blocks
    assert isinstance(again.blocks[0], Block)
