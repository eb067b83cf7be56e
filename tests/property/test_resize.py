# SPDX-License-Identifier: Apache-2.0
"""Sizes and budgets, over everything a camera or a user may come up with."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.geometry import Size
from finesight.processor.resize import fit_image, fit_video, smart_resize

CONFIG = ProcessorConfig()
SIDES = st.integers(1, 20_000)
BUDGETS = st.tuples(st.integers(784, 2_000_000), st.integers(0, 12_000_000))


@given(height=SIDES, width=SIDES, budget=BUDGETS, factor=st.sampled_from([28, 32]))
def test_grid_budget_and_shape(height, width, budget, factor):
    assume(max(height, width) <= 200 * min(height, width))
    least, most = budget[0], budget[0] + budget[1]
    new_height, new_width = smart_resize(height, width, factor, least, most)
    assert new_height % factor == new_width % factor == 0
    assert min(new_height, new_width) >= factor
    area = new_height * new_width
    has_single_cell = min(new_height, new_width) == factor
    # Growing rounds both sides up, which may pass a budget narrower than one step of the grid.
    grow = max(1.0, (least / (height * width)) ** 0.5)
    one_step_more = (height * grow + factor) * (width * grow + factor)
    assert area <= most or has_single_cell or most < one_step_more
    exact = [1.0, (most / (height * width)) ** 0.5, (least / (height * width)) ** 0.5]
    assert has_single_cell or any(
        abs(new_height - height * scale) <= factor and abs(new_width - width * scale) <= factor
        for scale in exact
    )


@given(height=SIDES, width=SIDES)
def test_default_budget_is_kept(height, width):
    assume(max(height, width) <= 200 * min(height, width))
    new_height, new_width = smart_resize(height, width)
    assert CONFIG.min_pixels <= new_height * new_width <= CONFIG.max_pixels


@given(height=SIDES, width=SIDES)
def test_a_fitted_size_fits_again(height, width):
    assume(max(height, width) <= 200 * min(height, width))
    once = fit_image(Size(width, height), ImagePart(source="a"), CONFIG).resized
    assume(max(once.width, once.height) <= 200 * min(once.width, once.height))
    if CONFIG.min_pixels <= once.area <= CONFIG.max_pixels:
        assert fit_image(once, ImagePart(source="a"), CONFIG).resized == once


@given(height=SIDES, width=SIDES)
def test_order_of_sides_does_not_matter(height, width):
    assume(max(height, width) <= 200 * min(height, width))
    assert smart_resize(height, width) == smart_resize(width, height)[::-1]


@given(
    height=st.integers(28, 2000),
    width=st.integers(28, 2000),
    num_frames=st.integers(1, 384).map(lambda pairs: 2 * pairs),
)
def test_video_stays_in_its_budget(height, width, num_frames):
    resized = fit_video(Size(width, height), num_frames, VideoPart(source="a"), CONFIG).resized
    assert resized.area <= CONFIG.video_max_pixels
    floor = int(CONFIG.video_min_pixels * 1.05)
    share = CONFIG.video_total_pixels / num_frames * 2
    assert resized.area <= max(share, floor) or min(resized.width, resized.height) == 28
