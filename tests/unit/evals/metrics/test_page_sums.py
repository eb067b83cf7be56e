# SPDX-License-Identifier: Apache-2.0
"""Distances of pages with more than one fault."""

from __future__ import annotations

import pytest

from finesight.evals.metrics.page_blocks import Block, blocks_of, plain_formula, plain_words
from finesight.evals.metrics.page_match import match_blocks, page_distances

FIRST, SECOND = "alpha beta gamma", "delta epsilon zeta"


def texts(*contents: str) -> list[Block]:
    return [Block("text", content) for content in contents]


def table(*rows: str) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def test_edits_of_several_blocks_add_up():
    page = f"{FIRST.replace('beta', 'bexa')}\n\n{SECOND.replace('zeta', 'xexa')}"
    letters = len(plain_words(FIRST)) + len(plain_words(SECOND))
    found = page_distances(texts(FIRST, SECOND), page)
    assert found["text"] == pytest.approx(3 / letters)
    assert (found["order"], found["extra"]) == (0.0, 0.0)


def test_missing_blocks_add_up():
    letters = [len(plain_words(text)) for text in (FIRST, SECOND, "omega omega")]
    found = page_distances(texts(FIRST, SECOND, "omega omega"), FIRST)
    assert found["text"] == pytest.approx((letters[1] + letters[2]) / sum(letters))


def test_the_longer_side_of_a_match_is_what_counts():
    found = page_distances(texts("abcdefgh"), "abcdefgh12")
    assert found["text"] == pytest.approx(2 / 10)


def test_faults_of_several_tables_add_up():
    golds = [Block("table", table("ab", "cd")), Block("table", table("ef", "gh", "ij"))]
    page = f"{table('ab', 'cx')}\n\n{table('ef', 'gh', 'xx')}"
    found = page_distances(golds, page)
    assert found["tree"] == pytest.approx((1 / 6 + 2 / 9) / 2)
    assert found["tree_structure"] == 0.0
    assert found["table"] == pytest.approx(3 / sum(len(gold.text) for gold in golds))


def test_lost_rows_of_several_tables_add_up():
    """4 cells in 2 rows and 15 in 3 rows; of each the last row is lost."""
    golds = [Block("table", table("ab", "cd")), Block("table", table("efghi", "jklmn", "opqrs"))]
    found = page_distances(golds, f"{table('ab')}\n\n{table('efghi', 'jklmn')}")
    assert found["tree_structure"] == pytest.approx((3 / 6 + 6 / 18) / 2)


def test_signs_of_formulas_count_and_their_fonts_do_not():
    gold = [Block("formula", r"\mathbf{x} + y")]
    length = len(plain_formula(gold[0].text))
    assert page_distances(gold, r"$$\mathrm{x}+y$$")["formula"] == 0.0
    assert page_distances(gold, r"$$\mathbf{x}-y$$")["formula"] == pytest.approx(1 / length)
    two = [*gold, Block("formula", "a = b")]
    found = page_distances(two, "$$\\mathbf{x}-y$$\n\n$$a = c$$")
    assert found["formula"] == pytest.approx(2 / (length + 3))


@pytest.mark.parametrize(
    ("said", "text", "extra"),
    [
        ("abcdefgxxx", 0.3, 0.0),
        ("abcxxxxxxx", 0.7, 0.0),  # just near enough to be a match
        ("abxxxxxxxx", 1.0, 1.0),  # strangers
    ],
)
def test_how_far_apart_a_match_may_be(said, text, extra):
    found = page_distances(texts("abcdefghij"), said)
    assert found["text"] == pytest.approx(text)
    assert found["extra"] == pytest.approx(extra)


def test_blocks_that_hold_nothing_are_not_missed():
    nothing = page_distances([], "")
    assert page_distances(texts("***"), "") == nothing
    assert page_distances([Block("formula", r"\quad")], "") == nothing


def test_the_words_of_a_table_are_no_table():
    found = page_distances([Block("table", table("ab", "cd"))], "abcd")
    assert (found["table"], found["tree"], found["extra"]) == (1.0, 1.0, 1.0)


def test_the_nearest_blocks_are_matched():
    golds, said = texts("abcdefghij", "abcdefghix"), texts("abcdefghix", "abcdefghij")
    found = [(match.golds, match.pred) for match in match_blocks(golds, said)]
    assert sorted(found) == [([0], [1]), ([1], [0])]


def test_the_order_of_text_that_was_swapped():
    found = page_distances(texts(FIRST, SECOND), f"{SECOND}\n\n{FIRST}")
    assert found["order"] == 1.0
    assert found["text"] == 0.0


@pytest.mark.parametrize(
    ("markdown", "kinds"),
    [
        ("a\n\nb", ["text", "text"]),
        ("a\nb", ["text"]),
        ("# a\nb", ["text", "text"]),
        ("a\n# b", ["text", "text"]),
        ("a\n|b|c|\n|-|-|\n|d|e|\nf", ["text", "table", "text"]),
        ("|b|c|\n|-|-|", ["table"]),
        ("|b|c|\n", ["text"]),  # a bar without a rule below it
        ("|b|c|\n|d|e|", ["text"]),
        ("$$x$$", ["formula"]),
        ("a $$x$$ b", ["text", "formula", "text"]),
        (r"a \[x\] b", ["text", "formula", "text"]),
        ("$$ $$", []),  # nothing in it
        ("...", []),
        ("<table><tr><td>a</td></tr></table> b", ["table", "text"]),
        ("a $$x <table></table> b", ["text", "table", "text"]),  # a formula that never ends is text
        ("```\na\n```", ["text"]),
    ],
)
def test_kinds_of_blocks(markdown, kinds):
    assert [block.kind for block in blocks_of(markdown)] == kinds


def test_contents_of_blocks():
    assert [block.text.strip() for block in blocks_of("```md\na b\n```\n\nc")] == ["a b", "c"]
    (rows,) = blocks_of("|a|b|\n|-|-|\n|c|d|\n|e|f|")
    assert rows.text == table("ab", "cd", "ef")
    assert plain_formula(r"\mathbf{X}.") == "{x}"
    assert plain_words("<b>Ａb</b>-1") == "Ab1"
