# SPDX-License-Identifier: Apache-2.0
"""Pages are compared block by block: order, splits and invented text each cost where they should."""

from __future__ import annotations

import pytest

from finesight.evals.metrics.page_blocks import Block, blocks_of, plain_formula, plain_words
from finesight.evals.metrics.page_match import match_blocks, page_distances
from finesight.evals.metrics.tables import plain_table, table_words

NOTHING = {
    "text": 0.0,
    "formula": 0.0,
    "table": 0.0,
    "tree": 0.0,
    "tree_structure": 0.0,
    "order": 0.0,
    "extra": 0.0,
}
A = "The first paragraph speaks of rivers and of bridges."
B = "Quite different words follow in the second one, 1984."
C = "Last comes a short note about herons."


def texts(*each):
    return [Block("text", text) for text in each]


def test_a_page_is_taken_apart():
    page = (
        "# Heading\nwords under it\nsecond line\n\n- item\n\n$$\nx^2\n$$\ntail\n"
        "<TABLE border=1><tr><td>a</td></tr></TABLE>\n\\[ y \\]\n\n"
        "| a | b<c |\n|---|:-:|\n| 1 | 2 |\nafter\n\n---\n\n***"
    )
    assert blocks_of(page) == [
        Block("text", "# Heading"),
        Block("text", "words under it\nsecond line"),
        Block("text", "- item"),
        Block("formula", "\nx^2\n"),
        Block("text", "tail"),
        Block("table", "<TABLE border=1><tr><td>a</td></tr></TABLE>"),
        Block("formula", " y "),
        Block(
            "table",
            "<table><tr><td>a</td><td>b&lt;c</td></tr><tr><td>1</td><td>2</td></tr></table>",
        ),
        Block("text", "after"),
    ]


def test_what_has_no_end():
    assert blocks_of("a <table><tr><td>cut") == [
        Block("text", "a "),
        Block("table", "<table><tr><td>cut"),
    ]
    assert blocks_of("costs $$ and \\[ more") == [Block("text", "costs $$ and \\[ more")]
    assert blocks_of("") == []
    assert blocks_of("a | b\nno rule") == [Block("text", "a | b\nno rule")]


def test_a_page_of_bare_beginnings_is_one_text():
    """Endless repetition is what models do; looking for an end anew each time would take minutes here."""
    assert len(blocks_of("\\[ x " * 40_000)) == 1
    assert len(blocks_of("|-x" * 40_000)) == 1


def test_plain_forms():
    assert plain_words("**Ｂold** \\(x_1\\), <sup>2</sup>!") == "Boldx12"
    assert plain_formula("$$\\mathbf{A} \\quad = \\left( b \\right)\\tag{3}$$") == "{a}=(b)"
    assert plain_formula("\\leftarrow \\textbf{x}") == "\\leftarrow{x}"
    looks = (
        "<table class=x><thead><tr><th colspan='2'> a \n b </th></tr></thead>"
        "<tr><td>1 &amp; 2</td><td></td></tr></table>"
    )
    plain = '<table><tr><td colspan="2">a b</td></tr><tr><td>1 &amp; 2</td><td></td></tr></table>'
    assert plain_table(looks) == plain_table(plain) == plain
    assert plain_table("no table") == plain_table("<table></table>") == ""
    assert table_words(plain).split("\n")[0] == "a b"
    assert "1 & 2" in table_words(plain)


def test_an_equal_page_has_no_distance():
    golds = [*texts(A, B), Block("formula", "$$x$$"), Block("other", "Page 7")]
    assert page_distances(golds, f"{A}\n\n{B}\n\n\\[x\\]") == NOTHING
    assert page_distances(golds, f"{A}\n\n{B}\n\n\\[x\\]\n\nPage 7") == NOTHING
    assert page_distances([], "") == NOTHING


def test_a_missing_block_is_all_edits():
    found = page_distances(texts(A, B), A)
    lost, kept = len(plain_words(B)), len(plain_words(A))
    assert found == NOTHING | {"text": lost / (lost + kept), "order": 0.5}
    silent = page_distances([*texts(A), Block("formula", "x"), Block("table", table("a"))], "")
    assert silent == dict.fromkeys(NOTHING, 1.0) | {"extra": 0.0}


def test_another_order_costs_order_alone():
    found = page_distances(texts(A, B, C), f"{C}\n\n{A}\n\n{B}")
    assert found == NOTHING | {"order": pytest.approx(2 / 3)}


def test_split_and_joined_paragraphs_are_mended():
    halves = "\n\n".join(A.split(" ", 4)[:4]) + "\n\n" + A.split(" ", 4)[4]
    assert page_distances(texts(A, B), f"{halves}\n\n{B}") == NOTHING
    assert page_distances(texts(A, B, C), f"{A} {B}\n\n{C}") == NOTHING
    every = "\n\n".join(f"{A} {B}".split())
    assert page_distances(texts(f"{A} {B}"), every) == NOTHING
    lines = [" ".join(f"{A} {B} {C}".split()[n : n + 4]) for n in range(0, 26, 4)]
    assert page_distances(texts(f"{A} {B} {C}", "Another one."), "\n\n".join(lines))["extra"] == 0


def test_text_does_not_grow_into_other_kinds():
    golds = [Block("other", "3"), *texts(A), Block("other", "4")]
    matches = match_blocks(golds, texts(f"3 {A} 4"))
    assert [(each.golds, each.pred) for each in matches] == [([1], [0])]


def test_what_nobody_asked_for_is_told_apart():
    more = "Something that was never written anywhere at all: zzzz."
    found = page_distances(texts(A), f"{A}\n\n{more}")
    said = len(plain_words(A)) + len(plain_words(more))
    assert found == NOTHING | {"extra": len(plain_words(more)) / said}


def table(*rows):
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def test_tables_are_matched_and_compared_as_trees_and_as_text():
    golds = [Block("table", table("ab", "cd")), Block("table", table("xy", "zw"))]
    assert page_distances(golds, f"{table('xy', 'zw')}\n\n{table('ab', 'cd')}") == NOTHING
    assert page_distances(golds[:1], "| a | b |\n|--|--|\n| c | d |") == NOTHING
    found = page_distances(golds[:1], table("ab", "cx"))
    assert found["tree"] == pytest.approx(1 / 6)
    assert found["tree_structure"] == 0.0
    assert found["table"] == pytest.approx(1 / len(table("ab", "cd")))
    one = page_distances(golds, table("ab", "cd"))
    assert (one["tree"], one["table"]) == (0.5, 0.5)


def test_a_table_too_many_counts_as_text():
    found = page_distances(texts("alpha beta"), table(["alpha", "beta"]))
    assert found == NOTHING
    assert page_distances(texts(A), f"{A}\n\n{table(['q'])}")["extra"] > 0


def test_distances_do_not_depend_on_chance():
    page = "\n\n".join([A, B, C, A, B[:20], C[5:]])
    first = page_distances(texts(C, A, B, A), page)
    assert all(page_distances(texts(C, A, B, A), page) == first for _ in range(3))
    assert all(0.0 <= value <= 1.0 for value in first.values())
