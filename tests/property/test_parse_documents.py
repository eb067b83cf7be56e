# SPDX-License-Identifier: Apache-2.0
"""What is rendered and read again is what it was; and no text at all makes a reader stumble."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from finesight.geometry import Box
from finesight.parse.document import Block, Cell, DocumentPage, Run, normal_runs
from finesight.parse.document_html import read_document
from finesight.parse.document_render import render_html
from finesight.parse.html_tags import KEEP_BLANKS, MARK_ORDER

coordinates = st.one_of(
    st.integers(0, 20_000).map(float), st.floats(0, 9_999, width=32).map(lambda x: round(x, 3))
)
boxes = st.one_of(
    st.none(),
    st.tuples(coordinates, coordinates, coordinates, coordinates).map(
        lambda c: Box(min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
    ),
)
PIECES = (
    "```",
    "```html",
    "\n```\n",
    "</html>",
    "</p>",
    "<b>",
    "&amp;",
    "&lt",
    "-->",
    "<!--",
    "{",
    "]",
)
texts = st.lists(
    st.characters(exclude_categories=("Cs", "Cc"))
    | st.sampled_from(" \n<>&\"'/=;#")
    | st.sampled_from(PIECES),
    max_size=12,
).map("".join)
runs = st.lists(
    st.builds(
        Run,
        texts,
        st.sets(st.sampled_from(MARK_ORDER), max_size=3).map(
            lambda marks: tuple(mark for mark in MARK_ORDER if mark in marks)
        ),
    ),
    min_size=1,
    max_size=4,
)
attributes = st.dictionaries(
    st.sampled_from(("title", "format", "lang", "id")),
    st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))),
    max_size=2,
)
styles = st.text("abc {}:;#01", max_size=20).map(str.strip)


no_children = st.just(())


def block(tag, *, keep=False, children=no_children, content=runs, extra=None):
    """A block in normal form: with children, or with runs."""

    def build(children, runs, attributes, box, style):
        return Block(
            tag=tag,
            children=tuple(children),
            runs=() if children else normal_runs(runs, keep_blanks=keep),
            attributes={**attributes, **(extra or {})},
            box_resized=box,
            style=style,
        )

    return st.builds(build, children, content, attributes, boxes, styles)


cells = st.builds(
    Cell,
    runs=runs.map(normal_runs),
    is_header=st.booleans(),
    colspan=st.integers(1, 999),
    rowspan=st.integers(1, 9),
)
pictures = block("img", content=st.just([]))
captions = block("caption")
tables = st.builds(
    lambda rows, caption, box, attributes: Block(
        tag="table",
        rows=tuple(map(tuple, rows)),
        children=tuple(caption),
        box_resized=box,
        attributes=attributes,
    ),
    st.lists(st.lists(cells, min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(captions, max_size=1),
    boxes,
    attributes,
)
texts_blocks = st.one_of(*(block(tag) for tag in ("p", "h1", "h3", "h6", "blockquote")))
items = st.recursive(
    block("li"),
    lambda inner: block("ul", children=st.lists(inner, min_size=1, max_size=3)).flatmap(
        lambda nested: block("li", children=st.just([nested]))
    ),
    max_leaves=4,
)
lists = st.sampled_from(("ul", "ol")).flatmap(
    lambda tag: block(tag, children=st.lists(items, min_size=1, max_size=3))
)


def framed(name):
    """A `<div class=...>` with its picture and its content, as the report draws them."""
    keep = name.split(" ")[0] in ("formula", "music", "chemical")
    inner = st.tuples(pictures, block("div", keep=keep))
    return block("div", children=inner, extra={"class": name})


framed_blocks = st.sampled_from(
    ("chart", "formula", "formula handwritten", "image caption", "music sheet", "chemical formula")
).flatmap(framed)
pages = st.builds(
    DocumentPage,
    blocks=st.lists(
        st.one_of(texts_blocks, tables, lists, framed_blocks, pictures, block("pre", keep=True)),
        max_size=5,
    ).map(tuple),
)


@given(pages, st.booleans())
@settings(max_examples=80, deadline=None)
def test_a_page_survives_being_written_and_read(page, fenced):
    again = read_document(render_html(page, fenced=fenced))
    assert again.blocks == page.blocks
    assert not again.is_cut
    assert again.problems == ()


@given(pages, st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_a_page_cut_anywhere_is_read_without_error(page, share):
    text = render_html(page)
    cut = read_document(text[: round(len(text) * share)])
    if cut is not None:
        json.dumps(cut.to_dict())
        whole = list(page.walk())
        boxes_there = {found.box_resized for found in whole}
        assert all(found.box_resized in boxes_there for found in cut.walk())


@given(runs, st.booleans())
def test_normal_form_is_stable(given_runs, keep):
    once = normal_runs(given_runs, keep_blanks=keep)
    assert normal_runs(once, keep_blanks=keep) == once


def test_kinds_that_keep_blanks_are_the_ones_drawn_here():
    assert set(KEEP_BLANKS) == {"formula", "music_sheet", "chemical_formula", "code"}
