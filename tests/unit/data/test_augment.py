# SPDX-License-Identifier: Apache-2.0
"""Every reading of a stored picture differs, and its truth moves with it."""

from __future__ import annotations

import numpy as np
import pytest

from finesight.data.augment import jitter, squeeze
from finesight.data.record import Glyph, Record

META = {"split": "train", "generator": "test", "seed": 0}


def dots(width: int = 112, height: int = 56) -> Record:
    """A white picture with a black block around each glyph's middle."""
    image = np.full((height, width, 3), 255, np.uint8)
    glyphs = []
    for order, x in enumerate((14, 42, 98)):
        image[20:32, x - 6 : x + 6] = 0
        glyphs.append(Glyph("a", float(x), 26.0, order))
    return Record(
        id="dots",
        family="text",
        image=image,
        turns=(("Q", "aaa"),),
        glyphs=tuple(glyphs),
        meta=META,
    )


def test_glyphs_stay_on_their_ink():
    record = dots()
    changed = 0
    for seed in range(50):
        moved = squeeze(record, np.random.default_rng(seed), 1.0)
        moved.check()
        assert moved.image.shape == record.image.shape
        for glyph in moved.glyphs:
            assert moved.image[int(glyph.y), int(glyph.x)].max() < 60
        changed += not np.array_equal(moved.image, record.image)
    assert changed > 40


def test_the_border_goes_on_with_the_edge():
    record = dots()
    moved = squeeze(record, np.random.default_rng(3), 1.0)
    assert (moved.image[0] == 255).all()
    assert (moved.image[:, -1] == 255).all()


def test_no_strength_no_change():
    record = dots()
    assert np.array_equal(squeeze(record, np.random.default_rng(0), 0.0).image, record.image)
    assert jitter(record.image, np.random.default_rng(0), 0.0) is record.image


@pytest.mark.parametrize("may_invert", [True, False])
def test_only_what_may_be_inverted_is(may_invert):
    dark_paper = 0
    image = np.full((28, 28, 3), 230, np.uint8)
    for seed in range(200):
        changed = jitter(image, np.random.default_rng(seed), 1.0, may_invert=may_invert)
        dark_paper += changed.mean() < 100
    assert bool(dark_paper > 5) is may_invert
