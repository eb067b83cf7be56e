# SPDX-License-Identifier: Apache-2.0
"""Text in the world: truth inside the picture and on its letters, legible, divided by split."""

from __future__ import annotations

import json
import random
import re

import numpy as np
import pytest
from pydantic import ValidationError

from finesight.data.builders import backdrops
from finesight.data.builders.degrade import degrade
from finesight.data.builders.lettering import Slant, draw_piece, em_of, paint
from finesight.data.builders.paper import luminance
from finesight.data.builders.scene_text import SceneText, SceneTextConfig
from finesight.data.builders.sign_questions import NO_TEXT, Sign, ask_signs
from finesight.data.builders.transcription import QUESTIONS
from finesight.data.sources.fonts import FontCatalogue
from finesight.data.sources.photos import PhotoLibrary
from finesight.data.sources.words import WordLists, split_of_word
from finesight.errors import DataError

SLANTS = [
    Slant(),
    Slant(90),
    Slant(180),
    Slant(270),
    Slant(degrees=8.0),
    Slant(270, degrees=-8.0),
    Slant(degrees=3.0, corners=((0.2, 0.1), (-0.2, 0.1), (0.1, -0.1), (-0.1, 0.0))),
]


@pytest.fixture(scope="module")
def catalogue(assets):
    return FontCatalogue.read(assets / "fonts.json")


@pytest.fixture(scope="module")
def sans(catalogue):
    return next(face for face in catalogue.faces if face.path.endswith("DejaVuSans.ttf"))


def builder(assets, catalogue, **options):
    config = SceneTextConfig(**options)
    words = WordLists.read(assets, config.split)
    return SceneText(config, catalogue, words, PhotoLibrary.read(assets))


def records(made, count=40):
    for seed in range(count):
        record = made.record(f"r{seed}", seed)
        record.check()
        yield record


def test_the_same_seed_gives_the_same_record(assets, catalogue):
    first, second = (builder(assets, catalogue) for _ in range(2))
    for seed in range(12):
        one, other = first.record("a", seed), second.record("a", seed)
        assert np.array_equal(one.picture, other.picture)
        assert (one.turns, one.truth, one.meta) == (other.turns, other.truth, other.meta)
    assert first.record("a", 1).turns != first.record("a", 2).turns


def test_pictures_have_whole_cells_and_the_allowed_number_of_tokens(assets, catalogue):
    tokens = []
    made = builder(assets, catalogue, backdrops={"plain": 1.0}, clean_share=1.0)
    for record in records(made, 200):
        height, width = record.picture.shape[:2]
        assert height % 28 == width % 28 == 0
        tokens.append(height * width // 784)
    assert min(tokens) >= 20
    assert max(tokens) <= 768
    assert 0 < sum(count > 250 for count in tokens) < 0.1 * len(tokens)


def test_the_first_turn_reads_every_glyph(assets, catalogue):
    for record in records(builder(assets, catalogue), 40):
        question, text = record.turns[0]
        assert question in QUESTIONS
        truth = record.truth[0]
        if record.meta["kind"] == "empty":
            assert (text, truth.glyphs, truth.objects) == (NO_TEXT, (), ())
            continue
        assert [glyph.char for glyph in truth.glyphs] == [char for char in text if char.strip()]
        assert all(text[glyph.order] == glyph.char for glyph in truth.glyphs)
        assert [thing.name for thing in truth.objects] == text.split("\n")


def test_glyphs_are_inside_the_box_of_their_row(assets, catalogue):
    made = builder(assets, catalogue, slanted_share=1.0, kinds={"block": 1, "signs": 1})
    for record in records(made, 40):
        rows = record.turns[0][1].split("\n")
        ends = np.cumsum([len(row) + 1 for row in rows])
        for glyph in record.truth[0].glyphs:
            x1, y1, x2, y2 = (
                record.truth[0].objects[int(np.searchsorted(ends, glyph.order, "right"))].box
            )
            assert x1 - 2 <= glyph.x <= x2 + 2
            assert y1 - 2 <= glyph.y <= y2 + 2


@pytest.mark.parametrize("slant", SLANTS)
def test_centres_and_boxes_move_with_the_pixels(sans, slant):
    """Of a long row only one letter has ink: its mapped centre is the centre of the mapped ink."""
    for text in ("H          .", ".          H"):
        piece = draw_piece(random.Random(1), [text], sans, 60, "latin", slant)
        rows, columns = np.nonzero(piece.ink > 128)
        x1, y1, x2, y2 = piece.rows[0][1]
        assert x1 - 1 <= columns.min() <= columns.max() <= x2
        assert y1 - 1 <= rows.min() <= rows.max() <= y2
        glyph = next(glyph for glyph in piece.glyphs if glyph.char == "H")
        near = np.hypot(columns + 0.5 - glyph.x, rows + 0.5 - glyph.y) < 45
        assert glyph.x == pytest.approx(columns[near].mean() + 0.5, abs=2.0)
        assert glyph.y == pytest.approx(rows[near].mean() + 0.5, abs=2.0)


@pytest.mark.parametrize("height", [8, 13, 40, 96])
def test_the_letter_height_is_that_of_a_capital(sans, height):
    em = em_of(sans, "latin", height)
    piece = draw_piece(random.Random(1), ["H"], sans, em, "latin", Slant())
    rows, _ = np.nonzero(piece.ink > 100)
    assert rows.max() - rows.min() + 1 == pytest.approx(height, abs=1)
    assert piece.letter_height == pytest.approx(height, abs=0.5)


def test_letter_heights_are_spread_evenly_by_their_logarithm(assets, catalogue):
    made = builder(
        assets, catalogue, kinds={"line": 1.0}, backdrops={"plain": 1.0}, clean_share=1.0
    )
    heights = [record.meta["letter_height"] for record in records(made, 150)]
    assert 7.4 <= min(heights) < 10
    assert 80 < max(heights) <= 97
    assert np.median(heights) == pytest.approx((8 * 96) ** 0.5, rel=0.3)


@pytest.mark.parametrize("backing", ["none", "board", "outline", "shadow"])
def test_text_is_legible_on_any_background(assets, sans, backing):
    """The ink differs by the least ratio from nearly all pixels around the letters, or has a board."""
    photo = PhotoLibrary.read(assets).photos[0]
    for seed in range(12):
        rng = random.Random(seed)
        size = (336, 112)
        draw = (backdrops.plain, backdrops.gradient, backdrops.screen)[seed % 3]
        picture = draw(rng, size) if seed % 4 else backdrops.photo_crop(rng, size, photo)
        picture = np.ascontiguousarray(picture)
        piece = draw_piece(rng, ["legible"], sans, 40, "latin", Slant())
        width, height = piece.size
        _, reached = paint(picture, piece, (5, 7), rng, backing, 2.5)
        assert reached >= 2.5
        region = picture[7 : 7 + height, 5 : 5 + width]
        ink = luminance(tuple(int(v) for v in region[piece.ink == 255][0]))
        around = region[(piece.ring > 127) & (piece.ink == 0)]
        ratios = [ratio(ink, luminance(tuple(int(v) for v in pixel))) for pixel in around]
        assert np.mean(np.array(ratios) >= 2.4) > 0.9


def test_text_that_no_ink_suits_gets_a_board(sans):
    """Black and white stripes leave no colour with enough contrast to both."""
    picture = np.zeros((112, 336, 3), np.uint8)
    picture[:, np.arange(336) % 8 < 4] = 255
    untouched = picture.copy()
    piece = draw_piece(random.Random(3), ["legible"], sans, 40, "latin", Slant())
    used, reached = paint(picture, piece, (0, 0), random.Random(3), "none", 2.5)
    assert used == "board"
    assert reached >= 2.5
    height = piece.size[1]
    assert (picture[height // 2, 1:4] != untouched[height // 2, 1:4]).any()
    assert (picture[height:] == untouched[height:]).all()


def ratio(first: float, second: float) -> float:
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def test_two_fifths_stay_clean_and_the_rest_is_degraded(assets, catalogue):
    made = builder(assets, catalogue, tokens=(20, 60))
    worn = [bool(record.meta["degradations"]) for record in records(made, 120)]
    assert 0.5 < np.mean(worn) < 0.7
    clean = builder(assets, catalogue, clean_share=1.0)
    assert not any(record.meta["degradations"] for record in records(clean, 20))


def test_degradations_keep_the_place_of_the_text():
    """A dark square stays where it is, and darker than its surroundings."""
    for seed in range(60):
        picture = np.full((84, 112, 3), 230, np.uint8)
        picture[30:50, 40:70] = 20
        worn, names = degrade(picture, random.Random(seed), 20.0, 12.0)
        assert worn.shape == picture.shape
        assert worn.dtype == np.uint8
        assert names
        dark = 255.0 - worn.mean(axis=2)
        weights = np.clip(dark - 0.5 * dark.max(), 0, None)[20:60, 30:80]
        rows, columns = np.mgrid[20:60, 30:80]
        assert (weights * rows).sum() / weights.sum() == pytest.approx(39.5, abs=1.5)
        assert (weights * columns).sum() / weights.sum() == pytest.approx(54.5, abs=1.5)
        assert worn[35:45, 45:65].mean() + 40 < worn[5:25, 45:65].mean()


def test_heldout_pictures_share_nothing_with_training(assets, catalogue):
    if not catalogue.has("heldout", "latin"):
        pytest.skip("the few fonts of this machine all fell on the training side")
    used = {}
    for split in ("train", "heldout"):
        made = builder(assets, catalogue, split=split, kinds={"word": 1}, word_letters=(3, 8))
        drawn = list(records(made, 60))
        used[split] = {font for record in drawn for font in record.meta["fonts"]}
        used[split] |= {record.meta["photo"] for record in drawn} - {""}
        words = {record.turns[0][1] for record in drawn}
        real = {word for word in words if word.isalpha() and len(word) > 3 and word.islower()}
        assert {split_of_word(word) for word in real} == {split}
    assert not used["train"] & used["heldout"]


def test_boxes_in_answers_are_those_of_the_truth(assets, catalogue):
    made = builder(assets, catalogue, kinds={"signs": 1})
    spotted = 0
    for record in records(made, 60):
        boxes = [(list(thing.box), thing.name) for thing in record.truth[0].objects]
        for (_, answer), task in zip(record.turns, record.meta["tasks"], strict=True):
            if "bbox_2d" in answer:
                assert "move" not in record.allows
                rows = json.loads(re.fullmatch(r"```json\n(.*)\n```", answer, re.DOTALL).group(1))
                found = [(row["bbox_2d"], row["text_content"]) for row in rows]
                spotted += task["kind"] == "spotting"
                assert all(row in boxes for row in found)
                assert found == boxes or task["kind"] != "spotting"
    assert spotted > 5


def test_the_sign_at_a_place_is_the_one_at_that_end(assets, catalogue):
    made = builder(assets, catalogue, kinds={"signs": 1}, slanted_share=0.0)
    seen = set()
    for record in records(made, 80):
        objects = {thing.name: thing.box for thing in record.truth[0].objects}
        for (_, answer), task in zip(record.turns, record.meta["tasks"], strict=True):
            if task["kind"] != "read_place" or len(objects) < len(record.truth[0].objects):
                continue
            seen.add(task["name"])
            rows = answer.split("\n")
            others = [box for name, box in objects.items() if name not in rows]
            for x1, y1, x2, y2 in (objects[row] for row in rows):
                if task["name"] == "at the top":
                    assert all(y2 <= box[1] for box in others)
                elif task["name"] == "at the bottom":
                    assert all(y1 >= box[3] for box in others)
                elif task["name"] == "on the left":
                    assert all(x2 <= box[0] for box in others)
                elif task["name"] == "on the right":
                    assert all(x1 >= box[2] for box in others)
                elif task["name"] == "at the bottom right":
                    assert all(x1 >= box[2] or y1 >= box[3] for box in others)
    assert len(seen) == 8


def test_a_text_that_is_not_shown_has_no_box():
    signs = [Sign(0, "Open", (1, 2, 30, 12)), Sign(1, "Exit", (1, 40, 30, 52))]
    answers = set()
    for seed in range(120):
        for turn in ask_signs(random.Random(seed), "Read.", signs, "column", "Closed"):
            if turn.task["kind"] == "find_text":
                answers.add((turn.task["name"], "bbox_2d" in turn.answer))
    assert answers == {("Open", True), ("Exit", True), ("Closed", False)}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"kinds": {}}, "kinds"),
        ({"backdrops": {"photo": 0.0}}, "backdrops"),
        ({"tokens": (20, 900)}, "tokens"),
        ({"min_contrast": 7.0}, "min_contrast"),
        ({"letter_height": (90, 20)}, "letter_height"),
    ],
)
def test_wrong_options_are_named(options, named):
    with pytest.raises(ValidationError, match=named):
        SceneTextConfig(**options)


def test_what_fits_nowhere_is_an_error(assets, catalogue):
    made = builder(
        assets,
        catalogue,
        letter_height=(90, 96),
        tokens=(1, 4),
        large_share=0.0,
        kinds={"block": 1},
    )
    with pytest.raises(DataError, match="no train face fits a picture of kind 'block'"):
        made.record("r", 0)


def test_photographs_are_needed_only_where_they_have_a_share(assets, catalogue):
    words = WordLists.read(assets, "train")
    without = SceneTextConfig(backdrops={"plain": 1.0})
    SceneText(without, catalogue, words, PhotoLibrary([])).record("r", 0)
    only = SceneTextConfig(backdrops={"photo": 1.0})
    with pytest.raises(DataError, match="no train photograph is installed"):
        SceneText(only, catalogue, words, PhotoLibrary([])).record("r", 0)


def test_letters_larger_than_a_picture_are_refused():
    with pytest.raises(
        ValidationError, match="letter_height ends at 5000 pixels, the most are 400"
    ):
        SceneTextConfig(letter_height=(8, 5000))
