# SPDX-License-Identifier: Apache-2.0
"""Tiles cover a picture, show small things whole, and what they found does not depend on the order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from finesight.apps.evidence import Evidence, Score
from finesight.apps.grounding.records import Thing
from finesight.apps.grounding.tile import CELL, halves, merged, overlap_of, tiles_of
from finesight.geometry import Box, Size, iou

SIZES = st.builds(Size, st.integers(1, 9000), st.integers(1, 9000))


@given(
    size=SIZES,
    most=st.integers(2, 60),
    pixels=st.integers(4 * CELL * CELL, 3_000_000),
    data=st.data(),
)
def test_a_small_thing_is_whole_in_a_tile(size, most, pixels, data):
    tiles = tiles_of(size, "auto", pixels, most)
    assert len(tiles) <= max(most, 1)
    assert tiles[-1] == Box(0, 0, size.width, size.height)
    assert all(tile.clipped(size)[1] is False and tile.area > 0 for tile in tiles)
    side = overlap_of(tiles) * 0.9
    x = data.draw(st.floats(0, max(size.width - side, 0)))
    y = data.draw(st.floats(0, max(size.height - side, 0)))
    parts = tiles[:-1] or tiles
    width, height = min(side, size.width), min(side, size.height)
    assert any(
        tile.x1 <= x and x + width <= tile.x2 and tile.y1 <= y and y + height <= tile.y2
        for tile in parts
    )


@given(size=SIZES)
def test_halves_cover_their_tile(size):
    tile = Box(10, 20, 10 + size.width, 20 + size.height)
    first, second = halves(tile)
    assert first.x2 >= second.x1
    assert first.y2 >= second.y1
    assert (min(first.x1, second.x1), max(first.x2, second.x2)) == (tile.x1, tile.x2)
    assert (min(first.y1, second.y1), max(first.y2, second.y2)) == (tile.y1, tile.y2)


def thing(box, score, tile=0):
    return Thing(label="a", evidence=Evidence(box=box), score=Score(score, "logprob"), tile=tile)


@given(seed=st.integers(0, 10_000), count=st.integers(0, 12))
def test_repeated_things_are_one_whatever_their_order(seed, count):
    rng = random.Random(seed)
    # places on a grid, far enough apart that no two are the same thing
    places = rng.sample([(x, y) for x in range(0, 1000, 100) for y in range(0, 1000, 100)], count)
    true = [Box(x, y, x + 60, y + 60) for x, y in places]
    found = []
    for box in true:
        for tile in range(rng.randint(1, 3)):
            dx, dy = rng.uniform(-4, 4), rng.uniform(-4, 4)
            moved = Box(box.x1 + dx, box.y1 + dy, box.x2 + dx, box.y2 + dy)
            found.append(thing(moved, rng.random(), tile))
    rng.shuffle(found)
    kept = merged(found)
    assert len(kept) == count
    assert all(max(iou(one.shape, box) for one in kept) > 0.7 for box in true)
    best = max((one.score.value for one in found), default=None)
    assert max((one.score.value for one in kept), default=None) == best
    again = merged(kept)
    assert again == kept
