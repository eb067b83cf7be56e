# SPDX-License-Identifier: Apache-2.0
"""Sizes: the published rounding, the budgets, and what is refused."""

from __future__ import annotations

import pytest

from finesight.config.processor import ProcessorConfig
from finesight.conversation import ImagePart, VideoPart
from finesight.errors import ConfigError, UnsupportedMedia
from finesight.geometry import Size
from finesight.processor.resize import fit_image, fit_video, frame_budget, smart_resize

CONFIG = ProcessorConfig()


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (28, 28, (56, 56)),  # grown to 4 cells
        (56, 84, (56, 84)),
        (42, 98, (56, 112)),  # 1.5 and 3.5 cells: halves go to the even neighbour, 2 and 4
        (70, 70, (56, 56)),  # 2.5 cells goes to 2
        (1080, 1920, (1092, 1932)),
        (10, 2000, (28, 1988)),  # 200:1, and no side under one cell
        (8000, 8000, (3584, 3584)),  # shrunk to 16,384 cells
    ],
)
def test_published_sizes(height, width, expected):
    assert smart_resize(height, width) == expected


def test_never_an_empty_side_when_shrinking():
    assert smart_resize(10, 2000, 28, 3136, 3136) == (28, 784)


@pytest.mark.parametrize(
    ("height", "width", "message"),
    [
        (10, 2001, r"2001 x 10 pixels has a side ratio of 200\.1, above the limit of 200"),
        (4020, 20, "20 x 4020"),
        (0, 100, "100 x 0 pixels has an empty side"),
    ],
)
def test_refused_sizes(height, width, message):
    with pytest.raises(UnsupportedMedia, match=message):
        smart_resize(height, width)


def test_contradicting_budget_is_refused():
    with pytest.raises(ConfigError, match="min_pixels=3136 exceeds max_pixels=2000"):
        fit_image(Size(100, 100), ImagePart(source="a", max_pixels=2000), CONFIG)


def test_a_part_overrides_the_processor():
    size = Size(1000, 500)
    small = fit_image(size, ImagePart(source="a", max_pixels=100_352), CONFIG)
    assert small.original == size
    assert (
        small.resized.area <= 100_352 < fit_image(size, ImagePart(source="a"), CONFIG).resized.area
    )


@pytest.mark.parametrize(
    ("model", "part", "most"),
    [
        ({}, {}, 512 * 512),
        ({"max_pixels": 100_352}, {}, 100_352),
        ({}, {"max_pixels": 50_176}, 50_176),
        ({}, {"max_pixels": 1_000_000}, 512 * 512),
    ],
)
def test_low_detail_takes_the_smaller_budget_and_never_more(model, part, most):
    config, size = CONFIG.model_copy(update=model), Size(1000, 1000)
    low = fit_image(size, ImagePart(source="a", detail="low", **part), config).resized
    assert low.area <= most
    assert low == fit_image(size, ImagePart(source="a", max_pixels=most), config).resized


def test_low_detail_lowers_the_least_area_of_a_model_that_wants_more():
    config = CONFIG.model_copy(update={"min_pixels": 600 * 600})
    size = fit_image(Size(1000, 1000), ImagePart(source="a", detail="low"), config).resized
    assert size.area <= 512 * 512


def test_another_detail_is_refused():
    with pytest.raises(ConfigError, match="picture has detail='high'"):
        ImagePart(source="a", detail="high").check()


def test_wanted_size_is_rounded_to_the_grid():
    part = ImagePart(source="a", resized_height=290, resized_width=400)
    assert fit_image(Size(9, 9), part, CONFIG).resized == Size(width=392, height=280)


def test_limits_come_from_the_config():
    config = ProcessorConfig(max_side_ratio=10)
    with pytest.raises(UnsupportedMedia, match="above the limit of 10"):
        fit_image(Size(300, 20), ImagePart(source="a"), config)


@pytest.mark.parametrize(
    ("num_frames", "options", "expected"),
    [
        (4, {}, (100_352, 602_112)),  # the frame's own limit
        (768, {}, (100_352, 235_200)),  # a share of 115,200 visual tokens
        (768, {"total_pixels": 24_576 * 784}, (100_352, 105_369)),  # never under 1.05 x the least
        (4, {"max_pixels": 200_000}, (100_352, 200_000)),
        (4, {"max_pixels": 9_000_000}, (100_352, 602_112)),  # a part cannot raise the limit
        (4, {"min_pixels": 3136, "total_pixels": 20_000}, (3136, 10_000)),
    ],
)
def test_frame_budget(num_frames, options, expected):
    assert frame_budget(num_frames, VideoPart(source="a", **options), CONFIG) == expected


@pytest.mark.parametrize(
    ("num_frames", "size", "options", "tokens"),
    [
        # Printed in the published notebooks.
        (60, Size(1904, 1064), {"max_pixels": 532 * 952}, 19_380),
        (768, Size(1280, 720), {"total_pixels": 20_480 * 784, "min_pixels": 16 * 784}, 17_280),
        (530, Size(1280, 720), {"total_pixels": 20_480 * 784, "min_pixels": 16 * 784}, 17_490),
    ],
)
def test_published_token_counts(num_frames, size, options, tokens):
    resized = fit_video(size, num_frames, VideoPart(source="a", **options), CONFIG).resized
    assert num_frames // 2 * resized.area // 784 == tokens
