# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from finesight.geometry import Box, Resize, Size
from finesight.parse.document import Run
from finesight.parse.document_html import MAX_DEPTH, read_document
from finesight.parse.document_render import render_html

REPORT_EXAMPLE = """```html
<html><body>
<p data-bbox="10 20 300 40"> content </p>
<style>table1 td {color: red}</style><table data-bbox="10 50 300 90" class="table1"><tr><td>a</td></tr></table>
<div class="chart" data-bbox="1 2 3 4"> <img data-bbox="1 2 3 3" /><table><tr><th>x</th></tr></table></div>
<div class="formula" data-bbox="1 2 3 4"> <img data-bbox="1 2 3 4" /> <div> \\frac{a}{b} </div></div>
<div class="image caption" data-bbox="1 2 3 4"> <img data-bbox="1 2 3 3" /><p> a cat </p></div>
<div class="image ocr" data-bbox="1 2 3 4"> <img data-bbox="1 2 3 3" /><p> STOP </p></div>
<div class="music sheet" format="abc notation" data-bbox="1 2 3 4"> <img data-bbox="1 2 3 4" /> <div> X:1
K:C </div></div>
<div class="chemical formula" format="smile" data-bbox="1 2 3 4"> <img data-bbox="1 2 3 4" /> <div> CCO </div></div>
</html></body>
```"""


def blocks(text):
    return read_document(text).blocks


def body(inner):
    return f"<html><body>{inner}</body></html>"


def only(inner):
    (block,) = blocks(body(inner))
    return block


def test_every_element_of_the_report():
    page = read_document(REPORT_EXAMPLE)
    assert [(block.kind, block.variant) for block in page.blocks] == [
        ("paragraph", ""),
        ("table", ""),
        ("chart", ""),
        ("formula", ""),
        ("image", "caption"),
        ("image", "ocr"),
        ("music_sheet", ""),
        ("chemical_formula", ""),
    ]
    assert page.blocks[0].box_resized == Box(10, 20, 300, 40)
    assert page.blocks[0].text == "content"
    assert page.blocks[1].style == "table1 td {color: red}"
    assert page.blocks[2].children[0].box_resized == Box(1, 2, 3, 3)
    assert page.blocks[2].children[1].rows[0][0].is_header
    assert page.blocks[3].text == "\\frac{a}{b}"
    assert page.blocks[6].text == "X:1\nK:C"
    assert page.blocks[6].attributes["format"] == "abc notation"
    assert not page.is_cut
    assert page.problems == ()


def test_headings_and_lists():
    page = read_document(body('<h2 data-bbox="1 2 3 4">T</h2><ol><li>a<li>b<ul><li>c</ul></ol>'))
    heading, listed = page.blocks
    assert (heading.kind, heading.level) == ("heading", 2)
    assert [child.kind for child in listed.children] == ["list_item", "list_item"]
    assert listed.children[1].children[1].children[0].text == "c"


def test_a_page_with_text_around_it():
    text = f"Here is the page:\n```html\n{body('<p>x</p>')}\n```\nDone <p>not this</p>."
    page = read_document(text)
    assert page.text == "x"
    assert text[page.span[0] : page.span[1]].strip() == body("<p>x</p>")


@pytest.mark.parametrize(
    "text",
    [
        '<p data-bbox="1 2 3 4">x</p>',
        'Sure: <p data-bbox="1 2 3 4">x</p> That is all.',
        "<!DOCTYPE html>\n<html><p>x</p></html>",
        "```html\n<p>x</p>\n```",
        "<html><body><!-- <p>no</p> --><p>x</p></body></html>",
        "<BODY><P>x</P></BODY>",
        "<html><head><title>no</title><script>no()</script></head><body><p>x</p></body></html>",
    ],
)
def test_where_a_page_begins_and_ends(text):
    assert [block.text for block in blocks(text)] == ["x"]


@pytest.mark.parametrize("text", ["", "no page", "a <b>bold</b> word", "<p>x</p>", "1 < 2", "{}"])
def test_what_is_no_page(text):
    assert read_document(text) is None


@pytest.mark.parametrize("closing", ["</html></body>", "</body></html>", "</body>", "</html>"])
def test_any_closing_order(closing):
    page = read_document(f"<html><body><div><p>x{closing}")
    assert not page.is_cut
    assert page.text == "x"


@pytest.mark.parametrize("fenced", [True, False])
def test_backticks_within_a_page_are_text(fenced):
    inner = body("<p>```</p><pre>```python\nx\n```\n</pre>")
    page = read_document(f"```html\n{inner}\n```" if fenced else inner)
    assert [block.text for block in page.blocks] == ["```", "```python\nx\n```"]
    assert not page.is_cut


@pytest.mark.parametrize("end", ["\n```\nDone.", "```", "\n```"])
def test_a_page_without_a_wrapper_ends_with_its_fence(end):
    page = read_document('```html\n<p data-bbox="1 2 3 4">x</p>' + end)
    assert [block.text for block in page.blocks] == ["x"]
    assert not page.is_cut


def test_inline_marks():
    block = only("<p>E = mc<sup>2</sup>, <b><i>both</i></b> &amp; more</p>")
    assert block.runs == (
        Run("E = mc"),
        Run("2", ("superscript",)),
        Run(", "),
        Run("both", ("bold", "italic")),
        Run(" & more"),
    )


def test_blanks_collapse_and_breaks_stay():
    assert only("<p>  a \n b<br>  c&nbsp;&nbsp;d </p>").text == "a b\nc d"


def test_formulas_keep_their_lines():
    assert only('<div class="formula"><div>a &amp; b \\\\\n  c < d</div></div>').text == (
        "a & b \\\\\n  c < d"
    )


def test_unclosed_paragraphs():
    assert [block.text for block in blocks(body("<p>a<p>b<h1>c<p>d"))] == ["a", "b", "c", "d"]


def test_stray_and_unknown_tags():
    page = read_document(body("</div></td><p>a</span></b> <foo>b</foo></p><td>c</td>"))
    assert [block.text for block in page.blocks] == ["a <foo>b</foo>", "c"]


def test_loose_text_is_a_block():
    page = read_document(body('before<p data-bbox="1 2 3 4">x</p>after'))
    assert [(block.kind, block.text) for block in page.blocks] == [
        ("text", "before"),
        ("paragraph", "x"),
        ("text", "after"),
    ]


def test_tables():
    table = only(
        '<table><caption>C</caption><thead><tr><th colspan="2">A</thead><tbody>'
        "<tr><td rowspan=2>1<td>2<tr><td><p>3</p><p>4</p></table>"
    )
    cells = [[(c.text, c.is_header, c.colspan, c.rowspan) for c in row] for row in table.rows]
    assert cells == [
        [("A", True, 2, 1)],
        [("1", False, 1, 2), ("2", False, 1, 1)],
        [("3\n4", False, 1, 1)],
    ]
    assert table.children[0].kind == "caption"
    assert table.text == "C\nA\n1\t2\n3\n4"


def test_a_table_within_a_cell_is_flattened_and_reported():
    page = read_document(body("<table><tr><td>a<table><tr><td>b</table>c</table>"))
    assert page.blocks[0].rows[0][0].text == "a\nb\nc"
    assert "flattened" in page.problems[0].message


def test_hostile_spans_are_not_believed():
    page = read_document(body('<table><tr><td colspan="1000000000">a<td rowspan="-1">b</table>'))
    assert [cell.colspan for cell in page.blocks[0].rows[0]] == [1, 1]
    assert len(page.problems) == 2


@pytest.mark.parametrize("value", ["1 2 3", "a b c d", "", "1 2 3 4 5", "1e3 2 3 4"])
def test_a_wrong_box_is_reported_and_kept_as_written(value):
    page = read_document(body(f'<p data-bbox="{value}">x</p>'))
    assert page.blocks[0].box_resized is None
    assert page.blocks[0].attributes == {"data-bbox": value}
    assert "not four numbers" in page.problems[0].message


def test_boxes_with_commas_and_swapped_corners():
    page = read_document(body('<p data-bbox="[30, 4, 3.5, 40]">x</p>'))
    assert page.blocks[0].box_resized == Box(3.5, 4, 30, 40)
    assert "swapped" in page.problems[0].message


def test_a_polygon_gives_a_box():
    block = only('<p data-polygon="1 2 9 3 8 7 0 6">x</p>')
    assert block.box_resized == Box(0, 2, 9, 7)
    assert block.attributes == {"data-polygon": "1 2 9 3 8 7 0 6"}


def test_attributes_are_unescaped():
    block = only('<div class="image" title="a &gt; &quot;b&quot;" hidden></div>')
    assert block.attributes == {"class": "image", "title": 'a > "b"', "hidden": ""}


CUT_SOURCE = body(
    '<h1 data-bbox="1 2 3 4">T</h1><table><tr><td>a</td><td>b</td></tr></table><p>x</p>'
)


@pytest.mark.parametrize("length", range(len("<html>"), len(CUT_SOURCE) - len("</body></html>")))
def test_a_text_cut_anywhere_is_read_and_flagged(length):
    page = read_document(CUT_SOURCE[:length])
    assert page.is_cut
    assert "<" not in page.text
    whole = {"T", "a\tb", "x"}
    for block in page.blocks:
        assert block.is_cut or block.text in whole


def test_a_cut_tag_gives_no_block():
    assert blocks('<html><body><p data-bbox="1 2 3 4">x</p><p data-bbox="1 2')[-1].text == "x"


def test_nesting_has_an_end():
    page = read_document("<html>" + "<div>" * 1000 + "deep")
    depth, block = 0, page.blocks[0]
    while block.children:
        depth, block = depth + 1, block.children[-1]
    assert depth <= MAX_DEPTH
    assert "deep" in page.text


def test_coming_home():
    page = read_document(
        body('<div class="image" data-bbox="0 0 50 60"><img data-bbox="0 0 10 10"/></div>')
    )
    home = page.to_original(Resize(Size(100, 100), Size(50, 50)))
    assert home.blocks[0].box == Box(0, 0, 100, 100)
    assert home.blocks[0].clipped
    assert home.blocks[0].children[0].box == Box(0, 0, 20, 20)
    assert [block.kind for block in home.walk()] == ["image", "figure"]


def test_the_dictionary_is_plain_json():
    made = read_document(REPORT_EXAMPLE).to_dict()
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["blocks"][1]["rows"][0][0]["text"] == "a"


def test_rendering_the_report_example_and_back():
    page = read_document(REPORT_EXAMPLE)
    text = render_html(page, fenced=True)
    assert read_document(text).blocks == page.blocks
    assert text.startswith('```html\n<html><body>\n<p data-bbox="10 20 300 40">content</p>\n')
    assert text.endswith("</body></html>\n```")


def test_rendering_escapes():
    page = read_document(body('<p title="a&quot;&lt;">1 &lt; 2 &amp;lt; 3</p>'))
    assert '<p title="a&quot;&lt;">1 &lt; 2 &amp;lt; 3</p>' in render_html(page)
