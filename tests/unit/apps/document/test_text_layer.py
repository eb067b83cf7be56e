# SPDX-License-Identifier: Apache-2.0
"""Words by which a text layer is compared, and lines that are drawn in another notation."""

from __future__ import annotations

import pytest

from finesight.apps.document.text_layer import checked, words_of
from finesight.geometry import Box
from finesight.media.pdf_text import TextLine
from tests.support.read_pages import block, page


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Harbour, 12!", ["the", "harbour", "12"]),
        ("船7206。", ["船", "7206"]),
        ("ﬁne Ａ", ["fine", "a"]),
        ("", []),
    ],
)
def test_words_have_no_case_and_characters_of_unspaced_scripts_are_words(text, words):
    assert words_of(text) == words


def test_a_word_from_right_to_left_is_the_same_backwards():
    assert words_of("مكتب 12") == words_of("بتكم 12")
    assert words_of("abc") != words_of("cba")


def test_a_number_on_a_line_of_its_own_is_not_missed():
    read = page(1, block("港口结冰7206。"))
    lines = [
        TextLine("港口结冰", Box(100, 100, 300, 130)),
        TextLine("7206。", Box(100, 140, 200, 170)),
    ]
    assert checked(read, lines).missed == ()


def test_a_drawn_formula_is_not_missed_but_a_page_called_formula_is():
    formula = {"tag": "div", "attributes": {"class": "formula"}}
    line = TextLine("a² + b² = c²", Box(300, 110, 500, 125))
    assert checked(page(1, block("a^2 + b^2 = c^2", **formula)), [line]).missed == ()
    whole = block("x", 0, height=1400, **formula)
    text = TextLine("The harbour was closed by ice", Box(100, 300, 800, 330))
    assert [one.quote for one in checked(page(1, whole), [text]).missed] == [text.text]


def test_a_line_of_which_a_word_was_read_is_missed():
    line = TextLine("Invoice 2024-113 of the harbour", Box(100, 100, 500, 130))
    found = checked(page(1, block("Invoice")), [line])
    assert [one.quote for one in found.missed] == [line.text]
    assert line.text in found.text
