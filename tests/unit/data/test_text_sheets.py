# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from finesight.data.builders.text_lines import TextLines, TextLinesConfig
from finesight.data.builders.text_sheets import TextSheets, TextSheetsConfig
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import WordLists, split_of_word
from finesight.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def catalogue(assets):
    return FontCatalogue.read(assets / "fonts.json")


def sheets(assets, catalogue, **options):
    config = TextSheetsConfig(**options)
    return TextSheets(config, catalogue, WordLists.read(assets, config.split))


def records(made, count=12):
    for seed in range(count):
        record = made.record(f"r{seed}", seed)
        record.check()
        yield record


def letters_per_patch(drawn):
    drawn = list(drawn)
    patches = sum(record.picture.shape[0] * record.picture.shape[1] for record in drawn) / 14**2
    return sum(len(record.truth[0].glyphs) for record in drawn) / patches


def test_the_same_seed_gives_the_same_record(assets, catalogue):
    first, second = (sheets(assets, catalogue, difficulty=0.8) for _ in range(2))
    one, other = first.record("a", 5), second.record("a", 5)
    assert np.array_equal(one.picture, other.picture)
    assert (one.turns, one.truth, one.meta) == (other.turns, other.truth, other.meta)
    assert not np.array_equal(first.record("a", 6).picture, one.picture)


def test_glyphs_spell_the_answer(assets, catalogue):
    for record in records(sheets(assets, catalogue, turned_share=0.5)):
        text = record.turns[0][1]
        assert [glyph.char for glyph in record.truth[0].glyphs] == [
            char for char in text if char.strip()
        ]
        assert all(text[glyph.order] == glyph.char for glyph in record.truth[0].glyphs)


def test_rows_stand_below_each_other_and_letters_beside_each_other(assets, catalogue):
    for record in records(sheets(assets, catalogue, turned_share=0.0, other_scripts=0.0)):
        rows = record.turns[0][1].split("\n")
        assert len(rows) >= 3
        start = 0
        previous = -1.0
        for row in rows:
            inside = [g for g in record.truth[0].glyphs if start <= g.order < start + len(row)]
            middle = float(np.median([glyph.y for glyph in inside]))
            assert middle > previous
            across = [glyph.x for glyph in inside]
            assert across == sorted(across)
            previous, start = middle, start + len(row) + 1


def test_ink_is_where_the_glyphs_say(assets, catalogue):
    """A picture is not of one colour around the centre of a letter, in any rotation."""
    found = []
    for record in records(sheets(assets, catalogue, turned_share=0.75, difficulty=0.0)):
        for glyph in record.truth[0].glyphs:
            x, y = int(glyph.x), int(glyph.y)
            around = record.picture[max(y - 8, 0) : y + 8, max(x - 6, 0) : x + 6].astype(int)
            found.append(around.max() - around.min() > 60)
    assert np.mean(found) > 0.97


def test_a_sheet_holds_more_letters_than_words_on_their_own(assets, catalogue):
    words = TextLinesConfig(stages={"words": 1.0}, max_font_pixels=28)
    alone = TextLines(words, catalogue, WordLists.read(assets, "train"))
    dense = letters_per_patch(records(sheets(assets, catalogue), 20))
    assert dense > 1.4 * letters_per_patch(alone.record(f"w{seed}", seed) for seed in range(60))


def test_sides_are_as_asked_and_every_quarter_turn_occurs(assets, catalogue):
    made = sheets(assets, catalogue, turned_share=0.8, width=(168, 224), height=(280, 336))
    seen = set()
    for record in records(made, 30):
        degrees = record.meta["direction"]
        height, width = record.picture.shape[:2]
        if degrees in (90, 270):
            height, width = width, height
        assert 168 <= width <= 224
        assert 280 <= height <= 336
        seen.add(degrees)
    assert seen == {0, 90, 180, 270}


def test_words_and_faces_stay_on_their_side(assets, catalogue):
    splits = {face.id: face.split for face in catalogue.faces}
    made = sheets(assets, catalogue, other_scripts=0.0)
    for record in records(made):
        assert {splits[face] for face in record.meta["fonts"]} == {"train"}
    known = {word for words in made.phrases.words.by_language.values() for word in words}
    assert all(len(word) <= 2 or split_of_word(word) == "train" for word in known)


def test_one_paper_keeps_one_ink(assets, catalogue):
    options = {"difficulty": 0.0, "turned_share": 0.0}
    for share, few in ((1.0, True), (0.0, False)):
        for record in records(sheets(assets, catalogue, one_paper_share=share, **options), 6):
            edge = record.picture[:, 0]
            assert (len(np.unique(edge, axis=0)) == 1) == few


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": (300, 200)}, "width\n.* runs from 300 to 200"),
        ({"height": (150, 200)}, "not a multiple of 28"),
        ({"large_pixels": 20}, "large_pixels is 20"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_wrong_options_are_named(options, words):
    with pytest.raises((ConfigError, ValidationError), match=words):
        TextSheetsConfig(**options)


def test_letters_that_never_fit_are_an_error(assets, catalogue):
    made = sheets(assets, catalogue, height=(28, 28), font_pixels=(90, 96), large_pixels=96)
    with pytest.raises(DataError, match="no train face fits a sheet"):
        made.record("x", 0)
