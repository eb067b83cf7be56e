# SPDX-License-Identifier: Apache-2.0
"""The rules of CC-OCR: tokens of words and letters, pages, fields."""

from __future__ import annotations

import json

import pytest

from finesight.evals.metrics.cc_ocr import field_counts, fields, fields_f1, page_score, reading_f1


@pytest.mark.parametrize(
    ("text", "gold", "subset", "is_scene", "wanted"),
    [
        ("b A", "a b", "IC15", True, 1.0),
        ("don't!", "dont", "IC15", True, 1.0),
        ("don't!", "dont", "French", False, 0.0),
        ("été", "ete", "IC15", True, 0.0),
        ("a a b", "a b b", "French", False, 2 / 3),
        ("### a\t***b", "a b", "French", False, 1.0),
        ("東京 駅", "駅東京", "zh_scene", True, 1.0),
        ("ab", "b a", "Korean", False, 1.0),
        ("ab", "b a", "French", False, 0.0),
        ("!!", "??", "IC15", True, 0.0),
        ("", "a", "IC15", True, 0.0),
    ],
)
def test_reading_is_counted_in_the_tokens_of_its_set(text, gold, subset, is_scene, wanted):
    assert reading_f1(text, gold, subset=subset, is_scene=is_scene) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("text", "gold", "kind", "wanted"),
    [
        ("\\begin{document} ab\n cd \\end{document}", "a b c d", "doc", 1.0),
        ("Here:\n```\nabcd\n```\nDone", "abcd", "doc", 1.0),
        ("```latex\nabcd\n```", "abcd", "doc", 4 / 9),  # the word behind the fence counts
        ("```latex\nx ^ 2\n```", "x^2", "formula", 1.0),
        ("\\noindent x", "x", "formula", 1 / 10),
        ("x\t^\n2", "x^2", "formula", 1.0),
        ("abcd", "ab\ncd", "doc", 1.0),
        ("Here:\n```\nabcd", "abcd", "doc", 1.0),
        ("<smiles>C C O</smiles>", "CCO", "molecular", 1.0),
        ("C\nC", "CC", "molecular", 1.0),
        ("CCN", "CCO", "molecular", 2 / 3),
        ("", "CCO", "molecular", 0.0),
    ],
)
def test_pages_are_compared_by_edits(text, gold, kind, wanted):
    assert page_score(text, gold, kind) == pytest.approx(wanted)


def _table(*rows):
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def test_tables_are_compared_as_trees_without_blanks():
    gold = _table("<td>a b</td><td>c</td>")
    fenced = f"Sure:\n```html\n{gold}\n```"
    assert page_score(fenced, gold, "table") == 1.0
    assert page_score(_table("<td>ab</td>"), gold, "table") == pytest.approx(2 / 3)
    assert page_score("no table", gold, "table") == 0.0
    assert page_score(f"{_table('<td>x</td>')} or {fenced}", gold, "table") == 1.0
    comma = _table("<td>a,b</td>")
    assert page_score(comma.replace(",", "，"), comma, "table") == 1.0
    assert page_score(comma, comma.replace(",", ",\n"), "table") == 1.0
    assert page_score(comma.replace(",", "\n,"), comma, "table") == 1.0


def test_a_cell_with_a_span_is_an_element_whose_text_is_not_compared():
    gold, said = (_table(f'<td colspan="2">{text}</td>') for text in ("a", "zzz"))
    assert page_score(said, gold, "table") == 1.0
    other = _table('<td colspan="3">a</td>')
    assert page_score(other, gold, "table") == 1 / 2


def test_a_line_break_within_a_field_is_dropped():
    assert field_counts('{"a":\n"1\n2"}', {"a": "12"}) == (1, 0)


@pytest.mark.parametrize(
    ("said", "gold", "wanted"),
    [
        ({"a": "1"}, {"a": "1"}, (1, 0)),
        ({"a": 1}, {"a": "1"}, (1, 0)),
        ({"a": "X"}, {"a": "x"}, (0, 2)),
        ({"a": ["1", "2"]}, {"a": ["2", "1"]}, (2, 0)),
        ({"a": ["1", "1"]}, {"a": ["1"]}, (1, 1)),
        ({"m": [{"n": "x"}, {"n": "y"}]}, {"m": {"n": ["y", "x"]}}, (2, 0)),
        ({"a": "1", "b": "2"}, {"a": "1", "c": "2"}, (1, 2)),
        ({"a": ""}, {"a": ""}, (1, 0)),
        ({"a": None}, {"a": "None"}, (1, 0)),
        ({"a": "１２、３"}, {"a": "12,3"}, (1, 0)),
        ({"a": "中 文 a"}, {"a": "中文a"}, (1, 0)),
        ({"a": "5kg ,x"}, {"a": "5 kg, x"}, (1, 0)),
        ({"a": ["中 文"]}, {"a": ["中文"]}, (0, 2)),  # texts of a list stay as they are
        ([], {"a": "1"}, (0, 1)),
    ],
)
def test_fields_are_counted(said, gold, wanted):
    assert field_counts(json.dumps(said), gold) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('```json\n{"a":\n"1"}\n```', (1, 0)),
        ('Sure: ```json{"a": "1"}``` done', (1, 0)),
        ('Sure: {"a": "1"}', (0, 1)),
        ('{"a": "1"', (0, 1)),
        ("", (0, 1)),
        ("[" * 100_000, (0, 1)),
    ],
)
def test_an_answer_has_to_be_json(text, wanted):
    assert field_counts(text, {"a": "1"}) == wanted


def test_keys_are_joined_from_the_outside_in():
    nested = {"a": {"b": [{"c": "x"}, {"c": ["y", 2, None]}]}, "d": []}
    assert list(fields(nested)) == [("a.b.c", "x"), ("a.b.c", "y"), ("a.b.c", "2")]


def test_f1_of_fields():
    assert fields_f1(0, 0) == 0.0
    assert fields_f1(3, 2) == pytest.approx(0.75)
