# SPDX-License-Identifier: Apache-2.0
"""Pages: every kind of part is shown, every text is escaped, and SVG is made escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from markupsafe import Markup

from finesight.errors import EvalError
from finesight.present.marks import PALETTE, Mark
from finesight.present.page import (
    Facts,
    Figure,
    Gallery,
    Notes,
    Page,
    Section,
    Table,
    TableRow,
    Text,
    render_page,
    write_page,
)
from finesight.present.svg import drawing, element

EVIL = """</pre></title><script>alert(1)</script><img src=x onerror="alert(2)">{{ 7 * 7 }}"'"""


class Seen(HTMLParser):
    """Tags, attributes and words as a browser sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data):
        self.words.append(data)


def everything(text):
    mark = Mark(shape=None, label=text, colour=PALETTE[0], number=7)
    figure = Figure(
        title=text,
        picture="data:image/png;base64,AA",
        drawing=drawing((9, 9), text, [element("text", {"x": 1.25}, text)], {}),
        alt=text,
        caption=text,
        texts=((text, text),),
    )
    parts = (
        Facts((text,), (text,), text),
        Notes((text,), text, is_warning=True),
        Text(text, text),
        Text(text, text, is_folded=True),
        Table(
            text,
            (text, "n"),
            (TableRow((text, "1"), mark), TableRow((text, "2"), is_strong=True)),
            ("n",),
        ),
        figure,
        Gallery(text, (figure,)),
    )
    section = Section(text, parts, source=text)
    return Page(title=text, sections=[section], footer=text, marks_switch=text)


def test_every_text_is_shown_and_none_becomes_markup():
    page = Seen(render_page(everything(EVIL)))
    assert "script" not in page.tags
    assert page.tags.count("img") == 2
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    said = "".join(page.words)
    plain = Seen(render_page(everything("WORD")))
    assert said.count("{{ 7 * 7 }}") == "".join(plain.words).count("WORD")
    assert dict(plain.attributes)["src"] == "data:image/png;base64,AA"


def test_nothing_is_loaded_and_no_script_runs():
    html = render_page(everything("a"))
    assert html.startswith("<!DOCTYPE html>\n")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html
    assert "<script" not in html


def test_numbers_marks_and_strong_rows_of_a_table():
    html = render_page(everything("a"))
    assert '<th scope="col" class="n">n</th>' in html
    assert '<td class="n">1</td>' in html
    assert '<tr class="strong">' in html
    assert 'style="background:#d62746;color:#ffffff">7</span>' in html
    plain = Table("", ("a",), (TableRow(("b",)),))
    html = render_page(Page(title="t", sections=[Section("", (plain,))]))
    assert "swatch" not in html.partition("</style>")[2]
    assert "<h2" not in html
    assert "<h3" not in html


def test_a_gallery_of_nothing_says_so():
    html = render_page(Page(title="t", sections=[Section("s", (Gallery("Right", ()),))]))
    assert '<p class="source">none</p>' in html


def test_a_page_is_written_whole_with_halves_of_pairs_replaced(tmp_path):
    page = Page(title="猫\ud800", sections=[])
    write_page(tmp_path / "new" / "a.html", page, parents=True)
    assert "<h1>猫?</h1>" in (tmp_path / "new" / "a.html").read_text(encoding="utf-8")
    with pytest.raises(EvalError, match=r"missing/a\.html cannot be written"):
        write_page(tmp_path / "missing" / "a.html", page, error=EvalError)


def test_svg_is_escaped_and_its_numbers_are_short():
    inner = element(
        "g",
        {"class": "marks", "font-size": 7},
        element("text", {"x": 1.26, "y": 2.0}, "a < b & c"),
    )
    assert inner == '<g class="marks" font-size="7"><text x="1.3" y="2">a &lt; b &amp; c</text></g>'
    assert isinstance(inner, Markup)
    root = ElementTree.fromstring(drawing((10, 2.5), '"<>&', [inner], {"width": 10}))
    assert root.attrib["viewBox"] == "0 0 10 2.5"
    assert root.attrib["aria-label"] == '"<>&'
    assert element("text", {"fill": '"><script>'}) == '<text fill="&#34;&gt;&lt;script&gt;"></text>'
