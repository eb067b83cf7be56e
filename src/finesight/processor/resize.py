# SPDX-License-Identifier: Apache-2.0
"""Computes the resized size of a picture or frame.

Both sides become multiples of 28 pixels (a patch of 14, merged 2 x 2) and the area is fitted into a
pixel budget; the aspect ratio is kept as far as the grid allows. The result is a `Resize`, which is
part of the reply.

Rounding must equal that of the training: Python's `round` rounds .5 to the even neighbour.

Source: qwen-vl-utils 0.0.14 `smart_resize`, with its later rule that no side falls under one grid
step; Qwen2.5-VL report, section 2.1.1.
"""

from __future__ import annotations

import math

from finesight.config.processor import ProcessorConfig
from finesight.conversation import LOW_DETAIL_PIXELS, ImagePart, VideoPart
from finesight.errors import ConfigError, UnsupportedMedia
from finesight.geometry import Resize, Size

_DEFAULTS = ProcessorConfig()


def smart_resize(
    height: int,
    width: int,
    factor: int = 28,
    min_pixels: float | None = None,
    max_pixels: float | None = None,
    *,
    max_side_ratio: float = _DEFAULTS.max_side_ratio,
) -> tuple[int, int]:
    """Fit a size to the grid and the pixel budget.

    Args:
        height: in pixels.
        width: in pixels.
        factor: both sides become multiples of this many pixels.
        min_pixels: least area; None takes 4 grid cells.
        max_pixels: largest area; None takes 16,384 grid cells.
        max_side_ratio: maximum ratio of the longer to the shorter side.

    Returns:
        Height and width. The area may exceed `max_pixels` only if one side is already a single
        grid cell, or if the budget is narrower than a grid step.

    Raises:
        UnsupportedMedia: a side is 0, or one side is too long for the other.
        ConfigError: `min_pixels` exceeds `max_pixels`.
    """
    least = _DEFAULTS.min_pixels // 28**2 * factor**2 if min_pixels is None else min_pixels
    most = _DEFAULTS.max_pixels // 28**2 * factor**2 if max_pixels is None else max_pixels
    if least > most:
        raise ConfigError(
            f"min_pixels={least:g} exceeds max_pixels={most:g}",
            hint="give both; a missing one is that of the processor",
        )
    _check_sides(height, width, max_side_ratio)
    new_height = max(factor, round(height / factor) * factor)
    new_width = max(factor, round(width / factor) * factor)
    if new_height * new_width > most:
        shrink = math.sqrt((height * width) / most)
        new_height = max(factor, math.floor(height / shrink / factor) * factor)
        new_width = max(factor, math.floor(width / shrink / factor) * factor)
    elif new_height * new_width < least:
        grow = math.sqrt(least / (height * width))
        new_height = math.ceil(height * grow / factor) * factor
        new_width = math.ceil(width * grow / factor) * factor
    return new_height, new_width


def _check_sides(height: int, width: int, max_side_ratio: float) -> None:
    shorter, longer = sorted((height, width))
    if shorter < 1:
        raise UnsupportedMedia(f"a picture of {width} x {height} pixels has an empty side")
    if longer / shorter > max_side_ratio:
        raise UnsupportedMedia(
            f"a picture of {width} x {height} pixels has a side ratio of {longer / shorter:.1f}, "
            f"above the limit of {max_side_ratio:g}",
            hint="cut it into several pictures",
        )


def fit_image(size: Size, part: ImagePart, config: ProcessorConfig, *, factor: int = 28) -> Resize:
    """Size the model sees of one picture.

    Args:
        size: of the upright picture.
        part: its own budget or requested size, if any.
        config: budgets that the part does not set.
        factor: pixels per grid cell side.
    """
    wanted = (part.resized_height, part.resized_width)
    return _fit(size, wanted, image_budget(part, config), config, factor)


def image_budget(part: ImagePart, config: ProcessorConfig) -> tuple[float, float]:
    """Least and largest area of one picture, in pixels; `detail="low"` never raises the largest."""
    least = config.min_pixels if part.min_pixels is None else part.min_pixels
    most = config.max_pixels if part.max_pixels is None else part.max_pixels
    if part.detail == "low":
        most = min(most, LOW_DETAIL_PIXELS)
        least = min(least, most) if part.min_pixels is None else least
    return least, most


def fit_video(
    size: Size, num_frames: int, part: VideoPart, config: ProcessorConfig, *, factor: int = 28
) -> Resize:
    """Size the model sees of each frame of one video.

    Args:
        size: of the frames.
        num_frames: sampled frames; they share the budget of the whole video.
        part: its own budgets or requested size, if any.
        config: budgets that the part does not set.
        factor: pixels per grid cell side.
    """
    budget = frame_budget(num_frames, part, config)
    return _fit(size, (part.resized_height, part.resized_width), budget, config, factor)


def frame_budget(num_frames: int, part: VideoPart, config: ProcessorConfig) -> tuple[float, float]:
    """Least and largest area of one frame, in pixels.

    A frame takes at most its share of the video's total budget, where two frames share one grid,
    but never less than a little above the least area. A part's own `max_pixels` can lower the
    limit, not raise it.
    """
    least = config.video_min_pixels if part.min_pixels is None else part.min_pixels
    total = config.video_total_pixels if part.total_pixels is None else part.total_pixels
    share = total / num_frames * config.frame_factor
    most: float = max(min(config.video_max_pixels, share), int(least * 1.05))
    if part.max_pixels is not None:
        most = min(part.max_pixels, most)
    return least, most


def _fit(
    size: Size,
    wanted: tuple[int | None, int | None],
    budget: tuple[float, float],
    config: ProcessorConfig,
    factor: int,
) -> Resize:
    height, width = wanted
    if height is not None and width is not None:
        # As in the reference, a requested size is limited by the widest budget, not by the part's.
        resized = smart_resize(height, width, factor, max_side_ratio=config.max_side_ratio)
    else:
        resized = smart_resize(
            size.height, size.width, factor, *budget, max_side_ratio=config.max_side_ratio
        )
    return Resize(original=size, resized=Size(width=resized[1], height=resized[0]))
