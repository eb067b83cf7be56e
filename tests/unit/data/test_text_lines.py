# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import numpy as np
import pytest
from pydantic import ValidationError

from finesight.data.builders.drawing import draw_rows, turn, warp
from finesight.data.builders.paper import background, contrast, ink_and_paper, wear
from finesight.data.builders.phrases import Phrase, PhraseSource
from finesight.data.builders.text_lines import TextLines, TextLinesConfig
from finesight.data.record import Glyph
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.words import WordLists, split_of_word
from finesight.errors import DataError


@pytest.fixture(scope="module")
def catalogue(assets):
    return FontCatalogue.read(assets / "fonts.json")


@pytest.fixture(scope="module")
def sans(catalogue):
    return next(face for face in catalogue.faces if face.path.endswith("DejaVuSans.ttf"))


def builder(assets, catalogue, **options):
    config = TextLinesConfig(**options)
    return TextLines(config, catalogue, WordLists.read(assets, config.split))


def records(made, count=40):
    for seed in range(count):
        record = made.record(f"r{seed}", seed)
        record.check()
        yield record


def test_the_same_seed_gives_the_same_record(assets, catalogue):
    first, second = (builder(assets, catalogue, difficulty=0.8) for _ in range(2))
    one, other = first.record("a", 5), second.record("a", 5)
    assert np.array_equal(one.picture, other.picture)
    assert (one.turns, one.truth, one.meta) == (other.turns, other.truth, other.meta)
    assert not np.array_equal(first.record("a", 6).picture, one.picture)


@pytest.mark.parametrize(
    ("stage", "most_letters", "most_width"),
    [("letters", 2, 28), ("groups", 4, 56), ("words", 12, 588), ("lines", 40, 588)],
)
def test_stages_have_their_sizes(assets, catalogue, stage, most_letters, most_width):
    made = builder(assets, catalogue, stages={stage: 1.0}, turned_share=0.0)
    for record in records(made):
        text = record.turns[0][1]
        assert 1 <= len(text) <= most_letters
        assert "\n" not in text
        assert record.picture.shape[1] <= most_width
        assert record.picture.shape[0] <= 56


def test_blocks_have_rows(assets, catalogue):
    made = builder(assets, catalogue, stages={"blocks": 1.0}, turned_share=0.0)
    for record in records(made, 15):
        rows = record.turns[0][1].split("\n")
        assert 2 <= len(rows) <= 5
        assert max(map(len, rows)) <= 30
        assert record.picture.shape[1] <= 336
        assert record.picture.shape[0] <= 196


def test_glyphs_spell_the_answer(assets, catalogue):
    for record in records(builder(assets, catalogue, turned_share=0.5)):
        text = record.turns[0][1]
        assert [glyph.char for glyph in record.truth[0].glyphs] == [
            char for char in text if char.strip()
        ]
        assert all(text[glyph.order] == glyph.char for glyph in record.truth[0].glyphs)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_characters_move_with_the_pixels(sans, degrees):
    """A single dark glyph on white: its position is the centre of its ink."""
    ink = draw_rows(["W"], [(30.0, 40.0)], sans, 24, (112, 56))
    image = np.repeat(255 - np.asarray(ink.mask)[:, :, None], 3, axis=2)
    turned, glyphs = turn(image, ink.glyphs, degrees)
    rows, columns = np.nonzero(turned[:, :, 0] < 128)
    assert glyphs[0].x == pytest.approx(columns.mean(), abs=2.0)
    assert glyphs[0].y == pytest.approx(rows.mean(), abs=3.0)
    assert turned.shape == ((56, 112, 3) if degrees % 180 == 0 else (112, 56, 3))


def test_centres_follow_kerning_and_spaces(sans):
    ink = draw_rows(["Av i"], [(4.0, 30.0)], sans, 24, (112, 56))
    mask = np.asarray(ink.mask)
    assert [glyph.order for glyph in ink.glyphs] == [0, 1, 3]
    assert [glyph.char for glyph in ink.glyphs] == ["A", "v", "i"]
    dot = ink.glyphs[2]
    columns = np.nonzero(mask[:, round(dot.x) - 3 : round(dot.x) + 4].any(axis=0))[0]
    assert columns.mean() - 3 == pytest.approx(0, abs=1.5)


def test_warped_characters_stay_on_their_ink(sans):
    ink = draw_rows(["W"], [(10.0, 40.0)], sans, 24, (112, 56))
    moved = warp(ink, random.Random(3), 1.0)
    rows, columns = np.nonzero(np.asarray(moved.mask) > 128)
    assert moved.glyphs[0].x == pytest.approx(columns.mean(), abs=2.0)
    assert moved.glyphs[0].y == pytest.approx(rows.mean(), abs=3.0)


def test_nothing_is_turned_that_reads_upside_down(assets, catalogue):
    assert not Phrase("906", "en", "number").has_clear_top
    assert not Phrase("pod", "en", "word").has_clear_top
    assert Phrase("garden", "en", "word").has_clear_top
    made = builder(assets, catalogue, stages={"letters": 1, "groups": 1}, turned_share=1.0)
    assert {record.meta["direction"] for record in records(made)} == {0}
    made = builder(assets, catalogue, stages={"lines": 1}, turned_share=1.0)
    assert {record.meta["direction"] for record in records(made)} >= {90, 180, 270}


def test_heldout_pictures_use_heldout_words_and_faces(assets, catalogue):
    if not catalogue.has("heldout", "latin"):
        pytest.skip("the few fonts of this machine all fell on the training side")
    made = builder(assets, catalogue, split="heldout", stages={"words": 1}, word_letters=(3, 8))
    faces = {face.id: face.split for face in catalogue.faces}
    for record in records(made, 30):
        assert faces[record.meta["font"]] == "heldout"
        if record.meta["kind"] == "word":
            assert split_of_word(record.turns[0][1]) == "heldout"


def test_training_text_has_no_heldout_word(assets, catalogue):
    made = builder(assets, catalogue, stages={"lines": 1}, other_scripts=0.0)
    for record in records(made):
        pieces = "".join(c if c.isalpha() else " " for c in record.turns[0][1]).split()
        if record.meta["kind"] == "line":
            long_words = [piece for piece in pieces if len(piece) > 3]
            assert all(split_of_word(piece) == "train" for piece in long_words)


def test_phrases_never_end_in_a_space(words):
    source = PhraseSource(words, 0.2)
    rng = random.Random(0)
    for _ in range(200):
        for phrase in (source.letters(rng, 4), source.word(rng, 2, 7)):
            assert phrase.text == phrase.text.strip()
            assert phrase.text


def test_single_letters_can_be_told_apart(words):
    source = PhraseSource(words, 0.0)
    rng = random.Random(0)
    alone = {phrase.text for _ in range(800) if len((phrase := source.letters(rng, 2)).text) == 1}
    assert not alone & set("cCoO0sSIl1|'.-")
    assert {"A", "g", "7"} <= alone


@pytest.mark.parametrize(("difficulty", "least"), [(0.0, 9.0), (0.5, 5.4), (1.0, 1.8)])
def test_contrast_is_guaranteed(difficulty, least):
    rng = random.Random(1)
    pairs = [ink_and_paper(rng, difficulty) for _ in range(300)]
    assert min(contrast(ink, paper) for ink, paper in pairs) >= least
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)


def test_wear_keeps_size_and_type():
    rng = random.Random(2)
    for _ in range(20):
        worn = wear(background(rng, (200, 210, 220), (84, 28), 1.0), rng, 1.0)
        assert worn.shape == (28, 84, 3)
        assert worn.dtype == np.uint8
    clean = background(rng, (200, 210, 220), (84, 28), 0.0)
    assert np.array_equal(wear(clean, rng, 0.0), clean)
    assert (clean == (200, 210, 220)).all()


def test_what_fits_nowhere_is_an_error(assets, catalogue):
    options = {"min_font_pixels": 24, "max_block_pixels": (28, 28)}
    made = builder(assets, catalogue, stages={"blocks": 1}, **options)
    with pytest.raises(DataError, match="no train face fits"):
        made.record("r", 0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"word_letters": (7, 2)}, "word_letters"),
        ({"min_font_pixels": 30}, "font_pixels"),
        ({"stages": {}}, "stages"),
        ({"stages": {"poems": 1.0}}, "poems"),
        ({"difficulty": 2.0}, "difficulty"),
        ({"dificulty": 0.2}, "dificulty"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValidationError, match=named):
        TextLinesConfig(**options)


def test_turning_back_and_forth_is_the_identity():
    image = np.random.default_rng(0).integers(0, 256, (28, 56, 3), dtype=np.uint8)
    glyphs = (Glyph("a", 10.0, 5.0, 0),)
    turned, moved = turn(image, glyphs, 90)
    back, again = turn(turned, moved, 270)
    assert np.array_equal(back, image)
    assert again == glyphs
