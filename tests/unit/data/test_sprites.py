# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random

import numpy as np
import pytest

from finesight.data.builders.sprites import Cutout, icon_cutout
from finesight.data.sources.icons import SPRITE, Drawing, IconLibrary

SIZE = 60


def _library(*colours: tuple[int, int, int]) -> IconLibrary:
    """One drawing a colour: a bar 80 wide and 40 high."""
    sprites = np.zeros((len(colours), SPRITE, SPRITE, 4), dtype=np.uint8)
    for row, colour in enumerate(colours):
        sprites[row, 20:60, 10:90] = (*colour, 255)
    drawings = [
        Drawing(f"set/{row}", f"bar {row}", "train", "MIT", row, (10, 20, 90, 60))
        for row in range(len(colours))
    ]
    return IconLibrary(drawings, sprites)


def _cutouts(library: IconLibrary, vary: float, number: int = 40) -> list[Cutout]:
    return [
        icon_cutout(random.Random(seed), library, library.drawings[0], SIZE, tilt=0, vary=vary)
        for seed in range(number)
    ]


def test_a_drawing_that_does_not_vary_keeps_form_and_colour():
    for cutout in _cutouts(_library((200, 30, 60)), vary=0.0):
        assert cutout.picture.size == (SIZE, SIZE // 2)
        assert cutout.colour == (200, 30, 60)


def test_a_varied_drawing_changes_in_form_and_colour_within_bounds():
    cutouts = _cutouts(_library((200, 30, 60)), vary=1.0)
    assert len({cutout.colour for cutout in cutouts}) > 30
    sizes = np.array([cutout.picture.size for cutout in cutouts])
    assert sizes[:, 1].min() < SIZE // 2 - 2  # flatter: nothing is ever made larger
    assert sizes[:, 1].max() <= SIZE // 2
    assert sizes[:, 0].max() > SIZE  # sheared
    assert sizes[:, 0].max() <= SIZE + 0.25 * SIZE / 2 + 1
    reddest = sum(cutout.colour[0] >= max(cutout.colour) for cutout in cutouts)
    assert reddest > 0.9 * len(cutouts)  # what is red stays red, purple or brown


def test_a_grey_drawing_stays_grey_whatever_hue_is_turned():
    for cutout in _cutouts(_library((120, 120, 120)), vary=1.0):
        assert max(cutout.colour) - min(cutout.colour) <= 2


@pytest.mark.parametrize("vary", [0.0, 1.0])
def test_the_box_of_a_varied_drawing_ends_at_its_ink(vary):
    for cutout in _cutouts(_library((200, 30, 60)), vary):
        ink = np.asarray(cutout.picture)[:, :, 3] > 64
        for edge in (ink[0], ink[-1], ink[:, 0], ink[:, -1]):
            assert edge.any()


def test_a_cutout_does_not_depend_on_those_before_it():
    library = _library((200, 30, 60), (10, 200, 90))
    first = icon_cutout(random.Random(5), library, library.drawings[1], SIZE, tilt=12, vary=0.5)
    _cutouts(library, vary=1.0)
    icon_cutout(random.Random(1), library, library.drawings[1], 20, tilt=12, vary=1.0)
    again = icon_cutout(random.Random(5), library, library.drawings[1], SIZE, tilt=12, vary=0.5)
    assert again.colour == first.colour
    assert again.picture.tobytes() == first.picture.tobytes()
