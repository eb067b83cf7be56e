# SPDX-License-Identifier: Apache-2.0
"""Augmentation changes a picture and its truth together."""

from __future__ import annotations

import numpy as np
import pytest

from finesight.data.augment import enlarge, jitter, squeeze
from finesight.data.record import Glyph, SceneObject, Truth


def dots(width: int = 112, height: int = 56) -> tuple[np.ndarray, Truth]:
    """A white picture with a black block around each glyph's middle."""
    image = np.full((height, width, 3), 255, np.uint8)
    glyphs = []
    for order, x in enumerate((14, 42, 98)):
        image[20:32, x - 6 : x + 6] = 0
        glyphs.append(Glyph("a", float(x), 26.0, order))
    return image, Truth(glyphs=tuple(glyphs))


def test_glyphs_stay_on_their_ink():
    image, truth = dots()
    changed = 0
    for seed in range(50):
        moved, known = squeeze(image, truth, np.random.default_rng(seed), 1.0)
        assert moved.shape == image.shape
        assert known.objects is None
        for glyph in known.glyphs:
            assert moved[int(glyph.y), int(glyph.x)].max() < 60
        changed += not np.array_equal(moved, image)
    assert changed > 40


@pytest.mark.parametrize("turned", [False, True])
def test_letters_have_the_drawn_distance(turned):
    image, truth = dots()
    if turned:
        image = np.ascontiguousarray(np.rot90(image, -1))
        height = len(image)
        assert height == 112
        truth = Truth(glyphs=tuple(Glyph(g.char, 56 - g.y, g.x, g.order) for g in truth.glyphs))
    distances = []
    for seed in range(40):
        larger, known = enlarge(image, truth, np.random.default_rng(seed), (45.0, 180.0))
        first, second, _ = known.glyphs
        distances.append(np.hypot(second.x - first.x, second.y - first.y) * 1.5)
        for glyph in known.glyphs:
            assert larger[int(glyph.y), int(glyph.x)].max() < 60
    assert 42 <= min(distances) < 60  # the median of 28 and 56 is 42: never smaller than it was
    assert 150 < max(distances) <= 181


def test_large_letters_and_pictures_without_text_are_not_enlarged():
    image, truth = dots()
    for known in (truth, Truth(), Truth(glyphs=(Glyph("a", 5.0, 5.0, 0),))):
        same, kept = enlarge(image, known, np.random.default_rng(0), (10.0, 42.0))
        assert same is image
        assert kept is known


def test_an_enlarged_picture_has_at_most_512_visual_tokens():
    larger, _ = enlarge(*dots(560, 448), np.random.default_rng(0), (900.0, 900.0))
    assert larger.size / 3 == pytest.approx(512 * 28 * 28, rel=0.01)


def test_boxes_stay_around_their_ink():
    image = np.full((56, 112, 3), 255, np.uint8)
    image[10:40, 20:60] = 0
    truth = Truth(objects=(SceneObject((20, 10, 60, 40), "block"),))
    for seed in range(20):
        moved, known = squeeze(image, truth, np.random.default_rng(seed), 1.0)
        rows, columns = np.nonzero(moved.max(axis=2) < 128)
        found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert known.objects[0].box == pytest.approx(found, abs=1.01)


def test_the_border_goes_on_with_the_edge():
    moved, _ = squeeze(*dots(), np.random.default_rng(3), 1.0)
    assert (moved[0] == 255).all()
    assert (moved[:, -1] == 255).all()


def test_no_strength_no_change():
    image, truth = dots()
    moved, known = squeeze(image, truth, np.random.default_rng(0), 0.0)
    assert np.array_equal(moved, image)
    assert known == truth
    assert jitter(image, np.random.default_rng(0), 0.0) is image


@pytest.mark.parametrize("may_invert", [True, False])
def test_only_what_may_be_inverted_is(may_invert):
    dark_paper = 0
    image = np.full((28, 28, 3), 230, np.uint8)
    for seed in range(200):
        changed = jitter(image, np.random.default_rng(seed), 1.0, may_invert=may_invert)
        dark_paper += changed.mean() < 100
    assert bool(dark_paper > 5) is may_invert
