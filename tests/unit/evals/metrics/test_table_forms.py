# SPDX-License-Identifier: Apache-2.0
"""Tables in the forms in which models write them, and what is read from their cells."""

from __future__ import annotations

import pytest

from finesight.evals.metrics.ocrbench_v2 import score_v2
from finesight.evals.metrics.ocrbench_v2_tables import chart_score, table_score
from finesight.evals.metrics.tables import plain_table, table_words, teds

ROWS = "<tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr>"
WHOLE = f"<html><body><table>{ROWS}</table></body></html>"
MARKDOWN = "|a|b|\n|-|-|\n|c|d|"
IN_HTML, IN_MARKDOWN, UNSAID = "Write it as HTML.", "Write it as MARKDOWN.", "Read the table."


@pytest.mark.parametrize(
    "text",
    [
        WHOLE,
        f"<body><table>{ROWS}</table></body>",
        f"<table>{ROWS}</table>",
        f"<table>{ROWS}",  # its end was cut off
        f"Here it is:\n<table>{ROWS}</table>",
        f"```html\n<html>\n<body>\n<table>\n{ROWS}\n</table>\n</body>\n</html>\n```",
        f"<table>{ROWS}</table><table><tr><td>z</td></tr></table>",
        WHOLE.replace("><", ">\n<"),
        WHOLE.replace(">a<", ">\na<"),
    ],
)
@pytest.mark.parametrize("gold", [WHOLE, f"<table>{ROWS}</table>", f"{ROWS}</table>", ROWS])
def test_html_in_every_wrapping(text, gold):
    assert table_score(text, gold, IN_HTML) == 1.0


@pytest.mark.parametrize("text", ["", "no table", MARKDOWN, ROWS])
def test_html_counts_from_its_first_table_on(text):
    assert table_score(text, WHOLE, IN_HTML) == 0.0


def test_the_question_decides_the_form():
    assert table_score(MARKDOWN, MARKDOWN, IN_MARKDOWN) == 1.0
    assert table_score(WHOLE, MARKDOWN, IN_MARKDOWN) < 0.5
    assert table_score(WHOLE, WHOLE, IN_HTML) == 1.0
    assert table_score(MARKDOWN, MARKDOWN, IN_HTML) == 0.0
    both = "From markdown to HTML."
    assert table_score(WHOLE, WHOLE, both) == 1.0
    assert table_score(MARKDOWN, MARKDOWN, both) == 0.0


def test_a_question_for_markdown_is_not_misled_by_what_stands_in_a_cell():
    gold = "|a|<t b|\n|-|-|\n|c|d|"
    assert table_score(gold, gold, IN_MARKDOWN) > 0.9
    assert table_score(gold, gold, UNSAID) == 0.0  # taken for HTML, of which there is none
    truth = {"answers": [gold], "question": IN_MARKDOWN}
    assert score_v2("table parsing en", gold, truth) > 0.9
    assert score_v2("table parsing en", gold, {"answers": [gold]}) == 0.0
    assert score_v2("table parsing en", WHOLE, {"answers": [WHOLE]}) == 1.0


def test_the_gold_answer_decides_where_the_question_does_not():
    assert table_score(MARKDOWN, MARKDOWN, UNSAID) == 1.0
    assert table_score(WHOLE, WHOLE, UNSAID) == 1.0
    assert table_score(MARKDOWN, WHOLE, UNSAID) == 0.0


@pytest.mark.parametrize(
    "text",
    [
        MARKDOWN,
        "| a | b |\n|---|---|\n| c | d |",
        f"```markdown\n{MARKDOWN}\n```",
        f"```\n{MARKDOWN}\n```",
        f"\n  {MARKDOWN}\n",
        "|a|b|\n|:-:|-|\n|c|d|",
    ],
)
def test_markdown_in_every_wrapping(text):
    assert table_score(text, MARKDOWN, IN_MARKDOWN) == 1.0


def test_the_first_and_the_last_row_of_markdown_count():
    """4 cells in 2 rows are 6 elements; each wrong cell costs one."""
    assert table_score(MARKDOWN.replace("a", "x"), MARKDOWN, IN_MARKDOWN) == pytest.approx(5 / 6)
    assert table_score(MARKDOWN.replace("d", "x"), MARKDOWN, IN_MARKDOWN) == pytest.approx(5 / 6)
    assert table_score("|a|b|\n|-|-|", MARKDOWN, IN_MARKDOWN) == pytest.approx(3 / 6)


def test_blanks_within_a_cell_of_markdown_stay():
    two = "|a b|c|\n|-|-|\n|d|e|"
    assert table_score(two, two, IN_MARKDOWN) == 1.0
    assert table_score(two.replace("a b", "ab"), two, IN_MARKDOWN) == pytest.approx(1 - 1 / 3 / 6)


def test_an_empty_cell_of_markdown_holds_a_blank():
    empty = "|a||\n|-|-|\n|c|d|"
    assert table_score(empty, empty, IN_MARKDOWN) == 1.0
    assert table_score(empty, MARKDOWN, IN_MARKDOWN) == pytest.approx(5 / 6)
    assert table_score("|a|X|\n|-|-|\n|c|d|", empty, IN_MARKDOWN) == pytest.approx(5 / 6)
    assert table_score("|a| |\n|-|-|\n|c|d|", empty, IN_MARKDOWN) == 1.0
    assert table_score("|a|XX|\n|-|-|\n|c|d|", empty, IN_MARKDOWN) < 1.0


def test_charts_are_rows_of_keys_and_values():
    """Per key: a row and two cells; a value of three characters has two blanks between them."""
    gold = {"north": 120, "south": 80}
    assert chart_score('{"north": 120, "south": 80}', gold) == 1.0
    assert chart_score('{"north": 120}', gold) == pytest.approx(0.5)
    assert chart_score('{"north": 125, "south": 80}', gold) == pytest.approx(1 - 1 / 5 / 6)
    assert chart_score('{"nord": 120, "south": 80}', gold) == pytest.approx(1 - 2 / 5 / 6)
    assert chart_score("no object", gold) == 0.0
    assert chart_score("no object", {}) == 0.0


# ---------------------------------------------------------------------------------------------------- trees


def table(*rows: str) -> str:
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


@pytest.mark.parametrize(
    ("said", "there", "score"),
    [
        ('<td colspan="2">a</td>', '<td colspan="2">a</td>', 1.0),
        ('<td rowspan="2">a</td>', "<td>a</td>", 0.5),  # the cell of two elements
        ('<td rowspan="2">a</td>', '<td rowspan="3">a</td>', 0.5),
        ('<td rowspan=" 2 ">a</td>', '<td rowspan="2">a</td>', 1.0),
        ('<td colspan="123456789">a</td>', "<td>a</td>", 1.0),  # beyond what anybody means
        ("<td>ab</td>", "<td>ax</td>", 0.75),
        ("<td></td>", "<td></td>", 1.0),
        ("<td></td>", "<td>a</td>", 0.5),
        ("<td>a</td>", "<th>a</th>", 0.5),
        ("<td>Größe</td>", "<td>Größe</td>", 1.0),
        ("<td>Grosse</td>", "<td>Größe</td>", 1 - 3 / 6 / 2),
        ("<td>a<!-- note -->b</td>", "<td>ab</td>", 1.0),
    ],
)
def test_one_row(said, there, score):
    assert teds(table(said), table(there)) == pytest.approx(score)


def test_text_around_inline_tags_is_read():
    """Tokens `a <b> c </b> d` against `a <b> x </b> d`: one of five; tr, td and b are three elements."""
    said, there = table("<td>a<b>c</b>d</td>"), table("<td>a<b>x</b>d</td>")
    assert teds(said, there) == pytest.approx(1 - 1 / 5 / 3)
    assert teds(table("<td>a<b>c</b>x</td>"), said) == pytest.approx(1 - 1 / 5 / 3)
    assert teds(table("<td>a<i>c</i>d</td>"), said) == pytest.approx(1 - 2 / 5 / 3)


def test_empty_tables():
    assert teds("<table></table>", "<table></table>") == 1.0
    assert teds("<table></table>", table("<td>a</td>")) == 0.0
    assert teds(table("<td>a</td>"), "<table></table>") == 0.0
    assert teds("<table><tr></tr></table>", "<table><tr></tr></table>") == 1.0
    assert teds("<table><tr></tr></table>", "<table></table>") == 0.0


def test_bytes_that_end_a_text_elsewhere():
    assert teds(table("<td>a\0b</td>"), table("<td>a b</td>")) == 1.0
    assert teds(table("<td>\ud800</td>"), table("<td>?</td>")) == 1.0


def test_the_larger_table_is_what_counts():
    small, large = table("<td>a</td>"), table("<td>a</td>", "<td>b</td>", "<td>c</td>")
    assert teds(small, large) == teds(large, small) == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (WHOLE, f"<table>{ROWS}</table>"),
        ("no table", ""),
        ("<table></table>", ""),
        (
            table("<th>a</th><th><b>b</b> c</th>"),
            "<table><tr><td>a</td><td>b c</td></tr></table>",
        ),
        (
            "<table><thead><tr><td>a</td></tr></thead><tbody><tr><td>b</td></tr></tbody></table>",
            "<table><tr><td>a</td></tr><tr><td>b</td></tr></table>",
        ),
        (
            table('<td colspan="2" rowspan="3" class="x">a</td><td colspan="1">b</td>'),
            '<table><tr><td colspan="2" rowspan="3">a</td><td>b</td></tr></table>',
        ),
        (table("<td> a  \n b </td>"), "<table><tr><td>a b</td></tr></table>"),
        (table("<td>a &lt; b &amp; c</td>"), "<table><tr><td>a &lt; b &amp; c</td></tr></table>"),
    ],
)
def test_the_plain_form(text, plain):
    assert plain_table(text) == plain


def test_words_of_a_plain_table():
    assert table_words(plain_table(WHOLE)).split() == ["a", "b", "c", "d"]
    assert table_words(plain_table(table("<td>a &lt; b</td>"))) == "a < b"
